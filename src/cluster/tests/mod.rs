//! Pods as an API server shows them, and what is read of them.

mod bounds;
mod events;
mod machines;
mod objects;
mod relations;

use k8s_openapi::api::{apps::v1 as apps, core::v1 as core};
use serde_json::{Value, json};

use super::*;
use crate::{
    api::WeightedShare,
    share::{Held, InitContainer, PerResource, Resource},
};

fn read(pod: Value) -> Pod {
    Pod::read(&serde_json::from_value(pod).unwrap())
}

/// A cluster of these objects.
fn cluster<K: Kept>(objects: impl IntoIterator<Item = K>) -> Cluster {
    let mut cluster = Cluster::default();
    put(&mut cluster, objects);
    cluster
}

fn put<K: Kept>(cluster: &mut Cluster, objects: impl IntoIterator<Item = K>) {
    for object in objects {
        cluster.apply(Event::Applied(object.key(), object.read()));
    }
}

fn object<K: serde::de::DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

/// A running pod, as the API server of Kubernetes 1.35 shows it, with `changes` merged into it.
fn running(changes: Value) -> Value {
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "web-5c9f-x7k2p",
            "namespace": "shop",
            "uid": "9a6f",
            "resourceVersion": "4711",
            "generation": 1,
            "labels": {"app": "web", "pod-template-hash": "5c9f"},
            "annotations": {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"},
            "ownerReferences": [
                {"apiVersion": "v1", "kind": "ConfigMap", "name": "notes", "uid": "1"},
                {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5c9f", "uid": "2", "controller": true},
            ],
            "managedFields": [managed("kube-controller-manager", null_subresource(), "f:cpu")],
        },
        "spec": {
            "nodeName": "n1",
            "serviceAccountName": "default",
            "containers": [{
                "name": "main",
                "image": "web:1",
                "resources": {"requests": {"cpu": "300m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
                "resizePolicy": [
                    {"resourceName": "cpu", "restartPolicy": "NotRequired"},
                    {"resourceName": "memory", "restartPolicy": "RestartContainer"},
                ],
            }],
        },
        "status": {
            "phase": "Running",
            "qosClass": "Burstable",
            "observedGeneration": 1,
            "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [{
                "name": "main",
                "image": "web:1",
                "imageID": "web@sha256:0",
                "ready": true,
                "restartCount": 0,
                "allocatedResources": {"cpu": "300m", "memory": "64Mi"},
                "resources": {"requests": {"cpu": "300m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
            }],
        },
    });
    merge(&mut pod, changes);
    pod
}

fn merge(into: &mut Value, changes: Value) {
    match (into, changes) {
        (Value::Object(into), Value::Object(changes)) => {
            for (key, value) in changes {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, changes) => *into = changes,
    }
}

fn null_subresource() -> Value {
    Value::Null
}

fn managed(manager: &str, subresource: Value, field: &str) -> Value {
    json!({
        "manager": manager,
        "operation": "Update",
        "subresource": subresource,
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": {"f:containers": {"k:{\"name\":\"main\"}": {"f:resources": {"f:requests": {field: {}}}}}}},
    })
}

fn held(requested: u64, admitted: u64) -> Held {
    Held { requested, admitted }
}

const MI: u64 = 1 << 20;

#[test]
fn a_running_pod_is_read_whole() {
    let labels = [("app", "web"), ("pod-template-hash", "5c9f")];
    assert_eq!(
        read(running(json!({}))),
        Pod {
            namespace: "shop".into(),
            name: "web-5c9f-x7k2p".into(),
            uid: "9a6f".into(),
            resource_version: "4711".into(),
            generation: 1,
            labels: labels.map(|(key, value)| (key.into(), value.into())).into(),
            owner: Some(owner("ReplicaSet", "web-5c9f")),
            node: Some("n1".into()),
            binding: Some(Binding {
                at: None,
                charge: PerResource { cpu: 300, memory: 64 * MI },
                is_original: true,
                written: None,
            }),
            containers: vec![Container {
                name: "main".into(),
                held: PerResource { cpu: held(300, 300), memory: held(64 * MI, 64 * MI) },
                limit: PerResource { cpu: None, memory: Some(128 * MI) },
                enforced: PerResource { cpu: None, memory: Some(128 * MI) },
                restarts: PerResource { cpu: false, memory: true },
                unheard: false,
            }],
            ..Pod::default()
        }
    );
}

