//! Weights that follow what is measured.

use super::*;
use crate::{
    engine::dynamic_weights::{Weights, update},
    metrics::{MemberKey, ObjectiveReading},
};

/// A pool whose member `a` doubles its weight while its objective is missed by half.
fn snapshot_of(performance: Option<Result<f64, String>>) -> Scene {
    let mut a = member("a", 100);
    a["objective"] = json!({"query": "latency", "target": "1", "better": "Lower"});
    a["dynamicWeight"] =
        json!({"expression": "current / performance", "max": 1000, "halfLifeSeconds": 0});
    let pool = pool("pool", 0, 1000, json!([a, member("b", 100)]));
    let mut scene = scene(&[pool], &[pod("a", "a", 500), pod("b", "b", 500)], 0);
    let member = MemberKey { namespace: "shop".into(), pool: "pool".into(), member: "a".into() };
    let objective = |value| ObjectiveReading { member, at: Timestamp::UNIX_EPOCH, value };
    let objectives = performance.map(objective).into_iter().collect();
    scene.metrics = Metrics::timeless([Readings { objectives, ..Readings::default() }]);
    scene
}

/// The weight of `a` at a second, and the reason where it could not be worked out.
fn weight(scene: &Scene, known: &mut Weights, second: u64) -> (u32, &'static str) {
    let seen = at(scene, second);
    let mut pool = seen.members().swap_remove(0);
    update(&seen.view(), &mut pool, known);
    let a = &pool.members[0];
    (a.weight, a.trouble.as_ref().map_or("", |trouble| trouble.reason))
}

fn at(scene: &Scene, second: u64) -> Seen {
    let now = Timestamp::UNIX_EPOCH + std::time::Duration::from_secs(second);
    Scene { now, ..scene.clone() }.seen()
}

#[test]
fn one_step_for_each_interval() {
    let (missed, known) = (snapshot_of(Some(Ok(2.0))), &mut Weights::default());
    let weights = [0, 1, 14, 15, 16, 30].map(|second| weight(&missed, known, second).0);
    assert_eq!(weights, [200, 200, 200, 400, 400, 800]);
    assert_eq!(weight(&missed, known, 45).0, 1000);
    let met = snapshot_of(Some(Ok(1.0)));
    assert_eq!(weight(&met, known, 60), (1000, ""));
    // The division goes by it.
    let seen = at(&met, 75);
    let mut pool = seen.members().swap_remove(0);
    update(&seen.view(), &mut pool, known);
    let divided = seen.divide_one(pool).1;
    let fair: Vec<u64> = divided.cpu.as_ref().unwrap().pods().map(|pod| pod.fair()).collect();
    assert_eq!(fair, [909, 91]);
}

#[test]
fn what_is_stale_stays_and_what_is_missing_is_as_written() {
    let known = &mut Weights::default();
    assert_eq!(weight(&snapshot_of(Some(Ok(2.0))), known, 0), (200, ""));
    let mut stale = snapshot_of(Some(Ok(2.0)));
    stale.metrics.fail("it does not answer");
    assert_eq!(weight(&stale, known, 600), (200, ""));
    assert_eq!(weight(&snapshot_of(None), known, 615), (100, "SignalMissing"));
    let says = snapshot_of(Some(Err("it gives 3 series".into())));
    let seen = at(&says, 700);
    let mut pool = seen.members().swap_remove(0);
    update(&seen.view(), &mut pool, known);
    let message = pool.members[0].trouble.as_ref().unwrap().message.clone();
    assert!(message.contains("objective.query: it gives 3 series"), "{message}");
}

#[test]
fn after_a_restart_it_goes_on_where_the_status_says() {
    let mut scene = snapshot_of(Some(Ok(1.0)));
    let mut told = status(&scene, &Outcome::default());
    told.members[0].dynamic_weight =
        Some(crate::api::DynamicWeightStatus { weight: 640, signals: String::new() });
    scene.pools[0].status = Some(told);
    assert_eq!(weight(&scene, &mut Weights::default(), 0), (640, ""));
    // A plan does not step, and divides by that as well.
    assert_eq!(scene.seen().members()[0].members[0].weight, 640);
}

#[test]
fn pressure_and_demand_are_those_of_its_pods() {
    let mut scene = snapshot_of(None);
    let dynamic = scene.pools[0].spec.members[0].dynamic_weight.as_mut().unwrap();
    dynamic.expression = "100 * (1 + cpu.pressure) + cpu.demand * 10 + replicas".into();
    scene.metrics = measured(&[("a", 500)]);
    assert_eq!(weight(&scene, &mut Weights::default(), 0), (100, "SignalMissing"));
    scene.metrics = Metrics::timeless([Readings {
        pods: vec![PodReading {
            namespace: "shop".into(),
            name: "a".into(),
            used: PerResource { cpu: Some(500_000_000), memory: Some(0) },
            waiting: Some(50),
            ..PodReading::default()
        }],
        ..Readings::default()
    }]);
    // 105, 6 for 0.6 cores, and one pod.
    assert_eq!(weight(&scene, &mut Weights::default(), 0), (112, ""));
}
