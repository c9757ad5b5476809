//! Nodes that are virtual machines, with a kernel of their own and cgroup v2 only. They join the cluster as any node
//! does, and can be silenced, lost, and joined again.
//!
//! A guest runs under QEMU's emulator: it is some ten times slower than the host, and its kernel divides the CPU as any
//! other does. Each has one CPU, so that what a pod gets of it is what its weight says.

mod boot;
mod disk;

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result, bail, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{Api, Client};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
    time::timeout,
};

use crate::{
    Cluster, certificates,
    cgroups::{self, Cgroup, Cgroups},
    cpu_time::{self, Reading},
    image::Image,
    network,
    node::configuration::Layout,
    node_object::NodeObject,
    packages::GUEST,
    process::{Process, Processes},
    run_dir::RunDir,
    shared_libraries,
};

/// The label, and the taint, of every guest. Pods that are to run there need [`toleration`].
pub const GUESTS: (&str, &str) = ("e2e.weightedshare.dev/node", "guest");
/// The numbers that guests can have: certificates are made for these.
pub const NUMBERS: std::ops::RangeInclusive<u8> = 2..=5;

/// The emulator shares the machine with everything else.
const PATIENCE: Duration = Duration::from_secs(180);
/// How long a script in a guest may take.
const ANSWER: Duration = Duration::from_secs(60);
const SHELL: u16 = 7000;

/// How large a guest is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Virtual CPUs.
    pub cpus: u8,
    /// Memory in MiB.
    pub memory: u32,
}

impl Default for Size {
    fn default() -> Self {
        Self { cpus: 1, memory: 1536 }
    }
}

/// A guest that runs. Dropping it ends the guest, and deletes its Node object and the pods there.
pub struct GuestNode {
    number: u8,
    client: Client,
    processes: Processes,
    id: u32,
    // Declared after the processes, so it is deleted once the guest has ended.
    object: NodeObject,
}

/// The name of the node with this number.
#[must_use]
pub fn name(number: u8) -> String {
    format!("node-{number}")
}

impl GuestNode {
    /// Starts the guest with this number and waits until it is Ready. A node that was lost joins again under its number.
    ///
    /// # Errors
    /// On a machine that is not x86_64, on a cluster that is not ours, and when it is not Ready in time; then the end
    /// of its console is in the error.
    pub async fn start(cluster: &Cluster, number: u8, size: Size) -> Result<Self> {
        ensure!(NUMBERS.contains(&number), "a guest has one of the numbers {NUMBERS:?}");
        if !cfg!(target_arch = "x86_64") {
            bail!(
                "a guest takes an x86_64 machine: on another kind, the tests on the host's own node and on \
                 CLUSTER=current can be run"
            );
        }
        let run_dir = cluster.own()?;
        let client = cluster.client().await?;
        let disk = disk::ensure().await?;
        let initramfs = run_dir.path(&format!("{}.initramfs", name(number)));
        std::fs::write(&initramfs, boot::initramfs(&files(run_dir, number)?)?)?;
        let device = device(number);
        // It may be left from one that was lost.
        let _ = network::unwire_guest(&device, number).await;
        network::wire_guest(&device, number).await?;
        let command = emulator(&disk, &initramfs, number, size)?;
        let process = Process::start(&name(number), &run_dir.logs(), command)?;
        let id = process.id().context("QEMU has ended")?;
        let processes = Processes::default();
        processes.add(process).await;
        let object = NodeObject::of(&name(number));
        let guest = Self { number, client, processes, id, object };
        guest.wait_ready().await?;
        Ok(guest)
    }

    /// The name of its node.
    #[must_use]
    pub fn name(&self) -> String {
        name(self.number)
    }

    /// Waits until pods can run there.
    ///
    /// # Errors
    /// When that takes too long, or QEMU ends.
    pub async fn wait_ready(&self) -> Result<()> {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let name = self.name();
        let probe = async || {
            let node = nodes.get(&name).await?;
            let boot = self.shell("cat /proc/sys/kernel/random/boot_id").await?;
            let info = node.status.as_ref().and_then(|status| status.node_info.as_ref());
            // Until it has joined again, it is what it was before it was lost.
            ensure!(info.is_some_and(|info| info.boot_id == boot.trim()), "it has not joined yet");
            crate::node::is_ready(&node)
        };
        self.processes.wait_for(&name, "is Ready", PATIENCE, probe).await
    }

    /// Stands still, so that nothing on it answers, until the value that is returned goes.
    ///
    /// # Errors
    /// When QEMU has ended.
    pub fn silence(&self) -> Result<Silence> {
        let process = Pid::from_raw(self.id.cast_signed()).context("a process")?;
        kill_process(process, Signal::STOP).with_context(|| format!("stop {}", self.name()))?;
        Ok(Silence { process })
    }

