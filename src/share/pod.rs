//! What a pod is charged, and how its share goes to its containers: one resource of one pod.

use super::{AdjustableRange, Claim, fill};

/// One resource of one pod, in units of it (millicores or bytes).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Holding {
    /// The regular containers, in the pod's order.
    pub containers: Vec<Container>,
    /// The init containers, in the pod's order. They are charged, even when finished, and never resized.
    pub init: Vec<InitContainer>,
    /// What the RuntimeClass adds.
    pub overhead: u64,
}

/// One resource of one regular container.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Container {
    /// What it holds.
    pub held: Held,
    /// How its request may move. None: it is left alone.
    pub range: Option<AdjustableRange>,
}

/// One resource of one init container.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct InitContainer {
    /// What it holds.
    pub held: Held,
    /// A sidecar (`restartPolicy: Always`) runs beside the regular containers.
    pub sidecar: bool,
}

/// The two amounts that a request is while a resize is under way.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Held {
    /// The request in the spec.
    pub requested: u64,
    /// The most that the kubelet has admitted or still enforces (allocated and actual).
    pub admitted: u64,
}

impl Held {
    /// What counts as taken: Kubernetes charges the larger until a resize is done.
    pub fn charged(self) -> u64 {
        self.requested.max(self.admitted)
    }
}

impl Holding {
    /// What the scheduler, the kubelet and quotas charge for the pod.
    pub fn charge(&self) -> u64 {
        self.total(|container| container.held.charged(), Held::charged)
    }

    /// What the charge will be once all that the spec asks for is carried out.
    pub fn requested(&self) -> u64 {
        self.total(|container| container.held.requested, |held| held.requested)
    }

    /// The charge without what the spec asks for beyond what the kubelet admitted.
    pub fn admitted(&self) -> u64 {
        self.total(|container| container.held.admitted, |held| held.admitted)
    }

    /// The charge once the regular containers ask for `requests`, while nothing admitted is freed yet.
    pub fn charge_with(&self, requests: &[u64]) -> u64 {
        let mut requests = requests.iter();
        self.total(
            |container| requests.next().map_or(0, |&to| to.max(container.held.admitted)),
            Held::charged,
        )
    }

    /// The part of the charge that no resize of ours can lower.
    pub fn fixed(&self) -> u64 {
        self.total(
            |container| container.range.map_or(container.held.charged(), |range| range.least),
            Held::charged,
        )
    }

    /// The most that the pod can be charged through resizes of ours. None: without bound.
    pub fn most(&self) -> Option<u64> {
        let bounded =
            |container: &Container| container.range.is_none_or(|range| range.most.is_some());
        self.containers.iter().all(bounded).then(|| {
            self.total(
                |container| match container.range {
                    Some(range) => range.most.unwrap_or(0).max(range.least),
                    None => container.held.charged(),
                },
                Held::charged,
            )
        })
    }

    /// The requests of the regular containers, in order, that make the pod's charge `share`
    /// (at least `fixed`, at most `most`): what is not fixed goes to the containers in range,
    /// in proportion to their templates' requests, in equal parts where those are all zero.
    pub fn split(&self, share: u64) -> Vec<u64> {
        let aside: u64 = self.overhead
            + self.sidecars()
            + self
                .containers
                .iter()
                .filter(|container| container.range.is_none())
                .map(|container| container.held.charged())
                .sum::<u64>();
        let budget = share.saturating_sub(aside);
        let claims = |counts: fn(u64) -> u64| -> Vec<Claim> {
            let claim = |range: AdjustableRange| Claim {
                weight: counts(range.weight),
                lo: range.least,
                hi: range.most.unwrap_or(u64::MAX).max(range.least),
            };
            self.containers
                .iter()
                .map(|container| container.range.map_or(Claim { weight: 0, lo: 0, hi: 0 }, claim))
                .collect()
        };
        let mut parts = fill(&claims(|weight| weight), budget);
        // Containers whose templates ask for nothing get what the others cannot take.
        let left = budget.saturating_sub(parts.iter().sum());
        if left > 0 {
            let mut rest = claims(|weight| u64::from(weight == 0));
            for (claim, &part) in rest.iter_mut().zip(&parts) {
                claim.lo = part;
            }
            parts = fill(&rest, budget);
        }
        self.containers
            .iter()
            .zip(parts)
            .map(
                |(container, part)| {
                    if container.range.is_some() { part } else { container.held.requested }
                },
            )
            .collect()
    }

    /// The limits that go with the requests of the regular containers, in order. None: the limit stays as it is.
    pub fn limits(&self, requests: &[u64]) -> Vec<Option<u64>> {
        let of = |(container, &request): (&Container, &u64)| container.range?.limit.with(request);
        self.containers.iter().zip(requests).map(of).collect()
    }

    fn sidecars(&self) -> u64 {
        let sidecars = self.init.iter().filter(|init| init.sidecar);
        sidecars.map(|init| init.held.charged()).fold(0, u64::saturating_add)
    }

    fn total(&self, regular: impl FnMut(&Container) -> u64, held: impl Fn(Held) -> u64) -> u64 {
        let init = self.init.iter().map(|init| (held(init.held), init.sidecar));
        charged(self.containers.iter().map(regular), init, self.overhead)
    }
}

