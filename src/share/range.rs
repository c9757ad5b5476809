//! How the request of a container may move, and what becomes of its limit then.

/// How the request of a container may move. In units of the resource (millicores or bytes).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct AdjustableRange {
    /// Its weight beside the other containers: the request in its template.
    pub weight: u64,
    /// The least that its request may be.
    pub least: u64,
    /// The most that its request may be.
    pub most: Option<u64>,
    /// What its limit becomes.
    pub limit: LimitRule,
}

/// What the limit of a container becomes when its request moves.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum LimitRule {
    /// It stays as it is, or stays away.
    #[default]
    Keep,
    /// So much more than the request.
    Above(u64),
    /// As `limit` is to `request`, to the unit above.
    Ratio {
        /// The limit in the template, at least the request.
        limit: u64,
        /// The request in the template, not zero.
        request: u64,
    },
}

impl LimitRule {
    /// The limit that goes with a request. None: the one that is there, or none.
    #[must_use]
    pub fn with(self, request: u64) -> Option<u64> {
        match self {
            Self::Keep => None,
            Self::Above(more) => Some(request.saturating_add(more)),
            // Rounded up: were all limits to meet their requests, the pod's class would change.
            Self::Ratio { limit, request: base } => {
                let limit =
                    (u128::from(request) * u128::from(limit)).div_ceil(u128::from(base.max(1)));
                Some(u64::try_from(limit).unwrap_or(u64::MAX))
            }
        }
    }

    /// The largest request whose limit is no more than `most`.
    #[must_use]
    pub fn request_within(self, most: u64) -> u64 {
        match self {
            Self::Keep => most,
            Self::Above(more) => most.saturating_sub(more),
            Self::Ratio { limit, request: base } => {
                let request = u128::from(most) * u128::from(base) / u128::from(limit.max(1));
                u64::try_from(request).unwrap_or(u64::MAX)
            }
        }
    }

    /// The smallest request whose limit is at least `least`.
    #[must_use]
    pub fn request_reaching(self, least: u64) -> u64 {
        match self {
            Self::Keep => 0,
            _ => {
                let under = self.request_within(least.saturating_sub(1));
                let reaches = |request| self.with(request).is_some_and(|limit| limit >= least);
                if reaches(under) { under } else { under.saturating_add(1) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::testing::cases, *};

    #[test]
    fn a_limit_follows_its_request() {
        assert_eq!(LimitRule::Keep.with(7), None);
        assert_eq!(LimitRule::Above(0).with(7), Some(7));
        assert_eq!(LimitRule::Above(1).with(7), Some(8));
        let half_more = LimitRule::Ratio { limit: 150, request: 100 };
        assert_eq!([half_more.with(200), half_more.with(3)], [Some(300), Some(5)]);
        // Of 1m, 1.2 is more: the two stay apart.
        assert_eq!(LimitRule::Ratio { limit: 120, request: 100 }.with(1), Some(2));
        assert_eq!(LimitRule::Ratio { limit: 100, request: 100 }.with(9), Some(9));
        assert_eq!(LimitRule::Ratio { limit: u64::MAX, request: 1 }.with(u64::MAX), Some(u64::MAX));
    }

    fn rules() -> impl Strategy<Value = LimitRule> {
        let ratio = |(request, more)| LimitRule::Ratio { limit: request + more, request };
        prop_oneof![
            (0..2u64).prop_map(LimitRule::Above),
            (1..5000u64, 0..20_000u64).prop_map(ratio),
            (1..1u64 << 40, 0..1u64 << 42).prop_map(ratio),
        ]
    }

    proptest! {
        #![proptest_config(cases(1))]

        #[test]
        fn a_request_is_found_for_a_limit(rule in rules(), bound in prop_oneof![0..10_000u64, 0..1u64 << 40]) {
            let limit = |request| rule.with(request).unwrap();
            let within = rule.request_within(bound);
            prop_assert!(limit(within) <= bound || within == 0);
            prop_assert!(limit(within + 1) > bound);
            let reaching = rule.request_reaching(bound);
            prop_assert!(limit(reaching) >= bound);
            prop_assert!(reaching == 0 || limit(reaching - 1) < bound);
        }

        #[test]
        fn a_limit_is_never_under_its_request_and_never_falls_as_it_grows(rule in rules(), request in 0..1u64 << 40) {
            let limit = rule.with(request).unwrap();
            prop_assert!(limit >= request);
            prop_assert!(rule.with(request + 1).unwrap() >= limit);
        }
    }
}
