//! The shared libraries of programs, to be copied with them.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

const LOADER: &str = "ld-linux-x86-64.so.2";
/// Where packages have libraries, and where the loader looks by itself.
const LIBRARIES: &[&str] =
    &["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "lib64", "usr/lib64"];

/// Where a library, or the loader, belongs in another file system.
pub(crate) fn place(name: &str) -> String {
    let folder = if name == LOADER { "lib64" } else { LIBRARIES[0] };
    format!("{folder}/{name}")
}

/// Whether a program takes shared libraries: it names its loader.
pub(crate) fn are_taken_by(program: &[u8]) -> bool {
    program.windows(10).any(|window| window == b"/ld-linux-" || window == b"/ld-musl-x")
}

/// The loader in this folder, which runs a program when its path is the argument.
pub(crate) fn loader(root: &Path) -> Result<PathBuf> {
    let loaders = LIBRARIES.iter().map(|folder| root.join(folder).join(LOADER));
    // Links lead out of the folder: to the machine's own.
    let loader = loaders.into_iter().find(|file| file.is_file() && !file.is_symlink());
    loader.with_context(|| format!("there is no {LOADER} in {}", root.display()))
}

/// Where the loader is to look first.
pub(crate) fn search_path(root: &Path) -> Result<OsString> {
    Ok(std::env::join_paths(LIBRARIES.iter().map(|folder| root.join(folder)))?)
}

/// All shared libraries that the binaries take, and the loader, by name. The loader itself finds them: in the folder,
/// and on the machine what is not there.
pub(crate) fn of(root: &Path, binaries: &[PathBuf]) -> Result<BTreeMap<String, PathBuf>> {
    let (loader, path) = (loader(root)?, search_path(root)?);
    let mut found = BTreeMap::from([(LOADER.to_owned(), loader.clone())]);
    for binary in binaries {
        let output = Command::new(&loader)
            .arg("--library-path")
            .arg(&path)
            .arg("--list")
            .arg(binary)
            .output()
            .with_context(|| format!("run {}", loader.display()))?;
        let told = String::from_utf8_lossy(&output.stdout);
        if !output.status.success() {
            let error = String::from_utf8_lossy(&output.stderr);
            bail!("the libraries of {}: {}", binary.display(), error.trim());
        }
        for (name, path) in told.lines().filter_map(library) {
            if name.contains(LOADER) {
                continue;
            }
            if path == "not found" {
                bail!("{} needs {name}, which is nowhere", binary.display());
            }
            found.insert(name.to_owned(), PathBuf::from(path));
        }
    }
    Ok(found)
}

/// The name and the path of a line `name => path (address)`.
fn library(line: &str) -> Option<(&str, &str)> {
    let (name, place) = line.trim().split_once(" => ")?;
    Some((name, place.split_once(" (").map_or(place, |(path, _)| path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_loader_finds_a_library() {
        let line = "\tlibz.so.1 => /c/lib/libz.so.1 (0x00007f2e88f36000)";
        assert_eq!(library(line), Some(("libz.so.1", "/c/lib/libz.so.1")));
        assert_eq!(library("\tlibz.so.1 => not found"), Some(("libz.so.1", "not found")));
        assert_eq!(library("\tlinux-vdso.so.1 (0x00007f2e8a217000)"), None);
    }

    #[test]
    fn where_they_belong() {
        assert_eq!(place("libz.so.1"), "lib/x86_64-linux-gnu/libz.so.1");
        assert_eq!(place(LOADER), "lib64/ld-linux-x86-64.so.2");
    }
}
