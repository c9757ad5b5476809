//! Whether what a pool says of its members in the end is so.

use std::sync::Arc;

use serde_json::Value;

use super::{
    amounts::{RESOURCES, amount, capacity, charge, infeasible, list, text},
    cluster::Cluster,
    fault::Fault,
    finish::condition,
    kubelet::NEVER,
    oracle::{Oracle, in_tree, member_of},
};

/// The reasons that are not true of the state that they describe.
pub fn untrue(cluster: &Cluster) -> Vec<(Oracle, String)> {
    let mut found = Vec::new();
    for pool in cluster.store.of_kind("weightedshares") {
        let members = list(pool, "/spec/members");
        for said in list(pool, "/status/members") {
            let Some(index) = members.iter().position(|it| it["name"] == said["name"]) else {
                continue;
            };
            let member = Member { cluster, pool, index, said, pods: pods_of(cluster, pool, index) };
            if !member.is_true() {
                let (pool, name) = (text(pool, "/metadata/name"), text(said, "/name"));
                found.push((Oracle::Reasons, format!("{pool}/{name} is not so: {said}")));
            }
        }
        let ready = condition(pool, "Ready").is_some_and(|it| it["status"] == "True");
        let moves = |it: &&Value| !["Settled", "Skipped"].contains(&text(it, "/state"));
        if let Some(member) = list(pool, "/status/members").iter().find(moves).filter(|_| ready) {
            let pool = text(pool, "/metadata/name");
            found.push((Oracle::Reasons, format!("{pool} is Ready, and a member is {member}")));
        }
    }
    found
}

/// A member, and what its pool says of it.
struct Member<'a> {
    cluster: &'a Cluster,
    pool: &'a Value,
    /// Its place in the spec.
    index: usize,
    said: &'a Value,
    pods: Vec<&'a Arc<Value>>,
}

fn pods_of<'a>(cluster: &'a Cluster, pool: &Value, index: usize) -> Vec<&'a Arc<Value>> {
    let is_its = |pod: &&Arc<Value>| {
        let of = cluster.pool_of(pod);
        of.is_some_and(|it| it["metadata"]["uid"] == pool["metadata"]["uid"])
            && member_of(pool, pod) == Some(index)
    };
    cluster.store.of_kind("pods").filter(is_its).collect()
}

