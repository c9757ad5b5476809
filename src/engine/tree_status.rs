//! What a ClusterWeightedShare says of itself: its status.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::{
    View,
    conditions::{Verdict, as_conditions},
    enforced_quotas,
    forest::{self, Branch, TreeFault, What},
    tree_division::DividingTree,
    tree_room::{Sums, TreeSums},
};
use crate::{
    api::{
        ClusterWeightedShare, ClusterWeightedShareStatus, LONGEST_MESSAGE, Resources, TreeMember,
        TreeMemberStatus, condition,
    },
    share::{BranchIndex, PerResource, Resource},
};

/// A tree that was divided, with what its branches own, are granted and are charged.
#[derive(Clone, Copy, Debug)]
pub struct DividedTree<'d> {
    /// The tree.
    pub tree: &'d forest::Tree,
    /// Its division.
    pub dividing: &'d DividingTree,
    /// The sums. None: the tree does not touch the resource.
    pub sums: &'d PerResource<Option<TreeSums>>,
}

/// One ClusterWeightedShare of a tree.
#[derive(Clone, Copy, Debug)]
pub struct Part<'d> {
    /// The object.
    pub object: &'d ClusterWeightedShare,
    /// Its name.
    pub name: &'d str,
    /// The branch that it is in. None: it is the root.
    pub at: Option<BranchIndex>,
}

/// The status of a part of a tree after a decision.
#[must_use]
pub fn status(view: &View, divided: DividedTree, part: Part) -> ClusterWeightedShareStatus {
    let members: Vec<TreeMemberStatus> = part
        .object
        .spec
        .members
        .iter()
        .enumerate()
        .map(|(i, member)| divided.member_status(view, part, i, member))
        .collect();
    let lent = PerResource::from_fn(|resource| {
        divided.sums[resource].as_ref()?;
        let more = |it: &TreeMemberStatus| {
            let [share, fair] = [it.share, it.fair].map(|it| it.get(resource).unwrap_or(0));
            share.saturating_sub(fair)
        };
        Some(members.iter().map(more).fold(0, u64::saturating_add))
    });
    ClusterWeightedShareStatus {
        observed_generation: part.object.metadata.generation,
        conditions: conditions(part.object, divided.verdicts(part, &members), &Time(view.now)),
        capacity: divided.amounts(|resource| divided.capacity(part, resource)),
        allocated: divided.amounts(|resource| Some(divided.sums(part, resource)?.charged)),
        lent: lent.into(),
        member_count: Some(count(members.len())),
        members,
    }
}

/// The status of a ClusterWeightedShare that is not divided.
#[must_use]
pub fn faulty(
    view: &View,
    object: &ClusterWeightedShare,
    fault: &TreeFault,
) -> ClusterWeightedShareStatus {
    let verdict = |type_, holds| Verdict::new(type_, holds, fault.reason(), fault.message());
    let verdicts = [
        verdict(condition::READY, false),
        verdict(condition::RECONCILING, false),
        verdict(condition::STALLED, true),
    ];
    ClusterWeightedShareStatus {
        observed_generation: object.metadata.generation,
        conditions: conditions(object, verdicts, &Time(view.now)),
        capacity: object.spec.capacity,
        member_count: Some(count(object.spec.members.len())),
        ..ClusterWeightedShareStatus::default()
    }
}

