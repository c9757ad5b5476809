//! The engine: what is kept between decisions so that one costs as much as what changed.

mod deadlines;
mod dirty;
mod in_hand;
mod readings;
mod trees;
mod waves;

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet, HashSet},
    time::Duration,
};

use deadlines::{Deadlines, deadline};
use in_hand::{InHand, Tick};
use k8s_openapi::jiff::{SignedDuration, Timestamp};

use readings::Readings;

use super::{
    History, Now, View,
    backoff::Backoff,
    deletion,
    departed::{self, Departed},
    division::{Dividing, Trees},
    field_conflicts::FieldConflicts,
    forest::{Forest, TreeIndex},
    growth::GrowthByNode,
    history::PoolHistory,
    hotplug,
    membership::Membership,
    node_rooms::NodeRooms,
    pacing::Ledger,
    pending_pods::{PendingPods, Reserved},
    plan::{Hotplug, Plan, PoolPlan},
    pool_plan,
    quotas::QuotaKey,
    standing::Standing,
    tree_division::{self, Dividers, Pools},
};
use crate::{
    cluster::{Changes, Cluster, PoolId},
    metrics::{Freshness, Metrics, News},
    share::{PerResource, Resource},
};

/// The longest time without a decision, in seconds.
const LONGEST: SignedDuration = SignedDuration::from_secs(300);
/// How soon it is decided again where a decision changed what is remembered: it may go further.
const UNSETTLED: Duration = Duration::from_millis(50);
/// How long after it was asked a machine is taken to be changing, whatever the watch shows.
const HOTPLUGGED: Duration = Duration::from_secs(30);
/// How often it is looked again whether a machine that is short of something can have it.
const SHORT: SignedDuration = SignedDuration::from_secs(10);

/// Decides for all pools, again and again. What it keeps follows from what it was told: a new engine that is told of
/// everything decides the same.
#[derive(Debug, Default)]
pub struct Engine {
    membership: Membership,
    forest: Forest,
    /// What was planned last for each pool, without its notices.
    plans: BTreeMap<PoolId, PoolPlan>,
    /// What could be given to a virtual machine of a pool.
    hotplugs: BTreeMap<PoolId, Hotplug>,
    rooms: NodeRooms,
    growth: GrowthByNode,
    /// What is promised to pools under the quotas of their namespaces.
    under_quotas: BTreeMap<PoolId, BTreeMap<QuotaKey, PerResource<u64>>>,
    reserved: Reserved,
    orphans: deletion::Orphans,
    departed: Departed,
    /// Nodes that use nearly all that they can allocate.
    busy: BTreeMap<String, PerResource<bool>>,
    /// Pools whose last decision changed what is remembered of them.
    unsettled: BTreeSet<PoolId>,
    /// Pools with a virtual machine that is short of something: whether it can have it depends on all nodes.
    short: BTreeSet<PoolId>,
    deadlines: Deadlines,
    readings: Readings,
    /// What concerns all pods alike, as it was at the last decision.
    measuring: Option<Measuring>,
    dividers: Dividers,
    /// The trees as they were divided last, and the last grants in them.
    trees: Trees,
    standing: BTreeMap<TreeIndex, Standing>,
}

/// How it is measured: every so many seconds, and whether it is known what pods use, and how well members do; and whether pods
/// may grow.
type Measuring = (u64, Freshness, Freshness, bool);

