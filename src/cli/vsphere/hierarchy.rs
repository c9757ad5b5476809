//! Which pool is in which, and the names that they get here.

use std::collections::BTreeMap;

use super::export::ResourcePool;
use crate::{api::label_name, simulate::read::FileError};

/// The pool that vSphere makes for each cluster, and hides.
const ROOT: &str = "Resources";
/// The name of a tree whose cluster has none that can be taken.
const UNNAMED: &str = "vsphere";

/// The pools of one cluster, as a tree. A pool with pools inside is a part of the tree, all others are a namespace each.
#[derive(Debug)]
pub(super) struct Hierarchy {
    pub pools: Vec<ResourcePool>,
    /// The pool above each; none for those at the top.
    parents: Vec<Option<usize>>,
    /// The name of the tree or namespace of each.
    pub names: Vec<String>,
    /// The name of the whole tree.
    pub root: String,
}

impl Hierarchy {
    /// Finds it in the pools of a file. `name` is that of the tree, if the user chose one.
    ///
    /// # Errors
    /// When it is not one tree, or a name cannot be taken.
    pub fn of(
        file: &str,
        mut pools: Vec<ResourcePool>,
        name: Option<&str>,
    ) -> Result<Self, FileError> {
        let mut parents = parents(file, &pools)?;
        let cluster = cluster(file, &pools, &parents)?;
        if let Some(hidden) =
            pools.iter().position(|pool| pool.name == ROOT && pool.parent == cluster)
        {
            // It is the cluster itself.
            pools.remove(hidden);
            parents.remove(hidden);
            let above = |parent: usize| match parent.cmp(&hidden) {
                std::cmp::Ordering::Less => Some(parent),
                std::cmp::Ordering::Equal => None,
                std::cmp::Ordering::Greater => Some(parent - 1),
            };
            parents.iter_mut().for_each(|parent| *parent = parent.and_then(above));
        }
        if pools.is_empty() {
            let problem = format!("{cluster} has no resource pools: there is nothing to divide");
            return Err(FileError::line(file, 2, &problem));
        }
        let root = match name.map_or_else(|| label_name(&cluster), label_name) {
            empty if empty.is_empty() => UNNAMED.to_owned(),
            root => root,
        };
        let names = names(file, &pools, &parents, &root)?;
        Ok(Self { pools, parents, names, root })
    }

    /// The pools in a pool, or at the top of the tree.
    pub fn inside(&self, pool: Option<usize>) -> impl Iterator<Item = usize> + '_ {
        (0..self.pools.len()).filter(move |at| self.parents[*at] == pool)
    }

    /// Whether pools are in this one.
    pub fn is_branch(&self, pool: usize) -> bool {
        self.inside(Some(pool)).next().is_some()
    }

    /// The tree that a pool is a member of.
    pub fn tree_of(&self, pool: usize) -> &str {
        self.parents[pool].map_or(&self.root, |parent| &self.names[parent])
    }
}

/// The pool above each, by what names it beyond its name where the file has that, and by name otherwise.
fn parents(file: &str, pools: &[ResourcePool]) -> Result<Vec<Option<usize>>, FileError> {
    let mut parents = Vec::with_capacity(pools.len());
    for (at, pool) in pools.iter().enumerate() {
        let above: Vec<usize> = match &pool.parent_id {
            Some(parent) => {
                (0..pools.len()).filter(|it| pools[*it].id.as_ref() == Some(parent)).collect()
            }
            None => {
                let named = |it: &usize| *it != at && pools[*it].name == pool.parent;
                (0..pools.len()).filter(named).collect()
            }
        };
        match above.as_slice() {
            [] => parents.push(None),
            [one] => parents.push(Some(*one)),
            [one, other, ..] => {
                let problem = format!(
                    "{} is in {}, but two pools have that name (lines {} and {}): export the columns Id and ParentId, too, or one \
                     cluster at a time",
                    pool.name, pool.parent, pools[*one].line, pools[*other].line
                );
                return Err(FileError::line(file, pool.line, &problem));
            }
        }
    }
    for (at, pool) in pools.iter().enumerate() {
        let mut above = std::iter::successors(Some(at), |it| parents[*it]);
        if above.nth(pools.len()).is_some() {
            let problem = format!("{} is inside itself: correct its Parent", pool.name);
            return Err(FileError::line(file, pool.line, &problem));
        }
    }
    Ok(parents)
}

/// The cluster that the pools at the top are in.
fn cluster(
    file: &str,
    pools: &[ResourcePool],
    parents: &[Option<usize>],
) -> Result<String, FileError> {
    let mut top = pools.iter().zip(parents).filter(|(_, parent)| parent.is_none());
    let cluster = top.next().map(|(pool, _)| pool.parent.clone()).unwrap_or_default();
    match top.find(|(pool, _)| pool.parent != cluster) {
        None => Ok(cluster),
        Some((other, _)) => {
            let problem = format!(
                "{} is in {}, and pools before it are in {cluster}: a tree divides one cluster, so write a file for each, with \
                 Get-Cluster NAME | Get-ResourcePool",
                other.name, other.parent
            );
            Err(FileError::line(file, other.line, &problem))
        }
    }
}

/// A name for each, unique among trees or namespaces. Pools of one name are told apart by what they are in.
fn names(
    file: &str,
    pools: &[ResourcePool],
    parents: &[Option<usize>],
    root: &str,
) -> Result<Vec<String>, FileError> {
    let branch = |at: usize| parents.contains(&Some(at));
    let of = |at: usize| (branch(at), label_name(&pools[at].name));
    let mut shared: BTreeMap<(bool, String), usize> =
        BTreeMap::from([((true, root.to_owned()), 1)]);
    for at in 0..pools.len() {
        *shared.entry(of(at)).or_default() += 1;
    }
    let mut names: Vec<String> = Vec::with_capacity(pools.len());
    for (at, pool) in pools.iter().enumerate() {
        let name = match shared.get(&of(at)) {
            Some(1) => label_name(&pool.name),
            _ => {
                let above = parents[at].map_or(root, |parent| &pools[parent].name);
                label_name(&format!("{above}-{}", pool.name))
            }
        };
        let taken = (0..at).any(|it| branch(it) == branch(at) && names[it] == name);
        if label_name(&pool.name).is_empty() || taken {
            let problem = format!(
                "{:?} makes no name that a namespace or a tree can have beside the others: change it in the file, to one of letters \
                 and digits",
                pool.name
            );
            return Err(FileError::line(file, pool.line, &problem));
        }
        names.push(name);
    }
    Ok(names)
}
