//! The page about tests keeps to the tests, to the Makefile's lists, and to the promises.

use std::{collections::BTreeSet, fs, path::Path};

use super::{Result, code, comparison::cells, root};

/// Promises that `make test` leaves to `make nightly`: they take API servers of other versions.
const NIGHTLY_ONLY: [&str; 1] = ["Kubernetes 1.34 or later is needed"];
/// The files without a cluster that `make nightly` runs again, with more cases.
const REPEATED: [&str; 1] = ["tests/faults/main.rs"];

/// A row of one of the two tables.
struct Row {
    promise: String,
    file: String,
    test: String,
    tiers: BTreeSet<String>,
}

fn read(path: &str) -> Result<String> {
    Ok(fs::read_to_string(root().join(path)).map_err(|error| format!("{path}: {error}"))?)
}

/// A text with one space wherever there is space.
fn unwrapped(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The part of a document below a heading.
fn section<'a>(text: &'a str, heading: &str) -> Result<&'a str> {
    let (_, rest) = text.split_once(heading).ok_or(format!("there is no {heading:?}"))?;
    Ok(rest.split("\n## ").next().unwrap_or_default())
}

/// The rows of the table below a heading.
fn rows(heading: &str) -> Result<Vec<Row>> {
    let page = read("docs/testing.md")?;
    let lines = section(&page, heading)?.lines().filter_map(cells).skip(2);
    let row = |cells: Vec<&str>| {
        let [promise, shown_by, tiers] = cells[..] else { return Err(format!("{cells:?}")) };
        let shown_by = code(shown_by).next().and_then(|code| code.split_once("::"));
        let (file, test) = shown_by.ok_or(format!("{promise}: no test"))?;
        let tiers = tiers.split(", ").map(str::to_owned).collect();
        let promise = promise.trim_matches('"').to_owned();
        Ok(Row { promise, file: file.to_owned(), test: test.to_owned(), tiers })
    };
    Ok(lines.map(row).collect::<Result<_, String>>()?)
}

fn of_readme() -> Result<Vec<Row>> {
    rows("## The promises of the README")
}

fn of_security() -> Result<Vec<Row>> {
    rows("## Promises of SECURITY.md")
}

/// The words of a variable of the Makefile.
fn variable(makefile: &str, name: &str) -> Result<BTreeSet<String>> {
    let makefile = makefile.replace("\\\n", " ");
    let line = makefile.lines().find_map(|line| line.strip_prefix(&format!("{name} := ")));
    let words = line.ok_or(format!("the Makefile has no {name}"))?.split_whitespace();
    Ok(words.map(str::to_owned).collect())
}

/// The targets that the recipe of a target makes.
fn made_by(makefile: &str, target: &str) -> BTreeSet<String> {
    let lines = makefile.lines().skip_while(|line| !line.starts_with(&format!("{target}:")));
    let recipe = lines.skip(1).take_while(|line| line.starts_with('\t'));
    let made = recipe.filter_map(|line| line.split_once("$(MAKE) "));
    let words = made.flat_map(|(_, rest)| rest.split_whitespace());
    words.filter(|word| !word.contains(['-', '='])).map(str::to_owned).collect()
}

/// The files on the cluster that a tier runs: those of its list, and those that are a target of the Makefile.
fn files_of(tier: &str) -> Result<BTreeSet<String>> {
    let makefile = read("Makefile")?;
    let (list, target) = match tier {
        "test" => ("CLUSTER_TESTS", "test-cluster"),
        _ => ("NIGHTLY_TESTS", "nightly-cluster"),
    };
    Ok(&variable(&makefile, list)? | &made_by(&makefile, target))
}

/// A test with its attributes and its body, if the source has it.
fn source_of<'a>(source: &'a str, test: &str) -> Option<&'a str> {
    let at = source.find(&format!("fn {test}("))?;
    let begin = source[..at].rfind("\n\n").unwrap_or_default();
    let end = source[at..].find("\n}\n").map_or(source.len(), |end| at + end);
    Some(&source[begin..end])
}

/// The tiers that run a test, as the Makefile and the test say.
fn tiers_of(file: &str, source: &str) -> Result<BTreeSet<String>> {
    let both = BTreeSet::from(["test", "nightly"].map(str::to_owned));
    let Some(path) = file.strip_prefix("e2e/tests/") else {
        let tiers = if REPEATED.contains(&file) { both } else { BTreeSet::from(["test".into()]) };
        return Ok(tiers);
    };
    let name = path.split(['/', '.']).next().unwrap_or_default();
    let mut tiers = BTreeSet::new();
    for tier in both {
        let other = if tier == "test" { "Tier::Nightly" } else { "Tier::Test" };
        let left_out = source.contains(&format!("{other}.is_left_out()"));
        if files_of(&tier)?.contains(name) && !left_out {
            tiers.insert(tier);
        }
    }
    Ok(tiers)
}

