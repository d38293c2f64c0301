//! How names, ids, times and passwords are written in the contract.
//!
//! Source: INTERFACES 3: ids are strings, times Unix milliseconds, bytes base64url. Invariant: what
//! a client wrote is kept as it came until [`Spelled::read`] looks into it, so that a wrong name or
//! an unknown id is a typed error with facts and not a malformed message.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use data_encoding::BASE64URL_NOPAD;
use earshot_proto::ids::{BadName, CallId, DeviceId, MessageId, NetworkId, NodeId, UserName};
use earshot_proto::time::UnixTime;
use earshot_proto::wire::bounded::Text;
use earshot_proto::wire::certificate::{AgreeKey, VerifyKey};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use super::errors::{ErrorCode, NameRule};

/// A thing that the contract writes as a string.
pub trait Spelling {
    /// What the string is, for the docs.
    const WHAT: &'static str;
    /// A string of this kind, for the docs.
    const EXAMPLE: &'static str;

    /// The string.
    fn spell(&self) -> String;
}

/// A thing that clients may name in their questions.
pub trait Reading: Spelling + Sized {
    /// Reads the string.
    ///
    /// # Errors
    /// The code that a client gets for a string that names nothing of this kind.
    fn read(text: &str) -> Result<Self, ErrorCode>;
}

/// A `T` as a string.
pub struct Spelled<T> {
    text: String,
    of: PhantomData<fn() -> T>,
}

impl<T> Spelled<T> {
    /// The string as it came, or as it will go.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl<T: Reading> Spelled<T> {
    /// The thing itself.
    ///
    /// # Errors
    /// See [`Reading::read`].
    pub fn read(&self) -> Result<T, ErrorCode> {
        T::read(&self.text)
    }
}

impl<T: Spelling> From<&T> for Spelled<T> {
    fn from(thing: &T) -> Self {
        Self { text: thing.spell(), of: PhantomData }
    }
}

impl<T: Spelling> From<T> for Spelled<T> {
    fn from(thing: T) -> Self {
        Self::from(&thing)
    }
}

impl<T> Clone for Spelled<T> {
    fn clone(&self) -> Self {
        Self { text: self.text.clone(), of: PhantomData }
    }
}

impl<T> PartialEq for Spelled<T> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl<T> Eq for Spelled<T> {}

impl<T> fmt::Debug for Spelled<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl<T> Serialize for Spelled<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.text)
    }
}

impl<'de, T> Deserialize<'de> for Spelled<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(|text| Self { text, of: PhantomData })
    }
}

impl<T: Spelling> JsonSchema for Spelled<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::WHAT.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": T::WHAT, "examples": [T::EXAMPLE] })
    }
}

impl Spelling for UserName {
    const WHAT: &'static str = "A user name.";
    const EXAMPLE: &'static str = "anna";

    fn spell(&self) -> String {
        self.to_string()
    }
}

impl Reading for UserName {
    fn read(text: &str) -> Result<Self, ErrorCode> {
        Self::new(text).map_err(|bad| {
            let (rule, got) = match bad {
                BadName::TooShort { got } => (NameRule::TooShort, Some(got)),
                BadName::TooLong { got } => (NameRule::TooLong, Some(got)),
                BadName::Forbidden => (NameRule::Forbidden, None),
            };
            ErrorCode::BadName { rule, got }
        })
    }
}

/// Ids that `Display` writes as base64url.
macro_rules! spelled_id {
    ($($id:ident $what:literal $example:literal,)+) => {
        $(impl Spelling for $id {
            const WHAT: &'static str = $what;
            const EXAMPLE: &'static str = $example;

            fn spell(&self) -> String {
                self.to_string()
            }
        })+
    };
}

spelled_id! {
    CallId "The id of a call." "3q2-7wAAAAAAAAAAAAAAAQ",
    MessageId "The id of a message." "q80AAAAAAAAAAAAAAAAAAg",
    DeviceId "The id of a device." "7gAAAAAAAAAAAAAAAAAAAQ",
    NetworkId "The id of a network." "n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg",
    NodeId "The id of a super-peer." "ZgQBAgMEBQYHCAkKCwwNDg8QERI",
}

impl Reading for CallId {
    fn read(text: &str) -> Result<Self, ErrorCode> {
        text.parse().map_err(|_| ErrorCode::NoSuchCall)
    }
}

impl Reading for MessageId {
    fn read(text: &str) -> Result<Self, ErrorCode> {
        text.parse().map_err(|_| ErrorCode::NoSuchMessage)
    }
}

impl Spelling for VerifyKey {
    const WHAT: &'static str = "An Ed25519 public key.";
    const EXAMPLE: &'static str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

