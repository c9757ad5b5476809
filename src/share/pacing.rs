//! Shrink before grow: how far each pod may go now, so that what is charged never rises above what there is.

/// Where one pod stands on its way to its share. One resource, in units of it (millicores or bytes).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Position {
    /// What it is charged now.
    pub charge: u64,
    /// What it would be charged had it not asked for more than the kubelet admitted: `charge`, or less.
    pub admitted: u64,
    /// Its share.
    pub target: u64,
    /// The node it is on, as an index into the room of the nodes. A pod without a node does not grow.
    pub node: Option<usize>,
    /// Its node has not confirmed a shrink for too long, so the other pods no longer wait for it.
    pub unconfirmed: bool,
}

/// Room that some of the pods have in common, beside the pool's and the nodes', such as what a quota leaves.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Common {
    /// What is free of it.
    pub room: u64,
    /// The places of the pods, ascending.
    pub pods: Vec<usize>,
}

/// The charge that each pod may rise or sink to now, given the room that is confirmed free in the pool, on the
/// nodes and under quotas (capacity less all charges; zero where there is none).
///
/// - A pod above its share goes down to it, at once.
/// - A pod below it grows into the room that is left, those furthest behind first. It waits for the whole step while
///   something in the pool is still shrinking, so that one edit costs a pod one resize; after that it takes what there is.
/// - A grow that the kubelet deferred is taken back to what was admitted, unless there is room for it by now.
pub fn steps(
    pods: &[Position],
    pool_room: u64,
    node_room: &[u64],
    mut common: Vec<Common>,
) -> Vec<u64> {
    let shrinking = pods.iter().any(|pod| pod.target < pod.charge && !pod.unconfirmed);
    let (mut pool_room, mut node_room) = (pool_room, node_room.to_vec());

    let mut order: Vec<usize> = (0..pods.len()).collect();
    // charge / target, ascending, by cross products; ties as given.
    order.sort_by(|&i, &k| {
        let behind = |a: Position, b: Position| u128::from(a.admitted) * u128::from(b.target);
        behind(pods[i], pods[k]).cmp(&behind(pods[k], pods[i]))
    });

    let mut allowed: Vec<u64> = pods.iter().map(|pod| pod.target.min(pod.admitted)).collect();
    for i in order {
        let pod = pods[i];
        if pod.target <= pod.admitted {
            continue;
        }
        let Some(node) = pod.node else {
            // Asking for less makes it easier to place; asking for more can wait until it is.
            allowed[i] = pod.target.min(pod.charge);
            continue;
        };
        // What it already asks for is charged to it, so that much is its own to use.
        let asked = pod.charge - pod.admitted;
        let mut shared: Vec<&mut Common> =
            common.iter_mut().filter(|it| it.pods.binary_search(&i).is_ok()).collect();
        let least = shared.iter().map(|it| it.room).min().unwrap_or(u64::MAX);
        let room = asked.saturating_add(pool_room.min(node_room[node]).min(least));
        let wanted = pod.target - pod.admitted;
        let grow = match wanted <= room {
            true => wanted,
            false if shrinking => 0,
            false => room,
        };
        let taken = grow.saturating_sub(asked);
        pool_room -= taken;
        node_room[node] -= taken;
        shared.iter_mut().for_each(|it| it.room -= taken);
        allowed[i] = pod.admitted + grow;
    }
    allowed
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::testing::cases, *};

    /// Without anything in common.
    fn simple(pods: &[Position], pool_room: u64, node_room: &[u64]) -> Vec<u64> {
        steps(pods, pool_room, node_room, Vec::new())
    }

    fn pod(charge: u64, target: u64) -> Position {
        Position { charge, admitted: charge, target, node: Some(0), unconfirmed: false }
    }

    #[test]
    fn shrinks_go_first_and_grows_wait_for_them() {
        let pods = [pod(200, 1000), pod(400, 400), pod(1000, 200)];
        assert_eq!(simple(&pods, 0, &[0]), [200, 400, 200]);
        let confirmed = [pod(200, 1000), pod(400, 400), pod(200, 200)];
        assert_eq!(simple(&confirmed, 800, &[5000]), [1000, 400, 200]);
    }

    #[test]
    fn grows_take_what_there_is_when_nothing_more_will_come() {
        assert_eq!(simple(&[pod(100, 1000), pod(300, 600)], 1200, &[500]), [600, 300]);
        assert_eq!(simple(&[pod(100, 1000), pod(600, 500)], 500, &[500]), [100, 500]);
    }

    #[test]
    fn who_does_not_confirm_holds_up_nobody_for_long() {
        let silent = |unconfirmed| [pod(200, 1000), Position { unconfirmed, ..pod(900, 100) }];
        assert_eq!(simple(&silent(false), 300, &[300]), [200, 100]);
        assert_eq!(simple(&silent(true), 300, &[300]), [500, 100]);
    }

    #[test]
    fn what_some_have_in_common_bounds_them_together() {
        let common = |room| Common { room, pods: vec![0, 2] };
        let pods = [pod(100, 500), pod(100, 500), pod(100, 500)];
        let grown = |common| steps(&pods, 2000, &[2000], common);
        assert_eq!(grown(vec![common(500)]), [500, 500, 200]);
        assert_eq!(grown(vec![common(500), Common { room: 30, pods: vec![0] }]), [130, 500, 500]);
        assert_eq!(grown(vec![common(0)]), [100, 500, 100]);
        // What shrinks, shrinks; and what it asked for already is its own.
        let less = steps(&[pod(500, 100)], 0, &[0], vec![Common { room: 0, pods: vec![0] }]);
        assert_eq!(less, [100]);
    }

    #[test]
    fn who_has_its_share_holds_nobody_up() {
        assert_eq!(simple(&[pod(100, 1000), pod(400, 400)], 500, &[500]), [600, 400]);
    }

    #[test]
    fn who_is_furthest_behind_grows_first() {
        // 1/10 of its share, against 500/600 of it.
        assert_eq!(simple(&[pod(500, 600), pod(10, 100)], 90, &[90]), [500, 100]);
        assert_eq!(simple(&[pod(10, 100), pod(500, 600)], 90, &[90]), [100, 500]);
        assert_eq!(simple(&[pod(90, 100), pod(50, 100)], 50, &[50]), [90, 100]);
    }

    #[test]
    fn a_pod_without_a_node_shrinks_but_does_not_grow() {
        let nowhere = |charge, target| Position { node: None, ..pod(charge, target) };
        assert_eq!(simple(&[nowhere(100, 500), nowhere(500, 100)], 900, &[]), [100, 100]);
    }

    #[test]
    fn a_deferred_grow_stays_only_where_there_is_room_for_it() {
        let deferred = Position { admitted: 300, ..pod(900, 900) };
        // Its node holds its 900 only on paper: other pods took the room meanwhile.
        assert_eq!(simple(&[deferred], 0, &[0]), [900]);
        let less = Position { target: 200, ..deferred };
        assert_eq!(simple(&[less], 0, &[0]), [200]);
    }

    proptest! {
        #![proptest_config(cases(1))]

        #[test]
        fn never_grants_more_than_the_room(
            pods in prop::collection::vec((0..1000u64, 0..500u64, 0..1500u64, prop::option::of(0..3usize)), 0..10),
            pool_room in 0..3000u64,
            node_room in prop::array::uniform3(0..2000u64),
            quota in (0..2000u64, prop::collection::vec(any::<bool>(), 10)),
        ) {
            let pods: Vec<Position> = pods
                .into_iter()
                .map(|(admitted, asked, target, node)| Position { admitted, node, ..pod(admitted + asked, target) })
                .collect();
            let counts = |i: &usize| quota.1[*i];
            let common = Common { room: quota.0, pods: (0..pods.len()).filter(counts).collect() };
            let allowed = steps(&pods, pool_room, &node_room, vec![common.clone()]);
            let of_pod = |&i: &usize| allowed[i].saturating_sub(pods[i].charge);
            prop_assert!(common.pods.iter().map(of_pod).sum::<u64>() <= common.room);
            let mut grown = [0; 3];
            for (pod, &to) in pods.iter().zip(&allowed) {
                // Never away from the target, never past it.
                prop_assert!(to <= pod.target.max(pod.charge) && to >= pod.target.min(pod.admitted));
                if pod.node.is_none() {
                    prop_assert!(to <= pod.charge);
                }
                if let Some(node) = pod.node {
                    grown[node] += to.saturating_sub(pod.charge);
                }
            }
            prop_assert!(grown.iter().sum::<u64>() <= pool_room);
            prop_assert!(grown.iter().zip(node_room).all(|(grown, room)| *grown <= room));
        }
    }
}
