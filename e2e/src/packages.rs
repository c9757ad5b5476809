//! What comes from the distribution: the OCI runtime, the CNI plugins, busybox, Prometheus and a few tools.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use crate::{binaries, process::run, say::say};

/// A Debian package, and the program that shows that it (or an equal of it) is there.
struct Package {
    name: &'static str,
    program: &'static str,
    why: &'static str,
}

const PACKAGES: &[Package] = &[
    Package { name: "runc", program: "runc", why: "runs the containers" },
    Package { name: "containernetworking-plugins", program: "ptp", why: "the pods' network" },
    Package { name: "busybox-static", program: "busybox", why: "the images of test pods" },
    Package { name: "e2fsprogs", program: "mke2fs", why: "the disk of nodes that are guests" },
    Package { name: "iproute2", program: "ip", why: "the node's network" },
    Package { name: "nftables", program: "nft", why: "kube-proxy" },
    Package { name: "util-linux", program: "unshare", why: "the cluster's namespaces" },
    Package { name: "util-linux", program: "setpriv", why: "no cluster outlives its run" },
    Package { name: "mount", program: "mount", why: "the cluster's file systems" },
    Package { name: "musl-tools", program: "musl-gcc", why: "the operator's static binary" },
];

/// What is only unpacked into our cache: installed, it would run as a service, or bring much that is not needed.
pub(crate) struct Unpacked {
    name: &'static str,
    why: &'static str,
    /// Taken with all that they depend on, except what is named in [`Unpacked::without`].
    packages: &'static [&'static str],
    without: &'static [&'static str],
    /// Taken by themselves.
    alone: &'static [&'static str],
    /// Packages of no content, by distribution: the first that is known leads to the one that is taken, by itself.
    leads_to: &'static [&'static str],
    /// What a whole folder has, by the beginnings of paths.
    holds: &'static [&'static str],
}

const PROMETHEUS: &Unpacked = &Unpacked {
    name: "prometheus",
    why: "the metrics of tests",
    packages: &[],
    without: &[],
    alone: &["prometheus"],
    leads_to: &[],
    holds: &["usr/bin/prometheus"],
};

/// QEMU with its libraries (also those that the machine has, so that no upgrade of it breaks ours), and a kernel.
pub(crate) const GUEST: &Unpacked = &Unpacked {
    name: "guest",
    why: "the virtual machines of tests",
    packages: &["qemu-system-x86"],
    // What is only for displays and networks. The modules of the emulator itself are in the first.
    without: &["qemu-system-common", "ipxe-qemu"],
    alone: &["qemu-system-x86", "qemu-system-common"],
    leads_to: &["linux-image-cloud-amd64", "linux-image-virtual"],
    holds: &["usr/bin/qemu-system-x86_64", "usr/share/seabios/bios-256k.bin", "boot/vmlinuz-"],
};

/// A browser without a window, with its libraries and a font.
pub(crate) const BROWSER: &Unpacked = &Unpacked {
    name: "browser",
    why: "looks at the controller's page",
    packages: &["chromium-headless-shell"],
    without: &["chromium-common"],
    alone: &["chromium-headless-shell", "chromium-common", "fonts-dejavu-core"],
    leads_to: &[],
    holds: &[
        "usr/lib/chromium/chromium-headless-shell",
        "usr/lib/chromium/icudtl.dat",
        "usr/share/fonts/truetype",
    ],
};

/// Where distributions put CNI plugins.
const CNI_FOLDERS: &[&str] = &["/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"];

/// Installs what is missing, or says how to.
pub async fn ensure() -> Result<()> {
    install().await?;
    if find("prometheus").is_none() {
        PROMETHEUS.ensure().await?;
    }
    // Only some tests take what follows: elsewhere they say so.
    let here = cfg!(target_arch = "x86_64") && find("apt-get").is_some();
    if here {
        GUEST.ensure().await?;
    }
    if here
        && browser().is_none()
        && let Err(error) = BROWSER.ensure().await
    {
        // Ubuntu has it as a snap only.
        say(format_args!("no browser, so the page is not looked at: {error:#}"));
    }
    Ok(())
}

/// The program of a browser that is installed.
pub(crate) fn browser() -> Option<PathBuf> {
    ["chromium-headless-shell", "chromium", "google-chrome"].into_iter().find_map(find)
}

