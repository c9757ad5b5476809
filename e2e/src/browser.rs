//! A real browser without a window, for the page that the controller serves: it is told what to do by its DevTools
//! protocol, over its standard input and output.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use crate::packages::{self, BROWSER};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// The protocol is spoken on these two descriptors, each message ended by a zero byte.
const SPEAK: &str = r#"exec "$0" "$@" 3<&0 4>&1 1>&2"#;

/// A browser with one tab.
#[derive(Debug)]
pub struct Browser {
    /// It is killed with this value.
    _child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    tab: Option<String>,
    last: u64,
    /// The page that was opened last is there, with all that belongs to it.
    loaded: bool,
    /// What was asked of the network, and what the page was refused or failed in, since the last [`Browser::open`].
    requests: Vec<String>,
    troubles: Vec<String>,
}

impl Browser {
    /// Starts it, with these headers on all that it asks for. Certificates are not checked. None: there is no browser.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn start(headers: &Value) -> Result<Option<Self>> {
        let Some((program, environment)) = program()? else { return Ok(None) };
        let mut child = Command::new("sh")
            .args(["-c", SPEAK])
            .arg(program)
            // The pages are ours, and root has no sandbox.
            .args([
                "--no-sandbox",
                "--disable-gpu",
                "--remote-debugging-pipe",
                "--ignore-certificate-errors",
            ])
            .args(["--hide-scrollbars", "about:blank"])
            .envs(environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("run the browser")?;
        let input = child.stdin.take().context("its input")?;
        let output = BufReader::new(child.stdout.take().context("its output")?);
        let mut browser = Self {
            _child: child,
            input,
            output,
            tab: None,
            last: 0,
            loaded: false,
            requests: Vec::new(),
            troubles: Vec::new(),
        };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"})).await?;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let attached = browser.call("Target.attachToTarget", attach).await?;
        browser.tab = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Network", "Log", "Runtime"] {
            browser.call(&format!("{domain}.enable"), json!({})).await?;
        }
        browser.call("Network.setExtraHTTPHeaders", json!({"headers": headers})).await?;
        Ok(Some(browser))
    }

    /// Opens a page in a window of this size.
    ///
    /// # Errors
    /// When it cannot be had.
    pub async fn open(&mut self, url: &str, (width, height): (u32, u32)) -> Result<()> {
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": 2, "mobile": width < 600,
        });
        self.call("Emulation.setDeviceMetricsOverride", size).await?;
        self.requests.clear();
        self.troubles.clear();
        self.loaded = false;
        let answer = self.call("Page.navigate", json!({"url": url})).await?;
        if let Some(trouble) = answer["errorText"].as_str() {
            bail!("{url}: {trouble}");
        }
        // It may have been there before the answer was. A page that lives says something all the time, so all of it has a limit.
        let is_loaded = async {
            while !self.loaded {
                self.hear().await?;
            }
            Ok(())
        };
        timeout(PATIENCE, is_loaded).await.with_context(|| format!("{url} does not load"))?
    }

    /// What a JavaScript expression is on the page.
    ///
    /// # Errors
    /// When it throws.
    pub async fn evaluate(&mut self, expression: &str) -> Result<Value> {
        let what = json!({"expression": expression, "returnByValue": true});
        let mut answer = self.call("Runtime.evaluate", what).await?;
        match answer.get("exceptionDetails") {
            Some(thrown) => bail!("{expression}: {thrown}"),
            None => Ok(answer["result"]["value"].take()),
        }
    }

    /// The text of the page.
    ///
    /// # Errors
    /// When there is none.
    pub async fn text(&mut self) -> Result<String> {
        let text = self.evaluate("document.body.innerText").await?;
        text.as_str().map(str::to_owned).context("no text")
    }

    /// Saves what the whole page looks like, as PNG.
    ///
    /// # Errors
    /// When it cannot be drawn, or written.
    pub async fn screenshot(&mut self, path: &Path) -> Result<()> {
        let whole = json!({"format": "png", "captureBeyondViewport": true});
        let answer = self.call("Page.captureScreenshot", whole).await?;
        let data = answer["data"].as_str().context("no picture")?;
        std::fs::write(path, BASE64_STANDARD.decode(data)?)
            .with_context(|| path.display().to_string())
    }

    /// The addresses that were asked for since the page was opened.
    #[must_use]
    pub fn requests(&self) -> &[String] {
        &self.requests
    }

    /// What the browser complained of since then.
    #[must_use]
    pub fn troubles(&self) -> &[String] {
        &self.troubles
    }

    async fn call(&mut self, method: &str, params: Value) -> Result<Value> {
        self.last += 1;
        let mut call = json!({"id": self.last, "method": method, "params": params});
        if let Some(tab) = &self.tab {
            call["sessionId"] = json!(tab);
        }
        self.input.write_all(format!("{call}\0").as_bytes()).await?;
        let answer = async {
            loop {
                let heard = self.hear().await?;
                if heard["id"] == self.last {
                    return anyhow::Ok(heard);
                }
            }
        };
        let answer = timeout(PATIENCE, answer).await.context("there is no answer");
        let mut answer = answer.flatten().with_context(|| method.to_owned())?;
        match answer.get("error") {
            Some(error) => bail!("{method}: {error}"),
            None => Ok(answer["result"].take()),
        }
    }

    /// The next message.
    async fn hear(&mut self) -> Result<Value> {
        let mut message = Vec::new();
        let read = timeout(PATIENCE, self.output.read_until(0, &mut message)).await;
        if read.context("the browser says nothing")?? == 0 {
            bail!("the browser has ended");
        }
        message.pop();
        let heard: Value = serde_json::from_slice(&message)?;
        let params = &heard["params"];
        match heard["method"].as_str() {
            Some("Network.requestWillBeSent") => {
                self.requests
                    .push(params["request"]["url"].as_str().unwrap_or_default().to_owned());
            }
            Some("Log.entryAdded") if params["entry"]["level"] == "error" => {
                self.troubles.push(params["entry"].to_string());
            }
            Some("Page.loadEventFired") => self.loaded = true,
            Some("Runtime.exceptionThrown") => self.troubles.push(params.to_string()),
            _ => {}
        }
        Ok(heard)
    }
}

/// What is added to a program's environment.
type Environment = Vec<(&'static str, String)>;

/// The program, and what it needs to find its libraries and fonts. None: there is no browser.
fn program() -> Result<Option<(PathBuf, Environment)>> {
    if let Some(program) = packages::browser() {
        return Ok(Some((program, Vec::new())));
    }
    let Some(root) = BROWSER.folder() else { return Ok(None) };
    let within = |path: &str| root.join(path).display().to_string();
    let fonts = root.join("fonts.conf");
    let folder = within("usr/share/fonts");
    let told = format!(
        r#"<?xml version="1.0"?><fontconfig><dir>{folder}</dir><cachedir prefix="xdg">fontconfig</cachedir></fontconfig>"#
    );
    std::fs::write(&fonts, told).with_context(|| fonts.display().to_string())?;
    let libraries = [
        within("usr/lib/x86_64-linux-gnu"),
        within("lib/x86_64-linux-gnu"),
        within("usr/lib/x86_64-linux-gnu/pulseaudio"),
    ];
    let environment = vec![
        ("LD_LIBRARY_PATH", libraries.join(":")),
        ("FONTCONFIG_FILE", fonts.display().to_string()),
    ];
    Ok(Some((root.join("usr/lib/chromium/chromium-headless-shell"), environment)))
}
