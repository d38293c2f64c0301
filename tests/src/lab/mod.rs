//! The laboratory: the product's [`Ring`] and [`Lookup`] among a hundred thousand super-peers, and
//! beside them, on the same workload, the architectures that the lecture compares. DESIGN 2.16.
//!
//! | room | what |
//! |---|---|
//! | [`queue`] | virtual time: a heap of events |
//! | [`network`] | delays between cities, loss, partitions |
//! | [`fare`] | what a message costs on the wire, and who pays |
//! | [`users`] | ten million users as compact rows, and who holds their records |
//! | [`world`] | super-peers: rings, look-ups, keepers, in one loop of events |
//! | [`liars`] | what a lying super-peer says |
//! | [`credentials`] | whether a record is believed: by counting, or by real signatures |
//! | [`keeping`] | records: refreshed, handed over, repaired |
//! | [`trial`] | one experiment: churn, searches, and what came of them |
//! | [`stoica`], [`stoica_churn`], [`paper`] | plain Chord, laid beside its paper |
//! | [`rivals`] | the other architectures |
//! | [`svg`] | pictures |
//! | [`command`] | `sim --lab` |
//!
//! What is the product's: every decision of the ring and of the look-up, by the very machines that
//! run in `earshotd`, and every byte that they say (its encoded length). What is not: ciphers, and
//! signatures but where [`trial::Trial::is_signed`] asks for them; they cost no time. A record is a
//! row, and put and fetched in one piece; the links to neighbours are counted as sessions of
//! datagrams, and a dead neighbour is silent instead of closing its link. That is the harder case:
//! a process that is killed closes its links at once.
//!
//! [`Ring`]: earshot_proto::super_peer::ring::Ring
//! [`Lookup`]: earshot_proto::lookup::Lookup

pub mod command;
pub mod credentials;
pub mod fare;
pub mod keeping;
pub mod liars;
pub mod network;
pub mod paper;
pub mod queue;
pub mod rivals;
pub mod stoica;
pub mod stoica_churn;
pub mod svg;
pub mod trial;
pub mod users;
pub mod world;

use earshot_proto::entropy::{Entropy, Stream};

/// The stream of randomness of a seed and a purpose.
#[must_use]
pub fn lots(seed: u64, purpose: u64) -> Stream {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    bytes[8..16].copy_from_slice(&purpose.to_be_bytes());
    Entropy::new(bytes).jitter
}

/// A number of [0, 1).
pub fn unit(lots: &mut Stream) -> f64 {
    (lots.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// The value below which that share of the samples lies (nearest rank); none without samples.
/// The samples are sorted by it.
pub fn percentile(samples: &mut [f64], share: f64) -> Option<f64> {
    samples.sort_unstable_by(f64::total_cmp);
    let rank = (share * samples.len() as f64).ceil() as usize;
    samples.get(rank.saturating_sub(1)).copied()
}

/// The mean; none without samples.
#[must_use]
pub fn mean(samples: &[f64]) -> Option<f64> {
    (!samples.is_empty()).then(|| samples.iter().sum::<f64>() / samples.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples() {
        let mut samples: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!(percentile(&mut samples, 0.5), Some(50.0));
        assert_eq!(percentile(&mut samples, 0.99), Some(99.0));
        assert_eq!(percentile(&mut samples, 1.0), Some(100.0));
        assert_eq!(percentile(&mut [], 0.5), None);
        assert_eq!(mean(&samples), Some(50.5));
    }
}