async fn install() -> Result<()> {
    let missing: Vec<&Package> =
        PACKAGES.iter().filter(|package| find(package.program).is_none()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut names: Vec<&str> = missing.iter().map(|package| package.name).collect();
    names.dedup();
    for package in &missing {
        say(format_args!(
            "missing: {} (package {}: {})",
            package.program, package.name, package.why
        ));
    }
    let command =
        format!("apt-get update && apt-get install -y --no-install-recommends {}", names.join(" "));
    if find("apt-get").is_none() {
        bail!(
            "install these programs with your distribution's package manager (on Debian: {command})"
        );
    }
    if !rustix::process::geteuid().is_root() {
        bail!("as root, run: {command}");
    }
    say(format_args!("installing: {}", names.join(" ")));
    apt_get(&["update"], None).await?;
    let mut arguments = vec!["install", "-y", "--no-install-recommends"];
    arguments.extend(&names);
    apt_get(&arguments, None).await?;
    match PACKAGES.iter().find(|package| find(package.program).is_none()) {
        Some(package) => {
            bail!("{} is installed, but there is no {}", package.name, package.program)
        }
        None => Ok(()),
    }
}

impl Unpacked {
    /// The folder of the files, if all is there. Its name ends in the version of the day on which it was fetched.
    pub(crate) fn folder(&self) -> Option<PathBuf> {
        let prefix = format!("{}_", self.name);
        let entries = std::fs::read_dir(cache().ok()?).ok()?.flatten();
        let ours = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix));
        ours.map(|entry| entry.path()).filter(|folder| self.is_in(folder)).max()
    }

    fn is_in(&self, folder: &Path) -> bool {
        self.holds.iter().all(|path| beginning_with(&folder.join(path)).is_some())
    }

    /// Fetches what is not there yet and takes its files out, beside the programs that are built. All of one day's
    /// versions into a new folder, which gets its name at the end: an interrupted one does not look whole, and none
    /// is mixed with another.
    async fn ensure(&self) -> Result<()> {
        if self.folder().is_some() {
            return Ok(());
        }
        let Self { name, why, .. } = self;
        if find("apt-get").is_none() || find("dpkg-deb").is_none() {
            bail!("missing: {name} ({why}): install it with your distribution's package manager");
        }
        let cache = cache()?;
        std::fs::create_dir_all(&cache).with_context(|| format!("make {}", cache.display()))?;
        let _lock = binaries::lock(&cache).await?;
        if self.folder().is_some() {
            return Ok(());
        }
        say(format_args!("fetching: {name} ({why})"));
        let building = cache.join(format!(".building-{name}"));
        // The lists may be old or missing, and only root can fetch them.
        let version = match self.fetch(&building).await {
            Ok(version) => version,
            Err(_) => {
                apt_get(&["update"], None).await?;
                self.fetch(&building).await?
            }
        };
        for archive in archives(&building)? {
            let mut dpkg = Command::new("dpkg-deb");
            run(dpkg.arg("--extract").arg(&archive).arg(&building)).await?;
            std::fs::remove_file(&archive)?;
        }
        if !self.is_in(&building) {
            bail!("{name} is unpacked, but not all of {:?} is there", self.holds);
        }
        let folder = cache.join(format!("{name}_{version}"));
        binaries::remove_if_there(&folder)?;
        std::fs::rename(&building, &folder)
            .with_context(|| format!("move {} to {}", building.display(), folder.display()))
    }

    /// Fetches the archives into the folder, and tells the version of the first of [`Unpacked::alone`].
    async fn fetch(&self, folder: &Path) -> Result<String> {
        binaries::remove_if_there(folder)?;
        std::fs::create_dir(folder)?;
        let mut wanted: Vec<String> = self.alone.iter().copied().map(str::to_owned).collect();
        if !self.leads_to.is_empty() {
            wanted.push(self.led_to().await?);
        }
        let mut direct = Vec::new();
        for package in self.packages {
            let of_package = depends(package).await?;
            direct.extend(of_package.into_iter().filter(|it| !self.without.contains(&&**it)));
        }
        if !direct.is_empty() {
            // As on a machine where nothing is installed.
            let nothing = folder.join("nothing");
            std::fs::write(&nothing, "")?;
            let status = format!("Dir::State::status={}", nothing.display());
            let mut arguments =
                vec!["--simulate", "-o", &status, "install", "--no-install-recommends"];
            arguments.extend(direct.iter().map(String::as_str));
            let told = apt_get(&arguments, None).await?;
            wanted.extend(told.lines().filter_map(would_install));
        }
        let mut arguments = vec!["download"];
        arguments.extend(wanted.iter().map(String::as_str));
        apt_get(&arguments, Some(folder)).await?;
        let name = format!("{}_", self.alone[0]);
        let mut names = archives(folder)?
            .into_iter()
            .filter_map(|path| path.file_name().map(|name| name.to_string_lossy().into_owned()));
        let archive = names.find(|archive| archive.starts_with(&name));
        let version = archive.as_deref().and_then(|archive| archive.split('_').nth(1));
        version.map(str::to_owned).with_context(|| format!("apt-get brought no {}", self.alone[0]))
    }

    async fn led_to(&self) -> Result<String> {
        for package in self.leads_to {
            let images = depends(package).await.unwrap_or_default();
            if let Some(image) = images.into_iter().find(|name| name.starts_with("linux-image-")) {
                return Ok(image);
            }
        }
        bail!("apt-cache knows none of {:?}", self.leads_to)
    }
}

