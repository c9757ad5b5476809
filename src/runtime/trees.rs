//! The metrics of trees, from the status of each ClusterWeightedShare. They are computed at each scrape, so those of a deleted tree
//! vanish with it.

use std::fmt;

use kube::ResourceExt;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet},
};

use super::{
    PublishedTrees,
    gauges::{amounts, gauges, unit},
};
use crate::api::{ClusterWeightedShare, ClusterWeightedShareStatus, Resources, TreeMemberStatus};

/// Tells of all trees that the process knows.
#[derive(Debug)]
pub struct Trees {
    /// The trees.
    pub trees: PublishedTrees,
    /// Whether each member has series of its own.
    pub with_members: bool,
}

#[derive(Clone, Debug, EncodeLabelSet)]
struct OfTree {
    tree: String,
    resource: &'static str,
    unit: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet)]
struct OfMember {
    tree: String,
    member: String,
    resource: &'static str,
    unit: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet)]
struct OfWeight {
    tree: String,
    member: String,
}

#[derive(Clone, Debug, EncodeLabelSet)]
struct OfCondition {
    tree: String,
    condition: String,
    reason: String,
}

/// A series for each resource of a tree: its name, what it says, and where that is in a status.
type TreeAmount = (&'static str, &'static str, fn(&ClusterWeightedShareStatus) -> &Resources);

const OF_TREES: [TreeAmount; 3] = [
    ("weightedshare_tree_capacity", "The capacity of the tree", |it| &it.capacity),
    ("weightedshare_tree_allocated", "What the pods in the tree hold in total", |it| &it.allocated),
    ("weightedshare_tree_lent", "Idle capacity that is lent to other members", |it| &it.lent),
];

/// Likewise of each member.
type MemberAmount = (&'static str, &'static str, fn(&TreeMemberStatus) -> &Resources);

const OF_MEMBERS: [MemberAmount; 3] = [
    ("weightedshare_tree_member_fair", "What the member owns", |it| &it.fair),
    ("weightedshare_tree_member_share", "What the member is granted", |it| &it.share),
    ("weightedshare_tree_member_applied", "What the pods of the member hold now", |it| &it.applied),
];

impl Collector for Trees {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let all = self.trees.all().unwrap_or_default();
        let trees: Vec<(&ClusterWeightedShare, &ClusterWeightedShareStatus)> =
            all.iter().filter_map(|tree| Some((&**tree, tree.status.as_ref()?))).collect();
        let conditions = trees.iter().flat_map(|(tree, status)| {
            status.conditions.iter().map(|it| {
                let (condition, reason) = (it.type_.clone(), it.reason.clone());
                let holds = if it.status == "True" { 1.0 } else { 0.0 };
                (OfCondition { tree: tree.name_any(), condition, reason }, holds)
            })
        });
        let help = "The conditions of each tree: 1 if the condition holds";
        gauges(&mut encoder, "weightedshare_tree_condition", help, conditions)?;
        for (name, help, of) in OF_TREES {
            let amounts = trees.iter().flat_map(|(tree, status)| {
                amounts(of(status)).map(|(resource, amount)| {
                    let (tree, unit) = (tree.name_any(), unit(resource));
                    (OfTree { tree, resource: resource.name(), unit }, amount)
                })
            });
            gauges(&mut encoder, name, help, amounts)?;
        }
        if !self.with_members {
            return Ok(());
        }
        let members =
            || trees.iter().flat_map(|(tree, it)| it.members.iter().map(|it| (*tree, it)));
        for (name, help, of) in OF_MEMBERS {
            let amounts = members().flat_map(|(tree, member)| {
                amounts(of(member)).map(|(resource, amount)| {
                    let (tree, member) = (tree.name_any(), member.name.clone());
                    let (resource, unit) = (resource.name(), unit(resource));
                    (OfMember { tree, member, resource, unit }, amount)
                })
            });
            gauges(&mut encoder, name, help, amounts)?;
        }
        let weights = members().map(|(tree, member)| {
            let labels = OfWeight { tree: tree.name_any(), member: member.name.clone() };
            (labels, member.effective_weight as f64)
        });
        let help = "The weight of the member beside the others of its tree";
        gauges(&mut encoder, "weightedshare_tree_member_weight", help, weights)
    }
}
