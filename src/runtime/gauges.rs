//! Gauges for Prometheus, computed at each scrape.

use std::fmt;

use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
};

use crate::{api::Resources, share::Resource};

/// Writes a gauge with these labels and values.
///
/// # Errors
/// When the encoder does not take it.
pub fn gauges<L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder,
    name: &str,
    help: &str,
    values: impl Iterator<Item = (L, f64)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in values {
        ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

/// In the units of Prometheus: cores and bytes.
pub fn amounts(resources: &Resources) -> impl Iterator<Item = (Resource, f64)> {
    Resource::ALL.into_iter().filter_map(|resource| {
        let amount = resources.get(resource)? as f64;
        let units = match resource {
            Resource::Cpu => 1000.0,
            Resource::Memory => 1.0,
        };
        Some((resource, amount / units))
    })
}

/// The unit of a resource, as kube-state-metrics has it.
#[must_use]
pub fn unit(resource: Resource) -> &'static str {
    match resource {
        Resource::Cpu => "core",
        Resource::Memory => "byte",
    }
}
