//! Values that the charts refuse.

use anyhow::{Context, Result, ensure};
use e2e::{kubectl, operator};

use super::{rendered, template};

/// A value, and the place that the refusal names.
const WRONG: [(&str, &str); 47] = [
    ("replica=3", "replica"),
    ("replicas=-1", "/replicas"),
    ("replicas=two", "/replicas"),
    ("enabled=perhaps", "/enabled"),
    ("global.imageRegistry=true", "/global/imageRegistry"),
    ("image.pullPolicy=Sometimes", "/image/pullPolicy"),
    ("image.digest=latest", "/image/digest"),
    ("image.registri=mirror.example.com", "registri"),
    ("imagePullSecrets[0]=registry", "/imagePullSecrets/0"),
    ("fullnameOverride=Shares", "/fullnameOverride"),
    ("namespaceOverride=my_namespace", "/namespaceOverride"),
    ("strategy.type=Rolling", "/strategy/type"),
    ("podDisruptionBudget.maxUnavailable=some", "/podDisruptionBudget/maxUnavailable"),
    ("metrics.exposed=maybe", "/metrics/exposed"),
    ("metrics.serviceMonitor.enabled=true", "/metrics/exposed"),
    ("metrics.serviceMonitor.interval=often", "/metrics/serviceMonitor/interval"),
    ("metrics.serviceMonitor.scrapeTimeout=long", "/metrics/serviceMonitor/scrapeTimeout"),
    ("metrics.podMonitor.enabled=true", "/metrics/exposed"),
    ("metrics.exposed=true,metrics.podMonitor.enabled=true", "/metrics/podMonitor/tokenSecret"),
    (
        "metrics.exposed=true,metrics.podMonitor.enabled=true,metrics.serviceMonitor.enabled=true",
        "/metrics/serviceMonitor/enabled",
    ),
    (
        "metrics.prometheusRule.enabled=true,metrics.prometheusRule.disabled.WeightedShareOdd=true",
        "/metrics/prometheusRule/disabled': there is no alert WeightedShareOdd",
    ),
    (
        "metrics.prometheusRule.enabled=true,metrics.prometheusRule.severities.WeightedShareOdd=x",
        "/metrics/prometheusRule/severities': there is no alert WeightedShareOdd",
    ),
    ("metrics.prometheusRule.runbookUrl=runbooks", "/metrics/prometheusRule/runbookUrl"),
    ("metrics.dashbord.enabled=true", "dashbord"),
    ("metrics.dashboard.grafanaOperator.enabled=true", "/metrics/dashboard/enabled"),
    ("networkPolicy.metricsFrom=monitoring", "/networkPolicy/metricsFrom"),
    ("networkPolicy.egress.dns.port=53", "/networkPolicy/egress/dns"),
    ("admissionPolicy.enabled=yes", "/admissionPolicy/enabled"),
    ("prometheus.url=prometheus:9090", "/prometheus/url"),
    ("tracing.endpoint=collector:4318", "/tracing/endpoint"),
    ("prometheus.tokenSecret.name=it", "/prometheus/tokenSecret"),
    ("resources.requests.cpu=much", "/resources/requests/cpu"),
    ("podSecurityContext.runasuser=1000", "/podSecurityContext"),
    ("securityContext.privileged=never", "/securityContext/privileged"),
    ("livenessProbe.periodSecond=3", "/livenessProbe"),
    ("topologySpreadConstraints[0].maxSkew=1", "/topologySpreadConstraints/0"),
    ("dnsPolicy=Cluster", "/dnsPolicy"),
    ("hostAliases[0].ip=10.0.0.8", "/hostAliases/0"),
    ("serviceAccount.created=false", "/serviceAccount"),
    ("rbac.aggregate=false", "/rbac"),
    ("extraArgs[0]=", "/extraArgs/0"),
    ("extraEnv[0].value=without a name", "/extraEnv/0"),
    ("envFrom[0].secret=headers", "/envFrom/0"),
    ("extraVolumeMounts[0].name=ca", "/extraVolumeMounts/0"),
    ("extraObjects[0]=true", "/extraObjects/0"),
    ("commonLabels.number=1", "/commonLabels/number"),
    ("logLevel=", "/logLevel"),
];

#[tokio::test]
#[ignore = "needs helm"]
async fn wrong_values_are_refused_with_the_place() -> Result<()> {
    for chart in ["weighted-share", "weighted-share-crds"] {
        let chart = operator::charts().join(chart).display().to_string();
        kubectl::run("helm", &["lint", "--strict", &chart], "").await?;
    }
    for (value, place) in WRONG {
        let refused =
            rendered(&[value]).await.err().with_context(|| format!("{value} is taken"))?;
        ensure!(refused.to_string().contains(place), "{value}: {refused}");
    }
    let crds = operator::charts().join("weighted-share-crds").display().to_string();
    let refused = template(&crds, &["--set", "replicas=2"], "").await;
    let refused = refused.err().context("the chart of the CRDs takes replicas")?.to_string();
    ensure!(refused.contains("'replicas' not allowed"), "{refused}");
    Ok(())
}
