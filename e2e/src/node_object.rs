//! The Node object of a node that the harness runs. It and the node's pods would stay in the cluster after the node has ended,
//! because no kubelet is left to remove them.

use std::process::Command;

/// Deletes a Node object and the pods on that node when it is dropped, after a failed test too: later tests would wait for
/// them.
#[derive(Debug)]
pub struct NodeObject(String);

impl NodeObject {
    /// Of the node with this name.
    #[must_use]
    pub fn of(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// The name of the node.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Leaves the object and the pods as they are: the node has joined again, or was deleted.
    pub fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for NodeObject {
    fn drop(&mut self) {
        if self.0.is_empty() {
            return;
        }
        let there = format!("spec.nodeName={}", self.0);
        let pods = ["pods", "--all-namespaces", "--field-selector", &there, "--force"];
        for what in [&pods[..], &["node", &self.0]] {
            // At the end of everything the cluster may be gone before.
            let mut command = Command::new("kubectl");
            command.args(["delete", "--ignore-not-found", "--wait=false"]).args(what);
            let _ = command.output();
        }
    }
}
