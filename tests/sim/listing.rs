//! Finding those who chose to be listed. DESIGN 2.5 (directory search).

use std::collections::BTreeSet;
use std::time::Duration;

use earshot_proto::peer::command::{Command, Failure, Listed, SearchEnd, Wish};
use earshot_proto::wire::bounded::{List, Text};
use earshot_proto::wire::directory::Reachability;
use earshot_tests::lab::rivals::overlay;
use earshot_tests::sim::{Nat, PASSWORD, SOON, World};

/// Longer than a page is remembered at homes.
const FORGOTTEN: Duration = Duration::from_secs(61);

fn found(world: &mut World, at: &str, typed: &str) -> Vec<String> {
    world.find(at, typed).0.into_iter().collect()
}

/// Anna and Asta are listed, Otto is not, Bob looks.
fn neighbours(seed: u64) -> World {
    let mut world = World::new(seed).network(6);
    for (name, display_name) in
        [("anna", "Anna Virtanen"), ("asta", "Ästa Virta"), ("otto", "Otto Virtanen")]
    {
        world.person_named(name, display_name);
    }
    world.person("bob");
    world.list("anna", true);
    world.list("asta", true);
    world
}

#[test]
fn who_is_listed_is_found_by_words_and_their_beginnings_and_nobody_else_is() {
    let mut world = neighbours(300);
    assert_eq!(found(&mut world, "bob", "virtanen"), ["anna"]);
    assert_eq!(found(&mut world, "bob", "VIRT"), ["anna", "asta"]);
    assert_eq!(found(&mut world, "bob", "asta"), ["asta"]);
    assert_eq!(found(&mut world, "bob", "virta ast"), ["asta"]);
    let (nobody, end) = world.find("bob", "virtanen otto");
    assert_eq!((nobody.len(), end), (0, SearchEnd::NotFound));
    assert_eq!(found(&mut world, "bob", "otto"), ["otto"], "by the exact name");
    let hits = &world.owner("bob").hits;
    let names: BTreeSet<_> = hits.iter().filter_map(|hit| hit.display_name.as_deref()).collect();
    assert_eq!(names, ["Anna Virtanen", "Ästa Virta"].into());
    assert!(hits.iter().all(|hit| hit.round == 1 && (1..=4).contains(&hit.asked_nodes)));
}

#[test]
fn who_is_found_by_name_and_by_words_counts_once() {
    let mut world = neighbours(301);
    assert_eq!(found(&mut world, "bob", "anna"), ["anna"]);
    let last = world.owner("bob").hits.last().expect("she was found");
    assert_eq!((last.display_name.as_deref(), last.online), (Some("Anna Virtanen"), Some(true)));
}

#[test]
fn a_page_that_was_just_asked_for_comes_from_a_cache() {
    let mut world = neighbours(302);
    for is_cached in [false, true] {
        assert_eq!(found(&mut world, "bob", "virtanen"), ["anna"]);
        assert_eq!(world.owner("bob").hits.last().expect("found").from_cache, is_cached);
    }
}

#[test]
fn who_leaves_the_list_is_not_found_any_more() {
    let mut world = neighbours(303);
    assert_eq!(found(&mut world, "bob", "virta"), ["anna", "asta"]);
    world.list("anna", false);
    world.run_for(FORGOTTEN);
    assert_eq!(found(&mut world, "bob", "virta"), ["asta"]);
    assert_eq!(found(&mut world, "bob", "virtanen"), [""; 0]);
    assert_eq!(found(&mut world, "bob", "anna"), ["anna"], "by the exact name");
    world.list("anna", true);
    world.run_for(FORGOTTEN);
    assert_eq!(found(&mut world, "bob", "virta"), ["anna", "asta"]);
}

