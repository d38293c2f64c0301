//! Asking in datagrams: up to three tries, the session kept from the last exchange, and what came
//! of it.
//!
//! A question goes in the session that is kept with the answerer, if there is one, else with a
//! handshake; when a try in a session brings nothing in time, or word that the session is gone, the
//! next has a handshake. A try is named by a random number, or by its session and counter, so an
//! answer finds its question by one look into a table, and its round trip is that of the very
//! datagram it answers. Invariants: a datagram that belongs to no try of ours, or comes from
//! elsewhere than asked, costs that look; every question ends, after three tries at the latest; a
//! reply without state makes us send at most one datagram more, and never with less protection.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::cache::Cache;
use super::cookie::{self, ROTATION};
use super::epoch::{Epoch, Epochs, is_same};
use super::open::{First, Open, Road, Sent, Try};
use super::session::Session;
use super::{QUESTION_MAX, SESSION_LIFE, prologue};
use crate::entropy::Stream;
use crate::port::{Transmit, canonical};
use crate::wire::certificate::{AgreeKey, VerifyKey};
use crate::wire::directory::NodeEntry;
use crate::wire::question::{
    DATAGRAM_MAX, Datagram, Fit, MAC, Mac, SESSION_ANSWER_HEADER, SessionId, TryName,
};

/// Questions open at once. Our choice: at round trips of 80 ms some 12,000 questions a second, for
/// at most 6 MiB.
pub const OPEN_MAX: usize = 1024;
/// Answerers of whom something is kept. Our choice: a ring's fingers, successors and the nodes of
/// many searches in ten minutes, for half a MiB.
pub const KNOWN_MAX: usize = 1024;
/// Datagrams sent for one question at most, whatever caused them. Our choice: two losses in a row
/// are borne, and a dead answerer is given up in about two seconds.
pub const TRIES_MAX: usize = 3;
/// How long the first try is waited for while no round trip was measured. Our choice: most paths of
/// the Internet are shorter.
pub const WAIT_UNMEASURED: Duration = Duration::from_millis(300);
/// Shortest wait for a try, however near the answerer. Our choice: a busy process may sleep that
/// long.
pub const WAIT_MIN: Duration = Duration::from_millis(50);
/// Longest wait for a try. Our choice: twice the round trip by a geostationary satellite and back,
/// rounded up.
pub const WAIT_MAX: Duration = Duration::from_secs(2);

/// Names an open question; not used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QuestionId(u64);

/// Whom to ask: where it listens (UDP), and its link key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Whom {
    /// Its address.
    pub address: SocketAddr,
    /// Its link key.
    pub key: AgreeKey,
}

impl From<&NodeEntry> for Whom {
    fn from(entry: &NodeEntry) -> Self {
        Self { address: entry.address, key: entry.key }
    }
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The holder of the asked key answered.
    Answered {
        /// Its answer.
        answer: Vec<u8>,
        /// From sending the try that it answers until now.
        round_trip: Duration,
    },
    /// It answered that the answer fits into no datagram: ask over a link.
    TooLong {
        /// As in [`Outcome::Answered`].
        round_trip: Duration,
    },
    /// Nothing came: it is gone, UDP is blocked, or the two know no common epoch. Ask over a link.
    Silent,
}

/// Why nothing was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAsked {
    /// [`OPEN_MAX`] questions are open.
    #[error("too many open questions")]
    TooMany,
    /// The question is longer than [`QUESTION_MAX`].
    #[error("a question of {got} bytes, at most {max} are asked")]
    TooLong {
        /// Its length.
        got: usize,
        /// [`QUESTION_MAX`].
        max: usize,
    },
    /// The answerer's key would make the secret known to everybody (RFC 7748, section 6.1).
    #[error("the answerer's key is none")]
    KeyRefused,
}

/// The asking side. Time and datagrams are arguments; it never does anything by itself.
pub struct Asker {
    prologue: Vec<u8>,
    epochs: Epochs,
    secrets: Stream,
    jitter: Stream,
    known: Cache<Whom, Known>,
    open: BTreeMap<QuestionId, Open>,
    pub(super) tries: BTreeMap<Try, QuestionId>,
    last: u64,
    out: VecDeque<Transmit>,
}

