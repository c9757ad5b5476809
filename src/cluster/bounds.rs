//! The settings that protect tenants from one another.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Cluster, Pool, PoolId};
use crate::api::WeightedShare;

/// The administrator's settings that protect tenants from one another: how much one namespace may have, its oldest pools first (what
/// is over takes no part, and its status says so), and two rules for nodes that tenants share.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Bounds {
    /// Which namespaces may have pools at all.
    pub namespaces: AllowedNamespaces,
    /// How many pools.
    pub pools: usize,
    /// How many members of all its pools together.
    pub members: usize,
    /// How many characters of the expressions of all its members together.
    pub expressions: usize,
    /// Whether the annotation `weightedshare.dev/started` is trusted: the chart's admission policies guard it.
    pub started_is_guarded: bool,
    /// The percentage (100 at most) of a node's free memory above the stakes that pools can own, if several namespaces have pods there.
    pub node_memory_grow_percent: u8,
}

/// The namespaces in which pools are divided.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct AllowedNamespaces {
    /// Only these. Empty: all.
    pub include: BTreeSet<String>,
    /// Not these, whatever is included.
    pub exclude: BTreeSet<String>,
}

/// Which bound of its namespace a pool is over, and what the bound is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Excess {
    /// The namespace may have no pools.
    Namespace,
    /// Older pools are as many as may be.
    Pools(usize),
    /// With the members of older pools it has too many.
    Members(usize),
    /// With the expressions of older pools its own are too long.
    Expressions(usize),
}

impl Default for Bounds {
    fn default() -> Self {
        let namespaces = AllowedNamespaces::default();
        Self {
            namespaces,
            pools: 100,
            members: 1000,
            expressions: 65_536,
            started_is_guarded: true,
            node_memory_grow_percent: 0,
        }
    }
}

impl Default for AllowedNamespaces {
    /// All but the system's own.
    fn default() -> Self {
        Self { include: BTreeSet::new(), exclude: ["kube-system".to_owned()].into() }
    }
}

impl AllowedNamespaces {
    /// Whether pools of this namespace are divided.
    #[must_use]
    pub fn allow(&self, namespace: &str) -> bool {
        (self.include.is_empty() || self.include.contains(namespace))
            && !self.exclude.contains(namespace)
    }
}

impl Excess {
    /// One word for programs.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Namespace => "NamespaceExcluded",
            Self::Pools(_) => "TooManyPools",
            Self::Members(_) => "TooManyMembers",
            Self::Expressions(_) => "TooLongExpressions",
        }
    }

    /// What is too much, and what to do.
    #[must_use]
    pub fn message(self) -> String {
        let (what, flag) = match self {
            Self::Namespace => {
                return "The controller excludes this namespace, so the pool is not divided. Delete the pool, or ask the administrator of the controller to allow the namespace (--include-namespaces, --exclude-namespaces).".to_owned();
            }
            Self::Pools(most) => (format!("{most} pools"), "pools"),
            Self::Members(most) => (format!("{most} members in all its pools"), "members"),
            Self::Expressions(most) => {
                (format!("{most} characters of expressions in all its pools"), "expressions")
            }
        };
        format!(
            "The namespace may have at most {what}, and older pools come first, so this one is not divided. Delete some, or ask the administrator of the controller for more (--max-{flag})."
        )
    }
}

/// What a pool counts for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Size {
    members: usize,
    expressions: usize,
    /// One that is being deleted counts for nothing.
    is_deleted: bool,
}

impl Size {
    pub fn of(pool: &WeightedShare) -> Self {
        let expressions = pool.spec.members.iter().filter_map(|it| it.dynamic_weight.as_ref());
        Self {
            members: pool.spec.members.len(),
            expressions: expressions.map(|it| it.expression.len()).sum(),
            is_deleted: pool.metadata.deletion_timestamp.is_some(),
        }
    }
}

impl Cluster {
    /// An empty model, in which namespaces are bounded so.
    #[must_use]
    pub fn bounded(bounds: Bounds) -> Self {
        Self { bounds, ..Self::default() }
    }

    /// The administrator's settings.
    #[must_use]
    pub fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// Changes the administrator's settings.
    pub fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = bounds;
        let namespaces: Vec<String> = self.namespaces.keys().cloned().collect();
        namespaces.iter().for_each(|namespace| self.bound(namespace));
        if !self.bounds.started_is_guarded {
            self.disbelieve_what_pods_started_with();
        }
    }

    /// Forgets what annotations of the pods say that were read before: anybody may have written them.
    fn disbelieve_what_pods_started_with(&mut self) {
        let entries = self.namespaces.values_mut().flat_map(|it| it.pods.values_mut());
        for entry in entries {
            let pods = std::iter::once(&mut entry.shown).chain(entry.observed.as_deref_mut());
            for binding in pods.filter_map(|pod| pod.binding.as_mut()) {
                binding.written = None;
            }
        }
    }

    /// Works out anew which pools of a namespace are over a bound.
    pub(super) fn bound(&mut self, namespace: &str) {
        let Some(there) = self.namespaces.get_mut(namespace) else { return };
        let is_allowed = self.bounds.namespaces.allow(namespace);
        let (mut pools, mut members, mut expressions) = (0, 0, 0);
        for (id, pool) in &mut there.pools {
            let Size { members: more, expressions: longer, is_deleted } = pool.size;
            let excess = if is_deleted {
                None
            } else if !is_allowed {
                Some(Excess::Namespace)
            } else if pools + 1 > self.bounds.pools {
                Some(Excess::Pools(self.bounds.pools))
            } else if members + more > self.bounds.members {
                Some(Excess::Members(self.bounds.members))
            } else if expressions + longer > self.bounds.expressions {
                Some(Excess::Expressions(self.bounds.expressions))
            } else {
                (pools, members, expressions) = (pools + 1, members + more, expressions + longer);
                None
            };
            if pool.excess != excess {
                pool.excess = excess;
                self.changes.forest |= pool.object.spec.tree().is_some();
                self.changes.pools.insert(id.clone());
            }
        }
    }

    /// The pools that are over a bound of their namespace, among these.
    pub fn over_bounds<'c>(
        &'c self,
        pools: impl Iterator<Item = &'c PoolId>,
    ) -> impl Iterator<Item = (&'c PoolId, &'c Pool, Excess)> {
        let over = |id: &'c PoolId| {
            let pool = self.pool(id)?;
            Some((id, pool, pool.excess.filter(|_| pool.unreadable.is_none())?))
        };
        pools.filter_map(over)
    }
}
