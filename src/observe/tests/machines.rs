//! Virtual machines, as KubeVirt makes them.

use super::{super::kubevirt::allocation_ratio, *};

/// A VirtualMachine, its VirtualMachineInstance and its launcher pod, each with changes merged into it.
fn machine(vmi: Value, launcher: Value) -> Snapshot {
    let documents = serde_yaml_ng::Deserializer::from_str(include_str!("running_vm.yaml"));
    let mut documents: Vec<Value> =
        documents.map(|it| serde::Deserialize::deserialize(it).unwrap()).collect();
    merge(&mut documents[1], vmi);
    merge(&mut documents[2], launcher);
    let [vm, vmi, pod] = <[Value; 3]>::try_from(documents).unwrap();
    Snapshot::from(Objects {
        vms: vec![serde_json::from_value(vm).unwrap()],
        vmis: vec![serde_json::from_value(vmi).unwrap()],
        pods: vec![serde_json::from_value(pod).unwrap()],
        ..Objects::default()
    })
}

fn owned(kind: &str) -> Owner {
    Owner { namespace: "default".into(), kind: kind.into(), name: "db".into() }
}

#[test]
fn a_launcher_pod_leads_to_its_virtual_machine() {
    let snapshot = machine(json!({}), json!({}));
    let pod = &snapshot.pods[0];
    assert_eq!(snapshot.machine(pod).map(|it| (it.vcpus, it.dedicated)), Some((2, false)));
    for kind in ["VirtualMachine", "VirtualMachineInstance"] {
        assert!(snapshot.has(&owned(kind)) && snapshot.is_owned_by(pod, &owned(kind)), "{kind}");
    }
    assert_eq!((pod.obstacle, pod.charge(Resource::Cpu)), (None, 205));
    // What it started with.
    assert_eq!(snapshot.template(pod).unwrap()["compute"].request.cpu, 200);
}

#[test]
fn what_a_machine_starts_with_is_what_it_asks_for_or_follows_from_the_allocation_ratio() {
    let cpu = |domain: Value, ratio| {
        let vmi = json!({"metadata": {"name": "db"}, "spec": {"domain": domain}});
        let vmi: VirtualMachineInstance = serde_json::from_value(vmi).unwrap();
        vmi.workload(ratio).1.template[COMPUTE].request.cpu
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
    let obstacle = |vmi, launcher| machine(vmi, launcher).pods[0].obstacle;
    let dedicated = json!({"spec": {"domain": {"cpu": {"dedicatedCpuPlacement": true}}}});
    assert_eq!(obstacle(dedicated, json!({})), Some(Obstacle::DedicatedCpu));
    let class = |class| json!({"status": {"qosClass": class}});
    assert_eq!(obstacle(json!({}), class("Guaranteed")), Some(Obstacle::GuaranteedMachine));
    assert_eq!(obstacle(json!({}), class("BestEffort")), Some(Obstacle::BestEffort));
    let another = json!({"metadata": {"uid": "another"}});
    assert_eq!(obstacle(another, json!({})), Some(Obstacle::UnknownMachine));
}
