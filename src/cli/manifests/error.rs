//! What can be wrong with manifests: where, in which field, and what to write instead.

use std::fmt::{self, Write};

use crate::share::QuantityError;

/// Where an object or a document stands.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Place {
    /// The file, directory or stream.
    pub source: String,
    /// The document in it, from 1; those that hold nothing are not counted.
    pub document: Option<usize>,
    /// The item of the list, from 1; more than one in lists of lists.
    pub items: Vec<usize>,
    /// The object: its kind, and its namespace and name where they are known.
    pub object: Option<String>,
}

impl Place {
    /// A whole file, directory or stream.
    #[must_use]
    pub fn source(name: &str) -> Self {
        Self { source: name.to_owned(), ..Self::default() }
    }

    pub(super) fn document(&self, number: usize) -> Self {
        Self { document: Some(number), ..self.clone() }
    }

    pub(super) fn item(&self, number: usize) -> Self {
        let items = self.items.iter().copied().chain([number]).collect();
        Self { items, object: None, ..self.clone() }
    }

    pub(super) fn object(&self, name: impl Into<String>) -> Self {
        Self { object: Some(name.into()), ..self.clone() }
    }
}

impl fmt::Display for Place {
    /// As in `shop.yaml: document 2, item 3, Pod shop/web-0`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words(": "))
    }
}

impl Place {
    /// The source, what stands between, and the rest.
    fn words(&self, between: &str) -> String {
        let document = self.document.map(|number| format!("document {number}"));
        let items = self.items.iter().map(|number| format!("item {number}"));
        let parts: Vec<_> = document.into_iter().chain(items).chain(self.object.clone()).collect();
        match &parts[..] {
            [] => self.source.clone(),
            parts => format!("{}{between}{}", self.source, parts.join(", ")),
        }
    }
}

/// One thing that is wrong, and what to do about it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ManifestError {
    /// Where it is.
    pub place: Place,
    /// The field, such as `spec.members[1].weight`; empty if it is not about one.
    pub field: String,
    /// What it is.
    pub problem: Problem,
}

/// The most characters of one error: names and values in it can be as long as their author likes.
const LONGEST: usize = 2000;

impl fmt::Display for ManifestError {
    /// One line, without what a terminal would obey.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, field, problem } = self;
        let line = match problem {
            Problem::UnknownField { remedy } => format!("{place}: unknown field {field}: {remedy}"),
            _ if field.is_empty() => format!("{place}: {problem}"),
            _ => format!("{place}: {field}: {problem}"),
        };
        for character in line.chars().take(LONGEST) {
            match character {
                control if control.is_control() => write!(f, "{}", control.escape_default())?,
                other => f.write_char(other)?,
            }
        }
        f.write_str(if line.chars().count() > LONGEST { "..." } else { "" })
    }
}

impl std::error::Error for ManifestError {}

/// All that is wrong, in the order in which it was read; never empty.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ManifestErrors(pub Vec<ManifestError>);

