//! Cases worth a name.

use super::*;

fn wish(member: usize, node: usize, fair: u64) -> Wish {
    Wish { member, node: Some(node), fair, floor: 0, cap: u64::MAX }
}

fn unbound(members: usize) -> Vec<Bounds> {
    vec![Bounds { lo: 0, hi: u64::MAX }; members]
}

fn check(case: &Case, members: &[u64]) {
    let (shares, binds) = case.fit();
    assert!(binds);
    certificate::holds(case).unwrap();
    assert_eq!(case.by_member(|i| shares[i]), members);
}

#[test]
fn moves_what_a_full_node_cannot_hold() {
    // The second member has a pod elsewhere, and the third takes what is left of the total.
    let pods = vec![wish(0, 0, 300), wish(1, 0, 150), wish(1, 1, 150), wish(2, 2, 400)];
    let case =
        Case { total: 1000, members: unbound(3), pods: pods.clone(), room: vec![240, 1000, 1000] };
    check(&case, &[240, 326, 434]);
    // With its least secured, the second keeps that, and not more.
    let mut members = unbound(3);
    members[1] = Bounds { lo: 280, hi: 290 };
    members[2].hi = 400;
    check(&Case { total: 1000, members, pods, room: vec![240, 100, 1000] }, &[60, 280, 400]);
}

#[test]
fn gives_on_what_was_lost_and_not_more() {
    // Ten units are lost on the first node; a total that has a hundred more to give is the caller's.
    let pods = vec![wish(0, 0, 100), wish(1, 1, 100), wish(2, 1, 200)];
    let case = Case { total: 400, members: unbound(3), pods, room: vec![90, 1000] };
    check(&case, &[90, 103, 207]);
    let fits = Case { total: 500, room: vec![100, 1000], ..case };
    assert_eq!(fits.fit(), (vec![100, 100, 200], false));
}

#[test]
fn whole_units_go_where_there_is_room() {
    // The first loses 6; the others come to 11.5 each. The first two of those have no room for both their halves.
    let pods = vec![wish(0, 0, 10), wish(1, 1, 10), wish(2, 1, 10), wish(3, 2, 10), wish(4, 2, 10)];
    let case = Case { total: 50, members: unbound(5), pods, room: vec![4, 23, 100] };
    check(&case, &[4, 12, 11, 12, 11]);
}

#[test]
fn only_nodes_with_a_room_limit() {
    let pods = vec![wish(0, 0, 100), wish(0, 2, 50), wish(1, 1, 100)];
    let mut fitting = Fitting::default();
    let mut shares = Vec::new();
    assert!(fitting.fit(250, &unbound(2), &pods, &[70, 200], &mut shares));
    assert_eq!(shares, [70, 80, 100]);
    assert_eq!([0, 1, 2].map(|node| fitting.is_full(node)), [true, false, false]);
    // A node may be full and not bind.
    assert!(!fitting.fit(250, &unbound(2), &pods, &[200, 100], &mut shares));
    assert_eq!(shares, [100, 50, 100]);
    assert_eq!([0, 1, 2].map(|node| fitting.is_full(node)), [false, true, false]);
}

#[test]
fn makes_way_for_pods_that_can_be_nowhere_else() {
    // Two whose other pod nothing limits share a node with one that has no other, and give way alike.
    let free = |member| Wish { node: None, ..wish(member, 0, 300) };
    let pods = vec![wish(0, 0, 300), wish(1, 0, 300), free(1), wish(2, 0, 300), free(2)];
    let case = Case { total: 1500, members: unbound(3), pods, room: vec![600] };
    assert_eq!(case.fit(), (vec![300, 150, 450, 150, 450], true));
    check(&case, &[300, 600, 600]);
    // A second node fills up with what the first cannot hold.
    let free = Wish { node: None, ..wish(2, 0, 200) };
    let pods = vec![wish(0, 0, 300), wish(1, 0, 300), wish(2, 0, 400), wish(2, 1, 200), free];
    let case = Case { total: 1400, members: unbound(3), pods, room: vec![700, 250] };
    assert_eq!(case.fit(), (vec![300, 300, 100, 250, 450], true));
    // What the first has to leave on one node to the last, the others leave to it on the next, both alike.
    let free = |member| Wish { node: None, ..wish(member, 0, 300) };
    let others = [1, 2].map(|member| [wish(member, 1, 300), free(member)]).concat();
    let pods = [vec![wish(0, 0, 200), wish(0, 1, 200)], others, vec![wish(3, 0, 200)]].concat();
    let case = Case { total: 1800, members: unbound(4), pods, room: vec![250, 800] };
    assert_eq!(case.fit(), (vec![50, 350, 225, 375, 225, 375, 200], true));
}

#[test]
fn survives_the_extremes() {
    let one = Case { total: 1, members: unbound(1), pods: vec![wish(0, 0, 1)], room: vec![0] };
    check(&one, &[0]);
    let none = Case { total: 0, members: unbound(2), pods: vec![], room: vec![] };
    assert_eq!(none.fit(), (vec![], false));
    let big = 1 << 60;
    let pods = vec![wish(0, 0, big / 2), wish(1, 0, big / 4), wish(1, 1, big / 4)];
    check(&Case { total: big, members: unbound(2), pods, room: vec![0, big] }, &[0, big]);
    let pods = vec![wish(0, 0, big / 2), wish(1, 0, big / 2 - 1), wish(2, 1, 1)];
    let case = Case { total: big, members: unbound(3), pods, room: vec![big - 2, 7] };
    check(&case, &[big / 2 - 1, big / 2 - 1, 2]);
    let max = u64::MAX;
    let pods = vec![wish(0, 0, max / 2), wish(1, 0, 1), wish(2, 1, max / 2)];
    let case = Case { total: max, members: unbound(3), pods, room: vec![max / 3, max] };
    assert_eq!(case.fit().0.iter().sum::<u64>(), max);
    certificate::holds(&case).unwrap();
}

#[test]
fn holds_where_every_bound_is_met() {
    let at = |node, fair| Wish { member: node, node: Some(node), fair, floor: fair, cap: fair };
    let members = vec![Bounds { lo: 5, hi: 5 }, Bounds { lo: 7, hi: 7 }];
    let case = Case { total: 12, members, pods: vec![at(0, 5), at(1, 7)], room: vec![5, 0] };
    assert_eq!(case.fit(), (vec![5, 7], false));
}

#[test]
fn a_thousand_members_on_one_node() {
    let pods: Vec<Wish> = (0..1000).map(|i| wish(i, 0, 1 + i as u64 % 7)).collect();
    let total = pods.iter().map(|pod| pod.fair).sum();
    let case = Case { total, members: unbound(1000), pods, room: vec![total / 3] };
    let (shares, _) = case.fit();
    assert_eq!(shares.iter().sum::<u64>(), total / 3);
    for (pod, &share) in case.pods.iter().zip(&shares) {
        assert!((share * total).abs_diff(pod.fair * (total / 3)) < total);
    }
}

/// A chain of nodes, each shared by two members, ever more narrow: as many levels as members.
#[test]
fn a_long_chain() {
    let n = 300;
    let pods = (0..n).flat_map(|i| [wish(i, i, 1000), wish(i, i + 1, 1000)]).collect();
    let room = (0..=n as u64).map(|i| 1500 - 5 * i).collect();
    let case = Case { total: 2000 * n as u64, members: unbound(n), pods, room };
    assert_eq!(case.fit().0.iter().sum::<u64>(), case.room.iter().sum::<u64>());
    certificate::holds(&case).unwrap();
}
