//! Planted bugs: what stands between controller and API server makes the pair behave as a wrong controller would.

use std::{io, time::Duration};

use bytes::Bytes;
use http::Method;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    amounts::{amount, list, parts, parts_mut, text},
    cluster::{Shared, with},
    oracle::Oracle,
    server::{Answer, Call, answer, serve},
};

/// A mistake that a controller could make.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Bug {
    /// Asks for a tenth more than what was worked out.
    More,
    /// Does not say on which version of the pod it decided, and decides on old ones.
    Blind,
    /// Takes what it asked for as what there is.
    Believes,
    /// Takes nodes to be twice as large.
    LargeNodes,
    /// Sets limits where there are none.
    Limits,
    /// Writes the status every ten seconds.
    Chatty,
    /// Sends every resize by way of other values.
    Detours,
    /// Deletes a pod that it resized, so that it starts anew.
    Restarts,
    /// Evicts a pod that it resized.
    Evicts,
    /// Does not see what members are to have at least, and takes those that name it to be worth nothing else.
    NoMin,
    /// Does not let pods shrink whose member has a min.
    KeepsMin,
    /// Takes a write as done that it only meant to do, once.
    Forgets,
    /// Never takes its finalizer off.
    HoldsOn,
    /// Says nothing on the object.
    Silent,
    /// Does not see that a pool was edited.
    Overlooks,
    /// Sends a resize again and again on a version that is gone.
    Insists,
    /// Takes back each resize that shrinks a pod, a while later.
    Undoes,
    /// Halves memory limits.
    Squeezes,
    /// Asks for more where pools of other namespaces were edited.
    Spills,
    /// Says of members that hold their shares that there is no room for more.
    Lies,
    /// Ends by itself.
    Ends,
    /// Does not see that nodes changed.
    Dozes,
}

