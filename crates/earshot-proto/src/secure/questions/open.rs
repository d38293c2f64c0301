//! One open question: which datagrams it was sent in, its handshake, and how long it waits.

use std::time::{Duration, Instant};

use super::asker::{NotAsked, WAIT_MAX, WAIT_MIN, WAIT_UNMEASURED, Whom};
use super::epoch::{Epoch, ProofKey};
use super::{ANSWER_MAX, ANSWER_OVERHEAD, NOISE_OVERHEAD, PATTERN, QUESTION_OVERHEAD};
use crate::entropy::Stream;
use crate::secure::noise::{HandshakeState, Start};
use crate::wire::question::{QUESTION_HEADER, SessionId, TryName};

pub(super) struct Open {
    pub(super) whom: Whom,
    pub(super) question: Vec<u8>,
    /// The longest answer that is hoped for.
    pub(super) room: usize,
    pub(super) road: Road,
    /// The handshake, once one was begun; tries repeat its message.
    pub(super) first: Option<First>,
    pub(super) sent: Vec<Sent>,
    pub(super) wait: Duration,
    pub(super) due: Instant,
}

/// How the next try goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Road {
    /// In the session, if one is kept.
    Session,
    /// With a handshake.
    First,
}

/// One datagram of a question.
#[derive(Clone, Copy)]
pub(super) struct Sent {
    pub(super) name: Try,
    /// The epoch that it names.
    pub(super) epoch: u8,
    pub(super) at: Instant,
}

/// Names a datagram of ours, so that what answers it finds it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Try {
    First(TryName),
    /// By its counter.
    InSession(SessionId, u64),
}

impl Open {
    pub(super) fn new(
        now: Instant,
        whom: Whom,
        question: &[u8],
        room: usize,
        measured: Option<Duration>,
    ) -> Self {
        let wait =
            measured.map_or(WAIT_UNMEASURED, |measured| (2 * measured).clamp(WAIT_MIN, WAIT_MAX));
        Self {
            whom,
            question: question.to_vec(),
            room: room.min(ANSWER_MAX),
            road: Road::Session,
            first: None,
            sent: Vec::new(),
            wait,
            due: now + wait,
        }
    }

    /// The session in which it was tried before.
    pub(super) fn failed_in(&self) -> Option<SessionId> {
        self.sent.iter().find_map(|sent| match sent.name {
            Try::InSession(session, _) => Some(session),
            Try::First(_) => None,
        })
    }

    /// Whether nothing was sent since.
    pub(super) fn is_last(&self, sent: Sent) -> bool {
        self.sent.last().is_some_and(|last| last.name == sent.name)
    }

    /// Doubles the wait, give or take a quarter, so that askers who lost the same burst do not meet
    /// again.
    pub(super) fn wait_longer(&mut self, jitter: &mut Stream) {
        let doubled = (2 * self.wait).min(WAIT_MAX);
        let quarter = doubled / 4;
        let added = Duration::from_micros(jitter.below(2 * quarter.as_micros() as u64 + 1));
        self.wait = doubled - quarter + added;
    }
}

/// A handshake that was begun.
pub(super) struct First {
    pub(super) handshake: Box<HandshakeState>,
    /// Its first message.
    pub(super) noise: Vec<u8>,
    pub(super) epoch: u8,
    pub(super) proofs: ProofKey,
}

impl First {
    /// Begins one for a question to somebody, so long that an answer of `room` bytes is not longer.
    pub(super) fn begin(
        prologue: &[u8],
        epoch: &Epoch,
        (whom, question, room): (&Whom, &[u8], usize),
        secrets: &mut Stream,
    ) -> Result<Self, NotAsked> {
        let start = Start {
            pattern: PATTERN,
            key: None,
            remote: Some(&whom.key),
            shared: Some(epoch.secret()),
            prologue,
        };
        let mut handshake = Box::new(start.initiator(secrets));
        let length = u16::try_from(question.len()).expect("a question is bounded: see `ask`");
        let mut plain = [length.to_be_bytes().as_slice(), question].concat();
        let datagram = (QUESTION_OVERHEAD + question.len()).max(ANSWER_OVERHEAD + room);
        plain.resize(datagram - QUESTION_HEADER - NOISE_OVERHEAD, 0);
        let mut noise = vec![0; NOISE_OVERHEAD + plain.len()];
        handshake.write_message(&plain, &mut noise).map_err(|_| NotAsked::KeyRefused)?;
        Ok(Self { handshake, noise, epoch: epoch.number(), proofs: epoch.proofs(&whom.key) })
    }
}
