//! What the pools are made of: nodes that kwok plays, namespaces, pods as large as real ones, and foreign pods beside them.

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use weightedshare::api::WeightedShare;

use crate::{Cluster, kwok::FakeNodes};

/// The pods of one pool. The first half of them are one member, the others another.
pub const PODS_OF_POOL: usize = 10;
/// What each pod asks for at first, in millicores: a pool has so much for each of its pods.
pub const EACH: u64 = 100;
/// The tree that all pools can be in.
pub const TREE: &str = "all";
/// How many objects are made, or edited, at once.
const AT_ONCE: usize = 8;
/// The pods of a node.
const PODS_OF_NODE: usize = 100;
/// What is added to a pod so that it is as large as one with the usual annotations and environment, in bytes.
const PADDING: usize = 6500;

/// A pool, by its namespace and name.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PoolName {
    /// Its namespace.
    pub namespace: String,
    /// Its name, which its pods have as a label.
    pub name: String,
}

/// A pod, by its namespace and name.
pub type PodName = (String, String);

/// What a pod is to have, in millicores.
pub type Target = (PodName, u64);

/// Which of its two members has the weight 3, the other one having 1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Heavier {
    /// Both have the same.
    None,
    /// The first.
    First,
    /// The second.
    Second,
}

impl Heavier {
    /// The weights of the two.
    pub fn weights(self) -> [u32; 2] {
        match self {
            Self::None => [100, 100],
            Self::First => [300, 100],
            Self::Second => [100, 300],
        }
    }

    /// What a pod of each member has then, in millicores.
    pub fn held(self) -> [u64; 2] {
        let weights = self.weights().map(u64::from);
        weights.map(|weight| 2 * EACH * weight / weights.iter().sum::<u64>())
    }
}

/// How a pool shares what it has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sharing {
    /// By weight alone.
    Isolated,
    /// What is idle is lent: the default.
    Lending,
    /// By weight alone, with the capacity that the tree gives.
    InTree,
}

/// The namespaces, pools and pods of a run.
pub struct Setting {
    client: Client,
    /// All pools, spread over the namespaces.
    pub pools: Vec<PoolName>,
    /// One more, in a namespace of its own.
    pub aside: PoolName,
    /// A pod of no pool.
    pub foreign: PodName,
    // Ends kwok when it is dropped.
    _nodes: FakeNodes,
}

impl Setting {
    /// Makes nodes and pods. The pools are made by [`Setting::put`].
    ///
    /// # Errors
    /// When kwok does not come up, or the API server refuses.
    pub async fn make(
        cluster: &Cluster,
        client: &Client,
        pods: usize,
        namespaces: usize,
    ) -> Result<Self> {
        let foreign = pods / 2;
        let nodes = (pods + foreign).div_ceil(PODS_OF_NODE).max(2);
        let fakes = FakeNodes::start(cluster, nodes, "64", "256Gi").await?;
        let pool = |index: usize| PoolName {
            namespace: format!("team-{}", index % namespaces),
            name: format!("pool-{index}"),
        };
        let pools: Vec<PoolName> = (0..pods / PODS_OF_POOL).map(pool).collect();
        let aside = PoolName { namespace: "aside".to_owned(), name: "pool".to_owned() };
        let setting = Self {
            client: client.clone(),
            pools,
            aside,
            foreign: ("foreign-0".to_owned(), "foreign-0".to_owned()),
            _nodes: fakes,
        };
        let teams = (0..namespaces).map(|index| format!("team-{index}"));
        let others = (0..namespaces).map(|index| format!("foreign-{index}"));
        for name in teams.chain(others).chain(["aside".to_owned()]) {
            create(client, json!({"metadata": {"name": name}})).await?;
        }
        let of_pools = setting.pools.iter().chain([&setting.aside]);
        let of_pools = of_pools.flat_map(|pool| pods_of(pool).map(move |pod| (pool, pod)));
        let members = of_pools.map(|(pool, (name, member))| {
            let labels = json!({"pool": pool.name, "member": member});
            (pool.namespace.clone(), name, labels)
        });
        let strangers = (0..foreign).map(|index| {
            (format!("foreign-{}", index % namespaces), format!("foreign-{index}"), json!({}))
        });
        let create_all = members.chain(strangers).enumerate().map(|(index, pod)| {
            let (namespace, name, labels) = pod;
            let pod = self::pod(&name, &labels, &format!("fake-{}", index % nodes));
            let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
            async move {
                let pod: Pod = serde_json::from_value(pod)?;
                pods.create(&PostParams::default(), &pod).await.with_context(|| name)?;
                anyhow::Ok(())
            }
        });
        stream::iter(create_all).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        Ok(setting)
    }

