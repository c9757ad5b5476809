//! From shares to resizes.

use super::*;

#[test]
fn shrinks_are_sent_first_and_grows_follow_into_the_room_that_they_left() {
    let pool = pool("pool", 0, 800, json!([member("a", 100), member("b", 300)]));
    let full = snapshot(from_ref(&pool), &[pod("a", "a", 600), pod("b", "b", 200)], 5000);
    assert_eq!(resizes(&full), [("a".to_owned(), 600, 200)]);
    // The kubelet has not carried it out: nothing is free yet.
    let mut shrinking = pod("a", "a", 200);
    shrinking.containers[0].held.cpu.admitted = 600;
    let waiting = snapshot(from_ref(&pool), &[shrinking, pod("b", "b", 200)], 5000);
    assert_eq!(resizes(&waiting), []);
    let standing = |snapshot: &Snapshot, member: usize| {
        let status = status(snapshot, &Outcome::default());
        (status.members[member].state.unwrap(), status.members[member].reason.clone())
    };
    assert_eq!(standing(&full, 1), (MemberState::Resizing, "AwaitingRoom".into()));
    assert_eq!(standing(&waiting, 1), (MemberState::Resizing, "AwaitingRoom".into()));
    let freed = snapshot(from_ref(&pool), &[pod("a", "a", 200), pod("b", "b", 200)], 5000);
    assert_eq!(resizes(&freed), [("b".to_owned(), 200, 600)]);
    // Where the node has less room than the pool, they share what it has: 138m and 412m of 550m.
    let small = snapshot(from_ref(&pool), &[pod("a", "a", 200), pod("b", "b", 200)], 150);
    assert_eq!(resizes(&small), [("a".to_owned(), 200, 138)]);
    // Of a node that is not known, nobody can say that it has room.
    let mut lost = pod("b", "b", 350);
    lost.node = Some("n2".into());
    let stuck = snapshot(from_ref(&pool), &[pod("a", "a", 200), lost], 0);
    assert_eq!(resizes(&stuck), []);
    assert_eq!(standing(&stuck, 1), (MemberState::Deferred, "NoRoom".into()));
    let settled = snapshot(&[pool], &[pod("a", "a", 200), pod("b", "b", 600)], 0);
    assert_eq!(resizes(&settled), []);
    assert_eq!(true_conditions(&status(&settled, &Outcome::default())), [("Ready", "Divided")]);
}

#[test]
fn what_a_terminating_pod_holds_is_not_given_away() {
    let pool = pool("pool", 0, 600, json!([member("a", 100)]));
    let mut going = pod("a-0", "a", 400);
    going.terminating = true;
    let snapshot = snapshot(&[pool], &[going, pod("a-1", "a", 50)], 5000);
    assert_eq!(resizes(&snapshot), [("a-1".to_owned(), 50, 200)]);
}

#[test]
fn a_guaranteed_pod_moves_its_limit_along() {
    let pool = pool("pool", 0, 300, json!([member("a", 100)]));
    let mut sure = pod("a", "a", 50);
    sure.qos = Qos::Guaranteed;
    sure.containers[0].limit.cpu = Some(50);
    let snapshot = snapshot(&[pool], &[sure], 1000);
    let resizes = moves::towards_shares(&first(&snapshot).1, &snapshot.free());
    let both = ContainerResize { name: "main".into(), request: 300, limit: Some(300) };
    assert_eq!(resizes[0].containers, [both]);
}

#[test]
fn a_burstable_pod_with_all_limits_never_reaches_them_all() {
    let pool = pool("pool", 0, 900, json!([member("a", 100)]));
    let mut bounded = pod("a", "a", 50);
    bounded.containers[0].limit.cpu = Some(400);
    let open = snapshot(from_ref(&pool), &[bounded.clone()], 1000);
    assert_eq!(resizes(&open), [("a".to_owned(), 50, 400)]);
    bounded.limited = true;
    let tight = snapshot(&[pool], &[bounded], 1000);
    assert_eq!(resizes(&tight), [("a".to_owned(), 50, 399)]);
}

#[test]
fn pods_of_no_pool_go_back_to_their_templates() {
    let resized = |name: &str, milli| {
        let mut pod = pod(name, name, milli);
        pod.resized_by_us.cpu = true;
        pod
    };
    let to = |snapshot: &Snapshot| -> Vec<(String, u64)> {
        let release = moves::back_to_templates(snapshot, "shop", &snapshot.free());
        release.resizes.into_iter().map(|resize| (resize.pod, resize.to)).collect()
    };
    // A shrink at once, a grow where all of it fits, what we never touched not at all.
    let pods = [resized("large", 500), resized("small", 10), pod("theirs", "theirs", 70)];
    let full = snapshot(&[], &pods, 30);
    assert_eq!(to(&full), [("large".to_owned(), 50)]);
    assert_eq!(moves::back_to_templates(&full, "shop", &full.free()).waiting, ["large", "small"]);
    let roomy = snapshot(&[], &pods, 40);
    assert_eq!(to(&roomy), [("large".to_owned(), 50), ("small".to_owned(), 50)]);
    let done = snapshot(&[], &[resized("large", 50)], 0);
    assert_eq!(moves::back_to_templates(&done, "shop", &done.free()).waiting, [""; 0]);

    let mut alone = resized("alone", 500);
    alone.owner = None;
    let alone = snapshot(&[], &[alone], 0);
    let stuck = moves::back_to_templates(&alone, "shop", &alone.free()).stuck;
    assert_eq!(stuck[0].0, "alone");
}

#[test]
fn what_members_grow_into_is_not_promised_to_those_that_go_back() {
    let pool = pool("pool", 0, 300, json!([member("a", 100)]));
    let mut gone = pod("gone", "gone", 10);
    gone.resized_by_us.cpu = true;
    // Room for the 250m of the one or the 40m of the other, not for both.
    let snapshot = snapshot(&[pool], &[pod("a", "a", 50), gone], 260);
    let mut free = snapshot.free();
    let resizes = moves::towards_shares(&first(&snapshot).1, &free);
    assert_eq!((resizes[0].from, resizes[0].to), (50, 300));
    assert_eq!(moves::back_to_templates(&snapshot, "shop", &free).resizes.len(), 1);
    moves::take(&mut free, &snapshot, &resizes);
    assert_eq!(moves::back_to_templates(&snapshot, "shop", &free).resizes, []);
}
