//! The loop: observe -> weigh -> divide -> actuate -> report.

mod admission;
mod calm;
mod claim;
mod coarse_weights;
mod container_limits;
mod contest;
mod divide;
mod error;
mod events;
mod in_use;
mod moves;
mod nodes;
mod owed;
mod play;
mod quotas;
mod recommend;
mod reconcile;
mod release;
mod report;
mod setbacks;
mod shares;
mod standing;
#[cfg(test)]
mod tests;
mod update;
mod waiting;
mod weigh;
pub mod weight;
mod yielding;

use std::{
    collections::{BTreeMap, HashMap},
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
use tokio::time::Instant;
use tracing::{Instrument, debug_span, field, warn};

use calm::Memory;
pub use coarse_weights::{CoarseWeight, coarse_weights};
use contest::Contests;
pub use divide::divide;
pub use error::Error;
use owed::Owed;
pub use quotas::{QuotaBound, QuotaRoom};
pub use report::status;
use setbacks::Setbacks;
pub use shares::{Divided, MemberShare, PodShare, Shares};
pub use standing::{Outcome, Standing, of_member};
use update::Weights;
use waiting::Waits;
pub use weigh::{Weighed, WeighedMember, weigh};
pub use yielding::Yield;

use crate::{
    api::{Mode, NewPodsSpec, WeightedShare, WeightedShareStatus},
    observe::{Change, Clock, Guarded, World, signals::Asked},
    serve::{Serving, TurnResult},
    share::PerResource,
};

/// How long one turn may take, all its calls together.
const TURN: Duration = Duration::from_secs(60);
/// Events that come together are answered by one turn.
const DEBOUNCE: Duration = Duration::from_millis(50);
/// The wait after a first failure; it doubles with each further one, up to the longest.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LONGEST_RETRY: Duration = Duration::from_secs(120);
/// How long after it was asked a machine is taken to be changing, whatever the watch shows.
const PLUGGED: Duration = Duration::from_secs(30);

/// What every turn shares.
pub struct Context {
    /// It only writes while this process leads.
    client: Client,
    world: World,
    clock: Clock,
    serving: Serving,
    /// How often a pool failed in a row, by namespace and name.
    failures: Mutex<HashMap<(Option<String>, String), u32>>,
    /// What was worked out for each pool, by its UID.
    memories: Mutex<HashMap<String, Memories>>,
    /// The pods that room was made for on nodes.
    waits: Mutex<Waits>,
    /// Who else keeps setting what we set.
    contests: Mutex<Contests>,
    /// Resizes that went wrong.
    setbacks: Mutex<Setbacks>,
    /// When a virtual machine was last given more: the watch of machines may lag behind that.
    plugged: Mutex<Option<Instant>>,
}

/// What was worked out for a pool.
#[derive(Debug, Default)]
struct Memories {
    weights: Weights,
    grants: Memory,
    owed: Owed,
    /// The status that was written last, until the cache shows it.
    told: Option<WeightedShareStatus>,
    /// With what new pods start, as it was written last.
    new_pods: Option<NewPodsSpec>,
    /// It is deleted: since when its pods are put back.
    releasing: Option<Instant>,
}

/// Runs until `shutdown`, then ends the turn it is in. `clock` tells the time. It is to begin when this process leads,
/// not before: what it reads then is at least as new as the last write of whoever led before it.
pub async fn run(
    client: Client,
    sources: Vec<Asked>,
    clock: Clock,
    serving: Serving,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    let client = serving.leadership.guard(&client);
    let (world, changes) = World::watch(&client, sources, &clock);
    let pools = world.pools.clone();
    serving.metrics.count(pools.clone());
    serving.page.are(pools.clone());
    // A change in a namespace concerns all its pools: they may compete for the same pods.
    let queue = {
        let pools = pools.clone();
        changes.flat_map(move |change| {
            let concerned = pools.state_filter(|pool| match &change {
                Change::In(namespace) => pool.namespace().as_ref() == Some(namespace),
                Change::Measured | Change::Waiting | Change::Listed => true,
            });
            stream::iter(concerned).map(|pool| {
                Ok::<ReconcileRequest<_>, Infallible>(ObjectRef::from_obj(&*pool).into())
            })
        })
    };
    let context = Arc::new(Context {
        client,
        world,
        clock,
        serving,
        failures: Mutex::default(),
        memories: Mutex::default(),
        waits: Mutex::default(),
        contests: Mutex::default(),
        setbacks: Mutex::default(),
        plugged: Mutex::default(),
    });
    let read = context.clone();
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
    let turns =
        turns.for_each(|_: Result<_, controller::Error<Error, Infallible>>| future::ready(()));
    let filled = async {
        if read.world.ready().await.is_ok() {
            read.serving.health.filled();
        }
        future::pending().await
    };
    tokio::select! {
        () = turns => {}
        () = filled => {}
    }
}

/// One turn, for a limited time. Where it is abandoned, a write may be on its way: what became of it is looked up before
/// anything else is decided, as with any answer that is lost (`World::find_out`).
async fn turn(pool: Arc<Guarded>, context: Arc<Context>) -> Result<Action, Error> {
    let (began, serving) = (Instant::now(), context.serving.clone());
    let in_progress = serving.health.turn();
    let namespace = pool.namespace().unwrap_or_default();
    let span = debug_span!("turn", %namespace, pool = %pool.name_any(), result = field::Empty);
    let turn = reconcile::reconcile(pool, context).instrument(span.clone());
    let ended = tokio::time::timeout(TURN, turn).await;
    drop(in_progress);
    let ended = ended.unwrap_or(Err(Error::TooSlow(TURN.as_secs())));
    let result = match &ended {
        Ok(action) if *action == Action::await_change() => TurnResult::Success,
        Ok(_) => TurnResult::RequeueAfter,
        Err(_) => TurnResult::Error,
    };
    span.record("result", field::debug(result));
    serving.metrics.turn(result, began.elapsed());
    ended
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

    /// What the pods of these pools were granted last, by UID.
    fn granted(&self, pools: &[WeightedShare]) -> BTreeMap<String, PerResource<Option<u64>>> {
        let memories = self.memories();
        let mut granted: BTreeMap<String, PerResource<Option<u64>>> = BTreeMap::new();
        // What is only observed, nobody is granted.
        for pool in pools.iter().filter(|pool| pool.spec.mode == Mode::Auto) {
            let known = pool.metadata.uid.as_ref().and_then(|uid| memories.get(uid));
            for (pod, resource, amount) in known.iter().flat_map(|known| known.grants.granted()) {
                granted.entry(pod.to_owned()).or_default()[resource] = Some(amount);
            }
        }
        granted
    }

    fn memories(&self) -> std::sync::MutexGuard<'_, HashMap<String, Memories>> {
        // As below.
        self.memories.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waits(&self) -> std::sync::MutexGuard<'_, Waits> {
        // As below.
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn contests(&self) -> std::sync::MutexGuard<'_, Contests> {
        // As below.
        self.contests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn setbacks(&self) -> std::sync::MutexGuard<'_, Setbacks> {
        // As below.
        self.setbacks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a virtual machine may be given more now: then it is taken to be.
    fn may_plug(&self) -> bool {
        // It is whole whenever it can be had.
        let mut plugged = self.plugged.lock().unwrap_or_else(PoisonError::into_inner);
        let may = plugged.is_none_or(|last| last.elapsed() >= PLUGGED);
        if may {
            *plugged = Some(Instant::now());
        }
        may
    }

    fn failures(&self) -> std::sync::MutexGuard<'_, HashMap<(Option<String>, String), u32>> {
        // Nothing panics while it is held; a poisoned map would be whole all the same.
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
