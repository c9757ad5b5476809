//! Weights that follow what is measured.

use super::*;
use crate::{
    controller::update::{Weights, update},
    observe::signals::MemberKey,
};

/// A pool whose member `a` doubles its weight while its objective is missed by half.
fn snapshot_of(performance: Option<Result<f64, String>>) -> Snapshot {
    let mut a = member("a", 100);
    a["objective"] = json!({"query": "latency", "target": "1", "better": "Lower"});
    a["dynamicWeight"] =
        json!({"expression": "current / performance", "max": 1000, "halfLifeSeconds": 0});
    let pool = pool("pool", 0, 1000, json!([a, member("b", 100)]));
    let mut snapshot = snapshot(&[pool], &[pod("a", "a", 500), pod("b", "b", 500)], 0);
    snapshot.signals = measured(&[]);
    snapshot.signals.performance = Freshness::Fresh;
    let key = MemberKey { namespace: "shop".into(), pool: "pool".into(), member: "a".into() };
    snapshot.signals.objectives = performance.map(|answer| (key, answer)).into_iter().collect();
    snapshot
}

/// The weight of `a` at a second, and the reason where it could not be worked out.
fn weight(snapshot: &Snapshot, known: &mut Weights, second: u64) -> (u32, &'static str) {
    let now = Timestamp::UNIX_EPOCH + std::time::Duration::from_secs(second);
    let mut weighed = weigh(snapshot).swap_remove(0);
    update(snapshot, &mut weighed, known, now);
    let a = &weighed.members[0];
    (a.weight, a.trouble.as_ref().map_or("", |trouble| trouble.reason))
}

#[test]
fn one_step_for_each_interval() {
    let (missed, known) = (snapshot_of(Some(Ok(2.0))), &mut Weights::default());
    let at = [0, 1, 14, 15, 16, 30].map(|second| weight(&missed, known, second).0);
    assert_eq!(at, [200, 200, 200, 400, 400, 800]);
    assert_eq!(weight(&missed, known, 45).0, 1000);
    let met = snapshot_of(Some(Ok(1.0)));
    assert_eq!(weight(&met, known, 60), (1000, ""));
    // The division goes by it.
    let mut weighed = weigh(&met).swap_remove(0);
    update(&met, &mut weighed, known, Timestamp::UNIX_EPOCH + std::time::Duration::from_secs(75));
    let divided = divide(&met, &[weighed], &mut Divider::default());
    let fair: Vec<u64> = divided[0].cpu.as_ref().unwrap().pods().map(|pod| pod.fair()).collect();
    assert_eq!(fair, [909, 91]);
}

#[test]
fn what_is_stale_stays_and_what_is_missing_is_as_written() {
    let known = &mut Weights::default();
    assert_eq!(weight(&snapshot_of(Some(Ok(2.0))), known, 0), (200, ""));
    let mut stale = snapshot_of(Some(Ok(2.0)));
    stale.signals.performance = Freshness::Stale("it does not answer".into());
    assert_eq!(weight(&stale, known, 600), (200, ""));
    assert_eq!(weight(&snapshot_of(None), known, 615), (100, "SignalMissing"));
    let says = snapshot_of(Some(Err("it gives 3 series".into())));
    let mut weighed = weigh(&says).swap_remove(0);
    update(&says, &mut weighed, known, Timestamp::UNIX_EPOCH + std::time::Duration::from_secs(700));
    let message = weighed.members[0].trouble.as_ref().unwrap().message.clone();
    assert!(message.contains("objective.query: it gives 3 series"), "{message}");
}

#[test]
fn after_a_restart_it_goes_on_where_the_status_says() {
    let mut snapshot = snapshot_of(Some(Ok(1.0)));
    let mut told = status(&snapshot, &Outcome::default());
    told.members[0].dynamic_weight =
        Some(crate::api::DynamicWeightStatus { weight: 640, signals: String::new() });
    snapshot.pools[0].status = Some(told);
    assert_eq!(weight(&snapshot, &mut Weights::default(), 0), (640, ""));
    // A plan does not step, and divides by that as well.
    assert_eq!(weigh(&snapshot)[0].members[0].weight, 640);
}

#[test]
fn pressure_and_demand_are_those_of_its_pods() {
    let mut snapshot = snapshot_of(None);
    let dynamic = snapshot.pools[0].spec.members[0].dynamic_weight.as_mut().unwrap();
    dynamic.expression = "100 * (1 + cpu.pressure) + cpu.demand * 10 + replicas".into();
    snapshot.signals = measured(&[("a", 500)]);
    assert_eq!(weight(&snapshot, &mut Weights::default(), 0), (100, "SignalMissing"));
    snapshot.signals.pods.values_mut().for_each(|pod| pod.waiting = Some(50));
    // 105, 6 for 0.6 cores, and one pod.
    assert_eq!(weight(&snapshot, &mut Weights::default(), 0), (112, ""));
}
