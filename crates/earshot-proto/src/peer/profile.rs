//! Letting others find us by name: whether the user wants it, and posting it. DESIGN 2.5 (directory
//! search).
//!
//! Off until the user switches it on, for the account: our other devices are told, and the later
//! word wins. The home posts for us, one key after the other: that of each word of our names and of
//! its first letters. Keepers hand postings over to each other; we post again every [`REFRESH`], so
//! that what all keepers of a key lost comes back, and soon after a failure. Switched off, a
//! posting without a name takes the place of the one before, for as long as that may be held.
//!
//! Invariant: the vault on disk says until when something may be held of us before it is posted.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::ids::RingKey;
use crate::secure::local_vault::Listing;
use crate::secure::postings::POSTING_LIFE;
use crate::time::UnixTime;
use crate::wire::bounded::{List, Text};
use crate::wire::certificate::Signed;
use crate::wire::posting::{Posting, Postings};
use crate::wire::sealed::own::Own;

use super::command::{Answer, Failure, Listed};
use super::words::{keys, words_of};
use super::{About, OnSaved, Peer};

/// How often a posting is refreshed. Our choice: it lives a day and survives two failures.
const REFRESH: Duration = Duration::from_secs(8 * 3600);
/// First pause after some keepers did not take it; doubles up to [`RETRY_MAX`].
const RETRY_FIRST: Duration = Duration::from_secs(30);
const RETRY_MAX: Duration = Duration::from_secs(3600);

/// How far posting is.
#[derive(Debug, Default)]
pub(super) struct Profile {
    /// When it is posted next; none: nothing is to be posted, or it is being.
    due: Option<Instant>,
    running: Option<Running>,
    /// What was to be posted has changed meanwhile.
    again: bool,
    /// Tries that failed in a row.
    failures: u32,
}

#[derive(Debug)]
struct Running {
    counter: u64,
    posting: Signed<Posting>,
    left: VecDeque<RingKey>,
    held: usize,
    failed: usize,
}

impl Peer {
    /// The owner wants to be found by name, or not any more.
    pub(super) fn set_listed(&mut self, now: Instant, ask: u64, is_listed: bool) {
        let wall = self.wall(now);
        let Some(before) = self.session.as_ref().map(|session| session.vault.listing) else {
            return self.fail(ask, Failure::NotLoggedIn);
        };
        if before.is_listed == is_listed {
            return self.succeed(ask, Answer::Done);
        }
        let said = wall.max(before.said.plus(Duration::from_millis(1)));
        self.change_listing(Listing { is_listed, said, ..before }, wall);
        self.save_vault_then(OnSaved::Listed(ask, before));
    }

    /// The vault says what the owner wants.
    pub(super) fn listed_saved(&mut self, now: Instant, ask: u64) {
        self.succeed(ask, Answer::Done);
        self.tell_session();
        self.tell_own_devices(now, false);
        self.post_profile(now);
    }

    /// The vault could not be written: all stays as it was.
    pub(super) fn listed_lost(&mut self, before: Listing) {
        if let Some(session) = &mut self.session {
            session.vault.listing = before;
        }
    }

    /// Another device of ours says what the user wants.
    pub(super) fn told_listed(&mut self, now: Instant, is_listed: bool, said: UnixTime) {
        let wall = self.wall(now);
        let Some(before) = self.session.as_ref().map(|session| session.vault.listing) else {
            return;
        };
        if said > before.said && is_listed != before.is_listed {
            self.change_listing(Listing { is_listed, said, ..before }, wall);
            self.save_vault_then(OnSaved::Posting);
            self.tell_session();
        }
    }

    /// What our other devices are told of it; nothing while the user never said anything.
    pub(super) fn listed_word(&self) -> Option<Own> {
        let Listing { is_listed, said, .. } = self.session.as_ref()?.vault.listing;
        (said > UnixTime(0)).then_some(Own::Listed { is_listed, said })
    }

    /// From now on it is posted when that is due.
    pub(super) fn begin_profile(&mut self, now: Instant) {
        let wall = self.wall(now);
        let Some(listing) = self.session.as_ref().map(|session| session.vault.listing) else {
            return;
        };
        let is_wanted = listing.is_listed || listing.posted_until > wall;
        let due = is_wanted.then(|| now + listing.next.since(wall));
        self.profile = Profile { due, ..Profile::default() };
    }

