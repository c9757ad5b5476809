//! Container images without an engine: an OCI layout in a tar, the same bytes for the same content.

use std::{io::Write, path::Path, process::Command};

use anyhow::{Context, Result, bail};
use flate2::{Compression, write::GzEncoder};
use serde_json::{Value, json};

use crate::{packages, shared_libraries};

/// The image of every pod's sandbox.
pub const PAUSE: &str = "weightedshare.dev/e2e/pause:1";
/// busybox with all its applets, for test pods: a shell to spin, sleep and fetch with.
pub const BUSYBOX: &str = "weightedshare.dev/e2e/busybox:1";
/// A service that computes for each request, and says how long its requests took.
pub const SERVICE: &str = "weightedshare.dev/e2e/busy-service:1";

/// An image: one layer, and how to run it.
#[derive(Clone, Debug)]
pub struct Image {
    name: String,
    architecture: &'static str,
    compressed: bool,
    user: String,
    entrypoint: Vec<String>,
    command: Vec<String>,
    layer: Vec<u8>,
}

impl Image {
    /// An image with one layer. `name` is the full reference, with its tag.
    pub fn new(name: impl Into<String>, layer: Layer) -> Result<Self> {
        Ok(Self {
            name: name.into(),
            architecture: of_this_machine(),
            compressed: false,
            user: String::new(),
            entrypoint: Vec::new(),
            command: Vec::new(),
            layer: layer.finish()?,
        })
    }

    /// The user and group that it runs as, in numbers.
    pub fn user(mut self, user: &str) -> Self {
        user.clone_into(&mut self.user);
        self
    }

    /// For machines of this kind, as OCI calls it.
    pub fn architecture(mut self, architecture: &'static str) -> Self {
        self.architecture = architecture;
        self
    }

    /// Compressed, as it is kept in registries. (What stays on one machine is sooner read as it is.)
    pub fn compressed(mut self) -> Self {
        self.compressed = true;
        self
    }

    /// What it runs, whatever the arguments.
    pub fn entrypoint(mut self, words: &[&str]) -> Self {
        self.entrypoint = words.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// What it runs where a pod does not say.
    pub fn command(mut self, words: &[&str]) -> Self {
        self.command = words.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// The full reference, with its tag.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole image as an OCI layout in a tar, for `ctr images import`.
    pub fn archive(&self) -> Result<Vec<u8>> {
        archive(std::slice::from_ref(self))
    }

    /// What a registry keeps of it: the configuration, the layer, the manifest.
    fn blobs(&self) -> Result<[Blob; 3]> {
        let plain = Blob::new("application/vnd.oci.image.layer.v1.tar", self.layer.clone());
        let config = Blob::json("application/vnd.oci.image.config.v1+json", &self.config(&plain));
        let layer = match self.compressed {
            false => plain,
            true => {
                // No name, and no time.
                let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
                encoder.write_all(&self.layer)?;
                Blob::new("application/vnd.oci.image.layer.v1.tar+gzip", encoder.finish()?)
            }
        };
        let manifest = Blob::json(
            "application/vnd.oci.image.manifest.v1+json",
            &json!({
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": config.descriptor(),
                "layers": [layer.descriptor()],
            }),
        );
        Ok([config, layer, manifest])
    }

    fn config(&self, layer: &Blob) -> Value {
        let run = json!({
            "User": self.user,
            "Env": ["PATH=/usr/local/bin:/usr/bin:/bin"],
            "Entrypoint": self.entrypoint,
            "Cmd": self.command,
            "WorkingDir": "/",
        });
        json!({
            "created": "1970-01-01T00:00:00Z",
            "architecture": self.architecture,
            "os": "linux",
            "config": run,
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", layer.digest)]},
            "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "weightedshare e2e"}],
        })
    }
}

/// Images of one name, for machines of different kinds, as one OCI layout in a tar.
pub fn archive(images: &[Image]) -> Result<Vec<u8>> {
    let (mut blobs, mut manifests) = (Vec::new(), Vec::new());
    for image in images {
        let [config, layer, manifest] = image.blobs()?;
        let mut top = manifest.descriptor();
        top["platform"] = json!({"architecture": image.architecture, "os": "linux"});
        top["annotations"] = json!({
            "io.containerd.image.name": image.name,
            "org.opencontainers.image.ref.name": tag(&image.name),
        });
        manifests.push(top);
        blobs.extend([config, layer, manifest]);
    }
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": manifests,
    });
    let mut archive = Layer::new();
    archive.file("oci-layout", 0o644, json!({"imageLayoutVersion": "1.0.0"}).to_string())?;
    archive.file("index.json", 0o644, index.to_string())?;
    for blob in blobs {
        archive.file(&format!("blobs/sha256/{}", blob.digest), 0o644, &blob.bytes)?;
    }
    archive.finish()
}

