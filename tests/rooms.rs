//! The rooms keep to what ARCHITECTURE.md says of them.

use std::{error::Error, fs, path::Path};

/// The rooms that decide, and the modules that do so in others: they hold no client, wait for nothing, know no clock, and
/// share nothing with other threads.
const PURE: [&str; 9] = [
    "src/api",
    "src/share",
    "src/cluster",
    "src/engine",
    "src/simulate",
    "src/cli",
    "src/metrics/model.rs",
    "src/metrics/measures.rs",
    "src/metrics/record.rs",
];
/// What none of them says.
const IMPURE: [&str; 8] = [
    "Client",
    "async ",
    "tokio",
    "Instant",
    "SystemTime",
    "Timestamp::now",
    "Mutex",
    "std::thread",
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
fn what_decides_is_pure() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pure = Vec::new();
    for room in PURE {
        let path = root.join(room);
        match path.is_dir() {
            true => pure.extend(sources(&path)?),
            false => pure.push((room.to_owned(), fs::read_to_string(path)?)),
        }
    }
    assert!(pure.len() > 80, "{} files", pure.len());
    for (path, source) in pure {
        for word in IMPURE {
            assert!(
                !source.contains(word),
                "{path} has {word:?}: clients and clocks stay at the edges"
            );
        }
    }
    Ok(())
}

/// A room knows those before it, and none after it.
#[test]
fn data_goes_one_way() -> Result<(), Box<dyn Error>> {
    let rooms =
        ["share", "api", "cluster", "metrics", "engine", "simulate", "actuate", "runtime", "cli"];
    // What is sent is counted, and an event has a time.
    let known = [("actuate", "runtime")];
    for (place, room) in rooms.iter().enumerate() {
        let later = rooms[place + 1..].iter().filter(|later| !known.contains(&(*room, **later)));
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(room);
        for (file, source) in sources(&path)? {
            for later in later.clone() {
                let names = source.contains(&format!("crate::{later}::"))
                    || source.lines().any(|line| line.starts_with(&format!("    {later}::")));
                assert!(!names, "{file} knows {later}");
            }
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
