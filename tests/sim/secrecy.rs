//! What no super-peer and no authority may ever give away. DESIGN 6.

use earshot_tests::sim::{SOON, World};

#[test]
fn nothing_readable_leaves_a_super_peer_or_the_authority() {
    let (greeting, text) =
        ("Do you remember the lighthouse?", "Meet me at the lighthouse at nine.");
    let mut world = World::new(130).network(3);
    world.watch_for(greeting);
    world.watch_for(text);
    world.person("alice");
    world.person("bob");
    world.request("alice", "bob", greeting);
    world.run_until(|w| !w.owner("bob").requests.is_empty(), SOON);
    assert_eq!(world.owner("bob").requests[0].greeting.as_deref(), Some(greeting));
    let accept = earshot_proto::peer::command::Command::Accept(earshot_tests::sim::user("alice"));
    world.ask("bob", accept).expect("there is a request");
    world.run_until(|w| w.are_buddies("alice", "bob"), SOON);
    world.say("alice", "bob", text);
    world.run_until(|w| w.has_arrived("alice", text), SOON);
    world.talk("alice", "bob");
    let (leaks, searched, seen) = world.watched();
    assert!(leaks.is_empty(), "readable: {leaks:?}");
    assert!(searched > 50_000, "only {searched} bytes were searched");
    assert!(seen >= 2, "the same search finds it in the histories of the two");
}
