//! How the share of one pod came about, sentence by sentence. Pure.

use super::{
    containers::container_shares,
    explain::{Explanation, ResourceExplanation},
    loans::{Market, names},
};
use crate::{
    api::{Mode, WeightPer},
    engine::{
        BranchBound, BranchShare, Capacity, Divided, DividedPool, MemberShare, PodShare,
        PoolMembers, Shares, TreePath, Trees, View, coarse_weights, tree_path,
    },
    share::{self, MemberClaim, PodClaim, Resource},
};

/// What is told: one pod of one member.
pub struct Story<'s, 'a> {
    /// What the division rests on.
    pub view: &'s View<'a>,
    /// What the branches of trees own.
    pub branches: &'s Trees,
    /// The pool.
    pub pool: &'s PoolMembers<'a>,
    /// Its division.
    pub shares: &'s Shares<'a>,
    /// The pool, and those that it shares a tree with.
    pub together: Vec<&'s DividedPool<'a>>,
    /// The member, by its place in the spec.
    pub member: usize,
    /// The pod, by its place in the member.
    pub pod: usize,
}

impl Story<'_, '_> {
    /// Tells it.
    #[must_use]
    pub fn tell(&self) -> Explanation {
        let (pool, member) = (self.pool.object, &self.pool.members[self.member]);
        let pod = member.pods[self.pod].pod;
        let mut notes = Vec::new();
        if let Some(obstacle) = pod.obstacle.filter(|_| self.is_left_alone()) {
            notes.push(format!("It is left alone: {}.", obstacle.remedy()));
        }
        if pool.spec.mode == Mode::Observe {
            notes.push("The pool is in mode Observe: none of this is carried out.".to_owned());
        }
        let resources = Resource::ALL.into_iter().filter_map(|resource| {
            let divided = self.shares[resource].as_ref()?;
            Some(self.explain_one(resource, divided))
        });
        Explanation {
            namespace: pod.namespace.clone(),
            name: pod.name.clone(),
            pool: self.pool.id.name.clone(),
            member: member.spec.name.clone(),
            notes,
            resources: resources.collect(),
        }
    }

    /// Whether none of its resources is divided.
    fn is_left_alone(&self) -> bool {
        let share = |divided: &Divided| divided.members[self.member].pods[self.pod].share;
        Resource::ALL
            .iter()
            .all(|&it| self.shares[it].as_ref().is_none_or(|it| share(it).is_none()))
    }

    fn explain_one(&self, resource: Resource, divided: &Divided) -> ResourceExplanation {
        let amount = |amount| resource.readable(amount);
        let pod = &divided.members[self.member].pods[self.pod];
        let (from, to) = (pod.holding.charge(), pod.granted());
        let head = match from == to {
            true => format!("{resource}: it holds {}, which is its share.", amount(from)),
            false => {
                format!("{resource}: it holds {}, and will hold {}.", amount(from), amount(to))
            }
        };
        ResourceExplanation {
            resource: resource.name(),
            from,
            to,
            fair: pod.fair(),
            demand: pod.demand(),
            head,
            reasons: self.reasons(resource, divided),
            containers: container_shares(pod, resource),
        }
    }

    /// How the share came about.
    fn reasons(&self, resource: Resource, divided: &Divided) -> Vec<String> {
        let amount = |amount| resource.readable(amount);
        let member = &divided.members[self.member];
        let pod = &member.pods[self.pod];
        let path = tree_path(self.view, self.branches, self.pool.id, resource);
        let mut lines = path.map_or_else(Vec::new, |path| down(&path, resource));
        if let Some(needed) = divided.too_small {
            let needed = amount(u64::try_from(needed).unwrap_or(u64::MAX));
            lines.push(format!(
                "The pods need at least {needed}, but the pool has {}: {}.",
                amount(divided.capacity),
                match self.pool.capacity[resource] {
                    Some(Capacity::OfTree) => "they go down to the least that each needs",
                    _ => "nothing is changed",
                },
            ));
            return lines;
        }
        if let Some(to) = &pod.left_to {
            lines.push(format!(
                "It is left alone, and what it holds is subtracted from the pool: {}.",
                to.message
            ));
            return lines;
        }
        let (Some(claim), Some(share)) = (pod.claim, pod.share) else {
            lines.push("It cannot be resized, so it keeps what it holds, and that is subtracted from the pool.".to_owned());
            return lines;
        };
        lines.push(self.capacity(resource, divided));
        lines.push(self.fair_of_member(resource, divided, member));
        if let Some(remedy) = member.makes_room() {
            lines.push(format!(
                "Its nodes have no room for {} of that: {remedy}, or move its pods to other nodes.",
                amount(member.unplaceable)
            ));
        }
        if member.claim.pods > 1 {
            lines.push(self.fair_of_pod(resource, member, &claim, share));
        }
        if share.fair != share.by_weight {
            let by_weight = amount(share.by_weight);
            let node = pod.pod.node.as_deref().unwrap_or_default();
            lines.push(match share.fair < share.by_weight {
                true => format!("By weight it would own {by_weight}, but node {node} has no more room for the pool."),
                false => format!("By weight it would own {by_weight}. It gets the rest because full nodes cannot give it to others."),
            });
        }
        lines.extend(self.sharing(resource, divided, pod, &claim));
        if resource == Resource::Cpu {
            let coarse = coarse_weights(divided, self.view);
            let of_pod = coarse.iter().find(|coarse| coarse.pod.name == pod.pod.name);
            lines.extend(of_pod.map(|coarse| coarse.to_string()));
        }
        lines
    }

