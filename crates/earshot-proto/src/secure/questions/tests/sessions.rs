//! Sessions: how long they live, who loses them, and what happens then; epochs.

use super::super::asker::KNOWN_MAX;
use super::*;
use crate::wire::question::Datagram;

#[test]
fn a_session_lives_for_ten_minutes_on_both_sides() {
    let mut world = World::new();
    world.outcome_of(b"what is one");
    let began = world.now - 2 * DELAY;
    world.now = began + SESSION_LIFE - WAIT_MAX - Duration::from_millis(1);
    world.sent.clear();
    world.outcome_of(b"what is two");
    assert_eq!(world.kinds(), [0xE2, 0xE2]);
    world.outcome_of(b"what is three");
    assert_eq!(world.kinds(), [0xE0, 0xE1], "the asker leaves it first, and no answer is lost");
    let end = world.now + SESSION_LIFE;
    world.answerer.handle_timeout(end);
    world.asker.handle_timeout(end);
    assert_eq!((world.answerer.sessions(), world.answerer.poll_timeout()), (0, None));
    assert_eq!((world.asker.known(), world.asker.poll_timeout()), (0, None));
}

#[test]
fn an_answerer_that_lost_the_session_says_so_and_is_asked_anew_at_once() {
    let mut world = World::new();
    world.outcome_of(b"what is one");
    world.restart_answerer(1);
    world.sent.clear();
    let id = world.ask(b"what is two");
    let asked = world.now;
    world.run();
    assert_eq!(world.kinds(), [0xE2, 0xE2, 0xE0, 0xE1]);
    assert_eq!(world.take(id), world.answered());
    assert_eq!(world.now - asked, 4 * DELAY, "without waiting for a timer");
    world.outcome_of(b"what is three");
    assert_eq!(world.kinds(), [0xE2, 0xE2]);
}

#[test]
fn an_asker_that_lost_the_session_makes_another() {
    let mut world = World::new();
    world.outcome_of(b"what is one");
    let secrets = world.secrets.split();
    let jitter = Entropy::new([5; 32]).jitter;
    world.asker = Asker::new(&world.root, epoch(1), secrets, jitter);
    world.sent.clear();
    assert_eq!(world.outcome_of(b"what is two"), world.answered());
    assert_eq!(world.kinds(), [0xE0, 0xE1]);
}

#[test]
fn an_asker_whose_address_changed_makes_another_session() {
    let mut world = World::new();
    world.outcome_of(b"what is one");
    world.asker_at = address("198.51.100.7:4001");
    world.sent.clear();
    assert_eq!(world.outcome_of(b"what is two"), world.answered());
    assert_eq!(world.kinds(), [0xE2, 0xE2, 0xE0, 0xE1]);
}

#[test]
fn an_address_may_show_as_ipv4_or_mapped() {
    let mut world = World::new();
    world.outcome_of(b"what is one");
    world.asker_at = address("[::ffff:198.51.100.7]:4000");
    world.sent.clear();
    assert_eq!(world.outcome_of(b"what is two"), world.answered());
    assert_eq!(world.kinds(), [0xE2, 0xE2]);
    let id = world.ask(b"what is three");
    let asked = world.outbox();
    let said = world.hear(world.asker_at, &asked[0]).expect("an answer");
    let mapped = address("[::ffff:203.0.113.9]:37373");
    let ended = world.asker.handle(world.now, mapped, &said).expect("its answer");
    assert_eq!(ended.0, id);
}

#[test]
fn a_session_in_which_nothing_comes_is_left_for_a_handshake() {
    let mut world = World::new();
    world.outcome_of(b"what is one");
    let id = world.ask(b"what is two");
    assert_eq!(world.outbox()[0][0], 0xE2);
    world.time_out();
    world.sent.clear();
    world.run();
    assert_eq!(world.kinds(), [0xE0, 0xE1]);
    assert_eq!(world.take(id), world.answered());
    world.outcome_of(b"what is three");
    assert_eq!(world.kinds(), [0xE2, 0xE2]);
}

