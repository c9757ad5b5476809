//! From ClusterWeightedShares, namespaces and pools to trees.

use std::collections::{BTreeMap, BTreeSet};

use kube::core::{Selector, SelectorExt};

use super::{Branch, Forest, Place, PoolFault, Tree, TreeFault, TreeIndex, What};
use crate::{
    api::{ClusterWeightedShareSpec, TreeMember, TreeWeightPer},
    cluster::{Cluster, PoolId},
    share::BranchIndex,
};

/// A member of a tree: the tree's name, and the member's index.
type MemberOf<'c> = (&'c str, usize);

/// What is known before trees are put together.
struct Seen<'c> {
    cluster: &'c Cluster,
    /// The ClusterWeightedShares that can be read.
    specs: BTreeMap<&'c str, &'c ClusterWeightedShareSpec>,
    /// The members that have each ClusterWeightedShare.
    parents: BTreeMap<&'c str, Vec<MemberOf<'c>>>,
    /// The members that have each namespace.
    namespaces: BTreeMap<&'c str, Vec<MemberOf<'c>>>,
    /// The namespaces of each member that no other has.
    of_member: BTreeMap<MemberOf<'c>, Vec<&'c str>>,
    /// The pools of each namespace that name each tree, by name.
    pools: BTreeMap<(&'c str, &'c str), Vec<&'c PoolId>>,
}

/// The trees of a cluster.
pub(super) fn forest(cluster: &Cluster) -> Forest {
    let seen = Seen::of(cluster);
    let faults = seen.faults();
    let mut forest = Forest { contested: seen.contested(), ..Forest::default() };
    for &name in seen.specs.keys().filter(|name| !seen.parents.contains_key(**name)) {
        if faults.contains_key(name) {
            continue;
        }
        let index = TreeIndex(forest.trees.len());
        let mut tree = Tree { name: name.to_owned(), parts: Vec::new(), branches: Vec::new() };
        seen.add_tree(name, None, &mut tree);
        let places = tree.pools().map(|(branch, id)| (id.clone(), Place { tree: index, branch }));
        forest.places.extend(places);
        forest.trees.push(tree);
    }
    forest.homeless = seen.homeless(&forest);
    forest.faults = faults.into_iter().map(|(name, fault)| (name.to_owned(), fault)).collect();
    forest
}

impl<'c> Seen<'c> {
    fn of(cluster: &'c Cluster) -> Self {
        let readable = cluster.trees().filter(|(_, tree)| tree.unreadable.is_none());
        let specs: BTreeMap<&str, &ClusterWeightedShareSpec> =
            readable.map(|(name, tree)| (name, &tree.object.spec)).collect();
        let mut seen = Self {
            cluster,
            specs,
            parents: BTreeMap::new(),
            namespaces: BTreeMap::new(),
            of_member: BTreeMap::new(),
            pools: BTreeMap::new(),
        };
        for (&tree, spec) in &seen.specs {
            for (i, member) in spec.members.iter().enumerate() {
                if let Some(child) = &member.cluster_weighted_share {
                    seen.parents.entry(&child.name).or_default().push((tree, i));
                }
                for namespace in namespaces_of(cluster, member) {
                    seen.namespaces.entry(namespace).or_default().push((tree, i));
                }
            }
        }
        for (namespace, members) in &seen.namespaces {
            if let [member] = members[..] {
                seen.of_member.entry(member).or_default().push(namespace);
            }
        }
        for (id, pool) in cluster.pools().filter(|(_, pool)| pool.is_live()) {
            if let Some(tree) = pool.object.spec.tree() {
                seen.pools.entry((tree, &id.namespace)).or_default().push(id);
            }
        }
        seen.pools.values_mut().for_each(|pools| pools.sort_by(|a, b| a.name.cmp(&b.name)));
        seen
    }

