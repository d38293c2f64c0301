//! The ring's own look-ups: for a place to join at, for the finger of an empty slot, for a ring
//! that we were parted from. One question at a time, since nobody waits for them.

use std::time::Instant;

use crate::ids::RingKey;
use crate::lookup::Near;
use crate::wire::directory::NodeEntry;
use crate::wire::ring::{Question, Reply};

use super::Ring;
use super::asking::About;
use super::chord::between;

/// Questions in one seek at most. Our choice: four times the hops in a ring of 10^6.
const TRIES_MAX: u8 = 24;
/// Nodes that wait to be asked at most, and nodes wanted in an answer.
const FRONTIER_MAX: usize = 8;

/// What a seek is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A place to join at.
    Join,
    /// A node between us and our successor, in another ring.
    Merge,
    /// A node of an empty slot; every answer is heard anyway.
    Finger,
}

/// One seek.
#[derive(Debug)]
pub(super) struct Seek {
    pub(super) purpose: Purpose,
    key: RingKey,
    frontier: Vec<NodeEntry>,
    tries: u8,
}

impl Ring {
    /// Looks for the keepers of a key, from these nodes.
    pub(super) fn seek(
        &mut self,
        now: Instant,
        purpose: Purpose,
        key: RingKey,
        mut frontier: Vec<NodeEntry>,
    ) {
        frontier.truncate(FRONTIER_MAX);
        self.seek_on(now, Seek { purpose, key, frontier, tries: 0 });
    }

    /// A node has answered a seek's question, or has not.
    pub(super) fn seek_answered(
        &mut self,
        now: Instant,
        mut seek: Seek,
        from: &NodeEntry,
        reply: Option<Reply>,
    ) {
        if seek.purpose == Purpose::Join && reply == Some(Reply::Outside) {
            self.door_is_outside(from);
        }
        let near = reply.and_then(Near::of_reply);
        if seek.purpose == Purpose::Join && near.is_some() {
            self.member_met();
        }
        match near {
            Some(Near::Keepers(nodes)) => {
                self.heard(&nodes);
                self.seek_ended(now, seek.purpose, &nodes, Some(from));
            }
            Some(Near::Closer(nodes)) => {
                self.heard(&nodes);
                let (start, end) = (&from.node.0, &seek.key.0);
                let closer = nodes.into_iter().filter(|n| between(start, &n.node.0, end));
                seek.frontier.splice(0..0, closer);
                seek.frontier.truncate(FRONTIER_MAX);
                self.seek_on(now, seek);
            }
            None => self.seek_on(now, seek),
        }
    }

    fn seek_on(&mut self, now: Instant, mut seek: Seek) {
        seek.tries += 1;
        if seek.frontier.is_empty() || seek.tries > TRIES_MAX {
            return self.seek_ended(now, seek.purpose, &[], None);
        }
        let to = seek.frontier.remove(0);
        let question = Question::Nearest { key: seek.key, width: FRONTIER_MAX as u8 };
        let purpose = seek.purpose;
        if !self.ask(now, to, question, About::Seek(Box::new(seek))) {
            self.seek_ended(now, purpose, &[], None);
        }
    }

    fn seek_ended(
        &mut self,
        now: Instant,
        purpose: Purpose,
        keepers: &[NodeEntry],
        named_by: Option<&NodeEntry>,
    ) {
        match purpose {
            Purpose::Join => self.place_found(now, keepers, named_by),
            Purpose::Merge => self.outsiders_found(now, keepers),
            Purpose::Finger => {}
        }
    }
}
