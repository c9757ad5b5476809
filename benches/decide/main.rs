//! How long a decision takes: for all pools, for one changed pod, for one in a hundred, for a node that joins. The bars are what the
//! project promises.

mod made_up;
#[path = "../measure/mod.rs"]
mod measure;

use std::{hint::black_box, time::Duration};

use made_up::{MadeUp, Size};
use measure::{Random, against, head, is_wanted, row, timed};
use weightedshare::{
    cluster::{Changes, Cluster},
    engine::{Engine, History, Now, Plan},
    metrics::News,
};

fn main() {
    let mut random = Random::default();
    head();
    let tens = |pods: usize| Size { pods, pools: pods / 10, members: 2, tree: false };
    let small = measure(&mut random, "1 k pods in 100 pools", &tens(1_000));
    let medium = measure(&mut random, "10 k pods in 1 k pools", &tens(10_000));
    let in_tree = Size { tree: true, ..tens(10_000) };
    measure(&mut random, "10 k pods in 1 k pools of a tree", &in_tree);
    let fewer = Size { pools: 200, members: 5, ..tens(10_000) };
    measure(&mut random, "10 k pods in 200 pools", &fewer);
    let large = measure(&mut random, "100 k pods in 10 k pools", &tens(100_000));
    measure(
        &mut random,
        "100 k pods in 1 k pools",
        &Size { pools: 1_000, members: 10, ..tens(100_000) },
    );
    for (what, times) in [("10 k", medium), ("100 k", large)] {
        let (Some(times), Some(small)) = (times, small) else { continue };
        for (caches, time, small, bar) in
            [("warm", times.warm, small.warm, 3.0), ("cold", times.cold, small.cold, 1.5)]
        {
            let ratio = time.as_secs_f64() / small.as_secs_f64();
            let what = format!("a changed pod of {what}, against one of 1 k, caches {caches}");
            println!("{what:<62} {ratio:>30.2} {}", against(ratio, Some(bar)));
        }
    }
}

/// How long a decision takes for one changed pod.
#[derive(Clone, Copy)]
struct Changed {
    /// Right after others.
    warm: Duration,
    /// After everything was pushed out of the processor's caches.
    cold: Duration,
}

/// Measures one cluster. Returns how long a decision takes for one changed pod.
fn measure(random: &mut Random, what: &str, size: &Size) -> Option<Changed> {
    if !is_wanted(what) {
        return None;
    }
    let pods = size.pods;
    let mut settled = Settled::new(random, size);
    let all = Changes::all(&settled.made_up.cluster);
    row(random, &format!("{what}: a new engine"), pods, None, || {
        settled.engine = Engine::default();
        timed(|| settled.decide(&all))
    });
    let bar = (pods == 10_000 && size.pools == 1_000 && !size.tree).then_some(150.0);
    row(random, &format!("{what}: all of them"), pods, bar, || timed(|| settled.decide(&all)));
    let mut choice = Random::default();
    let warm = row(random, &format!("{what}: a changed pod"), pods, None, || {
        settled.change_pods(&mut choice, 1)
    });
    let mut other = Other::default();
    let cold = row(random, &format!("{what}: a changed pod, caches cold"), pods, None, || {
        other.fill_the_caches();
        settled.change_pods(&mut choice, 1)
    });
    row(random, &format!("{what}: 1 % of the pods"), pods, None, || {
        settled.change_pods(&mut choice, pods / 100)
    });
    settled.rest();
    let mut joins = true;
    row(random, &format!("{what}: a node joins, or is gone"), pods, None, || {
        let event = made_up::spare_node(joins);
        joins = !joins;
        timed(|| {
            settled.made_up.cluster.apply(event);
            settled.follow();
        })
    });
    let allocations = allocation_counter::measure(|| {
        settled.change_pods(&mut choice, 1);
    });
    println!(
        "{:<62} {:>10}",
        format!("{what}: allocations, of a changed pod"),
        allocations.count_total
    );
    Some(Changed { warm, cold })
}

/// Data of something else, more than any cache has room for.
struct Other(Vec<u64>);

impl Default for Other {
    fn default() -> Self {
        Self(vec![1; 128 << 17])
    }
}

impl Other {
    fn fill_the_caches(&mut self) {
        self.0.iter_mut().for_each(|it| *it = it.wrapping_mul(3));
        black_box(&self.0);
    }
}

/// A controller that has nothing left to do in its cluster.
struct Settled {
    made_up: MadeUp,
    engine: Engine,
    history: History,
    now: Now,
}

impl Settled {
    fn new(random: &mut Random, size: &Size) -> Self {
        let mut settled = Self {
            made_up: MadeUp::new(random, size),
            engine: Engine::default(),
            history: History::default(),
            now: Now::default(),
        };
        for _ in 0..20 {
            let plan = settled.follow();
            settled.made_up.carry_out(&plan, &mut settled.history, settled.now);
        }
        settled.rest();
        settled
    }

    fn decide(&mut self, changes: &Changes) -> Plan {
        self.now.steady += Duration::from_millis(50);
        let MadeUp { cluster, metrics, .. } = &self.made_up;
        let history = &mut self.history;
        self.engine.decide(cluster, metrics, changes, &News::default(), history, self.now)
    }

    /// Decides for all that changed.
    fn follow(&mut self) -> Plan {
        let changes = self.made_up.cluster.take_changes();
        self.decide(&changes)
    }

    /// Decides until nothing is left to decide.
    fn rest(&mut self) {
        let rests = (0..20).any(|_| self.follow().pools.is_empty());
        assert!(rests, "it is decided again and again");
    }

    /// So many pods change, and it is decided what that means. Only the decision is timed, with what it takes to note the
    /// changes.
    fn change_pods(&mut self, random: &mut Random, count: usize) -> Duration {
        let events: Vec<_> = (0..count).map(|_| self.made_up.change_a_pod(random)).collect();
        timed(|| {
            let cluster: &mut Cluster = &mut self.made_up.cluster;
            events.into_iter().for_each(|event| cluster.apply(event));
            self.follow()
        })
    }
}
