//! Changes of one field of a pool, as JSON patches that leave all other fields alone. Pure.

use serde_json::{Value, json};

use crate::api::Mode;

/// The weights that a member can have.
const WEIGHTS: std::ops::RangeInclusive<u32> = 1..=10_000;
/// How many members an error names.
const NAMED: usize = 20;

/// A member and its new weight.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MemberWeight {
    /// The name of the member.
    pub member: String,
    /// Its weight.
    pub weight: u32,
}

/// A change of a pool.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PoolPatch {
    /// The operations of the JSON patch. They test what was read, so nothing is overwritten unseen. Empty: nothing changes.
    pub operations: Vec<Value>,
    /// What changes, in words.
    pub changes: Vec<String>,
    /// What users should know of it.
    pub notes: Vec<String>,
}

/// Reads MEMBER=WEIGHT.
///
/// # Errors
/// When the text has another form, or the weight is out of bounds.
pub fn member_weight(text: &str) -> Result<MemberWeight, String> {
    let (member, weight) =
        text.split_once('=').filter(|(member, _)| !member.is_empty()).ok_or_else(|| {
            "this does not name a member and its weight: write MEMBER=WEIGHT".to_owned()
        })?;
    let weight = weight.parse().ok().filter(|weight| WEIGHTS.contains(weight));
    let weight = weight.ok_or_else(|| {
        format!(
            "this is not a weight: write a whole number from {} to {}",
            WEIGHTS.start(),
            WEIGHTS.end()
        )
    })?;
    Ok(MemberWeight { member: member.to_owned(), weight })
}

impl PoolPatch {
    /// Sets the weights of members. `spec` is that of the pool as it is stored.
    ///
    /// # Errors
    /// When the pool has no such member, or one is named twice.
    pub fn weights(spec: &Value, weights: &[MemberWeight]) -> Result<Self, String> {
        let members = spec["members"].as_array().map(Vec::as_slice).unwrap_or_default();
        let mut patch = Self::default();
        for (i, MemberWeight { member, weight }) in weights.iter().enumerate() {
            if weights[..i].iter().any(|it| it.member == *member) {
                return Err(format!("member {member} is named twice: give it one weight"));
            }
            let place = members.iter().position(|it| it["name"] == json!(member));
            let place = place.ok_or_else(|| no_member(member, members))?;
            patch.set_weight(place, &members[place], member, *weight);
        }
        Ok(patch)
    }

    fn set_weight(&mut self, place: usize, stored: &Value, member: &str, weight: u32) {
        let before = stored.get("weight").unwrap_or(&Value::Null);
        if *before == json!(weight) {
            self.notes.push(format!("member {member} already has weight {weight}"));
            return;
        }
        let path = format!("/spec/members/{place}");
        self.test(format!("{path}/name"), &json!(member));
        self.set(format!("{path}/weight"), before, &json!(weight));
        let was = if before.is_null() { String::new() } else { format!(" (was {before})") };
        self.changes.push(format!("weight of member {member} set to {weight}{was}"));
        if stored.get("dynamicWeight").is_some_and(|it| !it.is_null()) {
            self.notes.push(format!(
                "member {member} has a dynamicWeight: its expression decides, and may use this weight"
            ));
        }
    }

    /// Sets the mode. `spec` is that of the pool as it is stored.
    #[must_use]
    pub fn mode(spec: &Value, mode: Mode) -> Self {
        let mut patch = Self::default();
        let before = spec.get("mode").unwrap_or(&Value::Null);
        let is = if before.is_null() { json!(Mode::default()) } else { before.clone() };
        let name = format!("{mode:?}");
        if is == json!(mode) {
            patch.notes.push(format!("the mode is already {name}"));
            return patch;
        }
        patch.set("/spec/mode".to_owned(), before, &json!(mode));
        patch.changes.push(format!("mode set to {name}"));
        patch
    }

    fn test(&mut self, path: String, value: &Value) {
        self.operations.push(json!({"op": "test", "path": path, "value": value}));
    }