impl fmt::Display for ManifestErrors {
    /// One line for each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for ManifestErrors {}

/// What is wrong, in words that say what to write instead.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Problem {
    /// The file system refused.
    #[error("cannot be read: {0}: check the path and its permissions")]
    Unreadable(String),
    /// Bytes that are no text.
    #[error("is not UTF-8 text: save it as UTF-8")]
    NotText,
    /// More than is read into memory.
    #[error("is larger than {0} MiB: leave out the objects that the plan does not need")]
    TooLarge(usize),
    /// A directory without manifests.
    #[error(
        "this directory has no manifests: name one with *.yaml, *.yml or *.json files (subdirectories are not read)"
    )]
    NoManifests,
    /// Neither YAML nor JSON.
    #[error("line {line}: {what}: correct it there")]
    Syntax {
        /// The line in the file, from 1.
        line: u64,
        /// What the reader says.
        what: String,
    },
    /// More lists and mappings in one another than there is room for on the stack.
    #[error(
        "line {line}: it is nested deeper than {most} levels: no object of Kubernetes is, so remove what is not one"
    )]
    TooDeep {
        /// The line in the file, from 1.
        line: u64,
        /// How deep it may be.
        most: usize,
    },
    /// More values than the text is long: aliases that multiply.
    #[error("its aliases expand to far more than the text has: write the values out")]
    TooManyAliases,
    /// A document or an item that is no object.
    #[error("{found} is not an object: write apiVersion, kind, metadata and spec, or remove it")]
    NotAnObject {
        /// What stands there.
        found: String,
    },
    /// An object without a kind.
    #[error("is missing: write it, such as kind: WeightedShare")]
    NoKind,
    /// A kind that no API has.
    #[error("{found:?} is not a kind: write a word of letters and digits, such as WeightedShare")]
    NotAKind {
        /// What is written.
        found: String,
    },
    /// A kind of our group that there is not.
    #[error("{found:?} is not a kind of weightedshare.dev: write WeightedShare")]
    UnknownKind {
        /// What is written.
        found: String,
    },
    /// An object without an API version.
    #[error("is missing: write apiVersion: {expected}")]
    NoApiVersion {
        /// The one that the kind has.
        expected: String,
    },
    /// A kind that is read, in an API version that it does not have.
    #[error("{found} has no {kind}: write apiVersion: {expected}")]
    WrongApiVersion {
        /// What is written.
        found: String,
        /// The kind.
        kind: &'static str,
        /// The one that the kind has.
        expected: String,
    },
    /// An object without a name.
    #[error("is missing: write the name of the object")]
    NoName,
    /// An object that lets the API server make its name.
    #[error("is missing, and generateName is not enough: write the name of the object")]
    GeneratedName,
    /// A name that the API server takes for no object, or no namespace.
    #[error("{found:?} cannot be a name: write {how}, with a letter or digit at both ends")]
    NotAName {
        /// What is written.
        found: String,
        /// What may be in it.
        how: &'static str,
    },
    /// A field of our own that there is not.
    #[error("unknown field: {remedy}")]
    UnknownField {
        /// What may have been meant.
        remedy: String,
    },
    /// A field that must be there.
    #[error("is missing: write it, as `kubectl explain {explain}` shows")]
    Missing {
        /// The field, for `kubectl explain`.
        explain: String,
    },
    /// A value of another type.
    #[error("must be {expected}, not {found}: {remedy}")]
    WrongType {
        /// What stands there.
        found: String,
        /// What belongs there.
        expected: &'static str,
        /// What to write.
        remedy: String,
    },
    /// A value that is not one of a few.
    #[error("{found} is not a valid value: write {values}")]
    NotAValue {
        /// What stands there.
        found: String,
        /// All that can be written.
        values: String,
    },
    /// More, or less, than may stand there.
    #[error("has {count} {what}: write at {bound}")]
    Size {
        /// How many there are.
        count: usize,
        /// Of what: characters, items or entries.
        what: &'static str,
        /// As in `most 63`.
        bound: String,
    },
    /// Two entries of a list with one key.
    #[error("has the same {key} as {first}: give each its own")]
    SameKey {
        /// The key, with its value.
        key: String,
        /// The path of the first one.
        first: String,
    },
    /// A rule of the CRD, in the sentence that the API server says.
    #[error("{0}")]
    Rule(String),
    /// A rule that could not be evaluated: never passed in silence.
    #[error(
        "a rule cannot be checked here ({0}): let the API server check the object: kubectl apply --dry-run=server"
    )]
    RuleNotChecked(String),
    /// An amount that is none.
    #[error("{0}")]
    Quantity(#[from] QuantityError),
    /// A value that the type does not take.
    #[error("{what}: write it as `kubectl explain {explain}` shows")]
    Value {
        /// What the type says.
        what: String,
        /// The field, for `kubectl explain`.
        explain: String,
    },
    /// An object that is there already.
    #[error("is also in {}: keep one of them", .first.words(", "))]
    Twice {
        /// Where the other one is.
        first: Place,
    },
}
