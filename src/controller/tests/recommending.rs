//! What would help a virtual machine beyond its share.

use super::*;
use crate::{
    api::Recommendation,
    controller::recommend,
    observe::{COMPUTE, Machine, MadeFrom},
};

const START: i64 = 1_000_000;

/// A machine of two sockets, two virtual CPUs in each, with room for eight, in a pool that gives it all that it can use, as
/// its member lets more be done; it used so much for five minutes, in millicores.
fn grown(used: u64) -> Snapshot {
    let mut vm = member("vm", 100);
    vm["liveUpdate"] = json!({"cpuSockets": true});
    let pool = pool("pool", 0, 20_000, json!([vm, member("web", 100)]));
    let mut launcher = pod("launcher", "vm", 4_000);
    launcher.containers[0].name = COMPUTE.into();
    launcher.machine = Some("uid".into());
    launcher.created = Some(Timestamp::from_second(START).unwrap());
    let mut snapshot = snapshot(&[pool], &[launcher, pod("web-0", "web", 500)], 20_000);
    let made_from = MadeFrom {
        namespace: "shop".into(),
        name: "db".into(),
        sockets: Some(2),
        ..MadeFrom::default()
    };
    let machine = Machine {
        vcpus: 4,
        sockets: Some(2),
        max_sockets: Some(8),
        migratable: true,
        made_from: Some(made_from),
        ..Machine::default()
    };
    snapshot.machines.insert("uid".into(), machine);
    snapshot.updates_live = true;
    let node: k8s_openapi::api::core::v1::Node = serde_json::from_value(json!({
        "metadata": {"name": "n2", "labels": {"kubevirt.io/schedulable": "true"}},
        "status": {"allocatable": {"cpu": "8"}},
    }))
    .unwrap();
    snapshot.nodes.insert("n2".into(), Node::read(&node));
    snapshot.signals = measured(&[("launcher", used)]);
    let signals = snapshot.signals.pods.values_mut().next().unwrap();
    signals.throughout = Some(used * 1_000_000);
    snapshot.with_machines()
}

/// What is recommended, and the sockets that are given, so many seconds after the machine's pod was made.
fn recommended(snapshot: &Snapshot, age: i64) -> (Vec<Recommendation>, Option<u64>) {
    let now = Timestamp::from_second(START + age).unwrap();
    let (weighed, divided) = first(snapshot);
    let outcome = Outcome::default();
    let mut status = report::status(&weighed, &divided, &outcome, snapshot, true, Time(now));
    let next = recommend::next(snapshot, &weighed, &divided, now);
    (status.members.swap_remove(0).recommendations, next.map(|plug| plug.sockets))
}

#[test]
fn a_machine_that_uses_all_its_virtual_cpus_is_to_have_a_socket_more() {
    let (mut told, given) = recommended(&grown(3_600), 600);
    let told = told.swap_remove(0);
    assert_eq!((&*told.virtual_machine, told.cpu_sockets, given), ("db", 3, Some(3)));
    for words in ["all of its 4 virtual CPUs", "with 3 sockets in place of 2 it can have 6"] {
        assert!(told.message.contains(words), "{}", told.message);
    }
    assert!(told.message.ends_with("KubeVirt is asked for it."), "{}", told.message);
    let manifest: Value = serde_yaml_ng::from_str(&told.manifest).unwrap();
    assert_eq!(manifest["metadata"], json!({"name": "db", "namespace": "shop"}));
    let spec = json!({"template": {"spec": {"domain": {"cpu": {"sockets": 3}}}}});
    assert_eq!(manifest["spec"], spec);
}

#[test]
fn one_that_could_make_no_use_of_it_or_cannot_have_it_is_not() {
    let none = |snapshot: &Snapshot| recommended(snapshot, 600) == (Vec::new(), None);
    assert!(none(&grown(3_599)));
    let changed = |change: &dyn Fn(&mut Machine)| {
        let mut snapshot = grown(4_000);
        change(snapshot.machines.get_mut("uid").unwrap());
        snapshot
    };
    assert!(none(&changed(&|it| it.max_sockets = Some(2))));
    assert!(none(&changed(&|it| it.max_sockets = None)));
    // Nobody else made it: there is nothing to commit.
    assert!(none(&changed(&|it| it.made_from = None)));
    // Its share is smaller than its virtual CPUs: they are not what it is short of.
    let mut short = grown(4_000);
    short.pools[0].spec.members[0].max = serde_json::from_value(json!({"cpu": "3"})).unwrap();
    assert!(none(&short));
    // It has not been measured for five minutes.
    let mut new = grown(4_000);
    new.signals.pods.values_mut().for_each(|it| it.throughout = None);
    assert!(none(&new));
}

#[test]
fn it_is_given_only_where_its_member_says_so_and_nothing_stands_in_the_way() {
    let kept_back = |snapshot: &Snapshot, age: i64, words: &str| {
        let (told, given) = recommended(snapshot, age);
        assert_eq!((told.len(), given), (1, None), "{words}");
        assert!(told[0].message.contains(words), "{words}: {}", told[0].message);
    };
    let changed = |change: &dyn Fn(&mut Snapshot)| {
        let mut snapshot = grown(4_000);
        change(&mut snapshot);
        snapshot
    };
    let machine =
        |change: &dyn Fn(&mut Machine)| changed(&|it| change(it.machines.get_mut("uid").unwrap()));
    let not_asked = changed(&|it| it.pools[0].spec.members[0].live_update.cpu_sockets = false);
    kept_back(&not_asked, 600, "Commit the manifest");
    let observed = changed(&|it| it.pools[0].spec.mode = crate::api::Mode::Observe);
    kept_back(&observed, 600, "Commit the manifest");
    kept_back(&grown(4_000), 599, "less than ten minutes ago");
    kept_back(&changed(&|it| it.updates_live = false), 600, "vmRolloutStrategy");
    kept_back(&machine(&|it| it.migratable = false), 600, "LiveMigratable");
    kept_back(&machine(&|it| it.plugging = true), 600, "one at a time");
    let asked = |it: &mut Machine| it.made_from.as_mut().unwrap().sockets = Some(3);
    kept_back(&machine(&asked), 600, "asks for another number");
    let restart =
        |it: &mut Machine| it.made_from.as_mut().unwrap().restart_required = Some("cores".into());
    kept_back(&machine(&restart), 600, "restarted first, as KubeVirt says: cores");
    kept_back(&changed(&|it| drop(it.nodes.remove("n2"))), 600, "no other node");
    let full = changed(&|it| it.nodes.get_mut("n2").unwrap().allocatable.cpu = 3_999);
    kept_back(&full, 600, "no other node");
    // Another machine, of nobody's pool, is on its way.
    let moving = changed(&|it| {
        it.machines.insert("other".into(), Machine { plugging: true, ..Machine::default() });
    });
    kept_back(&moving, 600, "one at a time");
}
