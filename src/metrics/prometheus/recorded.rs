//! What pods used in the past, as Prometheus recorded it.

use std::time::Duration;

use prometheus_http_query::response::{Data, RangeVector};

use super::{PrometheusOptions, client::Client, resources::recorded_promql};
use crate::{
    metrics::SourceError,
    share::{PerResource, Resource},
};

/// How much of the past one question asks for, in seconds.
const PIECE: i64 = 3600;
/// The biggest answer: an hour of some 10,000 pods, every 15 s.
const ANSWER: usize = 256 << 20;
/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a pod used at one time.
#[derive(Clone, Copy, Debug)]
pub struct RecordedSample<'r> {
    /// Its namespace.
    pub namespace: &'r str,
    /// Its name.
    pub pod: &'r str,
    /// When, in seconds since 1970.
    pub at: f64,
    /// Of what.
    pub resource: Resource,
    /// Cores, or bytes. It may be no number.
    pub amount: f64,
}

/// Asks for what all pods used from one time to another, in seconds since 1970, every `step` seconds. `each` takes in what comes, and
/// `note` is told which part of the time is there, from 0 to 1; it says whether to go on.
///
/// # Errors
/// When Prometheus does not answer, or knows nothing of pods.
pub async fn recorded(
    options: &PrometheusOptions,
    (from, to): (i64, i64),
    step: u32,
    mut each: impl FnMut(RecordedSample),
    mut note: impl FnMut(f64) -> bool,
) -> Result<(), SourceError> {
    let client = Client::with_patience(options, PATIENCE)?;
    let look = client.look().await?;
    let mut begins = from;
    let mut any = PerResource { cpu: false, memory: false };
    while begins < to {
        let ends = (begins + PIECE).min(to);
        for resource in Resource::ALL {
            let query = recorded_promql(resource, step);
            // The first of the next piece is not asked for twice.
            let range = (begins, ends - 1);
            let answer = look.ask_range(&query, range, step, ANSWER).await;
            let answer = answer.map_err(|error| SourceError::Failed(error.to_string()))?;
            let Data::Matrix(series) = answer else { continue };
            any[resource] |= !series.is_empty();
            series.iter().for_each(|series| tell(series, resource, &mut each));
        }
        begins = ends;
        if !note((begins - from) as f64 / (to - from) as f64) {
            break;
        }
    }
    match any.cpu || any.memory {
        true => Ok(()),
        false => Err(SourceError::Absent(
            "Prometheus has recorded no usage of pods in that time: does it scrape the kubelets at /metrics/cadvisor?"
                .to_owned(),
        )),
    }
}

fn tell(series: &RangeVector, resource: Resource, each: &mut impl FnMut(RecordedSample)) {
    let label = |name: &str| series.metric().get(name).map_or("", String::as_str);
    let (namespace, pod) = (label("namespace"), label("pod"));
    if namespace.is_empty() || pod.is_empty() {
        return;
    }
    for sample in series.samples() {
        let (at, amount) = (sample.timestamp(), sample.value());
        each(RecordedSample { namespace, pod, at, resource, amount });
    }
}
