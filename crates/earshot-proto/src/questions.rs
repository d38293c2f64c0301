//! Questions to super-peers in datagrams, by what they were about: [`asks`](crate::asks) without a
//! link. DESIGN 2.4.
//!
//! All end: by an answer, or by word that the question is to be put over a link, because the answer
//! is too long for a datagram or none came. Whoever stayed silent is asked over links only for
//! [`DEAF_FOR`], so that a network without UDP is slow once. Invariant: at most as many questions
//! are open as [`Asker`] allows, each with [`SHARERS_MAX`] that wait for it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::entropy::Stream;
use crate::ids::NodeId;
use crate::port::Transmit;
use crate::secure::questions::{ANSWER_MAX, Asker, Epoch, Outcome, QuestionId, Whom};
use crate::time::UnixTime;
use crate::wire::certificate::VerifyKey;
use crate::wire::directory::NodeEntry;
use crate::wire::epoch::{EPOCH_MARGIN, EpochSecret};
use crate::wire::frame::{Frame, Message};

/// How long a super-peer is asked over links after datagrams brought nothing. Our choice: as long
/// as a session is kept.
const DEAF_FOR: Duration = Duration::from_secs(600);
/// Super-peers remembered as such at most.
const DEAF_MAX: usize = 256;
/// Purposes that wait for the same question at most.
const SHARERS_MAX: usize = 64;
/// Bytes that an answer about nodes takes at most: eight of them.
const NODES_ROOM: usize = 760;
/// Bytes that a node's certificate takes at most, as an answer.
const CERTIFICATE_ROOM: usize = 352;

/// The open questions of one machine.
pub struct Questions<A> {
    asker: Option<Asker>,
    /// The number of the epoch in use.
    epoch: u64,
    epochs: Vec<EpochSecret>,
    open: BTreeMap<QuestionId, Vec<Open<A>>>,
    deaf: BTreeMap<NodeId, Instant>,
}

struct Open<A> {
    to: NodeEntry,
    about: A,
    question: Message,
}

/// What came of a question.
#[derive(Debug, PartialEq)]
pub struct Told<A> {
    /// Whom we asked.
    pub to: NodeEntry,
    /// What it was about.
    pub about: A,
    /// What it answers.
    pub answer: Answer,
}

/// The answer to a question, or the lack of one.
#[derive(Debug, PartialEq)]
pub enum Answer {
    /// This, after this round trip.
    Told(Message, Duration),
    /// The question is to be put over a link.
    ByLink(Message),
}

impl<A> Default for Questions<A> {
    fn default() -> Self {
        Self {
            asker: None,
            epoch: 0,
            epochs: Vec::new(),
            open: BTreeMap::new(),
            deaf: BTreeMap::new(),
        }
    }
}

impl<A> Questions<A> {
    /// The secrets of the present epoch and the next were told; from now on we can ask.
    pub fn epochs_told(
        &mut self,
        root: &VerifyKey,
        wall: UnixTime,
        epochs: &[EpochSecret],
        secrets: &mut Stream,
        jitter: &mut Stream,
    ) {
        self.epochs = epochs.to_vec();
        if self.asker.is_none()
            && let Some(present) = self.present(wall)
        {
            let (number, epoch) = (present.number, epoch_of(present));
            self.epoch = number;
            self.asker = Some(Asker::new(root, epoch, secrets.split(), jitter.split()));
        }
    }

    /// The secrets that were told last.
    #[must_use]
    pub fn epochs(&self) -> &[EpochSecret] {
        &self.epochs
    }

