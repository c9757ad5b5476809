//! A service that answers requests on a noisy machine, and the histogram that Prometheus scrapes of it.

use std::collections::VecDeque;

use super::random;

/// Upper bounds of the histogram's buckets, in seconds: those of the service of the cluster tests.
const BOUNDS: [f64; 12] = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.5, 10.0];
/// The CPU time of an answer, in cores and seconds.
const COST: f64 = 0.02;
/// This many requests are under way at most: further users give up.
const AT_ONCE: usize = 64;
/// How often it is scraped, in seconds.
const SCRAPE: u64 = 5;
/// Answers that are older than this are forgotten, in seconds.
const REMEMBERED: f64 = 60.0;

type Counts = [u64; BOUNDS.len() + 1];

/// What the service did in one second.
pub struct Second {
    /// The CPU time that it used, in cores.
    pub used: f64,
    /// The part of the second in which a request waited for CPU.
    pub waited: f64,
}

/// The queue of the service. All requests that are under way share what the service gets of the CPU.
pub struct Service {
    /// The load at each second: how many cores it takes to answer the requests.
    load: super::Load,
    /// The part of the time between two requests that is random: from 0 (they come evenly) to 1 (as those of many users).
    pub random_part: f64,
    /// The most that the rest of the machine takes from the service at some second, as a part of what it could have.
    noise: f64,
    /// How far the query looks back, in seconds.
    pub range: u64,
    seed: u64,
    /// How many random numbers were drawn.
    drawn: u64,
    /// When the next request comes.
    next: f64,
    /// When each request came, and the CPU time that its answer still takes.
    requests: Vec<(f64, f64)>,
    counts: Counts,
    scraped: VecDeque<(u64, Counts)>,
    /// When each answer came, and how long after its request.
    answers: VecDeque<(f64, f64)>,
}

impl Service {
    pub fn new(seed: u64, load: super::Load) -> Self {
        Self {
            load,
            random_part: 0.5,
            noise: 0.3,
            range: 30,
            seed,
            drawn: 0,
            next: 0.0,
            requests: Vec::new(),
            counts: Counts::default(),
            scraped: VecDeque::new(),
            answers: VecDeque::new(),
        }
    }

    /// A number from 0 to 1.
    fn random(&mut self) -> f64 {
        self.drawn += 1;
        random(self.drawn, self.seed)
    }

    /// The time from one request to the next, in seconds.
    fn gap(&mut self, second: u64) -> f64 {
        let mean = COST / (self.load)(second);
        let random = -(1.0 - self.random()).ln();
        mean * (1.0 - self.random_part + self.random_part * random)
    }

    /// Answers requests for a second, with this many cores for all of them, and at most so much of a core for each.
    pub fn run(&mut self, second: u64, cores: f64, each: f64) -> Second {
        let (mut now, end) = (second as f64, second as f64 + 1.0);
        let quiet = 1.0 - self.noise * self.random();
        let mut all = Second { used: 0.0, waited: 0.0 };
        while now < end {
            let count = self.requests.len() as f64;
            let speed = quiet * (cores / count).min(each);
            let least = self.requests.iter().map(|it| it.1).fold(f64::INFINITY, f64::min);
            let until = if count > 0.0 { now + least / speed } else { f64::INFINITY };
            let until = until.min(self.next).min(end).max(now);
            let passed = until - now;
            self.requests.iter_mut().for_each(|it| it.1 -= passed * speed);
            all.used += if count > 0.0 { passed * speed * count } else { 0.0 };
            // As the kernel counts it: who runs does not wait.
            all.waited += if count > 0.0 { passed * (1.0 - speed / each) } else { 0.0 };
            now = until;
            self.answer(now);
            if now >= self.next {
                if self.requests.len() < AT_ONCE {
                    self.requests.push((now, COST));
                }
                self.next = now + self.gap(second);
            }
        }
        while self.answers.front().is_some_and(|(at, _)| at + REMEMBERED < end) {
            self.answers.pop_front();
        }
        if (second + self.seed).is_multiple_of(SCRAPE) {
            self.scraped.push_back((second, self.counts));
            let range = self.range;
            self.scraped.retain(|(at, _)| at + range > second);
        }
        all
    }

    /// Answers what takes no more CPU time.
    fn answer(&mut self, now: f64) {
        let (counts, answers) = (&mut self.counts, &mut self.answers);
        self.requests.retain(|&(came, left)| {
            if left > 1e-9 {
                return true;
            }
            let took = now - came;
            let bucket = BOUNDS.iter().position(|&bound| took <= bound).unwrap_or(BOUNDS.len());
            counts[bucket] += 1;
            answers.push_back((now, took));
            false
        });
    }

    /// What `histogram_quantile(0.99, sum by (le) (rate(...[range])))` comes to at a second. None where there is no number.
    pub fn query(&self, second: u64) -> Option<f64> {
        let mut recent = self.scraped.iter().filter(|(at, _)| at + self.range > second);
        let (first, last) = (recent.next()?.1, recent.next_back()?.1);
        let counts: Vec<f64> = last.iter().zip(first).map(|(a, b)| (a - b) as f64).collect();
        let rank = 0.99 * counts.iter().sum::<f64>();
        let mut below = 0.0;
        for (i, count) in counts.iter().enumerate() {
            if *count > 0.0 && below + count >= rank {
                let Some(&bound) = BOUNDS.get(i) else { return BOUNDS.last().copied() };
                let start = if i == 0 { 0.0 } else { BOUNDS[i - 1] };
                return Some(start + (bound - start) * (rank - below) / count);
            }
            below += count;
        }
        None
    }

    /// The time within which 99 of 100 answers of the last `window` seconds came, as the clients see it.
    pub fn p99(&self, now: u64, window: u64) -> Option<f64> {
        let from = now as f64 - window as f64;
        let recent = self.answers.iter().rev().take_while(|(at, _)| *at >= from);
        let mut took: Vec<f64> = recent.map(|it| it.1).collect();
        took.sort_by(f64::total_cmp);
        (took.len() * 99).div_ceil(100).checked_sub(1).map(|last| took[last])
    }
}
