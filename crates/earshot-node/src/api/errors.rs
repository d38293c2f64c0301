//! What can go wrong, as codes with facts; the words for people live with whoever shows them.
//!
//! Source: INTERFACES 3, STYLE 18. Invariant: the list is closed. Facts never hold a password, a
//! key or a text that somebody wrote to somebody.

use earshot_proto::ids::CallId;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::audio::AudioFault;
use super::call::CallState;
use super::super_peer::Cap;
use super::text::{Spelled, UnixMs};

/// What went wrong. On the wire `{"code":"badInvite","facts":{"problem":"damaged"}}`; a code
/// without facts has empty ones.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "code", content = "facts", rename_all = "camelCase", rename_all_fields = "camelCase")]
#[schemars(transform = facts_are_always_there)]
pub enum ErrorCode {
    // The message itself.
    /// The line is not JSON in UTF-8. JSON-RPC code -32700.
    #[error("not JSON: {problem}")]
    NotJson {
        /// What the parser met, and where.
        problem: String,
    },
    /// The line is JSON, but no request of JSON-RPC 2.0. JSON-RPC code -32600.
    #[error("not a request: {problem}")]
    NotARequest {
        /// What is missing or wrong.
        problem: String,
    },
    /// The line is longer than is read; it was skipped. JSON-RPC code -32600.
    #[error("a line has at most {max} bytes")]
    LineTooLong {
        /// Longest line, in bytes.
        max: usize,
    },
    /// There is no such method here. JSON-RPC code -32601.
    #[error("no method has this name")]
    UnknownMethod,
    /// The parameters are not those of the method. JSON-RPC code -32602.
    #[error("bad parameters: {problem}")]
    BadParams {
        /// What is missing or wrong.
        problem: String,
    },
    /// The result does not fit into one line. Ask for less.
    #[error("the answer would have {got} bytes, a line has at most {max}")]
    AnswerTooLong {
        /// Bytes of the answer.
        got: usize,
        /// Longest line, in bytes.
        max: usize,
    },

    // Starting.
    /// The command line is wrong; usage is on stderr. Exit code 64.
    #[error("usage: {problem}")]
    Usage {
        /// What is wrong with it.
        problem: String,
    },
    /// Another program listens there.
    #[error("port {port} is in use")]
    PortInUse {
        /// The port, TCP or UDP.
        port: u16,
    },
    /// That address is not ours, or may not be listened on.
    #[error("cannot listen on {address}")]
    AddressRefused {
        /// The address.
        address: String,
    },
    /// Another process works with this data directory.
    #[error("{directory} is in use")]
    DataInUse {
        /// The directory.
        directory: String,
    },
    /// A file of ours does not hold what we wrote. Exit code 3.
    #[error("{file} is damaged")]
    DamagedData {
        /// The file.
        file: String,
    },
    /// A file of ours was written by a newer version.
    #[error("{file} was written by a newer version")]
    DataTooNew {
        /// The file.
        file: String,
    },
    /// A file or directory cannot be read or written.
    #[error("{file}: {problem}")]
    FileRefused {
        /// The file or directory.
        file: String,
        /// What the system says.
        problem: String,
    },
    /// No space is left; nothing was promised.
    #[error("the disk is full")]
    DiskFull,
    /// The authority does not enrol this super-peer.
    #[error("not enrolled: {}", reason.said_of(address))]
    NotEnrolled {
        /// Why.
        reason: EnrolmentRefusal,
        /// Where it was to serve.
        address: String,
    },

    // Networks.
    /// The text is no invite.
    #[error("not an invite")]
    BadInvite {
        /// Whether to copy it again or to update the program.
        problem: InviteProblem,
    },
    /// No network was joined yet.
    #[error("no network joined")]
    NoNetwork,
    /// This node belongs to another network already.
    #[error("another network is joined")]
    OtherNetwork,
    /// This peer founded the network: it serves it always.
    #[error("the network was founded here")]
    FoundedHere,
    /// A super-peer that does neither job; not to serve is a mode.
    #[error("one of the jobs must be done")]
    NoJob,
    /// A cap is too low to serve with, or none any more.
    #[error("{cap:?} must be from {least} to {most}")]
    CapOutOfRange {
        /// Which.
        cap: Cap,
        /// The least it may be.
        least: u32,
        /// The most.
        most: u32,
    },
    /// Whoever answers there belongs to another network, or is not who the invite names.
    #[error("another network answers there")]
    WrongNetwork,
    /// No super-peer can be reached.
    #[error("no super-peer can be reached")]
    NotConnected {
        /// Since when.
        #[serde(skip_serializing_if = "Option::is_none")]
        since: Option<UnixMs>,
    },
    /// The login authority cannot be reached, not through a super-peer either.
    #[error("the login authority cannot be reached")]
    AuthorityUnreachable {
        /// Since when.
        #[serde(skip_serializing_if = "Option::is_none")]
        since: Option<UnixMs>,
    },
    /// The other side broke the protocol.
    #[error("the other side broke the protocol")]
    BrokenProtocol,
    /// The clock of this computer is too far off for certificates to be judged.
    #[error("the clock is off by {off_by_ms} ms")]
    ClockWrong {
        /// How far; negative when our clock is behind.
        off_by_ms: i64,
    },

