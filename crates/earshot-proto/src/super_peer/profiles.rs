//! Profiles at a super-peer: kept for the ring, posted and found for clients. DESIGN 2.5 (directory
//! search).
//!
//! A device has its home post, one key at a time, and look, one page at a time: a posting does not
//! fit into a datagram, and the home's links to keepers serve all its clients. So that a home that
//! lies hides nobody, a device asks others the same: devices are served alike, whether at home here
//! or not, within the budget of each. A posting goes to
//! the keepers of its key, and to those of the half below where it is full there. A page is what
//! the keepers of its shard have, put together; it begins with what is kept here, and is given
//! again for [`FRESH`].
//!
//! Invariants: a posting is kept and passed on only after its signatures were checked here, and a
//! keeper that shows any that does not verify counts as silent; of several of one user the highest
//! counter counts, so that a keeper that shows an old one brings nobody back who has left.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::ids::{NodeId, RingKey, UserName};
use crate::lookup::{End, Fetched, Lookup, Outcome};
use crate::port::LinkId;
use crate::secure::links::Who;
use crate::secure::postings::{Checked, check};
use crate::wire::bounded::List;
use crate::wire::certificate::Signed;
use crate::wire::directory::{NODES_MAX, NodeEntry, Trail};
use crate::wire::posting::{
    LISTED_MAX, Page, Posting, PostingRefusal, Postings as Message, begin, is_shard_of,
    shard_below, shard_key,
};

use super::handover::Kept;
use super::lookups::Wanted;
use super::postings::{PostingName, Postings};
use super::{About, SuperPeer};

/// Postings for devices under way at most, one a link.
const JOBS_MAX: usize = 1024;
/// Clients that wait for one page at most.
const SHARERS_MAX: usize = 256;
/// How long a page is given again. DESIGN 2.5: up to ten minutes; ours is shorter, so that whoever
/// is taken off the list is soon off it.
const FRESH: Duration = Duration::from_secs(60);
/// How long an empty one is. Our choice: who has just been listed is found.
const FRESH_EMPTY: Duration = Duration::from_secs(5);
/// Pages remembered at most: some 2 MB.
const REMEMBERED_MAX: usize = 256;

/// The profiles kept here, and what is done with them for clients.
#[derive(Debug, Default)]
pub(super) struct Profiles {
    /// What is kept.
    pub(super) store: Postings,
    posting: BTreeMap<LinkId, Job>,
    remembered: BTreeMap<Page, Remembered>,
}

/// A posting of a client on its way down the shards of one key.
#[derive(Debug)]
struct Job {
    ask: u32,
    word: RingKey,
    shard: u8,
    posting: Checked,
    /// Keepers that have not answered.
    waiting: usize,
    /// Whether one holds it, or a newer one.
    is_held: bool,
    /// Whether the half below is to be told as well.
    goes_down: bool,
}

/// A page that is being put together.
#[derive(Debug)]
pub(super) struct PageSearch {
    page: Page,
    /// Those who wait: their links and questions.
    sharers: Vec<(LinkId, u32)>,
    found: BTreeMap<UserName, Checked>,
    /// Up to this name all who answered have told all they have; none: to the end.
    known_to: Option<UserName>,
    split: bool,
}

#[derive(Debug)]
struct Remembered {
    listed: Message,
    until: Instant,
}

impl Profiles {
    /// Postings of clients under way.
    pub(super) fn jobs(&self) -> usize {
        self.posting.len()
    }

    fn remember(&mut self, page: Page, remembered: Remembered, now: Instant) {
        self.remembered.retain(|_, old| old.until > now);
        if self.remembered.len() >= REMEMBERED_MAX {
            let soonest = self.remembered.iter().min_by_key(|(_, old)| old.until);
            if let Some(soonest) = soonest.map(|(page, _)| page.clone()) {
                self.remembered.remove(&soonest);
            }
        }
        self.remembered.insert(page, remembered);
    }

    fn forget(&mut self, word: &RingKey) {
        self.remembered.retain(|page, _| page.word != *word);
    }
}

