//! The documents keep to what the program does.
//!
//! A `console` block is run anew, and must show what comes out of it; it works on the blocks of its document
//! that begin with the name of a file. `make docs` writes what comes out.

mod charts;
mod commands;
mod comparison;
mod decisions;
mod fields;
mod first_look;
mod first_steps;
mod hosting;
mod links;
mod runbooks;
mod testing;
mod words;

use std::{
    env,
    error::Error,
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use serde::Deserialize;
use serde_json::Value;
use weightedshare::{
    api,
    cli::{
        manifests::{self, Manifests},
        plan::Plan,
    },
};

type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The documents beside `docs/`. (The changelog tells of what was.)
const BESIDE_DOCS: [&str; 9] = [
    "ARCHITECTURE.md",
    "CODE_OF_CONDUCT.md",
    "CONTRIBUTING.md",
    "GOVERNANCE.md",
    "README.md",
    "ROADMAP.md",
    "SECURITY.md",
    "charts/weighted-share-crds/README.md",
    "charts/weighted-share/README.md",
];

/// The documents, with their texts: those of `docs/` in all of its folders.
fn documents() -> Result<Vec<(PathBuf, String)>> {
    let mut paths = BESIDE_DOCS.map(|name| root().join(name)).to_vec();
    let mut folders = vec![root().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                paths.push(path);
            }
        }
    }
    paths.sort();
    paths.into_iter().map(|path| Ok((path.clone(), fs::read_to_string(path)?))).collect()
}

/// An empty folder for one document, in which `docs` is that of the repository.
fn folder(document: &Path) -> Result<PathBuf> {
    let name = document.file_stem().unwrap_or_default();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => fs::create_dir_all(&folder)?,
    }
    std::os::unix::fs::symlink(root().join("docs"), folder.join("docs"))?;
    Ok(folder)
}

/// What a command prints in the folder, as in a terminal.
fn run(folder: &Path, command: &str) -> Result<String> {
    let binary = Path::new(env!("CARGO_BIN_EXE_weightedshare")).parent();
    let paths = binary
        .map(Path::to_owned)
        .into_iter()
        .chain(env::var_os("PATH").iter().flat_map(env::split_paths).collect::<Vec<_>>());
    let output = Command::new("sh")
        .args(["-c", &format!("({command}) 2>&1")])
        .current_dir(folder)
        .env("PATH", env::join_paths(paths)?)
        .env("KUBECONFIG", "/dev/null")
        .output()?;
    Ok(String::from_utf8(output.stdout)?)
}

/// The document with what its commands print now, and how many there are.
fn retold(folder: &Path, text: &str) -> Result<(String, usize)> {
    let (mut told, mut commands, mut fence) = (String::new(), 0, "");
    let mut block = String::new();
    for line in text.lines() {
        if let Some(tag) = line.strip_prefix("```") {
            if let ("yaml" | "csv", Some(name)) = (fence, block.lines().next().and_then(file_name))
            {
                fs::write(folder.join(name), &block)?;
            }
            block.clear();
            fence = if fence.is_empty() { tag } else { "" };
        } else if fence == "console" {
            if let Some(command) = line.strip_prefix("$ ") {
                commands += 1;
                told += &format!("{line}\n{}", run(folder, command)?);
            }
            continue;
        } else {
            block += line;
            block.push('\n');
        }
        told += line;
        told.push('\n');
    }
    Ok((told, commands))
}

/// The name in the first line of a block: `# shop.yaml`, and what else it says.
fn file_name(line: &str) -> Option<&str> {
    let name = line.strip_prefix("# ")?.split([' ', ':']).next()?;
    [".yaml", ".csv"].iter().any(|ending| name.ends_with(ending)).then_some(name)
}

#[test]
fn what_the_commands_print_is_what_the_documents_say() -> Result {
    let (mut of_division, mut all) = (0, 0);
    for (path, text) in documents()? {
        let (told, commands) = retold(&folder(&path)?, &text)?;
        if told != text && env::var_os("WRITE_DOCS").is_some() {
            fs::write(&path, &told)?;
        } else if told != text {
            let (is, now) =
                text.lines().zip(told.lines()).find(|(a, b)| a != b).unwrap_or_default();
            panic!("{}:\nit says\n  {is}\nbut now it is\n  {now}", path.display());
        }
        all += commands;
        of_division += if path.ends_with("docs/division.md") { commands } else { 0 };
    }
    assert!(of_division >= 8 && all >= 16, "{of_division} examples of the division, {all} in all");
    Ok(())
}

/// The pieces of a text between backticks, without fenced blocks.
fn code(text: &str) -> impl Iterator<Item = &str> {
    let fenced = text.split("```").step_by(2);
    fenced.flat_map(|part| part.split('`').skip(1).step_by(2))
}

/// Whether the source of a file defines a name.
fn defines(source: &str, name: &str) -> bool {
    let words = source.lines().filter(|line| !line.trim_start().starts_with("//"));
    let ends = |rest: &str| !rest.starts_with(|it: char| it.is_alphanumeric() || it == '_');
    words.into_iter().any(|line| {
        ["fn", "struct", "enum", "const", "type", "mod"].iter().any(|kind| {
            let found = line.split_once(&format!("{kind} {name}"));
            found.is_some_and(|(_, rest)| ends(rest))
        })
    })
}

