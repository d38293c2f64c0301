//! Searching for people, and the list of those one knows.

use earshot_proto::ids::UserName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::text::{Spelled, UnixMs};

/// Looks for people: for the one who has exactly that user name, and, among those who chose to be
/// listed, for all whose names have words that begin with those that were typed. What is found
/// comes as `searchResult`, then `searchEnded` says why it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Search {
    /// What was typed: a user name, or words of a name.
    #[schemars(example = "anna virtanen")]
    pub user: String,
}

/// The search has begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Searching {
    /// Names the search in its events.
    #[schemars(example = "1")]
    pub search_id: String,
}

/// A user was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SearchResult {
    /// The search.
    #[schemars(example = "1")]
    pub search_id: String,
    /// The user.
    pub user: Spelled<UserName>,
    /// The name for people; absent when the user has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "Anna Virtanen")]
    pub display_name: Option<String>,
    /// Whether a device of the user is registered now; absent of whom was found by words only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub online: Option<bool>,
    /// The round in which it was found: 1 asks four nodes, 2 eight, 3 sixteen (lecture, slide 31).
    #[schemars(example = 1)]
    pub round: u32,
    /// Nodes that were asked for what found the user.
    #[schemars(example = 4)]
    pub asked_nodes: u32,
    /// Since the search began.
    #[schemars(example = 12.5)]
    pub ms: f64,
    /// Whether it was answered from a cache.
    pub from_cache: bool,
    /// Words of the user's own choice, of whom was found by words; absent where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<String>,
}

/// A search is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SearchEnded {
    /// The search.
    #[schemars(example = "1")]
    pub search_id: String,
    /// Whether anybody was found.
    pub found: bool,
    /// How many were found.
    #[schemars(example = 1)]
    pub people: u32,
    /// Why it ended.
    pub reason: SearchEnd,
}

/// Why a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum SearchEnd {
    /// Somebody was found, and everybody asked.
    Found,
    /// Those who would know say that nobody has that name.
    NotFound,
    /// Some who would know did not answer.
    NoAnswer,
    /// The link to the super-peer was lost.
    NotConnected,
    /// The user logged out meanwhile.
    LoggedOut,
}

/// Lists buddies, requests and blocked users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BuddiesList {}

/// Buddies, requests and blocked users.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Buddies {
    /// By name.
    pub buddies: Vec<Buddy>,
}

/// Asks a user to be a buddy. Who was asked by them accepts by asking.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BuddiesRequest {
    /// The user.
    pub user: Spelled<UserName>,
    /// Words of greeting, at most 512 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "We met at the lake.")]
    pub greeting: Option<String>,
}

/// Accepts a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BuddiesAccept {
    /// Who asked.
    pub user: Spelled<UserName>,
}

/// Declines a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BuddiesDecline {
    /// Who asked.
    pub user: Spelled<UserName>,
}

/// Blocks a user: no call, message or request of theirs comes through, and they see nothing any
/// more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BuddiesBlock {
    /// The user.
    pub user: Spelled<UserName>,
}

/// Lifts a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BuddiesUnblock {
    /// The user.
    pub user: Spelled<UserName>,
}

/// Somebody whom one knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Buddy {
    /// Who.
    pub user: Spelled<UserName>,
    /// The name for people; absent when they have none, or it is not known yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "Anna Virtanen")]
    pub display_name: Option<String>,
    /// How one stands with them.
    pub relation: Relation,
    /// Words of greeting of a request.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "We met at the lake.")]
    pub greeting: Option<String>,
    /// What they show.
    pub presence: Presence,
    /// Their mood line.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "in the garden")]
    pub mood: Option<String>,
    /// Standing so since then.
    pub since: UnixMs,
}

/// How one stands with somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Relation {
    /// They were asked and have not answered.
    Asked,
    /// They asked and have not been answered.
    AsksUs,
    /// Each other's buddies.
    Buddy,
    /// They declined.
    Declined,
    /// We blocked them.
    Blocked,
    /// Nothing any more: the request was declined by us, or the block lifted.
    Stranger,
}

/// What others show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Presence {
    /// There.
    Online,
    /// There, but not at the desk.
    Away,
    /// There, not to be disturbed.
    DoNotDisturb,
    /// Not there, or invisible.
    Offline,
}

/// A buddy shows something else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PresenceChange {
    /// Who.
    pub user: Spelled<UserName>,
    /// What they show.
    pub presence: Presence,
    /// Their mood line.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "in the garden")]
    pub mood: Option<String>,
}

/// Somebody asks to be a buddy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BuddyRequest {
    /// Who.
    pub user: Spelled<UserName>,
    /// The name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "Anna Virtanen")]
    pub display_name: Option<String>,
    /// Words of greeting.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "We met at the lake.")]
    pub greeting: Option<String>,
}
