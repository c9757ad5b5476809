//! The API server, as a service under the client.

use std::{io, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{
    cluster::{Cluster, Shared, with},
    fault::{Fault, Moment, within},
    oracle::Oracle,
    plant::{Bug, planted},
    resize::{RATIO, resized},
    rng::Rng,
    store::{self, Kind, Store},
    watch::watch,
};

pub type Answer = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// The client of one instance of the controller, and what stands between the two.
pub fn client(shared: &Shared, instance: usize, bug: Option<Bug>) -> Client {
    let shared = shared.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let shared = shared.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect_bytes().await.map_err(io::Error::other)?;
            planted(bug, &shared, instance, Call::new(&head, body)).await
        }
    });
    Client::new(service, "default")
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: Method,
    pub path: String,
    pub query: Vec<(String, String)>,
    pub body: Bytes,
}

/// What the path names.
struct Target<'a> {
    plural: &'a str,
    namespace: &'a str,
    name: Option<&'a str>,
    sub: Option<&'a str>,
}

impl Call {
    pub fn new(head: &http::request::Parts, body: Bytes) -> Self {
        let pairs = head.uri.query().unwrap_or_default().split('&');
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (name.to_owned(), value.to_owned())
        };
        Self {
            method: head.method.clone(),
            path: head.uri.path().to_owned(),
            query: pairs.filter(|it| !it.is_empty()).map(pair).collect(),
            body,
        }
    }

    pub fn asks(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn is_write(&self) -> bool {
        self.method != Method::GET
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    fn target(&self) -> Target<'_> {
        let parts: Vec<&str> = self.path.trim_matches('/').split('/').collect();
        let parts = if parts[0] == "api" {
            &parts[2.min(parts.len())..]
        } else {
            &parts[3.min(parts.len())..]
        };
        let (namespace, parts) = match parts {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
            parts => ("", parts),
        };
        let at = |place: usize| parts.get(place).copied();
        Target { plural: at(0).unwrap_or_default(), namespace, name: at(1), sub: at(2) }
    }
}

pub fn answer(code: u16, body: &Value) -> Answer {
    let body = Full::new(Bytes::from(body.to_string())).map_err(|never| match never {});
    let mut answer = Response::new(body.boxed_unsync());
    *answer.status_mut() = http::StatusCode::from_u16(code).unwrap_or_default();
    answer
}

fn refused(code: u16, message: &str) -> Answer {
    let reason = match code {
        404 => "NotFound",
        409 => "Conflict",
        _ => "",
    };
    answer(
        code,
        &json!({
            "apiVersion": "v1", "kind": "Status", "status": "Failure", "metadata": {},
            "code": code, "message": message, "reason": reason,
        }),
    )
}