#[test]
fn the_names_in_the_documents_are_in_the_source() -> Result {
    let mut names = 0;
    for (path, text) in documents()? {
        let in_source =
            |code: &&str| ["src/", "tests/", "e2e/"].iter().any(|it| code.starts_with(it));
        for code in code(&text).filter(in_source).filter(|code| code.contains("::")) {
            let Some((file, name)) = code.split_once("::") else { continue };
            let source = fs::read_to_string(root().join(file))
                .map_err(|error| format!("{}: {code}: {error}", path.display()))?;
            assert!(defines(&source, name), "{}: {file} has no {name}", path.display());
            names += 1;
        }
    }
    assert!(names > 10, "{names} names");
    Ok(())
}

/// Whether the schema of the CRD has a field: `spec.members[].weight`.
fn has_field(crd: &Value, field: &str) -> bool {
    let mut schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    for step in field.split('.') {
        schema = &schema["properties"][step.trim_end_matches("[]")];
        if step.ends_with("[]") {
            schema = &schema["items"];
        }
    }
    !schema.is_null()
}

#[test]
fn the_fields_in_the_documents_are_in_the_crd() -> Result {
    let yaml = api::crd_yaml()?;
    let crds = serde_yaml_ng::Deserializer::from_str(&yaml).map(Value::deserialize);
    let crds: Vec<Value> = crds.collect::<Result<_, _>>()?;
    let has_field = |field: &str| crds.iter().any(|crd| has_field(crd, field));
    let mut fields = 0;
    for (path, text) in documents()? {
        for field in code(&text).filter(|code| code.starts_with("spec.")) {
            assert!(has_field(field), "{}: no CRD has {field}", path.display());
            fields += 1;
        }
    }
    assert!(fields > 10 && !has_field("spec.members[].weigh"), "{fields} fields");
    Ok(())
}

#[test]
fn the_sum_of_the_idea_is_that_of_its_example() -> Result {
    let path = root().join("docs/concepts.md");
    let text = fs::read_to_string(&path)?;
    retold(&folder(Path::new("sum.md"))?, &text)?;
    let manifests =
        fs::read_to_string(Path::new(env!("CARGO_TARGET_TMPDIR")).join("sum/idea.yaml"))?;
    let manifests = Manifests::sort(manifests::parse("idea.yaml", &manifests)?)?;
    let plan = Plan::of(&manifests.looked());
    let pool = &plan.pools[0];
    let members = pool.members.iter().filter_map(|member| member.amounts.cpu);
    let (mut products, mut sum) = (Vec::new(), 0);
    for member in members {
        let demand = member.demand.ok_or("a member whose demand is unknown")?;
        products.push(format!("{}/{demand} x {demand}", member.share));
        sum += member.share;
    }
    let said = format!("{sum} = {}", products.join(" + "));
    assert!(text.contains(&said), "docs/concepts.md does not say: {said}");
    Ok(())
}

/// What stands in quotes in CamelCase and is no reason: kinds, values and words of the API.
const NO_REASONS: [&str; 25] = [
    "Always",
    "Error",
    "Failed",
    "False",
    "In",
    "NamespaceTerminating",
    "Normal",
    "Off",
    "Outdated",
    "Pending",
    "Pod",
    "PodResizeInProgress",
    "PodResizePending",
    "Reconcile",
    "Recreate",
    "RestartContainer",
    "Running",
    "StartProfile",
    "Succeeded",
    "Throttled",
    "True",
    "Unknown",
    "VirtualMachine",
    "Warning",
    "WeightedShare",
];

#[test]
fn every_reason_that_a_user_can_see_is_explained() -> Result {
    let pages = ["docs/troubleshooting.md", "docs/neighbours.md"];
    let explained: String =
        pages.iter().map(|page| fs::read_to_string(root().join(page))).collect::<Result<_, _>>()?;
    let files = ["actuate/resize.rs", "cluster/bounds.rs", "cluster/obstacle.rs", "cluster/pod.rs"];
    let mut files: Vec<_> = files.iter().map(|file| root().join("src").join(file)).collect();
    for folder in ["src/engine", "src/engine/dynamic_weights", "src/engine/hotplug"] {
        for entry in fs::read_dir(root().join(folder))? {
            files.extend(Some(entry?.path()).filter(|path| path.is_file()));
        }
    }
    let (mut known, mut missing) = (0, Vec::new());
    for file in files {
        let source = fs::read_to_string(&file)?;
        let quoted = source.lines().filter(|line| !line.trim_start().starts_with("//"));
        for word in quoted.flat_map(|line| line.split('"').skip(1).step_by(2)) {
            let camel = word.starts_with(|it: char| it.is_ascii_uppercase())
                && word.len() > 1
                && word.chars().all(|it| it.is_ascii_alphabetic());
            if !camel || NO_REASONS.contains(&word) || word.ends_with("Set") {
                continue;
            }
            known += 1;
            if !explained.contains(&format!("`{word}`")) {
                missing.push(format!("{word} of {}", file.display()));
            }
        }
    }
    assert!(known > 50, "{known}");
    assert!(missing.is_empty(), "not explained: {missing:#?}");
    Ok(())
}
