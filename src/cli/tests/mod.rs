//! Plans of manifests, as a user gets them.

mod cases;
mod explaining;
mod help;
mod planned;
mod reporting;
mod told;
mod watching;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    explain::{ExplainError, explain},
    manifests::{self, Manifests},
    plan::Plan,
    table::table,
};
use crate::{
    cli::{Looked, Wanted},
    cluster::{Bounds, EachKind, Event, Kept, Kind, Qos, each_kind},
    engine::{Granted, RememberedPod},
    metrics::PodMeasures,
    share::PerResource,
};

/// What the manifests of a text show.
fn looked(text: &str) -> Looked {
    let objects = manifests::parse("shop.yaml", text).unwrap_or_else(|errors| panic!("{errors}"));
    Manifests::sort(objects).unwrap().looked()
}

fn shop() -> Looked {
    looked(include_str!("shop.yaml"))
}

/// A pool of one member, and pods of its own.
fn one_member(spec: &Value, pods: &[Value]) -> Looked {
    let pool = json!({
        "apiVersion": "weightedshare.dev/v1alpha1",
        "kind": "WeightedShare",
        "metadata": {"name": "pool", "namespace": "shop"},
        "spec": spec,
    });
    let items = [&[pool][..], pods].concat();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    looked(&list.to_string())
}

fn pod(name: &str, resources: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "labels": {"app": "web"}},
        "spec": {"nodeName": "n1", "containers": [{"name": "main", "resources": resources}]},
    })
}

fn json_of(looked: &Looked) -> Value {
    serde_json::to_value(Plan::of(looked)).unwrap()
}

#[test]
fn the_table_says_who_holds_what_and_lends_to_whom() {
    let whole = table(&Plan::of(&shop()), true);
    assert_eq!(whole, include_str!("shop.txt"));
    let head = whole.lines().find(|line| line.contains("WEIGHT")).unwrap().to_owned() + "\n";
    let bare = table(&Plan::of(&shop()), false);
    assert!(
        !bare.contains("WEIGHT") && bare.lines().count() + 1 == whole.lines().count(),
        "{bare}"
    );
    assert!(whole.contains(&head));
}

#[test]
fn a_plan_keeps_the_pools_that_are_wanted() {
    let kept = |namespace: &str| {
        let wanted = Wanted { namespace: Some(namespace.to_owned()), ..Wanted::default() };
        let (looked, mut plan) = (shop(), Plan::of(&shop()));
        plan.keep(&wanted.keys(&looked.cluster));
        plan
    };
    assert_eq!(kept("shop").pools.len(), 1);
    assert_eq!(table(&kept("shopp"), true), "No pools found.\n");
}

#[test]
fn the_json_is_for_programs() {
    let plan = json_of(&shop());
    let pool = &plan["pools"][0];
    assert_eq!(
        pool["resources"]["cpu"],
        json!({"capacity": 2000, "allocated": 1805, "overcommitted": false})
    );
    assert_eq!(
        pool["members"][0],
        json!({
            "name": "checkout", "weight": 400, "effectiveWeight": 400, "pods": 2,
            "cpu": {"demand": 864, "fair": 1333, "share": 871},
            "memory": {"demand": 503_316_480, "fair": 1_431_655_765, "share": 735_401_302},
            "state": "Resizing", "reason": "Resizing",
        })
    );
    assert_eq!(pool["members"][2]["cpu"], json!({"demand": null, "fair": 334, "share": 334}));
    assert_eq!(pool["members"][3]["reason"], "TargetNotFound");
    assert_eq!(
        pool["pods"][3],
        json!({
            "namespace": "shop", "name": "batch-1", "member": "batch", "node": "n2",
            "cpu": {"from": 200, "to": 334}, "memory": {"from": 268_435_456, "to": 357_913_942},
        })
    );
}

