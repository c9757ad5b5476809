//! A virtual machine as a pod: it boots, its work is counted, and it goes when it is told to.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use e2e::{Cluster, guest, kubectl};
use serde_json::json;
use tokio::time::sleep;

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_guest_counts_its_work_in_one_boot_and_ends_when_it_is_told_to() -> Result<()> {
    let cluster = Cluster::from_env();
    let began = Instant::now();
    cluster.import(&guest::image()?).await?;
    println!("imported in {:.1?}", began.elapsed());
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "guest"},
        "spec": {
            "containers": [{
                "name": "compute",
                "image": guest::IMAGE,
                "imagePullPolicy": "Never",
                "resources": {"requests": {"cpu": "200m", "memory": "300Mi"}},
            }],
        },
    });
    let began = Instant::now();
    kubectl::apply(&pod.to_string()).await?;
    let (boot, first) = counted(1).await?;
    println!("the first count {:.1?} after the pod was made", began.elapsed());
    let since = Instant::now();
    sleep(Duration::from_secs(10)).await;
    let (still, last) = counted(1).await?;
    println!("{} counts in {:.1?}", last - first, since.elapsed());
    ensure!(still == boot, "it booted again: {boot}, {still}");
    ensure!(last > first, "it counts no further than {first}");

    let began = Instant::now();
    kubectl::run("kubectl", &["delete", "pod", "guest", "--wait"], "").await?;
    println!("gone in {:.1?}", began.elapsed());
    ensure!(began.elapsed() < Duration::from_secs(10), "it took {:?}", began.elapsed());
    Ok(())
}

/// The last count of the pod, once it is as high as this.
async fn counted(least: u64) -> Result<(String, u64)> {
    let began = Instant::now();
    loop {
        // There is no log before there is a container.
        let log = kubectl::run("kubectl", &["logs", "guest"], "").await.unwrap_or_default();
        let last = log.lines().rev().find_map(guest::count);
        if let Some((boot, count)) = last.filter(|(_, count)| *count >= least) {
            return Ok((boot.to_owned(), count));
        }
        let told = || log.chars().take(2000).collect::<String>();
        (began.elapsed() < PATIENCE).then_some(()).with_context(told)?;
        sleep(Duration::from_millis(500)).await;
    }
}
