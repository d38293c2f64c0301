//! The authority as a machine: links in, answers out, changes to the disk in between.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::announcing::Announcing;
use super::keys::{AUTHORITY_LIFE, AuthorityKeys};
use super::limits::{Limits, Source};
use super::nodes::Word;
use super::orders::{Notice, Order, told};
use super::registrar::{Asker, Change, Moment, Outcome, Registrar, Reply, Stage};
use super::state::{AuthorityState, Record, Row};
use super::verifying::{DRAWN_MAX, Verdict, Verifying};
use crate::entropy::Entropy;
use crate::port::{
    Input, LinkEvent, LinkId, LinkOrder, Machine, Output, SaveFailure, SaveId, Service, WaitReason,
};
use crate::secure::link::{LinkNews, LocalIdentity, Opened, SecureLink, Welcome};
use crate::time::{UnixTime, WallClock};
use crate::wire::certificate::Chain;
use crate::wire::enrolment::{Enrolment, EnrolmentRefusal};
use crate::wire::frame::{Frame, Message};
use crate::wire::policy::Policy;

/// Links at once at most. Our choice: a link lives for seconds, so this serves some hundred logins
/// a second.
const LINKS_MAX: usize = 4096;
/// Links at once from one address (IPv6: /64) at most. Our choice: a school behind one address.
const LINKS_PER_SOURCE_MAX: usize = 256;
/// How long a link may ask nothing. Our choice: a person types the recovery key from paper in that
/// time.
const IDLE_MAX: Duration = Duration::from_secs(120);
/// Questions of one link that wait for the disk at most: an honest peer asks one at a time.
const QUESTIONS_MAX: usize = 4;
/// How long before its end the root certifies the authority again. Our choice: a month of warning
/// if it is offline.
const RENEW_BEFORE: Duration = Duration::from_secs(30 * 24 * 3600);

/// The login authority.
pub struct Authority {
    pub(super) registrar: Registrar,
    clock: WallClock,
    sessions: BTreeMap<LinkId, Session>,
    per_source: BTreeMap<Source, usize>,
    waiting: BTreeMap<SaveId, Answering>,
    pub(super) verifying: Verifying,
    pub(super) announcing: Announcing,
    /// The save that renews our own certificate.
    renewing: Option<SaveId>,
    out: VecDeque<Output<Notice, Record>>,
}

struct Session {
    link: SecureLink,
    from: SocketAddr,
    /// Who it is, once the link is open; and where the conversation stands.
    talk: Option<(Asker, Stage)>,
    asked: Instant,
    /// Questions that wait for the disk, or for verifiers.
    pending: usize,
}

/// Whom to answer when a change is kept.
struct Answering {
    to: Option<(LinkId, u32)>,
    outcome: Outcome,
}

impl Authority {
    /// An authority that knows `state`, at the moment `now`, which the wall calls `wall`.
    #[must_use]
    pub fn new(
        keys: AuthorityKeys,
        state: AuthorityState,
        limits: Limits,
        now: Instant,
        wall: UnixTime,
        mut entropy: Entropy,
    ) -> Self {
        let verifying = Verifying::new(keys.link(), keys.root(), entropy.secrets.split());
        let mut authority = Self {
            registrar: Registrar::new(keys, state, limits, entropy.secrets),
            verifying,
            clock: WallClock::new(now, wall),
            sessions: BTreeMap::new(),
            per_source: BTreeMap::new(),
            waiting: BTreeMap::new(),
            announcing: Announcing::default(),
            renewing: None,
            out: VecDeque::new(),
        };
        authority.renew_own_certificate(now);
        authority.announce_from(now);
        authority
    }

    /// Carries out an order of the owner; a [`Notice`] tells when it is done, or why not.
    pub fn order(&mut self, now: Instant, order: Order) {
        match self.registrar.order(self.moment(now), order) {
            Ok(change) => {
                self.keep(None, change);
            }
            Err(refusal) => self.out.push_back(Output::Notify(Notice::OrderRefused(refusal))),
        }
    }

    /// Its secrets, to take the root key offline or to keep them.
    pub const fn keys_mut(&mut self) -> &mut AuthorityKeys {
        &mut self.registrar.keys
    }

    /// The policy in force.
    #[must_use]
    pub const fn policy(&self) -> &Policy {
        &self.registrar.state.policy
    }

    /// Accounts it has.
    #[must_use]
    pub fn accounts(&self) -> usize {
        self.registrar.state.accounts.len()
    }

    pub(super) fn moment(&self, now: Instant) -> Moment {
        Moment { now, wall: self.clock.at(now) }
    }

    fn handle_link(&mut self, now: Instant, id: LinkId, event: LinkEvent<'_>) {
        if let LinkId::Dialled(_) = id {
            let wall = self.clock.at(now);
            let verdicts = self.verifying.handle(now, wall, id, event);
            return self.verified(now, verdicts);
        }
        match event {
            LinkEvent::Accepted { from, service: Service::Authority } => self.accept(now, id, from),
            LinkEvent::Accepted {
                service: Service::Relay | Service::SuperPeer | Service::Peer | Service::Nearby,
                ..
            }
            | LinkEvent::Connected { .. } => self.close(id),
            LinkEvent::Bytes(bytes) => self.read(now, id, bytes),
            LinkEvent::Down(_) => self.forget(id),
        }
    }

