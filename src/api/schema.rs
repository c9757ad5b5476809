//! The OpenAPI schema of types that are not our own: quantities, label selectors, conditions.

use std::borrow::Cow;

use kube::core::Rule;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::rules;
use crate::share::{Bytes, MilliCpu};

/// The syntax of a Kubernetes quantity that is not negative.
pub const QUANTITY: &str = "^[+]?([0-9]+[.]?[0-9]*|[.][0-9]+)\
                            ([numkMGTPE]|[KMGTPE]i|[eE]([+]?[0-9]{1,2}|-[0-9]))?$";

/// The longest text of a quantity: room for 2^63 with a few decimals.
const QUANTITY_LENGTH: u32 = 24;

impl JsonSchema for MilliCpu {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "MilliCpu".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        quantity(rules::quantity(&rules::CPU))
    }
}

impl JsonSchema for Bytes {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Bytes".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        quantity(rules::quantity(&rules::MEMORY))
    }
}

/// A string or an integer, as Kubernetes writes quantities.
fn quantity(rule: Rule) -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "maxLength": QUANTITY_LENGTH,
        "x-kubernetes-validations": [rule],
    })
}

/// A whole number that users write. Its field adds its bounds, and a rule that says them in a sentence.
pub fn integer(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "format": "int32"})
}

/// Amounts as the controller writes them: strings in canonical form.
pub fn amounts(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "properties": {
            "cpu": {"description": "CPU in cores, or in millicores with the suffix m. Examples: 2, 250m.", "type": "string"},
            "memory": {
                "description": "Memory in bytes, with a binary suffix if that is exact. Examples: 12Gi, 1000.",
                "type": "string",
            },
        },
    })
}

/// A label selector. The API server does not check the selectors of custom resources by itself.
pub fn label_selector(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "x-kubernetes-map-type": "atomic",
        "properties": {
            "matchLabels": {
                "description": "The labels that an object must have, each with this value, at most 32. Example: {app: checkout}.",
                "type": "object",
                "maxProperties": 32,
                "additionalProperties": label_value(),
            },
            "matchExpressions": {
                "description": "The requirements that the labels of an object must all meet, at most 6. \
                                Example: [{key: tier, operator: In, values: [web, api]}].",
                "type": "array",
                "x-kubernetes-list-type": "atomic",
                "maxItems": 6,
                "items": label_requirement(),
            },
        },
    })
}

/// Names of namespaces.
pub fn namespace_names(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "x-kubernetes-list-type": "set",
        "maxItems": 128,
        "items": {
            "type": "string",
            "maxLength": 63,
            "x-kubernetes-validations": [rules::object_name("Namespace")],
        },
    })
}

/// A label selector as the controller writes it: the user's was checked.
pub fn selector_told(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "properties": {
            "matchLabels": {
                "description": "The labels that the pod has, each with this value.",
                "type": "object",
                "additionalProperties": {"type": "string"},
            },
            "matchExpressions": {
                "description": "The requirements that the labels of the pod all meet.",
                "type": "array",
                "x-kubernetes-list-type": "atomic",
                "items": {
                    "type": "object",
                    "required": ["key", "operator"],
                    "properties": {
                        "key": {"description": "The key of the label.", "type": "string"},
                        "operator": {
                            "description": "How the label is compared: In, NotIn, Exists or DoesNotExist.",
                            "type": "string",
                        },
                        "values": {
                            "description": "The values that In and NotIn compare the label's value with.",
                            "type": "array",
                            "x-kubernetes-list-type": "atomic",
                            "items": {"type": "string"},
                        },
                    },
                },
            },
        },
    })
}

/// One requirement of a label selector.
fn label_requirement() -> Schema {
    json_schema!({
        "type": "object",
        "required": ["key", "operator"],
        "properties": {
            "key": {
                "description": "The key of the label.",
                "type": "string",
                "maxLength": 317,
                "x-kubernetes-validations": [rules::label_key()],
            },
            "operator": {
                "description": "How the label is compared. In: it has one of the values. NotIn: it has \
                                none of them, or the object does not have the label. Exists: the object has \
                                the label. DoesNotExist: it does not.",
                "type": "string",
                "enum": ["In", "NotIn", "Exists", "DoesNotExist"],
            },
            "values": {
                "description": "The values that In and NotIn compare the label's value with, at most 20. \
                                Leave it out for Exists and DoesNotExist.",
                "type": "array",
                "x-kubernetes-list-type": "atomic",
                "maxItems": 20,
                "items": label_value(),
            },
        },
        "x-kubernetes-validations": [rules::operator_values()],
    })
}

/// The value of a label.
fn label_value() -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": 63,
        "x-kubernetes-validations": [rules::label_value()],
    })
}

/// The conditions of a status, keyed by type.
pub fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "maxItems": 32,
        "items": {
            "type": "object",
            "required": ["lastTransitionTime", "message", "reason", "status", "type"],
            "properties": {
                "type": {
                    "description": "The name of the condition: Ready, Reconciling, Stalled, Overcommitted, MixedClasses, CoarseWeights or MetricsAvailable.",
                    "type": "string",
                    "maxLength": 316,
                },
                "status": {
                    "description": "Whether the condition holds: True, False or Unknown.",
                    "type": "string",
                    "enum": ["True", "False", "Unknown"],
                },
                "observedGeneration": {
                    "description": "The `metadata.generation` of the spec that the condition describes.",
                    "type": "integer",
                    "format": "int64",
                    "minimum": 0,
                },
                "lastTransitionTime": {
                    "description": "The time when the condition's status last changed.",
                    "type": "string",
                    "format": "date-time",
                },
                "reason": {
                    "description": "The reason for the status, as one word in CamelCase, for programs.",
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 1024,
                    "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
                },
                "message": {
                    "description": "The reason for the status in words, with what to do about it.",
                    "type": "string",
                    "maxLength": 32768,
                },
            },
        },
    })
}
