//! Stories of watches at one super-peer, and of lists that are copied through a network that loses.

#![expect(clippy::disallowed_methods, reason = "a test begins at some moment")]

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::super::clients::Client;
use super::super::testing::serving;
use super::carried::CARRIED_MAX;
use super::copies::{HOLDERS, HOMES_MAX, RENEW, SETTLE, SUBSCRIBERS_MAX};
use super::*;
use crate::entropy::Entropy;
use crate::ids::{DeviceId, UserName};
use crate::secure::link::LinkError;
use crate::secure::registration::{Checked, REGISTRATION_LIFE};
use crate::secure::testing::{Device, NOW, Network};
use crate::wire::bounded::{Bytes, List};
use crate::wire::certificate::AgreeKey;
use crate::wire::directory::Registration;
use crate::wire::forward::CHANGES_MAX;

fn node(number: u16) -> NodeEntry {
    let [high, low] = number.to_be_bytes();
    let address = SocketAddr::from(([192, 0, high, low], 4433));
    let mut id = [low; 20];
    id[0] = high;
    NodeEntry { node: NodeId(id), address, key: AgreeKey([low; 32]) }
}

fn device(name: &str) -> Address {
    Address { user: UserName::new(name).expect("a name"), device: DeviceId([1; 16]) }
}

fn watch(watcher: &str, watched: &str) -> Watch {
    Watch { watcher: device(watcher), watched: device(watched) }
}

fn lots() -> Entropy {
    Entropy::new([7; 32])
}

fn subscriber(number: u16) -> Subscriber {
    Subscriber { home: node(number), subscription: SubscriptionId([number as u8; 16]) }
}

fn whole(come: impl IntoIterator<Item = Subscriber>) -> Changes {
    Changes { anew: true, come: List::first_of(come), gone: List::default() }
}

fn more(come: impl IntoIterator<Item = Subscriber>) -> Changes {
    Changes { anew: false, ..whole(come) }
}

#[test]
fn a_device_is_watched_at_one_home_the_last_that_was_named() {
    let (mut secrets, mut carried) = (lots().secrets, Carried::default());
    let (old, new) = (node(1), node(2));
    carried.carry(watch("bob", "alice"), old, &mut secrets);
    carried.carry(watch("bob", "alice"), new, &mut secrets);
    assert_eq!((carried.len(), carried.homes().collect()), (1, vec![new.node]));
    // What the old home says comes late.
    assert!(!carried.gone_from(&old.node, &watch("bob", "alice")));
    assert!(carried.gone_from(&new.node, &watch("bob", "alice")));
    assert!(carried.is_empty() && carried.homes().next().is_none());
}

#[test]
fn a_subscription_lasts_as_long_as_somebody_watches_there() {
    let (mut secrets, mut carried) = (lots().secrets, Carried::default());
    let home = node(1);
    let first = carried.carry(watch("bob", "alice"), home, &mut secrets);
    assert_eq!(carried.carry(watch("carol", "alice"), home, &mut secrets), first);
    carried.watcher_left(&device("bob"));
    assert_eq!(carried.carry(watch("carol", "dave"), home, &mut secrets), first);
    carried.watcher_left(&device("carol"));
    assert!(carried.homes().next().is_none());
    assert_ne!(carried.carry(watch("bob", "alice"), home, &mut secrets), first);
}

#[test]
fn a_home_that_is_lost_is_told_once_whoever_says_it() {
    let (mut secrets, mut carried) = (lots().secrets, Carried::default());
    let home = node(1);
    let subscription = carried.carry(watch("bob", "alice"), home, &mut secrets).expect("room");
    carried.carry(watch("bob", "dave"), node(2), &mut secrets);
    assert_eq!(carried.home_lost(&home.node), [watch("bob", "alice")]);
    assert_eq!(carried.home_lost(&home.node), []);
    assert_eq!(carried.doubt(&home.node, &subscription), None);
    assert_eq!(carried.len(), 1);
}

#[test]
fn only_who_knows_the_subscription_makes_us_ask_and_only_once() {
    let (mut secrets, mut carried) = (lots().secrets, Carried::default());
    let home = node(1);
    let right = carried.carry(watch("bob", "alice"), home, &mut secrets).expect("room");
    assert_eq!(carried.doubt(&home.node, &SubscriptionId([0; 16])), None);
    assert_eq!(carried.doubt(&home.node, &right), Some(home));
    assert_eq!(carried.doubt(&home.node, &right), None);
    carried.not_asked(&home.node);
    assert_eq!(carried.doubt(&home.node, &right), Some(home));
}

