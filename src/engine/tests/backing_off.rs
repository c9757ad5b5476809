//! What was refused, or could not be carried out, waits for its time.

use std::time::Duration;

use super::*;
use crate::engine::{History, backoff::Failure};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn ask(scene: &Scene) -> Vec<PodResize> {
    scene.seen().resizes()
}

fn refused(kind: RefusalKind) -> Refusal {
    Refusal { pod: "a".into(), resource: Resource::Cpu, kind, message: "no".into() }
}

#[test]
fn what_was_refused_is_asked_again_ever_later() {
    let pool = |milli| pool("pool", 0, milli, json!([member("a", 100)]));
    let scene = |milli| scene(&[pool(milli)], &[pod("a", "a", 50)], 5000);
    let full = ask(&scene(500));
    let mut backoff = Backoff::default();
    let mut now = 0;
    for wait in [10, 20, 40, 80, 160, 320, 600, 600] {
        backoff.answered(&full, &[], Some(&refused(RefusalKind::QuotaExceeded)), at(now));
        let held_back = |second| {
            let (sent, refusals) = backoff.hold_back(full.clone(), at(second));
            assert_eq!(sent.is_empty(), refusals.len() == 1);
            sent.is_empty()
        };
        assert!(held_back(now + wait - 1), "after {wait} s");
        assert!(!held_back(now + wait), "after {wait} s");
        let pods = scene(500).pods;
        assert_eq!(backoff.next(pods.iter(), at(now)), Some(at(now + wait)));
        // A time that is over is nothing to wait for.
        assert_eq!(backoff.next(pods.iter(), at(now + wait)), None);
        now += wait;
    }
    // More would be refused as well; less may be lucky.
    now -= 1;
    assert_eq!(backoff.hold_back(ask(&scene(600)), at(now)).0, []);
    assert_eq!(backoff.hold_back(ask(&scene(400)), at(now)).0.len(), 1);
    // One that is taken wipes the slate.
    backoff.answered(&full, &[], None, at(now));
    assert_eq!(backoff.hold_back(full.clone(), at(now)).0, []);
    backoff.answered(&full, &full, None, at(now));
    assert_eq!(backoff.hold_back(full.clone(), at(now)).0, full);
    // What another turn will see, or what was never heard, is no refusal.
    for kind in [RefusalKind::Outdated, RefusalKind::Throttled, RefusalKind::Unreachable] {
        backoff.answered(&full, &[], Some(&refused(kind)), at(now));
        assert_eq!(backoff.hold_back(full.clone(), at(now)).0, full);
    }
}

#[test]
fn what_a_node_cannot_carry_out_is_taken_back_and_left_for_some_time() {
    let pool = pool("pool", 0, 500, json!([member("a", 300), member("b", 100)]));
    let mut stuck = pod("a", "a", 300);
    stuck.containers[0].held.cpu.admitted = 50;
    stuck.resize = Resize::Infeasible("static CPU manager".into());
    let mut backoff = Backoff::default();
    let turn = |backoff: &mut Backoff, stuck: &Pod, second: i64| {
        let pods = [stuck.clone(), pod("b", "b", 450)];
        pods.iter().for_each(|pod| backoff.observe(pod, at(second)));
        let scene = Scene {
            backoff: backoff.clone(),
            now: at(second),
            ..scene(from_ref(&pool), &pods, 5000)
        };
        let says = member_says(&scene);
        (resizes(&scene), says.0, says.1)
    };
    let (resizes, state, reason) = turn(&mut backoff, &stuck, 0);
    assert_eq!(resizes, [("a".to_owned(), 300, 50)]);
    assert_eq!((state, &*reason), (MemberState::Infeasible, "Infeasible"));
    // It is back, and its part is the others' for ten minutes.
    let back = pod("a", "a", 50);
    assert_eq!(turn(&mut backoff, &back, 599), (vec![], MemberState::Infeasible, reason));
    let grown = turn(&mut backoff, &back, 600).0;
    assert_eq!(grown, [("b".to_owned(), 450, 125)]);
    // The same answer, seen again after that, is no second one.
    turn(&mut backoff, &stuck, 600);
    assert_ne!(turn(&mut backoff, &back, 600).0, []);
    // The second time it takes twice as long, though it is seen in each turn.
    stuck.generation += 1;
    for second in 601..605 {
        turn(&mut backoff, &stuck, second);
    }
    assert_eq!(turn(&mut backoff, &back, 601 + 1199).0, []);
    assert_ne!(turn(&mut backoff, &back, 601 + 1200).0, []);
    // A new pod of that name is another pod.
    let mut other = back.clone();
    other.uid = "new".into();
    stuck.generation += 1;
    turn(&mut backoff, &stuck, 4000);
    assert_ne!(turn(&mut backoff, &other, 4001).0, []);
    backoff.forget(&back.uid);
    assert_eq!(backoff.next([&back].into_iter(), at(4001)), None);
}

