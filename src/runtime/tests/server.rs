//! An API server that knows Leases, and notes what else is written. Each process has a line of its own to it, which
//! can be bad.

use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::{Method, Request, Response, StatusCode};
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tower::BoxError;

#[derive(Clone, Default)]
pub struct Server(Arc<Mutex<Stored>>);

#[derive(Default)]
pub struct Stored {
    pub lease: Option<Value>,
    version: u64,
    /// Writes of other objects: how many arrived, and how many were answered.
    pub arrived: usize,
    pub answered: usize,
}

/// How the line of one process is.
#[derive(Clone, Default)]
pub struct Line(Arc<Mutex<Quality>>);

#[derive(Clone, Copy, Default)]
pub struct Quality {
    /// Nothing gets through.
    pub dead: bool,
    /// The next write is carried out, but its answer is lost.
    pub loses_answer: bool,
    /// How long a call takes, half before it is carried out, half after.
    pub takes: Duration,
    /// How long it takes more at times, at random from this seed.
    pub jitter: Option<(u64, Duration)>,
}

impl Line {
    pub fn set(&self) -> MutexGuard<'_, Quality> {
        self.0.lock().unwrap()
    }
}

impl Server {
    pub fn stored(&self) -> MutexGuard<'_, Stored> {
        self.0.lock().unwrap()
    }

    pub fn holder(&self) -> Option<String> {
        let stored = self.stored();
        Some(stored.lease.as_ref()?["spec"]["holderIdentity"].as_str()?.to_owned())
    }

    /// Another process writes the lease.
    pub fn put(&self, holder: &str, seconds: u32) {
        let spec = json!({"holderIdentity": holder, "leaseDurationSeconds": seconds});
        let metadata = json!({"name": "weighted-share", "namespace": "ns"});
        self.stored().put(json!({"metadata": metadata, "spec": spec}));
    }

    pub fn client(&self, line: &Line) -> Client {
        let (server, line) = (self.clone(), line.clone());
        let calls = Arc::new(AtomicU64::new(0));
        let service = tower::service_fn(move |request: Request<Body>| {
            let (server, line) = (server.clone(), line.clone());
            let call = calls.fetch_add(1, Ordering::Relaxed);
            async move { server.answer(&line, call, request).await }
        });
        Client::new(service, "ns")
    }

    async fn answer(
        &self,
        line: &Line,
        call: u64,
        request: Request<Body>,
    ) -> Result<Response<Body>, BoxError> {
        let now = *line.set();
        let more = now.jitter.map_or(Duration::ZERO, |(seed, most)| {
            // Most calls are quick.
            let random = (seed ^ call).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(23);
            if random.is_multiple_of(4) {
                most.mul_f64((random >> 32) as f64 / f64::from(u32::MAX))
            } else {
                Duration::ZERO
            }
        });
        if now.dead {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep((now.takes + more) / 2).await;
        let (parts, body) = request.into_parts();
        let sent: Value = serde_json::from_slice(&body.collect_bytes().await?).unwrap_or_default();
        let is_lease = parts.uri.path().contains("/leases");
        if !is_lease && parts.method != Method::GET {
            self.stored().arrived += 1;
        }
        let (code, answer) = match is_lease {
            true => self.stored().lease(&parts.method, sent),
            false => (StatusCode::OK, json!({"metadata": {"name": "it"}})),
        };
        tokio::time::sleep((now.takes + more) / 2).await;
        if parts.method != Method::GET && std::mem::take(&mut line.set().loses_answer) {
            std::future::pending::<()>().await;
        }
        if !is_lease && parts.method != Method::GET {
            self.stored().answered += 1;
        }
        let mut response = Response::new(Body::from(answer.to_string().into_bytes()));
        *response.status_mut() = code;
        Ok(response)
    }
}

impl Stored {
    fn put(&mut self, mut lease: Value) -> Value {
        self.version += 1;
        lease["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.lease = Some(lease.clone());
        lease
    }

    fn lease(&mut self, method: &Method, sent: Value) -> (StatusCode, Value) {
        let refused = |code: StatusCode, reason: &str| {
            let status = json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {},
                "status": "Failure", "message": reason, "reason": reason, "code": code.as_u16(),
            });
            (code, status)
        };
        match (method, &self.lease) {
            (&Method::GET, Some(lease)) => (StatusCode::OK, lease.clone()),
            (&Method::GET | &Method::PUT, None) => refused(StatusCode::NOT_FOUND, "NotFound"),
            (&Method::POST, None) => (StatusCode::CREATED, self.put(sent)),
            (&Method::POST, Some(_)) => refused(StatusCode::CONFLICT, "AlreadyExists"),
            (&Method::PUT, Some(lease)) => {
                let same = |lease: &Value| lease["metadata"]["resourceVersion"].clone();
                match same(lease) == same(&sent) {
                    true => (StatusCode::OK, self.put(sent)),
                    false => refused(StatusCode::CONFLICT, "Conflict"),
                }
            }
            _ => refused(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"),
        }
    }
}
