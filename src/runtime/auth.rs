//! Who may read what a process tells beyond itself: who the API server knows by a token, and allows to `get` the path.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    extract::{Request, State},
    http::{StatusCode, header::AUTHORIZATION},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use k8s_openapi::api::{
    authentication::v1::{TokenReview, TokenReviewSpec},
    authorization::v1::{NonResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
};
use kube::{Api, Client, api::PostParams};
use ring::digest::{SHA256, digest};
use tokio::{sync::Semaphore, time::Instant};
use tracing::warn;

/// How long an answer holds. What was allowed may be read for so long after it is forbidden.
const HOLDS: Duration = Duration::from_secs(60);
/// How many answers are kept, so that made-up tokens fill no memory.
const KEPT: usize = 256;
/// How many questions are on their way to the API server at once, so that made-up tokens do not flood it.
const AT_ONCE: usize = 4;

/// Lets through who may. Cheap to copy: all copies are one.
#[derive(Clone)]
pub struct Gate(Arc<Inner>);

/// The hash of a token, so that none is kept, and a path.
type Question = (Vec<u8>, String);

struct Inner {
    client: Client,
    asking: Semaphore,
    answers: Mutex<BTreeMap<Question, (Instant, Answer)>>,
}

/// What the API server says of a token.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Answer {
    Allowed,
    Unknown,
    Forbidden,
}

impl Gate {
    /// Asks the API server by this client, which may create TokenReviews and SubjectAccessReviews.
    #[must_use]
    pub fn new(client: Client) -> Self {
        let (asking, answers) = (Semaphore::new(AT_ONCE), Mutex::default());
        Self(Arc::new(Inner { client, asking, answers }))
    }

    /// The same routes, for who may read them.
    pub fn guard(self, routes: Router) -> Router {
        routes.layer(from_fn_with_state(self, pass))
    }

    async fn answer(&self, token: &str, path: &str) -> Result<Answer, kube::Error> {
        let key = (digest(&SHA256, token.as_bytes()).as_ref().to_vec(), path.to_owned());
        if let Some(known) = self.known(&key) {
            return Ok(known);
        }
        // It is never closed.
        let _asking = self.0.asking.acquire().await;
        // Another request may have asked the same meanwhile.
        if let Some(known) = self.known(&key) {
            return Ok(known);
        }
        let answer = ask(&self.0.client, token, path).await?;
        let mut answers = self.0.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.retain(|_, (since, _)| since.elapsed() < HOLDS);
        if answers.len() < KEPT {
            answers.insert(key, (Instant::now(), answer));
        }
        Ok(answer)
    }

    fn known(&self, key: &Question) -> Option<Answer> {
        let answers = self.0.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, answer) = answers.get(key)?;
        (since.elapsed() < HOLDS).then_some(*answer)
    }
}

async fn pass(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let header = request.headers().get(AUTHORIZATION).and_then(|header| header.to_str().ok());
    let token = header.and_then(|header| header.strip_prefix("Bearer ")).map(str::trim);
    let Some(token) = token.filter(|token| !token.is_empty()) else {
        return refuse(
            StatusCode::UNAUTHORIZED,
            "send a bearer token, for example from kubectl create token",
        );
    };
    let path = request.uri().path();
    match gate.answer(token, path).await {
        Ok(Answer::Allowed) => next.run(request).await,
        Ok(Answer::Unknown) => {
            refuse(StatusCode::UNAUTHORIZED, "the API server does not know this token")
        }
        Ok(Answer::Forbidden) => refuse(
            StatusCode::FORBIDDEN,
            &format!("a role must allow the verb get on nonResourceURLs [{path}]"),
        ),
        Err(error) => {
            warn!(%error, "requests for {path} are refused: the API server cannot be asked who may read it");
            refuse(
                StatusCode::SERVICE_UNAVAILABLE,
                "the API server cannot be asked who may read this",
            )
        }
    }
}

fn refuse(status: StatusCode, why: &str) -> Response {
    (status, format!("{why}\n")).into_response()
}

async fn ask(client: &Client, token: &str, path: &str) -> Result<Answer, kube::Error> {
    let spec = TokenReviewSpec { token: Some(token.to_owned()), audiences: None };
    let review = TokenReview { spec, ..TokenReview::default() };
    let review = Api::all(client.clone()).create(&PostParams::default(), &review).await?;
    let status = review.status.unwrap_or_default();
    let Some(user) = status.user.filter(|_| status.authenticated == Some(true)) else {
        return Ok(Answer::Unknown);
    };
    let attributes =
        NonResourceAttributes { path: Some(path.to_owned()), verb: Some("get".to_owned()) };
    let spec = SubjectAccessReviewSpec {
        user: user.username,
        groups: user.groups,
        uid: user.uid,
        extra: user.extra,
        non_resource_attributes: Some(attributes),
        ..SubjectAccessReviewSpec::default()
    };
    let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
    let review = Api::all(client.clone()).create(&PostParams::default(), &review).await?;
    match review.status.is_some_and(|status| status.allowed) {
        true => Ok(Answer::Allowed),
        false => Ok(Answer::Forbidden),
    }
}
