//! What strangers, members who cheat, and repeaters can make either side do.

use super::super::answerer::{SESSIONS_MAX, UNUSED_SESSIONS_MAX};
use super::super::asker::TRIES_MAX;
use super::super::cookie::ROTATION;
use super::*;

/// Somewhere that the asker is not.
const ELSEWHERE: &str = "192.0.2.66:99";

#[test]
fn above_the_mark_a_cookie_comes_first_and_is_shown_for_two_minutes() {
    let mut world = World::new();
    world.load = Load::Heavy;
    let id = world.ask(b"what is one");
    let asked = world.outbox();
    let said = world.hear(world.asker_at, &asked[0]).expect("a cookie");
    assert_eq!((said[0], said.len()), (0xE3, 41));
    assert_eq!((world.answerer.counters().first, world.answerer.sessions()), (0, 0));
    world.tell(&said);
    world.run();
    assert_eq!(world.kinds(), [0xE0, 0xE3, 0xE0, 0xE1]);
    assert!(matches!(world.take(id), Outcome::Answered { .. }));

    world.outcome_of(b"what is two");
    assert_eq!(world.kinds(), [0xE2, 0xE2], "a session needs none");
    lose_sessions(&mut world);
    world.outcome_of(b"what is three");
    assert_eq!(world.kinds(), [0xE2, 0xE2, 0xE0, 0xE1], "the cookie is kept");

    world.now += 2 * ROTATION;
    lose_sessions(&mut world);
    world.outcome_of(b"what is four");
    assert_eq!(world.kinds(), [0xE2, 0xE2, 0xE0, 0xE3, 0xE0, 0xE1]);
}

/// The answerer loses its sessions and keeps the secrets of its cookies.
fn lose_sessions(world: &mut World) {
    world.answerer.handle_timeout(world.now + SESSION_LIFE);
    assert_eq!(world.answerer.sessions(), 0);
    world.outcomes.clear();
}

#[test]
fn a_lost_session_above_the_mark_still_ends_in_three_tries() {
    let mut world = World::new();
    world.outcome_of(b"what is one");
    world.restart_answerer(1);
    world.load = Load::Heavy;
    world.sent.clear();
    let id = world.ask(b"what is two");
    world.run();
    assert_eq!(world.kinds(), [0xE2, 0xE2, 0xE0, 0xE3, 0xE0, 0xE1]);
    assert!(matches!(world.take(id), Outcome::Answered { .. }));
    assert_eq!(TRIES_MAX, 3);
}

#[test]
fn a_cookie_is_good_from_its_own_address_and_for_its_own_question() {
    let mut world = World::new();
    world.load = Load::Heavy;
    world.ask(b"what is one");
    let asked = world.outbox();
    let cookie = world.hear(world.asker_at, &asked[0]).expect("a cookie");
    world.tell(&cookie);
    let again = world.outbox().remove(0);
    let said = world.hear(address(ELSEWHERE), &again).expect("another cookie");
    assert_eq!(said[0], 0xE3);
    let (header, noise) = again.split_at(42);
    let moved = [&asked[0][..26], &header[26..], noise].concat();
    let said = world.hear(world.asker_at, &moved).expect("another cookie");
    assert_eq!(said[0], 0xE3);
    assert_eq!(world.hear(world.asker_at, &again).expect("the answer")[0], 0xE1);
}

#[test]
fn forged_replies_without_state_make_the_asker_do_nothing() {
    let mut world = World::new();
    world.ask(b"what is one");
    let asked = world.outbox().remove(0);
    let forged = [&[0xE3], &asked[2..10], [7; 16].as_slice(), &[8; 16]].concat();
    world.tell(&forged);
    assert!(world.outbox().is_empty());
    let said = world.hear(world.asker_at, &asked).expect("an answer");
    world.tell(&said);
    world.ask(b"what is two");
    let asked = world.outbox().remove(0);
    let forged = [&[0xE2, 2], &asked[3..19], [8; 16].as_slice()].concat();
    world.tell(&forged);
    assert!(world.outbox().is_empty());
    world.outcomes.clear();
    let said = world.hear(world.asker_at, &asked).expect("an answer");
    world.tell(&said);
    assert_eq!(world.outcomes.len(), 1, "the session is still there");
}

#[test]
fn a_reply_without_state_causes_one_datagram_however_often_it_comes() {
    let mut world = World::new();
    world.outcome_of(b"what is one");
    world.restart_answerer(1);
    world.load = Load::Heavy;
    world.ask(b"what is two");
    let asked = world.outbox();
    let unknown = world.hear(world.asker_at, &asked[0]).expect("word that it is gone");
    (0..9).for_each(|_| world.tell(&unknown));
    let asked = world.outbox();
    assert_eq!(asked.len(), 1);
    let cookie = world.hear(world.asker_at, &asked[0]).expect("a cookie");
    (0..9).for_each(|_| world.tell(&cookie));
    assert_eq!(world.outbox().len(), 1);
    (0..9).for_each(|_| world.tell(&unknown));
    assert!(world.outbox().is_empty());
}

