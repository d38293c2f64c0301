//! Users as compact rows: one shared copy of each record, and which super-peers hold it.
//!
//! A row is a key (64 bits of it; the rest are zeros) and the last six super-peers that a record
//! was put at, each with the counter that it holds. Rows lie in the order of their keys, so the
//! keys that a super-peer keeps are a stretch of rows. 52 bytes a user: ten million in 520 MB.

use std::ops::Range;

use earshot_proto::entropy::Stream;
use earshot_proto::ids::{NodeId, RingKey};

/// Copies that are remembered: four keepers and two that were.
const COPIES: usize = 6;
/// No super-peer.
const NOBODY: u32 = u32::MAX;

/// What is known of one user's record.
#[derive(Clone, Copy, Debug)]
struct Row {
    /// The newest counter that was put.
    counter: u16,
    /// When it and the one before were made, in virtual milliseconds.
    made: [i32; 2],
    /// The newest first.
    holders: [u32; COPIES],
    held: [u16; COPIES],
}

/// All users.
#[derive(Debug)]
pub struct Users {
    keys: Vec<u64>,
    rows: Vec<Row>,
}

impl Users {
    /// So many users, nothing of whom is put yet.
    #[must_use]
    pub fn new(count: usize, lots: &mut Stream) -> Self {
        let mut keys: Vec<u64> = (0..count).map(|_| lots.next_u64()).collect();
        keys.sort_unstable();
        let row = Row { counter: 0, made: [0; 2], holders: [NOBODY; COPIES], held: [0; COPIES] };
        Self { keys, rows: vec![row; count] }
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// A user's key.
    #[must_use]
    pub fn key(&self, user: usize) -> RingKey {
        let mut key = [0; 20];
        key[..8].copy_from_slice(&self.keys[user].to_be_bytes());
        RingKey(key)
    }

    /// The users whose keys lie after one node and not after another, clockwise: one stretch, or
    /// two across zero.
    #[must_use]
    pub fn between(&self, after: &NodeId, until: &NodeId) -> [Range<usize>; 2] {
        let place = |node: &NodeId| {
            self.keys.partition_point(|key| key.to_be_bytes().as_slice() <= &node.0[..8])
        };
        let (first, end) = (place(after), place(until));
        if after < until { [first..end, 0..0] } else { [first..self.len(), 0..end] }
    }

    /// A newer record, made at this virtual millisecond, is to be put; says its counter.
    pub fn renew(&mut self, user: usize, made: i32) -> u16 {
        let row = &mut self.rows[user];
        row.made = [made, row.made[0]];
        row.counter += 1;
        row.counter
    }

    /// When the record with that counter was made, in virtual milliseconds; of one from before the
    /// last two, when the earlier of these was.
    #[must_use]
    pub fn made(&self, user: usize, counter: u16) -> i32 {
        let row = &self.rows[user];
        row.made[usize::from(counter < row.counter)]
    }

    /// The newest counter that was put.
    #[must_use]
    pub fn counter(&self, user: usize) -> u16 {
        self.rows[user].counter
    }

    /// A super-peer holds the record with that counter from now on. A dead holder is forgotten for
    /// it, and if none is dead the one that was put at longest ago.
    pub fn hold(&mut self, user: usize, node: u32, counter: u16, lives: impl Fn(u32) -> bool) {
        let row = &mut self.rows[user];
        let known = row.holders.iter().position(|holder| *holder == node);
        let is_free = |holder: &u32| *holder == NOBODY || !lives(*holder);
        let at = known.or_else(|| row.holders.iter().rposition(is_free)).unwrap_or(COPIES - 1);
        let counter = if known.is_some() { row.held[at].max(counter) } else { counter };
        row.holders[..=at].rotate_right(1);
        row.held[..=at].rotate_right(1);
        (row.holders[0], row.held[0]) = (node, counter);
    }

    /// The counter that a super-peer holds.
    #[must_use]
    pub fn held(&self, user: usize, node: u32) -> Option<u16> {
        let row = &self.rows[user];
        row.holders.iter().position(|holder| *holder == node).map(|at| row.held[at])
    }

    /// Who was put at, the newest first.
    pub fn holders(&self, user: usize) -> impl Iterator<Item = u32> + use<> {
        self.rows[user].holders.into_iter().filter(|holder| *holder != NOBODY)
    }
}

#[cfg(test)]
mod tests {
    use super::super::lots;
    use super::*;

    #[test]
    fn six_copies_are_remembered_the_newest_first() {
        let mut users = Users::new(1, &mut lots(1, 0));
        let counter = users.renew(0, 5);
        (0..8).for_each(|node| users.hold(0, node, counter, |_| true));
        assert_eq!(users.holders(0).collect::<Vec<_>>(), [7, 6, 5, 4, 3, 2]);
        users.renew(0, 9);
        assert_eq!([2, 1].map(|counter| users.made(0, counter)), [9, 5]);
        users.hold(0, 4, 2, |_| true);
        users.hold(0, 4, 1, |_| true);
        assert_eq!(
            (users.held(0, 4), users.held(0, 0)),
            (Some(2), None),
            "the higher counter stays"
        );
        assert_eq!(users.holders(0).collect::<Vec<_>>(), [4, 7, 6, 5, 3, 2]);
        users.hold(0, 9, 2, |node| node != 6);
        assert_eq!(users.holders(0).collect::<Vec<_>>(), [9, 4, 7, 5, 3, 2]);
    }

    #[test]
    fn stretches_of_rows_cover_the_ring_once() {
        let users = Users::new(1000, &mut lots(2, 0));
        let nodes = [NodeId([10; 20]), NodeId([99; 20]), NodeId([200; 20])];
        let mut seen = 0;
        for (after, until) in [(0, 1), (1, 2), (2, 0)] {
            let stretches = users.between(&nodes[after], &nodes[until]);
            seen += stretches.into_iter().map(|stretch| stretch.len()).sum::<usize>();
        }
        assert_eq!(seen, 1000);
    }
}
