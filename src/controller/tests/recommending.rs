//! What would help a virtual machine beyond its share.

use super::*;
use crate::{
    api::Recommendation,
    observe::{COMPUTE, Machine},
};

/// A machine of so many sockets, two virtual CPUs in each, in a pool that gives it all that it can use; it was measured to
/// use so much, in millicores.
fn grown(sockets: u64, max_sockets: Option<u64>, used: u64) -> Snapshot {
    let vcpus = sockets * 2;
    let pool = pool("pool", 0, 20_000, json!([member("vm", 100), member("web", 100)]));
    let owner =
        |kind: &str| Owner { namespace: "shop".into(), kind: kind.into(), name: "db".into() };
    let mut launcher = pod("launcher", "vm", vcpus * 1000);
    launcher.containers[0].name = COMPUTE.into();
    launcher.machine = Some("uid".into());
    launcher.owner = Some(owner("VirtualMachineInstance"));
    let mut snapshot = snapshot(&[pool], &[launcher, pod("web-0", "web", 500)], 20_000);
    let instance = Workload { owner: Some(owner("VirtualMachine")), ..Workload::default() };
    snapshot.workloads.insert(owner("VirtualMachineInstance"), instance);
    let machine = Machine { vcpus, sockets: Some(sockets), max_sockets, ..Machine::default() };
    snapshot.machines.insert("uid".into(), machine);
    snapshot.signals = measured(&[("launcher", used)]);
    snapshot.with_machines()
}

fn recommended(snapshot: &Snapshot) -> Vec<Recommendation> {
    status(snapshot, &Outcome::default()).members.swap_remove(0).recommendations
}

#[test]
fn a_machine_that_uses_all_its_virtual_cpus_is_to_have_a_socket_more() {
    let told = recommended(&grown(2, Some(8), 3_600)).swap_remove(0);
    assert_eq!((&*told.virtual_machine, told.cpu_sockets), ("db", 3));
    assert!(told.message.contains("all of its 4 virtual CPUs"), "{}", told.message);
    assert!(
        told.message.contains("with 3 sockets in place of 2 it can have 6"),
        "{}",
        told.message
    );
    let manifest: serde_json::Value = serde_yaml_ng::from_str(&told.manifest).unwrap();
    assert_eq!(manifest["metadata"], json!({"name": "db", "namespace": "shop"}));
    assert_eq!(
        manifest["spec"],
        json!({"template": {"spec": {"domain": {"cpu": {"sockets": 3}}}}})
    );
}

#[test]
fn one_that_could_make_no_use_of_it_or_cannot_have_it_is_not() {
    assert_eq!(recommended(&grown(2, Some(8), 3_599)), []);
    assert_eq!(recommended(&grown(8, Some(8), 16_000)), []);
    assert_eq!(recommended(&grown(2, None, 4_000)), []);
    // Its share is smaller than its virtual CPUs: they are not what it is short of.
    let mut short = grown(2, Some(8), 3_900);
    short.pools[0].spec.members[0].max = serde_json::from_value(json!({"cpu": "3"})).unwrap();
    assert_eq!(recommended(&short), []);
    // Nobody else made it: there is nothing to commit.
    let mut alone = grown(2, Some(8), 4_000);
    alone.workloads.clear();
    assert_eq!(recommended(&alone), []);
}
