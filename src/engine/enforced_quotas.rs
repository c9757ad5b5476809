//! The ResourceQuotas that keep namespaces of trees to their part at admission, where the administrator wants it.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    View,
    forest::{Tree, What},
    tree_division::{DividingTree, Division},
    tree_plan::TreeRef,
    tree_room::{Sums, TreeSums},
};
use crate::{
    api::{Enforce, Resources, TreeMember},
    cluster::{ENFORCED_QUOTA, Namespace, Owner, Quota},
    share::{BranchIndex, Claim, PerResource, Resource, fill},
};

/// What our ResourceQuota in a namespace is to have.
#[derive(Clone, Debug, PartialEq)]
pub struct EnforcedQuota {
    /// The ClusterWeightedShare that has the member: the quota goes when it does.
    pub tree: TreeRef,
    /// The most that the namespace's pods may request together.
    pub hard: Resources,
}

/// What becomes of our quotas, by namespace. None: it is to be removed.
pub type EnforcedQuotas = BTreeMap<String, Option<EnforcedQuota>>;

/// A quota that is a little larger than it has to be stands: within a twentieth, or less than this.
const LITTLE: PerResource<u64> = PerResource { cpu: 10, memory: 16 << 20 };

/// What is to be written for these namespaces of a tree.
pub fn plan(
    view: &View,
    tree: &Tree,
    dividing: &DividingTree,
    sums: &PerResource<Option<TreeSums>>,
    namespaces: &BTreeSet<&str>,
) -> EnforcedQuotas {
    let mut quotas = EnforcedQuotas::new();
    let some_enforce = tree.branches.iter().any(|it| it.member(view.cluster).is_some_and(enforces));
    let entitled = PerResource::from_fn(|resource| {
        let (division, sums) = (dividing[resource].as_ref()?, sums[resource].as_ref()?);
        some_enforce.then(|| entitled(view, tree, division, sums, resource))
    });
    for (i, branch) in tree.branches.iter().enumerate() {
        let (name, member) = match &branch.what {
            What::EachNamespace(_, name, _) => (name, branch.member(view.cluster)),
            What::Namespace(name) => {
                let above = branch.parent.and_then(|it| tree.branches.get(it.0));
                (name, above.and_then(|it| it.member(view.cluster)))
            }
            _ => continue,
        };
        let Some(namespace) = view.cluster.namespace(name) else { continue };
        if !namespaces.contains(&**name) {
            continue;
        }
        let known = namespace.enforced_quota();
        if !member.is_some_and(enforces) {
            if known.is_some() {
                quotas.insert(name.clone(), None);
            }
            continue;
        }
        let part = Part { view, namespace, sums, entitled: &entitled, branch: BranchIndex(i) };
        let hard = part.hard(known);
        let says = known.is_some_and(|known| {
            known.of_tree.as_ref() == Some(&branch.tree) && requests(known) == hard
        });
        let owner =
            view.cluster.tree(&branch.tree).map(|tree| TreeRef::of(&branch.tree, &tree.object));
        if let Some(tree) = owner.filter(|_| !says && is_free(namespace)) {
            quotas.insert(name.clone(), Some(EnforcedQuota { tree, hard }));
        }
    }
    quotas
}

/// Our quotas in namespaces that no tree has any more, or that have no pool in it.
#[must_use]
pub fn left_behind(view: &View) -> EnforcedQuotas {
    let mut wanted: BTreeSet<&str> = BTreeSet::new();
    let mut divided: BTreeSet<&str> = BTreeSet::new();
    for (_, tree) in view.forest.trees() {
        divided.extend(tree.parts.iter().map(|(name, _)| &**name));
        wanted.extend(tree.branches.iter().filter_map(|branch| match &branch.what {
            What::Namespace(name) | What::EachNamespace(_, name, _) => Some(&**name),
            _ => None,
        }));
    }
    let ours = view.cluster.namespaces().filter(|(name, namespace)| {
        // Of a tree with a fault nothing is changed, and with a tree that is gone its quotas go.
        let tree = namespace.enforced_quota().and_then(|it| it.of_tree.as_deref());
        tree.is_some_and(|tree| divided.contains(tree)) && !wanted.contains(name)
    });
    ours.map(|(name, _)| (name.to_owned(), None)).collect()
}

