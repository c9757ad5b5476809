//! What the comparison says of this project is there.

use std::fs;

use super::{Result, code, root};

/// The Makefile, with all that it includes.
pub fn makefile() -> Result<String> {
    let read = |name: &str| fs::read_to_string(root().join(name));
    let mut text = read("Makefile")?;
    let included: Vec<String> =
        text.lines().filter_map(|line| line.strip_prefix("include ")).map(str::to_owned).collect();
    for name in included {
        text += &read(&name)?;
    }
    Ok(text)
}

/// Whether a Makefile has a target.
pub fn has_target(makefile: &str, target: &str) -> bool {
    makefile.lines().any(|line| line.strip_prefix(target).is_some_and(|rest| rest.starts_with(':')))
}

/// The cells of a line of a table, the first of which names the row.
pub fn cells(line: &str) -> Option<Vec<&str>> {
    let inner = line.strip_prefix("| ")?.strip_suffix(" |")?;
    Some(inner.split(" | ").collect())
}

#[test]
fn what_the_comparison_says_of_us_is_there() -> Result {
    let text = fs::read_to_string(root().join("docs/comparison.md"))?;
    let makefile = makefile()?;
    let (mut rows, mut missing) = (0, Vec::new());
    for line in text.lines().filter(|line| !line.starts_with("| |") && !line.starts_with("| ---")) {
        let Some(cells) = cells(line) else { continue };
        assert_eq!(cells.len(), 7, "{line}");
        let ours = cells[6];
        rows += 1;
        if ours == "-" {
            continue;
        }
        let mut shown: Vec<&str> = code(ours).collect();
        assert!(!shown.is_empty(), "{}: nothing shows it", cells[0]);
        shown.retain(|shown| match shown.strip_prefix("make ") {
            Some(target) => !has_target(&makefile, target),
            None => !root().join(shown).exists(),
        });
        missing.extend(shown.into_iter().map(|shown| format!("{}: {shown}", cells[0])));
    }
    assert!(rows > 20, "{rows} rows");
    assert!(missing.is_empty(), "{missing:#?}");
    Ok(())
}
