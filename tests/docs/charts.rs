//! `README.md` of each chart has the values of the chart, and its schema knows just these.

use std::{env, fs};

use serde_json::Value;

use super::{Result, root};

const CHARTS: [&str; 2] = ["weighted-share", "weighted-share-crds"];
/// What stands around the table in a README.
const BEGIN: &str = "<!-- The values, from values.yaml: `make docs` writes them anew. -->\n";
const END: &str = "<!-- End of the values. -->\n";

/// A line of `values.yaml` with a key.
struct Entry {
    /// The keys that lead there: `image.tag`.
    path: String,
    /// What stands behind the key. Nothing for a group of values.
    default: String,
    comment: String,
}

/// The keys of a `values.yaml` in its order, each with the comment above it. Lists, and maps that are one value, are in one line.
fn entries(text: &str) -> Vec<Entry> {
    let (mut entries, mut comment) = (Vec::new(), Vec::new());
    let mut parents: Vec<(usize, &str)> = Vec::new();
    for line in text.lines() {
        let content = line.trim_start();
        if let Some(sentence) = content.strip_prefix("# ") {
            comment.push(sentence);
            continue;
        }
        let comment = std::mem::take(&mut comment).join(" ");
        let Some((key, default)) = content.split_once(':') else { continue };
        let depth = line.len() - content.len();
        parents.retain(|(parent, _)| *parent < depth);
        parents.push((depth, key));
        let path: Vec<&str> = parents.iter().map(|(_, key)| *key).collect();
        let (path, default) = (path.join("."), default.trim().to_owned());
        entries.push(Entry { path, default, comment });
    }
    entries
}

/// A comment in a cell, with its example as code.
fn cell(comment: &str) -> String {
    let cell = match comment.split_once("Example: ") {
        Some((before, example)) => format!("{before}Example: `{example}`"),
        None => comment.to_owned(),
    };
    cell.replace('|', "\\|")
}

/// The rows of values, and of groups that have a comment.
fn table(entries: &[Entry]) -> String {
    let mut table = "| value | default | |\n| --- | --- | --- |\n".to_owned();
    for Entry { path, default, comment } in entries {
        let default = if default.is_empty() { String::new() } else { format!("`{default}`") };
        if !default.is_empty() || !comment.is_empty() {
            table += &format!("| `{path}` | {default} | {} |\n", cell(comment));
        }
    }
    table
}

fn values(chart: &str) -> Result<Vec<Entry>> {
    let path = root().join("charts").join(chart).join("values.yaml");
    Ok(entries(&fs::read_to_string(path)?))
}

fn schema(chart: &str) -> Result<Value> {
    let path = root().join("charts").join(chart).join("values.schema.json");
    Ok(serde_json::from_str(&fs::read_to_string(path)?)?)
}

#[test]
fn the_readme_of_each_chart_has_its_values() -> Result {
    for chart in CHARTS {
        let path = root().join("charts").join(chart).join("README.md");
        let is = fs::read_to_string(&path)?;
        let parts = is.split_once(BEGIN).and_then(|(before, rest)| {
            let (_, after) = rest.split_once(END)?;
            Some((before, after))
        });
        let (before, after) = parts.ok_or(format!("{}: no place for it", path.display()))?;
        let now = format!("{before}{BEGIN}\n{}\n{END}{after}", table(&values(chart)?));
        if env::var_os("WRITE_DOCS").is_some() {
            fs::write(&path, &now)?;
        } else {
            assert!(is == now, "charts/{chart}/README.md is out of date: make docs");
        }
    }
    Ok(())
}

#[test]
fn each_value_is_described_and_can_be_read_from_its_line() -> Result {
    for chart in CHARTS {
        let text = fs::read_to_string(root().join("charts").join(chart).join("values.yaml"))?;
        let all: Value = serde_yaml_ng::from_str(&text)?;
        for Entry { path, default, comment } in values(chart)? {
            let value = all.pointer(&format!("/{}", path.replace('.', "/")));
            let value = value.ok_or(format!("{chart}: {path} is no value"))?;
            if default.is_empty() {
                assert!(value.is_object(), "{chart}: {path} has a value below its line");
                continue;
            }
            assert!(!comment.is_empty(), "{chart}: {path} has no comment");
            let read: Value = serde_yaml_ng::from_str(&default)?;
            assert_eq!(&read, value, "{chart}: {path}");
        }
    }
    Ok(())
}