#[test]
fn a_pod_without_spec_and_status_is_read_too() {
    let pod = read(json!({"metadata": {"name": "bare", "namespace": "shop"}}));
    assert_eq!((pod.node, pod.qos, pod.resize), (None, Qos::Burstable, Resize::Done));
    let unscheduled = running(json!({"spec": {"nodeName": ""}, "status": {"phase": "Pending"}}));
    assert_eq!(read(unscheduled).node, None);
}

#[test]
fn the_class_the_end_and_the_deletion_of_a_pod_are_read() {
    let class = |class: &str| read(running(json!({"status": {"qosClass": class}}))).qos;
    assert_eq!(
        ["Guaranteed", "Burstable", "BestEffort"].map(class),
        [Qos::Guaranteed, Qos::Burstable, Qos::BestEffort]
    );
    let finished = |phase: &str| read(running(json!({"status": {"phase": phase}}))).finished;
    assert_eq!(
        ["Pending", "Running", "Succeeded", "Failed"].map(finished),
        [false, false, true, true]
    );
    assert!(!read(running(json!({}))).terminating);
    let deleted = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
    assert!(read(running(deleted)).terminating);
}

#[test]
fn a_container_holds_the_most_of_what_is_allocated_and_enforced() {
    let cpu = |allocated: Value, actual: Value| {
        let status = json!([{
            "name": "main", "image": "", "imageID": "", "ready": true, "restartCount": 0,
            "allocatedResources": allocated,
            "resources": {"requests": actual},
        }]);
        read(running(json!({"status": {"containerStatuses": status}}))).containers[0].held.cpu
    };
    assert_eq!(cpu(json!({"cpu": "200m"}), json!({"cpu": "250m"})), held(300, 250));
    assert_eq!(cpu(json!({"cpu": "500m"}), json!({"cpu": "250m"})), held(300, 500));
    assert_eq!(cpu(json!({"cpu": "200m"}), json!({})), held(300, 200));
    // No kubelet has spoken of it yet.
    assert_eq!(cpu(json!({}), json!({})), held(300, 300));
    let unknown = read(running(json!({"status": {"containerStatuses": null}})));
    assert_eq!(unknown.containers[0].held.cpu, held(300, 300));
}

#[test]
fn amounts_are_rounded_up_as_kubernetes_does() {
    let pod = read(running(json!({
        "spec": {"overhead": {"cpu": "100500u", "memory": "1500m"}},
    })));
    assert_eq!(pod.overhead, PerResource { cpu: 101, memory: 2 });
}

#[test]
fn nobody_asks_for_more_than_can_be_summed() {
    let container =
        json!({"name": "main", "resources": {"limits": {"cpu": "9E", "memory": "8Ei"}}});
    let pod = read(running(
        json!({"spec": {"containers": [container]}, "status": {"containerStatuses": null}}),
    ));
    let held = pod.containers[0].held;
    assert_eq!([held.cpu.requested, held.memory.requested], [1 << 50; 2]);
    assert_eq!(pod.cpu_limits().all, Some(1 << 50));
}