/// What is kept of an answerer.
#[derive(Default)]
struct Known {
    /// The session, and until when it is asked in: its last answer must still find it.
    session: Option<(Session, Instant)>,
    /// Its cookie for us, and until when it is shown.
    cookie: Option<(Mac, Instant)>,
    round_trip: Option<Duration>,
}

impl Asker {
    /// An asker in the network of `root`. `secrets` and `jitter` are of the two streams of
    /// [`entropy`](crate::entropy).
    #[must_use]
    pub fn new(root: &VerifyKey, epoch: Epoch, secrets: Stream, jitter: Stream) -> Self {
        Self {
            prologue: prologue(root),
            epochs: Epochs::new(epoch),
            secrets,
            jitter,
            known: Cache::new(KNOWN_MAX),
            open: BTreeMap::new(),
            tries: BTreeMap::new(),
            last: 0,
            out: VecDeque::new(),
        }
    }

    /// Goes over to the next epoch. Sessions and open questions live on.
    pub fn turn_epoch(&mut self, next: Epoch) {
        self.epochs.turn(next);
    }

    /// Asks. `room` is the longest answer that is hoped for, in bytes: without a session the
    /// question is padded so that such an answer is not longer; a longer one takes a round trip
    /// more. The same question that is still open to the same answerer is not asked twice: its id
    /// is given again.
    ///
    /// # Errors
    /// [`NotAsked`].
    pub fn ask(
        &mut self,
        now: Instant,
        whom: Whom,
        question: &[u8],
        room: usize,
    ) -> Result<QuestionId, NotAsked> {
        if question.len() > QUESTION_MAX {
            return Err(NotAsked::TooLong { got: question.len(), max: QUESTION_MAX });
        }
        let same = |open: &Open| open.whom == whom && open.question == question;
        if let Some((id, _)) = self.open.iter().find(|(_, open)| same(open)) {
            return Ok(*id);
        }
        if self.open.len() >= OPEN_MAX {
            return Err(NotAsked::TooMany);
        }
        self.last += 1;
        let id = QuestionId(self.last);
        let measured = self.known.get_mut(now, &whom).and_then(|known| known.round_trip);
        self.send(now, id, Open::new(now, whom, question, room, measured))?;
        Ok(id)
    }

    /// Gives a question up: its answer will be nobody's.
    pub fn forget(&mut self, id: QuestionId) {
        if let Some(open) = self.open.remove(&id) {
            self.forget_tries(&open);
        }
    }

    /// Takes a datagram, and tells if a question has ended by it. What is not for an asker is
    /// passed over.
    pub fn handle(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &[u8],
    ) -> Option<(QuestionId, Outcome)> {
        match Datagram::from_bytes(datagram).ok()? {
            Datagram::Answer { name, noise } => self.first_answer(now, from, name, noise),
            Datagram::SessionAnswer { session, asked, counter, sealed } => {
                let name = Try::InSession(session, asked);
                let about = &datagram[..SESSION_ANSWER_HEADER];
                self.session_answer(now, from, name, session, counter, about, sealed)
            }
            Datagram::SessionUnknown { session, counter, proof } => {
                self.session_unknown(now, from, session, counter, &proof)
            }
            Datagram::Cookie { name, cookie, proof } => {
                self.cookie(now, from, name, &cookie, &proof)
            }
            Datagram::Question { .. } | Datagram::SessionQuestion { .. } => None,
        }
    }

