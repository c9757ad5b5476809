//! An upgrade of the chart and back, with pools that are divided meanwhile.

use std::sync::{Arc, Mutex};

use anyhow::{Result, ensure};
use e2e::{kubectl, network, operator};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::{
    Objects, RELEASE, chart, folder,
    support::{self, Bench, MINUTE, container, deployment, eventually, member, pod_spec},
};

/// What a release has made, but for what moves by itself.
async fn installed() -> Result<Objects> {
    let get = ["get", "manifest", RELEASE, "--namespace", operator::NAMESPACE];
    let manifest = kubectl::run("helm", &get, "").await?;
    let list = kubectl::run("kubectl", &["get", "-f", "-", "-o", "json"], &manifest).await?;
    let list: Value = serde_json::from_str(&list)?;
    let mut objects = Objects::new();
    for mut object in list["items"].as_array().cloned().unwrap_or_default() {
        let key = format!("{} {}", object["kind"], object["metadata"]["name"]);
        for moving in ["resourceVersion", "generation", "managedFields"] {
            object["metadata"].as_object_mut().map(|metadata| metadata.remove(moving));
        }
        let annotations = object["metadata"]["annotations"].as_object_mut();
        annotations.map(|it| it.remove("deployment.kubernetes.io/revision"));
        object.as_object_mut().map(|object| object.remove("status"));
        objects.insert(key, object);
    }
    Ok(objects)
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn an_upgrade_goes_there_and_back_and_pools_do_not_notice() -> Result<()> {
    let bench = Bench::new("upgrade").await?;
    bench.cluster.own()?;
    let requests = json!({"requests": {"cpu": "50m", "memory": "32Mi"}});
    bench.apply(deployment("web", 1, pod_spec(json!([container("main", requests)])))).await?;
    bench.pool("pool", "200m", json!([member("web", 100)])).await?;
    let pods = bench.holding("web", &[200]).await?;
    let before = installed().await?;

    // From now on nothing may run in the namespace that is not `restricted`.
    let label = "pod-security.kubernetes.io/enforce";
    let namespace = ["label", "namespace", operator::NAMESPACE, "--overwrite"];
    let enforce = format!("{label}=restricted");
    kubectl::run("kubectl", &[&namespace[..], &[&enforce]].concat(), "").await?;
    let next = folder("next")?;
    let copy = next.join("weighted-share").display().to_string();
    kubectl::run("cp", &["-r", &chart(), &copy], "").await?;
    let named = next.join("weighted-share/Chart.yaml");
    let newer = std::fs::read_to_string(&named)?.replace("version: 0.1.0", "version: 0.1.1");
    std::fs::write(&named, newer)?;
    let mut upgrade = vec!["upgrade", RELEASE, &copy, "--namespace", operator::NAMESPACE];
    upgrade.extend(["--reuse-values", "--wait", "--timeout", "3m"]);
    let (collector, traces) = collect().await?;
    let endpoint = format!("tracing.endpoint={collector}");
    // As on OpenShift, which chooses a user that the image does not know.
    let user = "podSecurityContext.runAsUser=1000680000";
    for value in ["networkPolicy.enabled=true", "metrics.dashboard.enabled=true", user, &endpoint] {
        upgrade.extend(["--set", value]);
    }
    kubectl::run("helm", &upgrade, "").await?;
    let after = installed().await?;
    ensure!(after.len() == before.len() + 2, "{:?}", after.keys());
    // It reads what it may, and changes nothing.
    let test = ["test", RELEASE, "--namespace", operator::NAMESPACE, "--timeout", "2m"];
    let said = kubectl::run("helm", &test, "").await?;
    ensure!(said.contains("Succeeded"), "{said}");

    // The leader tells the collector of its decisions, and for how many pools they were.
    eventually(MINUTE, || async {
        let told = traces.lock().expect("the collector panicked").clone();
        for word in ["weighted-share", "decide", "pools"] {
            ensure!(told.contains(word), "no {word} in {} bytes of traces", told.len());
        }
        Ok(())
    })
    .await?;

    // A pool that is edited during the next one is divided by the leader.
    let rollback =
        ["rollback", RELEASE, "--namespace", operator::NAMESPACE, "--wait", "--timeout", "3m"];
    let (back, edit) = tokio::join!(
        kubectl::run("helm", &rollback, ""),
        bench.pool("pool", "250m", json!([member("web", 100)])),
    );
    back?;
    edit?;
    bench.holding("web", &[250]).await?;
    let returned = installed().await?;
    for (name, object) in &before {
        ensure!(returned.get(name) == Some(object), "{name}: {object}\n{:?}", returned.get(name));
    }
    ensure!(returned.len() == before.len(), "{:?}", returned.keys());
    let still = bench.running("web", 1).await?;
    ensure!(support::identity(&still) == support::identity(&pods), "its pod is another");
    kubectl::run("kubectl", &[&namespace[..], &[&format!("{label}-")]].concat(), "").await?;
    std::fs::remove_dir_all(next)?;
    bench.end().await
}

/// An address that takes traces, and what came of them: names are to be read as they are, whatever is around them.
async fn collect() -> Result<(String, Arc<Mutex<String>>)> {
    let listener = TcpListener::bind((network::NODE, 0)).await?;
    let address = format!("http://{}", listener.local_addr()?);
    let traces = Arc::new(Mutex::new(String::new()));
    let told = traces.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let told = told.clone();
            tokio::spawn(async move {
                let mut part = vec![0; 65536];
                while let Ok(length @ 1..) = stream.read(&mut part).await {
                    let text = String::from_utf8_lossy(&part[..length]).into_owned();
                    told.lock().expect("the lock is not poisoned").push_str(&text);
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                    // One for each part is more than needed: they close the connection then, and open another one.
                    if stream.write_all(answer).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    Ok((address, traces))
}
