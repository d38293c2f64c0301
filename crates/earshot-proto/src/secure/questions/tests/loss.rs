//! Datagrams are lost, doubled and overtaken; every question ends all the same.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::super::asker::{OPEN_MAX, TRIES_MAX};
use super::*;

#[test]
fn a_lost_question_is_asked_again_and_a_lost_answer_too() {
    for lost in [Side::Asker, Side::Answerer] {
        let mut world = World::new();
        let id = world.ask(b"what is lost");
        let asked = world.outbox();
        if lost == Side::Answerer {
            world.hear(world.asker_at, &asked[0]).expect("an answer, which is lost");
        }
        world.time_out();
        world.run();
        assert_eq!(world.take(id), world.answered(), "the round trip is that of the second try");
    }
}

#[test]
fn three_tries_in_all_and_each_is_waited_for_longer() {
    let mut world = World::new();
    let id = world.ask(b"what is silent");
    let asked = world.now;
    let mut waits = Vec::new();
    while world.outcomes.is_empty() {
        assert_eq!(world.outbox().len(), 1);
        let before = world.now;
        world.time_out();
        waits.push(world.now - before);
    }
    assert_eq!(world.take(id), Outcome::Silent);
    assert_eq!(waits.len(), TRIES_MAX);
    assert_eq!(waits[0], WAIT_UNMEASURED);
    for (wait, next) in waits.iter().zip(&waits[1..]) {
        let doubled = 2 * *wait;
        assert!((doubled * 3 / 4..=doubled * 5 / 4).contains(next), "{wait:?}, {next:?}");
    }
    assert!(world.now - asked < Duration::from_millis(3100));
    assert_eq!((world.asker.open(), world.asker.poll_timeout()), (0, None));
    assert_eq!(world.asker.tries.len(), 0);
}

#[test]
fn questions_that_were_lost_together_are_not_repeated_together() {
    let mut world = World::new();
    for n in 0..20 {
        world.ask(format!("what is {n}").as_bytes());
    }
    world.time_out();
    let mut dues = 0;
    while world.outcomes.is_empty() && world.asker.poll_timeout().is_some() {
        world.time_out();
        dues += 1;
    }
    assert!(dues > 15);
}

#[test]
fn an_answer_to_an_earlier_try_counts_with_its_own_round_trip() {
    let mut world = World::new();
    let id = world.ask(b"what is slow");
    let first = world.outbox();
    let asked = world.now;
    world.time_out();
    let second = world.outbox();
    assert_ne!(first, second, "each try has a name of its own");
    let late = world.hear(world.asker_at, &first[0]).expect("an answer");
    let again = world.hear(world.asker_at, &second[0]).expect("an answer");
    world.tell(&late);
    world.tell(&again);
    let round_trip = world.now - asked;
    let answer = world.answer.clone();
    assert_eq!(world.take(id), Outcome::Answered { answer, round_trip });
}

#[test]
fn an_answer_that_comes_twice_counts_once() {
    let mut world = World::new();
    for question in [b"what is one", b"what is two"] {
        let id = world.ask(question);
        let asked = world.outbox();
        let said = world.hear(world.asker_at, &asked[0]).expect("an answer");
        world.tell(&said);
        world.tell(&said);
        assert!(matches!(world.take(id), Outcome::Answered { .. }));
    }
}

#[test]
fn a_question_given_up_is_forgotten_with_its_answer() {
    let mut world = World::new();
    let id = world.ask(b"what is given up");
    world.asker.forget(id);
    world.run();
    assert_eq!((world.outcomes.len(), world.asker.open(), world.asker.tries.len()), (0, 0, 0));
    assert_eq!(world.asker.poll_timeout(), None);
}

#[test]
fn so_many_questions_are_open_and_no_more() {
    let mut world = World::new();
    let (now, whom) = (world.now, world.whom);
    let mut ask = |n: usize| world.asker.ask(now, whom, &n.to_be_bytes(), 0);
    let first = ask(0).expect("room");
    assert!((1..OPEN_MAX).all(|n| ask(n).is_ok()));
    assert_eq!(ask(OPEN_MAX), Err(NotAsked::TooMany));
    world.asker.forget(first);
    assert!(world.asker.ask(now, whom, b"what else", 0).is_ok());
}

/// What becomes of one datagram.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Arrives,
    Lost,
    Twice,
    /// Behind those after it.
    Late,
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = prop_oneof![
        4 => Just(Fate::Arrives),
        2 => Just(Fate::Lost),
        1 => Just(Fate::Twice),
        1 => Just(Fate::Late),
    ];
    prop::collection::vec(fate, 1..80)
}

/// A network that treats datagrams by a list of fates.
struct Weather {
    fates: VecDeque<Fate>,
    late: VecDeque<(Side, Vec<u8>)>,
}

impl Weather {
    fn treat(&mut self, from: Side, bytes: Vec<u8>) -> Vec<Vec<u8>> {
        match self.fates.pop_front().unwrap_or(Fate::Arrives) {
            Fate::Arrives => vec![bytes],
            Fate::Lost => Vec::new(),
            Fate::Twice => vec![bytes.clone(), bytes],
            Fate::Late => {
                self.late.push_back((from, bytes));
                Vec::new()
            }
        }
    }
}

fn carry(world: &mut World, weather: &mut Weather) {
    let from = world.asker_at;
    loop {
        let mut said = Vec::new();
        for bytes in world.outbox() {
            for arrived in weather.treat(Side::Asker, bytes) {
                said.extend(world.hear(from, &arrived));
            }
        }
        if said.is_empty() {
            break;
        }
        world.now += DELAY;
        for bytes in said {
            weather.treat(Side::Answerer, bytes).iter().for_each(|bytes| world.tell(bytes));
        }
    }
    while let Some((side, bytes)) = weather.late.pop_front() {
        match side {
            Side::Asker => drop(world.hear(from, &bytes)),
            Side::Answerer => world.tell(&bytes),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: 48,
        ..Default::default()
    })]

    #[test]
    fn whatever_becomes_of_datagrams_every_question_ends_once_with_its_own_answer(
        fates in fates(),
        heavy in any::<bool>(),
        forgets in 0usize..9,
    ) {
        let mut world = World::new();
        world.load = if heavy { Load::Heavy } else { Load::Light };
        let mut weather = Weather { fates: fates.into(), late: VecDeque::new() };
        for turn in 0..8 {
            if turn == forgets {
                world.restart_answerer(1);
            }
            let ids = [world.ask(b"what is even"), world.ask(b"what is odd")];
            carry(&mut world, &mut weather);
            while world.asker.open() > 0 {
                world.time_out();
                carry(&mut world, &mut weather);
            }
            let mut ended: Vec<_> = world.outcomes.iter().map(|(id, _)| *id).collect();
            ended.sort();
            prop_assert_eq!(ended, ids);
            for (_, outcome) in std::mem::take(&mut world.outcomes) {
                match outcome {
                    Outcome::Answered { answer, .. } => prop_assert_eq!(&answer, &world.answer),
                    Outcome::Silent => {}
                    Outcome::TooLong { .. } => prop_assert!(false, "it fits"),
                }
            }
            prop_assert!(world.asker.tries.is_empty());
        }
        let tries = world.sent.iter().filter(|(side, _)| *side == Side::Asker).count();
        prop_assert!(tries <= 16 * TRIES_MAX);
    }
}
