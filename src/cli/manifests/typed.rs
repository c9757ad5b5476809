//! Values as the types of Kubernetes, with the path of what does not fit.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Problem, field::Field};
use crate::share::{Bytes, MilliCpu, QuantityError};

/// Fields, and what is wrong with them.
pub(super) type Wrong = Vec<(String, Problem)>;

/// Reads an object. Fields that the type does not have are ignored, and null is no value.
pub(super) fn read<T: DeserializeOwned>(kind: &str, mut value: Value) -> Result<T, Wrong> {
    drop_nulls(&mut value);
    serde_path_to_error::deserialize(value).map_err(|error| {
        let (field, message) = (error.path().to_string(), error.inner().to_string());
        let explain = |field: &str| format!("{}.{}", kind.to_lowercase(), without_indices(field));
        let missing =
            message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
        let (field, problem) = match missing {
            Some(name) => {
                let field = format!("{field}.{name}");
                let explain = explain(&field);
                (field, Problem::Missing { explain })
            }
            None => {
                let problem = not_of_type(&message, explain(&field));
                (field, problem)
            }
        };
        vec![(field, problem)]
    })
}

/// Where the quantities of a kind are that could be misspelled: `[]` stands for each item.
pub(super) type Amounts = &'static [&'static str];

/// All amounts that cannot be read.
pub(super) fn unreadable_amounts(value: &Value, amounts: Amounts) -> Wrong {
    let maps = amounts.iter().flat_map(|path| find(value, &Field::default(), path));
    let entries = maps.flat_map(|(field, map)| {
        let entries = map.as_object().into_iter().flatten();
        entries.map(move |(name, amount)| (field.name(name), name, amount))
    });
    let wrong = entries.filter_map(|(field, name, amount)| {
        let problem = read_amount(name, amount).err()?;
        Some((field.to_string(), problem.into()))
    });
    wrong.collect()
}

/// The values at a path.
fn find<'a>(value: &'a Value, field: &Field, path: &str) -> Vec<(Field, &'a Value)> {
    if path.is_empty() {
        return vec![(field.clone(), value)];
    }
    let (step, rest) = path.split_once('.').unwrap_or((path, ""));
    let (name, each) = step.strip_suffix("[]").map_or((step, false), |name| (name, true));
    let Some(inner) = value.get(name) else { return Vec::new() };
    let field = field.name(name);
    if !each {
        return find(inner, &field, rest);
    }
    let items = inner.as_array().into_iter().flatten().enumerate();
    items.flat_map(|(index, item)| find(item, &field.item(index), rest)).collect()
}

/// Whether Kubernetes could read it. What is neither text nor number, the type refuses.
fn read_amount(name: &str, amount: &Value) -> Result<(), QuantityError> {
    let text = match amount {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return Ok(()),
    };
    if name == "cpu" || name.ends_with(".cpu") {
        MilliCpu::rounded_up(&text).map(drop)
    } else {
        Bytes::rounded_up(&text).map(drop)
    }
}

/// As Kubernetes does: what is null is not there.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// What serde says, without the names of Rust's types.
fn not_of_type(message: &str, explain: String) -> Problem {
    let words = message.strip_prefix("invalid type: ").or(message.strip_prefix("invalid value: "));
    let Some((found, expected)) = words.and_then(|words| words.rsplit_once(", expected ")) else {
        return Problem::Value { what: message.to_owned(), explain };
    };
    let found = match found.split_once(' ') {
        None if found == "sequence" => "a list".to_owned(),
        None if found == "map" => "a mapping".to_owned(),
        Some(("string", text)) => format!("the string {text}"),
        Some(("integer", number)) => format!("the number {}", number.trim_matches('`')),
        Some(("boolean", word)) => word.trim_matches('`').to_owned(),
        _ => found.replace("floating point", "the number").replace('`', ""),
    };
    if expected == "a string" && !found.starts_with("a ") {
        let remedy = "write it in quotes".into();
        return Problem::WrongType { found, expected: "a string", remedy };
    }
    let belongs = match expected {
        "i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64" => "a whole number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "Quantity" => "an amount (such as 250m or 4Gi)",
        "IntOrString" => "a string or a whole number",
        // All other types of Kubernetes are structs.
        other if other.starts_with(|first: char| first.is_ascii_uppercase()) => "a mapping",
        "a map" => "a mapping",
        other => other,
    };
    Problem::Value { what: format!("must be {belongs}, not {found}"), explain }
}

/// `spec.containers[0].name` as `spec.containers.name`.
fn without_indices(path: &str) -> String {
    path.split('.')
        .map(|step| step.split('[').next().unwrap_or_default())
        .filter(|step| !step.is_empty())
        .collect::<Vec<_>>()
        .join(".")
}
