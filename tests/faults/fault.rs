//! What goes wrong in a run.

use std::time::Duration;

use super::{rng::Rng, store::Kind};

/// When the controller crashes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Moment {
    /// The API server has not got the write.
    Before,
    /// The write was made, its answer has not come.
    Lost,
    /// The answer has come.
    After,
}

/// One fault. Writes are counted from the beginning of the run; times too.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The controller crashes at a write, and starts again some seconds later.
    Crash { write: usize, moment: Moment, down: Duration },
    /// The API server refuses a write.
    Refuse { write: usize, code: u16 },
    /// A write is made, and the connection breaks before the answer.
    Lost { write: usize },
    /// A write is never answered; it was made or not.
    Unanswered { write: usize, made: bool },
    /// The connection breaks, and the API server carries the write out so much later: an admission webhook held it.
    Held { write: usize, by: Duration },
    /// An admission webhook takes so long for each resize, for a while.
    SlowWebhook { at: Duration, lasts: Duration, by: Duration },
    /// An admission webhook refuses each resize, for a while.
    Refusing { at: Duration, lasts: Duration },
    /// Writes are made at once, and answered so much later, for a while.
    SlowAnswers { at: Duration, lasts: Duration, by: Duration },
    /// Nothing is answered for a while.
    Outage { at: Duration, lasts: Duration },
    /// Watches are late for a while: those of one kind, or all.
    Late { kind: Option<Kind>, at: Duration, lasts: Duration, by: Duration },
    /// Watches tell everything twice for a while.
    Doubled { at: Duration, lasts: Duration },
    /// The watches of a kind tell nothing of what happens for a while, then say 410 Gone.
    Dropped { kind: Kind, at: Duration, lasts: Duration },
    /// All watches break; their versions are too old by then, or not.
    Cut { at: Duration, gone: bool },
    /// The controller's clock jumps, and maybe back again.
    Jump { at: Duration, seconds: i64, back: Option<Duration> },
    /// The kubelets do nothing for a while.
    DeadKubelet { at: Duration, lasts: Duration },
    /// One kubelet does nothing for a while: that of the node with this place.
    SilentKubelet { node: usize, at: Duration, lasts: Duration },
    /// Nothing is measured anew for a while.
    StaleMetrics { at: Duration, lasts: Duration },
    /// A pod that belongs to no pool is patched 60 times a second for a while.
    Storm { at: Duration, lasts: Duration },
    /// The controller is told to end, and another one begins some time after it has.
    Resigns { at: Duration, pause: Duration },
    /// The lease is not renewed any more. Another one leads when it has run out; this one goes on for a while, and does not know.
    Deposed { at: Duration, lingers: Duration },
    /// Each decision takes so long, for a while.
    SlowDecisions { at: Duration, lasts: Duration, by: Duration },
    /// The kubelet of the node with this place cannot carry out what makes pods smaller, for a while.
    FailingShrinks { node: usize, at: Duration, lasts: Duration },
    /// The controller crashes, and what its new instance lists was so some seconds ago.
    StaleList { at: Duration, age: Duration, late: Duration },
}

fn seconds(rng: &mut Rng, low: u64, high: u64) -> Duration {
    Duration::from_millis(rng.range(low * 1000, high * 1000))
}

impl Fault {
    /// One of all kinds, for a run that made so many writes and in which something happened for so long.
    pub fn any(rng: &mut Rng, writes: usize, busy: Duration) -> Self {
        let write = rng.range(0, writes.max(1) as u64 - 1) as usize;
        let at = seconds(rng, 0, busy.as_secs() + 10);
        match rng.range(0, 99) {
            0..30 => Self::Crash {
                write,
                moment: *rng.of_list(&[Moment::Before, Moment::Lost, Moment::After]),
                down: seconds(rng, 0, 8),
            },
            30..42 => Self::Refuse { write, code: *rng.of_list(&[409, 429, 500, 503]) },
            42..50 => Self::Lost { write },
            50..54 => Self::Unanswered { write, made: rng.percent(50) },
            54..56 => Self::Held { write, by: seconds(rng, 1, 34) },
            56..57 => Self::SlowWebhook { at, lasts: seconds(rng, 5, 60), by: seconds(rng, 1, 15) },
            57..58 => Self::Refusing { at, lasts: seconds(rng, 5, 60) },
            58..62 => Self::Outage { at, lasts: seconds(rng, 1, 90) },
            62..70 => Self::Late {
                kind: *rng.of_list(&[None, Some("pods"), Some("weightedshares"), Some("nodes")]),
                at,
                lasts: seconds(rng, 5, 60),
                by: seconds(rng, 1, 30),
            },
            70..74 => Self::Doubled { at, lasts: seconds(rng, 5, 60) },
            74..79 => Self::Dropped {
                kind: ["pods", "weightedshares", "nodes"][rng.range(0, 2) as usize],
                at,
                lasts: seconds(rng, 1, 30),
            },
            79..84 => Self::Cut { at, gone: rng.percent(50) },
            84..91 => Self::Jump {
                at,
                seconds: *rng.of_list(&[-7200, -3600, -90, 90, 3600, 7200]),
                back: rng.percent(50).then(|| seconds(rng, 5, 60)),
            },
            _ => Self::DeadKubelet { at, lasts: seconds(rng, 5, 120) },
        }
    }

    /// One of those that came later, beside others.
    pub fn beside(rng: &mut Rng, busy: Duration) -> Self {
        let at = seconds(rng, 0, busy.as_secs() + 10);
        let lasts = seconds(rng, 5, 60);
        match rng.range(0, 3) {
            0 => {
                let by = Duration::from_millis(rng.range(100, 4000));
                Self::SlowAnswers { at, lasts, by }
            }
            1 => Self::SilentKubelet { node: rng.range(0, 2) as usize, at, lasts: lasts * 2 },
            2 => Self::StaleMetrics { at, lasts: lasts * 3 },
            _ => Self::Storm { at, lasts: lasts / 4 },
        }
    }

    /// One of those that came last, beside others.
    pub fn beside_all(rng: &mut Rng, busy: Duration) -> Self {
        let at = seconds(rng, 0, busy.as_secs() + 10);
        let lasts = seconds(rng, 5, 60);
        match rng.range(0, 3) {
            0 => Self::Resigns { at, pause: seconds(rng, 0, 5) },
            1 => Self::Deposed { at, lingers: seconds(rng, 0, 30) },
            2 => {
                let by = if rng.percent(60) { rng.range(5, 80) } else { rng.range(300, 3000) };
                Self::SlowDecisions { at, lasts, by: Duration::from_millis(by) }
            }
            _ => Self::FailingShrinks { node: rng.range(0, 2) as usize, at, lasts: lasts * 2 },
        }
    }

    /// Whether the controller crashes at this write.
    pub fn crash(&self, n: usize) -> Option<(Moment, Duration)> {
        match *self {
            Self::Crash { write, moment, down } if write == n => Some((moment, down)),
            _ => None,
        }
    }
}

/// Whether a time is within a while.
pub fn within(now: Duration, at: Duration, lasts: Duration) -> bool {
    now >= at && now < at + lasts
}
