//! What is known of what is measured, as answers come, come late, or do not come.

use k8s_openapi::jiff::SignedDuration;

use super::*;
use crate::{
    cluster::{Container, Pod},
    share::{Held, Resource},
};

fn at(second: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1) + SignedDuration::from_secs(second)
}

fn said(second: i64, milli: u64) -> Readings {
    let pod = PodReading {
        namespace: "shop".into(),
        name: "a".into(),
        at: at(second),
        used: PerResource { cpu: Some(milli * 1_000_000), memory: Some(milli) },
        waiting: None,
        guest: None,
    };
    Readings { pods: vec![pod], ..Readings::default() }
}

fn metrics() -> Metrics {
    let mut measured = Metrics::default();
    measured.expect("metrics", true, false);
    measured
}

fn failed() -> SourceError {
    SourceError::Failed("metrics do not answer".into())
}

fn of_pod(measured: &Metrics, second: i64) -> PodMeasures {
    measured.pod("shop", "a", at(second)).unwrap()
}

#[test]
fn an_answer_that_is_repeated_is_no_news() {
    let mut measured = metrics();
    assert!(measured.take("metrics", Ok(said(0, 100))));
    assert!(!measured.take("metrics", Ok(said(0, 100))));
    assert!(measured.take("metrics", Ok(said(15, 80))));
    let of_pod = of_pod(&measured, 15);
    assert_eq!((of_pod.used.cpu, of_pod.peak.cpu), (80_000_000, 100_000_000));
    assert_eq!((of_pod.used.memory, of_pod.peak.memory), (80, 100));
}

#[test]
fn a_peak_that_goes_down_by_next_to_nothing_stays_where_it_was() {
    let mut measured = metrics();
    let mut peak = |minute: i64, milli: u64| {
        measured.take("metrics", Ok(said(60 * minute, milli)));
        of_pod(&measured, 60 * minute).peak.cpu / 1_000_000
    };
    assert_eq!([peak(0, 1000), peak(1, 960), peak(2, 955)], [1000; 3]);
    // The first sample is forgotten after ten minutes, then the second.
    assert_eq!([peak(11, 900), peak(12, 900)], [1000; 2]);
    assert_eq!(peak(13, 900), 900);
    assert_eq!([peak(14, 901), peak(15, 400), peak(16, 400)], [901, 901, 400]);
    // Of little, more may be next to nothing.
    assert_eq!([peak(17, 6), peak(18, 6), peak(29, 1)], [6; 3]);
}

#[test]
fn what_is_older_than_three_intervals_is_stale() {
    let mut measured = metrics();
    assert_eq!(measured.usage(at(0)), Freshness::Stale("no measurement has arrived yet".into()));
    for second in [0, 15, 30] {
        measured.take("metrics", Ok(said(second, 100)));
    }
    assert_eq!(measured.usage(at(75)), Freshness::Fresh);
    assert!(matches!(measured.usage(at(76)), Freshness::Stale(_)));
    // The numbers stay as they were.
    assert_eq!(of_pod(&measured, 4000).used.cpu, 100_000_000);

    // Why it fails is told with the first words, and only once it matters.
    assert!(measured.take("metrics", Err(failed())));
    assert!(!measured.take("metrics", Err(SourceError::Failed("otherwise".into()))));
    assert_eq!(measured.usage(at(75)), Freshness::Fresh);
    assert_eq!(measured.usage(at(76)), Freshness::Stale("metrics do not answer".into()));
    assert!(measured.take("metrics", Ok(said(90, 100))));
    assert_eq!(measured.usage(at(90)), Freshness::Fresh);
}

#[test]
fn a_source_that_is_not_there_is_not_waited_for() {
    let absent = || SourceError::Absent("install it".into());
    let mut measured = metrics();
    measured.take("metrics", Err(absent()));
    assert_eq!(measured.usage(at(0)), Freshness::Absent("install it".into()));
    // One that was there is: it may be on its way back.
    measured.take("metrics", Ok(said(0, 100)));
    measured.take("metrics", Err(absent()));
    assert_eq!(measured.usage(at(300)), Freshness::Stale("install it".into()));
    assert_eq!(measured.usage(at(601)), Freshness::Absent("install it".into()));
    // And one of two is enough.
    measured.expect("other", true, false);
    measured.take("other", Ok(said(600, 50)));
    assert_eq!(measured.usage(at(601)), Freshness::Fresh);
}

#[test]
fn where_all_sources_fail_each_says_why() {
    let mut measured = metrics();
    measured.expect("other", true, false);
    let stale = |words: &str| Freshness::Stale(words.into());
    assert_eq!(measured.usage(at(0)), stale("no measurement has arrived yet"));
    measured.take("other", Err(SourceError::Failed("other is down".into())));
    measured.take("metrics", Err(failed()));
    assert_eq!(measured.usage(at(0)), stale("metrics do not answer; other is down"));
}