impl PageSearch {
    /// What a keeper shows, if all of it belongs on this page and verifies.
    fn believed(
        &self,
        postings: &[Signed<Posting>],
        mut check: impl FnMut(&Signed<Posting>) -> Option<Checked>,
    ) -> Option<Vec<Checked>> {
        let page = &self.page;
        let mut last = page.after.clone();
        let mut believed = Vec::new();
        for signed in postings {
            let checked = check(signed)?;
            let Checked { user, posting, .. } = &checked;
            let follows = last.as_ref().is_none_or(|last| last < user);
            let belongs = posting.leads_to(&page.word) && is_shard_of(user, page.shard);
            if !follows || !belongs || !begin(&page.typed, &posting.words) {
                return None;
            }
            last = Some(user.clone());
            believed.push(checked);
        }
        Some(believed)
    }

    fn take(&mut self, postings: Vec<Checked>, next: Option<UserName>, split: bool) {
        self.split |= split;
        if let Some(next) = next
            && self.known_to.as_ref().is_none_or(|known_to| next < *known_to)
        {
            self.known_to = Some(next);
        }
        for new in postings {
            let old = self.found.get(&new.user);
            if old.is_none_or(|old| old.posting.counter < new.posting.counter) {
                self.found.insert(new.user.clone(), new);
            }
        }
    }

    /// The page, as a client is to see it.
    fn listed(&self, trail: Trail) -> Message {
        let is_known = |user: &UserName| self.known_to.as_ref().is_none_or(|to| user <= to);
        let known: Vec<&Checked> = self.found.values().filter(|c| is_known(&c.user)).collect();
        let page = &known[..known.len().min(LISTED_MAX)];
        let is_whole = self.known_to.is_none() && page.len() == known.len();
        let next = page.last().filter(|_| !is_whole).map(|last| last.user.clone());
        let shown = page.iter().filter(|checked| checked.posting.display_name.is_some());
        let postings = List::first_of(shown.map(|checked| checked.signed().clone()));
        Message::Listed { postings, next, split: self.split, trail }
    }
}

impl SuperPeer {
    pub(super) fn handle_postings(
        &mut self,
        now: Instant,
        link: LinkId,
        who: &Who,
        ask: u32,
        message: Message,
    ) {
        match message {
            Message::Post { word, shard, posting } if matches!(who, Who::Node(_)) => {
                let Who::Node(from) = who else { return };
                let kept = self.keep_posting(now, &from.node, word, shard, posting);
                let answer = kept.map_or_else(refused, |split| Message::Posted { split });
                self.answer(now, link, ask, answer);
            }
            Message::FindWord { page } if matches!(who, Who::Node(_)) => {
                self.counters.pages += 1;
                let answer = self.profiles.store.find(&page, self.wall(now));
                self.answer(now, link, ask, answer);
            }
            Message::PostForMe { word, posting } if matches!(who, Who::Device { .. }) => {
                self.post_for(now, link, who, ask, word, posting);
            }
            Message::FindForMe { page } if matches!(who, Who::Device { .. }) => {
                self.counters.pages += 1;
                self.find_page_for(now, link, ask, page);
            }
            Message::Posted { .. } | Message::Listed { .. } | Message::Refused { .. } => {
                self.link_answered(now, link, ask, message);
            }
            Message::Post { .. }
            | Message::FindWord { .. }
            | Message::PostForMe { .. }
            | Message::FindForMe { .. } => {
                self.answer(now, link, ask, refused(PostingRefusal::NotAllowed));
            }
        }
    }

    /// Keeps what another super-peer posts. Answers whether an older one may be held further down.
    fn keep_posting(
        &mut self,
        now: Instant,
        from: &NodeId,
        word: RingKey,
        shard: u8,
        posting: Signed<Posting>,
    ) -> Result<bool, PostingRefusal> {
        let wall = self.wall(now);
        let checked = check(posting, &self.config.root, wall)?;
        let name = PostingName { word, shard, user: checked.user.clone() };
        let split = self.profiles.store.post(word, shard, checked, wall)?;
        self.profiles.forget(&word);
        self.pass_back(now, from, &Kept::Posting(name));
        Ok(split)
    }

