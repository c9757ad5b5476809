//! `version`: those of this program, of the controller and of the API server.

use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client};
use serde::Serialize;
use weightedshare::{
    cli::VersionArguments,
    runtime::{self, LeaderPod},
};

use crate::{live::say, look::client};

/// The label that names the version of a pod's program.
const LABEL: &str = "app.kubernetes.io/version";

/// The versions that are known.
#[derive(Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Versions {
    /// That of this program.
    client: String,
    /// That of the controller that leads.
    #[serde(skip_serializing_if = "Option::is_none")]
    controller: Option<String>,
    /// That of the API server.
    #[serde(skip_serializing_if = "Option::is_none")]
    api_server: Option<String>,
}

/// Shows the versions. What cannot be asked is an error, once the others are shown.
pub async fn version(arguments: VersionArguments) -> Result<(), String> {
    let client_version = env!("CARGO_PKG_VERSION").to_owned();
    let mut versions = Versions { client: client_version, ..Versions::default() };
    let asked = match arguments.client {
        true => Ok(()),
        false => ask(&arguments, &mut versions).await,
    };
    say(&arguments.output.write(&versions, || versions.text())?)?;
    asked
}

async fn ask(arguments: &VersionArguments, versions: &mut Versions) -> Result<(), String> {
    let client = client(&arguments.place.connection).await?;
    let server = client.apiserver_version().await.map_err(|error| {
        format!("the API server does not answer: {error}: check the kubeconfig, or add --client")
    })?;
    versions.api_server = Some(server.git_version);
    let namespace = arguments.place.namespace.as_deref();
    versions.controller = Some(controller(&client, namespace).await?);
    Ok(())
}

async fn controller(client: &Client, namespace: Option<&str>) -> Result<String, String> {
    let leader = runtime::leader_pod(client, namespace).await;
    let LeaderPod { namespace, name } = leader.map_err(|error| error.to_string())?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    let pod = pods.get_metadata(&name).await.map_err(|error| {
        format!("pod {namespace}/{name} cannot be read: {error}: check that you may get it")
    })?;
    let version = pod.metadata.labels.and_then(|mut labels| labels.remove(LABEL));
    version.ok_or_else(|| {
        format!("pod {namespace}/{name} does not say its version: it has no label {LABEL}")
    })
}

impl Versions {
    fn text(&self) -> String {
        let Self { client, controller, api_server } = self;
        let mut text = format!("Client:      {client}\n");
        for (name, version) in [("Controller:", controller), ("API server:", api_server)] {
            text.extend(version.iter().map(|version| format!("{name:<13}{version}\n")));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn the_version_of_the_controller_is_that_of_the_pod_that_leads() {
        let (service, mut server) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
        let client = Client::new(service, "default");
        let list = json!({
            "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList", "metadata": {},
            "items": [{
                "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
                "metadata": {"name": "standby", "namespace": "pools"},
            }],
        });
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": "weighted-share"}, "spec": {"holderIdentity": "leader-1_42"},
        });
        let pod = json!({
            "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
            "metadata": {"name": "leader-1", "labels": {LABEL: "0.2.0"}},
        });
        let serve = async {
            let mut asked = Vec::new();
            for answer in [list, lease, pod] {
                let (request, respond) = server.next_request().await.unwrap();
                asked.push(request.uri().path().to_owned());
                let body = Body::from(serde_json::to_vec(&answer).unwrap());
                respond.send_response(Response::builder().status(200).body(body).unwrap());
            }
            asked
        };
        let (asked, version) = tokio::join!(serve, controller(&client, None));
        assert_eq!(version.as_deref(), Ok("0.2.0"));
        assert_eq!(
            asked,
            [
                "/api/v1/pods",
                "/apis/coordination.k8s.io/v1/namespaces/pools/leases/weighted-share",
                "/api/v1/namespaces/pools/pods/leader-1",
            ]
        );
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let mut versions = Versions { client: "0.1.0".into(), ..Versions::default() };
        assert_eq!(versions.text(), "Client:      0.1.0\n");
        versions.controller = Some("0.2.0".into());
        versions.api_server = Some("v1.37.0".into());
        assert_eq!(
            versions.text(),
            "Client:      0.1.0\nController:  0.2.0\nAPI server:  v1.37.0\n"
        );
    }
}