#[test]
fn who_is_listed_under_another_name_and_words_is_found_by_them_and_not_by_those_of_before() {
    let mut world = neighbours(308);
    let wish = |name: &str, words: &[&str]| Wish {
        is_listed: true,
        name: Some(Text::new(name).expect("short")),
        about: Some(List::first_of(words.iter().map(|w| Text::new(*w).expect("short")))),
    };
    let list = |world: &mut World, wish| {
        world.ask("anna", Command::SetListed(wish)).expect("always possible");
        world.run_until(|w| w.listed("anna") == Some(Listed::On), SOON);
        world.run_for(FORGOTTEN);
    };
    list(&mut world, wish("Ani from the Choir", &["Helsinki", "Soprano"]));
    assert_eq!(found(&mut world, "bob", "helsinki"), ["anna"]);
    assert_eq!(found(&mut world, "bob", "ani sopr"), ["anna"]);
    let hit = world.owner("bob").hits.last().expect("found").clone();
    assert_eq!(hit.display_name.as_deref(), Some("Ani from the Choir"));
    assert_eq!((hit.user.as_str(), hit.about), ("anna", vec!["Helsinki".into(), "Soprano".into()]));
    assert_eq!(found(&mut world, "bob", "virtanen"), [""; 0], "the name of before");
    // On her other devices too, and after a restart.
    world.crash("anna");
    world.comes_back("anna", "anna");
    world.run_until(|w| w.listed("anna") == Some(Listed::On), SOON);
    let view = world.peer("anna").session_view().expect("she is logged in");
    assert_eq!(view.listed_as.0.as_deref(), Some("Ani from the Choir"));
    list(&mut world, wish("", &[]));
    assert_eq!(found(&mut world, "bob", "helsinki"), [""; 0], "a word that was taken back");
    assert_eq!(found(&mut world, "bob", "virtanen"), ["anna"], "the account's name again");
}

#[test]
fn who_leaves_the_list_without_a_home_is_taken_off_when_there_is_one_again() {
    let mut world = neighbours(304);
    for number in 1..=6 {
        world.cut("anna", &format!("super-{number}"));
    }
    world.run_until(|w| w.owner("anna").network.as_ref().is_some_and(|n| n.home.is_none()), SOON);
    world.ask("anna", Command::SetListed(false.into())).expect("always possible");
    assert_eq!(world.listed("anna"), Some(Listed::Leaving));
    world.crash("anna");
    world.heal();
    world.comes_back("anna", "anna");
    world.run_until(|w| w.listed("anna") == Some(Listed::Off), SOON);
    assert_eq!(found(&mut world, "bob", "virta"), ["asta"]);
}

#[test]
fn the_choice_is_kept_with_the_account_and_followed_by_its_other_devices() {
    let mut world = neighbours(305);
    world.crash("anna");
    world.comes_back("anna", "anna");
    assert_eq!(world.listed("anna"), Some(Listed::On));
    world.device("laptop", Nat::Cone);
    world.join("laptop");
    world.log_in("laptop", "anna", PASSWORD).expect("the password is right");
    world.run_until(|w| w.listed("laptop") == Some(Listed::On), SOON);
    world.list("laptop", false);
    world.run_until(|w| w.listed("anna") == Some(Listed::Off), SOON);
    assert_eq!(found(&mut world, "bob", "virta"), ["asta"]);
}

#[test]
fn a_choice_that_cannot_be_kept_is_refused_and_nothing_is_posted() {
    let mut world = neighbours(306);
    world.fill_disk("otto");
    let refused = world.ask("otto", Command::SetListed(true.into()));
    assert!(matches!(refused, Err(Failure::NotKept(_))), "{refused:?}");
    world.run_for(Duration::from_secs(5));
    assert_eq!(world.listed("otto"), Some(Listed::Off));
    assert_eq!(found(&mut world, "bob", "virtanen"), ["anna"]);
}

#[test]
fn a_restricted_peer_is_listed_and_finds_without_a_connection_of_its_own() {
    let mut world = neighbours(307);
    world.pretending("carol", Nat::UdpBlocked, Some(Reachability::Restricted));
    world.comes_in("carol");
    // Relays are looked for over links of their own.
    world.run_for(Duration::from_secs(10));
    let before = world.dials("carol");
    world.list("carol", true);
    assert_eq!(found(&mut world, "carol", "virt"), ["anna", "asta"]);
    assert_eq!(found(&mut world, "bob", "car"), ["carol"]);
    assert_eq!(world.dials("carol"), before);
}

#[test]
fn a_profile_that_all_its_keepers_lost_is_posted_again() {
    let mut world = World::new(308).network(2);
    world.person_named("anna", "Anna Virtanen");
    world.list("anna", true);
    for name in ["super-1", "super-2"] {
        world.crash(name);
    }
    for name in ["super-1", "super-2"] {
        world.start(name);
    }
    world.person("bob");
    assert_eq!(found(&mut world, "bob", "virt"), [""; 0], "keepers hold it in memory only");
    world.run_for(Duration::from_secs(9 * 3600));
    assert_eq!(found(&mut world, "bob", "virt"), ["anna"]);
}

