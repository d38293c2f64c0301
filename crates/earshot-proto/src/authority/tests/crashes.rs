//! Nothing acknowledged is lost between a save and its answer.

use super::*;

#[test]
fn nothing_is_acknowledged_before_it_is_on_disk() {
    let mut world = World::new();
    let alice = world.new_person("alice");
    let id = world.dial(&alice.keys, None);
    world.disk = Disk::Hangs;
    let early = world.register_on(id, &alice, "correct horse", None);
    assert_eq!(early, Ok(None), "the record is not kept yet");
    assert_eq!(world.authority.accounts(), 0);
    world.release_disk();
    let answer = world.answer(id);
    assert!(matches!(answer, Some(Message::Login(Login::Certified { .. }))));
    assert_eq!(world.authority.accounts(), 1);
}

#[test]
fn a_crash_between_the_order_to_save_and_its_end_loses_nothing_acknowledged() {
    let mut world = World::new();
    world.register("alice", "correct horse").expect("registers");
    let bob = world.new_person("bob");
    let id = world.dial(&bob.keys, None);
    world.disk = Disk::Hangs;
    let early = world.register_on(id, &bob, "battery staple", None);
    assert_eq!(early, Ok(None), "bob was promised nothing");
    world.crash();
    let keys = Keys::draw(&mut world.secrets);
    let id = world.dial(&keys, None);
    assert!(world.prove(id, "alice", "correct horse").is_ok());
    assert!(world.register("bob", "battery staple").is_ok(), "the name is free again");
}

#[test]
fn what_could_not_be_kept_is_refused_and_never_was() {
    let mut world = World::new();
    world.disk = Disk::Fails;
    assert_eq!(world.register("alice", "correct horse").err(), Some(Refusal::Unavailable));
    assert_eq!(world.notices, [Notice::NotKept(SaveFailure::DiskFull)]);
    assert_eq!(world.authority.accounts(), 0);
    world.disk = Disk::Keeps;
    assert!(world.register("alice", "correct horse").is_ok());
}

#[test]
fn a_device_list_that_could_not_be_kept_is_not_in_force() {
    let mut world = World::new();
    let alice = world.register("alice", "correct horse").expect("registers");
    let (device, keys) = (DeviceId([9; 16]), Keys::draw(&mut world.secrets));
    let id = world.dial(&keys, None);
    world.prove(id, "alice", "correct horse").expect("logs in");
    let both = [(alice.device, &alice.keys), (device, &keys)];
    let devices = world.list(&alice.identity, "alice", 2, &both);
    let question = Login::CertifyDevice { devices, device };
    world.disk = Disk::Fails;
    let answer = world.ask_login(id, question.clone());
    assert_eq!(refusal(answer).0, Refusal::Unavailable);
    world.disk = Disk::Keeps;
    assert!(matches!(world.ask_login(id, question), Login::Certified { .. }));
}

#[test]
fn of_two_who_want_one_name_at_once_one_gets_it() {
    let mut world = World::new();
    let (first, second) = (world.new_person("alice"), world.new_person("alice"));
    let (one, two) = (world.dial(&first.keys, None), world.dial(&second.keys, None));
    world.disk = Disk::Hangs;
    assert_eq!(world.register_on(one, &first, "correct horse", None), Ok(None));
    let refused = world.register_on(two, &second, "battery staple", None);
    assert_eq!(refused, Err(Refusal::Unavailable), "the first may yet fail");
    world.release_disk();
    assert!(matches!(world.answer(one), Some(Message::Login(Login::Certified { .. }))));
    let refused = world.register_on(two, &second, "battery staple", None);
    assert_eq!(refused, Err(Refusal::NameTaken));
}

#[test]
fn a_device_that_hangs_up_before_the_disk_answers_has_its_account_all_the_same() {
    let mut world = World::new();
    let alice = world.new_person("alice");
    let id = world.dial(&alice.keys, None);
    world.disk = Disk::Hangs;
    assert_eq!(world.register_on(id, &alice, "correct horse", None), Ok(None));
    world.hang_up(id);
    world.release_disk();
    let id = world.dial(&alice.keys, None);
    assert!(world.prove(id, "alice", "correct horse").is_ok());
}

#[test]
fn rows_that_the_root_did_not_sign_are_no_state() {
    let world = World::new();
    let mut rows: Vec<Row> = world.rows.values().cloned().collect();
    let stranger = AuthorityKeys::found(&mut Entropy::new([9; 32]).secrets);
    let theirs = stranger.first_rows(&policy(Admission::Open), START).expect("the root is here");
    let load = |rows: &[Row]| AuthorityState::load(rows.to_vec(), &world.root).err();
    assert_eq!(load(&rows), None);
    assert!(matches!(load(&theirs), Some(StateRefused::NotTheRoots("policy", _))));
    rows.retain(|row| row.table() != "certificate");
    assert_eq!(load(&rows), Some(StateRefused::Missing("certificate")));
}
