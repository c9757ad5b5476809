//! The API server refuses wrong pools with a sentence that says what to write, and takes right ones.
//!
//! Needs the API server of a cluster alone: no node, no controller. `versions` runs these on each version of Kubernetes.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use e2e::Cluster;
use k8s_openapi::{
    api::core::v1::Namespace,
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams},
    core::{Request, Status},
    runtime::{
        conditions,
        wait::{await_condition, delete::delete_and_finalize},
    },
};
use serde::Deserialize;
use serde_json::{Value, json};
use weightedshare::{
    api::{ClusterWeightedShare, WeightedShare, crd, tree_crd},
    share::{Bytes, MilliCpu},
};

/// A spec, and what the API server says to it.
#[derive(Deserialize)]
struct Case {
    name: String,
    /// Of a pool, if it says nothing else.
    #[serde(default)]
    kind: Option<String>,
    spec: Value,
    #[serde(default)]
    path: String,
    #[serde(default)]
    says: Vec<String>,
}

/// A namespace of our own on a cluster that knows what a `WeightedShare` is.
pub(crate) struct Place {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    /// The 37 of v1.37.2.
    pub(crate) minor: u32,
}

impl Place {
    pub(crate) async fn prepare() -> Result<Self> {
        let cluster = Cluster::from_env();
        let client = cluster.client().await?;
        let version = cluster.version(&client).await?;
        println!("Kubernetes {version}");
        let minor = version.split('.').nth(1).and_then(|minor| minor.parse().ok());
        let minor = minor.with_context(|| format!("{version} is no version"))?;
        let crds = Api::<CustomResourceDefinition>::all(client.clone());
        let apply = PatchParams::apply("weightedshare-e2e").force();
        for crd in [crd(), tree_crd()] {
            let name = crd.name_any();
            crds.patch(&name, &apply, &Patch::Apply(&crd)).await.context("apply the CRD")?;
            let is_established = conditions::is_crd_established();
            let established = await_condition(crds.clone(), &name, is_established);
            tokio::time::timeout(Duration::from_secs(30), established)
                .await
                .context("the CRD is not Established after 30 s")??;
        }

        let namespace = Namespace {
            metadata: ObjectMeta { generate_name: Some("schema-".into()), ..ObjectMeta::default() },
            ..Namespace::default()
        };
        let created = Api::all(client.clone()).create(&PostParams::default(), &namespace).await?;
        let place = Self { client, namespace: created.name_any(), minor };
        place.until_served().await?;
        Ok(place)
    }

