//! Whether this process may write, asked right before each write.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::{Method, Request};
use kube::{Client, client::Body};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};
use tower::BoxError;

use super::lease::Terms;

/// How long a write may take, with its admission webhooks, and how long a read may take to begin its answer.
const WRITE: Duration = Duration::from_secs(10);
const READ: Duration = Duration::from_secs(30);
/// So long after it was sent, a write may still be carried out: an admission webhook may hold it.
pub const CARRIED_OUT: Duration = Duration::from_secs(35);
/// After so long the API server gives a write up.
const GIVEN_UP: &str = "timeout=5s";
/// How many writes are on their way at once, at most.
const WRITES: u32 = 64;

/// Whether this process may write. It ends by itself: what was renewed last is valid for a while only, by a clock that
/// cannot be set, whether or not any task of this process runs meanwhile.
#[derive(Clone)]
pub struct Leadership(Arc<Inner>);

struct Inner {
    /// What the times below count from.
    start: Instant,
    /// When it was renewed last, in milliseconds since the start.
    renewed: AtomicU64,
    /// How long that is good for. None: for ever, without an election.
    terms: Option<Terms>,
    /// Until when writes of the process that led before may be carried out, and when a write of ours had no answer last: both
    /// in milliseconds since the start.
    others_until: AtomicU64,
    unanswered: AtomicU64,
    /// One permit for each write that is on its way. Closed: nothing is written any more.
    writes: Semaphore,
}

/// Never renewed.
const NEVER: u64 = u64::MAX;

impl Default for Leadership {
    fn default() -> Self {
        Self::always()
    }
}

impl fmt::Debug for Leadership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leadership").field("leads", &self.leads()).finish_non_exhaustive()
    }
}

/// Why a write was not sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not sent: this process does not lead, or is shutting down")]
pub struct NotLeading;

/// Why a call has no answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no answer in time; it may have been carried out")]
struct NoAnswer;

impl Leadership {
    /// One that leads from the start, and always.
    #[must_use]
    pub fn always() -> Self {
        Self::new(None)
    }

    /// One that leads while it is renewed.
    #[must_use]
    pub fn by(terms: Terms) -> Self {
        Self::new(Some(terms))
    }

    fn new(terms: Option<Terms>) -> Self {
        Self(Arc::new(Inner {
            start: Instant::now(),
            renewed: AtomicU64::new(NEVER),
            terms,
            others_until: AtomicU64::new(0),
            unanswered: AtomicU64::new(NEVER),
            writes: Semaphore::new(WRITES as usize),
        }))
    }

    /// Whether this process may write now.
    #[must_use]
    pub fn leads(&self) -> bool {
        !self.0.writes.is_closed() && self.answer_by().is_some()
    }

    /// Another process led before, which renewed its lease at this time or before, and did not give it back.
    pub fn succeeds(&self, renewed: Instant) {
        self.0.others_until.store(self.millis(renewed + CARRIED_OUT), Ordering::SeqCst);
    }

    /// How long writes of the process that led before may still be carried out.
    #[must_use]
    pub fn others_may_write_for(&self) -> Duration {
        let until = Duration::from_millis(self.0.others_until.load(Ordering::SeqCst));
        until.saturating_sub(self.0.start.elapsed())
    }

    /// Whether a write of this process may still be carried out, although its answer is no longer awaited.
    #[must_use]
    pub fn may_have_written(&self) -> bool {
        let at = self.0.unanswered.load(Ordering::SeqCst);
        at != NEVER && self.0.start.elapsed() < Duration::from_millis(at) + CARRIED_OUT
    }

    fn millis(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.0.start).as_millis();
        u64::try_from(since).unwrap_or(NEVER - 1)
    }

    /// The lease was renewed by a call that began then.
    pub fn renewed(&self, at: Instant) {
        self.0.renewed.store(self.millis(at), Ordering::SeqCst);
    }

    /// How long ago the time was over in which it could have been renewed; none while it leads, or before it ever did.
    #[must_use]
    pub fn overdue(&self) -> Option<Duration> {
        let end = self.last()? + self.0.terms?.lasts();
        Some(Instant::now().saturating_duration_since(end)).filter(|late| !late.is_zero())
    }

    /// Begins no more writes, and returns when those on their way have their answers. Their calls must run meanwhile.
    pub async fn retire(&self) {
        let all = self.0.writes.acquire_many(WRITES).await;
        self.0.writes.close();
        drop(all);
    }

    /// The same client, but each call has a time limit, and a write is only sent while this process leads.
    #[must_use]
    pub fn guard(&self, client: &Client) -> Client {
        let (leadership, inner) = (self.clone(), client.clone());
        let service = tower::service_fn(move |request: Request<Body>| {
            let (leadership, inner) = (leadership.clone(), inner.clone());
            async move { leadership.send(&inner, request).await }
        });
        Client::new(service, client.default_namespace())
    }

    async fn send(
        self,
        client: &Client,
        request: Request<Body>,
    ) -> Result<http::Response<Body>, BoxError> {
        if [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method()) {
            let answer = timeout_at(Instant::now() + READ, client.send(request)).await;
            return Ok(answer.map_err(|_| NoAnswer)??);
        }
        let request = given_up_in_time(request)?;
        let _on_its_way = self.0.writes.acquire().await.map_err(|_| NotLeading)?;
        let answer_by = self.answer_by().ok_or(NotLeading)?;
        let answer = timeout_at(answer_by, client.send(request)).await;
        let is_known = matches!(&answer, Ok(Ok(response)) if !response.status().is_server_error());
        if !is_known {
            self.0.unanswered.store(self.millis(Instant::now()), Ordering::SeqCst);
        }
        Ok(answer.map_err(|_| NoAnswer)??)
    }

    /// When a write that is sent now must be over: before another process may lead. None: it must not be sent.
    fn answer_by(&self) -> Option<Instant> {
        let now = Instant::now();
        let Some(terms) = self.0.terms else { return Some(now + WRITE) };
        let renewed = self.last()?;
        (now < renewed + terms.lasts()).then(|| (now + WRITE).min(renewed + terms.duration()))
    }

    /// When it was renewed last.
    fn last(&self) -> Option<Instant> {
        let since = self.0.renewed.load(Ordering::SeqCst);
        (since != NEVER).then(|| self.0.start + Duration::from_millis(since))
    }
}

/// The request, with the word to the API server to give it up after a while: what it carries out later than that is
/// no longer expected.
fn given_up_in_time(request: Request<Body>) -> Result<Request<Body>, http::Error> {
    let (mut parts, body) = request.into_parts();
    let path = parts.uri.path();
    let query = parts
        .uri
        .query()
        .map_or(GIVEN_UP.to_owned(), |query| format!("{}&{GIVEN_UP}", query.trim_end_matches('&')));
    let path_and_query = format!("{path}?{query}");
    let mut uri = parts.uri.clone().into_parts();
    uri.path_and_query = Some(path_and_query.parse()?);
    parts.uri = http::Uri::from_parts(uri)?;
    Ok(Request::from_parts(parts, body))
}