#[test]
fn use_comes_from_the_first_source_that_is_fresh() {
    let mut measured = metrics();
    measured.expect("other", true, false);
    measured.take("metrics", Ok(said(0, 100)));
    let mut other = said(5, 900);
    other.pods[0].waiting = Some(30);
    measured.take("other", Ok(other));
    let first = of_pod(&measured, 5);
    assert_eq!((first.used.cpu, first.peak.cpu), (100_000_000, 100_000_000));
    assert_eq!(first.waiting, Some(30));
    measured.take("other", Ok(said(46, 50)));
    assert_eq!(of_pod(&measured, 46).used.cpu, 50_000_000);
    measured.take("metrics", Ok(said(60, 70)));
    measured.take("other", Ok(said(65, 80)));
    assert_eq!(of_pod(&measured, 65).used.cpu, 70_000_000);
}

#[test]
fn the_interval_is_what_is_seen_of_it() {
    let mut measured = metrics();
    let interval = |measured: &Metrics| measured.interval();
    assert_eq!(interval(&measured), 15);
    for second in [0, 61, 121] {
        measured.take("metrics", Ok(said(second, 1)));
    }
    assert_eq!(interval(&measured), 60);
    // An outage makes one gap long, not the interval.
    measured.take("metrics", Ok(said(5000, 1)));
    assert_eq!(interval(&measured), 60);
    for second in [5015, 5030] {
        measured.take("metrics", Ok(said(second, 1)));
    }
    assert_eq!(interval(&measured), 15);
}

#[test]
fn use_is_held_against_what_was_held_when_it_was_measured() {
    let mut measured = metrics();
    let holding = |milli: u64| {
        let mut container = Container { name: "main".into(), ..Container::default() };
        container.held[Resource::Cpu] = Held { requested: milli, admitted: milli };
        Pod {
            namespace: "shop".into(),
            name: "a".into(),
            containers: vec![container],
            ..Pod::default()
        }
    };
    measured.take("metrics", Ok(said(0, 100)));
    assert_eq!(of_pod(&measured, 0).held.cpu, None);
    for (second, milli) in [(1, 100), (40, 500), (41, 500), (80, 200)] {
        measured.note_held(&holding(milli), at(second));
    }
    for (second, least) in [(30, 100), (45, 100), (60, 500), (79, 500), (85, 200), (200, 200)] {
        measured.take("metrics", Ok(said(second, 1)));
        assert_eq!(of_pod(&measured, second).held.cpu, Some(least), "at {second} s");
    }
}

#[test]
fn a_limit_counts_that_was_there_when_it_was_measured() {
    let mut measured = metrics();
    let limited = |limit: Option<u64>| {
        let mut container = Container { name: "main".into(), ..Container::default() };
        container.limit.cpu = limit;
        Pod {
            namespace: "shop".into(),
            name: "a".into(),
            containers: vec![container],
            ..Pod::default()
        }
    };
    let limit_at = |measured: &mut Metrics, second| {
        measured.take("metrics", Ok(said(second, 100)));
        of_pod(measured, second).limits.map(|limits| limits.regular)
    };
    assert_eq!(limit_at(&mut measured, 100), None);
    // The first limit that is seen counts for the time before, too.
    measured.note_held(&limited(Some(900)), at(102));
    assert_eq!(of_pod(&measured, 102).limits.unwrap().regular, Some(900));
    measured.note_held(&limited(Some(450)), at(103));
    assert_eq!(of_pod(&measured, 103).limits.unwrap().regular, Some(900));
    // Most of the time it had less, and yet it had more for a while.
    assert_eq!(limit_at(&mut measured, 115), Some(Some(900)));
    assert_eq!(limit_at(&mut measured, 190), Some(Some(450)));
    measured.note_held(&limited(None), at(195));
    assert_eq!(limit_at(&mut measured, 200), Some(None));
}

#[test]
fn who_is_gone_is_forgotten_but_not_in_an_outage() {
    let knows =
        |measured: &Metrics, pod| measured.pod("shop", pod, Timestamp::UNIX_EPOCH).is_some();
    let mut measured = metrics();
    measured.take("metrics", Ok(said(0, 100)));
    measured.take("metrics", Err(failed()));
    assert!(knows(&measured, "a"));
    let mut other = said(601, 100);
    other.pods[0].name = "b".into();
    measured.take("metrics", Ok(other));
    assert!(knows(&measured, "b") && !knows(&measured, "a"));
}

#[test]
fn waiting_is_trusted_while_it_is_new() {
    let mut measured = metrics();
    let mut waits = said(0, 100);
    waits.pods[0].waiting = Some(250);
    measured.take("metrics", Ok(waits));
    assert_eq!(of_pod(&measured, 45).waiting, Some(250));
    assert_eq!(of_pod(&measured, 46).waiting, None);
}

