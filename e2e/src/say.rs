//! Words to the person who started us.

use std::{fmt::Display, io::Write};

/// Writes a line to the standard error. Where that is gone (a closed terminal, a pipe without a
/// reader) the line is lost, while `eprintln!` would end us before all is cleared away.
pub fn say(line: impl Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
