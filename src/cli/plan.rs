//! What the controller would make of a snapshot, for people and for programs. Pure.

use std::collections::BTreeSet;

use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use super::{
    Looked, PoolKey,
    loans::{Loan, Market},
    tree_plan::TreePlan,
};
use crate::{
    api::{MemberState, Mode},
    engine::{
        CoarseWeight, Divided, DividedPool, Divisions, MemberPod, MemberPods, MemberReport,
        MemberShare, Outcome, PodResize, PodShare, PoolMembers, Shares, View, coarse_weights,
        of_member, of_pod, together,
    },
    share::{PerResource, Resource},
};

/// What the pools would become. All amounts are whole millicores or bytes.
#[derive(Debug, Serialize)]
pub struct Plan {
    /// The trees of pools: of each the root first.
    pub trees: Vec<TreePlan>,
    /// The pools, oldest first.
    pub pools: Vec<PoolPlan>,
}

/// What one pool would become.
#[derive(Debug, Serialize)]
pub struct PoolPlan {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Whether its division would be carried out.
    #[serde(skip)]
    pub mode: Mode,
    /// Each resource that it divides.
    pub resources: Each<ResourcePlan>,
    /// The members, in the order of the spec.
    pub members: Vec<MemberPlan>,
    /// All their pods, by member, then by name.
    pub pods: Vec<PodPlan>,
    /// Where the kernel's split would be far from the shares, in a sentence.
    #[serde(skip)]
    pub coarse_weights: Option<String>,
}

/// A value for each resource that the pool divides.
#[derive(Clone, Debug, Serialize)]
pub struct Each<T> {
    /// The value for CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<T>,
    /// The value for memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<T>,
}

/// One resource of a pool.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ResourcePlan {
    /// What there is to divide.
    pub capacity: u64,
    /// What the pods would hold in all.
    pub allocated: u64,
    /// The minima together exceed the capacity: they are cut by weight.
    pub overcommitted: bool,
}

/// One member of a pool.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberPlan {
    /// Its name.
    pub name: String,
    /// Its weight in the spec.
    pub weight: u32,
    /// Its weight beside the other members.
    pub effective_weight: u64,
    /// How many pods it has.
    pub pods: usize,
    /// What it needs, owns and would hold.
    #[serde(flatten)]
    pub amounts: Each<MemberAmounts>,
    /// How far it is from that.
    pub state: MemberState,
    /// Why, in one word.
    pub reason: &'static str,
    /// Why, in a sentence.
    #[serde(skip)]
    pub message: String,
    /// What its nodes have no room for, if anything, and what would make room for it.
    #[serde(skip)]
    pub unplaceable: Each<(u64, String)>,
    /// What it lends, if anything.
    #[serde(skip)]
    pub lends: Each<Loan>,
    /// What it borrows, if anything.
    #[serde(skip)]
    pub borrows: Each<Loan>,
}

/// One resource of a member.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct MemberAmounts {
    /// What its pods need. None: it was not measured.
    pub demand: Option<u64>,
    /// What it owns.
    pub fair: u64,
    /// What it would hold.
    pub share: u64,
}

/// One pod of a pool.
#[derive(Debug, Serialize)]
pub struct PodPlan {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The member that it belongs to.
    pub member: String,
    /// The node that it is on.
    pub node: Option<String>,
    /// What it holds and would hold.
    #[serde(flatten)]
    pub amounts: Each<Step>,
    /// Why it keeps what it has, where it cannot be resized.
    #[serde(flatten)]
    pub kept: Option<Kept>,
}

/// Why a pod keeps what it has.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Kept {
    /// One word for programs.
    pub reason: &'static str,
    /// The cause, and what to do about it.
    pub message: String,
}

/// One resource of a pod.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Step {
    /// What it is charged now.
    pub from: u64,
    /// Its share.
    pub to: u64,
}

impl Plan {
    /// What the controller would make of a cluster: the shares, without regard to the order in which it gets there.
    #[must_use]
    pub fn of(looked: &Looked) -> Self {
        let preview = looked.preview();
        let view = preview.view(&looked.cluster, &looked.metrics, Timestamp::UNIX_EPOCH);
        let Divisions { pools, trees, .. } = preview.divide(&view);
        let plan = |pool: &DividedPool| PoolPlan::of(&view, &pools, pool);
        let trees = trees.into_iter().map(TreePlan::of).collect();
        Self { trees, pools: pools.iter().map(plan).collect() }
    }

    /// Keeps only these pools; and trees only if that leaves out none.
    pub fn keep(&mut self, wanted: &BTreeSet<PoolKey>) {
        let all = self.pools.len();
        self.pools.retain(|pool| wanted.contains(&(pool.namespace.clone(), pool.name.clone())));
        if self.pools.len() < all {
            self.trees.clear();
        }
    }

    /// How many pods would be resized.
    #[must_use]
    pub fn changes(&self) -> usize {
        let acting = self.pools.iter().filter(|pool| pool.mode == Mode::Auto);
        acting.flat_map(|pool| &pool.pods).filter(|pod| pod.changes()).count()
    }
}

impl PodPlan {
    /// Whether it would be resized.
    #[must_use]
    pub fn changes(&self) -> bool {
        let moves = |step: Option<Step>| step.is_some_and(|step| step.from != step.to);
        moves(self.amounts.cpu) || moves(self.amounts.memory)
    }
}

