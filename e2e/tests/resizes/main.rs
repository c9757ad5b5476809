//! Every shape of a resize, applied and rolled back on a real kubelet: by the actuator alone, and by the controller where a
//! limitPolicy says so. In the manner of the resize matrix of Kubernetes' own tests.

#[path = "../support/mod.rs"]
mod support;

mod rows;

use anyhow::{Context, Result, ensure};
use e2e::{cgroups::CpuWeight, cpu_time};
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use rows::{Amounts, IN_TEST, NAMES, Row, Shape, WAYS, burstable, guaranteed, units};
use serde_json::{Value, json};
use support::{
    Bench, MINUTE, bare_pod, container, deployment, eventually, identity, pod_spec, tier::Tier,
};
use weightedshare::{
    actuate,
    cluster::{self, Resize},
    engine::{PodResize, RefusalKind},
    share::Resource,
};

#[test]
fn each_kind_of_row_is_in_the_tier_test() {
    let rows: Vec<Row> = guaranteed().into_iter().chain(burstable()).collect();
    assert_eq!(rows.iter().filter(|row| row.is_in_test()).count(), IN_TEST.len());
    // A kind is a name without its resource and its direction.
    let kind = |row: &Row| {
        let kind = row.name.split('-').filter(|word| {
            !["cpu", "memory"].contains(word) && !WAYS.iter().any(|(way, _)| way == word)
        });
        kind.collect::<Vec<_>>().join("-")
    };
    let tested: Vec<String> = rows.iter().filter(|row| row.is_in_test()).map(kind).collect();
    for row in &rows {
        assert!(tested.contains(&kind(row)), "no row of the kind of {} is in it", row.name);
    }
    let policies: Vec<&str> =
        cases().iter().filter(|case| case.row.is_in_test()).map(|case| case.policy).collect();
    for policy in ["Cap", "Keep", "Ratio"] {
        assert!(policies.contains(&policy), "no case of {policy} is in it");
    }
}

impl Row {
    fn is_in_test(&self) -> bool {
        IN_TEST.contains(&&*self.name)
    }

    fn pod(&self) -> Value {
        let text = |resource: Resource, amount| resource.quantity(units(resource, amount));
        let containers: Vec<Value> = self
            .before
            .iter()
            .zip(NAMES)
            .map(|(shape, name)| {
                let (mut requests, mut limits) = (json!({}), json!({}));
                for resource in Resource::ALL {
                    requests[resource.name()] = json!(text(resource, shape[resource].0));
                    if let Some(limit) = shape[resource].1 {
                        limits[resource.name()] = json!(text(resource, limit));
                    }
                }
                let mut container =
                    container(name, json!({"requests": requests, "limits": limits}));
                if self.restarts {
                    let policy =
                        |name| json!({"resourceName": name, "restartPolicy": "RestartContainer"});
                    container["resizePolicy"] = json!([policy("cpu"), policy("memory")]);
                }
                container
            })
            .collect();
        bare_pod(&self.name, &self.name, pod_spec(json!(containers)))
    }

    /// How often a resize from one to the other may restart containers.
    fn restarts(&self, from: &[Shape], to: &[Shape]) -> i32 {
        let moves = |resource: Resource| {
            from.iter().zip(to).filter(|(from, to)| from[resource] != to[resource]).count()
        };
        // At most one for each patch, one for each resource.
        if self.restarts { (moves(Resource::Cpu) + moves(Resource::Memory)) as i32 } else { 0 }
    }

    /// Applies the row and rolls it back.
    async fn run(&self, bench: &Bench) -> Result<()> {
        let started = bench.running(&self.name, 1).await?.remove(0);
        let class = |pod: &Pod| pod.status.clone().unwrap_or_default().qos_class;
        let mut restarts = Restarts::of(&started);
        for (from, to) in [(&self.before, &self.after), (&self.after, &self.before)] {
            self.resize(bench, to)
                .await
                .with_context(|| format!("{}: {from:?} -> {to:?}", self.name))?;
            let pod = self.carried_out(bench, &self.name, to).await?;
            restarts.seen(bench, &pod, self.restarts(from, to)).await?;
            ensure!(class(&pod) == class(&started), "{}: another class", self.name);
        }
        Ok(())
    }

