//! Registering, logging in, devices and renewal at the authority.

use super::*;

#[test]
fn a_name_and_a_password_make_an_account_and_a_certificate_of_14_days() {
    let mut world = World::new();
    let alice = world.register("alice", "correct horse").expect("registers");
    let verified = world.verified(alice.chain.as_ref().expect("a chain"));
    assert_eq!(verified.statement.not_after, START.plus(DAY * 14));
    let Subject::Device { user, identity, device, keys } = verified.statement.subject else {
        panic!("not a device");
    };
    assert_eq!((user, identity), (alice.user, alice.identity.public()));
    assert_eq!((device, keys), (alice.device, alice.keys.public()));
    assert!(matches!(world.notices.as_slice(), [Notice::Registered { .. }]));
}

#[test]
fn a_second_device_logs_in_by_name_and_password_alone() {
    let mut world = World::new();
    let alice = world.register("alice", "correct horse").expect("registers");
    let (device, keys) = (DeviceId([9; 16]), Keys::draw(&mut world.secrets));
    let id = world.dial(&keys, None);
    let (vault, sealed, _) = world.prove(id, "alice", "correct horse").expect("logs in");
    assert_eq!(vault.identity.public(), alice.identity.public());
    assert_eq!(sealed.display_name.as_str(), "Somebody");
    let both = [(alice.device, &alice.keys), (device, &keys)];
    let devices = world.list(&vault.identity, "alice", 2, &both);
    let answer = world.ask_login(id, Login::CertifyDevice { devices: devices.clone(), device });
    let Login::Certified { chain, until, policy } = answer else { panic!("{answer:?}") };
    assert_eq!(world.verified(&chain).keys(), keys.public());
    assert_eq!(until, START.plus(DAY * 14));
    let policy = crate::secure::identity::open_signed(&policy, &world.root).expect("the root's");
    assert_eq!(policy.version, 1);
    // The first device sees the second in the list.
    let id = world.dial(&alice.keys, alice.chain.as_ref());
    let answer = world.ask_login(id, Login::DevicesOf { user: alice.user });
    assert_eq!(answer, Login::Devices { devices });
}

#[test]
fn the_same_device_logs_in_again_with_the_list_unchanged() {
    let mut world = World::new();
    let alice = world.register("alice", "correct horse").expect("registers");
    let id = world.dial(&alice.keys, None);
    let (_, _, devices) = world.prove(id, "alice", "correct horse").expect("logs in");
    assert_eq!(devices, alice.devices);
    let question = Login::CertifyDevice { devices, device: alice.device };
    assert!(matches!(world.ask_login(id, question), Login::Certified { .. }));
}

#[test]
fn an_unknown_name_and_a_wrong_password_are_answered_alike() {
    let mut world = World::new();
    world.register("alice", "correct horse").expect("registers");
    let mut seen = Vec::new();
    for user in ["alice", "nobod"] {
        let keys = Keys::draw(&mut world.secrets);
        let id = world.dial(&keys, None);
        let typed = Password::new("wrong").expect("a password");
        let (_, request) = LoginStart::begin(&typed, &mut world.secrets);
        let start = Login::LoginStart { user: name(user), request };
        let Login::LoginOffer { response } = world.ask_login(id, start) else {
            panic!("no offer to {user}");
        };
        let proof = Bytes::new(vec![0; 64]).expect("short");
        let refused = refusal(world.ask_login(id, Login::LoginFinish { finalization: proof }));
        let client = &world.links[&id];
        seen.push((response.len(), refused, client.bytes_in, client.closed));
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0].1, (Refusal::WrongNameOrPassword, None));
}

#[test]
fn a_wrong_password_fails_at_the_peer_and_a_proof_is_good_only_once() {
    let mut world = World::new();
    world.register("alice", "correct horse").expect("registers");
    let keys = Keys::draw(&mut world.secrets);
    let id = world.dial(&keys, None);
    let wrong = world.prove(id, "alice", "wrong").err();
    assert_eq!(wrong, Some(Refusal::WrongNameOrPassword));
    let proof = Login::LoginFinish { finalization: Bytes::new(vec![0; 64]).expect("short") };
    assert_eq!(refusal(world.ask_login(id, proof.clone())).0, Refusal::WrongNameOrPassword);
    assert_eq!(refusal(world.ask_login(id, proof)).0, Refusal::OutOfOrder);
    assert!(world.prove(id, "alice", "correct horse").is_ok());
}

#[test]
fn a_taken_name_and_its_look_alikes_are_refused() {
    let mut world = World::new();
    world.register("paypal", "correct horse").expect("registers");
    assert_eq!(world.register("paypal", "other").err(), Some(Refusal::NameTaken));
    assert_eq!(world.register("раураl", "other").err(), Some(Refusal::NameLooksAlike));
    assert!(world.register("pay.pal", "other").is_ok());
}

