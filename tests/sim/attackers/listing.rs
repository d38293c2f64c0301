//! Directories that lie: what they hide of those who chose to be listed, and what they show.

use std::collections::{BTreeMap, BTreeSet};

use earshot_proto::entropy::Entropy;
use earshot_proto::peer::command::{SearchEnd, Wish};
use earshot_proto::wire::bounded::{List, Text};
use earshot_tests::sim::adversary::Vice;
use earshot_tests::sim::{Nat, World};

use super::{SECOND, SUPER_PEERS, THRESHOLD, cast, person, super_peer};

/// People, all listed.
const LISTED: usize = 30;
/// Names of their own, and of their families; each pair of them is one person's.
const GIVEN: [&str; 6] = ["Aino", "Eero", "Helmi", "Juhani", "Lempi", "Oskari"];
const FAMILY: [&str; 5] = ["Korhonen", "Makinen", "Nieminen", "Salonen", "Virtanen"];
/// Places that people say they live at; every fourth says one of them.
const PLACES: [&str; 3] = ["Tampere", "Rovaniemi", "Helsinki"];

/// The name for people of a person.
fn name_of(number: usize) -> (&'static str, &'static str) {
    (GIVEN[number % GIVEN.len()], FAMILY[number % FAMILY.len()])
}

fn place_of(number: usize) -> Option<&'static str> {
    number.is_multiple_of(4).then(|| PLACES[number / 4 % PLACES.len()])
}

/// A ring with these liars, and people who have chosen to be listed, by names and places.
fn directory(seed: u64, liars: BTreeMap<String, Vice>) -> World {
    let mut world = World::new(seed).with_liars(liars).ring(SUPER_PEERS, THRESHOLD);
    for number in 1..=LISTED {
        let (given, family) = name_of(number);
        world.person_named(&person(number), &format!("{given} {family}"));
    }
    for number in 1..=LISTED {
        let about = place_of(number).into_iter().map(|place| Text::new(place).expect("short"));
        let wish = Wish { is_listed: true, name: None, about: Some(List::first_of(about)) };
        world.list(&person(number), wish);
    }
    world.run_for(SECOND * 10);
    world
}

/// All that is typed, and who has a word that begins so.
fn typed() -> BTreeMap<String, BTreeSet<String>> {
    let mut wanted: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for number in 1..=LISTED {
        let (given, family) = name_of(number);
        let words = [given, family].into_iter().chain(place_of(number));
        for word in words.map(str::to_lowercase) {
            let beginning = word.chars().take(4).collect();
            for typed in [word, beginning] {
                wanted.entry(typed).or_default().insert(person(number));
            }
        }
    }
    wanted
}

/// What came of searches by words.
#[derive(Debug, Default)]
struct Recall {
    searches: usize,
    wanted: usize,
    missed: Vec<(String, String, String)>,
    /// Those who are found by nobody who looks.
    hidden: BTreeSet<String>,
}

impl Recall {
    fn percent(&self) -> f64 {
        (self.wanted - self.missed.len()) as f64 * 100.0 / self.wanted as f64
    }
}

/// How much is found with so many liars; that nothing else is shown is asserted.
fn recall(seed: u64, percent: usize, rounds: usize) -> Recall {
    let mut lot = Entropy::new([seed as u8; 32]).jitter;
    let liars = cast(&mut lot, percent, &Vice::OF_DIRECTORY);
    let mut world = directory(seed, liars);
    let wanted = typed();
    let mut recall = Recall { hidden: (1..=LISTED).map(person).collect(), ..Recall::default() };
    for _ in 0..rounds {
        for (typed, who) in &wanted {
            let by = person(1 + lot.below(LISTED as u64) as usize);
            let (found, _) = world.find(&by, typed);
            let wrong: Vec<_> = found.difference(who).collect();
            assert!(wrong.is_empty(), "{typed} shows {wrong:?}");
            recall.searches += 1;
            recall.wanted += who.len();
            let missed = who.difference(&found);
            recall.missed.extend(missed.map(|of| (by.clone(), typed.clone(), of.clone())));
            recall.hidden.retain(|user| !found.contains(user));
        }
    }
    for number in 1..=LISTED {
        for hit in &world.owner(&person(number)).hits {
            let of = (1..=LISTED).find(|n| person(*n) == hit.user.as_str()).expect("a person");
            let (given, family) = name_of(of);
            assert_eq!(hit.display_name.as_deref(), Some(&*format!("{given} {family}")));
            let about = hit.about.first().map(String::as_str);
            assert_eq!(about, place_of(of), "of {}", hit.user);
        }
    }
    assert!(percent == 0 || world.misdeeds() > 50, "they did nothing: {}", world.misdeeds());
    println!("FIGURE listing.recall_{percent}={:.2} {recall:?}", recall.percent());
    recall
}

#[test]
fn a_fifth_of_lying_directories_hides_nobody_who_is_listed() {
    let recall = recall(530, 20, 8);
    assert!(recall.percent() >= 99.0 && recall.hidden.is_empty(), "{recall:?}");
}

#[test]
fn half_of_lying_directories_hides_nobody_from_everybody() {
    let recall = recall(531, 50, 8);
    assert!(recall.percent() >= 90.0 && recall.hidden.is_empty(), "{recall:?}");
}

#[test]
fn whoever_is_at_home_at_a_lying_directory_is_listed_and_finds_others() {
    let liars = (1..).map(super_peer).zip(Vice::OF_DIRECTORY).collect();
    let mut world = World::new(532).with_liars(liars).ring(12, THRESHOLD);
    let people = [("aino", 1, "Tampere"), ("eero", 2, "Rovaniemi"), ("lempi", 3, "Helsinki")];
    world.person("oskari");
    for (name, home, place) in people {
        world.device(name, Nat::Cone);
        world.comes_in_while_only(name, &super_peer(home));
        let about = Some(List::first_of([Text::new(place).expect("short")]));
        world.list(name, Wish { is_listed: true, name: None, about });
    }
    for (name, home, place) in people {
        assert_eq!(world.home(name), super_peer(home), "{name} stays at home");
        for by in ["oskari", "aino", "eero", "lempi"] {
            let (found, end) = world.find(by, place);
            assert_eq!(found, [name.to_owned()].into(), "{by} looks for {place}");
            assert_eq!(end, SearchEnd::Found);
        }
    }
    for by in ["aino", "eero", "lempi"] {
        assert_eq!(world.find(by, "Kuopio").0.len(), 0);
    }
}
