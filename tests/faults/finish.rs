//! What must hold in the end.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};

use super::{
    amounts::{RESOURCES, amount, capacity, charge, infeasible, limit, list, parts, request, text},
    cluster::Cluster,
    flaps::flaps,
    oracle::{Oracle, member_of},
    reasons::untrue,
    scenario::{FOREIGN, Scenario},
};

/// How many resizes of one pod one change may cost, on average.
pub const RESIZES: usize = 4;
/// How many more it may cost where memory limits may go down: they do so by an eighth at a time.
const STEPS_OF_LIMITS: usize = 4;

/// What there is in the end, without times.
pub type End = BTreeMap<String, Value>;

pub fn end(cluster: &Cluster) -> End {
    let mut end = End::new();
    let pods = cluster.store.of_kind("pods");
    for pod in pods.filter(|pod| pod["metadata"]["namespace"] != FOREIGN) {
        let amounts = |it: &Value| RESOURCES.map(|of| json!([request(it, of), limit(it, of)]));
        let of = |it: &Value| json!([it["name"], amounts(it)]);
        let containers: Vec<Value> = parts(&pod["spec"]).iter().map(of).collect();
        end.insert(format!("pod {}", text(pod, "/metadata/name")), containers.into());
    }
    for pool in cluster.store.of_kind("weightedshares") {
        let mut status = pool["status"].clone();
        for condition in status["conditions"].as_array_mut().into_iter().flatten() {
            condition["lastTransitionTime"] = Value::Null;
            // Its message says whether anything was ever measured, which a restart forgets.
            if condition["reason"] == "Stale" {
                condition["message"] = Value::Null;
            }
        }
        for member in status["members"].as_array_mut().into_iter().flatten() {
            // A peak stays while it falls by less than a twentieth, so a demand depends on when it was measured first.
            member["demand"] = Value::Null;
        }
        end.insert(format!("pool {}", text(pool, "/metadata/name")), status);
    }
    end
}

/// Whether all pods have their shares, or are back at their templates. Where some cannot, what the others hold depends on
/// who came first.
pub fn is_settled(cluster: &Cluster) -> bool {
    let ready =
        |pool: &Arc<Value>| condition(pool, "Ready").is_some_and(|it| it["status"] == "True");
    cluster.store.of_kind("weightedshares").all(ready)
        && !cluster.store.of_kind("events").any(|event| event["reason"] == "NotReleased")
        && !is_in_use(cluster)
}

/// Whether any member keeps more memory than its share because it is in use, or may be.
fn is_in_use(cluster: &Cluster) -> bool {
    let keeps = |it: &Value| ["MemoryInUse", "NotMeasured"].contains(&text(it, "/reason"));
    let mut pools = cluster.store.of_kind("weightedshares");
    pools.any(|pool| list(pool, "/status/members").iter().any(keeps))
}

/// Judges the end of a run. `like` is the end of the run without faults.
pub fn judge(cluster: &mut Cluster, scenario: &Scenario, like: Option<&End>) {
    let mut found: Vec<(Oracle, String)> = Vec::new();
    let quiet = cluster.elapsed().saturating_sub(scenario.quiet);
    for write in cluster.writes.iter().filter(|write| write.at > quiet) {
        let at = write.at.as_secs();
        found.push((Oracle::Quiet, format!("{} at {at} s: {}", write.what, write.body)));
    }
    let resizes = cluster.writes.iter().filter(|write| write.is_resize() && write.made()).count();
    let pods = scenario.pods.len() + scenario.steps.len();
    // That a pod can never be resized is only learnt from its node, and changes what the others own.
    let never = scenario.pods.iter().filter(|(app, ..)| scenario.apps[*app].never).count();
    let each = RESIZES + if scenario.lowers_memory_limits() { STEPS_OF_LIMITS } else { 0 };
    let most = each * pods * (scenario.steps.len() + 1 + cluster.faults.len() + never);
    if resizes > most {
        found.push((Oracle::Bounded, format!("{resizes} resizes of at most {most}")));
    }
    let pools: Vec<_> = cluster.store.of_kind("weightedshares").cloned().collect();
    for pool in &pools {
        let name = text(pool, "/metadata/name");
        if !pool["metadata"]["deletionTimestamp"].is_null() {
            found.push((Oracle::Told, format!("pool {name} was deleted and is still there")));
            continue;
        }
        found.extend(told(pool));
        found.extend(min(cluster, pool));
    }
    found.extend(released(cluster, scenario));
    found.extend(untrue(cluster));
    cluster.judge_progress();
    if cluster.faults.is_empty() {
        found.extend(flaps(cluster, scenario));
    }
    // Pods that were not restored in time, and memory in use, stay as they are, and the pool says so.
    let left = cluster.store.of_kind("events").any(|event| event["reason"] == "NotReleased")
        || is_in_use(cluster);
    let end = end(cluster);
    // A kubelet that is dead for long keeps pods beyond the next step.
    let same = |like: &&End| like.keys().eq(end.keys());
    if let Some(like) = like.filter(|_| !left).filter(same) {
        for (name, now) in &end {
            if like[name] != *now {
                let then = &like[name];
                found.push((Oracle::End, format!("{name} is {now}\n      instead of {then}")));
            }
        }
    }
    for (oracle, what) in found {
        cluster.violate(oracle, what);
    }
}

