//! Quotas, workloads, nodes and autoscalers as an API server shows them, and pods with regard to them.

use k8s_openapi::api::autoscaling::v2 as autoscaling;

use super::*;

#[test]
fn a_quota_says_what_it_bounds_and_whom_it_counts() {
    let read = |spec: Value, status: Value| {
        let quota = json!({"metadata": {"name": "compute", "namespace": "shop"}, "spec": spec, "status": status});
        Quota::read(&object(quota))
    };
    let hard = json!({"cpu": "3", "requests.cpu": "2", "limits.memory": "1Gi", "pods": "9"});
    let full = read(
        json!({"hard": hard}),
        json!({"hard": hard, "used": {"cpu": "1500m", "requests.cpu": "1500m", "limits.memory": "1Mi"}}),
    )
    .unwrap();
    assert_eq!(full.requests.cpu, Some(Bounded { hard: 2000, used: 1500 }));
    assert_eq!(full.requests.memory, None);
    assert_eq!(full.limits.memory, Some(Bounded { hard: 1 << 30, used: MI }));
    // As in a file.
    let file = read(json!({"hard": {"cpu": "3"}}), json!({})).unwrap();
    assert_eq!(file.requests.cpu, Some(Bounded { hard: 3000, used: 0 }));
    assert_eq!(read(json!({"hard": {"pods": "9"}}), json!({})), None);

    let counts = |more: Value, changes: Value| {
        let mut spec = json!({"hard": {"cpu": "3"}});
        merge(&mut spec, more);
        let pod = self::read(running(changes));
        read(spec, json!({})).unwrap().counts(&pod)
    };
    let scope = |name: &str| json!({"scopes": [name]});
    let deadline = || json!({"spec": {"activeDeadlineSeconds": 60}});
    assert!(counts(scope("NotBestEffort"), json!({})) && !counts(scope("BestEffort"), json!({})));
    assert!(counts(scope("NotTerminating"), json!({})) && !counts(scope("Terminating"), json!({})));
    assert!(
        counts(scope("Terminating"), deadline()) && !counts(scope("NotTerminating"), deadline())
    );
    let class = |operator: &str| {
        let requirement =
            json!({"scopeName": "PriorityClass", "operator": operator, "values": ["gold"]});
        json!({"scopeSelector": {"matchExpressions": [requirement]}})
    };
    let gold = || json!({"spec": {"priorityClassName": "gold"}});
    assert!(counts(class("In"), gold()) && !counts(class("In"), json!({})));
    assert!(!counts(class("NotIn"), gold()) && counts(class("NotIn"), json!({})));
    assert!(counts(class("Exists"), gold()) && !counts(class("Exists"), json!({})));
    assert!(!counts(class("DoesNotExist"), gold()) && counts(class("DoesNotExist"), json!({})));
    // What is not understood counts everything.
    assert!(counts(scope("CrossNamespacePodAffinity"), json!({})));
}

#[test]
fn a_workload_says_how_many_pods_it_is_to_have_and_whether_they_are_refused() {
    let condition = |type_: &str, status: &str| json!({"type": type_, "status": status, "message": "exceeded quota"});
    let set = |replicas: Value, conditions: Value| {
        let set = json!({
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"replicas": replicas, "selector": {}, "template": {"spec": {
                "containers": [{"name": "main", "resources": {"limits": {"cpu": "200m"}}}],
                "initContainers": [
                    {"name": "mesh", "restartPolicy": "Always", "resources": {"requests": {"cpu": "50m"}}},
                    {"name": "first", "resources": {"requests": {"cpu": "100m"}}},
                ],
            }}},
            "status": {"replicas": 1, "conditions": conditions},
        });
        let read = Workload::of_replica_set(&object(set)).filled_in(&Limits::default());
        (read.pods, read.refused, read.charge.cpu)
    };
    assert_eq!(set(json!(3), json!([])), (3, None, 250));
    assert_eq!(set(Value::Null, json!([condition("ReplicaFailure", "False")])), (1, None, 250));
    let refused = set(json!(2), json!([condition("ReplicaFailure", "True")]));
    assert_eq!(refused, (2, Some("exceeded quota".to_owned()), 250));

    let job = |spec: Value, status: Value| {
        let mut job =
            json!({"metadata": {"name": "once"}, "spec": {"template": {}}, "status": status});
        merge(&mut job["spec"], spec);
        Workload::of_job(&object(job)).pods
    };
    assert_eq!(job(json!({}), json!({})), 1);
    let many = json!({"parallelism": 3, "completions": 8});
    assert_eq!(job(many.clone(), json!({"succeeded": 2})), 3);
    assert_eq!(job(many.clone(), json!({"succeeded": 7})), 1);
    assert_eq!(job(many, json!({"succeeded": 7, "conditions": [condition("Failed", "True")]})), 0);
}

