//! `simulate`: what is replayed is read, with a bar that shows how far it has come, and Ctrl-C ends it with what there is.

use std::{
    fs::File,
    io::{IsTerminal, Read},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use weightedshare::{
    cli::{SimulateArguments, simulate as told},
    cluster::Cluster,
    metrics::prometheus::{RecordedSample, recorded},
    runtime::{self, Clock},
    simulate::{
        Options, Outcome, read, replay, suggest,
        trace::{Recorder, Trace},
    },
};

use crate::{
    live::say,
    look::{Leader, look},
    shutdown,
};

/// How much of a file tells its form.
const BEGINS: usize = 4096;
/// Without another word, what Prometheus recorded is replayed in steps of a minute.
const STEP: u32 = 60;

/// Replays, and shows what came of it.
pub async fn simulate(arguments: SimulateArguments) -> Result<(), String> {
    let stopped = Arc::new(AtomicBool::new(false));
    let stop = stopped.clone();
    let told_to_end = shutdown()?;
    tokio::spawn(async move {
        told_to_end.await;
        stop.store(true, Ordering::Relaxed);
    });
    let step = arguments.step.map(seconds);
    let recorder = match arguments.from_cluster {
        Some(last) => from_prometheus(&arguments, last, step.unwrap_or(STEP), &stopped).await?,
        None => from_files(&arguments.usage, &stopped)?,
    };
    let trace = recorder.finish(step).ok_or("the recording has no usage of any pod")?;
    // What says what pods used may say all that there is to know of them.
    let cluster = match arguments.from_cluster.is_some() || !arguments.source.files.is_empty() {
        true => look(&arguments.source, Leader::LeftAlone).await?.0.cluster,
        false => Cluster::default(),
    };
    if let Some(namespace) = &arguments.suggest {
        return say(&suggest(&cluster, &trace, namespace)?);
    }
    if cluster.pools().next().is_none() {
        let help = "name a file with one (-f), or let --suggest propose one";
        return Err(format!("there is no pool to replay it in: {help}"));
    }
    let options = Options { batch: arguments.batch };
    let outcome = run(cluster, trace, options, &stopped).await?;
    let text = match arguments.output.format() {
        Some(format) => format.write(&outcome, || told::table(&outcome, !arguments.no_headers))?,
        None => runtime::replay_page(&outcome),
    };
    say(&text)
}

fn seconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_secs()).unwrap_or(u32::MAX)
}

/// On a thread of its own, so that Ctrl-C is heard.
async fn run(
    cluster: Cluster,
    trace: Trace,
    options: Options,
    stopped: &Arc<AtomicBool>,
) -> Result<Outcome, String> {
    let bar = bar("replay", trace.steps as u64, "{pos}/{len} steps");
    let stopped = stopped.clone();
    let work = tokio::task::spawn_blocking(move || {
        let outcome = replay(cluster, &trace, &options, &mut |done| {
            bar.set_position(done as u64);
            !stopped.load(Ordering::Relaxed)
        });
        bar.finish_and_clear();
        outcome
    });
    work.await.map_err(|error| format!("the replay failed: {error}"))
}

fn from_files(files: &[PathBuf], stopped: &AtomicBool) -> Result<Recorder, String> {
    let mut recorder = Recorder::default();
    for file in files {
        read_file(&mut recorder, file, stopped)?;
    }
    Ok(recorder)
}

fn read_file(recorder: &mut Recorder, path: &Path, stopped: &AtomicBool) -> Result<(), String> {
    let name = path.display().to_string();
    let cannot = |error: std::io::Error| format!("{name} cannot be read: {error}");
    let mut file = File::open(path).map_err(cannot)?;
    let length = file.metadata().map_err(cannot)?.len();
    let mut begins = Vec::new();
    file.by_ref().take(BEGINS as u64).read_to_end(&mut begins).map_err(cannot)?;
    let form = read::form_of(&name, &String::from_utf8_lossy(&begins)).ok_or_else(|| {
        format!(
            "{name}: its format is not recognized: CSV begins with the names of its columns, time,namespace,pod,cpu,memory; an answer of \
             Prometheus begins with {{; and the files of published traces keep their names"
        )
    })?;
    let bar = bar(&name, length, "{bytes}/{total_bytes}");
    let mut note = |so_far| {
        bar.set_position(so_far);
        !stopped.load(Ordering::Relaxed)
    };
    let whole = begins.as_slice().chain(file);
    let result = read::read(recorder, &name, form, whole, &mut note);
    bar.finish_and_clear();
    result.map_err(|error| error.to_string())
}

async fn from_prometheus(
    arguments: &SimulateArguments,
    last: Duration,
    step: u32,
    stopped: &AtomicBool,
) -> Result<Recorder, String> {
    let options = arguments.prometheus.options();
    let options = options.ok_or("set --prometheus-url to the Prometheus that recorded it")?;
    let to = Clock::system().now().as_second();
    let from = to - i64::try_from(last.as_secs()).unwrap_or(to);
    let mut recorder = Recorder::default();
    let bar = bar("Prometheus", 100, "{pos} %");
    let each = |sample: RecordedSample| {
        let RecordedSample { namespace, pod, at, resource, amount } = sample;
        // Prometheus knows no other times than those that it was asked for.
        let _ = recorder.record_amount(namespace, pod, at, resource, amount);
    };
    let note = |part: f64| {
        bar.set_position((part * 100.0) as u64);
        !stopped.load(Ordering::Relaxed)
    };
    let result = recorded(&options, (from, to), step, each, note).await;
    bar.finish_and_clear();
    result.map_err(|error| error.to_string())?;
    Ok(recorder)
}

/// A bar on a terminal; elsewhere nothing is drawn.
fn bar(what: &str, length: u64, count: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(length).with_message(what.to_owned());
    let template = format!("{{msg}} {{wide_bar}} {count} {{eta}}");
    match ProgressStyle::with_template(&template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
