//! The ring's open questions, and where their answers go.

use std::time::{Duration, Instant};

use crate::ids::NodeId;
use crate::lookup::Near;
use crate::wire::directory::NodeEntry;
use crate::wire::ring::{Question, Reply};

use super::news::News;
use super::seek::{Purpose, Seek};
use super::{Order, Ring};

/// Questions open at once, at most. Our choice: a death storm of a third of the members under full
/// membership needs about a hundred.
pub const ASKS_MAX: usize = 256;

/// An open question.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) to: NodeEntry,
    at: Instant,
    about: About,
}

/// What it is about.
#[derive(Debug)]
pub(super) enum About {
    /// Its answer changes nothing.
    Nothing,
    /// The first successor's state, to stabilise.
    Successor,
    /// The state of a node that may lie between us and our successor.
    Between,
    /// The predecessor's state, since another wants its place.
    Predecessor,
    /// The state of the node that we may join before.
    Joining(Joining),
    /// Nodes nearer to a key.
    Seek(Box<Seek>),
    /// A finger, or a rival for its place.
    Finger(Finger),
    /// The state of a node that may be a member, or none any more.
    Member,
    /// An arc of the ring, as another member knows it.
    Arc,
    /// The next stretch of the census.
    Census,
    /// News to be spread.
    News(Box<News>),
}

/// Which node a joiner has asked for its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joining {
    /// The first keeper of its place.
    Keeper {
        /// The node that named it.
        named_by: NodeEntry,
    },
    /// A node before its place.
    Before {
        /// How many such nodes were asked.
        asked: u8,
    },
}

/// Who is asked about a finger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finger {
    /// The one that we have.
    Present,
    /// One that might be nearer.
    Rival,
}

impl About {
    /// Whether it belongs to an attempt to join.
    pub(super) fn is_joining(&self) -> bool {
        match self {
            Self::Joining(_) => true,
            Self::Seek(seek) => seek.purpose == Purpose::Join,
            Self::Nothing
            | Self::Successor
            | Self::Between
            | Self::Predecessor
            | Self::Finger(_)
            | Self::Member
            | Self::Arc
            | Self::Census
            | Self::News(_) => false,
        }
    }
}

impl Ring {
    /// Puts a question. With [`ASKS_MAX`] open, or to ourselves, it is not put; answers whether it
    /// was.
    pub(super) fn ask(
        &mut self,
        now: Instant,
        to: NodeEntry,
        question: Question,
        about: About,
    ) -> bool {
        if self.asks.len() >= ASKS_MAX || to.node == self.me.node {
            return false;
        }
        loop {
            self.last_ask = self.last_ask.wrapping_add(1);
            if self.last_ask != 0 && !self.asks.contains_key(&self.last_ask) {
                break;
            }
        }
        self.asks.insert(self.last_ask, Asked { to, at: now, about });
        self.orders.push_back(Order::Ask { ask: self.last_ask, to, question });
        true
    }

    /// Asks a node for its state.
    pub(super) fn ask_state(&mut self, now: Instant, to: NodeEntry, about: About) -> bool {
        self.ask(now, to, Question::State { known: 0 }, about)
    }

    /// How many open questions are of one kind.
    pub(super) fn open(&self, is_kind: impl Fn(&About) -> bool) -> usize {
        self.asks.values().filter(|asked| is_kind(&asked.about)).count()
    }

    /// Whether a node is being asked about one kind.
    pub(super) fn is_asked(&self, node: &NodeId, is_kind: impl Fn(&About) -> bool) -> bool {
        self.asks.values().any(|asked| asked.to.node == *node && is_kind(&asked.about))
    }

    /// A question was answered, or was not.
    pub(super) fn answered(&mut self, now: Instant, asked: Asked, reply: Option<Reply>) {
        let Asked { to, at, about } = asked;
        let rtt = now.saturating_duration_since(at);
        match &reply {
            Some(_) => self.lives(&to, rtt),
            None => self.silent(now, &to),
        }
        match about {
            About::Nothing => {}
            About::Successor => self.successor_answered(now, to, reply),
            About::Between => self.between_answered(now, to, reply),
            About::Predecessor => self.predecessor_answered(&to, reply),
            About::Joining(joining) => self.joining_answered(now, to, joining, reply),
            About::Seek(seek) => self.seek_answered(now, *seek, &to, reply),
            About::Finger(finger) => {
                self.finger_answered(now, &to, finger, reply.and_then(Near::of_reply));
            }
            About::Member => self.member_answered(now, to, reply),
            About::Arc => self.arc_answered(now, reply.and_then(Near::of_reply)),
            About::Census => self.census_answered(now, &to, reply.and_then(Near::of_reply)),
            About::News(news) => {
                if reply != Some(Reply::Done) {
                    self.pass_on(now, &to.node, &news);
                }
            }
        }
    }

    /// A node has answered.
    fn lives(&mut self, node: &NodeEntry, rtt: Duration) {
        if let super::Standing::Chord(structure) = &mut self.standing {
            structure.answered(node, rtt);
        }
    }

    /// A node was silent for the patience time.
    fn silent(&mut self, now: Instant, node: &NodeEntry) {
        self.dead(now, &node.node);
    }
}
