//! Files, directories and the standard input: the only part that touches the file system.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use super::{ManifestErrors, Manifests, Place, Problem, object::Found, parse_into};

/// The most that is read of one file, in MiB: more than a large cluster holds.
const MOST: usize = 512;

/// What stands for the standard input.
const STDIN: &str = "-";

/// Reads all manifests of some files and directories. `-` is `stdin`.
///
/// # Errors
/// All that is wrong with any of them.
pub fn read(paths: &[PathBuf], stdin: impl Read) -> Result<Manifests, ManifestErrors> {
    let mut found = Found::default();
    let mut stdin = Some(stdin);
    for path in paths {
        if path.as_os_str() == STDIN {
            // Asked for twice, it is still one text.
            if let Some(stdin) = stdin.take() {
                take(&mut found, "standard input", text(stdin, MOST));
            }
            continue;
        }
        match files(path) {
            Ok(files) => {
                for file in files {
                    take(
                        &mut found,
                        &file.display().to_string(),
                        open(&file).and_then(|file| text(file, MOST)),
                    );
                }
            }
            Err(problem) => found.error(&Place::source(&path.display().to_string()), "", problem),
        }
    }
    Manifests::from_found(found)
}

fn take(found: &mut Found, source: &str, text: Result<String, Problem>) {
    match text {
        Ok(text) => parse_into(found, source, &text),
        Err(problem) => found.error(&Place::source(source), "", problem),
    }
}

/// The file itself, or the manifests in the directory, by name.
fn files(path: &Path) -> Result<Vec<PathBuf>, Problem> {
    if !fs::metadata(path).map_err(unreadable)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        let extension = file.extension().and_then(|extension| extension.to_str());
        if matches!(extension, Some("yaml" | "yml" | "json")) && !file.is_dir() {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() { Err(Problem::NoManifests) } else { Ok(files) }
}

fn open(path: &Path) -> Result<File, Problem> {
    File::open(path).map_err(unreadable)
}

/// The whole text, if it is no longer than `most` MiB.
pub(super) fn text(source: impl Read, most: usize) -> Result<String, Problem> {
    let limit = most << 20;
    let mut bytes = Vec::new();
    source.take(limit as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() > limit {
        return Err(Problem::TooLarge(most));
    }
    String::from_utf8(bytes).map_err(|_| Problem::NotText)
}

fn unreadable(error: io::Error) -> Problem {
    Problem::Unreadable(error.to_string())
}
