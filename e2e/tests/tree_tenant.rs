//! What a tenant of a tree tries in order to get more than their part, and why it fails.

mod support;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{kubectl, operator};
use k8s_openapi::api::core::v1::{Pod, ResourceQuota};
use kube::{Api, api::ListParams};
use serde_json::{Value, json};
use support::{
    Bench, MINUTE, actual, bare_pod, container, deployment, eventually, member, pod_spec,
    tenants::Tenant,
};
use tokio::time::sleep;
use weightedshare::{
    api::WeightedShare,
    cluster,
    share::{MilliCpu, Resource},
};

const TREE: &str = "tree-of-tenants";
const ENFORCED: &str = "tree-that-enforces";
/// What the tenant and their neighbour own of 600m by weight, in millicores.
const OWN: u64 = 200;
const THEIRS: u64 = 400;

/// The tree of the two, and one in which the tenant has no part.
fn tree(name: &str, members: Value) -> Value {
    json!({
        "apiVersion": "weightedshare.dev/v1alpha1",
        "kind": "ClusterWeightedShare",
        "metadata": {"name": name},
        "spec": {"capacity": {"cpu": "600m"}, "members": members},
    })
}

/// A pool of one member in the tree, in which every pod holds what it owns.
fn pool(namespace: &str, name: &str) -> Value {
    json!({
        "apiVersion": "weightedshare.dev/v1alpha1",
        "kind": "WeightedShare",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "capacityFrom": {"clusterWeightedShare": {"name": TREE}},
            "sharing": {"strategy": "Isolated", "nodeReservePercent": 0},
            "members": [member(name, 100)],
        },
    })
}

/// One that only waits.
fn web(name: &str, replicas: u32) -> Value {
    let waits = container("main", json!({"requests": {"cpu": "50m"}}));
    deployment(name, replicas, pod_spec(json!([waits])))
}

/// The tenant, their neighbour, and their two namespaces.
struct Neighbours {
    tenant: Tenant,
    own: Bench,
    theirs: Bench,
}

impl Neighbours {
    async fn new() -> Result<Self> {
        let (own, theirs) = (Bench::new("tree-own").await?, Bench::new("tree-theirs").await?);
        let both = json!([
            {"name": "own", "weight": 100, "namespaces": ["tree-own"]},
            {"name": "theirs", "weight": 200, "min": {"cpu": "100m"}, "namespaces": ["tree-theirs"]},
        ]);
        kubectl::apply(&tree(TREE, both).to_string()).await?;
        let rich = json!([{"name": "rich", "weight": 100, "namespaces": ["tree-theirs-too"]}]);
        kubectl::apply(&tree("tree-of-the-rich", rich).to_string()).await?;
        for bench in [&own, &theirs] {
            bench.apply(web("web", 1)).await?;
            bench.apply(pool(&bench.namespace, "web")).await?;
        }
        own.holding("web", &[OWN]).await?;
        theirs.holding("web", &[THEIRS]).await?;
        Ok(Self { tenant: Tenant::of(&own).await?, own, theirs })
    }

    /// Applies a pool as the tenant, waits until the controller has seen it, and looks at what everybody holds.
    async fn with_pool(&self, what: &str, pool: Value) -> Result<()> {
        self.tenant.apply(&pool).await.context(what.to_owned())?;
        let name = pool["metadata"]["name"].as_str().context("a name")?;
        self.own.status(name, |status| !status.conditions.is_empty()).await?;
        self.in_vain(what).await
    }

