//! Runs a command that runs tests, and prints the slowest tests and the test runners' summaries at its end.

mod recorder;
#[cfg(test)]
mod tests;

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Write},
    path::Path,
    process::ExitStatus,
    time::Duration,
};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::AsyncReadExt,
    net::unix::pipe::{self, Receiver},
    process::{Child, Command},
    time::{Instant, sleep_until},
};

use crate::{exit, signals::Signals};
use recorder::{Findings, Recorder};

/// With this argument a test runner names each test before it runs it.
const ONE_AT_A_TIME: &str = "--test-threads=1";
/// How long the output of processes that outlive the command is still passed on.
const GRACE: Duration = Duration::from_secs(2);

/// Runs the command, passes its output on as it is, and prints the findings. They are added to the file, too, if one is
/// named. Returns the exit status of the command.
pub async fn run(command: &[OsString], record: Option<&Path>) -> Result<u8> {
    let (program, arguments) = command.split_first().context("no command")?;
    let mut signals = Signals::new()?;
    // Both go into one pipe, so that what cargo says of a binary stays before what the binary prints.
    let (sender, receiver) = pipe::pipe()?;
    let output = sender.into_blocking_fd()?;
    let errors = output.try_clone()?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdout(output)
        .stderr(errors)
        .spawn()
        .with_context(|| format!("run {}", program.to_string_lossy()))?;
    let mut recorder = Recorder::new(arguments.iter().any(|it| it == ONE_AT_A_TIME));
    let status = pass_on(&mut child, receiver, &mut recorder, &mut signals).await?;
    let findings = recorder.end();
    print(&findings);
    if let Some(path) = record {
        append(&findings, path).with_context(|| path.display().to_string())?;
    }
    Ok(exit::of(status))
}

/// Prints what several commands have added to a file.
pub fn print_total(record: &Path) -> Result<()> {
    let text = std::fs::read_to_string(record).with_context(|| record.display().to_string())?;
    let mut total = Findings::default();
    for line in text.lines() {
        total.add(serde_json::from_str(line)?);
    }
    print(&total);
    Ok(())
}

fn print(findings: &Findings) {
    // The exit status counts, even if the reader of the output is gone.
    let _ = io::stdout().write_all(findings.to_string().as_bytes());
}

fn append(findings: &Findings, path: &Path) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = File::options().create(true).append(true).open(path)?;
    writeln!(file, "{}", serde_json::to_string(findings)?)?;
    Ok(())
}

/// Passes on what the command prints until it has ended.
async fn pass_on(
    child: &mut Child,
    mut output: Receiver,
    recorder: &mut Recorder,
    signals: &mut Signals,
) -> Result<ExitStatus> {
    let mut piece = vec![0; 1 << 16];
    let (began, mut ended) = (Instant::now(), None);
    loop {
        tokio::select! {
            length = output.read(&mut piece) => {
                let length = length.unwrap_or_default();
                if length == 0 {
                    break;
                }
                recorder.read(&piece[..length], began.elapsed());
                write(&mut io::stdout(), &piece[..length]);
            }
            received = signals.next(false) => {
                // The terminal sends the others to the command as well.
                if let (Signal::TERM, Some(pid)) = (received.number, pid(child)) {
                    let _ = kill_process(pid, Signal::TERM);
                }
            }
            status = child.wait(), if ended.is_none() => ended = Some((status?, Instant::now() + GRACE)),
            () = until(ended.map(|(_, limit)| limit)) => break,
        }
    }
    match ended {
        Some((status, _)) => Ok(status),
        None => Ok(child.wait().await?),
    }
}

fn pid(child: &Child) -> Option<Pid> {
    child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?))
}

async fn until(limit: Option<Instant>) {
    match limit {
        Some(limit) => sleep_until(limit).await,
        None => std::future::pending().await,
    }
}

/// A reader that is gone must not end us before the command has cleared away.
fn write(to: &mut impl Write, bytes: &[u8]) {
    let _ = to.write_all(bytes).and_then(|()| to.flush());
}
