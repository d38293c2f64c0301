//! Links of ours that were clicked elsewhere: `earshot:call/anna`, or an invite.
//!
//! Invariant: a link does nothing. It is handed to the window, which fills a form with it; what it
//! means is read there (`ui/src/state/links.ts`).

use serde::{Deserialize, Serialize};

/// Longest link, in bytes. Our choice: an invite fits into a QR code (2,953 bytes at most, ISO/IEC
/// 18004), and spelt for a browser each byte may take three.
pub const LINK_MAX: usize = 9_000;
const SCHEME: &str = "earshot:";

/// A text that begins as links of ours do, is not too long and holds nothing that does not show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Link(String);

impl Link {
    /// The link to a conversation.
    #[must_use]
    pub fn to_conversation(user: &str) -> Self {
        let hex = |byte: u8| format!("%{byte:02X}");
        let plain = |byte: u8| byte.is_ascii_alphanumeric();
        let spelt = user.bytes().map(|b| if plain(b) { char::from(b).into() } else { hex(b) });
        Self(format!("{SCHEME}chat/{}", spelt.collect::<String>()))
    }

    /// The link as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Link {
    type Error = NotALink;

    fn try_from(text: String) -> Result<Self, NotALink> {
        let scheme = text.get(..SCHEME.len()).ok_or(NotALink)?;
        let is_ours = scheme.eq_ignore_ascii_case(SCHEME) && text.len() <= LINK_MAX;
        let shows = !text.chars().any(|c| c.is_control() || c.is_whitespace());
        if is_ours && shows { Ok(Self(text)) } else { Err(NotALink) }
    }
}

impl From<Link> for String {
    fn from(link: Link) -> Self {
        link.0
    }
}

/// It is none of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no link of Earshot")]
pub struct NotALink;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_texts_with_our_scheme_are_links() {
        let read = |text: &str| Link::try_from(text.to_owned());
        for good in ["earshot:call/anna", "EARSHOT:add/b", "earshot:"] {
            assert_eq!(read(good).map(String::from), Ok(good.to_owned()));
        }
        let long = format!("earshot:{}", "a".repeat(LINK_MAX));
        for bad in ["", "earsho", "http://a", "earshot:a b", "earshot:\u{0}", "ä", &long] {
            assert_eq!(read(bad), Err(NotALink));
        }
    }

    #[test]
    fn a_name_of_any_letters_fits_into_a_link() {
        assert_eq!(Link::to_conversation("äb/c").as_str(), "earshot:chat/%C3%A4b%2Fc");
    }
}