#[test]
fn a_plan_that_was_carried_out_plans_nothing() {
    let member = json!({"name": "web", "selector": {"matchLabels": {"app": "web"}}});
    let mut spec = json!({"capacity": {"cpu": "1"}, "members": [member]});
    let half = json!({"requests": {"cpu": "500m"}});
    let plan = Plan::of(&one_member(&spec, &[pod("a", &half), pod("b", &half)]));
    assert_eq!((plan.changes(), plan.pools[0].members[0].reason), (0, "Settled"));
    let more = one_member(&spec, &[pod("a", &half)]);
    assert_eq!(Plan::of(&more).changes(), 1);
    // A pool that only observes changes nothing.
    spec["mode"] = json!("Observe");
    let plan = Plan::of(&one_member(&spec, &[pod("a", &half)]));
    assert_eq!((plan.changes(), plan.pools[0].members[0].reason), (0, "ModeObserve"));
    assert_eq!(plan.pools[0].pods[0].amounts.cpu.unwrap().to, 1000);
}

#[test]
fn a_pool_that_is_too_small_keeps_what_there_is() {
    let member = json!({"name": "web", "minPerPod": {"cpu": "600m"}, "selector": {}});
    let spec = json!({"capacity": {"cpu": "1"}, "members": [member]});
    let half = json!({"requests": {"cpu": "500m"}});
    let plan = Plan::of(&one_member(&spec, &[pod("a", &half), pod("b", &half)]));
    let pool = &plan.pools[0];
    assert_eq!((plan.changes(), pool.members[0].reason), (0, "PoolTooSmall"));
    assert_eq!(pool.resources.cpu.unwrap().allocated, 1000);
}

#[test]
fn what_cannot_be_resized_is_in_the_plan_as_it_is() {
    let spec = json!({"capacity": {"cpu": "1"}, "members": [{"name": "web", "selector": {}}]});
    let none = one_member(
        &spec,
        &[pod("none", &json!({})), pod("some", &json!({"requests": {"cpu": 1}}))],
    );
    let plan = Plan::of(&none);
    assert_eq!(plan.pools[0].members[0].reason, "BestEffort");
    assert_eq!((plan.pools[0].pods.len(), plan.changes()), (2, 0));
    let text = explain(&none, Some("shop"), "none").unwrap().text();
    assert!(text.contains("It is left alone: it has no requests"), "{text}");
}

#[test]
fn limits_of_the_namespace_bound_a_pod() {
    let range = |limits: Value| {
        json!({
            "apiVersion": "v1", "kind": "LimitRange",
            "metadata": {"name": "range", "namespace": "shop"}, "spec": {"limits": [limits]},
        })
    };
    let share = |limits: Value| {
        let spec = json!({"capacity": {"cpu": "1"}, "members": [{"name": "web", "selector": {}}]});
        let pods = [pod("a", &json!({"requests": {"cpu": "50m"}})), range(limits)];
        json_of(&one_member(&spec, &pods))["pools"][0]["pods"][0]["cpu"]["to"].clone()
    };
    assert_eq!(share(json!({"type": "Container", "max": {"cpu": "300m"}})), 300);
    assert_eq!(share(json!({"type": "Pod", "max": {"cpu": "400m"}})), 400);
    assert_eq!(share(json!({"type": "PersistentVolumeClaim", "max": {"storage": "1Gi"}})), 1000);
    let floor = json!({"type": "Container", "min": {"cpu": "100m"}});
    let spec = json!({
        "capacity": {"cpu": "1"},
        "members": [{"name": "web", "max": {"cpu": "20m"}, "selector": {}}],
    });
    let pods = [pod("a", &json!({"requests": {"cpu": "50m"}})), range(floor)];
    assert_eq!(json_of(&one_member(&spec, &pods))["pools"][0]["pods"][0]["cpu"]["to"], 100);
}

