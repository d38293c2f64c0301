//! Everything at one moment: what a window that opens needs, before events keep it in step.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::audio::ChosenDevices;
use super::buddies::Buddy;
use super::call::Call;
use super::chat::Conversation;
use super::network::Standing;
use super::session::Session;
use super::settings::Settings;
use super::text::UnixMs;

/// Takes a picture of everything. Events with a higher `seq` than the picture's are changes to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StateGet {}

/// Everything at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Snapshot {
    /// Number of the last event before it; 0 when there was none.
    #[schemars(example = 17)]
    pub seq: u64,
    /// When it was taken.
    pub at: UnixMs,
    /// How this node stands in its network.
    pub network: Standing,
    /// Who is logged in.
    pub session: Session,
    /// Buddies, requests and blocked users, by name.
    pub buddies: Vec<Buddy>,
    /// Conversations, the latest first.
    pub conversations: Vec<Conversation>,
    /// Calls that are not over.
    pub calls: Vec<Call>,
    /// The sound devices that are used.
    pub audio: ChosenDevices,
    /// What a person has set.
    pub settings: Settings,
    /// The name that the file of the settings has now, where it was damaged when the process
    /// started: the settings are the usual ones then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "settings.damaged")]
    pub settings_set_aside: Option<String>,
}
