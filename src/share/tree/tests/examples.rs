//! Trees that can be worked out by hand.

use super::*;

#[test]
fn weights_divide_at_each_level() {
    let teams = [
        Sprout::branch(400, [Sprout::pool(100, pool([1])), Sprout::pool(300, pool([1, 1]))]),
        Sprout::branch(200, [Sprout::pool(100, pool([1]))]),
        Sprout::branch(100, [Sprout::pool(100, pool([1]))]),
    ];
    let tree = tree(7000, &teams);
    assert_eq!(fair(&tree), [4000, 1000, 3000, 2000, 2000, 1000, 1000]);
    assert_eq!(shares(&tree), [1000, 1500, 1500, 2000, 1000]);
    assert!(!divide(&tree).overcommitted);
}

#[test]
fn a_branch_without_pods_takes_no_part() {
    let empty = Pool { pods: Vec::new(), members: Vec::new(), ..pool([1]) };
    let tree = tree(
        1000,
        &[
            Sprout::branch(900, [Sprout::pool(1, empty)]).min(800),
            Sprout::branch(100, [Sprout::pool(1, pool([1]))]),
        ],
    );
    assert_eq!(fair(&tree), [0, 0, 1000, 1000]);
}

#[test]
fn a_promised_min_comes_before_floors_and_weights() {
    let crowd = Sprout::branch(1000, (0..20).map(|_| Sprout::pool(1, pool([1; 5]))));
    let promised = Sprout::branch(1, [Sprout::pool(1, pool([1]))]).min(500);
    let mut tree = tree(1200, &[crowd, promised]);
    let division = divide(&tree);
    // The floors of a hundred pods need 1000, and there are 700 left.
    assert_eq!((division.branches[0].fair, division.branches[21].fair), (700, 500));
    assert!(division.branches[0].too_small && !division.branches[21].too_small);
    assert!(!division.overcommitted);
    tree.capacity = 400;
    assert!(divide(&tree).overcommitted);
    assert_eq!(divide(&tree).branches[21].fair, 400);
}

#[test]
fn what_an_expandable_branch_asks_for_takes_no_promised_min() {
    let mut inner = pool([1]);
    inner.members[0].min = 900;
    let mut greedy = Sprout::branch(1, [Sprout::pool(1, inner)]);
    greedy.children[0].expandable = true;
    greedy.expandable = true;
    let promised = Sprout::branch(1, [Sprout::pool(1, pool([1]))]).min(500);
    assert_eq!(fair(&tree(1000, &[greedy.clone(), promised.clone()]))[0], 500);
    assert_eq!(fair(&tree(2000, &[greedy.clone(), promised.clone()]))[0], 1000);
    // Between the two, the min inside is met first.
    let other = Sprout::branch(9, [Sprout::pool(1, pool([1]))]);
    assert_eq!(fair(&tree(1500, &[greedy.clone(), other.clone()]))[0], 900);
    greedy.expandable = false;
    assert_eq!(fair(&tree(1500, &[greedy, other]))[0], 150);
}

#[test]
fn a_max_bounds_a_branch_and_the_rest_goes_to_its_siblings() {
    let tree = tree(
        1000,
        &[
            Sprout::branch(3, [Sprout::pool(1, pool([1]))]).max(300),
            Sprout::branch(1, [Sprout::pool(1, pool([1]))]),
        ],
    );
    assert_eq!(fair(&tree), [300, 300, 700, 700]);
}

#[test]
fn idle_shares_are_used_inside_the_branch_first() {
    // Two teams of two pools: one pool of the first team is idle.
    let sleeping = Sprout::pool(1, needing(0));
    let busy = || Sprout::pool(1, needing(5000));
    let teams =
        [Sprout::branch(1, [sleeping.clone(), busy()]), Sprout::branch(1, [busy(), busy()])];
    // Of 500 that are idle, 375 are lent, to the pool beside it.
    assert_eq!(shares(&tree(2000, &teams)), [125, 875, 500, 500]);
    // Where the whole team sleeps, it lends to the other one, and the idle tax is paid once.
    let teams =
        [Sprout::branch(1, [sleeping.clone(), sleeping]), Sprout::branch(1, [busy(), busy()])];
    assert_eq!(shares(&tree(2000, &teams)), [125, 125, 875, 875]);
}

#[test]
fn a_promised_min_is_not_lent() {
    let teams = [
        Sprout::branch(1, [Sprout::pool(1, needing(0))]).min(600),
        Sprout::branch(1, [Sprout::pool(1, needing(5000))]),
    ];
    // Its pod does not need it, so it is held back: 400 of 1000 are above the min, 300 of these are lent.
    assert_eq!(shares(&tree(2000, &teams)), [250, 1300]);
}

#[test]
fn a_pool_that_spreads_holds_what_its_branch_owns_and_no_more() {
    let spreads = || {
        let mut pool = needing(100);
        pool.idle = Idle::Spread;
        Sprout::pool(1, pool)
    };
    let teams =
        [Sprout::branch(1, [spreads()]), Sprout::branch(1, [Sprout::pool(1, needing(100))])];
    assert_eq!(shares(&tree(2000, &teams)), [1000, 325]);
    // Where its branch and the root spread as well, what the other team releases is held, too.
    let [spreads, other] = teams;
    let mut spread = tree(2000, &[Sprout { idle: Idle::Spread, ..spreads }, other]);
    assert_eq!(shares(&spread), [1000, 325]);
    spread.idle = Idle::Spread;
    assert_eq!(shares(&spread), [1675, 325]);
}
