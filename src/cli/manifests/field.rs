//! The path of a field, as the API server writes it: `spec.members[0].selector.matchLabels[app]`.

use std::fmt;

/// A path that grows towards the field.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Field(Vec<Step>);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Step {
    Name(String),
    Index(usize),
    Key(String),
}

impl Field {
    pub(super) fn name(&self, name: &str) -> Self {
        self.with(Step::Name(name.to_owned()))
    }

    pub(super) fn item(&self, index: usize) -> Self {
        self.with(Step::Index(index))
    }

    pub(super) fn key(&self, key: &str) -> Self {
        self.with(Step::Key(key.to_owned()))
    }

    fn with(&self, step: Step) -> Self {
        Self(self.0.iter().cloned().chain([step]).collect())
    }

    /// The names alone, as `kubectl explain` takes them.
    pub(super) fn without_indices(&self) -> String {
        let names = self.0.iter().filter_map(|step| match step {
            Step::Name(name) => Some(&**name),
            Step::Index(_) | Step::Key(_) => None,
        });
        names.collect::<Vec<_>>().join(".")
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Name(name) if position == 0 => f.write_str(name)?,
                Step::Name(name) => write!(f, ".{name}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Key(key) => write!(f, "[{key}]")?,
            }
        }
        Ok(())
    }
}
