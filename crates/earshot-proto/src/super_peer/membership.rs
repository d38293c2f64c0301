//! Which super-peers there are: full membership, every one known to every other. DESIGN 2.5, below
//! the threshold.
//!
//! Keepers of a key are its successors among the live members (lecture, slide 20). A member is
//! learnt from its own certificate, from the authority, or from another member; it stays until it
//! was unreachable for [`FORGET_AFTER`]. Invariant: we are always a member ourselves.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::entropy::Stream;
use crate::ids::{NodeId, RingKey};
use crate::port::LinkId;
use crate::wire::directory::NodeEntry;

/// Members known at most. DESIGN 2.5: full membership ends at 2,048 super-peers.
pub const MEMBERS_MAX: usize = 2048;
/// A member that nobody reached for this long is forgotten. Our choice: longer than a reboot,
/// shorter than a holiday.
pub const FORGET_AFTER: Duration = Duration::from_secs(30 * 60);
/// First pause before dialling an unreachable member again; doubles up to [`RETRY_MAX`], full
/// jitter.
const RETRY_FIRST: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(60);

/// The members of the network as this super-peer sees them.
#[derive(Debug)]
pub struct Membership {
    me: NodeEntry,
    others: BTreeMap<NodeId, Member>,
}

#[derive(Debug)]
struct Member {
    entry: NodeEntry,
    contact: Contact,
}

/// How we stand with a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contact {
    /// Known by word of others; not dialled yet.
    Heard {
        /// Since then.
        since: Instant,
    },
    /// We are dialling it, after this outage.
    Dialling(LinkId, Outage),
    /// A link is open.
    Open(LinkId),
    /// It was unreachable.
    Unreachable { outage: Outage, retry: Instant },
}

impl Membership {
    /// A network of one.
    #[must_use]
    pub const fn new(me: NodeEntry) -> Self {
        Self { me, others: BTreeMap::new() }
    }

    /// We are certified as this now.
    pub const fn set_me(&mut self, me: NodeEntry) {
        self.me = me;
    }

    /// Our own entry.
    #[must_use]
    pub const fn me(&self) -> &NodeEntry {
        &self.me
    }

    /// Takes a member into account; answers whether it is news. Beyond [`MEMBERS_MAX`] nothing is
    /// taken.
    pub fn learn(&mut self, entry: NodeEntry, now: Instant) -> bool {
        if entry.node == self.me.node {
            return false;
        }
        let room = self.others.len() + 1 < MEMBERS_MAX;
        match self.others.get_mut(&entry.node) {
            Some(known) => {
                known.entry = entry;
                false
            }
            None if room => {
                self.others
                    .insert(entry.node, Member { entry, contact: Contact::Heard { since: now } });
                true
            }
            None => false,
        }
    }

    /// A link to that member is open. Answers whether the set of live members changed by it.
    pub fn opened(&mut self, entry: NodeEntry, link: LinkId, now: Instant) -> bool {
        let new = self.learn(entry, now);
        let Some(member) = self.others.get_mut(&entry.node) else { return false };
        let was_dead = matches!(member.contact, Contact::Unreachable { .. });
        member.contact = Contact::Open(link);
        new || was_dead
    }

    /// We dial that member over `link`.
    pub fn dialling(&mut self, node: &NodeId, link: LinkId, now: Instant) {
        if let Some(member) = self.others.get_mut(node) {
            let outage = match member.contact {
                Contact::Unreachable { outage, .. } | Contact::Dialling(_, outage) => outage,
                Contact::Heard { .. } | Contact::Open(_) => Outage { since: now, failures: 0 },
            };
            member.contact = Contact::Dialling(link, outage);
        }
    }

    /// That link is gone. Answers the member that it led to, if it was the one in use: it counts as
    /// dead from now on.
    pub fn closed(&mut self, link: LinkId, now: Instant, jitter: &mut Stream) -> Option<NodeId> {
        let (node, member) = self.others.iter_mut().find(|(_, m)| m.contact.uses(link))?;
        let before = match member.contact {
            Contact::Dialling(_, outage) => outage,
            Contact::Heard { .. } | Contact::Open(_) | Contact::Unreachable { .. } => {
                Outage { since: now, failures: 0 }
            }
        };
        let outage = Outage { failures: before.failures.saturating_add(1), ..before };
        let pause = RETRY_FIRST.saturating_mul(1 << outage.failures.min(10)).min(RETRY_MAX);
        member.contact = Contact::Unreachable { outage, retry: now + full_jitter(pause, jitter) };
        Some(*node)
    }

    /// Members that are to be dialled now. Forgets those that were away too long.
    pub fn due(&mut self, now: Instant) -> Vec<NodeEntry> {
        self.others.retain(|_, m| match m.contact {
            Contact::Unreachable { outage, .. } => {
                now.saturating_duration_since(outage.since) < FORGET_AFTER
            }
            Contact::Heard { .. } | Contact::Dialling(..) | Contact::Open(_) => true,
        });
        let is_due = |m: &&Member| match m.contact {
            Contact::Heard { .. } => true,
            Contact::Unreachable { retry, .. } => retry <= now,
            Contact::Dialling(..) | Contact::Open(_) => false,
        };
        self.others.values().filter(is_due).map(|m| m.entry).collect()
    }

