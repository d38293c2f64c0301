//! An example of every type, put together from the examples of its fields.
//!
//! A field whose examples are an empty list is left out: with it the whole would make no sense (a
//! call that is both talking and over). Invariant: an example is a value of its type; a test reads
//! each back with serde.

use serde_json::{Map, Value, json};

use super::schema::Contract;

/// A value that the schema describes.
pub(super) fn example(contract: &Contract, schema: &Value) -> Value {
    if let Some(given) = schema["examples"].get(0).or_else(|| schema.get("const")) {
        return given.clone();
    }
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    if schema["type"] == "array" {
        return json!([example(contract, &schema["items"])]);
    }
    let referred = schema.get("$ref").map(|_| example(contract, contract.resolve(schema)));
    let choice = ["oneOf", "anyOf"].iter().find_map(|key| schema[key].get(0));
    let chosen = choice.map(|choice| example(contract, choice));
    let properties = schema["properties"].as_object();
    let own = properties.map(|properties| {
        let fields = properties.iter().filter(|(_, field)| field["examples"] != json!([]));
        fields.map(|(name, field)| (name.clone(), example(contract, field))).collect()
    });
    let parts: Vec<Value> =
        [referred, chosen, own.map(Value::Object)].into_iter().flatten().collect();
    match parts.as_slice() {
        [] => of_type(schema["type"].as_str().unwrap_or("object")),
        [only] => only.clone(),
        _ => Value::Object(parts.into_iter().filter_map(into_object).flatten().collect()),
    }
}

fn into_object(value: Value) -> Option<Map<String, Value>> {
    if let Value::Object(map) = value { Some(map) } else { None }
}

fn of_type(name: &str) -> Value {
    match name {
        "string" => json!("…"),
        "integer" => json!(1),
        "number" => json!(1.5),
        "boolean" => json!(false),
        "array" => json!([]),
        _ => json!({}),
    }
}
