//! What the schema refuses, and the sentence that says what to write instead.
//!
//! The rules are CEL: the API server runs them on every write. A rule stands as close to the field
//! as it can, so that the error names the member. Each stays inside the API server's cost limit
//! because every list, map and string that it walks has a maximum. The bounds of a number are in the
//! schema, too, for editors and other tools; the API server then reports both.

use kube::core::{Message, Rule};

use super::schema::QUANTITY;

/// A rule and its sentence.
pub(super) fn stated(rule: impl Into<String>, sentence: impl Into<String>) -> Rule {
    Rule::new(rule).message(Message::Message(sentence.into()))
}

/// A rule whose sentence is put together from the object.
pub(super) fn explained(rule: impl Into<String>, sentence: impl Into<String>) -> Rule {
    Rule::new(rule).message(Message::Expression(sentence.into()))
}

/// At least one resource in the capacity.
pub fn capacity_named() -> Rule {
    stated(
        "has(self.cpu) || has(self.memory)",
        "the pool has nothing to divide: write cpu, memory or both, such as {cpu: \"6\", memory: 12Gi}",
    )
}

/// No capacity of zero.
pub fn capacity_positive(resource: &str) -> Rule {
    not_zero(
        resource,
        &format!(
            "there is nothing to divide in a capacity of zero: write how much {resource} the members \
             share, or leave {resource} out, so that it is not touched"
        ),
    )
}

/// No maximum of zero.
pub fn max_positive(resource: &str) -> Rule {
    not_zero(
        resource,
        &format!(
            "a max of zero would leave the member nothing: write the most that it may hold, or leave \
             {resource} out for no maximum"
        ),
    )
}

/// The amount named `resource` of `self`, if there is one that can be read, is not zero.
fn not_zero(resource: &str, sentence: &str) -> Rule {
    stated(
        format!(
            "!has(self.{resource}) || !isQuantity(string(self.{resource})) \
             || quantity(string(self.{resource})).compareTo(quantity('0')) != 0"
        ),
        sentence,
    )
    .field_path(format!(".{resource}"))
}

/// A member bounds only what the pool divides.
pub fn bounds_in_capacity(resource: &str) -> Rule {
    stated(
        format!(
            "!has(self.capacity) || has(self.capacity.{resource}) || !has(self.members) || !self.members.exists(m, \
             (has(m.min) && has(m.min.{resource})) || (has(m.max) && has(m.max.{resource})) \
             || (has(m.minPerPod) && has(m.minPerPod.{resource})))"
        ),
        format!(
            "a member has a min, max or minPerPod for {resource}, which the pool does not divide: add \
             {resource} to spec.capacity, or take it out of the member"
        ),
    )
    .field_path(".members")
}

/// Exactly one of the ways to say what a pool divides.
pub fn one_source_of_capacity() -> Rule {
    explained(
        "has(self.capacity) != has(self.capacityFrom)",
        "has(self.capacity) \
         ? 'capacity and capacityFrom are both set: keep capacity for a fixed amount, or capacityFrom for what a tree or a quota gives' \
         : 'the pool has nothing to divide: write capacity, such as {cpu: \"6\"}, or capacityFrom'",
    )
}

/// Exactly one giver of a capacity.
pub fn one_giver_of_capacity() -> Rule {
    explained(
        "has(self.clusterWeightedShare) != has(self.resourceQuota)",
        "has(self.resourceQuota) \
         ? 'clusterWeightedShare and resourceQuota are both set: keep the one that gives the pool its capacity' \
         : 'nothing gives the pool its capacity: write clusterWeightedShare or resourceQuota, each with a name'",
    )
}

/// What counts in a tree only stands where there is one.
pub fn weight_in_tree() -> Rule {
    explained(
        "(!has(self.weight) && !(has(self.expandable) && self.expandable)) \
         || (has(self.capacityFrom) && has(self.capacityFrom.clusterWeightedShare))",
        "(has(self.weight) ? 'weight' : 'expandable') + ' compares the pool with others in a tree, and this pool is in none: \
         write capacityFrom.clusterWeightedShare, or take it out'",
    )
}

/// A name that an object of a kind can have.
pub fn object_name(kind: &str) -> Rule {
    explained(
        "self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",
        format!(
            "\"no {kind} can have the name '\" + self + \"': write its metadata.name, in lower-case letters, digits, - and .\""
        ),
    )
}

/// A member's name can stand in a label and in a metric.
pub fn member_name() -> Rule {
    explained(
        "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
        "\"the name '\" + self + \"' cannot be used: write lower-case letters, digits and -, with a \
         letter or digit at both ends, such as checkout or db-1\"",
    )
}

/// A name that a container can have.
pub fn container_name() -> Rule {
    explained(
        "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
        "\"no container can have the name '\" + self + \"': write its name in the pod, in lower-case \
         letters, digits and -\"",
    )
}

