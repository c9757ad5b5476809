use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::json;
use tokio::time::{Instant, advance, sleep, timeout};

use super::server::{Line, Server};
use crate::runtime::{Election, Leadership, Lost, NAME, Terms, identity};

const SECOND: Duration = Duration::from_secs(1);

/// One process: its line to the server, whether it leads, its election, and a client that writes.
struct Process {
    line: Line,
    leadership: Leadership,
    election: Election,
    client: Client,
}

fn process(server: &Server, name: &str) -> Process {
    let (line, terms) = (Line::default(), Terms::of_seconds(15));
    let (client, leadership) = (server.client(&line), Leadership::by(terms));
    let guarded = leadership.guard(&client);
    let election = Election::new(client, ("ns", NAME), name.to_owned(), terms, leadership.clone());
    Process { line, leadership, election, client: guarded }
}

async fn write(client: &Client) -> Result<(), String> {
    let api: Api<ConfigMap> = Api::default_namespaced(client.clone());
    let patch = Patch::Merge(json!({"data": {}}));
    let answer = api.patch("it", &PatchParams::default(), &patch).await;
    answer.map(drop).map_err(|error| error.to_string())
}

#[tokio::test(start_paused = true)]
async fn who_does_not_lead_reads_and_writes_nothing() {
    let server = Server::default();
    let mut one = process(&server, "one");
    let refused = write(&one.client).await.unwrap_err();
    assert!(refused.contains("does not lead"), "{refused}");
    let api: Api<ConfigMap> = Api::default_namespaced(one.client.clone());
    api.get("it").await.unwrap();
    assert_eq!(server.stored().arrived, 0);

    one.election.win().await;
    assert!(one.leadership.leads());
    write(&one.client).await.unwrap();
    assert_eq!(server.stored().arrived, 1);
}