    fn accept(&mut self, now: Instant, id: LinkId, from: SocketAddr) {
        self.renew_own_certificate(now);
        let source = Source::of(from.ip());
        let of_source = self.per_source.get(&source).copied().unwrap_or(0);
        if self.sessions.len() >= LINKS_MAX || of_source >= LINKS_PER_SOURCE_MAX {
            self.out.push_back(Output::Link(id, LinkOrder::Close));
            return;
        }
        let Registrar { keys, state, secrets, .. } = &mut self.registrar;
        let chain = Chain { authority: state.certificate.clone(), holder: None };
        let local =
            LocalIdentity { key: keys.link(), chain: Some(&chain), root: keys.root(), features: 0 };
        let link = SecureLink::accept(local, Service::Authority, Welcome::Renewals, now, secrets);
        self.per_source.insert(source, of_source + 1);
        self.sessions.insert(id, Session { link, from, talk: None, asked: now, pending: 0 });
    }

    fn read(&mut self, now: Instant, id: LinkId, bytes: &[u8]) {
        let at = self.moment(now);
        let Some(session) = self.sessions.get_mut(&id) else { return };
        let mut news = Vec::new();
        let mut held = session.link.handle_bytes(now, at.wall, bytes, &mut news).map_err(drop);
        for item in news {
            held = held.and(match item {
                LinkNews::Open(opened) => self.open(id, opened),
                LinkNews::Frame(frame) => self.question(at, id, frame),
            });
        }
        match held {
            Ok(()) => self.flush(id),
            Err(()) => self.close(id),
        }
    }

    fn open(&mut self, id: LinkId, opened: Opened) -> Result<(), ()> {
        let session = self.sessions.get_mut(&id).ok_or(())?;
        let asker = Asker { remote: opened.remote, from: session.from };
        self.registrar.note_asker(&asker);
        session.talk = Some((asker, Stage::Fresh));
        Ok(())
    }

    /// Answers one question, now or when it is kept; an error closes the link.
    fn question(&mut self, at: Moment, id: LinkId, frame: Frame) -> Result<(), ()> {
        let session = self.sessions.get_mut(&id).ok_or(())?;
        if session.pending >= QUESTIONS_MAX {
            return Err(());
        }
        session.asked = at.now;
        let (asker, stage) = session.talk.take().ok_or(())?;
        let (stage, reply) = match frame.message {
            Message::Login(question) => self.registrar.answer_login(at, &asker, stage, question),
            Message::Enrolment(question) => {
                (stage, self.registrar.answer_enrolment(at, &asker, question))
            }
            Message::Directory(_) | Message::Forward(_) | Message::Nat(_) => return Err(()),
            Message::RingQuestion(_)
            | Message::RingReply(_)
            | Message::Postings(_)
            | Message::Election(_) => {
                return Err(());
            }
        };
        session.talk = Some((asker, stage));
        let (from, candidate) = (session.from, (id, frame.ask));
        match reply {
            Reply::Now(message) => {
                session.link.send(at.now, &Frame { ask: frame.ask, message }).map_err(drop)
            }
            Reply::After(change) => {
                session.pending += 1;
                self.keep(Some(candidate), change);
                Ok(())
            }
            Reply::Verify(claim) => {
                session.pending += 1;
                let drawn = self.registrar.draw_verifiers(at, &claim, DRAWN_MAX);
                self.show_certificate();
                if let Err(reason) = self.verifying.begin(at.now, candidate, from, *claim, drawn) {
                    self.answer(at.now, candidate, Enrolment::Refused { reason }.into());
                }
                Ok(())
            }
        }
    }

    /// The certificate that those are shown whom we dial.
    pub(super) fn show_certificate(&mut self) {
        let authority = self.registrar.state.certificate.clone();
        self.verifying.certify(Chain { authority, holder: None });
    }

    /// Addresses were verified, or were not.
    fn verified(&mut self, now: Instant, verdicts: Vec<Verdict>) {
        for sighting in self.verifying.poll_sightings() {
            self.registrar.note(now, sighting);
        }
        self.policy_known();
        for Verdict { candidate, claim, outcome, is_silence } in verdicts {
            let at = self.moment(now);
            let reply = match outcome {
                Ok(()) => self.registrar.verified(at, claim, Word::Others),
                Err(EnrolmentRefusal::NobodyVerified)
                    if is_silence && self.registrar.takes_its_word(at, &claim) =>
                {
                    self.registrar.verified(at, claim, Word::Its)
                }
                Err(reason) => Reply::Now(Enrolment::Refused { reason }.into()),
            };
            match reply {
                Reply::Now(message) => self.answer(now, candidate, message),
                Reply::After(change) => {
                    self.keep(Some(candidate), change);
                }
                Reply::Verify(_) => unreachable!("it was verified just now"),
            }
        }
    }