    /// Asks.
    ///
    /// # Errors
    /// What it was about and the question, if it is to be put over a link.
    pub fn ask(
        &mut self,
        now: Instant,
        wall: UnixTime,
        to: &NodeEntry,
        about: A,
        question: Message,
    ) -> Result<(), Box<(A, Message)>> {
        if self.deaf.get(&to.node).is_some_and(|until| *until > now) {
            return Err(Box::new((about, question)));
        }
        self.turn(wall);
        let room = match &question {
            Message::RingQuestion(_) => NODES_ROOM,
            Message::Enrolment(_) => CERTIFICATE_ROOM,
            Message::Login(_)
            | Message::Directory(_)
            | Message::Forward(_)
            | Message::Nat(_)
            | Message::RingReply(_)
            | Message::Postings(_)
            | Message::Election(_) => ANSWER_MAX,
        };
        let Some(asker) = &mut self.asker else { return Err(Box::new((about, question))) };
        let bytes = Frame { ask: 0, message: question.clone() }.to_bytes();
        let Ok(id) = asker.ask(now, Whom::from(to), &bytes, room) else {
            return Err(Box::new((about, question)));
        };
        let open = self.open.entry(id).or_default();
        if open.len() >= SHARERS_MAX {
            return Err(Box::new((about, question)));
        }
        open.push(Open { to: *to, about, question });
        Ok(())
    }

    /// Takes a datagram; tells what has ended by it.
    pub fn handle(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) -> Vec<Told<A>> {
        let ended = self.asker.as_mut().and_then(|asker| asker.handle(now, from, datagram));
        ended.map(|(id, outcome)| self.ended(now, id, &outcome)).unwrap_or_default()
    }

    /// Tries again what was not answered; tells what has ended without an answer.
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<Told<A>> {
        let ended = self.asker.as_mut().map(|asker| asker.handle_timeout(now)).unwrap_or_default();
        ended.into_iter().flat_map(|(id, outcome)| self.ended(now, id, &outcome)).collect()
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.asker.as_mut()?.poll_transmit()
    }

    /// When [`Self::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.asker.as_ref()?.poll_timeout()
    }

    /// Questions that are open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    fn ended(&mut self, now: Instant, id: QuestionId, outcome: &Outcome) -> Vec<Told<A>> {
        let waiting = self.open.remove(&id).unwrap_or_default();
        if *outcome == Outcome::Silent {
            self.deaf.retain(|_, until| *until > now);
            for open in &waiting {
                if self.deaf.len() < DEAF_MAX {
                    self.deaf.insert(open.to.node, now + DEAF_FOR);
                }
            }
        }
        let told = |open: Open<A>| {
            let answer = match outcome {
                Outcome::Answered { answer, round_trip } => Frame::from_bytes(answer)
                    .map_or(Answer::ByLink(open.question), |frame| {
                        Answer::Told(frame.message, *round_trip)
                    }),
                Outcome::TooLong { .. } | Outcome::Silent => Answer::ByLink(open.question),
            };
            Told { to: open.to, about: open.about, answer }
        };
        waiting.into_iter().map(told).collect()
    }

    /// The epoch that askers use: a little behind the time.
    fn present(&self, wall: UnixTime) -> Option<&EpochSecret> {
        let behind = UnixTime(wall.0.saturating_sub(EPOCH_MARGIN.as_millis() as u64));
        let number = EpochSecret::number_at(behind);
        let exact = self.epochs.iter().find(|epoch| epoch.number == number);
        // Who was told in an epoch's first hour was not told of the one before.
        exact.or_else(|| self.epochs.first())
    }

    fn turn(&mut self, wall: UnixTime) {
        let Some(present) = self.present(wall) else { return };
        let (number, epoch) = (present.number, epoch_of(present));
        if number != self.epoch
            && let Some(asker) = &mut self.asker
        {
            self.epoch = number;
            asker.turn_epoch(epoch);
        }
    }
}

/// The secret as the machines of questions want it.
#[must_use]
pub fn epoch_of(secret: &EpochSecret) -> Epoch {
    Epoch::new(secret.number as u8, secret.secret)
}

impl<A> std::fmt::Debug for Questions<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Questions({} open)", self.open.len())
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test begins at some moment")]
mod tests {
    use super::*;
    use crate::entropy::Entropy;
    use crate::ids::RingKey;
    use crate::secure::identity::Keys;
    use crate::secure::questions::{Answerer, Heard, Load};
    use crate::wire::ring::{Question, Reply};

    const ROOT: VerifyKey = VerifyKey([7; 32]);
    const WALL: UnixTime = UnixTime(1_795_305_600_000);

    fn epochs() -> Vec<EpochSecret> {
        let present = EpochSecret::number_at(WALL);
        vec![
            EpochSecret { number: present, secret: [1; 32] },
            EpochSecret { number: present + 1, secret: [2; 32] },
        ]
    }

