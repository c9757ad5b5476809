//! Which pools a command shows. Pure.

use std::{collections::BTreeSet, fmt};

use clap::Args;
use kube::{
    ResourceExt,
    core::{Selector, SelectorExt},
};

use super::{
    reference::{PoolName, pool_name},
    selector::selector,
};
use crate::{api::WeightedShare, cluster::Cluster};

/// In which namespaces the pools are.
#[derive(Args, Clone, Debug, Default)]
pub struct Scope {
    /// Default: the context's namespace; with files, all.
    #[arg(short, long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// All namespaces.
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
}

/// Which pools are shown.
#[derive(Args, Clone, Debug, Default)]
pub struct PoolChoice {
    /// The pool: NAME or ws/NAME. Default: all pools.
    #[arg(value_name = "POOL", value_parser = pool_name)]
    pub pool: Option<PoolName>,
    /// Where they are.
    #[command(flatten)]
    pub scope: Scope,
    /// Only pools with these labels: app=web,tier!=test.
    #[arg(short = 'l', long, value_parser = selector, conflicts_with = "pool")]
    pub selector: Option<Selector>,
}

/// The pools that are shown.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Their namespace. None: all.
    pub namespace: Option<String>,
    /// The name of the one pool.
    pub pool: Option<String>,
    /// What their labels are.
    pub selector: Option<Selector>,
}

/// A pool by its namespace and name.
pub type PoolKey = (String, String);

/// Why no pool is shown, and what to do.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NoneFound {
    /// What was looked for.
    what: String,
    /// Where it was looked for.
    namespace: Option<String>,
    /// The namespaces that have such pools.
    elsewhere: BTreeSet<String>,
    /// The name may be that of a file.
    is_file: bool,
    /// Whether one pool was named: then it is an error.
    pub is_named: bool,
}

impl Scope {
    /// The namespace to look at, or none for all. `default` is the one of the context.
    #[must_use]
    pub fn namespace(&self, default: Option<&str>) -> Option<String> {
        match self.all_namespaces {
            true => None,
            false => self.namespace.clone().or_else(|| default.map(str::to_owned)),
        }
    }
}

impl PoolChoice {
    /// The pools that are shown. `default` is the namespace of the context, if a cluster is looked at.
    #[must_use]
    pub fn wanted(&self, default: Option<&str>) -> Wanted {
        Wanted {
            namespace: self.scope.namespace(default),
            pool: self.pool.as_ref().map(|pool| pool.0.clone()),
            selector: self.selector.clone(),
        }
    }
}

impl Wanted {
    /// Whether this pool is shown.
    #[must_use]
    pub fn includes(&self, pool: &WeightedShare) -> bool {
        let here = |namespace: &String| pool.namespace().as_ref() == Some(namespace);
        self.namespace.as_ref().is_none_or(here) && self.matches(pool)
    }

    /// Whether this pool would be shown if it were in the namespace.
    fn matches(&self, pool: &WeightedShare) -> bool {
        self.pool.as_ref().is_none_or(|name| pool.name_any() == *name)
            && self.selector.as_ref().is_none_or(|it| it.matches(pool.labels()))
    }

    /// The pools of a cluster that are shown.
    #[must_use]
    pub fn keys(&self, cluster: &Cluster) -> BTreeSet<PoolKey> {
        let all = cluster.pools().filter(|(_, pool)| self.includes(&pool.object));
        all.map(|(id, _)| (id.namespace.clone(), id.name.clone())).collect()
    }

    /// Why no pool of a cluster is shown. None if one is.
    #[must_use]
    pub fn none_found(&self, cluster: &Cluster) -> Option<NoneFound> {
        let pools: Vec<&WeightedShare> = cluster.pools().map(|(_, pool)| &pool.object).collect();
        self.none_among(&pools)
    }

    /// Why none of these pools is shown. None if one is.
    #[must_use]
    pub fn none_among(&self, pools: &[&WeightedShare]) -> Option<NoneFound> {
        if pools.iter().any(|pool| self.includes(pool)) {
            return None;
        }
        let elsewhere = pools.iter().filter(|pool| self.matches(pool));
        let files = [".yaml", ".yml", ".json"];
        Some(NoneFound {
            what: match (&self.pool, &self.selector) {
                (Some(name), _) => format!("WeightedShare {name}"),
                (None, Some(selector)) => format!("WeightedShare with labels {selector}"),
                (None, None) => "WeightedShare".to_owned(),
            },
            namespace: self.namespace.clone(),
            elsewhere: elsewhere.filter_map(|it| it.namespace()).collect(),
            is_file: self.pool.iter().any(|name| files.iter().any(|end| name.ends_with(end))),
            is_named: self.pool.is_some(),
        })
    }
}