    /// Sets a field that was read as `before`; null: it was not there.
    fn set(&mut self, path: String, before: &Value, value: &Value) {
        if !before.is_null() {
            self.test(path.clone(), before);
        }
        self.operations.push(json!({"op": "add", "path": path, "value": value}));
    }
}

fn no_member(member: &str, members: &[Value]) -> String {
    let names: Vec<&str> = members.iter().filter_map(|it| it["name"].as_str()).collect();
    let more = if names.len() > NAMED { ", ..." } else { "" };
    let known = names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    match names.is_empty() {
        true => format!("there is no member {member}: the pool has no members"),
        false => format!("there is no member {member}: the members are {known}{more}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> Value {
        json!({"capacity": {"cpu": "6"}, "members": [
            {"name": "checkout", "weight": 400, "min": {"cpu": "1"}},
            {"name": "search"},
            {"name": "batch", "weight": 50, "dynamicWeight": {"expression": "weight"}},
        ]})
    }

    fn weights(texts: &[&str]) -> Result<PoolPatch, String> {
        let weights: Vec<MemberWeight> =
            texts.iter().map(|it| member_weight(it)).collect::<Result<_, _>>()?;
        PoolPatch::weights(&spec(), &weights)
    }

    #[test]
    fn a_weight_is_set_where_its_member_was_seen() {
        let patch = weights(&["checkout=600", "search=50"]).unwrap();
        let expected = json!([
            {"op": "test", "path": "/spec/members/0/name", "value": "checkout"},
            {"op": "test", "path": "/spec/members/0/weight", "value": 400},
            {"op": "add", "path": "/spec/members/0/weight", "value": 600},
            {"op": "test", "path": "/spec/members/1/name", "value": "search"},
            {"op": "add", "path": "/spec/members/1/weight", "value": 50},
        ]);
        assert_eq!(json!(patch.operations), expected);
        assert_eq!(
            patch.changes,
            ["weight of member checkout set to 600 (was 400)", "weight of member search set to 50"]
        );
        assert!(patch.notes.is_empty());
    }

    #[test]
    fn what_is_so_already_is_not_written() {
        let patch = weights(&["checkout=400"]).unwrap();
        assert!(patch.operations.is_empty(), "{patch:?}");
        assert_eq!(patch.notes, ["member checkout already has weight 400"]);
        // Without a mode, it is Auto.
        assert!(PoolPatch::mode(&spec(), Mode::Auto).operations.is_empty());
    }

    #[test]
    fn wrong_weights_and_members_are_refused() {
        let error = |text: &str| weights(&[text]).unwrap_err();
        assert_eq!(
            error("chekout=1"),
            "there is no member chekout: the members are checkout, search, batch"
        );
        for text in ["checkout", "=5"] {
            assert!(error(text).ends_with("write MEMBER=WEIGHT"), "{text}");
        }
        for text in ["checkout=0", "checkout=10001", "checkout=-1", "checkout=1.5", "checkout="] {
            assert!(error(text).ends_with("from 1 to 10000"), "{text}");
        }
        assert!(weights(&["search=1", "search=2"]).unwrap_err().contains("named twice"));
    }

    #[test]
    fn a_dynamic_weight_is_pointed_out() {
        assert!(weights(&["batch=60"]).unwrap().notes[0].contains("has a dynamicWeight"));
    }

    #[test]
    fn a_mode_is_set_over_the_one_that_was_seen() {
        let observe = PoolPatch::mode(&spec(), Mode::Observe);
        let expected = json!([{"op": "add", "path": "/spec/mode", "value": "Observe"}]);
        assert_eq!(json!(observe.operations), expected);
        let resume = PoolPatch::mode(&json!({"mode": "Observe"}), Mode::Auto);
        let expected = json!([
            {"op": "test", "path": "/spec/mode", "value": "Observe"},
            {"op": "add", "path": "/spec/mode", "value": "Auto"},
        ]);
        assert_eq!(json!(resume.operations), expected);
        assert_eq!(resume.changes, ["mode set to Auto"]);
    }
}
