//! Being found by name or word: device → its home → keepers, and back to whoever looks. DESIGN 2.5
//! (directory search); lecture, slide 19.
//!
//! Only who chose to be listed posts a profile: under the key of each folded word of the names, and
//! of its first three letters. A key that hundreds post at is split: its *shards* are numbered like
//! a heap, 1 for all, 2 and 3 for its halves, and so on; a user's way down is told by the bits of
//! the name's hash. Whoever looks begins with 1 and goes on where [`Postings::Listed`] says so.
//! Postings do not fit into datagrams, so a device has its home post and look.

use minicbor::{CborLen, Decode, Encode};
use sha1::{Digest, Sha1};

use super::Wire;
use super::bounded::{List, Text};
use super::certificate::{Chain, Signed};
use super::directory::Trail;
use crate::ids::{RingKey, UserName};
use crate::time::UnixTime;

/// Longest display name in a posting, in bytes.
pub const LISTED_NAME_MAX: usize = 128;
/// Longest folded word, in bytes: thirty-two letters of at most four.
pub const WORD_MAX: usize = 128;
/// Words of one posting at most: its names, and a few.
pub const WORDS_MAX: usize = 8;
/// Words of one's own choice at most, and the longest of them, in bytes. Our choice: a place, a
/// trade and a choir.
pub const ABOUT_MAX: usize = 3;
/// See [`ABOUT_MAX`].
pub const ABOUT_WORD_MAX: usize = 64;
/// Letters of a prefix that a posting is found by. DESIGN 2.5.
pub const PREFIX_CHARS: usize = 3;
/// Postings in one answer at most.
pub const LISTED_MAX: usize = 8;
/// Times that a key is split at most: 1 + 2 + 4 + 8 + 16 shards.
pub const SPLITS_MAX: u32 = 4;

/// What is said about profiles.
#[derive(Clone, Debug, PartialEq, Encode, Decode, CborLen)]
pub enum Postings {
    /// Hold this under the key, in this shard.
    #[n(0)]
    Post {
        /// Key of a word or a prefix ([`word_key`]).
        #[n(0)]
        word: RingKey,
        /// The shard.
        #[n(1)]
        shard: u8,
        /// Signed by a device.
        #[n(2)]
        posting: Signed<Posting>,
    },
    /// Held.
    #[n(1)]
    Posted {
        /// Whether an older posting of the user may be held further down.
        #[n(0)]
        split: bool,
    },
    /// Who is posted there?
    #[n(2)]
    FindWord {
        /// The page.
        #[n(0)]
        page: Page,
    },
    /// These.
    #[n(3)]
    Listed {
        /// In the order of user names. A keeper shows also those that are not to be listed any
        /// more; a home leaves them out.
        #[n(0)]
        postings: List<Signed<Posting>, LISTED_MAX>,
        /// The name after which to go on, if more may follow.
        #[n(1)]
        next: Option<UserName>,
        /// Whether more may be in both halves of the shard.
        #[n(2)]
        split: bool,
        /// How it was come by.
        #[n(3)]
        trail: Trail,
    },
    /// No.
    #[n(4)]
    Refused {
        /// Why.
        #[n(0)]
        reason: PostingRefusal,
    },
    /// Post this at the keepers of the key; answered by `Posted` when one of them holds it.
    #[n(5)]
    PostForMe {
        /// Key of a word or a prefix.
        #[n(0)]
        word: RingKey,
        /// Signed by the device that asks.
        #[n(1)]
        posting: Signed<Posting>,
    },
    /// Ask the keepers of this page, and tell what they have; answered by `Listed`.
    #[n(6)]
    FindForMe {
        /// The page.
        #[n(0)]
        page: Page,
    },
}

/// A page of what is posted under a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct Page {
    /// Key of a word or a prefix ([`word_key`]).
    #[n(0)]
    pub word: RingKey,
    /// The shard.
    #[n(1)]
    pub shard: u8,
    /// Only who comes after this name.
    #[n(2)]
    pub after: Option<UserName>,
    /// Only who has, for each of these, a word that begins with it.
    #[n(3)]
    pub typed: List<Text<WORD_MAX>, WORDS_MAX>,
}

/// Why a posting is not held, or nothing is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(index_only)]
pub enum PostingRefusal {
    /// It does not verify.
    #[n(0)]
    PostingRefused,
    /// A higher counter is held.
    #[n(1)]
    Stale,
    /// No word of it leads to that key, or the user does not belong to that shard.
    #[n(2)]
    NotHere,
    /// The shard is full: post at the half that is the user's ([`shard_below`]).
    #[n(3)]
    Full,
    /// This link may not ask that.
    #[n(4)]
    NotAllowed,
    /// Over a budget; ask somebody else.
    #[n(5)]
    Busy,
}

/// The profile of somebody who chose to be listed, signed by one of the user's devices.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct Posting {
    /// The device's chain: whose profile it is.
    #[n(0)]
    pub chain: Chain,
    /// As the user wants to be called; absent: the user is not to be listed any more.
    #[n(1)]
    pub display_name: Option<Text<LISTED_NAME_MAX>>,
    /// The folded words that it is posted under, also by their prefixes.
    #[n(2)]
    pub words: List<Text<WORD_MAX>, WORDS_MAX>,
    /// Grows with each posting of the user; the highest wins.
    #[n(3)]
    pub counter: u64,
    /// Not to be held after this.
    #[n(4)]
    pub expires: UnixTime,
    /// Words of the user's own choice, as they are shown; the folded ones are among the words.
    #[n(5)]
    pub about: Option<OwnWords>,
}

