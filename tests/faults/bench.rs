//! Many runs: each seed is a scenario, run without faults and then with one or two.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::Value;

use super::{
    amounts::{RESOURCES, list, parts, request},
    fault::Fault,
    finish::End,
    oracle::{Oracle, Violation},
    plant::Bug,
    rng::Rng,
    run::{Outcome, log, run},
    scenario::{NAMESPACE, OTHER, Scenario},
};

/// How many faulty runs there are of each scenario.
pub const FAULTY: u64 = 4;

/// What some runs came to.
#[derive(Default)]
pub struct Tally {
    pub runs: u64,
    pub writes: u64,
    /// Violations, by oracle.
    pub found: BTreeMap<Oracle, u64>,
    /// The first of them told at length, the others in a line.
    pub told: Vec<String>,
}

/// Which faults a run has.
pub fn faults(seed: u64, k: u64, learned: &Outcome, scenario: &Scenario) -> Vec<Fault> {
    let mut rng = Rng::of(seed, 100 + k);
    let count = if rng.percent(25) { 2 } else { 1 };
    let any = |_| Fault::any(&mut rng, learned.writes.len(), scenario.busy());
    let mut faults: Vec<Fault> = (0..count).map(any).collect();
    // What came later to this has a source of its own, so that seeds keep their meaning.
    let mut more = Rng::of(seed, 200 + k);
    if more.percent(30) {
        faults.push(Fault::beside(&mut more, scenario.busy()));
    }
    let mut last = Rng::of(seed, 300 + k);
    if scenario.grown && last.percent(25) {
        faults.push(Fault::beside_all(&mut last, scenario.busy()));
    }
    let unknown = |it: &Fault| matches!(it, Fault::Lost { .. } | Fault::Unanswered { .. });
    if faults.iter().any(unknown) && rng.percent(30) {
        // What became of the write, the watch tells late.
        faults.push(Fault::Late {
            kind: Some("pods"),
            at: Duration::ZERO,
            lasts: scenario.busy() + Duration::from_secs(60),
            by: Duration::from_secs(rng.range(2, 20)),
        });
    }
    faults
}

/// Whether the end can be held against that of the run without faults.
fn comparable(scenario: &Scenario, learned: &Outcome, faults: &[Fault]) -> bool {
    // Where the controller's clock is wrong for good, nothing measured is ever new.
    let lost = faults.iter().any(|fault| matches!(fault, Fault::Jump { back: None, .. }));
    // What is lost of memory that is bounded is lost for good, so the end depends on when it was.
    scenario.comparable
        && !scenario.is_contended()
        && learned.settled
        && !(lost && scenario.usage.is_some())
}

/// A scenario as it is, then with faults.
pub fn all_of(scenario: &Scenario, tally: &mut Tally) {
    let seed = scenario.seed;
    let learned = run(scenario, &[], None, None, None);
    tally.note(scenario, &[], &learned);
    if !learned.violations.is_empty() {
        return;
    }
    if let Some(without) = apart(scenario) {
        let alone = run(&without, &[], None, None, None);
        tally.note(scenario, &[], &isolated(scenario, &learned, alone));
    }
    if let Some(at_rest) = scenario.at_rest() {
        tally.note(&at_rest, &[], &run(&at_rest, &[], None, None, None));
    }
    for k in 0..FAULTY {
        let faults = faults(seed, k, &learned, scenario);
        let like = comparable(scenario, &learned, &faults).then_some(&learned.end);
        let outcome = run(scenario, &faults, None, None, like);
        tally.note(scenario, &faults, &outcome);
    }
}

/// The scenario without what is done in one namespace, where the other one must not lose by that.
fn apart(scenario: &Scenario) -> Option<Scenario> {
    let without = scenario.without_steps_of(NAMESPACE)?;
    (!scenario.is_contended() || scenario.keeps_pods_of(OTHER)).then_some(without)
}

/// The run in which nothing was done in one namespace, held against the other run. In the other namespace, the end must be the same
/// where nodes have room for both; elsewhere, its pods must keep what they started with there, if they have that without the other.
fn isolated(scenario: &Scenario, learned: &Outcome, mut alone: Outcome) -> Outcome {
    if scenario.is_contended() {
        keep_stakes(scenario, learned, &mut alone);
        return alone;
    }
    let there = |name: &str| {
        let mut apps = scenario.apps.iter().filter(|app| app.namespace == OTHER);
        name == "pool pool1" || apps.any(|app| name.starts_with(&format!("pod {}-", app.name)))
    };
    for (name, now) in learned.end.iter().filter(|(name, _)| there(name)) {
        if alone.end.get(name) != Some(now) {
            let what = format!("{name} is {now}\n      instead of {:?}", alone.end.get(name));
            let at = scenario.busy();
            alone.violations.push(Violation { oracle: Oracle::Isolation, at, what });
        }
    }
    alone
}

