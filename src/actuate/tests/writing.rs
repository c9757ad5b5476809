//! Which writes are sent, in which order, and what follows from answers.

use http::{Method, Request, Response};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};
use tower_test::mock::Handle;

use crate::{
    actuate::{Answer, Writer, set_in_flight},
    api::ClusterWeightedShareStatus,
    cluster::{Cluster, Event, Kept, PoolId},
    engine::{ContainerResize, Notice, Plan, PodResize, PoolPlan, PoolRef, TreePlan, TreeRef},
    runtime::{Clock, Serving},
    share::Resource,
};

type Server = Handle<Request<Body>, Response<Body>>;

/// A writer with what it tells of itself, the API server that it writes to, and the cluster.
struct Here {
    writer: Writer,
    serving: Serving,
    server: Server,
    cluster: Cluster,
}

/// What was asked: the method, and the last parts of the path.
type Asked = (Method, String);

impl Here {
    /// A cluster with a pod of this name in each of these namespaces.
    fn with(pods: &[(&str, &str)]) -> Self {
        let (service, server) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
        let client = Client::new(service, "default");
        let mut cluster = Cluster::default();
        for (namespace, name) in pods {
            let pod: k8s_openapi::api::core::v1::Pod =
                serde_json::from_value(pod(namespace, name, "1")).unwrap();
            cluster.apply(Event::Applied(pod.key(), pod.read()));
        }
        let serving = Serving::default();
        let writer = Writer::new(client, Clock::system(), serving.clone());
        Self { writer, serving, server, cluster }
    }

    /// Takes over a plan of such resizes for the one pool.
    fn submit(&mut self, resizes: Vec<PodResize>) {
        self.submit_with(resizes, true);
    }

    /// The same. Its status is written where it was not `is_reported`.
    fn submit_with(&mut self, resizes: Vec<PodResize>, is_reported: bool) {
        let meta = ObjectMeta {
            namespace: Some("shop".to_owned()),
            name: Some("pool".to_owned()),
            ..ObjectMeta::default()
        };
        let id = PoolId::of(&meta);
        let plan = PoolPlan {
            pool: PoolRef { namespace: "shop".into(), name: "pool".into(), ..PoolRef::default() },
            finalizer: false,
            resizes,
            status: Default::default(),
            is_reported,
            notices: Vec::new(),
            new_pods: None,
            reclaimed: Vec::new(),
        };
        self.writer
            .submit(Plan { pools: [(id, plan)].into(), ..Plan::default() }, &mut self.cluster);
        self.writer.start(&mut self.cluster);
    }

    /// What is asked next, which gets this answer; with None, the connection breaks. And what the writer makes of it.
    async fn answer(&mut self, answer: Option<Value>) -> (Asked, Answer) {
        let Self { writer, server, cluster, .. } = self;
        let serve = async {
            let (request, respond) = server.next_request().await.unwrap();
            match answer {
                Some(pod) => {
                    respond.send_response(Response::new(Body::from(pod.to_string().into_bytes())));
                }
                None => {
                    respond.send_error(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
                }
            }
            let path: Vec<&str> = request.uri().path().split('/').collect();
            (request.method().clone(), path[path.len() - 2..].join("/"))
        };
        let done = async {
            loop {
                if let Some(answer) = writer.next().await {
                    return answer;
                }
                writer.start(cluster);
            }
        };
        let (asked, answer) = tokio::join!(serve, done);
        self.writer.start(&mut self.cluster);
        (asked, answer)
    }

    fn is_in_flight(&self, pod: &str) -> bool {
        self.cluster.pod("shop", pod).unwrap().in_flight
    }
}

fn pod(namespace: &str, name: &str, version: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name, "uid": name, "resourceVersion": version},
        "spec": {"containers": [{"name": "main", "resources": {"requests": {"cpu": "200m"}}}]},
    })
}

/// A resize of a pod's CPU, decided on version `1`.
fn resize(pod: &str, from: u64, to: u64) -> PodResize {
    PodResize {
        namespace: "shop".into(),
        pod: pod.into(),
        uid: pod.into(),
        resource_version: "1".into(),
        resource: Resource::Cpu,
        containers: vec![ContainerResize { name: "main".into(), request: to, limit: None }],
        from,
        to,
    }
}

