//! The links to other super-peers. DESIGN 2.5.
//!
//! They are held to the neighbours on the ring and to the homes between which people watch each
//! other; any other is opened when something is to be said, and closed by whoever opened it when it
//! has been idle for [`IDLE`]. A super-peer that was lost is dialled again for [`FORGET_AFTER`], so
//! that a network that was parted finds together.
//!
//! Invariants: we dial a node only while no link to it is open or opening; of those lost, at most
//! [`ABSENT_MAX`] are dialled.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::entropy::Stream;
use crate::ids::NodeId;
use crate::port::LinkId;
use crate::wire::directory::NodeEntry;

/// A link that nothing is said on for so long is closed, unless it is held. Our choice: a refresh
/// of registrations and the next search of the same person find it open.
pub const IDLE: Duration = Duration::from_secs(60);
/// A super-peer that nobody reached for this long is forgotten. Our choice: longer than a reboot,
/// shorter than a holiday.
pub const FORGET_AFTER: Duration = Duration::from_secs(30 * 60);
/// Lost super-peers that are dialled at most. Our choice: after a parting, each of many members
/// tries so many; one that is reached is enough.
pub const ABSENT_MAX: usize = 32;
/// First pause before dialling a lost super-peer again; doubles up to [`RETRY_MAX`], full jitter.
const RETRY_FIRST: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(60);

/// The links, and who was lost.
#[derive(Debug, Default)]
pub struct Contacts {
    linked: BTreeMap<NodeId, Contact>,
    absent: BTreeMap<NodeId, Absent>,
}

#[derive(Debug)]
struct Contact {
    entry: NodeEntry,
    link: LinkId,
    is_open: bool,
    /// One that the other side has opened beside ours.
    spare: Option<LinkId>,
    used: Instant,
}

/// A super-peer that was lost.
#[derive(Debug)]
struct Absent {
    entry: NodeEntry,
    since: Instant,
    failures: u32,
    /// None while it is being dialled.
    retry: Option<Instant>,
}

/// A link to a super-peer is gone, and there is no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The super-peer.
    pub entry: NodeEntry,
    /// Whether the link was open; if not, the super-peer could not be reached.
    pub was_open: bool,
}

impl Contacts {
    /// The link to a node, open or opening; it counts as used.
    pub fn road(&mut self, node: &NodeId, now: Instant) -> Option<LinkId> {
        let contact = self.linked.get_mut(node)?;
        contact.used = now;
        Some(contact.link)
    }

    /// The open link to a node.
    #[must_use]
    pub fn open(&self, node: &NodeId) -> Option<LinkId> {
        self.linked.get(node).filter(|contact| contact.is_open).map(|contact| contact.link)
    }

    /// Whom we have dialled over that link.
    #[must_use]
    pub fn dialled_for(&self, link: LinkId) -> Option<&NodeEntry> {
        let dialled = |contact: &&Contact| contact.link == link && !contact.is_open;
        self.linked.values().find(dialled).map(|contact| &contact.entry)
    }

    /// We dial that node over `link`.
    pub fn dialling(&mut self, entry: NodeEntry, link: LinkId, now: Instant) {
        if let Some(absent) = self.absent.get_mut(&entry.node) {
            absent.retry = None;
        }
        let contact = Contact { entry, link, is_open: false, spare: None, used: now };
        self.linked.insert(entry.node, contact);
    }

    /// A link to that node is open. Answers whether it had been lost.
    pub fn opened(&mut self, entry: NodeEntry, link: LinkId, now: Instant) -> bool {
        match self.linked.get_mut(&entry.node) {
            Some(contact) if contact.link == link => {
                (contact.entry, contact.is_open) = (entry, true);
            }
            Some(contact) => contact.spare = Some(link),
            None => {
                let contact = Contact { entry, link, is_open: true, spare: None, used: now };
                self.linked.insert(entry.node, contact);
            }
        }
        self.absent.remove(&entry.node).is_some()
    }

