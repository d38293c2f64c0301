//! The packets that wait to be played, in order.
//!
//! Invariant: ordered by unfolded sequence; at most [`HELD_MAX`] packets; no packet is held twice.

use std::collections::BTreeMap;

/// Packets held at most: 2 s of 20 ms, five times the largest target of
/// [`crate::delay::TARGET_MAX`].
pub const HELD_MAX: usize = 100;

/// A packet in waiting.
#[derive(Clone, PartialEq, Eq)]
pub struct Held {
    /// Unfolded sequence number.
    pub sequence: i64,
    /// Unfolded timestamp of the first sample.
    pub media: i64,
    /// Samples it decodes to.
    pub samples: i64,
    /// One Opus packet.
    pub payload: Vec<u8>,
}

impl Held {
    /// Unfolded timestamp behind the last sample.
    pub const fn end(&self) -> i64 {
        self.media + self.samples
    }
}

/// Packets by sequence.
#[derive(Default)]
pub struct JitterBuffer {
    held: BTreeMap<i64, Held>,
}

impl JitterBuffer {
    /// Takes a packet in. When there is no room the oldest is given up: it would be played with
    /// two seconds of delay.
    pub fn insert(&mut self, packet: Held) -> Option<Held> {
        self.held.insert(packet.sequence, packet);
        if self.held.len() > HELD_MAX { self.take() } else { None }
    }

    /// The packet to be played next.
    pub fn first(&self) -> Option<&Held> {
        self.held.first_key_value().map(|(_, packet)| packet)
    }

    /// Takes the packet to be played next.
    pub fn take(&mut self) -> Option<Held> {
        self.held.pop_first().map(|(_, packet)| packet)
    }

    /// Gives all up.
    pub fn clear(&mut self) {
        self.held.clear();
    }

    /// Packets held.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Says whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(sequence: i64) -> Held {
        Held { sequence, media: sequence * 960, samples: 960, payload: vec![0] }
    }

    #[test]
    fn packets_come_out_in_order() {
        let mut buffer = JitterBuffer::default();
        for sequence in [3, 1, 2] {
            assert!(buffer.insert(packet(sequence)).is_none());
        }
        let order: Vec<_> = std::iter::from_fn(|| buffer.take()).map(|p| p.sequence).collect();
        assert_eq!(order, [1, 2, 3]);
        assert!(buffer.is_empty());
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut buffer = JitterBuffer::default();
        for sequence in 0..HELD_MAX as i64 {
            assert!(buffer.insert(packet(sequence)).is_none());
        }
        assert_eq!(buffer.insert(packet(1_000)).map(|p| p.sequence), Some(0));
        assert_eq!(buffer.len(), HELD_MAX);
    }
}
