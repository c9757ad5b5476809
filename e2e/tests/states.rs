//! Every kind of pod and pool that is not plain ends in a named condition or member state.

mod support;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use support::{
    Bench, MINUTE, actual, bare_pod, container, cpu_share, deployment, eventually, holds, identity,
    member, of, pod_spec,
};
use weightedshare::api::MemberState;

fn requests(cpu: &str) -> Value {
    json!({"requests": {"cpu": cpu, "memory": "16Mi"}})
}

fn plain() -> Value {
    pod_spec(json!([container("main", requests("50m"))]))
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn guaranteed_pods_move_request_and_limit_together() -> Result<()> {
    let bench = Bench::new("guaranteed").await?;
    let both = json!({"cpu": "50m", "memory": "32Mi"});
    let spec = pod_spec(json!([container("main", json!({"requests": both, "limits": both}))]));
    bench.apply(deployment("sure", 1, spec)).await?;
    let before = identity(&bench.running("sure", 1).await?);
    bench.pool("pool", "300m", json!([member("sure", 100)])).await?;
    let pods = bench.holding("sure", &[300]).await?;
    let status = pods[0].status.as_ref().expect("status");
    ensure!(status.qos_class.as_deref() == Some("Guaranteed"), "{status:?}");
    let limits =
        status.container_statuses.iter().flatten().next().and_then(|it| it.resources.as_ref());
    let limit = limits.and_then(|it| it.limits.as_ref()).map(|limits| limits["cpu"].0.as_str());
    ensure!(limit == Some("300m"), "the limit is {limit:?}");
    ensure!(identity(&pods) == before, "it was restarted");
    bench.settled("pool").await?;
    bench.end().await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_best_effort_pod_is_reported_and_its_part_goes_to_the_others() -> Result<()> {
    let bench = Bench::new("best-effort").await?;
    bench.apply(deployment("none", 1, pod_spec(json!([container("main", json!({}))])))).await?;
    bench.apply(deployment("some", 1, plain())).await?;
    bench.running("none", 1).await?;
    bench.pool("pool", "200m", json!([member("none", 900), member("some", 100)])).await?;
    bench.holding("some", &[200]).await?;
    let status = bench.settled("pool").await?;
    let none = of(&status, "none");
    ensure!(none.state == Some(MemberState::Skipped) && none.reason == "BestEffort", "{none:?}");
    ensure!(none.message.contains("Give its template a cpu or memory request"), "{none:?}");
    let describe = ["-n", "best-effort", "describe", "ws", "pool"];
    eventually(MINUTE, || async {
        let described = e2e::kubectl::run("kubectl", &describe, "").await?;
        ensure!(described.contains("BestEffort") && described.contains("Resized"), "{described}");
        Ok(())
    })
    .await?;
    bench.end().await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn sidecars_and_finished_init_containers_are_charged_and_left_alone() -> Result<()> {
    let bench = Bench::new("init").await?;
    let mut sidecar = container("proxy", requests("30m"));
    sidecar["restartPolicy"] = json!("Always");
    let mut spec = plain();
    spec["initContainers"] = json!([sidecar]);
    bench.apply(deployment("beside", 1, spec)).await?;
    let mut setup = container("setup", requests("120m"));
    setup["command"] = json!(["true"]);
    let mut spec = plain();
    spec["initContainers"] = json!([setup]);
    bench.apply(deployment("after", 1, spec)).await?;
    bench.running("beside", 1).await?;
    bench.running("after", 1).await?;

    // By weight each is due 100m; the finished init container keeps its pod at 120m, so 80m are left for the other.
    bench.pool("pool", "200m", json!([member("after", 100), member("beside", 100)])).await?;
    bench.holding("after", &[120]).await?;
    bench.holding("beside", &[50]).await?;
    let status = bench.settled("pool").await?;
    let shares = ["after", "beside"].map(|name| cpu_share(&status, name));
    ensure!(shares == [120, 80], "{shares:?}");
    bench.pool("pool", "600m", json!([member("after", 100), member("beside", 100)])).await?;
    bench.holding("after", &[300]).await?;
    bench.holding("beside", &[270]).await?;
    bench.end().await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn containers_of_a_pod_share_as_their_template_says() -> Result<()> {
    let bench = Bench::new("containers").await?;
    let mut bounded = container("bounded", requests("30m"));
    bounded["resources"]["limits"] = json!({"cpu": "60m"});
    let mut restarting = container("restarting", requests("20m"));
    restarting["resizePolicy"] =
        json!([{"resourceName": "cpu", "restartPolicy": "RestartContainer"}]);
    let containers = json!([container("main", requests("10m")), bounded, restarting]);
    bench.apply(deployment("many", 1, pod_spec(containers))).await?;
    let before = identity(&bench.running("many", 1).await?);
    bench.pool("pool", "420m", json!([member("many", 100)])).await?;
    // 20m stay where a resize would restart; of 400m the bounded one takes its limit, the rest goes to main.
    let pods = bench.holding("many", &[340]).await?;
    let held = ["bounded", "restarting"].map(|name| actual(&pods[0], name));
    ensure!(held == [60, 20], "{held:?}");
    ensure!(identity(&pods) == before, "it was restarted");
    bench.end().await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_pod_of_two_pools_belongs_to_the_older_and_both_say_so() -> Result<()> {
    let bench = Bench::new("two-pools").await?;
    bench.apply(deployment("wanted", 1, plain())).await?;
    bench.running("wanted", 1).await?;
    bench.pool("older", "100m", json!([member("wanted", 100)])).await?;
    bench.holding("wanted", &[100]).await?;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    bench.pool("newer", "700m", json!([member("wanted", 100)])).await?;
    let newer = bench.status("newer", |status| !status.members.is_empty()).await?;
    let loser = of(&newer, "wanted");
    ensure!(loser.reason == "ClaimedByOlderPool" && loser.message.contains("older"), "{loser:?}");
    let older =
        bench.status("older", |status| of(status, "wanted").message.contains("newer")).await?;
    ensure!(of(&older, "wanted").state == Some(MemberState::Settled), "{older:?}");
    bench.holding("wanted", &[100]).await?;
    // The older one goes: the younger takes over.
    let arguments = ["-n", "two-pools", "delete", "ws", "older"];
    e2e::kubectl::run("kubectl", &arguments, "").await?;
    bench.holding("wanted", &[700]).await?;
    bench.end().await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn members_without_pods_or_target_say_so() -> Result<()> {
    let bench = Bench::new("unserved").await?;
    let missing = json!({"name": "gone", "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "gone"}});
    bench.pool("pool", "200m", json!([member("nothing", 100), missing])).await?;
    let status = bench.status("pool", |status| status.members.len() == 2).await?;
    let (nothing, gone) = (of(&status, "nothing"), of(&status, "gone"));
    ensure!(nothing.reason == "NoPods" && nothing.pods == 0, "{nothing:?}");
    ensure!(
        gone.reason == "TargetNotFound" && gone.message.contains("There is no Deployment gone"),
        "{gone:?}"
    );
    ensure!(!holds(&status, "Ready"), "{status:?}");
    // It comes later: the pool picks it up.
    bench.apply(deployment("gone", 1, plain())).await?;
    bench.holding("gone", &[200]).await?;
    bench.settled("pool").await?;
    bench.end().await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn minima_and_floors_that_do_not_fit_are_conditions() -> Result<()> {
    let bench = Bench::new("too-much").await?;
    bench.apply(deployment("one", 1, plain())).await?;
    bench.running("one", 1).await?;
    let mut greedy = member("one", 100);
    greedy["min"] = json!({"cpu": "500m"});
    bench.pool("over", "200m", json!([greedy])).await?;
    let status = bench.status("over", |status| holds(status, "Overcommitted")).await?;
    ensure!(cpu_share(&status, "one") == 200, "{status:?}");
    bench.holding("one", &[200]).await?;

    bench.apply(deployment("two", 3, plain())).await?;
    bench.running("two", 3).await?;
    bench.pool("small", "20m", json!([member("two", 100)])).await?;
    let status = bench.status("small", |status| holds(status, "Stalled")).await?;
    let stalled = status.conditions.iter().find(|it| it.type_ == "Stalled").expect("Stalled");
    ensure!(
        stalled.reason == "PoolTooSmall" && stalled.message.contains("at least 30m"),
        "{stalled:?}"
    );
    // Nothing was changed.
    bench.holding("two", &[50, 50, 50]).await?;
    bench.end().await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn observe_works_everything_out_and_changes_nothing() -> Result<()> {
    let bench = Bench::new("observe").await?;
    bench.apply(deployment("seen", 1, plain())).await?;
    bench.running("seen", 1).await?;
    let mut pool = support::pool("pool", json!({"cpu": "200m"}), json!([member("seen", 100)]));
    pool["spec"]["mode"] = json!("Observe");
    bench.apply(pool).await?;
    let status = bench.settled("pool").await?;
    ensure!(cpu_share(&status, "seen") == 200, "{status:?}");
    ensure!(of(&status, "seen").message.contains("would go from 50m to 200m"), "{status:?}");
    bench.holding("seen", &[50]).await?;
    bench.end().await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_bare_pod_is_resized_and_warned_of() -> Result<()> {
    let bench = Bench::new("bare").await?;
    bench.apply(bare_pod("single", "single", plain())).await?;
    bench.running("single", 1).await?;
    bench.pool("pool", "150m", json!([member("single", 100)])).await?;
    bench.holding("single", &[150]).await?;
    let status = bench.settled("pool").await?;
    ensure!(of(&status, "single").message.contains("has no controller"), "{status:?}");
    // It cannot go back, and the pool says so as it goes.
    e2e::kubectl::run("kubectl", &["-n", "bare", "delete", "ws", "pool"], "").await?;
    eventually(MINUTE, || async {
        let events = e2e::kubectl::run("kubectl", &["-n", "bare", "get", "events"], "").await?;
        ensure!(
            events.contains("NotReleased") && events.contains("single (it has no controller"),
            "{events}"
        );
        Ok(())
    })
    .await?;
    bench.end().await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_namespace_goes_with_the_pool_that_is_in_it() -> Result<()> {
    let bench = Bench::new("states-ending").await?;
    let spec = pod_spec(json!([container("main", requests("20m"))]));
    bench.apply(deployment("web", 1, spec)).await?;
    bench.pool("pool", "100m", json!([member("web", 100)])).await?;
    bench.settled("pool").await?;
    bench.end_with_all().await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_pool_in_a_namespace_that_is_left_out_says_so() -> Result<()> {
    let bench = Bench::new("left-out").await?;
    let mut pool = support::pool("left-out", json!({"cpu": "100m"}), json!([member("any", 100)]));
    pool["metadata"]["namespace"] = json!("kube-system");
    e2e::kubectl::apply(&pool.to_string()).await?;
    let reason = "jsonpath={.status.conditions[?(@.type=='Stalled')].reason}";
    let get = ["-n", "kube-system", "get", "ws", "left-out", "-o", reason];
    let told = eventually(MINUTE, || async {
        let reason = e2e::kubectl::run("kubectl", &get, "").await?;
        ensure!(reason.trim() == "NamespaceExcluded", "it says {reason:?}");
        Ok(())
    });
    let told = told.await;
    e2e::kubectl::run("kubectl", &["-n", "kube-system", "delete", "ws", "left-out"], "").await?;
    told?;
    bench.end().await
}
