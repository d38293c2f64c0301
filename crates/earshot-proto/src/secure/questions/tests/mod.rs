//! An asker and an answerer talk through memory; time, datagrams and what becomes of them are in
//! the test's hand.

mod abuse;
mod damage;
mod loss;
mod sessions;

use std::net::SocketAddr;
use std::time::Instant;

use super::asker::{WAIT_MAX, WAIT_UNMEASURED};
use super::*;
use crate::entropy::{Entropy, Stream};
use crate::port::Transmit;
use crate::secure::identity::{LinkKey, SignKey};

/// One way over the network.
const DELAY: Duration = Duration::from_millis(40);
const ASKER: &str = "198.51.100.7:4000";
const ANSWERER: &str = "203.0.113.9:37373";

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

#[expect(clippy::disallowed_methods, reason = "a test begins at some moment")]
fn start() -> Instant {
    Instant::now()
}

fn epoch(number: u8) -> Epoch {
    Epoch::new(number, [number ^ 0xA5; 32])
}

fn copy(key: &LinkKey) -> LinkKey {
    LinkKey::from_secret(&key.secret())
}

/// Two sides and the datagrams between them.
struct World {
    now: Instant,
    secrets: Stream,
    root: VerifyKey,
    asker: Asker,
    key: LinkKey,
    answerer: Answerer,
    whom: Whom,
    /// Where the asker sends from, as the answerer sees it.
    asker_at: SocketAddr,
    load: Load,
    /// How long the answers are.
    answer: Vec<u8>,
    /// All that was sent, by whom.
    sent: Vec<(Side, Vec<u8>)>,
    outcomes: Vec<(QuestionId, Outcome)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Asker,
    Answerer,
}

impl World {
    fn new() -> Self {
        let now = start();
        let mut secrets = Entropy::new([3; 32]).secrets;
        let root = SignKey::draw(&mut secrets).public();
        let key = LinkKey::draw(&mut secrets);
        let whom = Whom { address: address(ANSWERER), key: key.public() };
        let asker = Asker::new(&root, epoch(1), secrets.split(), Entropy::new([4; 32]).jitter);
        let answerer = Answerer::new(now, copy(&key), &root, epoch(1), secrets.split());
        Self {
            now,
            secrets,
            root,
            asker,
            key,
            answerer,
            whom,
            asker_at: address(ASKER),
            load: Load::Light,
            answer: b"the answer".to_vec(),
            sent: Vec::new(),
            outcomes: Vec::new(),
        }
    }

    fn ask(&mut self, question: &[u8]) -> QuestionId {
        self.asker.ask(self.now, self.whom, question, ANSWER_MAX).expect("room for a question")
    }

