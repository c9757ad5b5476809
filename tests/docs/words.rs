//! Words that readers stumble over. What to write in their place is beside each.

use std::{fs, path::Path};

use super::{Result, documents, root};

/// A word or phrase, and what to write. The shorter ones stand for whole words.
const WORDS: [(&str, &str); 12] = [
    ("he", "they, or the name of the component"),
    ("his", "their, or its"),
    ("him", "them, or it"),
    ("himself", "themselves, or itself"),
    ("nobody", "the component that does not: no controller, no pod; or the passive"),
    ("somebody", "the component that does: another process, a person; or the passive"),
    ("whoever", "those that"),
    ("is to be had", "is available"),
    ("are to be had", "are available"),
    ("has a use for", "needs"),
    ("have a use for", "need"),
    ("of which there is", "the words in another order"),
];
/// Where words count beside the documents.
const FOLDERS: [&str; 6] = ["src", "tests", "benches", "e2e", "charts", "examples"];
/// What is read there.
const KINDS: [&str; 4] = ["rs", "yaml", "tpl", "md"];

/// The texts in a folder, with their paths.
fn texts(folder: &Path, found: &mut Vec<(String, String)>) -> Result {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let kind = path.extension().and_then(|kind| kind.to_str()).unwrap_or_default();
        if path.is_dir() {
            texts(&path, found)?;
        } else if KINDS.contains(&kind) && !path.ends_with(file!()) {
            found.push((path.display().to_string(), fs::read_to_string(&path)?));
        }
    }
    Ok(())
}

/// Whether a phrase is in a text that is in lower case, as whole words.
fn says(text: &str, phrase: &str) -> bool {
    let ends = |it: Option<char>| it.is_none_or(|it| !it.is_alphanumeric() && it != '_');
    text.match_indices(phrase).any(|(at, _)| {
        ends(text[..at].chars().next_back()) && ends(text[at + phrase.len()..].chars().next())
    })
}

#[test]
fn no_text_has_a_word_that_readers_stumble_over() -> Result {
    let mut all: Vec<(String, String)> =
        documents()?.into_iter().map(|(path, text)| (path.display().to_string(), text)).collect();
    for folder in FOLDERS {
        texts(&root().join(folder), &mut all)?;
    }
    assert!(all.len() > 500, "{} texts", all.len());
    let mut found = Vec::new();
    for (path, text) in &all {
        for (i, line) in text.lines().enumerate() {
            let line = line.to_lowercase();
            for (phrase, better) in WORDS {
                if says(&line, phrase) {
                    found.push(format!("{path}:{}: {phrase:?}: write {better}", i + 1));
                }
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    Ok(())
}

#[test]
fn words_count_as_a_whole() {
    assert!(
        says("that he writes", "he")
            && says("(he)", "he")
            && says("it is to be had", "is to be had")
    );
    assert!(!says("the theme", "he") && !says("history", "his") && !says("he_x", "he"));
}
