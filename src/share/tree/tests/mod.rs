mod examples;
mod oracle;
mod properties;

use super::super::{Demand, MemberClaim, PodClaim};
use super::*;

/// A branch with what is in it, before it is laid out in a tree.
#[derive(Clone, Debug)]
pub struct Sprout {
    weight: u64,
    min: u64,
    max: Option<u64>,
    expandable: bool,
    lend: u8,
    idle: Idle,
    children: Vec<Sprout>,
    pool: Option<Pool>,
}

impl Sprout {
    fn branch(weight: u64, children: impl IntoIterator<Item = Sprout>) -> Self {
        let children = children.into_iter().collect();
        Self {
            weight,
            min: 0,
            max: None,
            expandable: false,
            lend: 75,
            idle: Idle::Lent,
            children,
            pool: None,
        }
    }

    fn pool(weight: u64, pool: Pool) -> Self {
        Self { pool: Some(pool), ..Self::branch(weight, []) }
    }

    fn min(self, min: u64) -> Self {
        Self { min, ..self }
    }

    fn max(self, max: u64) -> Self {
        Self { max: Some(max), ..self }
    }

    fn lay_out(&self, parent: Option<BranchIndex>, branches: &mut Vec<Branch>) {
        let here = BranchIndex(branches.len());
        let content = match &self.pool {
            Some(pool) => {
                let floor = pool.pods.iter().map(|pod| pod.floor.min(10)).sum();
                Content::Pool { pool: pool.clone(), floor }
            }
            None => Content::Branches { idle: self.idle },
        };
        let Self { weight, min, max, expandable, lend, .. } = *self;
        branches.push(Branch { parent, weight, min, max, expandable, lend, content });
        self.children.iter().for_each(|child| child.lay_out(Some(here), branches));
    }
}

/// A tree of these children of its root.
fn tree(capacity: u64, children: &[Sprout]) -> Tree {
    let mut branches = Vec::new();
    children.iter().for_each(|child| child.lay_out(None, &mut branches));
    Tree { capacity, idle: Idle::Lent, branches }
}

/// A pool whose members have one pod each, on the node 0.
fn pool<const N: usize>(weights: [u64; N]) -> Pool {
    let pod =
        PodClaim { weight: 1, floor: 10, node: Some(0), started: u64::MAX, ..PodClaim::default() };
    let member = |weight| MemberClaim { weight, lend: 75, pods: 1, ..MemberClaim::default() };
    Pool {
        capacity: 0,
        idle: Idle::Lent,
        node_reserve: 0,
        members: weights.map(member).to_vec(),
        pods: vec![pod; N],
    }
}

/// A pool with a pod that needs so much.
fn needing(demand: u64) -> Pool {
    let mut pool = pool([1]);
    pool.pods[0].demand = Demand::Known(demand);
    pool
}

/// Divides a tree, on nodes that set no limit.
fn divide(tree: &Tree) -> TreeDivision {
    let (mut tree, mut division) = (tree.clone(), TreeDivision::default());
    let mut divider = TreeDivider::default();
    divider.own(&mut tree, &mut division);
    divider.share(&mut tree, &[], &mut division);
    division
}

fn fair(tree: &Tree) -> Vec<u64> {
    divide(tree).branches.iter().map(|branch| branch.fair).collect()
}

/// What all pods hold, those of one pool after those of another.
fn shares(tree: &Tree) -> Vec<u64> {
    let division = divide(tree);
    division.branches.iter().flat_map(|it| &it.pool.pods).map(|pod| pod.share).collect()
}
