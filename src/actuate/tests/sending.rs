//! What is sent, to the byte, and what becomes of the answers.

use http::{Request, Response, header::CONTENT_TYPE};
use kube::{Client, client::Body};
use serde_json::{Value, json};

use crate::{
    actuate::{hotplug::hotplug, resize::altered, send},
    cluster::{Container, Pod, Qos},
    engine::{ContainerResize, Hotplug, Plugged, PodResize, Refusal, RefusalKind},
    share::{Held, PerResource, Resource},
};

fn resize() -> PodResize {
    PodResize {
        namespace: "shop".into(),
        pod: "web-0".into(),
        uid: "9a6f".into(),
        resource_version: "4711".into(),
        resource: Resource::Cpu,
        containers: vec![
            ContainerResize { name: "main".into(), request: 1500, limit: Some(2000) },
            ContainerResize { name: "side".into(), request: 25, limit: None },
        ],
        from: 300,
        to: 1525,
    }
}

/// Sends `resize` to an API server that answers with `status` and `answer`: what it was asked, and what we make of it.
async fn ask(
    resize: &PodResize,
    status: u16,
    answer: Value,
) -> (http::request::Parts, Value, Result<String, Refusal>) {
    let (service, mut server) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
    let client = Client::new(service, "default");
    let serve = async {
        let (request, respond) = server.next_request().await.unwrap();
        let (head, body) = request.into_parts();
        let body = body.collect_bytes().await.unwrap();
        let answer = Body::from(serde_json::to_vec(&answer).unwrap());
        respond.send_response(Response::builder().status(status).body(answer).unwrap());
        (head, serde_json::from_slice(&body).unwrap())
    };
    let (answer, (head, body)) = tokio::join!(send(&client, resize, None), serve);
    (head, body, answer.map(|pod| pod.metadata.resource_version.unwrap_or_default()))
}

async fn refused(code: u16, message: &str) -> Refusal {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "message": message, "reason": "",
    });
    ask(&resize(), code, status).await.2.unwrap_err()
}

#[tokio::test]
async fn a_resize_is_a_strategic_merge_patch_of_the_subresource() {
    let pod = json!({"metadata": {"name": "web-0", "resourceVersion": "4712"}});
    let (head, body, answer) = ask(&resize(), 200, pod).await;
    assert_eq!(head.method, "PATCH");
    assert_eq!(head.uri.path(), "/api/v1/namespaces/shop/pods/web-0/resize");
    let query: Vec<&str> =
        head.uri.query().unwrap().split('&').filter(|it| !it.is_empty()).collect();
    assert_eq!(query, ["fieldManager=weightedshare"]);
    assert_eq!(head.headers[CONTENT_TYPE], "application/strategic-merge-patch+json");
    assert_eq!(
        body,
        json!({
            "metadata": {"resourceVersion": "4711"},
            "spec": {"containers": [
                {"name": "main", "resources": {"requests": {"cpu": "1500m"}, "limits": {"cpu": "2"}}},
                {"name": "side", "resources": {"requests": {"cpu": "25m"}}},
            ]},
        })
    );
    assert_eq!(answer.as_deref(), Ok("4712"));
}

#[test]
fn a_resize_that_becomes_something_else_counts_as_refused() {
    let pod = |main: u64, limit: u64| {
        let container = |name: &str, requested, limit| Container {
            name: name.to_owned(),
            held: PerResource {
                cpu: Held { requested, ..Held::default() },
                ..PerResource::default()
            },
            limit: PerResource { cpu: limit, memory: None },
            ..Container::default()
        };
        let containers = vec![container("side", 25, None), container("main", main, Some(limit))];
        Pod { containers, ..Pod::default() }
    };
    assert_eq!(altered(&resize(), &pod(1500, 2000)), None);
    let told = |pod: &Pod| {
        let refusal = altered(&resize(), pod).unwrap();
        assert!(refusal.kind == RefusalKind::Altered && refusal.kind.is_final());
        refusal.message
    };
    assert!(told(&pod(1000, 2000)).contains("container main a cpu request of 1 instead of 1500m"));
    assert!(told(&pod(1500, 3000)).contains("container main a cpu limit of 3 instead of 2"));
}

#[tokio::test]
async fn memory_is_written_in_its_own_unit() {
    let container = ContainerResize { name: "main".into(), request: 3 << 29, limit: None };
    let memory = PodResize { resource: Resource::Memory, containers: vec![container], ..resize() };
    let (_, body, _) = ask(&memory, 200, json!({"metadata": {}})).await;
    assert_eq!(
        body["spec"]["containers"],
        json!([{"name": "main", "resources": {"requests": {"memory": "1536Mi"}}}])
    );
}

