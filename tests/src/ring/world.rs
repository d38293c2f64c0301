//! A ring of few places, its members' states, and the atomic steps that lead to the next state.

use earshot_proto::super_peer::ring::chord::{Next, between};

use super::rules::{LENGTH, Rules, Spot};

/// Places at most.
pub const PLACES_MAX: usize = 64;
/// Principals that her invariant asks for: s + 1.
const PRINCIPALS: usize = LENGTH as usize + 1;

/// How a node rectifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rectify {
    /// It learns in the same step whether its predecessor lives, as in Zave's model.
    InOneStep,
    /// It asks its predecessor in one step and takes the answer in another, as ours does.
    InTwoSteps,
}

/// What a place is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    Nothing,
    /// It will ask this node, which lies between it and its successor.
    AskBetween(Spot),
    /// It will notify this node.
    Notify(Spot),
}

#[derive(Clone, Debug)]
struct Site<R> {
    member: Option<R>,
    doing: Doing,
    /// The predecessor that it will ask whether it lives.
    checking: Option<Spot>,
}

/// One atomic step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A place that is no member asks this member, which lies right before it, and joins.
    Join(Spot, Spot),
    /// A member asks its first successor for its state, or finds it dead.
    Stabilise(Spot),
    /// It asks the node between them.
    AskBetween(Spot),
    /// It notifies its successor.
    Notify(Spot),
    /// A member asks its predecessor whether it lives.
    Check(Spot),
    /// A member fails.
    Fail(Spot),
}

/// How the invariant is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// This member's extended successor list is out of order or repeats a node.
    Disordered(Spot),
    /// This member has no live successor.
    NoLiveSuccessor(Spot),
    /// Only so many members are skipped by nobody.
    Principals(usize),
}

/// The state of a whole ring.
#[derive(Clone, Debug)]
pub struct World<R> {
    sites: Vec<Site<R>>,
    rectify: Rectify,
}

impl<R: Rules> World<R> {
    /// An ideal ring of these members among so many places.
    #[must_use]
    pub fn ideal(places: u8, members: &[u8], rectify: Rectify) -> Self {
        let empty = Site { member: None, doing: Doing::Nothing, checking: None };
        let mut world = Self { sites: vec![empty; usize::from(places)], rectify };
        let len = members.len();
        for (at, me) in members.iter().enumerate() {
            let after: Vec<Spot> = (1..len).map(|far| Spot(members[(at + far) % len])).collect();
            let before = Spot(members[(at + len - 1) % len]);
            world.sites[usize::from(*me)].member = Some(R::ideal(Spot(*me), before, &after));
        }
        world
    }

    /// The members' places, in order.
    pub fn members(&self) -> impl Iterator<Item = Spot> {
        let sites = self.sites.iter().enumerate();
        sites.filter(|(_, site)| site.member.is_some()).map(|(at, _)| Spot(at as u8))
    }

    fn member(&self, spot: Spot) -> Option<&R> {
        self.sites[usize::from(spot.0)].member.as_ref()
    }

    fn site(&mut self, spot: Spot) -> &mut Site<R> {
        &mut self.sites[usize::from(spot.0)]
    }

    /// Everything that can happen next, but for failures that the operating assumption excludes.
    #[must_use]
    pub fn steps(&self) -> Vec<Step> {
        let mut steps = self.likely_steps();
        steps.retain(|step| match step {
            Step::Fail(spot) => self.may_fail(*spot),
            Step::Join(..)
            | Step::Stabilise(_)
            | Step::AskBetween(_)
            | Step::Notify(_)
            | Step::Check(_) => true,
        });
        steps
    }

