//! News under full membership: who came, who went.
//!
//! Whoever notices it cuts the ring before itself into four arcs and tells the first node of each,
//! which does the same with its arc; so each member is told once, after log4 N hops, and nobody
//! sends more than four (the broadcast of El-Ansary et al., IPTPS 2003, over a full table instead
//! of fingers). If a node is silent, the next of its arc is told instead.

use std::time::Instant;

use crate::ids::NodeId;
use crate::wire::bounded::List;
use crate::wire::directory::NodeEntry;
use crate::wire::ring::{NEWS_MAX, Question, Reply};

use super::asking::About;
use super::chord::between;
use super::{Ring, Standing};

/// Into how many arcs one node cuts its own. Our choice: six hops to 2,048 members.
const ARCS: usize = 4;
/// Pieces of news that wait for an acknowledgement, at most: a flood ends there, and the comparison
/// of arcs mends what is lost.
const OPEN_MAX: usize = 96;

/// A Chord ring passes news on while it is no larger than so many times the upper threshold:
/// members who have not crossed yet wait for it. In a larger one there are none, and news that a
/// lost member of full membership sends would reach everybody.
const CROSSING_MAX: u64 = 2;

/// With no more members than this, a newcomer is asked itself before it is believed in: a liar
/// could name nodes that do not exist. Our choice: more at once would be a burden to the newcomer.
const CHECKED_MAX: usize = 64;

/// What is told.
#[derive(Clone, Debug)]
pub(super) struct News {
    joined: List<NodeEntry, NEWS_MAX>,
    gone: List<NodeEntry, NEWS_MAX>,
    until: NodeId,
}

impl Ring {
    /// Tells everybody.
    pub(super) fn spread(&mut self, now: Instant, joined: &[NodeEntry], gone: &[NodeEntry]) {
        let joined = List::first_of(joined.iter().copied());
        let gone = List::first_of(gone.iter().copied());
        self.forward(now, &News { joined, gone, until: self.me.node });
    }

    /// We are told.
    pub(super) fn handle_news(
        &mut self,
        now: Instant,
        joined: List<NodeEntry, NEWS_MAX>,
        gone: List<NodeEntry, NEWS_MAX>,
        until: NodeId,
    ) -> Reply {
        match &mut self.standing {
            Standing::Outside | Standing::Joining(_) => return Reply::Outside,
            Standing::Full(table) => {
                let unknown = joined.iter().filter(|node| !table.contains(&node.node));
                let unknown: Vec<NodeEntry> = unknown.copied().collect();
                let known = gone.iter().filter(|node| table.contains(&node.node));
                let doubted: Vec<NodeEntry> = known.copied().collect();
                if table.len() > CHECKED_MAX {
                    self.take_in(now, unknown);
                } else {
                    unknown.into_iter().for_each(|node| self.check(now, node));
                }
                doubted.into_iter().for_each(|node| self.check(now, node));
            }
            Standing::Chord(structure) => {
                structure.hear(&joined);
                self.census_if_between(now);
                if let Some(first) = joined.first() {
                    self.seek_outsiders(now, *first);
                }
                if self.len_estimate() > u64::from(self.config.up) * CROSSING_MAX {
                    return Reply::Done;
                }
            }
        }
        self.forward(now, &News { joined, gone, until });
        Reply::Done
    }

    /// A node was silent: the next of its arc is told.
    pub(super) fn pass_on(&mut self, now: Instant, silent: &NodeId, news: &News) {
        let Standing::Full(table) = &self.standing else { return };
        let next = table.from(*silent).find(|n| n.node != *silent).copied();
        if let Some(next) = next
            && between(silent, &next.node, &news.until)
        {
            self.tell(now, next, news.clone());
        }
    }

    fn forward(&mut self, now: Instant, news: &News) {
        let firsts = self.firsts(news);
        let ends = firsts.iter().skip(1).map(|n| n.node).chain([news.until]);
        for (first, until) in firsts.iter().zip(ends) {
            self.tell(now, *first, News { until, ..news.clone() });
        }
    }

    /// The first nodes of our arcs.
    fn firsts(&self, news: &News) -> Vec<NodeEntry> {
        let is_told = |n: &&NodeEntry| news.gone.iter().all(|gone| gone.node != n.node);
        match &self.standing {
            Standing::Outside | Standing::Joining(_) => Vec::new(),
            Standing::Full(table) => {
                let count = table.before(news.until).filter(is_told).count();
                firsts_of(count, table.before(news.until).filter(is_told))
            }
            Standing::Chord(structure) => {
                let known = structure.known_before(news.until);
                let count = known.iter().filter(is_told).count();
                firsts_of(count, known.iter().filter(is_told))
            }
        }
    }

    fn tell(&mut self, now: Instant, to: NodeEntry, news: News) {
        if self.open(|about| matches!(about, About::News(_))) >= OPEN_MAX {
            return;
        }
        let News { joined, gone, until } = news.clone();
        self.ask(now, to, Question::News { joined, gone, until }, About::News(Box::new(news)));
    }
}

/// The first nodes of [`ARCS`] arcs of about the same length.
fn firsts_of<'a>(count: usize, nodes: impl Iterator<Item = &'a NodeEntry>) -> Vec<NodeEntry> {
    let arcs = ARCS.min(count);
    let is_first = |at: usize| (0..arcs).any(|arc| arc * count / arcs == at);
    nodes.enumerate().filter(|(at, _)| is_first(*at)).map(|(_, node)| *node).collect()
}
