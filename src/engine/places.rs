//! Nodes by number, as the division counts them. A node keeps its number.

use std::{collections::BTreeMap, sync::Arc};

/// The nodes that were numbered.
#[derive(Clone, Debug, Default)]
pub struct Places {
    numbers: BTreeMap<Arc<str>, u32>,
    names: Vec<Arc<str>>,
}

impl Places {
    /// The number of a node, which it gets if it has none. None: there are no more numbers.
    pub fn number(&mut self, node: &str) -> Option<u32> {
        if let Some(&number) = self.numbers.get(node) {
            return Some(number);
        }
        let number = u32::try_from(self.names.len()).ok()?;
        let name: Arc<str> = node.into();
        self.names.push(name.clone());
        self.numbers.insert(name, number);
        Some(number)
    }

    /// The number of a node that has one.
    #[must_use]
    pub fn known(&self, node: &str) -> Option<u32> {
        self.numbers.get(node).copied()
    }

    /// The name of a node.
    #[must_use]
    pub fn name(&self, number: u32) -> Option<&str> {
        self.names.get(number as usize).map(|name| &**name)
    }

    /// The names, in the order of their numbers.
    #[must_use]
    pub fn names(&self) -> &[Arc<str>] {
        &self.names
    }
}
