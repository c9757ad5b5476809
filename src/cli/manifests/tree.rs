//! A document as a JSON value, with a limit on what aliases can make of a short text.

use std::{cell::Cell, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// What a document may hold beyond its own length, in bytes: room for honest aliases.
pub(super) const ALIASED: usize = 1 << 20;

/// No document of Kubernetes is nested as deep; one that is much deeper would overflow the stack.
pub(super) const DEPTH: usize = 64;

/// What the readers say too, each of its own limit.
pub(super) const TOO_DEEP: &str = "recursion limit exceeded";

/// Reads a value, as long as there is something left of the budget.
pub(super) struct Tree<'a> {
    /// Bytes that may still be read: one for each value, and one for each byte of a text.
    budget: &'a Cell<usize>,
    depth: usize,
}

/// The budget of a text: no value takes less than a byte of it, unless it is an alias.
pub(super) fn budget(text: &str) -> Cell<usize> {
    // Twice, for an escape such as \L is shorter than the character that it stands for.
    Cell::new(text.len().saturating_mul(2).saturating_add(ALIASED))
}

impl<'a> Tree<'a> {
    pub(super) fn new(budget: &'a Cell<usize>) -> Self {
        Self { budget, depth: 0 }
    }

    fn spend<E: Error>(&self, bytes: usize) -> Result<(), E> {
        let left = self.budget.get().checked_sub(bytes);
        self.budget.set(left.unwrap_or_default());
        left.map(drop).ok_or_else(|| E::custom("too much"))
    }

    fn below<E: Error>(&self) -> Result<Self, E> {
        if self.depth == DEPTH {
            return Err(E::custom(TOO_DEEP));
        }
        Ok(Self { budget: self.budget, depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.spend(1)?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i128<E: Error>(self, value: i128) -> Result<Value, E> {
        self.visit_f64(value as f64)
    }

    fn visit_u128<E: Error>(self, value: u128) -> Result<Value, E> {
        self.visit_f64(value as f64)
    }

    /// A whole number is one, however it is written: to the API server, 1e3 is 1000.
    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        if value.fract() == 0.0 && value.abs() < 9e15 {
            return Ok((value as i64).into());
        }
        let number = Number::from_f64(value);
        number.map(Value::Number).ok_or_else(|| E::custom(format!("{value} is not a number")))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        self.spend(value.len())?;
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self.below()?)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            self.spend(key.len())?;
            let value = entries.next_value_seed(self.below()?)?;
            if map.contains_key(&key) {
                return Err(A::Error::custom(format!("the key {key:?} is there twice")));
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}
