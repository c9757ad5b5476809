//! The commands that change a pool: `set-weight`, `observe` and `resume`. Each patches one field, and no other one.

use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, Patch, PatchParams},
};
use weightedshare::{
    api::{Mode, WeightedShare},
    cli::{
        DryRun, EditArguments, ModeArguments, PoolName, SetWeightArguments, pool_patch::PoolPatch,
    },
};

use crate::{live::say, look::client};

/// The manager of the fields that these commands set.
const MANAGER: &str = "kubectl-weightedshare";

/// Sets the weights of members.
pub async fn set_weight(arguments: SetWeightArguments) -> Result<(), String> {
    let SetWeightArguments { pool, weights, edit } = arguments;
    run(&pool, &edit, |spec| PoolPatch::weights(spec, &weights)).await
}

/// Sets the mode of a pool.
pub async fn set_mode(arguments: ModeArguments, mode: Mode) -> Result<(), String> {
    let ModeArguments { pool, edit } = arguments;
    run(&pool, &edit, |spec| Ok(PoolPatch::mode(spec, mode))).await
}

async fn run(
    pool: &PoolName,
    arguments: &EditArguments,
    patch: impl FnOnce(&serde_json::Value) -> Result<PoolPatch, String>,
) -> Result<(), String> {
    let client = client(&arguments.connection).await?;
    let context = client.default_namespace().to_owned();
    let namespace = arguments.namespace.clone().unwrap_or(context);
    let (patch, after) = edit(&client, &namespace, &pool.0, arguments.dry_run, patch).await?;
    patch.notes.iter().for_each(|note| eprintln!("{note}"));
    let dry = if arguments.dry_run == DryRun::Server { " (server dry run)" } else { "" };
    let object = format!("weightedshare.weightedshare.dev/{pool}");
    say(&arguments.output.write(&after, || match patch.changes.is_empty() {
        true => format!("{object} unchanged\n"),
        false => patch.changes.iter().map(|it| format!("{object} {it}{dry}\n")).collect(),
    })?)
}

/// Changes a pool as `patch` says of its spec. Returns what was changed, and the pool after it.
async fn edit(
    client: &Client,
    namespace: &str,
    name: &str,
    dry_run: DryRun,
    patch: impl FnOnce(&serde_json::Value) -> Result<PoolPatch, String>,
) -> Result<(PoolPatch, DynamicObject), String> {
    let kind = ApiResource::erase::<WeightedShare>(&());
    let pools: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &kind);
    let before = pools.get(name).await.map_err(|error| match error {
        kube::Error::Api(status) if status.code == 404 => format!(
            "namespace {namespace} has no WeightedShare {name}: check the name, or set its namespace with -n"
        ),
        error => format!("WeightedShare {namespace}/{name} cannot be read: {error}"),
    })?;
    let patch = patch(&before.data["spec"])
        .map_err(|error| format!("WeightedShare {namespace}/{name}: {error}"))?;
    if patch.operations.is_empty() {
        return Ok((patch, before));
    }
    let operations = serde_json::from_value(patch.operations.clone().into())
        .map_err(|error| format!("the patch is not a JSON patch: {error}"))?;
    let params = PatchParams {
        dry_run: dry_run == DryRun::Server,
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let after = pools.patch(name, &params, &Patch::Json::<()>(operations)).await;
    let after = after.map_err(|error| {
        let remedy = if is_outdated(&error) {
            ": it changed meanwhile, so run the command again"
        } else {
            ""
        };
        format!("WeightedShare {namespace}/{name} is not changed: {error}{remedy}")
    })?;
    Ok((patch, after))
}

/// Whether a test of the patch failed: then the refusal is not about the kind.
fn is_outdated(error: &kube::Error) -> bool {
    let about = |status: &kube::core::Status| {
        status.details.as_ref().map_or(String::new(), |details| details.kind.clone())
    };
    matches!(error, kube::Error::Api(status) if status.code == 409 || (status.code == 422 && about(status).is_empty()))
}

#[cfg(test)]
mod tests {
    use http::{Method, Request, Response};
    use kube::client::Body;
    use serde_json::{Value, json};
    use weightedshare::cli::pool_patch::member_weight;

