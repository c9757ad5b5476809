//! What must hold, judged at each write and at the end.

use std::{fmt, sync::Arc, time::Duration};

use http::Method;
use serde_json::Value;

use super::{
    amounts::{RESOURCES, amount, charge, class, limit, list, parts, request, status_of, text},
    cluster::Cluster,
    server::Call,
    store::{Key, Kind},
    trees,
};

/// What is checked. Each has a planted bug that it finds.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Oracle {
    /// No write of ours raises what a pool is charged above its capacity, or raises an excess.
    Pool,
    /// No write of ours asks for more than its node has confirmed free.
    Node,
    /// Each member holds its min in the end, or its status says why not.
    Min,
    /// Classes stay, limits stay but for Guaranteed pods, containers stay, and only cpu and memory move.
    Shape,
    /// Nothing is written but resizes, status, our finalizer, with what new pods start, events and leases.
    Writes,
    /// While nothing happens, nothing is written.
    Quiet,
    /// One change costs a bounded number of resizes.
    Bounded,
    /// The end is that of a run without faults.
    End,
    /// In the end each pool says how it stands, and those that were deleted are gone.
    Told,
    /// The controller runs until it is stopped.
    Alive,
    /// A decision that looks at what changed is that of an engine which looks at everything.
    FromNothing,
    /// An edit is decided within 250 ms, whatever else goes on.
    Progress,
    /// What decisions want is sent, and in the end they want nothing.
    FixedPoint,
    /// No pod is resized and resized back while nothing changes.
    Flaps,
    /// No memory limit goes under what the pod uses.
    InUse,
    /// What is done in one namespace resizes no pod of another where nodes have room, and takes no stake where they are full.
    Isolation,
    /// In the end, what a pool says of its members is so.
    Reasons,
    /// What a plan says of the beginning is what pods hold in the end, where nothing else happens.
    Planned,
}

#[derive(Clone, Debug)]
pub struct Violation {
    pub oracle: Oracle,
    pub at: Duration,
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {:.3} s: {}", self.oracle, self.at.as_secs_f64(), self.what)
    }
}

/// What a turn rests on may be that old when its writes arrive.
const TURN: Duration = Duration::from_millis(500);

impl Cluster {
    pub fn violate(&mut self, oracle: Oracle, what: String) {
        let at = self.elapsed();
        self.violations.push(Violation { oracle, at, what });
    }

    /// The pool that a pod belongs to: the oldest that matches it, then by name.
    pub fn pool_of(&self, pod: &Value) -> Option<Arc<Value>> {
        let matching = self.store.of_kind("weightedshares").filter(|pool| {
            pool["metadata"]["deletionTimestamp"].is_null()
                && pool["metadata"]["namespace"] == pod["metadata"]["namespace"]
                && member_of(pool, pod).is_some()
        });
        let age = |pool: &&Arc<Value>| {
            let text = |path| text(pool, path).to_owned();
            (text("/metadata/creationTimestamp"), text("/metadata/name"))
        };
        matching.min_by_key(age).cloned()
    }

    /// The earliest time at which the turn can have looked that a write is of.
    fn snapshot_at(&self, instance: usize, kind: Kind) -> Duration {
        let listed = self.instances[instance].listed.get(kind).copied().unwrap_or_default();
        let age = TURN + self.slowest_decision() + self.held_for;
        self.elapsed().saturating_sub(age).max(listed)
    }

    /// This very pod as the instance knew it when it began its turn. A pod that came later is no excess.
    fn known(&self, instance: usize, pod: &Value) -> Option<&Arc<Value>> {
        let before = self.snapshot_at(instance, "pods");
        let key = super::store::Store::key("pods", pod);
        let told = self.instances[instance].told.get(&key).map(Vec::as_slice).unwrap_or_default();
        let known = told.iter().rev().find(|(at, _)| *at <= before)?.1.as_ref()?;
        (known["metadata"]["uid"] == pod["metadata"]["uid"]).then_some(known)
    }

    /// The most that the instance could take an amount of an object to be: as it is, or as it was last told.
    fn most(&self, instance: usize, key: &Key, of: impl Fn(&Value) -> Option<u64>) -> Option<u64> {
        let before = self.snapshot_at(instance, key.0);
        let told = self.instances[instance].told.get(key).map(Vec::as_slice).unwrap_or_default();
        let known = told.iter().rposition(|(at, _)| *at <= before).unwrap_or(0);
        let versions = told[known..].iter().filter_map(|(_, it)| it.as_ref());
        versions.chain(self.store.objects.get(key)).filter_map(|it| of(it)).max()
    }