/// Words of somebody's own choice.
pub type OwnWords = List<Text<ABOUT_WORD_MAX>, ABOUT_MAX>;

impl Posting {
    /// Whether one of its words, or a prefix of one, has that key.
    #[must_use]
    pub fn leads_to(&self, key: &RingKey) -> bool {
        self.words.iter().any(|word| {
            let word = word.as_str();
            word_key(word) == *key || prefix_of(word).is_some_and(|p| word_key(p) == *key)
        })
    }
}

/// Whether each of the words that were typed begins one of these.
#[must_use]
pub fn begin(typed: &[Text<WORD_MAX>], words: &[Text<WORD_MAX>]) -> bool {
    let begins =
        |typed: &Text<WORD_MAX>| words.iter().any(|word| word.as_str().starts_with(typed.as_str()));
    typed.iter().all(begins)
}

/// The key of a folded word or prefix: SHA-1("w:" ‖ word). DESIGN 2.5.
#[must_use]
pub fn word_key(word: &str) -> RingKey {
    RingKey(Sha1::new().chain_update("w:").chain_update(word).finalize().into())
}

/// The first three letters of a folded word; none when it is shorter.
#[must_use]
pub fn prefix_of(word: &str) -> Option<&str> {
    let (last, letter) = word.char_indices().nth(PREFIX_CHARS - 1)?;
    word.get(..last + letter.len_utf8())
}

/// Where a shard of a key lies on the ring: the first at the key itself, the others at
/// SHA-1("s:" ‖ key ‖ shard).
#[must_use]
pub fn shard_key(word: &RingKey, shard: u8) -> RingKey {
    if shard == 1 {
        return *word;
    }
    RingKey(
        Sha1::new().chain_update("s:").chain_update(word.0).chain_update([shard]).finalize().into(),
    )
}

/// The name under which one keeper offers a posting to another: the first eight bytes of
/// SHA-1("p:" ‖ key ‖ shard ‖ the user's ring key).
#[must_use]
pub fn posting_record(word: &RingKey, shard: u8, user: &UserName) -> u64 {
    let sum = Sha1::new()
        .chain_update("p:")
        .chain_update(word.0)
        .chain_update([shard])
        .chain_update(user.ring_key().0)
        .finalize();
    u64::from_be_bytes(*sum.first_chunk().expect("SHA-1 has twenty bytes"))
}

/// The half of a shard that is this user's; none when it is not split any more.
#[must_use]
pub fn shard_below(user: &UserName, shard: u8) -> Option<u8> {
    let depth = depth(shard).filter(|depth| *depth < SPLITS_MAX)?;
    let bit = user.ring_key().0[0] >> (7 - depth) & 1;
    Some(shard << 1 | bit)
}

/// Both halves of a shard; none when it is not split any more.
#[must_use]
pub fn halves(shard: u8) -> Option<[u8; 2]> {
    depth(shard).filter(|depth| *depth < SPLITS_MAX)?;
    Some([shard << 1, shard << 1 | 1])
}

/// Whether the user's way down leads through that shard.
#[must_use]
pub fn is_shard_of(user: &UserName, shard: u8) -> bool {
    depth(shard).is_some_and(|depth| {
        let way = u16::from(user.ring_key().0[0]) | 1 << 8;
        way >> (8 - depth) == u16::from(shard)
    })
}

/// How often a key is split on the way to a shard; none when there is no such shard.
fn depth(shard: u8) -> Option<u32> {
    shard.checked_ilog2().filter(|depth| *depth <= SPLITS_MAX)
}

impl Wire for Postings {
    const NAME: &'static str = "postings";
    const MAX: usize = 32 * 1024;
}

impl Wire for Posting {
    const NAME: &'static str = "postings.posting";
    const MAX: usize = 3840;
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;

    fn user(name: &str) -> UserName {
        UserName::new(name).expect("a name")
    }

    /// The expected keys were made by Python's `hashlib`.
    #[test]
    fn words_and_shards_lie_where_the_protocol_says() {
        let key = word_key("alice");
        assert_eq!(HEXLOWER.encode(&key.0), "47585d3bc9e76dac5e9c46681583c45f04e159d2");
        assert_eq!(shard_key(&key, 1), key);
        assert_eq!(
            HEXLOWER.encode(&shard_key(&key, 2).0),
            "79e0714364b5a63fe64637bfbd66649a4a6cc52a"
        );
    }

    #[test]
    fn a_prefix_has_three_letters_of_whatever_length() {
        assert_eq!(prefix_of("alice"), Some("ali"));
        assert_eq!(prefix_of("жук"), Some("жук"));
        assert_eq!(prefix_of("al"), None);
    }

    #[test]
    fn each_user_has_one_way_down() {
        for number in 0..200 {
            let user = user(&format!("user{number}"));
            let mut shard = 1;
            assert!(is_shard_of(&user, shard));
            while let Some(below) = shard_below(&user, shard) {
                let both = halves(shard).expect("it is split");
                assert!(both.contains(&below));
                for half in both {
                    assert_eq!(is_shard_of(&user, half), half == below);
                }
                shard = below;
            }
            assert_eq!(depth(shard), Some(SPLITS_MAX));
        }
        assert!(!is_shard_of(&user("alice"), 0) && !is_shard_of(&user("alice"), 32));
        assert!(halves(0).is_none() && halves(16).is_none());
    }
}
