//! The rivals that are rings or full membership, run on the product's machines.

use std::time::Duration;

use earshot_proto::super_peer::ring::Config;
use earshot_proto::super_peer::ring::fingers::Digits;

use super::Row;
use crate::lab::mean;
use crate::lab::trial::{Trial, run};

/// Bytes of an entry in memory.
const ENTRY: f64 = 84.0;

/// The weather in which all are compared.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Super-peers; the users are [`super::USERS_EACH`] times as many.
    pub nodes: u32,
    /// Median life; none: for ever.
    pub session: Option<Duration>,
    /// Share that dies when the searches begin.
    pub fail: f64,
}

/// A kind of ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The product above its threshold.
    Ours,
    /// The product below it.
    FullMembership,
    /// Fingers of base 2.
    PlainChord,
    /// No fingers.
    SuccessorsOnly,
    /// The product's ring with every user in it.
    AllUsers,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Ours, Self::FullMembership, Self::PlainChord, Self::SuccessorsOnly, Self::AllUsers];

    const fn name(self) -> &'static str {
        match self {
            Self::Ours => "our ring",
            Self::FullMembership => "full membership",
            Self::PlainChord => "plain Chord",
            Self::SuccessorsOnly => "successors only",
            Self::AllUsers => "all users in the ring",
        }
    }
}

/// Runs one kind of ring.
#[must_use]
pub fn row(kind: Kind, weather: &Weather) -> Row {
    let ring = Config::with_thresholds(128, 64);
    let config = match kind {
        Kind::Ours | Kind::AllUsers => ring,
        Kind::FullMembership => Config::with_thresholds(u16::MAX, u16::MAX - 1),
        Kind::PlainChord => Config { digits: Digits::of_bits(1), ..ring },
        Kind::SuccessorsOnly => Config { digits: Digits::NONE, ..ring },
    };
    let nodes = match kind {
        Kind::AllUsers => weather.nodes * super::USERS_EACH,
        Kind::Ours | Kind::FullMembership | Kind::PlainChord | Kind::SuccessorsOnly => {
            weather.nodes
        }
    };
    let trial = Trial {
        users: (weather.nodes * super::USERS_EACH) as usize,
        warm_up: if weather.session.is_some() { 2 } else { 0 },
        minutes: 2,
        searches: 2_000,
        session: weather.session,
        fail: weather.fail,
        config,
        ..Trial::of(nodes)
    };
    let measured = run(&trial);
    let searches = measured.searches.max(1) as f64;
    let asked = measured.questions.iter().sum::<f64>().max(1.0);
    Row {
        name: kind.name(),
        nodes: u64::from(nodes),
        success_pct: measured.success_pct,
        hops: measured.mean_hops() + 1.0,
        ms: mean(&measured.took_ms).unwrap_or(f64::NAN),
        messages: measured.search.messages as f64 / searches,
        bytes: measured.search.bytes as f64 / searches,
        busiest: f64::from(measured.busiest) * f64::from(nodes) / asked,
        state: measured.known * ENTRY,
        upkeep: measured.upkeep_per_node,
    }
}
