//! The disk that all guests start from: a root file system with containerd, the kubelet and what they take. It is made
//! once for each set of versions, and kept in the cache.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tokio::process::Command;

use crate::{
    binaries,
    image::{self, Image, busybox_applets},
    packages::{self, GUEST},
    process::run,
    shared_libraries,
};

/// What the programs are started by; see the scripts themselves.
const SCRIPTS: &[(&str, &str)] = &[
    ("containerd", include_str!("scripts/containerd")),
    ("images", include_str!("scripts/images")),
    ("inittab", include_str!("scripts/inittab")),
    ("kubelet", include_str!("scripts/kubelet")),
    ("setup", include_str!("scripts/setup")),
];

/// What the kubelet and containerd look for and do not bring.
const FILES: &[(&str, &str)] = &[
    ("etc/passwd", "root:x:0:0:root:/:/bin/sh\n"),
    ("etc/group", "root:x:0:\n"),
    ("etc/hosts", "127.0.0.1 localhost\n"),
    ("etc/os-release", "NAME=guest\nID=guest\nPRETTY_NAME=\"Guest of the test harness\"\n"),
    ("etc/resolv.conf", ""),
];

const FOLDERS: &[&str] = &[
    "bin",
    "dev",
    "etc/cni/net.d",
    "etc/kubernetes",
    "images",
    "lib/modules",
    "proc",
    "root",
    "run",
    "sbin",
    "sys",
    "tmp",
    "usr/bin",
    "usr/lib/cni",
    "usr/libexec/kubernetes/volume-plugins",
    "var/lib",
    "var/log/pods",
];

const CNI_PLUGINS: &[&str] = &["host-local", "loopback", "ptp"];

/// How large it seems to the guest. What is not used takes no room.
const SIZE: &str = "6G";

/// The path of the disk, which is made where there is none of these versions. Guests must not write to it.
///
/// # Errors
/// When a program is missing, or the file system cannot be made.
pub(super) async fn ensure() -> Result<PathBuf> {
    let cache = binaries::cache_folder()?;
    let parts = parts()?;
    let disk = cache.join(format!("node-{}.ext4", parts.key()?));
    if disk.is_file() {
        return Ok(disk);
    }
    let _lock = binaries::lock(&cache).await?;
    if disk.is_file() {
        return Ok(disk);
    }
    let building = cache.join(".building-node");
    binaries::remove_if_there(&building)?;
    let root = building.join("root");
    parts.write(&root)?;
    let file = building.join("disk");
    let mut mke2fs = Command::new(packages::find("mke2fs").context("there is no mke2fs")?);
    mke2fs.args([
        "-q",
        "-t",
        "ext4",
        "-O",
        "^has_journal",
        "-m",
        "0",
        "-E",
        "root_owner=0:0",
        "-d",
    ]);
    run(mke2fs.arg(&root).arg(&file).arg(SIZE)).await?;
    std::fs::rename(&file, &disk).with_context(|| format!("make {}", disk.display()))?;
    binaries::remove_if_there(&building)?;
    Ok(disk)
}

/// What goes onto the disk, by its path there.
struct Parts {
    programs: Vec<(String, PathBuf)>,
    libraries: Vec<(String, PathBuf)>,
    images: Vec<(String, Image)>,
}

fn parts() -> Result<Parts> {
    let guest = GUEST.folder().context("what guests are made of is missing: run `e2e build`")?;
    let mut programs = Vec::new();
    for (name, folder) in [("runc", "usr/bin"), ("busybox", "bin")] {
        let found = packages::find(name).with_context(|| format!("there is no {name}"))?;
        programs.push((format!("{folder}/{name}"), found));
    }
    let plugins = packages::cni_folder()?;
    programs
        .extend(CNI_PLUGINS.iter().map(|name| (format!("usr/lib/cni/{name}"), plugins.join(name))));
    let mut dynamic = Vec::new();
    for (_, program) in &programs {
        if shared_libraries::are_taken_by(&read(program)?) {
            dynamic.push(program.clone());
        }
    }
    // What we build is static.
    for name in ["containerd", "containerd-shim-runc-v2", "ctr", "kubelet"] {
        programs.push((format!("usr/bin/{name}"), binaries::program(name)?));
    }
    let libraries = shared_libraries::of(&guest, &dynamic)?;
    let libraries =
        libraries.into_iter().map(|(name, path)| (shared_libraries::place(&name), path));
    let images =
        vec![("pause".to_owned(), image::pause()?), ("busybox".to_owned(), image::busybox()?)];
    Ok(Parts { programs, libraries: libraries.collect(), images })
}

impl Parts {
    /// Another set of programs, scripts or images has another key.
    fn key(&self) -> Result<String> {
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        for (place, path) in self.programs.iter().chain(&self.libraries) {
            let size = std::fs::metadata(path).with_context(|| path.display().to_string())?.len();
            context.update(format!("{place} {} {size}\n", path.display()).as_bytes());
        }
        for (name, content) in SCRIPTS.iter().chain(FILES) {
            context.update(format!("{name}\n{content}").as_bytes());
        }
        for (_, image) in &self.images {
            context.update(&image.archive()?);
        }
        let digest = context.finish();
        Ok(digest.as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect())
    }

    fn write(&self, root: &Path) -> Result<()> {
        for folder in FOLDERS {
            std::fs::create_dir_all(root.join(folder))?;
        }
        for (place, path) in self.programs.iter().chain(&self.libraries) {
            write(&root.join(place), &read(path)?, 0o755)?;
        }
        for applet in busybox_applets()? {
            std::os::unix::fs::symlink("/bin/busybox", root.join("bin").join(applet))?;
        }
        for (name, script) in SCRIPTS {
            write(&root.join("etc").join(name), script.as_bytes(), 0o755)?;
        }
        for (place, content) in FILES {
            write(&root.join(place), content.as_bytes(), 0o644)?;
        }
        for (name, image) in &self.images {
            write(&root.join(format!("images/{name}.tar")), &image.archive()?, 0o644)?;
        }
        Ok(())
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("read {}", path.display()))
}

fn write(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let to_do = || format!("write {}", path.display());
    std::fs::create_dir_all(path.parent().context("a path without a folder")?)
        .with_context(to_do)?;
    std::fs::write(path, content).with_context(to_do)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).with_context(to_do)
}
