//! A table of what was measured: each row as a ratio to sorting as many random keys in the same run, because machines differ and are
//! shared.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

/// How long a row is measured at least, sorting and working in turns.
const TIME: Duration = Duration::from_secs(2);

/// Prints the head of the table.
pub fn head() {
    println!("{:<62} {:>10} {:>10} {:>8} {:>6}", "what", "time", "sort", "ratio", "bar");
}

/// Whether a row is wanted: all are, or those that contain an argument of `cargo bench -- ARGUMENT`.
pub fn is_wanted(what: &str) -> bool {
    let mut wanted =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).peekable();
    wanted.peek().is_none() || wanted.any(|wanted| what.contains(&wanted))
}

/// Measures `work` and the sorting of `keys` keys in turns, and prints the best of each. Returns the best of `work`: it says
/// itself how long the part took that counts.
pub fn row(
    random: &mut Random,
    what: &str,
    keys: usize,
    bar: Option<f64>,
    mut work: impl FnMut() -> Duration,
) -> Duration {
    let keys: Vec<u64> = (0..keys).map(|_| random.next()).collect();
    let (mut sorting, mut working) = (Duration::MAX, Duration::MAX);
    let began = Instant::now();
    while began.elapsed() < TIME {
        let mut sorted = keys.clone();
        sorting = sorting.min(timed(|| sorted.sort_unstable()));
        black_box(sorted);
        working = working.min(work());
    }
    let ratio = working.as_secs_f64() / sorting.as_secs_f64();
    println!("{what:<62} {working:>10.2?} {sorting:>10.2?} {ratio:>8.2} {}", against(ratio, bar));
    working
}

/// The bar of a row, and whether it is met.
pub fn against(ratio: f64, bar: Option<f64>) -> String {
    bar.map_or(String::new(), |bar| {
        format!("{bar:>6} {}", if ratio <= bar { "met" } else { "MISSED" })
    })
}

/// How long something takes.
pub fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    black_box(work());
    start.elapsed()
}

/// Marsaglia's xorshift: the same numbers in each run.
pub struct Random(u64);

impl Default for Random {
    fn default() -> Self {
        Self(0x9E37_79B9_7F4A_7C15)
    }
}

impl Random {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below this one.
    pub fn below(&mut self, most: u64) -> u64 {
        self.next() % most
    }
}
