//! Crowded words, pages, and ends.

use std::time::Duration;

use super::*;
use crate::secure::postings::check;
use crate::secure::testing::{DAY, Device, NOW, Network};
use crate::wire::bounded::Text;
use crate::wire::posting::{prefix_of, shard_below, word_key};

fn signed(device: &Device, words: &[&str], counter: u64, life: Duration) -> Signed<Posting> {
    device.keys.sign.sign(&Posting {
        chain: device.chain.clone(),
        display_name: Some(Text::new("Somebody").expect("short")),
        words: List::first_of(words.iter().map(|word| Text::new(*word).expect("short"))),
        counter,
        expires: NOW.plus(life),
        about: None,
    })
}

fn user(number: usize) -> UserName {
    UserName::new(&format!("user{number:05}")).expect("a name")
}

/// Postings of alice's, as if of other users: signatures are checked elsewhere.
fn copies(network: &mut Network) -> impl Fn(usize, &[&str], Duration) -> Checked {
    let (alice, root) = (network.device("alice"), network.root());
    let checked = check(signed(&alice, &["x"], 1, DAY), &root, NOW).expect("right");
    move |number, words, life| {
        let mut copy = checked.clone();
        copy.user = user(number);
        copy.posting.words =
            List::first_of(words.iter().map(|word| Text::new(*word).expect("short")));
        copy.posting.expires = NOW.plus(life);
        copy
    }
}

fn page(word: RingKey, shard: u8, after: Option<UserName>) -> Page {
    Page { word, shard, after, typed: List::default() }
}

/// How many are found there, whether more follow, and whether it is split.
fn listed(store: &Postings, page: &Page, now: UnixTime) -> (usize, bool, bool) {
    let message = store.find(page, now);
    let Message::Listed { postings, next, split, .. } = message else { panic!("{message:?}") };
    (postings.len(), next.is_some(), split)
}

#[test]
fn a_posting_is_found_by_its_words_and_their_prefixes_and_held_nowhere_else() {
    let mut network = Network::new(1);
    let make = copies(&mut network);
    let mut store = Postings::default();
    let keys = ["alice", "ali", "smith", "smi"].map(word_key);
    for key in keys {
        assert_eq!(store.post(key, 1, make(1, &["alice", "smith"], DAY), NOW), Ok(false));
    }
    for key in keys {
        assert_eq!(listed(&store, &page(key, 1, None), NOW), (1, false, false));
    }
    let refused = Err(PostingRefusal::NotHere);
    for other in ["alic", "bob", "mith"] {
        let posting = make(1, &["alice", "smith"], DAY);
        assert_eq!(store.post(word_key(other), 1, posting, NOW), refused);
    }
    assert_eq!(prefix_of("alice"), Some("ali"));
    let elsewhere = shard_below(&user(1), 1).expect("a half") ^ 1;
    assert_eq!(store.post(keys[0], elsewhere, make(1, &["alice"], DAY), NOW), refused);
    assert_eq!(store.len(), 4);
}

#[test]
fn the_highest_counter_wins_and_a_nameless_one_takes_its_user_off_the_list() {
    let mut network = Network::new(1);
    let (alice, root) = (network.device("alice"), network.root());
    let mut store = Postings::default();
    let key = word_key("alice");
    let mut post = |counter, is_listed: bool| {
        let mut posting = check(signed(&alice, &["alice"], counter, DAY), &root, NOW);
        if let Ok(checked) = &mut posting
            && !is_listed
        {
            checked.posting.display_name = None;
        }
        store.post(key, 1, posting.expect("right"), NOW)
    };
    assert_eq!(post(2, true), Ok(false));
    assert_eq!(post(1, true), Err(PostingRefusal::Stale));
    assert_eq!(post(3, false), Ok(false));
    assert_eq!(post(2, true), Err(PostingRefusal::Stale), "a replay brings nobody back");
    assert_eq!(post(4, true), Ok(false));
}

#[test]
fn a_hot_word_is_split_and_everybody_is_found() {
    let mut network = Network::new(1);
    let make = copies(&mut network);
    let mut store = Postings::default();
    let key = word_key("maria");
    let crowd = 2_000;
    for number in 0..crowd {
        let mut shard = 1;
        loop {
            match store.post(key, shard, make(number, &["maria"], DAY), NOW) {
                Ok(_) => break,
                Err(PostingRefusal::Full) => {
                    shard = shard_below(&user(number), shard).expect("not so many");
                }
                Err(other) => panic!("{other:?}"),
            }
        }
    }
    let mut found = BTreeSet::new();
    let (mut shards, mut asked) = (vec![1], 0);
    while let Some(shard) = shards.pop() {
        let mut after: Option<UserName> = None;
        loop {
            asked += 1;
            let message = store.find(&page(key, shard, after.clone()), NOW);
            let Message::Listed { postings, next, split, .. } = message else { panic!("a page") };
            let users = store.shards[&(key, shard)].users.keys();
            let behind = users.filter(|user| after.as_ref().is_none_or(|after| *user > after));
            found.extend(behind.take(postings.len()).cloned());
            if next.is_none() {
                shards.extend(halves(shard).filter(|_| split).into_iter().flatten());
                break;
            }
            after = next;
        }
    }
    assert_eq!(found.len(), crowd);
    assert!(store.shards.values().all(|shard| shard.users.len() <= SHARD_MAX));
    assert!(asked <= crowd / LISTED_MAX + 31, "{asked} questions");
}

