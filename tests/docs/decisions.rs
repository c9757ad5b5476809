//! Each decision has a page of one form, and the design rationale links to it.

use std::fs;

use super::{Result, root};

/// The parts of a page, in order.
const PARTS: [&str; 4] = ["## Context", "## Decision", "## Alternatives", "## Consequences"];

#[test]
fn each_decision_has_a_page_of_one_form_that_the_design_links_to() -> Result {
    let design = fs::read_to_string(root().join("docs/design.md"))?;
    let folder = root().join("docs/adr");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    for (at, name) in names.iter().enumerate() {
        let number = at + 1;
        assert!(name.starts_with(&format!("{number:04}-")), "{name} is not number {number}");
        let text = fs::read_to_string(folder.join(name))?;
        let titled = text.strip_prefix(&format!("# {number}. "));
        let title = titled
            .and_then(|rest| rest.lines().next())
            .ok_or(format!("{name} does not begin with its number and title"))?;
        let parts: Vec<&str> = text.lines().filter(|line| line.starts_with("## ")).collect();
        assert_eq!(parts, PARTS, "{name}");
        assert!(text.lines().count() <= 40, "{name} is longer than a page");
        let link = format!("{number}. [{title}](adr/{name})");
        assert!(design.lines().any(|line| line == link), "docs/design.md does not have {link}");
    }
    assert!(names.len() >= 10, "{names:?}");
    Ok(())
}
