//! Asks the sources, again and again.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{Stream, StreamExt, stream};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tracing::{info, warn};

use super::{Freshness, Measured, Objective, Source, SourceError};
use crate::observe::Clock;

/// How long a source may take for an answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// A source, and how often it is asked.
pub struct Asked {
    /// The source.
    pub source: Box<dyn Source>,
    /// How long to wait between two questions. Shorter than it measures, so that news is not old.
    pub every: Duration,
    /// It tells what pods use.
    pub usage: bool,
    /// It tells how well members do.
    pub performance: bool,
}

/// Asks a source for ever, and puts what it says into `measured`. Yields whenever there is something new to decide on.
pub fn poll(
    asked: Asked,
    measured: Arc<Mutex<Measured>>,
    objectives: impl Fn() -> Vec<Objective> + Send + 'static,
    clock: Clock,
) -> impl Stream<Item = ()> + Send + 'static {
    let name = asked.source.name();
    lock(&measured).expect(name, asked.usage, asked.performance);
    let mut ticks = interval(asked.every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let state = (asked, ticks, measured, objectives, clock, None::<Freshness>);
    stream::unfold(
        state,
        move |(asked, mut ticks, measured, objectives, clock, mut before)| async move {
            loop {
                ticks.tick().await;
                let began = Instant::now();
                let wanted = objectives();
                let said =
                    timeout(PATIENCE, asked.source.read(&wanted)).await.unwrap_or_else(|_| {
                        let seconds = began.elapsed().as_secs();
                        Err(SourceError::Failed(format!(
                            "{name} did not answer within {seconds} s"
                        )))
                    });
                let (news, now) = {
                    let mut measured = lock(&measured);
                    let news = measured.take(name, said);
                    let now = clock.now();
                    (
                        news,
                        if asked.usage { measured.usage(now) } else { measured.performance(now) },
                    )
                };
                let turned = before.as_ref() != Some(&now);
                if turned {
                    match &now {
                        Freshness::Fresh => info!(source = name, "measures"),
                        Freshness::Stale(why) | Freshness::Absent(why) => {
                            warn!(source = name, "{why}")
                        }
                    }
                    before = Some(now);
                }
                if news || turned {
                    return Some(((), (asked, ticks, measured, objectives, clock, before)));
                }
            }
        },
    )
    .boxed()
}

/// What is measured, locked.
pub fn lock(measured: &Mutex<Measured>) -> std::sync::MutexGuard<'_, Measured> {
    // Nothing panics while it is held; what it holds would be whole all the same.
    measured.lock().unwrap_or_else(PoisonError::into_inner)
}