    fn capacity(&self, resource: Resource, divided: &Divided) -> String {
        let aside = divided.sum(|pod| if pod.claim.is_none() { pod.holding.charge() } else { 0 });
        if let Some(bound) = divided.quota {
            return format!(
                "The pool has {}, but ResourceQuota {} leaves it {}, of which {} is divided.",
                resource.readable(divided.capacity),
                bound.quota,
                resource.readable(divided.divisible),
                resource.readable(divided.divisible.saturating_sub(aside)),
            );
        }
        to_divide("The pool", resource, divided.capacity, aside)
    }

    /// What the member owns, and which bound made it so.
    fn fair_of_member(
        &self,
        resource: Resource,
        divided: &Divided,
        member: &MemberShare,
    ) -> String {
        let spec = self.pool.members[self.member].spec;
        let weights = divided.members.iter().filter(|member| member.claim.pods > 0);
        let weights: u64 = weights.map(|member| member.claim.weight).fold(0, u64::saturating_add);
        let fair: u64 =
            member.sum(|pod| pod.share.map_or(0, |share| share.fair)) + member.unplaceable;
        let verb = if member.unplaceable > 0 { "would own" } else { "owns" };
        let per = match spec.weight_per {
            WeightPer::Member => String::new(),
            WeightPer::Replica => format!(" ({} for each pod)", spec.weight),
            WeightPer::Vcpu => format!(" ({} for each virtual CPU)", spec.weight),
        };
        let why = match bound(member, fair) {
            Some(bound) if divided.overcommitted => {
                format!(
                    "{bound}, and the minima of all members exceed the pool, so each is cut by weight"
                )
            }
            Some(bound) => bound.to_owned(),
            None if divided.overcommitted => {
                "the minima of all members exceed the pool, so each is cut by weight".to_owned()
            }
            None => "by weight, within the bounds of the others".to_owned(),
        };
        format!(
            "Member {} has weight {}{per} of {weights} in total, and {verb} {}: {why}.",
            spec.name,
            member.claim.weight,
            resource.readable(fair),
        )
    }

    fn fair_of_pod(
        &self,
        resource: Resource,
        member: &MemberShare,
        claim: &PodClaim,
        share::PodDivision { fair, by_weight, .. }: share::PodDivision,
    ) -> String {
        let fair_text = resource.readable(fair);
        let pods = member.claim.pods;
        let why = if fair != by_weight {
            return format!("Of the member's {pods} pods, this one owns {fair_text}.");
        } else if fair == claim.floor {
            "the least that a pod of this member holds".to_owned()
        } else if claim.cap == Some(fair) {
            "the most that it can take (its limit)".to_owned()
        } else {
            "its part by weight, within the bounds of the others".to_owned()
        };
        format!("Of the member's {pods} pods, this one owns {fair_text}: {why}.")
    }

