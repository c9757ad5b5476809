//! The cluster's processes: each with a log file, and a failed start that says why.

use std::{
    fmt::Write,
    fs::File,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Error, Result, anyhow};
use futures::future::select_all;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::{Child, Command},
    sync::Mutex,
    time::{sleep, timeout},
};

const REASONS: usize = 5;

/// A process of the cluster. It dies with this value.
#[derive(Debug)]
pub struct Process {
    name: String,
    command: Command,
    log: PathBuf,
    child: Child,
}

impl Process {
    /// Starts a program that logs to `NAME.log` in the folder.
    pub fn start(name: &str, logs: &Path, mut command: Command) -> Result<Self> {
        let log = logs.join(format!("{name}.log"));
        let file = File::create(&log).with_context(|| format!("make {}", log.display()))?;
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            // A Ctrl-C at the terminal is for the command, and the cluster outlives that.
            .process_group(0)
            .kill_on_drop(true);
        let child = spawn(name, &mut command)?;
        Ok(Self { name: name.to_owned(), command, log, child })
    }

    /// Kills it, so that it can do nothing about it, and waits until it is gone.
    async fn kill(&mut self) -> Result<()> {
        self.child.kill().await.with_context(|| format!("kill {}", self.name))
    }

    /// Starts it anew after its end, with the same arguments; its log goes on.
    fn start_again(&mut self) -> Result<()> {
        self.child = spawn(&self.name, &mut self.command)?;
        Ok(())
    }

    /// The process id.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// An error with all that is needed to find out why it did not start.
    pub fn failure(&self, what: &str) -> Error {
        failure(&self.name, &command_line(self.command.as_std()), &self.log, what)
    }

    fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }
}

/// All processes of one cluster.
#[derive(Debug, Default)]
pub struct Processes {
    running: Mutex<Vec<Process>>,
    /// Those that were killed, until they are started again.
    killed: Mutex<Vec<Process>>,
}

impl Processes {
    /// Takes one in.
    pub async fn add(&self, process: Process) {
        self.running.lock().await.push(process);
    }

    /// Kills the process of that name. That this one ended is no failure.
    pub async fn kill(&self, name: &str) -> Result<()> {
        let mut process = take(&self.running, name)
            .await
            .with_context(|| format!("no process called {name} runs"))?;
        let result = process.kill().await;
        self.killed.lock().await.push(process);
        result
    }

    /// Starts the process of that name anew, which was killed.
    pub async fn start_again(&self, name: &str) -> Result<()> {
        let mut process = take(&self.killed, name)
            .await
            .with_context(|| format!("no process called {name} was killed"))?;
        let result = process.start_again();
        let list = if result.is_ok() { &self.running } else { &self.killed };
        list.lock().await.push(process);
        result
    }

