//! The loop: observe -> weigh -> divide -> actuate -> report.

mod admission;
mod calm;
mod claim;
mod divide;
mod error;
mod events;
mod moves;
mod nodes;
mod play;
mod reconcile;
mod report;
mod shares;
mod standing;
#[cfg(test)]
mod tests;
mod update;
mod weigh;
pub mod weight;

use std::{
    collections::HashMap,
    convert::Infallible,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{FutureExt, StreamExt, future, stream};
use kube::{
    Client, ResourceExt,
    runtime::{
        controller::{self, Action, Config, ReconcileRequest, applier},
        reflector::ObjectRef,
    },
};
use tracing::warn;

use calm::Memory;
pub use divide::divide;
pub use error::Error;
pub use shares::{Divided, MemberShare, PodShare, Shares};
pub use standing::{Outcome, Standing, of_member};
use update::Weights;
pub use weigh::{Weighed, WeighedMember, weigh};

use crate::{
    api::{NewPodsSpec, WeightedShare},
    observe::{Change, Guarded, World, signals::Asked},
};

/// How long one turn may take, all its calls together.
const TURN: Duration = Duration::from_secs(60);
/// Events that come together are answered by one turn.
const DEBOUNCE: Duration = Duration::from_millis(50);
/// The wait after a first failure; it doubles with each further one, up to the longest.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(120);

/// What every turn shares.
pub struct Context {
    client: Client,
    world: World,
    /// How often a pool failed in a row, by namespace and name.
    failures: Mutex<HashMap<(Option<String>, String), u32>>,
    /// What was worked out for each pool, by its UID.
    memories: Mutex<HashMap<String, Memories>>,
}

/// What was worked out for a pool.
#[derive(Debug, Default)]
struct Memories {
    weights: Weights,
    grants: Memory,
    /// With what new pods start, as it was written last.
    new_pods: Option<NewPodsSpec>,
}

/// Runs until `shutdown`, then ends the turn it is in.
pub async fn run(
    client: Client,
    sources: Vec<Asked>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    let (world, changes) = World::watch(&client, sources);
    let pools = world.pools.clone();
    // A change in a namespace concerns all its pools: they may compete for the same pods.
    let queue = {
        let pools = pools.clone();
        changes.flat_map(move |change| {
            let concerned = pools.state_filter(|pool| match &change {
                Change::In(namespace) => pool.namespace().as_ref() == Some(namespace),
                Change::Measured => true,
            });
            stream::iter(concerned).map(|pool| {
                Ok::<ReconcileRequest<_>, Infallible>(ObjectRef::from_obj(&*pool).into())
            })
        })
    };
    let context =
        Arc::new(Context { client, world, failures: Mutex::default(), memories: Mutex::default() });
    // One turn at a time: two pools on one node do not promise its room twice.
    let config = Config::default().debounce(DEBOUNCE).concurrency(1);
    let turns = applier(
        |pool, context| turn(pool, context).boxed(),
        |pool, error, context| retry(&pool, error, &context),
        context,
        pools,
        queue.take_until(shutdown),
        config,
    );
    // What a turn ran into is logged where its retry is set; a pool that vanished meanwhile is no error.
    turns.for_each(|_: Result<_, controller::Error<Error, Infallible>>| future::ready(())).await;
}

async fn turn(pool: Arc<Guarded>, context: Arc<Context>) -> Result<Action, Error> {
    let turn = reconcile::reconcile(pool, context);
    tokio::time::timeout(TURN, turn).await.unwrap_or(Err(Error::TooSlow(TURN.as_secs())))
}

fn retry(pool: &Guarded, error: &Error, context: &Context) -> Action {
    let failures = {
        let mut failures = context.failures();
        let count = failures.entry((pool.namespace(), pool.name_any())).or_default();
        *count += 1;
        *count
    };
    let wait =
        FIRST_RETRY.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(LONGEST_RETRY);
    let namespace = pool.namespace().unwrap_or_default();
    warn!(%namespace, pool = %pool.name_any(), seconds = wait.as_secs(), "tried again later: {error}");
    Action::requeue(wait)
}

impl Context {
    /// The pool's turn ended well.
    fn settled(&self, pool: &WeightedShare) {
        self.failures().remove(&(pool.namespace(), pool.name_any()));
    }

    fn memories(&self) -> std::sync::MutexGuard<'_, HashMap<String, Memories>> {
        // As below.
        self.memories.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failures(&self) -> std::sync::MutexGuard<'_, HashMap<(Option<String>, String), u32>> {
        // Nothing panics while it is held; a poisoned map would be whole all the same.
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