    /// Answers a question that was pending.
    fn answer(&mut self, now: Instant, (id, ask): (LinkId, u32), message: Message) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.pending = session.pending.saturating_sub(1);
        match session.link.send(now, &Frame { ask, message }) {
            Ok(()) => self.flush(id),
            Err(_) => self.close(id),
        }
    }

    fn keep(&mut self, to: Option<(LinkId, u32)>, change: Change) -> SaveId {
        let Change { rows, token, outcome } = change;
        let (save, rows) = self.registrar.begin(rows, token);
        self.waiting.insert(save, Answering { to, outcome });
        self.out.push_back(Output::Save(save, Record { rows }));
        save
    }

    fn kept(&mut self, now: Instant, save: SaveId, kept: Result<(), SaveFailure>) {
        let Some(Answering { to, outcome }) = self.waiting.remove(&save) else { return };
        match kept {
            Ok(()) => self.registrar.commit(save),
            Err(_) => self.registrar.abandon(save),
        }
        let notice = match kept {
            Ok(()) => outcome.notice,
            Err(failure) => Some(Notice::NotKept(failure)),
        };
        self.renewing = self.renewing.filter(|renewing| *renewing != save);
        if matches!(notice, Some(Notice::PolicySet { .. })) {
            self.announce_from(now);
        }
        self.out.extend(notice.map(Output::Notify));
        if let (Some(to), Some((yes, no))) = (to, outcome.answers) {
            self.answer(now, to, if kept.is_ok() { yes } else { no });
        }
    }

    /// Has the root certify the authority again when the end comes near.
    fn renew_own_certificate(&mut self, now: Instant) {
        let wall = self.clock.at(now);
        let current = &self.registrar.state.statement;
        if self.renewing.is_some() || wall.plus(RENEW_BEFORE) < current.not_after {
            return;
        }
        let (serial, policy) = (current.serial + 1, self.registrar.state.policy.version);
        let Ok(signed) = self.registrar.keys.sign_certificate(serial, policy, wall) else {
            return;
        };
        let notice = Notice::CertificateRenewed { until: wall.plus(AUTHORITY_LIFE) };
        self.renewing = Some(self.keep(None, told(vec![Row::Certificate(signed)], notice)));
    }

    fn handle_timeout(&mut self, now: Instant) {
        let verdicts = self.verifying.handle_timeout(now);
        self.verified(now, verdicts);
        self.announce_due(now);
        let ids: Vec<LinkId> = self.sessions.keys().copied().collect();
        for id in ids {
            let Some(session) = self.sessions.get_mut(&id) else { continue };
            if session.asked + IDLE_MAX <= now || session.link.handle_timeout(now).is_err() {
                self.close(id);
            } else {
                self.flush(id);
            }
        }
    }

    fn flush(&mut self, id: LinkId) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        while let Some(bytes) = session.link.take_output() {
            self.out.push_back(Output::Link(id, LinkOrder::Bytes(bytes)));
        }
    }

    fn close(&mut self, id: LinkId) {
        self.forget(id);
        self.out.push_back(Output::Link(id, LinkOrder::Close));
    }

    fn forget(&mut self, id: LinkId) {
        let Some(session) = self.sessions.remove(&id) else { return };
        self.verifying.forget(id);
        let source = Source::of(session.from.ip());
        if let Some(links) = self.per_source.get_mut(&source) {
            *links -= 1;
            if *links == 0 {
                self.per_source.remove(&source);
            }
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let deadlines = |session: &Session| {
            let idle = session.asked + IDLE_MAX;
            session.link.poll_timeout().map_or(idle, |at| at.min(idle))
        };
        let sessions = self.sessions.values().map(deadlines).min();
        let others = [self.verifying.poll_timeout(), self.announcing.next_due()];
        sessions.into_iter().chain(others.into_iter().flatten()).min()
    }
}

impl Machine for Authority {
    type Notice = Notice;
    type Record = Record;

    fn handle(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Timeout => self.handle_timeout(now),
            Input::Clock(wall) => {
                self.clock = WallClock::new(now, wall);
                self.renew_own_certificate(now);
            }
            Input::Link(id, event) => self.handle_link(now, id, event),
            Input::Saved(save) => self.kept(now, save, Ok(())),
            Input::NotSaved(save, failure) => self.kept(now, save, Err(failure)),
            // None of these was ordered by this role.
            Input::Datagram { .. }
            | Input::Path(..)
            | Input::RelayPort(..)
            | Input::Network
            | Input::Mapped(..)
            | Input::Nearby(_)
            | Input::Worked(..)
            | Input::Voice(..) => {}
        }
    }

    fn poll_output(&mut self) -> Output<Notice, Record> {
        if let Some(output) = self.out.pop_front() {
            return output;
        }
        if let Some((id, order)) = self.verifying.poll_order() {
            return Output::Link(id, order);
        }
        match self.deadline() {
            Some(at) => Output::Wait(Some(at), WaitReason::Timer),
            None => Output::Wait(None, WaitReason::Idle),
        }
    }
}
