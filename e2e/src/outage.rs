//! A process of the cluster that is killed and started again, as a test wants it. The test asks over a socket in the run
//! directory; who started the process does it.

use std::{
    io::{Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixListener,
    time::timeout,
};

use crate::{Cluster, process::Processes, run_dir::RunDir};

/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A process that is dead until this value goes.
#[derive(Debug)]
pub struct Outage {
    run_dir: RunDir,
    name: String,
    over: bool,
}

impl Outage {
    /// Kills the process of that name at once: `etcd`, `kube-apiserver`, `kubelet`. It is gone when this returns.
    ///
    /// # Errors
    /// On a cluster that is not ours, or when no such process runs.
    pub fn of(cluster: &Cluster, name: &str) -> Result<Self> {
        let run_dir = cluster.own()?.clone();
        ask(&run_dir, "kill", name)?;
        Ok(Self { run_dir, name: name.to_owned(), over: false })
    }

    /// Starts it anew, with the arguments that it had. It is not ready yet when this returns.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn end(mut self) -> Result<()> {
        self.over = true;
        ask(&self.run_dir, "start", &self.name)
    }
}

impl Drop for Outage {
    /// A test that failed leaves a whole cluster to those after it.
    fn drop(&mut self) {
        if !self.over {
            let _ = ask(&self.run_dir, "start", &self.name);
        }
    }
}

fn ask(run_dir: &RunDir, what: &str, name: &str) -> Result<()> {
    let asked = || format!("ask the harness to {what} {name}");
    let mut stream = UnixStream::connect(run_dir.outages()).with_context(asked)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{what} {name}").as_bytes()).with_context(asked)?;
    stream.shutdown(Shutdown::Write).with_context(asked)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).with_context(asked)?;
    if answer == DONE { Ok(()) } else { bail!("{}: {answer}", asked()) }
}

const DONE: &str = "done";

/// Listens for what tests ask for.
///
/// # Errors
/// When the socket cannot be made.
pub fn listen(run_dir: &RunDir) -> Result<UnixListener> {
    let socket = run_dir.outages();
    UnixListener::bind(&socket).with_context(|| format!("listen at {}", socket.display()))
}

/// Waits for the next request. Nothing is lost where this is dropped meanwhile.
pub async fn next(listener: &UnixListener) -> tokio::net::UnixStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            // Those that asked will find out.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Does what is asked for, and says how it went.
pub async fn answer(mut stream: tokio::net::UnixStream, processes: &Processes) {
    let serve = async {
        let mut request = String::new();
        stream.read_to_string(&mut request).await?;
        let done = match request.split_once(' ') {
            Some(("kill", name)) => processes.kill(name).await,
            Some(("start", name)) => processes.start_again(name).await,
            _ => bail!("{request:?} is no request"),
        };
        let answer = done.map_or_else(|error| format!("{error:#}"), |()| DONE.to_owned());
        Ok(stream.write_all(answer.as_bytes()).await?)
    };
    let _ = timeout(PATIENCE, serve).await;
}