impl Bug {
    /// All of them, each with the oracles of which one must find it.
    pub const ALL: [(Self, &'static [Oracle]); 23] = [
        (Self::More, &[Oracle::Pool]),
        (Self::Blind, &[Oracle::Pool]),
        (Self::Believes, &[Oracle::Pool]),
        (Self::LargeNodes, &[Oracle::Node]),
        (Self::Limits, &[Oracle::Shape]),
        (Self::Chatty, &[Oracle::Quiet]),
        (Self::Detours, &[Oracle::Bounded]),
        (Self::Restarts, &[Oracle::Writes]),
        (Self::Evicts, &[Oracle::Writes]),
        (Self::NoMin, &[Oracle::Min]),
        (Self::NoMin, &[Oracle::Planned]),
        (Self::KeepsMin, &[Oracle::End]),
        (Self::Forgets, &[Oracle::End]),
        (Self::HoldsOn, &[Oracle::Told]),
        (Self::Silent, &[Oracle::Told]),
        (Self::Overlooks, &[Oracle::Progress]),
        (Self::Insists, &[Oracle::FixedPoint]),
        (Self::Undoes, &[Oracle::Flaps]),
        (Self::Squeezes, &[Oracle::InUse]),
        (Self::Spills, &[Oracle::Isolation]),
        (Self::Lies, &[Oracle::Reasons]),
        (Self::Ends, &[Oracle::Alive]),
        (Self::Dozes, &[Oracle::FromNothing]),
    ];
}

/// Asks the API server as the bug would.
pub async fn planted(
    bug: Option<Bug>,
    shared: &Shared,
    instance: usize,
    mut call: Call,
) -> Result<Answer, io::Error> {
    let Some(bug) = bug else { return serve(shared, instance, call).await };
    let is_resize = call.path.ends_with("/resize");
    let is_status = call.path.ends_with("/status");
    let mut patch = call.json();
    match bug {
        Bug::More if is_resize => each(&mut patch, |it| raise(it, 110)),
        Bug::Limits if is_resize => each(&mut patch, |resources| {
            let mut limits = resources.clone();
            raise(&mut limits, 200);
            resources["limits"] = limits["requests"].clone();
        }),
        Bug::Blind if is_resize => patch["metadata"] = json!({}),
        Bug::Detours if is_resize => {
            for percent in 90..98 {
                let (mut detour, mut lower) = (call.clone(), patch.clone());
                lower["metadata"] = json!({});
                each(&mut lower, |it| raise(it, percent));
                detour.body = Bytes::from(lower.to_string());
                serve(shared, instance, detour).await?;
            }
            patch["metadata"] = json!({});
        }
        Bug::KeepsMin if is_resize && with_min(shared, &call) => {
            return pretend(shared, &call, &json!({}));
        }
        Bug::Forgets if is_resize && with(shared, |cluster| cluster.once(2)) => {
            return pretend(shared, &call, &patch);
        }
        Bug::HoldsOn if patch["metadata"]["finalizers"] == json!([]) => {
            return pretend(shared, &call, &json!({}));
        }
        Bug::Insists if is_resize && with(shared, |cluster| cluster.writes.len() > 6) => {
            return Ok(answer(409, &json!({"kind": "Status", "code": 409, "message": "modified"})));
        }
        Bug::Undoes if is_resize => {
            let (shared, mut back) = (shared.clone(), call.clone());
            let before = requests_of(&shared, &call);
            tokio::spawn(async move {
                sleep(Duration::from_secs(70)).await;
                back.body = Bytes::from(json!({"spec": {"containers": before}}).to_string());
                let _ = serve(&shared, instance, back).await;
            });
        }
        Bug::Squeezes if is_resize => each(&mut patch, |resources| {
            if let Some(limit) = amount("memory", &resources["limits"]["memory"]) {
                for which in ["requests", "limits"] {
                    resources[which]["memory"] = (limit / 4).to_string().into();
                }
            }
        }),
        Bug::Spills if is_resize => {
            let more = edits_elsewhere(shared, &call);
            each(&mut patch, |resources| {
                if let Some(cpu) = amount("cpu", &resources["requests"]["cpu"]) {
                    resources["requests"]["cpu"] = format!("{}m", cpu + more).into();
                }
            });
        }
        Bug::Lies if is_status => {
            for member in patch["status"]["members"].as_array_mut().into_iter().flatten() {
                if member["reason"] == "Settled" {
                    member["reason"] = "NoRoom".into();
                }
            }
        }
        Bug::Ends if is_resize => std::panic::resume_unwind(Box::new("planted")),
        Bug::Silent if is_status => return pretend(shared, &call, &json!({})),
        Bug::Chatty if is_status && with(shared, |cluster| cluster.once(0)) => {
            let (shared, mut again) = (shared.clone(), call.clone());
            tokio::spawn(async move {
                for i in 0..400 {
                    sleep(Duration::from_secs(10)).await;
                    let mut patch = again.json();
                    patch["status"]["members"] = json!([{"name": "tick", "weight": i, "pods": 0}]);
                    again.body = Bytes::from(patch.to_string());
                    let _ = serve(&shared, instance, again.clone()).await;
                }
            });
        }
        _ => {}
    }
    if call.is_write() && !patch.is_null() {
        call.body = Bytes::from(patch.to_string());
    }
    let (watches, plural) =
        (call.asks("watch").is_some(), call.path.rsplit('/').next().unwrap_or_default().to_owned());
    let reads = !call.is_write();
    let path = call.path.clone();
    let said = serve(shared, instance, call).await?;
    if is_resize && said.status() == 200 && matches!(bug, Bug::Restarts | Bug::Evicts) {
        let path = path.trim_end_matches("/resize").to_owned();
        let (method, path) = match bug {
            Bug::Restarts => (Method::DELETE, path),
            _ => (Method::POST, format!("{path}/eviction")),
        };
        let call = Call { method, path, query: Vec::new(), body: Bytes::new() };
        serve(shared, instance, call).await?;
    }
    let Some(change) = seen(bug, &plural).filter(|_| reads) else { return Ok(said) };
    if watches {
        let (head, body) = said.into_parts();
        let body = body.map_frame(move |frame| {
            frame.map_data(|line| {
                let lines = line.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
                let lines = lines.map(|line| {
                    let mut event: Value = serde_json::from_slice(line).unwrap_or_default();
                    change(&mut event["object"]);
                    format!("{event}\n")
                });
                Bytes::from(lines.collect::<String>())
            })
        });
        return Ok(Answer::from_parts(head, body.boxed_unsync()));
    }
    let (head, body) = said.into_parts();
    let mut body: Value =
        serde_json::from_slice(&body.collect().await?.to_bytes()).unwrap_or_default();
    body["items"].as_array_mut().into_iter().flatten().for_each(change);
    let body = Full::new(Bytes::from(body.to_string())).map_err(|never| match never {});
    Ok(Answer::from_parts(head, body.boxed_unsync()))
}

/// What the bug makes of objects of a kind before the controller sees them.
fn seen(bug: Bug, plural: &str) -> Option<fn(&mut Value)> {
    match (bug, plural) {
        (Bug::Believes, "pods") => Some(|pod| {
            for status in pod["status"]["containerStatuses"].as_array_mut().into_iter().flatten() {
                status["allocatedResources"] = Value::Null;
                status["resources"] = Value::Null;
            }
        }),
        (Bug::Blind, "pods") => Some(|pod| {
            for status in pod["status"]["containerStatuses"].as_array_mut().into_iter().flatten() {
                status["resources"] = Value::Null;
            }
        }),
        (Bug::NoMin, "weightedshares") => Some(|pool| {
            for member in pool["spec"]["members"].as_array_mut().into_iter().flatten() {
                if !member["min"].is_null() {
                    member["min"] = json!({});
                    member["weight"] = 1.into();
                }
            }
        }),
        (Bug::Overlooks, "weightedshares") => Some(|pool| {
            pool["metadata"]["generation"] = 1.into();
        }),
        (Bug::LargeNodes, "nodes") => Some(|node| {
            let most = amount("cpu", &node["status"]["allocatable"]["cpu"]).unwrap_or_default();
            node["status"]["allocatable"]["cpu"] = format!("{}m", most * 2).into();
        }),
        _ => None,
    }
}

/// Changes the resources of each container of a patch.
fn each(patch: &mut Value, change: impl Fn(&mut Value)) {
    for container in parts_mut(&mut patch["spec"]) {
        change(&mut container["resources"]);
    }
}

/// Takes so many percent of all amounts.
fn raise(resources: &mut Value, percent: u64) {
    for which in ["requests", "limits"] {
        for (resource, quantity) in resources[which].as_object_mut().into_iter().flatten() {
            let amount = amount(resource, quantity).unwrap_or_default() * percent / 100;
            let unit = if resource == "cpu" { "m" } else { "" };
            *quantity = format!("{amount}{unit}").into();
        }
    }
}

/// The answer to a patch that was never made: the object, with the resources as they were asked for.
fn pretend(shared: &Shared, call: &Call, patch: &Value) -> Result<Answer, io::Error> {
    let names: Vec<&str> = call.path.split('/').collect();
    let place = names.iter().position(|it| *it == "namespaces").unwrap_or_default();
    let Some([namespace, plural, name]) = names.get(place + 1..place + 4) else {
        return Ok(answer(404, &json!({})));
    };
    let kind = super::store::kind(plural).unwrap_or("pods");
    let object = with(shared, |cluster| cluster.store.get(kind, namespace, name).cloned());
    let mut object = object.map(|it| (*it).clone()).unwrap_or_default();
    for change in parts(&patch["spec"]) {
        for container in parts_mut(&mut object["spec"]) {
            if container["name"] == change["name"] {
                super::server::merge(&mut container["resources"], &change["resources"]);
            }
        }
        super::store::bump(&mut object);
    }
    Ok(answer(200, &object))
}

/// What the containers of the pod ask for that a resize is of.
fn requests_of(shared: &Shared, call: &Call) -> Value {
    let name = call.path.rsplit('/').nth(1).unwrap_or_default().to_owned();
    with(shared, |cluster| {
        let mut pods = cluster.store.of_kind("pods");
        let pod = pods.find(|pod| text(pod, "/metadata/name") == name);
        let of = |it: &Value| json!({"name": it["name"], "resources": it["resources"]});
        pod.map(|pod| list(pod, "/spec/containers").iter().map(of).collect()).unwrap_or_default()
    })
}

/// How often pools of other namespaces were edited.
fn edits_elsewhere(shared: &Shared, call: &Call) -> u64 {
    with(shared, |cluster| {
        let elsewhere = cluster.store.log.iter().filter(|logged| {
            logged.key.0 == "weightedshares" && !call.path.contains(&format!("/{}/", logged.key.1))
        });
        elsewhere.filter(|logged| logged.object["metadata"]["generation"] != 1).count() as u64
    })
}

/// Whether the pod's member has a min and the patch asks for less than there is.
fn with_min(shared: &Shared, call: &Call) -> bool {
    let name = call.path.rsplit('/').nth(1).unwrap_or_default().to_owned();
    let patch = call.json();
    with(shared, |cluster| {
        let pod =
            cluster.store.of_kind("pods").find(|pod| text(pod, "/metadata/name") == name)?.clone();
        let pool = cluster.pool_of(&pod)?;
        let member = super::oracle::member_of(&pool, &pod)?;
        let sum = |containers: &[Value]| -> u64 {
            containers
                .iter()
                .filter_map(|it| amount("cpu", &it["resources"]["requests"]["cpu"]))
                .sum()
        };
        let less = sum(parts(&patch["spec"])) < sum(parts(&pod["spec"]));
        Some(less && !pool["spec"]["members"][member]["min"].is_null())
    })
    .unwrap_or(false)
}