    /// A client wants to be listed under a key, or not to be any more.
    fn post_for(
        &mut self,
        now: Instant,
        link: LinkId,
        who: &Who,
        ask: u32,
        word: RingKey,
        posting: Signed<Posting>,
    ) {
        let checked = check(posting, &self.config.root, self.wall(now));
        let of_whom = checked.as_ref().map(|checked| &checked.user);
        let is_busy = self.lookups.is_full()
            || self.profiles.jobs() >= JOBS_MAX
            || self.profiles.posting.contains_key(&link);
        let refusal = match (&checked, who) {
            (Err(refusal), _) => Some(*refusal),
            (Ok(_), Who::Device { address, .. }) if of_whom != Ok(&address.user) => {
                Some(PostingRefusal::NotAllowed)
            }
            (Ok(checked), _) if !checked.posting.leads_to(&word) => Some(PostingRefusal::NotHere),
            (Ok(_), _) => is_busy.then_some(PostingRefusal::Busy),
        };
        let (Ok(posting), None) = (checked, refusal) else {
            let refusal = refusal.unwrap_or(PostingRefusal::PostingRefused);
            return self.answer(now, link, ask, refused(refusal));
        };
        self.profiles.forget(&word);
        let job =
            Job { ask, word, shard: 1, posting, waiting: 0, is_held: false, goes_down: false };
        self.profiles.posting.insert(link, job);
        self.find_shard(now, link);
    }

    fn find_shard(&mut self, now: Instant, client: LinkId) {
        let Some(job) = self.profiles.posting.get(&client) else { return };
        let key = shard_key(&job.word, job.shard);
        let keepers = usize::from(self.standing.keepers());
        let start = self.nearest(&key, NODES_MAX as u8);
        let lookup = Lookup::of_keepers(now, key, keepers, self.ring.density(), start);
        self.look(now, lookup, Wanted::Shard { client });
    }

    /// The keepers of the shard that a client's posting goes to are known.
    pub(super) fn shard_found(&mut self, now: Instant, client: LinkId, keepers: Vec<NodeEntry>) {
        let (me, wall) = (self.ring.me().node, self.wall(now));
        let Some(job) = self.profiles.posting.get_mut(&client) else { return };
        job.waiting = keepers.len();
        let (word, shard, posting) = (job.word, job.shard, job.posting.clone());
        if keepers.is_empty() {
            return self.shard_told(now, client);
        }
        for keeper in keepers {
            if keeper.node == me {
                let kept = self.profiles.store.post(word, shard, posting.clone(), wall);
                let answer = kept.map_or_else(refused, |split| Message::Posted { split });
                self.post_answered(now, client, Some(&answer));
            } else {
                let post = Message::Post { word, shard, posting: posting.signed().clone() };
                let link = self.link_to(now, &keeper);
                self.ask(now, link, About::Post(client), post);
            }
        }
    }

    /// A keeper has taken a client's posting, or has not (none: it did not answer).
    pub(super) fn post_answered(&mut self, now: Instant, client: LinkId, answer: Option<&Message>) {
        let Some(job) = self.profiles.posting.get_mut(&client) else { return };
        job.waiting = job.waiting.saturating_sub(1);
        match answer {
            Some(Message::Posted { split }) => {
                job.is_held = true;
                job.goes_down |= *split && job.posting.posting.display_name.is_none();
            }
            Some(Message::Refused { reason: PostingRefusal::Stale }) => job.is_held = true,
            Some(Message::Refused { reason: PostingRefusal::Full }) => job.goes_down = true,
            Some(_) | None => {}
        }
        if job.waiting == 0 {
            self.shard_told(now, client);
        }
    }

    /// All keepers of a shard have answered.
    fn shard_told(&mut self, now: Instant, client: LinkId) {
        let Some(job) = self.profiles.posting.get_mut(&client) else { return };
        let below = shard_below(&job.posting.user, job.shard).filter(|_| job.goes_down);
        if let Some(below) = below {
            (job.shard, job.goes_down) = (below, false);
            return self.find_shard(now, client);
        }
        let answer = match (job.is_held, job.goes_down) {
            (true, _) => Message::Posted { split: false },
            (false, true) => refused(PostingRefusal::Full),
            (false, false) => refused(PostingRefusal::Busy),
        };
        let (ask, word) = (job.ask, job.word);
        self.profiles.posting.remove(&client);
        self.profiles.forget(&word);
        self.answer(now, client, ask, answer);
    }

