//! The controller's pods, and what values put into them.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{Objects, pod_of, rendered, rendered_with, switches::dry_run};

/// The arguments of the controller.
fn arguments(objects: &Objects) -> Vec<&str> {
    let arguments = pod_of(objects)["containers"][0]["args"].as_array();
    arguments.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// OpenShift's restricted-v2 refuses a fixed user. With a number as the image's user, the kubelet sees that it is not root.
#[tokio::test]
#[ignore = "needs helm"]
async fn pods_are_restricted_and_leave_their_user_to_the_image() -> Result<()> {
    let all = rendered(&[]).await?;
    let of_pod = json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}});
    let of_container = json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
        "capabilities": {"drop": ["ALL"]}});
    for pod in [pod_of(&all), &all["Pod weighted-share-plan"]["spec"]] {
        ensure!(pod["securityContext"] == of_pod, "{pod}");
        ensure!(pod["containers"][0]["securityContext"] == of_container, "{pod}");
    }
    let values = ["podSecurityContext.runAsUser=7", "securityContext.procMount=Default"];
    let all = rendered(&values).await?;
    for pod in [pod_of(&all), &all["Pod weighted-share-plan"]["spec"]] {
        ensure!(pod["securityContext"]["runAsUser"] == 7, "{pod}");
        let own = &pod["containers"][0]["securityContext"];
        ensure!(own["procMount"] == "Default" && own["readOnlyRootFilesystem"] == true, "{own}");
    }
    Ok(())
}

