//! Finding those who chose to be listed, by the words of their names. DESIGN 2.5 (directory
//! search).
//!
//! The home and another super-peer are asked, each page by page, first under the whole word, then
//! under its first letters, down the halves of words that are crowded; what verifies is told as it
//! comes. Where one shows nobody, shows anything that is wrong, or is silent, a further one is
//! asked, until [`ENOUGH`] have shown somebody or [`ASKED_MAX`] have answered; where somebody of
//! exactly the name that was typed is found, [`ENOUGH`]. Whoever leaves people out does so alone
//! for nothing. A Restricted peer, which can open no connections of its own, asks its home only.
//!
//! Invariant: every search ends, at [`FOUND_MAX`](super::listings::FOUND_MAX) people or after
//! [`PAGES_MAX`] pages of each who was asked; who was silent is asked for nothing more.

use std::collections::VecDeque;
use std::time::Instant;

use crate::ids::{RingKey, UserName};
use crate::time::UnixTime;
use crate::wire::bounded::{List, Text};
use crate::wire::certificate::VerifyKey;
use crate::wire::directory::Trail;
use crate::wire::invite::Door;
use crate::wire::posting::{Page, Postings, WORD_MAX, WORDS_MAX, halves};

use super::command::SearchHit;
use super::listings::{Listings, Profile, Query, Taken};
use super::{About, Peer};

/// Super-peers that answer in one search at most, the home among them. Our choice: if a fifth of
/// all lie, all four do in one of 625 searches.
const ASKED_MAX: usize = 4;
/// Super-peers besides the home that are asked at most, those that are silent among them. Our
/// choice: a list of which half is dead has three in eight that are not, in 19 of 20 searches.
const OTHERS_MAX: usize = 8;
/// When so many have shown somebody, no further one is asked. Our choice: one of them may lie.
const ENOUGH: usize = 2;
/// Pages asked of one super-peer in one search at most. Our choice: every shard of two words.
const PAGES_MAX: usize = 62;
/// Pages asked of one at once: one under the word, one under its first letters.
const AT_ONCE: usize = 2;

/// The part of a search that looks for words.
#[derive(Debug)]
pub(super) struct ByWords {
    listings: Listings,
    /// With these pages everybody who is asked begins.
    first: Vec<Page>,
    /// Those who are asked, or were; the first is the home.
    walks: Vec<Walk>,
    /// Who may be asked besides.
    others: VecDeque<Door>,
}

/// What one super-peer is asked for.
#[derive(Debug)]
struct Walk {
    /// None: the home.
    to: Option<Door>,
    /// Pages not asked for yet.
    left: VecDeque<Page>,
    asked: usize,
    unanswered: usize,
    /// Whether it has shown anybody who is looked for.
    shows: bool,
    /// Whether it was silent, refused, or showed what is wrong.
    is_bad: bool,
    is_silent: bool,
}

/// A page to be asked for: by the which-th walk, and whom; none: the home.
type Ask = (usize, Option<Door>, Page);

impl ByWords {
    /// Looks by the home and by some of those others.
    pub(super) fn new(query: Query, root: VerifyKey, others: Vec<Door>) -> Self {
        let typed = query.typed();
        let page = |word: RingKey| Page { word, shard: 1, after: None, typed: typed.clone() };
        let first = query.keys().into_iter().map(page).collect();
        let listings = Listings::new(query, root);
        let mut by_words = Self { listings, first, walks: Vec::new(), others: others.into() };
        by_words.begin(None);
        by_words
    }

    fn begin(&mut self, to: Option<Door>) {
        let left = self.first.iter().cloned().collect();
        let (asked, unanswered) = (0, 0);
        let (shows, is_bad, is_silent) = (false, false, false);
        self.walks.push(Walk { to, left, asked, unanswered, shows, is_bad, is_silent });
    }

