//! Searching without structure: flooding, random walks, an index.
//!
//! The overlay is a random graph in which every node has opened three connections, six in the mean
//! (Gnutella's clients kept four to eight). A message is a question of [`QUESTION`] bytes over a
//! link; an answer returns along its way. Upkeep is a ping and a pong of 23 and 37 bytes (Gnutella
//! 0.4) with every neighbour each 10 s, as our own links have theirs.

use earshot_proto::entropy::Stream;

use super::Row;
use crate::lab::lots;

/// Connections that a node opens; in the mean as many are opened to it.
const OPENS: usize = 3;
/// Hops that a flooded question travels. Gnutella 0.4: 7.
const TTL: u8 = 7;
/// Walkers that one search sends out, and steps of each at most. Lv et al. 2002: 32, and 1024.
const WALKERS: usize = 32;
const STEPS_MAX: u32 = 1024;
/// Bytes of a question over a link: a Gnutella query with a name of twelve letters, and TCP and IP.
const QUESTION: f64 = 23.0 + 15.0 + 40.0;
/// Bytes of an answer over a link, with the record of our own keepers.
const ANSWER: f64 = crate::lab::world::RECORD_LEN as f64 + 40.0;
/// One way, in milliseconds.
const ONE_WAY: f64 = 40.0;
/// Bytes a second that a link costs either end.
const LINK_UPKEEP: f64 = (23.0 + 37.0 + 2.0 * 40.0) / 10.0;
/// Bytes that are kept of a neighbour.
const NEIGHBOUR: f64 = 84.0;

/// Who holds a user's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// The user's own machine: who is looked for is there.
    Himself,
    /// A super-peer, which may have died with it.
    SuperPeer,
}

/// A random graph at rest, of which a share has died.
#[derive(Debug)]
pub struct Overlay {
    links: Vec<Vec<u32>>,
    lives: Vec<bool>,
    lots: Stream,
    /// Questions that each node received.
    received: Vec<u32>,
}

/// What came of one search.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    hops: Option<u32>,
    questions: u32,
}

impl Overlay {
    /// A graph of so many nodes, of which that share is dead and not noticed yet.
    #[must_use]
    pub fn new(nodes: usize, dead: f64, seed: u64) -> Self {
        let mut lots = lots(seed, 70);
        let mut links = vec![Vec::new(); nodes];
        for node in 0..nodes {
            for _ in 0..OPENS {
                let other = lots.below(nodes as u64) as usize;
                if other != node {
                    links[node].push(other as u32);
                    links[other].push(node as u32);
                }
            }
        }
        let lives = (0..nodes).map(|_| crate::lab::unit(&mut lots) >= dead).collect();
        Self { links, lives, lots, received: vec![0; nodes] }
    }

    fn living(&mut self) -> u32 {
        loop {
            let node = self.lots.below(self.lives.len() as u64) as usize;
            if self.lives[node] {
                return node as u32;
            }
        }
    }

    /// A question goes to all neighbours, and on from each that hears it first, [`TTL`] hops far.
    fn flood(&mut self, from: u32, holder: u32) -> Found {
        let mut found = Found::default();
        let mut heard = vec![false; self.lives.len()];
        heard[from as usize] = true;
        let mut edge = vec![(from, from)];
        for hop in 1..=TTL {
            let mut next = Vec::new();
            for (node, came_from) in edge {
                for to in &self.links[node as usize] {
                    if *to == came_from {
                        continue;
                    }
                    found.questions += 1;
                    if self.lives[*to as usize] {
                        self.received[*to as usize] += 1;
                        if !std::mem::replace(&mut heard[*to as usize], true) {
                            next.push((*to, node));
                        }
                    }
                }
            }
            if heard[holder as usize] {
                found.hops.get_or_insert(u32::from(hop));
            }
            edge = next;
        }
        if from == holder {
            found.hops = Some(0);
        }
        found
    }

    /// Walkers go from neighbour to neighbour; all end with the first that finds it.
    fn walk(&mut self, from: u32, holder: u32) -> Found {
        let mut found = Found { hops: (from == holder).then_some(0), questions: 0 };
        let mut walkers = [from; WALKERS];
        for step in 1..=STEPS_MAX {
            if found.hops.is_some() {
                break;
            }
            for walker in &mut walkers {
                let links = &self.links[*walker as usize];
                let to = links[self.lots.below(links.len() as u64) as usize];
                found.questions += 1;
                if self.lives[to as usize] {
                    self.received[to as usize] += 1;
                    *walker = to;
                    if to == holder {
                        found.hops = Some(step);
                    }
                }
            }
        }
        found
    }

