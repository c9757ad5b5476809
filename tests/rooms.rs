//! The rooms keep to what ARCHITECTURE.md says of them.

use std::{error::Error, fs, path::Path};

/// The rooms that decide: they hold no client, and know no clock.
const PURE: [&str; 4] = ["src/api", "src/share", "src/cli", "src/controller/weight"];
/// The pure stages of the controller's turn.
const PURE_STAGES: [&str; 11] = [
    "weigh",
    "claim",
    "coarse_weights",
    "nodes",
    "play",
    "divide",
    "shares",
    "moves",
    "standing",
    "report",
    "admission",
];

fn sources(folder: &Path) -> Result<Vec<(String, String)>, Box<dyn Error>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.ends_with("tests") {
            continue;
        } else if path.is_dir() {
            found.extend(sources(&path)?);
        } else {
            found.push((path.display().to_string(), fs::read_to_string(&path)?));
        }
    }
    Ok(found)
}

#[test]
fn only_the_two_ends_hold_a_client() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pure = Vec::new();
    for room in PURE {
        pure.extend(sources(&root.join(room))?);
    }
    for stage in PURE_STAGES {
        let path = root.join(format!("src/controller/{stage}.rs"));
        pure.push((path.display().to_string(), fs::read_to_string(&path)?));
    }
    assert!(pure.len() > 15, "{} files", pure.len());
    for (path, source) in pure {
        for word in ["Client", "async ", "Instant", "SystemTime", "Timestamp::now"] {
            assert!(
                !source.contains(word),
                "{path} has {word:?}: clients and clocks stay at the ends"
            );
        }
    }
    Ok(())
}

#[test]
fn share_knows_nothing_but_itself() -> Result<(), Box<dyn Error>> {
    for (path, source) in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/share"))? {
        for word in ["kube::", "k8s_openapi", "tokio", "crate::", "as f64", "as f32"] {
            let foreign = source.lines().filter(|line| !line.trim_start().starts_with("//"));
            let foreign = foreign.filter(|line| line.contains(word)).collect::<Vec<_>>();
            assert!(foreign.is_empty(), "{path}: {foreign:?}");
        }
    }
    Ok(())
}