#[test]
fn of_watches_only_so_many_are_noted() {
    let (mut secrets, mut carried) = (lots().secrets, Carried::default());
    for number in 0..CARRIED_MAX {
        let watcher = format!("bob{}", number % 1024);
        let watch = watch(&watcher, &format!("alice{number}"));
        assert!(carried.carry(watch, node(1), &mut secrets).is_some());
    }
    assert_eq!(carried.carry(watch("bob", "alice"), node(2), &mut secrets), None);
    // One that is there moves.
    assert!(carried.carry(watch("bob0", "alice0"), node(2), &mut secrets).is_some());
    assert_eq!(carried.len(), CARRIED_MAX);
    assert_eq!(carried.home_lost(&node(1).node).len(), CARRIED_MAX - 1);
}

/// A home whose list changes, and everybody who may be its successor.
struct Ring {
    now: Instant,
    home: NodeEntry,
    successors: Vec<NodeEntry>,
    list: Vec<Subscriber>,
    copying: Copying,
    copies: BTreeMap<NodeId, Copies>,
    /// Messages, and changes told in them.
    told: (usize, usize),
}

impl Ring {
    fn new() -> Self {
        let mut copying = Copying::default();
        let now = Instant::now();
        copying.changed(now);
        Self {
            now,
            home: node(500),
            successors: vec![node(501), node(502), node(503)],
            list: Vec::new(),
            copying,
            copies: BTreeMap::new(),
            told: (0, 0),
        }
    }

    /// Says what is due; `comes` decides which messages come to their ends.
    fn turn(&mut self, mut comes: impl FnMut() -> bool) {
        let due = self.copying.due(self.now, &self.successors, &self.list);
        for (to, message) in due {
            let Forward::Subscribers { anew, come, gone } = message else { panic!("{message:?}") };
            self.told = (self.told.0 + 1, self.told.1 + come.len() + gone.len());
            let changes = Changes { anew, come, gone };
            let mut is_held = false;
            if comes() {
                let copies = self.copies.entry(to.node).or_default();
                is_held = copies.handle(self.now, &to.node, self.home.node, &changes);
            }
            self.copying.answered(self.now, &to.node, is_held && comes());
        }
    }

    fn settle(&mut self) {
        for _ in 0..200 {
            self.turn(|| true);
            self.now += SETTLE / 4;
        }
    }

    fn held_by(&self, number: u16) -> Vec<Subscriber> {
        let copies = self.copies.get(&node(number).node);
        copies.map_or_else(Vec::new, |copies| copies.list(&self.home.node))
    }
}

#[test]
fn the_first_two_successors_hold_the_list_and_are_told_only_what_changes() {
    let mut ring = Ring::new();
    ring.list = (1..=10).map(subscriber).collect();
    ring.settle();
    for number in [501, 502] {
        assert_eq!(ring.held_by(number), ring.list);
    }
    assert_eq!((ring.held_by(503).len(), ring.told), (0, (HOLDERS, 10 * HOLDERS)));
    ring.list.remove(3);
    ring.list.push(subscriber(11));
    ring.copying.changed(ring.now);
    ring.settle();
    assert_eq!(ring.held_by(502), ring.list);
    assert_eq!(ring.told, (2 * HOLDERS, 12 * HOLDERS));
}

#[test]
fn changes_are_gathered_and_a_long_list_goes_in_pieces() {
    let mut ring = Ring::new();
    ring.successors.truncate(1);
    for number in 0..490 {
        ring.list.push(subscriber(number));
        ring.copying.changed(ring.now);
        ring.turn(|| true);
    }
    assert_eq!(ring.told, (0, 0));
    ring.settle();
    assert_eq!(ring.held_by(501), ring.list);
    assert_eq!(ring.told, (2, 490));
}

#[test]
fn who_is_a_successor_no_more_drops_the_list_and_who_becomes_one_gets_it() {
    let mut ring = Ring::new();
    ring.list = (1..=3).map(subscriber).collect();
    ring.settle();
    ring.successors.insert(0, node(510));
    ring.copying.changed(ring.now);
    ring.settle();
    assert_eq!([510, 501, 502].map(|n| ring.held_by(n).len()), [3, 3, 0]);
    // One that was started anew holds nothing: it is told all.
    ring.copies.remove(&node(501).node);
    ring.copying.link_lost(ring.now, &node(501).node);
    ring.settle();
    assert_eq!(ring.held_by(501).len(), 3);
    // A successor that watches devices here knows that by its own link.
    ring.list.push(Subscriber { home: node(501), ..subscriber(4) });
    ring.copying.changed(ring.now);
    ring.settle();
    assert_eq!([510, 501].map(|n| ring.held_by(n).len()), [4, 3]);
}

