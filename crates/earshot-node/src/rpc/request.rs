//! A line as a request of JSON-RPC 2.0.
//!
//! Source: the JSON-RPC 2.0 specification, sections 4 and 5. Two things of it are left out, and
//! answered as errors: batches, because the result of a question comes before its events, and
//! parameters by position. Invariant: no bytes make it panic, and whatever has an id that can be
//! read is answered with that id.

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;
use serde_json::value::RawValue;

use crate::api::commands::brief;
use crate::api::errors::ErrorCode;

/// Longest id, in bytes of JSON. Our choice: a UUID takes 38.
const ID_MAX: usize = 256;

/// An id as it came: JSON of a string, a number or null.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Id(Box<str>);

impl Id {
    /// The id of an answer to what has none that could be read.
    pub(super) fn null() -> Self {
        Self("null".into())
    }

    pub(super) fn as_json(&self) -> &str {
        &self.0
    }

    fn read(raw: &RawValue) -> Result<Self, ErrorCode> {
        let text = raw.get();
        if text.len() > ID_MAX {
            return Err(not_a_request(format!("id has more than {ID_MAX} bytes")));
        }
        let good = match text.as_bytes() {
            b"null" | [b'-' | b'0'..=b'9', ..] => true,
            [b'"', ..] => serde_json::from_str::<String>(text).is_ok(),
            _ => false,
        };
        if good { Ok(Self(text.into())) } else { Err(not_a_request("id is no string or number")) }
    }
}

/// A request.
#[derive(Debug)]
pub(super) struct Request<'a> {
    /// Absent from a notification, which is not answered.
    pub(super) id: Option<Id>,
    pub(super) method: String,
    /// JSON of an object.
    pub(super) params: Result<&'a str, ErrorCode>,
}

/// A line that is no request.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) id: Id,
    pub(super) why: ErrorCode,
}

#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow)]
    jsonrpc: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "even_null")]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Option<&'a RawValue>,
    #[serde(borrow)]
    params: Option<&'a RawValue>,
}

/// A null id is an id.
fn even_null<'de: 'a, 'a, D: Deserializer<'de>>(from: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

/// Reads a line.
pub(super) fn read(line: &[u8]) -> Result<Request<'_>, Refused> {
    let refused = |why| Refused { id: Id::null(), why };
    let members = members(line).map_err(refused)?;
    let id = members.id.map(Id::read).transpose().map_err(refused)?;
    match (text(members.jsonrpc).as_deref(), text(members.method)) {
        (Some("2.0"), Some(method)) => Ok(Request { id, method, params: params(members.params) }),
        (Some("2.0"), None) => Err("method is missing or no string"),
        (Some(_) | None, Some(_) | None) => Err("jsonrpc is not \"2.0\""),
    }
    .map_err(|problem| Refused {
        id: members.id.and_then(|id| Id::read(id).ok()).unwrap_or_else(Id::null),
        why: not_a_request(problem),
    })
}

fn members(line: &[u8]) -> Result<Members<'_>, ErrorCode> {
    let line = std::str::from_utf8(line)
        .map_err(|e| ErrorCode::NotJson { problem: format!("no UTF-8 at {}", e.valid_up_to()) })?;
    let first = line.trim_ascii_start().as_bytes().first();
    if first != Some(&b'{') {
        serde_json::from_str::<IgnoredAny>(line).map_err(unreadable)?;
        let batch = first == Some(&b'[');
        return Err(not_a_request(if batch { "batches are not taken" } else { "no object" }));
    }
    serde_json::from_str(line).map_err(unreadable)
}

fn unreadable(error: serde_json::Error) -> ErrorCode {
    let problem = brief(&error.to_string());
    match error.classify() {
        Category::Data => ErrorCode::NotARequest { problem },
        Category::Syntax | Category::Eof | Category::Io => ErrorCode::NotJson { problem },
    }
}

fn text(raw: Option<&RawValue>) -> Option<String> {
    serde_json::from_str(raw?.get()).ok()
}

fn params(raw: Option<&RawValue>) -> Result<&str, ErrorCode> {
    let params = raw.map_or("{}", RawValue::get);
    if params.starts_with('{') {
        return Ok(params);
    }
    Err(ErrorCode::BadParams { problem: "parameters go by name, in an object".into() })
}

fn not_a_request(problem: impl Into<String>) -> ErrorCode {
    ErrorCode::NotARequest { problem: problem.into() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn refusal(line: &str) -> (String, i32) {
        let refused = read(line.as_bytes()).expect_err("no request");
        (refused.id.as_json().to_owned(), refused.why.number())
    }

    #[test]
    fn ids_come_back_as_they_came() {
        for id in ["7", "-1.50", "18446744073709551616", "\"a\\u00e4\"", "null"] {
            let line = format!(r#" {{"jsonrpc":"2.0","id":{id},"method":"state.get"}}"#);
            let request = read(line.as_bytes()).expect("a request");
            assert_eq!(request.id.as_ref().map(Id::as_json), Some(id));
            assert_eq!(request.params, Ok("{}"));
        }
    }

    #[test]
    fn what_has_no_id_is_a_notification() {
        let request = read(br#"{"jsonrpc":"2.0","method":"logout"}"#).expect("a request");
        assert_eq!(request.id, None);
    }

    #[test]
    fn what_is_not_json_is_told_from_what_is_no_request() {
        for line in ["{", "}", "nonsense", "{\"a\":1}x", "\u{0}", "[1,"] {
            assert_eq!(refusal(line), ("null".into(), -32_700), "{line}");
        }
        assert_eq!(read(b"\xff").expect_err("no UTF-8").why.number(), -32_700);
        for line in ["[]", "[1]", "7", "\"text\"", "{}", "{\"id\":[]}", "{\"id\":1,\"id\":2}"] {
            assert_eq!(refusal(line), ("null".into(), -32_600), "{line}");
        }
    }

    #[test]
    fn a_broken_request_is_answered_with_its_id() {
        assert_eq!(refusal(r#"{"id":7,"method":"logout"}"#), ("7".into(), -32_600));
        assert_eq!(refusal(r#"{"jsonrpc":"2.0","id":"x","method":7}"#), ("\"x\"".into(), -32_600));
        assert_eq!(refusal(r#"{"jsonrpc":2.0,"id":7,"method":"logout"}"#), ("7".into(), -32_600));
    }

    #[test]
    fn parameters_by_position_are_refused() {
        for params in ["[]", "7", "\"x\"", "true"] {
            let line = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{params}}}"#);
            let request = read(line.as_bytes()).expect("a request");
            assert_eq!(request.params.map_err(|why| why.number()), Err(-32_602));
        }
    }

    #[test]
    fn deep_nesting_is_no_danger() {
        let line = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{{"a":{}"#,
            "[".repeat(500_000)
        );
        assert_eq!(refusal(&line), ("null".into(), -32_700));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(line in proptest::collection::vec(any::<u8>(), 0..300)) {
            drop(read(&line));
        }

        #[test]
        fn no_json_makes_it_panic(line in r#"[\[\]{}",:0-9a-z\\. ]{0,60}"#) {
            drop(read(line.as_bytes()));
            drop(read(format!(r#"{{"jsonrpc":"2.0","id":{line}"#).as_bytes()));
        }
    }
}