/// Weights from 1 to 10000.
pub fn weight_range() -> Rule {
    stated(
        "1 <= self && self <= 10000",
        "a weight is a whole number from 1 to 10000: write one of these, or leave weight out for 100",
    )
}

/// A percentage from 0 to `most`.
pub fn percent(field: &str, most: u8) -> Rule {
    stated(
        format!("0 <= self && self <= {most}"),
        format!(
            "{field} is a whole number from 0 to {most}, in percent: write one of these, or leave it out"
        ),
    )
}

/// An expression that says something.
pub fn expression_written() -> Rule {
    stated(
        "self != ''",
        "the expression is empty: write how the weight is worked out, such as weight * (1 + \
         cpu.pressure), or leave dynamicWeight out for a weight that stands still",
    )
}

/// A query that asks something.
pub fn query_written() -> Rule {
    stated(
        "self != ''",
        "the query is empty: write PromQL that comes to one number, such as \
         sum(rate(http_requests_total[2m]))",
    )
}

/// What a dynamic weight stays within: weights themselves.
pub fn dynamic_bound(field: &str, default: u32) -> Rule {
    stated(
        "1 <= self && self <= 10000",
        format!(
            "{field} is a weight, a whole number from 1 to 10000: write one of these, or leave {field} \
             out for {default}"
        ),
    )
}

/// No least weight above the most. Both have a default.
pub fn weights_in_order() -> Rule {
    // The numbers are not in the sentence: what string() makes of a number has no bound for the API server.
    stated(
        "self.min <= self.max",
        "the weight cannot stay within bounds whose min is above their max: lower min or raise max",
    )
    .field_path(".min")
}

/// Half-lives up to an hour.
pub fn half_life() -> Rule {
    stated(
        "0 <= self && self <= 3600",
        "halfLifeSeconds is a whole number of seconds from 0 to 3600: write one of these, or leave it \
         out for 60",
    )
}

/// A decimal number above zero.
pub fn target_number() -> Rule {
    let is_number = "self.matches('^[0-9]+([.][0-9]+)?$')";
    explained(
        format!("{is_number} && self.matches('[1-9]')"),
        format!(
            "\"'\" + self + \"' \" + ({is_number} \
             ? 'is zero, and nothing can be measured against it: write a number above zero, such as 0.25' \
             : 'is not a number above zero: write it in digits with at most one point, such as 0.25 or 100')"
        ),
    )
}

/// Performance is measured against an objective.
pub fn performance_has_objective() -> Rule {
    stated(
        "has(self.objective) || !has(self.dynamicWeight) \
         || !self.dynamicWeight.expression.contains('performance')",
        "the expression speaks of performance, and the member has no objective to measure it against: \
         write objective with query, target and better, or take performance out of the expression",
    )
    .field_path(".dynamicWeight.expression")
}

/// Exactly one way to find the member's pods.
pub fn one_source_of_pods() -> Rule {
    explained(
        "has(self.selector) != has(self.targetRef)",
        "has(self.selector) \
         ? 'selector and targetRef are both set: keep selector for pods by label, or targetRef for one workload' \
         : 'the member has no pods: write selector (pods by label) or targetRef (one workload)'",
    )
}

/// No minimum above the maximum.
pub fn min_below_max(resource: &str) -> Rule {
    let (min, max) =
        (format!("string(self.min.{resource})"), format!("string(self.max.{resource})"));
    explained(
        format!(
            "!has(self.min) || !has(self.min.{resource}) || !has(self.max) || !has(self.max.{resource}) \
             || !isQuantity({min}) || !isQuantity({max}) \
             || !quantity({min}).isGreaterThan(quantity({max}))"
        ),
        format!(
            "'min.{resource} ' + {min} + ' is above max.{resource} ' + {max} + ': lower min or raise max'"
        ),
    )
    .field_path(format!(".min.{resource}"))
}

/// A workload that has pods, in the API version that it has.
pub fn target_kind() -> Rule {
    let apps = "self.kind in ['Deployment', 'StatefulSet', 'DaemonSet', 'ReplicaSet']";
    let machines = "self.kind in ['VirtualMachine', 'VirtualMachineInstance', 'VirtualMachineInstanceReplicaSet']";
    let pools = "self.kind == 'VirtualMachinePool'";
    explained(
        format!(
            "{apps} ? self.apiVersion == 'apps/v1' \
             : {machines} ? self.apiVersion == 'kubevirt.io/v1' \
             : {pools} ? self.apiVersion.startsWith('pool.kubevirt.io/') \
             : self.kind == 'Job' ? self.apiVersion == 'batch/v1' \
             : self.kind == 'Pod' && self.apiVersion == 'v1'"
        ),
        format!(
            "{apps} ? 'a ' + self.kind + ' is in another API version: write apiVersion: apps/v1' \
             : {machines} ? 'a ' + self.kind + ' is in another API version: write apiVersion: kubevirt.io/v1' \
             : {pools} ? 'a VirtualMachinePool is in another API version: write apiVersion: pool.kubevirt.io/v1beta1' \
             : self.kind == 'Job' ? 'a Job is in another API version: write apiVersion: batch/v1' \
             : self.kind == 'Pod' ? 'a Pod is in another API version: write apiVersion: v1' \
             : \"the kind '\" + self.kind + \"' is not known here: write Deployment, StatefulSet, \
             DaemonSet, ReplicaSet, Job, Pod, VirtualMachine, VirtualMachineInstance, \
             VirtualMachineInstanceReplicaSet or VirtualMachinePool, or select the pods by label with selector\""
        ),
    )
}

