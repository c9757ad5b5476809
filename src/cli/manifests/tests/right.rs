//! What is right is read, as kubectl would read it.

use std::path::Path;

use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::*;
use crate::{
    api::{Mode, Resources, WeightPer, WeightedShareSpec},
    cluster::{self, Kind},
    share::MilliCpu,
};

fn all(text: &str) -> Vec<Object> {
    let located = parse("shop.yaml", text).unwrap();
    located.into_iter().map(|it| it.object).collect()
}

/// The objects of one form of the model, as they were read.
macro_rules! of {
    ($form:ident, $objects:expr) => {
        $objects
            .iter()
            .filter_map(|object| match object {
                Object::Kept(_, object) => match &**object {
                    cluster::Object::$form(object) => Some(object),
                    _ => None,
                },
                _ => None,
            })
            .collect::<Vec<_>>()
    };
}

/// The names of the objects of one kind.
fn names(objects: &[Object], kind: Kind) -> Vec<&cluster::Key> {
    let kept = objects.iter().filter_map(|object| match object {
        Object::Kept(key, _) => Some(key),
        _ => None,
    });
    kept.filter(|key| key.kind == kind).collect()
}

/// The documents of a text, as a type of Kubernetes.
fn documents<T: DeserializeOwned>(text: &str) -> Vec<T> {
    assert!(!all(text).is_empty());
    let documents = document::documents("shop.yaml", text).into_iter();
    let there = documents.map(Result::unwrap).filter(|document| !document.is_null());
    there.map(|document| serde_json::from_value(document).unwrap()).collect()
}

#[test]
fn every_example_is_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut pools = 0;
    let paths = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    for path in paths.filter(|path| path.is_file()) {
        let read = read(std::slice::from_ref(&path), std::io::empty())
            .unwrap_or_else(|errors| panic!("{errors}"));
        let workloads = read.cluster.namespaces().flat_map(|(_, it)| it.workloads());
        let (there, workloads) = (read.cluster.pools().count(), workloads.count());
        assert!(there > 0 && workloads > 0, "{}", path.display());
        assert!(read.others.is_empty(), "{}: {:?}", path.display(), read.others);
        pools += there;
    }
    assert!(pools >= 6, "{pools} pools");
    // Each has a namespace of its own, so they can be read together.
    assert_eq!(read(&[folder], std::io::empty()).unwrap().cluster.pools().count(), pools);
}

#[test]
fn every_spec_that_the_api_server_takes_is_read() {
    #[derive(Deserialize)]
    struct Case {
        name: String,
        #[serde(default)]
        kind: Option<String>,
        spec: Value,
    }
    let cases = include_str!("../../../../e2e/tests/objects/right.yaml");
    let cases: Vec<Case> = serde_yaml_ng::from_str(cases).unwrap();
    assert!(cases.len() >= 12, "{} cases", cases.len());
    for Case { name, kind, spec } in cases {
        match kind {
            None => {
                let read = all(&format!("{POOL}spec: {spec}\n"));
                assert_eq!(of!(Pool, read).len(), 1, "{name}");
            }
            Some(_) => {
                let read = all(&format!("{TREE}spec: {spec}\n"));
                assert_eq!(of!(Tree, read).len(), 1, "{name}");
            }
        }
    }
}

#[test]
fn what_is_left_out_has_its_default() {
    let read = all(&format!(
        "{POOL}spec: {{mode: null, capacity: {{cpu: 6}}, members: [{{name: a, weight: null, min: null, selector: {{}}}}]}}"
    ));
    let WeightedShareSpec { mode, capacity, members, .. } = &of!(Pool, read)[0].spec;
    assert_eq!(*mode, Mode::Auto);
    assert_eq!(*capacity, Resources { cpu: Some(MilliCpu(6000)), memory: None });
    assert_eq!((members[0].weight, members[0].weight_per), (100, WeightPer::Member));
}

#[test]
fn what_kubectl_prints_is_read() {
    let read = all(include_str!("get.yaml"));
    let status = of!(Pool, read)[0].status.as_ref().unwrap();
    assert_eq!(status.observed_generation, Some(2));
    // The model drops managed fields of pools.
    assert_eq!(of!(Pool, read)[0].metadata.managed_fields, None);
    // The status of the second is from another version, and is left out.
    assert_eq!(of!(Pool, read)[1].status, None);
    assert_eq!(of!(Pod, read)[0].node.as_deref(), Some("one"));
    for kind in [Kind::ReplicaSet, Kind::DaemonSet, Kind::Job] {
        assert_eq!(names(&read, kind).len(), 1, "{kind:?}");
    }
    assert_eq!(of!(Quota, read).len() + of!(Limits, read).len() + of!(Node, read).len(), 3);
    let [vm] = &of!(Instance, read)[..] else { panic!("one virtual machine") };
    let cpu = vm.spec.domain.cpu.unwrap();
    assert_eq!((cpu.cores, cpu.sockets, cpu.threads), (Some(2), Some(1), None));
    assert_eq!(vm.spec.domain.io_threads_policy.as_deref(), Some("supplementalPool"));
    assert_eq!(vm.spec.domain.io_threads.unwrap().supplemental_pool_thread_count, Some(4));
    assert_eq!(vm.status.as_ref().unwrap().active_pods["0fa7"], "one");
    let (mut used, mut others) = (Vec::new(), Vec::new());
    for object in &read {
        match object {
            Object::PodMetrics(pod) => used.push(pod.containers[0].usage["cpu"].0.as_str()),
            Object::NodeMetrics(node) => used.push(node.usage["memory"].0.as_str()),
            Object::Other(kind) => others.push(kind.as_str()),
            Object::Kept(..) => {}
        }
    }
    used.sort_unstable();
    assert_eq!(used, ["1024Mi", "1m"]);
    others.sort_unstable();
    assert_eq!(others, ["ConfigMap", "Job", "Service", "Service"]);
}