    /// The next page to ask for. `is_named` says whether somebody of exactly the name that was
    /// typed was found, if that is known.
    fn next(&mut self, is_named: Option<bool>) -> Option<Ask> {
        if self.listings.is_full() {
            return None;
        }
        while self.wants_another(is_named.map_or(ENOUGH, most))
            && let Some(other) = self.others.pop_front()
        {
            self.begin(Some(other));
        }
        let mut walks = self.walks.iter_mut().enumerate();
        walks.find_map(|(at, walk)| Some((at, walk.to, walk.next()?)))
    }

    /// Whether too few have shown somebody, or may yet, and fewer than `most` have answered.
    fn wants_another(&self, most: usize) -> bool {
        let hopeful = self.walks.iter().filter(|walk| walk.is_hopeful()).count();
        let answering = self.walks.iter().filter(|walk| !walk.is_silent).count();
        hopeful < ENOUGH && answering < most
    }

    /// Whether it depends on the exact name whether another is asked.
    fn waits(&self, is_named: Option<bool>) -> bool {
        let has_more = !self.others.is_empty() && !self.listings.is_full();
        is_named.is_none() && has_more && self.wants_another(ASKED_MAX)
    }

    /// Whether nobody is asked for anything.
    fn is_idle(&self) -> bool {
        self.walks.iter().all(|walk| walk.unanswered == 0)
    }

    /// Whether too few have answered everything for a denial to be believed.
    fn is_incomplete(&self) -> bool {
        let sound = self.walks.iter().filter(|walk| !walk.is_bad).count();
        sound < ENOUGH.min(self.walks.len())
    }

    /// What somebody has told of a page (none: nothing). Answers whom that brings, and how they
    /// were come by.
    fn told(
        &mut self,
        at: usize,
        page: &Page,
        answer: Option<Postings>,
        wall: UnixTime,
    ) -> Option<(Vec<Profile>, Trail)> {
        let walk = self.walks.get_mut(at)?;
        walk.unanswered = walk.unanswered.saturating_sub(1);
        match answer {
            Some(Postings::Listed { postings, next, split, trail }) => {
                let Taken { news, fitting } = self.listings.take(&postings, wall);
                walk.shows |= fitting > 0;
                walk.is_bad |= fitting < postings.len();
                walk.go_on(page, next, split);
                Some((news, trail))
            }
            Some(_) => {
                walk.is_bad = true;
                None
            }
            None => {
                (walk.is_bad, walk.is_silent) = (true, true);
                walk.left.clear();
                None
            }
        }
    }
}

/// How many may answer, when it is known whether somebody of exactly that name was found: whoever
/// types the name of a user, as most do, mostly means that one, and who else is called so is looked
/// for at as many as needed for one of them to lie.
const fn most(is_named: bool) -> usize {
    if is_named { ENOUGH } else { ASKED_MAX }
}

impl Walk {
    /// Whether it has shown somebody, or may yet, and has done nothing wrong.
    fn is_hopeful(&self) -> bool {
        let is_over = self.unanswered == 0 && (self.left.is_empty() || self.asked >= PAGES_MAX);
        !self.is_bad && (self.shows || !is_over)
    }

    /// The next page to ask for.
    fn next(&mut self) -> Option<Page> {
        if self.unanswered >= AT_ONCE || self.asked >= PAGES_MAX {
            return None;
        }
        let page = self.left.pop_front()?;
        (self.asked, self.unanswered) = (self.asked + 1, self.unanswered + 1);
        Some(page)
    }

    /// What is behind a page: the next of the same shard, or the halves of that.
    fn go_on(&mut self, page: &Page, next: Option<UserName>, split: bool) {
        match next {
            Some(next) if page.after.as_ref().is_none_or(|after| *after < next) => {
                self.left.push_front(Page { after: Some(next), ..page.clone() });
            }
            Some(_) => {}
            None => {
                let below = halves(page.shard).filter(|_| split).into_iter().flatten();
                let page = |shard| Page { shard, after: None, ..page.clone() };
                self.left.extend(below.map(page));
            }
        }
    }
}

