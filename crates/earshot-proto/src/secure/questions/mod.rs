//! Questions in datagrams: a look-up at a super-peer to which there is no link is one round trip.
//! DESIGN 2.4.
//!
//! Source: `Noise_NKpsk0_25519_AESGCM_SHA256` (Noise revision 34); proofs and cookies after
//! WireGuard (Donenfeld, NDSS 2017, sections 5.3 and 5.4.7). The asker knows the answerer's link
//! key, and both hold the secret of an epoch, as all members do ([`crate::wire::epoch`] says from
//! whom). The first exchange is one datagram each way and leaves a session of [`SESSION_LIFE`], in
//! which a question is sealed by one AES-256-GCM and carries no padding. What is asked must be
//! idempotent, for a question may arrive twice. `docs/protocol.md` has the bytes.
//!
//! | room | what it decides |
//! |---|---|
//! | [`asker`] | asking: tries, sessions kept, outcomes |
//! | [`answerer`] | answering: what is believed, what is said without state |
//! | `open` | one open question |
//! | `epoch` | secrets of epochs, and the proofs made with them |
//! | `cookie` | cookies: who receives at an address |
//! | `session` | sealing and opening in a session |
//! | `cache` | a bounded table from which the least recently used goes |
//!
//! Invariants: to an address that has not shown that it receives, no answer is longer than its
//! question, and each datagram causes one at most; nothing is kept for a question before it was
//! authenticated; everything that a stranger can make us hold is bounded; a key seals with its own
//! counter.

pub mod answerer;
pub mod asker;
mod cache;
mod cookie;
mod epoch;
mod open;
mod session;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use self::answerer::{Answerer, AnswererCounters, Asked, Heard, Load};
pub use self::asker::{Asker, NotAsked, Outcome, QuestionId, Whom};
pub use self::epoch::Epoch;
use super::identity::network;
use super::link::MAJOR;
use crate::wire::certificate::VerifyKey;
use crate::wire::question::{ANSWER_HEADER, DATAGRAM_MAX, FIT, LENGTH, QUESTION_HEADER};

/// Longest question in bytes. Our choice: a user name of 128 bytes or two ring keys, several times
/// over.
pub const QUESTION_MAX: usize = 512;
/// Longest answer in bytes, in a first exchange and in a session alike: what [`DATAGRAM_MAX`]
/// leaves. Eight node entries of at most 90 bytes fit, or the certified entry of one device.
pub const ANSWER_MAX: usize = DATAGRAM_MAX - ANSWER_OVERHEAD;
/// How long a session is kept. DESIGN 2.4.
pub const SESSION_LIFE: Duration = Duration::from_secs(600);

/// The Noise pattern: the asker is nobody in particular, the answerer is known, and both are
/// members.
const PATTERN: &str = "Noise_NKpsk0_25519_AESGCM_SHA256";
/// What a Noise message of this pattern adds to its payload: an ephemeral key and a tag.
const NOISE_OVERHEAD: usize = super::noise::KEY + super::aes::TAG;
/// What a datagram of a first exchange adds to a question.
const QUESTION_OVERHEAD: usize = QUESTION_HEADER + NOISE_OVERHEAD + LENGTH;
/// What a datagram of a first exchange adds to an answer.
const ANSWER_OVERHEAD: usize = ANSWER_HEADER + NOISE_OVERHEAD + FIT;

/// What both sides must agree on: protocol, major version, network.
fn prologue(root: &VerifyKey) -> Vec<u8> {
    [b"earshot-question".as_slice(), &[MAJOR], &network(root).0].concat()
}
