//! Kinds that a cluster may not have.

use serde_json::json;

use crate::{cluster::VerticalPodAutoscaler, runtime::optional};

/// What an API server is asked for a kind that comes and goes, and what is told of it.
#[tokio::test]
async fn a_kind_is_watched_as_long_as_it_is_served() {
    use futures::StreamExt;
    use http::{Request, Response};
    use kube::{client::Body, runtime::watcher::Event};

    let (service, mut server) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
    let client = kube::Client::new(service, "default");
    let object = json!({
        "apiVersion": "autoscaling.k8s.io/v1", "kind": "VerticalPodAutoscaler",
        "metadata": {"name": "web", "namespace": "shop", "resourceVersion": "7"}, "spec": {},
    });
    let list = json!({
        "apiVersion": "autoscaling.k8s.io/v1", "kind": "VerticalPodAutoscalerList",
        "metadata": {"resourceVersion": "8"}, "items": [object],
    });
    let partial = json!({
        "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList", "metadata": {}, "items": [],
    });
    let gone = json!({"apiVersion": "v1", "kind": "Status", "status": "Failure", "code": 404, "message": "", "reason": ""});
    // Not there, not there, there: listed, watched until it is gone; not there.
    let answers =
        [(404, &gone), (404, &gone), (200, &partial), (200, &list), (404, &gone), (404, &gone)];
    let serve = async {
        let mut asked = Vec::new();
        for (code, answer) in answers {
            let (request, respond) = server.next_request().await.unwrap();
            asked.push(request.uri().to_string());
            let body = Body::from(serde_json::to_vec(answer).unwrap());
            respond.send_response(Response::builder().status(code).body(body).unwrap());
        }
        asked
    };
    let poll = std::time::Duration::from_millis(5);
    let events = optional::watch_where_served::<VerticalPodAutoscaler>(&client, poll);
    let told = async {
        let mut events = std::pin::pin!(events);
        let mut told = Vec::new();
        while told.len() < 7 {
            told.push(match events.next().await.unwrap().unwrap() {
                Event::Init => "init",
                Event::InitApply(_) => "object",
                Event::InitDone => "done",
                Event::Apply(_) | Event::Delete(_) => "change",
            });
        }
        // It goes on looking, without a word.
        let more = tokio::time::timeout(std::time::Duration::from_millis(50), events.next()).await;
        assert!(more.is_err());
        told
    };
    let (asked, told) = tokio::join!(serve, told);
    assert_eq!(told, ["init", "done", "init", "object", "done", "init", "done"]);
    let path = "/apis/autoscaling.k8s.io/v1/verticalpodautoscalers?";
    assert!(asked.iter().all(|uri| uri.starts_with(path)), "{asked:?}");
    assert!(asked[4].contains("watch=true"), "{asked:?}");
}