    /// Judges what is asked for at all.
    pub fn judge_call(&mut self, _instance: usize, call: &Call, kind: Kind, sub: Option<&str>) {
        let right = match (&call.method, kind, sub) {
            (&Method::PATCH, "pods", Some("resize"))
            | (&Method::PATCH, "weightedshares" | "clusterweightedshares", Some("status"))
            | (&Method::PATCH, "startprofiles", None) => true,
            (&Method::POST, "events", None) => true,
            (&(Method::POST | Method::PUT | Method::PATCH), "leases", None) => true,
            (&Method::PATCH, "weightedshares", None) => {
                let patch = call.json();
                let fields =
                    patch.as_object().into_iter().flatten().all(|(name, _)| name == "metadata");
                let mut metadata = patch["metadata"].as_object().into_iter().flatten();
                fields
                    && metadata.all(|(name, _)| name == "finalizers" || name == "resourceVersion")
            }
            _ => false,
        };
        if !right {
            self.violate(
                Oracle::Writes,
                format!("{} {}: that was not asked for", call.method, call.path),
            );
        }
    }

    /// Judges a resize that is about to be made.
    pub fn judge_resize(&mut self, instance: usize, before: &Value, after: &Value) {
        let name = text(after, "/metadata/name").to_owned();
        let pool = self.pool_of(before);
        self.judge_shape(before, after, pool.is_some());
        for resource in RESOURCES {
            let (from, to) = (charge(before, resource), charge(after, resource));
            if to <= from {
                continue;
            }
            let itself = |pod: &Value| pod["metadata"]["uid"] == before["metadata"]["uid"];
            let pods = self.store.of_kind("pods");
            let known: Vec<&Arc<Value>> =
                pods.filter(|pod| itself(pod) || self.known(instance, pod).is_some()).collect();
            let is_lost = |pod: &Value| {
                let node = text(pod, "/spec/nodeName");
                !pod["metadata"]["deletionTimestamp"].is_null()
                    && self.store.get("nodes", "", node).is_none()
            };
            let sum = |counts: &dyn Fn(&Value) -> bool| -> u64 {
                known.iter().filter(|pod| counts(pod)).map(|pod| charge(pod, resource)).sum()
            };
            let mut found = Vec::new();
            if let Some(pool) = &pool {
                // A pool that takes its capacity from a tree may borrow from the others of the tree: together they have what that has.
                let key = match in_tree(pool) {
                    true => ("clusterweightedshares", String::new(), trees::NAME.to_owned()),
                    false => super::store::Store::key("weightedshares", pool),
                };
                let with_it = |it: &Value| match in_tree(pool) {
                    true => in_tree(it) && it["metadata"]["deletionTimestamp"].is_null(),
                    false => it["metadata"]["uid"] == pool["metadata"]["uid"],
                };
                let of_pool =
                    |pod: &Value| !is_lost(pod) && self.pool_of(pod).is_some_and(|it| with_it(&it));
                let charged = sum(&of_pool);
                let capacity = |it: &Value| amount(resource, &it["spec"]["capacity"][resource]);
                let most = self.most(instance, &key, capacity).unwrap_or(0);
                if with_it(pool) && charged - from + to > most {
                    let which = &key.2;
                    found.push((Oracle::Pool, format!(
                        "{name} {resource} {from} -> {to}: {which} is charged {} of {most} (before: {charged})",
                        charged - from + to
                    )));
                }
            }
            let node = text(after, "/spec/nodeName").to_owned();
            // Where the scheduler has put it meanwhile, the instance cannot know.
            let placed = |pod: &Value| {
                let known = self.known(instance, pod);
                itself(pod) || known.is_some_and(|it| text(it, "/spec/nodeName") == node)
            };
            let charged = sum(&|pod| text(pod, "/spec/nodeName") == node && placed(pod));
            let key = ("nodes", String::new(), node.clone());
            let allocatable =
                |node: &Value| amount(resource, &node["status"]["allocatable"][resource]);
            let most = self.most(instance, &key, allocatable).unwrap_or(0);
            if charged - from + to > most {
                found.push((Oracle::Node, format!(
                    "{name} {resource} {from} -> {to}: node {node:?} holds {} of {most} (before: {charged})",
                    charged - from + to
                )));
            }
            for (oracle, what) in found {
                self.violate(oracle, what);
            }
        }
    }

