//! Resources of pods that are left to other controllers.

use super::*;

fn web() -> Owner {
    Owner { namespace: "shop".into(), kind: "Deployment".into(), name: "web".into() }
}

/// A pool of a core and a gibibyte for a and b; a is of Deployment web.
fn shop(a: Pod) -> Scene {
    let mut pool = pool("pool", 0, 1000, json!([member("a", 100), member("b", 100)]));
    pool.spec.capacity.memory = Some(crate::share::Bytes(1 << 30));
    let mut b = pod("b", "b", 200);
    b.containers[0].held.memory = Held { requested: 64 << 20, admitted: 64 << 20 };
    let mut scene = scene(&[pool], &[a, b], 5000);
    let set = scene.pods[0].owner.clone().unwrap();
    scene.workloads.get_mut(&set).unwrap().owner = Some(web());
    scene.nodes.get_mut("n1").unwrap().allocatable.memory = 4 << 30;
    scene
}

fn a() -> Pod {
    let mut a = pod("a", "a", 200);
    a.containers[0].held.memory = Held { requested: 64 << 20, admitted: 64 << 20 };
    a
}

/// What is resized: pod and resource.
fn moved(scene: &Scene) -> Vec<(String, Resource)> {
    let resizes = scene.seen().resizes();
    resizes.into_iter().map(|resize| (resize.pod, resize.resource)).collect()
}

fn all_but(left: &[(&str, Resource)]) -> Vec<(String, Resource)> {
    let all = Resource::ALL.into_iter().flat_map(|it| [("a", it), ("b", it)]);
    let rest = all.filter(|it| !left.contains(it));
    rest.map(|(pod, resource)| (pod.to_owned(), resource)).collect()
}

#[test]
fn what_an_autoscaler_counts_by_utilization_is_left_alone() {
    assert_eq!(moved(&shop(a())), all_but(&[]));
    let mut scaled = shop(a());
    let names = PerResource { cpu: Some("web-hpa".to_owned()), memory: None };
    scaled.autoscalers.horizontal = [(web(), names)].into();
    assert_eq!(moved(&scaled), all_but(&[("a", Resource::Cpu)]));
    // What it holds is not divided.
    let seen = scaled.seen();
    let divided = seen.first().1;
    assert_eq!(divided.cpu.unwrap().members[1].sum(|pod| pod.granted()), 800);
    let (state, reason, message) = member_says(&scaled);
    assert_eq!((state, &*reason), (MemberState::Skipped, "HorizontalPodAutoscaler"));
    assert_eq!(
        message,
        "Pod a: HorizontalPodAutoscaler web-hpa scales Deployment web by how much of its cpu request a pod uses, which \
         every resize changes. Give it a target of type AverageValue (averageValue) instead of averageUtilization."
    );
    // That of another workload does not count.
    let other = Owner { name: "other".into(), ..web() };
    let names = PerResource { cpu: Some("other".to_owned()), memory: None };
    scaled.autoscalers.horizontal = [(other, names)].into();
    assert_eq!(moved(&scaled), all_but(&[]));
}

#[test]
fn pods_of_a_vertical_autoscaler_are_left_alone() {
    let mut scaled = shop(a());
    scaled.autoscalers.vertical = [(web(), ("web-vpa".to_owned(), "Auto".to_owned()))].into();
    assert_eq!(moved(&scaled), all_but(&[("a", Resource::Cpu), ("a", Resource::Memory)]));
    let (state, reason, message) = member_says(&scaled);
    assert_eq!((state, &*reason), (MemberState::Skipped, "VerticalPodAutoscaler"));
    assert!(
        message.contains(
            "VerticalPodAutoscaler web-vpa (updateMode Auto) sets the requests of Deployment web"
        ),
        "{message}"
    );
    assert!(message.contains("Take the workload out of the autoscaler or the pool"), "{message}");
}

