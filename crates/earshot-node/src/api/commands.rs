//! The one table of methods: parsing, the docs and the schema are made from it.
//!
//! Invariant: a method that is not in the table does not exist: it is answered with -32601 and not
//! documented.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::audio::{AudioDevices, AudioSet, AudioTest, ChosenDevices, Devices};
use super::buddies::{Buddies, Search, Searching};
use super::buddies::{
    BuddiesAccept, BuddiesBlock, BuddiesDecline, BuddiesList, BuddiesRequest, BuddiesUnblock,
};
use super::call::{CallAccept, CallDecline, CallHangUp, CallHistory, CallHold, CallMute};
use super::call::{
    CallPaths, CallPathsOf, CallResume, CallStart, CallStarted, CallStats, CallStatsOf, CallUnmute,
    PastCalls,
};
use super::chat::{ChatHistory, ChatMarkRead, ChatSend, ChatSent, History};
use super::errors::ErrorCode;
use super::failure::Failure;
use super::network::Standing;
use super::network::{Invited, Joined, NetworkInvite, NetworkJoin, NetworkStart, NetworkStatus};
use super::ready::Role;
use super::reply::Reply;
use super::session::{LoggedIn, Login, Logout, PresenceSet, ProfileSet, Register, Registered};
use super::settings::{Settings, SettingsGet, SettingsSet};
use super::snapshot::{Snapshot, StateGet};
use super::super_peer::{SuperPeerSet, SuperPeerState, SuperPeerStatus, SuperPeerTest, Tested};

/// The parameters of a method: what is asked, and what answers it.
pub trait Question: Serialize + DeserializeOwned + JsonSchema {
    /// What is granted.
    type Answer: Serialize + DeserializeOwned + JsonSchema + Send + 'static;

    /// The method's name.
    const METHOD: &'static str;

    /// The command that asks it.
    fn ask(self, reply: Reply<Self::Answer>) -> Command;
}

/// Nothing to tell but that it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Done {}

/// Takes the answer to a command, as JSON.
pub type AnswerJson = Box<dyn FnOnce(Result<String, Failure>) + Send>;

/// A question that was read and lacks only the one who waits for its answer.
pub type Asked = Box<dyn FnOnce(AnswerJson) -> Command>;

/// A row of the table.
pub struct Method {
    /// Its name.
    pub name: &'static str,
    /// The roles that answer it.
    pub roles: &'static [Role],
    /// Codes with which it is refused, besides those that any method can be refused with.
    pub errors: &'static [&'static str],
    /// Reads its parameters from JSON.
    pub read: fn(&str) -> serde_json::Result<Asked>,
    /// Reads parameters and writes them again, for tests.
    pub rewrite: fn(&str) -> serde_json::Result<String>,
    /// Reads a result and writes it again, for tests.
    pub rewrite_answer: fn(&str) -> serde_json::Result<String>,
    /// The schema of its parameters.
    pub params: fn(&mut SchemaGenerator) -> Schema,
    /// The schema of its result.
    pub answer: fn(&mut SchemaGenerator) -> Schema,
}

/// Longest description of what is wrong with a question, in bytes.
const PROBLEM_MAX: usize = 200;

/// Codes with which any method can be refused.
pub const ALWAYS_POSSIBLE: &[&str] =
    &["AnswerTooLong", "DiskFull", "FileRefused", "Leaving", "Internal"];

macro_rules! methods {
    ($($method:literal $roles:ident $question:ident -> $answer:ident [$($error:ident)*];)+) => {
        /// A question put to a node, with the reply that it waits for.
        #[derive(Debug)]
        pub enum Command {
            $(#[doc = concat!("`", $method, "`.")] $question($question, Reply<$answer>),)+
        }

        impl Command {
            /// The name of the method.
            #[must_use]
            pub const fn method(&self) -> &'static str {
                match self { $(Self::$question(..) => $method,)+ }
            }

            /// Refuses the command, whatever it is.
            pub fn refuse(self, why: impl Into<Failure>) {
                match self { $(Self::$question(_, reply) => reply.refuse(why),)+ }
            }
        }

        $(impl Question for $question {
            type Answer = $answer;

            const METHOD: &'static str = $method;

            fn ask(self, reply: Reply<$answer>) -> Command {
                Command::$question(self, reply)
            }
        })+

        /// All methods, by group.
        pub const METHODS: &[Method] = &[$(Method {
            name: $method,
            roles: $roles,
            errors: &[$(stringify!($error)),*],
            read: read::<$question>,
            rewrite: rewrite::<$question>,
            rewrite_answer: rewrite::<$answer>,
            params: SchemaGenerator::subschema_for::<$question>,
            answer: SchemaGenerator::subschema_for::<$answer>,
        },)+];
    };
}

const PEER: &[Role] = &[Role::Peer];
const MEMBERS: &[Role] = &[Role::Peer, Role::SuperPeer, Role::Network];

