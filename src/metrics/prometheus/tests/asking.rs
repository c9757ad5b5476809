use std::{io::Write, time::Duration};

use serde_json::json;

use super::server::{Reply, Server, scalar, vector};
use crate::metrics::{
    MemberKey, Objective, Source, SourceError,
    prometheus::{Objectives, PrometheusOptions, ResourceSignals, objectives::PER_NAMESPACE},
};

fn options(url: &str) -> PrometheusOptions {
    PrometheusOptions { url: url.to_owned(), ..PrometheusOptions::default() }
}

fn objective(namespace: &str, member: &str, query: &str) -> Objective {
    let (namespace, pool, member) = (namespace.to_owned(), "pool".to_owned(), member.to_owned());
    Objective { member: MemberKey { namespace, pool, member }, query: query.to_owned() }
}

/// What the one question of a member comes to.
async fn asked(reply: fn() -> Reply) -> Result<f64, String> {
    let server = Server::start(move |_| reply()).await;
    let mut source = Objectives::new(&options(&server.url)).unwrap();
    source.client = source.client.impatient(Duration::from_millis(300));
    let mut readings = source.read(&[objective("shop", "a", "up")]).await.unwrap().objectives;
    assert_eq!(readings.len(), 1);
    assert_eq!(server.queries(), [r#"up{namespace="shop"}"#]);
    readings.remove(0).value
}

#[tokio::test]
async fn one_number_is_an_answer() {
    assert_eq!(asked(|| Reply::Success(scalar("0.25"))).await, Ok(0.25));
    assert_eq!(asked(|| Reply::Success(vector(&["-3e2"]))).await, Ok(-300.0));
}

#[tokio::test]
async fn what_is_not_one_number_says_what_to_write() {
    let error = async |reply| asked(reply).await.unwrap_err();
    assert_eq!(
        error(|| Reply::Success(vector(&[]))).await,
        "it returns nothing: is the metric scraped with a namespace label?"
    );
    assert_eq!(
        error(|| Reply::Success(vector(&["1", "2", "3"]))).await,
        "it returns 3 series: aggregate them to one, for example with sum(...)"
    );
    assert!(error(|| Reply::Success(vector(&["NaN"]))).await.starts_with("it returns NaN"));
    assert!(
        error(|| Reply::Success(scalar("+Inf"))).await.starts_with("it returns no finite number")
    );
    let matrix = || Reply::Success(json!({"resultType": "matrix", "result": []}));
    assert!(error(matrix).await.starts_with("it returns a range"));
}

#[tokio::test]
async fn what_fails_is_told_and_no_more() {
    let error = async |reply| asked(reply).await.unwrap_err();
    let refused = error(|| {
        let said = format!("many-to-many\nmatching {}", "x".repeat(500));
        let body = json!({"status": "error", "errorType": "execution", "error": said});
        Reply::Status(422, body.to_string())
    });
    let refused = refused.await;
    assert!(
        refused.starts_with("Prometheus refuses the query: many-to-many matching xxx"),
        "{refused}"
    );
    assert_eq!(refused.chars().count(), "Prometheus refuses the query: ".len() + 200);
    let again = "Prometheus does not answer the query: it will be queried again";
    assert_eq!(error(|| Reply::Status(500, "a secret of the proxy".to_owned())).await, again);
    assert_eq!(error(|| Reply::Redirect("http://127.0.0.1:1/".to_owned())).await, again);
    let slow = "the query takes too long: use shorter ranges or a recording rule";
    assert_eq!(error(|| Reply::Silence).await, slow);
    let timeout = || {
        let body = json!({"status": "error", "errorType": "timeout", "error": "query timed out"});
        Reply::Status(503, body.to_string())
    };
    assert_eq!(error(timeout).await, slow);
    // On a busy machine the time may be up before so much has come.
    let mut told = String::new();
    for _ in 0..20 {
        told = error(|| Reply::Endless).await;
        if told != slow && told != again {
            break;
        }
    }
    assert!(told.starts_with("the answer is bigger than 1024 KiB"), "{told}");
}

#[tokio::test]
async fn one_that_fails_does_not_spoil_the_others() {
    let server = Server::start(|query| match query {
        query if query.starts_with("bad") => Reply::Status(500, String::new()),
        _ => Reply::Success(scalar("2")),
    });
    let server = server.await;
    let source = Objectives::new(&options(&server.url)).unwrap();
    let asked = [
        objective("shop", "a", "bad"),
        objective("shop", "b", "good"),
        objective("shop", "c", "info(up)"),
        objective("", "d", "up"),
    ];
    let mut readings = source.read(&asked).await.unwrap().objectives;
    readings.sort_by_key(|reading| reading.member.member.clone());
    let values: Vec<_> = readings.into_iter().map(|reading| reading.value).collect();
    assert!(values[0].is_err() && values[2].is_err() && values[3].is_err(), "{values:?}");
    assert_eq!(values[1], Ok(2.0));
    assert_eq!(server.queries().len(), 2);
}

#[tokio::test]
async fn a_server_that_is_not_there_fails_as_a_whole() {
    let source = Objectives::new(&options("http://127.0.0.1:1")).unwrap();
    let failed = source.read(&[objective("shop", "a", "up")]).await.unwrap_err();
    let SourceError::Failed(why) = failed else { panic!("{failed:?}") };
    assert!(why.contains("cannot be reached") && why.contains("--prometheus-url"), "{why}");
    let source = ResourceSignals::new(&options("http://127.0.0.1:1")).unwrap();
    assert!(matches!(source.read(&[]).await, Err(SourceError::Failed(_))));
    for url in ["", "no url", "http://"] {
        assert!(
            matches!(ResourceSignals::new(&options(url)), Err(SourceError::Failed(_))),
            "{url}"
        );
    }
}

#[tokio::test]
async fn the_token_is_read_for_each_look_and_no_redirect_gets_it() {
    let other = Server::start(|_| Reply::Success(scalar("1"))).await;
    let to = other.url.clone();
    let server = Server::start(move |_| Reply::Redirect(to.clone())).await;
    let mut file = tempfile();
    file.1.write_all(b"first\n").unwrap();
    let options = PrometheusOptions { token_file: Some(file.0.clone()), ..options(&server.url) };
    let source = Objectives::new(&options).unwrap();
    let asked = [objective("shop", "a", "up")];
    source.read(&asked).await.unwrap();
    std::fs::write(&file.0, "second").unwrap();
    source.read(&asked).await.unwrap();
    let heads = server.heads();
    assert!(heads[0].starts_with("post /prefix/api/v1/query "), "{heads:?}");
    for (head, token) in heads.iter().zip(["first", "first", "second", "second"]) {
        assert!(head.contains(&format!("authorization: bearer {token}")), "{head}");
    }
    assert_eq!(other.heads(), [""; 0]);
    std::fs::remove_file(&file.0).unwrap();
    assert!(matches!(source.read(&asked).await, Err(SourceError::Failed(_))));
}

fn tempfile() -> (std::path::PathBuf, std::fs::File) {
    let path = std::env::temp_dir().join(format!("weightedshare-token-{}", std::process::id()));
    let file = std::fs::File::create(&path).unwrap();
    (path, file)
}

#[test]
fn a_slow_question_is_asked_less_often() {
    let source = Objectives::new(&options("http://localhost")).unwrap();
    let asked = [objective("shop", "slow", "up"), objective("shop", "quick", "up")];
    let mut gaps = Vec::new();
    let mut gap = 0;
    for _ in 0..60 {
        for (objective, question) in source.questions(&asked) {
            let slow = objective.member.member == "slow";
            if question.is_err() {
                assert!(slow);
                gap += 1;
                continue;
            }
            if slow {
                gaps.push(gap);
                gap = 0;
            }
            source.note(&objective.member, slow);
        }
    }
    assert_eq!(gaps, [0, 0, 1, 2, 4, 8, 10, 10, 10]);
    source.note(&asked[0].member, false);
    assert!(source.questions(&asked).iter().all(|(_, question)| question.is_ok()));
}

#[test]
fn a_namespace_asks_so_many_questions_and_each_has_its_turn() {
    let source = Objectives::new(&options("http://localhost")).unwrap();
    let mut asked: Vec<_> = (0..100).map(|i| objective("many", &format!("m{i}"), "up")).collect();
    asked.push(objective("shop", "a", "up"));
    let mut turns = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let questions = source.questions(&asked);
        assert_eq!(questions.len(), 101);
        let answered = questions.iter().filter(|(_, question)| question.is_ok());
        let members: Vec<_> = answered.map(|(objective, _)| objective.member.clone()).collect();
        assert_eq!(members.len(), PER_NAMESPACE + 1);
        assert!(members.iter().any(|member| member.namespace == "shop"));
        turns.extend(members);
    }
    assert_eq!(turns.len(), 101);
}
