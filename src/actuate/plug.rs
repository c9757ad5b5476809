//! One more socket for a virtual machine, from its VirtualMachine to the API server's answer.

use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::json;

use crate::observe::{FIELD_MANAGER, VirtualMachine};

/// A number of sockets that a virtual machine is to have while it runs: KubeVirt makes a live migration of that.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plug {
    /// The VirtualMachine's namespace.
    pub namespace: String,
    /// Its name.
    pub machine: String,
    /// The version of it that the decision rests on: on any other, the API server refuses.
    pub resource_version: String,
    /// The sockets.
    pub sockets: u64,
}

/// Applies the number of sockets, and nothing else of the VirtualMachine. Where that changed meanwhile, nothing is done: the
/// next turn sees it.
///
/// # Errors
/// When the API server does not take it.
pub async fn plug(client: &Client, plug: &Plug) -> kube::Result<()> {
    let cpu = json!({"cpu": {"sockets": plug.sockets}});
    let patch = json!({
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachine",
        "metadata": {"resourceVersion": plug.resource_version},
        "spec": {"template": {"spec": {"domain": cpu}}},
    });
    let machines: Api<VirtualMachine> = Api::namespaced(client.clone(), &plug.namespace);
    let params = PatchParams::apply(FIELD_MANAGER).force();
    match machines.patch(&plug.machine, &params, &Patch::Apply(patch)).await {
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        answer => answer.map(drop),
    }
}