    /// Posts again when it is time.
    pub(super) fn profile_due(&mut self, now: Instant) {
        let is_due = self.profile.due.is_some_and(|at| at <= now);
        if !is_due || self.home_link().is_none() {
            return;
        }
        self.profile.due = None;
        let wall = self.wall(now);
        let Some(listing) = self.session.as_ref().map(|session| session.vault.listing) else {
            return;
        };
        if listing.is_listed {
            self.put_listing(Listing { posted_until: wall.plus(POSTING_LIFE), ..listing });
            self.save_vault_then(OnSaved::Posting);
        } else if listing.posted_until > wall {
            self.post_profile(now);
        }
    }

    pub(super) fn profile_timeout(&self) -> Option<Instant> {
        self.profile.due.filter(|_| self.home_link().is_some())
    }

    /// Posts what the vault says, after what is being posted.
    pub(super) fn post_profile(&mut self, now: Instant) {
        if self.profile.running.is_some() {
            self.profile.again = true;
            return;
        }
        if self.home_link().is_none() {
            self.profile.due = Some(now);
            return;
        }
        let wall = self.wall(now);
        let Some(session) = &mut self.session else { return };
        let name = session.vault.vault.display_name.as_str();
        let words = words_of(&session.address.user, name);
        let is_listed = session.vault.listing.is_listed;
        let name = is_listed.then(|| Text::new(name).unwrap_or_default());
        let counter = session.next_posting(wall);
        let posting = session.vault.keys.sign.sign(&Posting {
            chain: session.vault.chain.clone(),
            display_name: name,
            words: List::first_of(words.iter().filter_map(|word| Text::new(word.as_str()).ok())),
            counter,
            expires: wall.plus(POSTING_LIFE),
        });
        let left = keys(&words).into();
        self.profile.running = Some(Running { counter, posting, left, held: 0, failed: 0 });
        self.post_next(now);
    }

    fn post_next(&mut self, now: Instant) {
        let home = self.home_link();
        let Some(running) = &mut self.profile.running else { return };
        if home.is_none() {
            running.failed += running.left.len();
            running.left.clear();
        }
        match (running.left.pop_front(), home) {
            (Some(word), Some((link, _))) => {
                let (about, posting) = (About::Posting(running.counter), running.posting.clone());
                self.ask(now, link, about, Postings::PostForMe { word, posting });
            }
            (_, _) => self.profile_posted(now),
        }
    }

    /// The home has posted what has that counter at one key (none: it did not answer).
    pub(super) fn key_posted(&mut self, now: Instant, counter: u64, answer: Option<&Postings>) {
        let Some(running) = self.profile.running.as_mut().filter(|r| r.counter == counter) else {
            return;
        };
        if self.profile.again {
            (self.profile.again, self.profile.running) = (false, None);
            return self.post_profile(now);
        }
        match answer {
            Some(Postings::Posted { .. }) => running.held += 1,
            Some(_) | None => running.failed += 1,
        }
        self.post_next(now);
    }

    /// All keys were tried.
    fn profile_posted(&mut self, now: Instant) {
        let wall = self.wall(now);
        let Some(Running { held, failed, .. }) = self.profile.running.take() else { return };
        let Some(listing) = self.session.as_ref().map(|session| session.vault.listing) else {
            return;
        };
        let retry = RETRY_FIRST.saturating_mul(1 << self.profile.failures.min(10)).min(RETRY_MAX);
        let (failures, pause) =
            if failed == 0 { (0, REFRESH) } else { (self.profile.failures + 1, retry) };
        let jitter = self.entropy.jitter.below(pause.as_millis() as u64 / 5);
        let pause = pause * 9 / 10 + Duration::from_millis(jitter);
        (self.profile.failures, self.profile.due) = (failures, Some(now + pause));
        // Listed is who is held under some word; off the list who is off it under all.
        if failed == 0 || (listing.is_listed && held > 0) {
            self.put_listing(Listing { next: wall.plus(pause), ..listing });
            self.save_vault();
        }
        self.tell_session();
    }

    /// Something is to be posted at once; what is posted ends a day from now.
    fn change_listing(&mut self, listing: Listing, wall: UnixTime) {
        let until = if listing.is_listed { wall.plus(POSTING_LIFE) } else { listing.posted_until };
        self.put_listing(Listing { posted_until: until, next: UnixTime(0), ..listing });
    }

    fn put_listing(&mut self, listing: Listing) {
        if let Some(session) = &mut self.session {
            session.vault.listing = listing;
        }
    }
}

/// How it stands, for the owner.
pub(super) fn listed(listing: &Listing) -> Listed {
    match (listing.is_listed, listing.next > UnixTime(0)) {
        (true, true) => Listed::On,
        (true, false) => Listed::Posting,
        (false, false) if listing.posted_until > UnixTime(0) => Listed::Leaving,
        (false, _) => Listed::Off,
    }
}
