//! Messages: sending, reading again, and how far each one is.

use earshot_proto::ids::{MessageId, UserName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::text::{Spelled, UnixMs};

/// Bytes of JSON that a page of history may have. Our choice: what is left of a line of 1 MiB after
/// 64 KiB for the rest.
pub const HISTORY_BYTES_MAX: usize = 960 * 1024;
/// Messages that a page of history may have. Our choice: more than any window shows at once.
pub const HISTORY_MAX: u32 = 500;

/// Characters that a conversation shows of its last message. Our choice: more than a line has.
pub const LAST_TEXT_MAX: usize = 200;

/// Writes to a buddy. The message is safe on this computer when the result comes, and is delivered
/// when it can be.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChatSend {
    /// The buddy.
    pub to: Spelled<UserName>,
    /// The text: at least one byte, at most 65,536 of UTF-8.
    #[schemars(example = "Are you there?")]
    pub text: String,
    /// Drawn by the client, at most 64 bytes: the same id is the same message, however often it is
    /// sent.
    #[schemars(example = "c-17")]
    pub client_id: String,
}

impl std::fmt::Debug for ChatSend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChatSend").field("to", &self.to).finish_non_exhaustive()
    }
}

/// The message is safe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChatSent {
    /// Its id.
    pub message_id: Spelled<MessageId>,
    /// How far it is.
    pub state: MessageState,
}

/// Reads messages again: the newest of a conversation, or those before a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChatHistory {
    /// With whom.
    pub with: Spelled<UserName>,
    /// Only what is older than this message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Spelled<MessageId>>,
    /// How many at most; more than 500 are never given.
    #[schemars(example = 50)]
    pub limit: u32,
}

/// A page of history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct History {
    /// In the order of the screen, oldest first.
    pub messages: Vec<Message>,
    /// Whether there are older ones.
    pub more: bool,
}

impl History {
    /// As many of `newest_first` as fit into one line; `more` says whether the store has older ones
    /// still.
    #[must_use]
    pub fn fitting(newest_first: impl IntoIterator<Item = Message>, more: bool) -> Self {
        let mut page = Self { messages: Vec::new(), more };
        let mut bytes = 0;
        for message in newest_first {
            bytes += serde_json::to_string(&message).map_or(0, |json| json.len() + 1);
            if bytes > HISTORY_BYTES_MAX {
                page.more = true;
                break;
            }
            page.messages.push(message);
        }
        page.messages.reverse();
        page
    }
}

/// Marks the messages of a buddy as read, and tells the buddy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChatMarkRead {
    /// The buddy.
    pub with: Spelled<UserName>,
    /// This message and all before it.
    pub up_to: Spelled<MessageId>,
}

/// A message.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// Its id.
    pub id: Spelled<MessageId>,
    /// The other one of the conversation.
    pub with: Spelled<UserName>,
    /// Whether it came or went.
    pub direction: Direction,
    /// The text, as it was written; never markup.
    #[schemars(example = "Are you there?")]
    pub text: String,
    /// When it was written, by the writer's clock.
    pub written_at: UnixMs,
    /// How far it is.
    pub state: MessageState,
    /// What the client called it; only on messages of this device.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "c-17")]
    pub client_id: Option<String>,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message")
            .field("id", &self.id)
            .field("direction", &self.direction)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

/// Which way something goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Direction {
    /// To us.
    In,
    /// From us.
    Out,
}

/// How far a message is.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum MessageState {
    /// On this computer, not yet on the other one.
    Waiting,
    /// On a device of the receiver.
    Arrived,
    /// Read by the receiver.
    Read,
}

/// A conversation in one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Conversation {
    /// With whom.
    pub with: Spelled<UserName>,
    /// Messages of theirs that were not marked as read.
    #[schemars(example = 2)]
    pub unread: u32,
    /// When the last message was written.
    pub last_at: UnixMs,
    /// The last message, its text cut to 200 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Message>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: String) -> Message {
        Message {
            id: MessageId([1; 16]).into(),
            with: UserName::new("anna").expect("a name").into(),
            direction: Direction::In,
            text,
            written_at: UnixMs(1),
            state: MessageState::Arrived,
            client_id: None,
        }
    }

    #[test]
    fn a_page_of_long_messages_is_cut_to_a_line_and_says_so() {
        let long = std::iter::repeat_with(|| message("\u{1}".repeat(64 * 1024))).take(9);
        let page = History::fitting(long, false);
        assert_eq!(page.messages.len(), 2);
        assert!(page.more);
        assert!(serde_json::to_string(&page).expect("serializable").len() <= HISTORY_BYTES_MAX);
    }

    #[test]
    fn a_page_is_in_the_order_of_the_screen() {
        let newest_first = ["b", "a"].map(|text| message(text.into()));
        let page = History::fitting(newest_first, false);
        assert_eq!(page.messages[0].text, "a");
        assert!(!page.more);
    }

    #[test]
    fn a_log_line_never_holds_a_text() {
        assert!(!format!("{:?}", message("secret".into())).contains("secret"));
    }
}
