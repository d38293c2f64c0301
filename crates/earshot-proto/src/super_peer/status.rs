//! What a super-peer tells of itself when it is asked: what it does, has done and holds.

use crate::ids::UserName;
use crate::secure::questions::AnswererCounters;

use super::SuperPeer;
use super::relay::RelayCounters;
use super::terms::{Spent, Terms, Traffic};

/// Counters since the start, for status and tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Envelopes that a client of ours sent through us.
    pub through_us: u64,
    /// Envelopes that devices brought over links of their own for clients of ours.
    pub from_visitors: u64,
    /// Envelopes that clients of ours sent back to such devices.
    pub to_visitors: u64,
    /// Envelopes delivered to clients of ours for other super-peers.
    pub from_super_peers: u64,
    /// Look-ups answered from registrations held here.
    pub found: u64,
    /// Look-ups for names not held here.
    pub not_here: u64,
    /// Questions and newcomers refused because there was too much to do.
    pub refused: u64,
    /// Links closed because they were too many.
    pub turned_away: u64,
    /// Clients handed over to others.
    pub handed_over: u64,
    /// Pages of profiles that others have asked for: super-peers of what is kept here, clients of
    /// what we find for them.
    pub pages: u64,
}

/// What a super-peer is doing now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Devices at home here.
    pub clients: usize,
    /// Users whose registrations are kept here.
    pub kept: usize,
    /// Profiles that are kept here, each under one word.
    pub postings: usize,
    /// Super-peers in the network, ourselves included: exact below the ring threshold, an estimate
    /// above.
    pub members: usize,
    /// Counters since the start.
    pub counters: Counters,
    /// Questions in datagrams.
    pub answers: AnswererCounters,
    /// What the relay does.
    pub relay: RelayCounters,
    /// What its owner lets it do, and what of that it does.
    pub work: Work,
}

/// What its owner lets a super-peer do, and what of that it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// The owner's word.
    pub terms: Terms,
    /// Whether clients are taken in now.
    pub directory: bool,
    /// Whether new calls are relayed now.
    pub relay: bool,
    /// What went in and out this month.
    pub traffic: Traffic,
    /// How much of the month's cap that is.
    pub spent: Spent,
}

/// How much a super-peer holds at the moment: what a healthy one gets rid of again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Links, open or opening.
    pub links: usize,
    /// Those of them that others have opened.
    pub accepted: usize,
    /// Questions that wait for an answer.
    pub asks: usize,
    /// Look-ups for clients.
    pub lookups: usize,
    /// Dial-backs.
    pub dial_backs: usize,
    /// Super-peers that records are being handed to.
    pub handings: usize,
}

/// How many watches a super-peer knows of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watches {
    /// Of its clients, of devices at other homes.
    pub carried: usize,
    /// Of devices at home here, whoever watches them.
    pub here: usize,
    /// Other super-peers whose clients watch devices here.
    pub subscribers: usize,
    /// Homes whose lists of subscribers are held here.
    pub lists: usize,
    /// Subscribers in these lists.
    pub listed: usize,
}

impl SuperPeer {
    /// What it is doing.
    #[must_use]
    pub fn status(&self) -> Status {
        Status {
            clients: self.clients.len(),
            kept: self.keeper.len(),
            postings: self.profiles.store.len(),
            members: usize::try_from(self.ring.len_estimate().max(1)).unwrap_or(usize::MAX),
            counters: self.counters,
            answers: self.answers.counters(),
            relay: self.relay.as_ref().map(|relay| *relay.counters()).unwrap_or_default(),
            work: self.owned.work(),
        }
    }

    /// How much it holds at the moment.
    #[must_use]
    pub fn load(&self) -> Load {
        Load {
            links: self.links.len(),
            accepted: self.links.accepted().count(),
            asks: self.asks.len() + self.questions.len(),
            lookups: self.lookups.len() + self.profiles.jobs(),
            dial_backs: self.dial_backs.len() + self.verifications.len(),
            handings: self.handings.len(),
        }
    }

    /// Whether a registration of this user is held here.
    #[must_use]
    pub fn keeps(&self, user: &UserName) -> bool {
        self.keeper.holds(user)
    }
}
