//! Virtual time: events in the order of their moments, and in the order of their making within one.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A moment: microseconds since the laboratory opened.
pub type Moment = u64;

/// One second.
pub const SECOND: Moment = 1_000_000;

/// What is to happen.
#[derive(Debug)]
pub struct Queue<E> {
    heap: BinaryHeap<Reverse<Due<E>>>,
    made: u64,
}

#[derive(Debug)]
struct Due<E> {
    at: Moment,
    number: u64,
    event: E,
}

impl<E> PartialEq for Due<E> {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}

impl<E> Eq for Due<E> {}

impl<E> PartialOrd for Due<E> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Due<E> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl<E> Default for Queue<E> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), made: 0 }
    }
}

impl<E> Queue<E> {
    /// Something will happen at that moment.
    pub fn push(&mut self, at: Moment, event: E) {
        self.made += 1;
        self.heap.push(Reverse(Due { at, number: self.made, event }));
    }

    /// The next event, if it is not after `end`.
    pub fn pop_until(&mut self, end: Moment) -> Option<(Moment, E)> {
        if self.heap.peek()?.0.at > end {
            return None;
        }
        self.heap.pop().map(|Reverse(due)| (due.at, due.event))
    }

    /// How many events there were so far, those to come counted.
    #[must_use]
    pub const fn made(&self) -> u64 {
        self.made
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_moment_and_then_by_age() {
        let mut queue = Queue::default();
        for (at, name) in [(5, 'c'), (3, 'a'), (5, 'd'), (3, 'b'), (9, 'e')] {
            queue.push(at, name);
        }
        let came: Vec<_> = std::iter::from_fn(|| queue.pop_until(5)).collect();
        assert_eq!(came, [(3, 'a'), (3, 'b'), (5, 'c'), (5, 'd')]);
        assert_eq!(queue.made(), 5);
    }
}
