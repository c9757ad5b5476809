//! The formats in which a command prints. Pure.

use clap::ValueEnum;
use serde::Serialize;

/// A format that every command has.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum Format {
    /// Text for people.
    #[default]
    Table,
    /// JSON, for programs.
    Json,
    /// YAML, for programs.
    Yaml,
}

/// A format of what can also be drawn: a plan or a replay.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum Output {
    /// Text for people.
    #[default]
    Table,
    /// JSON, for programs.
    Json,
    /// YAML, for programs.
    Yaml,
    /// A web page in one file: -o html > page.html.
    Html,
}

impl Format {
    /// Writes a value in this format. `table` is the text for people.
    ///
    /// # Errors
    /// When the value has no form in JSON or YAML.
    pub fn write<T: Serialize>(
        self,
        value: &T,
        table: impl FnOnce() -> String,
    ) -> Result<String, String> {
        match self {
            Self::Table => Ok(table()),
            Self::Json => {
                Ok(serde_json::to_string(value).map_err(|error| error.to_string())? + "\n")
            }
            Self::Yaml => serde_yaml_ng::to_string(value).map_err(|error| error.to_string()),
        }
    }
}

impl Output {
    /// The format, if it is one that every command has.
    #[must_use]
    pub fn format(self) -> Option<Format> {
        match self {
            Self::Table => Some(Format::Table),
            Self::Json => Some(Format::Json),
            Self::Yaml => Some(Format::Yaml),
            Self::Html => None,
        }
    }
}
