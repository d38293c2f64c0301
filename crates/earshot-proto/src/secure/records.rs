//! Frames cut into records and joined again: two classes of frames share a link, and the urgent do
//! not wait.
//!
//! A record's plaintext is `header (1 byte) ‖ part of a frame`, at most [`PLAIN_MAX`] bytes; an
//! empty one is a beat. Header: bit 0: the bulk class (else urgent); bit 1: more parts of this
//! frame follow in its class; the other bits are 0. DESIGN 2.4. Invariant: at most one unfinished
//! frame of each class is held, none longer than [`FRAME_MAX`].

use std::collections::VecDeque;

use super::aes::TAG;
use crate::wire::frame::FRAME_MAX;

/// Longest record on the wire behind its length, in bytes. DESIGN 2.4 (≤ 4 kB).
pub(super) const RECORD_MAX: usize = 4096;
/// Longest plaintext of a record.
pub(super) const PLAIN_MAX: usize = RECORD_MAX - TAG;
/// Bytes that may wait to be written on one link. Our choice: what six hundred buddies answer who
/// were greeted at once; who does not read that within the life of a link is not reading.
pub(super) const WAITING_MAX: usize = 1024 * 1024;

const BULK: u8 = 1;
const MORE: u8 = 2;

/// How urgent a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Signaling and short messages.
    Urgent,
    /// The rest.
    Bulk,
}

/// Frames that wait to be cut.
#[derive(Default)]
pub(super) struct Cutter {
    urgent: Queue,
    bulk: Queue,
    waiting: usize,
}

/// Frames of one class and how much of the first is already cut off.
#[derive(Default)]
struct Queue {
    frames: VecDeque<Vec<u8>>,
    cut: usize,
}

impl Cutter {
    /// Puts a frame behind those of its class; `false` when too much waits already.
    #[must_use]
    pub(super) fn push(&mut self, class: Class, frame: Vec<u8>) -> bool {
        if self.waiting + frame.len() > WAITING_MAX {
            return false;
        }
        self.waiting += frame.len();
        match class {
            Class::Urgent => self.urgent.frames.push_back(frame),
            Class::Bulk => self.bulk.frames.push_back(frame),
        }
        true
    }

    /// Bytes that wait.
    pub(super) const fn waiting(&self) -> usize {
        self.waiting
    }

    /// Writes the next record's plaintext into `plain` and returns its length; urgent frames first.
    pub(super) fn next(&mut self, plain: &mut [u8; PLAIN_MAX]) -> Option<usize> {
        let (queue, class) = if self.urgent.frames.is_empty() {
            (&mut self.bulk, BULK)
        } else {
            (&mut self.urgent, 0)
        };
        let frame = queue.frames.front()?;
        let left = frame.get(queue.cut..).expect("the cut never passes the frame's end");
        let part = left.len().min(PLAIN_MAX - 1);
        let (more, len) = (part < left.len(), part + 1);
        plain[0] = if more { class | MORE } else { class };
        plain[1..len].copy_from_slice(&left[..part]);
        self.waiting -= part;
        if more {
            queue.cut += part;
        } else {
            queue.frames.pop_front();
            queue.cut = 0;
        }
        Some(len)
    }
}

/// Frames of which not all parts are there.
#[derive(Default)]
pub(super) struct Joiner {
    urgent: Vec<u8>,
    bulk: Vec<u8>,
}

/// Why a record is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BadRecord {
    /// Its header has bits that mean nothing.
    Header,
    /// Its frame grows beyond [`FRAME_MAX`].
    Oversize,
}

impl Joiner {
    /// Takes one record's plaintext and returns the frame that it completes, if it does.
    pub(super) fn take(&mut self, plain: &[u8]) -> Result<Option<Vec<u8>>, BadRecord> {
        let Some((header, part)) = plain.split_first() else {
            return Ok(None);
        };
        if header & !(BULK | MORE) != 0 {
            return Err(BadRecord::Header);
        }
        let frame = if header & BULK == 0 { &mut self.urgent } else { &mut self.bulk };
        if frame.len() + part.len() > FRAME_MAX {
            return Err(BadRecord::Oversize);
        }
        frame.extend_from_slice(part);
        Ok((header & MORE == 0).then(|| std::mem::take(frame)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(cutter: &mut Cutter) -> Vec<Vec<u8>> {
        let mut plain = [0; PLAIN_MAX];
        std::iter::from_fn(|| cutter.next(&mut plain).map(|len| plain[..len].to_vec())).collect()
    }

    #[test]
    fn a_frame_comes_out_as_it_went_in() {
        let (mut cutter, mut joiner) = (Cutter::default(), Joiner::default());
        for len in [0, 1, PLAIN_MAX - 1, PLAIN_MAX, 3 * PLAIN_MAX, FRAME_MAX] {
            let frame: Vec<u8> = (0..len).map(|i| i as u8).collect();
            assert!(cutter.push(Class::Bulk, frame.clone()));
            let joined: Vec<_> =
                records(&mut cutter).iter().filter_map(|r| joiner.take(r).unwrap()).collect();
            assert_eq!(joined, [frame]);
            assert_eq!(cutter.waiting(), 0);
        }
    }

    #[test]
    fn an_urgent_frame_overtakes_in_the_middle_of_a_bulk_one() {
        let (mut cutter, mut joiner) = (Cutter::default(), Joiner::default());
        let mut plain = [0; PLAIN_MAX];
        assert!(cutter.push(Class::Bulk, vec![1; 20_000]));
        let len = cutter.next(&mut plain).unwrap();
        assert_eq!(joiner.take(&plain[..len]), Ok(None));
        assert!(cutter.push(Class::Urgent, vec![2; 10]));
        let joined: Vec<_> =
            records(&mut cutter).iter().filter_map(|r| joiner.take(r).unwrap()).collect();
        assert_eq!(joined, [vec![2; 10], vec![1; 20_000]]);
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut cutter = Cutter::default();
        assert!(cutter.push(Class::Bulk, vec![0; WAITING_MAX - 1]));
        assert!(!cutter.push(Class::Urgent, vec![0; 2]));
        assert!(cutter.push(Class::Urgent, vec![0; 1]));
    }

    #[test]
    fn a_frame_without_end_is_refused() {
        let mut joiner = Joiner::default();
        let mut plain = [0; PLAIN_MAX];
        plain[0] = BULK | MORE;
        let refused = (0..FRAME_MAX / PLAIN_MAX + 2).find_map(|_| joiner.take(&plain).err());
        assert_eq!(refused, Some(BadRecord::Oversize));
        assert!(joiner.bulk.len() <= FRAME_MAX);
    }

    #[test]
    fn header_bits_without_meaning_are_refused() {
        assert_eq!(Joiner::default().take(&[4, 0]), Err(BadRecord::Header));
    }
}
