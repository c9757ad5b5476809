//! What users ask of the service: mostly little, and now and then a burst.

use std::time::Duration;

use tokio::time::sleep;

use crate::requests::Rate;

/// What the answers take outside of bursts and in one, of each processor: a quarter on average.
const CALM: f64 = 0.19;
const BURST: f64 = 0.55;
/// The length of a slot, the slots in a window, and how many of them are bursts.
pub const SLOT: Duration = Duration::from_secs(5);
const SLOTS: usize = 12;
const BURSTS: usize = 2;
/// The slots repeat after a window, so any stretch of this length has the same demand.
pub const WINDOW: Duration = Duration::from_secs(60);

/// What is asked for in each slot, of each processor.
pub fn slots(seed: u64) -> [f64; SLOTS] {
    let mut slots = [CALM; SLOTS];
    slots[..BURSTS].fill(BURST);
    fastrand::Rng::with_seed(seed).shuffle(&mut slots);
    slots
}

/// Sets the rate for each slot, without end. `cores` are the node's processors, `cost` is the CPU time of an answer in seconds.
pub async fn follow(rate: Rate, seed: u64, cores: usize, cost: f64) {
    for part in slots(seed).iter().cycle() {
        rate.set(part * cores as f64 / cost);
        sleep(SLOT).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_uses_a_quarter() {
        for seed in 0..10 {
            let slots = slots(seed);
            assert_eq!(SLOT * u32::try_from(slots.len()).unwrap_or(0), WINDOW);
            let mean = slots.iter().sum::<f64>() / slots.len() as f64;
            assert!((mean - 0.25).abs() < 0.001, "{mean}");
        }
    }
}
