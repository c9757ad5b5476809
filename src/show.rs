//! The commands that show pools: `plan`, `explain`, `top`, `status` and `history`.

use std::{io::IsTerminal, process::ExitCode};

use k8s_openapi::api::events::v1::Event;
use kube::{Api, Client, ResourceExt, api::ListParams, core::DeserializeGuard};
use terminal_size::terminal_size;
use weightedshare::{
    api::{ClusterWeightedShare, WeightedShare},
    cli::{
        ExplainArguments, Format, HistoryArguments, Looked, NoneFound, ObjectName, PlanArguments,
        StatusArguments, StatusOutput, TopArguments, Wanted, Watching, explain, history,
        plan::Plan,
        planned::{self, Planned},
        status::{self, Report},
        table::table,
        top, usage,
    },
    runtime::{self, Clock},
};

use crate::{
    live::{Place, live, say},
    look::{Leader, client, look},
    shutdown,
};

/// Where the API server keeps the events of objects that are in no namespace.
const OF_CLUSTER: &str = "default";

/// Shows what pods would get.
pub async fn plan(arguments: PlanArguments) -> Result<ExitCode, String> {
    let (looked, context) = look(&arguments.source, Leader::Asked).await?;
    let wanted = arguments.choice.wanted(context.as_deref());
    let none = in_place_of_table(wanted.none_found(&looked.cluster))?;
    let mut plan = Plan::of(&looked);
    plan.keep(&wanted.keys(&looked.cluster));
    let text = match arguments.output.format() {
        Some(format) => {
            format.write(&plan, || none.unwrap_or_else(|| table(&plan, !arguments.no_headers)))?
        }
        None => plan_page(&looked, &wanted),
    };
    say(&text)?;
    let changes = arguments.exit_code && plan.changes() > 0;
    Ok(ExitCode::from(u8::from(changes)))
}

fn plan_page(looked: &Looked, wanted: &Wanted) -> String {
    let mut planned = Planned::of(looked, Clock::system().now());
    planned.keep(wanted);
    runtime::plan_page(&planned.trees, &planned.pools)
}

/// What is said in place of a table if no pool is shown. It is an error if one was named.
fn in_place_of_table(none: Option<NoneFound>) -> Result<Option<String>, String> {
    match none {
        Some(none) if none.is_named => Err(none.to_string()),
        none => Ok(none.map(|none| format!("{none}\n"))),
    }
}

/// Explains the share of a pod.
pub async fn explain(arguments: ExplainArguments) -> Result<(), String> {
    let (looked, context) = look(&arguments.source, Leader::Asked).await?;
    let namespace = arguments.namespace.or(context);
    let explanation = explain::explain(&looked, namespace.as_deref(), &arguments.pod.0);
    let explanation = explanation.map_err(|error| error.to_string())?;
    say(&arguments.output.write(&explanation, || explanation.text())?)
}

/// Shows what members use.
pub async fn top(arguments: TopArguments) -> Result<(), String> {
    let from_files = !arguments.source.files.is_empty();
    if arguments.watching.watch && from_files {
        return Err("-w looks at a cluster again and again: leave out -w or -f".to_owned());
    }
    let in_terminal = std::io::stdout().is_terminal();
    let draw = async || -> Result<String, String> {
        let (mut looked, context) = look(&arguments.source, Leader::LeftAlone).await?;
        let wanted = arguments.choice.wanted(context.as_deref());
        let none = in_place_of_table(wanted.none_found(&looked.cluster))?;
        let now = Clock::system().now();
        if from_files && planned::fill_in_statuses(&mut looked, now) {
            eprintln!("a pool in these files has no status, so its planned shares are shown");
        }
        let width = terminal_size().map_or(80, |(width, _)| usize::from(width.0));
        let colours = in_terminal && std::env::var_os("NO_COLOR").is_none_or(|it| it.is_empty());
        let style = top::Style { width, colours, headers: !arguments.no_headers };
        let usage = usage::usage(&looked, &wanted);
        let bars = || none.unwrap_or_else(|| top::top(&looked, &wanted, style));
        arguments.output.write(&usage, bars)
    };
    show(draw, &arguments.watching, arguments.output == Format::Table).await
}

/// Shows a text once, or again and again.
async fn show(
    draw: impl AsyncFn() -> Result<String, String>,
    watching: &Watching,
    for_people: bool,
) -> Result<(), String> {
    if !watching.watch {
        return say(&draw().await?);
    }
    let on_screen = for_people && std::io::stdout().is_terminal();
    let place = if on_screen { Place::Screen } else { Place::Below };
    live(draw, watching.interval, place, shutdown()?).await
}

