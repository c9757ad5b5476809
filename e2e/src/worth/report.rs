//! The figures of all runs: a table, what they are held against, JSON, and a picture.

use std::{collections::BTreeMap, fmt::Write, fs, path::Path};

use anyhow::{Context, Result};
use serde::Serialize;

use super::{
    machines::{MachineWork, Setting},
    measured::{Work, quantile},
    place::Kind,
    setting::{Neighbours, Run, Variant},
};
use crate::{
    bars::{self, Bar, Panel},
    say::say,
};

/// What was measured.
#[derive(Debug, Default)]
pub struct Report {
    runs: BTreeMap<(Kind, Neighbours, Variant), Vec<Work>>,
    machines: Vec<(Setting, MachineWork)>,
    judged: Vec<Judged>,
}

/// What a figure is held against.
#[derive(Debug, Serialize)]
struct Judged {
    what: String,
    value: f64,
    bar: f64,
    met: bool,
}

#[derive(Serialize)]
struct Row<'r> {
    on: Kind,
    neighbours: Neighbours,
    variant: Variant,
    median: Work,
    runs: &'r [Work],
}

impl Report {
    /// Takes in a run.
    pub fn add(&mut self, kind: Kind, run: Run, work: Work) {
        self.runs.entry((kind, run.neighbours, run.variant)).or_default().push(work);
    }

    /// Takes in a run of virtual machines.
    pub fn add_machines(&mut self, setting: Setting, work: MachineWork) {
        self.machines.push((setting, work));
    }

    /// The medians of the virtual machines' figures.
    fn of_machines(&self, setting: Setting) -> Option<MachineWork> {
        let runs = self.machines.iter().filter(|it| it.0 == setting).map(|it| it.1);
        let runs: Vec<MachineWork> = runs.collect();
        (!runs.is_empty()).then(|| MachineWork::median(&runs))
    }

    fn of(&self, kind: Kind, neighbours: Neighbours, variant: Variant) -> Option<Work> {
        self.runs.get(&(kind, neighbours, variant)).map(|runs| Work::median(runs))
    }

    /// The medians of each variant, and within what the batch job's work and the 99th percentile were.
    #[must_use]
    pub fn table(&self, kind: Kind, neighbours: Neighbours) -> String {
        let mut table = format!("\nMedians\n{}", Work::HEAD);
        for variant in Variant::ALL {
            let Some(runs) = self.runs.get(&(kind, neighbours, variant)) else { continue };
            let range = |value: &dyn Fn(&Work) -> f64, digits: usize| {
                let [least, most] = [0.0, 1.0].map(|part| quantile(runs.iter().map(value), part));
                format!("{least:.digits$} to {most:.digits$}")
            };
            let (batch, p99) = (range(&|it| it.batch, 2), range(&|it| it.answers[1], 0));
            let work = Work::median(runs);
            let _ =
                write!(table, "\n{:<26}{work}  (batch {batch}, p99 {p99})", variant.to_string());
        }
        table + "\n"
    }

