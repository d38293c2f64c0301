//! The generated files against the types, and the types against themselves.

use serde_json::Value;

use super::example::example;
use super::schema::codes;
use super::*;
use crate::api::commands::{ALWAYS_POSSIBLE, METHODS, method};
use crate::api::events::Numbered;
use crate::api::failure::Failure;
use crate::api::ready::{NotReady, Ready};

fn rewritten(read: impl Fn(&str) -> serde_json::Result<String>, json: &Value) -> Value {
    let text = read(&json.to_string()).unwrap_or_else(|e| panic!("{json}: {e}"));
    serde_json::from_str(&text).expect("JSON comes back")
}

#[test]
fn the_docs_are_fresh() {
    assert_eq!(stale(), Vec::<&str>::new(), "./x bindings writes them");
}

#[test]
fn the_parameters_and_results_of_every_method_survive_reading_and_writing() {
    let contract = Contract::new();
    for method in METHODS {
        let row = contract.method(method);
        let params = example(&contract, &row["params"]);
        assert_eq!(rewritten(method.rewrite, &params), params, "{}", method.name);
        let result = example(&contract, &row["result"]);
        assert_eq!(rewritten(method.rewrite_answer, &result), result, "{}", method.name);
    }
}

#[test]
fn every_error_code_survives_reading_and_writing_and_has_one_name() {
    let contract = Contract::new();
    let rows = contract.named("ErrorCode")["oneOf"].as_array().expect("codes are an enum");
    let mut known = Vec::new();
    for row in rows {
        let error = example(&contract, row);
        let read = |text: &str| serde_json::to_string(&serde_json::from_str::<Failure>(text)?);
        assert_eq!(rewritten(read, &error), error);
        known.push(error["code"].as_str().expect("a code is a string").to_owned());
    }
    let named = METHODS.iter().flat_map(|method| method.errors).chain(ALWAYS_POSSIBLE);
    let named = codes(&named.copied().collect::<Vec<_>>());
    let unknown: Vec<_> = named.iter().filter(|code| !known.contains(code)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn every_example_of_the_page_is_understood() {
    let page = page::write(&Contract::new());
    let (mut requests, mut events) = (0, 0);
    for block in page.split("```json\n").skip(1) {
        let block = block.split("```").next().unwrap_or_default();
        for line in block.lines() {
            let message: Value = serde_json::from_str(line).expect("an example is JSON");
            let params = message["params"].to_string();
            if message["method"] == "event" {
                serde_json::from_str::<Numbered>(&params).expect(line);
                events += 1;
            } else if let Some(name) = message["method"].as_str() {
                let role = METHODS.iter().find(|m| m.name == name).expect(line).roles[0];
                (method(name, role).expect(line).rewrite)(&params).expect(line);
                requests += 1;
            } else if let Some(error) = message.get("error") {
                serde_json::from_value::<Failure>(error["data"].clone()).expect(line);
            }
        }
    }
    assert_eq!((requests, events), (METHODS.len(), 14));
}

#[test]
fn the_first_line_survives_reading_and_writing() {
    let contract = Contract::new();
    let mut ready = example(&contract, contract.named("Ready"));
    ready["ready"] = true.into();
    let read = |text: &str| serde_json::to_string(&serde_json::from_str::<Ready>(text)?);
    assert_eq!(rewritten(read, &ready), ready);
    let not_ready = example(&contract, contract.named("NotReady"));
    let read = |text: &str| serde_json::to_string(&serde_json::from_str::<NotReady>(text)?);
    assert_eq!(rewritten(read, &not_ready), not_ready);
}