    /// When [`Membership::due`] has something to say next.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        self.others
            .values()
            .filter_map(|m| match m.contact {
                Contact::Heard { since } => Some(since),
                Contact::Unreachable { retry, .. } => Some(retry),
                Contact::Dialling(..) | Contact::Open(_) => None,
            })
            .min()
    }

    /// The open link to a member.
    #[must_use]
    pub fn link(&self, node: &NodeId) -> Option<LinkId> {
        match self.others.get(node)?.contact {
            Contact::Open(link) => Some(link),
            Contact::Heard { .. } | Contact::Dialling(..) | Contact::Unreachable { .. } => None,
        }
    }

    /// The link to a member, open or opening.
    #[must_use]
    pub fn road(&self, node: &NodeId) -> Option<LinkId> {
        match self.others.get(node)?.contact {
            Contact::Open(link) | Contact::Dialling(link, _) => Some(link),
            Contact::Heard { .. } | Contact::Unreachable { .. } => None,
        }
    }

    /// A member that is linked now, by lot; none when we are alone.
    pub fn any_linked(&self, jitter: &mut Stream) -> Option<LinkId> {
        let linked: Vec<LinkId> = self.others.keys().filter_map(|node| self.link(node)).collect();
        let lot = (!linked.is_empty()).then(|| jitter.below(linked.len() as u64))?;
        linked.get(lot as usize).copied()
    }

    /// All other members, as they are kept on disk.
    #[must_use]
    pub fn others(&self) -> Vec<NodeEntry> {
        self.others.values().map(|member| member.entry).collect()
    }

    /// The live members nearest after `key`, ourselves among them, at most `width`.
    #[must_use]
    pub fn nearest(&self, key: &RingKey, width: usize) -> Vec<NodeEntry> {
        let mut live: Vec<_> = self.live().collect();
        live.sort_by_cached_key(|entry| key.distance_to(&entry.node));
        live.truncate(width);
        live
    }

    /// All live members, ourselves first.
    pub fn live(&self) -> impl Iterator<Item = NodeEntry> {
        let others =
            self.others.values().filter(|m| !matches!(m.contact, Contact::Unreachable { .. }));
        std::iter::once(self.me).chain(others.map(|m| m.entry))
    }

    /// All members, dead ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.others.len() + 1
    }

    /// Never: we are a member ourselves.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        false
    }
}

/// How long and how often a member was unreachable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Outage {
    since: Instant,
    failures: u32,
}

impl Contact {
    fn uses(self, link: LinkId) -> bool {
        match self {
            Self::Dialling(id, _) | Self::Open(id) => id == link,
            Self::Heard { .. } | Self::Unreachable { .. } => false,
        }
    }
}

fn full_jitter(pause: Duration, jitter: &mut Stream) -> Duration {
    Duration::from_millis(jitter.below(pause.as_millis() as u64 + 1))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test begins at some moment")]
mod tests {
    use super::*;
    use crate::entropy::Entropy;
    use crate::wire::certificate::AgreeKey;

    fn entry(last: u8) -> NodeEntry {
        let mut node = [0; 20];
        node[0] = last;
        let address = std::net::SocketAddr::from(([192, 0, 2, last], 4433));
        NodeEntry { node: NodeId(node), address, key: AgreeKey([last; 32]) }
    }

    fn key(first: u8) -> RingKey {
        let mut key = [0; 20];
        key[0] = first;
        RingKey(key)
    }

    #[test]
    fn keepers_are_the_successors_of_the_key_around_the_ring() {
        let now = Instant::now();
        let mut members = Membership::new(entry(10));
        for last in [20, 30, 40, 50] {
            members.learn(entry(last), now);
        }
        let ids = |k| members.nearest(&key(k), 4).iter().map(|e| e.node.0[0]).collect::<Vec<_>>();
        assert_eq!(ids(25), [30, 40, 50, 10]);
        assert_eq!(ids(45), [50, 10, 20, 30]);
    }

    #[test]
    fn a_member_whose_link_is_gone_keeps_nothing_until_it_is_back() {
        let mut jitter = Entropy::new([1; 32]).jitter;
        let now = Instant::now();
        let mut members = Membership::new(entry(10));
        let link = LinkId::Dialled(1);
        assert!(members.opened(entry(20), link, now));
        assert_eq!(members.closed(link, now, &mut jitter), Some(entry(20).node));
        assert_eq!(members.nearest(&key(15), 4), [entry(10)]);
        assert!(members.opened(entry(20), LinkId::Accepted(2), now), "its return is news");
        assert_eq!(members.nearest(&key(15), 1), [entry(20)]);
    }

    #[test]
    fn an_unreachable_member_is_tried_ever_more_rarely_and_then_forgotten() {
        let mut jitter = Entropy::new([1; 32]).jitter;
        let mut now = Instant::now();
        let mut members = Membership::new(entry(10));
        members.learn(entry(20), now);
        let mut tries = 0;
        let start = now;
        while members.len() == 2 {
            for entry in members.due(now) {
                tries += 1;
                let link = LinkId::Dialled(tries);
                members.dialling(&entry.node, link, now);
                members.closed(link, now, &mut jitter);
            }
            now = members.next_due().unwrap_or(now).max(now + Duration::from_millis(1));
            assert!(now < start + FORGET_AFTER * 2, "it must be forgotten in the end");
        }
        assert!((20..500).contains(&tries), "{tries} tries in half an hour");
    }
}
