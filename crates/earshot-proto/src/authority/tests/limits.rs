//! Rates, tokens and bounds of the authority.

use super::*;

fn strict() -> Limits {
    let rate = |burst| Rate { burst, every: Duration::from_secs(60) };
    Limits {
        logins_per_name: rate(3),
        logins_per_address: rate(8),
        joins_per_address: rate(4),
        questions_per_holder: rate(20),
    }
}

fn guess(world: &mut World, user: &str, from: &str) -> Option<(Refusal, Option<u64>)> {
    let keys = Keys::draw(&mut world.secrets);
    let id = world.dial_from(&keys, None, from);
    let typed = Password::new("wrong").expect("a password");
    let (_, request) = LoginStart::begin(&typed, &mut world.secrets);
    let answer = world.ask_login(id, Login::LoginStart { user: name(user), request });
    match answer {
        Login::LoginOffer { .. } => None,
        other => Some(refusal(other)),
    }
}

#[test]
fn guesses_at_one_name_are_slowed_whether_it_exists_or_not_and_from_wherever() {
    let mut world = World::with(Admission::Open, strict());
    world.register("alice", "correct horse").expect("registers");
    for user in ["alice", "nobody"] {
        for i in 1..=3 {
            assert_eq!(guess(&mut world, user, &format!("192.0.2.{i}:1")), None);
        }
        let refused = guess(&mut world, user, "192.0.2.9:1").expect("too many");
        assert_eq!(refused, (Refusal::TooManyAttempts, Some(60_000)), "{user}");
    }
    world.pass(Duration::from_secs(60));
    assert_eq!(guess(&mut world, "alice", "192.0.2.9:1"), None);
}

#[test]
fn guesses_from_one_address_are_slowed_over_all_names() {
    let mut world = World::with(Admission::Open, strict());
    for i in 0..8 {
        assert_eq!(guess(&mut world, &format!("user{i}"), HOME), None);
    }
    let refused = guess(&mut world, "user9", HOME).map(|(reason, _)| reason);
    assert_eq!(refused, Some(Refusal::TooManyAttempts));
    assert_eq!(guess(&mut world, "user9", "192.0.2.9:1"), None);
}

#[test]
fn nobody_can_lock_out_a_device_that_proves_its_key() {
    let mut world = World::with(Admission::Open, strict());
    let alice = world.register("alice", "correct horse").expect("registers");
    while guess(&mut world, "alice", HOME).is_none() {}
    let stranger = Keys::draw(&mut world.secrets);
    let id = world.dial(&stranger, None);
    let refused = world.prove(id, "alice", "correct horse").err();
    assert_eq!(refused, Some(Refusal::TooManyAttempts));
    let id = world.dial(&alice.keys, alice.chain.as_ref());
    assert!(world.prove(id, "alice", "correct horse").is_ok());
    assert!(matches!(world.ask_login(id, Login::Renew), Login::Certified { .. }));
}

#[test]
fn right_passwords_do_not_use_up_the_attempts_of_a_name() {
    let mut world = World::with(Admission::Open, strict());
    world.register("alice", "correct horse").expect("registers");
    for i in 1..=6 {
        let keys = Keys::draw(&mut world.secrets);
        let id = world.dial_from(&keys, None, &format!("192.0.2.{i}:1"));
        assert!(world.prove(id, "alice", "correct horse").is_ok(), "login {i}");
    }
}

#[test]
fn registrations_from_one_address_are_slowed() {
    let mut world = World::with(Admission::Open, strict());
    for i in 0..4 {
        assert!(world.register(&format!("user{i}"), "correct horse").is_ok());
    }
    let refused = world.register("user9", "correct horse").err();
    assert_eq!(refused, Some(Refusal::TooManyAttempts));
}

#[test]
fn a_holder_who_asks_without_end_is_slowed_too() {
    let mut world = World::with(Admission::Open, strict());
    let alice = world.register("alice", "correct horse").expect("registers");
    let id = world.dial(&alice.keys, alice.chain.as_ref());
    for _ in 0..20 {
        assert!(matches!(world.ask_login(id, Login::Renew), Login::Certified { .. }));
    }
    assert_eq!(refusal(world.ask_login(id, Login::Renew)).0, Refusal::TooManyAttempts);
}

#[test]
fn a_token_admits_as_often_as_it_says_and_no_longer_than_it_says() {
    let mut world = World::with(Admission::Token, Limits::default());
    assert_eq!(world.register("alice", "correct horse").err(), Some(Refusal::NotAdmitted));
    let until = world.wall.plus(DAY);
    let token = world.make_token(Admits::User, 2, until);
    assert!(world.register_with("alice", "correct horse", Some(token.clone())).is_ok());
    world.crash();
    assert!(world.register_with("bob", "correct horse", Some(token.clone())).is_ok());
    let spent = world.register_with("carol", "correct horse", Some(token)).err();
    assert_eq!(spent, Some(Refusal::NotAdmitted));
    let token = world.make_token(Admits::User, 2, until);
    world.pass(DAY);
    let expired = world.register_with("carol", "correct horse", Some(token)).err();
    assert_eq!(expired, Some(Refusal::NotAdmitted));
    let for_nodes = world.make_token(Admits::Node, 1, world.wall.plus(DAY));
    let wrong = world.register_with("carol", "correct horse", Some(for_nodes)).err();
    assert_eq!(wrong, Some(Refusal::NotAdmitted));
}

#[test]
fn a_token_is_spent_with_the_account_or_not_at_all() {
    let mut world = World::with(Admission::Token, Limits::default());
    let token = world.make_token(Admits::User, 1, world.wall.plus(DAY));
    world.disk = Disk::Fails;
    let failed = world.register_with("alice", "correct horse", Some(token.clone())).err();
    assert_eq!(failed, Some(Refusal::Unavailable));
    world.disk = Disk::Hangs;
    let (alice, bob) = (world.new_person("alice"), world.new_person("bob"));
    let (one, two) = (world.dial(&alice.keys, None), world.dial(&bob.keys, None));
    let first = world.register_on(one, &alice, "correct horse", Some(token.clone()));
    assert_eq!(first, Ok(None));
    let second = world.register_on(two, &bob, "correct horse", Some(token.clone()));
    assert_eq!(second, Err(Refusal::NotAdmitted), "its one use is taken");
    world.crash();
    assert!(world.register_with("bob", "correct horse", Some(token)).is_ok());
}

#[test]
fn a_silent_link_is_closed() {
    let mut world = World::new();
    let keys = Keys::draw(&mut world.secrets);
    let id = world.dial(&keys, None);
    for _ in 0..60 {
        let client = world.links.get_mut(&id).expect("a link");
        assert!(!client.closed);
        client.link.handle_timeout(world.now).expect("beats");
        world.pass(Duration::from_secs(2));
    }
    assert!(world.links[&id].closed);
}

#[test]
fn links_of_one_address_are_bounded() {
    let mut world = World::new();
    let keys = Keys::draw(&mut world.secrets);
    let ids: Vec<LinkId> = (0..257).map(|_| world.dial(&keys, None)).collect();
    let closed = |world: &World| ids.iter().filter(|id| world.links[id].closed).count();
    assert_eq!(closed(&world), 1);
    let elsewhere = world.dial_from(&keys, None, "192.0.2.9:1");
    assert!(!world.links[&elsewhere].closed);
}
