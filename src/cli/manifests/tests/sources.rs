//! Files and directories, and the standard input.

use std::{fs, io, path::PathBuf};

use super::*;

/// A directory that is gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn with(name: &str, files: &[(&str, &[u8])]) -> Self {
        let path =
            std::env::temp_dir().join(format!("weightedshare-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        for (file, text) in files {
            fs::write(path.join(file), text).unwrap();
        }
        Self(path)
    }

    /// What is said to it, without the path of the directory.
    fn said(&self, names: &[&str]) -> Vec<String> {
        let paths: Vec<_> = names.iter().map(|name| self.0.join(name)).collect();
        let errors = read(&paths, io::empty()).unwrap_err();
        let own = format!("{}/", self.0.display());
        errors.to_string().replace(&own, "").lines().map(str::to_owned).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

const POD: &[u8] = b"{apiVersion: v1, kind: Pod, metadata: {name: web}}";

#[test]
fn a_directory_is_its_manifests_by_name() {
    let folder = Folder::with(
        "directory",
        &[
            ("b.yml", b"{apiVersion: v1, kind: Pod, metadata: {name: b}}"),
            ("a.yaml", b"{apiVersion: v1, kind: Pod, metadata: {name: a}}"),
            ("c.json", br#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "c"}}"#),
            ("notes.txt", b"not a manifest"),
        ],
    );
    fs::create_dir(folder.0.join("below.yaml")).unwrap();
    let manifests = read(std::slice::from_ref(&folder.0), io::empty()).unwrap();
    let pods = manifests.cluster.namespaces().flat_map(|(_, it)| it.pods());
    let names: Vec<&str> = pods.map(|pod| pod.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
}

#[test]
fn the_standard_input_is_read_once() {
    let dash = || PathBuf::from("-");
    let manifests = read(&[dash(), dash()], POD).unwrap();
    assert!(manifests.cluster.pod("default", "web").is_some());
    let errors = read(&[dash()], &b"kind: Pod"[..]).unwrap_err();
    assert_eq!(
        errors.to_string(),
        "standard input: document 1, Pod: apiVersion: is missing: write apiVersion: v1"
    );
}

#[test]
fn all_that_is_wrong_with_all_files_is_said() {
    let folder = Folder::with(
        "files",
        &[
            ("bytes.yaml", b"kind: \xff"),
            ("broken.yaml", b"kind: ["),
            ("pod.yaml", POD),
            ("same.yaml", POD),
        ],
    );
    fs::create_dir(folder.0.join("empty")).unwrap();
    let names = ["none.yaml", "bytes.yaml", "empty", "broken.yaml", "pod.yaml", "same.yaml"];
    assert_eq!(
        folder.said(&names),
        [
            "none.yaml: cannot be read: No such file or directory (os error 2): check the path and its permissions",
            "bytes.yaml: is not UTF-8 text: save it as UTF-8",
            "empty: this directory has no manifests: name one with *.yaml, *.yml or *.json files (subdirectories are not read)",
            "broken.yaml: document 1: line 1: unclosed bracket '[': correct it there",
            "same.yaml: document 1, Pod default/web: is also in pod.yaml, document 1, Pod default/web: keep one of them",
        ]
    );
}

#[test]
fn what_does_not_end_is_not_read_to_the_end() {
    let problem = source::text(io::repeat(b'#'), 1).unwrap_err();
    assert_eq!(
        problem.to_string(),
        "is larger than 1 MiB: leave out the objects that the plan does not need"
    );
}
