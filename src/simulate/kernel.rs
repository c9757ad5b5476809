//! The kernel as the division meets it: CPU time by weight among siblings, in one cgroup for each QoS class. Pure.

use crate::cluster::Qos;

/// One pod on the node.
#[derive(Clone, Copy, Debug)]
pub struct Task {
    /// Its class: Burstable pods have a cgroup of their own, Guaranteed ones stand beside it.
    pub qos: Qos,
    /// Its request, in millicores.
    pub request: f64,
    /// What it would use if it were alone, in millicores.
    pub wants: f64,
    /// What its quota allows.
    pub limit: Option<f64>,
}

/// What each task gets of a node with `cores` millicores, when the cgroup of the Burstable pods weighs `burstable`. (The
/// kubelet works that out once a minute, so it is not always the sum of their requests.)
#[must_use]
pub fn schedule(tasks: &[Task], cores: f64, burstable: f64) -> Vec<f64> {
    let most = |task: &Task| task.wants.min(task.limit.unwrap_or(f64::INFINITY));
    let (inside, beside): (Vec<usize>, Vec<usize>) =
        (0..tasks.len()).partition(|&i| tasks[i].qos == Qos::Burstable);
    let mut level = vec![(burstable, inside.iter().map(|&i| most(&tasks[i])).sum())];
    level.extend(beside.iter().map(|&i| (tasks[i].request, most(&tasks[i]))));
    let top = by_weight(&level, cores);

    let mut got = vec![0.0; tasks.len()];
    for (&i, &part) in beside.iter().zip(&top[1..]) {
        got[i] = part;
    }
    let level: Vec<(f64, f64)> =
        inside.iter().map(|&i| (tasks[i].request, most(&tasks[i]))).collect();
    for (&i, part) in inside.iter().zip(by_weight(&level, top[0])) {
        got[i] = part;
    }
    got
}

/// Divides by weight among those that want more: what one leaves goes to the others, at once.
fn by_weight(claims: &[(f64, f64)], total: f64) -> Vec<f64> {
    let mut got = vec![0.0; claims.len()];
    let mut left = total;
    let mut open: Vec<usize> = (0..claims.len()).filter(|&i| claims[i].1 > 0.0).collect();
    while !open.is_empty() && left > 1e-9 {
        // cpu.shares is never below 2.
        let weight = |i: usize| claims[i].0.max(2.0);
        let weights: f64 = open.iter().map(|&i| weight(i)).sum();
        let sated = |&i: &usize| claims[i].1 <= left * weight(i) / weights;
        let (full, hungry): (Vec<usize>, Vec<usize>) = open.iter().partition(|&i| sated(i));
        if full.is_empty() {
            hungry.iter().for_each(|&i| got[i] = left * weight(i) / weights);
            break;
        }
        for i in full {
            got[i] = claims[i].1;
            left -= claims[i].1;
        }
        open = hungry;
    }
    got
}

#[test]
fn the_model_gives_what_a_kernel_gave() {
    let task = |request: f64, wants: f64| Task { qos: Qos::Burstable, request, wants, limit: None };
    // Measured on a node of two cores: 12.3 %, 24.9 %, 62.8 %.
    let got = schedule(&[task(100.0, 9e9), task(200.0, 9e9), task(500.0, 9e9)], 2000.0, 800.0);
    assert_eq!(got, [250.0, 500.0, 1250.0]);
    assert_eq!(schedule(&[task(100.0, 9e9), task(900.0, 0.0)], 2000.0, 1000.0), [2000.0, 0.0]);
    assert_eq!(schedule(&[task(100.0, 9e9), task(900.0, 300.0)], 2000.0, 1000.0), [1700.0, 300.0]);
    let guaranteed = Task { qos: Qos::Guaranteed, request: 500.0, wants: 9e9, limit: Some(500.0) };
    let got = schedule(&[guaranteed, task(10.0, 9e9), task(30.0, 9e9)], 2000.0, 40.0);
    assert_eq!(got, [500.0, 375.0, 1125.0]);
    // Beside a heavy sibling, the class weighs what its pods request together.
    let beside = Task { limit: None, ..guaranteed };
    assert_eq!(schedule(&[beside, task(100.0, 9e9)], 1200.0, 100.0), [1000.0, 200.0]);
}
