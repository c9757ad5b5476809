//! What a tree of pools would become, for people and for programs. Pure.

use serde::Serialize;

use super::plan::{Each, ResourcePlan};
use crate::{
    api::{Resources, TreeMemberStatus, condition},
    engine::TreePreview,
    share::Resource,
};

/// What one ClusterWeightedShare would become. All amounts are whole millicores or bytes.
#[derive(Debug, Serialize)]
pub struct TreePlan {
    /// Its name.
    pub name: String,
    /// The ClusterWeightedShare that has it as a member.
    pub parent: Option<String>,
    /// Each resource that it divides.
    pub resources: Each<ResourcePlan>,
    /// The members, in the order of the spec.
    pub members: Vec<TreeMemberPlan>,
    /// Why it is not divided, where it is not: one word, and a sentence.
    #[serde(flatten)]
    pub fault: Option<Fault>,
}

/// One member of a tree.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TreeMemberPlan {
    /// Its name.
    pub name: String,
    /// Its weight in the spec.
    pub weight: u32,
    /// Its weight beside the other members.
    pub effective_weight: u64,
    /// How many pods its pools have.
    pub pods: u32,
    /// What it owns and would hold.
    #[serde(flatten)]
    pub amounts: Each<TreeAmounts>,
    /// What its pods hold now.
    #[serde(skip)]
    pub applied: Resources,
    /// What is wrong with it, if anything.
    #[serde(skip)]
    pub message: String,
}

/// One resource of a member of a tree.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct TreeAmounts {
    /// What it owns.
    pub fair: u64,
    /// What it would hold.
    pub share: u64,
}

/// Why a tree is not divided.
#[derive(Clone, Debug, Serialize)]
pub struct Fault {
    /// One word for programs.
    pub reason: String,
    /// The cause, and what to do about it.
    pub message: String,
}

impl TreePlan {
    pub(super) fn of(tree: TreePreview) -> Self {
        let TreePreview { name, parent, status, overcommitted } = tree;
        let stalled = status.conditions.iter().find(|it| it.type_ == condition::STALLED);
        let stalled = stalled.filter(|it| it.status == "True");
        let fault =
            stalled.map(|it| Fault { reason: it.reason.clone(), message: it.message.clone() });
        let divided = fault.is_none();
        let held = |resource: Resource| {
            let shares = status.members.iter().filter_map(|it| it.share.get(resource));
            shares.fold(0, u64::saturating_add)
        };
        let resources = Each::of(|resource| {
            Some(ResourcePlan {
                capacity: status.capacity.get(resource).filter(|_| divided)?,
                allocated: held(resource),
                overcommitted: overcommitted[resource],
            })
        });
        let members = status.members.iter().map(TreeMemberPlan::of).collect();
        Self { name, parent, resources, members, fault }
    }
}

impl TreeMemberPlan {
    fn of(member: &TreeMemberStatus) -> Self {
        Self {
            name: member.name.clone(),
            weight: member.weight,
            effective_weight: member.effective_weight,
            pods: member.pods,
            amounts: Each::of(|resource| {
                let (fair, share) = (member.fair.get(resource)?, member.share.get(resource)?);
                Some(TreeAmounts { fair, share })
            }),
            applied: member.applied,
            message: member.message.clone(),
        }
    }
}