    // Accounts.
    /// The text can be no user name.
    #[error("not a user name")]
    BadName {
        /// The rule that it breaks.
        rule: NameRule,
        /// Characters counted.
        #[serde(skip_serializing_if = "Option::is_none")]
        got: Option<usize>,
    },
    /// The password is shorter than is taken.
    #[error("a password has at least {min} characters")]
    PasswordTooShort {
        /// Shortest password, in characters.
        min: usize,
    },
    /// Somebody has that name.
    #[error("the name is taken")]
    NameTaken,
    /// The name looks like one that somebody has (UTS #39).
    #[error("the name looks like one that is taken")]
    NameLooksAlike,
    /// Name and password do not belong together, or nobody has that name.
    #[error("wrong name or password")]
    WrongNameOrPassword,
    /// The network admits by token, and that of the invite is missing, spent or expired.
    #[error("this network admits by invitation only")]
    NotAdmitted,
    /// Too many attempts; `retryAfterMs` says when the next one counts.
    #[error("too many attempts")]
    TooManyAttempts,
    /// The authority does not take this device (a device list that does not follow the current
    /// one).
    #[error("the device was refused")]
    DeviceRefused,
    /// Our certificate is expired, revoked or of another network.
    #[error("the certificate was refused")]
    CertificateRefused,
    /// The authority could not keep it; nothing was promised.
    #[error("the login authority is out of order")]
    AuthorityFailed,
    /// Nobody is logged in here.
    #[error("not logged in")]
    NotLoggedIn,
    /// Somebody is logged in here, or is about to be.
    #[error("already logged in")]
    AlreadyLoggedIn,

    // Buddies and messages.
    /// That is oneself.
    #[error("that is you")]
    Yourself,
    /// Nobody has that name.
    #[error("no such user")]
    NoSuchUser,
    /// Only buddies can be asked that.
    #[error("not a buddy")]
    NotBuddy,
    /// They are a buddy already.
    #[error("a buddy already")]
    AlreadyBuddy,
    /// They did not ask to be a buddy.
    #[error("no request of theirs waits")]
    NoSuchRequest,
    /// We blocked them.
    #[error("blocked")]
    Blocked,
    /// Not one word.
    #[error("{field} is empty")]
    TextEmpty {
        /// Which parameter.
        field: String,
    },
    /// More than is carried.
    #[error("{field} has {got} bytes, at most {max} are taken")]
    TextTooLong {
        /// Which parameter.
        field: String,
        /// Bytes of UTF-8 given.
        got: usize,
        /// Bytes of UTF-8 taken.
        max: usize,
    },
    /// No message has that id.
    #[error("no such message")]
    NoSuchMessage,
    /// A limit of ours is reached.
    #[error("at most {max} {what}")]
    TooMany {
        /// Of what.
        what: Limited,
        /// The limit.
        max: usize,
    },

    // Calls and sound.
    /// No call has that id (any more).
    #[error("no such call")]
    NoSuchCall,
    /// That cannot be done with the call as it is.
    #[error("the call is {state:?}")]
    WrongCallState {
        /// How it is.
        state: CallState,
    },
    /// A call goes on already.
    #[error("in a call")]
    InACall {
        /// Which.
        call_id: Spelled<CallId>,
    },
    /// The text names no microphone, speaker or ringer.
    #[error("{field} names no device")]
    BadDevice {
        /// Which parameter.
        field: String,
    },
    /// Something is wrong with a sound device or file.
    #[error("{fault:?}")]
    Audio {
        /// What.
        fault: AudioFault,
        /// The device or file.
        #[serde(skip_serializing_if = "Option::is_none")]
        device: Option<String>,
        /// What the system says.
        #[serde(skip_serializing_if = "Option::is_none")]
        problem: Option<String>,
    },

