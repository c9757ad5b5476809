use std::collections::BTreeMap;

use prometheus_http_query::response::{Data, InstantVector, PromqlResult};
use serde_json::Value;

use super::server::{Reply, Server};
use crate::metrics::{
    PodReading, Readings, Source, SourceError,
    prometheus::{
        PrometheusOptions, ResourceSignals, machines_waiting,
        resources::{Answers, Question},
    },
};

/// Answers by question, of a node with cgroup v2 on which one container is throttled, one waits, and two VMs run.
const RECORDED: &str = include_str!("recorded.json");

fn recorded() -> BTreeMap<String, Value> {
    serde_json::from_str(RECORDED).unwrap()
}

fn series(data: &Value) -> Vec<InstantVector> {
    match serde_json::from_value::<PromqlResult>(data.clone()).unwrap().into_inner().0 {
        Data::Vector(series) => series,
        other => panic!("{other:?}"),
    }
}

fn answers() -> Answers {
    let recorded = recorded();
    let mut answers = Answers::default();
    for question in Question::ALL {
        answers.put(question, series(&recorded[&format!("{question:?}")]));
    }
    answers
}

fn pod<'r>(readings: &'r Readings, name: &str) -> &'r PodReading {
    readings.pods.iter().find(|pod| pod.name == name).unwrap()
}

#[test]
fn what_pods_use_and_wait_for() {
    let readings = answers().readings();
    let names: Vec<&str> = readings.pods.iter().map(|pod| &*pod.name).collect();
    assert_eq!(
        names,
        [
            "checkout-7d9c5-x2x4v",
            "front-0",
            "virt-launcher-db-k8w2p",
            "virt-launcher-web-1-aaaaa",
            "virt-launcher-web-1-bbbbb"
        ]
    );
    let checkout = pod(&readings, "checkout-7d9c5-x2x4v");
    assert_eq!((checkout.used.cpu, checkout.used.memory), (Some(199_873_512), Some(23_117_824)));
    assert_eq!(checkout.waiting, Some(962), "throttled, though it waits less for others");
    assert_eq!(checkout.at.to_string(), "2026-09-21T14:13:11.402Z");
    let front = pod(&readings, "front-0");
    assert_eq!(front.waiting, Some(318), "it has no limit, but others are before it");
    assert_eq!(front.used.memory, None);
    assert_eq!(front.at.to_string(), "2026-09-21T14:08:01Z", "its scrape is dead: it is old");
    assert_eq!(pod(&readings, "virt-launcher-db-k8w2p").waiting, Some(141), "its slowest vCPU");
    assert_eq!(pod(&readings, "virt-launcher-db-k8w2p").guest, Some(937));
    assert_eq!(pod(&readings, "virt-launcher-web-1-aaaaa").guest, None);
    assert_eq!(
        pod(&readings, "virt-launcher-web-1-aaaaa").waiting,
        Some(0),
        "it migrates: it is not known whose the delay is"
    );
}

#[test]
fn nodes_by_their_label_or_by_their_host() {
    let nodes = answers().readings().nodes;
    let told: Vec<_> =
        nodes.iter().map(|node| (&*node.name, node.used.cpu, node.used.memory)).collect();
    assert_eq!(
        told,
        [("node-1", 1_873_000_000, 3_221_225_472), ("worker-2", 250_000_000, 1_073_741_824)]
    );
}

#[test]
fn a_kernel_without_pressure_says_nothing_of_it() {
    let mut answers = answers();
    let recorded = recorded();
    let mut zero = recorded["Pressure"].clone();
    for series in zero["result"].as_array_mut().unwrap() {
        series["value"][1] = "0".into();
    }
    answers.put(Question::Pressure, series(&zero));
    let readings = answers.readings();
    assert_eq!(pod(&readings, "front-0").waiting, None);
    assert_eq!(pod(&readings, "checkout-7d9c5-x2x4v").waiting, Some(962));
}

#[test]
fn how_long_machines_waited() {
    let waiting = machines_waiting(&series(&recorded()["MachineDelay"]));
    let machine = |name: &str| ("vms".to_owned(), name.to_owned());
    assert_eq!(waiting, [(machine("db"), 141), (machine("web-1"), 1000)].into());
}

#[tokio::test]
async fn a_question_that_fails_leaves_the_others_and_all_that_fail_are_told() {
    let answer = |query: &str, broken: &dyn Fn(Question) -> bool| {
        let question = Question::ALL.into_iter().find(|it| it.promql() == query).unwrap();
        match broken(question) {
            true => Reply::Status(500, "internal".to_owned()),
            false => Reply::Success(recorded()[&format!("{question:?}")].clone()),
        }
    };
    let read = async |server: Server| {
        let options = PrometheusOptions { url: server.url, ..PrometheusOptions::default() };
        ResourceSignals::new(&options).unwrap().read(&[]).await
    };
    let whole = Server::start(move |query| answer(query, &|_| false)).await;
    assert_eq!(read(whole).await, Ok(answers().readings()));
    let partly = Server::start(move |query| answer(query, &|it| it == Question::Throttled)).await;
    let readings = read(partly).await.unwrap();
    assert_eq!(pod(&readings, "checkout-7d9c5-x2x4v").waiting, Some(41));
    let broken = Server::start(move |query| answer(query, &|_| true)).await;
    assert!(matches!(read(broken).await, Err(SourceError::Failed(_))));
    let empty = Server::start(|_| Reply::Success(super::server::vector(&[]))).await;
    assert_eq!(read(empty).await, Ok(Readings::default()));
}
