//! More for a virtual machine that runs, from its VirtualMachine to the API server's answer.

use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::{
    observe::{FIELD_MANAGER, VirtualMachine},
    share::Bytes,
};

/// What a virtual machine is to have while it runs: KubeVirt makes a live migration of that.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plug {
    /// The VirtualMachine's namespace.
    pub namespace: String,
    /// Its name.
    pub machine: String,
    /// The version of it that the decision rests on: on any other, the API server refuses.
    pub resource_version: String,
    /// What.
    pub what: Plugged,
}

/// What can be plugged in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Plugged {
    /// So many sockets in all.
    Sockets(u64),
    /// So many bytes of memory in all.
    Memory(u64),
}

impl Plugged {
    /// The one field of the domain, and who it belongs to from then on. An owner for each field: to apply one without the
    /// other would take that away.
    fn field(self) -> (Value, String) {
        let (domain, name) = match self {
            Self::Sockets(sockets) => (json!({"cpu": {"sockets": sockets}}), "sockets"),
            Self::Memory(bytes) => (json!({"memory": {"guest": Bytes(bytes)}}), "memory"),
        };
        (domain, format!("{FIELD_MANAGER}-{name}"))
    }
}

/// Applies one field of the VirtualMachine, and nothing else of it. Where that changed meanwhile, nothing is done: the next
/// turn sees it.
///
/// # Errors
/// When the API server does not take it.
pub async fn plug(client: &Client, plug: &Plug) -> kube::Result<()> {
    let (domain, owner) = plug.what.field();
    let patch = json!({
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachine",
        "metadata": {"resourceVersion": plug.resource_version},
        "spec": {"template": {"spec": {"domain": domain}}},
    });
    let machines: Api<VirtualMachine> = Api::namespaced(client.clone(), &plug.namespace);
    let params = PatchParams::apply(&owner).force();
    match machines.patch(&plug.machine, &params, &Patch::Apply(patch)).await {
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        answer => answer.map(drop),
    }
}
