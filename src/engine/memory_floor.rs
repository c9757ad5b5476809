//! Memory that is in use is not taken away: what a pod can go down to now. Pure.

use super::{
    member_pod::MemberPod,
    ranges::{can_move, least_under},
};
use crate::{
    cluster::{Container, Qos, Resize},
    metrics::PodMeasures,
    share::{Holding, LimitRule, Resource},
};

/// Over the most that was used of late, a fifth of it stays, and at least 16Mi.
const MARGIN_PARTS: u64 = 5;
const MARGIN: u64 = 16 << 20;
/// A limit goes down by an eighth of itself at once, or by 16Mi, so that the kernel has time to write back and to free.
const STEP_PARTS: u64 = 8;
const STEP: u64 = 16 << 20;

/// What keeps a pod from its share, as long as it is in use. Bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MemoryFloor {
    /// The most that it used of late. None: it is not measured.
    used: Option<u64>,
    /// That, with the margin.
    pub safe: u64,
    /// Whether it was measured of late: without that, no limit goes down.
    is_fresh: bool,
    /// The least that the limit of each regular container may be now.
    limits: Vec<u64>,
    /// What it holds, with the least that each container's request may be now.
    pub holding: Holding,
}

impl MemoryFloor {
    /// What the memory in use of a pod allows for now. None: it is left alone. Where it is not measured, no limit goes
    /// down.
    ///
    /// Use is measured by pod: of several containers, each might be the one that uses it. So a container's limit stays
    /// over the use of the whole pod, while requests, which reach no cgroup, only stay over it together.
    #[must_use]
    pub fn of(pod: &MemberPod, holding: &Holding) -> Option<Self> {
        if !can_move(holding) {
            return None;
        }
        let MemberPod { pod, namespace, measured, .. } = *pod;
        let used = measured.as_ref().map(used);
        // An old measurement still bounds requests, but only a fresh one lets a limit go down.
        let is_fresh = measured.is_some_and(|it| it.is_fresh);
        let safe = used.map_or(0, with_margin);
        let limit = |container: &Container| match container.limit.memory {
            // One that is added must not end the container either.
            None => safe,
            Some(limit) if !is_fresh => limit,
            // Each step would restart it.
            Some(limit) if container.restarts.memory => safe.min(limit),
            // One step at a time: the next when the kubelet has confirmed this one.
            Some(limit) if pod.resize != Resize::Done => limit,
            Some(limit) => {
                let step = limit.saturating_sub((limit / STEP_PARTS).max(STEP));
                safe.max(step).min(limit)
            }
        };
        let limits: Vec<u64> = pod.parts(Resource::Memory).iter().map(limit).collect();
        let mut holding = holding.clone();
        let ranges = holding.containers.iter_mut().map(|container| &mut container.range);
        for (range, &limit) in ranges.zip(&limits) {
            let Some(range) = range.as_mut().filter(|range| range.limit != LimitRule::Keep) else {
                continue;
            };
            range.least = range.least.max(match pod.qos {
                // The request is the limit.
                Qos::Guaranteed => limit,
                _ => least_under(pod, &namespace.limits(), Resource::Memory, limit),
            });
        }
        Some(Self { used, safe, is_fresh, limits, holding })
    }

    /// The least that the pod can be charged now.
    #[must_use]
    pub fn least(&self) -> u64 {
        self.holding.fixed().max(self.safe).min(self.holding.charge())
    }

    /// Whether the pod cannot go down to a share only because its use was not measured recently.
    #[must_use]
    pub fn is_unknown(&self, share: u64) -> bool {
        !self.is_fresh && self.safe <= share
    }

    /// Whether a share covers what the pod uses, so that nothing but the margin keeps it from going down there.
    #[must_use]
    pub fn is_margin(&self, share: u64) -> bool {
        self.used.is_some_and(|used| used <= share) && self.holding.charge() <= self.safe
    }

    /// The limits that can be set now, of those that are to be set.
    #[must_use]
    pub fn limits(&self, wanted: Vec<Option<u64>>) -> Vec<Option<u64>> {
        let within = |(wanted, &least): (Option<u64>, &u64)| wanted.map(|limit| limit.max(least));
        wanted.into_iter().zip(&self.limits).map(within).collect()
    }
}

/// What a pod must be left: the most memory that it used of late, with a margin, in bytes.
#[must_use]
pub fn safe(measured: &PodMeasures) -> u64 {
    with_margin(used(measured))
}

/// A pod's recent peak of memory, in bytes.
#[must_use]
pub fn used(measured: &PodMeasures) -> u64 {
    measured.peak.memory.max(measured.used.memory)
}

fn with_margin(used: u64) -> u64 {
    used.saturating_add((used / MARGIN_PARTS).max(MARGIN))
}
