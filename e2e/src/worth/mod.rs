//! What a pool is worth: the same loads run on one node with fixed limits, with requests only, under VPA, and in a pool.

mod demand;
mod loads;
mod machines;
mod measured;
mod place;
mod report;
mod setting;
mod shares;
mod vpa;

use std::path::PathBuf;

use anyhow::{Context, Result};
use kube::Client;

use self::{
    loads::Loads,
    machines::MachineWork,
    measured::Work,
    place::Place,
    report::Report,
    setting::{Run, Variant},
    vpa::Vpa,
};
pub use self::{place::Kind, setting::Neighbours};
use crate::{Cluster, guest, image, operator, process, run_dir::RunDir, say::say};

/// What is compared.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// How often each variant is run. Of each figure the median counts.
    pub rounds: u32,
    /// The nodes that it is measured on.
    pub on: Vec<Kind>,
    /// The pods beside the service.
    pub neighbours: Vec<Neighbours>,
    /// Whether virtual machines are compared as well.
    pub machines: bool,
    /// What the loads do is drawn from this.
    pub seed: u64,
    /// A folder for the figures, as JSON, and the picture.
    pub output: PathBuf,
}

/// Compares on the cluster of the environment, which must be one of our own.
///
/// # Errors
/// When something does not come up.
pub async fn run(comparison: Comparison) -> Result<()> {
    let cluster = Cluster::from_env();
    let client = cluster.client().await?;
    let run_dir = cluster.own()?.clone();
    operator::install(&cluster).await?;
    let service = image::service(&operator::binary())?;
    vpa::install().await?;
    be_elsewhere().await?;
    let mut report = Report::default();
    for &kind in &comparison.on {
        let place = Place::start(&cluster, kind).await?;
        place.import(&cluster, &service).await?;
        say(place.words().await?);
        for &neighbours in &comparison.neighbours {
            say(format_args!("{}\n{}", neighbours.words(), Work::HEAD));
            // In turns, as the machine may be faster now and slower then.
            for round in 0..comparison.rounds {
                for variant in Variant::ALL {
                    let run = Run { variant, neighbours, seed: comparison.seed + u64::from(round) };
                    let work = measure(&client, &run_dir, &place, run).await;
                    let work = work.with_context(|| format!("{variant}, round {}", round + 1))?;
                    say(format_args!("{:<26}{work}", variant.to_string()));
                    report.add(kind, run, work);
                }
            }
            say(report.table(kind, neighbours));
        }
    }
    if comparison.machines {
        machines(&cluster, &client, comparison.rounds, &mut report).await?;
    }
    report.judge();
    report.write(&comparison.output)
}

async fn machines(
    cluster: &Cluster,
    client: &Client,
    rounds: u32,
    report: &mut Report,
) -> Result<()> {
    let place = Place::start(cluster, Kind::Host).await?;
    place.import(cluster, &guest::image()?).await?;
    say(format_args!(
        "Two virtual machines on one processor, and a pod that takes what it gets\n{}",
        MachineWork::HEAD
    ));
    for _ in 0..rounds {
        for setting in machines::Setting::ALL {
            let work =
                machines::measure(client, &place, setting).await.with_context(|| setting.name())?;
            say(format_args!("{:<26}{work}", setting.name()));
            report.add_machines(setting, work);
        }
    }
    Ok(())
}

async fn measure(client: &Client, run_dir: &RunDir, place: &Place, run: Run) -> Result<Work> {
    let vpa = match run.variant {
        Variant::Vpa => Some(Vpa::start(run_dir)?),
        _ => None,
    };
    let loads = Loads::begin(client, place, run).await?;
    let work = loads.measure().await;
    loads.end().await?;
    drop(vpa);
    work
}

/// Users have machines of their own: this process, which asks in their place, does not wait for a processor. What it starts does.
async fn be_elsewhere() -> Result<()> {
    let this = std::process::id().to_string();
    let mut chrt = tokio::process::Command::new("chrt");
    process::run(chrt.args(["--reset-on-fork", "--fifo", "--all-tasks", "--pid", "10", &this]))
        .await
        .map(drop)
}