/// What a pod is charged by Kubernetes' rule: the `regular` containers with all sidecars, or the init container that needs the
/// most with the sidecars started before it, whichever is more; and the overhead. Of each init container it is told what it
/// asks for, and whether it is a sidecar.
#[must_use]
pub fn charged(
    regular: impl Iterator<Item = u64>,
    init: impl Iterator<Item = (u64, bool)>,
    overhead: u64,
) -> u64 {
    let (mut sidecars, mut peak) = (0u64, 0u64);
    for (amount, sidecar) in init {
        let amount = sidecars.saturating_add(amount);
        peak = peak.max(amount);
        if sidecar {
            sidecars = amount;
        }
    }
    regular.fold(sidecars, u64::saturating_add).max(peak).saturating_add(overhead)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::testing::cases, *};

    fn held(amount: u64) -> Held {
        Held { requested: amount, admitted: amount }
    }

    fn container(amount: u64, range: Option<AdjustableRange>) -> Container {
        Container { held: held(amount), range }
    }

    fn free(weight: u64) -> Option<AdjustableRange> {
        Some(AdjustableRange { weight, ..AdjustableRange::default() })
    }

    #[test]
    fn a_finished_init_container_and_a_sidecar_still_count() {
        let pod = Holding {
            containers: vec![container(100, free(100)), container(200, free(200))],
            init: vec![
                InitContainer { held: held(50), sidecar: true },
                InitContainer { held: held(400), sidecar: false },
            ],
            overhead: 5,
        };
        // The init container beside its sidecar (450) outweighs what runs (350).
        assert_eq!(pod.charge(), 455);
        assert_eq!(pod.fixed(), 455);
        // What the init container reserved is there for the containers to use.
        assert_eq!(pod.split(455), [133, 267]);
        assert_eq!(pod.split(655), [200, 400]);
    }

    #[test]
    fn a_container_left_alone_keeps_its_request() {
        let pod = Holding {
            containers: vec![container(100, None), container(100, free(1)), container(0, free(0))],
            ..Holding::default()
        };
        assert_eq!(pod.fixed(), 100);
        assert_eq!(pod.split(700), [100, 600, 0]);
    }

    #[test]
    fn equal_parts_where_templates_ask_for_nothing_or_are_full() {
        let none = Holding { containers: vec![container(0, free(0)); 2], ..Holding::default() };
        assert_eq!(none.split(101), [51, 50]);
        let full =
            Some(AdjustableRange { weight: 9, most: Some(30), ..AdjustableRange::default() });
        let pod = Holding {
            containers: vec![container(0, full), container(0, free(0)), container(0, free(0))],
            ..Holding::default()
        };
        assert_eq!(pod.split(50), [30, 10, 10]);
        assert_eq!(pod.most(), None);
        let bounded = Holding { containers: vec![container(7, None), container(0, full)], ..pod };
        assert_eq!(bounded.most(), Some(37));
    }

    #[test]
    fn a_resize_under_way_is_charged_at_the_larger() {
        let growing = Held { requested: 300, admitted: 100 };
        let shrinking = Held { requested: 100, admitted: 250 };
        let pod = Holding {
            containers: vec![
                Container { held: growing, range: free(1) },
                Container { held: shrinking, range: free(1) },
            ],
            ..Holding::default()
        };
        assert_eq!((pod.charge(), pod.admitted(), pod.requested()), (550, 350, 400));
        assert_eq!(pod.charge_with(&[0, 0]), 350);
        assert_eq!(pod.charge_with(&[500, 0]), 750);
    }

    prop_compose! {
        fn holdings()(
            containers in prop::collection::vec((0..1000u64, prop::option::of((0..100u64, 0..50u64, prop::option::of(50..2000u64)))), 1..5),
            init in prop::collection::vec((0..1000u64, any::<bool>()), 0..4),
            overhead in 0..100u64,
        ) -> Holding {
            Holding {
                containers: containers
                    .into_iter()
                    .map(|(amount, bounds)| {
                        let range = |(weight, least, most)| AdjustableRange { weight, least, most, ..AdjustableRange::default() };
                        container(amount, bounds.map(range))
                    })
                    .collect(),
                init: init
                    .into_iter()
                    .map(|(amount, sidecar)| InitContainer { held: held(amount), sidecar })
                    .collect(),
                overhead,
            }
        }
    }

    proptest! {
        #![proptest_config(cases(1))]

        #[test]
        fn what_is_split_is_what_is_charged(pod in holdings(), more in 0..5000u64) {
            let most = pod.most().unwrap_or(u64::MAX);
            let share = (pod.fixed() + more).min(most);
            if pod.containers.iter().all(|container| container.range.is_none()) {
                return Ok(());
            }
            let requests = pod.split(share);
            let split = Holding {
                containers: pod
                    .containers
                    .iter()
                    .zip(&requests)
                    .map(|(container, &to)| Container { held: held(to), ..*container })
                    .collect(),
                ..pod.clone()
            };
            prop_assert_eq!(split.charge(), share);
            // A second split of the same share moves nothing.
            prop_assert_eq!(split.split(share), requests);
        }
    }
}
