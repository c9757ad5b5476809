//! What demand moves is calmed; what people move is carried out.

use super::*;

/// Turns of one pool, of which each begins where the last one ended.
struct Turns {
    scene: Scene,
    memory: Memory,
    second: i64,
}

impl Turns {
    /// Two members, 3 : 1, that have what is fair of 1000m.
    fn new() -> Self {
        let pool = pool("pool", 0, 1000, json!([member("a", 300), member("b", 100)]));
        let mut turns = Self {
            scene: scene(&[pool], &[pod("a", "a", 750), pod("b", "b", 250)], 0),
            memory: Memory::default(),
            second: 0,
        };
        assert_eq!(turns.turn(&[("a", 900), ("b", 900)]), (vec![750, 250], true));
        turns
    }

    /// What both are granted after a turn, a minute after the last, in which they use so much; and whether anything was
    /// decided. Then they hold that, and the status says so.
    fn turn(&mut self, used: &[(&str, u64)]) -> (Vec<u64>, bool) {
        self.scene.metrics = measured(used);
        self.again()
    }

    fn again(&mut self) -> (Vec<u64>, bool) {
        self.second += 60;
        self.scene.now = Timestamp::UNIX_EPOCH + std::time::Duration::from_secs(self.second as u64);
        let (granted, decided) = {
            let seen = self.scene.seen();
            let (pool, mut divided) = seen.first();
            let decided = grant(&seen.view(), &pool, &mut divided, &mut self.memory);
            let granted: Vec<u64> =
                divided.cpu.as_ref().unwrap().pods().map(|pod| pod.granted()).collect();
            (granted, decided)
        };
        for (pod, &milli) in self.scene.pods.iter_mut().zip(&granted) {
            pod.containers[0].held.cpu = Held { requested: milli, admitted: milli };
        }
        // The turn that sees it done.
        let seen = self.scene.seen();
        let (pool, mut divided) = seen.first();
        grant(&seen.view(), &pool, &mut divided, &mut self.memory);
        self.memory.set_reported();
        let outcome = Outcome::default();
        let stands = pool.object.status.as_ref().filter(|_| !decided);
        let status = super::super::status::status(&seen.view(), &pool, &divided, &outcome, stands);
        self.scene.pools[0].status = Some(status);
        (granted, decided)
    }

    fn status(&self) -> &WeightedShareStatus {
        self.scene.pools[0].status.as_ref().unwrap()
    }
}

#[test]
fn a_small_move_of_demand_changes_nothing_not_even_the_status() {
    let mut turns = Turns::new();
    assert_eq!(turns.turn(&[("a", 300), ("b", 900)]), (vec![458, 542], true));
    let before = turns.status().clone();
    // 450m and 20 %, where it holds 458m.
    assert_eq!(turns.turn(&[("a", 310), ("b", 900)]), (vec![458, 542], false));
    assert_eq!(turns.status().members[0].demand, before.members[0].demand);
    assert_eq!(turns.status(), &before);
    assert_eq!(turns.turn(&[("a", 400), ("b", 900)]), (vec![548, 452], true));
    assert_ne!(turns.status().members[0].demand, before.members[0].demand);
}

#[test]
fn a_move_back_waits_five_minutes() {
    let mut turns = Turns::new();
    assert_eq!(turns.turn(&[("a", 300), ("b", 900)]).0, [458, 542]);
    assert_eq!(turns.turn(&[("a", 600), ("b", 900)]).0, [728, 272]);
    for _ in 0..4 {
        assert_eq!(turns.turn(&[("a", 300), ("b", 900)]).0, [728, 272]);
    }
    assert_eq!(turns.turn(&[("a", 300), ("b", 900)]).0, [458, 542]);
}

#[test]
fn an_edit_is_carried_out_to_the_unit() {
    let mut turns = Turns::new();
    turns.scene.pools[0].spec.members[0].weight = 301;
    turns.scene.pools[0].metadata.generation = Some(2);
    assert_eq!(turns.turn(&[("a", 900), ("b", 900)]), (vec![751, 249], true));
    // Whatever else makes them own more or less: here 4m.
    turns.scene.pools[0].spec.capacity.cpu = Some(crate::share::MilliCpu(996));
    assert_eq!(turns.turn(&[("a", 900), ("b", 900)]), (vec![748, 248], true));
}

