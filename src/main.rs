//! Arguments, wiring, shutdown: nothing else.

use std::process::ExitCode;

use clap::Parser;
use kube::Client;
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};
use weightedshare::{
    api,
    cli::{Arguments, Command},
    controller,
};

#[tokio::main]
async fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Crd => {
            api::crd_yaml().map(|crd| print!("{crd}")).map_err(|error| error.to_string())
        }
        Command::Controller => run_controller().await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("weightedshare: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run_controller() -> Result<(), String> {
    let filter = EnvFilter::try_from_env("LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::registry().with(filter).with(fmt::layer().with_ansi(false)).init();
    let client = Client::try_default().await.map_err(|error| {
        format!("no cluster to work on: {error}: set KUBECONFIG, or run it in a pod with a ServiceAccount")
    })?;
    let version = client.apiserver_version().await.map_err(|error| {
        format!("the API server does not answer: {error}: check the kubeconfig and the network")
    })?;
    info!(server = %version.git_version, "weightedshare {} divides", env!("CARGO_PKG_VERSION"));
    controller::run(client, shutdown()?).await;
    info!("ended");
    Ok(())
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
