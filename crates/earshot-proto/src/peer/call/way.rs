//! The way of signals to one device: by which of the lecture's cases they go, and what follows when
//! one fails or is silent.
//!
//! Source: lecture, slide 32; DESIGN 2.10. The caller chooses the case, and the callee answers by
//! it while it can. A case that fails is followed by the next that leads somewhere; after the last
//! the device is *cut off* until it is time to try again, or something new is known. Invariant: as
//! long as the device is not cut off there is a route.

use std::net::SocketAddr;

use super::reason::SendFailure;
use super::signaling::{self, Route, Side, SignalingCase};
use crate::ids::NodeId;
use crate::wire::directory::NodeEntry;
use crate::wire::forward::Undelivered;

/// How signals go to one device.
#[derive(Debug)]
pub(super) struct Way {
    side: Side,
    /// Tried first.
    first: SignalingCase,
    /// The case of the call: how the caller's signals travel.
    case: SignalingCase,
    /// How ours travel; a callee's may need another than the caller's.
    ours: SignalingCase,
    /// The device's home.
    home: Option<NodeEntry>,
    /// Where the device takes calls.
    direct: Option<SocketAddr>,
    cut_off: Option<SendFailure>,
    last_failure: Option<SendFailure>,
    /// The home of the device when every case had failed.
    lost_at: Option<NodeId>,
}

impl Way {
    /// To a device that we call: by this case, if it leads anywhere, else by the next.
    pub(super) fn to_callee(
        first: SignalingCase,
        home: Option<NodeEntry>,
        direct: Option<SocketAddr>,
    ) -> Self {
        let mut way = Self::new(Side::Caller, first, home, direct);
        if way.route().is_none() && !way.take_next() {
            way.cut_off = Some(SendFailure::NoConnection);
        }
        way
    }

    /// To a device that calls us, by this case.
    pub(super) const fn to_caller(first: SignalingCase, home: Option<NodeEntry>) -> Self {
        Self::new(Side::Callee, first, home, None)
    }

    const fn new(
        side: Side,
        first: SignalingCase,
        home: Option<NodeEntry>,
        direct: Option<SocketAddr>,
    ) -> Self {
        Self {
            side,
            first,
            case: first,
            ours: first,
            home,
            direct,
            cut_off: None,
            last_failure: None,
            lost_at: None,
        }
    }

    pub(super) const fn case(&self) -> SignalingCase {
        self.case
    }

    pub(super) fn route(&self) -> Option<Route> {
        signaling::route(self.ours, self.side, self.direct, self.home)
    }

    /// How the last case failed, if every one did.
    pub(super) const fn cut_off(&self) -> Option<SendFailure> {
        self.cut_off
    }

    /// How the last signal failed that did.
    pub(super) const fn last_failure(&self) -> Option<SendFailure> {
        self.last_failure
    }

    /// Whether every case ended nowhere: the device must be elsewhere, if it is at all.
    pub(super) const fn ends_nowhere(&self) -> bool {
        match self.cut_off {
            Some(SendFailure::NoConnection | SendFailure::Undelivered(_)) => true,
            Some(SendFailure::Unlinked) | None => false,
        }
    }

    /// Something new came from the device, in a call of this case.
    pub(super) fn works(&mut self, case: SignalingCase) {
        self.cut_off = None;
        if self.side == Side::Callee && self.case != case {
            (self.case, self.ours) = (case, case);
        }
    }

    /// The device spoke by this case once more, after the end.
    pub(super) fn answer_by(&mut self, case: SignalingCase) {
        if self.side == Side::Callee {
            self.ours = case;
        }
    }

    /// A signal failed that went by this case. Whether all is to be said again by another.
    pub(super) fn failed(&mut self, case: SignalingCase, failure: SendFailure) -> bool {
        if case != self.ours || self.cut_off.is_some() {
            return false;
        }
        self.last_failure = Some(failure);
        if failure == SendFailure::Undelivered(Undelivered::TooMuch) {
            return false; // The next case would cost the same budget; it is repeated later anyway.
        }
        let goes_on = self.take_next();
        if !goes_on {
            self.cut_off = Some(failure);
            self.lost_at = self.home.map(|home| home.node);
        }
        goes_on
    }

