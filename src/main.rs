//! Arguments, wiring, shutdown: nothing else.

mod live;
mod replay;

use std::{io::IsTerminal, process::ExitCode, time::Duration};

use clap::{CommandFactory, Parser};
use k8s_openapi::api::events::v1::Event;
use kube::{Api, Client, ResourceExt, api::ListParams};
use live::{live, say};
use terminal_size::terminal_size;
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;
use tracing_subscriber::{EnvFilter, Layer, fmt, layer::SubscriberExt, util::SubscriberInitExt};
use weightedshare::{
    api,
    cli::{
        Arguments, Command, ExplainArguments, HistoryArguments, Looked, Output, PlanArguments,
        Source, TopArguments,
        controller::{ControllerArguments, ElectionArguments, LogFormat},
        explain, history, manifests,
        plan::Plan,
        planned,
        table::table,
        top,
    },
    cluster::Cluster,
    engine::Remembered,
    metrics,
    runtime::{self, Candidacy, Clock, Election, Leadership, NAME, Run, Serving, Terms, Traces},
};

/// What the program ends with on an error; 1 is the answer of `plan --exit-code`.
const TROUBLE: u8 = 2;
/// Who waits longer than that is told what for.
const SLOW: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Crd => {
            api::crd_yaml().map(|crd| print!("{crd}")).map_err(|error| error.to_string())
        }
        Command::Controller(arguments) => run_controller(*arguments).await,
        Command::Plan(arguments) => match plan(arguments).await {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        Command::Explain(arguments) => explain(arguments).await,
        Command::Top(arguments) => top(arguments).await,
        Command::History(arguments) => history(arguments).await,
        Command::Simulate(arguments) => replay::simulate(arguments).await,
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "weightedshare", &mut script);
            say(&String::from_utf8_lossy(&script))
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("weightedshare: {error}");
            ExitCode::from(TROUBLE)
        }
    }
}

async fn plan(arguments: PlanArguments) -> Result<ExitCode, String> {
    let (looked, _) = look(&arguments.source, Leader::Asked).await?;
    let mut plan = Plan::of(&looked);
    if let Some(namespace) = &arguments.namespace {
        let elsewhere = plan.keep(namespace);
        if !elsewhere.is_empty() {
            let elsewhere = elsewhere.join(", ");
            eprintln!("namespace {namespace} has no pools; there are pools in: {elsewhere}");
        }
    }
    let text = match arguments.output {
        Output::Table => table(&plan),
        Output::Json => serde_json::to_string(&plan).map_err(|error| error.to_string())? + "\n",
        Output::Yaml => serde_yaml_ng::to_string(&plan).map_err(|error| error.to_string())?,
        Output::Html => {
            let mut pools = planned::planned(&looked, Clock::system().now());
            if let Some(namespace) = &arguments.namespace {
                pools.retain(|planned| planned.pool.namespace().as_ref() == Some(namespace));
            }
            runtime::plan_page(&pools)
        }
    };
    say(&text)?;
    let changes = arguments.exit_code && plan.changes() > 0;
    Ok(ExitCode::from(u8::from(changes)))
}

async fn explain(arguments: ExplainArguments) -> Result<(), String> {
    let (looked, namespace) = look(&arguments.source, Leader::Asked).await?;
    let namespace = arguments.namespace.unwrap_or(namespace);
    let text = explain::explain(&looked, &namespace, &arguments.pod);
    say(&text.map_err(|error| error.to_string())?)
}

async fn top(arguments: TopArguments) -> Result<(), String> {
    let in_terminal = std::io::stdout().is_terminal();
    let draw = async || -> Result<String, String> {
        let width = terminal_size().map_or(80, |(width, _)| usize::from(width.0));
        let colours = in_terminal && std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty());
        let style = top::Style { width, colours };
        let (mut looked, _) = look(&arguments.source, Leader::LeftAlone).await?;
        let from_files = !arguments.source.files.is_empty();
        let now = Clock::system().now();
        if from_files && planned::fill_in_statuses(&mut looked, now) {
            eprintln!("a pool in these files has no status, so its planned shares are shown");
        }
        Ok(top::top(&looked, arguments.namespace.as_deref(), style))
    };
    if arguments.once || !in_terminal || !arguments.source.files.is_empty() {
        return say(&draw().await?);
    }
    let interval = Duration::from_secs(arguments.interval.into());
    live(draw, interval, shutdown()?).await
}

async fn history(arguments: HistoryArguments) -> Result<(), String> {
    let client = client().await?;
    let events: Api<Event> = match &arguments.namespace {
        Some(namespace) => Api::namespaced(client, namespace),
        None => Api::all(client),
    };
    let of_pools = ListParams::default().fields("regarding.kind=WeightedShare");
    let events = events.list(&of_pools).await.map_err(|error| {
        format!("the events cannot be listed: {error}: with -n, name a namespace that you may read")
    })?;
    say(&history::history(&events.items, arguments.pool.as_deref()))
}

/// Whether the controller that leads is asked what it remembers.
#[derive(Clone, Copy, PartialEq)]
enum Leader {
    Asked,
    /// What is shown is in the status of the pools.
    LeftAlone,
}

/// Reads the files, or looks at the cluster where there are none; with the namespace that is meant where none is named.
async fn look(source: &Source, leader: Leader) -> Result<(Looked, String), String> {
    if source.files.is_empty() {
        let client = client()
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
            eprintln!(
                "without measurements, every member is assumed to need what it owns: {trouble}"
            );
        }
        remembered.measure(&cluster, &mut metrics);
        let mut looked = Looked { cluster, metrics, remembered };
        looked.set_bounds(source.node_memory_grow_percent);
        return Ok((looked, client.default_namespace().to_owned()));
    }
    let manifests = manifests::read(&source.files, std::io::stdin());
    let manifests =
        manifests.map_err(|errors| format!("these manifests cannot be used:\n{errors}"))?;
    if !manifests.others.is_empty() {
        let others = manifests.others.iter().map(|(kind, count)| format!("{count} {kind}"));
        eprintln!("left out: {}", others.collect::<Vec<_>>().join(", "));
    }
    let mut looked = manifests.looked();
    looked.set_bounds(source.node_memory_grow_percent);
    Ok((looked, "default".to_owned()))
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

async fn client() -> Result<Client, String> {
    runtime::client().await.map_err(|error| error.to_string())
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
    let client = client().await?;
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
        let client = runtime::client().await?;
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
