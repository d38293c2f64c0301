//! Finding those who chose to be listed, by the words of their names. DESIGN 2.5 (directory
//! search).
//!
//! The home is asked page by page, first under the whole word, then under its first letters, down
//! the halves of words that are crowded; what verifies is told as it comes. Every search ends: at
//! [`FOUND_MAX`](super::listings::FOUND_MAX) people, or after 62 pages.

use std::collections::VecDeque;
use std::time::Instant;

use crate::ids::{RingKey, UserName};
use crate::wire::bounded::{List, Text};
use crate::wire::certificate::VerifyKey;
use crate::wire::directory::Trail;
use crate::wire::posting::{Page, Postings, WORD_MAX, WORDS_MAX, halves};

use super::command::SearchHit;
use super::listings::{Listings, Profile, Query};
use super::{About, Peer};

/// Pages asked for in one search at most. Our choice: every shard of two words.
const PAGES_MAX: usize = 62;
/// Pages asked for at once: one under the word, one under its first letters.
const AT_ONCE: usize = 2;

/// The part of a search that looks for words.
#[derive(Debug)]
pub(super) struct ByWords {
    listings: Listings,
    /// Pages not asked for yet.
    left: VecDeque<Page>,
    asked: usize,
    unanswered: usize,
}

impl ByWords {
    pub(super) fn new(query: Query, root: VerifyKey) -> Self {
        let typed = query.typed();
        let first = |word: RingKey| Page { word, shard: 1, after: None, typed: typed.clone() };
        let left = query.keys().into_iter().map(first).collect();
        Self { listings: Listings::new(query, root), left, asked: 0, unanswered: 0 }
    }

    /// The next page to ask for.
    fn next(&mut self) -> Option<Page> {
        let may_ask = self.unanswered < AT_ONCE && self.asked < PAGES_MAX;
        if !may_ask || self.listings.is_full() {
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
    /// Asks for pages, as many as may be asked for at once; the search is over when none is left.
    pub(super) fn ask_pages(&mut self, now: Instant, id: u64) {
        loop {
            let home = self.home_link();
            let Some(by_words) = self.searches.by_words(id) else { return };
            match (by_words.next(), home) {
                (Some(page), Some((link, _))) => {
                    let about = About::Page(id, Box::new(page.clone()));
                    self.ask(now, link, about, Postings::FindForMe { page });
                }
                (Some(_), None) => return self.words_over(id, true),
                (None, _) if by_words.unanswered == 0 => return self.words_over(id, false),
                (None, _) => return,
            }
        }
    }

    /// The home has told a page (none: it did not answer).
    pub(super) fn page_told(
        &mut self,
        now: Instant,
        id: u64,
        page: &Page,
        answer: Option<Postings>,
    ) {
        let wall = self.wall(now);
        let Some(by_words) = self.searches.by_words(id) else { return };
        by_words.unanswered = by_words.unanswered.saturating_sub(1);
        if let Some(Postings::Listed { postings, next, split, trail }) = answer {
            by_words.go_on(page, next, split);
            for profile in by_words.listings.take(&postings, wall) {
                self.listed_hit(now, id, profile, trail);
            }
        } else {
            self.searches.no_answer(id);
        }
        self.ask_pages(now, id);
    }

    fn listed_hit(&mut self, now: Instant, id: u64, profile: Profile, trail: Trail) {
        let Profile { user, display_name, about } = profile;
        let known = self.buddies.display_name(&user).map(str::to_owned);
        let is_here = self.cards.at_home(&user).next().is_some();
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