    /// Waits until `probe` succeeds. If that takes too long it is the fault of the process called
    /// `name`; if any process ends meanwhile, of that one.
    pub async fn wait_for<F>(&self, name: &str, what: &str, limit: Duration, probe: F) -> Result<()>
    where
        F: AsyncFn() -> Result<()>,
    {
        let deadline = Instant::now() + limit;
        loop {
            // A probe may hang where there is no answer.
            let result = match timeout(Duration::from_secs(3), probe()).await {
                Ok(result) => result,
                Err(_) => Err(anyhow!("no answer within 3 s")),
            };
            let Err(error) = result else { return Ok(()) };
            let mut running = self.running.lock().await;
            for process in running.iter_mut() {
                if let Some(status) = process.ended()? {
                    return Err(process.failure(&format!("ended with {status}")));
                }
            }
            if Instant::now() > deadline {
                let what = format!("{what}: not within {} s ({error:#})", limit.as_secs());
                return Err(match running.iter().find(|process| process.name == name) {
                    Some(process) => process.failure(&what),
                    None => anyhow!("{name}: {what}"),
                });
            }
            drop(running);
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Resolves as soon as a process ends, which none should, with what to say about it.
    pub async fn first_end(&self) -> Error {
        let mut running = self.running.lock().await;
        if running.is_empty() {
            return std::future::pending().await;
        }
        let ends = running.iter_mut().map(|process| Box::pin(process.child.wait()));
        let (status, index, _) = select_all(ends).await;
        let process = running.swap_remove(index);
        match status {
            Ok(status) => process.failure(&format!("ended with {status}")),
            Err(error) => process.failure(&error.to_string()),
        }
    }
}

/// Runs a program to its end; its messages are the error.
pub async fn run(command: &mut Command) -> Result<String> {
    let line = command_line(command.as_std());
    let output = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("start: {line}"))?;
    if !output.status.success() {
        let messages = String::from_utf8_lossy(&output.stderr);
        return Err(anyhow!("{line}: {}: {}", output.status, messages.trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Asks a health address on this machine by plain HTTP, and wants a 200.
pub async fn http_ok(port: u16, path: &str) -> Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let first = answer.lines().next().unwrap_or_default();
    if first.split(' ').nth(1) == Some("200") { Ok(()) } else { Err(anyhow!("{path}: {first}")) }
}

async fn take(processes: &Mutex<Vec<Process>>, name: &str) -> Option<Process> {
    let mut processes = processes.lock().await;
    let place = processes.iter().position(|process| process.name == name)?;
    Some(processes.swap_remove(place))
}

fn spawn(name: &str, command: &mut Command) -> Result<Child> {
    let line = command_line(command.as_std());
    command.spawn().with_context(|| format!("start {name}: {line}"))
}

fn failure(name: &str, command: &str, log: &Path, what: &str) -> Error {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let mut message = format!("{name} {what}\n  command: {command}\n  log: {}", log.display());
    for line in reasons(&text) {
        // Long lines are mostly dumps of structures.
        let line: String = line.chars().take(600).collect();
        let _ = write!(message, "\n  | {line}");
    }
    anyhow!(message)
}

/// The lines of a log that say why: the last errors, or the last lines where none looks like one.
fn reasons(log: &str) -> Vec<&str> {
    let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    let errors: Vec<&str> = lines.iter().copied().filter(|line| is_error(line)).collect();
    let told = if errors.is_empty() { lines } else { errors };
    told[told.len().saturating_sub(REASONS)..].to_vec()
}

fn is_error(line: &str) -> bool {
    let mut start = line.chars();
    // klog: the severity, then month and day.
    let klog = matches!(start.next(), Some('E' | 'F'))
        && start.by_ref().take(4).filter(char::is_ascii_digit).count() == 4;
    let line = line.to_lowercase();
    let marks = ["level=error", "level=fatal", r#""level":"error""#, r#""level":"fatal""#];
    let starts = ["error:", "panic:", "fatal error:", "unknown flag"];
    klog || marks.iter().any(|mark| line.contains(mark))
        || starts.iter().any(|start| line.starts_with(start))
}

fn command_line(command: &std::process::Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_killed_starts_again_and_its_log_goes_on() -> Result<()> {
        let logs = std::env::temp_dir();
        let name = format!("started-again-{}", std::process::id());
        let mut command = Command::new("sh");
        command.args(["-c", "echo $0; exec sleep 60", "here"]);
        let processes = Processes::default();
        processes.add(Process::start(&name, &logs, command)?).await;
        let log = logs.join(format!("{name}.log"));
        let says = async |wanted: &str| match std::fs::read_to_string(&log)? {
            text if text == wanted => Ok(()),
            text => Err(anyhow!("the log is {text:?}")),
        };
        let second = Duration::from_secs(1);
        processes.wait_for(&name, "says so", second, async || says("here\n").await).await?;
        assert!(processes.start_again(&name).await.is_err(), "it runs");

        processes.kill(&name).await?;
        assert!(processes.kill(&name).await.is_err(), "it is dead");
        // Its end is not told.
        assert!(timeout(Duration::from_millis(50), processes.first_end()).await.is_err());
        processes.start_again(&name).await?;
        processes.wait_for(&name, "says so", second, async || says("here\nhere\n").await).await?;
        let result = std::fs::remove_file(&log);
        // A second life that ends by itself is a failure as any other.
        let pid = processes.running.lock().await[0]
            .id()
            .and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
        rustix::process::kill_process(pid.context("it runs")?, rustix::process::Signal::TERM)?;
        let end = processes.first_end().await.to_string();
        assert!(end.starts_with(&name), "{end}");
        Ok(result?)
    }

    #[test]
    fn the_lines_that_say_why() {
        let klog =
            "I1124 04:05:06 starting\nE1124 04:05:06.1 run.go:72] \"command failed\"\nI1124 x";
        assert_eq!(reasons(klog), ["E1124 04:05:06.1 run.go:72] \"command failed\""]);
        assert_eq!(
            reasons("Everything is fine\nthen it stops"),
            ["Everything is fine", "then it stops"]
        );
        assert_eq!(
            reasons("{\"level\":\"info\"}\n{\"level\":\"fatal\"}"),
            ["{\"level\":\"fatal\"}"]
        );
        assert_eq!(reasons(""), [""; 0]);
    }
}
