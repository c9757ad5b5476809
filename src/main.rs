//! Arguments, wiring, shutdown: nothing else.

mod completion;
mod convert;
mod edit;
mod leader;
mod live;
mod look;
mod replay;
mod show;
mod version;

use std::process::ExitCode;

use clap::Parser;
use kube::Client;
use live::say;
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;
use tracing_subscriber::{EnvFilter, Layer, fmt, layer::SubscriberExt, util::SubscriberInitExt};
use weightedshare::{
    api::{self, Mode},
    cli::{
        Arguments, Command,
        controller::{ControllerArguments, ElectionArguments, LogFormat},
    },
    metrics,
    runtime::{
        self, Access, Candidacy, Clock, Election, Leadership, NAME, Run, Serving, Terms, Traces,
        Waits,
    },
};

/// What the program ends with on an error; 1 is the answer of `plan --exit-code`.
const TROUBLE: u8 = 2;

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Plan(arguments) => match show::plan(arguments).await {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        Command::Explain(arguments) => show::explain(arguments).await,
        Command::Top(arguments) => show::top(arguments).await,
        Command::Status(arguments) => show::status(arguments).await,
        Command::History(arguments) => show::history(arguments).await,
        Command::SetWeight(arguments) => edit::set_weight(arguments).await,
        Command::Observe(arguments) => edit::set_mode(arguments, Mode::Observe).await,
        Command::Resume(arguments) => edit::set_mode(arguments, Mode::Auto).await,
        Command::Logs(arguments) => leader::logs(arguments).await,
        Command::Page(arguments) => leader::page(arguments).await,
        Command::Simulate(arguments) => replay::simulate(arguments).await,
        Command::FromVsphere(arguments) => convert::from_vsphere(&arguments),
        Command::Version(arguments) => version::version(arguments).await,
        Command::Controller(arguments) => run_controller(*arguments).await,
        Command::Crd => {
            api::crd_yaml().map_err(|error| error.to_string()).and_then(|crd| say(&crd))
        }
        Command::Completion { shell } => completion::script(shell),
        Command::Complete { words } => completion::complete(words),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("weightedshare: {error}");
            ExitCode::from(TROUBLE)
        }
    }
}

async fn run_controller(arguments: ControllerArguments) -> Result<(), String> {
    let filter = EnvFilter::try_from_env("LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let traces = Traces::from_env().map_err(|error| error.to_string())?;
    let log = match arguments.log_format {
        LogFormat::Text => fmt::layer().with_ansi(false).boxed(),
        LogFormat::Json => fmt::layer().json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(log.with_filter(filter)).with(traces.layer()).init();
    let stop = runtime::stop(shutdown()?);
    let client = runtime::client(&Access::default(), Waits::ForAnswers).await;
    let client = client.map_err(|error| error.to_string())?;
    let (candidacy, leadership) = candidacy(&client, &arguments.election)?;
    let serving = Serving::of(leadership, arguments.member_metrics);
    let clock = Clock::system();
    let Serving { leadership, health, telemetry, dashboard, .. } = serving.clone();
    let health = health.routes(leadership);
    let looked_at = telemetry.routes().merge(dashboard.routes(clock.clone()));
    let recall = serving.recall.clone().routes();
    runtime::listen(&arguments.health_address, "probes", health)
        .await
        .map_err(|error| error.to_string())?;
    runtime::listen_guarded(
        &arguments.metrics_address,
        "metrics and the web page",
        looked_at,
        &client,
    )
    .await
    .map_err(|error| error.to_string())?;
    if arguments.recall_address.is_exposed() {
        return Err("--recall-address must not be reachable from other hosts: set it to a port of 127.0.0.1, or to 0".to_owned());
    }
    runtime::listen(&arguments.recall_address, "recent peaks and granted shares", recall)
        .await
        .map_err(|error| error.to_string())?;
    let version = client.apiserver_version().await.map_err(|error| {
        format!("the API server does not answer: {error}: check the kubeconfig and the network")
    })?;
    info!(server = %version.git_version, "weightedshare {} started", env!("CARGO_PKG_VERSION"));
    let sources = metrics::sources(&client, arguments.prometheus.options().as_ref());
    let sources = sources.map_err(|error| error.to_string())?;
    let run = Run {
        client,
        sources,
        clock,
        serving: serving.clone(),
        bounds: arguments.bounds(),
        check: None,
    };
    let work = |stop| runtime::run(run, stop);
    runtime::lead(candidacy, &serving, stop, work).await.map_err(|error| error.to_string())?;
    info!("stopped");
    Ok(())
}

/// The election that says whether this process writes; none where it is turned off.
fn candidacy(
    client: &Client,
    arguments: &ElectionArguments,
) -> Result<(Option<Candidacy>, Leadership), String> {
    if !arguments.leader_elect {
        return Ok((None, Leadership::default()));
    }
    let terms = Terms::of_seconds(arguments.lease_duration);
    let leadership = Leadership::by(terms);
    let of_election = leadership.clone();
    let given = arguments.lease_namespace.as_deref().filter(|namespace| !namespace.is_empty());
    let namespace = given.unwrap_or_else(|| client.default_namespace()).to_owned();
    let identity = runtime::identity(&arguments.pod_name);
    let election = async move || {
        let client = runtime::client(&Access::default(), Waits::ForAnswers).await?;
        Ok(Election::new(client, (&namespace, NAME), identity, terms, of_election))
    };
    let candidacy = Candidacy::on_a_thread(election);
    let candidacy = candidacy
        .map_err(|error| format!("the thread for the lease cannot be started: {error}"))?;
    Ok((Some(candidacy), leadership))
}

/// Ends on SIGTERM, as a pod is stopped, and on Ctrl-C.
fn shutdown() -> Result<impl Future<Output = ()> + Send + 'static, String> {
    let signals = |kind| signal(kind).map_err(|error| format!("signals cannot be caught: {error}"));
    let (mut terminate, mut interrupt) =
        (signals(SignalKind::terminate())?, signals(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
