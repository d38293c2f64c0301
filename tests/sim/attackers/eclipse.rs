//! Attackers that want to eclipse one person: to be all keepers of a name, or all super-peers that
//! a peer knows.

use std::net::SocketAddr;
use std::time::Duration;

use earshot_proto::entropy::{Entropy, Stream};
use earshot_proto::ids::{NodeId, RingKey};
use earshot_proto::lookup::{End, Fetched, Lookup, Near, Order};
use earshot_proto::peer::command::SearchEnd;
use earshot_proto::wire::certificate::AgreeKey;
use earshot_proto::wire::directory::NodeEntry;
use earshot_tests::sim::adversary::Vice;
use earshot_tests::sim::{Nat, PASSWORD, SOON, World, user};

use super::{THRESHOLD, super_peer};

/// Keepers of a name.
const KEEPERS: usize = 4;
/// Trials of other salts.
const TRIALS: u64 = 400;

fn key() -> RingKey {
    user("target").ring_key()
}

/// How many of the keepers of the key are of the second kind.
fn taken(key: &RingKey, honest: &[NodeId], hostile: &[NodeId]) -> usize {
    let mut all: Vec<_> = honest.iter().map(|node| (key.distance_to(node), 0)).collect();
    all.extend(hostile.iter().map(|node| (key.distance_to(node), 1)));
    all.sort_unstable();
    all.into_iter().take(KEEPERS).map(|(_, hostile)| hostile).sum()
}

/// Where an authority of these secrets puts addresses: it salts each address and port by itself.
fn placed(salts: &mut Stream, addresses: &[SocketAddr]) -> Vec<NodeId> {
    addresses.iter().map(|address| NodeId::of(*address, &salts.bytes())).collect()
}

fn addresses(prefix: [u8; 2], hosts: u16, ports: u16) -> Vec<SocketAddr> {
    let [a, b] = prefix;
    let of =
        |host: u16| move |port| SocketAddr::from(([a, b, (host >> 8) as u8, host as u8], port));
    (1..=hosts).flat_map(|host| (5000..5000 + ports).map(of(host))).collect()
}

/// Whoever has enrolled everywhere that it can keeps the places nearest the key: those are its
/// keepers just as often as it has places.
#[test]
fn whoever_owns_addresses_gets_of_the_keepers_of_a_name_its_share_of_the_ring_and_cannot_choose() {
    let mut salts = Entropy::new([54; 32]).jitter;
    let honest = addresses([11, 0], 1_000, 1);
    for (own, percent_at_most) in [(40, 20), (160, 50), (1_000, 95)] {
        let hostile = addresses([66, 66], own / 4, 4);
        let mut got = [0_u32; KEEPERS + 1];
        for _ in 0..TRIALS {
            let (honest, hostile) = (placed(&mut salts, &honest), placed(&mut salts, &hostile));
            got[taken(&key(), &honest, &hostile)] += 1;
        }
        let keepers: u32 = (0..).zip(got).map(|(count, trials)| count * trials).sum();
        let share = f64::from(keepers) / (KEEPERS as f64 * TRIALS as f64);
        let expected = f64::from(own) / (f64::from(own) + honest.len() as f64);
        println!("FIGURE eclipse.share_{own}_of_{}={share:.3} {expected:.3} {got:?}", honest.len());
        // Three standard deviations.
        let spread = (expected * (1.0 - expected) / (KEEPERS as f64 * TRIALS as f64)).sqrt();
        assert!((share - expected).abs() < 3.0 * spread, "{own}: {share} instead of {expected}");
        let some = TRIALS as u32 - got[0];
        assert!(some <= TRIALS as u32 * percent_at_most / 100, "{own} places: {got:?}");
    }
}

/// Were places not salted by a secret, it could calculate which addresses to take.
#[test]
fn it_is_the_secret_salt_that_keeps_an_attacker_from_choosing() {
    let mut salts = Entropy::new([55; 32]).jitter;
    let honest = addresses([11, 0], 1_000, 1);
    let guess = [0; 16];
    let mut best = addresses([66, 66], 40, 5_000);
    best.sort_by_key(|address| key().distance_to(&NodeId::of(*address, &guess)));
    best.truncate(KEEPERS);
    let unsalted =
        |all: &[SocketAddr]| all.iter().map(|a| NodeId::of(*a, &guess)).collect::<Vec<_>>();
    assert_eq!(taken(&key(), &unsalted(&honest), &unsalted(&best)), KEEPERS);
    let salted: usize = (0..TRIALS)
        .map(|_| taken(&key(), &placed(&mut salts, &honest), &placed(&mut salts, &best)))
        .sum();
    println!("FIGURE eclipse.chosen_by_guess={salted} of {}", TRIALS as usize * KEEPERS);
    assert!(salted <= 20, "{salted} keepers in {TRIALS} trials");
}