#[tokio::test(start_paused = true)]
async fn a_resize_without_an_answer_stays_charged_until_its_pod_has_moved_on() {
    let mut here = Here::with(&[("shop", "web-0")]);
    here.submit(vec![resize("web-0", 200, 300)]);
    let (asked, answer) = here.answer(None).await;
    assert_eq!(asked, (Method::PATCH, "web-0/resize".into()));
    assert!(matches!(answer, Answer::Other) && here.is_in_flight("web-0"));
    // An alert looks at this.
    let failed = "controller_runtime_reconcile_errors_total{controller=\"weightedshare\"} 1";
    assert!(here.serving.telemetry.text().unwrap().contains(failed));
    // Whatever is planned meanwhile.
    here.submit(Vec::new());
    let (asked, answer) = here.answer(Some(pod("shop", "web-0", "1"))).await;
    assert_eq!(asked, (Method::GET, "pods/web-0".into()));
    assert!(matches!(answer, Answer::Other), "it may still be carried out: {answer:?}");
    let (_, answer) = here.answer(Some(pod("shop", "web-0", "2"))).await;
    let Answer::ReadBack { asked, pod: Some(_), .. } = answer else { panic!("{answer:?}") };
    set_in_flight(&mut here.cluster, &asked, false);
    assert!(!here.is_in_flight("web-0"));
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_stays_as_it_was_is_believed_after_35_seconds() {
    let mut here = Here::with(&[("shop", "web-0")]);
    here.submit(vec![resize("web-0", 200, 300)]);
    let began = Instant::now();
    here.answer(None).await;
    while !matches!(here.answer(Some(pod("shop", "web-0", "1"))).await.1, Answer::ReadBack { .. }) {
    }
    let waited = began.elapsed().as_secs();
    assert!((35..70).contains(&waited), "{waited} s");
}

#[tokio::test(start_paused = true)]
async fn a_version_is_named_that_differs_in_nothing_from_what_was_decided_on() {
    let mut here = Here::with(&[("shop", "web-0")]);
    let see = |cluster: &mut Cluster, pod: Value| {
        let pod: k8s_openapi::api::core::v1::Pod = serde_json::from_value(pod).unwrap();
        cluster.apply(Event::Applied(pod.key(), pod.read()));
    };
    here.cluster.take_changes();
    see(&mut here.cluster, pod("shop", "web-0", "7"));
    here.submit(vec![resize("web-0", 200, 300)]);
    let (version, _) = {
        let Here { writer, server, .. } = &mut here;
        tokio::join!(version_named(server), writer.next())
    };
    assert_eq!(version, "7");

    // Of what changed since, nothing was decided yet: the API server is to refuse.
    let mut here = Here::with(&[("shop", "web-0")]);
    here.cluster.take_changes();
    let mut other = pod("shop", "web-0", "7");
    other["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "250m".into();
    see(&mut here.cluster, other);
    here.submit(vec![resize("web-0", 200, 300)]);
    let Here { writer, server, .. } = &mut here;
    let (version, _) = tokio::join!(version_named(server), writer.next());
    assert_eq!(version, "1");
}

/// The version that the next request names. It has no answer.
async fn version_named(server: &mut Server) -> Value {
    let (request, respond) = server.next_request().await.unwrap();
    respond.send_error(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
    let body = request.into_body().collect_bytes().await.unwrap();
    let patch: Value = serde_json::from_slice(&body).unwrap();
    patch["metadata"]["resourceVersion"].clone()
}

#[tokio::test(start_paused = true)]
async fn what_gives_room_is_sent_before_what_takes_it() {
    let names = ["grows", "both", "shrinks"];
    let mut here = Here::with(&names.map(|name| ("shop", name)));
    let memory = PodResize { resource: Resource::Memory, ..resize("both", 2, 1) };
    here.submit(vec![
        resize("grows", 200, 300),
        resize("both", 200, 300),
        memory,
        resize("shrinks", 200, 100),
    ]);
    let Here { mut writer, mut server, .. } = here;
    let serve = async {
        let mut order = Vec::new();
        for _ in 0..4 {
            let (request, respond) = server.next_request().await.unwrap();
            let name = request.uri().path().split('/').rev().nth(1).unwrap().to_owned();
            let asked = request.into_body().collect_bytes().await.unwrap();
            let asked: Value = serde_json::from_slice(&asked).unwrap();
            let mut taken = pod("shop", &name, "2");
            taken["spec"]["containers"] = asked["spec"]["containers"].clone();
            respond.send_response(Response::new(Body::from(taken.to_string().into_bytes())));
            order.push(name);
        }
        order
    };
    let patience = std::time::Duration::from_secs(1);
    let drive = async { while timeout(patience, writer.next()).await.is_ok() {} };
    let (order, ()) = tokio::join!(serve, drive);
    assert_eq!(order[..3], ["shrinks", "both", "grows"]);
    assert_eq!(order[3], "both", "one resize of a pod after the other");
}

#[tokio::test(start_paused = true)]
async fn what_a_later_plan_does_not_want_is_not_sent() {
    let names: Vec<String> = (0..20).map(|i| format!("web-{i}")).collect();
    let pods: Vec<(&str, &str)> = names.iter().map(|name| ("shop", name.as_str())).collect();
    let mut here = Here::with(&pods);
    here.submit(names.iter().map(|name| resize(name, 200, 300)).collect());
    here.submit(Vec::new());
    let mut sent = 0;
    let patience = std::time::Duration::from_secs(1);
    while let Ok((_, answer)) =
        timeout(patience, here.answer(Some(pod("shop", "web-0", "2")))).await
    {
        assert!(matches!(answer, Answer::Resized { .. }));
        sent += 1;
    }
    assert_eq!(sent, 8, "only those that were on their way");
}

#[tokio::test(start_paused = true)]
async fn a_write_that_fails_is_tried_again_unless_a_later_plan_does_without_it() {
    let pool = json!({
        "apiVersion": "weightedshare.dev/v1alpha1", "kind": "WeightedShare",
        "metadata": {"namespace": "shop", "name": "pool"},
        "spec": {"capacity": {"cpu": "1"}, "members": []},
    });
    let mut here = Here::with(&[]);
    here.submit_with(Vec::new(), false);
    let status = (Method::PATCH, "pool/status".to_owned());
    assert_eq!(here.answer(None).await.0, status);
    let (asked, answer) = here.answer(Some(pool)).await;
    assert!(asked == status && matches!(answer, Answer::Status(..)), "{answer:?}");

    // This one is on its way when the next plan has nothing to report, or the pool is gone.
    here.submit_with(Vec::new(), false);
    here.submit(Vec::new());
    assert_eq!(here.answer(None).await.0, status);
    let long = std::time::Duration::from_secs(600);
    assert!(timeout(long, here.answer(None)).await.is_err(), "it is tried again");
}

#[tokio::test(start_paused = true)]
async fn what_is_left_of_a_pod_after_a_slow_answer_is_decided_anew() {
    let mut here = Here::with(&[("shop", "web-0")]);
    let memory = PodResize { resource: Resource::Memory, ..resize("web-0", 200, 300) };
    here.submit(vec![resize("web-0", 200, 300), memory]);
    let Here { mut writer, mut server, .. } = here;
    let serve = async {
        let (_, respond) = server.next_request().await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        let mut taken = pod("shop", "web-0", "2");
        taken["spec"]["containers"][0]["resources"]["requests"]["cpu"] = json!("300m");
        respond.send_response(Response::new(Body::from(taken.to_string().into_bytes())));
    };
    let ((), answer) = tokio::join!(serve, writer.next());
    let Some(Answer::Resized { asked, sent, refused, .. }) = answer else { panic!("{answer:?}") };
    assert_eq!((asked.len(), sent.len(), refused), (2, 1, None));
}

#[tokio::test(start_paused = true)]
async fn where_a_limit_range_adds_something_each_resize_is_tried_out_on_what_the_last_one_left() {
    let mut here = Here::with(&[("shop", "web-0")]);
    let range: k8s_openapi::api::core::v1::LimitRange = serde_json::from_value(json!({
        "metadata": {"name": "defaults", "namespace": "shop"},
        "spec": {"limits": [{"type": "Container", "defaultRequest": {"memory": "64Mi"}}]},
    }))
    .unwrap();
    here.cluster.apply(Event::Applied(range.key(), range.read()));
    let request = ContainerResize { name: "main".into(), request: 1 << 26, limit: None };
    let memory = PodResize {
        resource: Resource::Memory,
        containers: vec![request],
        ..resize("web-0", 1 << 25, 1 << 26)
    };
    here.submit(vec![resize("web-0", 200, 300), memory]);
    let Here { mut writer, mut server, .. } = here;
    let serve = async {
        let mut asked = Vec::new();
        let mut is = pod("shop", "web-0", "2");
        for (resource, amount) in
            [("cpu", "300m"), ("cpu", "300m"), ("memory", "64Mi"), ("memory", "64Mi")]
        {
            let (request, respond) = server.next_request().await.unwrap();
            asked.push(request.uri().query().unwrap_or_default().contains("dryRun=All"));
            is["spec"]["containers"][0]["resources"]["requests"][resource] = json!(amount);
            respond.send_response(Response::new(Body::from(is.to_string().into_bytes())));
        }
        asked
    };
    let (asked, answer) = tokio::join!(serve, writer.next());
    let Some(Answer::Resized { sent, refused, .. }) = answer else { panic!("{answer:?}") };
    assert_eq!((sent.len(), refused), (2, None));
    assert_eq!(asked, [true, false, true, false]);
}

#[tokio::test(start_paused = true)]
async fn a_tree_is_told_of_at_once_and_then_every_five_seconds_at_most() {
    let mut here = Here::with(&[]);
    let says = |members: u32| {
        let status =
            ClusterWeightedShareStatus { member_count: Some(members), ..Default::default() };
        let plan = TreePlan {
            tree: TreeRef::default(),
            status: status.into(),
            is_reported: false,
            notices: Vec::new(),
        };
        Plan { trees: [("tenants".to_owned(), plan)].into(), ..Plan::default() }
    };
    let shown = json!({
        "apiVersion": "weightedshare.dev/v1alpha1", "kind": "ClusterWeightedShare",
        "metadata": {"name": "tenants", "resourceVersion": "2"}, "spec": {},
    });
    let began = Instant::now();
    for (members, after) in [(1, 0), (2, 5)] {
        here.writer.submit(says(members), &mut here.cluster);
        here.writer.start(&mut here.cluster);
        let (asked, answer) = here.answer(Some(shown.clone())).await;
        assert_eq!(asked, (Method::PATCH, "tenants/status".to_owned()));
        assert!(matches!(answer, Answer::TreeStatus(name, _) if name == "tenants"));
        assert_eq!(began.elapsed().as_secs(), after);
    }
    // What is said already is not written again.
    let mut said = says(2);
    said.trees.values_mut().for_each(|plan| plan.is_reported = true);
    here.writer.submit(said, &mut here.cluster);
    here.writer.start(&mut here.cluster);
    let nothing = timeout(std::time::Duration::from_secs(60), here.server.next_request());
    assert!(nothing.await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_event_of_a_tree_names_it_and_is_in_the_namespace_default() {
    let mut here = Here::with(&[]);
    let notice =
        Notice { warning: true, reason: "Cycle".into(), note: "It contains itself.".into() };
    let plan = TreePlan {
        tree: TreeRef { name: "tenants".into(), uid: "u".into(), resource_version: "7".into() },
        status: ClusterWeightedShareStatus::default().into(),
        is_reported: true,
        notices: vec![notice],
    };
    let trees = [("tenants".to_owned(), plan)].into();
    here.writer.submit(Plan { trees, ..Plan::default() }, &mut here.cluster);
    here.writer.start(&mut here.cluster);
    let serve = async {
        let (request, respond) = here.server.next_request().await.unwrap();
        assert_eq!(request.uri().path(), "/apis/events.k8s.io/v1/namespaces/default/events");
        let body = request.into_body().collect_bytes().await.unwrap();
        respond.send_response(Response::new(Body::from(body.to_vec())));
        serde_json::from_slice::<Value>(&body).unwrap()
    };
    let (event, _) = tokio::join!(serve, here.writer.next());
    let regarding = &event["regarding"];
    let named = ["kind", "name", "uid"].map(|it| regarding[it].as_str().unwrap());
    assert_eq!(named, ["ClusterWeightedShare", "tenants", "u"]);
    assert_eq!((&event["reason"], &event["type"]), (&json!("Cycle"), &json!("Warning")));
    assert_eq!(regarding["namespace"], Value::Null);
}