    fn spell(&self) -> String {
        BASE64URL_NOPAD.encode(&self.0)
    }
}

impl Spelling for AgreeKey {
    const WHAT: &'static str = "An X25519 public key.";
    const EXAMPLE: &'static str = "hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo";

    fn spell(&self) -> String {
        BASE64URL_NOPAD.encode(&self.0)
    }
}

/// A moment: Unix milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMs(pub u64);

impl From<UnixTime> for UnixMs {
    fn from(time: UnixTime) -> Self {
        Self(time.0)
    }
}

impl JsonSchema for UnixMs {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "UnixMs".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let what = "Unix milliseconds.";
        json_schema!({
            "type": "integer", "minimum": 0, "description": what, "examples": [1_795_000_000_000_u64]
        })
    }
}

/// A password on its way from the user to the stretching. It is wiped when dropped, has no `Clone`
/// and tells nothing when printed; it is serialized only by those who drive a node.
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes a password over.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The bytes to stretch.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

impl Serialize for Password {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        // The error of serde would quote what came instead.
        let text = String::deserialize(from);
        text.map(Self::new).map_err(|_| D::Error::custom("password is no string"))
    }
}

impl JsonSchema for Password {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Password".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "examples": ["correct horse battery staple"] })
    }
}

/// A recovery key on its way to paper. It is wiped when dropped, has no `Clone` and tells nothing
/// when printed.
#[derive(PartialEq, Eq)]
pub struct RecoveryKey(Zeroizing<String>);

impl RecoveryKey {
    /// Takes a key over.
    #[must_use]
    pub const fn new(paper: Zeroizing<String>) -> Self {
        Self(paper)
    }
}

impl fmt::Debug for RecoveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryKey(..)")
    }
}

impl Serialize for RecoveryKey {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RecoveryKey {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(|paper| Self(Zeroizing::new(paper)))
    }
}

impl JsonSchema for RecoveryKey {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "RecoveryKey".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let example = "4N7Q-0R3E-9YVB-K2M8-1T5W-6HXC-ZP0D-J7AS";
        json_schema!({ "type": "string", "examples": [example] })
    }
}

/// Checks the length of a text that a client sent in `field`.
///
/// # Errors
/// [`ErrorCode::TextTooLong`] says which field and by how much.
pub fn bounded<const MAX: usize>(
    field: &'static str,
    text: impl Into<String>,
) -> Result<Text<MAX>, ErrorCode> {
    Text::new(text).map_err(|e| ErrorCode::TextTooLong {
        field: field.into(),
        got: e.got,
        max: e.max,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled<T>(text: &str) -> Spelled<T> {
        serde_json::from_value(text.into()).expect("any string is taken")
    }

    #[test]
    fn a_name_that_breaks_a_rule_is_a_typed_error() {
        assert_eq!(spelled::<UserName>("Anna").read(), UserName::read("anna"));
        let short = ErrorCode::BadName { rule: NameRule::TooShort, got: Some(2) };
        assert_eq!(spelled::<UserName>("al").read(), Err(short));
        let forbidden = ErrorCode::BadName { rule: NameRule::Forbidden, got: None };
        assert_eq!(spelled::<UserName>("a b c").read(), Err(forbidden));
    }

    #[test]
    fn an_id_of_another_shape_is_the_id_of_nothing() {
        assert_eq!(spelled::<CallId>("seven").read(), Err(ErrorCode::NoSuchCall));
        assert_eq!(spelled::<MessageId>("").read(), Err(ErrorCode::NoSuchMessage));
        let id = CallId([7; 16]);
        assert_eq!(Spelled::from(id).read(), Ok(id));
    }

    #[test]
    fn the_examples_are_examples() {
        assert!(CallId::EXAMPLE.parse::<CallId>().is_ok());
        assert!(MessageId::EXAMPLE.parse::<MessageId>().is_ok());
        assert!(DeviceId::EXAMPLE.parse::<DeviceId>().is_ok());
        assert!(NetworkId::EXAMPLE.parse::<NetworkId>().is_ok());
        assert!(NodeId::EXAMPLE.parse::<NodeId>().is_ok());
    }

    #[test]
    fn a_password_tells_nothing_when_printed() {
        assert_eq!(format!("{:?}", Password::new("secret".into())), "Password(..)");
        let wrong = serde_json::from_str::<Password>("4711").map_err(|e| e.to_string());
        assert!(!wrong.expect_err("no string").contains("4711"));
    }

    #[test]
    fn a_text_over_its_bound_says_by_how_much() {
        let bad = bounded::<4>("mood", "äöå").map_err(|e| e.to_string());
        assert_eq!(bad.err().as_deref(), Some("mood has 6 bytes, at most 4 are taken"));
    }
}
