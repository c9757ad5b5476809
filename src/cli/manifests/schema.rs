//! A pool against the schema of its CRD, as the API server does it when it is asked to be strict.

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use serde_json::{Map, Value};

use super::{Problem, field::Field};

/// The schema of all that users write in objects of a kind, down to the names of the fields in their metadata.
pub(super) fn of(crd: CustomResourceDefinition) -> JSONSchemaProps {
    let versions = crd.spec.versions.into_iter();
    let mut schemas = versions.filter_map(|version| version.schema?.open_api_v3_schema);
    let mut schema = schemas.next().unwrap_or_default();
    let properties = schema.properties.get_or_insert_default();
    properties.insert("metadata".into(), metadata());
    // What the controller wrote, maybe one of another version.
    properties.insert("status".into(), JSONSchemaProps::default());
    for text in ["apiVersion", "kind"] {
        properties.insert(text.into(), of_type("string"));
    }
    schema
}

/// The fields of metadata: they are read elsewhere, here only their names matter.
fn metadata() -> JSONSchemaProps {
    const FIELDS: [&str; 15] = [
        "annotations",
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "finalizers",
        "generateName",
        "generation",
        "labels",
        "managedFields",
        "name",
        "namespace",
        "ownerReferences",
        "resourceVersion",
        "selfLink",
        "uid",
    ];
    let fields = FIELDS.map(|name| (name.to_owned(), JSONSchemaProps::default()));
    JSONSchemaProps { properties: Some(BTreeMap::from(fields)), ..of_type("object") }
}

fn of_type(name: &str) -> JSONSchemaProps {
    JSONSchemaProps { type_: Some(name.to_owned()), ..JSONSchemaProps::default() }
}

/// What is wrong with a value and all that is in it. A null where the schema has none is taken out,
/// as the API server does.
pub(super) fn check(
    schema: &JSONSchemaProps,
    value: &mut Value,
    field: &Field,
) -> Vec<(Field, Problem)> {
    if let Some(problem) = wrong_type(schema, value).or_else(|| not_listed(schema, value)) {
        return vec![(field.clone(), problem)];
    }
    let mut found: Vec<_> =
        wrong_size(schema, value).map(|problem| (field.clone(), problem)).into_iter().collect();
    match value {
        Value::Object(map) => found.extend(check_map(schema, map, field)),
        Value::Array(list) => {
            if let Some(JSONSchemaPropsOrArray::Schema(items)) = &schema.items {
                for (index, item) in list.iter_mut().enumerate() {
                    found.extend(check(items, item, &field.item(index)));
                }
            }
            found.extend(same_keys(schema, list, field));
        }
        _ => {}
    }
    found
}

fn check_map(
    schema: &JSONSchemaProps,
    map: &mut Map<String, Value>,
    field: &Field,
) -> Vec<(Field, Problem)> {
    let mut found = Vec::new();
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &schema.additional_properties {
        map.retain(|_, value| !value.is_null());
        for (key, value) in map {
            found.extend(check(values, value, &field.key(key)));
        }
        return found;
    }
    // A schema that says nothing of fields takes all of them.
    let Some(properties) = &schema.properties else { return found };
    let unknown = map.keys().filter(|key| !properties.contains_key(*key));
    let unknown: Vec<_> = unknown.map(|key| (key.clone(), nearest(key, properties))).collect();
    map.retain(|key, value| !value.is_null() || !properties.contains_key(key));

    for required in schema.required.iter().flatten().filter(|name| !map.contains_key(*name)) {
        // What is misspelt is not missing as well.
        if unknown.iter().all(|(_, meant)| *meant != Some(required)) {
            let missing = field.name(required);
            found.push((missing.clone(), Problem::Missing { explain: missing.without_indices() }));
        }
    }
    for (key, meant) in &unknown {
        let remedy = match meant {
            Some(meant) => format!("did you mean {meant}?"),
            None => format!("write {}, or remove it", alternatives(properties.keys())),
        };
        found.push((field.name(key), Problem::UnknownField { remedy }));
    }
    for (key, property) in properties {
        if let Some(value) = map.get_mut(key) {
            found.extend(check(property, value, &field.name(key)));
        }
    }
    found
}

/// The field that may have been meant: one that begins so, or one that is at most two slips away,
/// and for short words one.
fn nearest<'a>(
    word: &str,
    properties: &'a BTreeMap<String, JSONSchemaProps>,
) -> Option<&'a String> {
    let begun = |name: &&String| word.len() > 2 && name.starts_with(word);
    if let Some(name) = properties.keys().find(begun) {
        return Some(name);
    }
    let slips = |name: &str| strsim::osa_distance(&name.to_lowercase(), &word.to_lowercase());
    let (distance, name) = properties.keys().map(|name| (slips(name), name)).min()?;
    (distance <= if word.len() < 5 { 1 } else { 2 }).then_some(name)
}

