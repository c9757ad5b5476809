//! Pools under ResourceQuotas.

use super::*;
use crate::cluster::{Bounded, Quota, Scope};

/// A quota on the CPU that pods of the namespace request.
fn quota(hard: u64, used: u64) -> Quota {
    let cpu = Some(Bounded { hard, used });
    Quota {
        name: "compute".into(),
        requests: PerResource { cpu, memory: None },
        ..Quota::default()
    }
}

/// A pool of a whole core, for a and b with 1 : 3, under a quota.
fn under(quota: Quota, pods: &[Pod]) -> Scene {
    let pool = pool("pool", 0, 1000, json!([member("a", 100), member("b", 300)]));
    let mut scene = scene(&[pool], pods, 5000);
    scene.quotas = vec![quota];
    scene
}

fn shares(scene: &Scene) -> Vec<u64> {
    let seen = scene.clone().seen();
    let (_, divided) = seen.first();
    divided.cpu.as_ref().unwrap().pods().map(|pod| pod.granted()).collect()
}

#[test]
fn a_quota_bounds_the_division_and_one_more_pod_has_room() {
    let pods = [pod("a", "a", 50), pod("b", "b", 50)];
    let scene = under(quota(850, 100), &pods);
    assert_eq!(shares(&scene), [200, 600]);
    assert_eq!(resizes(&scene), [("a".to_owned(), 50, 200), ("b".to_owned(), 50, 600)]);
    // What other pods hold is theirs.
    let other = pod("other", "other", 400);
    let beside = under(quota(850, 500), &[&pods[..], &[other]].concat());
    assert_eq!(shares(&beside), [100, 300]);
    // It has room for all.
    assert_eq!(shares(&under(quota(1050, 100), &pods)), [250, 750]);
    // Those of other namespaces do not count.
    let mut elsewhere = pod("other", "other", 400);
    elsewhere.namespace = "bank".into();
    assert_eq!(shares(&under(quota(850, 100), &[&pods[..], &[elsewhere]].concat())), [200, 600]);
    let settled = under(quota(850, 800), &[pod("a", "a", 200), pod("b", "b", 600)]);
    let (state, reason, message) = member_says(&settled);
    assert_eq!((state, &*reason), (MemberState::Settled, "QuotaFull"));
    assert_eq!(
        message,
        "ResourceQuota compute (800m of 850m used) leaves the pool 800m of its 1 of cpu (and 50m for new pods). Raise the \
         quota, or lower capacity.cpu."
    );
}

#[test]
fn room_for_one_more_is_not_taken_from_templates_nor_from_minima() {
    let pods = [pod("a", "a", 500), pod("b", "b", 500)];
    let mut sized = under(quota(1000, 1000), &pods);
    for workload in sized.workloads.values_mut() {
        workload.charge.cpu = 500;
        workload.template.values_mut().for_each(|main| main.request.cpu = 500);
    }
    assert_eq!(shares(&sized), [250, 750]);
    let mut minima = under(quota(1000, 1000), &pods);
    minima.pools[0].spec.members[1].min.cpu = Some(crate::share::MilliCpu(980));
    assert_eq!(shares(&minima), [10, 980]);
    // Not even where the quota is less than that.
    minima.quotas = vec![quota(500, 500)];
    assert_eq!(shares(&minima), [10, 980]);
    assert_eq!(resizes(&minima), [("a".to_owned(), 500, 10)]);
}

#[test]
fn a_grow_that_a_quota_has_no_room_for_is_not_sent() {
    let full = |scene: &Scene| {
        let status = status(scene, &Outcome::default());
        let b = &status.members[1];
        (b.state.unwrap(), b.reason.clone(), b.message.clone())
    };
    // A pod that we do not see yet has taken it.
    let pods = [pod("a", "a", 250), pod("b", "b", 250)];
    let taken = under(quota(2000, 1900), &pods);
    assert_eq!(resizes(&taken), [("b".to_owned(), 250, 350)]);
    // A quota that does not count all pods of the pool does not bound the division.
    let mut scoped = quota(600, 0);
    scoped.scopes = vec![Scope::Terminating(false)];
    let mut ends = pod("a", "a", 250);
    ends.deadline = true;
    let growing = under(scoped.clone(), &[ends.clone(), pod("b", "b", 350)]);
    assert_eq!(resizes(&growing), [("b".to_owned(), 350, 600)]);
    let scene = under(scoped, &[ends, pod("b", "b", 600)]);
    assert_eq!(resizes(&scene), []);
    assert_eq!(
        full(&scene),
        (
            MemberState::Deferred,
            "QuotaFull".into(),
            "Pod b: cpu stays at 600m instead of 750m: ResourceQuota compute has 0 of 600m of requests.cpu left, but 150m \
             is needed. Raise the quota, or lower the pool's capacity."
                .into()
        )
    );
}

