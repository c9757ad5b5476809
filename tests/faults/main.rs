//! The fault bench: the real controller against an API server in memory, in virtual time, with everything going wrong
//! that can. docs/faults.md says what is tried and what is checked.

mod amounts;
mod app;
mod bench;
mod cluster;
mod fault;
mod finish;
mod flaps;
mod from_nothing;
mod kubelet;
mod life;
mod odd;
mod oracle;
mod planned;
mod plant;
mod progress;
mod reasons;
mod resize;
mod rng;
mod run;
mod scenario;
mod server;
mod steps;
mod store;
mod trees;
mod watch;

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bench::Tally;
use fault::Fault;
use oracle::Oracle;
use plant::Bug;
use rng::Rng;
use scenario::Scenario;
use serde_json::{Value, json};

/// How many runs, or seeds, a test has: in the tier `test`, and in the tier `nightly`.
type Amounts = [u64; 2];
const RUNS: Amounts = [1000, 100_000];
/// One in this many runs is repeated with the pools in a tree.
const IN_TREES: u64 = 5;
const OF_TWO_LEADERS: Amounts = [50, 1500];
const OF_OLD_LISTS: Amounts = [35, 1000];

/// The number that a variable names, or that of the tier which `TIER` names.
fn amount(variable: &str, [test, nightly]: Amounts) -> u64 {
    let is_nightly = std::env::var("TIER").is_ok_and(|tier| tier == "nightly");
    number(variable).unwrap_or(if is_nightly { nightly } else { test })
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// `SEED=n` replays one seed, `RUNS=n` makes so many runs, `FROM=n` begins with another seed.
#[test]
fn no_fault_makes_the_controller_break_a_promise() {
    let began = Instant::now();
    let each = |seed, tally: &mut Tally| bench::all_of(&Scenario::new(seed), tally);
    let tally = match number("SEED") {
        Some(seed) => bench::all(seed, 1, each),
        None => {
            let seeds = amount("RUNS", RUNS) / (bench::FAULTY + 1);
            bench::all(number("FROM").unwrap_or(1), seeds, each)
        }
    };
    let Tally { runs, writes, found, told } = tally;
    println!(
        "{runs} runs, {writes} writes, {:.1} s, violations: {found:?}",
        began.elapsed().as_secs_f64()
    );
    assert!(found.is_empty(), "{}\nviolations by oracle: {found:?}", told.join("\n"));
}

/// The same where the pools are in a tree: `SEED=n` replays one seed.
#[test]
fn no_fault_makes_the_pools_of_a_tree_break_a_promise() {
    let each = |seed, tally: &mut Tally| bench::all_of(&Scenario::planted(seed), tally);
    let (from, seeds) = match number("SEED") {
        Some(seed) => (seed, 1),
        None => {
            (number("FROM").unwrap_or(1), amount("RUNS", RUNS) / IN_TREES / (bench::FAULTY + 1))
        }
    };
    let Tally { runs, writes, found, told } = bench::all(from, seeds, each);
    println!("{runs} runs, {writes} writes, violations: {found:?}");
    assert!(found.is_empty(), "{}\nviolations by oracle: {found:?}", told.join("\n"));
}

/// Seeds that found something, all corrected since.
const FOUND: [u64; 20] = [
    380, 513, 20_090, 20_916, 22_666, 22_765, 50_092, 50_161, 54_858, 100_380, 100_564, 112_809,
    132_775, 135_195, 142_625, 144_314, 200_521, 300_158, 300_776, 300_796,
];

/// Those that found something since there is more in a scenario.
const FOUND_LATER: [u64; 32] = [
    69,
    193,
    1362,
    2502,
    3112,
    3254,
    3255,
    4137,
    5052,
    6003,
    7407,
    16_427,
    20_311,
    20_507,
    20_878,
    30_334,
    30_542,
    40_214,
    40_391,
    40_421,
    50_549,
    5_002_128,
    5_003_747,
    5_004_088,
    5_004_892,
    5_004_938,
    5_005_647,
    5_005_669,
    5_006_877,
    5_006_928,
    5_007_072,
    103_936_023,
];

#[test]
fn what_was_wrong_once_stays_right() {
    let mut tally = Tally::default();
    FOUND_LATER.into_iter().for_each(|seed| bench::all_of(&Scenario::new(seed), &mut tally));
    FOUND.into_iter().for_each(|seed| bench::all_of(&Scenario::as_it_was(seed), &mut tally));
    assert!(tally.found.is_empty(), "{}", tally.told.join("\n"));
}

#[test]
fn each_oracle_finds_the_bugs_that_it_is_there_for() {
    let wanted = std::env::var("BUG").unwrap_or_default();
    for (bug, oracles) in Bug::ALL.iter().filter(|(bug, _)| format!("{bug:?}").contains(&wanted)) {
        let found = (1..400).find(|&seed| bench::finds(seed, *bug, oracles));
        println!("{bug:?}: found by {oracles:?} with seed {found:?}");
        assert!(found.is_some(), "{bug:?} is not found by {oracles:?}");
    }
}

#[test]
fn a_pool_may_have_as_many_members_as_it_can() {
    let mut scenario = Scenario::as_it_was(1);
    for pool in &mut scenario.pools {
        let members = pool["spec"]["members"].as_array_mut().into_iter().flatten();
        let mut members: Vec<Value> = members.map(std::mem::take).collect();
        let absent = |i| json!({"name": format!("absent-{i}"), "selector": {"matchLabels": {"app": format!("absent-{i}")}}});
        members.extend((members.len()..256).map(absent));
        pool["spec"]["members"] = members.into();
    }
    let outcome = run::run(&scenario, &[], None, None, None);
    assert!(outcome.violations.is_empty(), "{:?}", outcome.violations);
    assert!(outcome.writes.iter().any(cluster::Write::is_resize));
}

/// Each instance decides for itself, and both see only what the API server shows them. What one of them decides on can be
/// outdated by a write of the other that it has not seen, and each remembers what it granted: so no two may lead, and a
/// lease sees to that. Where they do for a while, all is well again once one of them is gone.
#[test]
fn two_that_lead_for_a_while_keep_all_promises_but_the_room() {
    let (runs, broken) = (AtomicU64::new(0), AtomicU64::new(0));
    let from = number("FROM").unwrap_or(1);
    let tally = bench::all(from, amount("SEEDS", OF_TWO_LEADERS), |seed, tally| {
        let scenario = Scenario::new(seed);
        let joins = Rng::of(seed, 70).range(3000, scenario.busy().as_millis() as u64 + 10_000);
        let joins = Duration::from_millis(joins);
        let mut outcome = run::run(&scenario, &[], None, Some(joins), None);
        let room = |it: &oracle::Violation| matches!(it.oracle, Oracle::Pool | Oracle::Node);
        runs.fetch_add(1, Ordering::Relaxed);
        if outcome.violations.iter().any(room) {
            broken.fetch_add(1, Ordering::Relaxed);
        }
        // Both send what one would do: that costs more writes, and what one grants the other may take back.
        let costs = |it: &oracle::Violation| matches!(it.oracle, Oracle::Bounded | Oracle::Flaps);
        outcome.violations.retain(|it| !room(it) && !costs(it));
        tally.note(&scenario, &[], &outcome);
    });
    println!("room promised twice in {broken:?} of {runs:?} runs, else {:?}", tally.found);
    assert!(tally.found.is_empty(), "{}", tally.told.join("\n"));
}

#[test]
fn whatever_is_written_ends_in_a_refusal_or_in_a_condition_with_a_reason() {
    const EACH: usize = 20;
    let counts = Mutex::new(odd::Count::default());
    bench::all(number("SEED").unwrap_or(1), number("SEEDS").unwrap_or(110), |seed, _| {
        let count = odd::run_through(seed, EACH);
        let mut all = counts.lock().unwrap_or_else(PoisonError::into_inner);
        all.refused += count.refused;
        all.taken += count.taken;
        all.unreadable += count.unreadable;
        all.wrong.extend(count.wrong);
        for (reason, times) in count.reasons {
            *all.reasons.entry(reason).or_default() += times;
        }
    });
    let odd::Count { refused, taken, unreadable, reasons, wrong } =
        counts.into_inner().unwrap_or_default();
    println!("{refused} refused, {taken} taken, {unreadable} unreadable, reasons: {reasons:?}");
    assert!(wrong.is_empty(), "{}\n{} in all", wrong[..wrong.len().min(5)].join("\n"), wrong.len());
    assert!(number("SEED").is_some() || refused + taken + unreadable >= 2000);
}

/// After a restart, the lists of a lagging API server: the controller asks for lists that are not older than the present
/// (no `resourceVersion`), so that is not what it gets. Were it so, it could only know better by asking again.
#[test]
fn old_lists_after_a_restart_break_nothing_but_the_room() {
    let broken = AtomicU64::new(0);
    let tally = bench::all(1, amount("SEEDS", OF_OLD_LISTS), |seed, tally| {
        let scenario = Scenario::new(seed);
        let mut rng = Rng::of(seed, 60);
        let mut time = |low, high| Duration::from_millis(rng.range(low, high));
        let busy = scenario.busy().as_millis() as u64;
        let faults = [Fault::StaleList {
            at: time(5000, busy + 10_000),
            age: time(500, 20_000),
            late: time(0, 5000),
        }];
        let mut outcome = run::run(&scenario, &faults, None, None, None);
        let room = |it: &oracle::Violation| matches!(it.oracle, Oracle::Pool | Oracle::Node);
        broken.fetch_add(u64::from(outcome.violations.iter().any(room)), Ordering::Relaxed);
        outcome.violations.retain(|it| !room(it));
        tally.note(&scenario, &faults, &outcome);
    });
    println!("room promised twice in {broken:?} of {} runs, else {:?}", tally.runs, tally.found);
    assert!(tally.found.is_empty(), "{}", tally.told.join("\n"));
}