    /// Ends it at once, as a power cut does. Returns its Node object, which stays in the cluster until that is dropped.
    ///
    /// # Errors
    /// When it cannot be ended.
    pub async fn lose(self) -> Result<NodeObject> {
        self.processes.kill(&self.name()).await?;
        Ok(self.object)
    }

    /// Runs a script in the guest and returns what it says on its output.
    ///
    /// # Errors
    /// When the guest does not answer, or the script fails.
    pub async fn shell(&self, script: &str) -> Result<String> {
        // The status is in the last line, since a connection has none.
        let script = format!("( {script}\n) 2>&1; echo; echo $?\nexit\n");
        let told = self.send(script.as_bytes()).await?;
        let (output, status) = told.trim_end().rsplit_once('\n').unwrap_or(("", told.trim_end()));
        ensure!(status == "0", "{}: {script}: {output} (status {status})", self.name());
        Ok(output.to_owned())
    }

    /// Makes a small image known to it: of some hundred KiB, as it is sent as text.
    ///
    /// # Errors
    /// When it does not take it.
    pub async fn import(&self, image: &Image) -> Result<()> {
        const FILE: &str = "/tmp/image.tar";
        let text = BASE64_STANDARD.encode(image.archive()?);
        let lines: Vec<&str> =
            text.as_bytes().chunks(1024).filter_map(|it| str::from_utf8(it).ok()).collect();
        let script = format!(
            "base64 -d > {FILE} << 'END'\n{}\nEND\nctr --namespace k8s.io images import {FILE} > /dev/null && rm {FILE}",
            lines.join("\n")
        );
        self.shell(&script).await.with_context(|| image.name().to_owned()).map(drop)
    }

    /// What the guest's kernel says in these files of cgroups, in their order.
    ///
    /// # Errors
    /// When one of them is not there.
    pub async fn read(&self, files: &[PathBuf]) -> Result<Vec<String>> {
        const END: &str = "== end of file ==";
        let each =
            files.iter().map(|file| format!("cat {} || exit 1; echo '{END}';", file.display()));
        let told = self.shell(&each.collect::<String>()).await?;
        let mut contents: Vec<String> = told.split(END).map(|it| it.trim().to_owned()).collect();
        contents.pop();
        ensure!(
            contents.len() == files.len(),
            "{} of {} files: {told}",
            contents.len(),
            files.len()
        );
        Ok(contents)
    }

    /// The CPU time that each pod has had, all at one moment, on the guest's own clock.
    ///
    /// # Errors
    /// When a pod has no cgroup there.
    pub async fn cpu_times(&self, pods: &[&Pod]) -> Result<Vec<Reading>> {
        let mut files = vec![PathBuf::from("/proc/uptime")];
        for pod in pods {
            files.push(cgroup(pod)?.file("cpu", "cpu.stat"));
        }
        let contents = self.read(&files).await?;
        let uptime = contents[0].split(' ').next().and_then(|it| it.parse::<f64>().ok());
        let at = (uptime.with_context(|| format!("an uptime: {}", contents[0]))? * 1e9) as i128;
        let used = |stat: &String| cgroups::usage(stat).context("no usage_usec in cpu.stat");
        contents[1..].iter().map(|stat| Ok(Reading { used: used(stat)?, at })).collect()
    }

    async fn send(&self, bytes: &[u8]) -> Result<String> {
        let address = (network::node_address(self.number), SHELL);
        let exchange = async {
            let mut stream = TcpStream::connect(&address).await?;
            stream.write_all(bytes).await?;
            stream.shutdown().await?;
            let mut told = Vec::new();
            stream.read_to_end(&mut told).await?;
            Ok::<_, std::io::Error>(String::from_utf8_lossy(&told).into_owned())
        };
        let told = timeout(ANSWER, exchange)
            .await
            .with_context(|| format!("{} is silent", self.name()))?;
        told.with_context(|| format!("ask {}", self.name()))
    }
}

/// A guest that stands still until this value goes.
#[must_use]
pub struct Silence {
    process: Pid,
}

impl Drop for Silence {
    fn drop(&mut self) {
        let _ = kill_process(self.process, Signal::CONT);
    }
}

/// The toleration of pods that may run on guests.
#[must_use]
pub fn toleration() -> Value {
    let (key, value) = GUESTS;
    json!({"key": key, "value": value, "effect": "NoSchedule"})
}

/// The cgroup of a pod on a guest.
///
/// # Errors
/// When the pod has no UID or QoS class yet.
pub fn cgroup(pod: &Pod) -> Result<Cgroup> {
    cpu_time::cgroup_among(&Cgroups::unified(), pod)
}

