//! The API server's audit log: who wrote what, and how often; and what the operator asked for at all.

use std::{collections::BTreeMap, io::ErrorKind, path::Path};

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::json;

use crate::operator;

/// One request that writes (or would have: see `dry_run` and `code`), or one of the operator that reads, with its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// When the API server received it.
    pub at: Timestamp,
    /// Who sent it, such as `system:serviceaccount:NAMESPACE:NAME`.
    pub user: String,
    /// The pod that it came from; empty where its token was not made for one.
    pub from_pod: String,
    /// `create`, `update`, `patch`, `delete` or `deletecollection`; `get`, `list` or `watch`.
    pub verb: String,
    /// The API group of the resource; empty for the core one.
    pub group: String,
    /// The resource, with its subresource: `pods`, `pods/resize`.
    pub resource: String,
    /// The namespace; empty where there is none.
    pub namespace: String,
    /// The name; empty for a create, where the server learns it from the body.
    pub name: String,
    /// The HTTP status of the answer.
    pub code: u16,
    /// Whether it asked to change nothing.
    pub dry_run: bool,
}

/// The verbs that only read.
const READS: [&str; 3] = ["get", "list", "watch"];

impl Request {
    /// Whether it was accepted and not a dry run.
    pub fn took_effect(&self) -> bool {
        !self.dry_run && (200..300).contains(&self.code)
    }

    /// Whether the operator wrote it. That it leads it says all the time, in its Lease; and of who reads its metrics it asks
    /// who that is, which is stored nowhere.
    pub fn is_of_operator(&self) -> bool {
        const ASIDE: [&str; 3] = ["leases", "tokenreviews", "subjectaccessreviews"];
        self.user == operator::USER && !ASIDE.contains(&self.resource.as_str())
    }
}

/// The audit policy: every request that writes, and all of the operator's, without their bodies, once they are answered.
pub fn policy() -> serde_json::Value {
    json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived", "ResponseStarted"],
        "rules": [
            {"level": "None", "nonResourceURLs": ["/*"]},
            {"level": "Metadata", "users": [operator::USER]},
            {"level": "None", "verbs": READS},
            {"level": "Metadata"},
        ],
    })
}

/// The writes that were received at `since` or later, oldest first. A log that is not there
/// yet has none.
pub fn writes(log: &Path, since: Timestamp) -> Result<Vec<Request>> {
    let mut requests = requests(log, since)?;
    requests.retain(|request| !READS.contains(&request.verb.as_str()));
    Ok(requests)
}

/// Likewise, with what the operator read.
pub fn requests(log: &Path, since: Timestamp) -> Result<Vec<Request>> {
    let text = match std::fs::read_to_string(log) {
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        result => result.with_context(|| format!("read the audit log {}", log.display()))?,
    };
    // The last line may be half written.
    let complete = text.rfind('\n').map_or("", |end| &text[..end]);
    let mut requests = Vec::new();
    for line in complete.lines() {
        let request = parse(line).with_context(|| format!("not an audit event: {line}"))?;
        requests.extend(request.filter(|request| request.at >= since));
    }
    requests.sort_by_key(|request| request.at);
    Ok(requests)
}

/// How many of these there are for each user, verb and resource.
pub fn count<'a>(
    requests: impl IntoIterator<Item = &'a Request>,
) -> BTreeMap<(String, String, String), usize> {
    let mut counts = BTreeMap::new();
    for request in requests {
        let key = (request.user.clone(), request.verb.clone(), request.resource.clone());
        *counts.entry(key).or_default() += 1;
    }
    counts
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    stage: String,
    #[serde(rename = "requestURI", default)]
    request_uri: String,
    verb: String,
    user: User,
    object_ref: Option<ObjectRef>,
    response_status: Option<ResponseStatus>,
    request_received_timestamp: Timestamp,
}

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    username: String,
    /// What the token says besides.
    #[serde(default)]
    extra: BTreeMap<String, Vec<String>>,
}

