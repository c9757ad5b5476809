//! What a command looks at: files, or a cluster with what its controller remembers.

use std::time::Duration;

use kube::Client;
use weightedshare::{
    cli::{Connection, Looked, Source, manifests},
    cluster::Cluster,
    engine::Remembered,
    runtime::{self, Waits},
};

/// After this time, users are told what they wait for.
const SLOW: Duration = Duration::from_secs(2);

/// Whether the controller that leads is asked what it remembers.
#[derive(Clone, Copy, PartialEq)]
pub enum Leader {
    Asked,
    /// What is shown is in the status of the pools.
    LeftAlone,
}

/// A client that waits for answers.
pub async fn client(connection: &Connection) -> Result<Client, String> {
    let client = runtime::client(&connection.access(), Waits::ForAnswers).await;
    client.map_err(|error| error.to_string())
}

/// Reads the files, or looks at the cluster where there are none; with the namespace of its context.
pub async fn look(source: &Source, leader: Leader) -> Result<(Looked, Option<String>), String> {
    match source.files.is_empty() {
        true => look_at_cluster(source, leader).await,
        false => Ok((read_files(source)?, None)),
    }
}

async fn look_at_cluster(
    source: &Source,
    leader: Leader,
) -> Result<(Looked, Option<String>), String> {
    let client = client(&source.connection)
        .await
        .map_err(|error| format!("{error}; or name files with -f, which needs no cluster"))?;
    let mut looked = std::pin::pin!(runtime::list_once(&client));
    let looked = tokio::select! {
        looked = &mut looked => looked,
        () = tokio::time::sleep(SLOW) => {
            eprintln!("reading the cluster: its pools, pods, nodes, workloads and metrics ...");
            looked.await
        }
    };
    let (cluster, mut metrics, trouble) = looked.map_err(|error| error.to_string())?;
    let remembered = match leader {
        Leader::Asked => remembered(&client, &cluster).await,
        Leader::LeftAlone => Remembered::default(),
    };
    if let Some(trouble) = trouble.filter(|_| remembered.pods.is_empty()) {
        eprintln!("without measurements, every member is assumed to need what it owns: {trouble}");
    }
    remembered.measure(&cluster, &mut metrics);
    let mut looked = Looked { cluster, metrics, remembered };
    looked.set_bounds(source.node_memory_grow_percent);
    Ok((looked, Some(client.default_namespace().to_owned())))
}

fn read_files(source: &Source) -> Result<Looked, String> {
    let manifests = manifests::read(&source.files, std::io::stdin());
    let manifests =
        manifests.map_err(|errors| format!("these manifests cannot be used:\n{errors}"))?;
    if !manifests.others.is_empty() {
        let others = manifests.others.iter().map(|(kind, count)| format!("{count} {kind}"));
        eprintln!("left out: {}", others.collect::<Vec<_>>().join(", "));
    }
    let mut looked = manifests.looked();
    looked.set_bounds(source.node_memory_grow_percent);
    Ok(looked)
}

/// What the controller that leads remembers. Nothing if it cannot be asked, which is said.
async fn remembered(client: &Client, cluster: &Cluster) -> Remembered {
    runtime::ask_leader(client, cluster).await.unwrap_or_else(|why| {
        eprintln!(
            "this is based on current usage only, because the controller could not be asked for the peaks of the last ten minutes: {why}"
        );
        Remembered::default()
    })
}
