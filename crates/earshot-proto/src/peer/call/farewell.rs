//! Legs of calls that are over: each end is repeated until it is heard, and late signals are
//! answered with it.
//!
//! Invariant: at most [`REMEMBERED_MAX`] are kept, the oldest goes first; none is repeated longer
//! than [`patience::FAREWELL`].

use std::collections::VecDeque;
use std::time::Instant;

use super::leg::Leg;
use super::patience;
use super::{Callee, CallsOutput, Cx, Delivery, Sender};
use crate::ids::CallId;
use crate::wire::forward::Address;
use crate::wire::sealed::call::{Signal, SignalingCase};

/// Ended legs remembered, to answer what comes late. Our choice: a day's calls of a busy person.
pub(super) const REMEMBERED_MAX: usize = 64;
/// The legs of ended calls.
#[derive(Debug, Default)]
pub(super) struct Farewells(VecDeque<Farewell>);

#[derive(Debug)]
struct Farewell {
    leg: Leg,
    /// Until when the end is repeated; absent once that is done.
    until: Option<Instant>,
}

impl Farewells {
    /// Keeps a leg that was closed.
    pub(super) fn push(&mut self, now: Instant, leg: Leg, out: &mut VecDeque<CallsOutput>) {
        let mut farewell = Farewell { leg, until: Some(now + patience::FAREWELL) };
        farewell.review(now, out);
        self.0.push_back(farewell);
        if self.0.len() > REMEMBERED_MAX
            && let Some(oldest) = self.0.pop_front()
            && oldest.until.is_some()
        {
            out.push_back(oldest.forget());
        }
    }

    /// Answers a late signal. False: no such leg is remembered.
    pub(super) fn handle_signal(
        &mut self,
        cx: &mut Cx<'_>,
        from: &Sender,
        signal: &Signal,
    ) -> bool {
        let found =
            self.0.iter_mut().rev().find(|f| f.leg.call == signal.call && f.leg.is_with(from));
        let Some(farewell) = found else { return false };
        farewell.leg.handle_late(cx, signal);
        farewell.review(cx.now, cx.out);
        true
    }

    pub(super) fn handle_delivery(
        &mut self,
        cx: &mut Cx<'_>,
        call: CallId,
        to: &Address,
        case: SignalingCase,
        delivery: Delivery,
    ) {
        let mut all = self.0.iter_mut().rev();
        if let Some(farewell) = all.find(|f| f.leg.call == call && f.leg.to == *to) {
            farewell.leg.handle_delivery(cx, case, delivery);
            farewell.review(cx.now, cx.out);
        }
    }

    /// The devices of somebody were located anew.
    pub(super) fn handle_located(&mut self, cx: &mut Cx<'_>, call: CallId, found: &[Callee]) {
        for leg in self.0.iter_mut().map(|f| &mut f.leg).filter(|leg| leg.call == call) {
            leg.handle_located(cx, found);
        }
    }

    pub(super) fn handle_home(&mut self, cx: &mut Cx<'_>) {
        for farewell in self.0.iter_mut().filter(|f| f.until.is_some()) {
            farewell.leg.handle_home(cx);
        }
    }

    pub(super) fn handle_timeout(&mut self, cx: &mut Cx<'_>) {
        for farewell in self.0.iter_mut().filter(|f| f.until.is_some()) {
            farewell.leg.handle_timeout(cx);
            farewell.review(cx.now, cx.out);
        }
    }

    pub(super) fn due(&self) -> Option<Instant> {
        let waiting = self.0.iter().filter(|f| f.until.is_some());
        waiting.filter_map(|f| f.leg.due().into_iter().chain(f.until).min()).min()
    }

    /// How many are remembered.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Farewell {
    fn review(&mut self, now: Instant, out: &mut VecDeque<CallsOutput>) {
        let Some(until) = self.until else { return };
        if until <= now || !self.leg.waits() {
            self.until = None;
            self.leg.rest();
            out.push_back(self.forget());
        } else {
            self.leg.relocate(now, out);
        }
    }

    fn forget(&self) -> CallsOutput {
        CallsOutput::Forget { call: self.leg.call, to: self.leg.to.clone() }
    }
}
