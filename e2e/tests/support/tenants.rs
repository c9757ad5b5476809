//! A person with the role `edit` in one namespace, and nothing else.

use anyhow::{Context, Result, ensure};
use e2e::kubectl;
use serde_json::{Value, json};

use super::Bench;

/// A tenant, by the user name.
pub struct Tenant(String);

impl Tenant {
    /// Gives a new account the role in the namespace of a bench.
    pub async fn of(bench: &Bench) -> Result<Self> {
        let kind = "ServiceAccount";
        let account = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "developer"}});
        bench.apply(account).await?;
        let namespace = &bench.namespace;
        let who = format!("--serviceaccount={namespace}:developer");
        let place = format!("--namespace={namespace}");
        let bind = ["create", "rolebinding", "developer", "--clusterrole=edit", &*place, &*who];
        kubectl::run("kubectl", &bind, "").await?;
        Ok(Self(format!("system:serviceaccount:{namespace}:developer")))
    }

    /// What kubectl says to the tenant.
    pub async fn run(&self, arguments: &[&str], input: &Value) -> Result<String> {
        let who = format!("--as={}", self.0);
        let input = if input.is_null() { String::new() } else { input.to_string() };
        kubectl::run("kubectl", &[&[&*who], arguments].concat(), &input).await
    }

    /// Applies an object.
    pub async fn apply(&self, object: &Value) -> Result<()> {
        self.run(&["apply", "-f", "-"], object).await.map(drop)
    }

    /// Expects that the API server refuses it, with these words in its answer.
    pub async fn is_refused(&self, arguments: &[&str], input: &Value, because: &str) -> Result<()> {
        let refused = self.run(arguments, input).await.err();
        let refused = refused.with_context(|| format!("{arguments:?} is allowed"))?.to_string();
        ensure!(refused.contains(because), "{refused}");
        Ok(())
    }

    /// Expects that the tenant may not do this.
    pub async fn is_forbidden(&self, arguments: &[&str], input: &Value) -> Result<()> {
        self.is_refused(arguments, input, "orbidden").await
    }
}