methods! {
    "network.start" PEER NetworkStart -> Invited [OtherNetwork TextEmpty TextTooLong AddressRefused DamagedData DataTooNew NotEnrolled AuthorityFailed AuthorityUnreachable WrongNetwork];
    "network.join" PEER NetworkJoin -> Joined [BadInvite OtherNetwork];
    "network.invite" MEMBERS NetworkInvite -> Invited [NoNetwork];
    "network.status" PEER NetworkStatus -> Standing [];
    "register" PEER Register -> Registered [NoNetwork BadName PasswordTooShort TextTooLong NameTaken NameLooksAlike NotAdmitted TooManyAttempts AlreadyLoggedIn NotConnected AuthorityUnreachable AuthorityFailed WrongNetwork DeviceRefused CertificateRefused ClockWrong BrokenProtocol];
    "login" PEER Login -> LoggedIn [NoNetwork BadName WrongNameOrPassword TooManyAttempts AlreadyLoggedIn NotConnected AuthorityUnreachable AuthorityFailed WrongNetwork DeviceRefused CertificateRefused ClockWrong BrokenProtocol];
    "logout" PEER Logout -> Done [NotLoggedIn];
    "state.get" PEER StateGet -> Snapshot [];
    "presence.set" PEER PresenceSet -> Done [NotLoggedIn TextTooLong];
    "profile.set" PEER ProfileSet -> Done [NotLoggedIn TextTooLong TooMany];
    "search" PEER Search -> Searching [BadName TextTooLong NotLoggedIn NotConnected TooMany];
    "buddies.list" PEER BuddiesList -> Buddies [NotLoggedIn];
    "buddies.request" PEER BuddiesRequest -> Done [BadName NotLoggedIn Yourself AlreadyBuddy Blocked TextTooLong TooMany NoSuchUser NotConnected];
    "buddies.accept" PEER BuddiesAccept -> Done [BadName NotLoggedIn NoSuchRequest];
    "buddies.decline" PEER BuddiesDecline -> Done [BadName NotLoggedIn NoSuchRequest];
    "buddies.block" PEER BuddiesBlock -> Done [BadName NotLoggedIn Yourself TooMany];
    "buddies.unblock" PEER BuddiesUnblock -> Done [BadName NotLoggedIn];
    "chat.send" PEER ChatSend -> ChatSent [BadName NotLoggedIn Yourself NotBuddy Blocked TextEmpty TextTooLong TooMany];
    "chat.history" PEER ChatHistory -> History [BadName NotLoggedIn NoSuchMessage];
    "chat.mark_read" PEER ChatMarkRead -> Done [BadName NotLoggedIn NoSuchMessage];
    "call.start" PEER CallStart -> CallStarted [BadName NotLoggedIn NotConnected Yourself InACall];
    "call.accept" PEER CallAccept -> Done [NoSuchCall WrongCallState InACall];
    "call.decline" PEER CallDecline -> Done [NoSuchCall WrongCallState];
    "call.hang_up" PEER CallHangUp -> Done [NoSuchCall WrongCallState];
    "call.hold" PEER CallHold -> Done [NoSuchCall WrongCallState];
    "call.resume" PEER CallResume -> Done [NoSuchCall WrongCallState];
    "call.mute" PEER CallMute -> Done [NoSuchCall WrongCallState];
    "call.unmute" PEER CallUnmute -> Done [NoSuchCall WrongCallState];
    "call.stats" PEER CallStatsOf -> CallStats [NoSuchCall WrongCallState];
    "call.paths" PEER CallPathsOf -> CallPaths [NoSuchCall];
    "call.history" PEER CallHistory -> PastCalls [NotLoggedIn NoSuchCall];
    "audio.devices" PEER AudioDevices -> Devices [Audio];
    "audio.set" PEER AudioSet -> ChosenDevices [BadDevice Audio];
    "audio.test" PEER AudioTest -> Done [InACall Audio];
    "settings.get" PEER SettingsGet -> Settings [];
    "settings.set" PEER SettingsSet -> Settings [];
    "super_peer.set" PEER SuperPeerSet -> Done [FoundedHere NoJob CapOutOfRange];
    "super_peer.test" PEER SuperPeerTest -> Tested [NotLoggedIn NotConnected];
    "super_peer.status" MEMBERS SuperPeerStatus -> SuperPeerState [];
}

/// The method of this name, if this role answers it.
#[must_use]
pub fn method(name: &str, role: Role) -> Option<&'static Method> {
    METHODS.iter().find(|method| method.name == name && method.roles.contains(&role))
}

/// Reads a question put to a node in this role.
///
/// # Errors
/// [`ErrorCode::UnknownMethod`] and [`ErrorCode::BadParams`].
pub fn asked(name: &str, role: Role, params: &str) -> Result<Asked, ErrorCode> {
    let method = method(name, role).ok_or(ErrorCode::UnknownMethod)?;
    let bad = |e: serde_json::Error| ErrorCode::BadParams { problem: brief(&e.to_string()) };
    (method.read)(params).map_err(bad)
}

/// What serde says quotes what it met, which may be long.
#[must_use]
pub fn brief(problem: &str) -> String {
    problem[..problem.floor_char_boundary(PROBLEM_MAX)].to_owned()
}

fn read<Q: Question + 'static>(params: &str) -> serde_json::Result<Asked> {
    let question: Q = serde_json::from_str(params)?;
    Ok(Box::new(|answer| question.ask(Reply::new(|result| answer(result.map(|a| json(&a)))))))
}

fn json(answer: &impl Serialize) -> String {
    serde_json::to_string(answer).expect("the types of the contract have string keys only")
}

fn rewrite<T: Serialize + DeserializeOwned>(text: &str) -> serde_json::Result<String> {
    serde_json::to_string(&serde_json::from_str::<T>(text)?)
}
