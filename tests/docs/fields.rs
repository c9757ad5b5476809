//! `docs/fields.md`: every field, as the CustomResourceDefinition has it.

use std::{collections::BTreeMap, env, fmt::Write, fs};

use serde_json::Value;
use weightedshare::api;

use super::{Result, root};

/// What stands above the fields.
const INTRODUCTION: &str = "\
# All fields

Every field of a `WeightedShare`, and of a `ClusterWeightedShare`, as their CustomResourceDefinitions have them: `kubectl explain
weightedshare.spec` says the same. This page is made from them. What the API server refuses, and in which words, stands below each table; the same rules hold in
[`weightedshare plan`](plan.md). The controller writes the third kind, `StartProfile`: see
[new pods](new-pods.md).
";

/// What stands before the path of a field of a tree.
const TREE: &str = "ClusterWeightedShare.";

/// An object in the schema, with the path that leads there.
type Object<'a> = (String, &'a Value);

/// Whether an object is amounts of CPU and memory, which have a section of their own.
fn is_amounts(schema: &Value) -> bool {
    let properties = schema["properties"].as_object();
    properties.is_some_and(|fields| fields.keys().map(String::as_str).eq(["cpu", "memory"]))
}

/// What a list holds, or the schema itself.
fn inner(schema: &Value) -> &Value {
    if schema["items"].is_null() { schema } else { &schema["items"] }
}

/// A list in a path.
fn brackets(schema: &Value) -> &'static str {
    if schema["items"].is_null() { "" } else { "[]" }
}

/// The objects under a path that have a section of their own, each before those in it.
fn objects<'a>(path: &str, schema: &'a Value) -> Vec<Object<'a>> {
    let mut found = vec![(path.to_owned(), schema)];
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let object = inner(field);
        if object["properties"].is_object() && !is_amounts(object) {
            found.extend(objects(&format!("{path}.{name}{}", brackets(field)), object));
        }
    }
    found
}

/// What a field may hold.
fn kind(schema: &Value) -> String {
    let amount = schema["x-kubernetes-int-or-string"] == true;
    let whole = match schema["type"].as_str().unwrap_or_default() {
        _ if is_amounts(schema) => "[amounts](#amounts)".into(),
        _ if amount => "amount".into(),
        "array" => format!("list: {}", kind(&schema["items"])),
        "object" if schema["additionalProperties"].is_object() => {
            format!("map: {}", kind(&schema["additionalProperties"]))
        }
        kind => kind.to_owned(),
    };
    let values = schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let values: Vec<String> = values.map(|value| format!("`{value}`")).collect();
    let keys = schema["x-kubernetes-list-map-keys"].as_array().into_iter().flatten();
    let keys: Vec<String> =
        keys.filter_map(Value::as_str).map(|key| format!("one for each `{key}`")).collect();
    let most = ["maxItems", "maxLength"].iter().find_map(|bound| schema[bound].as_u64());
    let most = most.filter(|_| !amount).map(|most| match schema["type"] == "string" {
        true => format!("at most {most} characters"),
        false => format!("at most {most}"),
    });
    let least = schema["minItems"].as_u64().map(|least| format!("at least {least}"));
    let bounds = schema["minimum"].as_f64().zip(schema["maximum"].as_f64());
    let bounds = bounds.map(|(least, most)| format!("{least} to {most}"));
    let parts = [Some(whole), bounds, (!values.is_empty()).then(|| values.join(", "))];
    let parts = parts.into_iter().flatten().chain(keys).chain(least).chain(most);
    parts.collect::<Vec<_>>().join("; ")
}

/// A description in a cell of a table.
fn cell(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    text.replace('|', "\\|").replace('\n', " ").replace("  ", " ")
}

