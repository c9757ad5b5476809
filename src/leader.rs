//! The commands that talk to the controller that leads: `logs` and `page`.

use futures::{AsyncBufReadExt, StreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::LogParams};
use tokio::net::{TcpListener, TcpStream};
use weightedshare::{
    cli::{ControllerPlace, LogsArguments, PageArguments},
    runtime::{self, LeaderPod, Waits},
};

use crate::{
    live::{Reader, print, say},
    shutdown,
};

/// The pod that leads, and the pods of its namespace.
async fn leader(place: &ControllerPlace) -> Result<(LeaderPod, Api<Pod>), String> {
    let client = runtime::client(&place.connection.access(), Waits::ForStreams).await;
    let client = client.map_err(|error| error.to_string())?;
    let leader = runtime::leader_pod(&client, place.namespace.as_deref()).await;
    let leader = leader.map_err(|error| error.to_string())?;
    let pods = Api::namespaced(client, &leader.namespace);
    Ok((leader, pods))
}

/// Shows the leader's log.
pub async fn logs(arguments: LogsArguments) -> Result<(), String> {
    let (leader, pods) = leader(&arguments.place).await?;
    let params = params(&arguments);
    let broken = |error: &dyn std::fmt::Display| {
        let LeaderPod { namespace, name } = &leader;
        format!(
            "the log of pod {namespace}/{name} cannot be read: {error}: check that you may get pods/log there"
        )
    };
    let log = pods.log_stream(&leader.name, &params).await.map_err(|error| broken(&error))?;
    let mut lines = log.lines();
    while let Some(line) = lines.next().await {
        let line = line.map_err(|error| broken(&error))? + "\n";
        if print(&line)? == Reader::Left {
            break;
        }
    }
    if arguments.follow {
        eprintln!(
            "pod {} has ended: run the command again for the log of the next leader",
            leader.name
        );
    }
    Ok(())
}

fn params(arguments: &LogsArguments) -> LogParams {
    let since = arguments.since.map(|since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX));
    LogParams {
        follow: arguments.follow,
        since_seconds: since,
        tail_lines: arguments.tail.map(i64::from),
        ..LogParams::default()
    }
}

/// Forwards a local port to the leader's web page, until Ctrl-C.
pub async fn page(arguments: PageArguments) -> Result<(), String> {
    let (leader, pods) = leader(&arguments.place).await?;
    let LeaderPod { namespace, name } = &leader;
    let pod = pods.get(name).await.map_err(|error| {
        format!("pod {namespace}/{name} cannot be read: {error}: check that you may get it")
    })?;
    let address = runtime::page_address(&pod);
    let remote = address.as_ref().and_then(runtime::Address::port).ok_or_else(|| {
        format!("pod {namespace}/{name} serves no web page: set its --metrics-address")
    })?;
    let listener = TcpListener::bind(("127.0.0.1", arguments.port)).await.map_err(|error| {
        format!(
            "port {} cannot be listened on: {error}: choose another one with --port",
            arguments.port
        )
    })?;
    let port = listener.local_addr().map_err(|error| error.to_string())?.port();
    let is_exposed = address.is_some_and(|address| address.is_exposed());
    let scheme = if is_exposed { "https" } else { "http" };
    say(&format!(
        "The web page of pod {namespace}/{name} is at {scheme}://127.0.0.1:{port} until Ctrl-C.\n"
    ))?;
    if is_exposed {
        eprintln!("it answers only requests with a bearer token of a user who may read it");
    }
    let mut stop = std::pin::pin!(shutdown()?);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => return Ok(()),
            accepted = listener.accept() => accepted,
        };
        let (socket, _) = accepted.map_err(|error| format!("port {port} fails: {error}"))?;
        let (pods, leader) = (pods.clone(), leader.clone());
        tokio::spawn(async move {
            if let Err(error) = forward(&pods, &leader.name, remote, socket).await {
                let LeaderPod { namespace, name } = leader;
                eprintln!(
                    "pod {namespace}/{name} cannot be reached: {error}: if it has ended, run the command again"
                );
            }
        });
    }
}

/// Carries one connection to a port of a pod and back, until an end closes it.
async fn forward(
    pods: &Api<Pod>,
    pod: &str,
    port: u16,
    mut socket: TcpStream,
) -> Result<(), String> {
    let mut forwarder = pods.portforward(pod, &[port]).await.map_err(|error| error.to_string())?;
    let mut remote = forwarder.take_stream(port).ok_or("the port forwarding gave no stream")?;
    // A browser that closes its connection is no trouble.
    let _ = tokio::io::copy_bidirectional(&mut socket, &mut remote).await;
    forwarder.abort();
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use weightedshare::cli::{Arguments, Command};

    use super::*;

    #[test]
    fn a_log_is_asked_for_as_far_as_it_is_wanted() {
        let of = |arguments: &[&str]| {
            let parsed =
                Arguments::try_parse_from([&["weightedshare", "logs"], arguments].concat());
            let Command::Logs(arguments) = parsed.unwrap().command else { panic!("not logs") };
            params(&arguments)
        };
        let all = of(&[]);
        assert_eq!((all.follow, all.tail_lines, all.since_seconds), (false, None, None));
        let some = of(&["-f", "--tail", "20", "--since", "5m"]);
        assert_eq!((some.follow, some.tail_lines, some.since_seconds), (true, Some(20), Some(300)));
    }
}
