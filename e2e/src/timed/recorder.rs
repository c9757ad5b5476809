//! What the output of test runners says of the tests.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// How many of the slowest are printed.
const SLOWEST: usize = 10;

/// Reads what cargo and the test runners print, in pieces of any length.
///
/// A runner that runs one test at a time prints `test NAME ... ` when the test begins and its result when it ends, with all
/// that the test prints in between. So a test lasts until the next one begins, or until the runner tells of all of them: where the last
/// line of the test has no newline, the result is at its end. A runner that runs tests side by side names a test when it has
/// ended, and only the time of the whole binary is known.
#[derive(Debug)]
pub struct Recorder {
    one_at_a_time: bool,
    /// The last line, which has no end yet.
    line: Vec<u8>,
    /// The binary that cargo named last.
    binary: String,
    test: Option<Running>,
    findings: Findings,
}

/// A test that runs.
#[derive(Debug)]
struct Running {
    name: String,
    since: Duration,
    /// The line that began it has no end yet.
    within_line: bool,
    failed: bool,
}

/// What is known of all tests.
#[derive(Debug, Default, Deserialize, Serialize)]
pub struct Findings {
    timings: Vec<Timing>,
    /// The runners' summaries, with the names of their binaries.
    summaries: Vec<String>,
    /// How many binaries had no test to run.
    idle: usize,
}

#[derive(Debug, Deserialize, Serialize)]
struct Timing {
    name: String,
    seconds: f64,
    failed: bool,
}

impl Recorder {
    /// Whether tests run one at a time, the runners' arguments say.
    pub fn new(one_at_a_time: bool) -> Self {
        Self {
            one_at_a_time,
            line: Vec::new(),
            binary: String::new(),
            test: None,
            findings: Findings::default(),
        }
    }

    /// Reads a piece of the output and the errors, that came at this time.
    pub fn read(&mut self, piece: &[u8], now: Duration) {
        self.line.extend(piece);
        for line in whole_lines(&mut self.line) {
            self.read_line(&line, now);
        }
        let begun = self.test.as_ref().is_some_and(|test| test.within_line);
        if let (false, Some(name)) = (begun, header(&String::from_utf8_lossy(&self.line))) {
            self.begin(&name, now, true);
        }
    }

    /// All that was found.
    pub fn end(self) -> Findings {
        self.findings
    }

    fn read_line(&mut self, line: &str, now: Duration) {
        let begun = self.test.as_mut().is_some_and(|test| std::mem::take(&mut test.within_line));
        if begun {
            // This is the end of the line that began the test.
        } else if let (true, Some(binary)) = (self.test.is_none(), binary(line)) {
            self.binary = binary;
        } else if line == "failures:" {
            self.end_test(now);
        } else if line.starts_with("test result: ") {
            self.summarize(line, now);
        } else if let Some(name) = header(line) {
            self.begin(&name, now, false);
        }
        if let Some(test) = self.test.as_mut().filter(|_| !line.is_empty()) {
            test.failed = line.ends_with("FAILED");
        }
    }

    fn begin(&mut self, test: &str, now: Duration, within_line: bool) {
        self.end_test(now);
        if self.one_at_a_time {
            let name = [&*self.binary, test].join(" ").trim_start().to_owned();
            self.test = Some(Running { name, since: now, within_line, failed: false });
        }
    }

    fn end_test(&mut self, now: Duration) {
        if let Some(Running { name, since, failed, .. }) = self.test.take() {
            let seconds = now.saturating_sub(since).as_secs_f64();
            self.findings.timings.push(Timing { name, seconds, failed });
        }
    }

    fn summarize(&mut self, line: &str, now: Duration) {
        self.end_test(now);
        let Some(run) = count(line, "passed").zip(count(line, "failed")).map(|(a, b)| a + b) else {
            return;
        };
        if run == 0 {
            self.findings.idle += 1;
            return;
        }
        if let (false, Some(seconds)) = (self.one_at_a_time, finished_in(line)) {
            let name = format!("{} (all its tests, side by side)", self.binary);
            let failed = line.contains("FAILED");
            self.findings.timings.push(Timing { name, seconds, failed });
        }
        self.findings.summaries.push(match &*self.binary {
            "" => line.to_owned(),
            binary => format!("{line} ({binary})"),
        });
    }
}

impl Findings {
    /// Adds those of another command.
    pub fn add(&mut self, other: Self) {
        self.timings.extend(other.timings);
        self.summaries.extend(other.summaries);
        self.idle += other.idle;
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut slowest: Vec<&Timing> = self.timings.iter().collect();
        slowest.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        if !slowest.is_empty() {
            writeln!(f, "\nThe {SLOWEST} slowest tests:")?;
        }
        for Timing { name, seconds, failed } in slowest.into_iter().take(SLOWEST) {
            writeln!(f, "{seconds:8.1} s  {name}{}", if *failed { ", failed" } else { "" })?;
        }
        if self.summaries.is_empty() && self.idle == 0 {
            return Ok(());
        }
        writeln!(f, "\nThe test runners' summaries ({} had no test to run):", self.idle)?;
        self.summaries.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// Takes the lines that have an end.
fn whole_lines(text: &mut Vec<u8>) -> Vec<String> {
    let Some(last) = text.iter().rposition(|byte| *byte == b'\n') else { return Vec::new() };
    let whole: Vec<u8> = text.drain(..=last).collect();
    String::from_utf8_lossy(&whole).lines().map(str::to_owned).collect()
}

/// The name of a test that begins: of `test NAME ... `, with or without its result.
fn header(line: &str) -> Option<String> {
    let (name, _) = line.strip_prefix("test ")?.split_once(" ... ")?;
    Some(name.to_owned())
}

/// The number before a word of a summary: `3 passed;`.
fn count(summary: &str, word: &str) -> Option<u64> {
    let before = summary.split(&format!(" {word}")).next()?;
    before.rsplit(' ').next()?.parse().ok()
}

/// `finished in 1.25s`
fn finished_in(summary: &str) -> Option<f64> {
    summary.rsplit_once("finished in ")?.1.trim_end_matches('s').parse().ok()
}

/// The binary that cargo says it runs: `Running tests/docs/main.rs (target/debug/deps/docs-0a1b2c)`.
fn binary(line: &str) -> Option<String> {
    let line = without_colour(line);
    let line = line.trim_start();
    if let Some(library) = line.strip_prefix("Doc-tests ") {
        return Some(format!("{library}, examples in comments"));
    }
    let (source, path) = line.strip_prefix("Running ")?.strip_suffix(')')?.split_once(" (")?;
    let file = path.rsplit('/').next()?;
    let name = file.rsplit_once('-').map_or(file, |(name, _)| name);
    Some(match source.strip_prefix("unittests ") {
        // A library and a program may have the same name.
        Some(source) => format!("{name}, {source}"),
        None => name.to_owned(),
    })
}

/// A line without what sets the colours of a terminal.
fn without_colour(line: &str) -> String {
    let mut parts = line.split("\x1b[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').map_or(part, |(_, rest)| rest))
}
