//! Virtual machines on their way, as KubeVirt moves, stops and loses them: whatever becomes of a move, the machine has its
//! share where it is in the end, no other pod has less, and nothing is taken from the copy that it leaves.

mod support;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::{
    kubevirt::{self, Move, Shape, StandIn},
    kwok::{self, FakeNodes},
};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use support::{Bench, bare_pod, cpu_share, eventually, ledger::Ledger, of, pod_spec, tier::Tier};

/// How long a step may take.
const PATIENCE: Duration = Duration::from_secs(150);
/// The pool, and what each of its two members owns.
const POOL: u64 = 1_000;
const HALF: u64 = 500;

/// A machine with two virtual CPUs (200m at its start), and a plain pod beside it, each with half of a pool.
struct Walk {
    bench: Bench,
    virt: StandIn,
    first: Pod,
    ledger: Ledger,
}

fn on(node: &str) -> Shape {
    let (key, _) = kwok::FAKE;
    Shape {
        pod: json!({"nodeName": node, "tolerations": [{"key": key, "operator": "Exists"}]}),
        ..Shape::idle("vm", 2)
    }
}

impl Walk {
    async fn begin(name: &str) -> Result<Self> {
        let bench = Bench::new(&format!("walk-{name}")).await?;
        let virt = StandIn::new(&bench.client, &bench.namespace);
        let shape = on("fake-0");
        let mut spec =
            pod_spec(json!([support::container("main", json!({"requests": {"cpu": "100m"}}))]));
        for (key, value) in shape.pod.as_object().into_iter().flatten() {
            spec[key] = value.clone();
        }
        bench.apply(bare_pod("plain", "plain", spec)).await?;
        let first = virt.start("vm", &shape).await?;
        let ledger = Ledger::of(bench.pods(), "", POOL);
        let walk = Self { bench, virt, first, ledger };
        walk.weigh(100).await?;
        walk.holds(&walk.first, HALF).await?;
        Ok(walk)
    }

