//! What GitOps tools make of a pool: `examples/gitops`. Argo CD asks a script, Flux asks expressions, and both say the
//! same of every status that the controller writes.

use std::{error::Error, fs, path::Path};

use cel::{Context, Program, Value as Cel};
use mlua::{Lua, LuaSerdeExt, StdLib};
use serde::Deserialize;
use serde_json::{Value, json};
use weightedshare::api::WeightedShare;

type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

/// The documents of a file of the examples.
fn documents(file: &str) -> Result<Vec<Value>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/gitops").join(file);
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let documents = serde_yaml_ng::Deserializer::from_str(&text).map(Value::deserialize);
    Ok(documents.collect::<Result<_, _>>()?)
}

/// The document of a kind.
fn of_kind(documents: &[Value], kind: &str) -> Result<Value> {
    let found = documents.iter().find(|document| document["kind"] == kind);
    Ok(found.ok_or_else(|| format!("no {kind}"))?.clone())
}

/// What Argo CD says of an object, by the script of its ConfigMap, which has no library but the basic one.
fn argo(object: &Value) -> Result<(String, String)> {
    let config = of_kind(&documents("argocd/argocd-cm.yaml")?, "ConfigMap")?;
    let script = &config["data"]["resource.customizations.health.weightedshare.dev_WeightedShare"];
    let lua = Lua::new_with(StdLib::NONE, mlua::LuaOptions::default())?;
    lua.globals().set("obj", lua.to_value(object)?)?;
    let health: mlua::Table = lua.load(script.as_str().ok_or("no script")?).eval()?;
    Ok((health.get("status")?, health.get("message")?))
}

/// What Flux says of an object, as it evaluates `healthCheckExprs`: what looks at a status that is not there waits.
fn flux(object: &Value) -> Result<&'static str> {
    let observed = &object["status"]["observedGeneration"];
    if !observed.is_null() && *observed != object["metadata"]["generation"] {
        return Ok("InProgress");
    }
    let pools = of_kind(&documents("flux/pools.yaml")?, "Kustomization")?;
    let checks = &pools["spec"]["healthCheckExprs"][0];
    assert_eq!(checks["apiVersion"], object["apiVersion"]);
    assert_eq!(checks["kind"], object["kind"]);
    let steps = [("inProgress", "InProgress"), ("failed", "Failed"), ("current", "Current")];
    for (field, status) in steps {
        let program = Program::compile(checks[field].as_str().ok_or("no expression")?)
            .map_err(|error| format!("{field}: {error}"))?;
        let mut context = Context::default();
        for (name, value) in object.as_object().into_iter().flatten() {
            context.add_variable_from_value(name, cel::to_value(value)?);
        }
        match program.execute(&context) {
            Ok(Cel::Bool(true)) => return Ok(status),
            Ok(Cel::Bool(false)) => {}
            Ok(other) => return Err(format!("{field} is no yes or no: {other:?}").into()),
            Err(_) if object["status"].is_null() => return Ok("InProgress"),
            Err(error) => return Err(format!("{field}: {error}").into()),
        }
    }
    Ok("InProgress")
}

/// A pool of the second generation, with these conditions: type, status, reason.
fn pool(mode: &str, conditions: &[(&str, &str, &str)]) -> Value {
    let conditions: Vec<Value> = conditions
        .iter()
        .map(|(type_, status, reason)| {
            json!({
                "type": type_, "status": status, "reason": reason, "message": "In a sentence.",
                "lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 2,
            })
        })
        .collect();
    json!({
        "apiVersion": "weightedshare.dev/v1alpha1",
        "kind": "WeightedShare",
        "metadata": {"name": "shop", "namespace": "shop", "generation": 2},
        "spec": {"mode": mode, "capacity": {"cpu": "6"}, "members": []},
        "status": {"observedGeneration": 2, "conditions": conditions},
    })
}