    /// The tenant's pods hold no more than their part together once they are settled, and the neighbour at least theirs.
    async fn in_vain(&self, what: &str) -> Result<()> {
        let held = eventually(MINUTE, || async {
            let pools: Api<WeightedShare> = self.own.pools();
            for pool in pools.list(&ListParams::default()).await? {
                let status = pool.status.unwrap_or_default();
                let moving = status
                    .conditions
                    .iter()
                    .any(|it| it.type_ == "Reconciling" && it.status == "True");
                let seen = status.observed_generation == pool.metadata.generation;
                ensure!(seen && !moving, "{status:?}");
            }
            let pods = self.own.pods().list(&ListParams::default()).await?.items;
            let running = pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none());
            let held: u64 = running.map(|pod| actual(pod, "main")).sum();
            ensure!(held <= OWN, "the tenant's pods hold {held}m");
            Ok(held)
        })
        .await
        .context(what.to_owned())?;
        // Where the tenant takes no part, the neighbour has more.
        let neighbour = eventually(MINUTE, || async {
            let held = actual(&self.theirs.running("web", 1).await?[0], "main");
            ensure!(held >= THEIRS, "the neighbour holds {held}m");
            Ok(held)
        })
        .await
        .context(what.to_owned())?;
        println!("{what}: the tenant holds {held}m, and the neighbour {neighbour}m");
        Ok(())
    }

    /// A pool of the tenant with other fields in its spec.
    fn pool_with(&self, fields: Value) -> Value {
        let mut pool = pool(&self.own.namespace, "web");
        for (field, value) in fields.as_object().into_iter().flatten() {
            pool["spec"][field] = value.clone();
        }
        pool
    }

    /// A member of the tenant's pool with other fields.
    fn member_with(&self, fields: Value) -> Value {
        let mut member = member("web", 100);
        for (field, value) in fields.as_object().into_iter().flatten() {
            member[field] = value.clone();
        }
        self.pool_with(json!({"members": [member]}))
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_tenant_of_a_tree_gets_no_more_than_their_part() -> Result<()> {
    let neighbours = Neighbours::new().await?;
    neighbours.own.cluster.own()?;
    what_is_the_administrators(&neighbours).await?;
    what_is_written_in_pools(&neighbours).await?;
    what_is_run(&neighbours).await?;
    let Neighbours { own, theirs, .. } = neighbours;
    own.end().await?;
    theirs.end().await?;
    let delete = ["delete", "cws", TREE, "tree-of-the-rich", "--wait=false"];
    kubectl::run("kubectl", &delete, "").await.map(drop)
}

/// Trees, statuses and the labels of namespaces are out of reach.
async fn what_is_the_administrators(neighbours: &Neighbours) -> Result<()> {
    let Neighbours { tenant, .. } = neighbours;
    let apply = ["apply", "-f", "-"];
    let own = json!([{"name": "own", "weight": 10_000, "namespaces": ["tree-own"]}]);
    tenant.is_forbidden(&apply, &tree("tree-of-their-own", own)).await?;
    let patch = |what: &'static str| ["patch", "cws", TREE, "--type=merge", "-p", what];
    tenant.is_forbidden(&patch(r#"{"spec":{"capacity":{"cpu":"9"}}}"#), &Value::Null).await?;
    tenant.is_forbidden(&["delete", "cws", TREE], &Value::Null).await?;
    let forged = r#"{"status":{"capacity":{"cpu":"9"}}}"#;
    let of_status = [&patch(forged)[..], &["--subresource=status"]].concat();
    tenant.is_forbidden(&of_status, &Value::Null).await?;
    let status = [
        "-n",
        "tree-own",
        "patch",
        "ws",
        "web",
        "--type=merge",
        "-p",
        forged,
        "--subresource=status",
    ];
    tenant.is_forbidden(&status, &Value::Null).await?;
    let label = ["label", "namespace", "tree-own", "kind=team"];
    tenant.is_forbidden(&label, &Value::Null).await?;
    tenant.is_forbidden(&apply, &pool("tree-theirs", "web")).await?;
    let quota = json!({
        "apiVersion": "v1", "kind": "ResourceQuota",
        "metadata": {"name": "large", "namespace": "tree-own"},
        "spec": {"hard": {"requests.cpu": "9"}},
    });
    tenant.is_forbidden(&apply, &quota).await?;
    let start = ["-n", "tree-own", "delete", "startprofiles", "web"];
    tenant.is_forbidden(&start, &Value::Null).await?;
    neighbours.in_vain("what is the administrator's").await
}

/// What a pool says counts inside its namespace.
async fn what_is_written_in_pools(neighbours: &Neighbours) -> Result<()> {
    let both = json!({"capacity": {"cpu": "9"}});
    let apply = ["apply", "-f", "-"];
    let Neighbours { tenant, own, .. } = neighbours;
    tenant.is_refused(&apply, &neighbours.pool_with(both), "capacity").await?;
    for (what, pool) in [
        ("a huge weight of the pool", neighbours.pool_with(json!({"weight": 10_000}))),
        ("an expandable pool", neighbours.pool_with(json!({"expandable": true}))),
        ("a huge weight of a member", neighbours.member_with(json!({"weight": 10_000}))),
        ("a huge min of a member", neighbours.member_with(json!({"min": {"cpu": "9"}}))),
        ("a huge min, expandable", {
            let mut pool = neighbours.member_with(json!({"min": {"cpu": "9"}}));
            pool["spec"]["expandable"] = json!(true);
            pool
        }),
        (
            "a huge least for each pod",
            neighbours.member_with(json!({"minPerPod": {"cpu": "500m"}})),
        ),
        (
            "a weight for each pod",
            neighbours.member_with(json!({"weightPer": "Replica", "weight": 10_000})),
        ),
        (
            "another tree",
            neighbours.pool_with(
                json!({"capacityFrom": {"clusterWeightedShare": {"name": "tree-of-the-rich"}}}),
            ),
        ),
        ("mode Observe", neighbours.pool_with(json!({"mode": "Observe"}))),
        ("the pool as it was", neighbours.pool_with(json!({}))),
    ] {
        neighbours.with_pool(what, pool).await?;
    }
    own.holding("web", &[OWN]).await.map(drop)
}

/// More pods, larger pods and more pools have to do with what the namespace gets.
async fn what_is_run(neighbours: &Neighbours) -> Result<()> {
    let Neighbours { tenant, own, .. } = neighbours;
    let place = |mut object: Value| {
        object["metadata"]["namespace"] = json!("tree-own");
        object
    };
    tenant.apply(&place(web("web", 4))).await?;
    eventually(MINUTE, || own.running("web", 4)).await?;
    neighbours.in_vain("four pods for one").await?;
    for name in ["more", "even-more"] {
        tenant.apply(&place(web(name, 1))).await?;
        neighbours.with_pool("one more pool", pool("tree-own", name)).await?;
    }
    let large = pod_spec(json!([container("main", json!({"requests": {"cpu": "700m"}}))]));
    tenant.apply(&place(bare_pod("large", "web", large))).await?;
    neighbours.in_vain("a pod that starts with more than there is").await?;
    // It never runs.
    let mut nowhere = pod_spec(json!([container("main", json!({"requests": {"cpu": "500m"}}))]));
    nowhere["nodeSelector"] = json!({"kubernetes.io/hostname": "nowhere"});
    tenant.apply(&place(bare_pod("nowhere", "web", nowhere))).await?;
    neighbours.in_vain("a pod that waits for a node that is nowhere").await
}

/// What a quota counts for a pod, in millicores.
fn requested(pod: &Pod) -> u64 {
    cluster::Pod::read(pod).holding(Resource::Cpu, |_| None).requested()
}

/// The ResourceQuota that the controller wrote, in millicores.
async fn quota(bench: &Bench) -> Result<u64> {
    let quotas: Api<ResourceQuota> = Api::namespaced(bench.client.clone(), &bench.namespace);
    let quota = quotas.get("weightedshare").await?;
    let hard = quota.spec.and_then(|spec| spec.hard).context("it bounds nothing")?;
    let hard = hard.get("requests.cpu").context("it does not bound requests.cpu")?;
    Ok(hard.0.parse::<MilliCpu>()?.0)
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_flood_of_pods_is_refused_where_the_administrator_enforces_the_part() -> Result<()> {
    let (flood, beside) = (Bench::new("tree-flood").await?, Bench::new("tree-beside").await?);
    flood.cluster.own()?;
    let chart = operator::charts().join("weighted-share").display().to_string();
    let upgrade = ["upgrade", "weighted-share", &*chart, "--namespace", operator::NAMESPACE];
    let values = ["--reset-then-reuse-values", "--set", "trees.enforce=true", "--wait"];
    kubectl::run("helm", &[&upgrade[..], &values].concat(), "").await?;
    let members = |enforce: Value| {
        let mut first = json!({"name": "flood", "weight": 100, "namespaces": ["tree-flood"]});
        if !enforce.is_null() {
            first["enforce"] = enforce;
        }
        json!([first, {"name": "beside", "weight": 200, "namespaces": ["tree-beside"]}])
    };
    let enforced = tree(ENFORCED, members(json!("ResourceQuota")));
    kubectl::apply(&enforced.to_string()).await?;
    let in_tree = |namespace: &str| {
        let mut pool = pool(namespace, "web");
        pool["spec"]["capacityFrom"]["clusterWeightedShare"]["name"] = json!(ENFORCED);
        pool
    };
    for bench in [&flood, &beside] {
        bench.apply(web("web", 1)).await?;
        bench.apply(in_tree(&bench.namespace)).await?;
    }
    flood.holding("web", &[OWN]).await?;
    beside.holding("web", &[THEIRS]).await?;
    // What it owns by weight, and one more pod of 50m.
    let hard = eventually(MINUTE, || async {
        let hard = quota(&flood).await?;
        ensure!((OWN + 50..=OWN + 60).contains(&hard), "the quota has {hard}m");
        Ok(hard)
    })
    .await?;
    let tenant = Tenant::of(&flood).await?;
    let patch = r#"{"spec":{"hard":{"requests.cpu":"9"}}}"#;
    let edit = ["-n", "tree-flood", "patch", "quota", "weightedshare", "-p", patch];
    tenant.is_forbidden(&edit, &Value::Null).await?;
    let delete = ["-n", "tree-flood", "delete", "quota", "weightedshare"];
    tenant.is_forbidden(&delete, &Value::Null).await?;

    let scale = ["-n", "tree-flood", "scale", "deployment", "web", "--replicas=60"];
    tenant.run(&scale, &Value::Null).await?;
    let events = ["-n", "tree-flood", "get", "events", "-o", "jsonpath={.items[*].message}"];
    let most = eventually(MINUTE, || async {
        let pods = flood.pods().list(&ListParams::default()).await?.items;
        let held: u64 = pods.iter().map(requested).sum();
        let refused = kubectl::run("kubectl", &events, "").await?;
        // At least a pod came, and at least one was refused.
        ensure!(pods.len() > 1 && refused.contains("exceeded quota: weightedshare"), "{held}m");
        Ok(pods.len())
    })
    .await?;
    for _ in 0..20 {
        let pods = flood.pods().list(&ListParams::default()).await?.items;
        let held: u64 = pods.iter().map(requested).sum();
        ensure!(held <= hard + 60, "{} pods hold {held}m, and the quota was {hard}m", pods.len());
        beside.holding("web", &[THEIRS]).await?;
        sleep(Duration::from_secs(1)).await;
    }
    let pods = flood.pods().list(&ListParams::default()).await?.items.len();
    println!("{most} and then {pods} of 60 pods were let in, of {hard}m");
    ensure!(pods < 40, "{pods} pods");

    kubectl::apply(&tree(ENFORCED, members(Value::Null)).to_string()).await?;
    eventually(MINUTE, || async {
        ensure!(quota(&flood).await.is_err(), "the quota is still there");
        Ok(())
    })
    .await?;
    flood.end().await?;
    beside.end().await?;
    kubectl::run("kubectl", &["delete", "cws", ENFORCED, "--wait=false"], "").await.map(drop)
}
