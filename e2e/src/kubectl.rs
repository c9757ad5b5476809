//! `kubectl` and `helm`, as a user runs them.

use std::process::Stdio;

use anyhow::{Context, Result, bail};
use tokio::{io::AsyncWriteExt, process::Command};

/// Runs a program with `input` on its standard input and returns what it prints.
///
/// # Errors
/// When it cannot be run, or fails: with what it said on standard error.
pub async fn run(program: &str, arguments: &[&str], input: &str) -> Result<String> {
    let what = || format!("{program} {}", arguments.join(" "));
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // A Ctrl-C at the terminal is for us: what clears away must not die of it.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("{}: it cannot be run", what()))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).await.with_context(what)?;
    }
    let output = child.wait_with_output().await.with_context(what)?;
    if !output.status.success() {
        bail!("{}: {}", what(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Applies manifests with `kubectl apply`.
///
/// # Errors
/// When kubectl fails.
pub async fn apply(manifests: &str) -> Result<()> {
    run("kubectl", &["apply", "-f", "-"], manifests).await.map(drop)
}