#[tokio::test]
async fn a_refusal_is_told_by_what_follows_from_it() {
    let quota = "pods \"web-0\" is forbidden: exceeded quota: compute, requested: cpu=1";
    for (code, message, kind) in [
        (404, "not found", RefusalKind::Outdated),
        (409, "the object has been modified", RefusalKind::Outdated),
        (403, quota, RefusalKind::QuotaExceeded),
        (403, "Node didn't have enough capacity", RefusalKind::NodeCapacity),
        (422, "Pod QOS Class may not change as a result of resizing", RefusalKind::Refused),
        (429, "too many requests", RefusalKind::Throttled),
        (500, "etcdserver: leader changed", RefusalKind::Unreachable),
        (503, "shutting down", RefusalKind::Unreachable),
    ] {
        let refusal = refused(code, message).await;
        assert_eq!((refusal.kind, &*refusal.pod), (kind, "web-0"), "{code} {message}");
        assert!(refusal.message.starts_with(message), "{}", refusal.message);
    }
    assert!(refused(403, quota).await.message.contains("raise the ResourceQuota"));
}

#[tokio::test]
async fn where_admission_could_change_more_a_resize_is_tried_out_first() {
    let pod = |request: &str, limits: Value| {
        json!({"metadata": {"name": "web-0"}, "spec": {"containers": [
            {"name": "main", "resources": {"requests": {"cpu": request}, "limits": limits}},
        ]}})
    };
    let asked = PodResize {
        containers: vec![ContainerResize { name: "main".into(), request: 200, limit: None }],
        ..resize()
    };
    let before = Pod::read(&serde_json::from_value(pod("100m", json!({}))).unwrap());
    let tried = async |answer: Value| {
        let (service, mut server) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
        let client = Client::new(service, "default");
        let serve = async {
            let mut queries = Vec::new();
            while let Some((request, respond)) = server.next_request().await {
                queries.push(request.uri().query().unwrap_or_default().contains("dryRun=All"));
                let answer = Body::from(serde_json::to_vec(&answer).unwrap());
                respond.send_response(Response::new(answer));
            }
            queries
        };
        let send = async {
            let answer = send(&client, &asked, Some(&before)).await;
            drop(client);
            answer
        };
        tokio::join!(send, serve)
    };
    let (answer, dry) = tried(pod("200m", json!({}))).await;
    assert_eq!((answer.is_ok(), dry), (true, vec![true, false]));
    let (answer, dry) = tried(pod("200m", json!({"memory": "64Mi"}))).await;
    let refusal = answer.unwrap_err();
    assert_eq!((refusal.kind, dry), (RefusalKind::LimitRange, vec![true]));
    assert!(
        refusal.message.contains("set the memory limit of container main to 64Mi"),
        "{refusal}"
    );
    let (answer, _) = tried(pod("150m", json!({}))).await;
    assert!(answer.unwrap_err().message.contains("set the cpu request of container main to 150m"));
}

#[tokio::test]
async fn an_api_server_that_is_gone_is_unreachable() {
    let (service, server) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
    drop(server);
    let refusal = send(&Client::new(service, "default"), &resize(), None).await.unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::Unreachable);
}

#[test]
fn only_the_containers_that_change_are_named() {
    let container = |name: &str, cpu, limit| Container {
        name: name.into(),
        held: PerResource { cpu: Held { requested: cpu, admitted: cpu }, ..Default::default() },
        limit: PerResource { cpu: limit, memory: None },
        ..Container::default()
    };
    let pod = Pod {
        name: "web-0".into(),
        containers: vec![container("main", 100, Some(100)), container("side", 200, None)],
        ..Pod::default()
    };
    let to = |requests: &[u64], limit| PodResize::to(&pod, Resource::Cpu, requests, |_| limit);

    assert_eq!(to(&[100, 200], None), None);
    let resize = to(&[100, 300], None).unwrap();
    assert_eq!((resize.from, resize.to), (300, 400));
    assert_eq!(
        resize.containers,
        [ContainerResize { name: "side".into(), request: 300, limit: None }]
    );
    // A limit that is there already is not sent; one that differs is, with the request beside it.
    let resize = to(&[100, 200], Some(100)).unwrap();
    assert_eq!(
        resize.containers,
        [ContainerResize { name: "side".into(), request: 200, limit: Some(100) }]
    );
}

