//! What a pod needs, from what it was seen to use.

use super::Resource;

/// What a pod needs, in units of the resource (millicores or bytes).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Demand {
    /// It was not measured: as much as it owns.
    #[default]
    Unknown,
    /// So much.
    Known(u64),
    /// Something keeps it from using more: so much, and no less than it owns.
    Limited(u64),
}

impl Demand {
    /// The demand of a pod whose fair share is `fair`.
    #[must_use]
    pub fn of(self, fair: u64) -> u64 {
        match self {
            Self::Unknown => fair,
            Self::Known(amount) => amount,
            Self::Limited(amount) => amount.max(fair),
        }
    }

    /// The same, where so much more is charged that is of no use to what demands it.
    #[must_use]
    pub fn beside(self, aside: u64) -> Self {
        match self {
            Self::Unknown => Self::Unknown,
            Self::Known(amount) => Self::Known(amount.saturating_add(aside)),
            Self::Limited(amount) => Self::Limited(amount.saturating_add(aside)),
        }
    }
}

/// What one pod was seen to use of one resource, and what it could have used.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Sample {
    /// What it uses now, in nanocores or bytes.
    pub used: u64,
    /// The highest use of late, in nanocores or bytes.
    pub peak: u64,
    /// What limited it: the sum of its containers' limits, in millicores. None: nothing.
    pub limit: Option<u64>,
    /// What it holds: its requests, in millicores or bytes.
    pub held: u64,
    /// What its use rose to of late, in nanocores or bytes: it woke, or wakes again and again. Zero: it did not.
    pub risen: u64,
    /// Its node uses nearly all that it can allocate.
    pub node_busy: bool,
    /// The part of the time, in thousandths, in which it waited for CPU. Zero says nothing: where the kernel does not
    /// count it, it is always zero. None: not measured.
    pub waiting: Option<u16>,
}

/// From this part of the time on, in thousandths, waiting for CPU limits a pod that gets what it holds meanwhile.
const WAITS: u16 = 100;
/// From this part of the time on, in thousandths, waiting for CPU limits any pod.
const WAITS_MOSTLY: u16 = 500;

