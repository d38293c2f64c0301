//! Keeping the profiles of those who chose to be listed. DESIGN 2.5 (directory search).
//!
//! Invariants: a posting is held only where one of its words leads and in a shard on its user's
//! way; one a user and shard, the highest counter; at most [`SHARD_MAX`] in a shard, which then
//! refuses whoever is new, so that they go to its halves; at most [`POSTINGS_MAX`] in all. Beyond
//! that the shard that holds most loses the posting that ends first: a flood displaces itself.
//! A posting without a name takes its user off the list: it is held until it ends, so that an older
//! one cannot come back, and shown to those who look for others, who leave it out.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::ids::{RingKey, UserName};
use crate::secure::postings::{Checked, POSTING_LIFE};
use crate::time::UnixTime;
use crate::wire::bounded::{List, Text};
use crate::wire::certificate::Signed;
use crate::wire::directory::{Offered, Trail};
use crate::wire::posting::{
    LISTED_MAX, Page, Posting, PostingRefusal, Postings as Message, WORD_MAX, WORDS_MAX, begin,
    halves, is_shard_of, posting_record, shard_key,
};

/// Postings in one shard at most. DESIGN 2.5.
pub const SHARD_MAX: usize = 500;
/// Postings held at most: about 50 MB, as a posting has a thousand bytes with its certificates.
pub const POSTINGS_MAX: usize = 50_000;

type Place = (RingKey, u8);

/// Names one posting that is held: the key of its word, the shard, the user.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PostingName {
    /// Key of the word.
    pub word: RingKey,
    /// The shard.
    pub shard: u8,
    /// Whose it is.
    pub user: UserName,
}

impl PostingName {
    /// The name under which it is offered.
    #[must_use]
    pub fn record(&self) -> u64 {
        posting_record(&self.word, self.shard, &self.user)
    }

    /// Where it lies on the ring.
    #[must_use]
    pub fn ring_key(&self) -> RingKey {
        shard_key(&self.word, self.shard)
    }
}

/// The postings that this super-peer keeps.
#[derive(Debug, Default)]
pub struct Postings {
    shards: BTreeMap<Place, Shard>,
    /// The counters of what is held, by the names of records.
    counters: BTreeMap<u64, u64>,
    /// The shards by how much they hold.
    by_size: BTreeSet<(usize, Place)>,
    held: usize,
}

#[derive(Debug, Default)]
struct Shard {
    users: BTreeMap<UserName, Held>,
    /// Until when its halves may hold something that did not fit.
    split_until: Option<UnixTime>,
}

#[derive(Debug)]
struct Held {
    counter: u64,
    expires: UnixTime,
    words: List<Text<WORD_MAX>, WORDS_MAX>,
    posting: Signed<Posting>,
}

impl Postings {
    /// Holds a posting under a key. Answers whether an older one of the same user may be held in
    /// the shard below.
    ///
    /// # Errors
    /// [`PostingRefusal::NotHere`], [`PostingRefusal::Stale`] or [`PostingRefusal::Full`].
    pub fn post(
        &mut self,
        word: RingKey,
        shard: u8,
        checked: Checked,
        now: UnixTime,
    ) -> Result<bool, PostingRefusal> {
        if !checked.posting.leads_to(&word) || !is_shard_of(&checked.user, shard) {
            return Err(PostingRefusal::NotHere);
        }
        let expires = checked.posting.expires.min(now.plus(POSTING_LIFE));
        let held = Held {
            counter: checked.posting.counter,
            expires,
            words: checked.posting.words.clone(),
            posting: checked.signed().clone(),
        };
        let place = (word, shard);
        let record = PostingName { word, shard, user: checked.user.clone() }.record();
        let counter = held.counter;
        self.expire(place, now);
        let split = self.change(place, |shard| {
            let is_full = shard.users.len() >= SHARD_MAX;
            match shard.users.get_mut(&checked.user) {
                Some(old) if old.counter > held.counter => return Err(PostingRefusal::Stale),
                Some(old) => *old = held,
                None if is_full => {
                    shard.split_until = shard.split_until.max(Some(expires));
                    return Err(PostingRefusal::Full);
                }
                None => {
                    shard.users.insert(checked.user, held);
                }
            }
            Ok(shard.is_split(now))
        })?;
        self.counters.insert(record, counter);
        while self.held > POSTINGS_MAX {
            self.make_room();
        }
        Ok(split && halves(shard).is_some())
    }