    /// What is wrong with trees. A fault in one part of a tree is one of all its parts.
    fn faults(&self) -> BTreeMap<&'c str, TreeFault> {
        let mut faults: BTreeMap<&str, TreeFault> = BTreeMap::new();
        for (name, tree) in self.cluster.trees() {
            let fault = match &tree.unreadable {
                Some(why) => Some(TreeFault::Unreadable(why.clone())),
                None => self.fault(name, &tree.object.spec),
            };
            faults.extend(fault.map(|fault| (name, fault)));
        }
        let origins: Vec<&str> = faults.keys().copied().collect();
        for origin in origins {
            for other in self.connected(origin) {
                faults.entry(other).or_insert_with(|| TreeFault::OtherPart(origin.to_owned()));
            }
        }
        faults
    }

    /// What is wrong with a tree itself.
    fn fault(&self, name: &'c str, spec: &ClusterWeightedShareSpec) -> Option<TreeFault> {
        let has_capacity = !spec.capacity.is_empty() || spec.nodes.is_some();
        let parents = self.parents.get(name).map(Vec::as_slice).unwrap_or_default();
        let missing = spec.members.iter().find_map(|member| {
            let child = member.cluster_weighted_share.as_ref()?;
            let is_missing = self.cluster.tree(&child.name).is_none();
            is_missing.then(|| TreeFault::MemberNotFound {
                member: member.name.clone(),
                tree: child.name.clone(),
            })
        });
        if missing.is_some() {
            return missing;
        }
        match parents {
            [] if has_capacity => None,
            [] => Some(TreeFault::NoCapacity),
            [(parent, _)] if has_capacity => {
                Some(TreeFault::CapacityOfItsOwn((*parent).to_owned()))
            }
            [_] => self.cycle(name),
            several => Some(TreeFault::SeveralParents(self.named(several))),
        }
    }

    /// The way from a tree up to itself, where there is one.
    fn cycle(&self, name: &'c str) -> Option<TreeFault> {
        let mut path = vec![name.to_owned()];
        let mut next = name;
        let mut passed = BTreeSet::new();
        while passed.insert(next) {
            let [(parent, _)] = self.parents.get(next)?[..] else { return None };
            path.push(parent.to_owned());
            if parent == name {
                // From the top down, as the members name them.
                path.reverse();
                return Some(TreeFault::Cycle(path));
            }
            next = parent;
        }
        None
    }

    /// The trees that hang together with one, in either direction.
    fn connected(&self, name: &'c str) -> BTreeSet<&'c str> {
        let (mut found, mut next) = (BTreeSet::new(), vec![name]);
        while let Some(name) = next.pop() {
            if !found.insert(name) {
                continue;
            }
            let above = self.parents.get(name).into_iter().flatten().map(|(tree, _)| *tree);
            let members = self.specs.get(name).into_iter().flat_map(|spec| &spec.members);
            let below = members.filter_map(|it| Some(&*it.cluster_weighted_share.as_ref()?.name));
            next.extend(above.chain(below));
        }
        found.retain(|name| self.cluster.tree(name).is_some());
        found
    }

    /// The namespaces that several members have.
    fn contested(&self) -> BTreeMap<String, Vec<(String, String)>> {
        let several = self.namespaces.iter().filter(|(_, members)| members.len() > 1);
        several.map(|(name, members)| ((*name).to_owned(), self.named(members))).collect()
    }

    /// The names of members, with those of their trees.
    fn named(&self, members: &[MemberOf]) -> Vec<(String, String)> {
        let name =
            |&(tree, i): &MemberOf| (tree.to_owned(), self.specs[tree].members[i].name.clone());
        members.iter().map(name).collect()
    }

    /// Adds the members of a tree, and what is in them, below a branch.
    fn add_tree(&self, name: &'c str, parent: Option<BranchIndex>, tree: &mut Tree) {
        tree.parts.push((name.to_owned(), parent));
        let members = &self.specs[name].members;
        let mut order: Vec<usize> = (0..members.len()).collect();
        order.sort_by_key(|&i| &members[i].name);
        for i in order {
            let namespaces = self.of_member.get(&(name, i)).map(Vec::as_slice).unwrap_or_default();
            if members[i].weight_per == TreeWeightPer::Namespace {
                // Only those that have pools share the weight.
                let with_pools =
                    namespaces.iter().filter(|it| self.pools.contains_key(&(name, **it)));
                let count = with_pools.clone().count() as u64;
                for namespace in with_pools {
                    let what = What::EachNamespace(i, (*namespace).to_owned(), count);
                    self.add_namespace(name, namespace, what, parent, tree);
                }
                continue;
            }
            let branch =
                push(tree, Branch { parent, tree: name.to_owned(), what: What::Member(i) });
            match &members[i].cluster_weighted_share {
                Some(child) => self.add_tree(&child.name, Some(branch), tree),
                None => {
                    for namespace in namespaces {
                        let what = What::Namespace((*namespace).to_owned());
                        self.add_namespace(name, namespace, what, Some(branch), tree);
                    }
                }
            }
        }
    }

    /// Adds a namespace and its pools. One without pools has no part.
    fn add_namespace(
        &self,
        name: &str,
        namespace: &str,
        what: What,
        parent: Option<BranchIndex>,
        tree: &mut Tree,
    ) {
        let Some(pools) = self.pools.get(&(name, namespace)) else { return };
        let branch = |parent, what| Branch { parent, tree: name.to_owned(), what };
        let parent = Some(push(tree, branch(parent, what)));
        for &id in pools {
            push(tree, branch(parent, What::Pool(id.clone())));
        }
    }

    /// The pools that name a tree and have no place in it.
    fn homeless(&self, forest: &Forest) -> BTreeMap<PoolId, PoolFault> {
        let named =
            self.pools.iter().flat_map(|((tree, _), ids)| ids.iter().map(move |id| (*id, *tree)));
        let homeless = named.filter(|(id, _)| forest.place(id).is_none());
        homeless.map(|(id, tree)| (id.clone(), self.pool_fault(id, tree))).collect()
    }

    fn pool_fault(&self, id: &PoolId, tree: &str) -> PoolFault {
        let members = self.namespaces.get(&*id.namespace).map(Vec::as_slice).unwrap_or_default();
        if self.cluster.tree(tree).is_none() {
            return PoolFault::TreeNotFound(tree.to_owned());
        }
        match members {
            [(name, _)] if *name == tree => PoolFault::TreeNotDivided(tree.to_owned()),
            [] if self.cluster.tree(tree).is_some_and(|it| it.unreadable.is_some()) => {
                PoolFault::TreeNotDivided(tree.to_owned())
            }
            [] => PoolFault::NamespaceNotInTree { tree: tree.to_owned(), other: None },
            [(name, _)] => {
                let other = Some((*name).to_owned());
                PoolFault::NamespaceNotInTree { tree: tree.to_owned(), other }
            }
            several => PoolFault::SeveralMembers(self.named(several)),
        }
    }
}

/// Adds a branch.
fn push(tree: &mut Tree, branch: Branch) -> BranchIndex {
    tree.branches.push(branch);
    BranchIndex(tree.branches.len() - 1)
}

/// The namespaces of a member, by name.
fn namespaces_of<'c>(cluster: &'c Cluster, member: &'c TreeMember) -> Vec<&'c str> {
    if let Some(selector) = &member.namespace_selector {
        // What the API server took can be read.
        let Ok(selector) = Selector::try_from(selector.clone()) else { return Vec::new() };
        let matches = |(name, namespace): (&'c str, &'c crate::cluster::Namespace)| {
            selector.matches(namespace.labels()?).then_some(name)
        };
        return cluster.namespaces().filter_map(matches).collect();
    }
    member.namespaces.iter().map(String::as_str).collect::<BTreeSet<_>>().into_iter().collect()
}