    /// Puts a page together for a client.
    fn find_page_for(&mut self, now: Instant, client: LinkId, ask: u32, page: Page) {
        let remembered = self.profiles.remembered.get(&page).filter(|old| old.until > now);
        if let Some(Remembered { listed, .. }) = remembered {
            let listed = listed.clone();
            return self.answer(now, client, ask, listed);
        }
        let shares = |search: &mut PageSearch| {
            let is_same = search.page == page && search.sharers.len() < SHARERS_MAX;
            if is_same {
                search.sharers.push((client, ask));
            }
            is_same
        };
        if self.lookups.pages().any(shares) {
            return;
        }
        if self.lookups.is_full() {
            return self.answer(now, client, ask, refused(PostingRefusal::Busy));
        }
        let key = shard_key(&page.word, page.shard);
        let start = self.nearest(&key, NODES_MAX as u8);
        let lookup = Lookup::new(now, key, self.ring.density(), start);
        let mut search = PageSearch {
            page,
            sharers: vec![(client, ask)],
            found: BTreeMap::new(),
            known_to: None,
            split: false,
        };
        if let Message::Listed { postings, next, split, .. } = self.own_page(now, &search.page) {
            let checked = search.believed(&postings, |signed| self.believed_posting(now, signed));
            search.take(checked.unwrap_or_default(), next, split);
        }
        self.look(now, lookup, Wanted::Page(Box::new(search)));
    }

    fn own_page(&self, now: Instant, page: &Page) -> Message {
        self.profiles.store.find(page, self.wall(now))
    }

    fn believed_posting(&self, now: Instant, signed: &Signed<Posting>) -> Option<Checked> {
        check(signed.clone(), &self.config.root, self.wall(now)).ok()
    }

    /// Asks a keeper for a page.
    pub(super) fn fetch_page(&mut self, now: Instant, id: u32, page: Page, from: &NodeEntry) {
        if from.node == self.ring.me().node {
            let page = self.own_page(now, &page);
            self.page_fetched(now, id, &from.node, Some(page));
        } else {
            let link = self.link_to(now, from);
            self.ask(now, link, About::FetchPage(id, from.node), Message::FindWord { page });
        }
    }

    /// A keeper has shown a page, or was silent.
    pub(super) fn page_fetched(
        &mut self,
        now: Instant,
        id: u32,
        from: &NodeId,
        answer: Option<Message>,
    ) {
        let Some(search) = self.lookups.page(id) else { return };
        let fetched = match answer {
            Some(Message::Listed { postings, next, split, .. }) => {
                let believed =
                    search.believed(&postings, |signed| self.believed_posting(now, signed));
                let last = believed.as_ref().and_then(|all| all.last()).map(|last| &last.user);
                match believed {
                    Some(_) if next.is_some() && next.as_ref() != last => Fetched::Failed,
                    Some(all) if all.is_empty() && !split => Fetched::NotHere,
                    Some(all) => {
                        self.lookups.page_mut(id).into_iter().for_each(|search| {
                            search.take(all.clone(), next.clone(), split);
                        });
                        Fetched::Held { counter: 0, is_late: false }
                    }
                    None => Fetched::Failed,
                }
            }
            Some(_) | None => Fetched::Failed,
        };
        self.lookup_fetched(now, id, from, fetched);
    }

    /// All that a page is put together of has come.
    pub(super) fn page_over(&mut self, now: Instant, search: PageSearch, outcome: Outcome) {
        let Outcome { asked, round, end, .. } = outcome;
        let is_sure = match end {
            End::Found { .. } | End::NotFound => true,
            End::Placed | End::Inconclusive => false,
        };
        let answer = match is_sure || !search.found.is_empty() {
            true => search.listed(Trail { asked, round, cached: false }),
            false => refused(PostingRefusal::Busy),
        };
        if is_sure {
            let fresh = if search.found.is_empty() { FRESH_EMPTY } else { FRESH };
            let listed = search.listed(Trail { asked, round, cached: true });
            self.profiles.remember(search.page, Remembered { listed, until: now + fresh }, now);
        }
        for (link, ask) in search.sharers {
            self.answer(now, link, ask, answer.clone());
        }
    }
}

impl PageSearch {
    /// What is asked for.
    pub(super) const fn page(&self) -> &Page {
        &self.page
    }
}

const fn refused(reason: PostingRefusal) -> Message {
    Message::Refused { reason }
}

#[cfg(test)]
mod tests;