fn wrong_type(schema: &JSONSchemaProps, value: &Value) -> Option<Problem> {
    let (expected, fits) = if schema.x_kubernetes_int_or_string == Some(true) {
        ("a string or a whole number", value.is_string() || is_integer(value))
    } else {
        match schema.type_.as_deref()? {
            "object" => ("a mapping", value.is_object()),
            "array" => ("a list", value.is_array()),
            "string" => ("a string", value.is_string()),
            "integer" => ("a whole number", is_integer(value)),
            "number" => ("a number", value.is_number()),
            "boolean" => ("true or false", value.is_boolean()),
            _ => return None,
        }
    };
    let remedy = match (expected, value) {
        ("a string" | "a string or a whole number", Value::Number(_) | Value::Bool(_)) => {
            in_quotes(value)
        }
        ("a whole number", Value::String(text)) if text.parse::<i64>().is_ok() => {
            format!("write it without quotes: {text}")
        }
        ("a whole number", _) => "write digits only, such as 100".into(),
        ("a mapping", _) => "write fields with their values, each as name: value".into(),
        ("a list", _) => "write items, each after a dash and a space".into(),
        _ => format!("write {expected}"),
    };
    (!fits).then(|| Problem::WrongType { found: in_words(value), expected, remedy })
}

/// The remedy for a number or a word where a text belongs.
pub(super) fn in_quotes(value: &Value) -> String {
    format!("write it in quotes: \"{value}\"")
}

/// To the API server, what is beyond 2^63 is no whole number.
fn is_integer(value: &Value) -> bool {
    value.is_i64()
}

fn not_listed(schema: &JSONSchemaProps, value: &Value) -> Option<Problem> {
    let listed: Vec<_> = schema.enum_.as_ref()?.iter().map(|listed| &listed.0).collect();
    let names = listed.iter().filter_map(|value| value.as_str());
    let problem = Problem::NotAValue { found: value.to_string(), values: alternatives(names) };
    (!listed.contains(&value)).then_some(problem)
}

fn wrong_size(schema: &JSONSchemaProps, value: &Value) -> Option<Problem> {
    let (count, what, least, most) = match value {
        // The API server counts characters too, not bytes.
        Value::String(text) => {
            (text.chars().count(), "characters", schema.min_length, schema.max_length)
        }
        Value::Array(list) => (list.len(), "items", schema.min_items, schema.max_items),
        Value::Object(map) => (map.len(), "entries", schema.min_properties, schema.max_properties),
        _ => return None,
    };
    let size = i64::try_from(count).unwrap_or(i64::MAX);
    let bound = match (least.filter(|least| size < *least), most.filter(|most| size > *most)) {
        (Some(least), _) => format!("least {least}"),
        (_, Some(most)) => format!("most {most}"),
        _ => return None,
    };
    Some(Problem::Size { count, what, bound })
}

/// In a list that is a map, no two items have one key.
fn same_keys(schema: &JSONSchemaProps, list: &[Value], field: &Field) -> Vec<(Field, Problem)> {
    let Some(keys) = &schema.x_kubernetes_list_map_keys else { return Vec::new() };
    let mut firsts: BTreeMap<Vec<String>, usize> = BTreeMap::new();
    let mut found = Vec::new();
    for (index, item) in list.iter().enumerate() {
        let key = keys.iter().map(|key| Some(format!("{key} {}", item.get(key)?)));
        let Some(key) = key.collect::<Option<Vec<_>>>() else { continue };
        if let Some(first) = firsts.get(&key) {
            let (key, first) = (key.join(" and "), field.item(*first).to_string());
            found.push((field.item(index), Problem::SameKey { key, first }));
        } else {
            firsts.insert(key, index);
        }
    }
    found
}

/// What stands there, in words, and not at length.
pub(super) fn in_words(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) if text.chars().count() > 40 => "a long string".into(),
        Value::String(text) => format!("the string {text:?}"),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "a mapping".into(),
    }
}

/// As in `a, b or c`.
pub(super) fn alternatives(words: impl Iterator<Item = impl AsRef<str>>) -> String {
    let words: Vec<_> = words.map(|word| word.as_ref().to_owned()).collect();
    match &words[..] {
        [] => String::new(),
        [word] => word.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}