impl PoolPlan {
    fn of(view: &View, all: &[DividedPool], divided: &DividedPool) -> Self {
        let (pool, shares) = divided;
        let (object, together) = (pool.object, together(view, all, divided));
        let outcome = carried_out(pool, shares);
        let markets = PerResource::from_fn(|resource| {
            shares[resource].as_ref().map(|_| Market::of(&together, resource))
        });
        let loan = |i: usize, of: fn(&Market, &[PodShare]) -> Loan| {
            Each::of(|resource| {
                let pods = &shares[resource].as_ref()?.members[i].pods;
                Some(of(markets[resource].as_ref()?, pods)).filter(|loan| loan.amount > 0)
            })
        };
        let member = |(i, member): (usize, &MemberPods)| {
            let report = of_member(view, pool, i, shares, &outcome);
            MemberPlan {
                name: member.spec.name.clone(),
                weight: member.spec.weight,
                effective_weight: effective_weight(shares, i),
                pods: member.pods.len(),
                amounts: Each::of(|resource| {
                    Some(MemberAmounts::of(&shares[resource].as_ref()?.members[i]))
                }),
                state: report.state,
                reason: report.reason,
                message: report.message,
                unplaceable: Each::of(|resource| {
                    let member = &shares[resource].as_ref()?.members[i];
                    Some((member.unplaceable, member.makes_room()?))
                }),
                lends: loan(i, |market, pods| market.lends(pods)),
                borrows: loan(i, |market, pods| market.borrows(pods)),
            }
        };
        Self {
            namespace: pool.id.namespace.clone(),
            name: pool.id.name.clone(),
            mode: object.spec.mode,
            resources: Each::of(|resource| shares[resource].as_ref().map(ResourcePlan::of)),
            members: pool.members.iter().enumerate().map(member).collect(),
            pods: pods(view, pool, shares, &outcome).collect(),
            coarse_weights: shares
                .cpu
                .as_ref()
                .and_then(|cpu| CoarseWeight::summary(&coarse_weights(cpu, view))),
        }
    }
}

/// The weight of a member beside the others, in the first resource that is divided.
fn effective_weight(shares: &Shares, member: usize) -> u64 {
    let divided = shares.cpu.as_ref().or(shares.memory.as_ref());
    divided.map_or(0, |divided| divided.members[member].claim.weight)
}

fn pods(
    view: &View,
    pool: &PoolMembers,
    shares: &Shares,
    outcome: &Outcome,
) -> impl Iterator<Item = PodPlan> {
    let mode = pool.object.spec.mode;
    pool.members.iter().enumerate().flat_map(move |(i, member)| {
        member.pods.iter().enumerate().map(move |(k, MemberPod { pod, .. })| PodPlan {
            namespace: pod.namespace.clone(),
            name: pod.name.clone(),
            member: member.spec.name.clone(),
            node: pod.node.clone(),
            amounts: Each::of(|resource| {
                Some(Step::of(&shares[resource].as_ref()?.members[i].pods[k]))
            }),
            kept: {
                let report = of_pod(view, mode, pod, (i, k), shares, outcome);
                let MemberReport { state, reason, message } = report;
                let is_kept = state == MemberState::Skipped && mode == Mode::Auto;
                is_kept.then_some(Kept { reason, message })
            },
        })
    })
}

/// What a turn would tell in which every resize was taken.
pub(super) fn carried_out(pool: &PoolMembers, shares: &Shares) -> Outcome {
    let mut outcome = Outcome::default();
    if pool.object.spec.mode == Mode::Observe {
        return outcome;
    }
    for resource in Resource::ALL {
        let pods = shares[resource].iter().flat_map(Divided::pods);
        outcome.sent.extend(
            pods.map(|pod| (pod, Step::of(pod))).filter(|(_, step)| step.from != step.to).map(
                |(pod, Step { from, to })| PodResize {
                    namespace: pod.pod.namespace.clone(),
                    pod: pod.pod.name.clone(),
                    uid: pod.pod.uid.clone(),
                    resource,
                    from,
                    to,
                    resource_version: String::new(),
                    containers: Vec::new(),
                },
            ),
        );
    }
    outcome
}

impl<T> Each<T> {
    /// The values that `value` gives.
    pub fn of(mut value: impl FnMut(Resource) -> Option<T>) -> Self {
        let PerResource { cpu, memory } = PerResource::from_fn(&mut value);
        Self { cpu, memory }
    }

    /// The value for one resource.
    pub fn get(&self, resource: Resource) -> Option<&T> {
        match resource {
            Resource::Cpu => self.cpu.as_ref(),
            Resource::Memory => self.memory.as_ref(),
        }
    }
}

impl ResourcePlan {
    fn of(divided: &Divided) -> Self {
        Self {
            capacity: divided.capacity,
            allocated: divided.sum(|pod| pod.granted()),
            overcommitted: divided.overcommitted,
        }
    }
}

impl MemberAmounts {
    fn of(member: &MemberShare) -> Self {
        Self {
            demand: member.demand(),
            fair: member.sum(|pod| pod.fair()),
            share: member.sum(|pod| pod.granted()),
        }
    }
}

impl Step {
    fn of(pod: &PodShare) -> Self {
        Self { from: pod.holding.charge(), to: pod.granted() }
    }
}
