//! What the schema of a tree refuses beside what it has in common with a pool, and the sentence that says what to write instead.

use kube::core::Rule;

use super::rules::{explained, stated};

/// At most one of the ways to say what a tree divides.
pub fn one_capacity_of_tree() -> Rule {
    stated(
        "!has(self.capacity) || !has(self.nodes)",
        "capacity and nodes are both set: keep capacity for a fixed amount, or nodes for what nodes can allocate",
    )
}

/// A member of a tree bounds only what the tree divides.
pub fn bounds_in_capacity_of_tree(resource: &str) -> Rule {
    stated(
        format!(
            "!has(self.capacity) || has(self.capacity.{resource}) || !has(self.members) || !self.members.exists(m, \
             (has(m.min) && has(m.min.{resource})) || (has(m.max) && has(m.max.{resource})))"
        ),
        format!(
            "a member has a min or max for {resource}, which the tree does not divide: add {resource} to \
             spec.capacity, or take it out of the member"
        ),
    )
    .field_path(".members")
}

/// Exactly one kind of thing in a member of a tree.
pub fn one_kind_of_tree_member() -> Rule {
    let kinds =
        "[has(self.namespaces), has(self.namespaceSelector), has(self.clusterWeightedShare)]";
    explained(
        format!("{kinds}.filter(it, it).size() == 1"),
        format!(
            "{kinds}.exists(it, it) \
             ? 'more than one of namespaces, namespaceSelector and clusterWeightedShare is set: keep one, and write another member for the other' \
             : 'the member has nothing in it: write namespaces (by name), namespaceSelector (by label) or clusterWeightedShare (another tree)'"
        ),
    )
}

/// Namespaces have weights where there are namespaces.
pub fn weight_of_namespaces() -> Rule {
    stated(
        "!has(self.clusterWeightedShare) || !has(self.weightPer) || self.weightPer != 'Namespace'",
        "weightPer: Namespace counts namespaces, and this member is another tree: write Member, Replica or VCPU",
    )
    .field_path(".weightPer")
}

/// A weight that grows has a most.
pub fn max_weight_where_it_grows() -> Rule {
    explained(
        "has(self.maxWeight) == (has(self.weightPer) && self.weightPer != 'Member')",
        "has(self.maxWeight) \
         ? 'maxWeight bounds a weight that grows, and with weightPer: Member it does not: take maxWeight out, or write another weightPer' \
         : 'with weightPer: ' + self.weightPer + ' the weight grows with what runs there: write maxWeight, the most that it grows to'",
    )
}

/// Quotas are written into the namespaces of the member itself.
pub fn enforced_in_namespaces() -> Rule {
    stated(
        "!has(self.enforce) || !has(self.clusterWeightedShare)",
        "enforce writes quotas into the namespaces of a member, and this member is another tree: set enforce on the members of that tree",
    )
    .field_path(".enforce")
}

/// The most that a weight grows to.
pub fn max_weight_range() -> Rule {
    stated(
        "1 <= self && self <= 1000000",
        "maxWeight is a whole number from 1 to 1000000: write the most that the weight grows to",
    )
}

/// A part of nodes.
pub fn percent_of_nodes() -> Rule {
    stated(
        "1 <= self && self <= 100",
        "percent is a whole number from 1 to 100: write one of these, or leave it out for 100",
    )
}
