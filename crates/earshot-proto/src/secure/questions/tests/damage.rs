//! Every byte of every datagram is changed, cut off or followed by more; and datagrams of others.

use super::*;

/// Each byte changed by each of a few bits, every beginning, and one byte more.
fn damaged(good: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let changed = (0..good.len()).flat_map(move |at| {
        [0x01, 0x02, 0x80].into_iter().map(move |bit| {
            let mut bytes = good.to_vec();
            bytes[at] ^= bit;
            bytes
        })
    });
    let cut = (0..good.len()).map(|end| good[..end].to_vec());
    changed.chain(cut).chain(std::iter::once([good, &[0]].concat()))
}

/// Gives the answerer each damaged form of a question; none is believed.
fn no_question(world: &mut World, good: &[u8]) {
    let from = world.asker_at;
    for bad in damaged(good) {
        match world.answerer.handle(world.now, from, &bad, world.load) {
            Heard::Question(_) => panic!("believed: {bad:x?}"),
            Heard::Reply(reply) => assert!(reply.bytes.len() <= bad.len()),
            Heard::Nothing => {}
        }
    }
}

/// Gives the asker each damaged form of a reply; none has an effect.
fn no_effect(world: &mut World, good: &[u8]) {
    for bad in damaged(good) {
        world.tell(&bad);
        assert!(world.outcomes.is_empty() && world.outbox().is_empty(), "{bad:x?}");
    }
}

#[test]
fn a_damaged_first_exchange_is_none() {
    let mut world = World::new();
    let (now, whom) = (world.now, world.whom);
    let id = world.asker.ask(now, whom, b"what is one", 20).expect("room");
    let asked = world.outbox().remove(0);
    // The cookie's proof is not looked at below the mark.
    let blank = |bytes: &[u8]| [&bytes[..26], &bytes[42..]].concat();
    for bad in damaged(&asked).filter(|bad| bad.len() < 42 || blank(bad) != blank(&asked)) {
        assert!(world.hear(world.asker_at, &bad).is_none(), "{bad:x?}");
    }
    assert_eq!(world.answerer.sessions(), 0);
    world.load = Load::Heavy;
    no_question(&mut world, &asked);
    world.load = Load::Light;
    let said = world.hear(world.asker_at, &asked).expect("an answer");
    no_effect(&mut world, &said);
    world.tell(&said);
    world.take_any(id);
}

#[test]
fn a_damaged_exchange_in_a_session_is_none() {
    let mut world = World::new();
    world.outcome_of(b"what is one");
    let id = world.ask(b"what is two");
    let asked = world.outbox().remove(0);
    no_question(&mut world, &asked);
    let said = world.hear(world.asker_at, &asked).expect("an answer");
    no_effect(&mut world, &said);
    world.tell(&said);
    world.take_any(id);
}

#[test]
fn a_damaged_reply_without_state_is_none() {
    let mut world = World::new();
    world.outcome_of(b"what is one");
    world.restart_answerer(1);
    world.load = Load::Heavy;
    world.ask(b"what is two");
    for kind in [0xE2, 0xE3] {
        let asked = world.outbox().remove(0);
        let said = world.hear(world.asker_at, &asked).expect("a reply");
        assert_eq!(said[0], kind);
        no_effect(&mut world, &said);
        world.tell(&said);
    }
    assert_eq!(world.outbox().len(), 1);
}

#[test]
fn datagrams_of_others_are_passed_over() {
    let mut world = World::new();
    world.outcome_of(b"what is one");
    world.ask(b"what is two");
    let ours = world.outbox().remove(0);
    let said = world.hear(world.asker_at, &ours).expect("an answer");
    let stun = [&[0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42], [7; 12].as_slice()].concat();
    let others = [stun, vec![0x40; 60], vec![0x80; 172], vec![0xC0; 1200], vec![0xE4; 90], vec![]];
    for other in others.into_iter().chain([vec![0xE0; 1201], vec![0xE2], vec![0xE2; 99]]) {
        assert!(world.hear(world.asker_at, &other).is_none());
        world.tell(&other);
    }
    assert!(world.hear(world.asker_at, &said).is_none(), "an answer is not for an answerer");
    world.tell(&ours);
    assert!(world.outcomes.is_empty(), "a question is not for an asker");
}