    // The rest.
    /// The node is leaving; the question was not answered.
    #[error("leaving")]
    Leaving,
    /// A mistake of ours; the log says more.
    #[error("internal error: {what}")]
    Internal {
        /// Where.
        what: String,
    },
}

/// What is wrong with an invite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum InviteProblem {
    /// It does not begin with `earshot:`.
    NotAnInvite,
    /// Letters are missing or wrong: copy it again, whole.
    Damaged,
    /// Whole, but made by a program that this one does not understand.
    Unreadable,
}

impl From<earshot_proto::wire::invite::BadInvite> for ErrorCode {
    fn from(bad: earshot_proto::wire::invite::BadInvite) -> Self {
        use earshot_proto::wire::invite::BadInvite;
        let problem = match bad {
            BadInvite::NotAnInvite => InviteProblem::NotAnInvite,
            BadInvite::Damaged => InviteProblem::Damaged,
            BadInvite::Unreadable => InviteProblem::Unreadable,
        };
        Self::BadInvite { problem }
    }
}

/// The rules of user names (RFC 8265).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum NameRule {
    /// At least 3 characters.
    TooShort,
    /// At most 32 characters.
    TooLong,
    /// No spaces, symbols or control characters.
    Forbidden,
}

/// Why a super-peer is not enrolled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum EnrolmentRefusal {
    /// The token is unknown or used.
    TokenRefused,
    /// The address may not serve this network.
    AddressRefused,
    /// The certificate shown is not a node's of this network.
    CertificateRefused,
    /// The authority could not keep it.
    Unavailable,
    /// Too many attempts from this address.
    TooManyAttempts,
    /// Other super-peers do not reach it at the address.
    NotReached,
    /// The authority was asked from another address than the one to serve at.
    OtherAddress,
    /// Too few other super-peers could be asked whether they reach it.
    NobodyVerified,
}

impl EnrolmentRefusal {
    fn said_of(self, address: &str) -> String {
        match self {
            Self::TokenRefused => "the token is unknown or used".to_owned(),
            Self::AddressRefused => format!("nobody may serve this network at {address}"),
            Self::CertificateRefused => "the certificate is no node's of this network".to_owned(),
            Self::Unavailable => "the authority could not keep it".to_owned(),
            Self::TooManyAttempts => "too many attempts".to_owned(),
            Self::NotReached => format!("not reached at {address}"),
            Self::OtherAddress => format!("the authority was not asked from {address}"),
            Self::NobodyVerified => {
                format!("nobody could be asked whether {address} can be reached")
            }
        }
    }
}

/// What there is a limit of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Limited {
    /// Buddies and requests.
    Buddies,
    /// Messages that wait for a buddy.
    WaitingMessages,
    /// Searches at a time.
    Searches,
    /// Calls at a time.
    Calls,
    /// Questions at a time.
    Questions,
    /// Words of one's own choice to be found by.
    Words,
}

impl std::fmt::Display for Limited {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Buddies => "buddies",
            Self::WaitingMessages => "waiting messages",
            Self::Searches => "searches",
            Self::Calls => "calls",
            Self::Questions => "questions",
            Self::Words => "words",
        })
    }
}

impl ErrorCode {
    /// The number that JSON-RPC 2.0 (section 5.1) gives to this kind of error; ours is -32000.
    #[must_use]
    pub const fn number(&self) -> i32 {
        #[expect(clippy::wildcard_enum_match_arm, reason = "every code of our own is one number")]
        match self {
            Self::NotJson { .. } => -32_700,
            Self::NotARequest { .. } | Self::LineTooLong { .. } => -32_600,
            Self::UnknownMethod => -32_601,
            Self::BadParams { .. } => -32_602,
            _ => -32_000,
        }
    }

    /// The exit code of a process that could not start because of it. INTERFACES 2.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        #[expect(clippy::wildcard_enum_match_arm, reason = "every other failure is 1")]
        match self {
            Self::DamagedData { .. } => 3,
            Self::Usage { .. } => 64,
            _ => 1,
        }
    }
}

/// On its own the enum omits the facts of a code that has none; a
/// [`Failure`](super::failure::Failure) does not.
fn facts_are_always_there(schema: &mut Schema) {
    let Some(codes) = schema.get_mut("oneOf").and_then(Value::as_array_mut) else { return };
    for code in codes.iter_mut().filter(|code| code["properties"].get("facts").is_none()) {
        code["properties"]["facts"] = json!({ "type": "object", "additionalProperties": false });
        code["required"] = json!(["code", "facts"]);
    }
}
