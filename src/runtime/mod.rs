//! What makes a process of it: the loop, the watches, leadership, HTTP, telemetry.

mod ask_leader;
mod auth;
mod candidacy;
mod client;
mod clock;
mod connections;
mod control_loop;
mod dashboard;
mod gauges;
mod health;
mod leader_pod;
mod leadership;
mod lease;
mod list_once;
mod listen;
mod optional;
mod pools;
mod published;
mod recall;
mod telemetry;
#[cfg(test)]
mod tests;
mod traces;
mod trees;
mod watches;

use std::time::Duration;

use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use tracing::info;

pub use ask_leader::{NotAsked, ask_leader};
pub use auth::Gate;
pub use candidacy::Candidacy;
pub use client::{Access, ClientError, Waits, client};
pub use clock::Clock;
pub use control_loop::{Before, Check, Run, run};
pub use dashboard::{Dashboard, PlannedPool, plan_page, replay_page};
pub use health::Health;
pub use leader_pod::{LeaderPod, NoLeader, leader_pod, page_address};
pub use leadership::{CARRIED_OUT, Leadership, NotLeading};
pub use lease::{Election, Lost, NAME, Terms, identity};
pub use list_once::{ListError, list_once};
pub use listen::{Address, BadAddress, ListenError, listen, listen_guarded};
pub use published::{PublishedPools, PublishedTrees};
pub use recall::{PORT as RECALL_PORT, Recall};
pub use telemetry::Telemetry;
pub use traces::{TraceError, Traces};

/// How long the work in progress may take when the process is told to end. After that it is abandoned between two
/// writes, which takes as long as a write may at most: both, and the release, fit into the 30 s that a pod is given.
const GRACE: Duration = Duration::from_secs(5);

/// Resolves when the process is told to end.
pub type Stop = Shared<BoxFuture<'static, ()>>;

/// What the controller tells of itself, and whether it may write. The default leads always.
#[derive(Clone, Debug)]
pub struct Serving {
    /// Whether this process may write.
    pub leadership: Leadership,
    /// What the probes are told.
    pub health: Health,
    /// The pools as they were seen last.
    pub pools: PublishedPools,
    /// The trees likewise.
    pub trees: PublishedTrees,
    /// What is counted.
    pub telemetry: Telemetry,
    /// The page to look at.
    pub dashboard: Dashboard,
    /// What commands ask it for.
    pub recall: Recall,
}

impl Default for Serving {
    fn default() -> Self {
        Self::of(Leadership::default(), true)
    }
}

impl Serving {
    /// What a process with this leadership tells: in metrics also of each member, or only of pools.
    #[must_use]
    pub fn of(leadership: Leadership, with_members: bool) -> Self {
        let (pools, trees) = (PublishedPools::default(), PublishedTrees::default());
        Self {
            leadership,
            health: Health::default(),
            telemetry: Telemetry::of(pools.clone(), trees.clone(), with_members),
            dashboard: Dashboard::of(pools.clone(), trees.clone()),
            recall: Recall::default(),
            pools,
            trees,
        }
    }
}

/// Does the work while this process leads: it waits for the lease, gives it back when it is told to stop, and ends when
/// it loses it. Without an election it leads at once, and asks no other process.
///
/// # Errors
/// When the lease is lost: the process must end, for another one leads.
pub async fn lead<W: Future<Output = ()>>(
    candidacy: Option<Candidacy>,
    serving: &Serving,
    stop: Stop,
    work: impl FnOnce(Stop) -> W,
) -> Result<(), Lost> {
    let Some(mut candidacy) = candidacy else {
        serving.telemetry.leads(true);
        serving.health.fills();
        within_grace(&serving.leadership, stop.clone(), work(stop)).await;
        return Ok(());
    };
    serving.telemetry.leads(false);
    serving.health.stands_by();
    tokio::select! {
        biased;
        () = stop.clone() => {
            // It may have been won in this very moment.
            candidacy.release().await;
            return Ok(());
        }
        won = candidacy.won() => won?,
    }
    serving.telemetry.leads(true);
    serving.health.fills();
    let ended = tokio::select! {
        biased;
        lost = candidacy.lost() => Err(lost),
        () = within_grace(&serving.leadership, stop.clone(), work(stop)) => Ok(()),
    };
    serving.telemetry.leads(false);
    if ended.is_ok() {
        candidacy.release().await;
        info!("the lease is released");
    }
    ended
}

/// Does the work until it ends. Some time after it was told to, nothing more is written, and it is left where it is.
async fn within_grace(leadership: &Leadership, stop: Stop, work: impl Future<Output = ()>) {
    let impatience = async {
        stop.await;
        tokio::time::sleep(GRACE).await;
        // The work goes on beside it, so that writes that are on their way get their answers.
        leadership.retire().await;
    };
    tokio::select! {
        () = work => leadership.retire().await,
        () = impatience => info!("the work in progress is abandoned"),
    }
}

/// As a signal that many can wait for.
pub fn stop(signal: impl Future<Output = ()> + Send + 'static) -> Stop {
    signal.boxed().shared()
}
