//! How the share of one pod came about, in words. Pure.

use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use super::{Looked, containers::ContainerShare, reasons::Story};
use crate::{
    cluster::{Cluster, Namespace},
    engine::{MemberPod, together},
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
    /// No namespace has such a pod.
    #[error("there is no pod {0}: check the name")]
    Nowhere(String),
    /// Several namespaces have such a pod.
    #[error("there is a pod {name} in each of {}: name one with -n", .namespaces.join(", "))]
    Several {
        /// The name.
        name: String,
        /// Where there is one.
        namespaces: Vec<String>,
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

/// Why a pod gets its share.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub name: String,
    /// The pool that it belongs to.
    pub pool: String,
    /// The member that it belongs to.
    pub member: String,
    /// What is to be said of the pod as a whole.
    pub notes: Vec<String>,
    /// Why it gets what it gets, for each resource that the pool divides.
    pub resources: Vec<ResourceExplanation>,
}

/// Why a pod gets its share of one resource. Amounts are whole millicores or bytes.
#[derive(Clone, Debug, Serialize)]
pub struct ResourceExplanation {
    /// The name of the resource.
    pub resource: &'static str,
    /// What the pod is charged now.
    pub from: u64,
    /// Its share.
    pub to: u64,
    /// What it owns.
    pub fair: u64,
    /// What it needs. None: no source has measured it.
    pub demand: Option<u64>,
    /// The share in a sentence.
    #[serde(skip)]
    pub head: String,
    /// How the share came about, in sentences.
    pub reasons: Vec<String>,
    /// What each container gets of it.
    pub containers: Vec<ContainerShare>,
}

impl Explanation {
    /// The explanation for people.
    #[must_use]
    pub fn text(&self) -> String {
        let Self { namespace, name, pool, member, notes, resources } = self;
        let mut lines =
            vec![format!("Pod {namespace}/{name} belongs to member {member} of pool {pool}.")];
        lines.extend(notes.iter().cloned());
        for resource in resources {
            lines.extend([String::new(), resource.head.clone()]);
            lines.extend(resource.reasons.iter().map(|reason| format!("  {reason}")));
            lines.extend(resource.containers.iter().map(|container| format!("  {container}")));
        }
        lines.join("\n") + "\n"
    }
}

/// Says how the share of a pod came about. Without a namespace, the pod may be in any.
///
/// # Errors
/// When there is no such pod, or several, or it has finished, or no pool has it.
pub fn explain(
    looked: &Looked,
    namespace: Option<&str>,
    name: &str,
) -> Result<Explanation, ExplainError> {
    let Looked { cluster, metrics, .. } = looked;
    let namespace = match namespace {
        Some(namespace) => namespace.to_owned(),
        None => namespace_of(cluster, name)?,
    };
    if cluster.pod(&namespace, name).is_none() {
        return Err(match cluster.namespace(&namespace).is_some_and(|it| it.has_finished(name)) {
            true => ExplainError::Finished { namespace, name: name.into() },
            false => no_pod(cluster, namespace, name),
        });
    }
    let is_it = |it: &MemberPod| it.pod.namespace == namespace && it.pod.name == name;
    let preview = looked.preview();
    let view = preview.view(cluster, metrics, Timestamp::UNIX_EPOCH);
    let divisions = preview.divide(&view);
    let divided = &divisions.pools;
    for it in divided {
        let (pool, shares) = it;
        for (i, member) in pool.members.iter().enumerate() {
            if let Some(k) = member.pods.iter().position(&is_it) {
                let together = together(&view, divided, it);
                let branches = &divisions.branches;
                let story =
                    Story { view: &view, branches, pool, shares, together, member: i, pod: k };
                return Ok(story.tell());
            }
        }
    }
    Err(ExplainError::NoPool { namespace, name: name.into() })
}

/// The one namespace that has a pod of this name, running or finished.
fn namespace_of(cluster: &Cluster, name: &str) -> Result<String, ExplainError> {
    let has = |namespace: &Namespace| namespace.pod(name).is_some() || namespace.has_finished(name);
    let found = cluster.namespaces().filter(|(_, it)| has(it));
    let mut namespaces: Vec<String> = found.map(|(namespace, _)| namespace.to_owned()).collect();
    namespaces.sort_unstable();
    match namespaces.len() {
        0 => Err(ExplainError::Nowhere(name.into())),
        1 => Ok(namespaces.remove(0)),
        _ => Err(ExplainError::Several { name: name.into(), namespaces }),
    }
}

/// The error for a pod that is not in the namespace; it names a namespace that has a pod of this name.
fn no_pod(cluster: &Cluster, namespace: String, name: &str) -> ExplainError {
    let elsewhere = cluster.namespaces().find(|(_, it)| it.pod(name).is_some());
    let remedy = match elsewhere {
        Some((namespace, _)) => {
            format!("there is one in namespace {namespace}, so add -n {namespace}")
        }
        None => "check the name, or set its namespace with -n".to_owned(),
    };
    ExplainError::NoPod { namespace, name: name.into(), remedy }
}
