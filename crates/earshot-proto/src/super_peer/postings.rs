//! Keeping the profiles of those who chose to be listed. DESIGN 2.5 (directory search).
//!
//! Invariants: a posting is held only where one of its words leads and in a shard on its user's
//! way; one a user and shard, the highest counter; at most [`SHARD_MAX`] in a shard, which then
//! refuses whoever is new, so that they go to its halves; at most [`POSTINGS_MAX`] in all. Beyond
//! that the shard that holds most loses the posting that ends first: a flood displaces itself.
//! A posting without a name takes its user off the list: it is held until it ends, so that an older
//! one cannot come back, and never listed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::ids::{RingKey, UserName};
use crate::secure::postings::{Checked, POSTING_LIFE};
use crate::time::UnixTime;
use crate::wire::bounded::List;
use crate::wire::certificate::Signed;
use crate::wire::posting::{
    LISTED_MAX, Posting, PostingRefusal, Postings as Message, halves, is_shard_of,
};

/// Postings in one shard at most. DESIGN 2.5.
pub const SHARD_MAX: usize = 500;
/// Postings held at most: about 50 MB, as a posting has a thousand bytes with its certificates.
pub const POSTINGS_MAX: usize = 50_000;

type Place = (RingKey, u8);

/// The postings that this super-peer keeps.
#[derive(Debug, Default)]
pub struct Postings {
    shards: BTreeMap<Place, Shard>,
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
    is_listed: bool,
    posting: Signed<Posting>,
}

impl Postings {
    /// Holds a posting under a key.
    ///
    /// # Errors
    /// [`PostingRefusal::NotHere`], [`PostingRefusal::Stale`] or [`PostingRefusal::Full`].
    pub fn post(
        &mut self,
        word: RingKey,
        shard: u8,
        checked: Checked,
        now: UnixTime,
    ) -> Result<(), PostingRefusal> {
        if !checked.posting.leads_to(&word) || !is_shard_of(&checked.user, shard) {
            return Err(PostingRefusal::NotHere);
        }
        let expires = checked.posting.expires.min(now.plus(POSTING_LIFE));
        let held = Held {
            counter: checked.posting.counter,
            expires,
            is_listed: checked.posting.display_name.is_some(),
            posting: checked.signed().clone(),
        };
        let place = (word, shard);
        self.change(place, |shard| {
            shard.users.retain(|_, held| held.expires > now);
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
            Ok(())
        })?;
        while self.held > POSTINGS_MAX {
            self.make_room();
        }
        Ok(())
    }

    /// Who is listed under a key behind `after`, in so many bytes at most, at least one.
    #[must_use]
    pub fn find(
        &self,
        word: RingKey,
        shard: u8,
        after: Option<&UserName>,
        room: usize,
        now: UnixTime,
    ) -> Message {
        let Some(held) = self.shards.get(&(word, shard)) else {
            return Message::Listed { postings: List::default(), more: false, split: false };
        };
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let behind = held.users.range((from, Bound::Unbounded)).map(|(_, held)| held);
        let mut listed = behind.filter(|held| held.is_listed && held.expires > now).peekable();
        let mut postings: Vec<Signed<Posting>> = Vec::new();
        let mut left = room;
        while let Some(held) = listed.peek() {
            let takes = minicbor::len(&held.posting);
            if postings.len() == LISTED_MAX || takes > left && !postings.is_empty() {
                break;
            }
            left = left.saturating_sub(takes);
            postings.push(held.posting.clone());
            listed.next();
        }
        let split = halves(shard).is_some() && held.split_until.is_some_and(|until| until > now);
        let more = listed.peek().is_some();
        Message::Listed { postings: List::first_of(postings), more, split }
    }

    /// Drops what has ended. To be called now and then; ended postings are never listed anyway.
    pub fn sweep(&mut self, now: UnixTime) {
        let places: Vec<Place> = self.shards.keys().copied().collect();
        for place in places {
            self.change(place, |shard| {
                shard.users.retain(|_, held| held.expires > now);
                shard.split_until.take_if(|until| *until <= now);
            });
        }
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
        self.change(fullest, |shard| {
            let first = shard.users.iter().min_by_key(|(_, held)| held.expires);
            if let Some(user) = first.map(|(user, _)| user.clone()) {
                shard.users.remove(&user);
            }
        });
    }
}

#[cfg(test)]
mod tests;
