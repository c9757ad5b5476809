//! A weight that follows how a member does, as its user writes it.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{rules, schema};

/// A weight that is worked out from what is measured.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rules::weights_in_order())]
pub struct DynamicWeight {
    /// The weight, in CEL: numbers, `+ - * /`, comparisons, `&& || !`, `condition ? a : b`,
    /// `min(a, b)`, `max(a, b)` and `clamp(a, least, most)`, over
    /// `weight` (what the member names, 100 where it names none),
    /// `current` (the weight that was worked out last),
    /// `replicas` (how many pods it has),
    /// `performance` (1 where its objective is just met, less where it is missed),
    /// `cpu.usage`, `cpu.peak` (the most of the last ten minutes), `cpu.demand` and `cpu.share` (cores,
    /// all its pods together),
    /// `cpu.pressure` (from 0 to 1: the part of the time in which its pods waited for CPU),
    /// `memory.usage`, `memory.peak`, `memory.demand` and `memory.share` (bytes),
    /// `hour` (UTC, 0 until just under 24: 8.5 is half past eight) and
    /// `weekday` (UTC, 0 is Sunday, 6 is Saturday). At most 1024 characters.
    /// Examples:
    /// `current * clamp(1.25 / performance, 1.0, 2.0) * clamp(2.0 / performance, 0.9, 1.0)`;
    /// `hour >= 8 && hour < 18 ? weight * 2 : weight`.
    #[schemars(length(max = 1024))]
    #[x_kube(validation = rules::expression_written())]
    pub expression: String,

    /// The least that the weight becomes, whatever the expression says. From 1 to 10000. Without it: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::integer")]
    #[x_kube(validation = rules::dynamic_bound("min", 1))]
    pub min: Option<u32>,

    /// The most that the weight becomes, whatever the expression says. From 1 to 10000. Without it:
    /// 10000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::integer")]
    #[x_kube(validation = rules::dynamic_bound("max", 10_000))]
    pub max: Option<u32>,

    /// How fast the weight follows the expression: after this many seconds half of the way is made. In
    /// one step it never more than doubles, and never loses more than half. 0: at once. From 0 to 3600.
    #[serde(default = "default_half_life")]
    #[schemars(schema_with = "schema::integer")]
    #[x_kube(validation = rules::half_life())]
    pub half_life_seconds: u32,
}

impl Default for DynamicWeight {
    fn default() -> Self {
        Self {
            expression: String::new(),
            min: None,
            max: None,
            half_life_seconds: default_half_life(),
        }
    }
}

/// Slow against the noise of one measurement, quick against a day.
fn default_half_life() -> u32 {
    60
}

/// What it means that a member does well.
#[derive(Clone, Debug, Deserialize, Eq, KubeSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Objective {
    /// PromQL that comes to one number. It sees the series of the pool's namespace only. At most 2048
    /// characters. Example, the time that 99 of 100 requests keep within, in seconds:
    /// `histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket[2m])))`.
    #[schemars(length(max = 2048))]
    #[x_kube(validation = rules::query_written())]
    pub query: String,

    /// What the number should be, in the unit of the query: a decimal number above zero, in quotes.
    /// Example: `"0.25"`.
    #[schemars(length(max = 24))]
    #[x_kube(validation = rules::target_number())]
    pub target: String,

    /// Which side of the target is good. `Lower`: what should not be above it, such as a response time
    /// or a queue. `Higher`: what should not be below it, such as requests per second.
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