impl Query {
    /// The words, as they travel.
    fn typed(&self) -> List<Text<WORD_MAX>, WORDS_MAX> {
        List::first_of(self.words().iter().filter_map(|word| Text::new(word.as_str()).ok()))
    }
}

impl Peer {
    /// Looks for words.
    pub(super) fn by_words(&mut self, query: Query) -> ByWords {
        let others = self.other_super_peers(OTHERS_MAX);
        ByWords::new(query, self.root(), others)
    }

    /// Asks for pages, as many as may be asked for at once; the search is over when none is left.
    pub(super) fn ask_pages(&mut self, now: Instant, id: u64) {
        loop {
            let home = self.home_link();
            let is_named = self.searches.is_named(id);
            let Some(by_words) = self.searches.by_words(id) else { return };
            match (by_words.next(is_named), home) {
                (Some((at, to, page)), Some((home, _))) => {
                    let link = to.map_or(home, |door| self.errand_to(now, &door));
                    let about = About::Page(id, at, Box::new(page.clone()));
                    self.ask(now, link, about, Postings::FindForMe { page });
                }
                (Some(_), None) => return self.words_over(id, true),
                (None, _) if by_words.is_idle() && !by_words.waits(is_named) => {
                    let is_incomplete = by_words.is_incomplete();
                    return self.words_over(id, is_incomplete);
                }
                (None, _) => return,
            }
        }
    }

    /// One of those who are asked has told a page (none: it did not answer).
    pub(super) fn page_told(
        &mut self,
        now: Instant,
        id: u64,
        (at, page): (usize, &Page),
        answer: Option<Postings>,
    ) {
        let wall = self.wall(now);
        let Some(by_words) = self.searches.by_words(id) else { return };
        let asked = by_words.walks.get(at).and_then(|walk| walk.to);
        if let Some(silent) = asked.filter(|_| answer.is_none()) {
            self.super_peers.missed(&silent);
        }
        if let Some((news, trail)) = by_words.told(at, page, answer, wall) {
            for profile in news {
                self.listed_hit(now, id, profile, trail);
            }
        }
        self.ask_pages(now, id);
    }