#[test]
fn machines_weigh_by_their_virtual_cpus_and_take_no_more() {
    let machine = |name: &str, cores: u64| {
        json!({
            "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance",
            "metadata": {"name": name, "namespace": "shop", "uid": name},
            "spec": {"domain": {"cpu": {"cores": cores}, "ioThreadsPolicy": "shared"}},
        })
    };
    let launcher = |name: &str| {
        let mut launcher = pod(name, &json!({"requests": {"cpu": "100m", "memory": "1Gi"}}));
        launcher["metadata"]["labels"] =
            json!({"kubevirt.io": "virt-launcher", "kubevirt.io/created-by": name});
        launcher["metadata"]["ownerReferences"] = json!([{
            "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachineInstance", "name": name, "uid": name, "controller": true,
        }]);
        launcher["spec"]["containers"][0]["name"] = json!("compute");
        launcher
    };
    let plan = |capacity: &str, objects: &[Value]| {
        let member = json!({"name": "vms", "weightPer": "VCPU", "selector": {}});
        let spec = json!({"capacity": {"cpu": capacity, "memory": "8Gi"}, "members": [member]});
        json_of(&one_member(&spec, objects))["pools"][0].clone()
    };
    let objects = [machine("small", 1), machine("large", 3), launcher("small"), launcher("large")];
    let pool = plan("1", &objects);
    assert_eq!(pool["members"][0]["effectiveWeight"], 400);
    let cpu = |pool: &Value| [0, 1].map(|i| pool["pods"][i]["cpu"]["to"].as_u64().unwrap());
    assert_eq!(cpu(&pool), [750, 250]);
    // A guest's memory is left alone.
    assert_eq!(pool["pods"][0]["memory"]["to"], 1 << 30);
    // The virtual CPUs and one thread for the disks.
    assert_eq!(cpu(&plan("20", &objects)), [4000, 2000]);
    // Of a machine that is not known, nothing is moved.
    assert_eq!(plan("1", &objects[2..])["members"][0]["reason"], "UnknownMachine");
}

#[test]
fn the_class_of_a_pod_that_no_api_server_has_seen_is_worked_out() {
    let spec = json!({"capacity": {"cpu": "1"}, "members": [{"name": "web", "selector": {}}]});
    let qos = |resources: Value| {
        one_member(&spec, &[pod("a", &resources)]).cluster.pod("shop", "a").unwrap().qos
    };
    let both = json!({"cpu": "1", "memory": "1Gi"});
    assert_eq!(qos(json!({"limits": both})), Qos::Guaranteed);
    assert_eq!(qos(json!({"limits": both, "requests": {"cpu": "1"}})), Qos::Guaranteed);
    assert_eq!(qos(json!({"limits": both, "requests": {"cpu": "900m"}})), Qos::Burstable);
    assert_eq!(qos(json!({"limits": {"cpu": "1"}})), Qos::Burstable);
    assert_eq!(qos(json!({"requests": {"cpu": "0"}})), Qos::BestEffort);
}

