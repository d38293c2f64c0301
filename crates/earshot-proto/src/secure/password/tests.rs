//! OPAQUE from both sides, and what a thief of either side can do.

use std::time::{Duration, Instant};

use super::*;
use crate::entropy::Entropy;

const COST: StretchCost = StretchCost::LEAST;
const NETWORK: NetworkId = NetworkId([7; 32]);

struct World {
    secrets: Stream,
    authority: AuthorityPasswords,
    now: Instant,
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "an Instant cannot be made otherwise")]
    fn new() -> Self {
        let mut secrets = Entropy::new([3; 32]).secrets;
        let authority = AuthorityPasswords::draw(NETWORK, &mut secrets);
        Self { secrets, authority, now: Instant::now() }
    }

    fn register(&mut self, user: &str, password: &str) -> (PasswordRecord, ExportKey) {
        let user = name(user);
        let (start, request) = RegistrationStart::begin(&typed(password), &mut self.secrets);
        assert_eq!(request.len(), 32);
        let response = self.authority.offer_registration(&user, &request).expect("a request");
        assert_eq!(response.len(), 64);
        let work = start.answer(&response, &user, &NETWORK, COST).expect("a response");
        let Worked::Registered(Ok(done)) = work.run() else { panic!("registration fails") };
        assert_eq!(done.record.len(), 192);
        (PasswordRecord::new(done.record).expect("a record"), done.export)
    }

    fn offer(
        &mut self,
        user: &str,
        record: Option<&PasswordRecord>,
        password: &str,
    ) -> (LoginStart, PendingLogin, Bytes<384>) {
        let (start, request) = LoginStart::begin(&typed(password), &mut self.secrets);
        assert_eq!(request.len(), 96);
        let (pending, offer) = self
            .authority
            .offer_login(&name(user), record, &request, self.now, &mut self.secrets)
            .expect("a request");
        (start, pending, offer)
    }
}

fn name(user: &str) -> UserName {
    UserName::new(user).expect("a name")
}

fn typed(password: &str) -> Password {
    Password::new(password).expect("a password")
}

fn log_in(start: LoginStart, offer: &[u8], user: &str) -> Result<LoggedIn, PasswordFailure> {
    let work = start.answer(offer, &name(user), &NETWORK, COST).expect("an offer");
    let Worked::LoggedIn(result) = work.run() else { panic!("not a login") };
    result
}

#[test]
fn the_right_password_logs_in_and_gives_the_same_export_key_each_time() {
    let mut world = World::new();
    let (record, export) = world.register("alice", "correct horse");
    let (start, pending, offer) = world.offer("alice", Some(&record), "correct horse");
    let done = log_in(start, &offer, "alice").expect("the right password");
    assert_eq!(pending.prove(&done.finalization, world.now), Ok(()));
    assert_eq!(done.export.0, export.0);
}

#[test]
fn a_wrong_password_and_an_unknown_name_are_answered_alike_and_fail_alike() {
    let mut world = World::new();
    let (record, _) = world.register("alice", "correct horse");
    let (start, pending, offer) = world.offer("alice", Some(&record), "wrong");
    let (ghost, ghost_pending, ghost_offer) = world.offer("nobody", None, "wrong");
    assert_eq!(offer.len(), 320);
    assert_eq!(ghost_offer.len(), offer.len());
    let wrong = log_in(start, &offer, "alice").err();
    assert_eq!(wrong, Some(PasswordFailure::WrongNameOrPassword));
    assert_eq!(log_in(ghost, &ghost_offer, "nobody").err(), wrong);
    let guess = [0; 64];
    assert_eq!(pending.prove(&guess, world.now), Err(NotProven::Wrong));
    assert_eq!(ghost_pending.prove(&guess, world.now), Err(NotProven::Wrong));
}

#[test]
fn an_unknown_name_keeps_answering_with_one_oprf_key_as_a_known_one_does() {
    let mut world = World::new();
    let (record, _) = world.register("alice", "correct horse");
    let (_, request) = LoginStart::begin(&typed("guess"), &mut world.secrets);
    let mut evaluated = |user: &str, record| {
        let (_, offer) = world
            .authority
            .offer_login(&name(user), record, &request, world.now, &mut world.secrets)
            .expect("a request");
        offer[..32].to_vec()
    };
    assert_eq!(evaluated("alice", Some(&record)), evaluated("alice", Some(&record)));
    assert_eq!(evaluated("nobody", None), evaluated("nobody", None));
}