#[test]
fn copies_are_right_in_the_end_whatever_was_lost() {
    let mut lot = lots().jitter;
    for _ in 0..50 {
        let mut ring = Ring::new();
        for _ in 0..100 {
            match lot.below(4) {
                0 => {
                    let number = lot.below(40) as u16;
                    ring.list.retain(|s| s.home != node(number));
                }
                1 => {
                    let number = lot.below(40) as u16;
                    ring.list.retain(|s| s.home != node(number));
                    let subscription = SubscriptionId(lot.bytes());
                    ring.list.push(Subscriber { home: node(number), subscription });
                }
                2 => {
                    let at = lot.below(3) as usize;
                    ring.successors[at] = node(501 + lot.below(4) as u16 * 4 + at as u16);
                }
                _ => ring.now += SETTLE * lot.below(20) as u32,
            }
            ring.copying.changed(ring.now);
            ring.turn(|| lot.below(3) > 0);
        }
        ring.settle();
        ring.list.sort_by_key(|s| s.home.node);
        let holders: Vec<NodeId> = ring.successors.iter().take(HOLDERS).map(|s| s.node).collect();
        for (holder, copies) in &ring.copies {
            let held = copies.list(&ring.home.node);
            if holders.contains(holder) {
                assert_eq!(held, ring.list);
            }
        }
    }
}

#[test]
fn a_list_that_is_not_renewed_is_dropped_and_the_home_renews_it() {
    let mut ring = Ring::new();
    ring.list = vec![subscriber(1)];
    ring.settle();
    let renewed = ring.copying.next_due().expect("a renewal");
    assert!(renewed > ring.now && renewed <= ring.now + RENEW);
    for _ in 0..10 {
        ring.now += RENEW;
        ring.settle();
    }
    assert_eq!(ring.held_by(501).len(), 1);
    let later = ring.now + 4 * RENEW;
    let copies = ring.copies.get_mut(&node(501).node).expect("it holds one");
    copies.handle(later, &node(501).node, node(499).node, &whole([subscriber(2)]));
    assert_eq!(copies.len(), (1, 1), "only the new one");
}

#[test]
fn lists_are_bounded_and_those_of_the_nearest_homes_stay() {
    let (now, me) = (Instant::now(), NodeId([255; 20]));
    let mut copies = Copies::default();
    for number in 1..=20 {
        let home = NodeId([number; 20]);
        assert!(copies.handle(now, &me, home, &whole([subscriber(1)])));
    }
    assert_eq!(copies.len(), (HOMES_MAX, HOMES_MAX));
    assert!(!copies.handle(now, &me, NodeId([3; 20]), &whole([subscriber(1)])));
    assert!(copies.holds(&NodeId([20; 20])) && copies.holds(&NodeId([13; 20])));
    // Nothing is added to a list of which the beginning is unknown.
    assert!(!copies.handle(now, &me, NodeId([254; 20]), &more([subscriber(1)])));
    let many: Vec<Subscriber> = (0..5000).map(subscriber).collect();
    for some in many.chunks(CHANGES_MAX) {
        copies.handle(now, &me, NodeId([20; 20]), &more(some.iter().copied()));
    }
    assert_eq!(copies.list(&NodeId([20; 20])).len(), SUBSCRIBERS_MAX);
}

fn at_home(machine: &mut SuperPeer, network: &Network, device: &Device, link: LinkId) -> Address {
    let registration = Registration {
        chain: device.chain.clone(),
        devices_version: 1,
        counter: 1,
        expires: NOW.plus(REGISTRATION_LIFE),
    };
    let signed = device.keys.sign.sign(&registration);
    let checked = Checked::new(signed, &network.root(), NOW).expect("it is right");
    let address = checked.address.clone();
    let observed = SocketAddr::from(([192, 0, 2, 9], 1000));
    let location = Bytes::new(Vec::new()).expect("empty");
    machine.clients.attach(Client::new(link, checked, location, observed));
    address
}

#[test]
fn a_watch_that_a_super_peer_passes_on_makes_it_a_subscriber_until_the_device_is_gone() {
    let now = Instant::now();
    let mut network = Network::new(1);
    let mut machine = serving(&mut network, now);
    let (alice, bob) = (network.device("alice"), network.device("bob"));
    let here = at_home(&mut machine, &network, &alice, LinkId::Accepted(1));
    let watcher = Address { user: bob.user.clone(), device: bob.id };
    let subscription = SubscriptionId([5; 16]);
    let asked = |expires| Asked {
        home: *machine.ring.me(),
        grant: alice.keys.sign.sign(&WatchGrant {
            chain: alice.chain.clone(),
            watcher: bob.user.clone(),
            expires,
        }),
        watcher: watcher.clone(),
        watcher_home: Some(node(2)),
        subscription: Some(subscription),
    };
    let (expired, good) = (asked(NOW), asked(NOW.plus(REGISTRATION_LIFE)));
    let stands = |machine: &SuperPeer| machine.clients.has_subscriber(&node(2).node, &subscription);
    let (link, from) = (LinkId::Accepted(2), Who::Node(node(2)));
    machine.handle_watch(now, link, &from, 1, expired);
    assert!(!stands(&machine), "an expired grant lets nobody watch");
    machine.handle_watch(now, link, &from, 1, good);
    assert!(stands(&machine));
    assert!(!machine.clients.has_subscriber(&node(3).node, &subscription), "only its own");
    assert_eq!(machine.watches().subscribers, 1);
    machine.client_gone(now, LinkId::Accepted(1));
    assert!(machine.clients.get(&here).is_none());
    assert_eq!(machine.watches(), Watches::default());
}