    fn row(
        &mut self,
        name: &'static str,
        holder: Holder,
        searches: usize,
        way: impl Fn(&mut Self, u32, u32) -> Found,
    ) -> Row {
        let (mut hops, mut questions, mut lost) = (Vec::new(), 0.0, 0_usize);
        for _ in 0..searches {
            let from = self.living();
            let holder = match holder {
                Holder::Himself => self.living(),
                Holder::SuperPeer => self.lots.below(self.lives.len() as u64) as u32,
            };
            let found = way(self, from, holder);
            questions += f64::from(found.questions);
            match found.hops {
                Some(n) if self.lives[holder as usize] => hops.push(f64::from(n)),
                Some(_) | None => lost += 1,
            }
        }
        let mean_hops = crate::lab::mean(&hops).unwrap_or(f64::NAN);
        let messages = questions / searches as f64;
        let links = self.links.iter().map(Vec::len).sum::<usize>() as f64;
        let nodes = self.lives.len() as f64;
        let busiest = self.received.iter().copied().max().map_or(0.0, f64::from);
        Row {
            name,
            nodes: self.lives.len() as u64,
            success_pct: 100.0 * (searches - lost) as f64 / searches as f64,
            hops: mean_hops,
            ms: 2.0 * ONE_WAY * mean_hops,
            messages: messages + mean_hops,
            bytes: messages * QUESTION + mean_hops * ANSWER,
            busiest: busiest * nodes / questions,
            state: links / nodes * NEIGHBOUR,
            upkeep: links / nodes * LINK_UPKEEP,
        }
    }
}

/// Flooding among so many users, each of whom holds his own record.
#[must_use]
pub fn flooding(users: usize, dead: f64, searches: usize, seed: u64) -> Row {
    let mut overlay = Overlay::new(users, dead, seed);
    overlay.row("flooding", Holder::Himself, searches, Overlay::flood)
}

/// Flooding among so many super-peers, one of whom holds the record.
#[must_use]
pub fn super_peer_flooding(nodes: usize, dead: f64, searches: usize, seed: u64) -> Row {
    let mut overlay = Overlay::new(nodes, dead, seed);
    overlay.row("super-peer flooding", Holder::SuperPeer, searches, Overlay::flood)
}

/// Random walks among so many users.
#[must_use]
pub fn walks(users: usize, dead: f64, searches: usize, seed: u64) -> Row {
    let mut overlay = Overlay::new(users, dead, seed);
    overlay.row("random walks", Holder::Himself, searches, Overlay::walk)
}

/// One server that knows everybody: a question and its answer. It dies like all others, and then
/// nobody finds anybody; that share of the networks is without it.
#[must_use]
pub fn central_index(users: usize, dead: f64) -> Row {
    Row {
        name: "central index",
        nodes: 1,
        success_pct: 100.0 * (1.0 - dead),
        hops: 1.0,
        ms: 2.0 * ONE_WAY,
        messages: 2.0,
        bytes: QUESTION + ANSWER,
        busiest: users as f64,
        state: 0.0,
        upkeep: LINK_UPKEEP,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_reaches_everybody_and_asks_along_every_link() {
        let row = flooding(2_000, 0.0, 20, 1);
        assert!(row.success_pct > 99.0, "{row:?}");
        assert!((8_000.0..12_500.0).contains(&row.messages), "{row:?}");
        assert!(row.hops > 3.0 && row.hops < 7.0);
    }

    #[test]
    fn walkers_find_with_fewer_messages_and_later() {
        let row = walks(2_000, 0.0, 100, 1);
        let flood = flooding(2_000, 0.0, 20, 1);
        assert!(row.success_pct > 90.0 && row.messages < flood.messages, "{row:?}");
        assert!(row.ms > flood.ms);
    }

    #[test]
    fn without_structure_the_dead_take_their_records_along() {
        let row = super_peer_flooding(2_000, 0.3, 50, 2);
        assert!((50.0..90.0).contains(&row.success_pct), "{row:?}");
        assert!((central_index(100, 0.3).success_pct - 70.0).abs() < 1e-9);
    }
}