    /// What is held of a page.
    #[must_use]
    pub fn find(&self, page: &Page, now: UnixTime) -> Message {
        let (mut postings, mut next, mut split) = (Vec::new(), None, false);
        if let Some(held) = self.shards.get(&(page.word, page.shard)) {
            let from = page.after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
            let behind = held.users.range((from, Bound::Unbounded));
            let fits = |held: &Held| held.expires > now && begin(&page.typed, &held.words);
            let mut shown = behind.filter(|(_, held)| fits(held)).peekable();
            for (user, held) in shown.by_ref().take(LISTED_MAX) {
                postings.push(held.posting.clone());
                next = Some(user.clone());
            }
            next.take_if(|_| shown.peek().is_none());
            split = halves(page.shard).is_some() && held.is_split(now);
        }
        Message::Listed { postings: List::first_of(postings), next, split, trail: Trail::HERE }
    }

    /// All that are held.
    pub fn names(&self) -> impl Iterator<Item = PostingName> {
        self.shards.iter().flat_map(|((word, shard), held)| {
            let name =
                |user: &UserName| PostingName { word: *word, shard: *shard, user: user.clone() };
            held.users.keys().map(name)
        })
    }

    /// The counter of a posting, if it is held.
    #[must_use]
    pub fn counter(&self, name: &PostingName) -> Option<u64> {
        self.counters.get(&name.record()).copied()
    }

    /// Whether that record is held here, and is no older one.
    #[must_use]
    pub fn has(&self, offered: &Offered) -> bool {
        self.counters.get(&offered.record).is_some_and(|counter| *counter >= offered.counter)
    }

    /// What another keeper is told to hold, if we hold it.
    #[must_use]
    pub fn post_of(&self, name: &PostingName) -> Option<Message> {
        let PostingName { word, shard, user } = name;
        let held = self.shards.get(&(*word, *shard))?.users.get(user)?;
        Some(Message::Post { word: *word, shard: *shard, posting: held.posting.clone() })
    }

    /// Drops what has ended. To be called now and then; ended postings are never listed anyway.
    pub fn sweep(&mut self, now: UnixTime) {
        let places: Vec<Place> = self.shards.keys().copied().collect();
        for place in places {
            self.expire(place, now);
            self.change(place, |shard| shard.split_until.take_if(|until| *until <= now));
        }
    }

    fn expire(&mut self, place: Place, now: UnixTime) {
        let Some(shard) = self.shards.get(&place) else { return };
        let ended = shard.users.iter().filter(|(_, held)| held.expires <= now);
        let ended: Vec<UserName> = ended.map(|(user, _)| user.clone()).collect();
        ended.into_iter().for_each(|user| self.remove(place, user));
    }

    fn remove(&mut self, place: Place, user: UserName) {
        self.change(place, |shard| shard.users.remove(&user));
        self.counters.remove(&PostingName { word: place.0, shard: place.1, user }.record());
    }

    /// Postings held.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.held
    }

    /// Whether none is held.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.held == 0
    }

    fn change<T>(&mut self, place: Place, act: impl FnOnce(&mut Shard) -> T) -> T {
        let shard = self.shards.entry(place).or_default();
        let before = shard.users.len();
        let result = act(shard);
        let after = shard.users.len();
        if after == 0 && shard.split_until.is_none() {
            self.shards.remove(&place);
        }
        self.held = self.held - before + after;
        self.by_size.remove(&(before, place));
        if after > 0 {
            self.by_size.insert((after, place));
        }
        result
    }

    fn make_room(&mut self) {
        let Some((_, fullest)) = self.by_size.last().copied() else { return };
        let users = self.shards.get(&fullest).map(|shard| &shard.users);
        let first = users.into_iter().flatten().min_by_key(|(_, held)| held.expires);
        if let Some(user) = first.map(|(user, _)| user.clone()) {
            self.remove(fullest, user);
        }
    }
}

impl Shard {
    fn is_split(&self, now: UnixTime) -> bool {
        self.split_until.is_some_and(|until| until > now)
    }
}

#[cfg(test)]
mod tests;
