//! Letting others find us by name: whether the user wants it, and posting it. DESIGN 2.5 (directory
//! search).
//!
//! Off until the user switches it on, for the account: our other devices are told, and the later
//! word wins. The home and [`OTHERS`] further super-peers post for us, one key after the other:
//! that of each word of our names and of its first letters. Whoever of them does not, and says it
//! did, keeps us off the list only if all do; the further ones are others each time. Keepers hand
//! postings over to each other; we post again every [`REFRESH`], so that what all keepers of a key
//! lost comes back, and soon after a failure. Switched off, a posting without a name takes the
//! place of the one before, for as long as that may be held.
//!
//! The user may choose another name than the account's to be listed under, and a few words: both
//! are shown to whoever finds them, beside the user name, which nobody chooses anew. Where the
//! words of before lead elsewhere, a posting without a name goes there first.
//!
//! Invariant: the vault on disk says until when something may be held of us, and under which words
//! of before, before it is posted.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::ids::RingKey;
use crate::secure::local_vault::{ListedAs, Listing, LocalVault};
use crate::secure::postings::POSTING_LIFE;
use crate::time::UnixTime;
use crate::wire::bounded::{List, Text};
use crate::wire::certificate::Signed;
use crate::wire::invite::Door;
use crate::wire::posting::{LISTED_NAME_MAX, Posting, Postings};
use crate::wire::sealed::own::Own;

use super::command::{Answer, Failure, Listed, Wish};
use super::home::door_of;
use super::session::Session;
use super::words::{keys, words_of};
use super::{About, OnSaved, Peer};

/// How often a posting is refreshed. Our choice: it lives a day and survives two failures.
const REFRESH: Duration = Duration::from_secs(8 * 3600);
/// First pause after some keepers did not take it; doubles up to [`RETRY_MAX`].
const RETRY_FIRST: Duration = Duration::from_secs(30);
const RETRY_MAX: Duration = Duration::from_secs(3600);
/// Super-peers that post for us besides the home. Our choice: if a fifth of all lie, all of them do
/// for one of 625 people.
const OTHERS: usize = 3;
/// A key has failed when fewer have posted there, if so many are there to post. Our choice: one of
/// them may lie.
const ENOUGH: usize = 2;

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
    /// The one without a name, and where it goes before.
    gone: Option<(Signed<Posting>, VecDeque<RingKey>)>,
    /// Who posts besides the home; whoever is silent is left out from then on.
    others: Vec<Door>,
    /// How many have to post at a key.
    enough: usize,
    /// Those who have not answered for the key of now, and those who have posted there.
    waiting: usize,
    posted: usize,
    held: usize,
    failed: usize,
}

impl Profile {
    /// Whether it is being posted.
    pub(super) const fn is_posting(&self) -> bool {
        self.running.is_some()
    }
}

impl Peer {
    /// The owner wants to be found by name, or otherwise, or not any more.
    pub(super) fn set_listed(&mut self, now: Instant, ask: u64, wish: Wish) {
        let wall = self.wall(now);
        let Some((before, shown)) = self.listing() else {
            return self.fail(ask, Failure::NotLoggedIn);
        };
        let (is_listed, next) = (wish.is_listed, shown.with(wish));
        if before.is_listed == is_listed && next == shown {
            return self.succeed(ask, Answer::Done);
        }
        let said = wall.max(before.said.plus(Duration::from_millis(1)));
        self.change_listing(Listing { is_listed, said, ..before }, next, wall);
        self.save_vault_then(OnSaved::Listed(ask, before, Box::new(shown)));
    }

    fn listing(&self) -> Option<(Listing, ListedAs)> {
        let vault = &self.session.as_ref()?.vault;
        Some((vault.listing, vault.listed_as.clone()))
    }

    /// The vault says what the owner wants.
    pub(super) fn listed_saved(&mut self, now: Instant, ask: u64) {
        self.succeed(ask, Answer::Done);
        self.tell_session();
        self.tell_own_devices(now, false);
        self.post_profile(now);
    }