#[test]
fn two_first_exchanges_at_once_leave_one_session_and_lose_no_answer() {
    let mut world = World::new();
    world.ask(b"what is one");
    let two = world.ask(b"what is two");
    let asked = world.outbox();
    let said: Vec<_> = asked.iter().filter_map(|bytes| world.hear(address(ASKER), bytes)).collect();
    world.tell(&said[0]);
    let three = world.ask(b"what is three");
    world.tell(&said[1]);
    world.run();
    let ended: Vec<_> = world.outcomes.iter().map(|(id, _)| *id).collect();
    assert_eq!(ended[1..], [two, three]);
    assert_eq!(world.kinds(), [0xE0, 0xE0, 0xE1, 0xE1, 0xE2, 0xE2]);
}

#[test]
fn the_epoch_before_is_answered_and_older_ones_are_not() {
    let mut world = World::new();
    world.answerer.turn_epoch(epoch(2));
    assert_eq!(world.outcome_of(b"what is one"), world.answered());
    world.answerer.turn_epoch(epoch(3));
    world.sent.clear();
    assert_eq!(world.outcome_of(b"what is two"), world.answered(), "a session lives on");
    assert_eq!(world.kinds(), [0xE2, 0xE2]);
    world.restart_answerer(3);
    let id = world.ask(b"what is three");
    while world.outcomes.is_empty() {
        world.run();
        world.time_out();
    }
    assert_eq!(world.take(id), Outcome::Silent);
    world.asker.turn_epoch(epoch(2));
    world.asker.turn_epoch(epoch(3));
    assert_eq!(world.outcome_of(b"what is four"), world.answered());
}

#[test]
fn a_lost_session_is_told_under_the_askers_epoch() {
    let mut world = World::new();
    world.outcome_of(b"what is one");
    world.restart_answerer(1);
    world.answerer.turn_epoch(epoch(2));
    world.sent.clear();
    assert_eq!(world.outcome_of(b"what is two"), world.answered());
    assert_eq!(world.kinds(), [0xE2, 0xE2, 0xE0, 0xE1]);
}

#[test]
fn another_secret_network_or_key_is_silence() {
    let silent = |change: fn(&mut World)| {
        let mut world = World::new();
        change(&mut world);
        world.ask(b"what is one");
        world.run();
        world.sent.iter().all(|(side, _)| *side == Side::Asker)
    };
    assert!(!silent(|_| {}));
    assert!(silent(|world| world.asker.turn_epoch(Epoch::new(1, [0; 32]))));
    assert!(silent(|world| world.asker.turn_epoch(epoch(2))));
    assert!(silent(|world| {
        let root = SignKey::draw(&mut world.secrets).public();
        let jitter = Entropy::new([5; 32]).jitter;
        world.asker = Asker::new(&root, epoch(1), world.secrets.split(), jitter);
    }));
    assert!(silent(|world| {
        world.whom.key = LinkKey::draw(&mut world.secrets).public();
    }));
}

#[test]
fn an_asker_keeps_so_many_answerers() {
    let mut world = World::new();
    let proofs = epoch(1).proofs(&world.whom.key);
    for port in 0..KNOWN_MAX as u16 + 50 {
        let whom = Whom { address: SocketAddr::new(world.whom.address.ip(), port), ..world.whom };
        let id = world.asker.ask(world.now, whom, b"what", 0).expect("room");
        let asked = world.asker.poll_transmit().expect("a question").bytes;
        let Ok(Datagram::Question { name, .. }) = Datagram::from_bytes(&asked) else {
            panic!("a first exchange")
        };
        let proof = proofs.of_cookie(name, &[1; 16]);
        let cookie = Datagram::Cookie { name, cookie: [1; 16], proof }.to_bytes();
        assert_eq!(world.asker.handle(world.now, whom.address, &cookie), None);
        assert!(world.asker.poll_transmit().is_some(), "it is believed");
        world.asker.forget(id);
    }
    assert_eq!(world.asker.known(), KNOWN_MAX);
    assert!(world.asker.tries.is_empty());
}
