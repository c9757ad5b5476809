//! What this process remembers, for who asks on its own host: the commands that look at its cluster reach it by a port that they
//! have forwarded.

use std::{sync::Arc, time::Duration};

use axum::{Router, http::StatusCode, routing::get};
use tokio::{
    sync::{Mutex, mpsc, oneshot},
    time::timeout,
};

use crate::engine::Remembered;

/// The port of the loopback that is asked.
pub const PORT: u16 = 8083;
/// The path that is asked for.
pub const PATH: &str = "/remembered";
/// So many may wait for an answer.
const WAITING: usize = 8;
/// How long an answer is waited for: the loop may be deciding.
const PATIENCE: Duration = Duration::from_secs(10);

type Question = oneshot::Sender<Remembered>;

/// Questions to the control loop. Cheap to copy: all copies are one.
#[derive(Clone, Debug)]
pub struct Recall {
    asks: mpsc::Sender<Question>,
    /// What was asked. The loop that leads holds it.
    pub(super) asked: Arc<Mutex<mpsc::Receiver<Question>>>,
}

impl Default for Recall {
    fn default() -> Self {
        let (asks, asked) = mpsc::channel(WAITING);
        Self { asks, asked: Arc::new(Mutex::new(asked)) }
    }
}

impl Recall {
    /// Where it is asked.
    pub fn routes(self) -> Router {
        Router::new().route(PATH, get(async move || self.answer().await))
    }

    /// As JSON. Not ready: this process does not lead, or too many ask.
    async fn answer(&self) -> Result<String, (StatusCode, &'static str)> {
        let trouble = |why| (StatusCode::SERVICE_UNAVAILABLE, why);
        if self.asked.try_lock().is_ok() {
            return Err(trouble("this process does not lead\n"));
        }
        let (question, answer) = oneshot::channel();
        self.asks.try_send(question).map_err(|_| trouble("too many requests at once\n"))?;
        let answer = timeout(PATIENCE, answer).await;
        let answer = answer.ok().and_then(Result::ok);
        let remembered = answer.ok_or(trouble("the controller is busy, or shutting down\n"))?;
        serde_json::to_string(&remembered)
            .map_err(|_| (StatusCode::INTERNAL_SERVER_ERROR, "the answer cannot be encoded\n"))
    }
}