/// The schema of the fields of an object, wherever it is.
fn fields<'a>(schema: &'a Value, whole: &'a Value) -> &'a Value {
    match schema["$ref"].as_str().and_then(|place| place.strip_prefix('#')) {
        Some(place) => &whole.pointer(place).unwrap_or(&Value::Null)["properties"],
        None => &schema["properties"],
    }
}

#[test]
fn the_schema_knows_the_values_that_there_are() -> Result {
    for chart in CHARTS {
        let (schema, entries) = (schema(chart)?, values(chart)?);
        let mut groups: Vec<(String, &Value)> = vec![(String::new(), &schema)];
        for Entry { path, default, .. } in &entries {
            let (group, name) = path.rsplit_once('.').unwrap_or(("", path.as_str()));
            let found = groups.iter().find(|(of, _)| of == group);
            let of = found.ok_or(format!("{chart}: {group} is no group"))?.1;
            let field = &fields(of, &schema)[name];
            assert!(!field.is_null(), "{chart}: the schema does not know {path}");
            if default.is_empty() {
                groups.push((path.clone(), field));
            }
        }
        for (group, of) in groups {
            for (name, _) in fields(of, &schema).as_object().into_iter().flatten() {
                let path = [&group, name].map(String::as_str).join(".");
                let path = path.trim_start_matches('.');
                // A parent hands it over, whether it is read or not.
                let is_there = entries.iter().any(|entry| entry.path == path);
                assert!(is_there || path == "global", "{chart}: values.yaml has no {path}");
            }
        }
    }
    Ok(())
}

/// The places of objects in a schema that accept keys that they do not name.
fn lax(place: &str, schema: &Value, found: &mut Vec<String>) {
    let is_strict = schema["additionalProperties"] == false;
    if schema["type"] == "object" && schema["properties"].is_object() && !is_strict {
        found.push(place.to_owned());
    }
    match schema {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, field)| lax(&format!("{place}/{name}"), field, found))
        }
        Value::Array(items) => items.iter().for_each(|item| lax(place, item, found)),
        _ => {}
    }
}

#[test]
fn the_schema_refuses_keys_that_it_does_not_name() -> Result {
    let mut found = Vec::new();
    lax("", &schema("weighted-share")?, &mut found);
    lax("", &schema("weighted-share-crds")?, &mut found);
    // What a parent hands to all of its charts.
    assert_eq!(found, ["/properties/global"]);
    Ok(())
}

#[test]
fn what_a_chart_says_of_itself_is_there() -> Result {
    for chart in CHARTS {
        let path = root().join("charts").join(chart).join("Chart.yaml");
        let about: Value = serde_yaml_ng::from_str(&fs::read_to_string(path)?)?;
        assert_eq!(about["version"], env!("CARGO_PKG_VERSION"), "{chart}");
        assert_eq!(about["appVersion"], env!("CARGO_PKG_VERSION"), "{chart}");
        let home = about["home"].as_str().ok_or("no home")?;
        let icon = about["icon"].as_str().and_then(|icon| icon.strip_prefix(home));
        let icon = icon.ok_or(format!("{chart}: the icon is not at {home}"))?;
        // The book is at home.
        assert!(root().join(format!("docs{icon}")).exists(), "{chart}: there is no {icon}");
        for field in ["sources", "maintainers"] {
            assert!(
                about[field].as_array().is_some_and(|list| !list.is_empty()),
                "{chart}: {field}"
            );
        }
        let Some(images) = about["annotations"]["artifacthub.io/images"].as_str() else { continue };
        let repository = values(chart)?.into_iter().find(|entry| entry.path == "image.repository");
        let repository = repository.ok_or("no repository")?.default;
        let image = format!("image: {repository}:{}\n", env!("CARGO_PKG_VERSION"));
        assert!(images.contains(&image), "{chart}: {images} has no {image}");
    }
    Ok(())
}

#[test]
fn keys_have_the_comments_above_them() {
    let text = "# Of the file.\n\n# Of the group.\ngroup:\n  # Of a.\n  # Example: [x]\n  a: [b: c]\n  d: 1\n\ne: {}\n";
    let found = entries(text);
    let found: Vec<[&str; 3]> =
        found.iter().map(|it| [&*it.path, &*it.default, &*it.comment]).collect();
    let expected = [
        ["group", "", "Of the group."],
        ["group.a", "[b: c]", "Of a. Example: [x]"],
        ["group.d", "1", ""],
        ["e", "{}", ""],
    ];
    assert_eq!(found, expected);
    assert_eq!(cell("Either a|b. Example: [x]"), "Either a\\|b. Example: `[x]`");
}
