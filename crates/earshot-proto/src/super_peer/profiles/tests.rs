//! What is refused: at the keeper, at the home that posts, at the home that looks.
#![expect(clippy::disallowed_methods, reason = "a test begins at some moment")]

use std::net::SocketAddr;

use super::super::testing::serving;
use super::*;
use crate::lookup::Near;
use crate::secure::testing::{DAY, Device, NOW, Network};
use crate::time::UnixTime;
use crate::wire::bounded::Text;
use crate::wire::certificate::AgreeKey;
use crate::wire::posting::word_key;

fn sign(device: &Device, by: &Device, name: Option<&str>, counter: u64) -> Signed<Posting> {
    until(device, by, name, counter, NOW.plus(DAY))
}

fn until(
    device: &Device,
    by: &Device,
    name: Option<&str>,
    counter: u64,
    expires: UnixTime,
) -> Signed<Posting> {
    by.keys.sign.sign(&Posting {
        chain: device.chain.clone(),
        display_name: name.map(|name| Text::new(name).expect("short")),
        words: List::first_of([Text::new("alice").expect("short")]),
        counter,
        expires,
        about: None,
    })
}

fn keeper(number: u8) -> NodeEntry {
    let address = SocketAddr::from(([192, 0, 2, number], 4433));
    NodeEntry { node: NodeId([number; 20]), address, key: AgreeKey([number; 32]) }
}

fn page() -> Page {
    Page { word: word_key("alice"), shard: 1, after: None, typed: List::default() }
}

#[test]
fn a_keeper_takes_no_forged_expired_or_replayed_posting_from_another() {
    let now = Instant::now();
    let mut network = Network::new(1);
    let mut machine = serving(&mut network, now);
    let (alice, mallory) = (network.device("alice"), network.device("mallory"));
    let mut keep = |posting| {
        machine.keep_posting(now, &keeper(10).node, word_key("alice"), 1, posting).map(drop)
    };
    let refused = Err(PostingRefusal::PostingRefused);
    assert_eq!(keep(sign(&alice, &mallory, Some("Alice"), 1)), refused, "forged");
    assert_eq!(keep(until(&alice, &alice, Some("Alice"), 1, NOW)), refused, "expired");
    assert_eq!(keep(sign(&alice, &alice, Some("Alice"), 2)), Ok(()));
    assert_eq!(keep(sign(&alice, &alice, None, 3)), Ok(()), "off the list");
    let replayed = sign(&alice, &alice, Some("Alice"), 2);
    assert_eq!(keep(replayed), Err(PostingRefusal::Stale), "replayed");
    assert_eq!(machine.status().postings, 1);
}

#[test]
fn a_device_has_others_post_and_ask_at_its_home_or_not_and_only_for_its_own_user() {
    let now = Instant::now();
    let mut network = Network::new(1);
    let mut machine = serving(&mut network, now);
    let (alice, bob) = (network.device("alice"), network.device("bob"));
    let (link, word) = (LinkId::Accepted(1), word_key("alice"));
    let who = |device: &Device| Who::Device {
        address: crate::wire::forward::Address { user: device.user.clone(), device: device.id },
        identity: device.identity,
        keys: device.keys.public(),
    };
    let posting = sign(&alice, &alice, Some("Alice"), 1);
    machine.handle_postings(
        now,
        link,
        &who(&alice),
        1,
        Message::Post { word, shard: 1, posting: posting.clone() },
    );
    machine.handle_postings(now, link, &who(&alice), 1, Message::FindWord { page: page() });
    let guest = Who::Guest(AgreeKey([1; 32]));
    let post = Message::PostForMe { word, posting: posting.clone() };
    machine.handle_postings(now, link, &guest, 1, post.clone());
    machine.handle_postings(now, link, &guest, 1, Message::FindForMe { page: page() });
    machine.post_for(now, link, &who(&bob), 2, word, posting.clone());
    machine.post_for(now, link, &who(&alice), 3, word_key("bob"), posting.clone());
    machine.post_for(
        now,
        link,
        &who(&alice),
        4,
        word,
        until(&alice, &alice, Some("Alice"), 1, NOW),
    );
    assert_eq!((machine.status().postings, machine.status().counters.pages), (0, 0));
    machine.handle_postings(now, link, &who(&alice), 5, post);
    assert_eq!((machine.status().postings, machine.profiles.jobs()), (1, 0));
    machine.handle_postings(now, link, &who(&bob), 6, Message::FindForMe { page: page() });
    assert_eq!(machine.status().counters.pages, 1);
}

