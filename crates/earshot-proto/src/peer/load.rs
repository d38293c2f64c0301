//! How much a peer holds, for whoever asks whether it lets go of things.

use super::Peer;

/// How much a peer holds at the moment: what a healthy one gets rid of again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Links, open or opening.
    pub links: usize,
    /// Questions that wait for an answer.
    pub asks: usize,
    /// Records being written on which something waits.
    pub saves: usize,
    /// Searches, and look-ups for its own purposes.
    pub searches: usize,
    /// Messages that no device of the buddy has acknowledged.
    pub outbox: usize,
    /// Letters that wait for their turn.
    pub letters: usize,
    /// Devices that are shown as they were although their home or ours was lost.
    pub held: usize,
}

impl Peer {
    /// How much it holds.
    #[must_use]
    pub fn load(&self) -> Load {
        Load {
            links: self.links.len(),
            asks: self.asks.len(),
            saves: self.saves.len(),
            searches: self.searches.len(),
            outbox: self.chats.waiting(),
            letters: self.post.waiting(),
            held: self.presences.absences.held(),
        }
    }
}