const NAMES: [(&str, &str); 12] = [
    ("aino", "Aino Korhonen"),
    ("antti", "Antti Korpela"),
    ("eero", "Eero Mäkinen"),
    ("elina", "Elina Mäkelä"),
    ("helmi", "Helmi Nieminen"),
    ("ilmari", "Ilmari Niemi"),
    ("juhani", "Juhani Laine"),
    ("kerttu", "Kerttu Lainela"),
    ("lempi", "Lempi Heikkinen"),
    ("martti", "Martti Heikkilä"),
    ("oskari", "Oskari Salonen"),
    ("saimi", "Saimi Salo"),
];

/// What is typed, and who has it.
fn wanted() -> Vec<(String, BTreeSet<String>)> {
    let words = NAMES.iter().flat_map(|(_, name)| name.split(' '));
    let typed: BTreeSet<String> = words
        .flat_map(|word| [word.to_lowercase(), word.to_lowercase().chars().take(3).collect()])
        .collect();
    let has = |typed: &String, name: &str| {
        name.to_lowercase().split(' ').any(|word| word.starts_with(typed.as_str()))
    };
    let who = |typed: &String| -> BTreeSet<String> {
        let theirs = NAMES.iter().filter(|(_, name)| has(typed, name));
        theirs.map(|(user, _)| (*user).to_owned()).collect()
    };
    typed.into_iter().map(|typed| (typed.clone(), who(&typed))).collect()
}

/// Questions that super-peers were asked so far.
fn questions(world: &World, super_peers: usize) -> u64 {
    let of = |number: usize| {
        let status = world.status(&format!("super-{number}"));
        status.answers.first + status.answers.in_session + status.counters.pages
    };
    (1..=super_peers).map(of).sum()
}

#[test]
fn words_are_found_in_a_ring_whose_super_peers_come_and_go_with_few_messages() {
    const SUPER_PEERS: usize = 24;
    let mut world = World::new(309).ring(SUPER_PEERS, 8);
    for (user, display_name) in NAMES {
        world.person_named(user, display_name);
        world.list(user, true);
    }
    let (mut sought, mut missed) = (0, Vec::new());
    let all = wanted();
    for minute in 0..SUPER_PEERS {
        // Each super-peer dies once, without a word, and comes back two minutes later.
        world.vanish(&format!("super-{}", minute + 1));
        if minute >= 2 {
            world.start(&format!("super-{}", minute - 1));
        }
        world.run_for(Duration::from_secs(60));
        for (at, (typed, who)) in all.iter().enumerate().skip(minute % 6).step_by(6) {
            let seeker = NAMES[at % NAMES.len()].0;
            if !world.is_settled(seeker) {
                continue;
            }
            let (found, _) = world.find(seeker, typed);
            sought += who.len();
            missed.extend(who.difference(&found).map(|user| (minute, typed.clone(), user.clone())));
        }
    }
    println!("FIGURE listing.recall_missed={} of {sought}", missed.len());
    assert!(missed.len() * 100 <= sought, "of {sought}: {missed:?}");

    for number in [SUPER_PEERS - 1, SUPER_PEERS] {
        world.start(&format!("super-{number}"));
    }
    world.run_for(Duration::from_secs(120));
    world.run_until(|w| NAMES.iter().all(|(user, _)| w.is_settled(user)), SOON);
    let idle = {
        let before = questions(&world, SUPER_PEERS);
        world.run_for(Duration::from_secs(60));
        questions(&world, SUPER_PEERS) - before
    };
    let (before, begin) = (questions(&world, SUPER_PEERS), world.now());
    for (at, (typed, who)) in all.iter().enumerate() {
        let (found, _) = world.find(NAMES[at % NAMES.len()].0, typed);
        assert!(who.is_subset(&found), "{typed}: {found:?}");
    }
    let took = (world.now() - begin).as_secs_f64();
    let asked = (questions(&world, SUPER_PEERS) - before) as f64 - idle as f64 * took / 60.0;
    let messages = 2.0 * asked / all.len() as f64;
    let flooding = overlay::flooding(2_000, 0.0, 20, 1).messages;
    println!("FIGURE listing.messages={messages:.1} flooding={flooding:.1}");
    assert!(messages <= flooding / 100.0, "{messages} messages, flooding {flooding}");
}
