//! What was refused, or could not be carried out, waits for its time.

use super::{super::setbacks::Setbacks, *};
use crate::observe::Barred;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn ask(snapshot: &Snapshot) -> Vec<PodResize> {
    moves::towards_shares(&first(snapshot).1, &snapshot.free())
}

fn refused(kind: RefusalKind) -> Outcome {
    let (pod, resource, message) = ("a".into(), Resource::Cpu, "no".into());
    Outcome { refused: vec![Refusal { pod, resource, kind, message }], ..Outcome::default() }
}

#[test]
fn what_was_refused_is_asked_again_ever_later() {
    let pool = |milli| pool("pool", 0, milli, json!([member("a", 100)]));
    let snapshot = |milli| snapshot(&[pool(milli)], &[pod("a", "a", 50)], 5000);
    let full = ask(&snapshot(500));
    let mut setbacks = Setbacks::default();
    let mut now = 0;
    for wait in [10, 20, 40, 80, 160, 320, 600, 600] {
        setbacks.note(&full, &refused(RefusalKind::QuotaExceeded), at(now));
        let held_back = |second| {
            let (sent, refusals) = setbacks.hold_back(full.clone(), at(second));
            assert_eq!(sent.is_empty(), refusals.len() == 1);
            sent.is_empty()
        };
        assert!(held_back(now + wait - 1), "after {wait} s");
        assert!(!held_back(now + wait), "after {wait} s");
        let pods = snapshot(500).pods;
        assert_eq!(setbacks.next(pods.iter(), at(now)), Some(at(now + wait)));
        // A time that is over is nothing to wait for.
        assert_eq!(setbacks.next(pods.iter(), at(now + wait)), None);
        now += wait;
    }
    // More would be refused as well; less may be lucky.
    now -= 1;
    assert_eq!(setbacks.hold_back(ask(&snapshot(600)), at(now)).0, []);
    assert_eq!(setbacks.hold_back(ask(&snapshot(400)), at(now)).0.len(), 1);
    // One that is taken wipes the slate.
    let taken = Outcome { sent: full.clone(), ..Outcome::default() };
    setbacks.note(&full, &Outcome::default(), at(now));
    assert_eq!(setbacks.hold_back(full.clone(), at(now)).0, []);
    setbacks.note(&full, &taken, at(now));
    assert_eq!(setbacks.hold_back(full.clone(), at(now)).0, full);
    // What another turn will see, or what was never heard, is no refusal.
    for kind in [RefusalKind::Outdated, RefusalKind::Unreachable] {
        setbacks.note(&full, &refused(kind), at(now));
        assert_eq!(setbacks.hold_back(full.clone(), at(now)).0, full);
    }
}

#[test]
fn what_a_node_cannot_carry_out_is_taken_back_and_left_for_some_time() {
    let pool = pool("pool", 0, 500, json!([member("a", 300), member("b", 100)]));
    let mut stuck = pod("a", "a", 300);
    stuck.containers[0].held.cpu.admitted = 50;
    stuck.resize = Resize::Infeasible("static CPU manager".into());
    let mut setbacks = Setbacks::default();
    let turn = |setbacks: &mut Setbacks, stuck: &Pod, second: i64| {
        let mut snapshot = snapshot(from_ref(&pool), &[stuck.clone(), pod("b", "b", 450)], 5000);
        setbacks.see(&snapshot.pods, at(second));
        setbacks.mark(&mut snapshot.pods, at(second));
        let says = member_says(&snapshot);
        (resizes(&snapshot), says.0, says.1)
    };
    let (resizes, state, reason) = turn(&mut setbacks, &stuck, 0);
    assert_eq!(resizes, [("a".to_owned(), 300, 50)]);
    assert_eq!((state, &*reason), (MemberState::Infeasible, "Infeasible"));
    // It is back, and its part is the others' for ten minutes.
    let back = pod("a", "a", 50);
    assert_eq!(turn(&mut setbacks, &back, 599), (vec![], MemberState::Infeasible, reason));
    let grown = turn(&mut setbacks, &back, 600).0;
    assert_eq!(grown, [("b".to_owned(), 450, 125)]);
    // The second time it takes twice as long, though it is seen in each turn.
    for second in 601..605 {
        turn(&mut setbacks, &stuck, second);
    }
    assert_eq!(turn(&mut setbacks, &back, 601 + 1199).0, []);
    assert_ne!(turn(&mut setbacks, &back, 601 + 1200).0, []);
    // A new pod of that name is another pod.
    let mut other = back.clone();
    other.uid = "new".into();
    turn(&mut setbacks, &stuck, 4000);
    assert_ne!(turn(&mut setbacks, &other, 4001).0, []);
    assert_eq!(setbacks.next([&back].into_iter(), at(4001)), None);
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
    let mut snapshot = snapshot(&[pool], &[failing], 0);
    let barred = Barred { forever: false, why: "usage is above".into() };
    let mut setbacks = Setbacks::default();
    setbacks.see(&snapshot.pods, at(0));
    setbacks.mark(&mut snapshot.pods, at(0));
    assert_eq!(snapshot.pods[0].barred, PerResource { cpu: None, memory: Some(barred) });
    let resize = &ask(&snapshot)[0];
    let back = ContainerResize { name: "main".into(), request: 200 << 20, limit: Some(200 << 20) };
    assert_eq!(resize.containers, [back]);
    assert_eq!(member_says(&snapshot).1, "ResizeFailing");
}
