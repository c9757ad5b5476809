//! The page that the controller serves, looked at as its readers do: with a browser, by HTTPS and a token.

mod support;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use e2e::{browser::Browser, kubectl, operator};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt, api::ListParams};
use serde_json::{Value, json};
use support::{Bench, MINUTE, container, deployment, eventually, member, pod_spec, spinning};

const PHONE: (u32, u32) = (390, 844);
const DESK: (u32, u32) = (1280, 900);
/// What a page wants, as the width that it takes of the width that there is.
const WIDTHS: &str = "[document.documentElement.scrollWidth, window.innerWidth]";
/// The smallest height of what a finger is to hit, in the units of a phone.
const LOWEST_LINK: &str =
    "Math.min(...[...document.links].map(it => it.getBoundingClientRect().height))";

/// The address of the page: of the pod that leads.
async fn address(bench: &Bench) -> Result<String> {
    let lease = ["get", "lease", "weighted-share", "-n", operator::NAMESPACE];
    let holder = ["-o", "jsonpath={.spec.holderIdentity}"];
    let holder = kubectl::run("kubectl", &[&lease[..], &holder].concat(), "").await?;
    let pods: Api<Pod> = Api::namespaced(bench.client.clone(), operator::NAMESPACE);
    let pods = pods.list(&ListParams::default()).await?;
    let leader = pods.into_iter().find(|pod| holder.starts_with(&pod.name_any()));
    let leader = leader.with_context(|| format!("{holder} is none of the pods"))?;
    let ip = leader.status.and_then(|status| status.pod_ip).context("it has no address")?;
    Ok(format!("https://{ip}:8443"))
}

/// A token of a new ServiceAccount.
async fn token(bench: &Bench, name: &str) -> Result<String> {
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}});
    bench.apply(account).await?;
    let create = ["create", "token", name, "--namespace", &bench.namespace];
    Ok(kubectl::run("kubectl", &create, "").await?.trim().to_owned())
}

/// What is answered to who sends this token.
async fn read(url: &str, path: &str, token: &str) -> Result<String> {
    let (server, token) = (format!("--server={url}"), format!("--token={token}"));
    let asks = ["--kubeconfig=/dev/null", "--insecure-skip-tls-verify", &server, &token];
    kubectl::run("kubectl", &[&asks[..], &["get", "--raw", path]].concat(), "").await
}

/// Where pictures are put.
fn picture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target").join(name)
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn the_page_is_for_who_may_read_it_and_lives_in_a_browser() -> Result<()> {
    let bench = Bench::new("page").await?;
    bench.cluster.own()?;
    let requests = json!({"requests": {"cpu": "50m", "memory": "32Mi"}});
    bench.apply(deployment("busy", 1, pod_spec(json!([spinning("50m")])))).await?;
    bench.apply(deployment("idle", 1, pod_spec(json!([container("main", requests)])))).await?;
    let members = json!([member("busy", 100), member("idle", 300), {
        "name": "a-member-with-a-name-that-is-longer-than-a-phone-is-wide-nearly", "weight": 1,
        "targetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "missing"},
    }]);
    let mut pool = support::pool("pool", json!({"cpu": "400m", "memory": "128Mi"}), members);
    pool["spec"]["sharing"]["strategy"] = json!("Weighted");
    bench.apply(pool.clone()).await?;
    bench.status("pool", |it| it.lent.cpu.is_some_and(|lent| lent.0 > 0)).await?;

    let url = address(&bench).await?;
    let (path, stranger) = ("/pools/page/pool", token(&bench, "stranger").await?);
    let refused = read(&url, path, &stranger).await.err().context("a stranger may read it")?;
    ensure!(refused.to_string().contains("Forbidden"), "{refused}");
    let refused = read(&url, path, "made-up").await.err().context("anybody may read it")?;
    ensure!(refused.to_string().contains("You must be logged in"), "{refused}");

    let reader = token(&bench, "reader").await?;
    let bind = ["create", "clusterrolebinding", "page-reader", "--clusterrole=weighted-share-page"];
    kubectl::run("kubectl", &[&bind[..], &["--serviceaccount=page:reader"]].concat(), "").await?;
    let text = eventually(MINUTE, || read(&url, path, &reader)).await?;
    ensure!(text.contains("TargetNotFound") && text.contains("of idle cpu from others"), "{text}");

    let header = json!({"Authorization": format!("Bearer {reader}")});
    let Some(mut browser) = Browser::start(&header).await? else {
        println!("there is no browser here: its text alone was looked at");
        return bench.end().await;
    };
    for (name, size) in [("phone", PHONE), ("desk", DESK)] {
        for (what, path) in [("pools", "/"), ("pool", path)] {
            browser.open(&format!("{url}{path}"), size).await?;
            let widths = browser.evaluate(WIDTHS).await?;
            ensure!(widths == json!([size.0, size.0]), "{name}, {path}: {widths}");
            let lowest = browser.evaluate(LOWEST_LINK).await?.as_f64().unwrap_or_default();
            ensure!(lowest >= 40.0, "{name}, {path}: a link is {lowest} high");
            browser.screenshot(&picture(&format!("page-{what}-{name}.png"))).await?;
            ensure!(browser.troubles().is_empty(), "{:?}", browser.troubles());
            // Nothing is taken from elsewhere. (Browsers ask for an icon by themselves.)
            let others = browser.requests().iter().filter(|it| !it.starts_with(&url));
            ensure!(others.count() == 0, "{:?}", browser.requests());
        }
    }
    // It leads from the list to the pool, and shows what changes without being touched.
    browser.open(&format!("{url}/"), DESK).await?;
    let link = "[...document.links].find(it => it.href.endsWith('/pools/page/pool')).href";
    let link = browser.evaluate(link).await?.as_str().context("no link to the pool")?.to_owned();
    browser.open(&link, DESK).await?;
    pool["spec"]["capacity"]["cpu"] = json!("444m");
    bench.apply(pool).await?;
    for _ in 0..MINUTE.as_secs() {
        if browser.text().await.is_ok_and(|text| text.contains("of 444m")) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    }
    let text = browser.text().await?;
    ensure!(text.contains("of 444m"), "it does not renew itself: {text}");
    let lines = "[...document.querySelectorAll('.small .used')].map(it => it.getAttribute('d'))";
    let lines = browser.evaluate(lines).await?;
    let drawn = |line: &&Value| line.as_str().is_some_and(|line| line.contains('H'));
    let drawn = lines.as_array().map_or(0, |lines| lines.iter().filter(drawn).count());
    ensure!(drawn >= 4, "of two members two lines each are drawn: {lines}");
    kubectl::run("kubectl", &["delete", "clusterrolebinding", "page-reader"], "").await?;
    bench.end().await
}
