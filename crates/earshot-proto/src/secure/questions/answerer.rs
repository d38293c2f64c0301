//! Answering questions in datagrams: what is believed, and what is said without any state.
//!
//! A question is looked at in the order of cost: its form, its proof (one HMAC; strangers end
//! here), above the load mark its cookie (two more), then Noise (two multiplications on the curve).
//! Who asked is known only as a member. Invariants: before the last of these nothing is kept; a
//! session that was not used yet cannot drive out one that was, so that repeating recorded
//! questions harms nobody; a session is good from the address of its handshake only, which showed
//! by using it that it receives.

use std::net::SocketAddr;
use std::time::Instant;

use super::cache::Cache;
use super::cookie::Cookies;
use super::epoch::{Epoch, Epochs, ProofKey, is_same};
use super::prologue;
use super::session::Session;
use super::{ANSWER_MAX, ANSWER_OVERHEAD, PATTERN, QUESTION_MAX, SESSION_LIFE};
use crate::entropy::Stream;
use crate::port::{Transmit, canonical};
use crate::secure::identity::LinkKey;
use crate::secure::noise::{HandshakeState, Start};
use crate::wire::certificate::VerifyKey;
use crate::wire::question::{
    DATAGRAM_MAX, Datagram, Fit, LENGTH, Mac, SESSION_QUESTION_HEADER, SessionId, TryName,
};

/// Sessions kept that were used at least once. Our choice: some 500 bytes each, so 4 MiB; beyond
/// them askers pay one handshake more.
pub const SESSIONS_MAX: usize = 8192;
/// Sessions kept that were not used yet. Our choice: most of a second of handshakes of one core; an
/// asker that comes back later pays one handshake more.
pub const UNUSED_SESSIONS_MAX: usize = 2048;

/// How busy the answerer is, by its owner's measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// Below the mark: every member's question is answered.
    Light,
    /// Above it: who has not shown that it receives at its address gets a cookie instead.
    Heavy,
}

/// What came of a datagram.
#[derive(Debug)]
pub enum Heard {
    /// A question, to be answered by [`Answerer::answer`].
    Question(Asked),
    /// Something to send at once: a cookie, or that a session is gone. Never longer than the
    /// datagram that it answers.
    Reply(Transmit),
    /// Nothing: damaged, repeated, not for an answerer, or from no member.
    Nothing,
}

/// A member's question, which waits for its answer. Letting it go is no answer, and leaves nothing
/// behind.
pub struct Asked {
    question: Vec<u8>,
    from: SocketAddr,
    road: Road,
}

enum Road {
    First { handshake: Box<HandshakeState>, name: TryName, room: usize },
    Session { session: SessionId, counter: u64 },
}

impl Asked {
    /// The question's bytes, [`QUESTION_MAX`] at most.
    #[must_use]
    pub fn question(&self) -> &[u8] {
        &self.question
    }

    /// Where it came from. In a first exchange nothing shows yet that the asker is there.
    #[must_use]
    pub const fn from(&self) -> SocketAddr {
        self.from
    }

    /// Bytes of an answer that fit into one datagram now: what the question's length allows, or
    /// [`ANSWER_MAX`] in a session.
    #[must_use]
    pub fn room(&self) -> usize {
        match &self.road {
            Road::First { room, .. } => (*room).min(ANSWER_MAX),
            Road::Session { .. } => ANSWER_MAX,
        }
    }
}

impl std::fmt::Debug for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Asked({} bytes, from {})", self.question.len(), self.from)
    }
}

/// Counters since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AnswererCounters {
    /// Questions with a handshake that were believed.
    pub first: u64,
    /// Questions in sessions that were believed.
    pub in_session: u64,
    /// Cookies given instead of an answer.
    pub cookies: u64,
    /// Sessions that were named and are not held.
    pub unknown: u64,
    /// Questions that were dropped, and what is no datagram of ours.
    pub dropped: u64,
}

/// The answering side. Time, load and datagrams are arguments; it never does anything by itself.
pub struct Answerer {
    key: LinkKey,
    prologue: Vec<u8>,
    epochs: Epochs,
    /// Of the epochs held, by their numbers.
    proofs: Vec<(u8, ProofKey)>,
    cookies: Cookies,
    secrets: Stream,
    pub(super) used: Cache<SessionId, Kept>,
    pub(super) unused: Cache<SessionId, Kept>,
    counters: AnswererCounters,
}

