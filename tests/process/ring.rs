//! Many super-peers as real processes: everybody finds everybody, as one table and as a ring, and
//! again after a third of them was killed.

use std::time::{Duration, Instant};

use earshot_proto::ids::NodeId;
use earshot_tests::harness::{Daemon, Role};
use serde_json::{Value, json};

use crate::world::World;

/// Super-peers and people of one network.
const SUPER_PEERS: usize = 12;
const PEOPLE: usize = 10;
/// Within this time every search succeeds again after a third of the super-peers died. Issue 4.
const HEALED: Duration = Duration::from_secs(60);
/// Within this time so many processes form a ring. Issue 4.
pub(crate) const FORMED: Duration = Duration::from_secs(10);
/// Successors that a super-peer of such a network knows: a ring begins above the threshold of 8.
const LIST: usize = 7;

struct Network {
    _authority: Daemon,
    super_peers: Vec<Daemon>,
    people: Vec<(String, Daemon)>,
}

pub(crate) fn authority(world: &World, ring_threshold: &str) -> Daemon {
    let launch = world.launch("authority", Role::Authority);
    let flags = ["--ring-threshold", ring_threshold, "--enrol-uses", "100"];
    // Verifying has stories of its own; here many start at once on few cores.
    world.spawn(&launch.args(flags).args(["--exempt-super-peers", "100"])).unwrap()
}

/// Authority, super-peers, and people, each at home at a super-peer of its own choice.
fn network(world: &World, ring_threshold: &str) -> Network {
    let authority = authority(world, ring_threshold);
    let super_peers: Vec<Daemon> = (0..SUPER_PEERS)
        .map(|number| world.super_peer(&format!("super-{number}"), &authority))
        .collect();
    let people = (0..PEOPLE)
        .map(|number| {
            let name = format!("person{number}");
            // All through one door: from there they learn of the others.
            let peer = world.person(&name, &super_peers[number % SUPER_PEERS]);
            (name, peer)
        })
        .collect();
    Network { _authority: authority, super_peers, people }
}

/// Waits until every super-peer knows exactly its true neighbours.
pub(crate) fn is_perfect_within(super_peers: &[Daemon], mode: &str, within: Duration) {
    let end = Instant::now() + within;
    let place = |daemon: &Daemon| {
        let mut status = daemon.rpc("super_peer.status", json!({})).unwrap();
        status["place"].take()
    };
    loop {
        let mut places: Vec<Value> = super_peers.iter().map(place).collect();
        let id = |place: &Value| place["node"].as_str().unwrap().parse::<NodeId>().unwrap();
        places.sort_by_key(id);
        let len = places.len();
        let is_right = |(at, place): (usize, &Value)| {
            let list = place["successors"].as_array().unwrap();
            let follows =
                |(far, node): (usize, &Value)| *node == places[(at + 1 + far) % len]["node"];
            place["mode"] == mode
                && place["predecessor"] == places[(at + len - 1) % len]["node"]
                && list.len() == LIST.min(len - 1)
                && list.iter().enumerate().all(follows)
        };
        if places.iter().enumerate().all(is_right) {
            return;
        }
        assert!(Instant::now() < end, "no perfect ring: {places:#?}");
    }
}

/// Whether a person finds another now.
pub(crate) fn finds(seeker: &Daemon, name: &str) -> bool {
    let from = seeker.mark();
    let Ok(search) = seeker.rpc("search", json!({ "user": name })) else { return false };
    let id = &search["searchId"];
    let ended = seeker.wait_event(from, Duration::from_secs(20), "searchEnded", |event| {
        event["type"] == "searchEnded" && event["searchId"] == *id
    });
    ended.unwrap().value["found"] == true
}

/// Everybody looks for everybody, until all are found or the time is up.
fn all_find_all(people: &[(String, Daemon)], within: Duration) {
    let end = Instant::now() + within;
    for (seeker, peer) in people {
        for (name, _) in people.iter().filter(|(name, _)| name != seeker) {
            while !finds(peer, name) {
                assert!(Instant::now() < end, "{seeker} does not find {name}");
            }
        }
    }
}

fn survives_the_death_of_a_third(name: &str, ring_threshold: &str) {
    let world = World::new(name);
    let mut network = network(&world, ring_threshold);
    all_find_all(&network.people, HEALED);
    let dead = network.super_peers.split_off(SUPER_PEERS - SUPER_PEERS / 3);
    dead.iter().for_each(Daemon::kill);
    all_find_all(&network.people, HEALED);
    for (name, peer) in &network.people {
        let status = peer.rpc("network.status", json!({})).unwrap();
        assert!(status["home"].is_object(), "{name} has no home: {status}");
    }
}

#[test]
fn twelve_super_peers_that_know_each_other_survive_the_death_of_a_third() {
    survives_the_death_of_a_third("ring-full", "2048");
}

#[test]
fn twelve_super_peers_on_a_ring_survive_the_death_of_a_third() {
    survives_the_death_of_a_third("ring-chord", "8");
}

#[test]
fn sixteen_super_peers_form_a_perfect_ring_and_again_after_a_third_was_killed() {
    let world = World::new("ring-forms");
    let authority = authority(&world, "8");
    let start = Instant::now();
    let mut super_peers: Vec<Daemon> = std::thread::scope(|scope| {
        let starting: Vec<_> = (0..16)
            .map(|number| {
                let (world, authority) = (&world, &authority);
                scope.spawn(move || world.super_peer(&format!("super-{number}"), authority))
            })
            .collect();
        starting.into_iter().map(|starting| starting.join().unwrap()).collect()
    });
    println!("FIGURE ring.started_s={:.2}", start.elapsed().as_secs_f64());
    is_perfect_within(&super_peers, "ring", FORMED);
    println!("FIGURE ring.formed_s={:.2}", start.elapsed().as_secs_f64());
    let dead = super_peers.split_off(11);
    dead.iter().for_each(Daemon::kill);
    let start = Instant::now();
    is_perfect_within(&super_peers, "ring", FORMED);
    println!("FIGURE ring.repaired_s={:.2}", start.elapsed().as_secs_f64());
}