/// What is there if nothing is written.
fn default(object: &Value, name: &str) -> String {
    let needed =
        object["required"].as_array().is_some_and(|names| names.iter().any(|it| it == name));
    match &object["properties"][name]["default"] {
        Value::Null if needed => "required".into(),
        Value::Null => String::new(),
        Value::String(text) => format!("`{text}`"),
        Value::Object(_) => "those of its fields".into(),
        other => format!("`{other}`"),
    }
}

/// The texts in a CEL expression that makes a message: `…` stands for what it puts in.
fn texts(expression: &str) -> Vec<String> {
    let (mut texts, mut code): (Vec<String>, _) = (Vec::new(), String::from("?"));
    let mut rest = expression;
    while let Some(start) = rest.find(['"', '\'']) {
        code += &rest[..start];
        let quote = &rest[start..=start];
        let Some((text, after)) = rest[start + 1..].split_once(quote) else { break };
        // Texts that are put together are one message.
        let joined = code.trim().starts_with('+') && code.trim().ends_with('+');
        match texts.last_mut().filter(|_| joined && !code.contains('?')) {
            Some(last) => *last += &format!("…{text}"),
            None => texts.push(text.to_owned()),
        }
        code.clear();
        rest = after;
    }
    // What is compared with, and patterns, are no sentences.
    texts.retain(|text| text.contains(": "));
    let whole = |text: String| if text.starts_with("is ") { format!("'…' {text}") } else { text };
    texts.into_iter().map(whole).collect()
}

/// What the rules of a schema say when they refuse.
fn messages(schema: &Value) -> Vec<String> {
    let mut messages = Vec::new();
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        match (rule["message"].as_str(), rule["messageExpression"].as_str()) {
            (Some(message), _) => messages.push(message.to_owned()),
            (None, Some(expression)) => messages.extend(texts(expression)),
            (None, None) => {}
        }
    }
    messages
}

/// The rules of an object and of its fields, as a list: those of amounts are said once.
fn rules(object: &Value) -> String {
    let fields = object["properties"].as_object().into_iter().flatten();
    let own = messages(object).into_iter().map(|message| (None, message));
    let theirs = fields.flat_map(|(name, field)| {
        let nested = if inner(field)["properties"].is_object() && !is_amounts(inner(field)) {
            // The object's own section lists them; the list's are said here.
            if field["items"].is_null() { Vec::new() } else { messages(field) }
        } else {
            messages(field).into_iter().chain(items(field)).collect()
        };
        nested.into_iter().map(move |message| (Some(name.as_str()), message))
    });
    own.chain(theirs).fold(String::new(), |mut list, (field, message)| {
        let field = field.map(|field| format!("`{field}`: ")).unwrap_or_default();
        // A String takes all that is written to it.
        let _ = writeln!(list, "- {field}“{}”", message.replace('<', "&lt;"));
        list
    })
}

/// The messages of what a list or a map holds, where that is no object.
fn items(field: &Value) -> Vec<String> {
    ["items", "additionalProperties"].iter().flat_map(|held| messages(&field[held])).collect()
}

/// One section: the object's fields, and what is refused.
fn section((path, object): &Object) -> String {
    let mut text = format!("\n## `{path}`\n\n");
    // Of those in it, the table that leads there tells.
    let is_whole = ["spec", "status"].contains(&path.trim_start_matches(TREE));
    if let Some(description) = object["description"].as_str().filter(|_| is_whole) {
        text += &format!("{description}\n\n");
    }
    text += "| field | what it may hold | default | |\n| --- | --- | --- | --- |\n";
    for (name, field) in object["properties"].as_object().into_iter().flatten() {
        let target = inner(field);
        let own = target["properties"].is_object() && !is_amounts(target);
        let name_shown = match own {
            true => {
                let anchor = format!("{path}.{name}").replace(['.', '[', ']'], "").to_lowercase();
                format!("[`{name}`](#{anchor})")
            }
            false => format!("`{name}`"),
        };
        let default = default(object, name);
        text += &format!("| {name_shown} | {} | {default} | {} |\n", kind(field), cell(field));
    }
    let rules = rules(object);
    // Only the controller writes a status.
    if !rules.is_empty() && !path.trim_start_matches(TREE).starts_with("status") {
        text += &format!("\nWhat is refused:\n\n{rules}");
    }
    text
}