#[test]
fn objectives_are_those_of_the_last_look() {
    let mut measured = Metrics::default();
    measured.expect("objectives", false, true);
    let answer = |member: &str, second, value| ObjectiveReading {
        member: MemberKey { member: member.into(), ..MemberKey::default() },
        at: at(second),
        value,
    };
    let objectives = vec![answer("a", 0, Ok(0.5)), answer("b", 0, Err("nothing".into()))];
    measured.take("objectives", Ok(Readings { objectives, ..Readings::default() }));
    let of = |measured: &Metrics, member: &str| {
        let member = MemberKey { member: member.into(), ..MemberKey::default() };
        measured.objective(&member).cloned()
    };
    let both = ["a", "b"].map(|member| of(&measured, member));
    assert_eq!(both, [Some(Ok(0.5)), Some(Err("nothing".into()))]);
    let worth = (measured.performance(at(1)), measured.usage(at(1)));
    assert_eq!(worth, (Freshness::Fresh, Freshness::default()));
    let objectives = vec![answer("b", 15, Ok(2.0))];
    measured.take("objectives", Ok(Readings { objectives, ..Readings::default() }));
    assert_eq!(["a", "b"].map(|member| of(&measured, member)), [None, Some(Ok(2.0))]);
    assert!(matches!(measured.performance(at(61)), Freshness::Stale(_)));
}

#[test]
fn what_was_measured_of_an_earlier_pod_of_that_name_is_not_believed() {
    let pod = |uid: &str, created| Pod {
        namespace: "shop".into(),
        name: "a".into(),
        uid: uid.into(),
        created: Some(at(created)),
        ..Pod::default()
    };
    let mut measured = metrics();
    measured.take("metrics", Ok(said(100, 700)));
    measured.note_held(&pod("first", 50), at(100));
    assert_eq!(of_pod(&measured, 100).peak.memory, 700);
    measured.note_held(&pod("second", 200), at(200));
    assert_eq!(measured.pod("shop", "a", at(200)), None);
    // A sample that comes late, and one of its own.
    measured.take("metrics", Ok(said(150, 700)));
    measured.note_held(&pod("second", 200), at(201));
    assert_eq!(measured.pod("shop", "a", at(201)), None);
    measured.take("metrics", Ok(said(215, 30)));
    measured.note_held(&pod("second", 200), at(215));
    assert_eq!(of_pod(&measured, 215).peak.memory, 30);
}

#[test]
fn a_pod_that_is_not_measured_any_more_as_the_others_are_is_not_fresh() {
    let mut measured = metrics();
    let both = |second| {
        let mut both = said(second, 100);
        both.pods.push(PodReading { name: "b".into(), ..both.pods[0].clone() });
        both
    };
    for second in [0, 15, 30] {
        measured.take("metrics", Ok(both(second)));
    }
    assert!(of_pod(&measured, 31).is_fresh);
    let of_b = |second| {
        let mut of_b = said(second, 100);
        of_b.pods[0].name = "b".into();
        of_b
    };
    measured.take_news();
    measured.take("metrics", Ok(of_b(75)));
    assert!(of_pod(&measured, 75).is_fresh);
    measured.take("metrics", Ok(of_b(76)));
    assert!(!of_pod(&measured, 76).is_fresh);
    assert!(measured.take_news().pods.contains(&("shop".into(), "a".into())));
    // In an outage none of them is.
    assert!(measured.pod("shop", "b", at(76)).unwrap().is_fresh);
    measured.take("metrics", Err(failed()));
    assert!(!measured.pod("shop", "b", at(200)).unwrap().is_fresh);
}

#[test]
fn a_node_that_is_not_measured_any_more_is_forgotten() {
    let mut measured = metrics();
    let mut take = |second, nodes: &[&str]| {
        let node = |name: &&str| NodeReading {
            name: (*name).into(),
            at: at(second),
            used: PerResource { cpu: 1, memory: 1 },
        };
        let nodes = nodes.iter().map(node).collect();
        measured.take("metrics", Ok(Readings { nodes, ..said(second, 100) }));
        (measured.node("gone").is_some(), measured.take_news().nodes.contains("gone"))
    };
    assert_eq!(take(0, &["there", "gone"]), (true, true));
    // It may be late by as much as is trusted.
    for second in [15, 30, 45] {
        assert_eq!(take(second, &["there"]), (true, false));
    }
    assert_eq!(take(60, &["there"]), (false, true));
    assert_eq!(take(75, &["there"]), (false, false));
}

#[test]
fn a_question_that_fails_leaves_the_last_value_as_long_as_it_is_fresh() {
    let mut measured = Metrics::default();
    measured.expect("metrics", false, true);
    let member = MemberKey { namespace: "shop".into(), ..MemberKey::default() };
    let mut take = |second, value: Result<f64, &str>| {
        let value = value.map_err(str::to_owned);
        let objective = ObjectiveReading { member: member.clone(), at: at(second), value };
        let readings = Readings { objectives: vec![objective], ..Readings::default() };
        measured.take("metrics", Ok(readings));
        measured.objective(&member).cloned().unwrap()
    };
    let slow = || Err("it took too long".to_owned());
    assert_eq!(take(0, Err("it took too long")), slow());
    assert_eq!(take(15, Ok(0.5)), Ok(0.5));
    assert_eq!(take(30, Err("it took too long")), Ok(0.5));
    assert_eq!(take(60, Err("it took too long")), Ok(0.5));
    assert_eq!(take(75, Err("it took too long")), slow());
}
