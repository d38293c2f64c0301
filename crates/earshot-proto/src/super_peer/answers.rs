//! Answering questions in datagrams: who is near a key, and who is kept here. DESIGN 2.4.
//!
//! Whoever asks is a member, but which is not known; so only what any member may ask is answered,
//! and nothing is written.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::port::Output;
use crate::questions::{Answer, Told, epoch_of};
use crate::secure::identity::LinkKey;
use crate::secure::questions::{Answerer, AnswererCounters, Heard, Load};
use crate::time::UnixTime;
use crate::wire::directory::{Directory, DirectoryRefusal, NodeEntry};
use crate::wire::enrolment::Enrolment;
use crate::wire::epoch::{EPOCH_MARGIN, EpochSecret};
use crate::wire::frame::{Frame, Message};
use crate::wire::question::QUESTION;
use crate::wire::ring::{Question, Reply};

use super::directory::refused;
use super::{About, SuperPeer};

/// Nodes in one answer at most: so many fit into a datagram. DESIGN 2.4.
const NODES_MAX: u8 = 8;
/// Certificates in one answer at most, for the same reason.
const CERTIFICATES_MAX: usize = 3;
/// Questions with a handshake in a second, above which cookies are given. Our choice: a fifth of
/// one core.
const HEAVY: u32 = 500;

/// The answering side.
#[derive(Default)]
pub(super) struct Answers {
    answerer: Option<Answerer>,
    /// The number of the epoch in use.
    epoch: u64,
    meter: Meter,
}

/// Counts questions with a handshake.
#[derive(Debug, Default)]
struct Meter {
    since: Option<Instant>,
    count: u32,
}

impl Meter {
    fn load(&mut self, now: Instant, bytes: &[u8]) -> Load {
        if bytes.first() != Some(&QUESTION) {
            return Load::Light;
        }
        if self.since.is_none_or(|since| now >= since + Duration::from_secs(1)) {
            *self = Self { since: Some(now), count: 0 };
        }
        self.count = self.count.saturating_add(1);
        if self.count > HEAVY { Load::Heavy } else { Load::Light }
    }
}

impl Answers {
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.answerer.as_ref().and_then(Answerer::poll_timeout)
    }

    pub(super) fn counters(&self) -> AnswererCounters {
        self.answerer.as_ref().map(|answerer| *answerer.counters()).unwrap_or_default()
    }

    fn turn(&mut self, wall: UnixTime, epochs: &[EpochSecret]) {
        let number = EpochSecret::number_at(wall.plus(EPOCH_MARGIN));
        let next = epochs.iter().find(|epoch| epoch.number == number);
        if let (Some(next), Some(answerer)) = (next, &mut self.answerer)
            && number != self.epoch
        {
            answerer.turn_epoch(epoch_of(next));
            self.epoch = number;
        }
    }
}

impl SuperPeer {
    /// The authority has told the secrets of the present epoch and the next.
    pub(super) fn epochs_told(&mut self, now: Instant, epochs: &[EpochSecret]) {
        let wall = self.wall(now);
        let Some(first) = epochs.first() else { return };
        if self.answers.answerer.is_none() {
            let key = LinkKey::from_secret(&self.config.keys.link.secret());
            let secrets = self.entropy.secrets.split();
            let answerer = Answerer::new(now, key, &self.config.root, epoch_of(first), secrets);
            (self.answers.answerer, self.answers.epoch) = (Some(answerer), first.number);
        }
        let (secrets, jitter) = (&mut self.entropy.secrets, &mut self.entropy.jitter);
        self.questions.epochs_told(&self.config.root, wall, epochs, secrets, jitter);
        self.answers.turn(wall, epochs);
    }

    /// A datagram of the family of questions came.
    pub(super) fn handle_question_datagram(
        &mut self,
        now: Instant,
        from: SocketAddr,
        bytes: &[u8],
    ) {
        for told in self.questions.handle(now, from, bytes) {
            self.question_ended(now, told);
        }
        let wall = self.wall(now);
        self.answers.turn(wall, self.questions.epochs());
        let load = self.answers.meter.load(now, bytes);
        let Some(answerer) = &mut self.answers.answerer else { return };
        match answerer.handle(now, from, bytes, load) {
            Heard::Question(_) if !self.admits_datagram(now, from) => {}
            Heard::Question(asked) => {
                let message = self.answer_to(now, asked.question());
                let answer = Frame { ask: 0, message }.to_bytes();
                let answerer = self.answers.answerer.as_mut();
                let sent = answerer.and_then(|answerer| answerer.answer(now, asked, &answer));
                self.out.extend(sent.map(Output::Send));
            }
            Heard::Reply(transmit) => self.out.push_back(Output::Send(transmit)),
            Heard::Nothing => {}
        }
    }

    fn answer_to(&mut self, now: Instant, question: &[u8]) -> Message {
        match Frame::from_bytes(question).map(|frame| frame.message) {
            Ok(Message::RingQuestion(Question::Nearest { key, width })) => {
                self.nearest_proven(now, &key, width.min(NODES_MAX)).into()
            }
            Ok(Message::Enrolment(Enrolment::CertificatesOf { nodes })) => {
                self.certificates_of(&nodes, CERTIFICATES_MAX).into()
            }
            Ok(Message::Directory(Directory::Find { user })) => self.find(now, &user).into(),
            Ok(Message::RingQuestion(_)) => Reply::Outside.into(),
            Ok(_) | Err(_) => refused(DirectoryRefusal::NotAllowed).into(),
        }
    }

    /// Puts a question to a super-peer that needs no proof of who asks: over a link that is open,
    /// else in a datagram.
    pub(super) fn question(
        &mut self,
        now: Instant,
        to: &NodeEntry,
        about: About,
        message: Message,
    ) {
        let wall = self.wall(now);
        let (about, message) = match self.contacts.open(&to.node) {
            Some(_) => (about, message),
            None => match self.questions.ask(now, wall, to, about, message) {
                Ok(()) => return,
                Err(by_link) => *by_link,
            },
        };
        let link = self.link_to(now, to);
        self.ask(now, link, about, message);
    }

    /// A question in datagrams has ended.
    pub(super) fn question_ended(&mut self, now: Instant, told: Told<About>) {
        let Told { to, about, answer } = told;
        match answer {
            Answer::Told(message, round_trip) => {
                self.ring.measured(&to.node, round_trip);
                self.ask_answered(now, about, message);
            }
            Answer::ByLink(message) => {
                let link = self.link_to(now, &to);
                self.ask(now, link, about, message);
            }
        }
    }

    pub(super) fn answers_due(&mut self, now: Instant) {
        for told in self.questions.handle_timeout(now) {
            self.question_ended(now, told);
        }
        if let Some(answerer) = &mut self.answers.answerer {
            answerer.handle_timeout(now);
        }
    }
}