#[tokio::test(start_paused = true)]
async fn a_dead_leader_is_followed_when_its_lease_has_not_changed_for_so_long() {
    let server = Server::default();
    server.put("dead", 15);
    let began = Instant::now();
    process(&server, "one").election.win().await;
    let took = began.elapsed();
    assert!(took >= 15 * SECOND && took <= 17 * SECOND, "{took:?}");
    assert_eq!(server.holder().as_deref(), Some("one"));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_lives_is_not_followed() {
    let server = Server::default();
    let (mut one, mut two) = (process(&server, "one"), process(&server, "two"));
    one.election.win().await;
    let held = async {
        tokio::select! {
            lost = one.election.hold() => panic!("{lost}"),
            won = timeout(600 * SECOND, two.election.win()) => won,
        }
    };
    assert!(held.await.is_err(), "two won while one renewed");
    assert!(one.leadership.leads() && !two.leadership.leads());
}

#[tokio::test(start_paused = true)]
async fn who_cannot_renew_stops_writing_before_another_begins() {
    let server = Server::default();
    let (mut one, mut two) = (process(&server, "one"), process(&server, "two"));
    one.election.win().await;
    let began = Instant::now();
    one.line.set().dead = true;
    let ended = async {
        let lost = one.election.hold().await;
        (lost, one.leadership.leads(), began.elapsed())
    };
    let follows = async {
        two.election.win().await;
        began.elapsed()
    };
    let ((lost, leads, ended), follows) = tokio::join!(ended, follows);
    assert!(matches!(lost, Lost::Lapsed { .. }), "{lost}");
    assert!(!leads && ended <= 10 * SECOND, "{ended:?}");
    assert!(follows >= 15 * SECOND && follows <= 17 * SECOND, "{follows:?}");
}

/// No task of the process runs meanwhile, so nothing could tell it.
#[tokio::test(start_paused = true)]
async fn a_process_that_stood_still_beyond_its_lease_writes_nothing_more() {
    let server = Server::default();
    let mut one = process(&server, "one");
    one.election.win().await;
    write(&one.client).await.unwrap();
    advance(9 * SECOND).await;
    write(&one.client).await.unwrap();
    advance(SECOND).await;
    assert!(!one.leadership.leads());
    write(&one.client).await.unwrap_err();
    assert_eq!(server.stored().arrived, 2);
    assert!(matches!(one.election.hold().await, Lost::Lapsed { .. }));
}

/// An answer that comes when another process may lead is of no use.
#[tokio::test(start_paused = true)]
async fn a_write_is_over_before_another_may_begin() {
    let server = Server::default();
    let mut one = process(&server, "one");
    one.election.win().await;
    let began = Instant::now();
    advance(9 * SECOND).await;
    one.line.set().takes = 60 * SECOND;
    let refused = write(&one.client).await.unwrap_err();
    assert!(refused.contains("no answer in time"), "{refused}");
    assert_eq!(began.elapsed().as_secs(), 15);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_not_a_lost_lease() {
    let server = Server::default();
    let mut one = process(&server, "one");
    one.election.win().await;
    for _ in 0..20 {
        one.line.set().loses_answer = true;
        let held = timeout(8 * SECOND, one.election.hold()).await;
        assert!(held.is_err(), "{held:?}");
        assert!(one.leadership.leads() && !one.line.set().loses_answer);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_was_deleted_stays_with_its_holder() {
    let server = Server::default();
    let (mut one, mut two) = (process(&server, "one"), process(&server, "two"));
    one.election.win().await;
    let both = async {
        tokio::select! {
            lost = one.election.hold() => panic!("{lost}"),
            won = timeout(60 * SECOND, two.election.win()) => won,
        }
    };
    let delete = async {
        for _ in 0..10 {
            sleep(Duration::from_millis(3700)).await;
            server.stored().lease = None;
        }
    };
    let (won, ()) = tokio::join!(both, delete);
    assert!(won.is_err(), "two took it from one");
    assert_eq!(server.holder().as_deref(), Some("one"));
}

#[tokio::test(start_paused = true)]
async fn who_takes_the_lease_by_force_has_it() {
    let server = Server::default();
    let mut one = process(&server, "one");
    one.election.win().await;
    server.put("thief", 15);
    assert_eq!(one.election.hold().await, Lost::Taken("thief".to_owned()));
}

/// Three processes on bad lines, which die, come back, and lose answers.
#[tokio::test(start_paused = true)]
async fn never_do_two_lead_at_once() {
    let mut led = 0;
    for seed in 0..40 {
        led += run(seed).await;
    }
    assert!(led > 400, "there was a leader at {led} looks");
}

/// Returns at how many of 120 looks there was a leader.
async fn run(seed: u64) -> usize {
    let server = Server::default();
    let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = move |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let mut processes = Vec::new();
    let mut led = 0;
    for second in 0..300u64 {
        while processes.len() < 3 {
            let name = identity(&format!("p{second}"));
            let Process { line, leadership, mut election, .. } = process(&server, &name);
            line.set().jitter = Some((seed ^ second, Duration::from_secs(6)));
            let task = tokio::spawn(async move {
                election.win().await;
                election.hold().await
            });
            processes.push((line, leadership, task));
        }
        for _ in 0..4 {
            sleep(Duration::from_millis(250)).await;
            let leading = processes.iter().filter(|(_, leadership, _)| leadership.leads()).count();
            assert!(leading <= 1, "seed {seed}: {leading} lead in second {second}");
            led += usize::from(leading == 1 && second % 10 == 0);
        }
        let one = usize::try_from(next(3)).unwrap();
        match next(12) {
            // It dies; another one is started in its place.
            0 => processes.remove(one).2.abort(),
            1 => processes[one].0.set().dead ^= true,
            2 => processes[one].0.set().loses_answer = true,
            _ => {}
        }
        processes.retain(|(_, _, task)| !task.is_finished());
    }
    for (_, _, task) in processes {
        task.abort();
    }
    led
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_leader_wrote_may_arrive_until_35_seconds_after_its_last_renewal() {
    let server = Server::default();
    server.put("dead", 15);
    let mut one = process(&server, "one");
    one.election.win().await;
    let may_arrive = one.leadership.others_may_write_for();
    assert!(may_arrive >= 18 * SECOND && may_arrive <= 20 * SECOND, "{may_arrive:?}");
    advance(20 * SECOND).await;
    assert!(one.leadership.others_may_write_for().is_zero());
}

#[tokio::test(start_paused = true)]
async fn nothing_arrives_of_who_gave_the_lease_back() {
    let server = Server::default();
    let (mut one, mut two) = (process(&server, "one"), process(&server, "two"));
    one.election.win().await;
    write(&one.client).await.unwrap();
    assert!(one.leadership.others_may_write_for().is_zero(), "there was no leader before");
    one.leadership.retire().await;
    one.election.release().await;
    two.election.win().await;
    assert!(two.leadership.others_may_write_for().is_zero());
}

#[tokio::test(start_paused = true)]
async fn who_has_a_write_without_an_answer_does_not_give_the_lease_back() {
    let server = Server::default();
    let (mut one, mut two) = (process(&server, "one"), process(&server, "two"));
    one.election.win().await;
    one.line.set().loses_answer = true;
    write(&one.client).await.unwrap_err();
    one.leadership.retire().await;
    one.election.release().await;
    assert_eq!(server.holder().as_deref(), Some("one"));
    two.election.win().await;
    assert!(two.leadership.others_may_write_for() > 15 * SECOND);
    // Later nothing can arrive any more.
    advance(36 * SECOND).await;
    assert!(!one.leadership.may_have_written());
}
