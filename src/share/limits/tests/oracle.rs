//! The members' shares by the definition alone, for a few members: no flow, no level of water.

use std::cmp::Ordering;

use super::*;

/// A fraction; the denominator is above zero.
#[derive(Clone, Copy, Debug)]
struct Fraction(i128, i128);

impl Fraction {
    fn whole(amount: u64) -> Self {
        Self(i128::from(amount), 1)
    }

    fn new(over: i128, under: i128) -> Self {
        let (mut a, mut b) = (over.abs(), under);
        while a != 0 {
            (a, b) = (b % a, a);
        }
        Self(over / b, under / b)
    }

    fn minus(self, other: Self) -> Self {
        Self::new(self.0 * other.1 - other.0 * self.1, self.1 * other.1)
    }

    fn times(self, other: Self) -> Self {
        Self::new(self.0 * other.0, self.1 * other.1)
    }

    fn compare(self, other: Self) -> Ordering {
        (self.0 * other.1).cmp(&(other.0 * self.1))
    }
}

fn members_of(set: usize) -> impl Iterator<Item = usize> {
    (0..usize::BITS as usize).filter(move |i| set >> i & 1 == 1)
}

/// What any set of members can have at most together, by the set as bits: each node gives its room, or all that
/// the members can put there.
fn ranks(case: &Case) -> Vec<u64> {
    let floors = case.by_node(|i| case.pods[i].floor);
    let above: Vec<u64> =
        case.rooms().iter().zip(floors).map(|(room, floor)| room - floor).collect();
    let rank = |set: usize| {
        let within =
            |i: usize, amount| if set >> case.pods[i].member & 1 == 1 { amount } else { 0 };
        let caps = case.by_node(|i| within(i, case.cap(i)));
        let floors = case.by_node(|i| within(i, case.pods[i].floor));
        let free: u64 = (0..case.pods.len())
            .filter(|&i| case.pods[i].node.is_none())
            .map(|i| within(i, case.cap(i)))
            .sum();
        let nodes = caps.iter().zip(floors).zip(&above);
        nodes.map(|((&cap, floor), above)| cap.min(floor + above)).sum::<u64>() + free
    };
    (0..1 << case.members.len()).map(rank).collect()
}

/// The shares between `low` and `high` that have the smallest levels as large as possible, then the next, and so
/// on. A level is bounded by every set S of members and every part B of it that rises above `low`: by
/// (rank(S) - what S \ B has) / weight(B). Whom the smallest of these bounds hold is settled there.
fn fairest(
    ranks: &[u64],
    total: u64,
    weights: &[u64],
    low: Vec<Fraction>,
    high: &[u64],
) -> Vec<Fraction> {
    let sum = |of: &[u64], set: usize| members_of(set).map(|i| of[i]).sum::<u64>();
    let sets = ranks.len();
    let subsets = |set: usize| (0..=set).filter(move |part| part & set == *part);
    // The same with upper bounds, and of the total.
    let least = |set| subsets(set).map(|part| ranks[part] + sum(high, set & !part)).min();
    let ranks: Vec<u64> = (0..sets).map(|set| least(set).unwrap_or(0).min(total)).collect();

    let mut shares = low;
    let mut rising =
        members_of(sets - 1).filter(|&i| weights[i] > 0).fold(0, |set, i| set | 1 << i);
    while rising != 0 {
        let mut smallest: Option<Fraction> = None;
        let mut held = 0;
        for (set, &rank) in ranks.iter().enumerate() {
            for part in subsets(set & rising).filter(|&part| part != 0) {
                let rest = members_of(set & !part)
                    .fold(Fraction::whole(rank), |rest, i| rest.minus(shares[i]));
                let level = rest.times(Fraction(1, i128::from(sum(weights, part))));
                match smallest.map_or(Ordering::Less, |smallest| level.compare(smallest)) {
                    Ordering::Less => (smallest, held) = (Some(level), part),
                    Ordering::Equal => held |= part,
                    Ordering::Greater => {}
                }
            }
        }
        for i in members_of(held) {
            shares[i] = smallest.unwrap().times(Fraction::whole(weights[i]));
        }
        rising &= !held;
    }
    shares
}

/// First everyone's least, then the rest.
fn oracle(case: &Case) -> Vec<Fraction> {
    let (ranks, fair) = (ranks(case), case.fair());
    let floors = case.floor().into_iter().map(Fraction::whole).collect();
    let low = fairest(&ranks, case.total, &fair, floors, &case.least());
    fairest(&ranks, case.total, &fair, low, &case.most())
}

/// Where nothing binds the fair shares stay, even if the total is more.
fn agrees(case: &Case) -> Result<(), TestCaseError> {
    let (shares, binds) = case.fit();
    let x = case.by_member(|i| shares[i]);
    if !binds {
        prop_assert_eq!(x, case.fair());
        return Ok(());
    }
    let exact = oracle(case);
    let mut sum = Fraction::whole(0);
    for (&x, &exact) in x.iter().zip(&exact) {
        let off = Fraction::whole(x).minus(exact);
        prop_assert!(off.0.abs() < off.1, "{:?} {:?}", x, exact);
        sum = sum.minus(exact);
    }
    prop_assert_eq!((-sum.0, sum.1), (i128::from(x.iter().sum::<u64>()), 1));
    Ok(())
}

/// All whole shares of the pods that the bounds and rooms allow, by member.
fn feasible(case: &Case) -> Vec<Vec<u64>> {
    let mut all = vec![vec![]];
    for (i, pod) in case.pods.iter().enumerate() {
        all = (pod.floor..=case.cap(i))
            .flat_map(|share| all.iter().map(move |shares| [&shares[..], &[share]].concat()))
            .collect();
    }
    all.retain(|shares| {
        let loads = case.by_node(|i| shares[i]);
        loads.iter().zip(case.rooms()).all(|(&load, room)| load <= room)
    });
    all.iter().map(|shares| case.by_member(|i| shares[i])).collect()
}

proptest! {
    #![proptest_config(config(1))]

    #[test]
    fn is_what_the_definition_says(
        case in prop_oneof![cases(3, 3, 2, 3), cases(12, 4, 3, 3), cases(40, 4, 2, 3)]
    ) {
        agrees(&case)?;
    }

    /// The oracle's ranks are right, and nothing that could be had is left.
    #[test]
    fn leaves_nothing_that_could_be_had(case in cases(2, 2, 2, 2)) {
        let all = feasible(&case);
        for (set, rank) in ranks(&case).into_iter().enumerate() {
            let most = all.iter().map(|x| members_of(set).map(|i| x[i]).sum::<u64>()).max();
            prop_assert_eq!(most, Some(rank));
        }
        let (shares, binds) = case.fit();
        if binds {
            let x = case.by_member(|i| shares[i]);
            let within = |y: &&Vec<u64>| y.iter().zip(case.most()).all(|(&y, most)| y <= most);
            let most = all.iter().filter(within).map(|y| y.iter().sum::<u64>()).max();
            prop_assert_eq!(x.iter().sum::<u64>(), most.unwrap().min(case.total));
            prop_assert!(all.contains(&x));
        }
    }
}
