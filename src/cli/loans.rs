//! Who lends to whom. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::engine::{Divided, PodShare};

/// What the pods of a pool lend and borrow, node by node: one resource.
///
/// A pod that holds less than it owns offers the rest to those on its node. What they have no use for is lent to
/// nobody, and released.
pub struct Market<'d>(BTreeMap<Option<&'d str>, Node>);

/// What is lent and borrowed on one node. The members are places in the spec.
#[derive(Default)]
struct Node {
    offered: u64,
    borrowed: u64,
    lenders: BTreeSet<usize>,
    borrowers: BTreeSet<usize>,
}

/// What a member lends or borrows of one resource.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Loan {
    /// How much, in units of the resource.
    pub amount: u64,
    /// The members on the other side, as places in the spec.
    pub members: BTreeSet<usize>,
}

impl<'d> Market<'d> {
    /// The market of a divided pool.
    #[must_use]
    pub fn of(divided: &'d Divided) -> Self {
        let mut nodes: BTreeMap<Option<&str>, Node> = BTreeMap::new();
        for (i, member) in divided.members.iter().enumerate() {
            for pod in &member.pods {
                let node = nodes.entry(pod.pod.node.as_deref()).or_default();
                if pod.granted() > pod.fair() {
                    node.borrowed += pod.granted() - pod.fair();
                    node.borrowers.insert(i);
                } else if pod.granted() < pod.fair() {
                    node.offered += pod.fair() - pod.granted();
                    node.lenders.insert(i);
                }
            }
        }
        Self(nodes)
    }

    /// What a pod lends: its part of what is borrowed on its node.
    #[must_use]
    pub fn lent(&self, pod: &PodShare) -> u64 {
        let offer = pod.fair().saturating_sub(pod.granted());
        let Some(node) = self.0.get(&pod.pod.node.as_deref()).filter(|_| offer > 0) else {
            return 0;
        };
        let part = u128::from(offer) * u128::from(node.borrowed) / u128::from(node.offered);
        // No more is borrowed than is offered.
        part as u64
    }

    /// Who borrows on the node of a pod.
    #[must_use]
    pub fn borrowers(&self, pod: &PodShare) -> Vec<usize> {
        let node = self.0.get(&pod.pod.node.as_deref());
        node.into_iter().flat_map(|node| node.borrowers.iter().copied()).collect()
    }

    /// Who lends on the node of a pod.
    #[must_use]
    pub fn lenders(&self, pod: &PodShare) -> Vec<usize> {
        let node = self.0.get(&pod.pod.node.as_deref());
        node.into_iter().flat_map(|node| node.lenders.iter().copied()).collect()
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