    fn listed_hit(&mut self, now: Instant, id: u64, profile: Profile, trail: Trail) {
        let Profile { user, display_name, about } = profile;
        let known = self.buddies.display_name(&user).map(str::to_owned);
        let is_here = self.cards.reachable(&user).next().is_some();
        let online = match self.buddies.is_buddy(&user) {
            true => Some(self.presences.is_online(&user)),
            false => is_here.then_some(true),
        };
        let name = Some(display_name).filter(|name| !name.is_empty());
        let ms = self.searches.running_ms(now, id);
        self.tell_hit(SearchHit {
            search: id,
            user,
            display_name: known.or(name),
            online,
            round: trail.round,
            asked_nodes: usize::from(trail.asked),
            from_cache: trail.cached,
            ms,
            about,
        });
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::super::words::words_of;
    use super::*;
    use crate::secure::testing::{DAY, Device, NOW, Network};
    use crate::wire::certificate::{AgreeKey, Signed};
    use crate::wire::posting::Posting;

    fn post(device: &Device, name: &str) -> Signed<Posting> {
        let words = words_of(&device.user, name, []);
        device.keys.sign.sign(&Posting {
            chain: device.chain.clone(),
            display_name: Some(Text::new(name).expect("short")),
            words: List::first_of(words.iter().map(|w| Text::new(w.as_str()).expect("short"))),
            counter: 1,
            expires: NOW.plus(DAY),
            about: None,
        })
    }

    fn other(number: u8) -> Door {
        let address = SocketAddr::from(([192, 0, 2, number], 4433));
        Door { address, key: AgreeKey([number; 32]) }
    }

    /// Runs a search for a word that is nobody's name; each who is asked, the home first, gives the
    /// next of these answers. Answers whom it found, how many were asked, and whether that is
    /// incomplete.
    fn run(network: &Network, answers: &[Option<Postings>]) -> (Vec<String>, usize, bool) {
        let query = Query::new("al").expect("a word");
        let mut search = ByWords::new(query, network.root(), (1..=9).map(other).collect());
        let mut found = Vec::new();
        while let Some((at, to, page)) = search.next(Some(false)) {
            assert_eq!(to, (at > 0).then(|| other(at as u8)));
            let told = search.told(at, &page, answers[at].clone(), NOW);
            let news = told.into_iter().flat_map(|(news, _)| news);
            found.extend(news.map(|profile| profile.user.to_string()));
        }
        assert!(search.is_idle());
        found.sort();
        (found, search.walks.len(), search.is_incomplete())
    }

    fn listed(postings: &[Signed<Posting>]) -> Option<Postings> {
        let postings = List::first_of(postings.iter().cloned());
        Some(Postings::Listed { postings, next: None, split: false, trail: Trail::HERE })
    }

    #[test]
    fn whom_one_leaves_out_another_shows_and_no_third_is_asked() {
        let mut network = Network::new(1);
        let (alice, alma) = (network.device("alice"), network.device("alma"));
        let all = [post(&alice, "Alice"), post(&alma, "Alma")];
        for answers in [[listed(&all[..1]), listed(&all)], [listed(&all), listed(&all[1..])]] {
            let both = vec!["alice".to_owned(), "alma".to_owned()];
            assert_eq!(run(&network, &answers), (both, 2, false));
        }
    }

    #[test]
    fn who_is_silent_refuses_or_shows_nobody_or_others_is_no_help_and_the_next_is_asked() {
        let mut network = Network::new(1);
        let (alice, bob) = (network.device("alice"), network.device("bob"));
        let right = listed(&[post(&alice, "Alice")]);
        let wrong = listed(&[post(&bob, "Bob"), post(&alice, "Alice")]);
        let refused =
            Some(Postings::Refused { reason: crate::wire::posting::PostingRefusal::Busy });
        for (bad, is_incomplete) in [(refused, true), (listed(&[]), false), (wrong, true)] {
            let answers = [bad.clone(), right.clone(), bad.clone(), bad];
            let alice = vec!["alice".to_owned()];
            assert_eq!(run(&network, &answers), (alice, ASKED_MAX, is_incomplete));
        }
        // Silence takes nobody's place.
        let mut answers = vec![None; 7];
        answers.extend([right.clone(), right.clone()]);
        assert_eq!(run(&network, &answers), (vec!["alice".to_owned()], 9, false));
    }

    #[test]
    fn only_two_are_asked_who_else_is_called_like_a_user_and_no_more_before_that_is_known() {
        let network = Network::new(1);
        let query = Query::new("al").expect("a word");
        let mut search = ByWords::new(query, network.root(), (1..=9).map(other).collect());
        for is_named in [None, Some(true), Some(false)] {
            while let Some((at, _, page)) = search.next(is_named) {
                search.told(at, &page, listed(&[]), NOW);
            }
            let asked = if is_named == Some(false) { ASKED_MAX } else { ENOUGH };
            assert_eq!(search.walks.len(), asked, "{is_named:?}");
            assert_eq!(search.waits(is_named), is_named.is_none());
        }
    }

    #[test]
    fn however_much_they_say_is_behind_so_many_pages_are_asked_for() {
        let network = Network::new(1);
        let query = Query::new("al").expect("a word");
        let mut search = ByWords::new(query, network.root(), (1..=9).map(other).collect());
        let mut pages = 0;
        while let Some((at, _, page)) = search.next(Some(false)) {
            pages += 1;
            let next = UserName::new(&format!("user{pages:05}")).ok();
            let (postings, trail) = (List::default(), Trail::HERE);
            let endless = Postings::Listed { postings, next, split: true, trail };
            search.told(at, &page, Some(endless), NOW);
        }
        assert_eq!(pages, ASKED_MAX * PAGES_MAX);
    }
}