#[test]
fn a_namespace_is_filled_in_where_the_kind_has_one() {
    let read = all("{apiVersion: v1, kind: Pod, metadata: {name: web}}\n---\n\
                    {apiVersion: v1, kind: Node, metadata: {name: one, namespace: shop}}\n");
    assert_eq!(names(&read, Kind::Pod)[0].namespace, "default");
    assert_eq!(names(&read, Kind::Node)[0].namespace, "");
}

#[test]
fn yaml_means_what_it_means_to_kubectl() {
    let read: Vec<Deployment> = documents(
        "\u{feff}%YAML 1.1\r\n---\r\n# a comment\r\n---\r\n\
        apiVersion: apps/v1\r\nkind: Deployment\r\nmetadata: {name: web}\r\n\
        spec:\r\n  replicas: 2.0\r\n  paused: yes\r\n  template:\r\n    spec:\r\n      volumes:\r\n\
        \x20     - {name: a, secret: &secret {secretName: a, defaultMode: 0644}}\r\n\
        \x20     - {name: b, secret: {<<: *secret, secretName: b}}\r\n...\r\n--- # the end\r\n",
    );
    let spec = read[0].spec.as_ref().unwrap();
    assert_eq!((spec.replicas, spec.paused), (Some(2), Some(true)));
    let volumes = spec.template.spec.as_ref().unwrap().volumes.as_ref().unwrap();
    let secrets: Vec<_> = volumes.iter().filter_map(|volume| volume.secret.as_ref()).collect();
    let secrets = secrets.iter().map(|secret| (secret.secret_name.as_deref(), secret.default_mode));
    assert_eq!(secrets.collect::<Vec<_>>(), [(Some("a"), Some(0o644)), (Some("b"), Some(0o644))]);
}

#[test]
fn three_dashes_in_a_text_end_nothing() {
    let read: Vec<Pod> = documents(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\n  annotations:\n    note: |\n      a\n      ---\n      b\n    more: a---b\n",
    );
    let annotations = read[0].metadata.annotations.as_ref().unwrap();
    assert_eq!((&*annotations["note"], &*annotations["more"]), ("a\n---\nb\n", "a---b"));
}

#[test]
fn long_texts_are_read_wherever_they_stand() {
    let long = "x ".repeat(100_000);
    let annotations = format!("{{a: \"{long}\", b: {long}, \"c\": '{long}'}}");
    let pod = |name: &str, annotations: &str| {
        format!(
            "apiVersion: v1\nkind: Pod\nmetadata:\n  name: {name}\n  annotations: {annotations}\n---\n"
        )
    };
    let block = format!("\n    a: \"{long}\"\n    b: {long}\n    c: |\n      {long}");
    let read: Vec<Pod> = documents(&[pod("flow", &annotations), pod("block", &block)].concat());
    assert_eq!(read.len(), 2);
    for pod in read {
        let lengths = pod.metadata.annotations.iter().flat_map(|all| all.values().map(String::len));
        assert!(
            lengths.clone().all(|length| length >= long.len() - 1),
            "{:?}",
            lengths.collect::<Vec<_>>()
        );
    }
}

#[test]
fn one_anchor_may_stand_for_what_many_objects_have_in_common() {
    let pod = |number: usize| {
        format!(
            "- {{apiVersion: v1, kind: Pod, metadata: {{name: web-{number}, labels: *labels}}}}\n"
        )
    };
    let pods: String = (0..1_000).map(pod).collect();
    let head =
        "apiVersion: v1\nkind: List\nmetadata: {labels: &labels {app: web, tier: front}}\nitems:\n";
    assert_eq!(of!(Pod, all(&format!("{head}{pods}"))).len(), 1_000);
}

#[test]
fn json_is_read_one_object_after_the_other() {
    let pod = |name: &str| {
        format!(
            "{{\"apiVersion\": \"v1\",\t\"kind\": \"Pod\", \"metadata\": {{\"name\": \"{name}\", \"annotations\": {{\"a\": \"\\ud83d\\ude00\"}}}}}}"
        )
    };
    let text = format!("{}\n{}\n---\n{}", pod("a"), pod("b"), pod("c"));
    let read: Vec<Pod> = documents(&text);
    assert_eq!(read.len(), 3);
    assert_eq!(read[0].metadata.annotations.as_ref().unwrap()["a"], "😀");
}

#[test]
fn what_holds_nothing_is_nothing() {
    for text in
        ["", "\n", "---", "---\n---\n", "# nothing\n", "null", "{kind: List, apiVersion: v1}"]
    {
        assert!(all(text).is_empty(), "{text:?}");
    }
}

#[test]
fn objects_can_be_sorted_without_files() {
    let objects = parse("shop.yaml", "{apiVersion: v1, kind: Pod, metadata: {name: web}}").unwrap();
    assert_eq!(objects[0].place.to_string(), "shop.yaml: document 1, Pod default/web");
    assert!(Manifests::sort(objects.clone()).unwrap().cluster.pod("default", "web").is_some());
    let twice = Manifests::sort([objects.clone(), objects].concat()).unwrap_err();
    assert_eq!(twice.0.len(), 1, "{twice}");
}
