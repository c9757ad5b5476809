//! One life of the controller: it starts, leads, and ends.

use std::time::Duration;

use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, sleep},
};
use weightedshare::{
    metrics::{Asked, MetricsApi},
    runtime::{self, Clock, Leadership, Run, Serving, Terms},
};

use super::{
    cluster::{Cluster, Instance, Shared, with},
    fault::Fault,
    from_nothing,
    plant::Bug,
    server,
};

/// For how long the lease is valid.
pub fn lease() -> Terms {
    Terms::of_seconds(15)
}

/// How often it is renewed.
const RENEWED: Duration = Duration::from_secs(2);

/// A controller that runs. It ends when this goes.
pub struct Life {
    task: JoinHandle<()>,
    stop: Option<oneshot::Sender<()>>,
    leadership: Leadership,
}

impl Life {
    /// Starts an instance of the controller. `stale`: how old its lists are, and for how long its watches tell nothing.
    pub fn start(shared: &Shared, bug: Option<Bug>, stale: Option<(Duration, Duration)>) -> Self {
        let instance = with(shared, |cluster| {
            let lists = stale
                .map(|(age, _)| cluster.store.version_at(cluster.elapsed().saturating_sub(age)));
            let deaf_until = stale.map(|(_, late)| Instant::now() + late);
            cluster.instances.push(Instance { lists, deaf_until, ..Instance::default() });
            cluster.instances.len() - 1
        });
        let client = server::client(shared, instance, bug);
        let metrics = Asked {
            source: Box::new(MetricsApi::new(client.clone())),
            every: Duration::from_secs(15),
            usage: true,
            performance: false,
        };
        let clock = shared.clone();
        let leadership = leadership(shared);
        // As a lease would tell it.
        if let Some(before) = with(shared, |cluster| cluster.led_until) {
            leadership.succeeds(before);
        }
        let run = Run {
            client,
            sources: vec![metrics],
            clock: Clock::new(move || with(&clock, Cluster::shown)),
            serving: Serving { leadership: leadership.clone(), ..Serving::default() },
            bounds: with(shared, |cluster| cluster.bounds.clone()),
            check: Some(from_nothing::check(shared, bug)),
        };
        let (stop, stopped) = oneshot::channel();
        let stopped = async {
            // A sender that is dropped is no order to end.
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        Self { task: tokio::spawn(runtime::run(run, stopped)), stop: Some(stop), leadership }
    }

    /// It is gone from one moment to the next.
    pub fn crash(&self, shared: &Shared) {
        self.task.abort();
        with(shared, |cluster| cluster.led_until = Some(Instant::now()));
    }

    /// It ends as it is told to: the next one waits only if a write of it may still be on its way.
    pub async fn resign(&mut self, shared: &Shared) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        let _ = (&mut self.task).await;
        self.leadership.retire().await;
        let may_have_written = self.leadership.may_have_written();
        with(shared, |cluster| cluster.led_until = may_have_written.then(Instant::now));
    }

    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        self.task.is_finished()
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What an instance that starts now leads by: for ever, or until the lease is not renewed any more.
fn leadership(shared: &Shared) -> Leadership {
    let (faults, elapsed) = with(shared, |cluster| (cluster.faults.clone(), cluster.elapsed()));
    let deposed = faults.iter().find_map(|fault| match fault {
        Fault::Deposed { at, .. } if elapsed < *at + lease().duration() => Some(*at),
        _ => None,
    });
    let Some(at) = deposed else { return Leadership::always() };
    let leadership = Leadership::by(lease());
    // An instance that starts after the last renewal takes the lease over as it is.
    leadership.renewed(Instant::now() - elapsed.saturating_sub(at));
    let (shared, renews) = (shared.clone(), leadership.clone());
    tokio::spawn(async move {
        while with(&shared, |cluster| cluster.elapsed()) < at {
            let now = Instant::now();
            renews.renewed(now);
            with(&shared, |cluster| cluster.led_until = Some(now));
            sleep(RENEWED).await;
        }
    });
    leadership
}