    /// Nothing is heard of what went this way: the next case is taken, after the last the first.
    pub(super) fn was_silent(&mut self) {
        if !self.take_next() {
            self.start_over();
        }
    }

    /// Begins with the first case again where every one had failed. Whether it was so.
    pub(super) fn try_again(&mut self) -> bool {
        let was_cut_off = self.cut_off.take().is_some();
        if was_cut_off {
            self.start_over();
        }
        was_cut_off
    }

    /// The device says that it is served by another home now.
    pub(super) const fn moved(&mut self, home: NodeEntry) {
        self.home = Some(home);
    }

    /// The device was located. Whether that is news: not where it was lost, if it has told us of
    /// another home since.
    pub(super) fn found(&mut self, home: Option<NodeEntry>, direct: Option<SocketAddr>) -> bool {
        let is_elsewhere = home != self.home;
        if is_elsewhere && home.map(|home| home.node) == self.lost_at {
            return false;
        }
        (self.home, self.direct) = (home, direct);
        is_elsewhere
    }

    /// Goes over to the next case that leads anywhere.
    fn take_next(&mut self) -> bool {
        while let Some(next) = signaling::next(self.ours) {
            self.take(next);
            if self.route().is_some() {
                return true;
            }
        }
        false
    }

    fn start_over(&mut self) {
        self.take(self.first);
        if self.route().is_none() {
            self.take_next();
        }
    }

    fn take(&mut self, case: SignalingCase) {
        self.ours = case;
        if self.side == Side::Caller {
            self.case = case;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::call::tests::world::home;
    use SignalingCase::{BothSuperPeers, CalleeSuperPeer, Direct};

    const REFUSED: SendFailure = SendFailure::NoConnection;

    #[test]
    fn after_the_last_case_failed_it_is_cut_off_and_begins_with_the_first_again() {
        let at = Some(([192, 0, 2, 9], 4433).into());
        let mut way = Way::to_callee(Direct, Some(home(1)), at);
        for case in [Direct, CalleeSuperPeer] {
            assert_eq!(way.case(), case);
            assert!(!way.failed(BothSuperPeers, REFUSED), "of another case");
            assert!(way.failed(case, REFUSED));
        }
        assert!(!way.failed(BothSuperPeers, REFUSED) && way.ends_nowhere());
        assert!(way.try_again() && !way.try_again());
        assert_eq!((way.case(), way.cut_off()), (Direct, None));
    }

    #[test]
    fn silence_leads_through_all_cases_and_around() {
        let mut way = Way::to_callee(Direct, Some(home(1)), None);
        let cases: Vec<_> = (0..4)
            .map(|_| {
                way.was_silent();
                way.case()
            })
            .collect();
        assert_eq!(cases, [BothSuperPeers, CalleeSuperPeer, BothSuperPeers, CalleeSuperPeer]);
    }

    #[test]
    fn the_home_where_it_was_lost_is_no_news_once_it_has_told_of_another() {
        let mut way = Way::to_callee(CalleeSuperPeer, Some(home(1)), None);
        assert!(way.failed(CalleeSuperPeer, REFUSED) && !way.failed(BothSuperPeers, REFUSED));
        assert!(!way.found(Some(home(1)), None), "the directory is late");
        way.moved(home(2));
        assert!(!way.found(Some(home(1)), None), "and later still");
        assert_eq!(way.home, Some(home(2)));
        assert!(way.found(Some(home(3)), None));
    }

    #[test]
    fn who_is_called_answers_by_the_case_of_the_call_until_that_fails() {
        let mut way = Way::to_caller(CalleeSuperPeer, Some(home(1)));
        assert_eq!(way.route(), Some(Route::MySuperPeer));
        assert!(way.failed(CalleeSuperPeer, REFUSED));
        assert_eq!(way.route(), Some(Route::BothSuperPeers { home: home(1) }));
        assert_eq!(way.case(), CalleeSuperPeer, "the case of the call is the caller's to change");
        way.works(BothSuperPeers);
        assert_eq!(way.case(), BothSuperPeers);
    }
}
