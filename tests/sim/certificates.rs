//! Who is believed. Issue 2, point 2; DESIGN 2.3.

use std::net::SocketAddr;
use std::time::Duration;

use earshot_proto::entropy::Entropy;
use earshot_proto::peer::command::{Command, Failure};
use earshot_proto::secure::identity::{Keys, SignKey};
use earshot_proto::wire::certificate::{Chain, Statement, Subject};
use earshot_tests::sim::intruder::Intruder;
use earshot_tests::sim::{Nat, PASSWORD, SOON, World, user};

const DAY: Duration = Duration::from_secs(86_400);

/// A world with alice in it, and a stranger's keys.
fn with_alice(seed: u64) -> (World, Keys) {
    let mut world = World::new(seed).network(1);
    world.person("alice");
    let stranger = Keys::draw(&mut Entropy::new([seed as u8; 32]).secrets);
    (world, stranger)
}

fn is_welcome(world: &mut World, keys: &Keys, chain: Option<Chain>) -> bool {
    let door = world.invite().super_peers[0];
    let root = world.invite().root;
    let now = (world.instant(), world.wall());
    let (intruder, reception) = Intruder::new(root, &keys.link, chain, door, now);
    world.add_script("intruder", SocketAddr::from(([13, 0, 0, 1], 1)), Box::new(intruder));
    world.run_until(|_| reception.was_welcome(Duration::ZERO).is_some(), SOON);
    reception.was_welcome(Duration::ZERO) == Some(true)
}

#[test]
fn a_guest_is_let_in_to_ask_where_the_authority_is() {
    let (mut world, stranger) = with_alice(30);
    assert!(is_welcome(&mut world, &stranger, None));
}

#[test]
fn ones_own_certificate_opens_a_link() {
    let (mut world, _) = with_alice(31);
    let vault = world.open_vault("alice");
    let chain = vault.chain.clone();
    assert!(is_welcome(&mut world, &vault.keys, Some(chain)));
}

#[test]
fn the_valid_certificate_of_somebody_else_opens_nothing() {
    let (mut world, stranger) = with_alice(32);
    let chain = world.open_vault("alice").chain;
    assert!(!is_welcome(&mut world, &stranger, Some(chain)));
}

#[test]
fn a_forged_certificate_opens_nothing() {
    let (mut world, stranger) = with_alice(33);
    let mut chain = world.open_vault("alice").chain;
    let forger = SignKey::draw(&mut Entropy::new([9; 32]).secrets);
    let subject = Subject::Device {
        user: user("alice"),
        identity: forger.public(),
        device: world.owner("alice").session.as_ref().expect("logged in").device,
        keys: stranger.public(),
    };
    let now = world.wall();
    let (not_before, not_after) = (now.minus(DAY), now.plus(DAY));
    let statement = Statement { serial: 7, subject, not_before, not_after, policy_version: 1 };
    chain.holder = Some(forger.sign(&statement));
    assert!(!is_welcome(&mut world, &stranger, Some(chain)));
}

#[test]
fn an_expired_certificate_opens_nothing_until_it_is_renewed() {
    let mut world = World::new(34).network(1);
    world.person("alice");
    world.crash("alice");
    world.run_for(15 * DAY);
    world.cut("alice", "authority");
    world.start("alice");
    world.log_in("alice", "alice", PASSWORD).expect("the vault opens");
    assert!(!world.comes_true(|w| w.is_settled("alice"), Duration::from_secs(60)));
    world.heal();
    world.run_until(|w| w.is_settled("alice"), Duration::from_secs(20 * 60));
}

#[test]
fn after_a_very_long_absence_the_password_logs_in_at_the_authority() {
    let mut world = World::new(35).network(1);
    world.person("alice");
    world.person("bob");
    world.befriend("alice", "bob");
    world.say("alice", "bob", "I shall be away for a while.");
    world.crash("alice");
    world.run_for(70 * DAY);
    world.comes_back("alice", "alice");
    // The same device, with its own files.
    let buddies: Vec<_> = world.peer("alice").buddies().map(|view| view.user).collect();
    assert_eq!(buddies, [user("bob")]);
    assert_eq!(world.times_shown("alice", "I shall be away for a while."), 1);
}

#[test]
fn certificates_are_renewed_before_they_end() {
    let mut world = World::new(36).network(2);
    world.person("alice");
    world.run_for(20 * DAY);
    assert!(world.is_settled("alice"));
    let until = world.peer("alice").signed_in().expect("logged in").certificate_until;
    assert!(until > world.wall());
}

#[test]
fn the_super_peers_of_another_network_are_strangers() {
    let mut world = World::new(37).network(1);
    let other = World::new(38).network(1);
    world.device("alice", Nat::Cone);
    // The other network's root, with the addresses and keys of ours.
    let mut invite = other.invite();
    invite.super_peers = world.invite().super_peers;
    world.ask("alice", Command::Join(Box::new(invite))).expect("an invite is believed as it is");
    let answer = world.register("alice", "alice", PASSWORD);
    assert_eq!(answer, Err(Failure::NoSuperPeer { tried: 1 }));
}

#[test]
fn a_super_peer_with_another_key_than_the_invite_says_is_not_believed() {
    let mut world = World::new(39).network(2);
    world.device("alice", Nat::Cone);
    let mut invite = world.invite();
    let mut doors = invite.super_peers.clone().into_vec();
    let (first, second) = (doors[0].key, doors[1].key);
    (doors[0].key, doors[1].key) = (second, first);
    invite.super_peers = earshot_proto::wire::bounded::List::first_of(doors);
    world.ask("alice", Command::Join(Box::new(invite))).expect("an invite is believed as it is");
    let answer = world.register("alice", "alice", PASSWORD);
    assert_eq!(answer, Err(Failure::NoSuperPeer { tried: 2 }));
}

#[test]
fn a_second_network_cannot_be_joined_over_the_first() {
    let mut world = World::new(40).network(1);
    world.person("alice");
    let other = World::new(41).network(1);
    let answer = world.ask("alice", Command::Join(Box::new(other.invite())));
    assert_eq!(answer, Err(Failure::OtherNetwork));
}
