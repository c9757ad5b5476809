//! A pool that is worked out from the past.

use super::super::{
    suggest,
    trace::{Facts, Recorder},
};
use crate::{cli::manifests, cluster::Cluster, share::PerResource};

#[test]
fn a_pool_is_worked_out_from_what_pods_used() {
    let mut recorder = Recorder::default();
    for (pod, app, cpu) in [("web-1", "web", 300), ("web-2", "web", 300), ("job-1", "job", 200)] {
        let facts = Facts {
            labels: [("app".to_owned(), app.to_owned())].into(),
            requests: PerResource { cpu: Some(1000), memory: Some(1 << 30) },
            ..Facts::default()
        };
        recorder.describe("shop", pod, facts);
        for step in 0..10 {
            let used = PerResource { cpu: Some(cpu), memory: Some(100 << 20) };
            recorder.record("shop", pod, step * 60, used);
        }
    }
    recorder.record("bank", "vault-1", 0, PerResource::default());
    let trace = recorder.finish(None).unwrap();
    let text = suggest(&Cluster::default(), &trace, "shop").unwrap();
    let pools = manifests::parse("suggested", &text).unwrap();
    assert_eq!(pools.len(), 1);
    for line in [
        "    # Together they used at most 800m in 99 % of the time; this is 20 % more. They request 3.",
        "    cpu: 1",
        "    # Together they used at most 300Mi; this is 20 % more. They request 3Gi.",
        "    memory: 384Mi",
        "  mode: Observe",
        "  - name: \"job\"",
        "    weight: 250",
        "    weight: 750",
        "    selector: {matchLabels: {\"app\": \"web\"}}",
    ] {
        assert!(text.lines().any(|it| it == line), "{line}\n{text}");
    }
    let nothing = suggest(&Cluster::default(), &trace, "home").unwrap_err();
    assert!(nothing.ends_with("there are pods in: bank, shop"), "{nothing}");
    assert!(suggest(&Cluster::default(), &trace, "bank").unwrap_err().contains("label app"));
}