/// Answers one request, unless a fault stands in the way.
pub async fn serve(shared: &Shared, instance: usize, call: Call) -> Result<Answer, io::Error> {
    let number = call.is_write().then(|| with(shared, |cluster| cluster.number()));
    if call.path.ends_with("/resize") {
        let Target { namespace, name, .. } = call.target();
        with(shared, |cluster| cluster.note_sent(namespace, name.unwrap_or_default()));
    }
    let wait = with(shared, |cluster| Rng::of(cluster.seed, cluster.requests()).range(1, 4));
    sleep(Duration::from_millis(wait)).await;

    let (faults, now) = with(shared, |cluster| (cluster.faults.clone(), cluster.elapsed()));
    let broken = |what: &str| io::Error::new(io::ErrorKind::ConnectionReset, what.to_owned());
    for fault in &faults {
        if let Fault::Outage { at, lasts } = fault
            && within(now, *at, *lasts)
        {
            return Err(broken("the API server does not answer"));
        }
    }
    let Some(number) = number else { return Ok(read(shared, instance, &call)) };
    let made = || with(shared, |cluster| write(cluster, instance, number, &call));
    let is_resize = call.path.ends_with("/resize");
    for fault in &faults {
        match fault {
            Fault::Refusing { at, lasts } if is_resize && within(now, *at, *lasts) => {
                return Ok(refused(403, "admission webhook \"no\" denied the request"));
            }
            Fault::SlowWebhook { at, lasts, by } if is_resize && within(now, *at, *lasts) => {
                let (shared, by, call) = (shared.clone(), *by, call.clone());
                // It goes on whether or not the answer is awaited.
                let held = tokio::spawn(async move {
                    sleep(by).await;
                    with(&shared, |cluster| write_late(cluster, instance, number, &call, by))
                });
                return held.await.map_err(io::Error::other);
            }
            Fault::Held { write: which, by } if *which == number => {
                let (shared, by, call) = (shared.clone(), *by, call.clone());
                tokio::spawn(async move {
                    sleep(by).await;
                    with(&shared, |cluster| write_late(cluster, instance, number, &call, by));
                });
                return Err(broken("the connection broke"));
            }
            Fault::Refuse { write, code } if *write == number => {
                return Ok(refused(*code, "this write is refused"));
            }
            Fault::Lost { write: which } if *which == number => {
                made();
                return Err(broken("the connection broke"));
            }
            Fault::Unanswered { write: which, made: is_made } if *which == number => {
                if *is_made {
                    made();
                }
                return std::future::pending().await;
            }
            fault => {
                let Some((moment, down)) = fault.crash(number) else { continue };
                let answer = (moment != Moment::Before).then(made);
                let crash = with(shared, |cluster| cluster.crash(down));
                match answer {
                    Some(answer) if moment == Moment::After => {
                        tokio::spawn(async move {
                            sleep(Duration::from_millis(1)).await;
                            crash.notify_one();
                        });
                        return Ok(answer);
                    }
                    _ => {
                        crash.notify_one();
                        return std::future::pending().await;
                    }
                }
            }
        }
    }
    let answer = made();
    for fault in &faults {
        if let Fault::SlowAnswers { at, lasts, by } = fault
            && within(now, *at, *lasts)
        {
            sleep(*by).await;
        }
    }
    Ok(answer)
}

fn read(shared: &Shared, instance: usize, call: &Call) -> Answer {
    if call.path.starts_with("/apis/metrics.k8s.io/") {
        return with(shared, |cluster| match cluster.metrics(call.path.ends_with("/nodes")) {
            Some(list) => answer(200, &list),
            None => refused(404, "the server could not find the requested resource"),
        });
    }
    let target = call.target();
    let known = store::kind(target.plural);
    if call.asks("watch").is_some_and(|it| it == "true" || it == "1") {
        return watch(shared, instance, known.unwrap_or("nothing"), call);
    }
    with(shared, |cluster| match (known, target.name) {
        (Some(kind), Some(name)) => match cluster.store.get(kind, target.namespace, name) {
            Some(object) => answer(200, object),
            None => refused(404, "not found"),
        },
        (_, Some(_)) => refused(404, "not found"),
        (kind, None) => list(cluster, instance, kind, target.namespace, call),
    })
}

/// A list, or a page of one. Of a kind that is not known there are none.
fn list(
    cluster: &mut Cluster,
    instance: usize,
    kind: Option<Kind>,
    namespace: &str,
    call: &Call,
) -> Answer {
    let token = call.asks("continue").filter(|token| !token.is_empty());
    let (version, mut items) = match token.and_then(|token| cluster.pages.remove(token)) {
        Some(page) => page,
        None => {
            let version = cluster.listed_version(instance);
            let items = kind.map(|kind| cluster.store_at(kind, version)).unwrap_or_default();
            let inside =
                |it: &Value| namespace.is_empty() || it["metadata"]["namespace"] == namespace;
            (version, items.into_iter().filter(|it| inside(it)).collect())
        }
    };
    // The server may return fewer than it was asked for.
    let limit = call.asks("limit").map_or(usize::MAX, |_| cluster.page_size);
    let rest = if items.len() > limit { items.split_off(limit) } else { Vec::new() };
    let mut metadata = json!({"resourceVersion": version.to_string()});
    if !rest.is_empty() {
        let token = format!("{}-{}", version, cluster.requests());
        metadata["continue"] = token.clone().into();
        cluster.pages.insert(token, (version, rest));
    }
    if let Some(kind) = kind {
        cluster.saw_list(instance, kind, &items, token.is_none());
    }
    let items: Vec<&Value> = items.iter().map(|it| &**it).collect();
    answer(200, &json!({"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": items}))
}

