//! How a failure is written: the code, its facts, and when to try again.
//!
//! Invariant: `facts` is always there, be it empty, so that a reader need not ask.

use schemars::JsonSchema;
use serde::de::Error as _;
use serde::ser::{Error as _, SerializeMap};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

use super::errors::ErrorCode;

/// Why a question was not granted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, JsonSchema)]
#[error("{code}")]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// What went wrong.
    #[serde(flatten)]
    pub code: ErrorCode,
    /// Not before this many milliseconds from now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl Failure {
    /// This failure, with the time after which trying again makes sense.
    #[must_use]
    pub const fn retry_after(mut self, ms: u64) -> Self {
        self.retry_after_ms = Some(ms);
        self
    }
}

impl<E: Into<ErrorCode>> From<E> for Failure {
    fn from(code: E) -> Self {
        Self { code: code.into(), retry_after_ms: None }
    }
}

impl Serialize for Failure {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut code = serde_json::to_value(&self.code).map_err(S::Error::custom)?;
        let mut map = to.serialize_map(None)?;
        map.serialize_entry("code", &code["code"].take())?;
        let facts = code.get_mut("facts").map_or_else(|| json!({}), Value::take);
        map.serialize_entry("facts", &facts)?;
        if let Some(ms) = self.retry_after_ms {
            map.serialize_entry("retryAfterMs", &ms)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Failure {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Raw {
            code: Value,
            #[serde(default)]
            facts: Value,
            retry_after_ms: Option<u64>,
        }
        let raw = Raw::deserialize(from)?;
        let mut code = json!({ "code": raw.code });
        let none =
            raw.facts.is_null() || raw.facts.as_object().is_some_and(|facts| facts.is_empty());
        // serde takes a code without facts only where none are written, one with optional facts
        // only where some are.
        let bare = serde_json::from_value::<ErrorCode>(code.clone()).ok().filter(|_| none);
        let code = match bare {
            Some(code) => code,
            None => {
                code["facts"] = raw.facts;
                serde_json::from_value(code).map_err(D::Error::custom)?
            }
        };
        Ok(Self { code, retry_after_ms: raw.retry_after_ms })
    }
}
