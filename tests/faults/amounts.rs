//! What pods are charged and of which class they are, read from plain JSON: written anew, so that a mistake of the
//! program is not made twice.

use serde_json::Value;

pub const RESOURCES: [&str; 2] = ["cpu", "memory"];

/// Millicores of CPU, bytes of memory.
pub fn amount(resource: &str, quantity: &Value) -> Option<u64> {
    const UNITS: [(&str, f64); 15] = [
        ("n", 1e-9),
        ("u", 1e-6),
        ("m", 1e-3),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("T", 1e12),
        ("P", 1e15),
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("Ti", 1_099_511_627_776.0),
        ("Pi", 1_125_899_906_842_624.0),
        ("Ei", 1_152_921_504_606_846_976.0),
        ("E", 1e18),
    ];
    let text = quantity.as_str()?;
    let whole = if resource == "cpu" { 1000.0 } else { 1.0 };
    // What is written without a fraction is read without one: bytes do not all fit a float.
    let (number, unit) = UNITS
        .iter()
        .find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit)))
        .unwrap_or((text, 1.0));
    let times = unit * whole;
    match number.parse::<u64>() {
        Ok(number) if times >= 1.0 => Some(number.saturating_mul(times as u64)),
        _ => Some((number.parse::<f64>().ok()? * times).ceil() as u64),
    }
}

/// What a path of names leads to. It is asked for so often that the escapes of `Value::pointer` would cost too much.
fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('/').skip(1).try_fold(value, |value, name| value.get(name))
}

pub fn list<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    at(value, path).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

pub fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    at(value, path).and_then(Value::as_str).unwrap_or_default()
}

/// The parts of a pod's spec, or of a patch of it, that a resize moves: the pod itself, if resources are set for it as a whole, or
/// else its containers.
pub fn parts(spec: &Value) -> &[Value] {
    if is_whole(spec) { std::slice::from_ref(spec) } else { list(spec, "/containers") }
}

pub fn parts_mut(spec: &mut Value) -> &mut [Value] {
    if is_whole(spec) {
        std::slice::from_mut(spec)
    } else {
        spec.get_mut("containers")
            .and_then(Value::as_array_mut)
            .map(Vec::as_mut_slice)
            .unwrap_or_default()
    }
}

/// What the status says of a part.
pub fn status_of<'a>(pod: &'a Value, part: &Value) -> Option<&'a Value> {
    if is_whole(&pod["spec"]) {
        return Some(&pod["status"]);
    }
    list(pod, "/status/containerStatuses").iter().find(|it| it["name"] == part["name"])
}

/// Whether resources are set for a pod as a whole.
pub fn is_whole(spec: &Value) -> bool {
    !spec["resources"].is_null()
}

/// What a container of the spec asks for.
pub fn request(container: &Value, resource: &str) -> Option<u64> {
    let of = |which: &str| amount(resource, &container["resources"][which][resource]);
    of("requests").or_else(|| of("limits"))
}

pub fn limit(container: &Value, resource: &str) -> Option<u64> {
    amount(resource, &container["resources"]["limits"][resource])
}

/// The node can never give what the spec asks for.
pub fn infeasible(pod: &Value) -> bool {
    list(pod, "/status/conditions").iter().any(|condition| {
        condition["type"] == "PodResizePending"
            && condition["status"] == "True"
            && condition["reason"] == "Infeasible"
    })
}

/// What the scheduler, the kubelet and quotas take the pod to hold: the largest of what is asked for, allocated and
/// enforced.
pub fn charge(pod: &Value, resource: &str) -> u64 {
    if matches!(text(pod, "/status/phase"), "Succeeded" | "Failed") {
        return 0;
    }
    let infeasible = infeasible(pod);
    let of = |container: &Value, statuses: &str| {
        let asked = request(container, resource).unwrap_or_default();
        let status = match statuses {
            "" => status_of(pod, container),
            statuses => list(pod, statuses).iter().find(|it| it["name"] == container["name"]),
        };
        let held = status.and_then(|status| {
            let allocated = amount(resource, &status["allocatedResources"][resource]);
            allocated.max(amount(resource, &status["resources"]["requests"][resource]))
        });
        match held {
            Some(held) if infeasible => held,
            held => asked.max(held.unwrap_or_default()),
        }
    };
    together(pod, resource, of)
}

/// What a pod has, where `of` says that of a part, by what the spec says of it and where the statuses of its like are.
pub fn together(pod: &Value, resource: &str, of: impl Fn(&Value, &str) -> u64) -> u64 {
    let overhead = amount(resource, &pod["spec"]["overhead"][resource]).unwrap_or_default();
    if is_whole(&pod["spec"]) {
        return of(&pod["spec"], "") + overhead;
    }
    let (mut sidecars, mut highest) = (0, 0);
    for init in list(pod, "/spec/initContainers") {
        let this = sidecars + of(init, "/status/initContainerStatuses");
        highest = highest.max(this);
        if init["restartPolicy"] == "Always" {
            sidecars = this;
        }
    }
    let containers = list(pod, "/spec/containers").iter();
    let running: u64 = containers.map(|it| of(it, "/status/containerStatuses")).sum();
    (sidecars + running).max(highest) + overhead
}

/// Guaranteed, Burstable or BestEffort.
pub fn class(pod: &Value) -> &'static str {
    let init = if is_whole(&pod["spec"]) { &[] } else { list(pod, "/spec/initContainers") };
    let containers = || parts(&pod["spec"]).iter().chain(init);
    let amounts = || containers().flat_map(|it| RESOURCES.map(|resource| (it, resource)));
    if amounts().all(|(it, resource)| request(it, resource).unwrap_or_default() == 0) {
        "BestEffort"
    } else if amounts().all(|(it, resource)| {
        limit(it, resource).is_some_and(|limit| limit > 0)
            && request(it, resource) == limit(it, resource)
    }) {
        "Guaranteed"
    } else {
        "Burstable"
    }
}

/// What a pool has of a resource: what its spec says, or what it was given.
pub fn capacity(pool: &Value, resource: &str) -> Option<u64> {
    let of = |part: &str| amount(resource, &pool[part]["capacity"][resource]);
    of("spec").or_else(|| of("status").filter(|_| pool["spec"]["capacity"].is_null()))
}