/// The first path in its folder that begins like this one.
pub(crate) fn beginning_with(path: &Path) -> Option<PathBuf> {
    let start = path.file_name()?.to_str()?;
    let entries = std::fs::read_dir(path.parent()?).ok()?.flatten();
    let mut found: Vec<PathBuf> = entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(start))
        .map(|entry| entry.path())
        .collect();
    found.sort_unstable();
    found.into_iter().next()
}

fn archives(folder: &Path) -> Result<Vec<PathBuf>> {
    let files = std::fs::read_dir(folder)?.flatten().map(|entry| entry.path());
    Ok(files.filter(|path| path.extension().is_some_and(|it| it == "deb")).collect())
}

/// The packages that a package depends on: of alternatives the first.
async fn depends(package: &str) -> Result<Vec<String>> {
    let output = Command::new("apt-cache")
        .args(["show", "--no-all-versions", package])
        .stdin(Stdio::null())
        .output()
        .await
        .context("run apt-cache")?;
    if !output.status.success() {
        bail!("apt-cache show {package}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(depends_of(&String::from_utf8_lossy(&output.stdout)))
}

fn depends_of(shown: &str) -> Vec<String> {
    let fields = shown.lines().filter_map(|line| line.strip_prefix("Depends: "));
    let names = fields.flat_map(|field| field.split(',')).filter_map(|one| {
        one.split(|c: char| c.is_whitespace() || c == '(' || c == '|' || c == ':')
            .find(|word| !word.is_empty())
    });
    names.map(str::to_owned).collect()
}

/// `name=version` of a line `Inst name (version ...)`.
fn would_install(line: &str) -> Option<String> {
    let (name, rest) = line.strip_prefix("Inst ")?.split_once(' ')?;
    let version = rest.strip_prefix('(')?.split_once(' ')?.0;
    Some(format!("{name}={version}"))
}

fn cache() -> Result<PathBuf> {
    Ok(binaries::cache_folder()?.join("debian"))
}

/// The folder of the CNI plugins.
pub fn cni_folder() -> Result<PathBuf> {
    let folders = CNI_FOLDERS.iter().map(Path::new);
    let found = folders.into_iter().find(|folder| folder.join("ptp").is_file());
    found.map(Path::to_owned).context("no CNI plugins: run `e2e build`")
}

/// The path of a program, wherever it is installed (`sbin` is not on every user's `PATH`).
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].iter().chain(CNI_FOLDERS);
    let unpacked = PROMETHEUS.folder().map(|folder| folder.join("usr/bin"));
    std::env::split_paths(&path)
        .chain(more.map(PathBuf::from))
        .chain(unpacked)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// Runs it, and returns what it says.
async fn apt_get(arguments: &[&str], folder: Option<&Path>) -> Result<String> {
    let mut command = Command::new("apt-get");
    if let Some(folder) = folder {
        command.current_dir(folder);
    }
    let output = command
        .args(["-qq", "-o", "DPkg::Lock::Timeout=300"])
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .output()
        .await
        .context("run apt-get")?;
    if !output.status.success() {
        bail!(
            "apt-get {}: {}\n{}",
            arguments.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_alternatives_is_what_a_package_depends_on() {
        let shown = "Package: a\nPre-Depends: x\nDepends: libc6 (>= 2.34), b:any, c | d, e(>= 1)\nSize: 1\n";
        assert_eq!(depends_of(shown), ["libc6", "b", "c", "e"]);
        assert!(depends_of("Package: a\n").is_empty());
    }

    #[test]
    fn what_apt_would_install() {
        let line = "Inst libc6 (2.36-9+deb12u14 Debian:12.15/oldstable [amd64]) []";
        assert_eq!(would_install(line).as_deref(), Some("libc6=2.36-9+deb12u14"));
        assert_eq!(would_install("Conf libc6 (2.36-9 Debian:12 [amd64])"), None);
    }
}
