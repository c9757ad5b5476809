//! The past, with pools.

use super::super::{
    MemberOutcome, Options, Outcome, replay,
    trace::{Recorder, Trace},
};
use crate::{
    cli::manifests::{Manifests, parse},
    cluster::Cluster,
    share::PerResource,
};

const MINUTE: u32 = 60;

/// A node of two cores with two pods that have one each, and no more; and the pool of both.
fn objects(mode: &str) -> Cluster {
    let pod = |name: &str| {
        format!(
            "---\napiVersion: v1\nkind: Pod\nmetadata: {{name: {name}-0, namespace: shop, labels: {{app: {name}}}}}\n\
             spec: {{nodeName: n1, containers: [{{name: main, image: i, resources: {{requests: {{cpu: \"1\", memory: 1Gi}}, limits: {{cpu: \"1\", memory: 1Gi}}}}}}]}}\n\
             status: {{phase: Running, qosClass: Guaranteed}}\n"
        )
    };
    let text = format!(
        "apiVersion: v1\nkind: Node\nmetadata: {{name: n1}}\nstatus: {{allocatable: {{cpu: \"2\", memory: 8Gi}}}}\n\
         ---\napiVersion: weightedshare.dev/v1alpha1\nkind: WeightedShare\nmetadata: {{name: shop, namespace: shop}}\n\
         spec:\n  mode: {mode}\n  capacity: {{cpu: \"2\"}}\n  sharing: {{nodeReservePercent: 0}}\n  members:\n  \
         - {{name: web, weight: 100, selector: {{matchLabels: {{app: web}}}}}}\n  \
         - {{name: batch, weight: 100, selector: {{matchLabels: {{app: batch}}}}}}\n{}{}",
        pod("web"),
        pod("batch")
    );
    let objects = parse("objects", &text).unwrap();
    Manifests::sort(objects).unwrap().cluster
}

/// The web server uses a tenth of a core for an hour, then nine tenths; the batch job all of its limit.
fn day(minutes: u32) -> Trace {
    let mut recorder = Recorder::default();
    for minute in 0..minutes {
        let web = if minute < 60 { 100 } else { 900 };
        for (pod, cpu) in [("web-0", web), ("batch-0", 1000)] {
            let used = PerResource { cpu: Some(cpu), memory: Some(64 << 20) };
            recorder.record("shop", pod, minute * MINUTE, used);
        }
    }
    recorder.finish(None).unwrap()
}

fn of<'o>(outcome: &'o Outcome, member: &str) -> &'o MemberOutcome {
    outcome.members.iter().find(|it| it.member == member).unwrap()
}

fn replayed(mode: &str, trace: &Trace) -> Outcome {
    replay(objects(mode), trace, &Options::default(), &mut |_| true)
}

#[test]
fn what_lies_idle_is_lent_to_who_was_throttled() {
    let outcome = replayed("Auto", &day(60));
    assert!(outcome.complete && outcome.seconds == 3600);
    let (web, batch) = (of(&outcome, "web"), of(&outcome, "batch"));
    assert_eq!((batch.before.cpu, batch.before.throttled), (3600.0, 3600.0));
    assert!(batch.after.cpu > 1.4 * batch.before.cpu, "{batch:?}");
    assert_eq!((web.before.unmet_cpu, web.after.unmet_cpu), (0.0, 0.0));
    // All that the pool has is requested, as before.
    let node = &outcome.nodes[0];
    assert!((node.requested_before.0 - 2.0).abs() < 1e-6 && node.requested_after.0 <= 2.0);
    assert!(web.resizes + batch.resizes < 20, "{web:?} {batch:?}");
}

#[test]
fn who_needs_what_it_owns_has_it() {
    let outcome = replayed("Auto", &day(120));
    let web = of(&outcome, "web");
    // It is back within a minute or two of the second hour.
    assert!(web.after.unmet_cpu < 0.02 * web.before.cpu, "{web:?}");
}

#[test]
fn a_pool_that_observes_changes_nothing() {
    let outcome = replayed("Observe", &day(30));
    for member in outcome.members.iter().filter(|it| it.pods > 0) {
        assert_eq!((member.before.cpu, member.resizes), (member.after.cpu, 0));
    }
}

#[test]
fn it_can_be_stopped_and_tells_what_it_has() {
    let trace = day(30);
    let outcome = replay(objects("Auto"), &trace, &Options::default(), &mut |done| done < 10);
    assert!(!outcome.complete);
    assert_eq!((outcome.seconds, of(&outcome, "web").pod_seconds), (600, 600));
}

#[test]
fn pods_come_and_go_and_are_like_their_siblings() {
    let mut recorder = Recorder::default();
    for minute in 0..20 {
        // The name of a pod that is gone by now differs in its last part only.
        let pod = if minute < 10 { "web-old" } else { "web-0" };
        let used = PerResource { cpu: Some(200), memory: None };
        recorder.record("shop", pod, minute * MINUTE, used);
    }
    let trace = recorder.finish(None).unwrap();
    let outcome = replayed("Auto", &trace);
    let web = of(&outcome, "web");
    assert_eq!((web.pods, web.pod_seconds), (1, 1200));
    assert_eq!(web.moments.len(), 20);
}

#[test]
fn the_same_trace_gives_the_same_outcome() {
    let trace = day(90);
    let told = |outcome: &Outcome| serde_json::to_string(outcome).unwrap();
    assert_eq!(told(&replayed("Auto", &trace)), told(&replayed("Auto", &trace)));
}
