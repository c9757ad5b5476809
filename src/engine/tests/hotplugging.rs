//! What would help a virtual machine beyond its share.

use super::*;
use crate::{
    api::Recommendation,
    cluster::{COMPUTE, Machine, MadeFrom},
    engine::hotplug,
};

const START: i64 = 1_000_000;

/// A machine of two sockets, two virtual CPUs in each, with room for eight, in a pool that gives it all that it can use, as
/// its member lets more be done; it used so much for five minutes, in millicores.
fn grown(used: u64) -> Scene {
    let mut vm = member("vm", 100);
    vm["liveUpdate"] = json!({"cpuSockets": true});
    let pool = pool("pool", 0, 20_000, json!([vm, member("web", 100)]));
    let mut launcher = pod("launcher", "vm", 4_000);
    launcher.containers[0].name = COMPUTE.into();
    launcher.machine = Some("uid".into());
    launcher.created = Some(Timestamp::from_second(START).unwrap());
    let mut scene = scene(&[pool], &[launcher, pod("web-0", "web", 500)], 20_000);
    let made_from =
        MadeFrom { namespace: "shop".into(), name: "db".into(), sockets: 2, ..MadeFrom::default() };
    let machine = Machine {
        vcpus: 4,
        sockets: Some(2),
        max_sockets: Some(8),
        migratable: true,
        made_from: Some(made_from),
        ..Machine::default()
    };
    scene.machines.insert("uid".into(), machine);
    scene.updates_live = true;
    let node: k8s_openapi::api::core::v1::Node = serde_json::from_value(json!({
        "metadata": {"name": "n2", "labels": {"kubevirt.io/schedulable": "true"}},
        "status": {"allocatable": {"cpu": "8"}},
    }))
    .unwrap();
    scene.nodes.insert("n2".into(), Node::read(&node));
    scene.metrics = Steady { used, ..Steady::default() }.metrics();
    scene
}

/// What the machine's pod was measured to do for five minutes.
#[derive(Default)]
struct Steady {
    /// What it used, in millicores; and before these minutes, once, where that is more.
    used: u64,
    peak: u64,
    /// The part of the time, in thousandths, in which it waited; and the part of its memory that its guest used.
    waiting: Option<u16>,
    guest: Option<u16>,
}

impl Steady {
    fn metrics(self) -> Metrics {
        Metrics::timeless((-1..=20).map(|i| {
            let used = if i < 0 { self.peak.max(self.used) } else { self.used };
            let launcher = PodReading {
                namespace: "shop".to_owned(),
                name: "launcher".to_owned(),
                at: Timestamp::from_second(START + 15 * i).unwrap(),
                used: PerResource { cpu: Some(used * 1_000_000), memory: Some(0) },
                waiting: self.waiting,
                guest: self.guest,
            };
            Readings { pods: vec![launcher], ..Readings::default() }
        }))
    }
}

/// What is recommended, and what is given, so many seconds after the machine's pod was made.
fn recommended(scene: &Scene, age: i64) -> (Vec<Recommendation>, Option<Plugged>) {
    let now = Timestamp::from_second(START + age).unwrap();
    let seen = Scene { now, ..scene.clone() }.seen();
    let (pool, divided) = seen.first();
    let next = hotplug::next(&seen.view(), &pool, &divided);
    let mut status = seen.status(&Outcome::default());
    (status.members.swap_remove(0).recommendations, next.map(|plug| plug.what))
}

#[test]
fn a_machine_that_uses_all_its_virtual_cpus_is_to_have_a_socket_more() {
    let (mut told, given) = recommended(&grown(3_600), 600);
    let told = told.swap_remove(0);
    assert_eq!((&*told.virtual_machine, told.cpu_sockets), ("db", Some(3)));
    assert_eq!(given, Some(Plugged::Sockets(3)));
    for words in ["all of its 4 virtual CPUs", "With 3 sockets instead of 2 it would have 6"] {
        assert!(told.message.contains(words), "{}", told.message);
    }
    assert!(told.message.ends_with("The controller asks KubeVirt for it."), "{}", told.message);
    let manifest: Value = serde_yaml_ng::from_str(&told.manifest).unwrap();
    assert_eq!(manifest["metadata"], json!({"name": "db", "namespace": "shop"}));
    let spec = json!({"template": {"spec": {"domain": {"cpu": {"sockets": 3}}}}});
    assert_eq!(manifest["spec"], spec);
}

#[test]
fn no_machine_is_changed_while_the_pool_stands_still() {
    let mut scene = grown(3_600);
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "front"});
    let front = serde_json::from_value(json!({"name": "front", "targetRef": target}));
    scene.pools[0].spec.members.push(front.unwrap());
    let new = pod("front-0", "front", 500);
    scene.workloads.remove(new.owner.as_ref().unwrap());
    scene.pods.push(new);
    assert!(scene.seen().first().0.stands_still());
    assert_eq!(recommended(&scene, 600).1, None);
}