    /// That link is gone. Answers the node that it led to, if there is no other link to it.
    pub fn closed(&mut self, link: LinkId) -> Option<Lost> {
        let uses = |c: &Contact| c.link == link || c.spare == Some(link);
        let (node, contact) = self.linked.iter_mut().find(|(_, contact)| uses(contact))?;
        if contact.link != link {
            contact.spare = None;
            return None;
        }
        if let Some(spare) = contact.spare.take() {
            (contact.link, contact.is_open) = (spare, true);
            return None;
        }
        let lost = Lost { entry: contact.entry, was_open: contact.is_open };
        let node = *node;
        self.linked.remove(&node);
        Some(lost)
    }

    /// A node could not be reached: it is dialled again later, unless it is being dialled already.
    pub fn lost(&mut self, entry: NodeEntry, now: Instant, jitter: &mut Stream) {
        if self.linked.contains_key(&entry.node) {
            return;
        }
        if self.absent.len() >= ABSENT_MAX && !self.absent.contains_key(&entry.node) {
            return;
        }
        let new = Absent { entry, since: now, failures: 0, retry: None };
        let absent = self.absent.entry(entry.node).or_insert(new);
        absent.failures = absent.failures.saturating_add(1);
        let pause = RETRY_FIRST.saturating_mul(1 << absent.failures.min(10)).min(RETRY_MAX);
        let millis = jitter.below(pause.as_millis() as u64 + 1);
        absent.retry = Some(now + Duration::from_millis(millis));
    }

    /// Lost nodes that are to be dialled now. Forgets those that were lost too long.
    pub fn due(&mut self, now: Instant) -> Vec<NodeEntry> {
        self.absent.retain(|_, lost| now.saturating_duration_since(lost.since) < FORGET_AFTER);
        let due = self.absent.values().filter(|lost| lost.retry.is_some_and(|at| at <= now));
        due.map(|lost| lost.entry).collect()
    }