impl Member<'_> {
    fn is_true(&self) -> bool {
        match text(self.said, "/reason") {
            "Settled" => {
                !self.pods.is_empty()
                    && self
                        .of_capacity()
                        .all(|it| self.amount("share", it) == self.amount("applied", it))
            }
            "NoPods" => self.pods.is_empty(),
            "BestEffort" => self.any(|pod| pod["status"]["qosClass"] == "BestEffort"),
            "Infeasible" => {
                self.any(|pod| infeasible(pod) || !pod["metadata"]["annotations"][NEVER].is_null())
            }
            "Deferred" => self.resizes("PodResizePending", "Deferred"),
            // What is put off until some time is so for longer where the clock goes back.
            "ResizeFailing" => self.resizes("PodResizeInProgress", "Error") || self.jumps(),
            "Unscheduled" => self.any(|pod| text(pod, "/spec/nodeName").is_empty()),
            "NodeNotSeen" => self.any(|pod| {
                self.cluster.store.get("nodes", "", text(pod, "/spec/nodeName")).is_none()
            }),
            "NotStarted" => self.any(|pod| pod["status"]["phase"] != "Running"),
            "MemoryInUse" => self.cluster.usage.is_some(),
            // Where the controller's clock is wrong for good, nothing measured is ever new.
            "NotMeasured" => self.cluster.usage.is_none() || self.jumps(),
            "NodeFull" => self.of_capacity().any(|it| {
                let lacks = amount(it, &self.said["unplaceable"][it]).unwrap_or_default();
                // Of what is free now, others may own a part that they lend: more than can be told from here, where use is measured.
                // Nor can what members own and have not taken yet be given to this one: a small part is not worth a resize.
                let full = |pod: &Value| {
                    self.room_for_members(pod, it) < lacks + self.untaken(it)
                        || self.is_with_others(pod)
                };
                lacks > 0 && (self.cluster.usage.is_some() || self.any(full))
            }),
            "NoRoom" => self.lack().is_some_and(|(it, lacks)| {
                let full = |pod: &Value| free_on_node(self.cluster, pod, it) < lacks;
                // In a tree, others may hold what this pool owns.
                lacks > 0 && (in_tree(self.pool) || self.any(full) || self.free_in_pool(it) < lacks)
            }),
            "QuotaFull" => self.cluster.store.of_kind("resourcequotas").next().is_some(),
            "PoolTooSmall" => {
                condition(self.pool, "Stalled").is_some_and(|it| it["status"] == "True")
            }
            "ClaimedByOlderPool" => self.cluster.store.of_kind("pods").any(|pod| {
                let of = self.cluster.pool_of(pod);
                member_of(self.pool, pod) == Some(self.index)
                    && of.is_some_and(|it| it["metadata"]["uid"] != self.pool["metadata"]["uid"])
            }),
            // Passing states are over by now, and no scenario leads to any other reason.
            _ => false,
        }
    }

    /// Whether the controller's clock is set.
    fn jumps(&self) -> bool {
        self.cluster.faults.iter().any(|it| matches!(it, Fault::Jump { .. }))
    }

    /// The resources that the pool divides.
    fn of_capacity(&self) -> impl Iterator<Item = &'static str> {
        RESOURCES.into_iter().filter(|it| capacity(self.pool, it).is_some())
    }

    fn amount(&self, of: &str, resource: &str) -> u64 {
        amount(resource, &self.said[of][resource]).unwrap_or_default()
    }

    /// What a pod lacks, as the message says it: "memory stays at 1Gi instead of 2Gi".
    fn lack(&self) -> Option<(&'static str, u64)> {
        let (before, rest) = text(self.said, "/message").split_once(" stays at ")?;
        let resource = RESOURCES.into_iter().find(|it| before.ends_with(it))?;
        let (is, rest) = rest.split_once(" instead of ")?;
        let of = |quantity: &str| amount(resource, &quantity.into());
        Some((resource, of(rest.split(':').next()?)?.saturating_sub(of(is)?)))
    }

    fn any(&self, is: impl Fn(&Value) -> bool) -> bool {
        self.pods.iter().any(|pod| is(pod))
    }

    fn resizes(&self, condition: &str, reason: &str) -> bool {
        self.any(|pod| {
            let mut conditions = list(pod, "/status/conditions").iter();
            conditions.any(|it| it["type"] == condition && it["reason"] == reason)
        })
    }

    /// What is free on the node of a pod, less what the pool leaves free there.
    fn room_for_members(&self, pod: &Value, resource: &str) -> u64 {
        let reserve =
            self.pool["spec"]["sharing"]["nodeReservePercent"].as_u64().unwrap_or_default();
        let kept = allocatable(self.cluster, pod, resource) * reserve / 100;
        free_on_node(self.cluster, pod, resource).saturating_sub(kept)
    }

    /// What the members of the pool own and do not hold, together.
    fn untaken(&self, resource: &str) -> u64 {
        let members = list(self.pool, "/status/members").iter();
        let of = |it: &Value, part: &str| amount(resource, &it[part][resource]).unwrap_or_default();
        members.map(|it| of(it, "fair").saturating_sub(of(it, "applied"))).sum()
    }

    /// Whether pods of another pool are on the node of a pod.
    fn is_with_others(&self, pod: &Value) -> bool {
        let others = self
            .cluster
            .store
            .of_kind("pods")
            .filter(|it| it["spec"]["nodeName"] == pod["spec"]["nodeName"]);
        others
            .filter_map(|it| self.cluster.pool_of(it))
            .any(|it| it["metadata"]["uid"] != self.pool["metadata"]["uid"])
    }

    fn free_in_pool(&self, resource: &str) -> u64 {
        let capacity = capacity(self.pool, resource);
        let members = 0..list(self.pool, "/spec/members").len();
        let pods = members.flat_map(|index| pods_of(self.cluster, self.pool, index));
        let held: u64 = pods.map(|pod| charge(pod, resource)).sum();
        capacity.unwrap_or_default().saturating_sub(held)
    }
}

/// What the node of a pod can allocate.
fn allocatable(cluster: &Cluster, pod: &Value, resource: &str) -> u64 {
    let node = cluster.store.get("nodes", "", text(pod, "/spec/nodeName"));
    let allocatable = node.and_then(|it| amount(resource, &it["status"]["allocatable"][resource]));
    allocatable.unwrap_or_default()
}

/// What is free on the node of a pod.
fn free_on_node(cluster: &Cluster, pod: &Value, resource: &str) -> u64 {
    let node = text(pod, "/spec/nodeName");
    let there = cluster.store.of_kind("pods").filter(|it| text(it, "/spec/nodeName") == node);
    let held: u64 = there.map(|it| charge(it, resource)).sum();
    allocatable(cluster, pod, resource).saturating_sub(held)
}