/// Whether quotas are written for a member.
#[must_use]
pub fn enforces(member: &TreeMember) -> bool {
    member.enforce == Some(Enforce::ResourceQuota)
}

/// Whether no quota of others has the name of ours.
#[must_use]
pub fn is_free(namespace: &Namespace) -> bool {
    namespace.quotas().all(|quota| quota.name != ENFORCED_QUOTA || quota.of_tree.is_some())
}

/// A namespace in a tree.
struct Part<'p, 'a> {
    view: &'p View<'a>,
    namespace: &'p Namespace,
    sums: &'p PerResource<Option<TreeSums>>,
    entitled: &'p PerResource<Option<Vec<u64>>>,
    branch: BranchIndex,
}

impl Part<'_, '_> {
    /// What its quota is to have: what the namespace is entitled to and borrows, with room for one more pod, so that new pods can
    /// come one after the other, as long as the others shrink for them. Never less than its pods hold.
    fn hard(&self, known: Option<&Quota>) -> Resources {
        let more = self.one_more();
        PerResource::from_fn(|resource| {
            let Sums { fair, granted, .. } =
                *self.sums[resource].as_ref()?.branches.get(self.branch.0)?;
            let held = self.namespace.pods().filter(|pod| !pod.is_overdue(self.view.now));
            // What nodes still hold for pods that shrink, a quota does not count.
            let held = held.map(|pod| pod.holding(resource, |_| None).requested());
            let held = held.fold(0, u64::saturating_add);
            let entitled = *self.entitled[resource].as_ref()?.get(self.branch.0)?;
            let borrowed = granted.saturating_sub(fair);
            let wanted = entitled.saturating_add(borrowed).saturating_add(more[resource]);
            let least = wanted.max(held);
            let known = known.and_then(|known| known.requests[resource]).map(|it| it.hard);
            let most = least.saturating_add((least / 20).max(LITTLE[resource]));
            Some(known.filter(|known| (least..=most).contains(known)).unwrap_or(least))
        })
        .into()
    }

    /// The charge of one more pod of the largest workload that has pods there.
    fn one_more(&self) -> PerResource<u64> {
        let owners = self.namespace.pods().filter_map(|pod| pod.owner.as_ref());
        let owners: BTreeSet<&Owner> = owners.collect();
        let of = |owner: &Owner| {
            let workload = self.view.cluster.workload(owner)?;
            Some(self.view.cluster.one_more(owner, workload))
        };
        let all: Vec<PerResource<u64>> = owners.into_iter().filter_map(of).collect();
        PerResource::from_fn(|resource: Resource| {
            all.iter().map(|it| it[resource]).max().unwrap_or_default()
        })
    }
}

/// What each branch of a tree would own by weight, min and max alone, whatever its pods need at least: so no flood of pods raises it.
/// In units of the resource.
fn entitled(
    view: &View,
    tree: &Tree,
    division: &Division,
    sums: &TreeSums,
    resource: Resource,
) -> Vec<u64> {
    let mut children: BTreeMap<Option<BranchIndex>, Vec<usize>> = BTreeMap::new();
    for (i, branch) in tree.branches.iter().enumerate() {
        if sums.branches[i].pods > 0 {
            children.entry(branch.parent).or_default().push(i);
        }
    }
    let mut entitled = vec![0; tree.branches.len()];
    // A parent comes before its children.
    for (parent, children) in children {
        let all = parent.map_or(division.capacity, |parent| entitled[parent.0]);
        let claim = |&i: &usize| {
            let member = tree.branches[i].member(view.cluster);
            let bound =
                |of: fn(&TreeMember) -> &Resources| member.and_then(|it| of(it).get(resource));
            let hi = bound(|it| &it.max).unwrap_or(u64::MAX).min(all);
            let lo = bound(|it| &it.min).unwrap_or_default().min(hi);
            Claim { weight: division.acting.tree.branches[i].weight, lo, hi }
        };
        let claims: Vec<Claim> = children.iter().map(claim).collect();
        for (i, part) in children.into_iter().zip(fill(&claims, all)) {
            entitled[i] = part;
        }
    }
    entitled
}

/// What a quota has for requests.
fn requests(quota: &Quota) -> Resources {
    PerResource::from_fn(|resource| quota.requests[resource].map(|it| it.hard)).into()
}
