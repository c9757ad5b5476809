//! What is due to each by weight, and how evenly it was met.

use weightedshare::{
    cluster::Qos,
    simulate::kernel::{Task, schedule},
};

use super::setting::WEIGHTS;

/// The CPU that each pod would use alone, in millicores per processor. The batch job would use all of it.
const WANTS: [f64; 3] = [250.0, f64::INFINITY, 250.0];

/// What is due to each by weight, of what they got together and what was left idle, on a node with so many processors. In cores.
pub fn due(got: &[f64], idle: f64, cores: usize) -> Vec<f64> {
    let milli = (got.iter().sum::<f64>() + idle) * 1000.0;
    let task = |(&(_, weight), wants): (&(&str, u32), f64)| Task {
        qos: Qos::Burstable,
        request: f64::from(weight),
        wants: wants * cores as f64,
        limit: None,
    };
    let tasks: Vec<Task> = WEIGHTS.iter().zip(WANTS).take(got.len()).map(task).collect();
    schedule(&tasks, milli, milli).into_iter().map(|due| due / 1000.0).collect()
}

/// Jain's index of fairness: 1 where each got the same part of what is due to it, and one divided by their number where one got all.
pub fn jain(got: &[f64], due: &[f64]) -> f64 {
    let met: Vec<f64> =
        got.iter().zip(due).filter(|(_, due)| **due > 0.0).map(|(got, due)| got / due).collect();
    let (sum, squares) = (met.iter().sum::<f64>(), met.iter().map(|it| it * it).sum::<f64>());
    if squares == 0.0 { 1.0 } else { sum * sum / (met.len() as f64 * squares) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_is_all_there_is() {
        let due = due(&[0.4, 0.9, 0.3], 0.4, 2);
        assert!((due.iter().sum::<f64>() - 2.0).abs() < 1e-6, "{due:?}");
        // The service and the third have what they want, as by weight there is more for them.
        assert!((due[0] - 0.5).abs() < 1e-6, "{due:?}");
    }

    #[test]
    fn as_is_due_is_one_and_all_to_one_is_a_third() {
        assert!((jain(&[0.5, 0.7, 0.1], &[0.5, 0.7, 0.1]) - 1.0).abs() < 1e-9);
        assert!((jain(&[1.0, 0.0, 0.0], &[0.5, 0.5, 0.5]) - 1.0 / 3.0).abs() < 1e-9);
    }
}