    /// What the asker wants to send.
    fn outbox(&mut self) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        while let Some(Transmit { to, bytes }) = self.asker.poll_transmit() {
            assert_eq!(to, self.whom.address);
            assert!(bytes.len() <= DATAGRAM_MAX);
            self.sent.push((Side::Asker, bytes.clone()));
            all.push(bytes);
        }
        all
    }

    /// Gives the answerer a datagram from anywhere, and tells what it says.
    fn hear(&mut self, from: SocketAddr, bytes: &[u8]) -> Option<Vec<u8>> {
        let said = match self.answerer.handle(self.now, from, bytes, self.load) {
            Heard::Question(asked) => {
                assert!(asked.question().starts_with(b"what"));
                self.answerer.answer(self.now, asked, &self.answer)
            }
            Heard::Reply(transmit) => Some(transmit),
            Heard::Nothing => None,
        }?;
        assert_eq!(said.to, from);
        assert!(said.bytes.len() <= DATAGRAM_MAX);
        self.sent.push((Side::Answerer, said.bytes.clone()));
        Some(said.bytes)
    }

    /// Gives the asker a datagram from the answerer.
    fn tell(&mut self, bytes: &[u8]) {
        let from = self.whom.address;
        self.outcomes.extend(self.asker.handle(self.now, from, bytes));
    }

    /// Carries datagrams there and back until none is on the way.
    fn run(&mut self) {
        loop {
            let asked = self.outbox();
            if asked.is_empty() {
                return;
            }
            self.now += DELAY;
            let from = self.asker_at;
            let said: Vec<_> = asked.iter().filter_map(|bytes| self.hear(from, bytes)).collect();
            self.now += DELAY;
            said.iter().for_each(|bytes| self.tell(bytes));
        }
    }

    /// Passes to the asker's next deadline.
    fn time_out(&mut self) {
        self.now = self.asker.poll_timeout().expect("something is waited for");
        let ended = self.asker.handle_timeout(self.now);
        self.outcomes.extend(ended);
    }

    /// Asks, and gives the whole story's outcome.
    fn outcome_of(&mut self, question: &[u8]) -> Outcome {
        let id = self.ask(question);
        self.run();
        self.take(id)
    }

    fn take(&mut self, id: QuestionId) -> Outcome {
        let (of, outcome) = self.outcomes.pop().expect("the question has ended");
        assert_eq!((of, self.outcomes.len()), (id, 0));
        outcome
    }

    /// The question was answered, whenever.
    fn take_any(&mut self, id: QuestionId) {
        assert!(matches!(self.take(id), Outcome::Answered { .. }));
    }

    /// An answerer with the same key that remembers nothing.
    fn restart_answerer(&mut self, number: u8) {
        let secrets = self.secrets.split();
        let key = copy(&self.key);
        self.answerer = Answerer::new(self.now, key, &self.root, epoch(number), secrets);
    }

    /// The first bytes of all that was sent since this was asked last.
    fn kinds(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.sent).into_iter().map(|(_, bytes)| bytes[0]).collect()
    }

    fn answered(&self) -> Outcome {
        Outcome::Answered { answer: self.answer.clone(), round_trip: 2 * DELAY }
    }
}

#[test]
fn a_question_is_one_round_trip_and_the_next_goes_in_the_session() {
    let mut world = World::new();
    assert_eq!(world.outcome_of(b"what is one"), world.answered());
    assert_eq!(world.kinds(), [0xE0, 0xE1]);
    assert_eq!(world.outcome_of(b"what is two"), world.answered());
    assert_eq!(world.kinds(), [0xE2, 0xE2]);
    assert_eq!((world.asker.open(), world.asker.known()), (0, 1));
    assert_eq!(world.asker.poll_timeout(), Some(world.now - 4 * DELAY + SESSION_LIFE));
    let (now, whom) = (world.now, world.whom);
    assert_eq!(world.asker.round_trip(now, &whom), Some(2 * DELAY));
}

#[test]
fn padding_makes_the_question_as_long_as_the_answer_hoped_for_and_ends_in_a_session() {
    let mut world = World::new();
    for (room, question) in [(ANSWER_MAX, 1200), (400, 458), (0, QUESTION_OVERHEAD + 8)] {
        let whom = Whom { address: world.whom.address, key: world.whom.key };
        let mut fresh = World::new();
        fresh.asker.ask(fresh.now, whom, b"what is?", room).expect("room");
        assert_eq!(fresh.outbox()[0].len(), question);
    }
    world.outcome_of(b"what is one");
    world.sent.clear();
    world.answer = vec![7; ANSWER_MAX];
    assert_eq!(world.outcome_of(b"what is?"), world.answered());
    let lengths: Vec<usize> = world.sent.iter().map(|(_, bytes)| bytes.len()).collect();
    assert_eq!(lengths, [19 + 8 + 16, 26 + 1 + ANSWER_MAX + 16]);
}

#[test]
fn an_answer_longer_than_the_question_comes_in_the_session() {
    let mut world = World::new();
    world.answer = vec![7; 500];
    let (now, whom) = (world.now, world.whom);
    let id = world.asker.ask(now, whom, b"what is much", 100).expect("room");
    world.run();
    assert_eq!(world.take(id), world.answered());
    assert_eq!(world.kinds(), [0xE0, 0xE1, 0xE2, 0xE2]);
}

