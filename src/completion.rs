//! Completion: scripts for shells, and answers to kubectl, which asks `kubectl_complete-weightedshare`.

use std::{ffi::OsString, path::Path};

use clap::CommandFactory;
use clap_complete::{CompletionCandidate, Shell, engine};
use weightedshare::cli::Arguments;

use crate::live::say;

/// The file names of the directory are no completions.
const NO_FILES: u8 = 4;
/// No space follows what was completed.
const NO_SPACE: u8 = 2;

/// Prints the script for a shell.
pub fn script(shell: Shell) -> Result<(), String> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "weightedshare", &mut script);
    say(&String::from_utf8_lossy(&script))
}

/// Prints what the last of these words can become, as kubectl reads it.
pub fn complete(words: Vec<OsString>) -> Result<(), String> {
    let here = std::env::current_dir().ok();
    say(&answer(words, here.as_deref())?)
}

/// The completions, each with a tab and its description, then a line with what the shell is to do.
fn answer(words: Vec<OsString>, here: Option<&Path>) -> Result<String, String> {
    let words: Vec<OsString> = [OsString::from("weightedshare")].into_iter().chain(words).collect();
    let last = words.len() - 1;
    let found = engine::complete(&mut Arguments::command(), words, last, here);
    let found = found.map_err(|error| format!("nothing can be completed: {error}"))?;
    let shown: Vec<&CompletionCandidate> = found.iter().filter(|it| !it.is_hide_set()).collect();
    let is_folder = |it: &&CompletionCandidate| it.get_value().to_string_lossy().ends_with('/');
    let directive = NO_FILES + if shown.iter().any(is_folder) { NO_SPACE } else { 0 };
    let line = |it: &CompletionCandidate| {
        let help = it.get_help().map(ToString::to_string).unwrap_or_default();
        let help = help.lines().next().unwrap_or_default();
        format!("{}\t{help}\n", it.get_value().to_string_lossy())
    };
    Ok(shown.into_iter().map(line).collect::<String>() + &format!(":{directive}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(words: &[&str]) -> String {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        answer(words.iter().map(OsString::from).collect(), Some(here)).unwrap()
    }

    #[test]
    fn verbs_options_and_files_are_completed() {
        let verbs = complete(&["pl"]);
        assert!(verbs.starts_with("plan\tShow what the pods"), "{verbs}");
        assert!(verbs.ends_with("\n:4\n") && verbs.lines().count() == 2, "{verbs}");
        assert!(!complete(&[""]).contains("__complete"));
        assert!(complete(&["plan", "--sel"]).contains("--selector\t"));
        assert!(complete(&["plan", "-o", "ht"]).contains("html\t"));
        let files = complete(&["plan", "-f", "doc"]);
        assert!(files.starts_with("docs/") && files.ends_with(":6\n"), "{files}");
    }
}
