use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Router, body::Body, routing::get};
use http::{Request, Response, StatusCode, header::AUTHORIZATION};
use kube::{Client, client};
use serde_json::{Value, json};
use tower::{BoxError, ServiceExt, service_fn};

use crate::runtime::Gate;

/// An API server that knows two tokens, of which one may read the metrics, and counts what it is asked.
fn server(asked: &Arc<AtomicUsize>, works: bool) -> Client {
    let asked = asked.clone();
    let answer = move |request: Request<client::Body>| {
        asked.fetch_add(1, Ordering::Relaxed);
        async move {
            let path = request.uri().path().to_owned();
            let body = request.into_body().collect_bytes().await?;
            let body: Value = serde_json::from_slice(&body)?;
            let status = match &*path {
                _ if !works => Value::Null,
                "/apis/authentication.k8s.io/v1/tokenreviews" => {
                    match body["spec"]["token"].as_str() {
                        Some("made-up") => json!({"authenticated": false}),
                        user => {
                            json!({"authenticated": true, "user": {"username": user, "groups": ["g"]}})
                        }
                    }
                }
                "/apis/authorization.k8s.io/v1/subjectaccessreviews" => {
                    let spec = &body["spec"];
                    let reads = json!({"path": "/metrics", "verb": "get"});
                    let allowed = spec["user"] == "reader"
                        && spec["groups"] == json!(["g"])
                        && spec["nonResourceAttributes"] == reads;
                    json!({"allowed": allowed})
                }
                other => panic!("{other}"),
            };
            let (code, body) = match status {
                Value::Null => (500, json!({"kind": "Status", "code": 500})),
                status => (201, json!({"metadata": {}, "spec": body["spec"], "status": status})),
            };
            let body = client::Body::from(body.to_string().into_bytes());
            Ok::<_, BoxError>(Response::builder().status(code).body(body)?)
        }
    };
    Client::new(service_fn(answer), "default")
}

async fn read(routes: &Router, token: Option<&str>) -> StatusCode {
    let mut request = Request::get("/metrics").body(Body::empty()).unwrap();
    if let Some(token) = token {
        let header = format!("Bearer {token}").parse().unwrap();
        request.headers_mut().insert(AUTHORIZATION, header);
    }
    routes.clone().oneshot(request).await.unwrap().status()
}

#[tokio::test]
async fn who_the_api_server_knows_and_allows_may_read() {
    let asked = Arc::default();
    let routes = Router::new().route("/metrics", get("all of it"));
    let routes = Gate::new(server(&asked, true)).guard(routes);
    assert_eq!(read(&routes, None).await, StatusCode::UNAUTHORIZED);
    assert_eq!(read(&routes, Some("")).await, StatusCode::UNAUTHORIZED);
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    assert_eq!(read(&routes, Some("made-up")).await, StatusCode::UNAUTHORIZED);
    assert_eq!(read(&routes, Some("stranger")).await, StatusCode::FORBIDDEN);
    assert_eq!(read(&routes, Some("reader")).await, StatusCode::OK);
    let before = asked.load(Ordering::Relaxed);
    for (token, code) in [
        ("made-up", StatusCode::UNAUTHORIZED),
        ("stranger", StatusCode::FORBIDDEN),
        ("reader", StatusCode::OK),
    ] {
        assert_eq!(read(&routes, Some(token)).await, code);
    }
    assert_eq!(asked.load(Ordering::Relaxed), before, "an answer holds for a while");
}

#[tokio::test]
async fn nobody_may_while_the_api_server_does_not_say_who() {
    let routes = Router::new().route("/metrics", get("all of it"));
    let routes = Gate::new(server(&Arc::default(), false)).guard(routes);
    assert_eq!(read(&routes, Some("reader")).await, StatusCode::SERVICE_UNAVAILABLE);
}