#[test]
fn the_list_of_a_dead_home_is_told_once_and_that_of_one_that_left_never() {
    let now = Instant::now();
    let mut network = Network::new(1);
    let mut machine = serving(&mut network, now);
    for home in [10, 20, 30] {
        let (link, from) = (LinkId::Accepted(home.into()), Who::Node(node(home)));
        machine.handle_subscribers(now, link, &from, 1, &whole([1, 2, 3].map(subscriber)));
    }
    let stranger = Who::Guest(AgreeKey([1; 32]));
    machine.handle_subscribers(
        now,
        LinkId::Accepted(9),
        &stranger,
        1,
        &whole([4, 5, 6].map(subscriber)),
    );
    assert_eq!((machine.watches().lists, machine.watches().listed), (3, 9));
    let links = machine.links.len();
    machine.watching.home_left(&node(10).node);
    machine.home_dead(now, &node(10).node);
    assert_eq!(machine.links.len(), links, "nobody is dialled");
    machine.home_dead(now, &node(20).node);
    assert_eq!(machine.links.len(), links + 3);
    machine.home_dead(now, &node(20).node);
    // Nor by silence is the other told twice.
    let silence = Closed::Error(LinkError::Silent);
    machine.watches_lost(now, &node(30).node, &silence);
    assert_eq!(machine.links.len(), links + 3, "those are linked already");
    assert_eq!(machine.watches(), Watches::default());
}

#[test]
fn many_subscribers_are_told_in_several_goes() {
    let now = Instant::now();
    let mut network = Network::new(1);
    let mut machine = serving(&mut network, now);
    let home = node(9999).node;
    let me = machine.ring.me().node;
    for tell in [whole, more, more] {
        let held = machine.watching.copies.len().1 as u16;
        let come: Vec<Subscriber> = (held..held + 256).map(subscriber).collect();
        assert!(machine.watching.copies.handle(now, &me, home, &tell(come)));
    }
    machine.home_dead(now, &home);
    assert_eq!(machine.watching.telling.len(), 512);
    let due = machine.watching.next_due().expect("more is to be told");
    machine.watching_due(due);
    machine.watching_due(due + TELL_EVERY);
    assert!(machine.watching.telling.is_empty() && machine.watching.next_telling.is_none());
}

#[test]
fn only_the_home_that_a_watch_is_noted_for_ends_it_and_the_end_of_its_link_ends_all() {
    let now = Instant::now();
    let mut network = Network::new(1);
    let mut machine = serving(&mut network, now);
    let alice = network.device("alice");
    let watched = at_home(&mut machine, &network, &alice, LinkId::Accepted(1));
    let (old, new) = (node(2), node(3));
    for watcher in ["bob", "carol"] {
        machine.clients.watch(&watched, device(watcher), old, Some(SubscriptionId([2; 16])));
    }
    // Bob comes home elsewhere, and only then his old home ends what it knows of.
    machine.clients.watch(&watched, device("bob"), new, Some(SubscriptionId([3; 16])));
    let of = |watcher: &str| Watch { watcher: device(watcher), watched: watched.clone() };
    machine.handle_unwatch(now, &Who::Node(old), &of("bob"));
    machine.handle_unwatch(now, &Who::Node(new), &of("carol"));
    machine.handle_unwatch(now, &Who::Guest(AgreeKey([1; 32])), &of("carol"));
    assert_eq!((machine.watches().here, machine.watches().subscribers), (2, 2));
    machine.handle_unwatch(now, &Who::Node(old), &of("carol"));
    assert_eq!((machine.watches().here, machine.watches().subscribers), (1, 1));
    let broken = Closed::Down(crate::port::LinkDown::Broken);
    machine.watches_lost(now, &old.node, &broken);
    assert_eq!(machine.watches().here, 1);
    machine.watches_lost(now, &new.node, &broken);
    assert_eq!(machine.watches(), Watches::default());
}
