//! Wrong and odd objects, made from the CRD's schema. What the API server would refuse must leave the last good division;
//! what it takes must end in a condition that says how the pool stands.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::sleep;
use weightedshare::{api::crd, cli::manifests::parse};

use super::{
    amounts::{list, text},
    cluster::{Cluster, Shared, with},
    finish::{condition, end},
    kubelet,
    life::Life,
    oracle::Oracle,
    rng::Rng,
    run,
    scenario::{NAMESPACE, Scenario},
    store::bump,
};

/// What became of the objects.
#[derive(Clone, Debug, Default)]
pub struct Count {
    pub refused: usize,
    pub taken: usize,
    pub unreadable: usize,
    /// The reasons of the condition Ready of those that were taken.
    pub reasons: BTreeMap<String, usize>,
    pub wrong: Vec<String>,
}

/// A field that the schema names: the way to it, and what is there.
struct Field {
    path: Vec<String>,
    schema: Value,
}

fn fields(schema: &Value, path: &[String], found: &mut Vec<Field>) {
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        let path: Vec<String> = path.iter().cloned().chain([name.clone()]).collect();
        fields(inner, &path, found);
        found.push(Field { path, schema: inner.clone() });
    }
    if schema["items"].is_object() {
        let path: Vec<String> = path.iter().cloned().chain(["0".to_owned()]).collect();
        fields(&schema["items"], &path, found);
    }
}

/// The fields of the spec.
fn spec_fields() -> Vec<Field> {
    let crd = serde_json::to_value(crd()).unwrap_or_default();
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let mut found = Vec::new();
    fields(schema, &[], &mut found);
    found
}

const TEXTS: [&str; 24] = [
    "",
    "0",
    "1",
    "-1",
    "1m",
    "0.0001",
    "500m",
    "2",
    "3",
    "64",
    "999999999999",
    "1e3",
    "1Mi",
    "512Mi",
    "4Gi",
    "1Ei",
    "abc",
    "UPPER",
    "a-name",
    "weight * 2",
    "1 / 0",
    "current + 1",
    "weight +",
    "hour > 8 ? 1 : weight",
];
const NUMBERS: [i64; 16] =
    [-1, 0, 1, 2, 10, 50, 75, 90, 91, 100, 101, 200, 201, 3600, 10_000, 10_001];

/// Something for a field: at its bounds, beyond them, or of another kind.
fn value(rng: &mut Rng, field: &Field) -> Value {
    let listed = list(&field.schema, "/enum");
    let kind = if rng.percent(85) { text(&field.schema, "/type") } else { "" };
    let odd: [Value; 8] = [
        Value::Null,
        json!({}),
        json!([]),
        json!(true),
        json!(1.5),
        json!("x".repeat(300)),
        json!({"a": {"b": 1}}),
        json!([{}, 1]),
    ];
    match kind {
        _ if !listed.is_empty() && rng.percent(80) => rng.of_list(listed).clone(),
        "integer" => (*rng.of_list(&NUMBERS)).into(),
        "string" => (*rng.of_list(&TEXTS)).into(),
        "object" if rng.percent(60) => json!({
            "cpu": rng.of_list(&TEXTS), "memory": rng.of_list(&["64Mi", "1Gi", "0", "1T"]),
        }),
        "array" if rng.percent(50) => {
            let length = *rng.of_list(&[0, 1, 2, 256, 257]);
            let member = |i: u64| json!({"name": format!("m{i}"), "selector": {"matchLabels": {"app": format!("app{i}")}}});
            (0..length).map(member).collect()
        }
        "" if field.schema["x-kubernetes-int-or-string"] == true => (*rng.of_list(&TEXTS)).into(),
        _ => rng.of_list(&odd).clone(),
    }
}

/// Sets what is at a path, or takes it away.
fn set(spec: &mut Value, path: &[String], value: Option<Value>) {
    let Some((name, rest)) = path.split_first() else { return };
    if let (Some(items), Ok(_)) = (spec.as_array_mut(), name.parse::<usize>()) {
        if let Some(item) = items.first_mut() {
            set(item, rest, value);
        }
        return;
    }
    let Some(map) = spec.as_object_mut() else { return };
    match (rest.is_empty(), value) {
        (true, None) => drop(map.remove(name)),
        (true, Some(value)) => drop(map.insert(name.clone(), value)),
        (false, value) => set(map.entry(name.clone()).or_insert_with(|| json!({})), rest, value),
    }
}