    /// The pool with this weight for the machine, 100 for the plain pod.
    async fn weigh(&self, weight: u32) -> Result<()> {
        let target =
            json!({"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "name": "vm"});
        let vm = json!({"name": "vm", "weight": weight, "targetRef": target});
        self.bench
            .pool("pool", &format!("{POOL}m"), json!([vm, support::member("plain", 100)]))
            .await
    }

    /// Waits until a pod is charged so much.
    async fn holds(&self, pod: &Pod, milli: u64) -> Result<()> {
        eventually(PATIENCE, || async {
            let pod = self.bench.pods().get(&pod.name_any()).await?;
            let charge = support::cpu_charge(&pod);
            ensure!(charge == milli, "{} is charged {charge}m, not {milli}m", pod.name_any());
            Ok(())
        })
        .await
    }

    /// The machine moves to another node.
    async fn migrate(&self, node: &str) -> Result<Move> {
        self.virt.migrate("vm", &on(node)).await
    }

    /// Waits until the member says this of itself.
    async fn says(&self, reason: &str) -> Result<()> {
        eventually(PATIENCE, || async {
            let status = self.bench.status("pool", |_| true).await?;
            let vm = of(&status, "vm");
            ensure!(vm.reason == reason, "the machine's member says {}: {}", vm.reason, vm.message);
            Ok(())
        })
        .await
    }

    async fn plain_has_its_half(&self) -> Result<()> {
        let status = self.bench.status("pool", |_| true).await?;
        ensure!(cpu_share(&status, "plain") == HALF, "{status:?}");
        Ok(())
    }

    async fn end(self) -> Result<()> {
        self.ledger.was_kept().await?;
        self.bench.end().await
    }
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn machines_keep_their_shares_wherever_they_go() -> Result<()> {
    kubevirt::install().await?;
    // The controller is there once a bench is.
    let bench = Bench::new("walks").await?;
    let nodes = FakeNodes::start(&bench.cluster, 3, "8", "32Gi").await?;
    if Tier::Test.is_included() {
        arrives().await.context("a move that succeeds")?;
        fails().await.context("a move that fails")?;
        loses_its_source(&bench).await.context("the node it leaves is lost")?;
        gets_more_cpus().await.context("a hot-plug")?;
    }
    if Tier::Nightly.is_included() {
        finds_no_node().await.context("a move that finds no node")?;
        goes_on_and_back().await.context("a move there and back")?;
        is_edited_on_the_way().await.context("an edit during a move")?;
        loses_its_target(&bench).await.context("the node it goes to is lost")?;
        is_stopped_on_the_way().await.context("a stop during a move")?;
        is_stopped_and_started().await.context("a stop and a start")?;
        is_paused().await.context("a pause")?;
        is_let_go_on_the_way().await.context("a pool that goes during a move")?;
        loses_kubevirt().await.context("KubeVirt is removed, and comes back")?;
    }
    drop(nodes);
    bench.end().await?;
    kubevirt::uninstall().await
}

async fn arrives() -> Result<()> {
    let walk = Walk::begin("arrives").await?;
    let moving = walk.migrate("fake-1").await?;
    walk.says("Migrating").await?;
    // The copy that it leaves keeps all it has, and the other pod too.
    walk.holds(&walk.first, HALF).await?;
    walk.plain_has_its_half().await?;
    walk.virt.hand_over(&moving, &walk.first).await?;
    walk.holds(&moving.target, HALF).await?;
    walk.bench.settled("pool").await?;
    walk.end().await
}

async fn fails() -> Result<()> {
    let walk = Walk::begin("fails").await?;
    let moving = walk.migrate("fake-1").await?;
    walk.says("Migrating").await?;
    walk.virt.fail(&moving).await?;
    walk.says("Settled").await?;
    // The pod that it stays in is divided again.
    walk.weigh(300).await?;
    walk.holds(&walk.first, 750).await?;
    walk.end().await
}

async fn finds_no_node() -> Result<()> {
    let walk = Walk::begin("no-node").await?;
    let mut shape = on("fake-1");
    shape.pod["nodeName"] = Value::Null;
    shape.pod["nodeSelector"] = json!({"there-is": "none"});
    let moving = walk.virt.migrate("vm", &shape).await?;
    walk.says("Migrating").await?;
    // The first counts as long as there is no other place.
    walk.weigh(300).await?;
    walk.plain_holds(250).await?;
    walk.virt.fail(&moving).await?;
    walk.holds(&walk.first, 750).await?;
    walk.end().await
}

async fn goes_on_and_back() -> Result<()> {
    let walk = Walk::begin("back").await?;
    let moving = walk.migrate("fake-1").await?;
    walk.virt.hand_over(&moving, &walk.first).await?;
    let back = walk.migrate("fake-0").await?;
    walk.virt.hand_over(&back, &moving.target).await?;
    walk.holds(&back.target, HALF).await?;
    walk.bench.settled("pool").await?;
    walk.end().await
}

async fn is_edited_on_the_way() -> Result<()> {
    let walk = Walk::begin("edited").await?;
    let moving = walk.migrate("fake-1").await?;
    walk.says("Migrating").await?;
    walk.weigh(300).await?;
    walk.plain_holds(250).await?;
    walk.holds(&walk.first, HALF).await?;
    walk.virt.hand_over(&moving, &walk.first).await?;
    walk.holds(&moving.target, 750).await?;
    walk.end().await
}

async fn loses_its_source(bench: &Bench) -> Result<()> {
    let walk = Walk::begin("source-lost").await?;
    let moving = walk.migrate("fake-1").await?;
    walk.says("Migrating").await?;
    cordon(bench, "fake-0", true).await?;
    // What KubeVirt does with a pod of a node that is gone for good.
    let force = DeleteParams::default().grace_period(0);
    walk.bench.pods().delete(&walk.first.name_any(), &force).await?;
    walk.holds(&moving.target, HALF).await?;
    cordon(bench, "fake-0", false).await?;
    walk.end().await
}

async fn loses_its_target(bench: &Bench) -> Result<()> {
    let walk = Walk::begin("target-lost").await?;
    let moving = walk.migrate("fake-1").await?;
    walk.says("Migrating").await?;
    cordon(bench, "fake-1", true).await?;
    let force = DeleteParams::default().grace_period(0);
    walk.bench.pods().delete(&moving.target.name_any(), &force).await?;
    walk.says("Settled").await?;
    walk.holds(&walk.first, HALF).await?;
    cordon(bench, "fake-1", false).await?;
    walk.end().await
}

async fn is_stopped_on_the_way() -> Result<()> {
    let walk = Walk::begin("stopped").await?;
    walk.migrate("fake-1").await?;
    walk.says("Migrating").await?;
    walk.virt.stop("vm").await?;
    walk.says("NoPods").await?;
    walk.plain_holds(POOL).await?;
    walk.end().await
}

async fn is_stopped_and_started() -> Result<()> {
    let walk = Walk::begin("started").await?;
    walk.virt.stop("vm").await?;
    walk.plain_holds(POOL).await?;
    let again = walk.virt.restart("vm", &on("fake-2")).await?;
    walk.holds(&again, HALF).await?;
    walk.plain_holds(HALF).await?;
    walk.end().await
}

async fn is_paused() -> Result<()> {
    let walk = Walk::begin("paused").await?;
    let paused =
        json!({"conditions": [{"type": "Paused", "status": "True", "reason": "PausedByUser"}]});
    walk.virt.say("vm", paused).await?;
    walk.weigh(300).await?;
    walk.holds(&walk.first, 750).await?;
    walk.end().await
}

async fn gets_more_cpus() -> Result<()> {
    let walk = Walk::begin("more-cpus").await?;
    let target = json!({"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "name": "vm"});
    let vm = json!({"name": "vm", "weight": 50, "weightPer": "VCPU", "targetRef": target});
    walk.bench.pool("pool", "1000m", json!([vm, support::member("plain", 100)])).await?;
    walk.holds(&walk.first, HALF).await?;
    walk.virt.plug("vm", json!({"cpu": {"sockets": 6}})).await?;
    walk.holds(&walk.first, 750).await?;
    walk.end().await
}

async fn is_let_go_on_the_way() -> Result<()> {
    let walk = Walk::begin("let-go").await?;
    let moving = walk.migrate("fake-1").await?;
    walk.says("Migrating").await?;
    walk.bench.pools().delete("pool", &DeleteParams::default()).await?;
    // Two virtual CPUs at a tenth of a CPU each, and the console.
    walk.holds(&walk.first, 205).await?;
    walk.holds(&moving.target, 205).await?;
    walk.end().await
}

async fn loses_kubevirt() -> Result<()> {
    let walk = Walk::begin("no-kubevirt").await?;
    // KubeVirt does not let itself be removed while a machine runs.
    walk.virt.stop("vm").await?;
    walk.plain_holds(POOL).await?;
    kubevirt::uninstall().await?;
    walk.says("TargetNotFound").await?;
    kubevirt::install().await?;
    let again = walk.virt.start("vm", &on("fake-0")).await?;
    walk.holds(&again, HALF).await?;
    walk.end().await
}

async fn cordon(bench: &Bench, node: &str, lost: bool) -> Result<()> {
    let nodes: Api<Node> = Api::all(bench.client.clone());
    let patch = Patch::Merge(json!({"spec": {"unschedulable": lost}}));
    nodes.patch(node, &PatchParams::default(), &patch).await?;
    Ok(())
}

impl Walk {
    /// Waits until the plain pod is charged so much.
    async fn plain_holds(&self, milli: u64) -> Result<()> {
        let plain = self.bench.pods().get("plain").await?;
        self.holds(&plain, milli).await
    }
}