/// The super-peers of a world, those that keep a name first, the nearest the first.
fn keepers(world: &World, name: &str) -> Vec<String> {
    let key = user(name).ring_key();
    let all = world.everybody().filter(|n| n.starts_with("super-") || n.starts_with("sybil-"));
    let up = all.filter(|name| world.serves(name));
    let mut nodes: Vec<_> =
        up.map(|name| (key.distance_to(&world.entry_of(name).node), name.to_owned())).collect();
    nodes.sort();
    nodes.into_iter().map(|(_, name)| name).collect()
}

/// Enrols at all those addresses; answers how many of the keepers of a name that gives it, for each
/// of many names.
fn besieged(seed: u64, at: &[SocketAddr]) -> Vec<usize> {
    const HONEST: usize = 20;
    const NAMES: usize = 400;
    let mut world = World::new(seed).ring(HONEST, THRESHOLD);
    for (number, address) in (1..).zip(at) {
        let name = format!("sybil-{number}");
        world.add_super_peer_at(&name, *address, Nat::Open, None);
        world.run_until(|w| !w.owner(&name).super_peer.is_empty(), SOON);
        assert!(world.serves(&name), "{:?}", world.owner(&name).super_peer);
    }
    let taken = |number: usize| {
        let keepers = keepers(&world, &format!("target-{number}"));
        keepers[..KEEPERS].iter().filter(|name| name.starts_with("sybil-")).count()
    };
    let mut names = vec![0; KEEPERS + 1];
    (1..=NAMES).for_each(|number| names[taken(number)] += 1);
    let keepers: usize = (0..).zip(&names).map(|(count, names)| count * names).sum();
    let share = keepers as f64 / (KEEPERS * NAMES) as f64;
    let expected = at.len() as f64 / (at.len() + HONEST) as f64;
    println!("FIGURE eclipse.enrolled_{}={share:.2} of {expected:.2} {names:?}", at.len());
    // Places lie by chance: so few have a share of the keys that is not quite theirs.
    assert!((share - expected).abs() < 0.15, "{share} instead of {expected}");
    names
}

#[test]
fn forty_places_of_one_prefix_are_no_more_than_forty_places() {
    besieged(540, &addresses([66, 66], 10, 4));
}

#[test]
fn forty_places_of_forty_prefixes_are_no_more_than_forty_places() {
    let spread: Vec<_> = (0..40).map(|n| SocketAddr::from(([60 + n, n, 0, 1], 5000))).collect();
    besieged(541, &spread);
}

/// What a keeper that lies does with a question.
#[derive(Clone, Copy, Debug)]
enum Lie {
    /// It denies to hold the name.
    Denies,
    /// It does not answer.
    IsSilent,
}

/// What who looks is told where the first so many of the keepers lie so, the others of the first
/// four hold the name, and those behind do not.
fn told(liars: usize, lie: Lie) -> End {
    let mut now = World::new(0).instant();
    let mut salts = Entropy::new([56; 32]).jitter;
    let places = placed(&mut salts, &addresses([11, 0], 1_000, 1));
    let mut nodes: Vec<NodeEntry> = (11_u16..)
        .zip(places)
        .map(|(port, node)| NodeEntry {
            node,
            address: SocketAddr::from(([11, 0, 0, 1], port)),
            key: AgreeKey(salts.bytes()),
        })
        .collect();
    nodes.sort_by_key(|entry| key().distance_to(&entry.node));
    nodes.truncate(16);
    let mut search = Lookup::new(now, key(), None, Near::Keepers(nodes.clone()));
    for _ in 0..200 {
        match search.poll() {
            Some(Order::Done(outcome)) => return outcome.end,
            Some(Order::Nearest { to, .. }) => {
                search.handle_near(now, &to.node, Some(Near::Keepers(nodes.clone())));
            }
            Some(Order::Fetch { to }) => {
                let place = nodes.iter().position(|n| n.node == to.node).expect("it is named");
                let fetched = match lie {
                    Lie::Denies if place < liars => Fetched::NotHere,
                    Lie::IsSilent if place < liars => Fetched::Failed,
                    Lie::Denies | Lie::IsSilent if place < KEEPERS => {
                        Fetched::Held { counter: 1, is_late: false }
                    }
                    Lie::Denies | Lie::IsSilent => Fetched::NotHere,
                };
                search.handle_fetched(now, &to.node, fetched);
            }
            None => {
                now = search.poll_timeout().expect("it waits for something");
                search.handle_timeout(now);
            }
        }
    }
    panic!("a search ends")
}