/// A good pool, and what happens to it.
fn changed(rng: &mut Rng, good: &Value, fields: &[Field]) -> Value {
    let mut spec = good.clone();
    for _ in 0..rng.range(1, 3) {
        let field = rng.of_list(fields);
        let value = (!rng.percent(20)).then(|| value(rng, field));
        set(&mut spec, &field.path, value);
    }
    spec
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// Whether the API server takes a pool.
fn is_taken(pool: &Value) -> bool {
    let mut pool = pool.clone();
    pool["metadata"] = json!({"name": "pool0", "namespace": NAMESPACE});
    parse("pool", &pool.to_string()).is_ok_and(|found| found.len() == 1)
}

/// Goes through so many objects, one after the other, at one controller.
pub fn run_through(seed: u64, objects: usize) -> Count {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let Ok(runtime) = runtime else {
        unreachable!("a runtime without threads and sockets can always be built")
    };
    runtime.block_on(drive(seed, objects))
}

async fn drive(seed: u64, objects: usize) -> Count {
    let mut scenario = Scenario::new(seed);
    scenario.pools.truncate(1);
    let good = scenario.pools[0]["spec"].clone();
    let shared: Shared = Arc::new(Mutex::new(Cluster::new(seed, Vec::new())));
    with(&shared, |cluster| run::populate(cluster, &scenario));
    let kubelets = tokio::spawn(kubelet::run(shared.clone(), seed));
    sleep(Duration::from_secs(3)).await;
    let controller = Life::start(&shared, None, None);
    sleep(Duration::from_secs(15)).await;
    let (mut rng, fields, mut count) = (Rng::of(seed, 50), spec_fields(), Count::default());
    for i in 0..objects {
        let before = with(&shared, |cluster| end(cluster));
        let mut spec = changed(&mut rng, &good, &fields);
        let mut pool = scenario.pools[0].clone();
        pool["spec"] = spec.clone();
        let taken = is_taken(&pool);
        if taken {
            // As the API server does before it keeps an object.
            drop_nulls(&mut spec);
            pool["spec"] = spec.clone();
        }
        let unreadable = serde_json::from_value::<weightedshare::api::WeightedShare>(pool).is_err();
        // What cannot be read may come from a CRD of another version: then it is not refused.
        let sneaks_in = unreadable && i % 3 == 0;
        if taken || sneaks_in {
            edit(&shared, &spec);
        }
        sleep(Duration::from_secs(25)).await;
        match (taken, sneaks_in) {
            (true, _) => {
                count.taken += 1;
                if unreadable {
                    count.wrong.push(format!("SEED={seed}: taken, and cannot be read: {spec}"));
                }
                let pool = with(&shared, |cluster| {
                    cluster.store.get("weightedshares", NAMESPACE, "pool0").cloned()
                });
                let pool = pool.unwrap_or_default();
                let ready =
                    condition(&pool, "Ready").map(|it| text(it, "/reason")).unwrap_or_default();
                *count.reasons.entry(ready.to_owned()).or_default() += 1;
                let named = ["Ready", "Reconciling", "Stalled"].iter().all(|type_| {
                    condition(&pool, type_).is_some_and(|it| {
                        !text(it, "/reason").is_empty() && !text(it, "/message").is_empty()
                    })
                });
                if !named || pool["status"]["observedGeneration"] != pool["metadata"]["generation"]
                {
                    count.wrong.push(format!(
                        "SEED={seed}: not told how it stands: {spec}\n  {}",
                        pool["status"]
                    ));
                }
            }
            (false, sneaked) => {
                if sneaked {
                    count.unreadable += 1
                } else {
                    count.refused += 1
                }
                let now = with(&shared, |cluster| end(cluster));
                let pods = |end: &BTreeMap<String, Value>| -> Vec<Value> {
                    end.iter()
                        .filter(|(name, _)| name.starts_with("pod "))
                        .map(|(_, it)| it.clone())
                        .collect()
                };
                if scenario.usage.is_none() && pods(&before) != pods(&now) {
                    count
                        .wrong
                        .push(format!("SEED={seed}: the last good division is lost: {spec}"));
                }
            }
        }
        // A -> B -> A.
        edit(&shared, &good);
        sleep(Duration::from_secs(25)).await;
    }
    if controller.is_over() || kubelets.is_finished() {
        count.wrong.push(format!("SEED={seed}: the controller ended"));
    }
    drop(controller);
    kubelets.abort();
    with(&shared, |cluster| {
        let kept = [Oracle::Pool, Oracle::Node, Oracle::Shape, Oracle::Writes];
        let violations = cluster.violations.iter().filter(|it| kept.contains(&it.oracle));
        count.wrong.extend(violations.map(|it| format!("SEED={seed}: {it}")));
    });
    count
}

/// Replaces the spec of the pool.
fn edit(shared: &Shared, spec: &Value) {
    let key = ("weightedshares", NAMESPACE.to_owned(), "pool0".to_owned());
    with(shared, |cluster| {
        cluster.store.change(&key, |pool| {
            if pool["spec"] != *spec {
                pool["spec"] = spec.clone();
                bump(pool);
            }
        });
    });
}
