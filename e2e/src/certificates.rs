//! The cluster's certificates, and the kubeconfigs that hold them.

use std::{
    fs::OpenOptions,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use serde_json::json;

use crate::{guest_node, network, node, run_dir::RunDir};

/// Where the API server is.
pub const SERVER: &str = "https://10.99.0.1:6443";

/// Makes all of them.
pub fn create(run_dir: &RunDir) -> Result<()> {
    let folder = run_dir.certificates();
    let ca = Authority::create(&folder, "ca")?;
    // One of its own: a certificate of it may speak for everybody.
    let front = Authority::create(&folder, "front-proxy-ca")?;
    front.issue(&folder, "front-proxy-client", "front-proxy-client", None, &[])?;

    let server_names = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
        "localhost",
        "127.0.0.1",
        network::NODE,
        network::API_SERVICE,
    ];
    ca.issue(&folder, "apiserver", "kube-apiserver", None, &server_names)?;
    ca.issue(&folder, "kubelet-server", node::NAME, None, &[node::NAME, network::NODE])?;
    let metrics_names = ["metrics-server.kube-system.svc", network::NODE];
    ca.issue(&folder, "metrics-server-server", "metrics-server", None, &metrics_names)?;

    let masters = Some("system:masters");
    ca.issue(&folder, "apiserver-kubelet-client", "kube-apiserver-kubelet-client", masters, &[])?;
    let node_user = format!("system:node:{}", node::NAME);
    let clients = [
        ("admin", "admin", masters),
        // Not the administrator, so that the audit log tells its writes from those of a test.
        ("kwok", "kwok", masters),
        ("kube-controller-manager", "system:kube-controller-manager", None),
        ("kube-scheduler", "system:kube-scheduler", None),
        ("kube-proxy", "system:kube-proxy", None),
        ("metrics-server", "system:metrics-server", None),
        ("prometheus", "prometheus", None),
        ("kubelet", node_user.as_str(), Some("system:nodes")),
    ];
    for (name, user, group) in clients {
        ca.issue(&folder, name, user, group, &[])?;
        write_kubeconfig(&folder, &folder, name)?;
    }
    for number in guest_node::NUMBERS {
        create_for_guest(run_dir, &ca, number)?;
    }

    let tokens = KeyPair::generate()?;
    write(&folder.join("service-accounts.key"), &tokens.serialize_pem())?;
    write(&folder.join("service-accounts.pub"), &tokens.public_key_pem())
}

/// Where a guest has its certificates.
pub(crate) const GUEST_FOLDER: &str = "/etc/kubernetes";

/// Where those of a guest are kept until it starts.
pub(crate) fn folder_of_guest(run_dir: &RunDir, number: u8) -> PathBuf {
    run_dir.certificates().join(guest_node::name(number))
}

fn create_for_guest(run_dir: &RunDir, ca: &Authority, number: u8) -> Result<()> {
    let folder = folder_of_guest(run_dir, number);
    std::fs::create_dir(&folder).with_context(|| format!("make {}", folder.display()))?;
    let (name, address) = (guest_node::name(number), network::node_address(number));
    ca.issue(&folder, "kubelet-server", &name, None, &[&name, &address])?;
    ca.issue(&folder, "kubelet", &format!("system:node:{name}"), Some("system:nodes"), &[])?;
    write_kubeconfig(&folder, GUEST_FOLDER.as_ref(), "kubelet")
}

/// The kubeconfig of a component.
pub fn kubeconfig(run_dir: &RunDir, name: &str) -> PathBuf {
    run_dir.certificates().join(format!("{name}.kubeconfig"))
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn create(folder: &Path, name: &str) -> Result<Self> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
        ];
        let certificate = params.self_signed(&key)?;
        write(&folder.join(format!("{name}.crt")), &certificate.pem())?;
        write(&folder.join(format!("{name}.key")), &key.serialize_pem())?;
        Ok(Self { issuer: Issuer::new(params, key) })
    }

    /// A certificate for a client, or, with names, for a server.
    fn issue(
        &self,
        folder: &Path,
        file: &str,
        user: &str,
        group: Option<&str>,
        names: &[&str],
    ) -> Result<()> {
        let key = KeyPair::generate()?;
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let usage = match names.is_empty() {
            true => ExtendedKeyUsagePurpose::ClientAuth,
            false => ExtendedKeyUsagePurpose::ServerAuth,
        };
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, user);
        if let Some(group) = group {
            params.distinguished_name.push(DnType::OrganizationName, group);
        }
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        let certificate = params.signed_by(&key, &self.issuer)?;
        write(&folder.join(format!("{file}.crt")), &certificate.pem())?;
        write(&folder.join(format!("{file}.key")), &key.serialize_pem())
    }
}

/// `seen`: the folder of the certificates for those that read it.
fn write_kubeconfig(folder: &Path, seen: &Path, name: &str) -> Result<()> {
    let file = |name: String| seen.join(name).to_string_lossy().into_owned();
    // JSON is YAML.
    let kubeconfig = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "e2e",
        "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": name}}],
        "clusters": [{"name": "e2e", "cluster": {
            "server": SERVER,
            "certificate-authority": file("ca.crt".to_owned()),
        }}],
        "users": [{"name": name, "user": {
            "client-certificate": file(format!("{name}.crt")),
            "client-key": file(format!("{name}.key")),
        }}],
    });
    write(&folder.join(format!("{name}.kubeconfig")), &kubeconfig.to_string())
}

fn write(file: &Path, text: &str) -> Result<()> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(file)
        .and_then(|mut open| open.write_all(text.as_bytes()))
        .with_context(|| format!("write {}", file.display()))
}
