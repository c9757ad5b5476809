//! The fault bench: the real controller against an API server in memory, in virtual time, with everything going wrong
//! that can. docs/faults.md says what is tried and what is checked.

mod amounts;
mod bench;
mod cluster;
mod fault;
mod finish;
mod kubelet;
mod oracle;
mod plant;
mod resize;
mod rng;
mod run;
mod scenario;
mod server;
mod store;
mod watch;

use std::time::Instant;

use bench::Tally;
use plant::Bug;

/// How many runs there are where nobody says otherwise.
const RUNS: u64 = 3000;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// `SEED=n` replays one seed, `RUNS=n` makes so many runs, `FROM=n` begins with another seed.
#[test]
fn no_fault_makes_the_controller_break_a_promise() {
    let began = Instant::now();
    let tally = match number("SEED") {
        Some(seed) => bench::all(seed, 1, bench::seed),
        None => {
            let seeds = number("RUNS").unwrap_or(RUNS) / (bench::FAULTY + 1);
            bench::all(number("FROM").unwrap_or(1), seeds, bench::seed)
        }
    };
    let Tally { runs, writes, found, told } = tally;
    println!(
        "{runs} runs, {writes} writes, {:.1} s, violations: {found:?}",
        began.elapsed().as_secs_f64()
    );
    assert!(found.is_empty(), "{}\nviolations by oracle: {found:?}", told.join("\n"));
}

#[test]
fn each_oracle_finds_the_bugs_that_it_is_there_for() {
    for (bug, oracles) in Bug::ALL {
        let found = (1..400).find(|&seed| bench::finds(seed, bug, oracles));
        println!("{bug:?}: found by {oracles:?} with seed {found:?}");
        assert!(found.is_some(), "{bug:?} is not found by {oracles:?}");
    }
}
