//! What the API server makes of a patch of `pods/resize`.

use serde_json::{Value, json};

use super::{
    amounts::{RESOURCES, amount, charge, class, limit, list, parts, parts_mut, request, text},
    store::{Store, bump},
};

/// A refusal: its code and its words.
pub type Refusal = (u16, String);

/// What a LimitRange refuses says so.
pub const RATIO: &str = "max limit to request ratio per Container";

/// The pod as it is after the patch, or why it stays as it is.
pub fn resized(store: &Store, pod: &Value, patch: &Value, manager: &str) -> Result<Value, Refusal> {
    let version = text(patch, "/metadata/resourceVersion");
    if !version.is_empty() && version != text(pod, "/metadata/resourceVersion") {
        return Err((
            409,
            "the object has been modified; please apply your changes to the latest version".into(),
        ));
    }
    let mut after = pod.clone();
    let mut set: Vec<(String, String, String)> = Vec::new();
    for change in parts(&patch["spec"]) {
        let mut parts = parts_mut(&mut after["spec"]).iter_mut();
        let Some(container) = parts.find(|it| it["name"] == change["name"]) else {
            return Err((
                422,
                "spec.containers: Forbidden: containers may not be added or removed on resize"
                    .into(),
            ));
        };
        for which in ["requests", "limits"] {
            for (resource, quantity) in change["resources"][which].as_object().into_iter().flatten()
            {
                if !RESOURCES.contains(&resource.as_str()) {
                    return Err((
                        422,
                        format!("{resource}: Forbidden: only cpu and memory resources are mutable"),
                    ));
                }
                if quantity.is_null() {
                    return Err((
                        422,
                        format!("{which}.{resource}: Forbidden: {which} may not be removed"),
                    ));
                }
                if amount(resource, quantity).is_none() {
                    return Err((422, format!("{which}.{resource}: Invalid value: {quantity}")));
                }
                container["resources"][which][resource] = quantity.clone();
                set.push((text(container, "/name").into(), which.into(), resource.clone()));
            }
        }
    }
    for container in parts(&after["spec"]) {
        for resource in RESOURCES {
            if let (Some(request), Some(limit)) =
                (request(container, resource), limit(container, resource))
                && request > limit
            {
                let name = text(container, "/name");
                return Err((
                    422,
                    format!("{name}: must be less than or equal to {resource} limit of {limit}"),
                ));
            }
        }
    }
    within_ratio(store, &after)?;
    if class(&after) != class(pod) {
        return Err((422, "Pod QOS Class may not change as a result of resizing".into()));
    }
    if after["spec"] == pod["spec"] {
        return Ok(after);
    }
    room(store, pod, &after)?;
    bump(&mut after);
    own(&mut after, &set, manager);
    Ok(after)
}

/// No limit is more times its request than a LimitRange allows.
fn within_ratio(store: &Store, after: &Value) -> Result<(), Refusal> {
    let namespace = text(after, "/metadata/namespace");
    let mut ranges = store.of_kind("limitranges");
    let Some(range) = ranges.find(|it| it["metadata"]["namespace"] == namespace) else {
        return Ok(());
    };
    let most = list(range, "/spec/limits").first().map(|it| text(it, "/maxLimitRequestRatio/cpu"));
    let most = most.and_then(|most| most.parse().ok()).unwrap_or(u64::MAX);
    for (container, resource) in
        list(after, "/spec/containers").iter().flat_map(|it| RESOURCES.map(|of| (it, of)))
    {
        let (request, limit) = (request(container, resource), limit(container, resource));
        if limit > request.map(|request| request.saturating_mul(most)) {
            return Err((403, format!("{resource} {RATIO} is {most}")));
        }
    }
    Ok(())
}

/// The node can hold it at all, and no quota is passed.
fn room(store: &Store, pod: &Value, after: &Value) -> Result<(), Refusal> {
    let namespace = text(pod, "/metadata/namespace");
    for resource in RESOURCES {
        let (from, to) = (charge(pod, resource), charge(after, resource));
        if let Some(node) = store.get("nodes", "", text(pod, "/spec/nodeName")) {
            let most =
                amount(resource, &node["status"]["allocatable"][resource]).unwrap_or_default();
            let asked: u64 =
                parts(&after["spec"]).iter().filter_map(|it| request(it, resource)).sum();
            if to > from && asked > most {
                return Err((403, "Node didn't have enough capacity".into()));
            }
        }
        let quotas = store.of_kind("resourcequotas");
        for quota in quotas.filter(|quota| quota["metadata"]["namespace"] == namespace) {
            let hard = &quota["spec"]["hard"][format!("requests.{resource}")];
            let Some(hard) = amount(resource, hard) else { continue };
            let pods = store.of_kind("pods").filter(|it| it["metadata"]["namespace"] == namespace);
            let used: u64 = pods.map(|it| charge(it, resource)).sum();
            if to > from && used - from + to > hard {
                let name = text(quota, "/metadata/name");
                return Err((
                    403,
                    format!("exceeded quota: {name}, requested: requests.{resource}"),
                ));
            }
        }
    }
    Ok(())
}

/// Notes who set what.
fn own(pod: &mut Value, set: &[(String, String, String)], manager: &str) {
    let entries = &mut pod["metadata"]["managedFields"];
    if entries.is_null() {
        *entries = json!([]);
    }
    let Some(entries) = entries.as_array_mut() else { return };
    let ours = |entry: &Value| entry["manager"] == manager && entry["subresource"] == "resize";
    if !entries.iter().any(ours) {
        entries.push(json!({
            "manager": manager, "operation": "Update", "apiVersion": "v1", "subresource": "resize",
            "fieldsType": "FieldsV1", "fieldsV1": {},
        }));
    }
    for entry in entries.iter_mut().filter(|entry| ours(entry)) {
        for (container, which, resource) in set {
            let spec = &mut entry["fieldsV1"]["f:spec"];
            let part = match container.as_str() {
                "" => spec,
                name => &mut spec["f:containers"][format!("k:{{\"name\":\"{name}\"}}")],
            };
            part["f:resources"][format!("f:{which}")][format!("f:{resource}")] = json!({});
        }
    }
}
