//! The CPU weights that the kubelet gives to the cgroups of pods, and how far the kernel's split by them is from the
//! shares.

use std::{fmt, ops::Range};

use super::{Claim, MilliCpu, fill};

/// The `cpu.shares` of a cgroup (v1), from 2 to 262144.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct CpuShares(pub u64);

/// The `cpu.weight` of a cgroup (v2), from 1 to 10000.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct CpuWeight(pub u64);

/// An amount of CPU in microcores: 1,000,000 is one core.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct MicroCpu(pub u64);

/// A part of a whole, in hundredths of a percent.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct BasisPoints(pub u64);

/// The values of `cpu.shares` that cgroup v1 takes.
const SHARES: Range<u64> = 2..262_145;

impl CpuShares {
    /// What the kubelet sets for the CPU request of a pod (`MilliCPUToShares`).
    #[must_use]
    pub fn of(request: MilliCpu) -> Self {
        let shares = u128::from(request.0) * 1024 / 1000;
        let most = SHARES.end - 1;
        Self(u64::try_from(shares).unwrap_or(most).clamp(SHARES.start, most))
    }
}

impl CpuWeight {
    /// What the kubelet sets for the CPU request of a pod: the linear conversion of `cpu.shares` from KEP-2254. The newer
    /// conversion of runc and crun is for the containers inside a pod.
    #[must_use]
    pub fn of(request: MilliCpu) -> Self {
        Self(1 + (CpuShares::of(request).0 - 2) * 9999 / 262_142)
    }
}

impl MicroCpu {
    fn of(amount: MilliCpu) -> Self {
        Self(amount.0.saturating_mul(1000))
    }

    /// To the nearest millicore.
    #[must_use]
    pub fn rounded(self) -> MilliCpu {
        MilliCpu(self.0.saturating_add(500) / 1000)
    }
}

impl fmt::Display for BasisPoints {
    /// As percent, to a hundredth: `3.1 %`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0 / 100, self.0 % 100) {
            (whole, 0) => write!(f, "{whole} %"),
            (whole, part) if part.is_multiple_of(10) => write!(f, "{whole}.{} %", part / 10),
            (whole, part) => write!(f, "{whole}.{part:02} %"),
        }
    }
}

/// A pod whose cgroup has the same parent as those of others on its node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Sibling {
    /// Its CPU request.
    pub share: MilliCpu,
    /// Its CPU limit, which no weight exceeds.
    pub limit: Option<MilliCpu>,
}

/// What one of several siblings gets while all of them use as much as they can.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Split {
    /// In proportion to the shares.
    pub by_share: MicroCpu,
    /// In proportion to `cpu.weight`, up to the limits.
    pub by_cpu_weight: MicroCpu,
}

impl Split {
    /// How far the two are apart, as a part of `node`. It is rounded up, so it is more than a whole number of hundredths
    /// only where the exact value is.
    #[must_use]
    pub fn error(self, node: MilliCpu) -> BasisPoints {
        let apart = u128::from(self.by_share.0.abs_diff(self.by_cpu_weight.0)) * 10_000;
        let part = apart.div_ceil((u128::from(node.0) * 1000).max(1));
        BasisPoints(u64::try_from(part).unwrap_or(u64::MAX))
    }
}