/// Shows what pools or a tree say of themselves.
pub async fn status(arguments: StatusArguments) -> Result<(), String> {
    let client = client(&arguments.connection).await?;
    let wanted = arguments.wanted(client.default_namespace());
    let draw = async || {
        let (reports, none) = match &arguments.object {
            Some(ObjectName::Tree(name)) => (vec![tree_report(&client, name).await?], None),
            _ => reports(&client, &wanted).await?,
        };
        let text = || status::status(&reports, Clock::system().now(), !arguments.no_headers);
        let table = || none.unwrap_or_else(text);
        match arguments.output {
            StatusOutput::Table => Ok(table()),
            StatusOutput::Json => Format::Json.write(&reports, table),
            StatusOutput::Yaml => Format::Yaml.write(&reports, table),
            StatusOutput::Name => Ok(status::names(&reports)),
        }
    };
    show(draw, &arguments.watching, arguments.output == StatusOutput::Table).await
}

/// What a tree says of itself.
async fn tree_report(client: &Client, name: &str) -> Result<Report, String> {
    let trees: Api<DeserializeGuard<ClusterWeightedShare>> = Api::all(client.clone());
    let tree = trees.get(name).await.map_err(|error| match error {
        kube::Error::Api(status) if status.code == 404 => {
            format!("there is no ClusterWeightedShare {name}: list them with kubectl get cws")
        }
        error => format!(
            "ClusterWeightedShare {name} cannot be read: {error}: check that you may get it"
        ),
    })?;
    Ok(Report::of_tree(&tree))
}

/// What the wanted pools of a cluster say of themselves, and what is said if there are none.
async fn reports(
    client: &Client,
    wanted: &Wanted,
) -> Result<(Vec<Report>, Option<String>), String> {
    type Guarded = DeserializeGuard<WeightedShare>;
    let (pools, place): (Api<Guarded>, String) = match &wanted.namespace {
        Some(name) => (Api::namespaced(client.clone(), name), format!("in namespace {name}")),
        None => (Api::all(client.clone()), "in all namespaces".to_owned()),
    };
    let mut params = ListParams::default();
    if let Some(name) = &wanted.pool {
        params = params.fields(&format!("metadata.name={name}"));
    }
    if let Some(selector) = &wanted.selector {
        params = params.labels_from(selector);
    }
    let listed = pools.list(&params).await.map_err(|error| {
        format!("the pools {place} cannot be listed: {error}: check that the CRD is installed, and that you may list them")
    })?;
    let mut listed = listed.items;
    listed.sort_by_key(|pool| (pool.namespace(), pool.name_any()));
    let reports: Vec<Report> = listed.iter().map(Report::of_pool).collect();
    // Which pools other namespaces have, is not asked.
    let none = wanted.none_among(&[]).filter(|_| reports.is_empty());
    Ok((reports, in_place_of_table(none)?))
}

/// Shows the events of pools or of a tree.
pub async fn history(arguments: HistoryArguments) -> Result<(), String> {
    let client = client(&arguments.connection).await?;
    let (kind, name, namespace) = match &arguments.object {
        Some(ObjectName::Tree(name)) => {
            ("ClusterWeightedShare", Some(name.as_str()), Some(OF_CLUSTER.to_owned()))
        }
        object => (
            "WeightedShare",
            object.as_ref().and_then(ObjectName::pool),
            arguments.scope.namespace(Some(client.default_namespace())),
        ),
    };
    let draw = async || {
        let events = events(&client, kind, namespace.as_deref()).await?;
        let entries = history::history(&events, name);
        arguments.output.write(&entries, || {
            let now = Clock::system().now();
            history::table(&entries, now, namespace.is_none(), !arguments.no_headers)
        })
    };
    show(draw, &arguments.watching, arguments.output == Format::Table).await
}