    fn judge_shape(&mut self, before: &Value, after: &Value, in_pool: bool) {
        let name = text(after, "/metadata/name");
        let (mut found, mut in_use) = (Vec::new(), None);
        // What a policy says, or said, of limits.
        let policed = self.store.log.iter().any(|logged| {
            list(&logged.object, "/spec/members").iter().any(|member| {
                ["Ratio", "Cap"].iter().any(|policy| member["limitPolicy"] == *policy)
            })
        });
        let measured = self.usage.as_ref().is_some_and(|usage| usage.contains_key(name));
        if class(before) != class(after) {
            found.push(format!("{name} is {} instead of {}", class(after), class(before)));
        }
        let (old, new) = (parts(&before["spec"]), parts(&after["spec"]));
        if old.len() != new.len() {
            found.push(format!("{name} has other containers"));
        }
        for (old, new) in old.iter().zip(new) {
            for resource in RESOURCES {
                let (was, is) = (limit(old, resource), limit(new, resource));
                let with_request = class(before) == "Guaranteed" && is == request(new, resource);
                if was != is && !with_request && !policed {
                    found.push(format!("{name}: the {resource} limit goes from {was:?} to {is:?}"));
                }
                // A resize that the node never carried out may be taken back.
                let enforced = status_of(before, old);
                let in_force = enforced.and_then(|it| limit(it, resource)).or(was);
                if resource == "memory" && is < was.min(in_force) && in_pool && !measured {
                    found.push(format!("{name}: the memory limit goes down, and is not measured"));
                }
                // What never came into force is no reason to say that it goes down.
                if let Some(limit) = is.filter(|_| resource == "memory" && is < was.min(in_force)) {
                    in_use = in_use.max(limit_in_use(self.least_used(name), limit));
                }
            }
            let rest = |container: &Value| {
                let mut container = container.clone();
                container["resources"]["requests"] = Value::Null;
                container["resources"]["limits"] = Value::Null;
                container
            };
            if rest(old) != rest(new) {
                found.push(format!("{name}: more than requests and limits changed"));
            }
        }
        for what in found {
            self.violate(Oracle::Shape, what);
        }
        if let Some((limit, used)) = in_use {
            let what = format!("{name}: the memory limit goes down to {limit}, and {used} is used");
            self.violate(Oracle::InUse, what);
        }
    }

    /// The least memory that a pod used in the last minute, where that is measured.
    fn least_used(&self, pod: &str) -> Option<u64> {
        let from = self.elapsed().saturating_sub(Duration::from_secs(60));
        let known: Vec<&(Duration, String, u64)> =
            self.used.iter().filter(|(_, name, _)| name == pod).collect();
        // What it used when the minute began, and since.
        let first = known.iter().rposition(|(at, ..)| *at <= from).unwrap_or(0);
        known[first..].iter().map(|(_, _, memory)| *memory).min()
    }
}

/// Whether a pool takes its capacity from a tree.
pub fn in_tree(pool: &Value) -> bool {
    !pool["spec"]["capacityFrom"].is_null()
}

/// The limit and the use, where there is less than the margin between them: a fifth, and at least 16Mi.
fn limit_in_use(used: Option<u64>, limit: u64) -> Option<(u64, u64)> {
    used.filter(|used| limit < used + (used / 5).max(16 << 20)).map(|used| (limit, used))
}

/// The member of a pool that matches a pod, by its place.
pub fn member_of(pool: &Value, pod: &Value) -> Option<usize> {
    let members = list(pool, "/spec/members");
    let matches = |member: &Value| {
        let labels = member["selector"]["matchLabels"].as_object();
        let by_label = labels.is_some_and(|labels| {
            labels.iter().all(|(name, value)| pod["metadata"]["labels"][name] == *value)
        });
        let owners = list(pod, "/metadata/ownerReferences").iter();
        let target = &member["targetRef"];
        // The ReplicaSet of a Deployment has its name here.
        let owned = |owner: &Value| {
            let kind = |kind: &Value| {
                if kind == "Deployment" { "ReplicaSet".into() } else { kind.clone() }
            };
            kind(&owner["kind"]) == kind(&target["kind"]) && owner["name"] == target["name"]
        };
        by_label || (target.is_object() && owners.into_iter().any(owned))
    };
    let matching = (0..members.len()).filter(|&i| matches(&members[i]));
    matching.min_by_key(|&i| text(&members[i], "/name"))
}
