//! Virtual machines, as KubeVirt makes them.

use super::{
    super::machine::{allocation_ratio, updates_live},
    *,
};

/// A VirtualMachine, its VirtualMachineInstance and its launcher pod, each with changes merged into it.
fn machine(vmi: Value, launcher: Value) -> Cluster {
    machine_of(json!({}), vmi, launcher)
}

fn machine_of(vm: Value, vmi: Value, launcher: Value) -> Cluster {
    let documents = serde_yaml_ng::Deserializer::from_str(include_str!("running_vm.yaml"));
    let mut documents: Vec<Value> =
        documents.map(|it| serde::Deserialize::deserialize(it).unwrap()).collect();
    merge(&mut documents[0], vm);
    merge(&mut documents[1], vmi);
    merge(&mut documents[2], launcher);
    let [vm, vmi, pod] = <[Value; 3]>::try_from(documents).unwrap();
    // The pod is seen before its machine.
    let mut cluster = cluster([object::<core::Pod>(pod)]);
    put(&mut cluster, [object::<VirtualMachineInstance>(vmi)]);
    put(&mut cluster, [object::<VirtualMachine>(vm)]);
    cluster
}

/// The launcher pod.
fn launcher(cluster: &Cluster) -> &Pod {
    cluster.namespace("default").unwrap().pods().next().unwrap()
}

fn owned(kind: &str) -> Owner {
    Owner { namespace: "default".into(), kind: kind.into(), name: "db".into() }
}

#[test]
fn a_launcher_pod_leads_to_its_virtual_machine() {
    let cluster = machine(json!({}), json!({}));
    let pod = launcher(&cluster);
    assert_eq!(cluster.machine(pod).map(|it| (it.vcpus, it.dedicated)), Some((2, false)));
    for kind in ["VirtualMachine", "VirtualMachineInstance"] {
        assert!(cluster.has(&owned(kind)) && cluster.is_owned_by(pod, &owned(kind)), "{kind}");
    }
    assert_eq!((pod.obstacle, pod.charge(Resource::Cpu)), (None, 205));
    // What it started with.
    assert_eq!(cluster.template(pod).unwrap()["compute"].request.cpu, 200);
}

#[test]
fn a_pod_that_only_claims_to_run_a_machine_leads_to_none() {
    let forged = |change: Value| {
        let cluster = machine(json!({}), change);
        let pod = launcher(&cluster);
        (cluster.machine(pod).is_some(), pod.obstacle)
    };
    let owner = |kind: &str, name: &str, controller: bool| {
        let owner = json!({"apiVersion": "kubevirt.io/v1", "kind": kind, "name": name, "uid": "uid", "controller": controller});
        json!({"metadata": {"ownerReferences": [owner]}})
    };
    let vmi = "VirtualMachineInstance";
    assert_eq!(forged(owner(vmi, "db", true)), (true, None));
    let main = json!({"spec": {"containers": [{"name": "main", "resources": {"requests": {"cpu": "1"}}}]}});
    let none = json!({"metadata": {"ownerReferences": []}});
    let others = [
        none,
        main,
        owner(vmi, "another", true),
        owner("Job", "db", true),
        owner(vmi, "db", false),
    ];
    for change in others {
        assert_eq!(forged(change), (false, Some(Obstacle::UnknownMachine)));
    }
}

#[test]
fn a_launcher_pod_leads_to_the_set_or_the_pool_that_its_machine_belongs_to() {
    let belongs = |version: &str, kind: &str| {
        let owner = json!({
            "apiVersion": version, "kind": kind, "name": "db", "uid": "1", "controller": true,
        });
        json!({"metadata": {"ownerReferences": [owner]}})
    };
    let (set, pool) = ("VirtualMachineInstanceReplicaSet", "VirtualMachinePool");
    for (cluster, kind) in [
        (machine(belongs("kubevirt.io/v1", set), json!({})), set),
        (machine_of(belongs("pool.kubevirt.io/v1alpha1", pool), json!({}), json!({})), pool),
    ] {
        let (pod, other) = (launcher(&cluster), Owner { name: "web".into(), ..owned(kind) });
        assert!(cluster.has(&owned(kind)) && cluster.is_owned_by(pod, &owned(kind)), "{kind}");
        assert!(!cluster.has(&other) && !cluster.is_owned_by(pod, &other), "{kind}");
        // Its template is another's, too.
        assert_eq!(cluster.machine(pod).unwrap().made_from, None);
    }
}