/// Where the token of a pod says whose it is.
const POD: &str = "authentication.kubernetes.io/pod-name";

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct ObjectRef {
    api_group: String,
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Deserialize)]
struct ResponseStatus {
    #[serde(default)]
    code: u16,
}

fn parse(line: &str) -> Result<Option<Request>> {
    let mut event: Event = serde_json::from_str(line)?;
    let Some(object) = event.object_ref else { return Ok(None) };
    if event.stage != "ResponseComplete" {
        return Ok(None);
    }
    let query = event.request_uri.split_once('?').map_or("", |(_, query)| query);
    let resource = match object.subresource.as_str() {
        "" => object.resource,
        subresource => format!("{}/{subresource}", object.resource),
    };
    Ok(Some(Request {
        at: event.request_received_timestamp,
        user: event.user.username,
        from_pod: event.user.extra.remove(POD).unwrap_or_default().concat(),
        verb: event.verb,
        group: object.api_group,
        resource,
        namespace: object.namespace,
        name: object.name,
        code: event.response_status.map_or(0, |status| status.code),
        dry_run: query.split('&').any(|pair| pair.starts_with("dryRun=")),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESIZE: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"5f8f3a50-3d0b-4d0e-8f5a-0c7f1c2d3e4f","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/shop/pods/a/resize?dryRun=All&fieldManager=x","verb":"patch","user":{"username":"system:serviceaccount:ws:operator","groups":["system:authenticated"],"extra":{"authentication.kubernetes.io/pod-name":["operator-1"]}},"sourceIPs":["10.98.0.5"],"userAgent":"x","objectRef":{"resource":"pods","namespace":"shop","name":"a","apiVersion":"v1","subresource":"resize"},"responseStatus":{"metadata":{},"code":200},"requestReceivedTimestamp":"2026-11-24T04:05:06.123456Z","stageTimestamp":"2026-11-24T04:05:06.223456Z","annotations":{"authorization.k8s.io/decision":"allow"}}"#;

    #[test]
    fn a_line() -> Result<()> {
        let write = parse(RESIZE)?.context("a write")?;
        assert_eq!(write.user, "system:serviceaccount:ws:operator");
        assert_eq!((write.verb.as_str(), write.resource.as_str()), ("patch", "pods/resize"));
        assert_eq!((write.namespace.as_str(), write.name.as_str()), ("shop", "a"));
        assert_eq!(write.code, 200);
        assert!(write.dry_run && !write.took_effect());
        assert_eq!(write.at, "2026-11-24T04:05:06.123456Z".parse::<Timestamp>()?);
        Ok(())
    }

    #[test]
    fn a_log_is_read_up_to_its_last_whole_line_and_from_a_time_on() -> Result<()> {
        let log = std::env::temp_dir().join(format!("audit-{}.log", std::process::id()));
        let real = RESIZE.replace("dryRun=All&", "");
        let later = real.replace("04:05:06.1", "04:05:07.1");
        let panicked = real.replace("ResponseComplete", "Panic");
        let read = real.replace("\"patch\"", "\"list\"");
        std::fs::write(&log, format!("{later}\n{real}\n{panicked}\n{read}\n{}", &real[..100]))?;
        let all = writes(&log, Timestamp::UNIX_EPOCH)?;
        assert_eq!(requests(&log, Timestamp::UNIX_EPOCH)?.len(), 3);
        let some = writes(&log, "2026-11-24T04:05:07Z".parse()?)?;
        std::fs::remove_file(&log)?;
        assert_eq!((all.len(), some.len()), (2, 1));
        assert!(all[0].at < all[1].at && all[0].took_effect());
        let key =
            ("system:serviceaccount:ws:operator".into(), "patch".into(), "pods/resize".into());
        assert_eq!(count(&all).get(&key), Some(&2));
        assert!(writes(Path::new("/nowhere/audit.log"), Timestamp::UNIX_EPOCH)?.is_empty());
        Ok(())
    }
}
