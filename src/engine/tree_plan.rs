//! What is planned for the ClusterWeightedShares: what each of them is to say.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::{
    View,
    conditions::keep_times,
    forest::Tree,
    notices::{self, Notice},
    tree_division::DividingTree,
    tree_room::TreeSums,
    tree_status::{self, DividedTree, Part},
};
use crate::{
    api::{ClusterWeightedShare, ClusterWeightedShareStatus},
    share::PerResource,
};

/// What an event must name of a ClusterWeightedShare.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TreeRef {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Its version.
    pub resource_version: String,
}

impl TreeRef {
    /// Of an object with this name.
    #[must_use]
    pub fn of(name: &str, object: &ClusterWeightedShare) -> Self {
        Self {
            name: name.to_owned(),
            uid: object.metadata.uid.clone().unwrap_or_default(),
            resource_version: object.metadata.resource_version.clone().unwrap_or_default(),
        }
    }
}

/// What one ClusterWeightedShare is to say.
#[derive(Clone, Debug, PartialEq)]
pub struct TreePlan {
    /// The object.
    pub tree: TreeRef,
    /// What the object is to say.
    pub status: Arc<ClusterWeightedShareStatus>,
    /// Whether it says so already.
    pub is_reported: bool,
    /// What became worse since it was last worked out.
    pub notices: Vec<Notice>,
}

/// The last status of each ClusterWeightedShare that was worked out, by name, with the UID of the object.
pub type Noticed = BTreeMap<String, (Option<String>, Arc<ClusterWeightedShareStatus>)>;

/// Plans what the parts of a divided tree are to say.
pub fn plan(
    view: &View,
    tree: &Tree,
    dividing: &DividingTree,
    sums: &PerResource<Option<TreeSums>>,
    noticed: &mut Noticed,
) -> BTreeMap<String, TreePlan> {
    let divided = DividedTree { tree, dividing, sums };
    let of_part = |(name, at): &(String, _)| {
        let object = &view.cluster.tree(name)?.object;
        let part = Part { object, name, at: *at };
        let status = tree_status::status(view, divided, part);
        Some((name.clone(), planned(view, name, object, status, noticed)))
    };
    tree.parts.iter().filter_map(of_part).collect()
}

/// Plans what these ClusterWeightedShares are to say that are not divided.
pub fn plan_faulty<'n>(
    view: &View,
    names: impl Iterator<Item = &'n str>,
    noticed: &mut Noticed,
) -> BTreeMap<String, TreePlan> {
    let faulty = |name: &str| {
        let (tree, fault) = (view.cluster.tree(name)?, view.forest.tree_fault(name)?);
        // Its status could not be written either.
        tree.unreadable.is_none().then_some(())?;
        let status = tree_status::faulty(view, &tree.object, fault);
        Some((name.to_owned(), planned(view, name, &tree.object, status, noticed)))
    };
    names.filter_map(faulty).collect()
}

/// What a ClusterWeightedShare is to say for which nothing was decided, now that its object says something else.
pub fn retell(view: &View, name: &str, noticed: &mut Noticed) -> Option<TreePlan> {
    let object = &view.cluster.tree(name)?.object;
    let (_, before) = noticed.get(name).filter(|(uid, _)| *uid == object.metadata.uid)?;
    let mut status = ClusterWeightedShareStatus::clone(before);
    let said = object.status.iter().flat_map(|status| &status.conditions);
    for shown in said {
        // The API server keeps whole seconds.
        let same = |it: &&mut Condition| it.type_ == shown.type_ && it.status == shown.status;
        if let Some(condition) = status.conditions.iter_mut().find(same) {
            condition.last_transition_time = shown.last_transition_time.clone();
        }
    }
    Some(planned(view, name, object, status, noticed))
}

/// Forgets the ClusterWeightedShares that are gone.
pub fn forget(view: &View, names: &BTreeSet<String>, noticed: &mut Noticed) {
    for name in names {
        let uid = view.cluster.tree(name).map(|tree| &tree.object.metadata.uid);
        if noticed.get(name).is_some_and(|(known, _)| Some(known) != uid) {
            noticed.remove(name);
        }
    }
}

fn planned(
    view: &View,
    name: &str,
    object: &ClusterWeightedShare,
    mut status: ClusterWeightedShareStatus,
    noticed: &mut Noticed,
) -> TreePlan {
    let uid = object.metadata.uid.clone();
    let before = noticed.get(name).filter(|(known, _)| *known == uid).map(|(_, status)| status);
    if let Some(before) = before {
        keep_times(&mut status.conditions, &before.conditions, view.now);
    }
    let known = before.map(|before| &**before).or(object.status.as_ref());
    let known = known.map(|status| status.conditions.as_slice()).unwrap_or_default();
    let notices = notices::of_conditions(known, &status.conditions);
    let same = before.filter(|before| ***before == status).cloned();
    let status = same.unwrap_or_else(|| Arc::new(status));
    let tree = TreeRef::of(name, object);
    noticed.insert(name.to_owned(), (uid, status.clone()));
    TreePlan { tree, is_reported: object.status.as_ref() == Some(&*status), status, notices }
}