/// A pod with one container: what it asks for and what the node has admitted, its limit and the one that is enforced.
fn stuck(qos: Qos, (asked, admitted): (u64, u64), (limit, enforced): (u64, u64)) -> Pod {
    let container = Container {
        name: "main".into(),
        held: PerResource { cpu: Held { requested: asked, admitted }, ..Default::default() },
        limit: PerResource { cpu: Some(limit), memory: None },
        enforced: PerResource { cpu: Some(enforced), memory: None },
        ..Container::default()
    };
    Pod { name: "web-0".into(), qos, containers: vec![container], ..Pod::default() }
}

#[test]
fn what_a_node_could_not_carry_out_is_taken_back_with_its_limit() {
    let back = |pod: &Pod| {
        let resize = PodResize::back(pod, Resource::Cpu)?;
        Some((resize.containers[0].request, resize.containers[0].limit))
    };
    // However little the two limits differ: the request may not stand above.
    let near = stuck(Qos::Guaranteed, (176, 186), (176, 186));
    assert_eq!(back(&near), Some((186, Some(186))));
    let near = stuck(Qos::Burstable, (176, 186), (176, 187));
    assert_eq!(back(&near), Some((186, Some(187))));
    // The kernel knows no less than a hundredth of a core, and a limit that did not move stays.
    assert_eq!(back(&stuck(Qos::Guaranteed, (8, 5), (8, 10))), Some((5, Some(5))));
    assert_eq!(back(&stuck(Qos::Burstable, (4, 2), (5, 10))), Some((2, None)));
    assert_eq!(back(&stuck(Qos::Burstable, (80, 100), (120, 200))), Some((100, Some(200))));
    assert_eq!(back(&stuck(Qos::Burstable, (100, 100), (200, 200))), None);
    // A limit that was added cannot be taken away, and stays above the request.
    let mut added = stuck(Qos::Burstable, (176, 320), (177, 0));
    added.containers[0].enforced.cpu = None;
    assert_eq!(back(&added), Some((320, Some(321))));
}

#[tokio::test]
async fn what_is_given_to_a_machine_is_all_that_is_applied_to_it() {
    let asked = |what: Plugged, code: u16| async move {
        let (service, mut server) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
        let client = Client::new(service, "default");
        let wanted = Hotplug {
            namespace: "shop".into(),
            machine: "db".into(),
            resource_version: "4711".into(),
            what,
        };
        let serve = async {
            let (request, respond) = server.next_request().await.unwrap();
            let (head, body) = request.into_parts();
            let body = body.collect_bytes().await.unwrap();
            let answer = json!({"metadata": {}, "code": code, "message": "", "reason": "", "status": "Failure"});
            let answer =
                if code == 200 { json!({"metadata": {"name": "db"}, "spec": {}}) } else { answer };
            let answer = Body::from(serde_json::to_vec(&answer).unwrap());
            respond.send_response(Response::builder().status(code).body(answer).unwrap());
            (head, serde_json::from_slice::<Value>(&body).unwrap())
        };
        let (answer, (head, body)) = tokio::join!(hotplug(&client, &wanted), serve);
        (head, body, answer.is_ok())
    };
    let sockets = |code| asked(Plugged::Sockets(3), code);
    let (head, body, taken) = sockets(200).await;
    assert_eq!(head.uri.path(), "/apis/kubevirt.io/v1/namespaces/shop/virtualmachines/db");
    let query = head.uri.query().unwrap();
    assert!(query.contains("force=true"), "{query}");
    assert!(query.contains("fieldManager=weightedshare-sockets"), "{query}");
    assert_eq!(head.headers[CONTENT_TYPE], "application/apply-patch+yaml");
    assert_eq!(
        body,
        json!({
            "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine",
            "metadata": {"resourceVersion": "4711"},
            "spec": {"template": {"spec": {"domain": {"cpu": {"sockets": 3}}}}},
        })
    );
    // One that changed or went meanwhile is seen by the next turn; who may not is told.
    assert!(taken && sockets(409).await.2 && sockets(404).await.2 && !sockets(403).await.2);

    // Another owner: what is applied without the sockets does not take them away.
    let (head, body, _) = asked(Plugged::Memory(5 << 30), 200).await;
    assert!(head.uri.query().unwrap().contains("fieldManager=weightedshare-memory"), "{head:?}");
    let domain = json!({"memory": {"guest": "5Gi"}});
    assert_eq!(body["spec"]["template"]["spec"]["domain"], domain);
}
