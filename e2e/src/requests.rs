//! Requests to a service at a steady rate, whether the earlier ones are answered or not, as users send them; and how
//! long the answers took.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::Result;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Semaphore,
    task::JoinHandle,
    time::{Instant, sleep},
};

/// So many are under way at most: then the users give up.
const AT_ONCE: usize = 64;
/// What is older than this is forgotten.
const REMEMBERED: Duration = Duration::from_secs(120);

/// Requests that go on until this is dropped.
#[derive(Debug)]
pub struct Requests {
    state: Arc<State>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct State {
    /// How many are sent in 1000 s.
    rate: AtomicU64,
    /// When each answer came, and how long after the request.
    answers: Mutex<VecDeque<(Instant, Duration)>>,
    /// How many did not ask, as too many were waiting.
    given_up: AtomicU64,
}

/// How many requests are sent, for who does not have these.
#[derive(Clone, Debug)]
pub struct Rate(Arc<State>);

impl Rate {
    /// How many are sent in a second from now on.
    pub fn set(&self, per_second: f64) {
        self.0.rate.store((per_second * 1000.0) as u64, Relaxed);
    }
}

impl Requests {
    /// Begins, with none in a second.
    #[must_use]
    pub fn begin(service: SocketAddr) -> Self {
        let state = Arc::new(State::default());
        Self { task: tokio::spawn(send(service, Arc::clone(&state))), state }
    }

    /// How many are sent in a second from now on.
    pub fn set_rate(&self, per_second: f64) {
        self.rate().set(per_second);
    }

    /// The rate, to be set from elsewhere.
    #[must_use]
    pub fn rate(&self) -> Rate {
        Rate(Arc::clone(&self.state))
    }

    /// How many users gave up so far.
    #[must_use]
    pub fn given_up(&self) -> u64 {
        self.state.given_up.load(Relaxed)
    }

    /// The time within which 99 of 100 answers of the last `window` came. None while there are none.
    #[must_use]
    pub fn p99(&self, window: Duration) -> Option<Duration> {
        self.quantiles(window, [0.99]).map(|[p99]| p99)
    }

    /// The times within which these parts of the answers of the last `window` came. None while there are none.
    #[must_use]
    pub fn quantiles<const N: usize>(
        &self,
        window: Duration,
        parts: [f64; N],
    ) -> Option<[Duration; N]> {
        let answers = self.state.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = answers.iter().rev().take_while(|(at, _)| at.elapsed() <= window);
        let mut took: Vec<Duration> = recent.map(|&(_, took)| took).collect();
        took.sort_unstable();
        let last = took.len().checked_sub(1)?;
        Some(
            parts.map(|part| {
                took[((took.len() as f64 * part).ceil() as usize).clamp(1, last + 1) - 1]
            }),
        )
    }
}

impl Drop for Requests {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Asks once: how long the answer took.
///
/// # Errors
/// When there is no whole answer.
pub async fn ask(service: SocketAddr) -> Result<Duration> {
    let began = Instant::now();
    let mut stream = TcpStream::connect(service).await?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    anyhow::ensure!(answer.starts_with("HTTP/1.0 200 "), "{answer}");
    Ok(began.elapsed())
}

async fn send(service: SocketAddr, state: Arc<State>) {
    let at_once = Arc::new(Semaphore::new(AT_ONCE));
    let mut next = Instant::now();
    loop {
        let rate = state.rate.load(Relaxed);
        if rate == 0 {
            sleep(Duration::from_millis(100)).await;
            next = Instant::now();
            continue;
        }
        next += Duration::from_secs(1000) / u32::try_from(rate).unwrap_or(u32::MAX);
        tokio::time::sleep_until(next).await;
        let Ok(permit) = Arc::clone(&at_once).try_acquire_owned() else {
            state.given_up.fetch_add(1, Relaxed);
            continue;
        };
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            let _permit = permit;
            // One that fails is one that never came: the tests ask each service whether it answers.
            let Ok(took) = ask(service).await else { return };
            let now = Instant::now();
            let mut answers = state.answers.lock().unwrap_or_else(PoisonError::into_inner);
            answers.push_back((now, took));
            while answers.front().is_some_and(|&(at, _)| now - at > REMEMBERED) {
                answers.pop_front();
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_of_a_hundred_may_take_longer() {
        let requests = Requests::begin(([127, 0, 0, 1], 1).into());
        let window = Duration::from_secs(60);
        assert_eq!(requests.p99(window), None);
        let answer = |took| (Instant::now(), Duration::from_millis(took));
        let long_ago = (Instant::now() - 2 * window, Duration::from_secs(9));
        let all = [long_ago].into_iter().chain((1..=100).map(answer));
        requests.state.answers.lock().unwrap_or_else(PoisonError::into_inner).extend(all);
        assert_eq!(requests.p99(window), Some(Duration::from_millis(99)));
        assert_eq!(requests.p99(3 * window), Some(Duration::from_millis(100)));
    }
}