/// Its limit follows, and it is not measured how low that could go: what it holds, it keeps.
#[test]
fn what_can_never_be_taken_back_is_not_given_in_small_steps() {
    const MI: u64 = 1 << 20;
    let mut capped = member("a", 100);
    capped["limitPolicy"] = json!("Cap");
    let mut scene = scene(
        &[pool("pool", 0, 1000, json!([capped, member("b", 100)]))],
        &[pod("a", "a", 0), pod("b", "b", 0)],
        0,
    );
    scene.nodes.get_mut("n1").unwrap().allocatable.memory = 4000 * MI;
    for pod in &mut scene.pods {
        pod.containers[0].held.memory = Held { requested: 500 * MI, admitted: 500 * MI };
    }
    scene.pods[0].containers[0].limit.memory = Some(500 * MI);
    let mut memory = Memory::default();
    let mut granted = |mebibytes: u64, generation| -> (Vec<u64>, u64) {
        let pool = &mut scene.pools[0];
        pool.spec.capacity =
            serde_json::from_value(json!({"memory": format!("{mebibytes}Mi")})).unwrap();
        pool.metadata.generation = Some(generation);
        let seen = scene.seen();
        let (pool, mut divided) = seen.first();
        grant(&seen.view(), &pool, &mut divided, &mut memory);
        let of = |pod: &str| memory.granted(pod, Resource::Memory).unwrap() / MI;
        let counts = of("a") + of("b");
        let granted = divided.memory.as_ref().unwrap().pods();
        (granted.map(|pod| pod.granted() / MI).collect(), counts)
    };
    assert_eq!(granted(1000, 1), (vec![500, 500], 1000));
    // What it does not take is not lost.
    assert_eq!(granted(1010, 1), (vec![500, 505], 1010));
    assert_eq!(granted(1010, 1), (vec![500, 505], 1010));
    assert_eq!(granted(1010, 2), (vec![505, 505], 1010));
    assert_eq!(granted(1200, 2), (vec![600, 600], 1200));
}

#[test]
fn a_pod_that_comes_is_carried_out_to_the_unit() {
    let mut turns = Turns::new();
    turns.scene.pods.push(pod("b-1", "b", 0));
    assert_eq!(turns.turn(&[("a", 900), ("b", 900)]).0, [750, 125, 125]);
    turns.scene.pods.pop();
    assert_eq!(turns.turn(&[("a", 900), ("b", 900)]).0, [750, 250]);
}

#[test]
fn while_nobody_measures_only_people_move_something() {
    let mut turns = Turns::new();
    assert_eq!(turns.turn(&[("a", 300), ("b", 900)]).0, [458, 542]);
    turns.scene.metrics = measured(&[("a", 900), ("b", 900)]);
    turns.scene.metrics.fail("it does not answer");
    assert_eq!(turns.again(), (vec![458, 542], false));
    // Nor does it, where the controller was started meanwhile.
    turns.memory = Memory::default();
    turns.scene.metrics = measured(&[]);
    turns.scene.metrics.fail("it does not answer");
    assert_eq!(turns.again(), (vec![458, 542], false));
    turns.scene.pools[0].spec.members[0].weight = 100;
    turns.scene.pools[0].metadata.generation = Some(2);
    assert_eq!(turns.again(), (vec![500, 500], true));
}

#[test]
fn a_restart_changes_nothing() {
    let mut turns = Turns::new();
    assert_eq!(turns.turn(&[("a", 300), ("b", 900)]).0, [458, 542]);
    let before = turns.status().clone();
    turns.memory = Memory::default();
    assert_eq!(turns.turn(&[("a", 310), ("b", 900)]), (vec![458, 542], false));
    assert_eq!(turns.status(), &before);
}

#[test]
fn a_pod_that_came_during_a_restart_is_divided_to_the_unit() {
    let mut turns = Turns::new();
    let mut scene = turns.scene.clone();
    // It holds nearly what it is to have: no move that demand causes would be worth it.
    scene.pods[0].containers[0].held.cpu = Held { requested: 730, admitted: 730 };
    scene.pods[0].uid = "another".into();
    turns.scene = scene;
    turns.memory = Memory::default();
    assert_eq!(turns.turn(&[("a", 900), ("b", 900)]), (vec![750, 250], true));
}

#[test]
fn what_no_node_bounds_does_not_count_where_the_pod_comes_then() {
    let nowhere = Pod { node: None, binding: None, ..pod("b", "b", 200) };
    let members = json!([member("a", 100), member("b", 100)]);
    let scene = scene(&[pool("pool", 0, 1000, members)], &[pod("a", "a", 200), nowhere], 1000);
    let seen = scene.seen();
    let (members, mut shares) = seen.first();
    let mut memory = Memory::default();
    grant(&seen.view(), &members, &mut shares, &mut memory);
    let counts = ["a", "b"].map(|uid| memory.granted(uid, Resource::Cpu));
    assert_eq!(counts, [Some(500), Some(200)]);
}
