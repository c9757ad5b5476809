//! Situations that people met, each in a file: what a pod is to hold follows from Kubernetes' own rules.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;

use super::*;
use crate::share::MilliCpu;

/// What a plan is to say.
#[derive(Deserialize)]
struct Expected {
    /// The CPU that each pod is to be charged, by its name.
    to: BTreeMap<String, MilliCpu>,
}

#[test]
fn each_case_comes_out_as_kubernetes_charges() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/tests/cases");
    let mut cases = 0;
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let text = std::fs::read_to_string(&path).unwrap();
        let (expected, manifests) = text.split_once("---\n").unwrap();
        let expected: Expected = serde_yaml_ng::from_str(expected).unwrap();
        let plan = Plan::of(&looked(manifests));
        let pods = plan.pools.iter().flat_map(|pool| &pool.pods);
        let to = pods.map(|pod| (pod.name.clone(), MilliCpu(pod.amounts.cpu.as_ref().unwrap().to)));
        assert_eq!(to.collect::<BTreeMap<_, _>>(), expected.to, "{}", path.display());
        cases += 1;
    }
    assert!(cases >= 7, "{cases} cases");
}