    /// The vault could not be written: all stays as it was.
    pub(super) fn listed_lost(&mut self, before: Listing, shown: ListedAs) {
        if let Some(session) = &mut self.session {
            (session.vault.listing, session.vault.listed_as) = (before, shown);
        }
    }

    /// Another device of ours says what the user wants.
    pub(super) fn told_listed(&mut self, now: Instant, wish: Wish, said: UnixTime) {
        let wall = self.wall(now);
        let Some((before, shown)) = self.listing() else { return };
        let (is_listed, next) = (wish.is_listed, shown.with(wish));
        if said > before.said && (is_listed != before.is_listed || next != shown) {
            self.change_listing(Listing { is_listed, said, ..before }, next, wall);
            self.save_vault_then(OnSaved::Posting);
            self.tell_session();
        }
    }

    /// What our other devices are told of it; nothing while the user never said anything.
    pub(super) fn listed_word(&self) -> Option<Own> {
        let (Listing { is_listed, said, .. }, shown) = self.listing()?;
        let name = Some(shown.name.unwrap_or_default());
        (said > UnixTime(0)).then_some(Own::Listed {
            is_listed,
            said,
            name,
            about: Some(shown.about),
        })
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
        let others = self.other_super_peers(OTHERS);
        let Some(session) = &mut self.session else { return };
        let is_listed = session.vault.listing.is_listed;
        let words = own_words(&session.vault);
        let old: Vec<String> =
            session.vault.listed_as.gone.iter().map(|word| word.as_str().to_owned()).collect();
        let left = keys(&words);
        let mut elsewhere = keys(&old);
        elsewhere.retain(|key| !left.contains(key));
        let gone = (!elsewhere.is_empty()).then(|| {
            let counter = session.next_posting(wall);
            (session.post(&old, None, counter, wall), elsewhere.into())
        });
        let counter = session.next_posting(wall);
        let name = is_listed.then(|| Text::new(listed_name(&session.vault)).unwrap_or_default());
        let (posting, left) = (session.post(&words, name, counter, wall), left.into());
        self.profile.running = Some(Running {
            counter,
            posting,
            left,
            gone,
            enough: ENOUGH.min(1 + others.len()),
            others,
            waiting: 0,
            posted: 0,
            held: 0,
            failed: 0,
        });
        self.post_next(now);
    }

    fn post_next(&mut self, now: Instant) {
        let home = self.home_link();
        let Some(running) = &mut self.profile.running else { return };
        if home.is_none() {
            running.failed += running.left.len();
            running.left.clear();
            running.gone = None;
        }
        let elsewhere = running
            .gone
            .as_mut()
            .and_then(|(posting, left)| left.pop_front().map(|word| (word, posting.clone())));
        let next = elsewhere.or_else(|| {
            running.gone = None;
            running.left.pop_front().map(|word| (word, running.posting.clone()))
        });
        match (next, home) {
            (Some((word, posting)), Some((_, home))) => {
                let counter = running.counter;
                let others = running.others.iter().copied();
                let by: Vec<Door> = std::iter::once(door_of(&home)).chain(others).collect();
                (running.waiting, running.posted) = (by.len(), 0);
                for door in by {
                    let link = self.errand_to(now, &door);
                    let post = Postings::PostForMe { word, posting: posting.clone() };
                    self.ask(now, link, About::Posting(counter, door), post);
                }
            }
            (_, _) => self.profile_posted(now),
        }
    }

    /// One of those who post has posted what has that counter at one key, or not (none: it did not
    /// answer).
    pub(super) fn key_posted(
        &mut self,
        now: Instant,
        counter: u64,
        by: &Door,
        answer: Option<&Postings>,
    ) {
        if answer.is_none() {
            self.super_peers.missed(by);
        }
        let Some(running) = self.profile.running.as_mut().filter(|r| r.counter == counter) else {
            return;
        };
        match answer {
            Some(Postings::Posted { .. }) => running.posted += 1,
            Some(_) => {}
            None => running.others.retain(|other| other != by),
        }
        running.waiting = running.waiting.saturating_sub(1);
        if running.waiting > 0 {
            return;
        }
        if self.profile.again {
            (self.profile.again, self.profile.running) = (false, None);
            return self.post_profile(now);
        }
        match running.posted >= running.enough {
            true => running.held += usize::from(running.gone.is_none()),
            false => running.failed += 1,
        }
        self.post_next(now);
    }