    fn question() -> Message {
        Question::Nearest { key: RingKey([3; 20]), width: 8 }.into()
    }

    /// An asker that was told of the epochs, and whom it asks.
    fn pair(now: Instant) -> (Questions<&'static str>, NodeEntry, Answerer) {
        let mut entropy = Entropy::new([5; 32]);
        let keys = Keys::draw(&mut entropy.secrets);
        let address = SocketAddr::from(([192, 0, 2, 1], 4433));
        let entry = NodeEntry { node: NodeId([9; 20]), address, key: keys.link.public() };
        let answerer =
            Answerer::new(now, keys.link, &ROOT, epoch_of(&epochs()[0]), entropy.secrets.split());
        let mut questions = Questions::default();
        let (secrets, jitter) = (&mut entropy.secrets, &mut entropy.jitter);
        questions.epochs_told(&ROOT, WALL, &epochs(), secrets, jitter);
        (questions, entry, answerer)
    }

    #[test]
    fn who_was_told_of_no_epoch_asks_over_links() {
        let (_, to, _) = pair(Instant::now());
        let mut questions = Questions::default();
        let by_link = questions.ask(Instant::now(), WALL, &to, "who", question());
        assert_eq!(by_link, Err(Box::new(("who", question()))));
    }

    #[test]
    fn two_who_want_the_same_share_one_datagram() {
        let now = Instant::now();
        let (mut questions, to, mut answerer) = pair(now);
        for about in ["one", "other"] {
            questions.ask(now, WALL, &to, about, question()).expect("by datagram");
        }
        let asker = SocketAddr::from(([192, 0, 2, 2], 4433));
        let sent = questions.poll_transmit().expect("a datagram");
        assert_eq!((sent.to, questions.poll_transmit()), (to.address, None));
        let Heard::Question(asked) = answerer.handle(now, asker, &sent.bytes, Load::Light) else {
            panic!("it is a member's question");
        };
        let frame = Frame { ask: 0, message: Reply::Outside.into() };
        let answer = answerer.answer(now, asked, &frame.to_bytes()).expect("it fits");
        let told = questions.handle(now, to.address, &answer.bytes);
        let abouts: Vec<_> = told.iter().map(|told| told.about).collect();
        assert_eq!(abouts, ["one", "other"]);
        for told in told {
            assert_eq!(told.answer, Answer::Told(Reply::Outside.into(), Duration::ZERO));
        }
        assert!(questions.is_empty());
    }

    #[test]
    fn who_is_silent_is_asked_over_links_for_a_while() {
        let mut now = Instant::now();
        let (mut questions, to, _) = pair(now);
        questions.ask(now, WALL, &to, "who", question()).expect("by datagram");
        let mut told = Vec::new();
        while told.is_empty() {
            now = questions.poll_timeout().expect("it ends");
            told = questions.handle_timeout(now);
        }
        let answer = Answer::ByLink(question());
        assert_eq!(told, [Told { to, about: "who", answer }]);
        questions.ask(now, WALL, &to, "again", question()).expect_err("it seems to be deaf");
        let later = now + DEAF_FOR;
        questions.ask(later, WALL, &to, "later", question()).expect("one never knows");
    }

    #[test]
    fn askers_go_over_to_the_next_epoch_when_its_first_hour_is_over() {
        let now = Instant::now();
        let (mut questions, to, mut answerer) = pair(now);
        let next = UnixTime(epochs()[1].number * crate::wire::epoch::EPOCH_LIFE.as_millis() as u64);
        answerer.turn_epoch(epoch_of(&epochs()[1]));
        for (wall, epoch) in [(next, 0), (next.plus(EPOCH_MARGIN), 1)] {
            questions.ask(now, wall, &to, "who", question()).expect("by datagram");
            let sent = questions.poll_transmit().expect("a datagram");
            assert_eq!(sent.bytes[1], epochs()[epoch].number as u8);
            let asker = SocketAddr::from(([192, 0, 2, 2], 4433));
            let heard = answerer.handle(now, asker, &sent.bytes, Load::Light);
            assert!(matches!(heard, Heard::Question(_)), "both are answered");
            questions = pair(now).0;
        }
    }
}