#[test]
fn a_pod_is_limited_by_all_that_runs_in_it() {
    let limits = |cpu: &str| json!({"limits": {"cpu": cpu}});
    let limited = |sidecar: Value| {
        read(json!({
            "metadata": {"name": "p"},
            "spec": {
                "containers": [{"name": "main", "resources": limits("500m")}],
                "initContainers": [
                    {"name": "prepare", "resources": limits("2")},
                    {"name": "proxy", "restartPolicy": "Always", "resources": sidecar},
                ],
            },
            // The kubelet has not carried it out yet.
            "status": {"containerStatuses": [{
                "name": "main", "image": "", "imageID": "", "ready": true, "restartCount": 0, "resources": limits("300m"),
            }]},
        }))
    };
    let of = |sidecar| limited(sidecar).cpu_limits();
    assert_eq!(of(limits("100m")), CpuLimits { regular: Some(300), all: Some(400) });
    assert_eq!(of(json!({})), CpuLimits { regular: Some(300), all: None });
    assert_eq!(limited(json!({"requests": {"cpu": "70m"}})).aside(Resource::Cpu), 70);
}

#[test]
fn init_containers_sidecars_and_overhead_are_charged() {
    let request =
        |cpu: &str| json!({"requests": {"cpu": cpu, "memory": "1Mi"}, "limits": {"cpu": "1"}});
    let status = json!({
        "name": "proxy", "image": "", "imageID": "", "ready": true, "restartCount": 0,
        "allocatedResources": {"cpu": "70m"},
    });
    let pod = read(running(json!({
        "spec": {
            "overhead": {"cpu": "5m"},
            "initContainers": [
                {"name": "proxy", "restartPolicy": "Always", "resources": request("50m")},
                {"name": "migrate", "resources": request("500m")},
            ],
        },
        "status": {"initContainerStatuses": [status]},
    })));
    assert_eq!(
        pod.init.cpu,
        [
            InitContainer { held: held(50, 70), sidecar: true },
            InitContainer { held: held(500, 500), sidecar: false },
        ]
    );
    // The init container beside its sidecar (570) outweighs what runs (370).
    assert_eq!(pod.charge(Resource::Cpu), 575);
    assert_eq!(pod.charge(Resource::Memory), 65 * MI);
}

#[test]
fn init_containers_are_limited_when_each_has_a_limit() {
    let init = |resources: &[Value]| {
        let init: Vec<Value> =
            resources.iter().map(|it| json!({"name": "init", "resources": it})).collect();
        let pod = read(running(json!({"spec": {"containers": [], "initContainers": init}})));
        (pod.inits_are_limited(Resource::Cpu), pod.inits_are_limited(Resource::Memory))
    };
    let both = json!({"limits": {"cpu": "1", "memory": "128Mi"}});
    assert_eq!(init(&[]), (true, true));
    assert_eq!(init(std::slice::from_ref(&both)), (true, true));
    assert_eq!(init(&[both, json!({"limits": {"cpu": "1"}})]), (true, false));
}

#[test]
fn conditions_say_how_far_a_resize_has_come() {
    let resize = |type_: &str, status: &str, reason: &str| {
        let condition =
            json!({"type": type_, "status": status, "reason": reason, "message": "because"});
        read(running(json!({"status": {"conditions": [condition]}}))).resize
    };
    let why = || "because".to_owned();
    assert_eq!(resize("PodResizePending", "True", "Deferred"), Resize::Deferred(why()));
    assert_eq!(resize("PodResizePending", "True", "Infeasible"), Resize::Infeasible(why()));
    assert_eq!(resize("PodResizeInProgress", "True", ""), Resize::InProgress);
    assert_eq!(resize("PodResizeInProgress", "True", "Error"), Resize::Failing(why()));
    assert_eq!(resize("PodResizeInProgress", "False", ""), Resize::Done);
    assert_eq!(resize("PodResizePending", "False", "Deferred"), Resize::Done);
    // What is pending counts for more than what is in progress.
    let both = json!({"status": {"conditions": [
        {"type": "PodResizeInProgress", "status": "True", "reason": "Error"},
        {"type": "PodResizePending", "status": "True", "reason": "Deferred", "message": "because"},
    ]}});
    assert_eq!(read(running(both)).resize, Resize::Deferred(why()));
}