impl fmt::Display for NoneFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, namespace, elsewhere, .. } = self;
        match namespace {
            Some(namespace) => write!(f, "namespace {namespace} has no {what}")?,
            None => write!(f, "no namespace has a {what}")?,
        }
        let names: Vec<&str> = elsewhere.iter().map(String::as_str).collect();
        match names[..] {
            [] if self.is_file => f.write_str(": to read a file, write -f before its name"),
            [] if self.is_named => f.write_str(": check the name, or set its namespace with -n"),
            [] if namespace.is_some() => f.write_str(": set another one with -n, or add -A"),
            [] => Ok(()),
            [one] => write!(f, ": namespace {one} has one, so add -n {one}"),
            _ => write!(
                f,
                ": there is one in each of {}, so name one with -n, or add -A",
                names.join(", ")
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::core::ObjectMeta;

    use super::*;

    fn pool(namespace: &str, name: &str, tier: &str) -> WeightedShare {
        let labels = [("tier".to_owned(), tier.to_owned())];
        let metadata = ObjectMeta {
            namespace: Some(namespace.into()),
            name: Some(name.into()),
            labels: Some(labels.into()),
            ..ObjectMeta::default()
        };
        WeightedShare { metadata, ..WeightedShare::default() }
    }

    fn names(wanted: &Wanted) -> Vec<String> {
        let pools = [pool("shop", "a", "web"), pool("shop", "b", "db"), pool("blog", "a", "web")];
        let shown = pools.iter().filter(|it| wanted.includes(it));
        shown.map(|it| format!("{}/{}", it.namespace().unwrap(), it.name_any())).collect()
    }

    #[test]
    fn a_namespace_a_name_and_labels_choose_the_pools() {
        let scope = |namespace: Option<&str>, all_namespaces| Scope {
            namespace: namespace.map(str::to_owned),
            all_namespaces,
        };
        let choose = |scope: Scope| PoolChoice { scope, ..PoolChoice::default() };
        assert_eq!(names(&choose(scope(None, false)).wanted(Some("shop"))), ["shop/a", "shop/b"]);
        assert_eq!(names(&choose(scope(Some("blog"), false)).wanted(Some("shop"))), ["blog/a"]);
        // As in kubectl, -A goes before -n. Files have no context, so all of them are shown.
        assert_eq!(names(&choose(scope(Some("blog"), true)).wanted(Some("shop"))).len(), 3);
        assert_eq!(names(&choose(scope(None, false)).wanted(None)).len(), 3);
        let named = PoolChoice { pool: pool_name("ws/a").ok(), ..PoolChoice::default() };
        assert_eq!(names(&named.wanted(None)), ["shop/a", "blog/a"]);
        let labelled = PoolChoice { selector: selector("tier=db").ok(), ..PoolChoice::default() };
        assert_eq!(names(&labelled.wanted(Some("shop"))), ["shop/b"]);
    }

    #[test]
    fn what_is_not_here_is_said_to_be_elsewhere() {
        let pools = [pool("shop", "a", "web"), pool("blog", "a", "web"), pool("blog", "b", "db")];
        let said = |namespace: Option<&str>, name: Option<&str>| {
            let (namespace, pool) = (namespace.map(str::to_owned), name.map(str::to_owned));
            let wanted = Wanted { namespace, pool, selector: None };
            wanted.none_among(&pools.iter().collect::<Vec<_>>()).map(|none| none.to_string())
        };
        assert_eq!(said(Some("shop"), None), None);
        assert_eq!(
            said(Some("empty"), None).as_deref(),
            Some(
                "namespace empty has no WeightedShare: there is one in each of blog, shop, so name one with -n, or add -A"
            )
        );
        assert_eq!(
            said(Some("shop"), Some("b")).as_deref(),
            Some("namespace shop has no WeightedShare b: namespace blog has one, so add -n blog")
        );
        assert_eq!(
            said(Some("shop"), Some("c")).as_deref(),
            Some(
                "namespace shop has no WeightedShare c: check the name, or set its namespace with -n"
            )
        );
        assert_eq!(
            said(None, Some("pods.yaml")).as_deref(),
            Some(
                "no namespace has a WeightedShare pods.yaml: to read a file, write -f before its name"
            )
        );
    }
}
