//! The two tiers of the tests: `make test` shows each promise once, `make nightly` runs the rest. docs/testing.md lists both.

/// Names the tier to run: `test`, `nightly`, or `all` for both. Without it a run is of the tier `test`.
const VARIABLE: &str = "TIER";

/// A tier.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tier {
    Test,
    Nightly,
}

impl Tier {
    /// Whether this run includes the tier.
    pub fn is_included(self) -> bool {
        let included = match std::env::var(VARIABLE).as_deref() {
            Err(_) | Ok("" | "test") => &[Self::Test][..],
            Ok("nightly") => &[Self::Nightly],
            Ok("all") => &[Self::Test, Self::Nightly],
            Ok(other) => panic!("{VARIABLE}={other}: only test, nightly and all are known"),
        };
        included.contains(&self)
    }

    /// Whether a test of this tier does nothing in this run; it says so.
    pub fn is_left_out(self) -> bool {
        let left_out = !self.is_included();
        if left_out {
            println!("left out: it belongs to the tier {self:?}, and {VARIABLE} names another one");
        }
        left_out
    }

    /// The part of a table that this run includes, of which some rows belong to the tier `test` and all others to `nightly`.
    pub fn part_of<T>(rows: Vec<T>, in_test: impl Fn(&T) -> bool) -> Vec<T> {
        let tier = |row: &T| if in_test(row) { Self::Test } else { Self::Nightly };
        rows.into_iter().filter(|row| tier(row).is_included()).collect()
    }
}