#[test]
fn a_kubelet_that_has_not_seen_the_spec_yet_is_still_at_it() {
    let behind = |phase: &str, node: Option<&str>| {
        let status = json!({"phase": phase});
        let spec = json!({"nodeName": node});
        let changes = json!({"metadata": {"generation": 2}, "spec": spec, "status": status});
        read(running(changes)).resize
    };
    assert_eq!(behind("Running", Some("n1")), Resize::InProgress);
    assert_eq!(behind("Pending", Some("n1")), Resize::InProgress);
    // Before it has a node, the new spec is simply the spec.
    assert_eq!(behind("Pending", None), Resize::Done);
}

#[test]
fn what_the_node_can_never_give_is_not_charged() {
    let pod = |reason: &str| {
        read(running(json!({
            "spec": {"containers": [{"name": "main", "resources": {"requests": {"cpu": "64"}}}]},
            "status": {"conditions": [{"type": "PodResizePending", "status": "True", "reason": reason}]},
        })))
    };
    assert_eq!(pod("Deferred").charge(Resource::Cpu), 64_000);
    assert_eq!(pod("Infeasible").charge(Resource::Cpu), 300);
}

#[test]
fn managed_fields_say_what_we_resized() {
    let resized = |manager: &str, subresource: Value, field: &str| {
        let entries = json!([
            managed("kubectl", json!("resize"), "f:memory"),
            managed(manager, subresource, field)
        ]);
        read(running(json!({"metadata": {"managedFields": entries}}))).resized_by_us
    };
    let (none, cpu) = (PerResource::default(), PerResource { cpu: true, memory: false });
    assert_eq!(resized(FIELD_MANAGER, json!("resize"), "f:cpu"), cpu);
    assert_eq!(resized(FIELD_MANAGER, json!("resize"), "f:example.com/cpu"), none);
    assert_eq!(resized(FIELD_MANAGER, json!("status"), "f:cpu"), none);
    assert_eq!(resized(FIELD_MANAGER, null_subresource(), "f:cpu"), none);
    assert_eq!(resized("kubectl", json!("resize"), "f:cpu"), none);
}

#[test]
fn an_annotation_says_what_a_pod_started_with_less_of() {
    let lowered = |what: &str| {
        let annotations = json!({"annotations": {"weightedshare.dev/lowered": what, "other": "x"}});
        read(running(json!({"metadata": annotations}))).resized_by_us
    };
    assert_eq!(lowered("cpu"), PerResource { cpu: true, memory: false });
    assert_eq!(lowered("cpu,memory"), PerResource { cpu: true, memory: true });
    assert_eq!(lowered(""), PerResource::default());
}

#[test]
fn obstacles_are_seen() {
    let obstacle = |changes: Value| read(running(changes)).obstacle;
    assert_eq!(obstacle(json!({})), None);
    let cases = [
        (
            json!({"metadata": {"annotations": {"kubernetes.io/config.mirror": "1"}}}),
            Obstacle::StaticPod,
        ),
        (
            json!({"metadata": {"labels": {"kubevirt.io": "virt-launcher"}}}),
            Obstacle::UnknownMachine,
        ),
        (json!({"spec": {"os": {"name": "windows"}}}), Obstacle::Windows),
        (json!({"spec": {"nodeSelector": {"kubernetes.io/os": "windows"}}}), Obstacle::Windows),
        (json!({"status": {"qosClass": "BestEffort"}}), Obstacle::BestEffort),
    ];
    for (changes, expected) in cases {
        assert_eq!(obstacle(changes), Some(expected));
    }
    assert_eq!(obstacle(json!({"spec": {"os": {"name": "linux"}}})), None);
}

/// The owner of that name in the namespace of these tests.
fn owner(kind: &str, name: &str) -> Owner {
    Owner { namespace: "shop".into(), kind: kind.into(), name: name.into() }
}
