//! What the members of each pool and tree use, are granted and own, for programs. Pure.

use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use super::{
    Looked,
    choice::Wanted,
    plan::Each,
    trees::{self, UsedTree},
};
use crate::{
    api::{MemberState, MemberStatus, Resources, TreeMember},
    engine::{MemberPods, PoolMembers, Preview, Used},
};

/// What the members of all pools use. Amounts are whole millicores and bytes.
#[derive(Clone, Debug, Serialize)]
pub struct Usage {
    /// The trees that the pools are in: of each the root first.
    pub trees: Vec<TreeUsage>,
    /// The pools, oldest first.
    pub pools: Vec<PoolUsage>,
}

/// What the members of a tree use.
#[derive(Clone, Debug, Serialize)]
pub struct TreeUsage {
    /// The name of the ClusterWeightedShare.
    pub name: String,
    /// What it has. Null in each: the controller has not divided it yet.
    pub capacity: Resources,
    /// What the pods of its pools are charged.
    pub allocated: Resources,
    /// The members that the status has, in the order of the spec.
    pub members: Vec<TreeMemberUsage>,
}

/// What a member of a tree uses.
#[derive(Clone, Debug, Serialize)]
pub struct TreeMemberUsage {
    /// Its name.
    pub name: String,
    /// The amounts of each resource.
    #[serde(flatten)]
    pub amounts: Each<Amounts>,
    /// What is wrong with it, in one word. Empty: nothing.
    pub reason: String,
}

/// What the members of a pool use.
#[derive(Clone, Debug, Serialize)]
pub struct PoolUsage {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What it has. Null in each: the controller has not divided it yet.
    pub capacity: Resources,
    /// What its pods are charged.
    pub allocated: Resources,
    /// The members that the status has, in the order of the spec.
    pub members: Vec<MemberUsage>,
}

/// What a member uses.
#[derive(Clone, Debug, Serialize)]
pub struct MemberUsage {
    /// Its name.
    pub name: String,
    /// The amounts of each resource.
    #[serde(flatten)]
    pub amounts: Each<Amounts>,
    /// How far its pods are on the way to their share.
    pub state: Option<MemberState>,
    /// Why, in one word.
    pub reason: String,
}

/// One resource of a member.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Amounts {
    /// What its pods use now. Null: not all of them are measured.
    pub used: Option<u64>,
    /// What it is granted.
    pub share: u64,
    /// What it owns.
    pub fair: u64,
    /// What it always owns.
    pub min: u64,
}

/// What the members of the wanted pools use, as their status says, with what their pods use now.
#[must_use]
pub fn usage(Looked { cluster, metrics, .. }: &Looked, wanted: &Wanted) -> Usage {
    let preview = Preview::of(cluster);
    let view = preview.view(cluster, metrics, Timestamp::UNIX_EPOCH);
    let live = cluster.pools().filter(|(_, pool)| pool.is_live());
    let mut pools: Vec<_> = live.filter(|(_, pool)| wanted.includes(&pool.object)).collect();
    pools.sort_by_key(|(id, _)| *id);
    let trees = trees::used(&view, &preview, pools.iter().map(|(id, _)| *id));
    let trees = trees.iter().map(TreeUsage::of).collect();
    let pools = pools.into_iter().map(|(id, pool)| {
        let pool = PoolMembers::of(&view, &preview.membership, id, &pool.object);
        let status = pool.object.status.clone().unwrap_or_default();
        let known = |member: &MemberPods| {
            let known = status.members.iter().find(|it| it.name == member.spec.name)?;
            Some(MemberUsage::of(member, known, &status.capacity))
        };
        PoolUsage {
            namespace: id.namespace.clone(),
            name: id.name.clone(),
            members: pool.members.iter().filter_map(known).collect(),
            capacity: status.capacity,
            allocated: status.allocated,
        }
    });
    Usage { trees, pools: pools.collect() }
}

impl TreeUsage {
    fn of(tree: &UsedTree) -> Self {
        let status = tree.object.status.clone().unwrap_or_default();
        let members = tree.object.spec.members.iter().zip(&tree.used);
        let known = |(member, used): (&TreeMember, &Used)| {
            let known = status.members.iter().find(|it| it.name == member.name)?;
            let amounts = Each::of(|resource| {
                status.capacity.get(resource)?;
                let amount = |amounts: &Resources| amounts.get(resource).unwrap_or_default();
                Some(Amounts {
                    used: used[resource],
                    share: amount(&known.share),
                    fair: amount(&known.fair),
                    min: amount(&member.min),
                })
            });
            Some(TreeMemberUsage {
                name: known.name.clone(),
                amounts,
                reason: known.reason.clone(),
            })
        };
        Self {
            name: tree.name.to_owned(),
            members: members.filter_map(known).collect(),
            capacity: status.capacity,
            allocated: status.allocated,
        }
    }
}

impl MemberUsage {
    fn of(member: &MemberPods, status: &MemberStatus, capacity: &Resources) -> Self {
        let used = member.used();
        Self {
            name: status.name.clone(),
            amounts: Each::of(|resource| {
                capacity.get(resource)?;
                let amount = |amounts: &Resources| amounts.get(resource).unwrap_or_default();
                Some(Amounts {
                    used: used[resource],
                    share: amount(&status.share),
                    fair: amount(&status.fair),
                    min: amount(&member.spec.min),
                })
            }),
            state: status.state,
            reason: status.reason.clone(),
        }
    }
}
