//! A text as the documents in it: YAML between `---`, and JSON one after the other.

use std::cell::Cell;

use serde::de::DeserializeSeed;
use serde_json::Value;
use serde_saphyr::{
    Error, Options, UserMessageFormatter, budget::BudgetBreach, options::NonFiniteFloatPolicy,
};

use super::{
    Problem,
    tree::{self, TOO_DEEP, Tree},
};

/// What one document holds, or why it cannot be read.
pub(super) type Document = Result<Value, Problem>;

/// The documents of a text, without those that hold nothing. One that is broken does not hide the
/// next one.
pub(super) fn documents(source: &str, text: &str) -> Vec<Document> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // One for the whole text: many documents must not multiply what one may not.
    let budget = tree::budget(text);
    let mut found = Vec::new();
    for chunk in chunks(text).into_iter().filter(|chunk| !chunk.is_empty()) {
        let json = chunk.text.trim_start().starts_with('{').then(|| chunk.json());
        match json {
            Some(Ok(values)) => found.extend(values.into_iter().map(Ok)),
            Some(Err(problem)) if source.ends_with(".json") => found.push(Err(problem)),
            // What begins with a brace can be YAML too.
            Some(Err(_)) | None => found.push(chunk.yaml(&budget)),
        }
        if budget.get() == 0 {
            break;
        }
    }
    found.retain(|document| !matches!(document, Ok(Value::Null)));
    found
}

/// What stands between two lines of `---`.
struct Chunk<'a> {
    text: &'a str,
    /// How many lines stand before it.
    lines: u64,
}

/// Cuts at every `---`: wherever such a line stands, YAML ends the document there.
fn chunks(text: &str) -> Vec<Chunk<'_>> {
    let (mut chunks, mut start, mut lines) = (Vec::new(), 0, 0);
    let (mut offset, mut line_number) = (0, 0);
    for line in text.split_inclusive('\n') {
        let rest = line.strip_prefix("---");
        if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n'])) {
            chunks.push(Chunk { text: &text[start..offset], lines });
            // The line itself stays with its document: `--- {kind: Pod}` is one.
            (start, lines) = (offset + 3, line_number);
        }
        offset += line.len();
        line_number += 1;
    }
    chunks.push(Chunk { text: &text[start..], lines });
    chunks
}

impl Chunk<'_> {
    /// Nothing but comments and directives.
    fn is_empty(&self) -> bool {
        let mut lines = self.text.lines().map(str::trim);
        lines.all(|line| line.is_empty() || line.starts_with('#') || line.starts_with('%'))
    }

    fn yaml(&self, budget: &Cell<usize>) -> Document {
        let read = serde_saphyr::with_deserializer_from_str_with_options(
            self.text,
            options(self.text),
            |yaml| Tree::new(budget).deserialize(yaml),
        );
        read.map_err(
            |error| if budget.get() == 0 { Problem::TooManyAliases } else { self.problem(error) },
        )
    }

    /// What the reader of YAML says, in words that speak of the text alone.
    fn problem(&self, error: Error) -> Problem {
        let line = error.location().map_or(1, |location| location.line());
        match error {
            Error::AliasError { error, .. } => self.problem(*error),
            Error::Budget { breach: BudgetBreach::Depth { .. }, .. } => self.syntax(line, TOO_DEEP),
            Error::Budget { .. }
            | Error::AliasReplayLimitExceeded { .. }
            | Error::AliasReplayStackDepthExceeded { .. } => Problem::TooManyAliases,
            Error::DuplicateMappingKey { .. } => {
                self.syntax(line, &error.render_with_formatter(&UserMessageFormatter))
            }
            _ => self.syntax(line, &error.render()),
        }
    }

    /// Objects one after the other, as some tools write them.
    fn json(&self) -> Result<Vec<Value>, Problem> {
        let budget = tree::budget(self.text);
        let mut json = serde_json::Deserializer::from_str(self.text);
        let mut values = Vec::new();
        while json.end().is_err() {
            let value = Tree::new(&budget).deserialize(&mut json);
            values.push(value.map_err(|error| {
                self.syntax(u64::try_from(error.line()).unwrap_or(1), &error.to_string())
            })?);
        }
        Ok(values)
    }

    fn syntax(&self, line: u64, what: &str) -> Problem {
        // The line is said already, and counted in the file, not in the document.
        let what = what.split(" at line ").next().unwrap_or(what);
        let line = self.lines + line;
        if what.contains(TOO_DEEP) {
            return Problem::TooDeep { line, most: tree::DEPTH };
        }
        Problem::Syntax { line, what: what.to_owned() }
    }
}

/// As kubectl reads YAML: with the words and the octal numbers of YAML 1.1.
///
/// What is written may be as long as it likes. What aliases make of it may not.
fn options(text: &str) -> Options {
    let values = text.len().saturating_add(tree::ALIASED / 10);
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: values.saturating_mul(2),
            max_nodes: values,
            max_total_scalar_bytes: text.len().saturating_mul(2).saturating_add(tree::ALIASED),
            max_depth: tree::DEPTH,
            flow_nesting_limit: tree::DEPTH,
            max_aliases: 10_000,
            max_anchors: 10_000,
            max_merge_keys: 1_000,
            // One anchor may stand for what many objects have in common.
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 100_000,
        },
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        legacy_octal_numbers: true,
        with_snippet: false,
    }
}
