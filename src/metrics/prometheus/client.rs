//! One question to Prometheus: limited in time and in size, without redirects.

use std::{path::PathBuf, time::Duration};

use prometheus_http_query::response::{Data, PromqlResult};
use reqwest::{Response, StatusCode, header, redirect};
use serde::Deserialize;

use super::PrometheusOptions;
use crate::metrics::{SourceError, trust::trust};

/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How much of what Prometheus says about an error is passed on.
const WORDS: usize = 200;

/// Why a question has no answer.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum QueryError {
    /// No server is there.
    #[error("Prometheus cannot be reached ({0}): check --prometheus-url and the network policies")]
    Unreachable(String),
    /// It took too long.
    #[error("the query takes too long: use shorter ranges or a recording rule")]
    Slow,
    /// It is too big.
    #[error("the answer is bigger than {0} KiB: aggregate the series, for example with sum(...)")]
    Big(usize),
    /// Prometheus says why.
    #[error("Prometheus refuses the query: {0}")]
    Refused(String),
    /// What answers is not Prometheus, or does not let us in.
    #[error("{0}")]
    Strange(String),
}

impl QueryError {
    /// In words for a member's user, who is told nothing about the server.
    pub(super) fn for_members(&self) -> String {
        match self {
            Self::Unreachable(_) | Self::Strange(_) => {
                "Prometheus does not answer the query: it will be queried again".to_owned()
            }
            Self::Slow | Self::Big(_) | Self::Refused(_) => self.to_string(),
        }
    }
}

/// A Prometheus that can be asked.
#[derive(Clone)]
pub(super) struct Client {
    http: prometheus_http_query::Client,
    token_file: Option<PathBuf>,
    patience: Duration,
}

impl Client {
    pub(super) fn new(options: &PrometheusOptions) -> Result<Self, SourceError> {
        Self::with_patience(options, PATIENCE)
    }

    /// One that waits so long for each answer.
    pub(super) fn with_patience(
        options: &PrometheusOptions,
        patience: Duration,
    ) -> Result<Self, SourceError> {
        let failed = |error: &dyn std::fmt::Display| {
            let url = &options.url;
            SourceError::Failed(format!(
                "Prometheus at {url:?} cannot be queried: {error}: check --prometheus-url"
            ))
        };
        let tls = trust(&options.url, options.ca_file.as_deref());
        let tls = tls
            .map_err(|error| SourceError::Failed(format!("{error}: check --prometheus-ca-file")))?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            // Only the configured server may be asked.
            .redirect(redirect::Policy::none())
            .no_proxy()
            .connect_timeout(PATIENCE)
            .timeout(patience)
            .build();
        let http = http.map_err(|error| failed(&error))?;
        let http = prometheus_http_query::Client::from(http, &options.url);
        Ok(Self {
            http: http.map_err(|error| failed(&error))?,
            token_file: options.token_file.clone(),
            patience,
        })
    }

    /// One that waits less.
    #[cfg(test)]
    pub(super) fn impatient(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Begins a look, with the token as it is now. What fails from here on is the fault of a question.
    pub(super) async fn look(&self) -> Result<Look<'_>, SourceError> {
        let look = Look { client: self, token: self.token()? };
        // The easiest of all questions.
        match look.ask("1", 1 << 20).await {
            Ok(_) => Ok(look),
            Err(QueryError::Slow) => Err(SourceError::Failed(
                "Prometheus does not answer in time: check its load and its log".to_owned(),
            )),
            Err(error) => Err(SourceError::Failed(error.to_string())),
        }
    }

    fn token(&self) -> Result<Option<header::HeaderValue>, SourceError> {
        let Some(file) = &self.token_file else { return Ok(None) };
        let wrong = |error: &dyn std::fmt::Display| {
            let file = file.display();
            SourceError::Failed(format!(
                "the token for Prometheus in {file} cannot be used: {error}: check --prometheus-token-file"
            ))
        };
        let token = std::fs::read_to_string(file).map_err(|error| wrong(&error))?;
        let token = header::HeaderValue::from_str(&format!("Bearer {}", token.trim()));
        let mut token = token.map_err(|error| wrong(&error))?;
        token.set_sensitive(true);
        Ok(Some(token))
    }
}

/// What is asked at one time.
pub(super) struct Look<'c> {
    client: &'c Client,
    token: Option<header::HeaderValue>,
}

impl Look<'_> {
    /// Asks one question; `limit` is the size of the answer in bytes.
    pub(super) async fn ask(&self, query: &str, limit: usize) -> Result<Data, QueryError> {
        let mut request = self.client.http.query(query).timeout(self.milliseconds());
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, token.clone());
        }
        self.wait(request.post_raw(), limit).await
    }

    /// Asks what the answers were from one time to another, in seconds since 1970, every `step` seconds.
    pub(super) async fn ask_range(
        &self,
        query: &str,
        (from, to): (i64, i64),
        step: u32,
        limit: usize,
    ) -> Result<Data, QueryError> {
        let request = self.client.http.query_range(query, from, to, f64::from(step));
        let mut request = request.timeout(self.milliseconds());
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, token.clone());
        }
        self.wait(request.post_raw(), limit).await
    }

    fn milliseconds(&self) -> i64 {
        i64::try_from(self.client.patience.as_millis()).unwrap_or(i64::MAX)
    }

    async fn wait(
        &self,
        response: impl Future<Output = Result<Response, prometheus_http_query::Error>>,
        limit: usize,
    ) -> Result<Data, QueryError> {
        let answer = async {
            let response = response.await.map_err(|error| of_transport(&error))?;
            let status = response.status();
            understand(status, &body(response, limit).await?)
        };
        // Prometheus ends the question by itself; this is for a server that says nothing.
        match tokio::time::timeout(self.client.patience, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(QueryError::Slow),
        }
    }
}

async fn body(mut response: Response, limit: usize) -> Result<Vec<u8>, QueryError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| of_transport(&error))? {
        if body.len() + chunk.len() > limit {
            return Err(QueryError::Big(limit >> 10));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[derive(Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
enum Answer {
    Success {
        data: PromqlResult,
    },
    Error {
        #[serde(default, rename = "errorType")]
        kind: String,
        #[serde(default)]
        error: String,
    },
}

/// Of a body that is not in Prometheus' format nothing is passed on: it may say more than its reader may know.
pub(super) fn understand(status: StatusCode, body: &[u8]) -> Result<Data, QueryError> {
    match serde_json::from_slice(body) {
        Ok(Answer::Success { data }) => Ok(data.into_inner().0),
        Ok(Answer::Error { kind, .. }) if kind == "timeout" => Err(QueryError::Slow),
        Ok(Answer::Error { error, .. }) => {
            let error = error.replace(char::is_control, " ");
            Err(QueryError::Refused(error.chars().take(WORDS).collect()))
        }
        Err(_) => Err(QueryError::Strange(match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                format!("Prometheus answers {status}: check --prometheus-token-file")
            }
            _ if status.is_redirection() => {
                format!(
                    "Prometheus answers {status}, a redirect: set --prometheus-url to the address that it leads to"
                )
            }
            _ => format!(
                "the server answers {status}, and is not a Prometheus query API: check --prometheus-url"
            ),
        })),
    }
}

fn of_transport(error: &(dyn std::error::Error + 'static)) -> QueryError {
    let mut innermost = error;
    let mut slow = false;
    loop {
        slow |= innermost.downcast_ref().is_some_and(reqwest::Error::is_timeout);
        match innermost.source() {
            Some(source) => innermost = source,
            None if slow => return QueryError::Slow,
            None => return QueryError::Unreachable(innermost.to_string()),
        }
    }
}
