//! What the branches of a tree weigh.

use super::{
    View,
    division::{Dividing, Prepared},
    forest::{self, What},
};
use crate::{
    api::{TreeMember, TreeWeightPer},
    share::gcd,
};

/// What is inside a branch.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inside {
    /// What pods are charged that cannot be resized, in units of the resource.
    pub unresizable: u64,
    pods: u64,
    vcpus: u64,
}

impl Inside {
    /// Of a pool.
    #[must_use]
    pub fn of(pool: &Dividing, prepared: &Prepared) -> Self {
        let pods = || pool.members.members.iter().flat_map(|member| &member.pods);
        Self {
            unresizable: prepared.input.unresizable_charge(),
            pods: pods().count() as u64,
            vcpus: pods().map(|pod| pod.machine.map_or(1, |it| it.vcpus)).sum(),
        }
    }

    /// Works out what is inside each branch of a tree, from what is in its pools.
    pub fn sum_up(tree: &forest::Tree, inside: &mut [Self]) {
        for (branch, it) in tree.branches.iter().zip(&mut *inside) {
            if !matches!(branch.what, What::Pool(_)) {
                *it = Self::default();
            }
        }
        for (i, branch) in tree.branches.iter().enumerate().rev() {
            if let Some(parent) = branch.parent {
                let Self { unresizable, pods, vcpus } = inside[i];
                let parent = &mut inside[parent.0];
                parent.unresizable = parent.unresizable.saturating_add(unresizable);
                parent.pods += pods;
                parent.vcpus += vcpus;
            }
        }
    }
}

/// The weight of a member, or of one of its namespaces, `scale` times.
#[must_use]
pub fn weight(member: &TreeMember, what: &What, inside: &Inside, scale: u64) -> u64 {
    let (weight, most) = (u64::from(member.weight), member.max_weight.map_or(u64::MAX, u64::from));
    if let What::EachNamespace(_, _, namespaces) = what {
        // Together they weigh no more than the most.
        let whole = weight.saturating_mul(*namespaces).min(most);
        return (whole.saturating_mul(scale) / namespaces).max(1);
    }
    let times = match member.weight_per {
        TreeWeightPer::Member | TreeWeightPer::Namespace => 1,
        TreeWeightPer::Replica => inside.pods,
        TreeWeightPer::Vcpu => inside.vcpus,
    };
    weight.saturating_mul(times).min(most).saturating_mul(scale)
}

/// What all weights are multiplied by, so that the part of each namespace of a weight is a whole number. Of more than a million,
/// parts are rounded down.
#[must_use]
pub fn scale(view: &View, tree: &forest::Tree) -> u64 {
    const MOST: u64 = 1 << 20;
    let parts = tree.branches.iter().filter_map(|branch| {
        let What::EachNamespace(_, _, namespaces) = branch.what else { return None };
        let member = branch.member(view.cluster)?;
        let is_cut = u64::from(member.weight) * namespaces > u64::from(member.max_weight?);
        is_cut.then_some(namespaces)
    });
    parts.fold(1, |scale, part| {
        let both = scale / gcd(scale, part) * part;
        both.min(MOST)
    })
}