fn device(number: u8) -> String {
    format!("guest{number}")
}

/// The files of one node, by their path there.
fn files(run_dir: &RunDir, number: u8) -> Result<Vec<(&'static str, String)>> {
    let certificate = |file: &str| {
        let file = certificates::folder_of_guest(run_dir, number).join(file);
        std::fs::read_to_string(&file).with_context(|| file.display().to_string())
    };
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let (key, value) = GUESTS;
    let node = format!(
        "NAME={}\nADDRESS={}\nGATEWAY={}\nCLOCK={clock}\nLABELS={key}={value}\nTAINTS={key}={value}:NoSchedule\n",
        name(number),
        network::node_address(number),
        network::NODE,
    );
    let layout = layout();
    let cni = network::cni(&network::pods_of(number), "/var/lib/cni".as_ref());
    Ok(vec![
        ("etc/node.conf", node),
        ("etc/containerd.toml", layout.containerd()),
        ("etc/cni/net.d/10-pods.conflist", cni.to_string()),
        ("etc/kubernetes/kubelet.json", layout.kubelet().to_string()),
        ("etc/kubernetes/ca.crt", std::fs::read_to_string(run_dir.certificates().join("ca.crt"))?),
        ("etc/kubernetes/kubelet.crt", certificate("kubelet.crt")?),
        ("etc/kubernetes/kubelet.key", certificate("kubelet.key")?),
        ("etc/kubernetes/kubelet-server.crt", certificate("kubelet-server.crt")?),
        ("etc/kubernetes/kubelet-server.key", certificate("kubelet-server.key")?),
        ("etc/kubernetes/kubelet.kubeconfig", certificate("kubelet.kubeconfig")?),
    ])
}

/// Where a guest has its files: where every machine has them.
fn layout() -> Layout {
    let kubernetes = PathBuf::from(certificates::GUEST_FOLDER);
    Layout {
        authority: kubernetes.join("ca.crt"),
        certificate: kubernetes.join("kubelet-server.crt"),
        key: kubernetes.join("kubelet-server.key"),
        containerd: "/var/lib/containerd".into(),
        state: "/run/containerd/state".into(),
        socket: "/run/containerd/containerd.sock".into(),
        runc: "/usr/bin/runc".into(),
        cni_plugins: "/usr/lib/cni".into(),
        cni_configuration: "/etc/cni/net.d".into(),
        pod_logs: "/var/log/pods".into(),
        volume_plugins: "/usr/libexec/kubernetes/volume-plugins".into(),
        resolv_conf: "/etc/resolv.conf".into(),
    }
}

/// QEMU from our own folder, with the libraries and the loader that came with it.
fn emulator(disk: &Path, initramfs: &Path, number: u8, size: Size) -> Result<Command> {
    let root = GUEST.folder().context("what guests are made of is missing: run `e2e build`")?;
    let mut command = Command::new(shared_libraries::loader(&root)?);
    command.arg("--library-path").arg(shared_libraries::search_path(&root)?);
    command.arg(root.join("usr/bin/qemu-system-x86_64"));
    command.env("QEMU_MODULE_DIR", root.join("usr/lib/x86_64-linux-gnu/qemu"));
    command
        .arg("-L")
        .arg(root.join("usr/share/seabios"))
        .arg("-L")
        .arg(root.join("usr/share/qemu"));
    command.args([
        "-nodefaults",
        "-no-user-config",
        "-no-reboot",
        "-display",
        "none",
        "-monitor",
        "none",
    ]);
    command.args([
        "-serial",
        "stdio",
        "-machine",
        "pc,hpet=off",
        "-accel",
        "tcg,thread=multi,tb-size=256",
    ]);
    command.args(["-cpu", "max", "-smp", &size.cpus.to_string(), "-m", &size.memory.to_string()]);
    command.arg("-kernel").arg(boot::kernel()?).arg("-initrd").arg(initramfs);
    command.args([
        "-append",
        "console=ttyS0 quiet panic=-1 nokaslr mitigations=off nowatchdog noautogroup psi=1 \
        cgroup_no_v1=all random.trust_cpu=on",
    ]);
    // Writes go to a file of QEMU's own, which goes with it.
    command.arg("-drive").arg(format!("file={},format=raw,if=virtio,snapshot=on", disk.display()));
    command.arg("-netdev");
    command.arg(format!("tap,id=net0,ifname={},script=no,downscript=no", device(number)));
    command.arg("-device");
    command.arg(format!("virtio-net-pci,netdev=net0,romfile=,mac=52:54:00:63:00:{number:02x}"));
    Ok(command)
}
