//! What is planned for one pool, once it is divided.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};

use super::{
    View,
    conditions::keep_times,
    growth::Growth,
    history::PoolHistory,
    new_pods,
    notices::{self, Notice},
    pacing::{self, Ledger},
    plan::{PoolPlan, PoolRef},
    pool_members::PoolMembers,
    resize::Outcome,
    shares::{PodShare, Shares},
    status,
};
use crate::{
    api::{Mode, StartProfileSpec, WeightedShare, WeightedShareStatus},
    cluster::{Excess, Pod, Resize},
    share::{PerResource, Resource},
};

/// What keeps a pool from vanishing before its pods are restored.
pub const FINALIZER: &str = "weightedshare.dev/release";

/// Whether the pool has our finalizer.
#[must_use]
pub fn has_finalizer(pool: &WeightedShare) -> bool {
    pool.metadata.finalizers.iter().flatten().any(|it| it == FINALIZER)
}

/// Whether resizes of the pool's pods may be sent: it is to be carried out, would not vanish before its pods are restored,
/// and it is known whose all pods are.
#[must_use]
pub fn may_resize(pool: &PoolMembers) -> bool {
    pool.object.spec.mode == Mode::Auto && has_finalizer(pool.object) && !pool.stands_still()
}

/// What the pods of a pool want beyond what they are charged, by node. Pods in flight count, too: pacing leaves room for them.
#[must_use]
pub fn wanted(pool: &PoolMembers, divided: &Shares) -> BTreeMap<String, Growth> {
    let mut growth: BTreeMap<String, Growth> = BTreeMap::new();
    if !may_resize(pool) {
        return growth;
    }
    for resource in Resource::ALL {
        for pod in divided[resource].iter().flat_map(|divided| divided.pods()) {
            if let (Some(more), Some(node)) = (more(pod), &pod.pod.node) {
                let wanted = &mut growth.entry(node.clone()).or_default().wanted[resource];
                *wanted = wanted.saturating_add(more);
            }
        }
    }
    growth
}

/// What the pods of a pool want beyond what they are charged, all together.
#[must_use]
pub fn wanted_in_all(pool: &PoolMembers, divided: &Shares) -> PerResource<u64> {
    PerResource::from_fn(|resource| {
        let divided = divided[resource].iter().filter(|_| may_resize(pool));
        divided.flat_map(|it| it.pods()).filter_map(more).fold(0, u64::saturating_add)
    })
}

/// What a pod wants beyond what it is charged. None: nothing.
fn more(pod: &PodShare) -> Option<u64> {
    let more = pod.reach()?.saturating_sub(pod.holding.charge());
    Some(more).filter(|&more| more > 0)
}

/// Plans what is to be written for a pool. `decided`: this decision changed what its pods are granted, or follows an edit.
/// The room of its resizes is promised in the ledger.
pub fn plan(
    view: &View,
    pool: &std::rc::Rc<PoolMembers>,
    divided: &Shares,
    decided: bool,
    known: &mut PoolHistory,
    ledger: &mut Ledger,
    now: Duration,
) -> PoolPlan {
    let object = pool.object;
    let finalizer = object.spec.mode == Mode::Auto && !has_finalizer(object);
    let mut outcome = Outcome::default();
    if may_resize(pool) {
        let mut wanted = pacing::towards_shares(pool.id, divided, ledger);
        wanted.retain(|resize| view.may_grow || !resize.grows());
        (outcome.sent, outcome.refused) = view.backoff.hold_back(wanted, view.now);
    }
    let fresh = known.fresh_status(object, view.now);
    let fresh = fresh.filter(|_| !decided && is_on_its_way(pool, &outcome));
    known.is_outdated = fresh.is_some();
    let report = match fresh {
        Some(status) => Report { status, notices: Vec::new(), reclaimed: Vec::new() },
        None => report(view, pool, divided, &outcome, known, now),
    };
    let Report { status, notices, reclaimed } = report;
    let is_reported = object.status.as_ref() == Some(&*status);
    if is_reported {
        known.grants.set_reported();
    }
    let new_pods = new_pods_of(view, pool, divided, decided, known);
    let resizes = outcome.sent;
    let pool = PoolRef::of(object);
    PoolPlan { pool, finalizer, resizes, notices, new_pods, reclaimed, status, is_reported }
}