    /// Applies these pools with weights, a few at a time.
    ///
    /// # Errors
    /// When the API server refuses.
    pub async fn put(
        &self,
        pools: impl IntoIterator<Item = &PoolName>,
        heavier: Heavier,
        sharing: Sharing,
    ) -> Result<()> {
        let pools: Vec<PoolName> = pools.into_iter().cloned().collect();
        let put = |pool: PoolName| {
            let api: Api<WeightedShare> = Api::namespaced(self.client.clone(), &pool.namespace);
            async move {
                let params = PatchParams::apply("weightedshare-scale").force();
                let object = Patch::Apply(object(&pool, heavier, sharing));
                api.patch(&pool.name, &params, &object).await.context(pool.name)?;
                anyhow::Ok(())
            }
        };
        stream::iter(pools.into_iter().map(put)).buffer_unordered(AT_ONCE).try_collect().await
    }
}

/// The pods of a pool, with the member of each.
pub fn pods_of(pool: &PoolName) -> impl Iterator<Item = (String, &'static str)> + '_ {
    (0..PODS_OF_POOL).map(|index| {
        let member = if index < PODS_OF_POOL / 2 { "first" } else { "second" };
        (format!("{}-{index}", pool.name), member)
    })
}

/// What each pod of these pools has in the end, in millicores.
pub fn held<'a>(pools: impl IntoIterator<Item = &'a PoolName>, heavier: Heavier) -> Vec<Target> {
    let [first, second] = heavier.held();
    let of_pool = |pool: &'a PoolName| {
        pods_of(pool).map(move |(name, member)| {
            let held = if member == "first" { first } else { second };
            ((pool.namespace.clone(), name), held)
        })
    };
    pools.into_iter().flat_map(of_pool).collect()
}

fn object(pool: &PoolName, heavier: Heavier, sharing: Sharing) -> Value {
    let [first, second] = heavier.weights();
    let member = |name: &str, weight: u32| {
        let labels = json!({"pool": pool.name, "member": name});
        json!({"name": name, "weight": weight, "selector": {"matchLabels": labels}})
    };
    let strategy = match sharing {
        Sharing::Isolated | Sharing::InTree => {
            json!({"strategy": "Isolated", "nodeReservePercent": 0})
        }
        Sharing::Lending => json!({"nodeReservePercent": 0}),
    };
    let (of, amount) = match sharing {
        Sharing::InTree => ("capacityFrom", json!({"clusterWeightedShare": {"name": TREE}})),
        Sharing::Isolated | Sharing::Lending => {
            ("capacity", json!({"cpu": format!("{}m", EACH * PODS_OF_POOL as u64)}))
        }
    };
    json!({
        "apiVersion": "weightedshare.dev/v1alpha1",
        "kind": "WeightedShare",
        "metadata": {"name": pool.name},
        "spec": {
            of: amount,
            "sharing": strategy,
            "members": [member("first", first), member("second", second)],
        },
    })
}

/// A pod that is on its node already: the scheduler is not what is measured.
fn pod(name: &str, labels: &Value, node: &str) -> Value {
    json!({
        "metadata": {
            "name": name,
            "labels": labels,
            "annotations": {"example.org/padding": "x".repeat(PADDING)},
        },
        "spec": {
            "nodeName": node,
            "terminationGracePeriodSeconds": 1,
            "tolerations": [{"operator": "Exists"}],
            "automountServiceAccountToken": false,
            "containers": [{
                "name": "main",
                "image": "none",
                "resources": {"requests": {"cpu": format!("{EACH}m"), "memory": "16Mi"}},
            }],
        },
    })
}

async fn create(client: &Client, namespace: Value) -> Result<()> {
    let namespace: Namespace = serde_json::from_value(namespace)?;
    Api::all(client.clone()).create(&PostParams::default(), &namespace).await?;
    Ok(())
}