    /// Sends what it takes to get there: one resize for each resource.
    async fn resize(&self, bench: &Bench, to: &[Shape]) -> Result<()> {
        for resource in Resource::ALL {
            eventually(MINUTE, || async {
                let pod = cluster::Pod::read(&bench.pods().get(&self.name).await?);
                ensure!(pod.resize == Resize::Done, "{}: {:?}", self.name, pod.resize);
                let requests: Vec<u64> =
                    to.iter().map(|shape| units(resource, shape[resource].0)).collect();
                let limits = |i: usize| to[i][resource].1.map(|limit| units(resource, limit));
                let Some(resize) = PodResize::to(&pod, resource, &requests, limits) else {
                    return Ok(Ok(()));
                };
                match actuate::send(&bench.client, &resize, None).await {
                    // The kubelet wrote its status in between.
                    Err(refusal) if refusal.kind == RefusalKind::Outdated => Err(refusal.into()),
                    answer => Ok(answer.map(drop)),
                }
            })
            .await??;
        }
        Ok(())
    }

    /// Waits until the kubelet has carried it out, and asks the kernel.
    async fn carried_out(&self, bench: &Bench, pod: &str, to: &[Shape]) -> Result<Pod> {
        eventually(2 * MINUTE, || async {
            let pod = bench.pods().get(pod).await?;
            let read = cluster::Pod::read(&pod);
            ensure!(read.resize == Resize::Done, "{}: {:?}", self.name, read.resize);
            for resource in Resource::ALL {
                for (container, shape) in read.containers.iter().zip(to) {
                    let (held, (request, limit)) = (container.held[resource], shape[resource]);
                    let request = units(resource, request);
                    ensure!(
                        (held.requested, held.admitted) == (request, request),
                        "{} {}: {resource} {held:?}, not {request}",
                        self.name,
                        container.name
                    );
                    // A limit that was added stays.
                    if let Some(limit) = limit {
                        let limit = Some(units(resource, limit));
                        ensure!(
                            container.limit[resource] == limit && container.is_enforced(resource),
                            "{} {}: {resource} limit {container:?}, not {limit:?}",
                            self.name,
                            container.name
                        );
                    }
                }
            }
            let cgroup = cpu_time::cgroup(&pod)?;
            let milli: u64 = to.iter().map(|shape| shape.cpu.0).sum();
            if let CpuWeight::Shares(shares) = cgroup.cpu_weight()? {
                let due = (milli * 1024 / 1000).max(2);
                ensure!(shares == due, "{}: {shares} shares of {milli}m", self.name);
            }
            // Of a container that was restarted by it, the kubelet may leave the pod the higher limit for long.
            let all = to.iter().map(|shape| shape.memory.1).sum::<Option<u64>>();
            if let Some(limit) = all.filter(|_| !self.restarts) {
                let kernel = cgroup.memory_limit()?;
                ensure!(kernel == Some(limit << 20), "{}: memory limit {kernel:?}", self.name);
            }
            Ok(pod)
        })
        .await
    }
}

/// How often the containers of a pod were restarted, and how often they may have been.
struct Restarts {
    uid: String,
    seen: i32,
    allowed: i32,
}

impl Restarts {
    fn of(pod: &Pod) -> Self {
        let (uid, seen) = identity(std::slice::from_ref(pod)).remove(0);
        Self { uid, seen, allowed: seen }
    }

