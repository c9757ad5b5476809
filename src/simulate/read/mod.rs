//! What pods used, as files have it: our own CSV, answers of Prometheus, and three traces of large clusters that were published.

mod prometheus;
mod published;
mod table;

use std::{fmt, io::Read};

pub use published::Published;

use super::trace::Recorder;

/// In which form a file has what pods used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// CSV with a header: time, namespace, pod, cpu, memory, and what it says of the pods besides.
    Csv,
    /// An answer of Prometheus to a range query, as JSON: of CPU in cores, or of memory in bytes.
    Prometheus(Queried),
    /// A file of a trace that was published.
    Published(Published),
}

/// What a query of Prometheus asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Queried {
    /// CPU in cores.
    Cpu,
    /// Memory in bytes.
    Memory,
    /// Its series say so by their name.
    AsNamed,
}

/// What is wrong with a file, and where.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub struct FileError {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// The column: its number from 1, and its name where it has one. None: it is the line as a whole.
    pub column: Option<(usize, String)>,
    /// What is wrong, and what to do.
    pub problem: String,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, problem } = self;
        match column {
            None => write!(f, "{file}, line {line}: {problem}"),
            Some((number, name)) if name.is_empty() => {
                write!(f, "{file}, line {line}, column {number}: {problem}")
            }
            Some((number, name)) => {
                write!(f, "{file}, line {line}, column {number} ({name}): {problem}")
            }
        }
    }
}

impl FileError {
    /// Something about a line as a whole.
    #[must_use]
    pub fn line(file: &str, line: u64, problem: &str) -> Self {
        Self { file: file.to_owned(), line, column: None, problem: problem.to_owned() }
    }

    /// What the reader of CSV says.
    #[must_use]
    pub fn csv(file: &str, error: &csv::Error) -> Self {
        let line = error.position().map_or(0, csv::Position::line);
        let problem = match error.kind() {
            csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                format!("it has {len} columns, but the first line has {expected_len}")
            }
            csv::ErrorKind::Utf8 { .. } => "it is not UTF-8".to_owned(),
            _ => error.to_string(),
        };
        Self::line(file, line, &problem)
    }

    /// What the reader of JSON says.
    fn json(file: &str, error: &serde_json::Error) -> Self {
        let column = (error.column() > 0).then(|| (error.column(), String::new()));
        // It repeats the place at the end.
        let problem = error.to_string();
        let problem = problem.split(" at line ").next().unwrap_or(&problem).to_owned();
        Self { column, ..Self::line(file, error.line() as u64, &problem) }
    }
}

/// Reads a file into a recorder. `note` is told how many bytes were read so far, now and then; it says whether to go on.
///
/// # Errors
/// The first thing that is wrong with the file. What came before it is recorded.
pub fn read(
    recorder: &mut Recorder,
    file: &str,
    form: Form,
    from: impl Read,
    note: &mut dyn FnMut(u64) -> bool,
) -> Result<(), FileError> {
    match form {
        Form::Csv => table::read(recorder, file, from, note),
        Form::Prometheus(queried) => prometheus::read(recorder, file, queried, from),
        Form::Published(file_of) => published::read(recorder, file, file_of, from, note),
    }
}

/// The form of a file, by its name and how it begins. None: it could be any, or none.
#[must_use]
pub fn form_of(name: &str, begins: &str) -> Option<Form> {
    let name = name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
    let begins = begins.trim_start();
    if let Some(published) = Published::named(&name) {
        return Some(Form::Published(published));
    }
    if begins.starts_with('{') {
        let queried = match (name.contains("cpu"), name.contains("memory")) {
            (true, false) => Queried::Cpu,
            (false, true) => Queried::Memory,
            _ => Queried::AsNamed,
        };
        return Some(Form::Prometheus(queried));
    }
    let header = begins.lines().next().unwrap_or_default().to_ascii_lowercase();
    let has = |column: &str| header.split(',').any(|it| it.trim().trim_matches('"') == column);
    (has("time") && has("pod")).then_some(Form::Csv)
}

#[cfg(test)]
mod tests;
