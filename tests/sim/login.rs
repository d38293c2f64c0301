//! Getting in. DESIGN 2.2, 2.3.

use std::time::Duration;

use earshot_proto::peer::command::{Answer, Command, Failure};
use earshot_proto::port::SaveFailure;
use earshot_proto::wire::login::Refusal;
use earshot_tests::sim::{Nat, PASSWORD, SOON, Skew, World};

const YEAR: Duration = Duration::from_secs(365 * 86_400);

#[test]
fn two_people_register_find_each_other_write_and_talk() {
    let mut world = World::new(1).network(2);
    world.person("alice");
    world.person("bob");
    world.befriend("alice", "bob");
    world.say("alice", "bob", "Good morning, bob!");
    world.run_until(|w| w.has_arrived("alice", "Good morning, bob!"), SOON);
    world.say("bob", "alice", "Good morning, alice!");
    world.run_until(|w| w.has_arrived("bob", "Good morning, alice!"), SOON);
    world.talk("alice", "bob");
    assert_eq!(world.times_shown("bob", "Good morning, bob!"), 1);
    assert_eq!(world.times_shown("alice", "Good morning, alice!"), 1);
}

#[test]
fn the_recovery_key_is_told_at_registration_and_never_again() {
    let mut world = World::new(2).network(1);
    world.device("alice", Nat::Cone);
    world.join("alice");
    let first = world.register("alice", "alice", PASSWORD);
    assert!(matches!(first, Ok(Answer::Registered(..))), "{first:?}");
    world.settles("alice");
    world.ask("alice", Command::Logout).expect("logged in");
    let second = world.log_in("alice", "alice", PASSWORD);
    assert!(matches!(second, Ok(Answer::LoggedIn(..))), "{second:?}");
}

#[test]
fn a_wrong_password_and_an_unknown_name_are_answered_alike() {
    let mut world = World::new(3).network(1);
    world.person("alice");
    let mut answers = Vec::new();
    for (machine, name) in [("one", "alice"), ("two", "clara")] {
        world.device(machine, Nat::Cone);
        world.join(machine);
        assert_eq!(
            world.log_in(machine, name, "a wrong password"),
            Err(Failure::WrongNameOrPassword)
        );
        answers.push(world.heard_bytes(machine));
    }
    assert_eq!(answers[0], answers[1], "in as many bytes");
}

#[test]
fn a_wrong_password_at_home_is_refused_and_the_right_one_still_opens() {
    let mut world = World::new(4).network(1);
    world.person("alice");
    world.crash("alice");
    world.start("alice");
    let wrong = world.log_in("alice", "alice", "a wrong password");
    assert_eq!(wrong, Err(Failure::WrongNameOrPassword));
    world.log_in("alice", "alice", PASSWORD).expect("the right one");
    world.settles("alice");
}

#[test]
fn a_name_is_given_once_and_so_is_what_looks_like_it() {
    let mut world = World::new(5).network(1);
    world.person("paypal");
    world.device("other", Nat::Cone);
    world.join("other");
    let taken = world.register("other", "PayPal", PASSWORD);
    assert!(matches!(taken, Err(Failure::Refused(Refusal::NameTaken, _))), "{taken:?}");
    let alike = world.register("other", "paypa1", PASSWORD);
    assert!(matches!(alike, Err(Failure::Refused(Refusal::NameLooksAlike, _))), "{alike:?}");
    world.register("other", "somebody", PASSWORD).expect("after all refusals a free name is given");
}

#[test]
fn the_second_super_peer_of_the_invite_is_used_when_the_first_is_dead() {
    for dead in ["super-1", "super-2"] {
        let mut world = World::new(6).network(2);
        world.crash(dead);
        world.person("alice");
        let mut world = World::new(7).network(2);
        world.vanish(dead);
        world.person("alice");
    }
}

#[test]
fn without_a_super_peer_one_is_told_how_many_were_tried() {
    let mut world = World::new(8).network(2);
    world.crash("super-1");
    world.vanish("super-2");
    world.device("alice", Nat::Cone);
    world.join("alice");
    let answer = world.register("alice", "alice", PASSWORD);
    assert_eq!(answer, Err(Failure::NoSuperPeer { tried: 2 }));
    world.start("super-1");
    world.register("alice", "alice", PASSWORD).expect("a super-peer is back");
}

