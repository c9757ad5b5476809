//! scratch
use std::time::Instant;
use weightedshare::share::{Claim, Filling};
fn main() {
    let mut x = 88172645463325252u64;
    let mut r = move || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x
    };
    for n in [1_000usize, 10_000, 100_000, 1_000_000] {
        let claims: Vec<Claim> = (0..n)
            .map(|_| {
                let lo = r() % 1000;
                Claim { weight: 1 + r() % 10000, lo, hi: lo + r() % 4000 }
            })
            .collect();
        let total = claims.iter().map(|c| c.lo + c.hi).sum::<u64>() / 2;
        let keys: Vec<u64> = (0..n).map(|_| r()).collect();
        let (mut best_s, mut best_f) = (f64::MAX, f64::MAX);
        let mut filling = Filling::default();
        let mut out = Vec::new();
        for _ in 0..(20_000_000 / n).clamp(5, 200) {
            let mut k = keys.clone();
            let t = Instant::now();
            k.sort_unstable();
            best_s = best_s.min(t.elapsed().as_secs_f64());
            let t = Instant::now();
            filling.fill(&claims, total, &mut out);
            best_f = best_f.min(t.elapsed().as_secs_f64());
        }
        assert_eq!(out.iter().sum::<u64>(), total);
        println!(
            "{n}: sort {:.1} us fill {:.1} us ratio {:.2} ns/claim {:.1}",
            best_s * 1e6,
            best_f * 1e6,
            best_f / best_s,
            best_f * 1e9 / n as f64
        );
    }
}
