//! Am I reachable? What super-peers that dialled back have said, and until when it holds. DESIGN
//! 2.12.
//!
//! Invariant: one verdict a super-peer and transport; at most [`VERIFIERS_MAX`] super-peers, of
//! whom the one heard of longest ago makes room.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::ids::NodeId;

/// Super-peers whose verdicts are remembered, at most. Our choice: each dials back both ways, and
/// more than a few are never asked.
pub const VERIFIERS_MAX: usize = 16;
/// Super-peers that must have reached us, by each transport. DESIGN 2.12 and issue 4.
pub const VERIFIERS_NEEDED: u8 = 2;
/// How long a verdict holds. Our choice: routers forget mappings within minutes, yet hardly anybody
/// changes routers twice in half an hour; to be renewed every ten minutes.
pub const VERDICT_LIFE: Duration = Duration::from_secs(30 * 60);

/// How somebody was dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    /// A connection was opened.
    Tcp,
    /// A datagram was answered.
    Udp,
}

/// What one super-peer found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It got through.
    Reached,
    /// It did not.
    NotReached,
}

/// What several super-peers found by one transport.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// So many got through.
    pub reached: u8,
    /// So many did not.
    pub not_reached: u8,
}

impl Tally {
    /// At least `needed` got through, and more than did not: among several a single liar changes
    /// nothing.
    #[must_use]
    pub const fn is_verified(&self, needed: u8) -> bool {
        self.reached >= needed && self.reached > self.not_reached
    }
}

/// The verdicts that are remembered.
#[derive(Debug, Default)]
pub(super) struct Verdicts {
    by_node: BTreeMap<NodeId, Heard>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Heard {
    tcp: Option<(Finding, Instant)>,
    udp: Option<(Finding, Instant)>,
}

impl Heard {
    const fn by(&self, transport: Transport) -> Option<(Finding, Instant)> {
        match transport {
            Transport::Tcp => self.tcp,
            Transport::Udp => self.udp,
        }
    }

    fn latest(&self) -> Option<Instant> {
        let at = |heard: Option<(Finding, Instant)>| heard.map(|(_, at)| at);
        at(self.tcp).max(at(self.udp))
    }
}

impl Verdicts {
    pub(super) fn hear(&mut self, now: Instant, by: NodeId, how: Transport, finding: Finding) {
        if !self.by_node.contains_key(&by) && self.by_node.len() >= VERIFIERS_MAX {
            let oldest = self.by_node.iter().min_by_key(|(_, heard)| heard.latest());
            if let Some(node) = oldest.map(|(node, _)| *node) {
                self.by_node.remove(&node);
            }
        }
        let heard = self.by_node.entry(by).or_default();
        match how {
            Transport::Tcp => heard.tcp = Some((finding, now)),
            Transport::Udp => heard.udp = Some((finding, now)),
        }
    }

    /// Nothing that was said of the old surroundings holds any more.
    pub(super) fn forget(&mut self) {
        self.by_node.clear();
    }

    pub(super) fn tally(&self, now: Instant, transport: Transport) -> Tally {
        let mut tally = Tally::default();
        let heard = self.by_node.values().filter_map(|heard| heard.by(transport));
        for (finding, _) in heard.filter(|(_, at)| *at + VERDICT_LIFE > now) {
            match finding {
                Finding::Reached => tally.reached += 1,
                Finding::NotReached => tally.not_reached += 1,
            }
        }
        tally
    }

    /// When the next verdict ends.
    pub(super) fn next_end(&self, now: Instant) -> Option<Instant> {
        let all = self.by_node.values().flat_map(|heard| [heard.tcp, heard.udp]).flatten();
        all.map(|(_, at)| at + VERDICT_LIFE).filter(|end| *end > now).min()
    }
}