/// A home that puts a page together from what keepers show, and has asked the first of three.
fn looking(machine: &mut SuperPeer, now: Instant) -> (u32, NodeId) {
    let page = page();
    let start = Near::Keepers(vec![keeper(10), keeper(20), keeper(30)]);
    let lookup = Lookup::new(now, shard_key(&page.word, 1), None, start);
    let search = PageSearch {
        page,
        sharers: Vec::new(),
        found: BTreeMap::new(),
        known_to: None,
        split: false,
    };
    let first = lookup.keepers().next().expect("three").node;
    let id = machine.look(now, lookup, Wanted::Page(Box::new(search)));
    (id, first)
}

/// Whom a page shows after its first keeper has shown these.
fn shown(machine: &mut SuperPeer, postings: Vec<Signed<Posting>>) -> Vec<String> {
    let now = Instant::now();
    let (id, first) = looking(machine, now);
    let postings = List::first_of(postings);
    let told = Message::Listed { postings, next: None, split: false, trail: Trail::HERE };
    machine.page_fetched(now, id, &first, Some(told));
    let search = machine.lookups.page(id).expect("two have not answered");
    search.found.keys().map(ToString::to_string).collect()
}

#[test]
fn a_keeper_that_shows_a_forged_expired_or_misplaced_posting_shows_nothing() {
    let mut network = Network::new(1);
    let mut machine = serving(&mut network, Instant::now());
    let (alice, bob, mallory) =
        (network.device("alice"), network.device("bob"), network.device("mallory"));
    let right = sign(&alice, &alice, Some("Alice"), 1);
    assert_eq!(shown(&mut machine, vec![right.clone()]), ["alice"]);
    let misplaced = bob.keys.sign.sign(&Posting {
        chain: bob.chain.clone(),
        display_name: Some(Text::new("Bob").expect("short")),
        words: List::first_of([Text::new("bob").expect("short")]),
        counter: 1,
        expires: NOW.plus(DAY),
        about: None,
    });
    let bads = [
        sign(&bob, &mallory, Some("Bob"), 1),
        until(&bob, &bob, Some("Bob"), 1, NOW),
        misplaced,
        right.clone(),
    ];
    for bad in bads {
        let none: [&str; 0] = [];
        assert_eq!(shown(&mut machine, vec![right.clone(), bad]), none, "not in part");
    }
}

#[test]
fn a_replayed_posting_does_not_bring_back_who_has_left_the_list() {
    let mut network = Network::new(1);
    let now = Instant::now();
    let mut machine = serving(&mut network, now);
    let alice = network.device("alice");
    let (id, _) = looking(&mut machine, now);
    let search = machine.lookups.page_mut(id).expect("it runs");
    let mut take = |name, counter| {
        let checked = check(sign(&alice, &alice, name, counter), &network.root(), NOW);
        search.take(vec![checked.expect("right")], None, false);
        let listed = search.listed(Trail::HERE);
        matches!(listed, Message::Listed { postings, .. } if postings.len() == 1)
    };
    assert!(take(Some("Alice"), 1));
    assert!(!take(None, 2), "the other keeper knows that she has left");
    assert!(!take(Some("Alice"), 1), "replayed");
    assert!(take(Some("Alice"), 3));
}

#[test]
fn a_page_of_several_keepers_ends_where_all_have_told_all() {
    let mut network = Network::new(1);
    let now = Instant::now();
    let mut machine = serving(&mut network, now);
    let (id, _) = looking(&mut machine, now);
    let root = network.root();
    let mut post = |user: &str| {
        let device = network.device(user);
        check(sign(&device, &device, Some("Alice"), 1), &root, NOW).expect("right")
    };
    let (one, two, three) = (post("user1"), post("user2"), post("user3"));
    let search = machine.lookups.page_mut(id).expect("it runs");
    search.take(vec![one.clone(), three], None, false);
    search.take(vec![one, two.clone()], Some(two.user.clone()), true);
    let Message::Listed { postings, next, split, .. } = search.listed(Trail::HERE) else {
        panic!("a page")
    };
    assert_eq!((postings.len(), next, split), (2, Some(two.user), true));
}

#[test]
fn a_page_is_given_again_until_something_is_posted_there() {
    let mut network = Network::new(1);
    let now = Instant::now();
    let mut machine = serving(&mut network, now);
    let alice = network.device("alice");
    machine.find_page_for(now, LinkId::Accepted(1), 1, page());
    assert_eq!(machine.profiles.remembered[&page()].until, now + FRESH_EMPTY);
    let posting = sign(&alice, &alice, Some("Alice"), 1);
    machine.keep_posting(now, &keeper(10).node, word_key("alice"), 1, posting).expect("right");
    assert!(machine.profiles.remembered.is_empty());
    machine.find_page_for(now, LinkId::Accepted(1), 2, page());
    let Remembered { listed, until } = &machine.profiles.remembered[&page()];
    let Message::Listed { postings, trail, .. } = listed else { panic!("a page") };
    assert_eq!((postings.len(), trail.cached, *until), (1, true, now + FRESH));
}