#[test]
fn one_honest_keeper_of_four_is_enough_and_four_liars_are_believed_when_they_deny() {
    let is_found = |end| matches!(end, End::Found { counter: 1, .. });
    for liars in 0..=KEEPERS {
        let (denied, silent) = (told(liars, Lie::Denies), told(liars, Lie::IsSilent));
        println!("FIGURE eclipse.{liars}_of_4: deny {denied:?}, silent {silent:?}");
        for (how, end) in [("deny", denied), ("are silent", silent)] {
            assert_eq!(is_found(end), liars < KEEPERS, "{liars} {how}: {end:?}");
        }
    }
    assert_eq!(told(KEEPERS, Lie::Denies), End::NotFound);
}

/// Where chance gives an attacker the first keepers of a name, in a ring of real machines: whether
/// somebody finds it, and what they are told.
fn eclipsed(vices: &[Vice]) -> (usize, SearchEnd) {
    const SEED: u64 = 571;
    const NODES: usize = 16;
    // Places depend on the seed alone: who keeps the name is seen in a world without liars.
    let order = keepers(&World::new(SEED).ring(NODES, THRESHOLD), "target");
    let hostile = order.iter().cloned().zip(vices.iter().copied()).collect();
    let mut world = World::new(SEED).with_liars(hostile).ring(NODES, THRESHOLD);
    assert_eq!(keepers(&world, "target")[..KEEPERS], order[..KEEPERS]);
    world.person("seeker");
    world.person("target");
    world.run_for(Duration::from_secs(60));
    let (found, end) = world.find("seeker", "target");
    assert!(found.iter().all(|name| name == "target"), "{found:?}");
    let is_newest = world.seen_counter("seeker", "target") == world.own_counter("target");
    assert_eq!(end == SearchEnd::Found, is_newest, "{vices:?}");
    (found.len(), end)
}

#[test]
fn who_has_three_of_the_four_keepers_of_a_name_hides_it_from_nobody() {
    let vices = [Vice::Denies, Vice::Forgets, Vice::Drops];
    for liars in 0..KEEPERS {
        assert_eq!(eclipsed(&vices[..liars]), (1, SearchEnd::Found), "{liars} liars");
    }
}

#[test]
fn who_has_all_four_hides_a_name_and_can_put_nothing_in_its_place() {
    let (found, end) = eclipsed(&[Vice::Forgets; KEEPERS]);
    println!("FIGURE eclipse.all_four={found} {end:?}");
    assert_eq!(found, 0);
    assert_ne!(end, SearchEnd::Found);
    // One that does not even take the name is replaced by the node behind it.
    let vices = [Vice::Forgets, Vice::Forgets, Vice::Forgets, Vice::Drops];
    assert_eq!(eclipsed(&vices), (1, SearchEnd::Found));
}

/// Bob joins and registers through a liar, who tells him of nobody but super-peers that do not
/// exist, and is gone then.
#[test]
fn a_peer_whose_list_a_liar_has_filled_finds_an_honest_super_peer_of_its_invite() {
    let liars = [(super_peer(1), Vice::Poisons)];
    let mut world = World::new(570).with_liars(liars.into()).ring(12, THRESHOLD);
    world.person("alice");
    world.device("bob", Nat::Cone);
    (2..=12).for_each(|number| world.cut("bob", &super_peer(number)));
    world.join("bob");
    world.register("bob", "bob", PASSWORD).expect("the name is free");
    let invited = world.invite().super_peers.len();
    world.run_until(|w| w.list_on_disk("bob").len() > invited + 30, Duration::from_secs(60));
    world.vanish(&super_peer(1));
    world.heal();
    let (gone, list) = (world.now(), world.list_on_disk("bob").len());
    world.run_until(|w| w.is_settled("bob"), Duration::from_secs(180));
    println!("FIGURE eclipse.away_after={:?} of {list}", world.now() - gone);
    assert!(!world.is_hostile(&world.home("bob")));
    assert_eq!(world.find("alice", "bob").1, SearchEnd::Found);
}
