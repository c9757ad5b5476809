use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::{Request, Response};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    client::Body,
};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use super::server::{Line, Server};
use crate::runtime::{
    Candidacy, Election, Leadership, Lost, NAME, Serving, Stop, Terms, lead, stop,
};

const SECOND: Duration = Duration::from_secs(1);

fn serving(server: &Server, name: &str) -> (Election, Serving, Client, Line) {
    let (terms, line) = (Terms::of_seconds(15), Line::default());
    let leadership = Leadership::by(terms);
    let client = server.client(&line);
    let guarded = leadership.guard(&client);
    let election = Election::new(client, ("ns", NAME), name.to_owned(), terms, leadership.clone());
    (election, Serving { leadership, ..Serving::default() }, guarded, line)
}

async fn write(client: &Client) -> bool {
    let api: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let patch = Patch::Merge(json!({"data": {}}));
    api.patch("it", &PatchParams::default(), &patch).await.is_ok()
}

#[tokio::test(start_paused = true)]
async fn who_stands_by_is_ready_and_does_not_work() {
    let server = Server::default();
    let (mut first, ..) = serving(&server, "first");
    first.win().await;
    let (election, serving, ..) = serving(&server, "second");
    assert!(serving.health.ready().is_err());
    let stopping = stop(sleep(60 * SECOND));
    let work = |_| async { panic!("it works without the lease") };
    let ended = tokio::select! {
        lost = first.hold() => panic!("{lost}"),
        ended = lead(Some(Candidacy::in_a_task(election)), &serving, stopping, work) => ended,
    };
    assert_eq!(ended, Ok(()));
    assert!(serving.health.ready().is_ok());
    let text = serving.telemetry.text().unwrap();
    assert!(text.contains("leader_election_master_status{name=\"weighted-share\"} 0"), "{text}");
    assert_eq!(server.holder().as_deref(), Some("first"));
}

#[tokio::test(start_paused = true)]
async fn who_is_told_to_stop_gives_the_lease_back_and_another_follows_in_a_second() {
    let server = Server::default();
    let (election, one, ..) = serving(&server, "one");
    let (mut other, ..) = serving(&server, "other");
    let stopping = stop(sleep(30 * SECOND));
    // It ends the turn that it is in.
    let work = |stop: Stop| async {
        stop.await;
        sleep(2 * SECOND).await;
    };
    let began = Instant::now();
    let leads = async {
        lead(Some(Candidacy::in_a_task(election)), &one, stopping, work).await.unwrap();
        assert!(!one.leadership.leads());
        began.elapsed()
    };
    let follows = async {
        sleep(SECOND).await;
        other.win().await;
        began.elapsed()
    };
    let (ended, followed) = tokio::join!(leads, follows);
    assert!(ended >= 32 * SECOND && ended < 33 * SECOND, "{ended:?}");
    assert!(followed >= ended && followed <= ended + SECOND, "{followed:?} after {ended:?}");
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_goes_on_is_left_between_two_writes() {
    let server = Server::default();
    let (election, serving, client, line) = serving(&server, "one");
    let begun = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    let work = |_| {
        line.set().takes = 700 * Duration::from_millis(1);
        let begun = begun.clone();
        async move {
            // It does not care that it is to stop, nor that nothing is sent any more.
            loop {
                begun.fetch_add(1, Ordering::Relaxed);
                if !write(&client).await {
                    std::future::pending::<()>().await;
                }
            }
        }
    };
    let stopping = stop(sleep(10 * SECOND));
    assert_eq!(lead(Some(Candidacy::in_a_task(election)), &serving, stopping, work).await, Ok(()));
    let took = began.elapsed();
    assert!(took >= 15 * SECOND && took < 18 * SECOND, "{took:?}");
    let (arrived, answered) = {
        let stored = server.stored();
        (stored.arrived, stored.answered)
    };
    assert!(arrived > 15 && arrived == answered, "{answered} of {arrived} were answered");
    assert_eq!(begun.load(Ordering::Relaxed), arrived + 1, "one was not sent");
    assert_eq!(server.holder(), None);
}

#[tokio::test(start_paused = true)]
async fn a_stop_while_it_stands_by_leaves_nothing_behind() {
    let server = Server::default();
    let (election, serving, _, line) = serving(&server, "one");
    // The answer to the write that wins the lease is lost.
    line.set().loses_answer = true;
    let work = |_| async {};
    let ended =
        lead(Some(Candidacy::in_a_task(election)), &serving, stop(sleep(SECOND)), work).await;
    assert_eq!(ended, Ok(()));
    assert_eq!(server.holder(), None);
}

#[tokio::test(start_paused = true)]
async fn who_loses_the_lease_ends_in_the_middle_of_its_work() {
    let server = Server::default();
    let (election, serving, client, _) = serving(&server, "one");
    let work = |_| async {
        loop {
            write(&client).await;
            sleep(SECOND).await;
        }
    };
    let steal = async {
        sleep(20 * SECOND).await;
        server.put("thief", 15);
        server.stored().arrived
    };
    let never = stop(std::future::pending());
    let lead =
        timeout(60 * SECOND, lead(Some(Candidacy::in_a_task(election)), &serving, never, work));
    let (ended, before) = tokio::join!(lead, steal);
    assert_eq!(ended, Ok(Err(Lost::Taken("thief".to_owned()))));
    assert!(server.stored().arrived - before <= 3, "it went on writing");
    assert_eq!(server.holder().as_deref(), Some("thief"));
}

#[tokio::test(start_paused = true)]
async fn without_an_election_it_works_at_once() {
    let server = Server::default();
    let serving = Serving::default();
    let client = serving.leadership.guard(&server.client(&Line::default()));
    let work = |_| async {
        assert!(write(&client).await);
    };
    assert_eq!(lead(None, &serving, stop(std::future::pending()), work).await, Ok(()));
    assert_eq!(server.stored().arrived, 1);
    assert!(!write(&client).await, "it writes after its end");
}

#[tokio::test]
async fn a_write_asks_the_server_to_give_it_up_and_a_read_does_not() {
    let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
    let client = Leadership::always().guard(&Client::new(service, "ns"));
    let api: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let params = PatchParams { field_manager: Some("me".to_owned()), ..PatchParams::default() };
    let asked = async {
        let mut queries = Vec::new();
        for _ in 0..2 {
            let (request, respond) = handle.next_request().await.unwrap();
            queries.push(request.uri().query().unwrap_or_default().to_owned());
            respond.send_response(Response::new(Body::from(b"{\"metadata\": {}}".to_vec())));
        }
        queries
    };
    let asks = async {
        api.get("it").await.unwrap();
        api.patch("it", &params, &Patch::Merge(json!({"data": {}}))).await.unwrap();
    };
    let (queries, ()) = tokio::join!(asked, asks);
    assert_eq!(queries[0], "");
    assert_eq!(queries[1], "&fieldManager=me&timeout=5s");
}