/// What is said of a pool.
struct Report {
    status: Arc<WeightedShareStatus>,
    notices: Vec<Notice>,
    reclaimed: Vec<(Resource, Duration)>,
}

/// Whether the only thing that happens in a pool is that its pods are being resized, so that its last status will do.
fn is_on_its_way(pool: &PoolMembers, outcome: &Outcome) -> bool {
    let moves = |pod: &Pod| pod.in_flight || pod.resize == Resize::InProgress;
    outcome.refused.is_empty() && (!outcome.sent.is_empty() || pool.pods().any(moves))
}

fn report(
    view: &View,
    pool: &PoolMembers,
    divided: &Shares,
    outcome: &Outcome,
    known: &mut PoolHistory,
    now: Duration,
) -> Report {
    let object = pool.object;
    // Not what the object says: an older status may have come late, over the one that was written last.
    let said = known.noticed.as_deref().or(object.status.as_ref());
    let stands = said.filter(|_| !known.grants.is_unreported());
    let mut status = status::status(view, pool, divided, outcome, stands);
    let noticed = known.noticed.as_ref().map(|it| it.conditions.as_slice());
    keep_times(&mut status.conditions, noticed.unwrap_or_default(), view.now);
    let resized = known.take_resized(status.is_reconciling(), view.now);
    let before = known.noticed.as_deref().or(object.status.as_ref());
    let notices = notices::notices(before, &status, pool, &resized);
    let status = known.notice(status, view.now);
    Report { notices, reclaimed: known.reclaims.see(&status, now), status }
}

/// Plans what is to be written for a pool that is not divided, as it is over a bound of its namespace.
pub fn over_bounds(
    pool: &WeightedShare,
    excess: Excess,
    known: &mut PoolHistory,
    now: Timestamp,
) -> PoolPlan {
    let mut status = status::over_bounds(pool, excess, &Time(now));
    let noticed = known.noticed.as_ref().map(|it| it.conditions.as_slice());
    keep_times(&mut status.conditions, noticed.unwrap_or_default(), now);
    let before = known.noticed.as_deref().or(pool.status.as_ref());
    let before = before.map(|before| before.conditions.as_slice()).unwrap_or_default();
    let notices = notices::of_conditions(before, &status.conditions);
    let status = known.notice(status, now);
    PoolPlan {
        pool: PoolRef::of(pool),
        finalizer: false,
        resizes: Vec::new(),
        is_reported: pool.status.as_ref() == Some(&*status),
        status,
        notices,
        // Pods that come now belong to no pool. Where it never was one of ours, nothing was told of new pods, and perhaps may not be.
        new_pods: (excess != Excess::Namespace || has_finalizer(pool)).then(Arc::default),
        reclaimed: Vec::new(),
    }
}

/// With what new pods are to start. None: what was told before stands.
fn new_pods_of(
    view: &View,
    pool: &std::rc::Rc<PoolMembers>,
    divided: &Shares,
    decided: bool,
    known: &mut PoolHistory,
) -> Option<Arc<StartProfileSpec>> {
    if pool.stands_still() || pool.fault.is_some() {
        // Until it is known whose all pods are, and what there is to divide, what was told before stands.
        if decided {
            known.new_pods = None;
        }
        return None;
    }
    match &known.new_pods {
        // It follows from what is owned, which only a decision moves.
        Some(_) if !decided => {}
        before => {
            let now =
                new_pods::new_pods(view, pool, divided, &known.grants, before.as_deref(), decided);
            known.new_pods = Some(Arc::new(now));
        }
    }
    known.new_pods.clone()
}
