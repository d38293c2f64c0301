//! `docs/rpc.md`: the contract for those who write clients.

use std::fmt::Write;

use serde_json::{Value, json};

use super::example::example;
use super::schema::{Contract, codes, name_of, required, what};
use crate::api::commands::{ALWAYS_POSSIBLE, METHODS, Method};
use crate::rpc::{LINE_MAX, QUESTIONS_MAX};

/// The whole page.
pub(super) fn write(contract: &Contract) -> String {
    let mut page = opening();
    page += "\n## Methods\n";
    for method in METHODS {
        page += &of_method(contract, method);
    }
    page += "\n## Events\n";
    for event in contract.variants("Numbered") {
        page += &of_event(contract, event);
    }
    page += &errors(contract);
    page += &types(contract);
    page.replace("\n\n\n", "\n\n").trim_end().to_owned() + "\n"
}

fn opening() -> String {
    let always = listed(ALWAYS_POSSIBLE);
    format!(
        "# RPC of earshotd

*Generated from the types in `crates/earshot-node/src/api/` by `./x bindings`; do not edit.
The same as JSON Schema: [rpc.schema.json](rpc.schema.json).*

`earshotd` speaks [JSON-RPC 2.0](https://www.jsonrpc.org/specification) over standard input and
output. Each message is one line of UTF-8 of at most {LINE_MAX} bytes; blank lines are skipped.
The first line it writes is no message of JSON-RPC but says that it is [ready](#ready), or
[why not](#notready).

- Parameters go by name. Names that a method does not know are refused. Batches are not taken,
  since the result of a question comes before the events that it caused.
- At most {QUESTIONS_MAX} questions may wait for their answers at a time. A question without an id
  is done and not answered, whatever comes of it.
- What is absent is omitted. Ids are strings of no meaning, times Unix milliseconds, fields in
  `…Ms` durations in milliseconds, bytes base64url without padding.
- Events are notifications, numbered by `seq` from 1 without gaps. Who does not read for long
  misses some `callStats` and `audioLevel`, which then have no number.
- The end of input is a polite leave: questions that still wait are answered with `leaving`, and
  the process ends.
- Any method can be refused with
  {always},
  and before it begins with the errors of the message itself, which come first in the
  [list](#errors). A method that a role does not answer is `unknownMethod`.
"
    )
}

fn of_method(contract: &Contract, method: &Method) -> String {
    let row = contract.method(method);
    let (params, result) = (contract.resolve(&row["params"]), contract.resolve(&row["result"]));
    let (asked, granted) = (line(example(contract, params)), line(example(contract, result)));
    let name = method.name;
    let request = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{name}","params":{asked}}}"#);
    let answer = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{granted}}}"#);
    let roles: Vec<&str> = method.roles.iter().map(|role| role.name()).collect();
    let mut text = format!("\n### {}\n\n{}\n\n", method.name, what(params));
    let _ = writeln!(text, "```json\n{request}\n{answer}\n```\n");
    text += &fields("Parameter", contract, params);
    text += &fields("Result", contract, result);
    let _ = writeln!(text, "Answered by: {}.", roles.join(", "));
    if !method.errors.is_empty() {
        let _ = writeln!(text, "Errors: {}.", listed(method.errors));
    }
    text
}

fn of_event(contract: &Contract, event: &Value) -> String {
    let name = event["properties"]["type"]["const"].as_str().unwrap_or_default();
    let mut params = json!({ "seq": 17, "at": 1_795_000_000_000_u64 });
    if let (Some(params), Value::Object(own)) = (params.as_object_mut(), example(contract, event)) {
        params.extend(own);
    }
    let message = format!(r#"{{"jsonrpc":"2.0","method":"event","params":{}}}"#, line(params));
    let described = if name_of(event).is_some() { contract.resolve(event) } else { event };
    let mut text = format!("\n### {name}\n\n{}\n\n```json\n{message}\n```\n\n", what(event));
    text += &fields("Field", contract, described);
    text
}

fn errors(contract: &Contract) -> String {
    let failure = json!({ "code": -32_000, "message": "too many attempts", "data": {
        "code": "tooManyAttempts", "facts": {}, "retryAfterMs": 5_000
    } });
    let message = format!(r#"{{"jsonrpc":"2.0","id":1,"error":{}}}"#, line(failure));
    let mut text = format!(
        "
## Errors

`error.message` is English, for logs. `error.data` is for programs: `code` is one of this closed
list, `facts` are always there, be they empty, and `retryAfterMs` says when trying again makes
sense. `error.code` is -32000 unless the table says another number.

```json
{message}
```

| code | what | facts |
|---|---|---|
"
    );
    for code in contract.variants("ErrorCode") {
        let name = code["properties"]["code"]["const"].as_str().unwrap_or_default();
        let facts = &code["properties"]["facts"];
        let fields = facts["properties"].as_object().into_iter().flatten();
        let fields = fields.map(|(fact, schema)| {
            let said = what(schema).trim_end_matches('.').to_owned();
            format!("`{fact}{}`: {}, {said}", mark(facts, fact), kind(schema))
        });
        let facts: Vec<String> = fields.collect();
        let _ = writeln!(text, "| `{name}` | {} | {} |", what(code), facts.join("; "));
    }
    text
}

/// Every type that is no parameter or result of its own.
fn types(contract: &Contract) -> String {
    let shown = |name: &str| {
        let (whole, all) = contract.uses(name);
        let apart = ["ErrorCode", "Failure", "Numbered", "Event"].contains(&name);
        !apart && all > whole
    };
    let mut text = "\n## Types\n".to_owned();
    for (name, schema) in contract.types().filter(|(name, _)| shown(name)) {
        let _ = write!(text, "\n### {name}\n\n{}\n\n", what(schema));
        text += &values(schema);
        text += &fields("Field", contract, schema);
    }
    text
}

/// The values of an enumeration.
fn values(schema: &Value) -> String {
    let choices = schema["oneOf"].as_array().into_iter().flatten();
    let rows: String = choices
        .map(|choice| {
            format!("| `{}` | {} |\n", choice["const"].as_str().unwrap_or("…"), what(choice))
        })
        .collect();
    if rows.is_empty() { rows } else { format!("| value | what |\n|---|---|\n{rows}\n") }
}

/// The fields of an object.
fn fields(heading: &str, contract: &Contract, schema: &Value) -> String {
    let mut rows = String::new();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        if name == "type" && field.get("const").is_some() {
            continue;
        }
        let mark = mark(schema, name);
        let own = field["description"].as_str();
        let said = own.map_or_else(|| what(contract.resolve(field)), |_| what(field));
        let _ = writeln!(rows, "| `{name}{mark}` | {} | {said} |", kind(field));
    }
    if rows.is_empty() {
        rows
    } else {
        format!("| {heading} | type | what |\n|---|---|---|\n{rows}\n")
    }
}

/// What follows the name of a field that may be absent.
fn mark(schema: &Value, field: &str) -> &'static str {
    if required(schema, field) { "" } else { "?" }
}

/// The type of a field, in a word.
fn kind(schema: &Value) -> String {
    if name_of(schema) == Some("Failure") {
        return "[error](#errors)".to_owned();
    }
    if let Some(name) = name_of(schema) {
        return format!("[{name}](#{})", name.to_lowercase());
    }
    match schema["type"].as_str() {
        Some("array") => format!("list of {}", kind(&schema["items"])),
        Some(name) => name.to_owned(),
        None => "object".to_owned(),
    }
}

/// Codes of these variants, as a sentence lists them.
fn listed(variants: &[&str]) -> String {
    let codes: Vec<String> = codes(variants).iter().map(|code| format!("`{code}`")).collect();
    codes.join(", ")
}

/// JSON on one line, the same whatever order its objects were made in.
fn line(mut json: Value) -> String {
    json.sort_all_objects();
    json.to_string()
}
