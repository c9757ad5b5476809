//! What the probes are told: whether the process lives, and whether it is ready.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{Router, http::StatusCode, routing::get};
use tokio::time::Instant;

use super::Leadership;

/// A decision may take a minute. One that goes on for so long will not end any more.
const STUCK: Duration = Duration::from_secs(180);
/// The process ends when it loses the lease. One that is still there so long after it should have, hangs.
const OVERDUE: Duration = Duration::from_secs(60);

/// How the process does. Cheap to copy: all copies are one.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    stage: Stage,
    /// When the decision began that is going on.
    turn: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Default)]
enum Stage {
    #[default]
    Starts,
    StandsBy,
    Fills,
    Filled,
}

/// A decision in progress: it ends with this value.
#[derive(Debug)]
pub struct Turn(Health);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.state().turn = None;
    }
}

impl Health {
    /// It waits for its chance to lead: there is nothing more that it could be ready for.
    pub fn stands_by(&self) {
        self.state().stage = Stage::StandsBy;
    }

    /// It leads, and reads what there is.
    pub fn fills(&self) {
        self.state().stage = Stage::Fills;
    }

    /// It has read what there is.
    pub fn filled(&self) {
        self.state().stage = Stage::Filled;
    }

    /// A decision begins.
    #[must_use]
    pub fn turn(&self) -> Turn {
        self.state().turn = Some(Instant::now());
        Turn(self.clone())
    }

    /// Whether the process does what it is there for.
    ///
    /// # Errors
    /// What it hangs in.
    pub fn lives(&self, leadership: &Leadership) -> Result<(), String> {
        let seconds = |time: Duration| time.as_secs();
        let turn = self.state().turn.map(|began| began.elapsed());
        if let Some(time) = turn.filter(|time| *time > STUCK) {
            return Err(format!("one decision has been running for {} s", seconds(time)));
        }
        match leadership.overdue() {
            Some(late) if late > OVERDUE => {
                Err(format!("the lease was lost {} s ago", seconds(late)))
            }
            _ => Ok(()),
        }
    }

    /// Whether the process is ready: a leader when it has read what there is, another one at once.
    ///
    /// # Errors
    /// What it waits for.
    pub fn ready(&self) -> Result<(), String> {
        match self.state().stage {
            Stage::StandsBy | Stage::Filled => Ok(()),
            Stage::Starts => Err("the process is starting".to_owned()),
            Stage::Fills => {
                Err("the caches are being filled: check that the CRDs are installed, and that the controller may read all kinds"
                    .to_owned())
            }
        }
    }

    /// `/healthz` and `/readyz`.
    pub fn routes(self, leadership: Leadership) -> Router {
        let ready = self.clone();
        Router::new()
            .route("/healthz", get(async move || answer(self.lives(&leadership))))
            .route("/readyz", get(async move || answer(ready.ready())))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held; it would be whole all the same.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn answer(state: Result<(), String>) -> (StatusCode, String) {
    match state {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, why + "\n"),
    }
}