pub(super) struct Kept {
    session: Session,
    asker: SocketAddr,
    ends: Instant,
}

impl Answerer {
    /// An answerer with this link key in the network of `root`.
    #[must_use]
    pub fn new(
        now: Instant,
        key: LinkKey,
        root: &VerifyKey,
        epoch: Epoch,
        mut secrets: Stream,
    ) -> Self {
        let mut answerer = Self {
            key,
            prologue: prologue(root),
            epochs: Epochs::new(epoch),
            proofs: Vec::new(),
            cookies: Cookies::new(now, &mut secrets),
            secrets,
            used: Cache::new(SESSIONS_MAX),
            unused: Cache::new(UNUSED_SESSIONS_MAX),
            counters: AnswererCounters::default(),
        };
        answerer.make_proofs();
        answerer
    }

    /// Goes over to the next epoch; questions of the one before are still answered. Sessions live
    /// on.
    pub fn turn_epoch(&mut self, next: Epoch) {
        self.epochs.turn(next);
        self.make_proofs();
    }

    /// Takes a datagram; what is not for an answerer is passed over.
    pub fn handle(&mut self, now: Instant, from: SocketAddr, datagram: &[u8], load: Load) -> Heard {
        let heard = match Datagram::from_bytes(datagram) {
            Ok(Datagram::Question { epoch, name, proof, cookie_proof, noise }) => {
                let first = First { epoch, name, proof, cookie_proof, noise };
                self.first(now, from, &first, load, datagram.len())
            }
            Ok(Datagram::SessionQuestion { epoch, session, counter, sealed }) => {
                let about = &datagram[..SESSION_QUESTION_HEADER];
                self.in_session(now, from, session, counter, about, sealed)
                    .unwrap_or_else(|NoSession| self.unknown(from, epoch, session, counter))
            }
            Ok(
                Datagram::Answer { .. }
                | Datagram::SessionAnswer { .. }
                | Datagram::SessionUnknown { .. }
                | Datagram::Cookie { .. },
            ) => Some(Heard::Nothing),
            Err(_) => None,
        };
        heard.unwrap_or_else(|| {
            self.counters.dropped += 1;
            Heard::Nothing
        })
    }

    /// Seals the answer to a question. One longer than [`Asked::room`] is not sent: the asker is
    /// told to ask again in the session that has begun, or over a link. None if the session ended
    /// meanwhile.
    pub fn answer(&mut self, now: Instant, asked: Asked, answer: &[u8]) -> Option<Transmit> {
        let room = asked.room();
        let (fit, answer) = match answer.len() {
            len if len <= room => (Fit::Whole, answer),
            len if len <= ANSWER_MAX => (Fit::Longer, [].as_slice()),
            _ => (Fit::TooLong, [].as_slice()),
        };
        let to = asked.from;
        let bytes = match asked.road {
            Road::First { handshake, name, .. } => {
                self.end_first(now, to, *handshake, name, &[&[fit as u8], answer].concat())?
            }
            Road::Session { session, counter } => {
                let kept = self.used.get_mut(now, &session)?;
                let head = |own| {
                    let sealed = [].as_slice();
                    Datagram::SessionAnswer { session, asked: counter, counter: own, sealed }
                        .to_bytes()
                };
                let Some((_, bytes)) = kept.session.seal(head, &[&[fit as u8], answer]) else {
                    self.used.remove(&session);
                    return None;
                };
                bytes
            }
        };
        Some(Transmit { to, bytes })
    }