#[test]
fn a_repeated_question_in_a_session_is_not_answered_again() {
    let mut world = World::new();
    world.outcome_of(b"what is one");
    world.ask(b"what is two");
    let asked = world.outbox().remove(0);
    assert!(world.hear(world.asker_at, &asked).is_some());
    assert!(world.hear(world.asker_at, &asked).is_none());
    let said = world.hear(address(ELSEWHERE), &asked).expect("that there is no such session");
    assert_eq!((&said[..2], said.len()), ([0xE2, 2].as_slice(), 34));
}

#[test]
fn recorded_questions_repeated_from_everywhere_drive_out_no_session_in_use() {
    let mut world = World::new();
    let id = world.ask(b"what is one");
    let recorded = world.outbox().remove(0);
    let said = world.hear(world.asker_at, &recorded).expect("an answer");
    world.tell(&said);
    world.take_any(id);
    world.outcome_of(b"what is two");
    let strangers = (1..=UNUSED_SESSIONS_MAX as u16 + 20)
        .map(|port| SocketAddr::new(address(ELSEWHERE).ip(), port));
    for from in strangers {
        let said = world.hear(from, &recorded).expect("it is a member's question");
        assert!(said.len() <= recorded.len());
    }
    assert_eq!((world.answerer.used.len(), world.answerer.unused.len()), (1, UNUSED_SESSIONS_MAX));
    world.sent.clear();
    assert_eq!(world.outcome_of(b"what is three"), world.answered());
    assert_eq!(world.kinds(), [0xE2, 0xE2]);
}

#[test]
fn before_an_address_has_shown_itself_no_answer_is_longer_than_its_question() {
    for load in [Load::Light, Load::Heavy] {
        for room in [0, 1, 34, 35, 500, ANSWER_MAX] {
            for length in [0, 1, 34, 35, 36, 500, 501, ANSWER_MAX, ANSWER_MAX + 1, 9000] {
                let mut world = World::new();
                world.load = load;
                world.answer = vec![1; length];
                let (now, whom) = (world.now, world.whom);
                world.asker.ask(now, whom, b"what is", room).expect("room");
                let asked = world.outbox().remove(0);
                let said = world.hear(world.asker_at, &asked).expect("something");
                assert!(said.len() <= asked.len(), "{room}, {length}");
                world.tell(&said);
                for asked in world.outbox() {
                    let said = world.hear(address(ELSEWHERE), &asked).expect("something");
                    assert!(said.len() <= asked.len(), "a session is of one address");
                }
            }
        }
    }
}

#[test]
fn an_answer_from_elsewhere_is_nobodys() {
    let mut world = World::new();
    let elsewhere = address(ELSEWHERE);
    for question in [b"what is one", b"what is two"] {
        let id = world.ask(question);
        let asked = world.outbox().remove(0);
        let said = world.hear(world.asker_at, &asked).expect("an answer");
        assert_eq!(world.asker.handle(world.now, elsewhere, &said), None);
        world.tell(&said);
        world.take_any(id);
    }
}

/// A short pseudo-random stream (xorshift), quick enough for millions.
fn noise(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[test]
fn a_million_datagrams_of_strangers_make_nothing_grow() {
    let mut world = World::new();
    world.outcome_of(b"what is one");
    world.outcome_of(b"what is two");
    let id = world.ask(b"what is open");
    let sessions = world.answerer.sessions();
    let before = *world.answerer.counters();
    let known = (world.asker.known(), world.asker.open(), world.asker.tries.len());
    let mut state = 88_172_645_463_325_252;
    let mut datagram = [0; 120];
    let mut replies = 0;
    for n in 0_u64..1_000_000 {
        for chunk in datagram.chunks_mut(24) {
            chunk[..8].copy_from_slice(&noise(&mut state).to_be_bytes());
        }
        // All kinds of ours, with a right epoch mostly, and now and then something else.
        datagram[0] = if n % 16 == 0 { n as u8 } else { 0xE0 + (n % 4) as u8 };
        datagram[1] = if datagram[0] == 0xE2 { (n / 4 % 3) as u8 } else { 1 };
        datagram[2] = if n % 5 == 0 { 9 } else { 1 };
        let length = match (datagram[0], datagram[1]) {
            (0xE2, 2) => 34,
            (0xE3, _) => 41,
            _ => datagram.len(),
        };
        let from = SocketAddr::new(address(ELSEWHERE).ip(), n as u16);
        match world.answerer.handle(world.now, from, &datagram[..length], Load::Light) {
            Heard::Reply(reply) => {
                assert!(reply.bytes.len() <= length);
                replies += 1;
            }
            Heard::Nothing => {}
            Heard::Question(_) => panic!("a stranger was believed"),
        }
        assert_eq!(world.asker.handle(world.now, world.whom.address, &datagram[..length]), None);
    }
    assert!(replies > 10_000, "unknown sessions are told");
    assert_eq!(world.answerer.sessions(), sessions);
    assert!(world.answerer.used.len() <= SESSIONS_MAX);
    let counters = *world.answerer.counters();
    assert_eq!((counters.first, counters.in_session), (before.first, before.in_session));
    assert_eq!(counters.unknown - before.unknown, replies);
    assert!(counters.dropped - before.dropped > 200_000, "the rest is for askers");
    assert_eq!((world.asker.known(), world.asker.open(), world.asker.tries.len()), known);
    assert_eq!(world.outbox().len(), 1, "only what was asked before");
    world.asker.forget(id);
}