#[test]
fn a_page_names_who_is_last_and_shows_only_who_has_the_words_that_were_typed() {
    let mut network = Network::new(1);
    let make = copies(&mut network);
    let mut store = Postings::default();
    let key = word_key("maria");
    for number in 0..20 {
        let second = if number % 2 == 0 { "smith" } else { "jones" };
        assert_eq!(store.post(key, 1, make(number, &["maria", second], DAY), NOW), Ok(false));
    }
    let message = store.find(&page(key, 1, None), NOW);
    let Message::Listed { postings, next, .. } = message else { panic!("a page") };
    assert_eq!((postings.len(), next), (LISTED_MAX, Some(user(LISTED_MAX - 1))));
    assert_eq!(listed(&store, &page(key, 1, Some(user(17))), NOW), (2, false, false));
    let typed = |words: &[&str]| Page {
        typed: List::first_of(words.iter().map(|word| Text::new(*word).expect("short"))),
        ..page(key, 1, Some(user(13)))
    };
    assert_eq!(listed(&store, &typed(&["mar", "smi"]), NOW), (3, false, false));
    assert_eq!(listed(&store, &typed(&["smith", "jones"]), NOW), (0, false, false));
}

#[test]
fn what_is_held_is_offered_by_name_and_counter() {
    let mut network = Network::new(1);
    let make = copies(&mut network);
    let mut store = Postings::default();
    let key = word_key("maria");
    assert_eq!(store.post(key, 1, make(1, &["maria"], DAY), NOW), Ok(false));
    let name = store.names().next().expect("one is held");
    assert_eq!((name.word, name.shard, name.ring_key()), (key, 1, key));
    let offered = |counter| Offered { record: name.record(), counter };
    assert!(store.has(&offered(1)) && !store.has(&offered(2)));
    assert!(matches!(store.post_of(&name), Some(Message::Post { shard: 1, .. })));
    store.sweep(NOW.plus(DAY));
    assert!(!store.has(&offered(1)) && store.post_of(&name).is_none());
}

#[test]
fn what_has_ended_is_not_listed_and_makes_room() {
    let mut network = Network::new(1);
    let make = copies(&mut network);
    let mut store = Postings::default();
    let (key, hour) = (word_key("maria"), DAY / 24);
    for number in 0..SHARD_MAX {
        assert_eq!(store.post(key, 1, make(number, &["maria"], hour), NOW), Ok(false));
    }
    let late = make(SHARD_MAX, &["maria"], DAY);
    assert_eq!(store.post(key, 1, late.clone(), NOW), Err(PostingRefusal::Full));
    let then = NOW.plus(hour);
    assert_eq!(listed(&store, &page(key, 1, None), then), (0, false, true));
    assert_eq!(store.post(key, 1, late, then), Ok(true));
    assert_eq!(store.len(), 1);
    store.sweep(NOW.plus(DAY));
    assert!(
        store.is_empty()
            && store.shards.is_empty()
            && store.by_size.is_empty()
            && store.counters.is_empty()
    );
}

#[test]
fn a_flood_displaces_itself() {
    let mut network = Network::new(1);
    let make = copies(&mut network);
    let flood = make(0, &["maria"], DAY);
    let mut store = Postings::default();
    let quiet = word_key("anna");
    assert_eq!(store.post(quiet, 1, make(1, &["anna"], DAY / 2), NOW), Ok(false));
    let words: Vec<String> = (0..POSTINGS_MAX / 400 + 20).map(|n| format!("word{n}")).collect();
    for word in &words {
        let mut posting = flood.clone();
        posting.posting.words = List::first_of([Text::new(word.as_str()).expect("short")]);
        for number in 0..400 {
            posting.user = user(number);
            let _ = store.post(word_key(word), 1, posting.clone(), NOW);
        }
    }
    assert_eq!(store.len(), POSTINGS_MAX);
    assert_eq!(listed(&store, &page(quiet, 1, None), NOW).0, 1);
}