    /// Wipes the keys of sessions that have ended. Being early or late does no harm.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.used.drop_ended(now);
        self.unused.drop_ended(now);
    }

    /// When [`Self::handle_timeout`] has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.used.next_end().into_iter().chain(self.unused.next_end()).min()
    }

    /// What was done since the start.
    #[must_use]
    pub const fn counters(&self) -> &AnswererCounters {
        &self.counters
    }

    /// Sessions held, used or not.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.used.len() + self.unused.len()
    }

    fn make_proofs(&mut self) {
        let public = self.key.public();
        let proofs = self.epochs.both().map(|epoch| (epoch.number(), epoch.proofs(&public)));
        self.proofs = proofs.collect();
    }

    fn first(
        &mut self,
        now: Instant,
        from: SocketAddr,
        first: &First<'_>,
        load: Load,
        len: usize,
    ) -> Option<Heard> {
        let (_, proofs) = self.proofs.iter().find(|(number, _)| *number == first.epoch)?;
        if !is_same(&proofs.of_question(first.epoch, first.name, first.noise), &first.proof) {
            return None;
        }
        let at = canonical(from);
        let shown = (&first.proof, &first.cookie_proof);
        if load == Load::Heavy && !self.cookies.is_proved(now, at, shown, &mut self.secrets) {
            let cookie = self.cookies.make(now, at, &mut self.secrets);
            let proof = proofs.of_cookie(first.name, &cookie);
            self.counters.cookies += 1;
            let bytes = Datagram::Cookie { name: first.name, cookie, proof }.to_bytes();
            return Some(Heard::Reply(Transmit { to: from, bytes }));
        }
        let epoch = self.epochs.named(first.epoch)?;
        let start = Start {
            pattern: PATTERN,
            key: Some(&self.key),
            remote: None,
            shared: Some(epoch.secret()),
            prologue: &self.prologue,
        };
        let mut handshake = Box::new(start.responder(&mut self.secrets));
        let mut plain = [0; DATAGRAM_MAX];
        let read = handshake.read_message(first.noise, &mut plain).ok()?;
        let question = unpad(&plain[..read])?.to_vec();
        self.counters.first += 1;
        let road = Road::First { handshake, name: first.name, room: len - ANSWER_OVERHEAD };
        Some(Heard::Question(Asked { question, from, road }))
    }

    fn end_first(
        &mut self,
        now: Instant,
        to: SocketAddr,
        mut handshake: HandshakeState,
        name: TryName,
        plain: &[u8],
    ) -> Option<Vec<u8>> {
        let mut noise = [0; DATAGRAM_MAX];
        let len = handshake.write_message(plain, &mut noise).ok()?;
        let (session, ends) = (Session::of_answerer(handshake), now + SESSION_LIFE);
        let kept = Kept { session, asker: canonical(to), ends };
        self.unused.insert(kept.session.id(), kept, ends);
        Some(Datagram::Answer { name, noise: &noise[..len] }.to_bytes())
    }

    /// A question in a session; none if it is not authentic, or came before.
    fn in_session(
        &mut self,
        now: Instant,
        from: SocketAddr,
        session: SessionId,
        counter: u64,
        about: &[u8],
        sealed: &[u8],
    ) -> Result<Option<Heard>, NoSession> {
        let at = canonical(from);
        let is_used = self.used.get_mut(now, &session).is_some();
        let held = if is_used { &mut self.used } else { &mut self.unused };
        let kept = held.get_mut(now, &session).filter(|kept| kept.asker == at);
        let Some(question) = kept.ok_or(NoSession)?.session.open(counter, about, sealed) else {
            return Ok(None);
        };
        if !is_used && let Some(kept) = self.unused.remove(&session) {
            let ends = kept.ends;
            self.used.insert(session, kept, ends);
        }
        if question.len() > QUESTION_MAX {
            return Ok(None);
        }
        self.counters.in_session += 1;
        let road = Road::Session { session, counter };
        Ok(Some(Heard::Question(Asked { question, from, road })))
    }

    fn unknown(
        &mut self,
        from: SocketAddr,
        epoch: u8,
        session: SessionId,
        counter: u64,
    ) -> Option<Heard> {
        let (_, proofs) = self.proofs.iter().find(|(number, _)| *number == epoch)?;
        let proof = proofs.of_unknown(session, counter);
        self.counters.unknown += 1;
        let bytes = Datagram::SessionUnknown { session, counter, proof }.to_bytes();
        Some(Heard::Reply(Transmit { to: from, bytes }))
    }
}

/// The session that a question names is not held for its address.
struct NoSession;

/// The parts of [`Datagram::Question`].
struct First<'a> {
    epoch: u8,
    name: TryName,
    proof: Mac,
    cookie_proof: Mac,
    noise: &'a [u8],
}

/// What is before the padding: `length (2) ‖ question ‖ zeros`.
fn unpad(plain: &[u8]) -> Option<&[u8]> {
    let (length, rest) = plain.split_first_chunk::<LENGTH>()?;
    let length = usize::from(u16::from_be_bytes(*length));
    rest.get(..length).filter(|_| length <= QUESTION_MAX)
}
