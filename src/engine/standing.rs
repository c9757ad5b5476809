//! The last grants of all pools in a tree. A decision about some of these pools takes the others into account.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::Timestamp;

use super::{
    forest::Tree,
    grants::{Grant, known},
    joint_grants::{Beside, BesidePod, Shift},
    places::Places,
    pool_plan,
    shares::{PodShare, with_share},
    stabilize::Granting,
    tree_room::{self, Short, Sums, TreeRoom},
};
use crate::{
    cluster::PoolId,
    share::{BranchIndex, PerResource, Resource},
};

/// The last grants in one tree.
#[derive(Debug, Default)]
pub struct Standing {
    pools: BTreeMap<PoolId, StandingPool>,
    nodes: Places,
    /// At the last check, where the tree had less room than its pods wanted.
    short: PerResource<Short>,
}

/// The last grants in one pool.
#[derive(Debug, Default)]
struct StandingPool {
    /// The pods that have a share, in the order of the division.
    pods: PerResource<Vec<StandingPod>>,
    sums: PerResource<Option<Sums>>,
    /// What its pods want beyond what they are charged.
    wanted: PerResource<u64>,
    /// What of that is promised to them.
    promised: PerResource<u64>,
    /// A quota lowers what it can own.
    is_bound: bool,
}

/// The last grant of one pod.
#[derive(Clone, Copy, Debug)]
struct StandingPod {
    grant: Grant,
    /// The share that the division gave it, in units of the resource.
    share: u64,
    node: Option<u32>,
}

impl Standing {
    /// Whether a quota keeps a pool of the tree from what it would own: then it depends on all others what one of them owns.
    #[must_use]
    pub fn is_bound(&self) -> bool {
        self.pools.values().any(|pool| pool.is_bound)
    }

    /// Notes the grants of a pool.
    pub fn set(&mut self, id: &PoolId, granted: &Granting) {
        let Granting { members, shares, memory, by_division, .. } = granted;
        let nodes = &mut self.nodes;
        let mut of_pod = |pod: &PodShare, share, resource| StandingPod {
            grant: known(pod, &memory.grants[resource]),
            share,
            node: pod.pod.node.as_deref().and_then(|node| nodes.number(node)),
        };
        let pods = PerResource::from_fn(|resource| {
            let pods = shares[resource].iter().flat_map(with_share).zip(&by_division[resource]);
            pods.map(|(pod, &share)| of_pod(pod, share, resource)).collect()
        });
        let is_bound =
            |it: Resource| shares[it].as_ref().is_some_and(|divided| divided.quota.is_some());
        let pool = StandingPool {
            pods,
            sums: tree_room::sums(shares),
            wanted: pool_plan::wanted_in_all(members, shares),
            promised: PerResource::default(),
            is_bound: Resource::ALL.into_iter().any(is_bound),
        };
        self.pools.insert(id.clone(), pool);
    }

    /// The pods of other pools on the nodes of these.
    #[must_use]
    pub fn beside<'s>(&'s self, pools: &[Granting], now: Timestamp) -> Beside<'s> {
        let mut is_here = vec![false; self.nodes.names().len()];
        let divided = pools.iter().flat_map(|pool| {
            Resource::ALL.into_iter().filter_map(|resource| pool.shares[resource].as_ref())
        });
        for node in divided.flat_map(with_share).filter_map(|pod| pod.pod.node.as_deref()) {
            if let Some(number) = self.nodes.known(node) {
                is_here[number as usize] = true;
            }
        }
        let own: BTreeSet<&PoolId> = pools.iter().map(|pool| pool.members.id).collect();
        let others = || self.pools.iter().filter(|(id, _)| !own.contains(id));
        let of_pool = |(pool, standing): (&'s PoolId, &'s StandingPool), resource| {
            let pods = standing.pods[resource].iter().enumerate();
            let here = pods.filter_map(|(place, pod)| {
                let node = pod.node.filter(|&node| is_here[node as usize])?;
                let node = self.nodes.name(node)?;
                let candidate = pod.grant.candidate(pod.share, pod.grant.fair, pod.node, now);
                Some(BesidePod { pool, place, node, candidate })
            });
            here.collect::<Vec<_>>()
        };
        PerResource::from_fn(|it| others().flat_map(|other| of_pool(other, it)).collect())
    }

    /// Sets new grants. Returns the pools that have them.
    pub fn shift(&mut self, moves: &PerResource<Vec<Shift>>, now: Timestamp) -> BTreeSet<PoolId> {
        let mut pools = BTreeSet::new();
        for resource in Resource::ALL {
            for Shift { pool, place, granted } in &moves[resource] {
                let standing = self.pools.get_mut(pool);
                let Some(pod) = standing.and_then(|it| it.pods[resource].get_mut(*place)) else {
                    continue;
                };
                pod.grant = pod.grant.shifted_to(*granted, now);
                pools.insert(pool.clone());
            }
        }
        pools
    }

    /// The grants of a pool's pods that have a share, in the order of the division.
    #[must_use]
    pub fn granted(&self, pool: &PoolId) -> PerResource<Vec<u64>> {
        PerResource::from_fn(|resource| {
            let pods = self.pools.get(pool).map(|pool| pool.pods[resource].as_slice());
            pods.unwrap_or_default().iter().map(|pod| pod.grant.granted).collect()
        })
    }

    /// The sums of a pool, by resource.
    #[must_use]
    pub fn sums(&self, pool: &PoolId) -> Option<PerResource<Option<Sums>>> {
        self.pools.get(pool).map(|pool| pool.sums)
    }

    /// Notes what is promised to the pods of a pool.
    pub fn promise(&mut self, pool: &PoolId, promised: PerResource<u64>) {
        if let Some(pool) = self.pools.get_mut(pool) {
            pool.promised = promised;
        }
    }

    /// Subtracts what is promised to these pools from the rooms of their tree.
    pub fn take_off<'p>(
        &self,
        tree: &Tree,
        rooms: &mut PerResource<Option<TreeRoom>>,
        pools: impl Iterator<Item = (BranchIndex, &'p PoolId)>,
    ) {
        for (branch, pool) in pools {
            let Some(pool) = self.pools.get(pool) else { continue };
            for resource in Resource::ALL {
                if let Some(room) = &mut rooms[resource] {
                    room.promise(tree, branch, pool.promised[resource]);
                }
            }
        }
    }

    /// The pools whose pods want to grow in a branch whose room does not cover all that is wanted there, or did not at the last
    /// check. What one of them gets depends on the others.
    pub fn tied(&mut self, tree: &Tree, rooms: &PerResource<Option<TreeRoom>>) -> BTreeSet<PoolId> {
        let mut tied = BTreeSet::new();
        for resource in Resource::ALL {
            let wanted = |pool: &PoolId| self.pools.get(pool).map_or(0, |it| it.wanted[resource]);
            let room = rooms[resource].as_ref();
            let short = room.map(|room| room.short(tree, wanted)).unwrap_or_default();
            let wanting = tree.pools().filter(|(_, pool)| wanted(pool) > 0);
            let tied_here = wanting.filter(|(branch, _)| {
                short.concerns(tree, *branch) || self.short[resource].concerns(tree, *branch)
            });
            tied.extend(tied_here.map(|(_, pool)| pool.clone()));
            self.short[resource] = short;
        }
        tied
    }
}