fn keep_stakes(scenario: &Scenario, learned: &Outcome, alone: &mut Outcome) {
    let unplaceable = |(name, end): (&String, &Value)| {
        let mut members = list(end, "/members").iter();
        name == "pool pool1" && members.any(|it| !it["unplaceable"].is_null())
    };
    // What finds no place on one node may be owned on another one, beyond what the pool would own there otherwise.
    if alone.end.iter().any(unplaceable) {
        return;
    }
    let held = |end: &End, key: &str, resource: usize| -> Option<u64> {
        let containers = end.get(key)?.as_array()?.iter();
        Some(containers.filter_map(|it| it[1][resource][0].as_u64()).sum())
    };
    // Inside a pool its weights decide who has what of that.
    let mut nodes: BTreeMap<(&str, usize), (u64, u64)> = BTreeMap::new();
    let there = scenario.pods.iter().filter(|(app, ..)| scenario.apps[*app].namespace == OTHER);
    for (app, pod, node) in there {
        let template = scenario.apps[*app].template();
        for (place, resource) in RESOURCES.into_iter().enumerate() {
            let containers = parts(&template).iter();
            let started: u64 = containers.filter_map(|it| request(it, resource)).sum();
            let key = format!("pod {pod}");
            let both = held(&learned.end, &key, place).zip(held(&alone.end, &key, place));
            let Some((now, then)) = both else { continue };
            let sum = nodes.entry((node, place)).or_default();
            *sum = (sum.0 + now, sum.1 + started.min(then));
        }
    }
    for ((node, place), (now, least)) in nodes {
        if now < least {
            let resource = RESOURCES[place];
            let what = format!(
                "pods of {OTHER} hold {now} of {resource} on {node}, and started with {least} that they keep without the other namespace"
            );
            let at = scenario.busy();
            alone.violations.push(Violation { oracle: Oracle::Isolation, at, what });
        }
    }
}

/// Whether the oracles find a planted bug in a scenario, with a fault or without.
pub fn finds(seed: u64, bug: Bug, oracles: &[Oracle]) -> bool {
    let scenario = Scenario::new(seed);
    let right = run(&scenario, &[], None, None, None);
    let faults =
        if seed.is_multiple_of(2) { Vec::new() } else { faults(seed, 0, &right, &scenario) };
    let like = comparable(&scenario, &right, &faults).then_some(&right.end);
    let mut outcome = run(&scenario, &faults, Some(bug), None, like);
    if oracles.contains(&Oracle::Isolation) {
        let Some(without) = apart(&scenario) else { return false };
        let wrong = run(&scenario, &[], Some(bug), None, None);
        outcome = isolated(&scenario, &wrong, run(&without, &[], Some(bug), None, None));
    }
    if oracles.contains(&Oracle::Planned) {
        let Some(at_rest) = scenario.at_rest() else { return false };
        outcome = run(&at_rest, &[], Some(bug), None, None);
    }
    outcome.violations.iter().any(|it| oracles.contains(&it.oracle))
}

impl Tally {
    pub fn note(&mut self, scenario: &Scenario, faults: &[Fault], outcome: &Outcome) {
        self.runs += 1;
        self.writes += outcome.writes.len() as u64;
        for violation in &outcome.violations {
            *self.found.entry(violation.oracle).or_default() += 1;
        }
        let Some(first) = outcome.violations.first() else { return };
        if self.told.len() >= 5 {
            self.told.push(format!("SEED={} {faults:?}: {first}", scenario.seed));
            return;
        }
        let mut told = format!("SEED={}\n{scenario:#?}\nfaults: {faults:?}\n", scenario.seed);
        told += &log(&outcome.writes);
        for violation in outcome.violations.iter().take(8) {
            let _ = writeln!(told, "  VIOLATION {violation}");
        }
        self.told.push(told);
    }

    fn add(&mut self, other: Self) {
        self.runs += other.runs;
        self.writes += other.writes;
        for (oracle, count) in other.found {
            *self.found.entry(oracle).or_default() += count;
        }
        self.told.extend(other.told);
    }
}

/// Goes through seeds on all processors.
pub fn all(from: u64, count: u64, each: impl Fn(u64, &mut Tally) + Sync) -> Tally {
    let next = AtomicU64::new(from);
    let tally = Mutex::new(Tally::default());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut own = Tally::default();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + count {
                        break;
                    }
                    each(seed, &mut own);
                }
                tally.lock().unwrap_or_else(PoisonError::into_inner).add(own);
            });
        }
    });
    tally.into_inner().unwrap_or_else(PoisonError::into_inner)
}
