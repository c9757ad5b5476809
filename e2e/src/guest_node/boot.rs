//! What a guest boots from: the kernel, and an initramfs with the modules for the disk and the files of this one node.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::{
    cpio::Cpio,
    packages::{self, GUEST, beginning_with},
};

const INIT: &str = include_str!("scripts/init");

/// The modules of the kernel that are loaded, in this order. Some kernels have some of them built in.
const MODULES: &[&str] = &[
    "virtio_ring",
    "virtio",
    "virtio_pci_legacy_dev",
    "virtio_pci_modern_dev",
    "virtio_pci",
    "virtio_blk",
    "failover",
    "net_failover",
    "virtio_net",
    "overlay",
    "veth",
];

/// The kernel: cgroup v2 only, with PSI.
pub(super) fn kernel() -> Result<PathBuf> {
    beginning_with(&folder()?.join("boot/vmlinuz-")).context("there is no kernel for guests")
}

/// The initramfs. `files` are those of the node, by their path there.
pub(super) fn initramfs(files: &[(&str, String)]) -> Result<Vec<u8>> {
    let busybox = packages::find("busybox").context("there is no busybox: run `e2e build`")?;
    let mut archive = Cpio::default();
    for folder in ["bin", "dev", "proc", "root", "modules", "node"] {
        archive.directory(folder);
    }
    archive.console();
    archive.file("bin/busybox", 0o755, std::fs::read(&busybox)?);
    archive.file("init", 0o755, INIT);
    let mut order = String::new();
    for (name, content) in modules()? {
        archive.file(&format!("modules/{name}"), 0o644, content);
        order.push_str(&name);
        order.push('\n');
    }
    archive.file("modules/order", 0o644, order);
    let mut made: Vec<PathBuf> = Vec::new();
    for (path, content) in files {
        let place = Path::new("node").join(path);
        let folders: Vec<&Path> = place.ancestors().skip(1).collect();
        for folder in folders.into_iter().rev().filter(|it| !it.as_os_str().is_empty()) {
            if !made.iter().any(|it| it == folder) {
                archive.directory(&folder.to_string_lossy());
                made.push(folder.to_owned());
            }
        }
        archive.file(&place.to_string_lossy(), 0o600, content);
    }
    Ok(archive.finish())
}

/// Each module that is not built in, by the name of its file.
fn modules() -> Result<Vec<(String, Vec<u8>)>> {
    let kernel = kernel()?;
    let name = kernel.file_name().unwrap_or_default().to_string_lossy();
    let folder = folder()?.join("lib/modules").join(name.trim_start_matches("vmlinuz-"));
    let mut files = Vec::new();
    list(&folder.join("kernel"), &mut files)?;
    let mut found = Vec::new();
    for name in MODULES {
        let file = files.iter().find(|file| {
            let file = file.file_name().unwrap_or_default().to_string_lossy().replace('-', "_");
            file.split('.').next() == Some(name)
        });
        // Without a file, it is built in.
        let Some(file) = file else { continue };
        let content = std::fs::read(file).with_context(|| file.display().to_string())?;
        found.push((format!("{name}.ko"), plain(file, content)?));
    }
    Ok(found)
}

/// The module as the kernel takes it.
fn plain(file: &Path, content: Vec<u8>) -> Result<Vec<u8>> {
    let program = match file.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        Some("gz") => "gzip",
        _ => return Ok(content),
    };
    let program = packages::find(program)
        .with_context(|| format!("{} takes {program}: install it", file.display()))?;
    let output = std::process::Command::new(program).arg("-dc").arg(file).output()?;
    if !output.status.success() {
        bail!("{}: {}", file.display(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output.stdout)
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => list(&entry.path(), files)?,
            false => files.push(entry.path()),
        }
    }
    Ok(())
}

fn folder() -> Result<PathBuf> {
    GUEST.folder().context("what guests are made of is missing: run `e2e build`")
}
