//! Chord's successors and predecessor, by the rules that are correct.
//!
//! Source: Zave, "Reasoning about Identifier Spaces: How to Make Chord Correct" (IEEE TSE 2017) and
//! its Alloy model of 2016, which repair Stoica et al., "Chord" (SIGCOMM 2001); lecture, slides
//! 18–25. The rules:
//!
//! - *Join*: a node looks up the member before its place, asks it for its list, and if the place
//!   lies before the first of that list, adopts the whole list, and that member as predecessor.
//!   (Adopting the successor and its list instead can skip a member that came in the meantime.)
//! - *Stabilise*: a node asks its first live successor for predecessor and list, and adopts it
//!   followed by all but the last of that list. If the successor's predecessor lies strictly
//!   between the two, that one is asked too, and if it answers, it is adopted likewise. Then the
//!   first successor is notified.
//! - *Rectify*: a node that is notified takes the notifier as its predecessor if it has none, if
//!   the notifier lies between the present one and itself, or if the present one is dead.
//! - *Fail*: a successor found dead leaves the list; the next stabilisation fills it again.
//!
//! Her operating assumption: failures are detected perfectly (who is alive answers, who does not
//! answer is dead), and no failure takes a member's last live successor or leaves fewer than s + 1
//! principals (see below). Ours is weaker. A node counts as dead when the link to it closes or when
//! it leaves a question unanswered for the patience time, so a live one can be suspected falsely.
//! It comes back by itself: its own stabilisation notifies its successor, which takes it as
//! predecessor again, and the node before it finds it there at its next stabilisation. A member
//! that has lost all its successors joins anew.
//!
//! Her invariant: of the extended successor lists (a member followed by its list) all are ordered,
//! without repetition and full; every member has a live successor; and at least s + 1 members are
//! *principal*, that is, skipped by no extended list. It needs s + 1 members; below the threshold
//! there is full membership instead (see [`super`]). A list that has lost a dead node is shorter
//! until the next stabilisation: she writes a made-up last entry there, which says the same.
//!
//! Nothing here asks or waits: every function is one atomic step of hers. [`super::Ring`] puts the
//! questions; the explorer (`tests/src/ring`) walks through all their interleavings.

use crate::ids::NodeId;
use crate::wire::directory::NodeEntry;

/// What a ring is made of: something at a place.
pub trait Place: Copy {
    /// Places, in ring order but for the wrap.
    type Id: Copy + Ord;

    /// Where it is.
    fn id(&self) -> Self::Id;
}

impl Place for NodeEntry {
    type Id = NodeId;

    fn id(&self) -> NodeId {
        self.node
    }
}

/// Whether `x` lies strictly between `from` and `to`, clockwise. From a place around to itself lies
/// everything but that place.
pub fn between<I: Ord>(from: &I, x: &I, to: &I) -> bool {
    if from < to { from < x && x < to } else { x > from || x < to }
}

/// What one node knows of its neighbours.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Chord<N> {
    me: N,
    length: u8,
    predecessor: Option<N>,
    successors: Vec<N>,
    /// Who wants to be our predecessor, while the present one is asked whether it lives.
    rectifying: Option<N>,
}

/// What stabilisation does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next<N> {
    /// Ask this node, which lies between us and our successor, for its state, and give the answer
    /// to [`Chord::handle_between`].
    AskBetween(N),
    /// Notify this node, our first successor.
    Notify(N),
    /// Nothing: the answer came from a node that is our successor no more.
    Nothing,
}

impl<N: Place> Chord<N> {
    /// A member whose neighbours are known: one of an ideal ring, or of the full membership that
    /// ends. `length` is s, the length of successor lists.
    #[must_use]
    pub fn ideal(
        me: N,
        length: u8,
        predecessor: Option<N>,
        successors: impl IntoIterator<Item = N>,
    ) -> Self {
        let mut chord = Self { me, length, predecessor, successors: Vec::new(), rectifying: None };
        chord.adopt(successors);
        chord
    }

