//! What a directory search has brought: profiles as they come in, from many keepers of many keys.
//! DESIGN 2.5 (directory search).
//!
//! Invariants: only what verifies is taken, and only from who claims no words but those of the own
//! names and those that are shown;
//! each user once, the highest counter; at most [`FOUND_MAX`] who fit, after which only news of
//! those that are there are taken.

use std::collections::BTreeMap;

use super::words::{keys, words, words_of};
use crate::ids::{RingKey, UserName};
use crate::secure::postings::{Checked, check};
use crate::time::UnixTime;
use crate::wire::certificate::{Signed, VerifyKey};
use crate::wire::posting::Posting;

/// Profiles found by one search at most. Our choice: more than anybody reads through.
pub const FOUND_MAX: usize = 200;
/// Users remembered in one search at most, with those who do not fit: as many as all its pages
/// show.
const HELD_MAX: usize = 2_000;

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    words: Vec<String>,
}

impl Query {
    /// What somebody typed; none when there is no word in it.
    #[must_use]
    pub fn new(typed: &str) -> Option<Self> {
        let words = words(typed);
        (!words.is_empty()).then_some(Self { words })
    }

    /// The keys to ask for: of the longest word, as it finds least, and of its prefix, as it may be
    /// the beginning of a longer one.
    #[must_use]
    pub fn keys(&self) -> Vec<RingKey> {
        let longest = self.words.iter().max_by_key(|word| word.chars().count());
        longest.map(|word| keys(std::slice::from_ref(word))).unwrap_or_default()
    }

    /// The folded words that were typed.
    #[must_use]
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// Whether each word that was typed begins one of these.
    fn matches(&self, words: &[String]) -> bool {
        self.words.iter().all(|typed| words.iter().any(|word| word.starts_with(typed.as_str())))
    }
}

/// A profile that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The user.
    pub user: UserName,
    /// As the user wants to be called.
    pub display_name: String,
    /// Words of the user's own choice.
    pub about: Vec<String>,
}

/// The profiles found so far.
#[derive(Debug)]
pub struct Listings {
    query: Query,
    root: VerifyKey,
    found: BTreeMap<UserName, (u64, Option<Profile>)>,
    refused: u32,
}

/// What came of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Profiles not seen yet, or seen older.
    pub news: Vec<Profile>,
    /// Postings that verify and are of somebody who is looked for, news or not.
    pub fitting: usize,
}

impl Listings {
    /// A search that has found nothing yet, in the network of that root.
    #[must_use]
    pub const fn new(query: Query, root: VerifyKey) -> Self {
        Self { query, root, found: BTreeMap::new(), refused: 0 }
    }

    /// Takes what somebody lists.
    pub fn take(&mut self, postings: &[Signed<Posting>], now: UnixTime) -> Taken {
        let mut taken = Taken::default();
        for signed in postings {
            let Some((profile, is_new)) = self.take_one(signed, now) else { continue };
            taken.fitting += 1;
            taken.news.extend(is_new.then_some(profile));
        }
        taken
    }

    /// The profile, if it is one that is looked for, and whether it is new.
    fn take_one(&mut self, signed: &Signed<Posting>, now: UnixTime) -> Option<(Profile, bool)> {
        let Ok(Checked { user, posting, .. }) = check(signed.clone(), &self.root, now) else {
            self.refused = self.refused.saturating_add(1);
            return None;
        };
        let name = posting.display_name.as_ref().map(|name| name.as_str());
        let about: Vec<String> = posting
            .about
            .iter()
            .flat_map(|about| about.iter())
            .map(|word| word.as_str().to_owned())
            .collect();
        let own = words_of(&user, name.unwrap_or_default(), about.iter().map(String::as_str));
        if name.is_some()
            && posting.words.iter().any(|word| !own.iter().any(|w| w == word.as_str()))
        {
            self.refused = self.refused.saturating_add(1);
            return None;
        }
        let shown = name.filter(|_| self.query.matches(&own));
        let profile =
            shown.map(|name| Profile { user: user.clone(), display_name: name.to_owned(), about });
        let before = self.found.get(&user);
        let is_known = before.is_some_and(|(counter, _)| *counter >= posting.counter);
        let has_no_room = before.is_none() && (self.is_full() || self.found.len() >= HELD_MAX);
        if is_known || has_no_room {
            return profile.map(|profile| (profile, false));
        }
        self.found.insert(user, (posting.counter, profile.clone()));
        profile.map(|profile| (profile, true))
    }

