//! `ui/src/backend/generated.ts`: the contract for the window.
//!
//! It is laid out as prettier would, so that no editor changes it. Invariant: what is a union here
//! is told apart by one field: events by `type`, failures by `code`.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::Value;

use super::schema::{Contract, name_of, required, what};
use crate::api::commands::{METHODS, Method};
use crate::api::ready::Role;

/// Columns of a line of documentation. Prettier leaves those as they are.
const COLUMNS: usize = 100;

const OPENING: &str = "\
// What a node answers and tells: generated from the types in crates/earshot-node/src/api/ by
// ./x bindings; do not edit. What is absent is omitted; `…Ms` are milliseconds.

";

const UNIONS: &str = "
export type Method = keyof Methods;

/** Something changed: an event with its number and the time when it was told. */
export type BackendEvent = {
  [T in keyof Events]: { type: T; seq: number; at: number } & Events[T];
}[keyof Events];

export type ErrorCode = keyof Facts;

/** Why a question was not granted. */
export type Failure = {
  [C in ErrorCode]: {
    code: C;
    facts: Facts[C];
    /** Not before this many milliseconds from now. */
    retryAfterMs?: number;
  };
}[ErrorCode];
";

/// The whole file.
pub(super) fn write(contract: &Contract) -> String {
    let methods: Vec<&Method> =
        METHODS.iter().filter(|method| method.roles.contains(&Role::Peer)).collect();
    let (events, codes) = (contract.variants("Numbered"), contract.variants("ErrorCode"));
    let mut used = BTreeSet::new();
    for method in &methods {
        gather(contract, contract.method(method), &mut used);
    }
    events.iter().chain(codes).for_each(|variant| gather(contract, variant, &mut used));

    let mut file = OPENING.to_owned();
    // A failure is a union by its code: see the end.
    used.remove("Failure");
    for (name, schema) in contract.types().filter(|(name, _)| used.contains(name.as_str())) {
        file += &doc(what(schema), "");
        file += &named(name, schema);
        file.push('\n');
    }
    file += "/** What is asked and what answers it, by method. */\nexport interface Methods {\n";
    for method in methods {
        let row = contract.method(method);
        file += &doc(what(contract.resolve(&row["params"])), "  ");
        let (params, result) = (kind(&row["params"], "  "), kind(&row["result"], "  "));
        let name = key(method.name);
        let _ = writeln!(file, "  {name}: {{ params: {params}; result: {result} }};");
    }
    file += "}\n\n/** What each event tells, by its type. */\nexport interface Events {\n";
    for event in events {
        let name = event["properties"]["type"]["const"].as_str().unwrap_or_default();
        let _ = writeln!(file, "{}  {name}: {};", doc(what(event), "  "), kind(event, "  "));
    }
    file += "}\n\n/** What is known of each kind of failure, by its code. */\n";
    file += "export interface Facts {\n";
    for code in codes {
        let name = code["properties"]["code"]["const"].as_str().unwrap_or_default();
        let facts = kind(&code["properties"]["facts"], "  ");
        let _ = writeln!(file, "{}  {name}: {facts};", doc(what(code), "  "));
    }
    file + "}\n" + UNIONS
}

/// The names of all types that a schema is made of.
fn gather<'a>(contract: &'a Contract, schema: &'a Value, into: &mut BTreeSet<&'a str>) {
    if let Some(name) = name_of(schema)
        && into.insert(name)
    {
        gather(contract, contract.named(name), into);
    }
    match schema {
        Value::Object(map) => map.values().for_each(|value| gather(contract, value, into)),
        Value::Array(items) => items.iter().for_each(|item| gather(contract, item, into)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A type with a name of its own.
fn named(name: &str, schema: &Value) -> String {
    let Some(choices) = schema["oneOf"].as_array() else {
        return match kind(schema, "") {
            fields if fields.starts_with('{') => format!("export interface {name} {fields}\n"),
            other => format!("export type {name} = {other};\n"),
        };
    };
    let choices: Vec<String> = choices
        .iter()
        .map(|choice| format!("{}  | {}", doc(what(choice), "  "), kind(choice, "  ")))
        .collect();
    format!("export type {name} =\n{};\n", choices.join("\n"))
}

/// A type where it is used; `indent` is that of the line it stands on.
fn kind(schema: &Value, indent: &str) -> String {
    if let Some(name) = name_of(schema) {
        return name.to_owned();
    }
    if let Some(text) = schema["const"].as_str() {
        return format!("\"{text}\"");
    }
    match schema["type"].as_str() {
        Some("string") => "string".to_owned(),
        Some("boolean") => "boolean".to_owned(),
        Some("integer" | "number") => "number".to_owned(),
        Some("array") => format!("{}[]", kind(&schema["items"], indent)),
        Some(_) | None => object(schema, indent),
    }
}

fn object(schema: &Value, indent: &str) -> String {
    let deeper = format!("{indent}  ");
    let mut fields = String::new();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        if name == "type" && field.get("const").is_some() {
            continue;
        }
        let mark = if required(schema, name) { "" } else { "?" };
        let kind = kind(field, &deeper);
        let _ = writeln!(fields, "{}{deeper}{name}{mark}: {kind};", doc(what(field), &deeper));
    }
    if fields.is_empty() {
        "Record<string, never>".to_owned()
    } else {
        format!("{{\n{fields}{indent}}}")
    }
}

/// A name as a key: in quotes only where it needs them.
fn key(name: &str) -> String {
    if name.contains('.') { format!("\"{name}\"") } else { name.to_owned() }
}

/// A comment before what it is about.
fn doc(text: String, indent: &str) -> String {
    if text.is_empty() {
        return text;
    }
    let text = text.replace("*/", "* /");
    if indent.len() + text.chars().count() + 7 <= COLUMNS {
        return format!("{indent}/** {text} */\n");
    }
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is one from the start");
        if indent.len() + 3 + line.chars().count() + 1 + word.chars().count() > COLUMNS {
            lines.push(word.to_owned());
        } else {
            let gap = if line.is_empty() { "" } else { " " };
            *line = format!("{line}{gap}{word}");
        }
    }
    let lines: String = lines.iter().map(|line| format!("{indent} * {line}\n")).collect();
    format!("{indent}/**\n{lines}{indent} */\n")
}
