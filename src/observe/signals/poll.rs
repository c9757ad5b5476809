//! Asks the sources, again and again.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{Stream, StreamExt, stream};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{info, warn};

use super::{Freshness, Measured, Objective, Source, SourceError};
use crate::observe::Clock;

/// How long a source may take for an answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often it is asked while news is due, which is from so long before it is expected to so long after that.
const PROMPT: Duration = Duration::from_secs(1);
const LATE: Duration = Duration::from_secs(5);

/// A source, and how often it is asked.
pub struct Asked {
    /// The source.
    pub source: Box<dyn Source>,
    /// How long to wait between two questions. Where it measures less often than that, it is asked when news is due.
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
    let state = (asked, measured, objectives, clock, Times::default(), None::<Freshness>);
    stream::unfold(
        state,
        move |(asked, measured, objectives, clock, mut times, mut before)| async move {
            loop {
                let interval = lock(&measured).interval(name);
                if let Some(next) = times.next(asked.every, interval) {
                    sleep_until(next).await;
                }
                let began = Instant::now();
                times.asked = Some(began);
                let wanted = objectives();
                let said =
                    timeout(PATIENCE, asked.source.read(&wanted)).await.unwrap_or_else(|_| {
                        let seconds = began.elapsed().as_secs();
                        Err(SourceError::Failed(format!(
                            "{name} did not answer within {seconds} s"
                        )))
                    });
                let answers = said.is_ok();
                let (news, now) = {
                    let mut measured = lock(&measured);
                    let news = measured.take(name, said);
                    let now = clock.now();
                    (
                        news,
                        if asked.usage { measured.usage(now) } else { measured.performance(now) },
                    )
                };
                if news && answers {
                    times.news = Some(Instant::now());
                }
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
                    return Some(((), (asked, measured, objectives, clock, times, before)));
                }
            }
        },
    )
    .boxed()
}

/// When a source was asked last, and when that brought news.
#[derive(Default)]
struct Times {
    asked: Option<Instant>,
    news: Option<Instant>,
}

impl Times {
    /// When it is to be asked next, where it measures once in an `interval`. None: now.
    fn next(&self, every: Duration, interval: Duration) -> Option<Instant> {
        let asked = self.asked?;
        let due = self.news.filter(|_| every < interval).map(|news| news + interval);
        Some(match due {
            Some(due) if asked < due - PROMPT => due - PROMPT,
            Some(due) if asked < due + LATE => asked + PROMPT,
            _ => asked + every,
        })
    }
}

/// What is measured, locked.
pub fn lock(measured: &Mutex<Measured>) -> std::sync::MutexGuard<'_, Measured> {
    // Nothing panics while it is held; what it holds would be whole all the same.
    measured.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_asked_when_news_is_due() {
        let seconds = Duration::from_secs;
        let start = Instant::now();
        let asks = |news: Option<u64>, every: u64, interval: u64| {
            let mut times = Times { asked: None, news: news.map(|at| start + seconds(at)) };
            assert_eq!(times.next(seconds(every), seconds(interval)), None);
            times.asked = Some(start);
            let mut at = Vec::new();
            while at.len() < 9 {
                let next = times.next(seconds(every), seconds(interval)).unwrap();
                at.push(next.duration_since(start).as_secs());
                times.asked = Some(next);
            }
            at
        };
        assert_eq!(asks(None, 5, 15), [5, 10, 15, 20, 25, 30, 35, 40, 45]);
        assert_eq!(asks(Some(0), 5, 15), [14, 15, 16, 17, 18, 19, 20, 25, 30]);
        assert_eq!(asks(Some(0), 5, 60), [59, 60, 61, 62, 63, 64, 65, 70, 75]);
        // Who is asked as seldom as he measures always has news.
        assert_eq!(asks(Some(0), 15, 15), [15, 30, 45, 60, 75, 90, 105, 120, 135]);
    }
}