impl Engine {
    /// Decides for the pools for which something may have changed since the last decision.
    pub fn decide(
        &mut self,
        cluster: &Cluster,
        metrics: &Metrics,
        changes: &Changes,
        news: &News,
        history: &mut History,
        now: Now,
    ) -> Plan {
        let clock_was_set = history.follow_clock(now);
        let may_grow = now.steady >= history.grows_from;
        let grows_in = history.grows_from.saturating_sub(now.steady);
        let History {
            pools: histories,
            trees: noticed,
            pending,
            conflicts,
            backoff,
            hotplugged,
            noted,
            ..
        } = history;
        observe(cluster, changes, conflicts, backoff, now.wall);
        let (forest, replanted) = std::mem::take(&mut self.forest).follow(cluster, changes);
        let mut membership = std::mem::take(&mut self.membership);
        let touched = membership.update(cluster, changes);
        self.orphans.update_pools(cluster, changes.pools.iter());
        self.orphans.update(cluster, &membership, touched.pods.iter().chain(&changes.pods));
        let mut dirty = touched.pools;
        if let Some(replanted) = replanted {
            self.trees.clear();
            self.standing.clear();
            dirty.extend(replanted);
        }
        dirty.append(&mut self.departed.pools_of(&changes.pods));

        let (nothing, reserved) = (Reserved::new(), OnceCell::new());
        let view = View {
            cluster,
            forest: &forest,
            metrics,
            reserved: &nothing,
            backoff,
            conflicts,
            may_grow,
            now: now.wall,
        };
        let used = self.add_measured(&view, &membership, news, &mut dirty);
        self.add_dirty(&view, &membership, changes, news, noted, &mut dirty);
        if clock_was_set {
            // All deadlines were reckoned by the clock as it was.
            dirty.extend(cluster.pools().map(|(id, _)| id.clone()));
        }
        let gone = self.forget(cluster, changes, histories, &mut dirty);
        let mut plan = Plan { gone, used, ..Plan::default() };
        plan_over_bounds(cluster, changes, histories, now.wall, &mut plan);

        let mut tick = Tick {
            view,
            now,
            membership: &membership,
            histories,
            in_hand: BTreeMap::new(),
            dividing: Pools::new(),
            trees: std::mem::take(&mut self.trees),
            granted: BTreeSet::new(),
        };
        tick.trees.values_mut().for_each(tree_division::begin);
        self.own(&mut tick, dirty);
        // What the pools own decides how much of a node is above their stakes.
        let above_stakes = |node: &str| self.rooms.above_stakes(&view, node);
        tick.view.reserved = reserved.get_or_init(|| match pending.is_idle(cluster) {
            true => Reserved::new(),
            false => pending.reserve(&view, above_stakes),
        });
        let tied = self.touch_nodes(&tick.view, changes);
        self.divide(&mut tick, tied);
        let (view, mut ledger) = (tick.view, self.ledger(&tick));
        self.plan_trees(&tick, changes, noticed, &mut ledger, &mut plan);
        self.trees = std::mem::take(&mut tick.trees);
        if !changes.nodes.is_empty() {
            self.forget_gone_nodes(&view);
        }
        self.plan(tick, &mut ledger, &mut plan);
        self.orphans.restore(&view, histories, &mut ledger, now, &mut plan);
        plan.hotplug = self.next_hotplug(hotplugged, now.steady);
        let wake_after = self.wake_after(pending, metrics, &plan, now.wall);
        plan.wake_after = Some(if may_grow { wake_after } else { wake_after.min(grows_in) });
        self.reserved = reserved.into_inner().unwrap_or_default();
        self.membership = membership;
        self.forest = forest;
        plan
    }

    /// What is planned for a pool, without what happened: it stands until another decision changes it.
    #[must_use]
    pub fn planned(&self, pool: &PoolId) -> Option<&PoolPlan> {
        self.plans.get(pool)
    }

    /// What is free, less what is promised to pools that keep their part of the last plan.
    fn ledger<'a>(&self, tick: &Tick<'_, 'a>) -> Ledger<'a> {
        let mut ledger = Ledger::new(&tick.view);
        let nodes = tick.in_hand.keys().flat_map(|id| self.growth.nodes_of(id));
        // Pods that left all pools are restored at each decision, into the room that remains.
        let nodes = nodes.chain(self.orphans.nodes(tick.view.cluster));
        for node in nodes.collect::<BTreeSet<&str>>() {
            let promised = self.growth.promised(node, |id| tick.in_hand.contains_key(id));
            Resource::ALL.iter().for_each(|&it| ledger.promise(node, it, promised[it]));
        }
        // All pools of a namespace with quotas are decided together: its orphans come to what those leave.
        let kept = self.under_quotas.iter().filter(|(id, _)| !tick.in_hand.contains_key(*id));
        for (quota, promised) in kept.flat_map(|(_, quotas)| quotas) {
            Resource::ALL.iter().for_each(|&it| ledger.promise_under(quota, it, promised[it]));
        }
        ledger
    }