    /// All keys were tried.
    fn profile_posted(&mut self, now: Instant) {
        let wall = self.wall(now);
        let Some(Running { held, failed, .. }) = self.profile.running.take() else { return };
        self.errand_done();
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
        if failed == 0
            && let Some(session) = &mut self.session
        {
            session.vault.listed_as.gone = List::default();
        }
        if failed == 0 || (listing.is_listed && held > 0) {
            self.put_listing(Listing { next: wall.plus(pause), ..listing });
            self.save_vault();
        }
        self.tell_session();
    }

    /// Something is to be posted at once; what is posted ends a day from now.
    fn change_listing(&mut self, listing: Listing, shown: ListedAs, wall: UnixTime) {
        if let Some(session) = &mut self.session {
            let is_held = listing.posted_until > wall;
            let before = own_words(&session.vault);
            session.vault.listed_as = shown;
            let vault = &mut session.vault;
            let now = own_words(vault);
            let older = vault.listed_as.gone.iter().map(|word| word.as_str().to_owned());
            let gone = before.into_iter().filter(|_| is_held).chain(older);
            let gone = gone.filter(|word| !now.contains(word));
            let gone = gone.filter_map(|word| Text::new(word).ok()).collect::<Vec<_>>();
            vault.listed_as.gone = List::first_of(gone);
        }
        let until = if listing.is_listed { wall.plus(POSTING_LIFE) } else { listing.posted_until };
        self.put_listing(Listing { posted_until: until, next: UnixTime(0), ..listing });
    }

    fn put_listing(&mut self, listing: Listing) {
        if let Some(session) = &mut self.session {
            session.vault.listing = listing;
        }
    }
}

impl ListedAs {
    /// With what the user wishes.
    fn with(&self, wish: Wish) -> Self {
        let name = match wish.name {
            Some(name) if name.as_str().is_empty() => None,
            Some(name) => Some(name),
            None => self.name.clone(),
        };
        let about = wish.about.unwrap_or_else(|| self.about.clone());
        Self { name, about, gone: self.gone.clone() }
    }

    /// Name and words, for the owner.
    pub(super) fn told(&self) -> (Option<String>, Vec<String>) {
        let about = self.about.iter().map(|word| word.as_str().to_owned());
        (self.name.as_ref().map(|name| name.as_str().to_owned()), about.collect())
    }
}

impl Session {
    /// A posting of ours; without a name, one that takes back.
    fn post(
        &self,
        words: &[String],
        name: Option<Text<LISTED_NAME_MAX>>,
        counter: u64,
        wall: UnixTime,
    ) -> Signed<Posting> {
        let about =
            Some(&self.vault.listed_as.about).filter(|about| name.is_some() && !about.is_empty());
        self.vault.keys.sign.sign(&Posting {
            chain: self.vault.chain.clone(),
            about: about.cloned(),
            display_name: name,
            words: List::first_of(words.iter().filter_map(|word| Text::new(word.as_str()).ok())),
            counter,
            expires: wall.plus(POSTING_LIFE),
        })
    }
}

/// The name to be listed under.
fn listed_name(vault: &LocalVault) -> &str {
    let account = vault.vault.display_name.as_str();
    vault.listed_as.name.as_ref().map_or(account, |name| name.as_str())
}

/// The folded words to be listed under.
fn own_words(vault: &LocalVault) -> Vec<String> {
    let about = vault.listed_as.about.iter().map(|word| word.as_str());
    words_of(&vault.user, listed_name(vault), about)
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
