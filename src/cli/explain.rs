//! How the share of one pod came about, in words. Pure.

use k8s_openapi::jiff::Timestamp;

use super::{
    Looked,
    loans::{Market, names},
};
use crate::{
    api::{Mode, WeightPer},
    cluster::Cluster,
    engine::{
        Capacity, Divided, DividedPool, MemberPod, MemberShare, PodShare, PoolMembers, Shares,
        View, coarse_weights, together,
    },
    share::{self, MemberClaim, PodClaim, Resource},
};

/// Why the share of a pod cannot be explained.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum ExplainError {
    /// There is no such pod.
    #[error("there is no pod {name} in namespace {namespace}: {remedy}")]
    NoPod {
        /// The namespace looked in.
        namespace: String,
        /// The name.
        name: String,
        /// What to name instead.
        remedy: String,
    },
    /// It has run to its end.
    #[error("pod {namespace}/{name} has finished: it holds nothing, and no longer has a share")]
    Finished {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// No pool has it.
    #[error(
        "pod {namespace}/{name} is in no pool: no member of a pool in its namespace matches it (or it is being deleted)"
    )]
    NoPool {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

/// Says in words how the share of a pod came about.
///
/// # Errors
/// When there is no such pod, or it has finished, or no pool has it.
pub fn explain(looked: &Looked, namespace: &str, name: &str) -> Result<String, ExplainError> {
    let Looked { cluster, metrics, .. } = looked;
    if cluster.pod(namespace, name).is_none() {
        return Err(match cluster.namespace(namespace).is_some_and(|it| it.has_finished(name)) {
            true => ExplainError::Finished { namespace: namespace.into(), name: name.into() },
            false => no_pod(cluster, namespace, name),
        });
    }
    let is_it = |it: &MemberPod| it.pod.namespace == namespace && it.pod.name == name;
    let preview = looked.preview();
    let view = preview.view(cluster, metrics, Timestamp::UNIX_EPOCH);
    let divided = preview.divide(&view).pools;
    for it in &divided {
        let (pool, shares) = it;
        for (i, member) in pool.members.iter().enumerate() {
            if let Some(k) = member.pods.iter().position(&is_it) {
                let together = together(&view, &divided, it);
                let story = Story { view: &view, pool, shares, together, member: i, pod: k };
                return Ok(story.tell());
            }
        }
    }
    Err(ExplainError::NoPool { namespace: namespace.into(), name: name.into() })
}

/// The error for a pod that is not in the namespace; it names a namespace that has a pod of this name.
fn no_pod(cluster: &Cluster, namespace: &str, name: &str) -> ExplainError {
    let elsewhere = cluster.namespaces().find(|(_, it)| it.pod(name).is_some());
    let remedy = match elsewhere {
        Some((namespace, _)) => {
            format!("there is one in namespace {namespace}, so add -n {namespace}")
        }
        None => "check the name, or set its namespace with -n".to_owned(),
    };
    ExplainError::NoPod { namespace: namespace.into(), name: name.into(), remedy }
}

/// What is told: one pod of one member.
struct Story<'s, 'a> {
    view: &'s View<'a>,
    pool: &'s PoolMembers<'a>,
    shares: &'s Shares<'a>,
    /// The pool, and those that it shares a tree with.
    together: Vec<&'s DividedPool<'a>>,
    member: usize,
    pod: usize,
}

impl Story<'_, '_> {
    fn tell(&self) -> String {
        let (pool, member) = (self.pool.object, &self.pool.members[self.member]);
        let pod = member.pods[self.pod].pod;
        let mut lines = vec![format!(
            "Pod {}/{} belongs to member {} of pool {}.",
            pod.namespace, pod.name, member.spec.name, self.pool.id.name,
        )];
        if let Some(obstacle) = pod.obstacle.filter(|_| self.is_left_alone()) {
            lines.push(format!("It is left alone: {}.", obstacle.remedy()));
        }
        if pool.spec.mode == Mode::Observe {
            lines.push("The pool is in mode Observe: none of this is carried out.".to_owned());
        }
        for resource in Resource::ALL {
            if let Some(divided) = &self.shares[resource] {
                lines.push(String::new());
                lines.extend(self.tell_one(resource, divided));
            }
        }
        lines.join("\n") + "\n"
    }

    /// Whether none of its resources is divided.
    fn is_left_alone(&self) -> bool {
        let share = |divided: &Divided| divided.members[self.member].pods[self.pod].share;
        Resource::ALL
            .iter()
            .all(|&it| self.shares[it].as_ref().is_none_or(|it| share(it).is_none()))
    }

    fn tell_one(&self, resource: Resource, divided: &Divided) -> Vec<String> {
        let amount = |amount| resource.readable(amount);
        let member = &divided.members[self.member];
        let pod = &member.pods[self.pod];
        let (now, then) = (pod.holding.charge(), pod.granted());
        let mut lines = vec![match now == then {
            true => format!("{resource}: it holds {}, which is its share.", amount(now)),
            false => {
                format!("{resource}: it holds {}, and will hold {}.", amount(now), amount(then))
            }
        }];
        if let Some(needed) = divided.too_small {
            let needed = amount(u64::try_from(needed).unwrap_or(u64::MAX));
            lines.push(format!(
                "  The pods need at least {needed}, but the pool has {}: {}.",
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
                "  It is left alone, and what it holds is subtracted from the pool: {}.",
                to.message
            ));
            return lines;
        }
        let (Some(claim), Some(share)) = (pod.claim, pod.share) else {
            lines.push("  It cannot be resized, so it keeps what it holds, and that is subtracted from the pool.".to_owned());
            return lines;
        };
        lines.push(format!("  {}", self.capacity(resource, divided)));
        lines.push(format!("  {}", self.fair_of_member(resource, divided, member)));
        if let Some(remedy) = member.makes_room() {
            lines.push(format!(
                "  Its nodes have no room for {} of that: {remedy}, or move its pods to other nodes.",
                amount(member.unplaceable)
            ));
        }
        if member.claim.pods > 1 {
            lines.push(format!("  {}", self.fair_of_pod(resource, member, &claim, share)));
        }
        if share.fair != share.by_weight {
            let by_weight = amount(share.by_weight);
            let node = pod.pod.node.as_deref().unwrap_or_default();
            lines.push(match share.fair < share.by_weight {
                true => format!("  By weight it would own {by_weight}, but node {node} has no more room for the pool."),
                false => format!("  By weight it would own {by_weight}. It gets the rest because full nodes cannot give it to others."),
            });
        }
        lines.extend(
            self.sharing(resource, divided, pod, &claim)
                .into_iter()
                .map(|line| format!("  {line}")),
        );
        if resource == Resource::Cpu {
            let coarse = coarse_weights(divided, self.view);
            let of_pod = coarse.iter().find(|coarse| coarse.pod.name == pod.pod.name);
            lines.extend(of_pod.map(|coarse| format!("  {coarse}")));
        }
        lines
    }

    fn capacity(&self, resource: Resource, divided: &Divided) -> String {
        let aside = divided.sum(|pod| if pod.claim.is_none() { pod.holding.charge() } else { 0 });
        let capacity = resource.readable(divided.capacity);
        if let Some(bound) = divided.quota {
            return format!(
                "The pool has {capacity}, but ResourceQuota {} leaves it {}, of which {} is divided.",
                bound.quota,
                resource.readable(divided.divisible),
                resource.readable(divided.divisible.saturating_sub(aside)),
            );
        }
        match aside {
            0 => format!("The pool has {capacity} to divide."),
            _ => format!(
                "The pool has {capacity}, of which pods that cannot be resized hold {}. The other {} is divided.",
                resource.readable(aside),
                resource.readable(divided.capacity.saturating_sub(aside)),
            ),
        }
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