/// Carries a write out, and has it judged.
fn write(cluster: &mut Cluster, instance: usize, number: usize, call: &Call) -> Answer {
    let made = make(cluster, instance, call);
    let (code, body) = match &made {
        Ok(object) => (200, answer(200, object)),
        Err((code, message)) => (*code, refused(*code, message)),
    };
    let told = made.err().map(|(_, message)| message);
    cluster.note(instance, number, call, code, told);
    body
}

/// Carries a write out that was sent so long ago.
fn write_late(
    cluster: &mut Cluster,
    instance: usize,
    number: usize,
    call: &Call,
    by: Duration,
) -> Answer {
    cluster.held_for = by;
    let answer = write(cluster, instance, number, call);
    cluster.held_for = Duration::ZERO;
    answer
}

fn make(cluster: &mut Cluster, instance: usize, call: &Call) -> Result<Value, (u16, String)> {
    let target = call.target();
    let missing = || (404, format!("{} {:?} not found", target.plural, target.name));
    let kind = store::kind(target.plural).ok_or_else(missing)?;
    cluster.judge_call(instance, call, kind, target.sub);
    let patch = call.json();
    let Some(name) = target.name else {
        // Create.
        let mut object = patch;
        object["metadata"]["namespace"] = target.namespace.into();
        if cluster.store.objects.contains_key(&Store::key(kind, &object)) {
            return Err((409, "already exists".into()));
        }
        return Ok((*cluster.store.put(kind, object)).clone());
    };
    let key = (kind, target.namespace.to_owned(), name.to_owned());
    // Some clusters have the definitions of an earlier version.
    if kind == "startprofiles" && cluster.seed.is_multiple_of(10) {
        return Err((404, "the server could not find the requested resource".into()));
    }
    if kind == "startprofiles" && !cluster.store.objects.contains_key(&key) {
        // Server-side apply creates what is not there.
        let mut object = patch;
        object["metadata"]["namespace"] = target.namespace.into();
        return Ok((*cluster.store.put(kind, object)).clone());
    }
    let before = cluster.store.objects.get(&key).cloned().ok_or_else(missing)?;
    if call.method == Method::DELETE {
        cluster.delete(&key);
        return Ok((*before).clone());
    }
    let version = super::amounts::text(&patch, "/metadata/resourceVersion");
    if !version.is_empty() && before["metadata"]["resourceVersion"] != version {
        return Err((409, "the object has been modified".into()));
    }
    let manager = call.asks("fieldManager").unwrap_or("unknown");
    match (kind, target.sub) {
        ("pods", Some("resize")) => {
            let after = resized(&cluster.store, &before, &patch, manager);
            if let Err((_, why)) = &after
                && why.contains(RATIO)
            {
                cluster.violate(Oracle::Shape, format!("{name}: {why}"));
            }
            let after = after?;
            if call.asks("dryRun").is_some() || after == *before {
                return Ok(after);
            }
            cluster.judge_resize(instance, &before, &after);
            Ok((*cluster.store.put(kind, after)).clone())
        }
        ("weightedshares" | "clusterweightedshares", Some("status")) => {
            let after = cluster.store.change(&key, |pool| pool["status"] = patch["status"].clone());
            Ok((*after.ok_or_else(missing)?).clone())
        }
        (_, None) => {
            let after = cluster.store.change(&key, |object| {
                let version = object["metadata"]["resourceVersion"].clone();
                merge(object, &patch);
                object["metadata"]["resourceVersion"] = version;
            });
            let after = after.ok_or_else(missing)?;
            cluster.finish(&key);
            Ok((*after).clone())
        }
        _ => Err((405, "the bench does not know this".into())),
    }
}

/// A merge patch.
pub fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Value::Object(target) = target else { return };
    for (name, value) in patch {
        if value.is_null() {
            target.remove(name);
        } else {
            merge(target.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}