    /// Everything that can happen next, and failures that may be excluded.
    #[must_use]
    pub fn likely_steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for (at, site) in self.sites.iter().enumerate() {
            let spot = Spot(at as u8);
            match (&site.member, site.doing) {
                (None, _) => {
                    let is_before = |m: &Spot| {
                        let first = self.member(*m).and_then(|r| r.successors().first());
                        first.is_some_and(|s| between(&m.0, &spot.0, &s.0))
                    };
                    steps.extend(self.members().filter(is_before).map(|m| Step::Join(spot, m)));
                }
                (Some(_), Doing::AskBetween(_)) => steps.push(Step::AskBetween(spot)),
                (Some(_), Doing::Notify(_)) => steps.push(Step::Notify(spot)),
                (Some(_), Doing::Nothing) => steps.push(Step::Stabilise(spot)),
            }
            if site.member.is_some() {
                if site.checking.is_some() {
                    steps.push(Step::Check(spot));
                }
                steps.push(Step::Fail(spot));
            }
        }
        steps
    }

    /// Her operating assumption.
    #[must_use]
    pub fn may_fail(&self, spot: Spot) -> bool {
        let mut after = self.clone();
        after.take(Step::Fail(spot));
        after.broken().is_none()
    }

    /// Does one step.
    pub fn take(&mut self, step: Step) {
        match step {
            Step::Join(me, before) => {
                let list = self.member(before).map(|m| m.successors().to_vec());
                let joined = list.and_then(|list| R::joined(me, before, &list));
                self.site(me).member = joined;
            }
            Step::Stabilise(me) => self.stabilise(me),
            Step::AskBetween(me) => {
                let Doing::AskBetween(node) = self.site(me).doing else { return };
                let list = self.member(node).map(|m| m.successors().to_vec());
                let Some(member) = &mut self.site(me).member else { return };
                let notify = member.handle_between(node, list.as_deref());
                self.site(me).doing = notify.map_or(Doing::Nothing, Doing::Notify);
            }
            Step::Notify(me) => {
                let Doing::Notify(node) = self.site(me).doing else { return };
                self.site(me).doing = Doing::Nothing;
                let Some(member) = &mut self.site(node).member else { return };
                if let Some(asked) = member.handle_notify(me) {
                    self.site(node).checking = Some(asked);
                    if self.rectify == Rectify::InOneStep {
                        self.take(Step::Check(node));
                    }
                }
            }
            Step::Check(me) => {
                let Some(asked) = self.site(me).checking.take() else { return };
                let lives = self.member(asked).is_some();
                if let Some(member) = &mut self.site(me).member {
                    member.handle_predecessor(asked, lives);
                }
            }
            Step::Fail(me) => {
                *self.site(me) = Site { member: None, doing: Doing::Nothing, checking: None };
            }
        }
    }

    fn stabilise(&mut self, me: Spot) {
        let first = self.member(me).and_then(|m| m.successors().first().copied());
        let Some(successor) = first else { return };
        let state = self.member(successor).map(|m| (m.predecessor(), m.successors().to_vec()));
        let Some(member) = &mut self.site(me).member else { return };
        let next = match state {
            Some((before, list)) => member.handle_successor(successor, before, &list),
            None => {
                member.handle_dead(successor);
                Next::Nothing
            }
        };
        self.site(me).doing = match next {
            Next::AskBetween(node) => Doing::AskBetween(node),
            Next::Notify(node) => Doing::Notify(node),
            Next::Nothing => Doing::Nothing,
        };
    }

    /// How her invariant is broken, if it is.
    #[must_use]
    pub fn broken(&self) -> Option<Broken> {
        let mut skipped = [false; PLACES_MAX];
        for me in self.members() {
            let list = self.member(me).map(R::successors).unwrap_or_default();
            if !list.iter().any(|s| self.member(*s).is_some()) {
                return Some(Broken::NoLiveSuccessor(me));
            }
            let mut from = me;
            for to in list {
                let steps = self.way(from, *to);
                if steps == 0 || self.way(me, from) + steps >= self.sites.len() {
                    return Some(Broken::Disordered(me));
                }
                for far in 1..steps {
                    skipped[(usize::from(from.0) + far) % self.sites.len()] = true;
                }
                from = *to;
            }
        }
        let principals = self.members().filter(|m| !skipped[usize::from(m.0)]).count();
        (principals < PRINCIPALS).then_some(Broken::Principals(principals))
    }

    /// Places clockwise from one to another.
    fn way(&self, from: Spot, to: Spot) -> usize {
        let places = self.sites.len();
        (usize::from(to.0) + places - usize::from(from.0)) % places
    }

    /// Whether every member knows its true neighbours.
    #[must_use]
    pub fn is_ideal(&self) -> bool {
        let members: Vec<Spot> = self.members().collect();
        let len = members.len();
        members.iter().enumerate().all(|(at, me)| {
            let Some(member) = self.member(*me) else { return false };
            let after = (1..=usize::from(LENGTH)).map(|far| members[(at + far) % len]);
            let before = members[(at + len - 1) % len];
            member.predecessor() == Some(before) && after.eq(member.successors().iter().copied())
        })
    }

    /// Joins and fails have stopped: every member stabilises in turn. Answers after how many rounds
    /// the ring is ideal, if it becomes so within `rounds`.
    #[must_use]
    pub fn settles(mut self, rounds: usize) -> Option<usize> {
        for round in 0..=rounds {
            if self.is_ideal() {
                return Some(round);
            }
            let members: Vec<Spot> = self.members().collect();
            for me in members {
                // What is under way, then a whole stabilisation.
                for step in [
                    Step::AskBetween(me),
                    Step::Notify(me),
                    Step::Stabilise(me),
                    Step::AskBetween(me),
                    Step::Notify(me),
                ] {
                    self.take(step);
                }
                let checks: Vec<Spot> = self.members().collect();
                checks.into_iter().for_each(|spot| self.take(Step::Check(spot)));
            }
        }
        None
    }

    /// The state in bytes, the same for all rotations of it.
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        let places = self.sites.len();
        (0..places).map(|first| self.seen_from(first)).min().unwrap_or_default()
    }

    fn seen_from(&self, first: usize) -> Vec<u8> {
        let places = self.sites.len();
        let name = |spot: Option<Spot>| {
            spot.map_or(0xff, |s| ((usize::from(s.0) + places - first) % places) as u8)
        };
        let mut bytes = Vec::with_capacity(places * 8);
        for far in 0..places {
            let site = &self.sites[(first + far) % places];
            let (kind, about) = match site.doing {
                Doing::Nothing => (0, None),
                Doing::AskBetween(spot) => (1, Some(spot)),
                Doing::Notify(spot) => (2, Some(spot)),
            };
            bytes.extend([kind | u8::from(site.member.is_some()) << 4, name(about)]);
            if let Some(member) = &site.member {
                bytes.extend([name(member.predecessor()), name(member.rectifying())]);
                bytes.push(name(site.checking));
                bytes.push(member.successors().len() as u8);
                bytes.extend(member.successors().iter().map(|s| name(Some(*s))));
            }
        }
        bytes
    }
}
