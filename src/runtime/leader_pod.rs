//! Finds the pod of the controller that leads in a cluster, by its Lease.

use k8s_openapi::api::{coordination::v1::Lease, core::v1::Pod};
use kube::{Api, Client, api::ListParams};

use super::{Address, lease::NAME};

/// The label that names the program, and the one that names its part.
pub const LABELS: [(&str, &str); 2] =
    [("app.kubernetes.io/name", NAME), ("app.kubernetes.io/component", "controller")];
/// The argument that says where the web page is served.
const PAGE: &str = "--metrics-address=";
/// Where it is served without that argument.
const DEFAULT_PAGE: &str = "127.0.0.1:8080";

/// The pod of the controller that leads.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LeaderPod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// Why no pod is known to lead.
#[derive(Debug, thiserror::Error)]
pub enum NoLeader {
    /// The cluster has no pod of the controller.
    #[error("no controller runs in this cluster")]
    NoController,
    /// It is not known in which namespace it runs.
    #[error("the pods of the controller cannot be listed: {0}: name its namespace with -n")]
    Unlisted(#[source] kube::Error),
    /// Its Lease cannot be read, or has no holder.
    #[error("the Lease {NAME} in namespace {0} names no leader: check that you may get it")]
    Unnamed(String),
}

/// Finds the pod that leads. Without a namespace, the controller is found by its labels.
///
/// # Errors
/// When there is no controller, or its Lease names no leader.
pub async fn leader_pod(client: &Client, namespace: Option<&str>) -> Result<LeaderPod, NoLeader> {
    let namespace = match namespace {
        Some(namespace) => namespace.to_owned(),
        None => controller_namespace(client).await?,
    };
    match holder(client, &namespace).await {
        Some(name) => Ok(LeaderPod { namespace, name }),
        None => Err(NoLeader::Unnamed(namespace)),
    }
}

async fn controller_namespace(client: &Client) -> Result<String, NoLeader> {
    let labels = LABELS.map(|(label, value)| format!("{label}={value}")).join(",");
    let one = ListParams::default().labels(&labels).limit(1);
    let pods = Api::<Pod>::all(client.clone()).list_metadata(&one).await;
    let pod = pods.map_err(NoLeader::Unlisted)?.items.into_iter().next();
    pod.and_then(|pod| pod.metadata.namespace).ok_or(NoLeader::NoController)
}

/// The pod that holds the Lease: the holder's identity begins with its name.
async fn holder(client: &Client, namespace: &str) -> Option<String> {
    let leases: Api<Lease> = Api::namespaced(client.clone(), namespace);
    let holder = leases.get(NAME).await.ok()?.spec?.holder_identity?;
    let pod = holder.split('_').next().filter(|pod| !pod.is_empty())?;
    Some(pod.to_owned())
}

/// Where a pod of the controller serves its web page, by its arguments. None: nowhere.
#[must_use]
pub fn page_address(pod: &Pod) -> Option<Address> {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let arguments = containers.flat_map(|container| container.args.iter().flatten());
    let mut given = arguments.filter_map(|argument| argument.strip_prefix(PAGE));
    let address: Address = given.next_back().unwrap_or(DEFAULT_PAGE).parse().ok()?;
    address.port().is_some().then_some(address)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_page_is_where_the_arguments_say() {
        let page = |arguments: &[&str]| {
            let container = json!({"name": "controller", "args": arguments});
            let pod = json!({"metadata": {}, "spec": {"containers": [container]}});
            let address = page_address(&serde_json::from_value(pod).unwrap())?;
            Some((address.port()?, address.is_exposed()))
        };
        assert_eq!(page(&["controller"]), Some((8080, false)));
        assert_eq!(
            page(&["--metrics-address=127.0.0.1:9090", "--max-pools=1"]),
            Some((9090, false))
        );
        assert_eq!(page(&["--metrics-address=:8443"]), Some((8443, true)));
        assert_eq!(page(&["--metrics-address=0"]), None);
    }
}
