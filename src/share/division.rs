//! Stage 1 of the division: who owns what. One resource of one pool.

use super::{Claim, fill};

/// A member of a pool as the division sees it, in units of the resource (millicores or bytes).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct MemberClaim {
    /// Its name: ties go by name.
    pub name: String,
    /// Its weight beside the other members.
    pub weight: u64,
    /// What it is to have before weights count.
    pub min: u64,
    /// What it is not to exceed. None: no limit of its own.
    pub max: Option<u64>,
    /// Its pods. A member without pods takes no part.
    pub pods: Vec<PodClaim>,
}

/// A pod of a member as the division sees it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PodClaim {
    /// Its name: ties go by name.
    pub name: String,
    /// Its weight beside the other pods of its member.
    pub weight: u64,
    /// The least that it can be given.
    pub floor: u64,
    /// The most that it can take. None: all there is.
    pub cap: Option<u64>,
}

/// Who owns what.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Division {
    /// For each member, in the order given.
    pub members: Vec<MemberShare>,
    /// The minima (or floors) together exceed the pool: each member has a part of its own.
    pub overcommitted: bool,
}

/// What one member owns.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct MemberShare {
    /// The fair share of the member.
    pub fair: u64,
    /// The fair shares of its pods, in the order given; they sum to `fair`.
    pub pods: Vec<u64>,
}

/// Not even the floors of the pods fit: nothing can be divided.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PoolTooSmall {
    /// The sum of the floors.
    pub needed: u128,
}

/// Divides `capacity` over the members, and each member's part over its pods.
///
/// With f the sum of a member's floors, m its min and M its max:
///
/// ```text
/// hi = max(f, min(M or capacity, sum of its pods' caps))        lo = min(hi, max(m, f))
/// fair = fill(weight, lo, hi, capacity)        if sum lo > capacity:  fair = fill(weight, f, lo, capacity)
/// ```
///
/// The shares sum to the capacity, or to what all members together can take, exactly.
///
/// # Errors
/// When the floors together exceed the capacity.
pub fn divide(capacity: u64, members: &[MemberClaim]) -> Result<Division, PoolTooSmall> {
    let sum = |amounts: &[Claim], of: fn(&Claim) -> u64| -> u128 {
        amounts.iter().map(|claim| u128::from(of(claim))).sum()
    };
    let least: Vec<u128> = members.iter().map(MemberClaim::floors).collect();
    let needed: u128 = least.iter().sum();
    if needed > u128::from(capacity) {
        return Err(PoolTooSmall { needed });
    }

    let mut wanted = 0u128;
    let mut claims: Vec<Claim> = Vec::with_capacity(members.len());
    for (member, &floors) in members.iter().zip(&least) {
        // The floors fit the capacity, so they fit 64 bits.
        let floors = floors as u64;
        if member.pods.is_empty() {
            claims.push(Claim { weight: 0, lo: 0, hi: 0 });
            continue;
        }
        wanted += u128::from(member.min.max(floors));
        let hi = floors.max(member.max.unwrap_or(capacity).min(member.caps(capacity)));
        claims.push(Claim { weight: member.weight, lo: hi.min(member.min.max(floors)), hi });
    }
    if sum(&claims, |claim| claim.lo) > u128::from(capacity) {
        for (claim, floors) in claims.iter_mut().zip(least) {
            *claim = Claim { lo: floors as u64, hi: claim.lo, ..*claim };
        }
    }

    let fair = by_name(members, &claims, capacity, |member| &member.name);
    let members = members.iter().zip(fair).map(|(member, fair)| member.share(fair)).collect();
    Ok(Division { members, overcommitted: wanted > u128::from(capacity) })
}

impl MemberClaim {
    fn floors(&self) -> u128 {
        self.pods.iter().map(|pod| u128::from(pod.floor)).sum()
    }

    /// The sum of the pods' caps, as far as it matters.
    fn caps(&self, capacity: u64) -> u64 {
        self.pods.iter().map(|pod| pod.cap(capacity)).fold(0, u64::saturating_add)
    }

    fn share(&self, fair: u64) -> MemberShare {
        let claims: Vec<Claim> = self
            .pods
            .iter()
            .map(|pod| Claim { weight: pod.weight, lo: pod.floor, hi: pod.cap(fair) })
            .collect();
        MemberShare { fair, pods: by_name(&self.pods, &claims, fair, |pod| &pod.name) }
    }
}

impl PodClaim {
    fn cap(&self, most: u64) -> u64 {
        self.cap.unwrap_or(most).max(self.floor)
    }
}