/// What all amounts have in common: what is written is checked, what is reported is plain.
fn amounts(spec: &Value) -> String {
    let amounts = &spec["properties"]["capacity"];
    let mut text =
        String::from("\n## Amounts\n\n| field | what it may hold | |\n| --- | --- | --- |\n");
    for (name, field) in amounts["properties"].as_object().into_iter().flatten() {
        text += &format!("| `{name}` | text or number | {} |\n", cell(field));
    }
    text +=
        &format!("\nWhat is refused, where you write them:\n\n{}", rules(&without_own(amounts)));
    text
}

/// An object without the rules of its own.
fn without_own(object: &Value) -> Value {
    let mut object = object.clone();
    object["x-kubernetes-validations"] = Value::Null;
    object
}

/// The kinds, by what stands before the path of a field.
fn schemas() -> Result<[(&'static str, Value); 2]> {
    let schema = |crd| -> Result<Value> {
        let crd = serde_json::to_value(crd)?;
        Ok(crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone())
    };
    Ok([("", schema(api::crd())?), (TREE, schema(api::tree_crd())?)])
}

/// The page.
fn page() -> Result<String> {
    let mut text = INTRODUCTION.to_owned();
    for (kind, schema) in schemas()? {
        for part in ["spec", "status"] {
            let path = format!("{kind}{part}");
            text.extend(objects(&path, &schema["properties"][part]).iter().map(section));
        }
    }
    let [(_, pool), _] = schemas()?;
    Ok(text + &amounts(&pool["properties"]["spec"]))
}

/// All fields of a schema, by path.
fn paths(path: &str, schema: &Value, found: &mut BTreeMap<String, bool>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}{}", brackets(field));
        found.insert(path.clone(), true);
        paths(&path, inner(field), found);
    }
}

#[test]
fn the_page_of_fields_is_what_the_crd_says() -> Result {
    let (path, page) = (root().join("docs/fields.md"), page()?);
    if env::var_os("WRITE_DOCS").is_some() {
        fs::write(&path, &page)?;
    }
    assert!(fs::read_to_string(&path)? == page, "docs/fields.md is out of date: make docs");
    Ok(())
}

#[test]
fn no_field_and_no_message_is_left_out() -> Result {
    let page = page()?;
    for (_, schema) in schemas()? {
        let mut fields = BTreeMap::new();
        paths("", &schema, &mut fields);
        for name in fields.keys().filter_map(|path| path.rsplit('.').next()) {
            let name = name.trim_end_matches("[]");
            assert!(
                page.contains(&format!("`{name}`")) || ["spec", "status"].contains(&name),
                "{name}"
            );
        }
        let yaml = serde_json::to_string(&schema)?;
        let rules = yaml.matches("\"rule\":").count();
        assert!(fields.len() > 40 && rules > 30, "{} fields, {rules} rules", fields.len());
        let mut said = Vec::new();
        all_messages(&schema, &mut said);
        for message in said {
            assert!(page.contains(&message.replace('<', "&lt;")), "not said: {message}");
        }
    }
    Ok(())
}

/// Every message in a schema, wherever it is; each rule has one.
fn all_messages(schema: &Value, said: &mut Vec<String>) {
    let messages = messages(schema);
    assert!(schema["x-kubernetes-validations"].is_null() || !messages.is_empty(), "{schema}");
    said.extend(messages);
    match schema {
        Value::Object(fields) => fields.values().for_each(|field| all_messages(field, said)),
        Value::Array(items) => items.iter().for_each(|item| all_messages(item, said)),
        _ => {}
    }
}