impl DividedTree<'_> {
    /// The sums of one resource of a part.
    fn sums(&self, part: Part, resource: Resource) -> Option<Sums> {
        let sums = self.sums[resource].as_ref()?;
        Some(part.at.map_or(sums.root, |branch| sums.branches[branch.0]))
    }

    /// What a part has to divide.
    fn capacity(&self, part: Part, resource: Resource) -> Option<u64> {
        match part.at {
            None => Some(self.dividing[resource].as_ref()?.capacity),
            Some(_) => Some(self.sums(part, resource)?.fair),
        }
    }

    fn amounts(&self, of: impl Fn(Resource) -> Option<u64>) -> Resources {
        PerResource::from_fn(of).into()
    }

    /// The branches of a member: its own, or those of its namespaces where each of them is a member by itself.
    fn branches(&self, part: Part, member: usize) -> Vec<BranchIndex> {
        let all = self.tree.branches.iter().enumerate();
        let of_member = all.filter(|(_, branch)| {
            let is_its =
                matches!(branch.what, What::Member(i) | What::EachNamespace(i, ..) if i == member);
            is_its && branch.tree == part.name
        });
        of_member.map(|(i, _)| BranchIndex(i)).collect()
    }

    fn member_status(
        &self,
        view: &View,
        part: Part,
        index: usize,
        member: &TreeMember,
    ) -> TreeMemberStatus {
        let branches = self.branches(part, index);
        let sum = |of: fn(&Sums) -> u64| {
            self.amounts(|resource| {
                let sums = self.sums[resource].as_ref()?;
                let amounts = branches.iter().map(|branch| of(&sums.branches[branch.0]));
                Some(amounts.fold(0, u64::saturating_add))
            })
        };
        let any = Resource::ALL.into_iter().find_map(|it| self.sums[it].as_ref());
        let counted = |of: fn(&Sums) -> u32| {
            any.map_or(0, |sums| branches.iter().map(|it| of(&sums.branches[it.0])).sum())
        };
        let pools = counted(|it| it.pools);
        let trouble = self.trouble(view, part, member, &branches, pools);
        let (reason, mut message) = trouble.unwrap_or_default();
        message.truncate(message.floor_char_boundary(LONGEST_MESSAGE));
        TreeMemberStatus {
            name: member.name.clone(),
            weight: member.weight,
            effective_weight: self.weight(&branches),
            pools,
            pods: counted(|it| it.pods),
            fair: sum(|it| it.fair),
            share: sum(|it| it.granted),
            applied: sum(|it| it.charged),
            reason: reason.to_owned(),
            message,
        }
    }

    /// What branches weigh, together.
    fn weight(&self, branches: &[BranchIndex]) -> u64 {
        let Some(division) = Resource::ALL.into_iter().find_map(|it| self.dividing[it].as_ref())
        else {
            return 0;
        };
        let laid = &division.acting;
        let weights = branches.iter().map(|branch| laid.tree.branches[branch.0].weight);
        weights.fold(0, u64::saturating_add) / laid.scale
    }

    /// What is wrong with a member, or keeps it from what it is promised.
    fn trouble(
        &self,
        view: &View,
        part: Part,
        member: &TreeMember,
        branches: &[BranchIndex],
        pools: u32,
    ) -> Option<(&'static str, String)> {
        let has_it = |(tree, name): &(String, String)| tree == part.name && *name == member.name;
        let mut contested = view.forest.contested(part.name);
        if let Some((namespace, members)) = contested.find(|(_, it)| it.iter().any(has_it)) {
            let others: Vec<String> = members
                .iter()
                .filter(|it| !has_it(it))
                .map(|(tree, member)| format!("{tree}/{member}"))
                .collect();
            return Some((
                "SeveralMembers",
                format!(
                    "Namespace {namespace} is also in {}, so its pools are not changed. Keep it in one member.",
                    others.join(", ")
                ),
            ));
        }
        let too_small = Resource::ALL.into_iter().find_map(|resource| {
            let division = self.dividing[resource].as_ref()?;
            let divided = &division.acting.division.branches;
            let short = branches.iter().any(|branch| divided[branch.0].too_small);
            short.then(|| {
                format!(
                    "It owns less {resource} than the least that the pods of its pools need, so these go down to that, and nothing \
                     in them grows. Raise its min or its weight, or run fewer pods there."
                )
            })
        });
        if let Some(message) = too_small {
            return Some(("PoolTooSmall", message));
        }
        if let Some(message) = self.unenforced(view, member, branches) {
            return Some(("NotEnforced", message));
        }
        let message =
            "No pool in it takes its capacity from this tree, so the other members share its part.";
        (pools == 0).then(|| ("NoPools", message.to_owned()))
    }

    /// Says in which namespace of a member that enforces its part our quota is missing.
    fn unenforced(
        &self,
        view: &View,
        member: &TreeMember,
        branches: &[BranchIndex],
    ) -> Option<String> {
        if !enforced_quotas::enforces(member) {
            return None;
        }
        let here = |it: &&Branch| {
            let parent = it.parent.is_some_and(|parent| branches.contains(&parent));
            parent || branches.iter().any(|own| std::ptr::eq(&self.tree.branches[own.0], *it))
        };
        let namespaces = self.tree.branches.iter().filter(here).filter_map(|it| match &it.what {
            What::Namespace(name) | What::EachNamespace(_, name, _) => Some(name),
            _ => None,
        });
        let lacks = |name: &&String| {
            view.cluster.namespace(name).is_some_and(|it| it.enforced_quota().is_none())
        };
        let name = namespaces.into_iter().find(lacks)?;
        let is_free = view.cluster.namespace(name).is_some_and(enforced_quotas::is_free);
        let why = match is_free {
            true => {
                "is not there yet. If this stays, set trees.enforce in the chart, so that the controller may write it."
            }
            false => "was not written by this controller. Rename it, or remove enforce.",
        };
        Some(format!("ResourceQuota weightedshare in namespace {name} {why}"))
    }

    fn verdicts(&self, part: Part, members: &[TreeMemberStatus]) -> [Verdict; 4] {
        let moving = members.iter().find(|it| it.applied != it.share);
        let moving = moving.map(|member| {
            let message =
                format!("Pods of member {} are on their way to their shares.", member.name);
            ("Resizing", message)
        });
        let contested = members.iter().find(|it| it.reason == "SeveralMembers");
        let too_small = members.iter().find(|it| it.reason == "PoolTooSmall");
        let trouble = contested.or(too_small);
        let (is_ready, reason, message) = match (trouble, &moving) {
            (Some(member), _) => {
                let message = format!("{}: {}", member.name, member.message);
                let reason = if contested.is_some() { "SeveralMembers" } else { "PoolTooSmall" };
                (false, reason, message)
            }
            (None, Some((reason, message))) => (false, *reason, message.clone()),
            (None, None) if members.is_empty() => {
                (true, "NoMembers", "The tree has no members.".to_owned())
            }
            (None, None) => (true, "Divided", "Every member holds its share.".to_owned()),
        };
        let reconciling = match moving {
            Some((reason, message)) => Verdict::new(condition::RECONCILING, true, reason, message),
            None => Verdict::new(condition::RECONCILING, false, "Settled", "No resize is pending."),
        };
        let stalled = "The tree can be divided.";
        [
            Verdict::new(condition::READY, is_ready, reason, message),
            reconciling,
            Verdict::new(condition::STALLED, false, "NotStalled", stalled),
            self.overcommitment(part),
        ]
    }

    /// The resources of which the minima of a part's members together exceed what it has.
    #[must_use]
    pub fn overcommitted(&self, part: Part) -> PerResource<bool> {
        PerResource::from_fn(|resource| {
            self.dividing[resource].as_ref().is_some_and(|division| {
                let division = &division.acting.division;
                match part.at {
                    None => division.overcommitted,
                    Some(branch) => division.branches[branch.0].overcommitted,
                }
            })
        })
    }

    fn overcommitment(&self, part: Part) -> Verdict {
        let over = self.overcommitted(part);
        let found = Resource::ALL.into_iter().find_map(|resource| {
            let capacity = resource.quantity(self.capacity(part, resource)?);
            over[resource].then(|| {
                format!(
                    "The members' minima exceed the tree's {capacity} of {resource}, so each is cut by weight. Lower some min, or \
                     give the tree more {resource}."
                )
            })
        });
        match found {
            Some(message) => {
                Verdict::new(condition::OVERCOMMITTED, true, "MinAboveCapacity", message)
            }
            None => {
                let message = "The members' minima fit the tree.";
                Verdict::new(condition::OVERCOMMITTED, false, "Fits", message)
            }
        }
    }
}

fn conditions(
    object: &ClusterWeightedShare,
    verdicts: impl IntoIterator<Item = Verdict>,
    now: &Time,
) -> Vec<Condition> {
    let before = object.status.as_ref().map(|it| it.conditions.as_slice()).unwrap_or_default();
    as_conditions(object.metadata.generation, before, verdicts, now)
}

fn count(things: usize) -> u32 {
    u32::try_from(things).unwrap_or(u32::MAX)
}
