//! What is wrong with an expression, and where.

use std::fmt;

/// Why an expression cannot be used: a place where there is one, and what to write instead.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{}{sentence}", place.map(|place| format!("{place}: ")).unwrap_or_default())]
pub struct Mistake {
    /// Where it is.
    pub place: Option<Place>,
    /// What is wrong, and what to write instead.
    pub sentence: String,
}

impl Mistake {
    /// Something wrong with the expression as a whole.
    pub fn new(sentence: impl Into<String>) -> Self {
        Self { place: None, sentence: sentence.into() }
    }

    /// Something wrong at one character of a text.
    pub fn at(text: &str, offset: usize, sentence: impl Into<String>) -> Self {
        Self { place: Some(Place::of(text, offset)), sentence: sentence.into() }
    }
}

/// A character of an expression, counted as people count.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Place {
    /// The line, from 1; none where there is only one.
    line: Option<usize>,
    /// The column in that line, from 1.
    column: usize,
}

impl Place {
    /// The place of the byte `offset` of a text.
    fn of(text: &str, offset: usize) -> Self {
        let before: String =
            text.char_indices().take_while(|&(at, _)| at < offset).map(|(_, it)| it).collect();
        let line = text.trim_end().contains('\n').then(|| 1 + before.matches('\n').count());
        let column = 1 + before.chars().rev().take_while(|&it| it != '\n').count();
        Self { line, column }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}, ")?;
        }
        write!(f, "column {}", self.column)
    }
}