pub fn condition<'a>(pool: &'a Value, type_: &str) -> Option<&'a Value> {
    list(pool, "/status/conditions").iter().find(|it| it["type"] == type_)
}

/// The pool says how it stands, of its present spec.
fn told(pool: &Value) -> Vec<(Oracle, String)> {
    let name = text(pool, "/metadata/name");
    let mut found = Vec::new();
    if pool["status"]["observedGeneration"] != pool["metadata"]["generation"] {
        let (seen, is) = (&pool["status"]["observedGeneration"], &pool["metadata"]["generation"]);
        found.push(format!("pool {name}: generation {is}, told of {seen}"));
    }
    for type_ in ["Ready", "Reconciling", "Stalled"] {
        let reason = condition(pool, type_).map(|it| text(it, "/reason")).unwrap_or_default();
        if reason.is_empty() || reason == "Resizing" {
            found.push(format!("pool {name}: {type_} has the reason {reason:?}"));
        }
    }
    found.into_iter().map(|what| (Oracle::Told, what)).collect()
}

/// A member that has less than its min says why.
fn min(cluster: &Cluster, pool: &Value) -> Vec<(Oracle, String)> {
    let mut found = Vec::new();
    let is = |type_, status| condition(pool, type_).is_some_and(|it| it["status"] == status);
    if pool["spec"]["mode"] == "Observe" || !is("Overcommitted", "False") || !is("Stalled", "False")
    {
        return found;
    }
    for (i, member) in list(pool, "/spec/members").iter().enumerate() {
        for resource in RESOURCES {
            let Some(min) = amount(resource, &member["min"][resource]) else { continue };
            if capacity(pool, resource).is_none() {
                continue;
            }
            let pods: Vec<_> = cluster
                .store
                .of_kind("pods")
                .filter(|pod| {
                    cluster
                        .pool_of(pod)
                        .is_some_and(|it| it["metadata"]["uid"] == pool["metadata"]["uid"])
                })
                .filter(|pod| member_of(pool, pod) == Some(i))
                .collect();
            let held: u64 = pods.iter().map(|pod| charge(pod, resource)).sum();
            let free = pods.iter().all(|pod| {
                let containers = parts(&pod["spec"]);
                !infeasible(pod)
                    && pod["status"]["qosClass"] != "BestEffort"
                    && (pod["status"]["qosClass"] == "Guaranteed"
                        || containers.iter().all(|it| limit(it, resource).is_none()))
            });
            let status =
                list(pool, "/status/members").iter().find(|it| it["name"] == member["name"]);
            let explained = status.is_some_and(|it| {
                !["Divided", "Settled", ""].contains(&text(it, "/reason"))
                    || !it["unplaceable"].is_null()
            });
            // What lies under the least step of what is written.
            let slack = if resource == "cpu" { 1 } else { 1 << 20 };
            if !pods.is_empty() && free && !explained && held + slack < min {
                let (pool, member) = (text(pool, "/metadata/name"), text(member, "/name"));
                found.push((
                    Oracle::Min,
                    format!("{pool}/{member} holds {held} of {resource}, and is to have {min}"),
                ));
            }
        }
    }
    found
}

/// Pods that left all pools are at their templates, or an event says that they are not.
fn released(cluster: &Cluster, scenario: &Scenario) -> Vec<(Oracle, String)> {
    let told = cluster.store.of_kind("events").any(|event| event["reason"] == "NotReleased");
    let mut found = Vec::new();
    for pod in cluster.store.of_kind("pods") {
        let app = scenario.apps.iter().find(|app| pod["metadata"]["labels"]["app"] == *app.name);
        let Some(app) = app.filter(|_| cluster.pool_of(pod).is_none() && !told) else { continue };
        let template = app.template();
        for (is, was) in parts(&pod["spec"]).iter().zip(parts(&template)) {
            for (resource, which) in
                RESOURCES.into_iter().flat_map(|it| [(it, "requests"), (it, "limits")])
            {
                let of = |it: &Value| amount(resource, &it["resources"][which][resource]);
                if of(is) != of(was) {
                    let name = text(pod, "/metadata/name");
                    let what = format!(
                        "{name} is in no pool, and has {:?} of {resource} {which} instead of {:?}",
                        of(is),
                        of(was)
                    );
                    found.push((Oracle::Told, what));
                }
            }
        }
    }
    found
}