    /// What it lends or borrows, and what bounds that.
    fn sharing(
        &self,
        resource: Resource,
        divided: &Divided,
        pod: &PodShare,
        claim: &PodClaim,
    ) -> Vec<String> {
        let amount = |amount| resource.readable(amount);
        let (fair, granted) = (pod.fair(), pod.granted());
        let Some(demand) = pod.demand() else {
            return vec!["No source has measured it, so it holds what it owns.".to_owned()];
        };
        let mut lines = vec![format!("Based on measured usage it needs {}.", amount(demand))];
        let market = Market::of(&self.together, resource);
        if granted < fair {
            let lend = divided.members[self.member].claim.lend;
            lines.push(format!(
                "Of the {} that it owns and does not need, it keeps what is never lent: its part of the member's min, \
                 and {} % of the rest.",
                amount(fair.saturating_sub(demand)),
                100 - u16::from(lend.min(100)),
            ));
            let (given, lent) = (fair - granted, market.lent(pod));
            let borrowers = || names(&market.borrowers(pod));
            lines.push(match (lent, given - lent) {
                (0, _) => {
                    format!("No pod on its node needs the other {}: it is released.", amount(given))
                }
                (_, 0) => format!("The other {} is lent to {}.", amount(given), borrowers()),
                (_, rest) => format!(
                    "Of the other {}, {} is lent to {}, and {} is released.",
                    amount(given),
                    amount(lent),
                    borrowers(),
                    amount(rest),
                ),
            });
        } else if granted > fair {
            let lenders = names(&market.lenders(pod));
            lines.push(format!(
                "It borrows {} of idle {resource} on its node, from {lenders}.",
                amount(granted - fair)
            ));
            if granted < demand {
                let most = pod.share.map_or(granted, |share| share.most);
                lines.push(match granted == most {
                    true if claim.cap == Some(most) => {
                        "It cannot take more: that is its limit.".to_owned()
                    }
                    true => {
                        "It may not hold more: that is its part of the member's max.".to_owned()
                    }
                    false => "No more is lent on its node.".to_owned(),
                });
            }
        } else if demand < fair {
            lines.push(format!("It keeps all that it owns: none of its idle {resource} is lent."));
        } else {
            lines.push("It holds all that it owns, and borrows nothing.".to_owned());
        }
        lines
    }
}

/// How a pool comes to what its tree gives it, from the root down.
fn down(path: &TreePath, resource: Resource) -> Vec<String> {
    let TreePath { tree, capacity, unresizable, branches } = path;
    let first = to_divide(&format!("Tree {tree}"), resource, *capacity, *unresizable);
    let of = |branch: &BranchShare| {
        let BranchShare { name, weight, weights, fair, bound } = branch;
        let (first, rest) = name.split_at(1);
        let why = match bound {
            None => "by weight, within the bounds of the others",
            Some(BranchBound::Min) => "its min",
            Some(BranchBound::Max) => "its max",
            Some(BranchBound::MinimaTooLarge) => {
                "the minima there exceed what it has, so each is cut by weight"
            }
            Some(BranchBound::TooSmall) => "less than its pods need at least",
        };
        format!(
            "{}{rest} has weight {weight} of {weights} in total, and owns {}: {why}.",
            first.to_uppercase(),
            resource.readable(*fair),
        )
    };
    // A branch with nothing beside it owns what the one above does.
    let shares = |branch: &&BranchShare| branch.weight < branch.weights || branch.bound.is_some();
    std::iter::once(first).chain(branches.iter().filter(shares).map(of)).collect()
}

/// What there is to divide, less what pods hold that cannot be resized.
fn to_divide(what: &str, resource: Resource, capacity: u64, aside: u64) -> String {
    let amount = |amount| resource.readable(amount);
    match aside {
        0 => format!("{what} has {} to divide.", amount(capacity)),
        _ => format!(
            "{what} has {}, of which pods that cannot be resized hold {}. The other {} is divided.",
            amount(capacity),
            amount(aside),
            amount(capacity.saturating_sub(aside)),
        ),
    }
}

/// Which bound of a member its fair share is at.
fn bound(member: &MemberShare, fair: u64) -> Option<&'static str> {
    let MemberClaim { min, max, .. } = member.claim;
    let sum = |of: fn(&PodClaim) -> u64| {
        member.pods.iter().filter_map(|pod| pod.claim.as_ref()).map(of).fold(0, u64::saturating_add)
    };
    if min > 0 && fair == min {
        Some("its min")
    } else if max == Some(fair) {
        Some("its max")
    } else if fair == sum(|pod| pod.cap.unwrap_or(u64::MAX)) {
        Some("the most that its pods can take (their limits)")
    } else if fair == sum(|pod| pod.floor) {
        Some("the least that its pods need")
    } else {
        None
    }
}