    /// Whether no further person is taken. Whoever does not fit what is looked for does not count:
    /// else somebody who shows others' postings could end a search.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.profiles().count() >= FOUND_MAX
    }

    /// All that are found, by user name.
    pub fn profiles(&self) -> impl Iterator<Item = &Profile> {
        self.found.values().filter_map(|(_, profile)| profile.as_ref())
    }

    /// Postings that were refused: forged, out of time, or under words that are not the user's own.
    #[must_use]
    pub const fn refused(&self) -> u32 {
        self.refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secure::testing::{DAY, Device, NOW, Network};
    use crate::wire::bounded::{List, Text};

    fn post(device: &Device, name: Option<&str>, counter: u64) -> Signed<Posting> {
        let words = words_of(&device.user, name.unwrap_or_default(), []);
        sign(device, name, &words, counter)
    }

    fn sign(
        device: &Device,
        name: Option<&str>,
        words: &[String],
        counter: u64,
    ) -> Signed<Posting> {
        device.keys.sign.sign(&Posting {
            chain: device.chain.clone(),
            display_name: name.map(|name| Text::new(name).expect("short")),
            words: List::first_of(words.iter().map(|w| Text::new(w.as_str()).expect("short"))),
            counter,
            expires: NOW.plus(DAY),
            about: None,
        })
    }

    fn search(network: &Network, typed: &str) -> Listings {
        Listings::new(Query::new(typed).expect("a word"), network.root())
    }

    #[test]
    fn a_profile_is_news_once_however_many_keepers_list_it() {
        let mut network = Network::new(1);
        let (alice, bob) = (network.device("asmith"), network.device("bob"));
        let mut found = search(&network, "alice");
        let page = [post(&alice, Some("Alice Smith"), 2), post(&bob, Some("Bob"), 1)];
        let Taken { news, fitting } = found.take(&page, NOW);
        assert_eq!(fitting, 1, "Bob is not looked for");
        assert_eq!(
            news.iter().map(|p| p.display_name.as_str()).collect::<Vec<_>>(),
            ["Alice Smith"]
        );
        assert_eq!(found.take(&page, NOW), Taken { news: Vec::new(), fitting: 1 });
        assert_eq!(found.take(&[post(&alice, Some("Alice Old"), 1)], NOW).news, []);
        assert_eq!(found.take(&[post(&alice, Some("Alice Jones"), 3)], NOW).news.len(), 1);
        assert_eq!(found.profiles().count(), 1);
        found.take(&[post(&alice, None, 4)], NOW);
        assert_eq!((found.profiles().count(), found.refused()), (0, 0));
    }

    #[test]
    fn every_word_that_was_typed_must_begin_one_of_the_names() {
        let mut network = Network::new(1);
        let alice = network.device("asmith");
        for (typed, is_found) in [
            ("alice", true),
            ("ALI", true),
            ("ali smi", true),
            ("smith, alice", true),
            ("asm", true),
            ("alice jones", false),
            ("lice", false),
        ] {
            let mut found = search(&network, typed);
            let news = found.take(&[post(&alice, Some("Alice Smith"), 1)], NOW).news;
            assert_eq!(news.len(), usize::from(is_found), "{typed}");
        }
    }

    #[test]
    fn the_keys_to_ask_for_are_among_those_that_are_posted_at() {
        let mut network = Network::new(1);
        let alice = network.device("asmith");
        let posted = keys(&words_of(&alice.user, "Alice Smith", []));
        for typed in ["alice", "alic", "al smith", "asm"] {
            let asked = Query::new(typed).expect("a word").keys();
            assert!(asked.iter().any(|key| posted.contains(key)), "{typed}");
            assert!(asked.len() <= 2);
        }
        assert_eq!(Query::new(" . "), None);
    }

    #[test]
    fn whoever_posts_under_words_that_are_not_the_own_is_refused() {
        let mut network = Network::new(1);
        let (mut other, mallory) = (Network::new(2), network.device("mallory"));
        let mut found = search(&network, "alice");
        let lie = sign(&mallory, Some("Mallory"), &words("alice"), 1);
        let stranger = other.device("alice");
        assert_eq!(found.take(&[lie, post(&stranger, Some("Alice"), 1)], NOW).news, []);
        assert_eq!(found.refused(), 2);
    }

    #[test]
    fn words_of_ones_own_choice_are_found_because_they_are_shown() {
        let mut network = Network::new(1);
        let alice = network.device("asmith");
        let posting = |about: &[&str]| {
            let shown = about.iter().map(|word| Text::new(*word).expect("short"));
            let words = words_of(&alice.user, "Alice", ["Helsinki"]);
            alice.keys.sign.sign(&Posting {
                chain: alice.chain.clone(),
                display_name: Some(Text::new("Alice").expect("short")),
                words: List::first_of(words.iter().map(|w| Text::new(w.as_str()).expect("short"))),
                counter: 1,
                expires: NOW.plus(DAY),
                about: Some(List::first_of(shown)),
            })
        };
        let mut found = search(&network, "helsinki");
        assert_eq!(
            found.take(&[posting(&["Turku"])], NOW).news,
            [],
            "under a word that is not shown"
        );
        assert_eq!(found.refused(), 1);
        let news = found.take(&[posting(&["Helsinki"])], NOW).news;
        assert_eq!(news[0].about, ["Helsinki"]);
    }

    #[test]
    fn whoever_looks_believes_no_forged_expired_or_replayed_posting() {
        let mut network = Network::new(1);
        let (alice, mallory) = (network.device("alice"), network.device("mallory"));
        let mut found = search(&network, "alice");
        let chain = alice.chain.clone();
        let posting = |counter, expires| Posting {
            chain: chain.clone(),
            display_name: Some(Text::new("Alice").expect("short")),
            words: List::first_of([Text::new("alice").expect("short")]),
            counter,
            expires,
            about: None,
        };
        let forged = mallory.keys.sign.sign(&posting(1, NOW.plus(DAY)));
        let expired = alice.keys.sign.sign(&posting(1, NOW));
        assert_eq!(found.take(&[forged, expired], NOW), Taken::default());
        assert_eq!(found.refused(), 2);
        let right = alice.keys.sign.sign(&posting(1, NOW.plus(DAY)));
        assert_eq!(found.take(&[post(&alice, None, 2), right], NOW).news, [], "replayed");
        assert_eq!(found.profiles().count(), 0);
    }

    #[test]
    fn what_is_found_is_bounded() {
        let mut network = Network::new(1);
        let mut found = search(&network, "maria");
        let mut news = 0;
        for number in 0..FOUND_MAX + 10 {
            let device = network.device(&format!("maria{number}"));
            news += found.take(&[post(&device, Some("Maria"), 1)], NOW).news.len();
        }
        assert_eq!((news, found.profiles().count()), (FOUND_MAX, FOUND_MAX));
    }

    #[test]
    fn whoever_shows_others_does_not_fill_a_search_with_them() {
        let mut network = Network::new(1);
        let mut found = search(&network, "maria");
        for number in 0..=FOUND_MAX {
            let device = network.device(&format!("other{number}"));
            let taken = found.take(&[post(&device, Some("Other"), 1)], NOW);
            assert_eq!(taken, Taken::default(), "another is not looked for");
        }
        let maria = network.device("maria");
        assert_eq!(found.take(&[post(&maria, None, 1)], NOW).news.len(), 0);
        assert_eq!(found.take(&[post(&maria, Some("Maria"), 2)], NOW).news.len(), 1);
    }
}