#[test]
fn an_authority_that_is_away_is_told_as_such_and_may_come_back() {
    for away in [World::crash, World::vanish] {
        let mut world = World::new(9).network(1);
        world.device("alice", Nat::Cone);
        world.join("alice");
        away(&mut world, "authority");
        let answer = world.register("alice", "alice", PASSWORD);
        assert_eq!(answer, Err(Failure::AuthorityUnreachable));
        world.start("authority");
        world.register("alice", "alice", PASSWORD).expect("it is back");
        world.settles("alice");
    }
}

#[test]
fn who_has_logged_in_before_logs_in_while_the_authority_is_away() {
    let mut world = World::new(10).network(2);
    world.person("alice");
    world.person("bob");
    world.befriend("alice", "bob");
    world.crash("authority");
    world.crash("alice");
    world.run_until(|w| !w.sees_online("bob", "alice"), SOON);
    world.comes_back("alice", "alice");
    world.run_until(|w| w.sees_online("alice", "bob") && w.sees_online("bob", "alice"), SOON);
}

#[test]
fn who_logs_out_and_in_again_has_the_same_buddies() {
    let mut world = World::new(11).network(1);
    world.person("alice");
    world.person("bob");
    world.befriend("alice", "bob");
    world.ask("alice", Command::Logout).expect("logged in");
    world.run_until(|w| !w.sees_online("bob", "alice"), Duration::from_secs(1));
    world.log_in("alice", "alice", PASSWORD).expect("the vault opens");
    world.run_until(|w| w.peer("alice").buddies().count() == 1, SOON);
    world.run_until(|w| w.sees_online("bob", "alice"), SOON);
}

#[test]
fn a_clock_that_is_wrong_by_a_year_is_told_as_such() {
    let year = YEAR.as_millis() as i64;
    let hour = 3_600_000;
    for (skew, off) in [(Skew::Ahead(YEAR), year), (Skew::Behind(YEAR), -year)] {
        let mut world = World::new(12).network(1);
        world.device("alice", Nat::Cone);
        world.crash("alice");
        world.set_skew("alice", skew);
        world.start("alice");
        world.join("alice");
        match world.register("alice", "alice", PASSWORD) {
            Err(Failure::ClockWrong { off_by_ms }) => {
                assert!((off_by_ms - off).abs() < hour, "{off_by_ms} is not {off}");
            }
            other => panic!("{other:?}"),
        }
        world.crash("alice");
        world.set_skew("alice", Skew::None);
        world.start("alice");
        world.register("alice", "alice", PASSWORD).expect("the clock is right now");
    }
}

#[test]
fn a_vault_that_could_not_be_written_is_no_login() {
    let mut world = World::new(13).network(1);
    world.device("alice", Nat::Cone);
    world.join("alice");
    world.fill_disk("alice");
    let answer = world.register("alice", "alice", PASSWORD);
    assert_eq!(answer, Err(Failure::NotKept(SaveFailure::DiskFull)));
    assert!(world.owner("alice").session.is_none());
}

#[test]
fn an_account_is_kept_when_the_authority_said_so_wherever_it_crashes() {
    for point in 0..60 {
        let mut world = World::new(14).network(1);
        world.device("alice", Nat::Cone);
        world.join("alice");
        let display_name = "alice";
        let ask = world.begin_register("alice", display_name, PASSWORD);
        world.run_events(point);
        world.crash("authority");
        world.start_later("authority", Duration::from_secs(1));
        world.run_until(|w| w.owner("alice").answers.contains_key(&ask), SOON * 3);
        world.device("second", Nat::Cone);
        world.join("second");
        world.run_until(|w| w.is_up("authority"), SOON);
        let registered = world.owner("alice").answers[&ask].is_ok();
        let login = world.log_in("second", "alice", PASSWORD);
        assert!(login.is_ok() || !registered, "crash at {point}: {login:?}");
    }
}

#[test]
fn who_crashes_while_registering_can_log_in_or_register_again() {
    for point in 0..60 {
        let mut world = World::new(15).network(1);
        world.device("alice", Nat::Cone);
        world.join("alice");
        world.begin_register("alice", "alice", PASSWORD);
        world.run_events(point);
        world.crash("alice");
        world.start("alice");
        world.join("alice");
        let again = world.log_in("alice", "alice", PASSWORD);
        let again = again.or_else(|_| world.register("alice", "alice", PASSWORD));
        assert!(again.is_ok(), "crash at {point}: {again:?}");
    }
}
