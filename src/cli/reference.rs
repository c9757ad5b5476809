//! Names of objects as kubectl takes them: NAME or TYPE/NAME. Pure.

use std::fmt;

/// The name of a pool, read from `NAME` or `TYPE/NAME`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PoolName(pub String);

/// The name of a pod, read from `NAME` or `TYPE/NAME`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PodName(pub String);

/// The name of a pool or of a tree, read from `NAME` or `TYPE/NAME`. Without a type it is a pool.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ObjectName {
    /// A WeightedShare.
    Pool(String),
    /// A ClusterWeightedShare.
    Tree(String),
}

/// The types that name a pool, the shortest first.
const POOLS: [&str; 5] = [
    "ws",
    "weightedshare",
    "weightedshares",
    "weightedshare.weightedshare.dev",
    "weightedshares.weightedshare.dev",
];
/// The types that name a tree, the shortest first.
const TREES: [&str; 5] = [
    "cws",
    "clusterweightedshare",
    "clusterweightedshares",
    "clusterweightedshare.weightedshare.dev",
    "clusterweightedshares.weightedshare.dev",
];
/// The types that name a pod, the shortest first.
const PODS: [&str; 3] = ["po", "pod", "pods"];

/// Reads the name of a pool.
///
/// # Errors
/// When the type is not one of a pool, or there is no name.
pub fn pool_name(text: &str) -> Result<PoolName, String> {
    name(text, "pool", &POOLS).map(PoolName)
}

/// Reads the name of a pool or of a tree.
///
/// # Errors
/// When the type is not one of these, or there is no name.
pub fn object_name(text: &str) -> Result<ObjectName, String> {
    let is_tree = |type_: &str| TREES.contains(&type_.to_lowercase().as_str());
    match text.split_once('/') {
        Some((type_, name)) if is_tree(type_) && !name.is_empty() && !name.contains('/') => {
            Ok(ObjectName::Tree(name.to_owned()))
        }
        _ => match name(text, "pool", &POOLS) {
            Ok(name) => Ok(ObjectName::Pool(name)),
            Err(problem) => Err(format!("{problem}; or cws/NAME for a tree")),
        },
    }
}

/// Reads the name of a pod.
///
/// # Errors
/// When the type is not one of a pod, or there is no name.
pub fn pod_name(text: &str) -> Result<PodName, String> {
    name(text, "pod", &PODS).map(PodName)
}

fn name(text: &str, what: &str, types: &[&str]) -> Result<String, String> {
    let (type_, name) = match text.split_once('/') {
        Some((type_, name)) => (Some(type_), name),
        None => (None, text),
    };
    let known = |type_: &str| types.contains(&type_.to_lowercase().as_str());
    if type_.is_some_and(|type_| !known(type_)) || name.is_empty() || name.contains('/') {
        let forms: Vec<String> = types.iter().map(|type_| format!("{type_}/NAME")).collect();
        return Err(format!("this does not name a {what}: write NAME or {}", forms.join(", ")));
    }
    Ok(name.to_owned())
}

impl ObjectName {
    /// The name of the pool, if it is one.
    #[must_use]
    pub fn pool(&self) -> Option<&str> {
        match self {
            Self::Pool(name) => Some(name),
            Self::Tree(_) => None,
        }
    }
}

impl fmt::Display for PoolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for PodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_a_type_or_none() {
        let pod = |text: &str| pod_name(text).map(|it| it.0);
        for text in ["search-1", "po/search-1", "pod/search-1", "pods/search-1", "Pod/search-1"] {
            assert_eq!(pod(text).as_deref(), Ok("search-1"), "{text}");
        }
        let pool = |text: &str| pool_name(text).map(|it| it.0);
        for type_ in POOLS {
            assert_eq!(pool(&format!("{type_}/shop")).as_deref(), Ok("shop"), "{type_}");
        }
        assert_eq!(pool("shop.v1").as_deref(), Ok("shop.v1"));
    }

    #[test]
    fn a_tree_has_its_type() {
        let tree = Ok(ObjectName::Tree("company".into()));
        for type_ in TREES {
            assert_eq!(object_name(&format!("{type_}/company")), tree, "{type_}");
        }
        assert_eq!(object_name("CWS/company"), tree);
        assert_eq!(object_name("company").unwrap().pool(), Some("company"));
        assert_eq!(object_name("ws/company").unwrap().pool(), Some("company"));
        for text in ["cws/", "cws/a/b", "pod/company"] {
            assert!(object_name(text).unwrap_err().ends_with("or cws/NAME for a tree"), "{text}");
        }
    }

    #[test]
    fn a_wrong_type_says_which_are_right() {
        assert_eq!(
            pod_name("deployment/search").unwrap_err(),
            "this does not name a pod: write NAME or po/NAME, pod/NAME, pods/NAME"
        );
        assert!(
            pool_name("pod/shop")
                .unwrap_err()
                .contains("write NAME or ws/NAME, weightedshare/NAME")
        );
        for text in ["", "ws/", "/shop", "ws/shop/shop"] {
            assert!(pool_name(text).is_err(), "{text:?}");
        }
    }
}
