//! The annotation that says what a pod started with: who writes it, and who cannot.

use super::*;

const STARTED: &str = "weightedshare.dev/started";

#[tokio::test]
#[ignore = "needs a cluster"]
async fn nobody_else_says_what_a_pod_started_with() -> Result<()> {
    if Tier::Test.is_left_out() {
        return Ok(());
    }
    let bench = Bench::new("started").await?;
    bench.pool("pool", "1", json!([bounded("web", json!({"cpu": "100m"}))])).await?;
    bench.starting("pool", "app=web", 100).await?;
    let asking = || asks(json!({"cpu": "300m", "memory": "16Mi"}));
    let forged = |app: &str| {
        let mut pod = pod(app, json!([asking()]));
        pod["metadata"]["annotations"] = json!({STARTED: "cpu=64,memory=1Ti"});
        pod
    };
    let started = |pod: &Pod| pod.annotations().get(STARTED).cloned().unwrap_or_default();

    // A forged value is corrected to the pod's charge, which includes sidecars and init containers.
    let mut sidecar = asks(json!({"cpu": "30m"}));
    (sidecar["name"], sidecar["restartPolicy"]) = (json!("proxy"), json!("Always"));
    let mut setup = asks(json!({"cpu": "500m", "memory": "1Mi"}));
    setup["name"] = json!("setup");
    let mut starting = forged("other");
    starting["spec"]["initContainers"] = json!([sidecar, setup]);
    let mut whole = forged("web");
    whole["spec"]["resources"] = json!({"requests": {"cpu": "400m"}});
    let mut of_no_pool = whole.clone();
    of_no_pool["metadata"]["labels"]["app"] = json!("other");
    let cases = [
        ("a member's", forged("web"), "cpu=100m,memory=16777216"),
        ("a member's, with CPU at the pod level", whole, "cpu=400m,memory=16777216"),
        ("of no pool, with CPU at the pod level", of_no_pool, "cpu=400m,memory=16777216"),
        ("of no pool", forged("other"), "cpu=300m,memory=16777216"),
        ("with init containers", starting, "cpu=530m,memory=16777216"),
        ("without the annotation", pod("other", json!([asking()])), ""),
    ];
    for (what, pod, wanted) in cases {
        let is = started(&admitted(&bench.pods(), &pod).await?);
        ensure!(is == wanted, "{what}: {is}, not {wanted}");
    }

    // After creation, no request can add, change or remove it.
    bench.apply(pod("web", json!([asking()]))).await?;
    let mut plain = pod("other", json!([asking()]));
    plain["metadata"]["name"] = json!("plain");
    bench.apply(plain).await?;
    for (pod, value) in [
        ("pod", json!("cpu=64,memory=1")),
        ("pod", json!(null)),
        ("plain", json!("cpu=64,memory=1")),
    ] {
        let patch = Patch::Merge(json!({"metadata": {"annotations": {STARTED: value}}}));
        for part in ["", "status", "resize", "ephemeralcontainers"] {
            let parameters = PatchParams::default();
            let answer = match part {
                "" => bench.pods().patch(pod, &parameters, &patch).await,
                part => bench.pods().patch_subresource(part, pod, &parameters, &patch).await,
            };
            // The API server itself ignores annotations in some subresources.
            let refusal = answer.err().map(|error| error.to_string());
            let is = started(&bench.pods().get(pod).await?);
            let stays = if pod == "pod" { "cpu=100m,memory=16777216" } else { "" };
            println!("{pod:6} {part:20} {value} {refusal:?}");
            ensure!(is == stays, "{pod} by {part}: {is}");
            let told = refusal.is_some_and(|why| why.contains("cannot be changed"));
            ensure!(told || !part.is_empty(), "{pod}: refused without the reason");
        }
    }
    let patch = Patch::Merge(json!({"metadata": {"annotations": {"example.com/note": "x"}}}));
    bench.pods().patch("pod", &PatchParams::default(), &patch).await?;
    bench.end().await
}
