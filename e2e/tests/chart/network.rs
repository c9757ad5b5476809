//! The NetworkPolicy.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::{Objects, rendered, rendered_with, switches::dry_run};

fn policy(objects: &Objects) -> &Value {
    &objects["NetworkPolicy weighted-share"]["spec"]
}

/// The ports that each rule of the egress opens.
fn ports(policy: &Value) -> Vec<Vec<u64>> {
    let rules = policy["egress"].as_array().into_iter().flatten();
    let ports = |rule: &Value| -> Vec<u64> {
        let ports = rule["ports"].as_array().into_iter().flatten();
        ports.filter_map(|port| port["port"].as_u64()).collect()
    };
    rules.map(ports).collect()
}

#[tokio::test]
#[ignore = "needs helm"]
async fn only_probes_and_those_who_scrape_reach_the_pods() -> Result<()> {
    let all = rendered(&["networkPolicy.enabled=true"]).await?;
    let closed = policy(&all);
    ensure!(closed["policyTypes"] == json!(["Ingress"]), "{closed}");
    ensure!(closed["ingress"] == json!([{"ports": [{"port": "health"}]}]), "{closed}");
    let from = json!([{"namespaceSelector": {"matchLabels": {"team": "monitoring"}}}]);
    let values = json!({"metrics": {"exposed": true},
        "networkPolicy": {"enabled": true, "metricsFrom": from}});
    let all = rendered_with(values).await?;
    let rule = json!({"ports": [{"port": "metrics"}], "from": from});
    ensure!(policy(&all)["ingress"][1] == rule, "{}", policy(&all));
    Ok(())
}

#[tokio::test]
#[ignore = "needs a cluster"]
async fn the_pods_reach_only_what_they_are_configured_to_ask() -> Result<()> {
    let limited = ["networkPolicy.enabled=true", "networkPolicy.egress.enabled=true"];
    let all = rendered(&limited).await?;
    let least = policy(&all);
    ensure!(least["policyTypes"] == json!(["Ingress", "Egress"]), "{least}");
    // The API server, and DNS by UDP and TCP.
    ensure!(ports(least) == [vec![443, 6443], vec![53, 53]], "{least}");
    let asked = ["prometheus.url=http://prometheus:9090", "tracing.endpoint=http://otel:4318"];
    let all = rendered(&[limited, asked].concat()).await?;
    let wanted = [vec![443, 6443], vec![53, 53], vec![9090], vec![4318]];
    ensure!(ports(policy(&all)) == wanted, "{}", policy(&all));

    let to = json!([{"ipBlock": {"cidr": "10.0.0.1/32"}}]);
    let proxy = json!({"to": to, "ports": [{"port": 3128}]});
    let values = json!({"networkPolicy": {"enabled": true,
        "egress": {"enabled": true, "apiServer": {"to": to}, "extra": [proxy]}}});
    let all = rendered_with(values).await?;
    let told = policy(&all);
    ensure!(told["egress"][0]["to"] == to, "{told}");
    ensure!(ports(told) == [vec![443, 6443], vec![53, 53], vec![3128]], "{told}");
    dry_run(&all).await?;
    let apart = rendered(&["networkPolicy.egress.enabled=true"]).await?;
    ensure!(!apart.contains_key("NetworkPolicy weighted-share"), "{:?}", apart.keys());
    Ok(())
}