#[test]
fn quotas_and_autoscalers_count_in_files_too() {
    let spec = json!({"capacity": {"cpu": "1"}, "members": [{"name": "web", "selector": {}}]});
    let set = json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"template": {"spec": {"containers": [{"name": "main"}]}}},
    });
    let owned = || {
        let mut pod = pod("web-0", &json!({"requests": {"cpu": "50m"}}));
        pod["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web", "uid": "1", "controller": true}]);
        pod
    };
    let with = |kind: Value| one_member(&spec, &[set.clone(), owned(), kind]);
    let of = |api_version: &str, kind: &str, spec: Value| {
        json!({
            "apiVersion": api_version, "kind": kind,
            "metadata": {"name": "theirs", "namespace": "shop"}, "spec": spec,
        })
    };
    let quota = with(of("v1", "ResourceQuota", json!({"hard": {"requests.cpu": "300m"}})));
    assert_eq!(Plan::of(&quota).pools[0].members[0].amounts.cpu.unwrap().share, 300);
    let text = explain(&quota, Some("shop"), "web-0").unwrap().text();
    assert!(text.contains("but ResourceQuota theirs leaves it 300m"), "{text}");

    let reason = |kind: Value| Plan::of(&with(kind)).pools[0].members[0].reason;
    let target = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web"});
    let horizontal = json!({"maxReplicas": 2, "scaleTargetRef": target});
    for version in ["autoscaling/v1", "autoscaling/v2"] {
        let scaler = of(version, "HorizontalPodAutoscaler", horizontal.clone());
        assert_eq!(reason(scaler), "HorizontalPodAutoscaler");
    }
    let vertical =
        of("autoscaling.k8s.io/v1", "VerticalPodAutoscaler", json!({"targetRef": target}));
    assert_eq!(reason(vertical.clone()), "VerticalPodAutoscaler");
    let text = explain(&with(vertical), Some("shop"), "web-0").unwrap().text();
    assert!(
        text.contains("It is left alone, and what it holds is subtracted from the pool: Vertical"),
        "{text}"
    );
}

#[test]
fn the_command_of_the_docs_reads_all_that_decides() {
    struct Missing<'d>(&'d str, Vec<String>);
    impl EachKind for Missing<'_> {
        fn always<K: Kept>(&mut self) {
            let plural = K::plural(&()).into_owned();
            // The pools are those of the files.
            if K::KIND != Kind::WeightedShare && !self.0.split(',').any(|it| it == plural) {
                self.1.push(plural);
            }
        }
        fn where_served<K: Kept>(&mut self) {
            self.always::<K>();
        }
    }
    let docs = include_str!("../../../docs/plan.md");
    let (_, command) = docs.split_once("kinds=").unwrap();
    let (command, rest) = command.split_once("\nkubectl").unwrap();
    let (_, optional) = rest.split_once("Where the cluster has them, add\n").unwrap();
    let all = command.replace("\nkinds=$kinds", "") + &optional.replace(['`', ' '], ",");
    let mut missing = Missing(&all, Vec::new());
    each_kind(&mut missing);
    assert!(missing.1.is_empty(), "{:?} of {all}", missing.1);
}

#[test]
fn a_pod_that_cannot_be_resized_is_named_beside_one_that_can() {
    let selector = json!({"matchLabels": {"app": "web"}});
    let members = json!([{"name": "web", "selector": selector}]);
    let spec = json!({"capacity": {"cpu": "1"}, "members": members});
    let pods = [pod("moves", &json!({"requests": {"cpu": "200m"}})), pod("stays", &json!({}))];
    let looked = one_member(&spec, &pods);
    let plan = json_of(&looked);
    let member = &plan["pools"][0]["members"][0];
    assert_eq!(member["reason"], "Resizing");
    let pods = &plan["pools"][0]["pods"];
    assert_eq!((&pods[0]["reason"], &pods[1]["reason"]), (&Value::Null, &json!("BestEffort")));
    assert!(pods[1]["message"].as_str().unwrap().contains("Give its template"), "{plan}");
    let table = table(&Plan::of(&looked), true);
    assert!(table.contains("BestEffort: it has no requests"), "{table}");
}

#[test]
fn a_workload_that_is_not_among_the_files_is_not_missing_where_its_pods_are() {
    let target = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db"});
    let spec = json!({"capacity": {"cpu": "1"}, "members": [{"name": "db", "targetRef": target}]});
    let mut db = pod("db-0", &json!({"requests": {"cpu": "200m"}}));
    db["metadata"]["ownerReferences"] = json!([
        {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": "db", "controller": true},
    ]);
    let member = |pods: &[Value]| {
        json_of(&one_member(&spec, pods))["pools"][0]["members"][0]["reason"].clone()
    };
    assert_eq!(member(&[db]), "Resizing");
    assert_eq!(member(&[]), "TargetNotFound");
}
