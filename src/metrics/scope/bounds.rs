//! What is too much to be parsed: the parser and all who walk its tree recurse, and compile patterns.

use promql_parser::util::unquote_string;

use super::ScopeError;

/// The longest query.
pub(super) const BYTES: usize = 2048;
/// The most words and signs: no tree is deeper.
pub(super) const WORDS: usize = 500;
/// The most brackets, one inside of the other.
pub(super) const DEPTH: usize = 32;

/// Looks at the text only. It may be wrong about what is not PromQL: the parser refuses that.
pub(super) fn check(query: &str) -> Result<(), ScopeError> {
    if query.len() > BYTES {
        return Err(ScopeError::Long(query.len()));
    }
    let (mut words, mut depth, mut pattern) = (0usize, 0usize, false);
    let mut rest = query;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            _ if c.is_whitespace() => c.len_utf8(),
            '#' => rest.find('\n').unwrap_or(rest.len()),
            '"' | '\'' | '`' => string(rest, c),
            _ if is_word(c) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            _ => c.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        rest = after;
        if c.is_whitespace() || c == '#' {
            continue;
        }
        words += 1;
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            '"' | '\'' if has_strange_escape(token) => {
                return Err(ScopeError::Syntax(
                    "\\ precedes a letter that it cannot escape".to_owned(),
                ));
            }
            '"' | '\'' | '`' if pattern => refuse_repetitions(token)?,
            _ => {}
        }
        pattern = c == '~';
        if words > WORDS {
            return Err(ScopeError::Words);
        }
        if depth > DEPTH {
            return Err(ScopeError::Deep);
        }
    }
    Ok(())
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | ':' | '.')
}

/// The length of the string that the text begins with.
fn string(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' if quote != '`' => escaped = true,
            _ if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// At these the parser panics, which fills the log.
fn has_strange_escape(string: &str) -> bool {
    let mut escaped = false;
    string.chars().any(|c| {
        let strange = escaped && !c.is_ascii();
        escaped = c == '\\' && !escaped;
        strange
    })
}

/// `(((a{99}){99}){99})` takes megabytes.
fn refuse_repetitions(string: &str) -> Result<(), ScopeError> {
    let Ok(pattern) = unquote_string(string) else { return Ok(()) };
    let counts = |after: &str| after.trim_start().starts_with(|c: char| c.is_ascii_digit());
    if pattern.split('{').skip(1).any(counts) { Err(ScopeError::Pattern(pattern)) } else { Ok(()) }
}