/// A name that a workload can have.
pub fn target_name() -> Rule {
    explained(
        "self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",
        "\"no workload can have the name '\" + self + \"': write its metadata.name, in lower-case \
         letters, digits, - and .\"",
    )
}

/// How an amount of one resource is written.
pub struct Amount {
    /// The resource, in words.
    what: &'static str,
    /// What to write.
    how: &'static str,
    /// One amount that is right.
    example: &'static str,
    /// The smallest unit, in words.
    unit: &'static str,
    /// The smallest unit is 10^-decimals.
    decimals: usize,
    /// The most there can be, in the smallest unit.
    most: &'static str,
    /// What to write instead of more.
    too_much: &'static str,
}

/// How CPU is written.
pub const CPU: Amount = Amount {
    what: "CPU",
    how: "cores, such as 2 or 0.25, or millicores, such as 250m",
    example: "250m",
    unit: "millicore",
    decimals: 3,
    most: "1e12",
    too_much: "write at most 1G cores (bytes belong under memory)",
};

/// How memory is written.
pub const MEMORY: Amount = Amount {
    what: "memory",
    how: "bytes, alone or with one of the suffixes k, M, G, T, Ki, Mi, Gi, Ti, such as 512Mi, 4Gi or 4G",
    example: "512Mi",
    unit: "byte",
    decimals: 0,
    most: "1e18",
    too_much: "write at most 1E (10^18 bytes)",
};

/// CPU in whole millicores, memory in whole bytes, in the syntax of Kubernetes.
pub fn quantity(amount: &Amount) -> Rule {
    let Amount { what, how, example, unit, most, too_much, .. } = amount;
    let is_amount = format!("string(self).matches('{QUANTITY}')");
    // The amount in its smallest unit, exactly: quantities can be added, but not multiplied.
    let ten_times = format!(".map(q, q{})", ".add(q)".repeat(9));
    let in_units = format!("[quantity(string(self))]{}", ten_times.repeat(amount.decimals));
    // isInteger knows most whole amounts, but not one written with decimals (1.5Gi). That is whole
    // if it is the whole number that is nearest. (Above 2^53 the nearest may be missed, and such an
    // amount is refused; one that is not whole is never taken.)
    let nearest = "quantity('0').add(int(q.asApproximateFloat() + 0.5))";
    explained(
        format!(
            "{is_amount} && {in_units}.all(q, q.asApproximateFloat() <= {most} \
             && (q.isInteger() || q.compareTo({nearest}) == 0))"
        ),
        format!(
            "\"'\" + string(self) + \"' \" + (string(self).startsWith('-') \
             ? 'is negative: write an amount of zero or more, such as {example}' \
             : !{is_amount} ? 'is not an amount of {what}: write {how}' \
             : {in_units}.exists(q, q.asApproximateFloat() > {most}) \
             ? 'is too much {what}: {too_much}' \
             : 'is finer than a {unit}: round it to a whole number of {unit}s, such as {example}')"
        ),
    )
}

/// Values where the operator compares with them, and only there.
pub fn operator_values() -> Rule {
    explained(
        "self.operator in ['In', 'NotIn'] ? has(self.values) && self.values.size() > 0 \
         : !has(self.values) || self.values.size() == 0",
        "self.operator in ['In', 'NotIn'] \
         ? 'the operator ' + self.operator + ' needs something to compare with: write values, such as values: [web]' \
         : 'the operator ' + self.operator + ' looks at the key alone: take values out, or write In or NotIn'",
    )
    .field_path(".values")
}

/// The syntax of a label's key.
pub fn label_key() -> Rule {
    explained(
        "self.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$')",
        "\"no label can have the key '\" + self + \"': write letters, digits, -, _ and ., at most 63, \
         with a DNS name and / before it if need be, such as app or app.kubernetes.io/name\"",
    )
}

/// The syntax of a label's value.
pub fn label_value() -> Rule {
    explained(
        "self.matches('^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$')",
        "\"no label can have the value '\" + self + \"': write letters, digits, -, _ and ., with a \
         letter or digit at both ends\"",
    )
}