#[test]
fn finishing_what_was_not_started_is_out_of_order() {
    let mut world = World::new();
    let alice = world.new_person("alice");
    let id = world.dial(&alice.keys, None);
    let certify = Login::CertifyDevice { devices: alice.devices.clone(), device: alice.device };
    assert_eq!(refusal(world.ask_login(id, certify)).0, Refusal::OutOfOrder);
    assert_eq!(refusal(world.ask_login(id, Login::Renew)).0, Refusal::OutOfOrder);
    let devices_of = Login::DevicesOf { user: alice.user };
    assert_eq!(refusal(world.ask_login(id, devices_of)).0, Refusal::OutOfOrder);
}

#[test]
fn device_lists_that_are_forged_skipped_or_of_others_are_refused() {
    let mut world = World::new();
    let alice = world.register("alice", "correct horse").expect("registers");
    let (device, keys) = (DeviceId([9; 16]), Keys::draw(&mut world.secrets));
    let id = world.dial(&keys, None);
    world.prove(id, "alice", "correct horse").expect("logs in");
    let thief = SignKey::draw(&mut world.secrets);
    let other = Keys::draw(&mut world.secrets);
    let both = [(alice.device, &alice.keys), (device, &keys)];
    let twice = [(device, &keys), (device, &keys)];
    let lists = [
        ("signed by another key", world.list(&thief, "alice", 2, &both)),
        ("version skipped", world.list(&alice.identity, "alice", 3, &both)),
        ("version not raised", world.list(&alice.identity, "alice", 1, &both)),
        ("of another user", world.list(&alice.identity, "mallory", 2, &both)),
        ("without the device", world.list(&alice.identity, "alice", 2, &both[..1])),
        ("a device twice", world.list(&alice.identity, "alice", 2, &twice)),
        ("another link key", world.list(&alice.identity, "alice", 2, &[(device, &other)])),
    ];
    for (what, devices) in lists {
        let answer = world.ask_login(id, Login::CertifyDevice { devices, device });
        assert_eq!(refusal(answer).0, Refusal::DevicesRefused, "{what}");
    }
    let devices = world.list(&alice.identity, "alice", 2, &both);
    let answer = world.ask_login(id, Login::CertifyDevice { devices, device });
    assert!(matches!(answer, Login::Certified { .. }));
}

#[test]
fn a_just_expired_certificate_is_renewed_without_a_password_but_asks_nothing_else() {
    let mut world = World::new();
    let alice = world.register("alice", "correct horse").expect("registers");
    world.pass(DAY * 15);
    let id = world.dial(&alice.keys, alice.chain.as_ref());
    let devices_of = Login::DevicesOf { user: alice.user.clone() };
    assert_eq!(refusal(world.ask_login(id, devices_of)).0, Refusal::CertificateRefused);
    let Login::Certified { chain, until, .. } = world.ask_login(id, Login::Renew) else {
        panic!("not renewed");
    };
    assert_eq!(until, world.wall.plus(DAY * 14));
    assert_eq!(world.verified(&chain).keys(), alice.keys.public());
    world.pass(DAY * 105);
    let id = world.dial(&alice.keys, Some(&chain));
    assert!(world.links[&id].closed, "90 days after its end a certificate opens nothing");
}

#[test]
fn a_device_that_left_the_list_is_not_renewed() {
    let mut world = World::new();
    let alice = world.register("alice", "correct horse").expect("registers");
    let (device, keys) = (DeviceId([9; 16]), Keys::draw(&mut world.secrets));
    let id = world.dial(&keys, None);
    world.prove(id, "alice", "correct horse").expect("logs in");
    let devices = world.list(&alice.identity, "alice", 2, &[(device, &keys)]);
    let answer = world.ask_login(id, Login::CertifyDevice { devices, device });
    assert!(matches!(answer, Login::Certified { .. }));
    let id = world.dial(&alice.keys, alice.chain.as_ref());
    assert_eq!(refusal(world.ask_login(id, Login::Renew)).0, Refusal::CertificateRefused);
}

#[test]
fn junk_in_the_password_protocol_is_refused_and_other_families_close_the_link() {
    let mut world = World::new();
    let keys = Keys::draw(&mut world.secrets);
    let id = world.dial(&keys, None);
    let request = Bytes::new(vec![0xff; 32]).expect("short");
    let start = Login::RegisterStart { user: name("alice"), request, token: None };
    assert_eq!(refusal(world.ask_login(id, start)).0, Refusal::Malformed);
    let request = Bytes::new(vec![0xff; 96]).expect("short");
    let start = Login::LoginStart { user: name("alice"), request };
    assert_eq!(refusal(world.ask_login(id, start)).0, Refusal::Malformed);
    let other = crate::wire::directory::Directory::ListSuperPeers;
    assert_eq!(world.ask(id, other), None);
    assert!(world.links[&id].closed);
}

#[test]
fn serial_numbers_are_never_given_twice() {
    let mut world = World::new();
    let mut seen = std::collections::BTreeSet::new();
    for user in ["alice", "bob", "carol"] {
        let person = world.register(user, "correct horse").expect("registers");
        world.crash();
        let chain = person.chain.as_ref().expect("a chain");
        assert!(seen.insert(world.verified(chain).statement.serial), "{user}'s is another's");
    }
}