#[test]
fn limits_that_move_along_count_too() {
    let mut sure = pod("b", "b", 100);
    sure.qos = Qos::Guaranteed;
    sure.containers[0].limit.cpu = Some(100);
    let on_limits = Quota {
        requests: PerResource::default(),
        limits: PerResource { cpu: Some(Bounded { hard: 700, used: 650 }), memory: None },
        ..quota(0, 0)
    };
    let scene = under(on_limits, &[pod("a", "a", 100), sure]);
    assert_eq!(resizes(&scene), [("a".to_owned(), 100, 250), ("b".to_owned(), 100, 150)]);
}

#[test]
fn pools_share_what_a_quota_leaves() {
    let younger = pool("younger", 1, 3000, json!([member("c", 100)]));
    let mut scene = under(quota(2050, 100), &[pod("a", "a", 50), pod("c", "c", 50)]);
    scene.pools.push(younger);
    let seen = scene.seen();
    let divided = seen.divide();
    let shares: Vec<u64> =
        divided.iter().map(|(_, it)| it.cpu.as_ref().unwrap().sum(|pod| pod.granted())).collect();
    assert_eq!(shares, [500, 1500]);
}

#[test]
fn a_pod_that_a_full_quota_refuses_gets_room() {
    let message = |what: &str| {
        let said = "pods \"web-x\" is forbidden: exceeded quota: compute, requested: REQ=300m, used: REQ=1, limited: REQ=1";
        said.replace("REQ", what)
    };
    let web = |kind: &str, cpu: u64, refused: Option<String>| {
        let owner = Owner { namespace: "shop".into(), kind: kind.into(), name: "web".into() };
        let charge = PerResource { cpu, memory: 0 };
        (owner, Workload { charge, pods: 1, refused, ..Workload::default() })
    };
    let with = |(owner, workload), used: u64| {
        let pods = [pod("a", "a", 250), pod("b", "b", 750)];
        let mut scene = under(quota(used.max(1000), used), &pods);
        scene.workloads.insert(owner, workload);
        scene
    };
    let refused = with(web("ReplicaSet", 300, Some(message("requests.cpu"))), 1000);
    assert_eq!(shares(&refused), [175, 525]);
    assert_eq!(resizes(&refused), [("a".to_owned(), 250, 175), ("b".to_owned(), 750, 525)]);
    // Another one beside it.
    let mut two = with(web("ReplicaSet", 300, Some(message("cpu"))), 1000);
    let (owner, workload) = web("ReplicaSet", 100, Some(message("requests.cpu")));
    two.workloads.insert(Owner { name: "api".into(), ..owner }, workload);
    assert_eq!(shares(&two), [150, 450]);
    // What is about to be gone is in its way.
    let mut slow = with(web("ReplicaSet", 300, Some(message("cpu"))), 1000);
    slow.pods.push(Pod { terminating: true, ..pod("a-0", "a", 100) });
    assert_eq!(shares(&slow), [150, 450]);
    // It needs something else, or never fits.
    let other = with(web("ReplicaSet", 300, Some(message("requests.memory"))), 1000);
    assert_eq!(shares(&other), [238, 712]);
    let large = with(web("ReplicaSet", 2000, Some(message("requests.cpu"))), 1000);
    assert_eq!(shares(&large), [238, 712]);
    // A StatefulSet does not say it.
    let silent = with(web("StatefulSet", 300, None), 1000);
    assert_eq!(shares(&silent), [175, 525]);
    // Once the pools have given the room back, they leave it free until the pod exists.
    let mut given = with(web("StatefulSet", 300, None), 700);
    given.quotas = vec![quota(1000, 700)];
    given.pods = vec![pod("a", "a", 175), pod("b", "b", 525)];
    assert_eq!(shares(&given), [175, 525]);
    // It has its pod.
    let mut there = with(web("StatefulSet", 300, None), 1000);
    let mut pod = pod("web-0", "web", 300);
    pod.owner.as_mut().unwrap().kind = "StatefulSet".into();
    there.pods.push(pod);
    assert_eq!(shares(&there), [163, 487]);
}
