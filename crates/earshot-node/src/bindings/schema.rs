//! The contract as one JSON Schema document.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::api::commands::{ALWAYS_POSSIBLE, METHODS, Method};
use crate::api::errors::ErrorCode;
use crate::api::events::Numbered;
use crate::api::failure::Failure;
use crate::api::ready::{NotReady, Ready};

/// The contract: the document, and ways through it.
pub(super) struct Contract(Value);

impl Contract {
    pub(super) fn new() -> Self {
        let mut generator = SchemaSettings::draft2020_12().into_generator();
        let methods: Map<String, Value> = METHODS
            .iter()
            .map(|method| {
                let params = (method.params)(&mut generator);
                let result = (method.answer)(&mut generator);
                let row = json!({
                    "roles": method.roles, "params": params, "result": result,
                    "errors": codes(method.errors),
                });
                (method.name.to_owned(), row)
            })
            .collect();
        let mut document = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "Earshot RPC",
            "methods": methods,
            "errorsOfEveryMethod": codes(ALWAYS_POSSIBLE),
            "event": generator.subschema_for::<Numbered>(),
            "error": generator.subschema_for::<Failure>(),
            "errorCode": generator.subschema_for::<ErrorCode>(),
            "ready": generator.subschema_for::<Ready>(),
            "notReady": generator.subschema_for::<NotReady>(),
        });
        document["$defs"] = Value::Object(generator.take_definitions(true));
        absent_is_omitted(&mut document);
        document.sort_all_objects();
        Self(document)
    }

    pub(super) const fn document(&self) -> &Value {
        &self.0
    }

    /// The row of a method.
    pub(super) fn method(&self, method: &Method) -> &Value {
        &self.0["methods"][method.name]
    }

    /// The type of this name.
    pub(super) fn named(&self, name: &str) -> &Value {
        &self.0["$defs"][name]
    }

    /// What a type of this name can be.
    pub(super) fn variants(&self, name: &str) -> &[Value] {
        self.named(name)["oneOf"].as_array().map_or(&[], Vec::as_slice)
    }

    /// What a schema is: itself, or the type that it refers to.
    pub(super) fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        name_of(schema).map_or(schema, |name| self.named(name))
    }

    /// How often the type of this name is the whole of something, and how often it is referred to
    /// at all.
    pub(super) fn uses(&self, name: &str) -> (usize, usize) {
        let rows = self.0["methods"].as_object().into_iter().flatten();
        let rows = rows.flat_map(|(_, row)| [&row["params"], &row["result"]]);
        let whole = rows
            .chain(self.variants("Numbered"))
            .filter(|schema| name_of(schema) == Some(name))
            .count();
        (whole, self.0.to_string().matches(&format!("\"#/$defs/{name}\"")).count())
    }

    /// All named types.
    pub(super) fn types(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.0["$defs"].as_object().into_iter().flatten()
    }
}

/// The name of the type that a schema refers to.
pub(super) fn name_of(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.strip_prefix("#/$defs/")
}

/// Whether an object always has that field.
pub(super) fn required(schema: &Value, field: &str) -> bool {
    let required = schema["required"].as_array();
    required.is_some_and(|names| names.iter().any(|name| name == field))
}

/// What a schema is for, on one line.
pub(super) fn what(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Variants of the table as codes.
pub(super) fn codes(variants: &[&str]) -> Vec<String> {
    let code = |variant: &&str| {
        let (first, rest) = variant.split_at(1);
        first.to_lowercase() + rest
    };
    variants.iter().map(code).collect()
}

/// What is absent is omitted and never null, so no type has null in it.
fn absent_is_omitted(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            if let Some(Value::Array(types)) = map.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    map.insert("type".into(), only);
                }
            }
            if let Some(Value::Array(choices)) = map.get_mut("anyOf") {
                choices.retain(|choice| choice["type"] != "null");
                if let [Value::Object(only)] = choices.as_slice() {
                    let only = only.clone();
                    map.remove("anyOf");
                    for (key, value) in only {
                        map.entry(key).or_insert(value);
                    }
                }
            }
            map.values_mut().for_each(absent_is_omitted);
        }
        Value::Array(items) => items.iter_mut().for_each(absent_is_omitted),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
