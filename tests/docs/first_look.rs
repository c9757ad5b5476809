//! `make try` prints what the documents show, and writes the page.

use std::{collections::BTreeMap, env, fs, process::Command};

use super::{Result, root};

/// The outputs of the commands in a text, by command: in a document those of its `console` blocks.
fn outputs(text: &str) -> BTreeMap<&str, String> {
    let mut outputs = BTreeMap::new();
    let mut command = None;
    for line in text.lines() {
        if let Some(next) = line.strip_prefix("$ ") {
            command = Some(next);
        } else if line.starts_with("```") {
            command = None;
        } else if let Some(command) = command {
            *outputs.entry(command).or_insert_with(String::new) += &format!("{line}\n");
        }
    }
    outputs
}

/// Runs `make try` with the program of this build. Returns what it prints.
fn make_try() -> Result<String> {
    let program = concat!("TRY=", env!("CARGO_BIN_EXE_weightedshare"));
    let output = Command::new("sh")
        .args(["-c", &format!("make --no-print-directory try {program} 2>&1")])
        .current_dir(root())
        .env("KUBECONFIG", "/dev/null")
        .output()?;
    let printed = String::from_utf8(output.stdout)?;
    assert!(output.status.success(), "{printed}");
    Ok(printed)
}

#[test]
fn make_try_prints_what_the_documents_show_and_writes_the_page() -> Result {
    // `make docs` is writing what would be read here.
    if env::var_os("WRITE_DOCS").is_some() {
        return Ok(());
    }
    let printed = make_try()?;
    let readme = fs::read_to_string(root().join("README.md"))?;
    let page_of_plan = fs::read_to_string(root().join("docs/plan.md"))?;
    let documents = outputs(&readme).into_iter().chain(outputs(&page_of_plan));
    let documents: BTreeMap<&str, String> = documents.collect();
    let commands: Vec<&str> = printed.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    for verb in ["plan", "explain", "top"] {
        assert!(commands.iter().any(|it| it.split(' ').nth(1) == Some(verb)), "{verb}: {printed}");
    }
    for command in commands {
        let shown = documents.get(command).ok_or_else(|| format!("no document has {command}"))?;
        assert!(printed.contains(&format!("$ {command}\n{shown}")), "{command}\n{shown}{printed}");
    }

    let address = printed.lines().find_map(|line| line.trim().strip_prefix("file://"));
    let page = fs::read_to_string(address.ok_or("no address of a page")?)?;
    for member in ["checkout", "search", "reports"] {
        assert!(page.contains(&format!("<h3>{member}</h3>")), "{member}: {page}");
    }
    // What cannot be resized is named, with its remedy.
    assert!(page.contains("Give its template a cpu or memory request"), "{page}");
    assert!(!page.contains("<script") && !page.contains("http"), "{page}");
    Ok(())
}
