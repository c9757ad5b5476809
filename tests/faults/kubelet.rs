//! Scheduler and kubelets: they place pods, admit resizes, carry them out, and let pods go.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    amounts::{
        RESOURCES, amount, charge, class, is_whole, list, parts, request, status_of, text, together,
    },
    app::HOST,
    cluster::{Cluster, Shared, with},
    fault::{Fault, within},
    rng::Rng,
    store::{Key, Store},
};

/// A pod with this annotation can never be resized by its node.
pub const NEVER: &str = "faults/never";

/// What is under way with one pod.
#[derive(Default)]
struct Work {
    uid: String,
    /// The next look at a spec that changed.
    look: Option<Instant>,
    /// When what was admitted is carried out.
    act: Option<Instant>,
    /// When it is gone.
    end: Option<Instant>,
}

/// Runs for ever.
pub async fn run(shared: Shared, seed: u64) {
    let mut rng = Rng::of(seed, 7);
    let mut work: BTreeMap<Key, Work> = BTreeMap::new();
    let mut changed = with(&shared, |cluster| cluster.changed.subscribe());
    loop {
        changed.mark_unchanged();
        let next = with(&shared, |cluster| turn(cluster, &mut work, &mut rng));
        match next {
            Some(next) => sleep_until(next.max(Instant::now() + Duration::from_millis(20))).await,
            None if changed.changed().await.is_err() => return,
            None => sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Does what is due. When there is more to do.
fn turn(cluster: &mut Cluster, work: &mut BTreeMap<Key, Work>, rng: &mut Rng) -> Option<Instant> {
    let now = Instant::now();
    let elapsed = cluster.elapsed();
    for fault in &cluster.faults {
        if let Fault::DeadKubelet { at, lasts } = fault
            && within(elapsed, *at, *lasts)
        {
            return Some(cluster.began + *at + *lasts);
        }
    }
    let keys: Vec<Key> = cluster.store.of_kind("pods").map(|pod| Store::key("pods", pod)).collect();
    work.retain(|key, _| keys.contains(key));
    let mut next: Option<Instant> = None;
    let mut soon = |at: Instant| next = Some(next.map_or(at, |known| known.min(at)));
    for key in keys {
        let Some(pod) = cluster.store.objects.get(&key).cloned() else { continue };
        let this = work.entry(key.clone()).or_default();
        if this.uid != text(&pod, "/metadata/uid") {
            *this = Work { uid: text(&pod, "/metadata/uid").to_owned(), ..Work::default() };
        }
        let node = text(&pod, "/spec/nodeName");
        if let Some(until) = silent_until(cluster, node) {
            soon(until);
            continue;
        }
        let node_is_gone = !node.is_empty() && cluster.store.get("nodes", "", node).is_none();
        let mut wait = |low: u64, high: u64| now + Duration::from_millis(rng.range(low, high));
        if !pod["metadata"]["deletionTimestamp"].is_null() {
            // Pods on a node that is gone are removed later, by Kubernetes itself.
            let (low, high) = if node_is_gone { (20_000, 60_000) } else { (200, 3000) };
            let end = *this.end.get_or_insert_with(|| wait(low, high));
            if end <= now {
                cluster.store.remove(&key);
            } else {
                soon(end);
            }
            continue;
        }
        if node_is_gone {
            continue;
        }
        if node.is_empty() {
            place(cluster, &key, &pod);
            soon(now + Duration::from_secs(1));
            continue;
        }
        let seen = pod["status"]["observedGeneration"].as_i64().unwrap_or_default();
        let pending = has(&pod, "PodResizePending");
        if seen != pod["metadata"]["generation"].as_i64().unwrap_or_default() || pending {
            let look = *this.look.get_or_insert_with(|| wait(20, 900));
            if look <= now {
                this.look = None;
                if admit(cluster, &key, &pod) {
                    this.act = Some(this.act.unwrap_or_else(|| wait(20, 1500)));
                } else if !pod["metadata"]["annotations"][NEVER].is_null() {
                    continue;
                }
                soon(now + Duration::from_millis(500));
            } else {
                soon(look);
            }
        }
        if let Some(act) = this.act {
            if act <= now {
                this.act = None;
                if fails(cluster, &key, &pod) {
                    this.act = Some(now + Duration::from_secs(5));
                    soon(now + Duration::from_secs(5));
                } else {
                    carry_out(cluster, &key);
                }
            } else {
                soon(act);
            }
        }
    }
    next
}

/// Until when the kubelet of a node does nothing. None: it does what it is to.
fn silent_until(cluster: &Cluster, node: &str) -> Option<Instant> {
    let elapsed = cluster.elapsed();
    cluster.faults.iter().find_map(|fault| match fault {
        Fault::SilentKubelet { node: which, at, lasts } if within(elapsed, *at, *lasts) => {
            (format!("node-{which}") == node).then(|| cluster.began + *at + *lasts)
        }
        _ => None,
    })
}

fn has(pod: &Value, condition: &str) -> bool {
    list(pod, "/status/conditions").iter().any(|it| it["type"] == condition)
}

/// Places a pod on its node if there is room, or says what there is too little of.
fn place(cluster: &mut Cluster, key: &Key, pod: &Value) {
    let node = text(&pod["spec"]["nodeSelector"][HOST], "").to_owned();
    let fits = |resource: &&str| {
        let allocatable = cluster.store.get("nodes", "", &node);
        let most =
            allocatable.and_then(|it| amount(resource, &it["status"]["allocatable"][resource]));
        let there = cluster.store.of_kind("pods").filter(|it| text(it, "/spec/nodeName") == node);
        let taken: u64 = there.map(|it| charge(it, resource)).sum();
        taken + charge(pod, resource) <= most.unwrap_or_default()
    };
    let lacks: Vec<&str> = RESOURCES.into_iter().filter(|it| !fits(it)).collect();
    let nodes = cluster.store.of_kind("nodes").count();
    let scheduled = match (lacks.as_slice(), cluster.store.get("nodes", "", &node)) {
        ([], Some(_)) => json!({"type": "PodScheduled", "status": "True"}),
        (lacks, there) => {
            let mut why: Vec<String> = lacks
                .iter()
                .filter(|_| there.is_some())
                .map(|it| format!("1 Insufficient {it}"))
                .collect();
            let others = nodes - usize::from(there.is_some());
            if others > 0 {
                why.push(format!("{others} node(s) didn't match Pod's node affinity/selector"));
            }
            let message = format!("0/{nodes} nodes are available: {}.", why.join(", "));
            json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message})
        }
    };
    cluster.store.change(key, |pod| {
        if scheduled["status"] == "True" {
            pod["spec"]["nodeName"] = node.into();
        }
        set_condition(pod, scheduled);
    });
}

/// Whether the node cannot carry out now what it has admitted. The pod says so.
fn fails(cluster: &mut Cluster, key: &Key, pod: &Value) -> bool {
    let (elapsed, node) = (cluster.elapsed(), text(pod, "/spec/nodeName"));
    let statuses = parts(&pod["spec"]).iter().filter_map(|part| status_of(pod, part));
    let shrinks = statuses.into_iter().any(|status| {
        RESOURCES.iter().any(|resource| {
            let of = |which: &Value| amount(resource, &which[*resource]);
            of(&status["allocatedResources"]) < of(&status["resources"]["requests"])
        })
    });
    let fails = cluster.faults.iter().any(|fault| match fault {
        Fault::FailingShrinks { node: which, at, lasts } => {
            within(elapsed, *at, *lasts) && format!("node-{which}") == node
        }
        _ => false,
    });
    if fails && shrinks {
        let error = json!({
            "type": "PodResizeInProgress", "status": "True", "reason": "Error", "message": "cannot set the limit",
        });
        cluster.store.change(key, |pod| set_condition(pod, error));
    }
    fails && shrinks
}

/// Sets a condition in place of the one of its type.
fn set_condition(pod: &mut Value, condition: Value) {
    let mut conditions: Vec<Value> = list(pod, "/status/conditions").to_vec();
    conditions.retain(|it| it["type"] != condition["type"]);
    conditions.push(condition);
    pod["status"]["conditions"] = conditions.into();
}

/// What the node has set aside for a pod: less than it is charged while a resize waits.
fn allocated(pod: &Value, resource: &str) -> u64 {
    together(pod, resource, |container, _| {
        let held = status_of(pod, container)
            .and_then(|it| amount(resource, &it["allocatedResources"][resource]));
        held.or_else(|| request(container, resource)).unwrap_or_default()
    })
}

/// Starts a pod, or admits its resize if there is room. Whether there is something to carry out.
fn admit(cluster: &mut Cluster, key: &Key, pod: &Value) -> bool {
    let starts = text(pod, "/status/phase") != "Running";
    let never = !pod["metadata"]["annotations"][NEVER].is_null();
    let node = text(pod, "/spec/nodeName");
    let fits = |resource: &str| {
        let allocatable = cluster.store.get("nodes", "", node);
        let most =
            allocatable.and_then(|it| amount(resource, &it["status"]["allocatable"][resource]));
        let others = cluster.store.of_kind("pods").filter(|it| {
            text(it, "/spec/nodeName") == node && it["metadata"]["uid"] != pod["metadata"]["uid"]
        });
        let taken: u64 = others.map(|it| allocated(it, resource)).sum();
        let asked = together(pod, resource, |it, _| request(it, resource).unwrap_or_default());
        taken + asked <= most.unwrap_or_default() || asked <= allocated(pod, resource)
    };
    let refused = match (starts, never) {
        (true, _) => None,
        (false, true) => Some("Infeasible"),
        (false, false) => (!RESOURCES.into_iter().all(fits)).then_some("Deferred"),
    };
    if refused == Some("Infeasible") {
        let now = cluster.elapsed();
        cluster.refusals.push(now);
    }
    let generation = pod["metadata"]["generation"].clone();
    cluster.store.change(key, |pod| {
        let containers = list(pod, "/spec/containers").to_vec();
        let init = list(pod, "/spec/initContainers").to_vec();
        let whole = is_whole(&pod["spec"]).then(|| pod["spec"].clone());
        let class = class(pod);
        let status = &mut pod["status"];
        status["observedGeneration"] = generation;
        let mut conditions: Vec<Value> = list(status, "/conditions").to_vec();
        conditions.retain(|it| it["type"] != "PodResizePending");
        if let Some(reason) = refused {
            let message = "Node didn't have enough resource";
            conditions.push(json!({"type": "PodResizePending", "status": "True", "reason": reason, "message": message}));
        } else if starts {
            status["phase"] = "Running".into();
            status["qosClass"] = class.into();
            status["containerStatuses"] = containers.iter().map(running).collect();
            status["initContainerStatuses"] = init.iter().map(running).collect();
            if let Some(spec) = whole {
                status["allocatedResources"] = requests(&spec);
                status["resources"] = running(&spec)["resources"].take();
            }
        } else {
            conditions.retain(|it| it["type"] != "PodResizeInProgress");
            conditions.push(json!({"type": "PodResizeInProgress", "status": "True"}));
            if let Some(spec) = whole {
                status["allocatedResources"] = requests(&spec);
            }
            for status in status["containerStatuses"].as_array_mut().into_iter().flatten() {
                let container = containers.iter().find(|it| it["name"] == status["name"]);
                if let Some(container) = container {
                    status["allocatedResources"] = requests(container);
                }
            }
        }
        status["conditions"] = conditions.into();
    });
    refused.is_none() && !starts
}

fn requests(container: &Value) -> Value {
    let mut requests = container["resources"]["requests"].clone();
    for resource in RESOURCES {
        let limit = &container["resources"]["limits"][resource];
        if !limit.is_null() && requests[resource].is_null() {
            requests[resource] = limit.clone();
        }
    }
    requests
}

fn running(container: &Value) -> Value {
    let mut resources = container["resources"].clone();
    resources["requests"] = requests(container);
    json!({"name": container["name"], "allocatedResources": requests(container), "resources": resources})
}

/// What was admitted is enforced from now on.
fn carry_out(cluster: &mut Cluster, key: &Key) {
    cluster.store.change(key, |pod| {
        let containers = list(pod, "/spec/containers").to_vec();
        if is_whole(&pod["spec"]) {
            let (limits, requests) =
                (&pod["spec"]["resources"]["limits"], &pod["status"]["allocatedResources"]);
            pod["status"]["resources"] = json!({"requests": requests, "limits": limits});
        }
        let conditions = pod["status"]["conditions"].as_array_mut();
        if let Some(conditions) = conditions {
            conditions.retain(|it| it["type"] != "PodResizeInProgress");
        }
        for status in pod["status"]["containerStatuses"].as_array_mut().into_iter().flatten() {
            let container = containers.iter().find(|it| it["name"] == status["name"]);
            let limits = container.map(|it| it["resources"]["limits"].clone()).unwrap_or_default();
            status["resources"] =
                json!({"requests": status["allocatedResources"], "limits": limits});
        }
    });
}
