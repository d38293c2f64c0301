//! The rules under test: ours, and those published in 2001 as a mutant that must be caught.

use earshot_proto::super_peer::ring::chord::{Chord, Next, Place, between};

/// s in the explorer.
pub const LENGTH: u8 = 2;

/// A node that is nothing but its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spot(pub u8);

impl Place for Spot {
    type Id = u8;

    fn id(&self) -> u8 {
        self.0
    }
}

/// What one node does, step by step. The words are those of [`Chord`].
pub trait Rules: Clone {
    /// A member of an ideal ring.
    fn ideal(me: Spot, predecessor: Spot, successors: &[Spot]) -> Self;
    /// A node that joins after `before`, whose list this is.
    fn joined(me: Spot, before: Spot, list: &[Spot]) -> Option<Self>;
    /// Its predecessor.
    fn predecessor(&self) -> Option<Spot>;
    /// Its successor list.
    fn successors(&self) -> &[Spot];
    /// Who waits to become its predecessor.
    fn rectifying(&self) -> Option<Spot>;
    /// Its successor has answered.
    fn handle_successor(&mut self, from: Spot, before: Option<Spot>, list: &[Spot]) -> Next<Spot>;
    /// The node between them has answered or is dead.
    fn handle_between(&mut self, from: Spot, list: Option<&[Spot]>) -> Option<Spot>;
    /// It is notified.
    fn handle_notify(&mut self, from: Spot) -> Option<Spot>;
    /// Its predecessor lives, or does not.
    fn handle_predecessor(&mut self, asked: Spot, lives: bool);
    /// A node was found dead.
    fn handle_dead(&mut self, node: Spot);
}

impl Rules for Chord<Spot> {
    fn ideal(me: Spot, predecessor: Spot, successors: &[Spot]) -> Self {
        Self::ideal(me, LENGTH, Some(predecessor), successors.iter().copied())
    }

    fn joined(me: Spot, before: Spot, list: &[Spot]) -> Option<Self> {
        Self::joined(me, LENGTH, before, list)
    }

    fn predecessor(&self) -> Option<Spot> {
        self.predecessor().copied()
    }

    fn successors(&self) -> &[Spot] {
        self.successors()
    }

    fn rectifying(&self) -> Option<Spot> {
        self.rectifying().copied()
    }

    fn handle_successor(&mut self, from: Spot, before: Option<Spot>, list: &[Spot]) -> Next<Spot> {
        self.handle_successor(&from, before.as_ref(), list)
    }

    fn handle_between(&mut self, from: Spot, list: Option<&[Spot]>) -> Option<Spot> {
        self.handle_between(&from, list)
    }

    fn handle_notify(&mut self, from: Spot) -> Option<Spot> {
        self.handle_notify(&from)
    }

    fn handle_predecessor(&mut self, asked: Spot, lives: bool) {
        self.handle_predecessor(&asked, lives);
    }

    fn handle_dead(&mut self, node: Spot) {
        self.handle_dead(&node.0);
    }
}

/// Chord as published: Stoica et al., SIGCOMM 2001, figure 7 and section 5.3. The successor's
/// predecessor is adopted unasked and without its list, and a joiner begins with one successor.
#[derive(Clone, Debug)]
pub struct Published {
    me: Spot,
    predecessor: Option<Spot>,
    successors: Vec<Spot>,
}

impl Rules for Published {
    fn ideal(me: Spot, predecessor: Spot, successors: &[Spot]) -> Self {
        let successors = successors[..usize::from(LENGTH)].to_vec();
        Self { me, predecessor: Some(predecessor), successors }
    }

    fn joined(me: Spot, _: Spot, list: &[Spot]) -> Option<Self> {
        Some(Self { me, predecessor: None, successors: vec![*list.first()?] })
    }

    fn predecessor(&self) -> Option<Spot> {
        self.predecessor
    }

    fn successors(&self) -> &[Spot] {
        &self.successors
    }

    fn rectifying(&self) -> Option<Spot> {
        None
    }

    fn handle_successor(&mut self, from: Spot, before: Option<Spot>, list: &[Spot]) -> Next<Spot> {
        self.successors = std::iter::once(from).chain(list.iter().copied()).collect();
        self.successors.truncate(usize::from(LENGTH));
        if let Some(before) = before
            && between(&self.me.0, &before.0, &from.0)
        {
            self.successors[0] = before;
        }
        Next::Notify(self.successors[0])
    }

    fn handle_between(&mut self, _: Spot, _: Option<&[Spot]>) -> Option<Spot> {
        None
    }

    fn handle_notify(&mut self, from: Spot) -> Option<Spot> {
        let is_nearer = |p: Spot| between(&p.0, &from.0, &self.me.0);
        if self.predecessor.is_none_or(is_nearer) {
            self.predecessor = Some(from);
        }
        None
    }

    fn handle_predecessor(&mut self, _: Spot, _: bool) {}

    fn handle_dead(&mut self, node: Spot) {
        self.successors.retain(|s| *s != node);
        self.predecessor.take_if(|p| *p == node);
    }
}