#[test]
fn a_system_critical_pod_is_left_alone() {
    let critical = Pod { critical: true, ..a() };
    let scene = shop(critical);
    assert_eq!(moved(&scene), all_but(&[("a", Resource::Cpu), ("a", Resource::Memory)]));
    let (state, reason, _) = member_says(&scene);
    assert_eq!((state, &*reason), (MemberState::Skipped, "SystemCritical"));
}

/// The manager that the CPU of pod a is left to.
fn left(scene: &Scene) -> Option<String> {
    scene.conflicts.holder("a", Resource::Cpu, scene.now).map(str::to_owned)
}

/// A contest over the CPU of pod a, in which we set 500m each time.
#[derive(Default)]
struct Fight {
    conflicts: FieldConflicts,
    second: i64,
}

impl Fight {
    /// We set our value; a minute later it is `milli`, as `by` says.
    fn round(&mut self, milli: u64, by: Option<&str>) -> Scene {
        let scene = shop(a());
        let resize = PodResize::to(&scene.pods[0], Resource::Cpu, &[500], |_| None).unwrap();
        self.conflicts.sent(&[resize]);
        self.look(milli, by)
    }

    fn look(&mut self, milli: u64, by: Option<&str>) -> Scene {
        self.second += 60;
        let mut pod = a();
        pod.containers[0].held.cpu = Held { requested: milli, admitted: milli };
        pod.set_by.cpu = by.map(str::to_owned);
        let now = Timestamp::from_second(self.second).unwrap();
        self.conflicts.observe(&pod, now);
        Scene { conflicts: self.conflicts.clone(), now, ..shop(pod) }
    }
}

#[test]
fn after_three_rounds_a_resource_is_left_to_who_keeps_setting_it() {
    let mut fight = Fight::default();
    for _ in 0..2 {
        assert_eq!(left(&fight.round(300, Some("rival"))), None);
        // One change is one round, however often it is seen.
        assert_eq!(left(&fight.look(300, Some("rival"))), None);
    }
    let lost = fight.round(300, Some("rival"));
    assert_eq!(moved(&lost), all_but(&[("a", Resource::Cpu)]));
    let (state, reason, message) = member_says(&lost);
    assert_eq!((state, &*reason), (MemberState::Skipped, "ContestedBy"));
    assert!(message.contains("rival has set its cpu three times"), "{message}");
    // For an hour.
    fight.second += 3600 - 2 * 60;
    assert_eq!(moved(&fight.look(400, Some("rival"))), all_but(&[("a", Resource::Cpu)]));
    assert_eq!(moved(&fight.look(400, Some("rival"))), all_but(&[]));
    assert_eq!(left(&fight.round(300, Some("rival"))), None);
}

#[test]
fn what_stands_or_is_changed_now_and_then_is_no_contest() {
    let mut fight = Fight::default();
    for _ in 0..5 {
        // It stands, whichever manager had set it before; or it is not known which one changed it.
        assert_eq!(left(&fight.round(500, Some("rival"))), None);
        assert_eq!(left(&fight.round(300, None)), None);
    }
    for _ in 0..5 {
        fight.second += 3600;
        assert_eq!(left(&fight.round(300, Some("rival"))), None);
    }
    // A pod that is gone is forgotten.
    fight.conflicts.forget("a");
    assert_eq!(fight.conflicts, FieldConflicts::default());
}

#[test]
fn a_pod_on_a_node_with_windows_is_left_alone_whatever_it_says_of_itself() {
    let mut scene = shop(a());
    let labels = json!({"kubernetes.io/os": "windows"});
    let node = json!({"metadata": {"labels": labels}, "status": {"allocatable": {"cpu": "9", "memory": "4Gi"}}});
    let node = Node::read(&serde_json::from_value(node).unwrap());
    scene.nodes.insert("n2".to_owned(), node);
    scene.pods[0].node = Some("n2".into());
    let (state, reason, _) = member_says(&scene);
    assert_eq!((state, &*reason), (MemberState::Skipped, "Windows"));
    assert_eq!(moved(&scene), all_but(&[("a", Resource::Cpu), ("a", Resource::Memory)]));
}