    /// A CRD that has just been Established takes a moment until it is served.
    async fn until_served(&self) -> Result<()> {
        for _ in 0..100 {
            let trees = Api::<ClusterWeightedShare>::all(self.client.clone());
            let pools = self.pools().list(&Default::default()).await.map(drop);
            match pools.and(trees.list(&Default::default()).await.map(drop)) {
                Err(kube::Error::Api(status)) if status.is_not_found() => {}
                other => return other.context("list the pools and trees"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bail!("the CRD is not served after 10 s")
    }

    pub(crate) fn pools(&self) -> Api<WeightedShare> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// What `kubectl create` does, `--dry-run=server` if so wished: a POST with strict validation.
    pub(crate) async fn create(
        &self,
        spec: &Value,
        dry_run: bool,
    ) -> Result<Result<Value, Box<Status>>> {
        self.create_as(None, spec, dry_run).await
    }

    /// The same with a kind: of pools, or of trees.
    async fn create_as(
        &self,
        kind: Option<&str>,
        spec: &Value,
        dry_run: bool,
    ) -> Result<Result<Value, Box<Status>>> {
        let (kind, name, path) = match kind {
            None => {
                let path = WeightedShare::url_path(&(), Some(&self.namespace));
                (WeightedShare::kind(&()), "pool".to_owned(), path)
            }
            Some(_) => {
                let path = ClusterWeightedShare::url_path(&(), None);
                (ClusterWeightedShare::kind(&()), self.tree(), path)
            }
        };
        let object = json!({
            "apiVersion": WeightedShare::api_version(&()),
            "kind": kind,
            "metadata": {"name": name},
            "spec": spec,
        });
        let params = PostParams { dry_run, ..PostParams::default() };
        let mut request = Request::new(path).create(&params, serde_json::to_vec(&object)?)?;
        let separator = if request.uri().query().unwrap_or_default().is_empty() { "" } else { "&" };
        let uri = format!("{}{separator}fieldValidation=Strict", request.uri());
        *request.uri_mut() = uri.parse()?;
        match self.client.request(request).await {
            Ok(created) => Ok(Ok(created)),
            Err(kube::Error::Api(status)) => Ok(Err(status)),
            Err(other) => Err(other.into()),
        }
    }

    /// The name of a tree of our own.
    fn tree(&self) -> String {
        format!("{}-tree", self.namespace)
    }

    /// Why the API server refuses a spec.
    async fn refusal(&self, spec: &Value) -> Result<Box<Status>> {
        self.refusal_as(None, spec).await
    }

    async fn refusal_as(&self, kind: Option<&str>, spec: &Value) -> Result<Box<Status>> {
        match self.create_as(kind, spec, true).await? {
            Err(status) => Ok(status),
            Ok(created) => bail!("accepted as {created}"),
        }
    }

    pub(crate) async fn leave(self) -> Result<()> {
        // Beside an API server alone, nothing empties the namespace.
        let all = ListParams::default();
        self.pools().delete_collection(&DeleteParams::default(), &all).await?;
        Api::<Namespace>::all(self.client)
            .delete(&self.namespace, &DeleteParams::default())
            .await
            .map(drop)
            .context("delete the namespace")
    }
}

/// The status is about this field alone, and says this. A number that is out of bounds is refused twice: by its bound, and by
/// the rule that says the same in a sentence.
fn check(status: &Status, path: &str, says: &[String]) -> Result<()> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let causes: Vec<_> = causes
        // What the API server adds, about no field, where a type or a length is wrong.
        .filter(|cause| cause.field != "<nil>")
        .collect();
    let is_bound =
        |message: &str| message.contains("should be greater") || message.contains("should be less");
    let bounds = causes.iter().filter(|cause| is_bound(&cause.message)).count();
    ensure!(
        causes.len() == 1 || (causes.len(), bounds) == (2, 1),
        "one cause expected: {}",
        status.message
    );
    let mut said = String::new();
    for cause in &causes {
        ensure!(cause.field == path, "{} instead of {path}: {}", cause.field, cause.message);
        said += &format!("{}\n", cause.message);
    }
    for words in says {
        ensure!(said.contains(words), "{words:?} is not in {said:?}");
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn wrong_pools_are_refused_with_a_sentence() -> Result<()> {
    let place = Place::prepare().await?;
    let cases: Vec<Case> = serde_yaml_ng::from_str(include_str!("objects/wrong.yaml"))?;
    ensure!(cases.len() >= 30, "{} cases", cases.len());
    let mut failures = Vec::new();
    for Case { name, kind, spec, path, says } in &cases {
        let refusal = place.refusal_as(kind.as_deref(), spec).await;
        if let Err(error) = refusal.and_then(|status| check(&status, path, says)) {
            failures.push(format!("{name}: {error:#}"));
        }
    }
    ensure!(failures.is_empty(), "{} of {}:\n{}", failures.len(), cases.len(), failures.join("\n"));
    println!("{} refused", cases.len());
    place.leave().await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn right_pools_are_taken() -> Result<()> {
    let place = Place::prepare().await?;
    let cases: Vec<Case> = serde_yaml_ng::from_str(include_str!("objects/right.yaml"))?;
    ensure!(cases.len() >= 12, "{} cases", cases.len());
    for Case { name, kind, spec, .. } in &cases {
        if let Err(status) = place.create_as(kind.as_deref(), spec, false).await? {
            bail!("{name}: {}", status.message);
        }
        if kind.is_some() {
            let (trees, tree) =
                (Api::<ClusterWeightedShare>::all(place.client.clone()), place.tree());
            trees.get(&tree).await.with_context(|| name.clone())?;
            trees.delete(&tree, &DeleteParams::default()).await?;
            continue;
        }
        // And the controller can read what the API server took.
        place.pools().get("pool").await.with_context(|| name.clone())?;
        // Where the controller runs, it may have set its finalizer: then the pool is not gone at once.
        delete_and_finalize(place.pools(), "pool", &DeleteParams::default()).await?;
    }
    println!("{} taken", cases.len());
    place.leave().await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn amounts_are_taken_if_the_controller_can_read_them() -> Result<()> {
    let place = Place::prepare().await?;
    let amounts: Vec<String> = serde_yaml_ng::from_str(include_str!("objects/amounts.yaml"))?;
    let mut failures = Vec::new();
    for text in &amounts {
        let cpu = text.parse().is_ok_and(|cpu: MilliCpu| cpu.0 <= 1_000_000_000_000);
        let memory = text.parse().is_ok_and(|memory: Bytes| memory.0 <= 1_000_000_000_000_000_000);
        for (resource, readable) in [("cpu", cpu), ("memory", memory)] {
            let member = json!({"name": "a", "selector": {}, "min": {resource: text}});
            let spec = json!({"capacity": {"cpu": "1", "memory": "1"}, "members": [member]});
            let answer = place.create(&spec, true).await?;
            // Until 1.36, to add to an amount like these changes that amount itself, so that the rule errs.
            let errs = place.minor < 37
                && resource == "cpu"
                && ["0.2Ki", "0.3Ki"].contains(&text.as_str());
            if answer.is_ok() != (readable && !errs) {
                failures.push(format!("{resource} {text:?}, readable {readable}: {answer:?}"));
            }
        }
    }
    ensure!(
        failures.is_empty(),
        "{} of {}:\n{}",
        failures.len(),
        amounts.len(),
        failures.join("\n")
    );
    println!("{} amounts", amounts.len());
    place.leave().await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn there_are_at_most_256_members() -> Result<()> {
    let place = Place::prepare().await?;
    let spec = |count: usize| {
        // About as large as members can be in one request, so that the rules cost the most.
        let members: Vec<_> = (0..count)
            .map(|number| {
                let amounts =
                    json!({"cpu": "0.25000000000000000000", "memory": "1.500000000000000000Gi"});
                let labels: serde_json::Map<_, _> = (0..32)
                    .map(|label| (format!("label-{label}"), json!("x".repeat(63))))
                    .collect();
                let expressions: Vec<_> = (0..6)
                    .map(|key| {
                        let key = format!("{}/{}{key}", "d".repeat(253), "k".repeat(62));
                        let values = vec!["y".repeat(40); 20];
                        json!({"key": key, "operator": "NotIn", "values": values})
                    })
                    .collect();
                json!({
                    "name": format!("member-{number:056}"),
                    "min": amounts,
                    "max": amounts,
                    "selector": {"matchLabels": labels, "matchExpressions": expressions},
                })
            })
            .collect();
        json!({"capacity": {"cpu": "6", "memory": "12Gi"}, "members": members})
    };
    if let Err(status) = place.create(&spec(256), true).await? {
        bail!("256 members: {}", status.message);
    }
    check(
        &*place.refusal(&spec(257)).await?,
        "spec.members",
        &["Too many: 257: must have at most 256 items".into()],
    )?;
    place.leave().await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_number_out_of_bounds_is_refused_by_its_bound_and_by_a_rule() -> Result<()> {
    let place = Place::prepare().await?;
    let sentence = "a weight is a whole number from 1 to 10000";
    for (weight, bound) in [
        (0, "should be greater than or equal to 1"),
        (10_001, "should be less than or equal to 10000"),
    ] {
        let member = json!({"name": "a", "weight": weight, "selector": {}});
        let spec = json!({"capacity": {"cpu": "6"}, "members": [member]});
        let says = [bound, sentence].map(str::to_owned);
        check(&*place.refusal(&spec).await?, "spec.members[0].weight", &says)?;
    }
    place.leave().await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn misspelt_fields_are_named() -> Result<()> {
    let place = Place::prepare().await?;
    for (spec, field) in [
        (json!({"capacity": {"cpu": "6"}, "membrs": []}), "spec.membrs"),
        (json!({"capacity": {"cpu": "6", "mem": "1Gi"}}), "spec.capacity.mem"),
        (
            json!({"capacity": {"cpu": "6"}, "members": [{"name": "a", "selector": {}, "wieght": 1}]}),
            "spec.members[0].wieght",
        ),
        (
            json!({"capacity": {"cpu": "6"}, "members": [{"name": "a", "selector": {"app": "a"}}]}),
            "spec.members[0].selector.app",
        ),
    ] {
        let status = place.refusal(&spec).await?;
        let sentence = format!("unknown field \"{field}\"");
        ensure!(status.message.contains(&sentence), "{sentence}: {}", status.message);
    }
    place.leave().await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn what_is_left_out_has_defaults() -> Result<()> {
    let place = Place::prepare().await?;
    let spec = json!({
        "mode": null,
        "capacity": {"cpu": 6},
        "members": [{
            "name": "a", "weight": null, "min": null, "selector": {},
            "dynamicWeight": {"expression": "weight"},
        }],
    });
    let created = match place.create(&spec, true).await? {
        Ok(created) => created,
        Err(status) => bail!("{}", status.message),
    };
    let stored = json!({
        "mode": "Auto",
        "capacity": {"cpu": 6},
        "sharing": {
            "strategy": "Weighted",
            "surplus": "Release",
            "headroomPercent": 20,
            "nodeReservePercent": 10,
        },
        "members": [{
            "name": "a",
            "weight": 100,
            "weightPer": "Member",
            "dynamicWeight": {
                "expression": "weight", "min": 1, "max": 10000, "halfLifeSeconds": 60,
            },
            "limitPolicy": "Keep",
            "allowRestart": false,
            "selector": {},
        }],
    });
    ensure!(created["spec"] == stored, "{}", created["spec"]);
    place.leave().await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn two_managers_own_different_members() -> Result<()> {
    let place = Place::prepare().await?;
    let pool = |spec: Value| {
        let (version, kind) = (WeightedShare::api_version(&()), WeightedShare::kind(&()));
        let metadata = json!({"name": "pool"});
        Patch::Apply(
            json!({"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}),
        )
    };
    let member = |name: &str| json!({"name": name, "selector": {}});
    let pools = place.pools();
    for (manager, spec) in [
        ("one", json!({"capacity": {"cpu": "6"}, "members": [member("a")]})),
        ("two", json!({"members": [member("b"), member("c")]})),
        ("two", json!({"members": [member("c")]})),
    ] {
        pools.patch("pool", &PatchParams::apply(manager), &pool(spec)).await?;
    }
    let members = pools.get("pool").await?.spec.members;
    let names: Vec<_> = members.iter().map(|member| &*member.name).collect();
    ensure!(names == ["a", "c"], "{names:?}");
    place.leave().await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn kubectl_shows_it_well() -> Result<()> {
    let place = Place::prepare().await?;
    if let Err(status) =
        place.create(&json!({"capacity": {"cpu": "6", "memory": "12Gi"}}), false).await?
    {
        bail!("{}", status.message);
    }
    let status = json!({"status": {
        "observedGeneration": 1,
        "capacity": {"cpu": "6", "memory": "12Gi"},
        "allocated": {"cpu": "1500m", "memory": "3Gi"},
        "lent": {"cpu": "200m", "memory": "1Gi"},
        "memberCount": 1,
        "conditions": [{
            "type": "Ready",
            "status": "True",
            "reason": "Settled",
            "message": "All members hold their shares.",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }],
        "members": [{"name": "a", "weight": 100, "pods": 1, "state": "Settled", "share": {"cpu": "6"}}],
    }});
    place.pools().patch_status("pool", &PatchParams::default(), &Patch::Merge(status)).await?;

    let mut request = Request::new(WeightedShare::url_path(&(), Some(&place.namespace)))
        .list(&Default::default())?;
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io".parse()?;
    request.headers_mut().insert("accept", table);
    let table: Value = place.client.request(request).await?;
    let cells = &table["rows"][0]["cells"];
    let columns = table["columnDefinitions"].as_array().context("columns")?;
    let shown: Vec<_> = columns
        .iter()
        .zip(cells.as_array().context("cells")?)
        .filter(|(column, _)| column["name"] != "Age")
        .map(|(column, cell)| (column["name"].clone(), column["priority"] == 0, cell.clone()))
        .collect();
    let expected = [
        ("Name", true, json!("pool")),
        ("Mode", true, json!("Auto")),
        ("Members", true, json!(1)),
        ("CPU", true, json!("6")),
        ("Alloc", true, json!("1500m")),
        ("Lent", true, json!("200m")),
        ("Memory", false, json!("12Gi")),
        ("Memory Alloc", false, json!("3Gi")),
        ("Memory Lent", false, json!("1Gi")),
        ("Ready", true, json!("True")),
        ("Reason", true, json!("Settled")),
        ("Message", false, json!("All members hold their shares.")),
    ];
    let expected: Vec<_> = expected.map(|(name, always, cell)| (json!(name), always, cell)).into();
    ensure!(shown == expected, "{shown:?}");

    let resources = place.client.list_api_group_resources("weightedshare.dev/v1alpha1").await?;
    let names = |name: &str| resources.resources.iter().find(|resource| resource.name == name);
    let pools = names("weightedshares").context("weightedshares")?;
    ensure!(pools.short_names == Some(vec!["ws".into()]), "{:?}", pools.short_names);
    ensure!(pools.categories == Some(vec!["weighted-sharing".into()]), "{:?}", pools.categories);
    ensure!(pools.namespaced && names("weightedshares/status").is_some());
    let trees = names("clusterweightedshares").context("clusterweightedshares")?;
    ensure!(trees.short_names == Some(vec!["cws".into()]), "{:?}", trees.short_names);
    ensure!(!trees.namespaced && names("clusterweightedshares/status").is_some());
    place.leave().await
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn a_status_is_checked_too() -> Result<()> {
    let place = Place::prepare().await?;
    if let Err(status) = place.create(&json!({"capacity": {"cpu": "6"}}), false).await? {
        bail!("{}", status.message);
    }
    let write = async |status: Value| {
        let patch = Patch::Merge(json!({ "status": status }));
        place.pools().patch_status("pool", &PatchParams::default(), &patch).await
    };
    let condition = json!({
        "type": "Ready", "status": "Perhaps", "reason": "Settled", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    });
    let refused = write(json!({ "conditions": [condition] })).await;
    let Err(kube::Error::Api(refusal)) = refused else { bail!("{refused:?}") };
    let says = ["Unsupported value: \"Perhaps\"".to_owned()];
    check(&refusal, "status.conditions[0].status", &says)?;

    // A later version may have more states: the schema takes them, and so does this version's reader.
    let member = |state: &str| json!({"name": "a", "weight": 1, "pods": 1, "state": state});
    let written = write(json!({ "members": [member("Frozen")] })).await?;
    let members = written.status.context("a status")?.members;
    ensure!(members.len() == 1 && members[0].state.is_none(), "{members:?}");
    place.leave().await
}