    /// Joins between `before` and its first successor; `before` has just answered with its list.
    /// None when our place is not there (any more).
    #[must_use]
    pub fn joined(me: N, length: u8, before: N, list: &[N]) -> Option<Self> {
        let first = list.first()?;
        between(&before.id(), &me.id(), &first.id())
            .then(|| Self::ideal(me, length, Some(before), list.iter().copied()))
    }

    /// The node itself.
    pub const fn me(&self) -> &N {
        &self.me
    }

    /// s, the length that successor lists have.
    #[must_use]
    pub const fn length(&self) -> usize {
        self.length as usize
    }

    /// The nearest node before it.
    pub const fn predecessor(&self) -> Option<&N> {
        self.predecessor.as_ref()
    }

    /// The nodes after it, nearest first.
    pub fn successors(&self) -> &[N] {
        &self.successors
    }

    /// The successor that stabilisation asks; none when all were found dead, which her assumption
    /// excludes: then the node has to join anew.
    pub fn successor(&self) -> Option<&N> {
        self.successors.first()
    }

    /// Who becomes its predecessor if the present one is dead.
    pub const fn rectifying(&self) -> Option<&N> {
        self.rectifying.as_ref()
    }

    /// The first successor has answered.
    pub fn handle_successor(&mut self, from: &N, predecessor: Option<&N>, list: &[N]) -> Next<N> {
        if self.successor().map(Place::id) != Some(from.id()) {
            return Next::Nothing;
        }
        self.adopt(std::iter::once(*from).chain(list.iter().copied()));
        match predecessor {
            Some(p) if between(&self.me.id(), &p.id(), &from.id()) => Next::AskBetween(*p),
            Some(_) | None => Next::Notify(*from),
        }
    }

    /// The node between us and our successor has answered (`Some`) or has not. Says whom to notify.
    pub fn handle_between(&mut self, from: &N, list: Option<&[N]>) -> Option<N> {
        let successor = self.successor()?;
        if let Some(list) = list
            && between(&self.me.id(), &from.id(), &successor.id())
        {
            self.adopt(std::iter::once(*from).chain(list.iter().copied()));
        }
        self.successor().copied()
    }

    /// A node notifies us: it believes that we are its successor. Answers the present predecessor
    /// when that one has to be asked whether it lives; its fate goes to
    /// [`Chord::handle_predecessor`].
    pub fn handle_notify(&mut self, from: &N) -> Option<N> {
        if from.id() == self.me.id() {
            return None;
        }
        match self.predecessor {
            Some(p) if p.id() == from.id() => None,
            Some(p) if !between(&p.id(), &from.id(), &self.me.id()) => {
                self.rectifying = Some(*from);
                Some(p)
            }
            Some(_) | None => {
                self.predecessor = Some(*from);
                None
            }
        }
    }

    /// The predecessor that was asked for a notifier's sake lives, or does not.
    pub fn handle_predecessor(&mut self, asked: &N, lives: bool) {
        let Some(notifier) = self.rectifying.take() else { return };
        if !lives && self.predecessor.is_none_or(|p| p.id() == asked.id()) {
            self.predecessor = Some(notifier);
        }
    }

    /// A node was found dead, or has left.
    pub fn handle_dead(&mut self, node: &N::Id) {
        self.successors.retain(|s| s.id() != *node);
        self.predecessor.take_if(|p| p.id() == *node);
        self.rectifying.take_if(|p| p.id() == *node);
    }

    /// Takes the first s of a list; it ends before ourselves, and where it is out of order: then
    /// somebody lies.
    fn adopt(&mut self, list: impl IntoIterator<Item = N>) {
        let me = self.me.id();
        let mut last = me;
        let in_order = list.into_iter().take_while(|n| {
            let is_next = n.id() != me && between(&last, &n.id(), &me);
            last = n.id();
            is_next
        });
        self.successors.clear();
        self.successors.extend(in_order.take(usize::from(self.length)));
    }
}
