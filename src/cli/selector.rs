//! Label selectors as kubectl takes them: `app=web,tier!=test,env in (a,b),!old`. Pure.

use std::collections::BTreeSet;

use kube::core::{Expression, Selector};

/// Reads a label selector.
///
/// # Errors
/// When a part of it has none of the forms of Kubernetes.
pub fn selector(text: &str) -> Result<Selector, String> {
    let parts = split(text);
    let parts = parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty());
    parts.map(expression).collect::<Result<_, _>>()
}

/// The parts between the commas that are not in parentheses.
fn split(text: &str) -> Vec<String> {
    let (mut parts, mut depth) = (vec![String::new()], 0usize);
    for letter in text.chars() {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        match (letter, depth) {
            (',', 0) => parts.push(String::new()),
            _ => parts.last_mut().into_iter().for_each(|part| part.push(letter)),
        }
    }
    parts
}

fn expression(part: &str) -> Result<Expression, String> {
    let wrong = || {
        format!(
            "{part:?} selects no labels: write KEY=VALUE, KEY!=VALUE, KEY, !KEY, KEY in (A,B) or KEY notin (A,B)"
        )
    };
    let key = |key: &str| {
        let valid = |it: char| it.is_ascii_alphanumeric() || "-_./".contains(it);
        let key = key.trim();
        let known = !key.is_empty() && key.chars().all(valid);
        known.then(|| key.to_owned()).ok_or_else(wrong)
    };
    let value = |value: &str| {
        let valid = |it: char| it.is_ascii_alphanumeric() || "-_.".contains(it);
        let value = value.trim();
        value.chars().all(valid).then(|| value.to_owned()).ok_or_else(wrong)
    };
    if let Some((name, values)) = part.strip_suffix(')').and_then(|part| part.split_once('(')) {
        let (name, operator) = name.trim().rsplit_once(' ').ok_or_else(wrong)?;
        let values: BTreeSet<String> = values.split(',').map(value).collect::<Result<_, _>>()?;
        return match operator {
            "in" => Ok(Expression::In(key(name)?, values)),
            "notin" => Ok(Expression::NotIn(key(name)?, values)),
            _ => Err(wrong()),
        };
    }
    if let Some((name, of)) = part.split_once("!=") {
        return Ok(Expression::NotEqual(key(name)?, value(of)?));
    }
    if let Some((name, of)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return Ok(Expression::Equal(key(name)?, value(of)?));
    }
    match part.strip_prefix('!') {
        Some(name) => Ok(Expression::DoesNotExist(key(name)?)),
        None => Ok(Expression::Exists(key(part)?)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kube::core::SelectorExt;

    use super::*;

    #[test]
    fn labels_are_selected_as_kubectl_selects_them() {
        let labels = [("app", "web"), ("env", "a"), ("example.com/team", "x")];
        let labels: BTreeMap<String, String> =
            labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let matches = |text: &str| selector(text).unwrap().matches(&labels);
        for text in [
            "",
            "app=web",
            "app==web,env!=b",
            "app, env",
            "!old",
            "env in (a, b),app notin (db)",
            "example.com/team=x",
            "old!=x",
        ] {
            assert!(matches(text), "{text}");
        }
        for text in ["app=db", "app!=web", "old", "!app", "env in (b,c)", "app=web,env notin (a)"] {
            assert!(!matches(text), "{text}");
        }
    }

    #[test]
    fn what_is_no_selector_is_refused() {
        for text in ["a=b=c", "env in a", "env of (a)", "=x", "a b", "in (a)", "a=b c", "!"] {
            let error = selector(text).unwrap_err();
            assert!(error.contains("write KEY=VALUE"), "{text}: {error}");
        }
    }
}