#[test]
fn kinds_of_other_api_groups_are_told_apart() {
    let of = Owner::kind_of;
    assert_eq!(of("apps/v1", "StatefulSet"), "StatefulSet");
    assert_eq!(of("apps.kruise.io/v1beta1", "StatefulSet"), "StatefulSet.apps.kruise.io");
    assert_eq!(of("batch.volcano.sh/v1alpha1", "Job"), "Job.batch.volcano.sh");
    assert_eq!(of("batch/v1", "Job"), "Job");
    // Autoscalers may omit the API version. Other kinds keep their plain names.
    assert_eq!(of("", "Deployment"), "Deployment");
    assert_eq!(of("argoproj.io/v1alpha1", "Rollout"), "Rollout");
}

#[test]
fn a_pod_waits_where_the_scheduler_says_that_no_node_has_enough() {
    let pending = |message: &str, changes: Value| {
        let mut pod = running(json!({
            "spec": {"nodeName": null, "nodeSelector": {"disk": "ssd"}},
            "status": {"phase": "Pending", "containerStatuses": null, "conditions": [{
                "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message,
            }]},
        }));
        merge(&mut pod, changes);
        read(pod).pending
    };
    let lacks =
        |message: &str| pending(message, json!({})).map(|it| (it.lacks.cpu, it.lacks.memory));
    assert_eq!(lacks("0/1 nodes are available: 1 Insufficient cpu."), Some((true, false)));
    let both =
        "0/3 nodes are available: 1 Insufficient cpu, 2 Insufficient memory. preemption: 0/3";
    assert_eq!(lacks(both), Some((true, true)));
    assert_eq!(lacks("0/1 nodes are available: 1 node(s) didn't match the node selector."), None);
    assert_eq!(
        lacks("0/1 nodes are available: 1 Too many pods. preemption: Insufficient cpu"),
        None
    );
    // Room for CPU does not help on a node that has no free device either.
    let of = |reasons: &str| lacks(&format!("0/3 nodes are available: {reasons}."));
    assert_eq!(of("3 Insufficient cpu, 3 Insufficient example.com/gpu"), None);
    assert_eq!(of("1 Insufficient cpu, 2 Insufficient example.com/gpu"), Some((true, false)));
    assert_eq!(of("2 Insufficient cpu, 2 Insufficient example.com/gpu"), Some((true, false)));
    assert_eq!(
        of(
            "1 Insufficient cpu, 1 Insufficient example.com/gpu, 2 node(s) had untolerated taint(s)"
        ),
        None
    );
    assert_eq!(of("3 Insufficient cpu, 3 Insufficient memory"), Some((true, true)));
    assert_eq!(lacks("volcano: Insufficient memory on all nodes"), Some((false, true)));
    let short = "0/1 nodes are available: 1 Insufficient cpu.";
    let gated = json!({"status": {"conditions": [{
        "type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "message": short,
    }]}});
    assert_eq!(pending(short, gated), None);
    assert_eq!(pending(short, json!({"spec": {"nodeName": "n1"}})), None);

    let node = |labels: Value, taints: Value| {
        let node =
            json!({"metadata": {"name": "n1", "labels": labels}, "spec": {"taints": taints}});
        Node::read(&object(node)).terms
    };
    let runs = |changes: Value, labels: Value, taints: Value| {
        pending(short, changes).unwrap().may_run_on("n1", &node(labels, taints))
    };
    let ssd = || json!({"disk": "ssd", "zone": "a"});
    assert!(
        runs(json!({}), ssd(), json!([])) && !runs(json!({}), json!({"disk": "hdd"}), json!([]))
    );
    let tainted = || json!([{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]);
    assert!(!runs(json!({}), ssd(), tainted()));
    assert!(runs(json!({}), ssd(), json!([{"key": "gpu", "effect": "PreferNoSchedule"}])));
    let tolerates = |toleration: Value| json!({"spec": {"tolerations": [toleration]}});
    for (toleration, runs_there) in [
        (json!({"operator": "Exists"}), true),
        (json!({"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}), true),
        (json!({"key": "gpu", "value": "yes"}), true),
        (json!({"key": "gpu", "value": "no"}), false),
        (json!({"key": "gpu", "value": "yes", "effect": "NoExecute"}), false),
    ] {
        assert_eq!(
            runs(tolerates(toleration.clone()), ssd(), tainted()),
            runs_there,
            "{toleration}"
        );
    }
    let affine = |terms: Value| {
        let required = json!({"nodeSelectorTerms": terms});
        json!({"spec": {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}}})
    };
    let term = |kind: &str, key: &str, operator: &str, value: &str| json!({kind: [{"key": key, "operator": operator, "values": [value]}]});
    let numbered = |operator: &str, bound: &str| {
        let terms = json!([term("matchExpressions", "gpus", operator, bound)]);
        runs(affine(terms), json!({"disk": "ssd", "gpus": "8"}), json!([]))
    };
    assert!(numbered("Gt", "7") && !numbered("Gt", "8"));
    assert!(numbered("Lt", "9") && !numbered("Lt", "8") && !numbered("Lt", "many"));
    // A device that the node does not have.
    let device = json!({"spec": {"containers": [{"name": "main", "resources": {"limits": {"example.com/gpu": "1"}}}]}});
    let has = |devices: &str| {
        let node = json!({
            "metadata": {"name": "n1", "labels": {"disk": "ssd"}},
            "status": {"allocatable": {"cpu": "4", "example.com/gpu": devices}},
        });
        let terms = Node::read(&object(node)).terms;
        pending(short, device.clone()).unwrap().may_run_on("n1", &terms)
    };
    assert!(has("2") && !has("0"));
    for (terms, runs_there) in [
        (json!([term("matchExpressions", "zone", "In", "a")]), true),
        (json!([term("matchExpressions", "zone", "In", "b")]), false),
        (
            json!([
                term("matchExpressions", "zone", "In", "b"),
                term("matchExpressions", "zone", "NotIn", "b")
            ]),
            true,
        ),
        (json!([term("matchExpressions", "zone", "DoesNotExist", "")]), false),
        (json!([term("matchFields", "metadata.name", "In", "n1")]), true),
        (json!([term("matchFields", "metadata.name", "In", "n2")]), false),
        (json!([{}]), false),
    ] {
        assert_eq!(runs(affine(terms.clone()), ssd(), json!([])), runs_there, "{terms}");
    }
}

#[test]
fn who_else_resized_a_pod_is_known_by_its_managed_fields() {
    let set_by =
        |entries: Value| read(running(json!({"metadata": {"managedFields": entries}}))).set_by.cpu;
    let at = |manager: &str, field: &str, time: &str| {
        let mut entry = managed(manager, json!("resize"), field);
        entry["time"] = json!(time);
        entry
    };
    let noon = "2026-01-01T12:00:00Z";
    assert_eq!(set_by(json!([at("rival", "f:cpu", noon)])).as_deref(), Some("rival"));
    let later = at("another", "f:cpu", "2026-01-01T13:00:00Z");
    assert_eq!(set_by(json!([later, at("rival", "f:cpu", noon)])).as_deref(), Some("another"));
    assert_eq!(set_by(json!([at("rival", "f:memory", noon)])), None);
    assert_eq!(set_by(json!([at(FIELD_MANAGER, "f:cpu", noon)])), None);
    // The kubelet and the API server never resize: another client used their names.
    for manager in ["kubelet", "kube-apiserver"] {
        assert_eq!(set_by(json!([at(manager, "f:cpu", noon)])).as_deref(), Some(manager));
    }
    // It made the pod, which is no resize.
    assert_eq!(
        set_by(json!([managed("kube-controller-manager", null_subresource(), "f:cpu")])),
        None
    );
}

#[test]
fn what_the_system_depends_on_is_known_by_its_priority() {
    let critical = |spec: Value| read(running(json!({"spec": spec}))).critical;
    assert!(!critical(json!({"priority": 1_999_999_999, "priorityClassName": "high"})));
    assert!(critical(json!({"priority": 2_000_000_000})));
    assert!(critical(json!({"priorityClassName": "system-node-critical"})));
    assert!(critical(json!({"priorityClassName": "system-cluster-critical"})));
}

#[test]
fn autoscalers_are_known_by_what_they_scale() {
    let horizontal = |name: &str, target: &str, metrics: Value| {
        let scaler = json!({
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {"maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": target}, "metrics": metrics},
            "status": {"currentReplicas": 1},
        });
        object::<autoscaling::HorizontalPodAutoscaler>(scaler)
    };
    let resource = |name: &str, target: Value| json!({"type": "Resource", "resource": {"name": name, "target": target}});
    let utilization = || json!({"type": "Utilization", "averageUtilization": 60});
    let container = json!({
        "type": "ContainerResource",
        "containerResource": {"name": "memory", "container": "main", "target": utilization()},
    });
    let value = resource("cpu", json!({"type": "AverageValue", "averageValue": "300m"}));
    let horizontal = [
        horizontal("web-b", "web", json!([resource("cpu", utilization())])),
        horizontal("web-a", "web", json!([value, resource("cpu", utilization()), container])),
        horizontal("api", "api", json!([value])),
        horizontal("old", "old", Value::Null),
    ];
    let vertical = |name: &str, target: &str, policy: Value| -> VerticalPodAutoscaler {
        let scaler = json!({
            "apiVersion": "autoscaling.k8s.io/v1", "kind": "VerticalPodAutoscaler",
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {"targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}, "updatePolicy": policy},
        });
        serde_json::from_value(scaler).unwrap()
    };
    let vertical = [
        vertical("web", "web", json!({"updateMode": "InPlaceOrRecreate", "minReplicas": 1})),
        vertical("api", "api", json!({"updateMode": "Off"})),
        vertical("old", "old", Value::Null),
    ];
    let mut cluster = cluster(horizontal);
    put(&mut cluster, vertical);
    let autoscalers = cluster.namespace("shop").unwrap().autoscalers();
    let names = |cpu: &str, memory: Option<&str>| PerResource {
        cpu: Some(cpu.to_owned()),
        memory: memory.map(str::to_owned),
    };
    let deployment = |name: &str| owner("Deployment", name);
    assert_eq!(
        autoscalers.horizontal,
        [
            (deployment("web"), names("web-a", Some("web-a"))),
            (deployment("old"), names("old", None))
        ]
        .into()
    );
    let acts = |name: &str, mode: &str| (deployment(name), (name.to_owned(), mode.to_owned()));
    assert_eq!(
        autoscalers.vertical,
        [acts("web", "InPlaceOrRecreate"), acts("old", "Recreate")].into()
    );
}

#[test]
fn a_pod_of_an_earlier_revision_has_the_template_that_it_was_made_from() {
    let meta = |kind: &str, name: &str| {
        let owner = json!({"apiVersion": "apps/v1", "kind": kind, "name": "db", "uid": "db", "controller": true});
        json!({"name": name, "namespace": "shop", "uid": name, "ownerReferences": [owner]})
    };
    let template = |cpu: &str| json!({"spec": {"containers": [{"name": "main", "resources": {"requests": {"cpu": cpu}}}]}});
    // A pod of a StatefulSet names the revision, one of a DaemonSet the end of its name.
    for (kind, label) in [("StatefulSet", "db-1"), ("DaemonSet", "1")] {
        let annotations = json!({"deprecated.daemonset.template.generation": "2"});
        let set = json!({
            "metadata": {"name": "db", "namespace": "shop", "annotations": annotations},
            "spec": {"selector": {}, "serviceName": "db", "template": template("900m")},
            "status": {"replicas": 1, "updateRevision": "db-2", "currentNumberScheduled": 1, "desiredNumberScheduled": 1,
                       "numberMisscheduled": 0, "numberReady": 1},
        });
        let mut cluster = Cluster::default();
        match kind {
            "StatefulSet" => put(&mut cluster, [object::<apps::StatefulSet>(set)]),
            _ => put(&mut cluster, [object::<apps::DaemonSet>(set)]),
        }
        let labels = json!({"controller-revision-hash": label, "pod-template-generation": "1"});
        let mut pod = running(json!({"metadata": {"labels": labels}}));
        pod["metadata"]["ownerReferences"] = meta(kind, "")["ownerReferences"].clone();
        put(&mut cluster, [object::<core::Pod>(pod)]);
        let request = |cluster: &Cluster| {
            let pod = cluster.pod("shop", "web-5c9f-x7k2p").unwrap();
            cluster.template(pod).map(|it| it["main"].request.cpu)
        };
        assert_eq!(request(&cluster), None, "{kind}");

        let revision = |kind: &str, cpu: &str| {
            let data = json!({"spec": {"template": template(cpu)}});
            object::<apps::ControllerRevision>(
                json!({"metadata": meta(kind, "db-1"), "revision": 1, "data": data}),
            )
        };
        put(&mut cluster, [revision("Other", "700m")]);
        assert_eq!(request(&cluster), None, "{kind}: another's revision");
        cluster.take_changes();
        put(&mut cluster, [revision(kind, "700m")]);
        assert_eq!(request(&cluster), Some(700), "{kind}");
        let set = Owner { namespace: "shop".into(), kind: kind.into(), name: "db".into() };
        assert!(cluster.take_changes().workloads.contains(&set), "{kind}: its pools look again");
    }
}

#[test]
fn a_node_that_says_nothing_of_what_can_be_allocated_has_its_capacity() {
    let allocatable = |status: Value| {
        Node::read(&object(json!({"metadata": {"name": "n1"}, "status": status}))).allocatable
    };
    let both = json!({"capacity": {"cpu": "4", "memory": "8Gi"}, "allocatable": {"cpu": "3500m", "memory": "7Gi"}});
    assert_eq!(allocatable(both), PerResource { cpu: 3500, memory: 7 << 30 });
    let one = json!({"capacity": {"cpu": "4", "memory": "8Gi"}, "allocatable": {"cpu": "3500m"}});
    assert_eq!(allocatable(one), PerResource { cpu: 3500, memory: 8 << 30 });
    let none = json!({"capacity": {"cpu": "4", "memory": "8Gi"}});
    assert_eq!(allocatable(none), PerResource { cpu: 4000, memory: 8 << 30 });
    // Fractions are rounded down.
    let parts = json!({"allocatable": {"cpu": "1999999u", "memory": "1500m"}});
    assert_eq!(allocatable(parts), PerResource { cpu: 1999, memory: 1 });
}

#[test]
fn a_quota_beyond_all_amounts_is_no_quota_of_nothing() {
    let spec = json!({"hard": {"requests.cpu": "9E", "requests.memory": "8Ei"}});
    let quota =
        json!({"metadata": {"name": "q", "namespace": "shop"}, "spec": spec, "status": spec});
    let quota = Quota::read(&object(quota)).unwrap();
    assert_eq!(quota.requests.cpu.unwrap().hard, u64::MAX);
    assert_eq!(quota.requests.memory.unwrap().hard, u64::MAX);
}

#[test]
fn what_bounds_is_rounded_down_and_what_is_asked_up() {
    let range = json!({"spec": {"limits": [{
        "type": "Container", "min": {"cpu": "1u"}, "max": {"cpu": "999999u", "memory": "1500m"},
    }]}});
    let limits = Limits::read(&object(range)).container;
    assert_eq!((limits.cpu.min, limits.cpu.max, limits.memory.max), (1, Some(999), Some(1)));
    let spec = json!({"hard": {"requests.cpu": "1999999u"}});
    let status =
        json!({"hard": {"requests.cpu": "1999999u"}, "used": {"requests.cpu": "1000001u"}});
    let quota =
        json!({"metadata": {"name": "q", "namespace": "shop"}, "spec": spec, "status": status});
    let cpu = Quota::read(&object(quota)).unwrap().requests.cpu.unwrap();
    assert_eq!((cpu.hard, cpu.used), (1999, 1001));
}