#[test]
fn a_limit_that_could_not_be_lowered_goes_back_to_what_is_in_force() {
    let mut pool = pool("pool", 0, 1, json!([member("a", 100)]));
    pool.spec.capacity = serde_json::from_value(json!({"memory": "100"})).unwrap();
    let mut failing = pod("a", "a", 0);
    failing.qos = Qos::Guaranteed;
    failing.resize = Resize::Failing("usage is above".into());
    let main = &mut failing.containers[0];
    main.held.memory = Held { requested: 100 << 20, admitted: 200 << 20 };
    (main.limit.memory, main.enforced.memory) = (Some(100 << 20), Some(200 << 20));
    let mut scene = scene(&[pool], from_ref(&failing), 0);
    let failure = Failure { forever: false, why: "usage is above".into() };
    scene.backoff.observe(&failing, scene.now);
    let known = |resource| scene.backoff.failure("a", resource, scene.now);
    assert_eq!((known(Resource::Cpu), known(Resource::Memory)), (None, Some(&failure)));
    let resize = &ask(&scene)[0];
    let back = ContainerResize { name: "main".into(), request: 200 << 20, limit: Some(200 << 20) };
    assert_eq!(resize.containers, [back]);
    assert_eq!(member_says(&scene).1, "ResizeFailing");
}

#[test]
fn a_shrink_that_is_refused_leaves_the_division() {
    let pool = pool("pool", 0, 1200, json!([member("a", 100), member("b", 900)]));
    let mut scene = scene(&[pool], &[pod("a", "a", 300), pod("b", "b", 300)], 5000);
    let shrink = ask(&scene);
    assert_eq!(resizes(&scene), [("a".to_owned(), 300, 120)]);
    scene.backoff.answered(&shrink, &[], Some(&refused(RefusalKind::Refused)), scene.now);
    assert_eq!(resizes(&scene), [("b".to_owned(), 300, 900)]);
    let (state, reason, message) = member_says(&scene);
    assert_eq!((state, &*reason, &*message), (MemberState::Deferred, "Refused", "Pod a: no."));
}

#[test]
fn a_refusal_of_any_length_leaves_a_status_that_can_be_stored() {
    let pool = pool("pool", 0, 500, json!([member("a", 100)]));
    let scene = scene(&[pool], &[pod("a", "a", 50)], 5000);
    let long = Refusal { message: "no ".repeat(20_000), ..refused(RefusalKind::Refused) };
    let status = status(&scene, &Outcome { refused: vec![long], ..Outcome::default() });
    let of_member = &status.members[0].message;
    assert!(of_member.starts_with("Pod a: no no") && of_member.ends_with("..."), "{of_member}");
    let of_pool = status.conditions.iter().map(|condition| &condition.message);
    for message in of_pool.chain([of_member]) {
        assert!(message.len() <= crate::api::LONGEST_MESSAGE, "{message}");
    }
}

#[test]
fn a_shrink_that_is_not_confirmed_holds_nobody_up_for_long() {
    let pool = pool("pool", 0, 1200, json!([member("a", 100), member("b", 900)]));
    let mut silent = pod("a", "a", 120);
    silent.containers[0].held.cpu.admitted = 300;
    silent.resized_at = Some(at(100));
    let pods = [silent, pod("b", "b", 300)];
    let turn = |second| resizes(&Scene { now: at(second), ..scene(from_ref(&pool), &pods, 5000) });
    assert_eq!(turn(129), []);
    // What is confirmed to be free, and no more.
    assert_eq!(turn(130), [("b".to_owned(), 300, 900)]);
}

#[test]
fn waits_keep_their_length_when_the_clock_is_set() {
    let pool = pool("pool", 0, 500, json!([member("a", 100)]));
    let full = ask(&scene(&[pool], &[pod("a", "a", 50)], 5000));
    let now = |wall: i64, steady: u64| Now { wall: at(wall), steady: Duration::from_secs(steady) };
    for hours in [-2, 2] {
        let mut history = History::default();
        assert!(!history.follow_clock(now(10_000, 0)));
        let no = refused(RefusalKind::Refused);
        history.resized(None, &full, Vec::new(), Some(&no), now(10_001, 1));
        // The clock is set, and another answer arrives before the next decision.
        let wall = 10_000 + hours * 3_600;
        history.resized(None, &[], Vec::new(), None, now(wall + 2, 2));
        assert!(history.follow_clock(now(wall + 3, 3)), "it was set");
        assert!(!history.follow_clock(now(wall + 4, 4)), "it was set once");
        let held_back = |second| history.backoff.hold_back(full.clone(), at(second)).0.is_empty();
        assert!(held_back(wall + 10) && !held_back(wall + 11), "{hours} hours");
    }
}