    /// Plans what is to be written for the pools in hand, the oldest first.
    fn plan(&mut self, tick: Tick, ledger: &mut Ledger, plan: &mut Plan) {
        let Tick { view, now, histories, in_hand, dividing, .. } = tick;
        for (id, InHand { mut known, before, divided }) in in_hand {
            let Some((divided, decided)) = divided else { continue };
            let Some(Dividing { members, .. }) = dividing.get(&id) else { continue };
            let planned =
                pool_plan::plan(&view, members, &divided, decided, &mut known, ledger, now.steady);
            let mut growth = pool_plan::wanted(members, &divided);
            let latest = ledger.take_promised();
            if let Some(place) = view.forest.place(&id)
                && let Some(standing) = self.standing.get_mut(&place.tree)
            {
                standing.promise(&id, latest.tree);
            }
            for (node, promised) in latest.nodes {
                growth.entry(node).or_default().promised = promised;
            }
            self.growth.set(&id, growth);
            match latest.quotas.is_empty() {
                true => self.under_quotas.remove(&id),
                false => self.under_quotas.insert(id.clone(), latest.quotas),
            };
            departed::remember(members, &mut known);
            self.departed.set(&id, &members.departed);
            if known != before {
                self.unsettled.insert(id.clone());
            }
            self.keep(&id, &planned, hotplug::next(&view, members, &divided));
            let short = self.short.contains(&id).then_some(view.now + SHORT);
            let deadline = deadline(&view, members, &known).into_iter().chain(short).min();
            self.deadlines.set(&id, deadline);
            self.readings.keep(&view, members);
            plan.used.insert(id.clone(), members.used());
            histories.insert(id.clone(), known);
            plan.pools.insert(id, planned);
        }
    }

    /// Keeps what was planned for a pool.
    fn keep(&mut self, id: &PoolId, planned: &PoolPlan, hotplug: Option<Hotplug>) {
        match planned.status.members.iter().any(|it| !it.recommendations.is_empty()) {
            true => self.short.insert(id.clone()),
            false => self.short.remove(id),
        };
        match hotplug {
            Some(hotplug) => self.hotplugs.insert(id.clone(), hotplug),
            None => self.hotplugs.remove(id),
        };
        let plan = PoolPlan { notices: Vec::new(), reclaimed: Vec::new(), ..planned.clone() };
        self.plans.insert(id.clone(), plan);
    }

    /// The next machine that is given more: one at a time, in the oldest pool first.
    fn next_hotplug(&self, last: &mut Option<Duration>, now: Duration) -> Option<Hotplug> {
        if last.is_some_and(|last| now.saturating_sub(last) < HOTPLUGGED) {
            return None;
        }
        let next = self.hotplugs.values().next().cloned()?;
        *last = Some(now);
        Some(next)
    }

    /// How long nothing changes by itself.
    fn wake_after(
        &self,
        pending: &PendingPods,
        metrics: &Metrics,
        plan: &Plan,
        now: Timestamp,
    ) -> Duration {
        if !self.unsettled.is_empty() {
            return UNSETTLED;
        }
        let mut soonest = now + LONGEST;
        let all = [self.deadlines.next(), pending.next(now), metrics.next(now)];
        let all = all.into_iter().flatten();
        soonest = all.chain([soonest]).min().unwrap_or(soonest);
        let wait = soonest.duration_since(now).max(SignedDuration::ZERO);
        let wait = Duration::try_from(wait).unwrap_or(UNSETTLED);
        if plan.deletions.is_empty() { wait } else { wait.min(deletion::SOON) }
    }
}

/// Takes in what changed of pods, for what is remembered of them.
fn observe(
    cluster: &Cluster,
    changes: &Changes,
    conflicts: &mut FieldConflicts,
    backoff: &mut Backoff,
    now: Timestamp,
) {
    for uid in &changes.gone {
        conflicts.forget(uid);
        backoff.forget(uid);
    }
    if changes.everything {
        let pods = cluster.namespaces().flat_map(|(_, namespace)| namespace.pods());
        let there: HashSet<&str> = pods.map(|pod| pod.uid.as_str()).collect();
        conflicts.keep(|uid| there.contains(uid));
        backoff.keep(|uid| there.contains(uid));
    }
    for (namespace, name) in &changes.pods {
        if let Some(pod) = cluster.pod(namespace, name) {
            conflicts.observe(pod, now);
            backoff.observe(pod, now);
        }
    }
}

/// Plans what is to be said of pools that are over a bound of their namespace.
fn plan_over_bounds(
    cluster: &Cluster,
    changes: &Changes,
    histories: &mut BTreeMap<PoolId, PoolHistory>,
    now: Timestamp,
    plan: &mut Plan,
) {
    for (id, pool, excess) in cluster.over_bounds(changes.pools.iter()) {
        let uid = pool.object.metadata.uid.clone().unwrap_or_default();
        let known = histories.entry(id.clone()).or_default();
        if known.uid != uid {
            *known = PoolHistory { uid, ..PoolHistory::default() };
        }
        let planned = pool_plan::over_bounds(&pool.object, excess, known, now);
        plan.pools.insert(id.clone(), planned);
    }
}