/// What each of `siblings` gets on a busy node with `node` millicores, in order.
///
/// Together they get the sum of their shares: the node has that much for them, as its requests fit (where they do not,
/// all of it). By weight, a sibling at its limit leaves the rest to the others. Exact to a microcore.
#[must_use]
pub fn splits(siblings: &[Sibling], node: MilliCpu) -> Vec<Split> {
    let share = |sibling: &Sibling| MicroCpu::of(sibling.share).0;
    let shares: u128 = siblings.iter().map(|it| u128::from(share(it))).sum();
    let total = u64::try_from(shares).unwrap_or(u64::MAX).min(MicroCpu::of(node).0);
    let claims: Vec<Claim> = siblings
        .iter()
        .map(|sibling| Claim {
            weight: CpuWeight::of(sibling.share).0,
            lo: 0,
            hi: sibling.limit.map_or(u64::MAX, |limit| MicroCpu::of(limit.max(sibling.share)).0),
        })
        .collect();
    let by_share = |sibling| {
        let part = u128::from(share(sibling)) * u128::from(total) / shares.max(1);
        MicroCpu(u64::try_from(part).unwrap_or(u64::MAX))
    };
    let split = |(sibling, by_cpu_weight)| Split {
        by_share: by_share(sibling),
        by_cpu_weight: MicroCpu(by_cpu_weight),
    };
    siblings.iter().zip(fill(&claims, total)).map(split).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::testing::cases, *};

    fn sibling(milli: u64) -> Sibling {
        Sibling { share: MilliCpu(milli), limit: None }
    }

    fn limited(milli: u64, limit: u64) -> Sibling {
        Sibling { limit: Some(MilliCpu(limit)), ..sibling(milli) }
    }

    /// What each gets by weight, in microcores, and the errors in hundredths of a percent of the node.
    fn of(siblings: &[Sibling], node: u64) -> (Vec<u64>, Vec<u64>) {
        let splits = splits(siblings, MilliCpu(node));
        let error = |split: &Split| split.error(MilliCpu(node)).0;
        (splits.iter().map(|it| it.by_cpu_weight.0).collect(), splits.iter().map(error).collect())
    }

    #[test]
    fn shares_and_weights_are_those_of_the_kubelet() {
        let both = |milli| {
            let request = MilliCpu(milli);
            (CpuShares::of(request).0, CpuWeight::of(request).0)
        };
        let expected = [(2, 1), (2, 1), (102, 4), (1024, 39), (262_144, 10_000)];
        assert_eq!([0, 1, 100, 1000, 1_000_000].map(both), expected);
        assert_eq!(both(u64::MAX), (262_144, 10_000));
        let weight = |milli| CpuWeight::of(MilliCpu(milli)).0;
        assert_eq!([90, 100, 200, 500].map(weight), [4, 4, 8, 20]);
        // The first step.
        assert_eq!([28, 29].map(weight), [1, 2]);
    }

    #[test]
    fn weights_of_100m_200m_and_500m_split_as_the_shares() {
        let pods = [100, 200, 500].map(sibling);
        assert_eq!(of(&pods, 2000), (vec![100_000, 200_000, 500_000], vec![0, 0, 0]));
        // 90m has the weight of 100m: it gets 4/32 of 790m, 98.75m. Those 8.75m are 0.4375 % of the node.
        let (gets, errors) = of(&[90, 200, 500].map(sibling), 2000);
        assert_eq!((gets[0], errors[0]), (98_750, 44));
    }

    #[test]
    fn shares_near_one_step_are_far_off_on_a_small_node() {
        // Weights 2, 3 and 2: sevenths of 135m; the microcore left over goes to the first.
        let pods = [30, 60, 45].map(sibling);
        let (gets, errors) = of(&pods, 400);
        assert_eq!(gets, [38_572, 57_857, 38_571]);
        assert_eq!(errors, [215, 54, 161]);
        assert_eq!(of(&pods, 500).1, [172, 43, 129]);
    }

    #[test]
    fn one_large_pod_loses_to_each_of_many_small_ones() {
        // Weights 39 and 20 x 2: the large pod gets 39/79 of 1580m.
        let mut pods = vec![sibling(1000)];
        pods.extend([sibling(29); 20]);
        let (gets, errors) = of(&pods, 2000);
        assert_eq!((gets[0], gets[1], errors[0], errors[1]), (780_000, 40_000, 1100, 55));
    }

    #[test]
    fn a_limit_bounds_what_a_weight_gives() {
        let beside = |small: Sibling| {
            let mut pods = vec![sibling(1000)];
            pods.extend([small; 20]);
            of(&pods, 2000).0[0]
        };
        assert_eq!(beside(limited(29, 35)), 880_000);
        // Guaranteed pods, and those under Cap: nothing to win.
        assert_eq!(beside(limited(29, 29)), 1_000_000);
    }

    #[test]
    fn pods_that_request_more_than_the_node_share_the_node() {
        let (gets, errors) = of(&[limited(300, 300), limited(100, 100)], 200);
        // Weights 12 and 4.
        assert_eq!((gets, errors), (vec![150_000, 50_000], vec![0, 0]));
        assert_eq!(of(&[], 1000), (vec![], vec![]));
        assert_eq!(of(&[sibling(0), sibling(0)], 0).1, [0, 0]);
    }

    #[test]
    fn percents_are_written_to_a_hundredth_and_rounded_up() {
        let text = [0, 5, 200, 201, 310, 1100].map(|it| BasisPoints(it).to_string());
        assert_eq!(text, ["0 %", "0.05 %", "2 %", "2.01 %", "3.1 %", "11 %"]);
        let error = |by_cpu_weight| {
            let split = Split { by_share: MicroCpu(0), by_cpu_weight: MicroCpu(by_cpu_weight) };
            split.error(MilliCpu(1000)).0
        };
        assert_eq!([19_999, 20_000, 20_001].map(error), [200, 200, 201]);
    }

    fn shares() -> impl Strategy<Value = Vec<u64>> {
        let share = prop_oneof![0u64..200, 0u64..4000, 0u64..256_001];
        prop::collection::vec(share, 0..40)
    }

    proptest! {
        #![proptest_config(cases(4))]

        #[test]
        fn equal_shares_have_no_error(share in 0u64..256_001, n in 0usize..100, node in 1u64..256_001) {
            let (_, errors) = of(&vec![sibling(share); n], node);
            // Where the node has less than they share, a microcore may be left over: of a node of 4m, 2.5 hundredths.
            let microcore = 10_u64.div_ceil(node);
            let most = if share * n as u64 > node { microcore } else { 0 };
            prop_assert!(errors.iter().all(|&error| error <= most), "{errors:?}");
        }

        /// With a = 1 / 25.6m, a weight is a * share + e, where e is from -0.115 (rounding down to a whole `cpu.shares`, the
        /// 2 in the formula) to 1 (the step), and never less than 0.885 * a * share. So of n siblings none is further off
        /// than 25.6m / 0.885 for each of the others.
        #[test]
        fn no_sibling_is_further_off_than_one_step_for_each_other(shares in shares()) {
            let siblings: Vec<Sibling> = shares.iter().copied().map(sibling).collect();
            let node = MilliCpu(shares.iter().sum());
            let others = shares.len().saturating_sub(1) as u64;
            let splits = splits(&siblings, node);
            for split in &splits {
                let apart = split.by_share.0.abs_diff(split.by_cpu_weight.0);
                prop_assert!(apart <= others * 28_932 + 1, "{split:?} beside {others} others");
            }
            let sum: u64 = splits.iter().map(|split| split.by_cpu_weight.0).sum();
            prop_assert_eq!(sum, node.0 * 1000);
        }

        #[test]
        fn limits_equal_to_the_shares_leave_no_error(shares in shares()) {
            let pods: Vec<Sibling> = shares.iter().map(|&it| limited(it, it)).collect();
            let node = shares.iter().sum::<u64>();
            prop_assert!(of(&pods, node).1.iter().all(|&error| error == 0));
        }
    }
}