#[test]
fn one_that_could_make_no_use_of_it_or_cannot_have_it_is_not() {
    let none = |scene: &Scene| recommended(scene, 600) == (Vec::new(), None);
    assert!(none(&grown(3_599)));
    let changed = |change: &dyn Fn(&mut Machine)| {
        let mut scene = grown(4_000);
        change(scene.machines.get_mut("uid").unwrap());
        scene
    };
    assert!(none(&changed(&|it| it.max_sockets = Some(2))));
    assert!(none(&changed(&|it| it.max_sockets = None)));
    // It was not made by another: there is nothing to commit.
    assert!(none(&changed(&|it| it.made_from = None)));
    // Its share is smaller than its virtual CPUs: they are not what it is short of.
    let mut short = grown(4_000);
    short.pools[0].spec.members[0].max = serde_json::from_value(json!({"cpu": "3"})).unwrap();
    assert!(none(&short));
    // It has not been measured for five minutes.
    let mut new = grown(4_000);
    new.metrics = measured(&[("launcher", 4_000)]);
    assert!(none(&new));
}

#[test]
fn it_is_given_only_where_its_member_says_so_and_nothing_stands_in_the_way() {
    let kept_back = |scene: &Scene, age: i64, words: &str| {
        let (told, given) = recommended(scene, age);
        assert_eq!((told.len(), given), (1, None), "{words}");
        assert!(told[0].message.contains(words), "{words}: {}", told[0].message);
    };
    let changed = |change: &dyn Fn(&mut Scene)| {
        let mut scene = grown(4_000);
        change(&mut scene);
        scene
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
    kept_back(&machine(&|it| it.plugging = true), 600, "only one may do so at a time");
    let asked = |it: &mut Machine| it.made_from.as_mut().unwrap().sockets = 3;
    kept_back(&machine(&asked), 600, "asks for something other");
    let restart =
        |it: &mut Machine| it.made_from.as_mut().unwrap().restart_required = Some("cores".into());
    kept_back(&machine(&restart), 600, "must be restarted first: cores");
    kept_back(&changed(&|it| drop(it.nodes.remove("n2"))), 600, "no other node");
    let full = changed(&|it| it.nodes.get_mut("n2").unwrap().allocatable.cpu = 3_999);
    kept_back(&full, 600, "no other node");
    // Another machine, of no pool, is on its way.
    let moving = changed(&|it| {
        it.machines.insert("other".into(), Machine { plugging: true, ..Machine::default() });
    });
    kept_back(&moving, 600, "only one may do so at a time");
    // One that was asked, and KubeVirt has not begun; unless it waits for a restart.
    let asked = |restart_required: Option<String>| {
        changed(&|it| {
            let made_from = MadeFrom {
                memory: Some(2),
                restart_required: restart_required.clone(),
                ..MadeFrom::default()
            };
            let other =
                Machine { memory: Some(1), made_from: Some(made_from), ..Machine::default() };
            it.machines.insert("other".into(), other);
        })
    };
    kept_back(&asked(None), 600, "only one may do so at a time");
    assert_eq!(recommended(&asked(Some("memory".into())), 600).1, Some(Plugged::Sockets(3)));
}

const GI: u64 = 1 << 30;

/// The same machine, whose guest has 6 GiB of at most 16, and used so many thousandths of it for five minutes.
fn full(thousandths: u16) -> Scene {
    let mut scene = grown(1_000);
    let pool = &mut scene.pools[0].spec;
    pool.members[0].live_update = serde_json::from_value(json!({"memory": true})).unwrap();
    let guest = Some(thousandths);
    scene.metrics = Steady { used: 1_000, guest, ..Steady::default() }.metrics();
    let machine = scene.machines.get_mut("uid").unwrap();
    (machine.memory, machine.max_memory) = (Some(6 * GI), Some(16 * GI));
    machine.made_from.as_mut().unwrap().memory = Some(6 * GI);
    let launcher = scene.pods.iter_mut().find(|pod| pod.name == "launcher").unwrap();
    launcher.containers[0].held.memory = Held { requested: 7 * GI, admitted: 7 * GI };
    scene.nodes.values_mut().for_each(|node| node.allocatable.memory = 9 * GI);
    scene
}

#[test]
fn a_guest_that_uses_nearly_all_of_its_memory_is_to_have_a_quarter_more() {
    let (mut told, given) = recommended(&full(900), 600);
    let told = told.swap_remove(0);
    assert_eq!(told.guest_memory, Some(crate::share::Bytes(8 * GI)));
    assert_eq!(given, Some(Plugged::Memory(8 * GI)));
    assert!(told.message.contains("its 6Gi of memory. It should have 8Gi"), "{told:?}");
    let manifest: Value = serde_yaml_ng::from_str(&told.manifest).unwrap();
    let domain = json!({"memory": {"guest": "8Gi"}});
    assert_eq!(manifest["spec"]["template"]["spec"]["domain"], domain);

    assert_eq!(recommended(&full(899), 600), (Vec::new(), None));
    let mut whole = full(950);
    whole.machines.get_mut("uid").unwrap().max_memory = Some(6 * GI);
    assert_eq!(recommended(&whole, 600), (Vec::new(), None));
    // Up to what it can have.
    whole.machines.get_mut("uid").unwrap().max_memory = Some(7 * GI);
    assert_eq!(recommended(&whole, 600).1, Some(Plugged::Memory(7 * GI)));
}

#[test]
fn a_machine_that_is_short_of_two_things_is_told_of_one() {
    let mut short = full(950);
    short.metrics = Steady { used: 3_600, guest: Some(950), ..Steady::default() }.metrics();
    // The list is keyed by machine.
    let (told, _) = recommended(&short, 600);
    let [told] = &told[..] else { panic!("{told:?}") };
    assert_eq!((told.cpu_sockets, told.guest_memory), (Some(3), None));
}

#[test]
fn memory_is_given_where_there_is_room_for_it() {
    let kept_back = |change: &dyn Fn(&mut Scene), words: &str| {
        let mut scene = full(950);
        change(&mut scene);
        let (told, given) = recommended(&scene, 600);
        assert_eq!(given, None, "{words}");
        assert!(told[0].message.contains(words), "{words}: {}", told[0].message);
    };
    // 7 GiB, and two more.
    let node = |scene: &mut Scene| {
        scene.nodes.get_mut("n2").unwrap().allocatable.memory = 9 * GI - 1;
    };
    kept_back(&node, "no other node");
    let capacity = |gibibytes: u64| {
        move |scene: &mut Scene| {
            let memory = json!({"cpu": "20", "memory": format!("{gibibytes}Gi")});
            scene.pools[0].spec.capacity = serde_json::from_value(memory).unwrap();
        }
    };
    kept_back(&capacity(8), "the pool has no room");
    let mut roomy = full(950);
    capacity(9)(&mut roomy);
    assert_eq!(recommended(&roomy, 600).1, Some(Plugged::Memory(8 * GI)));
    let asked = |scene: &mut Scene| {
        let machine = scene.machines.get_mut("uid").unwrap();
        machine.made_from.as_mut().unwrap().memory = Some(8 * GI);
    };
    kept_back(&asked, "asks for something other");
    let not_asked = |scene: &mut Scene| {
        scene.pools[0].spec.members[0].live_update.memory = false;
    };
    kept_back(&not_asked, "liveUpdate.memory");
}

#[test]
fn a_machine_that_is_short_because_of_its_node_is_told_of_another_one() {
    // It owns 4000m by weight, and its node has room for 3000m, all of which it uses.
    let mut crowded = grown(2_700);
    crowded.nodes.get_mut("n1").unwrap().allocatable.cpu = 3_500;
    let held = |scene: &mut Scene, milli| {
        let launcher = scene.pods.iter_mut().find(|pod| pod.name == "launcher").unwrap();
        launcher.containers[0].held.cpu = Held { requested: milli, admitted: milli };
    };
    held(&mut crowded, 3_000);
    let (mut told, given) = recommended(&crowded, 600);
    let told = told.swap_remove(0);
    assert_eq!((told.node.as_deref(), told.cpu_sockets, given), (Some("n2"), None, None));
    assert!(told.message.contains("lacks CPU because of its node"), "{}", told.message);
    assert!(
        told.message.contains("by weight it owns 4, but node n1 has room for only"),
        "{told:?}"
    );
    let manifest: Value = serde_yaml_ng::from_str(&told.manifest).unwrap();
    assert_eq!(manifest["kind"], "VirtualMachineInstanceMigration");
    assert_eq!(manifest["metadata"], json!({"generateName": "db-", "namespace": "shop"}));
    assert_eq!(manifest["spec"], json!({"vmiName": "db"}));

    let none = |change: &dyn Fn(&mut Scene)| {
        let mut scene = crowded.clone();
        change(&mut scene);
        assert_eq!(recommended(&scene, 600).0, Vec::new());
    };
    none(&|it| it.machines.get_mut("uid").unwrap().migratable = false);
    none(&|it| it.nodes.get_mut("n2").unwrap().allocatable.cpu = 3_999);
    none(&|it| it.metrics = Steady { used: 2_699, ..Steady::default() }.metrics());
}

#[test]
fn a_machine_that_its_node_keeps_waiting_is_told_of_another_one() {
    // It holds 4000m, and gets 3500m of that.
    let mut busy = grown(3_500);
    let waits =
        |waiting| Steady { used: 3_500, waiting: Some(waiting), ..Steady::default() }.metrics();
    busy.metrics = waits(100);
    let (told, given) = recommended(&busy, 600);
    assert_eq!((told[0].node.as_deref(), given), (Some("n2"), None));
    assert!(
        told[0].message.contains("waits for a processor at least 10 % of the time"),
        "{told:?}"
    );
    busy.metrics = waits(99);
    assert_eq!(recommended(&busy, 600).0, Vec::new());
    // It gets all that it holds: that it waits is what its share makes of it.
    let mut full = grown(3_599);
    let (used, peak) = (3_599, 3_600);
    full.metrics = Steady { used, peak, waiting: Some(500), guest: None }.metrics();
    assert_eq!(recommended(&full, 600).0, Vec::new());
}