#[test]
fn an_answer_that_fits_nowhere_sends_the_asker_to_a_link() {
    let mut world = World::new();
    world.answer = vec![7; ANSWER_MAX];
    assert_eq!(world.outcome_of(b"what is one"), world.answered(), "the longest fits at once");
    world.answer = vec![7; ANSWER_MAX + 1];
    let too_long = Outcome::TooLong { round_trip: 2 * DELAY };
    assert_eq!(world.outcome_of(b"what is two"), too_long);
    world.restart_answerer(1);
    assert_eq!(world.outcome_of(b"what is three"), too_long);
    assert_eq!(world.asker.open(), 0);
}

#[test]
fn what_cannot_be_asked_is_told() {
    let mut world = World::new();
    let (now, whom) = (world.now, world.whom);
    let long = vec![0; QUESTION_MAX + 1];
    let refused = NotAsked::TooLong { got: QUESTION_MAX + 1, max: QUESTION_MAX };
    assert_eq!(world.asker.ask(now, whom, &long, 0), Err(refused));
    let low_order = Whom { key: crate::wire::certificate::AgreeKey([0; 32]), ..whom };
    assert_eq!(world.asker.ask(now, low_order, b"what", 0), Err(NotAsked::KeyRefused));
    assert_eq!((world.asker.open(), world.asker.poll_transmit()), (0, None));
    let longest = [b"what".as_slice(), &[1; QUESTION_MAX - 4]].concat();
    assert_eq!(world.outcome_of(&longest), world.answered());
}

#[test]
fn the_same_question_is_open_once_and_others_at_once() {
    let mut world = World::new();
    let one = world.ask(b"what is one");
    assert_eq!(world.ask(b"what is one"), one);
    let two = world.ask(b"what is two");
    assert_ne!(one, two);
    assert_eq!(world.asker.open(), 2);
    world.run();
    let ended: Vec<QuestionId> = world.outcomes.iter().map(|(id, _)| *id).collect();
    assert_eq!(ended, [one, two]);
    assert_ne!(world.ask(b"what is one"), one, "it has ended");
}

#[test]
fn a_question_made_by_hand_with_the_primitives_of_snow_is_answered() {
    let mut world = World::new();
    let secret = epoch(1);
    let prologue = [b"earshot-question\x01".as_slice(), &network(&world.root).0].concat();
    let mut handshake = snow::Builder::new(PATTERN.parse().expect("a pattern"))
        .psk(0, secret.secret())
        .and_then(|b| b.remote_public_key(&world.whom.key.0))
        .and_then(|b| b.prologue(&prologue))
        .and_then(snow::Builder::build_initiator)
        .expect("all that NKpsk0 wants");
    let mut noise = [0; 200];
    let plain = [&[0, 7], b"what is".as_slice(), &[0; 20]].concat();
    let len = handshake.write_message(&plain, &mut noise).expect("room");
    let header = [&[0xE0, 1], [9; 8].as_slice()].concat();
    let key = secret.proofs(&world.whom.key);
    let name = crate::wire::question::TryName(u64::from_be_bytes([9; 8]));
    let proof = key.of_question(1, name, &noise[..len]);
    let datagram = [&header, proof.as_slice(), &[0; 16], &noise[..len]].concat();
    world.answer = b"it is".to_vec();
    let answer = world.hear(address(ASKER), &datagram).expect("an answer");
    assert_eq!(answer[..9], [&[0xE1], [9; 8].as_slice()].concat());
    let len = handshake.read_message(&answer[9..], &mut noise).expect("authentic");
    assert_eq!(&noise[..len], b"\0it is");
}

#[test]
fn nothing_secret_is_told() {
    let mut world = World::new();
    world.ask(b"what is secret");
    let asked = world.outbox().remove(0);
    let heard = world.answerer.handle(world.now, world.asker_at, &asked, Load::Light);
    assert_eq!(format!("{heard:?}"), format!("Question(Asked(14 bytes, from {ASKER}))"));
}

#[test]
fn waiting_begins_at_the_constant_or_the_measured_round_trip() {
    let mut world = World::new();
    world.ask(b"what is one");
    assert_eq!(world.asker.poll_timeout(), Some(world.now + WAIT_UNMEASURED));
    world.run();
    world.ask(b"what is two");
    assert_eq!(world.asker.poll_timeout(), Some(world.now + 4 * DELAY));
    assert!(4 * DELAY < WAIT_MAX);
}
