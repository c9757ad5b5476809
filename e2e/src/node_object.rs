//! What is left of a node once nobody answers for it: its object, and pods that nobody would ever end.

use std::process::Command;

/// The object of a node that ends with this value. Once it is dropped, the object and the pods on the node are gone from
/// the cluster, even after a test that failed: those after it would wait for them.
#[derive(Debug)]
pub struct NodeObject(String);

impl NodeObject {
    /// Of the node with this name.
    #[must_use]
    pub fn of(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// Somebody else answers for the node from now on.
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