    /// Tries again what was not answered in time, and tells which questions end as
    /// [`Outcome::Silent`]. Being early does no harm.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<(QuestionId, Outcome)> {
        self.known.drop_ended(now);
        let overdue = self.open.iter().filter(|(_, open)| open.due <= now);
        let overdue: Vec<QuestionId> = overdue.map(|(id, _)| *id).collect();
        overdue.into_iter().filter_map(|id| self.overdue(now, id)).collect()
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.out.pop_front()
    }

    /// When [`Self::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let dues = self.open.values().map(|open| open.due);
        dues.chain(self.known.next_end()).min()
    }

    /// Questions that are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// Answerers of whom something is kept.
    #[must_use]
    pub fn known(&self) -> usize {
        self.known.len()
    }

    /// The measured round trip to an answerer, if one is kept.
    pub fn round_trip(&mut self, now: Instant, whom: &Whom) -> Option<Duration> {
        self.known.get_mut(now, whom)?.round_trip
    }

    /// Sends the next try of a question and keeps the question. It is let go when that fails.
    fn send(&mut self, now: Instant, id: QuestionId, mut open: Open) -> Result<(), NotAsked> {
        let in_session = match open.road {
            Road::Session => self.session_try(now, &open),
            Road::First => None,
        };
        let sent = match in_session {
            Some(sent) => Ok(sent),
            None => self.first_try(now, &mut open),
        };
        let (name, epoch, bytes) = match sent {
            Ok(sent) => sent,
            Err(error) => {
                self.forget_tries(&open);
                return Err(error);
            }
        };
        self.out.push_back(Transmit { to: open.whom.address, bytes });
        open.sent.push(Sent { name, epoch, at: now });
        self.tries.insert(name, id);
        self.open.insert(id, open);
        Ok(())
    }

    fn forget_tries(&mut self, open: &Open) {
        for sent in &open.sent {
            self.tries.remove(&sent.name);
        }
    }

    fn session_try(&mut self, now: Instant, open: &Open) -> Option<(Try, u8, Vec<u8>)> {
        let (kept, until) = self.known.get_mut(now, &open.whom)?.session.as_mut()?;
        if *until <= now {
            return None;
        }
        let (session, epoch) = (kept.id(), self.epochs.present().number());
        let head =
            |counter| Datagram::SessionQuestion { epoch, session, counter, sealed: &[] }.to_bytes();
        let (counter, bytes) = kept.seal(head, &[&open.question])?;
        Some((Try::InSession(session, counter), epoch, bytes))
    }

    fn first_try(&mut self, now: Instant, open: &mut Open) -> Result<(Try, u8, Vec<u8>), NotAsked> {
        let asked = (&open.whom, open.question.as_slice(), open.room);
        let first = match &mut open.first {
            Some(first) => first,
            none => {
                let epoch = self.epochs.present();
                none.insert(First::begin(&self.prologue, epoch, asked, &mut self.secrets)?)
            }
        };
        let name = TryName(self.secrets.next_u64());
        let proof = first.proofs.of_question(first.epoch, name, &first.noise);
        let cookie = self.known.get_mut(now, &open.whom).and_then(|known| known.cookie);
        let cookie_proof = match cookie {
            Some((cookie, until)) if now < until => cookie::prove(&cookie, &proof),
            Some(_) | None => [0; MAC],
        };
        let (epoch, noise) = (first.epoch, first.noise.as_slice());
        let bytes = Datagram::Question { epoch, name, proof, cookie_proof, noise }.to_bytes();
        Ok((Try::First(name), epoch, bytes))
    }

    /// The open question that a datagram from `from` belongs to by this name.
    fn asked(&mut self, from: SocketAddr, name: Try) -> Option<(QuestionId, Sent, &mut Open)> {
        let id = *self.tries.get(&name)?;
        let open = self.open.get_mut(&id)?;
        let sent = *open.sent.iter().find(|sent| sent.name == name)?;
        (canonical(open.whom.address) == canonical(from)).then_some((id, sent, open))
    }

    fn first_answer(
        &mut self,
        now: Instant,
        from: SocketAddr,
        name: TryName,
        noise: &[u8],
    ) -> Option<(QuestionId, Outcome)> {
        let (id, sent, open) = self.asked(from, Try::First(name))?;
        let mut plain = [0; DATAGRAM_MAX];
        let read = open.first.as_mut()?.handshake.read_message(noise, &mut plain).ok()?;
        let first = open.first.take()?;
        let (whom, failed) = (open.whom, open.failed_in());
        let session = Session::of_asker(*first.handshake);
        let round_trip = now.saturating_duration_since(sent.at);
        self.learn(now, whom, session, failed, sent.at);
        self.conclude(now, id, &plain[..read], round_trip)
    }

    /// Keeps the session of an exchange that was begun at `begun`. One that is already kept stays,
    /// since other questions are under way in it; unless this question has `failed` in it.
    fn learn(
        &mut self,
        now: Instant,
        whom: Whom,
        session: Session,
        failed: Option<SessionId>,
        begun: Instant,
    ) {
        let mut cookie = None;
        if let Some(known) = self.known.get_mut(now, &whom) {
            let kept = known.session.as_ref().map(|(session, _)| session.id());
            if kept.is_some() && kept != failed {
                return;
            }
            cookie = known.cookie;
        }
        let ends = begun + SESSION_LIFE;
        let known = Known { session: Some((session, ends - WAIT_MAX)), cookie, round_trip: None };
        self.known.insert(whom, known, ends);
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one datagram")]
    fn session_answer(
        &mut self,
        now: Instant,
        from: SocketAddr,
        name: Try,
        session: SessionId,
        counter: u64,
        about: &[u8],
        sealed: &[u8],
    ) -> Option<(QuestionId, Outcome)> {
        let (id, sent, open) = self.asked(from, name)?;
        let whom = open.whom;
        let (kept, _) = self.known.get_mut(now, &whom)?.session.as_mut()?;
        let plain = Some(kept).filter(|kept| kept.id() == session)?.open(counter, about, sealed)?;
        self.conclude(now, id, &plain, now.saturating_duration_since(sent.at))
    }

    /// An authentic answer is here.
    fn conclude(
        &mut self,
        now: Instant,
        id: QuestionId,
        plain: &[u8],
        round_trip: Duration,
    ) -> Option<(QuestionId, Outcome)> {
        let (fit, answer) = plain.split_first()?;
        let open = self.open.get_mut(&id)?;
        if let Some(known) = self.known.get_mut(now, &open.whom) {
            known.round_trip = Some(round_trip);
        }
        let outcome = match Fit::from_byte(*fit) {
            Fit::Whole => Outcome::Answered { answer: answer.to_vec(), round_trip },
            Fit::Longer if open.sent.len() < TRIES_MAX => {
                open.road = Road::Session;
                return self.again(now, id);
            }
            Fit::Longer | Fit::TooLong => Outcome::TooLong { round_trip },
        };
        self.forget(id);
        Some((id, outcome))
    }

    fn session_unknown(
        &mut self,
        now: Instant,
        from: SocketAddr,
        session: SessionId,
        counter: u64,
        proof: &Mac,
    ) -> Option<(QuestionId, Outcome)> {
        let (id, sent, open) = self.asked(from, Try::InSession(session, counter))?;
        let (whom, is_last) = (open.whom, open.is_last(sent));
        let proofs = self.epochs.named(sent.epoch)?.proofs(&whom.key);
        if !is_same(&proofs.of_unknown(session, counter), proof) {
            return None;
        }
        if let Some(known) = self.known.get_mut(now, &whom) {
            known.session.take_if(|(kept, _)| kept.id() == session);
        }
        self.open.get_mut(&id)?.road = Road::First;
        if is_last { self.again(now, id) } else { None }
    }

    fn cookie(
        &mut self,
        now: Instant,
        from: SocketAddr,
        name: TryName,
        cookie: &Mac,
        proof: &Mac,
    ) -> Option<(QuestionId, Outcome)> {
        let (id, sent, open) = self.asked(from, Try::First(name))?;
        let (whom, is_last) = (open.whom, open.is_last(sent));
        if !is_same(&open.first.as_ref()?.proofs.of_cookie(name, cookie), proof) {
            return None;
        }
        let until = now + ROTATION;
        match self.known.get_mut(now, &whom) {
            Some(known) => known.cookie = Some((*cookie, until)),
            None => {
                let known = Known { cookie: Some((*cookie, until)), ..Known::default() };
                self.known.insert(whom, known, until);
            }
        }
        if is_last { self.again(now, id) } else { None }
    }

    /// Sends the next try at once, if one is left; the wait begins anew.
    fn again(&mut self, now: Instant, id: QuestionId) -> Option<(QuestionId, Outcome)> {
        let mut open = self.open.remove(&id)?;
        if open.sent.len() < TRIES_MAX {
            open.due = now + open.wait;
            return self.send(now, id, open).err().map(|_| (id, Outcome::Silent));
        }
        self.open.insert(id, open);
        None
    }

    fn overdue(&mut self, now: Instant, id: QuestionId) -> Option<(QuestionId, Outcome)> {
        let open = self.open.get_mut(&id)?;
        if open.sent.len() >= TRIES_MAX {
            let whom = open.whom;
            self.known.remove(&whom);
            self.forget(id);
            return Some((id, Outcome::Silent));
        }
        open.road = Road::First;
        open.wait_longer(&mut self.jitter);
        self.again(now, id)
    }
}
