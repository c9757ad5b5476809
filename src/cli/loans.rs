//! Who lends to whom. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    engine::{DividedPool, PodShare},
    share::Resource,
};

/// What the pods of a pool lend and borrow, node by node: one resource. In a tree, with those of the other pools there.
///
/// A pod that holds less than it owns offers the rest to those on its node. What they do not need is not lent,
/// but released.
pub struct Market(BTreeMap<Option<String>, Node>);

/// What is lent and borrowed on one node.
#[derive(Default)]
struct Node {
    offered: u64,
    borrowed: u64,
    lenders: BTreeSet<Party>,
    borrowers: BTreeSet<Party>,
}

/// A member that lends or borrows. Those of the pool itself come first, in the order of its spec.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Party {
    pool: usize,
    member: usize,
    /// The member's name; of another pool, with the name of that.
    pub name: String,
}

/// What a member lends or borrows of one resource.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Loan {
    /// How much, in units of the resource.
    pub amount: u64,
    /// The members on the other side.
    pub members: BTreeSet<Party>,
}

impl Market {
    /// The market of pools that are divided together, as the first of them sees it.
    #[must_use]
    pub fn of(together: &[&DividedPool], resource: Resource) -> Self {
        let mut nodes: BTreeMap<Option<String>, Node> = BTreeMap::new();
        for (place, (pool, shares)) in together.iter().enumerate() {
            let Some(divided) = &shares[resource] else { continue };
            for (i, member) in divided.members.iter().enumerate() {
                let party = || {
                    let name = &pool.members[i].spec.name;
                    let name = match place {
                        0 => name.clone(),
                        _ => format!("{name} of pool {}/{}", pool.id.namespace, pool.id.name),
                    };
                    Party { pool: place, member: i, name }
                };
                for pod in &member.pods {
                    let node = nodes.entry(pod.pod.node.clone()).or_default();
                    if pod.granted() > pod.fair() {
                        node.borrowed += pod.granted() - pod.fair();
                        node.borrowers.insert(party());
                    } else if pod.granted() < pod.fair() {
                        node.offered += pod.fair() - pod.granted();
                        node.lenders.insert(party());
                    }
                }
            }
        }
        Self(nodes)
    }

    /// What a pod lends: its part of what is borrowed on its node.
    #[must_use]
    pub fn lent(&self, pod: &PodShare) -> u64 {
        let offer = pod.fair().saturating_sub(pod.granted());
        let Some(node) = self.0.get(&pod.pod.node).filter(|_| offer > 0) else {
            return 0;
        };
        let part = u128::from(offer) * u128::from(node.borrowed) / u128::from(node.offered);
        // No more is borrowed than is offered, but for what a pool that is too small holds.
        u64::try_from(part).map_or(offer, |part| part.min(offer))
    }

    /// Who borrows on the node of a pod.
    #[must_use]
    pub fn borrowers(&self, pod: &PodShare) -> BTreeSet<Party> {
        self.0.get(&pod.pod.node).map(|node| node.borrowers.clone()).unwrap_or_default()
    }

    /// Who lends on the node of a pod.
    #[must_use]
    pub fn lenders(&self, pod: &PodShare) -> BTreeSet<Party> {
        self.0.get(&pod.pod.node).map(|node| node.lenders.clone()).unwrap_or_default()
    }

    /// What all pods of a member lend.
    #[must_use]
    pub fn lends(&self, pods: &[PodShare]) -> Loan {
        let lenders = pods.iter().filter(|pod| self.lent(pod) > 0);
        Loan {
            amount: lenders.clone().map(|pod| self.lent(pod)).sum(),
            members: lenders.flat_map(|pod| self.borrowers(pod)).collect(),
        }
    }

    /// What all pods of a member borrow.
    #[must_use]
    pub fn borrows(&self, pods: &[PodShare]) -> Loan {
        let more = |pod: &PodShare| pod.granted().saturating_sub(pod.fair());
        let borrowers = pods.iter().filter(|pod| more(pod) > 0);
        Loan {
            amount: borrowers.clone().map(more).sum(),
            members: borrowers.flat_map(|pod| self.lenders(pod)).collect(),
        }
    }
}

/// The names of members, separated by commas.
#[must_use]
pub fn names(members: &BTreeSet<Party>) -> String {
    members.iter().map(|party| &*party.name).collect::<Vec<_>>().join(", ")
}