    /// Holds the figures against what a pool is to be worth.
    pub fn judge(&mut self) {
        use Neighbours::{Normal, Quiet};
        use Variant::{Alone, FixedLimits, IsolatedPool, Pool, Vpa};
        let both = [Kind::Host, Kind::Guest].map(|kind| [(kind, Pool), (kind, IsolatedPool)]);
        for (kind, variant) in both.into_iter().flatten() {
            let of = |report: &Self, it| report.of(kind, Normal, it);
            let pool = format!("{kind}, {variant}");
            if let Some(quiet) = self.of(kind, Quiet, variant) {
                let part = quiet.batch / (quiet.batch + quiet.idle);
                self.at_least(
                    format!("{pool}: the batch job's part of what the service leaves"),
                    part,
                    0.95,
                );
            }
            let Some(here) = of(self, variant) else { continue };
            if let Some(fixed) = of(self, FixedLimits) {
                let what = format!("{pool}: batch work, as a multiple of that under fixed limits");
                self.at_least(what, here.batch / fixed.batch, 1.6);
                let what =
                    format!("{pool}: involuntary switches, as a part of those under fixed limits");
                self.at_most(what, here.switches / fixed.switches, 1.0);
            }
            if let Some(alone) = of(self, Alone) {
                let what = format!("{pool}: p99, as a multiple of that of the service alone");
                self.at_most(what, here.answers[1] / alone.answers[1], 1.1);
            }
            if let Some(vpa) = of(self, Vpa) {
                let what = format!("{pool}: batch work, as a multiple of that under VPA");
                self.at_least(what, here.batch / vpa.batch, 1.0);
                let what = format!("{pool}: p99, as a multiple of that under VPA");
                self.at_most(what, here.answers[1] / vpa.answers[1], 1.0);
            }
            self.at_most(format!("{pool}: throttled, in seconds a second"), here.throttled, 0.0);
            self.at_most(format!("{pool}: pods restarted"), here.restarts, 0.0);
        }
        let [fixed, pool] = Setting::ALL.map(|setting| self.of_machines(setting));
        if let (Some(fixed), Some(pool)) = (fixed, pool) {
            let what = "the heavier machine: its work, as a multiple of that with a fixed tenth";
            self.at_least(what.to_owned(), pool.counted[0] / fixed.counted[0], 1.0);
        }
    }

    fn at_least(&mut self, what: String, value: f64, bar: f64) {
        self.judged(what, value, bar, value >= bar, "at least");
    }

    fn at_most(&mut self, what: String, value: f64, bar: f64) {
        self.judged(what, value, bar, value <= bar, "at most");
    }

    fn judged(&mut self, what: String, value: f64, bar: f64, met: bool, is: &str) {
        let word = if met { "met" } else { "MISSED" };
        say(format_args!("{what}: {value:.3} ({is} {bar}: {word})"));
        self.judged.push(Judged { what, value, bar, met });
    }

    /// Writes `worth.json`, and a picture for each kind of node.
    ///
    /// # Errors
    /// When that fails.
    pub fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let rows = self.runs.iter().map(|(&(on, neighbours, variant), runs)| Row {
            on,
            neighbours,
            variant,
            median: Work::median(runs),
            runs,
        });
        let rows: Vec<Row> = rows.collect();
        let json =
            serde_json::json!({"variants": rows, "machines": self.machines, "judged": self.judged});
        fs::write(folder.join("worth.json"), serde_json::to_vec_pretty(&json)?)?;
        let mut nodes: Vec<(Kind, Neighbours)> = self.runs.keys().map(|it| (it.0, it.1)).collect();
        nodes.dedup();
        for (kind, neighbours) in nodes {
            let name = format!("worth-{kind}-{neighbours:?}.svg").to_lowercase();
            fs::write(folder.join(name), self.picture(kind, neighbours))?;
        }
        Ok(())
    }

    fn picture(&self, kind: Kind, neighbours: Neighbours) -> String {
        let panel = |title, digits, value: &dyn Fn(&Work) -> f64| Panel {
            title,
            digits,
            bars: Variant::ALL
                .into_iter()
                .filter_map(|variant| {
                    let runs = self.runs.get(&(kind, neighbours, variant))?;
                    let [least, median, most] =
                        [0.0, 0.5, 1.0].map(|part| quantile(runs.iter().map(value), part));
                    Some(Bar { name: variant.to_string(), least, median, most })
                })
                .collect(),
        };
        let panels = [
            panel("Batch work done (cores)", 2, &|it| it.batch),
            panel("99 of 100 answers within (ms)", 0, &|it| it.answers[1]),
            panel("CPU left idle (cores)", 2, &|it| it.idle),
            panel("Throttled (s a second)", 2, &|it| it.throttled),
        ];
        bars::draw(neighbours.words(), &panels)
    }
}