/// A tar in the making: of root, of no time, in the order in which it is told.
pub struct Layer(tar::Builder<Vec<u8>>);

impl Default for Layer {
    fn default() -> Self {
        Self::new()
    }
}

impl Layer {
    /// An empty one.
    pub fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    /// Adds a directory.
    pub fn directory(&mut self, path: &str, mode: u32) -> Result<()> {
        let mut header = header(tar::EntryType::Directory, mode, 0);
        Ok(self.0.append_data(&mut header, format!("{path}/"), std::io::empty())?)
    }

    /// Adds a file.
    pub fn file(&mut self, path: &str, mode: u32, content: impl AsRef<[u8]>) -> Result<()> {
        let content = content.as_ref();
        let mut header = header(tar::EntryType::Regular, mode, content.len() as u64);
        Ok(self.0.append_data(&mut header, path, content)?)
    }

    /// Adds a symbolic link.
    pub fn link(&mut self, path: &str, target: &str) -> Result<()> {
        let mut header = header(tar::EntryType::Symlink, 0o777, 0);
        Ok(self.0.append_link(&mut header, path, target)?)
    }

    fn finish(self) -> Result<Vec<u8>> {
        Ok(self.0.into_inner()?)
    }
}

/// The operator's image: its static binary and nothing else.
pub fn operator_image(binary: &Path, tag: &str) -> Result<Image> {
    let content = std::fs::read(binary).with_context(|| format!("read {}", binary.display()))?;
    let architecture = of_program(&content).unwrap_or(of_this_machine());
    let mut layer = Layer::new();
    layer.file("weightedshare", 0o755, content)?;
    Ok(Image::new(format!("weightedshare.dev/weightedshare:{tag}"), layer)?
        .architecture(architecture)
        .compressed()
        .user("65532:65532")
        .entrypoint(&["/weightedshare"]))
}

/// The image [`SERVICE`], from the static binary of `busy-service`, which is built beside the operator's.
pub fn service(operator: &Path) -> Result<Image> {
    let binary = operator.with_file_name("busy-service");
    let content = std::fs::read(&binary).with_context(|| format!("read {}", binary.display()))?;
    let mut layer = Layer::new();
    layer.file("busy-service", 0o755, content)?;
    Ok(Image::new(SERVICE, layer)?.entrypoint(&["/busy-service"]))
}

/// The image [`BUSYBOX`], from the distribution's static busybox.
pub fn busybox() -> Result<Image> {
    Ok(Image::new(BUSYBOX, busybox_layer()?)?.command(&["sh"]))
}

/// The image [`PAUSE`]: sleeps, buries orphans, and goes when it is told to.
pub fn pause() -> Result<Image> {
    let script = "trap 'exit 0' TERM INT; while :; do sleep 2147483647 & wait; done";
    Ok(Image::new(PAUSE, busybox_layer()?)?.entrypoint(&["/bin/sh", "-c", script]))
}

/// The names that busybox answers to, without its own.
pub(crate) fn busybox_applets() -> Result<Vec<String>> {
    let busybox = packages::find("busybox").context("there is no busybox: run `e2e build`")?;
    let output = Command::new(&busybox).arg("--list").output().context("run busybox")?;
    let applets = String::from_utf8(output.stdout).context("the applets of busybox")?;
    if !output.status.success() || !applets.lines().any(|applet| applet == "sh") {
        bail!("{} does not tell its applets", busybox.display());
    }
    Ok(applets.lines().filter(|applet| *applet != "busybox").map(str::to_owned).collect())
}

/// The start of an image that has a shell.
pub(crate) fn busybox_layer() -> Result<Layer> {
    let busybox = packages::find("busybox").context("there is no busybox: run `e2e build`")?;
    let mut layer = Layer::new();
    layer.directory("bin", 0o755)?;
    let content = std::fs::read(&busybox)?;
    if shared_libraries::are_taken_by(&content) {
        bail!("{} is not static: install busybox-static", busybox.display());
    }
    layer.file("bin/busybox", 0o755, content)?;
    for applet in busybox_applets()? {
        layer.link(&format!("bin/{applet}"), "busybox")?;
    }
    layer.directory("etc", 0o755)?;
    layer.file("etc/passwd", 0o644, "root:x:0:0:root:/:/bin/sh\n")?;
    layer.file("etc/group", 0o644, "root:x:0:\n")?;
    layer.directory("tmp", 0o1777)?;
    Ok(layer)
}

/// Content that is named by its hash.
struct Blob {
    media_type: &'static str,
    digest: String,
    bytes: Vec<u8>,
}

