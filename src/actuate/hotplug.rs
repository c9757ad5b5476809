//! More for a virtual machine that runs, from its VirtualMachine to the API server's answer.

use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::{
    cluster::{FIELD_MANAGER, VirtualMachine},
    engine::{Hotplug, Plugged},
    share::Bytes,
};

/// Applies one field of the VirtualMachine, and nothing else of it. Where that changed meanwhile, nothing is done: the next
/// turn sees it.
///
/// # Errors
/// When the API server does not take it.
pub async fn hotplug(client: &Client, plug: &Hotplug) -> kube::Result<()> {
    let (domain, owner) = field(plug.what);
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

/// The one field of the domain, and who it belongs to from then on. An owner for each field: to apply one without the other
/// would take that away.
fn field(what: Plugged) -> (Value, String) {
    let (domain, name) = match what {
        Plugged::Sockets(sockets) => (json!({"cpu": {"sockets": sockets}}), "sockets"),
        Plugged::Memory(bytes) => (json!({"memory": {"guest": Bytes(bytes)}}), "memory"),
    };
    (domain, format!("{FIELD_MANAGER}-{name}"))
}
