//! How many super-peers and clients are around, and whom of our clients we invite to serve. DESIGN
//! 2.12.
//!
//! Each minute a super-peer tells those it is linked to how many clients it has; what it heard so
//! itself is what it tells its clients and decides by. Invariant: at most [`LOADS_MAX`] others are
//! remembered, each for [`LOAD_LIFE`].

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::ids::NodeId;
use crate::port::LinkId;
use crate::secure::links::Who;
use crate::wire::election::Election;

use super::SuperPeer;
use super::election::{Band, Inviting, Need};

/// How often a super-peer tells of its clients, and thinks of inviting one.
const LOAD_EVERY: Duration = Duration::from_secs(60);
/// How long what another told holds: two may be lost.
const LOAD_LIFE: Duration = Duration::from_secs(3 * 60);
/// Others remembered at most. Our choice: the neighbours on the ring, of whom there are 17, and as
/// many again as may come and go meanwhile.
const LOADS_MAX: usize = 64;

/// What is known of the others, and of candidates among our clients.
#[derive(Debug, Default)]
pub(super) struct Electing {
    pub(super) band: Band,
    /// Our own score, if we were elected.
    score: Option<u16>,
    loads: BTreeMap<NodeId, Load>,
    inviting: Inviting,
    next: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Load {
    clients: u32,
    score: Option<u16>,
    until: Instant,
}

impl Electing {
    pub(super) const fn next_due(&self) -> Option<Instant> {
        self.next
    }

    /// A client is gone.
    pub(super) fn client_gone(&mut self, who: &crate::wire::forward::Address) {
        self.inviting.handle_gone(who);
    }

    /// There is no link to a super-peer any more: whoever comes back tells at once.
    pub(super) fn node_gone(&mut self, node: &NodeId) {
        self.loads.remove(node);
    }
}

impl SuperPeer {
    /// How many clients a super-peer is to have, where it is not [`Band::default`].
    #[must_use]
    pub const fn with_band(mut self, band: Band) -> Self {
        self.electing.band = band;
        self
    }

    /// Our owner has rated us anew; none: we serve whatever our score.
    pub const fn rate(&mut self, score: Option<u16>) {
        self.electing.score = score;
    }

    /// What is known of the super-peers around, ourselves among them.
    #[must_use]
    pub fn need(&self, now: Instant) -> Need {
        let live = || self.electing.loads.values().filter(|load| load.until > now);
        Need {
            super_peers: 1 + live().count() as u32,
            clients: live().fold(self.clients.len() as u32, |sum, l| sum.saturating_add(l.clients)),
            weakest_other: live().filter_map(|load| load.score).min(),
        }
    }

    pub(super) fn handle_election(
        &mut self,
        now: Instant,
        link: LinkId,
        who: &Who,
        ask: u32,
        message: Election,
    ) {
        match (who, message) {
            (Who::Device { address, .. }, Election::Ask { score })
                if self.clients.has_link(link) =>
            {
                match score {
                    Some(score) => self.electing.inviting.handle_candidate(address, score),
                    None => self.electing.inviting.handle_gone(address),
                }
                let Need { super_peers, clients, .. } = self.need(now);
                self.answer(now, link, ask, Election::Around { super_peers, clients });
                self.invite_one(now);
            }
            (Who::Node(from), Election::Load { clients, score }) => {
                let loads = &mut self.electing.loads;
                loads.retain(|_, load| load.until > now);
                if loads.len() < LOADS_MAX || loads.contains_key(&from.node) {
                    loads.insert(from.node, Load { clients, score, until: now + LOAD_LIFE });
                }
            }
            // Others say what is not theirs to say; it changes nothing.
            (Who::Device { .. } | Who::Node(_) | Who::Authority | Who::Guest(_), _) => {}
        }
    }

    fn invite_one(&mut self, now: Instant) {
        let (need, clients) = (self.need(now), self.clients.len() as u32);
        let electing = &mut self.electing;
        let jitter = &mut self.entropy.jitter;
        let invited =
            electing.inviting.poll_invitation(now, &electing.band, &need, clients, jitter);
        if let Some(client) = invited.and_then(|who| self.clients.get(&who)) {
            self.links.send(now, client.link, 0, Election::Invited);
        }
    }

    /// Another super-peer is linked: it is told at once, and the beat begins with the first.
    pub(super) fn tell_load(&mut self, now: Instant, link: LinkId) {
        self.electing.next.get_or_insert(now + LOAD_EVERY);
        let (clients, score) = (self.clients.len() as u32, self.electing.score);
        self.links.send(now, link, 0, Election::Load { clients, score });
    }

    pub(super) fn electing_due(&mut self, now: Instant) {
        if self.electing.next.is_none_or(|at| at > now) {
            return;
        }
        self.electing.next = Some(now + LOAD_EVERY);
        for link in self.contacts.open_links() {
            self.tell_load(now, link);
        }
        self.invite_one(now);
    }
}
