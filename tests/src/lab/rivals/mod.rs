//! The architectures that the lecture compares, each in its own words on the same workload: users
//! of whom one in so many serves as a super-peer, searches for a user by name, and round trips of
//! 80 ms. Lecture, slides 12–25 and 34–35.
//!
//! | rival | how it finds a user |
//! |---|---|
//! | our ring | the product's machines above the threshold |
//! | full membership | the product's machines, the threshold never reached |
//! | plain Chord | the product's machines with fingers of base 2 |
//! | successors only | from successor to successor, s at a time (slide 21) |
//! | all users in the ring | our ring with every user a member (slide 35) |
//! | central index | one server knows all (Napster) |
//! | flooding | every user asks its neighbours, so many hops far (Gnutella) |
//! | random walks | every user asks one neighbour, which asks one (Lv et al., ICS 2002) |
//! | super-peer flooding | super-peers flood among themselves (KaZaA) |
//!
//! The rings are run by [`trial`](super::trial); the others are graphs at rest from which a share
//! has died, since none of them has upkeep that would repair a search: [`overlay`]. What their
//! upkeep costs is a formula, given where it stands.

pub mod overlay;
pub mod rings;
pub mod table;

/// Users of a super-peer, for the comparison. Our choice: so few that all users fit into a ring.
pub const USERS_EACH: u32 = 10;

/// What one architecture costs and gives.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// Machines that take part in searching.
    pub nodes: u64,
    /// Percentage of searches that find the record.
    pub success_pct: f64,
    /// Hops to the node that has it, in the mean of the searches that succeed.
    pub hops: f64,
    /// Milliseconds until it is found, in the mean.
    pub ms: f64,
    /// Messages of one search.
    pub messages: f64,
    /// Bytes of one search.
    pub bytes: f64,
    /// Share of all searches' messages that the busiest node receives, times the number of nodes: 1
    /// means that all are equally busy.
    pub busiest: f64,
    /// Bytes that a node keeps to take part, without records.
    pub state: f64,
    /// Bytes that a node sends a second to take part, without records.
    pub upkeep: f64,
}