/// The three that say how it stands.
fn standing(mode: &str, ready: (&str, &str), reconciling: &str, stalled: &str) -> Value {
    let (ready, reason) = ready;
    let conditions = [
        ("Ready", ready, reason),
        ("Reconciling", reconciling, reason),
        ("Stalled", stalled, reason),
        ("Overcommitted", "True", "MinAboveCapacity"),
        ("MetricsAvailable", "False", "NoMetrics"),
    ];
    pool(mode, &conditions)
}

#[test]
fn argo_cd_and_flux_say_the_same_of_every_status() -> Result {
    let divided = standing("Auto", ("True", "Divided"), "False", "False");
    let mut new = divided.clone();
    new.as_object_mut().map(|pool| pool.remove("status"));
    let mut edited = divided.clone();
    edited["metadata"]["generation"] = 3.into();
    let mut deleted = divided.clone();
    deleted["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    deleted["metadata"]["finalizers"] = json!(["weightedshare.dev/release"]);
    let states = [
        ("divided", divided, "Healthy", "Current"),
        ("no status yet", new, "Progressing", "InProgress"),
        ("conditions to come", pool("Auto", &[]), "Progressing", "InProgress"),
        ("edited, not looked at", edited, "Progressing", "InProgress"),
        ("deleted", deleted, "Progressing", "InProgress"),
        (
            "a resize is on its way",
            standing("Auto", ("False", "Resizing"), "True", "False"),
            "Progressing",
            "InProgress",
        ),
        (
            "a node is full",
            standing("Auto", ("False", "NoRoom"), "True", "False"),
            "Progressing",
            "InProgress",
        ),
        (
            "a workload is to come",
            standing("Auto", ("False", "TargetNotFound"), "False", "False"),
            "Progressing",
            "InProgress",
        ),
        (
            "a member is left alone",
            standing("Auto", ("True", "BestEffort"), "False", "False"),
            "Healthy",
            "Current",
        ),
        (
            "too small",
            standing("Auto", ("False", "PoolTooSmall"), "False", "True"),
            "Degraded",
            "Failed",
        ),
        (
            "too small, and only looks",
            standing("Observe", ("False", "PoolTooSmall"), "False", "True"),
            "Degraded",
            "Failed",
        ),
        (
            "only looks",
            standing("Observe", ("True", "Observing"), "False", "False"),
            "Suspended",
            "Current",
        ),
    ];
    for (what, object, health, status) in states {
        // It is what the API has.
        serde_json::from_value::<WeightedShare>(object.clone())
            .map_err(|error| format!("{what}: {error}"))?;
        let (said, message) = argo(&object).map_err(|error| format!("{what}: {error}"))?;
        assert_eq!(said, health, "{what}: Argo CD");
        assert!(!message.is_empty(), "{what}");
        assert_eq!(flux(&object)?, status, "{what}: Flux");
    }
    Ok(())
}

#[test]
fn the_message_of_argo_cd_is_that_of_the_condition() -> Result {
    let (_, message) = argo(&standing("Auto", ("False", "NoRoom"), "True", "False"))?;
    assert_eq!(message, "NoRoom: In a sentence.");
    Ok(())
}

#[test]
fn the_charts_that_are_named_are_there() -> Result {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut names = Vec::new();
    for application in documents("argocd/operator.yaml")? {
        let path = application["spec"]["source"]["path"].as_str().ok_or("no path")?;
        assert!(root.join(path).join("Chart.yaml").exists(), "{path}");
        names.push(path.trim_start_matches("charts/").to_owned());
    }
    for document in documents("flux/operator.yaml")? {
        let name = document["metadata"]["name"].as_str().ok_or("no name")?.to_owned();
        assert!(names.contains(&name), "{name}");
        if document["kind"] == "OCIRepository" {
            let url = document["spec"]["url"].as_str().unwrap_or_default();
            assert!(url.ends_with(&format!("/charts/{name}")), "{url}");
        }
    }
    Ok(())
}
