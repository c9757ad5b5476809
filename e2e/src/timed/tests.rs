use std::{ffi::OsString, time::Duration};

use super::recorder::{Findings, Recorder};

/// What `cargo test` prints of two binaries whose tests run one at a time: the seconds at which a piece came, and the
/// piece.
const ONE_AT_A_TIME: &[(u64, &str)] = &[
    (0, "    Finished `test` profile [unoptimized + debuginfo] target(s) in 0.52s\n"),
    (0, "     Running tests/lending.rs (target/debug/deps/lending-28e3f0f05d1ee3a1)\n"),
    (0, "\nrunning 2 tests\ntest lends ... "),
    (3, "light holds 800m\ntest of nothing\n"),
    (40, "no newline at its endok\n"),
    (40, "test measures ... "),
    (45, "FAILED\n"),
    (45, "\nfailures:\n\nfailures:\n    measures\n\n"),
    (
        45,
        "test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 45.00s\n\n",
    ),
    (45, "error: test failed, to rerun pass `-p e2e --test lending`\n"),
    (45, "     Running tests/states.rs (target/debug/deps/states-0c1d)\n"),
    (46, "\nrunning 1 test\ntest bare::is_warned_of - should panic ... ok\n"),
    (
        47,
        "\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s\n\n",
    ),
];

const FINDINGS: &str = "
The 10 slowest tests:
    40.0 s  lending lends
     5.0 s  lending measures, failed
     1.0 s  states bare::is_warned_of - should panic

The test runners' summaries (0 had no test to run):
test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 45.00s (lending)
test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s (states)
";

fn findings(one_at_a_time: bool, pieces: &[(u64, &str)]) -> String {
    let mut recorder = Recorder::new(one_at_a_time);
    for (second, piece) in pieces {
        recorder.read(piece.as_bytes(), Duration::from_secs(*second));
    }
    recorder.end().to_string()
}

#[test]
fn a_test_lasts_until_the_next_one_begins() {
    assert_eq!(findings(true, ONE_AT_A_TIME), FINDINGS);
}

#[test]
fn pieces_may_be_of_any_length() {
    let letters: Vec<(u64, &str)> = ONE_AT_A_TIME
        .iter()
        .flat_map(|(second, piece)| piece.split_inclusive(|_| true).map(|letter| (*second, letter)))
        .collect();
    assert_eq!(findings(true, &letters), FINDINGS);
}

#[test]
fn of_tests_side_by_side_the_time_of_the_binary_is_known() {
    let pieces = [
        (0, "     Running unittests src/lib.rs (target/debug/deps/weightedshare-ab12)\n"),
        (0, "\nrunning 2 tests\ntest a ... "),
        (9, "ok\ntest b has been running for over 60 seconds\ntest b ... ok\n"),
        (
            70,
            "\ntest result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 70.12s\n\n",
        ),
        (70, "\x1b[1m\x1b[32m     Running\x1b[0m tests/tenant.rs (target/debug/deps/tenant-1)\n"),
        (
            70,
            "\nrunning 0 tests\n\ntest result: ok. 0 passed; 0 failed; 4 ignored; 0 measured; 0 filtered out; finished in 0.00s\n",
        ),
        (70, "   Doc-tests weightedshare\n"),
        (
            71,
            "\nrunning 1 test\n\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.50s\n",
        ),
    ];
    let expected = "
The 10 slowest tests:
    70.1 s  weightedshare, src/lib.rs (all its tests, side by side)
     0.5 s  weightedshare, examples in comments (all its tests, side by side)

The test runners' summaries (1 had no test to run):
test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 70.12s (weightedshare, src/lib.rs)
test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.50s (weightedshare, examples in comments)
";
    assert_eq!(findings(false, &pieces), expected);
}

#[test]
fn a_test_that_prints_what_runners_print_shifts_no_name() {
    let result = "test result: ok. 1 passed; 0 failed; finished in 0.00s\n";
    let printed = format!(
        "     Running tests/a.rs (target/debug/deps/a-1)\nrunning 1 test\nrunning 2 tests\n{result}\
              Running tests/b.rs (target/debug/deps/b-1)\nrunning 1 test\n{result}"
    );
    let text = findings(false, &[(0, &printed)]);
    let named = |name| text.contains(&format!("{} ({name})\n", result.trim_end()));
    assert!(named("a") && named("b"), "{text}");
}

#[test]
fn only_the_ten_slowest_are_printed() {
    let mut recorder = Recorder::new(true);
    recorder.read(b"running 12 tests\n", Duration::ZERO);
    let mut now = 0;
    for i in 0..12 {
        recorder.read(format!("test t{i} ... ").as_bytes(), Duration::from_secs(now));
        now += i;
        recorder.read(b"ok\n", Duration::from_secs(now));
    }
    let summary = b"\ntest result: ok. 12 passed; 0 failed; finished in 66.00s\n";
    recorder.read(summary, Duration::from_secs(now));
    let text = recorder.end().to_string();
    assert_eq!(text.matches(" s  t").count(), 10, "{text}");
    assert!(text.contains("    11.0 s  t11\n") && !text.contains("s  t1\n"), "{text}");
}

#[test]
fn what_runs_no_test_has_no_findings() {
    assert_eq!(findings(true, &[(0, "all is well\ntest it ...\n")]), "");
}

#[test]
fn findings_can_be_recorded_and_added() -> anyhow::Result<()> {
    let mut recorder = Recorder::new(true);
    recorder.read(b"running 1 test\ntest a ... ", Duration::ZERO);
    recorder.read(b"ok\ntest result: ok. 1 passed; 0 failed\n", Duration::from_secs(2));
    let recorded = serde_json::to_string(&recorder.end())?;
    let mut total = Findings::default();
    for _ in 0..2 {
        total.add(serde_json::from_str(&recorded)?);
    }
    let text = total.to_string();
    assert_eq!(text.matches("2.0 s  a\n").count(), 2, "{text}");
    assert_eq!(text.matches("test result: ok. 1 passed; 0 failed\n").count(), 2, "{text}");
    Ok(())
}

// It prints nothing that looks like a test: what runs this test may be timed itself.
#[tokio::test]
async fn the_exit_status_is_the_commands() -> anyhow::Result<()> {
    let record = std::env::temp_dir().join(format!("e2e-timed-{}", std::process::id()));
    let command = ["sh", "-c", "exit 3"].map(OsString::from);
    assert_eq!(super::run(&command, Some(&record)).await?, 3);
    assert_eq!(super::run(&command, Some(&record)).await?, 3);
    let recorded = std::fs::read_to_string(&record)?;
    assert_eq!(recorded.lines().count(), 2, "{recorded}");
    super::print_total(&record)?;
    std::fs::remove_file(&record)?;
    Ok(())
}