    /// Waits until a resize that restarts has restarted: the kubelet says that it is done a moment before, and one restart
    /// may do for two patches.
    async fn seen(&mut self, bench: &Bench, pod: &Pod, at_most: i32) -> Result<()> {
        let name = pod.name_any();
        self.allowed += at_most;
        self.seen = eventually(MINUTE, || async {
            let pod = bench.pods().get(&name).await?;
            let (uid, restarts) = identity(std::slice::from_ref(&pod)).remove(0);
            ensure!(uid == self.uid, "{name} was replaced");
            ensure!(at_most == 0 || restarts > self.seen, "{name} was not restarted");
            ensure!(restarts <= self.allowed, "{name}: {restarts} restarts, not {}", self.allowed);
            Ok(restarts)
        })
        .await?;
        Ok(())
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn every_shape_is_applied_and_rolled_back_by_the_actuator() -> Result<()> {
    let bench = Bench::new("shapes").await?;
    let (guaranteed, burstable) = (guaranteed(), burstable());
    ensure!(
        (guaranteed.len(), burstable.len()) == (24, 28),
        "{} {}",
        guaranteed.len(),
        burstable.len()
    );
    let rows = guaranteed.into_iter().chain(burstable).collect();
    let rows = Tier::part_of(rows, Row::is_in_test);
    // So many that the node has room for all of them at once.
    for some in rows.chunks(13) {
        for row in some {
            bench.apply(row.pod()).await?;
        }
        try_join_all(some.iter().map(|row| row.run(&bench))).await?;
        for row in some {
            bench.pods().delete(&row.name, &Default::default()).await?;
        }
    }
    println!("{} shapes were applied and rolled back", rows.len());
    bench.end().await
}

/// What a pool makes of a pod: its policy, what it divides, and what the pod has then.
struct Case {
    row: Row,
    policy: &'static str,
}

fn cases() -> Vec<Case> {
    let rows: Vec<Row> =
        guaranteed().into_iter().chain(burstable()).filter(|it| it.before.len() == 1).collect();
    let case = |row: &Row| {
        let (before, after) = (row.before[0], row.after[0]);
        let moves = |of: fn(Amounts) -> Option<u64>| {
            Resource::ALL.map(|it| of(before[it]) != of(after[it]))
        };
        let (requests, limits) = (moves(|it| Some(it.0)), moves(|it| it.1));
        let sure = row.name.starts_with("sure");
        let policy = match () {
            () if sure => "Cap",
            // Requests alone.
            () if limits == [false; 2] => "Keep",
            // Each limit with its request.
            () if requests == limits && row.before[0].cpu.1.is_some() => "Ratio",
            // No policy moves a limit alone.
            () => return None,
        };
        Some(Case { row: row.clone(), policy })
    };
    rows.iter().filter_map(case).collect()
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn what_a_limit_policy_can_say_the_controller_does() -> Result<()> {
    let bench = Bench::new("policies").await?;
    let cases = cases();
    ensure!(cases.len() >= 30, "{}", cases.len());
    let cases = Tier::part_of(cases, |case| case.row.is_in_test());
    for some in cases.chunks(10) {
        for case in some {
            // With a template, which says what the ratio is.
            let spec = case.row.pod()["spec"].take();
            bench.apply(deployment(&case.row.name, 1, spec)).await?;
        }
        try_join_all(some.iter().map(|case| case.run(&bench))).await?;
        for case in some {
            bench.pools().delete(&case.row.name, &Default::default()).await?;
            let delete = ["-n", "policies", "delete", "deployment", &case.row.name, "--wait=false"];
            e2e::kubectl::run("kubectl", &delete, "").await?;
        }
    }
    println!("{} shapes went through the controller", cases.len());
    bench.end().await
}

impl Case {
    async fn run(&self, bench: &Bench) -> Result<()> {
        let row = &self.row;
        let started = bench.running(&row.name, 1).await?;
        let class = started[0].status.clone().unwrap_or_default().qos_class;
        let mut restarts = Restarts::of(&started[0]);
        for (from, to) in [(&row.before, &row.after), (&row.after, &row.before)] {
            // What cannot be lowered before it is measured is lowered then, so this takes a while.
            let amount = |resource: Resource| resource.quantity(units(resource, to[0][resource].0));
            let capacity =
                json!({"cpu": amount(Resource::Cpu), "memory": amount(Resource::Memory)});
            let member = json!({
                "name": "only",
                "selector": {"matchLabels": {"app": row.name}},
                "limitPolicy": self.policy,
                "allowRestart": row.restarts,
            });
            bench.apply(support::pool(&row.name, capacity, json!([member]))).await?;
            let pod = match row.carried_out(bench, &started[0].name_any(), to).await {
                Ok(pod) => pod,
                Err(error) => {
                    let status = bench.pools().get(&row.name).await?.status.unwrap_or_default();
                    let pod = bench.pods().get(&started[0].name_any()).await?;
                    let pod = pod.status.unwrap_or_default();
                    let says = format!("{:?} {:?}", status.members, pod.conditions);
                    return Err(error.context(format!("{} by {}: {says}", row.name, self.policy)));
                }
            };
            restarts.seen(bench, &pod, row.restarts(from, to)).await?;
            ensure!(pod.status.clone().unwrap_or_default().qos_class == class, "{}", row.name);
        }
        Ok(())
    }
}
