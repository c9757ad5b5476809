//! The figures of a run: a line each while it goes on, and JSON in the end.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::say::say;

/// All figures of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The pods in pools.
    pub pods: usize,
    /// The namespaces of the pools.
    pub namespaces: usize,
    figures: Vec<Figure>,
}

#[derive(Debug, Serialize)]
struct Figure {
    what: &'static str,
    value: f64,
    unit: &'static str,
    /// What it must not exceed.
    #[serde(skip_serializing_if = "Option::is_none")]
    bar: Option<f64>,
}

impl Report {
    /// One without a figure.
    #[must_use]
    pub fn new(pods: usize, namespaces: usize) -> Self {
        say(format_args!("{pods} pods in pools, in {namespaces} namespaces"));
        Self { pods, namespaces, figures: Vec::new() }
    }

    /// Adds a figure, with what it must not exceed, and shows it.
    pub fn add(&mut self, what: &'static str, value: f64, unit: &'static str, bar: Option<f64>) {
        let against = bar.map_or(String::new(), |bar| {
            format!("  bar {bar}: {}", if value <= bar { "met" } else { "MISSED" })
        });
        say(format_args!("  {what:<62} {value:>9.2} {unit:<4}{against}"));
        self.figures.push(Figure { what, value, unit, bar });
    }

    /// Writes it to a file.
    ///
    /// # Errors
    /// When that fails.
    pub fn write(&self, file: &Path) -> Result<()> {
        std::fs::write(file, serde_json::to_vec_pretty(self)?)
            .with_context(|| file.display().to_string())
    }
}
