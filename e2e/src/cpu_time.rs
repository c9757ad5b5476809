//! The CPU time that the kernel really gave: from the cgroups of this machine, or, on a cluster that is not ours, from
//! the kubelets' summary, which reads the same cgroups every ten seconds or so.

use std::{collections::HashMap, str::FromStr, time::Instant};

use anyhow::{Context, Result};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::{Client, ResourceExt};
use serde_json::Value;

use crate::{
    Cluster,
    cgroups::{Cgroup, Cgroups, QosClass},
};

/// The CPU time of a pod up to some moment.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// Nanoseconds of CPU time since the pod began.
    pub used: u64,
    /// When it was read, in nanoseconds on a clock that only differences of mean something.
    pub at: i128,
}

impl Reading {
    /// The millicores used since an earlier reading. None where no time has passed.
    pub fn millicores_since(&self, before: &Self) -> Option<u64> {
        let elapsed = u128::try_from(self.at - before.at).ok().filter(|&elapsed| elapsed > 0)?;
        let used = u128::from(self.used.saturating_sub(before.used));
        u64::try_from(used * 1000 / elapsed).ok()
    }
}

/// How much CPU each pod uses, from one reading to the next.
#[derive(Debug, Default)]
pub struct Meter {
    last: HashMap<String, Reading>,
    rates: HashMap<String, u64>,
}

impl Meter {
    /// Takes readings in, by UID. Where the kubelet tells only now and then, the last rate stays until there is a new
    /// one.
    pub fn take(&mut self, readings: HashMap<String, Reading>) {
        self.last.retain(|uid, _| readings.contains_key(uid));
        self.rates.retain(|uid, _| readings.contains_key(uid));
        for (uid, reading) in readings {
            if let Some(last) = self.last.get(&uid) {
                let Some(rate) = reading.millicores_since(last) else { continue };
                self.rates.insert(uid.clone(), rate);
            }
            self.last.insert(uid, reading);
        }
    }

    /// The millicores that a pod uses, once there are two readings of it.
    pub fn rate(&self, uid: &str) -> Option<u64> {
        self.rates.get(uid).copied()
    }
}

/// Reads the CPU time of each pod, by UID. A pod that has none yet is left out.
///
/// # Errors
/// When the kernel, or the kubelet of a node, does not tell.
pub async fn read(
    cluster: &Cluster,
    client: &Client,
    pods: &[Pod],
) -> Result<HashMap<String, Reading>> {
    if cluster.run_dir().is_some() { of_cgroups(pods) } else { of_kubelets(client, pods).await }
}

/// The pod's cgroup on this machine.
///
/// # Errors
/// When the pod has no UID or QoS class yet, or this machine has no cgroups.
pub fn cgroup(pod: &Pod) -> Result<Cgroup> {
    cgroup_among(&Cgroups::detect()?, pod)
}

/// The pod's cgroup among those of its node.
///
/// # Errors
/// When the pod has no UID or QoS class yet.
pub fn cgroup_among(cgroups: &Cgroups, pod: &Pod) -> Result<Cgroup> {
    let class = pod.status.as_ref().and_then(|status| status.qos_class.as_deref());
    let class = QosClass::from_str(class.context("the pod has no QoS class yet")?)?;
    Ok(cgroups.pod(class, &pod.uid().context("the pod has no UID")?))
}

/// The CPU time of a pod of this machine, from its cgroup.
///
/// # Errors
/// When the cgroup is not there: its pod begins or ends.
pub fn of_cgroup(cgroup: &Cgroup) -> Result<Reading> {
    let began = *BEGAN;
    Ok(Reading { used: cgroup.cpu_time()?, at: i128::try_from(began.elapsed().as_nanos())? })
}

fn of_cgroups(pods: &[Pod]) -> Result<HashMap<String, Reading>> {
    let mut readings = HashMap::new();
    for pod in pods {
        let Ok(reading) = of_cgroup(&cgroup(pod)?) else { continue };
        readings.insert(pod.uid().unwrap_or_default(), reading);
    }
    Ok(readings)
}

static BEGAN: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);

/// Reads the CPU time of each pod from the kubelets of their nodes.
///
/// # Errors
/// When a kubelet does not answer.
pub async fn of_kubelets(client: &Client, pods: &[Pod]) -> Result<HashMap<String, Reading>> {
    let mut nodes: Vec<&str> =
        pods.iter().filter_map(|pod| pod.spec.as_ref()?.node_name.as_deref()).collect();
    nodes.sort_unstable();
    nodes.dedup();
    let mut readings = HashMap::new();
    for node in nodes {
        let path = format!("/api/v1/nodes/{node}/proxy/stats/summary");
        let request = http::Request::get(path).body(Vec::new())?;
        let summary: Value =
            client.request(request).await.with_context(|| format!("ask the kubelet of {node}"))?;
        for pod in summary["pods"].as_array().into_iter().flatten() {
            let (uid, cpu) = (&pod["podRef"]["uid"], &pod["cpu"]);
            let at = cpu["time"].as_str().and_then(|time| time.parse::<Timestamp>().ok());
            if let (Some(uid), Some(used), Some(at)) =
                (uid.as_str(), cpu["usageCoreNanoSeconds"].as_u64(), at)
            {
                readings.insert(uid.to_owned(), Reading { used, at: at.as_nanosecond() });
            }
        }
    }
    Ok(readings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_stays_until_there_is_a_new_one() {
        let second = 1_000_000_000;
        let mut meter = Meter::default();
        let mut take = |used: u64, at: i128| {
            meter.take([("a".to_owned(), Reading { used, at })].into());
            meter.rate("a")
        };
        assert_eq!(take(500, 0), None);
        assert_eq!(take(500, 0), None);
        assert_eq!(take(second as u64 + 500, 2 * second), Some(500));
        assert_eq!(take(second as u64 + 500, 2 * second), Some(500));
        assert_eq!(take(2 * second as u64 + 500, 3 * second), Some(1000));
        meter.take(HashMap::new());
        assert_eq!(meter.rate("a"), None);
    }
}