impl Sample {
    /// The demand that the sample shows, `headroom` percent above the use.
    ///
    /// A limited pod would use more CPU if it could. There are three signs of it:
    ///
    /// - It uses 95 % of the limit that it had meanwhile.
    /// - It waits for CPU half of the time; or a tenth of the time, and it gets what it holds whenever it waits. A pod whose
    ///   weight holds it back waits only while it runs at its share, so its use is at least `held * waiting` (three quarters
    ///   of that, because the system's own processes run first). A pod that uses less sleeps, and only has to wait for a
    ///   moment each time it wakes beside a busy pod. No weight shortens that.
    /// - Without a measurement of waiting, on a busy node: it uses 90 % of what it holds, or its use rose to half of that.
    ///   A sample is a mean over its interval, so a pod that was awake for a part of it never shows more. Use above the
    ///   request on a node with idle CPU is no sign: the pod already gets all it wants.
    ///
    /// The demand of a limited pod is twice its use, and at least its fair share.
    /// Memory is used, not waited for: its demand is always the use and the headroom.
    #[must_use]
    pub fn demand(&self, resource: Resource, headroom: u8) -> Demand {
        // In nanocores, or in bytes.
        let unit: u128 = match resource {
            Resource::Cpu => 1_000_000,
            Resource::Memory => 1,
        };
        let peak = u128::from(self.peak);
        let whole = |amount: u128| u64::try_from(amount).unwrap_or(u64::MAX);
        let part = |used: u64, percent: u128, of: u64| {
            used > 0 && u128::from(used) * 100 >= u128::from(of) * unit * percent
        };
        let waits = match self.waiting {
            None | Some(0) => {
                self.node_busy
                    && (part(self.used, 90, self.held) || part(self.risen, 50, self.held))
            }
            Some(waiting) => {
                let while_waiting = u128::from(self.held) * unit * u128::from(waiting);
                let gets_what_it_holds = u128::from(self.used) * 4000 >= 3 * while_waiting;
                waiting >= WAITS_MOSTLY || (waiting >= WAITS && gets_what_it_holds)
            }
        };
        let limited = waits || self.limit.is_some_and(|limit| part(self.used, 95, limit));
        if resource == Resource::Cpu && limited {
            Demand::Limited(whole((2 * peak).div_ceil(unit)))
        } else {
            Demand::Known(whole((peak * (100 + u128::from(headroom))).div_ceil(100 * unit)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: Sample = Sample {
        used: 0,
        peak: 0,
        limit: None,
        held: 500,
        risen: 0,
        node_busy: false,
        waiting: None,
    };

    fn cpu(milli: u64, sample: Sample) -> Demand {
        let used = milli * 1_000_000;
        Sample { used, peak: used, ..sample }.demand(Resource::Cpu, 20)
    }

    #[test]
    fn demand_is_use_and_headroom_rounded_once() {
        assert_eq!(cpu(0, IDLE), Demand::Known(0));
        assert_eq!(cpu(0, Sample { held: 0, node_busy: true, ..IDLE }), Demand::Known(0));
        assert_eq!(cpu(100, IDLE), Demand::Known(120));
        let one_nanocore = Sample { peak: 1, ..IDLE };
        assert_eq!(one_nanocore.demand(Resource::Cpu, 20), Demand::Known(1));
        // 999.5m and 20 % are 1199.4m.
        let between = Sample { peak: 999_500_000, ..IDLE };
        assert_eq!(between.demand(Resource::Cpu, 20), Demand::Known(1200));
        assert_eq!(between.demand(Resource::Cpu, 0), Demand::Known(1000));
    }

    #[test]
    fn what_runs_into_a_limit_wants_more() {
        let limited = Sample { limit: Some(200), ..IDLE };
        assert_eq!(cpu(189, limited), Demand::Known(227));
        assert_eq!(cpu(190, limited), Demand::Limited(380));
        // More than it holds is just use, until the node is busy.
        assert_eq!(cpu(600, IDLE), Demand::Known(720));
        let busy = Sample { node_busy: true, ..IDLE };
        assert_eq!(cpu(449, busy), Demand::Known(539));
        assert_eq!(cpu(450, busy), Demand::Limited(900));
    }

    #[test]
    fn what_is_limited_now_wants_twice_what_it_used_at_its_peak() {
        let sample = Sample { used: 450_000_000, peak: 600_000_000, node_busy: true, ..IDLE };
        assert_eq!(sample.demand(Resource::Cpu, 20), Demand::Limited(1200));
        let quiet = Sample { used: 449_000_000, ..sample };
        assert_eq!(quiet.demand(Resource::Cpu, 20), Demand::Known(720));
    }

    #[test]
    fn who_wakes_again_and_again_is_limited_at_half_of_what_he_holds() {
        let (half, peak) = (250_000_000, 300_000_000);
        let wakes = Sample { peak, risen: half, node_busy: true, ..IDLE };
        assert_eq!(wakes.demand(Resource::Cpu, 20), Demand::Limited(600));
        let others = [
            Sample { risen: half - 1, ..wakes },
            Sample { node_busy: false, ..wakes },
            Sample { waiting: Some(1), ..wakes },
        ];
        assert_eq!(others.map(|it| it.demand(Resource::Cpu, 20)), [Demand::Known(360); 3]);
    }

    #[test]
    fn waiting_says_more_than_a_busy_node() {
        let waits = |waiting| Sample { waiting: Some(waiting), ..IDLE };
        assert_eq!(cpu(300, waits(100)), Demand::Limited(600));
        assert_eq!(cpu(300, waits(99)), Demand::Known(360));
        // It uses what it holds on a busy node, and yet waits for nothing much.
        assert_eq!(cpu(600, Sample { node_busy: true, ..waits(50) }), Demand::Known(720));
        // A kernel that does not count says zero.
        assert_eq!(cpu(600, Sample { node_busy: true, ..waits(0) }), Demand::Limited(1200));
        assert_eq!(cpu(600, waits(0)), Demand::Known(720));
        let limit = Sample { limit: Some(300), ..waits(1) };
        assert_eq!(cpu(300, limit), Demand::Limited(600));
    }

    #[test]
    fn a_sleeping_pod_that_waits_for_moments_is_not_limited() {
        let late = |used: u64, held, waiting| {
            let used = used * 1_000_000;
            let sample = Sample { used, peak: used, held, waiting: Some(waiting), ..IDLE };
            sample.demand(Resource::Cpu, 20)
        };
        // A sleeping pod beside a busy one: its CPU can be lent, and stays lent once it holds only a quarter of it.
        assert_eq!([720, 180].map(|held| late(11, held, 150)), [Demand::Known(14); 2]);
        // It woke in the middle of the interval, or near its end, and has run at its share since.
        assert_eq!(late(95, 190, 400), Demand::Limited(190));
        assert_eq!(late(38, 190, 160), Demand::Limited(76));
        // It waits half of the time, and for some reason gets less than it holds.
        assert_eq!(late(11, 720, 500), Demand::Limited(22));
    }

    #[test]
    fn memory_is_never_limited() {
        let full = Sample {
            used: 1000,
            peak: 1000,
            limit: Some(1000),
            held: 1000,
            risen: 1000,
            node_busy: true,
            waiting: Some(1000),
        };
        assert_eq!(full.demand(Resource::Memory, 20), Demand::Known(1200));
        let huge = Sample { peak: u64::MAX, ..full };
        assert_eq!(huge.demand(Resource::Memory, 20), Demand::Known(u64::MAX));
    }

    #[test]
    fn a_limited_pod_demands_no_less_than_it_owns() {
        let of_300 =
            [Demand::Unknown, Demand::Known(200), Demand::Limited(200), Demand::Limited(400)];
        assert_eq!(of_300.map(|demand| demand.of(300)), [300, 200, 300, 400]);
    }
}