/// `fill` with ties by name, whatever the order given.
fn by_name<T>(items: &[T], claims: &[Claim], total: u64, name: fn(&T) -> &String) -> Vec<u64> {
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_unstable_by_key(|&i| name(&items[i]));
    let sorted: Vec<Claim> = order.iter().map(|&i| claims[i]).collect();
    let mut shares = vec![0; items.len()];
    for (i, share) in order.into_iter().zip(fill(&sorted, total)) {
        shares[i] = share;
    }
    shares
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn member(name: &str, weight: u64, pods: &[(u64, Option<u64>)]) -> MemberClaim {
        let pods = pods
            .iter()
            .enumerate()
            .map(|(i, &(floor, cap))| PodClaim {
                name: format!("{name}-{i}"),
                weight: 1,
                floor,
                cap,
            })
            .collect();
        MemberClaim { name: name.into(), weight, pods, ..MemberClaim::default() }
    }

    fn fair(division: &Division) -> Vec<u64> {
        division.members.iter().map(|member| member.fair).collect()
    }

    #[test]
    fn weights_divide_and_replicas_share() {
        let members = [member("a", 1, &[(10, None)]), member("b", 3, &[(10, None), (10, None)])];
        let division = divide(1602, &members).unwrap();
        assert_eq!(fair(&division), [401, 1201]);
        assert_eq!(division.members[1].pods, [601, 600]);
        assert!(!division.overcommitted);
    }

    #[test]
    fn min_and_max_bound_what_weight_gives() {
        let mut members = [member("a", 1, &[(10, None)]), member("b", 9, &[(10, None)])];
        members[0].min = 300;
        assert_eq!(fair(&divide(1000, &members).unwrap()), [300, 700]);
        members[1].max = Some(500);
        assert_eq!(fair(&divide(1000, &members).unwrap()), [500, 500]);
        members[0].max = Some(400);
        assert_eq!(fair(&divide(1000, &members).unwrap()), [400, 500]);
    }

    #[test]
    fn caps_of_pods_bound_the_member_and_the_rest_goes_on() {
        let members =
            [member("a", 9, &[(10, Some(100)), (10, Some(50))]), member("b", 1, &[(10, None)])];
        let division = divide(1000, &members).unwrap();
        assert_eq!(fair(&division), [150, 850]);
        assert_eq!(division.members[0].pods, [100, 50]);
    }

    #[test]
    fn a_member_without_pods_takes_no_part() {
        let mut members = [member("a", 100, &[]), member("b", 1, &[(10, None)])];
        members[0].min = 900;
        let division = divide(1000, &members).unwrap();
        assert_eq!(fair(&division), [0, 1000]);
        assert!(!division.overcommitted);
    }

    #[test]
    fn too_many_minima_are_cut_by_weight_above_the_floors() {
        let mut members = [member("a", 1, &[(10, None)]), member("b", 3, &[(10, None)])];
        members[0].min = 800;
        members[1].min = 800;
        let division = divide(1000, &members).unwrap();
        assert_eq!(fair(&division), [250, 750]);
        assert!(division.overcommitted);
        // A min above the pool is cut to the pool before that.
        members[0].min = 5000;
        members[1].min = 0;
        let division = divide(1000, &members).unwrap();
        assert!(division.overcommitted);
        assert_eq!(fair(&division), [990, 10]);
    }

    #[test]
    fn floors_that_do_not_fit_change_nothing() {
        let members = [member("a", 1, &[(600, None)]), member("b", 1, &[(500, None)])];
        assert_eq!(divide(1000, &members), Err(PoolTooSmall { needed: 1100 }));
    }

    prop_compose! {
        fn members()(
            members in prop::collection::vec(
                (
                    1..10_000u64,
                    0..3000u64,
                    prop::option::of(0..4000u64),
                    prop::collection::vec((0..100u64, prop::option::of(0..2000u64)), 0..4),
                ),
                0..8,
            ),
        ) -> Vec<MemberClaim> {
            members
                .into_iter()
                .enumerate()
                .map(|(i, (weight, min, max, pods))| MemberClaim {
                    min,
                    max: max.map(|max| max.max(min)),
                    ..member(&format!("m{i}"), weight, &pods)
                })
                .collect()
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn sums_are_exact_and_bounds_are_kept(members in members(), capacity in 0..20_000u64) {
            let floors: u64 = members.iter().flat_map(|m| &m.pods).map(|pod| pod.floor).sum();
            let Ok(division) = divide(capacity, &members) else {
                prop_assert!(floors > capacity);
                return Ok(());
            };
            let mut able = 0;
            for (member, share) in members.iter().zip(&division.members) {
                prop_assert_eq!(share.pods.iter().sum::<u64>(), share.fair);
                let floors: u64 = member.pods.iter().map(|pod| pod.floor).sum();
                let caps: u64 = member.pods.iter().map(|pod| pod.cap(capacity)).sum();
                let hi = if member.pods.is_empty() { 0 } else { floors.max(caps.min(member.max.unwrap_or(capacity))) };
                able += hi;
                prop_assert!(share.fair <= hi && share.fair >= floors);
                prop_assert!(division.overcommitted || share.fair >= member.min.min(hi));
                for (pod, &x) in member.pods.iter().zip(&share.pods) {
                    prop_assert!(x >= pod.floor && x <= pod.cap(capacity));
                }
            }
            let shared: u64 = division.members.iter().map(|share| share.fair).sum();
            // The sum is min(R, what the members can take), unless minima that cannot be met bound it.
            prop_assert_eq!(shared, able.min(capacity));
        }

        #[test]
        fn the_order_of_members_and_pods_does_not_matter(members in members(), capacity in 0..20_000u64) {
            let mut turned: Vec<MemberClaim> = members.iter().rev().cloned().collect();
            for member in &mut turned {
                member.pods.reverse();
            }
            let turned = divide(capacity, &turned).map(|mut division| {
                division.members.reverse();
                division.members.iter_mut().for_each(|member| member.pods.reverse());
                division
            });
            prop_assert_eq!(divide(capacity, &members), turned);
        }

        #[test]
        fn a_heavier_member_never_has_less(
            mut members in members(),
            capacity in 0..20_000u64,
            pick: prop::sample::Index,
            more in 1..10_000u64,
        ) {
            if members.is_empty() {
                return Ok(());
            }
            let i = pick.index(members.len());
            let before = divide(capacity, &members);
            members[i].weight += more;
            if let (Ok(before), Ok(after)) = (before, divide(capacity, &members)) {
                prop_assert!(after.members[i].fair >= before.members[i].fair);
            }
        }
    }
}