#[test]
fn what_a_machine_starts_with_is_what_it_asks_for_or_follows_from_the_allocation_ratio() {
    let cpu = |domain: Value, ratio| {
        let vmi = json!({"metadata": {"name": "db"}, "spec": {"domain": domain}});
        let vmi: VirtualMachineInstance = serde_json::from_value(vmi).unwrap();
        vmi.workload(ratio).template[COMPUTE].request.cpu
    };
    assert_eq!(cpu(json!({"cpu": {"cores": 3}}), 10), 300);
    assert_eq!(cpu(json!({"cpu": {"cores": 2, "sockets": 2}}), 3), 1333);
    let asks = json!({"cpu": {"cores": 3}, "resources": {"requests": {"cpu": "700m"}}});
    assert_eq!(cpu(asks, 10), 700);
    let limited = json!({"resources": {"limits": {"cpu": "2"}}});
    assert_eq!(cpu(limited, 10), 2000);

    let ratio = |configuration: Value| {
        let spec =
            json!({"metadata": {"name": "kubevirt"}, "spec": {"configuration": configuration}});
        allocation_ratio([serde_json::from_value(spec).unwrap()].iter())
    };
    assert_eq!(ratio(json!({"developerConfiguration": {"cpuAllocationRatio": 4}})), 4);
    assert_eq!(ratio(json!({})), 10);
    assert_eq!(allocation_ratio([].iter()), 10);
}

#[test]
fn a_machine_that_shares_no_cpus_is_left_alone() {
    let obstacle = |vmi, pod| launcher(&machine(vmi, pod)).obstacle;
    let dedicated = json!({"spec": {"domain": {"cpu": {"dedicatedCpuPlacement": true}}}});
    assert_eq!(obstacle(dedicated, json!({})), Some(Obstacle::DedicatedCpu));
    let class = |class| json!({"status": {"qosClass": class}});
    assert_eq!(obstacle(json!({}), class("Guaranteed")), Some(Obstacle::GuaranteedMachine));
    assert_eq!(obstacle(json!({}), class("BestEffort")), Some(Obstacle::BestEffort));
    let another = json!({"metadata": {"uid": "another"}});
    assert_eq!(obstacle(another, json!({})), Some(Obstacle::UnknownMachine));
}

#[test]
fn what_can_be_changed_of_a_machine_while_it_runs_is_known() {
    let conditions = |types: &[&str]| -> Value {
        types.iter().map(|it| json!({"type": it, "status": "True", "message": "why"})).collect()
    };
    let vmi = json!({

        "spec": {"domain": {"cpu": {"maxSockets": 8}, "memory": {"guest": "2Gi", "maxGuest": "8Gi"}}},
        "status": {"conditions": conditions(&["LiveMigratable", "HotVCPUChange"])},
    });
    let cluster = machine(vmi, json!({}));
    let now = cluster.machine(launcher(&cluster)).unwrap();
    assert_eq!(
        (now.sockets, now.max_sockets, now.migratable, now.plugging),
        (Some(2), Some(8), true, true)
    );
    assert_eq!((now.memory, now.max_memory), (Some(2 << 30), Some(8 << 30)));
    let made_from = now.made_from.as_ref().unwrap();
    assert_eq!(
        (&*made_from.namespace, &*made_from.name, &*made_from.resource_version),
        ("default", "db", "396")
    );
    assert_eq!((made_from.sockets, made_from.memory), (2, Some(1 << 30)));
    assert_eq!(made_from.restart_required, None);

    let status = json!({"status": {"conditions": conditions(&["RestartRequired"])}, "metadata": {}, "spec": {}});
    let vm: VirtualMachine = serde_json::from_value(status).unwrap();
    assert_eq!(vm.made_from().unwrap().restart_required.as_deref(), Some("why"));
    // Its size is another's.
    let sized = json!({"metadata": {"name": "db"}, "spec": {"instancetype": {"name": "u1.large"}}});
    assert_eq!(serde_json::from_value::<VirtualMachine>(sized).unwrap().made_from(), None);
}

#[test]
fn machines_are_changed_live_where_kubevirt_is_set_up_for_it() {
    let live = |spec: Value| {
        let kubevirt = json!({"metadata": {"name": "kubevirt"}, "spec": spec});
        updates_live([serde_json::from_value(kubevirt).unwrap()].iter())
    };
    let migrates = json!({"workloadUpdateMethods": ["LiveMigrate", "Evict"]});
    let by = |strategy: &str| json!({"vmRolloutStrategy": strategy});
    assert!(live(json!({"configuration": by("LiveUpdate"), "workloadUpdateStrategy": migrates})));
    assert!(!live(json!({"configuration": by("Stage"), "workloadUpdateStrategy": migrates})));
    assert!(!live(json!({"configuration": by("LiveUpdate")})));
    assert!(!live(json!({})) && !updates_live([].iter()));
}

#[test]
fn a_machine_on_its_way_holds_up_its_own_namespace_only() {
    let mut cluster = machine(json!({}), json!({}));
    assert!(!cluster.has_machine_on_its_way("default"));
    let mut target = launcher(&cluster).clone();
    (target.name, target.uid) = ("target".into(), "target".into());
    let key = Key { kind: Kind::Pod, namespace: "default".into(), name: "target".into() };
    cluster.apply(Event::Applied(key.clone(), Object::Pod(Box::new(target))));
    assert!(cluster.has_machine_on_its_way("default") && !cluster.has_machine_on_its_way("shop"));
    cluster.apply(Event::Deleted(key));
    assert!(!cluster.has_machine_on_its_way("default"));
}
