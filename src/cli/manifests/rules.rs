//! The CEL rules of a schema, run on a value as the API server runs them on what is created.

use std::sync::{Arc, LazyLock};

use kube::core::cel::{
    CompilationError, CompilationResult, CompiledSchema, KubeCelExt,
    cel::{
        Context, ExecutionError, Value,
        objects::{Key, Map},
    },
};
use serde_json::Value as Json;

use super::{Problem, field::Field, quantity};

/// The functions that rules may use.
static FUNCTIONS: LazyLock<Context<'static>> = LazyLock::new(|| {
    let mut context = Context::default().with_all();
    quantity::register(&mut context);
    context
});

/// What the rules say to a value and to all that is in it.
pub(super) fn check(rules: &CompiledSchema, value: &Json, field: &Field) -> Vec<(Field, Problem)> {
    let mut found = Vec::new();
    if !rules.validations.is_empty() {
        let mut context = FUNCTIONS.new_inner_scope();
        context.add_variable_from_value("self", cel(value));
        let results =
            rules.validations.iter().filter_map(|rule| evaluate(rule, &context, field).err());
        found.extend(results);
    }
    match value {
        Json::Object(map) => {
            for (name, value) in map {
                if let Some(rules) = rules.properties.get(name) {
                    found.extend(check(rules, value, &field.name(name)));
                } else if let Some(rules) = &rules.additional_properties {
                    found.extend(check(rules, value, &field.key(name)));
                }
            }
        }
        Json::Array(list) => {
            if let Some(rules) = &rules.items {
                for (index, item) in list.iter().enumerate() {
                    found.extend(check(rules, item, &field.item(index)));
                }
            }
        }
        _ => {}
    }
    found
}

/// Whether one rule holds. One that cannot be evaluated does not.
fn evaluate(
    rule: &Result<CompilationResult, CompilationError>,
    context: &Context,
    field: &Field,
) -> Result<(), (Field, Problem)> {
    let not_checked = |what: String| (field.clone(), Problem::RuleNotChecked(what));
    let compiled = rule.as_ref().map_err(|error| not_checked(error.to_string()))?;
    match compiled.program.execute(context) {
        Ok(Value::Bool(true)) => Ok(()),
        Ok(Value::Bool(false)) => {
            let names = compiled.rule.field_path.iter().flat_map(|path| path.split('.'));
            let names = names.filter(|name| !name.is_empty());
            let field = names.fold(field.clone(), |field, name| field.name(name));
            let sentence =
                sentence(compiled, context).map_err(|error| not_checked(error.to_string()))?;
            Err((field, Problem::Rule(sentence)))
        }
        Ok(other) => Err(not_checked(format!("{}: it is {other:?}", compiled.rule.rule))),
        Err(error) => Err(not_checked(format!("{}: {error}", compiled.rule.rule))),
    }
}

/// What a rule says when it does not hold.
fn sentence(compiled: &CompilationResult, context: &Context) -> Result<String, ExecutionError> {
    match &compiled.message_program {
        Some(program) => match program.execute(context)? {
            Value::String(sentence) => Ok(sentence.to_string()),
            other => Err(ExecutionError::function_error("messageExpression", format!("{other:?}"))),
        },
        None => Ok(compiled.rule.message.clone().unwrap_or_else(|| compiled.rule.rule.clone())),
    }
}

/// A value as rules see it. No field of ours has a name that CEL would need to escape.
fn cel(value: &Json) -> Value {
    match value {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => match number.as_i64() {
            Some(number) => Value::Int(number),
            None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::String(Arc::new(text.clone())),
        Json::Array(list) => Value::List(Arc::new(list.iter().map(cel).collect())),
        Json::Object(map) => {
            let entries =
                map.iter().map(|(name, value)| (Key::String(Arc::new(name.clone())), cel(value)));
            Value::Map(Map { map: Arc::new(entries.collect()) })
        }
    }
}
