//! Accounts and sessions: making an account, logging in and out, what one shows of oneself.

use earshot_proto::ids::{DeviceId, UserName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::errors::ErrorCode;
use super::text::{Password, RecoveryKey, Spelled, UnixMs};

/// Makes an account at the network's login authority and logs this device in.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Register {
    /// The name to have: 3 to 32 characters.
    pub user: Spelled<UserName>,
    /// The password; absent, the one of `EARSHOT_PASSWORD` is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Password>,
    /// The name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "Anna Virtanen")]
    pub display_name: Option<String>,
}

/// The account was made.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Registered {
    /// The prepared name.
    pub user: Spelled<UserName>,
    /// When this device's certificate ends.
    pub certificate_until: UnixMs,
    /// The recovery key: the second way to the account when the password is forgotten. To be
    /// printed or written down; it is told this once and kept nowhere.
    pub recovery_key: RecoveryKey,
}

/// Logs this device in. While the authority is away this works on a device that logged in before.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Login {
    /// The name.
    pub user: Spelled<UserName>,
    /// The password; absent, the one of `EARSHOT_PASSWORD` is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Password>,
}

/// This device is logged in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoggedIn {
    /// The prepared name.
    pub user: Spelled<UserName>,
    /// This device.
    pub device_id: Spelled<DeviceId>,
    /// When its certificate ends.
    pub certificate_until: UnixMs,
    /// How long the stretching of the password took.
    #[schemars(example = 180.5)]
    pub stretch_ms: f64,
}

/// Logs this device out. Calls end; buddies see it go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Logout {}

/// Shows oneself to one's buddies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PresenceSet {
    /// What to show.
    pub presence: OwnPresence,
    /// The mood line, at most 256 bytes; absent, it stays as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "in the garden")]
    pub mood: Option<String>,
}

/// Lets others find one by name, or not any more. It holds for the account: the user's other
/// devices follow. How far it is comes in `sessionChanged`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProfileSet {
    /// Whether any member of the network may find the user by the words of user name and display
    /// name, or the first three letters of one.
    pub listed: bool,
    /// The name to be listed under, at most 128 bytes; absent, it stays as it is; empty, it is the
    /// account's. Whoever finds the user is shown the user name too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(example = "Anna from the choir")]
    pub name: Option<String>,
    /// Up to three words more to be found by, each at most 64 bytes; absent, they stay as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<Vec<String>>,
}

/// Whether others can find a user by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Listed {
    /// They cannot, but by the exact user name.
    Off,
    /// They are to, and will soon.
    Posting,
    /// They can.
    On,
    /// They are not to any more: super-peers are being told. Those that could not be told forget it
    /// within a day.
    Leaving,
}

/// What a user can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OwnPresence {
    /// There.
    Online,
    /// There, but not at the desk.
    Away,
    /// There, not to be disturbed.
    DoNotDisturb,
    /// There, but shown as offline.
    Invisible,
}

/// Who is logged in on this device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// How far it is.
    pub state: SessionState,
    /// Who; absent when logged out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Spelled<UserName>>,
    /// The name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "Anna Virtanen")]
    pub display_name: Option<String>,
    /// This device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_id: Option<Spelled<DeviceId>>,
    /// When its certificate ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate_until: Option<UnixMs>,
    /// What the user shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presence: Option<OwnPresence>,
    /// The mood line.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "in the garden")]
    pub mood: Option<String>,
    /// Whether others can find the user by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listed: Option<Listed>,
    /// The name to be listed under, where it is not the account's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listed_name: Option<String>,
    /// Words of the user's own choice to be found by; absent where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listed_words: Vec<String>,
    /// What was wrong with the buddy list on disk; absent when nothing was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buddy_list: Option<ListFault>,
}

/// What was wrong with the buddy list on disk when its user logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ListFault {
    /// The newest file is damaged: the one before it is used, and the last change may be missing.
    LastGood,
    /// No file was whole, signed here and new enough: it begins empty.
    Refused,
}

/// How far a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SessionState {
    /// Nobody is logged in.
    LoggedOut,
    /// Name and password are being checked.
    LoggingIn,
    /// Logged in, without a link to a super-peer at the moment.
    Offline,
    /// Logged in, linked to a super-peer and findable.
    Online,
}

/// The password of a question, or else the one that the process was started with.
///
/// # Errors
/// [`ErrorCode::BadParams`] when there is neither.
pub fn password_or<'a>(
    given: Option<&'a Password>,
    started_with: Option<&'a Password>,
) -> Result<&'a Password, ErrorCode> {
    given
        .or(started_with)
        .ok_or_else(|| ErrorCode::BadParams { problem: "missing field `password`".into() })
}
