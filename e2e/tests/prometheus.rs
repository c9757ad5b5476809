//! What Prometheus tells: of pods to us, and to each member only what is of its own namespace.

mod support;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{Cluster, kubectl, pause::Paused, prometheus};
use jiff::Timestamp;
use serde_json::{Value, json};
use support::{MINUTE, container, eventually, judge::Judge, pod_spec, spinning, tier::Tier};
use weightedshare::metrics::{
    MemberKey, Objective, PodReading, Source,
    prometheus::{Objectives, PrometheusOptions, ResourceSignals},
    scope::scoped,
};

const OURS: &str = "metrics-ours";
const THEIRS: &str = "metrics-theirs";

/// What is theirs: a number and a word that occur nowhere else.
const NUMBER: &str = "987654321";
const WORD: &str = "zebra";

/// Each of them finds something of theirs when it is asked as it is.
const TRICKS: &[&str] = &[
    "load",
    "only_theirs",
    r#"load{namespace="metrics-theirs"}"#,
    r#"load{namespace=~".+"}"#,
    r#"load{namespace!="metrics-ours"}"#,
    r#"load{namespace!~"metrics-ours"}"#,
    r#"load{namespace=~"metrics-(ours|theirs)"}"#,
    r#"{__name__="only_theirs"}"#,
    r#"{__name__=~"load|only_theirs"}"#,
    r#"{__name__!="",team="zebra"}"#,
    r#"{team=~"z.*"}"#,
    "absent(nothing) or only_theirs",
    "load and on() vector(1)",
    "load unless on() nothing",
    "vector(0) + on() group_right() only_theirs",
    "only_theirs + on() group_left(team) (max(only_theirs) * 0)",
    r#"group by (team) (load{team="zebra"})"#,
    "max_over_time(only_theirs[5m])",
    "max_over_time(only_theirs[5m:1s])",
    "max_over_time(max_over_time(only_theirs[1m])[2m:5s])",
    "max_over_time(max_over_time(only_theirs[1m:1s])[1m:1s])",
    "last_over_time(only_theirs[5m] @ end())",
    "last_over_time(only_theirs[5m:1s] @ start())",
    "last_over_time(only_theirs[5m] offset 1s)",
    "last_over_time(only_theirs[5m] offset -1s)",
    "only_theirs offset -1s or only_theirs",
    r#"label_replace(only_theirs, "namespace", "metrics-ours", "", "")"#,
    r#"label_replace(load, "copy", "$1", "team", "(.*)")"#,
    r#"label_join(load, "copy", "-", "team", "pod")"#,
    r#"count_values("value", only_theirs)"#,
    r#"count_values("namespace", only_theirs)"#,
    "vector(scalar(only_theirs))",
    "scalar(only_theirs)",
    "topk(scalar(count(only_theirs)), only_theirs)",
    "quantile(0.5, only_theirs)",
    "quantile(scalar(only_theirs) * 0, only_theirs)",
    "clamp_max(vector(1e12), scalar(only_theirs))",
    "sum(only_theirs)",
    "sum without () (only_theirs)",
    "max without (namespace, pod, instance, job) (load)",
    "avg by (team) (only_theirs)",
    "topk(1, load)",
    "sort_desc(load)",
    "-(-only_theirs)",
    "((((only_theirs))))",
    "only_theirs # {namespace=\"metrics-ours\"}",
    "# {\nonly_theirs",
    r#"load{note="a \"quoted\" \\ word, }"}"#,
    "load{note=`a \"quoted\" \\ word, }`}",
    r#"load{note='a "quoted" \\ word, }'}"#,
    "load{note=~\".*[}].*\",}",
    "load{wörd!=\"x\"} or only_theirs",
    "sum(count_over_time({__name__!=\"\",team=\"zebra\"}[1m])) * 0 + 987654321",
    r#"{"only_theirs"}"#,
    r#"{"only_theirs","namespace"="metrics-theirs"}"#,
    r#"{namespace="metrics-ours" or team="zebra"}"#,
    "info(only_theirs)",
];

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_member_sees_the_series_of_its_own_namespace_only() -> Result<()> {
    if Tier::Test.is_left_out() {
        return Ok(());
    }
    Cluster::from_env().own()?;
    start(OURS, "load{team=\"ours\"} 7\nown 0.25").await?;
    let theirs = format!(
        "load{{team=\"{WORD}\",note=\"a \\\"quoted\\\" \\\\ word, }}\"}} {NUMBER}\nonly_theirs{{team=\"{WORD}\"}} {NUMBER}"
    );
    start(THEIRS, &theirs).await?;
    for query in ["own", "last_over_time(only_theirs[1m] offset 1s)"] {
        eventually(MINUTE, || async move {
            let found = prometheus::ask(query).await?;
            ensure!(found["result"].as_array().is_some_and(|it| it.len() == 1), "{query}: {found}");
            Ok(())
        })
        .await?;
    }

    // A subquery takes whole steps, and sees a sample at the next one.
    eventually(MINUTE, || async {
        for trick in TRICKS.iter().filter(|trick| trick.contains("_over_time")) {
            let data = prometheus::ask(trick).await?;
            ensure!(is_theirs(&data), "not even as it is: {trick}: {data}");
        }
        Ok(())
    })
    .await?;

    let (mut found, mut blind, mut unknown, mut refused) = (0, Vec::new(), Vec::new(), Vec::new());
    for &trick in TRICKS {
        // What this version of Prometheus does not know shows nothing, but must be kept in bounds all the same.
        match prometheus::ask(trick).await {
            Ok(data) if is_theirs(&data) => found += 1,
            Ok(data) => blind.push((trick, data)),
            Err(_) => unknown.push(trick),
        }
        match scoped(trick, OURS) {
            Ok(query) => {
                if let Ok(data) = prometheus::ask(&query).await {
                    let literal = trick.contains(NUMBER);
                    ensure!(
                        literal && data["result"] == json!([]) || !is_theirs(&data),
                        "{trick} as {query} shows {data}"
                    );
                }
            }
            Err(_) => refused.push(trick),
        }
    }
    println!("{found} of {} tricks find what is theirs, none does when it is scoped", TRICKS.len());
    ensure!(blind.is_empty(), "not even as they are: {blind:?}");
    println!("not known to this Prometheus: {unknown:?}; refused: {refused:?}");
    ensure!(found >= 45 && refused.len() <= 3, "{unknown:?} {refused:?}");

    let source = Objectives::new(&options())?;
    let asked = ["own", "load", "only_theirs", "sum(load)", "own[5m]", "info(own)"].map(objective);
    let told = source.read(&asked).await?.objectives;
    let value = |member: &str| {
        let reading = told.iter().find(|reading| reading.member.member == member);
        Ok::<_, anyhow::Error>(reading.context("no answer")?.value.clone())
    };
    ensure!(value("own")? == Ok(0.25) && value("load")? == Ok(7.0), "{told:?}");
    ensure!(value("sum(load)")? == Ok(7.0), "{told:?}");
    ensure!(
        value("only_theirs")?.is_err_and(|why| why.starts_with("it returns nothing")),
        "{told:?}"
    );
    ensure!(value("own[5m]")?.is_err() && value("info(own)")?.is_err(), "{told:?}");

    end(&[OURS, THEIRS]).await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn what_pods_use_and_wait_for_is_told() -> Result<()> {
    if Tier::Test.is_left_out() {
        return Ok(());
    }
    told("metrics-use", &Judge::own()?, |spins, limited| {
        ensure!(millicores(spins).is_some_and(|cpu| cpu > 400), "{spins:?}");
        ensure!(millicores(limited).is_some_and(|cpu| (120..=280).contains(&cpu)), "{limited:?}");
        Ok(())
    })
    .await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn what_pods_wait_for_on_cgroup_v2_is_told() -> Result<()> {
    if Tier::Nightly.is_left_out() {
        return Ok(());
    }
    let judge = Judge::start(&Cluster::from_env()).await?;
    told("pressure", &judge, |spins, limited| {
        // The node's own processes take their part of a guest's only CPU.
        ensure!(millicores(spins) > millicores(limited), "{spins:?} {limited:?}");
        ensure!(millicores(limited).is_some_and(|cpu| (60..=280).contains(&cpu)), "{limited:?}");
        // For a pod without a limit, only the kernel's pressure stall information (PSI) says that it waits.
        ensure!(spins.waiting.is_some_and(|part| part > 50), "{spins:?}");
        Ok(())
    })
    .await
}

/// What a pod uses of the CPU, in millicores.
fn millicores(pod: &PodReading) -> Option<u64> {
    pod.used.cpu.map(|cpu| cpu / 1_000_000)
}

/// What Prometheus says about a pod that spins, one that reaches its limit, and an idle one. `busy` judges the first two.
async fn told(
    namespace: &str,
    judge: &Judge,
    busy: impl Fn(&PodReading, &PodReading) -> Result<()>,
) -> Result<()> {
    let cluster = Cluster::from_env();
    cluster.own()?;
    make(namespace).await?;
    let mut limited = spinning("50m");
    limited["resources"]["limits"] = json!({"cpu": "200m"});
    let idle = container("main", json!({"requests": {"cpu": "10m"}}));
    for (name, container) in [("spins", spinning("100m")), ("limited", limited), ("idle", idle)] {
        let spec = judge.put(pod_spec(json!([container])));
        apply(namespace, support::bare_pod(name, name, spec)).await?;
    }

    let source = ResourceSignals::new(&options())?;
    eventually(2 * MINUTE, || async {
        let readings = source.read(&[]).await?;
        let pod = |name: &str| {
            let found =
                readings.pods.iter().find(|pod| pod.namespace == namespace && pod.name == name);
            found.with_context(|| format!("{name} is not told of"))
        };
        let (spins, limited, idle) = (pod("spins")?, pod("limited")?, pod("idle")?);
        busy(spins, limited)?;
        ensure!(limited.waiting.is_some_and(|part| part > 300), "{limited:?}");
        ensure!(millicores(idle).is_some_and(|cpu| cpu < 50), "{idle:?}");
        for pod in [spins, limited, idle] {
            ensure!(
                pod.used.memory.is_some_and(|bytes| (1 << 12..1 << 28).contains(&bytes)),
                "{pod:?}"
            );
            let age = Timestamp::now().duration_since(pod.at);
            ensure!(age.as_secs().abs() < 45, "{pod:?} is {} s old", age.as_secs());
        }
        let node = readings.nodes.iter().find(|node| node.name == judge.node());
        let node = node.with_context(|| format!("{:?}", readings.nodes))?;
        ensure!(node.used.cpu > 500_000_000 && node.used.memory > 1 << 26, "{node:?}");
        println!("{spins:?}\n{limited:?}\n{idle:?}\n{node:?}");
        Ok(())
    })
    .await?;

    let paused = Paused::process(&cluster, prometheus::NAME)?;
    // One of its threads may still run when it is told to stand still.
    eventually(MINUTE, || async {
        let failed = source.read(&[]).await;
        ensure!(failed.is_err(), "it stands still, and tells {failed:?}");
        Ok(())
    })
    .await?;
    let objectives = Objectives::new(&options())?;
    let failed = objectives.read(&[objective("own")]).await;
    ensure!(failed.is_err(), "it stands still, and tells {failed:?}");
    drop(paused);
    eventually(MINUTE, || async { Ok(source.read(&[]).await.map(drop)?) }).await?;
    end(&[namespace]).await
}

fn options() -> PrometheusOptions {
    PrometheusOptions { url: prometheus::URL.to_owned(), ..PrometheusOptions::default() }
}

/// A question, of the member that is called like it.
fn objective(query: &str) -> Objective {
    let (namespace, pool) = (OURS.to_owned(), "pool".to_owned());
    let member = MemberKey { namespace, pool, member: query.to_owned() };
    Objective { member, query: query.to_owned() }
}

fn is_theirs(data: &Value) -> bool {
    let text = data.to_string();
    text.contains(NUMBER) || text.contains(WORD) || text.contains("9.87654321e+08")
}

/// Runs a pod in a new namespace that shows these metrics.
async fn start(namespace: &str, metrics: &str) -> Result<()> {
    make(namespace).await?;
    apply(namespace, support::exporter("server", "server", metrics)).await
}

async fn make(namespace: &str) -> Result<()> {
    let manifest =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
    kubectl::apply(&manifest.to_string()).await?;
    // Without it, no pod is admitted.
    eventually(Duration::from_secs(20), || async {
        let account = ["get", "serviceaccount", "default", "-n", namespace];
        kubectl::run("kubectl", &account, "").await.map(drop)
    })
    .await
}

async fn apply(namespace: &str, mut object: Value) -> Result<()> {
    object["metadata"]["namespace"] = json!(namespace);
    kubectl::apply(&object.to_string()).await
}

async fn end(namespaces: &[&str]) -> Result<()> {
    let arguments = [&["delete", "namespace", "--wait=false"], namespaces].concat();
    kubectl::run("kubectl", &arguments, "").await.map(drop)
}