#[test]
fn a_captured_login_does_not_tell_a_guess_from_the_truth_without_the_authority() {
    // What a listener holds: both messages of the login. To test a guess it must evaluate the OPRF,
    // and only the authority's secret does that: under another secret even the true password
    // fails.
    let mut world = World::new();
    let (record, _) = world.register("alice", "correct horse");
    let mut thief = World::new();
    thief.authority = AuthorityPasswords::draw(NETWORK, &mut thief.secrets.split());
    let (start, _, offer) = thief.offer("alice", Some(&record), "correct horse");
    let tried = log_in(start, &offer, "alice").err();
    assert_eq!(tried, Some(PasswordFailure::WrongNameOrPassword));
}

#[test]
fn a_login_offered_in_one_network_or_to_one_name_proves_nothing_in_another() {
    let mut world = World::new();
    let (record, _) = world.register("alice", "correct horse");
    let (start, _, offer) = world.offer("alice", Some(&record), "correct horse");
    let work = start.answer(&offer, &name("alice"), &NetworkId([8; 32]), COST).expect("an offer");
    assert!(matches!(work.run(), Worked::LoggedIn(Err(PasswordFailure::WrongNameOrPassword))));
    let (start, _, offer) = world.offer("alice", Some(&record), "correct horse");
    let renamed = log_in(start, &offer, "alicia").err();
    assert_eq!(renamed, Some(PasswordFailure::WrongNameOrPassword));
}

#[test]
fn a_proof_that_comes_too_late_is_refused() {
    let mut world = World::new();
    let (record, _) = world.register("alice", "correct horse");
    let (start, pending, offer) = world.offer("alice", Some(&record), "correct horse");
    let done = log_in(start, &offer, "alice").expect("the right password");
    let late = world.now + LOGIN_PATIENCE;
    assert_eq!(pending.prove(&done.finalization, late), Err(NotProven::Late));
    assert!(LOGIN_PATIENCE > Duration::from_secs(10));
}

#[test]
fn the_authoritys_secret_survives_being_kept() {
    let mut world = World::new();
    let (record, _) = world.register("alice", "correct horse");
    let kept = world.authority.to_bytes();
    world.authority = AuthorityPasswords::from_bytes(NETWORK, &kept).expect("its own bytes");
    let (start, _, offer) = world.offer("alice", Some(&record), "correct horse");
    assert!(log_in(start, &offer, "alice").is_ok());
    assert!(AuthorityPasswords::from_bytes(NETWORK, &kept[1..]).is_err());
}

#[test]
fn foreign_bytes_are_no_message() {
    let mut world = World::new();
    let junk = [0xff; 400];
    assert!(world.authority.offer_registration(&name("alice"), &junk[..32]).is_err());
    let (now, alice) = (world.now, name("alice"));
    for len in [0, 95, 96, 97, 400] {
        let offer =
            world.authority.offer_login(&alice, None, &junk[..len], now, &mut world.secrets);
        assert!(offer.is_err(), "{len} bytes of junk");
    }
    assert!(PasswordRecord::new(fitting(&junk[..192])).is_err());
    let (start, _) = LoginStart::begin(&typed("guess"), &mut world.secrets);
    assert!(start.answer(&junk[..320], &alice, &NETWORK, COST).is_err());
}

#[test]
fn two_keyboards_type_one_password() {
    let composed = Password::new("p\u{e4}ss word").map(|p| p.0.to_string());
    let decomposed = Password::new("pa\u{308}ss\u{a0}word").map(|p| p.0.to_string());
    assert_eq!(composed, decomposed);
    assert_eq!(Password::new("").err(), Some(BadPassword::Empty));
    assert_eq!(Password::new("bell\u{7}").err(), Some(BadPassword::Forbidden));
    assert_eq!(Password::new(&"a".repeat(1025)).err(), Some(BadPassword::TooLong { got: 1025 }));
}

#[test]
fn a_cost_out_of_range_is_refused() {
    assert_eq!(StretchCost::new(64 * 1024, 3, 4), Ok(StretchCost::PRODUCT));
    assert_eq!(StretchCost::new(7, 1, 1), Err(BadCost));
    assert_eq!(StretchCost::new(8, 0, 1), Err(BadCost));
    assert_eq!(StretchCost::new(u32::MAX, 1, 1), Err(BadCost));
}
