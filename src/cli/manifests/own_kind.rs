//! An object of a kind of ours, checked as the API server checks it: its schema, then its rules.

use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps,
};
use kube::core::cel::{CompiledSchema, apply_defaults, compile_schema};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    Object, Problem,
    field::Field,
    rules,
    schema::{self, check},
    typed::{self, Wrong},
};
use crate::{
    api::{
        ClusterWeightedShare, ClusterWeightedShareStatus, WeightedShare, WeightedShareStatus, crd,
        tree_crd,
    },
    cluster::Kept,
};

static POOL: LazyLock<Definition> = LazyLock::new(|| Definition::of(crd()));
static TREE: LazyLock<Definition> = LazyLock::new(|| Definition::of(tree_crd()));

/// What a definition says of the objects of its kind.
struct Definition {
    schema: JSONSchemaProps,
    /// The schema as it is written, and its rules, each compiled or with the reason why it is not.
    rules: Result<(Value, CompiledSchema), String>,
}

/// Reads a pool that holds to its schema and to all its rules.
pub(super) fn read_pool(value: Value) -> Result<Object, Wrong> {
    let (mut pool, status): (WeightedShare, _) = POOL.read("WeightedShare", value)?;
    pool.status = status.and_then(|it| serde_json::from_value::<WeightedShareStatus>(it).ok());
    Ok(Object::kept(pool))
}

/// Reads a tree that holds to its schema and to all its rules.
pub(super) fn read_tree(value: Value) -> Result<Object, Wrong> {
    let (mut tree, status): (ClusterWeightedShare, _) = TREE.read("ClusterWeightedShare", value)?;
    tree.status =
        status.and_then(|it| serde_json::from_value::<ClusterWeightedShareStatus>(it).ok());
    Ok(Object::kept(tree))
}

impl Definition {
    fn of(crd: CustomResourceDefinition) -> Self {
        let schema = schema::of(crd);
        let rules = serde_json::to_value(&schema).map_err(|error| error.to_string());
        let rules = rules.map(|written| {
            let compiled = compile_schema(&written);
            (written, compiled)
        });
        Self { schema, rules }
    }

    /// Reads an object, and its status apart: one that another version wrote says nothing here, and no user can correct it.
    fn read<K: Kept + DeserializeOwned>(
        &self,
        kind: &str,
        mut value: Value,
    ) -> Result<(K, Option<Value>), Wrong> {
        let status = value.as_object_mut().and_then(|object| object.remove("status"));
        let mut wrong = check(&self.schema, &mut value, &Field::default());
        // As at the API server: where a type or a length is wrong, the rules would be about nothing.
        if wrong.iter().all(|(_, problem)| matches!(problem, Problem::SameKey { .. })) {
            wrong.extend(self.broken_rules(&value));
        }
        if wrong.is_empty() {
            return Ok((typed::read(kind, value)?, status));
        }
        let named = |(field, problem): (Field, Problem)| match problem {
            Problem::Missing { explain } => {
                let explain = format!("{}.{explain}", kind.to_lowercase());
                (field.to_string(), Problem::Missing { explain })
            }
            problem => (field.to_string(), problem),
        };
        Err(wrong.into_iter().map(named).collect())
    }

    /// What the rules say to an object, with the defaults that the API server fills in.
    fn broken_rules(&self, value: &Value) -> Vec<(Field, Problem)> {
        match &self.rules {
            Ok((schema, compiled)) => {
                rules::check(compiled, &apply_defaults(schema, value), &Field::default())
            }
            Err(error) => vec![(Field::default(), Problem::RuleNotChecked(error.clone()))],
        }
    }
}
