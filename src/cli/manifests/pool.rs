//! A `WeightedShare`, checked as the API server checks it: its schema, then its rules.

use std::sync::LazyLock;

use kube::core::cel::{CompiledSchema, apply_defaults, compile_schema};
use serde_json::Value;

use super::{
    Object, Problem,
    field::Field,
    rules,
    schema::{SCHEMA, check},
    typed::{self, Wrong},
};
use crate::api::{WeightedShare, WeightedShareStatus};

/// The schema as it is written, and its rules, each compiled or with the reason why it is not.
static RULES: LazyLock<Result<(Value, CompiledSchema), String>> = LazyLock::new(|| {
    let schema = serde_json::to_value(&*SCHEMA).map_err(|error| error.to_string())?;
    let compiled = compile_schema(&schema);
    Ok((schema, compiled))
});

/// Reads a pool that holds to its schema and to all its rules.
pub(super) fn read(mut value: Value) -> Result<Object, Wrong> {
    let status = value.as_object_mut().and_then(|pool| pool.remove("status"));
    let mut wrong = check(&SCHEMA, &mut value, &Field::default());
    // As at the API server: where a type or a length is wrong, the rules would be about nothing.
    if wrong.iter().all(|(_, problem)| matches!(problem, Problem::SameKey { .. })) {
        wrong.extend(broken_rules(&value));
    }
    if !wrong.is_empty() {
        return Err(wrong.into_iter().map(|(field, what)| (field.to_string(), what)).collect());
    }
    let mut pool: WeightedShare = typed::read("WeightedShare", value)?;
    // A status that another version wrote says nothing here, and no user can correct it.
    pool.status =
        status.and_then(|status| serde_json::from_value::<WeightedShareStatus>(status).ok());
    Ok(Object::kept(pool))
}

/// What the rules of the CRD say to a pool, with the defaults that the API server fills in.
fn broken_rules(value: &Value) -> Vec<(Field, Problem)> {
    match &*RULES {
        Ok((schema, compiled)) => {
            rules::check(compiled, &apply_defaults(schema, value), &Field::default())
        }
        Err(error) => vec![(Field::default(), Problem::RuleNotChecked(error.clone()))],
    }
}