    use super::*;

    fn pool(weight: u32) -> Value {
        json!({
            "apiVersion": "weightedshare.dev/v1alpha1", "kind": "WeightedShare",
            "metadata": {"name": "shop", "namespace": "shop", "resourceVersion": "7"},
            "spec": {"members": [{"name": "search"}, {"name": "checkout", "weight": weight}]},
        })
    }

    /// What an API server with these answers is asked, and what becomes of it.
    async fn asked(
        answers: &[(u16, Value)],
        dry_run: DryRun,
        weight: &str,
    ) -> (Vec<(Method, String, Value)>, Result<PoolPatch, String>) {
        let (service, mut server) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
        let client = Client::new(service, "default");
        let serve = async {
            let mut asked = Vec::new();
            for (code, answer) in answers {
                let Some((request, respond)) = server.next_request().await else { break };
                let (head, body) = request.into_parts();
                let body = body.collect_bytes().await.unwrap();
                let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
                asked.push((head.method, head.uri.to_string(), body));
                let answer = Body::from(serde_json::to_vec(answer).unwrap());
                respond.send_response(Response::builder().status(*code).body(answer).unwrap());
            }
            asked
        };
        let weights = [member_weight(weight).unwrap()];
        let patch = move |spec: &Value| PoolPatch::weights(spec, &weights);
        let edit = async move {
            let edited = edit(&client, "shop", "shop", dry_run, patch).await;
            edited.map(|(patch, _)| patch)
        };
        let (asked, edited) = tokio::join!(serve, edit);
        (asked, edited)
    }

    #[tokio::test]
    async fn a_weight_is_patched_over_the_one_that_was_read() {
        let answers = [(200, pool(400)), (200, pool(600))];
        let (asked, edited) = asked(&answers, DryRun::Server, "checkout=600").await;
        let path = "/apis/weightedshare.dev/v1alpha1/namespaces/shop/weightedshares/shop";
        assert_eq!((&asked[0].0, asked[0].1.as_str()), (&Method::GET, path));
        assert_eq!(asked[1].0, Method::PATCH);
        for part in [path, "dryRun=All", "fieldManager=kubectl-weightedshare"] {
            assert!(asked[1].1.contains(part), "{}", asked[1].1);
        }
        let expected = json!([
            {"op": "test", "path": "/spec/members/1/name", "value": "checkout"},
            {"op": "test", "path": "/spec/members/1/weight", "value": 400},
            {"op": "add", "path": "/spec/members/1/weight", "value": 600},
        ]);
        assert_eq!(asked[1].2, expected);
        assert_eq!(edited.unwrap().changes.len(), 1);
    }

    #[tokio::test]
    async fn a_weight_that_is_set_already_is_not_written() {
        let (asked, edited) = asked(&[(200, pool(400))], DryRun::None, "checkout=400").await;
        assert_eq!(asked.len(), 1);
        assert!(edited.unwrap().changes.is_empty());
    }

    #[tokio::test]
    async fn a_pool_that_changed_meanwhile_is_left_alone() {
        let refusal = |kind: &str| {
            json!({
                "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": 422,
                "reason": "Invalid", "message": "no", "details": {"kind": kind, "causes": []},
            })
        };
        let outdated = [(200, pool(400)), (422, refusal(""))];
        let error = asked(&outdated, DryRun::None, "checkout=600").await.1.unwrap_err();
        assert!(error.ends_with("it changed meanwhile, so run the command again"), "{error}");
        let invalid = [(200, pool(400)), (422, refusal("WeightedShare"))];
        let error = asked(&invalid, DryRun::None, "checkout=600").await.1.unwrap_err();
        assert!(!error.contains("meanwhile"), "{error}");
    }

    #[tokio::test]
    async fn a_pool_that_is_not_there_is_named() {
        let gone = json!({
            "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": 404,
            "reason": "NotFound", "message": "no",
        });
        let error = asked(&[(404, gone)], DryRun::None, "checkout=600").await.1.unwrap_err();
        assert!(error.starts_with("namespace shop has no WeightedShare shop: check"), "{error}");
    }
}