impl Blob {
    fn new(media_type: &'static str, bytes: Vec<u8>) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, &bytes);
        let digest = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        Self { media_type, digest, bytes }
    }

    fn json(media_type: &'static str, value: &Value) -> Self {
        Self::new(media_type, value.to_string().into_bytes())
    }

    fn descriptor(&self) -> Value {
        json!({
            "mediaType": self.media_type,
            "digest": format!("sha256:{}", self.digest),
            "size": self.bytes.len(),
        })
    }
}

fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn tag(name: &str) -> &str {
    name.rsplit_once(':').map_or("latest", |(_, tag)| tag)
}

/// The kind of machine that a program is for, by the header that all programs of Linux have.
fn of_program(content: &[u8]) -> Option<&'static str> {
    match (content.get(..4)?, content.get(18..20)?) {
        (b"\x7fELF", [0x3e, 0]) => Some("amd64"),
        (b"\x7fELF", [0xb7, 0]) => Some("arm64"),
        _ => None,
    }
}

fn of_this_machine() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, io::Read};

    use flate2::read::GzDecoder;

    use super::*;

    fn entries(archive: &[u8]) -> Result<BTreeMap<String, Vec<u8>>> {
        let mut entries = BTreeMap::new();
        for entry in tar::Archive::new(archive).entries()? {
            let mut entry = entry?;
            let mut content = Vec::new();
            entry.read_to_end(&mut content)?;
            entries.insert(entry.path()?.to_string_lossy().into_owned(), content);
        }
        Ok(entries)
    }

    fn blob<'a>(entries: &'a BTreeMap<String, Vec<u8>>, descriptor: &Value) -> Result<&'a [u8]> {
        let digest = descriptor["digest"].as_str().context("digest")?;
        let bytes = entries.get(&format!("blobs/{}", digest.replace(':', "/"))).context("blob")?;
        assert_eq!(descriptor["size"], bytes.len());
        Ok(bytes)
    }

    #[test]
    fn the_operators_image() -> Result<()> {
        let binary = std::env::temp_dir().join(format!("operator-{}", std::process::id()));
        std::fs::write(&binary, "static")?;
        let archive = operator_image(&binary, "test")?.archive()?;
        std::fs::write(&binary, "static")?;
        let again = operator_image(&binary, "test")?.archive()?;
        std::fs::remove_file(&binary)?;
        assert!(archive == again, "the same content gives the same bytes");

        let entries = entries(&archive)?;
        let index: Value = serde_json::from_slice(&entries["index.json"])?;
        let top = &index["manifests"][0];
        assert_eq!(
            top["annotations"]["io.containerd.image.name"],
            "weightedshare.dev/weightedshare:test"
        );
        let manifest: Value = serde_json::from_slice(blob(&entries, top)?)?;
        let config: Value = serde_json::from_slice(blob(&entries, &manifest["config"])?)?;
        assert_eq!(config["config"]["User"], "65532:65532");
        assert_eq!(config["config"]["Entrypoint"], json!(["/weightedshare"]));
        let mut layer = Vec::new();
        GzDecoder::new(blob(&entries, &manifest["layers"][0])?).read_to_end(&mut layer)?;
        let plain = Blob::new("", layer.clone());
        assert_eq!(config["rootfs"]["diff_ids"][0], plain.descriptor()["digest"]);
        let layer = tests::entries(&layer)?;
        assert_eq!(layer.keys().collect::<Vec<_>>(), ["weightedshare"]);
        Ok(())
    }

    #[test]
    fn one_name_for_two_kinds_of_machines() -> Result<()> {
        let image = |kind: u8| -> Result<Image> {
            let mut program = b"\x7fELF".to_vec();
            program.resize(18, 0);
            program.extend([kind, 0]);
            let path = std::env::temp_dir().join(format!("program-{kind}-{}", std::process::id()));
            std::fs::write(&path, program)?;
            let image = operator_image(&path, "test");
            std::fs::remove_file(&path)?;
            image
        };
        let entries = entries(&archive(&[image(0x3e)?, image(0xb7)?])?)?;
        let index: Value = serde_json::from_slice(&entries["index.json"])?;
        for (at, architecture) in ["amd64", "arm64"].into_iter().enumerate() {
            let top = &index["manifests"][at];
            assert_eq!(top["platform"]["architecture"], architecture);
            let manifest: Value = serde_json::from_slice(blob(&entries, top)?)?;
            let config: Value = serde_json::from_slice(blob(&entries, &manifest["config"])?)?;
            assert_eq!(config["architecture"], architecture);
        }
        Ok(())
    }

    #[test]
    fn tags() {
        assert_eq!(tag(BUSYBOX), "1");
    }
}
