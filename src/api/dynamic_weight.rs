//! A weight that follows measurements, as users write it.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{rules, schema};

/// A weight that is computed from measurements.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::weights_in_order())]
pub struct DynamicWeight {
    /// The weight, as a CEL expression of at most 1024 characters. It can use numbers, `+ - * /`,
    /// comparisons, `&& || !`, `condition ? a : b`, `min(a, b)`, `max(a, b)`, `clamp(a, least, most)`
    /// and these variables:
    /// `weight` (the member's `weight`),
    /// `current` (the weight that was computed last),
    /// `replicas` (how many pods the member has),
    /// `performance` (how well it does: 1 if its objective is just met, less if it is missed),
    /// `cpu.usage`, `cpu.peak` (the peak of the last ten minutes), `cpu.demand` and `cpu.share` (in
    /// cores, all its pods together),
    /// `cpu.pressure` (the part of the time in which its pods waited for CPU, from 0 to 1),
    /// `memory.usage`, `memory.peak`, `memory.demand` and `memory.share` (in bytes),
    /// `hour` (UTC, from 0 to just under 24: 8.5 is half past eight) and
    /// `weekday` (UTC, from 0 for Sunday to 6 for Saturday).
    /// Examples:
    /// `current * clamp(1.25 / performance, 1.0, 2.0) * clamp(2.0 / performance, 0.9, 1.0)`;
    /// `hour >= 8 && hour < 18 ? weight * 2 : weight`.
    #[schemars(length(max = 1024))]
    #[x_kube(validation = rules::expression_written())]
    pub expression: String,

    /// The smallest weight that the member can get, whatever the expression gives. From 1 to 10000
    /// (default: 1).
    #[serde(default = "default_min")]
    #[schemars(schema_with = "schema::integer", range(min = 1, max = 10_000))]
    #[x_kube(validation = rules::dynamic_bound("min", 1))]
    pub min: u32,

    /// The largest weight that the member can get, whatever the expression gives. From 1 to 10000
    /// (default: 10000).
    #[serde(default = "default_max")]
    #[schemars(schema_with = "schema::integer", range(min = 1, max = 10_000))]
    #[x_kube(validation = rules::dynamic_bound("max", 10_000))]
    pub max: u32,

    /// How long the weight takes to move half of the way to what the expression gives, in seconds from
    /// 0 to 3600 (default: 60). With 0 it moves at once. In one step, the weight at most doubles or
    /// halves.
    #[serde(default = "default_half_life")]
    #[schemars(schema_with = "schema::integer", range(min = 0, max = 3600))]
    #[x_kube(validation = rules::half_life())]
    pub half_life_seconds: u32,
}

impl Default for DynamicWeight {
    fn default() -> Self {
        Self {
            expression: String::new(),
            min: default_min(),
            max: default_max(),
            half_life_seconds: default_half_life(),
        }
    }
}

fn default_min() -> u32 {
    1
}

fn default_max() -> u32 {
    10_000
}

/// Slow against the noise of one measurement, quick against a day.
fn default_half_life() -> u32 {
    60
}

/// What good performance means for a member.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Objective {
    /// The PromQL query that measures the member. It returns one number, and sees only the series of
    /// the pool's namespace. At most 2048 characters. Example, the time within which 99 of 100
    /// requests are answered, in seconds:
    /// `histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket[2m])))`.
    #[schemars(length(max = 2048))]
    #[x_kube(validation = rules::query_written())]
    pub query: String,

    /// The value that the query should return, in its unit: a decimal number above zero, in quotes.
    /// Example: `"0.25"`.
    #[schemars(length(max = 24))]
    #[x_kube(validation = rules::target_number())]
    pub target: String,

    /// Which side of the target is good. `Lower`: the number should not be above the target, such as a
    /// response time or the length of a queue. `Higher`: it should not be below the target, such as
    /// requests per second.
    pub better: Better,
}

/// Which side of an objective's target is good.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Better {
    /// The number should not be above the target.
    Lower,
    /// The number should not be below the target.
    Higher,
}
