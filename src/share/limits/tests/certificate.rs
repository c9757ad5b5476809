//! The certificate: a member that could have more could have it only from members that are no better off.

use super::*;

/// Who could give way to whom, by the pods' shares.
struct Exchange {
    /// For each member, the places of its pods where it could have more.
    more: Vec<Vec<usize>>,
    /// For each place, the members that have more than their floor there.
    less: Vec<Vec<usize>>,
    /// What each place has to spare. The last is no node: nothing limits it but caps.
    spare: Vec<u64>,
}

impl Exchange {
    fn new(case: &Case, shares: &[u64]) -> Self {
        let free = case.room.len();
        let (mut more, mut less) = (vec![vec![]; case.members.len()], vec![vec![]; free + 1]);
        for (i, pod) in case.pods.iter().enumerate() {
            let place = pod.node.unwrap_or(free);
            if shares[i] < case.cap(i) {
                more[pod.member].push(place);
            }
            if shares[i] > pod.floor && place < free {
                less[place].push(pod.member);
            }
        }
        let loads = case.by_node(|i| shares[i]);
        let mut spare: Vec<u64> =
            case.rooms().iter().zip(loads).map(|(room, load)| room - load).collect();
        spare.push(1);
        Self { more, less, spare }
    }

    /// Which members can give way to one, over full nodes, and whether there is a way to where there is room.
    fn reach(&self, from: usize) -> (Vec<bool>, bool) {
        let mut members = vec![false; self.more.len()];
        let mut places = vec![false; self.spare.len()];
        let (mut todo, mut room) = (vec![from], false);
        members[from] = true;
        while let Some(i) = todo.pop() {
            for &place in &self.more[i] {
                if !std::mem::replace(&mut places[place], true) {
                    room |= self.spare[place] > 0;
                    for &k in &self.less[place] {
                        if !std::mem::replace(&mut members[k], true) {
                            todo.push(k);
                        }
                    }
                }
            }
        }
        (members, room)
    }
}

fn is_fair(case: &Case, shares: &[u64]) -> Result<(), TestCaseError> {
    let x = case.by_member(|i| shares[i]);
    let (fair, floor, least, most) = (case.fair(), case.floor(), case.least(), case.most());
    let spent = x.iter().sum::<u64>() == case.total;
    let exchange = Exchange::new(case, shares);
    for i in (0..x.len()).filter(|&i| fair[i] > 0 && x[i] < most[i]) {
        let (mut givers, room) = exchange.reach(i);
        let needy = x[i] < least[i];
        prop_assert!(!room || (spent && !needy), "{} could have more: {:?}", i, shares);
        if room {
            givers.fill(true);
        }
        for k in (0..x.len()).filter(|&k| givers[k] && k != i && fair[k] > 0) {
            if x[k] <= if needy { floor[k] } else { least[k] } {
                continue;
            }
            prop_assert!(!needy || x[k] <= least[k], "{} has more than its least: {:?}", k, x);
            // Less than a unit of rounding on both sides.
            let (rich, poor) = (u128::from(x[k] - 1), u128::from(x[i] + 1));
            let worse = rich * u128::from(fair[i]) >= poor * u128::from(fair[k]);
            prop_assert!(!worse, "{} takes nothing from {}: {:?}", i, k, x);
        }
    }
    Ok(())
}

/// Where none binds the fair shares stay, even if there is more.
pub(super) fn holds(case: &Case) -> Result<(), TestCaseError> {
    let (shares, binds) = case.fit();
    if binds { is_fair(case, &shares) } else { Ok(()) }
}

proptest! {
    #![proptest_config(config(1))]

    #[test]
    fn holds_for_a_few_members(case in small()) {
        holds(&case)?;
    }
}

proptest! {
    #![proptest_config(config(100))]

    #[test]
    fn holds_for_hundreds_of_members(case in large()) {
        holds(&case)?;
    }
}