    /// When [`Contacts::due`] has something to say next.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        self.absent.values().filter_map(|lost| lost.retry).min()
    }

    /// Links of ours that are idle and lead to nobody of `held`. They count as closed.
    pub fn let_go(&mut self, now: Instant, held: &BTreeSet<NodeId>) -> Vec<LinkId> {
        let is_idle = |node: &NodeId, contact: &Contact| {
            contact.is_open
                && matches!(contact.link, LinkId::Dialled(_))
                && !held.contains(node)
                && contact.used + IDLE <= now
        };
        let idle = self.linked.iter().filter(|(node, contact)| is_idle(node, contact));
        let idle: Vec<LinkId> = idle.map(|(_, contact)| contact.link).collect();
        for link in &idle {
            self.closed(*link);
        }
        idle
    }

    /// Whether any link is one that we have dialled.
    #[must_use]
    pub fn has_dialled(&self) -> bool {
        self.linked.values().any(|contact| matches!(contact.link, LinkId::Dialled(_)))
    }

    /// The open links.
    #[must_use]
    pub fn open_links(&self) -> Vec<LinkId> {
        self.linked.values().filter(|contact| contact.is_open).map(|c| c.link).collect()
    }

    /// A super-peer that is linked now, by lot; none when there is none.
    pub fn any_linked(&self, jitter: &mut Stream) -> Option<LinkId> {
        let open: Vec<LinkId> =
            self.linked.values().filter(|contact| contact.is_open).map(|c| c.link).collect();
        let lot = (!open.is_empty()).then(|| jitter.below(open.len() as u64))?;
        open.get(lot as usize).copied()
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test begins at some moment")]
mod tests {
    use super::*;
    use crate::entropy::Entropy;
    use crate::wire::certificate::AgreeKey;

    fn entry(last: u8) -> NodeEntry {
        let address = std::net::SocketAddr::from(([192, 0, 2, last], 4433));
        NodeEntry { node: NodeId([last; 20]), address, key: AgreeKey([last; 32]) }
    }

    #[test]
    fn only_our_own_idle_links_are_let_go_and_none_that_is_held() {
        let now = Instant::now();
        let mut contacts = Contacts::default();
        for last in [1, 2] {
            let link = LinkId::Dialled(last.into());
            contacts.dialling(entry(last), link, now);
            contacts.opened(entry(last), link, now);
        }
        contacts.opened(entry(3), LinkId::Accepted(3), now);
        let held = BTreeSet::from([entry(2).node]);
        assert_eq!(contacts.let_go(now, &held), []);
        assert_eq!(contacts.let_go(now + IDLE, &held), [LinkId::Dialled(1)]);
        assert_eq!(contacts.road(&entry(1).node, now), None);
        assert_eq!(contacts.open(&entry(3).node), Some(LinkId::Accepted(3)));
    }

    #[test]
    fn a_node_with_a_second_link_is_not_lost_with_the_first() {
        let now = Instant::now();
        let mut contacts = Contacts::default();
        contacts.dialling(entry(1), LinkId::Dialled(1), now);
        contacts.opened(entry(1), LinkId::Accepted(2), now);
        assert_eq!(contacts.closed(LinkId::Dialled(1)), None);
        assert_eq!(contacts.road(&entry(1).node, now), Some(LinkId::Accepted(2)));
        let lost = Lost { entry: entry(1), was_open: true };
        assert_eq!(contacts.closed(LinkId::Accepted(2)), Some(lost));
    }

    #[test]
    fn a_lost_super_peer_is_tried_ever_more_rarely_and_then_forgotten() {
        let mut jitter = Entropy::new([1; 32]).jitter;
        let start = Instant::now();
        let mut contacts = Contacts::default();
        contacts.lost(entry(1), start, &mut jitter);
        let (mut now, mut tries) = (start, 0);
        while let Some(at) = contacts.next_due() {
            now = at;
            for entry in contacts.due(now) {
                tries += 1;
                contacts.dialling(entry, LinkId::Dialled(tries), now);
                let lost = contacts.closed(LinkId::Dialled(tries)).expect("it was dialled");
                assert!(!lost.was_open);
                contacts.lost(lost.entry, now, &mut jitter);
            }
        }
        assert!(now >= start + FORGET_AFTER && now < start + FORGET_AFTER * 2);
        assert!((20..500).contains(&tries), "{tries} tries in half an hour");
    }

    #[test]
    fn a_lost_super_peer_that_is_being_dialled_is_waited_for() {
        let mut jitter = Entropy::new([1; 32]).jitter;
        let now = Instant::now();
        let mut contacts = Contacts::default();
        contacts.dialling(entry(1), LinkId::Dialled(1), now);
        // The question that failed with the link was put again before the end of the link is told.
        contacts.closed(LinkId::Dialled(1)).expect("it was dialled");
        contacts.dialling(entry(1), LinkId::Dialled(2), now);
        contacts.lost(entry(1), now, &mut jitter);
        assert_eq!(contacts.due(now + RETRY_MAX), []);
        assert_eq!(contacts.next_due(), None);
        let lost = contacts.closed(LinkId::Dialled(2)).expect("it was dialled");
        contacts.lost(lost.entry, now, &mut jitter);
        assert!(contacts.next_due().is_some());
    }

    #[test]
    fn who_comes_back_had_been_lost() {
        let mut jitter = Entropy::new([1; 32]).jitter;
        let now = Instant::now();
        let mut contacts = Contacts::default();
        assert!(!contacts.opened(entry(1), LinkId::Accepted(1), now));
        contacts.closed(LinkId::Accepted(1));
        contacts.lost(entry(1), now, &mut jitter);
        assert!(contacts.opened(entry(1), LinkId::Accepted(2), now));
        assert_eq!(contacts.next_due(), None);
    }
}