/// Values that add to the pods, and where they are found in the pod.
fn additions() -> (Value, Vec<(&'static str, Value)>) {
    let values = json!({
        "extraArgs": ["--lease-duration=30"],
        "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
        "envFrom": [{"prefix": "OTEL_", "secretRef": {"name": "headers"}}],
        "extraVolumes": [{"name": "ca", "configMap": {"name": "ca"}}],
        "extraVolumeMounts": [{"name": "ca", "mountPath": "/etc/ca", "readOnly": true}],
        "extraContainers": [{"name": "side", "image": "busybox:1"}],
        "initContainers": [{"name": "first", "image": "busybox:1"}],
        "tolerations": [{"key": "infra", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
        "dnsPolicy": "ClusterFirst",
        "dnsConfig": {"options": [{"name": "ndots", "value": "2"}]},
        "hostAliases": [{"ip": "10.0.0.8", "hostnames": ["prometheus.example.com"]}],
    });
    let here = |value: &str| values[value].clone();
    let found = vec![
        ("/containers/0/envFrom", here("envFrom")),
        ("/volumes", here("extraVolumes")),
        ("/containers/0/volumeMounts", here("extraVolumeMounts")),
        ("/containers/1", values["extraContainers"][0].clone()),
        ("/initContainers", here("initContainers")),
        ("/tolerations", here("tolerations")),
        ("/affinity", here("affinity")),
        ("/dnsPolicy", here("dnsPolicy")),
        ("/dnsConfig", here("dnsConfig")),
        ("/hostAliases", here("hostAliases")),
    ];
    (values, found)
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn pods_get_what_is_added() -> Result<()> {
    let (values, found) = additions();
    let all = rendered_with(values.clone()).await?;
    let pod = pod_of(&all);
    for (place, wanted) in found {
        let value = pod.pointer(place).cloned().unwrap_or_default();
        ensure!(value == wanted, "{place}: {value}");
    }
    let environment = pod["containers"][0]["env"].as_array().context("no environment")?;
    ensure!(environment.last() == values["extraEnv"].get(0), "{pod}");
    ensure!(arguments(&all).last() == Some(&"--lease-duration=30"), "{pod}");
    dry_run(&all).await?;

    // Beside the volumes of the chart.
    let secret = "prometheus.tokenSecret.name=it,prometheus.tokenSecret.key=token";
    let more = "extraVolumes[0].name=tmp,extraVolumeMounts[0].name=tmp,extraVolumeMounts[0].mountPath=/tmp";
    let all = rendered(&[secret, more]).await?;
    let names = |list: &Value| -> Vec<Value> {
        list.as_array().into_iter().flatten().map(|it| it["name"].clone()).collect()
    };
    for list in [&pod_of(&all)["volumes"], &pod_of(&all)["containers"][0]["volumeMounts"]] {
        ensure!(names(list) == ["prometheus-token", "tmp"], "{list}");
    }
    Ok(())
}

#[tokio::test]
#[ignore = "needs helm"]
async fn an_upgrade_replaces_pods_as_told() -> Result<()> {
    let spec = async |values: &[&str]| -> Result<Value> {
        Ok(rendered(values).await?["Deployment weighted-share"]["spec"].clone())
    };
    let by_default = spec(&[]).await?;
    // Room for one more pod may be what a pool holds.
    let in_place = json!({"type": "RollingUpdate",
        "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}});
    ensure!(by_default["strategy"] == in_place, "{by_default}");
    ensure!(by_default["revisionHistoryLimit"] == 10, "{by_default}");
    let one_more = spec(&["strategy.rollingUpdate.maxSurge=1", "revisionHistoryLimit=3"]).await?;
    ensure!(one_more["strategy"]["rollingUpdate"]["maxSurge"] == 1, "{one_more}");
    ensure!(one_more["revisionHistoryLimit"] == 3, "{one_more}");
    let recreated = spec(&["strategy.type=Recreate"]).await?;
    ensure!(recreated["strategy"] == json!({"type": "Recreate"}), "{recreated}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs helm"]
async fn pods_are_spread_by_constraints_that_count_them() -> Result<()> {
    let counted = json!({"matchLabels": {"app.kubernetes.io/name": "weighted-share",
        "app.kubernetes.io/instance": "weighted-share"}});
    let constraint = |key: &str, selector: Option<&Value>| {
        let mut constraint = json!({"maxSkew": 1, "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway"});
        if let Some(selector) = selector {
            constraint["labelSelector"] = selector.clone();
        }
        constraint
    };
    let spread = |all: &Objects| pod_of(all)["topologySpreadConstraints"].clone();
    let by_default = spread(&rendered(&[]).await?);
    ensure!(
        by_default == json!([constraint("kubernetes.io/hostname", Some(&counted))]),
        "{by_default}"
    );
    let own = json!({"matchLabels": {"team": "platform"}});
    let values = [constraint("zone", None), constraint("rack", Some(&own))];
    let told = spread(&rendered_with(json!({"topologySpreadConstraints": values})).await?);
    let wanted = json!([constraint("zone", Some(&counted)), constraint("rack", Some(&own))]);
    ensure!(told == wanted, "{told}");
    let none = spread(&rendered_with(json!({"topologySpreadConstraints": []})).await?);
    ensure!(none.is_null(), "{none}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs helm"]
async fn probes_can_be_slower_and_left_out() -> Result<()> {
    let all = rendered(&["livenessProbe.failureThreshold=9", "readinessProbe=null"]).await?;
    let container = &pod_of(&all)["containers"][0];
    let slower = json!({"httpGet": {"path": "/healthz", "port": "health"}, "periodSeconds": 20,
        "timeoutSeconds": 5, "failureThreshold": 9});
    ensure!(container["livenessProbe"] == slower, "{container}");
    ensure!(container["readinessProbe"].is_null(), "{container}");
    Ok(())
}

#[tokio::test]
#[ignore = "needs helm"]
async fn the_deployment_and_its_pods_have_annotations_of_their_own() -> Result<()> {
    let values = json!({
        "commonAnnotations": {"note": "all", "owner": "all"},
        "deploymentAnnotations": {"note": "deployment"},
        "podAnnotations": {"note": "pods"},
        "podLabels": {"mesh": "off"},
    });
    let all = rendered_with(values).await?;
    let deployment = &all["Deployment weighted-share"];
    let own = &deployment["metadata"]["annotations"];
    ensure!(own == &json!({"note": "deployment", "owner": "all"}), "{own}");
    let pods = &deployment["spec"]["template"]["metadata"];
    ensure!(pods["annotations"] == json!({"note": "pods"}), "{pods}");
    ensure!(pods["labels"]["mesh"] == "off", "{pods}");
    Ok(())
}