async fn events(
    client: &Client,
    kind: &str,
    namespace: Option<&str>,
) -> Result<Vec<Event>, String> {
    let events: Api<Event> = match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let of_kind = ListParams::default().fields(&format!("regarding.kind={kind}"));
    let events = events.list(&of_kind).await.map_err(|error| {
        format!("the events cannot be listed: {error}: with -n, name a namespace that you may read")
    })?;
    Ok(events.items)
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::{Value, json};
    use weightedshare::cli::{Arguments, Command};

    use super::*;

    /// A client of an API server that answers once, and what it is asked.
    async fn asked<T>(answer: Value, ask: impl AsyncFnOnce(Client) -> T) -> (String, T) {
        let (service, mut server) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
        let client = Client::new(service, "web");
        let serve = async {
            let (request, respond) = server.next_request().await.unwrap();
            let body = Body::from(serde_json::to_vec(&answer).unwrap());
            respond.send_response(Response::builder().status(200).body(body).unwrap());
            request.uri().to_string()
        };
        tokio::join!(serve, ask(client))
    }

    async fn status_of(arguments: &[&str], items: Value) -> (String, Result<Vec<Report>, String>) {
        let list = json!({
            "apiVersion": "weightedshare.dev/v1alpha1", "kind": "WeightedShareList", "metadata": {},
            "items": items,
        });
        let words = [&["weightedshare", "status"], arguments].concat();
        let Command::Status(parsed) = Arguments::try_parse_from(words).unwrap().command else {
            panic!("not a status")
        };
        asked(list, async |client| {
            let wanted = parsed.wanted(client.default_namespace());
            reports(&client, &wanted).await.map(|(reports, _)| reports)
        })
        .await
    }

    #[tokio::test]
    async fn a_status_is_asked_where_it_is_wanted() {
        const POOLS: &str = "/apis/weightedshare.dev/v1alpha1/namespaces/web/weightedshares";
        let pool = |name: &str, mode: &str| {
            json!({
                "apiVersion": "weightedshare.dev/v1alpha1", "kind": "WeightedShare",
                "metadata": {"name": name, "namespace": "web"},
                "spec": {"capacity": {"cpu": "1"}, "mode": mode},
            })
        };
        // One that cannot be read does not hide the other.
        let both = json!([pool("b", "Auto"), pool("a", "Sometimes")]);
        let (asked, pools) = status_of(&[], both.clone()).await;
        let pools = pools.unwrap();
        assert!(asked.starts_with(POOLS), "{asked}");
        assert_eq!((pools[0].name.as_str(), pools[0].unreadable.is_some()), ("a", true));
        assert_eq!(
            (pools[1].name.as_str(), pools[1].mode),
            ("b", Some(weightedshare::api::Mode::Auto))
        );
        let (asked, _) = status_of(&["-l", "team=x"], both.clone()).await;
        assert!(asked.starts_with(POOLS) && asked.contains("labelSelector=team%3Dx"), "{asked}");
        let (asked, _) = status_of(&["-A"], both.clone()).await;
        assert!(asked.starts_with("/apis/weightedshare.dev/v1alpha1/weightedshares"), "{asked}");
        let (asked, _) = status_of(&["ws/a"], both).await;
        assert!(asked.contains("fieldSelector=metadata.name%3Da"), "{asked}");
        let (_, none) = status_of(&["ws/a"], json!([])).await;
        assert!(none.unwrap_err().starts_with("namespace web has no WeightedShare a"));
        assert!(status_of(&[], json!([])).await.1.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_tree_is_asked_by_its_name() {
        let tree = json!({
            "apiVersion": "weightedshare.dev/v1alpha1", "kind": "ClusterWeightedShare",
            "metadata": {"name": "company"}, "spec": {"capacity": {"cpu": "1"}},
        });
        let (asked, report) =
            asked(tree, async |client| tree_report(&client, "company").await).await;
        assert_eq!(asked, "/apis/weightedshare.dev/v1alpha1/clusterweightedshares/company");
        assert_eq!(report.unwrap().name, "company");
    }

    #[tokio::test]
    async fn events_are_asked_where_they_are_wanted() {
        let list = json!({
            "apiVersion": "events.k8s.io/v1", "kind": "EventList", "metadata": {}, "items": [],
        });
        let (one, _) = asked(list.clone(), async |client| {
            events(&client, "WeightedShare", Some("shop")).await.map(drop)
        })
        .await;
        assert!(one.starts_with("/apis/events.k8s.io/v1/namespaces/shop/events?"), "{one}");
        assert!(one.contains("fieldSelector=regarding.kind%3DWeightedShare"), "{one}");
        let (all, _) = asked(list, async |client| {
            events(&client, "ClusterWeightedShare", None).await.map(drop)
        })
        .await;
        assert!(all.starts_with("/apis/events.k8s.io/v1/events?"), "{all}");
        assert!(all.contains("fieldSelector=regarding.kind%3DClusterWeightedShare"), "{all}");
    }
}