#[test]
fn each_test_is_there_and_in_its_tier() -> Result {
    let rows: Vec<Row> = of_readme()?.into_iter().chain(of_security()?).collect();
    for Row { promise, file, test, tiers } in &rows {
        let source = read(file)?;
        let source = source_of(&source, test).ok_or(format!("{promise}: {file} has no {test}"))?;
        assert!(source.contains("test]"), "{promise}: {file}::{test} is no test");
        assert_eq!(&tiers_of(file, source)?, tiers, "{promise}: {file}::{test}");
    }
    assert!(rows.len() > 40, "{} rows", rows.len());
    Ok(())
}

#[test]
fn each_promise_has_a_test_in_make_test() -> Result {
    let rows: Vec<Row> = of_readme()?.into_iter().chain(of_security()?).collect();
    let is_in_test = |row: &&Row| row.tiers.contains("test");
    let shown: BTreeSet<&str> = rows.iter().filter(is_in_test).map(|row| &*row.promise).collect();
    let late: BTreeSet<&str> =
        rows.iter().map(|row| &*row.promise).filter(|promise| !shown.contains(promise)).collect();
    assert_eq!(late, BTreeSet::from(NIGHTLY_ONLY));
    Ok(())
}

#[test]
fn each_line_of_security_is_on_the_page() -> Result {
    let security = read("SECURITY.md")?;
    let rows = of_security()?;
    let mut lines = 0;
    for cells in section(&security, "## Threat model")?.lines().filter_map(cells).skip(2) {
        let [line, _, shown_by] = cells[..] else { return Err(format!("{cells:?}").into()) };
        let row = rows.iter().find(|row| row.promise == line);
        let row = row.ok_or(format!("docs/testing.md does not have: {line}"))?;
        let shown_by: Vec<&str> = code(shown_by).collect();
        assert_eq!(shown_by, [format!("{}::{}", row.file, row.test)], "{line}");
        lines += 1;
    }
    assert!(lines == rows.len() && lines > 15, "{lines} lines, {} rows", rows.len());
    Ok(())
}

/// The paragraphs of a text that claim something: without headings, blocks and pictures.
fn paragraphs(text: &str) -> Vec<String> {
    let prose: String = text.split("```").step_by(2).collect();
    let paragraphs = prose.split("\n\n").map(unwrapped);
    paragraphs.filter(|it| !it.is_empty() && !it.starts_with(['#', '!'])).collect()
}

#[test]
fn each_promise_of_the_readme_is_on_the_page_word_for_word() -> Result {
    let readme = read("README.md")?;
    let (rows, all) = (of_readme()?, unwrapped(&readme));
    for Row { promise, .. } in &rows {
        assert!(all.contains(&unwrapped(promise)), "the README does not say: {promise}");
    }
    let first = readme.split("\n## ").next().unwrap_or_default();
    let mut claims = paragraphs(first);
    let to_know = section(&readme, "\n## Before you start")?;
    let list = to_know.trim().split("\n\n").next().unwrap_or_default();
    claims.extend(format!("\n{list}").split("\n- ").skip(1).map(unwrapped));
    assert!(claims.len() > 9, "{claims:#?}");
    for claim in claims {
        let is_shown = rows.iter().any(|row| claim.contains(&unwrapped(&row.promise)));
        assert!(is_shown, "docs/testing.md names no test of: {claim}");
    }
    Ok(())
}

#[test]
fn the_lists_of_the_makefile_are_the_files_there_are() -> Result {
    let listed = &files_of("test")? | &files_of("nightly")?;
    for entry in fs::read_dir(root().join("e2e/tests"))? {
        let path = entry?.path();
        let is_test = path.extension().is_some() || path.join("main.rs").exists();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        assert!(!is_test || listed.contains(&name), "{name} is in no list of the Makefile");
    }
    for name in ["CLUSTER_TESTS", "NIGHTLY_TESTS"] {
        for file in variable(&read("Makefile")?, name)? {
            let paths = [format!("e2e/tests/{file}.rs"), format!("e2e/tests/{file}/main.rs")];
            let is_there = paths.iter().any(|path| root().join(Path::new(path)).exists());
            assert!(is_there, "{name}: there is no {file}");
        }
    }
    Ok(())
}
