//! What the operator itself takes.

mod support;

use anyhow::{Context, Result, ensure};
use e2e::{image, operator};
use serde_json::{Value, json};
use support::{Bench, deployment, member, pod_spec, spinning};

/// What an image may take in a registry, and a controller of the memory.
const IMAGE: f64 = 15e6;
const RESIDENT: f64 = 128.0 * 1024.0;

/// Of all processes of that name, the memory that each has in its pages, and had at most: in KiB.
fn resident() -> Result<Vec<(f64, f64)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        // It may have ended meanwhile, or be none.
        let Ok(status) = std::fs::read_to_string(entry.path().join("status")) else { continue };
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
        if field("Name:").map(str::trim) != Some("weightedshare") {
            continue;
        }
        let kib = |name| -> Result<f64> {
            let text = field(name).context("no such field")?;
            Ok(text.trim().trim_end_matches(" kB").parse()?)
        };
        found.push((kib("VmRSS:")?, kib("VmHWM:")?));
    }
    Ok(found)
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn the_operator_is_small() -> Result<()> {
    let bench = Bench::new("footprint").await?;
    bench.cluster.own()?;
    let image = image::operator_image(&operator::binary(), "size")?.archive()?.len() as f64;
    let binary = std::fs::metadata(operator::binary())?.len() as f64;
    bench.apply(deployment("web", 1, pod_spec(json!([spinning("50m")])))).await?;
    // As large as a pool may be.
    let mut members: Vec<Value> = (1..256).map(|i| member(&format!("empty-{i}"), 100)).collect();
    members.push(member("web", 100));
    bench.pool("pool", "200m", json!(members)).await?;
    bench.holding("web", &[200]).await?;
    let resident = resident()?;
    let mib = |kib: f64| kib / 1024.0;
    println!("image: {:.1} MB in a registry, {:.1} MB unpacked", image / 1e6, binary / 1e6);
    for (now, most) in &resident {
        println!("controller: {:.1} MiB resident, {:.1} MiB at most", mib(*now), mib(*most));
    }
    ensure!(image < IMAGE, "the image has {image} bytes");
    ensure!(resident.len() >= 2, "{} controllers run", resident.len());
    ensure!(resident.iter().all(|(_, most)| *most < RESIDENT), "{resident:?}");
    bench.end().await
}
