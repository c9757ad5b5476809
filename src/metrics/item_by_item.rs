//! Lists of Kubernetes, read one item after the other.

use std::{fmt, io, marker::PhantomData};

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

/// Reads a list, and hands over each of its `items` as soon as it is read.
///
/// # Errors
/// When it cannot be read to its end, or is no list.
pub fn read_items<T: DeserializeOwned>(
    list: impl io::Read,
    take: impl FnMut(T),
) -> Result<(), serde_json::Error> {
    let mut json = serde_json::Deserializer::from_reader(list);
    json.deserialize_map(List(take, PhantomData))
}

/// A list, of which only the items matter.
struct List<F, T>(F, PhantomData<T>);

impl<'de, T: DeserializeOwned, F: FnMut(T)> Visitor<'de> for List<F, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut fields: A) -> Result<(), A::Error> {
        while let Some(field) = fields.next_key::<String>()? {
            if field == "items" {
                fields.next_value_seed(Items(&mut self.0, PhantomData))?;
            } else {
                fields.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// The items of a list.
struct Items<'f, F, T>(&'f mut F, PhantomData<T>);

impl<'de, T: DeserializeOwned, F: FnMut(T)> DeserializeSeed<'de> for Items<'_, F, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        // A list of Go without any item may say null.
        deserializer.deserialize_option(self)
    }
}

impl<'de, T: DeserializeOwned, F: FnMut(T)> Visitor<'de> for Items<'_, F, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("items")
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, items: D) -> Result<(), D::Error> {
        items.deserialize_seq(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element()? {
            (self.0)(item);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Vec<u64>, serde_json::Error> {
        let mut items = Vec::new();
        read_items(json.as_bytes(), |item| items.push(item))?;
        Ok(items)
    }

    #[test]
    fn each_item_is_handed_over() {
        let list = r#"{"kind":"List","metadata":{"items":[7]},"items":[1,2],"more":[3]}"#;
        assert_eq!(read(list).unwrap(), [1, 2]);
        let without = ["{}", r#"{"items":[]}"#, r#"{"items":null}"#];
        assert_eq!(without.map(|list| read(list).unwrap().len()), [0; 3]);
    }

    #[test]
    fn what_breaks_off_is_an_error() {
        let broken = [r#"{"items":[1,"#, "", "[1]", r#"{"items":["one"]}"#, r#"{"items":1}"#];
        assert!(broken.iter().all(|list| read(list).is_err()));
        // What came before is handed over all the same: who reads drops it.
        let mut seen = 0;
        let read = read_items(&b"{\"items\":[1,"[..], |_: u64| seen += 1);
        assert!(read.is_err() && seen == 1, "{seen}");
    }
}
