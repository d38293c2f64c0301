//! When the NAT is measured: at a new home, on a changed network, and from time to time; and what
//! is held true of it. DESIGN 2.12.
//!
//! A measurement that contradicts is soon followed by a second, which decides. Invariant: one
//! measurement at a time; a second look is not followed by a third.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::behaviour::{Measurement, Place, Progress};
use super::trail::Trail;
use super::verdict::{NatView, Verdicts};
use crate::entropy::{Entropy, Stream};
use crate::port::Transmit;
use crate::time::UnixTime;

/// Shortest time until it is measured anew. Our choice, with [`RENEW_SPREAD`] about four hours:
/// who changes routers changes addresses, which is noticed at once; this is for what is changed at
/// the router itself, and costs a dozen datagrams.
pub(super) const RENEW_AFTER: Duration = Duration::from_secs(3 * 3600 + 1800);
/// Full jitter on top. Our choice: those who came to a home at once, as after a failure of another,
/// do not come to its partner at once for ever.
pub(super) const RENEW_SPREAD: Duration = Duration::from_secs(3600);
/// When a measurement that contradicts is repeated. Our choice: what disturbed it has passed, and a
/// true change is shown within a minute.
pub(super) const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// Why it is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A new home or another network: if nothing is answered, UDP is blocked.
    Arrival,
    /// Time has passed. Silence says nothing then: the link to the home is watched otherwise, and a
    /// home that is busy for some seconds is no firewall.
    Renewal,
    /// The last one contradicted.
    SecondLook,
}

/// What comes of it.
#[derive(Debug, PartialEq)]
pub(super) enum Seen {
    Send(Transmit),
    /// Whether UDP gets through and back.
    Udp(bool),
    /// Something else is held true of the NAT.
    Changed,
}

/// What is known, and the measurement under way.
#[derive(Debug, Default)]
pub(in super::super) struct Watch {
    running: Option<(Purpose, Measurement)>,
    /// When it is measured next, and why.
    next: Option<(Instant, Purpose)>,
    /// Whose answers the verdicts are from.
    server: Option<SocketAddr>,
    /// Our own address on this network, as far as it is known.
    own: Option<IpAddr>,
    verdicts: Verdicts,
    trail: Trail,
    out: VecDeque<Seen>,
}

impl Watch {
    pub(in super::super) fn next_due(&self) -> Option<Instant> {
        let running = self.running.as_ref().and_then(|(_, measurement)| measurement.next_due());
        running.or(self.next.map(|(at, _)| at))
    }

    pub(super) fn poll(&mut self) -> Option<Seen> {
        self.out.pop_front()
    }

    pub(in super::super) const fn view(&self) -> NatView {
        self.verdicts.view()
    }

    /// A datagram of ours goes there.
    pub(in super::super) fn went_to(&mut self, now: Instant, place: SocketAddr) {
        self.trail.note(now, place);
    }

    /// We have this address on this network, or do not know.
    pub(super) fn is_at(&mut self, own: Option<IpAddr>) {
        self.own = own;
        if self.verdicts.is_at(own) {
            self.out.push_back(Seen::Changed);
        }
    }

    /// Whether it was last measured, or is, at that server.
    pub(super) fn is_of(&self, server: SocketAddr) -> bool {
        self.server == Some(server)
    }

    pub(super) const fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Measures, in place of what is under way.
    pub(super) fn start(
        &mut self,
        now: Instant,
        wall: UnixTime,
        (purpose, place): (Purpose, Place),
        entropy: &mut Entropy,
    ) {
        let before = self.verdicts.filtering();
        let measurement = Measurement::begin(now, place, before, &mut entropy.secrets);
        self.server = Some(place.server);
        self.next = None;
        self.running = Some((purpose, measurement));
        self.drain(now, wall, &mut entropy.jitter);
    }

    /// There is nobody to ask any more.
    pub(in super::super) fn stop(&mut self) {
        (self.running, self.next, self.server) = (None, None, None);
    }

    /// The network is another one: nothing that was found holds, but what was sent was sent.
    pub(in super::super) fn forget(&mut self) {
        self.stop();
        self.own = None;
        self.verdicts = Verdicts::default();
    }

    /// Repeats questions; answers why it is time to measure anew, if it is.
    pub(super) fn handle_timeout(
        &mut self,
        now: Instant,
        wall: UnixTime,
        entropy: &mut Entropy,
    ) -> Option<Purpose> {
        if let Some((_, measurement)) = &mut self.running {
            measurement.handle_timeout(now, &mut entropy.secrets);
            self.drain(now, wall, &mut entropy.jitter);
            return None;
        }
        self.next.take_if(|(at, _)| *at <= now).map(|(_, purpose)| purpose)
    }

    pub(super) fn handle_datagram(
        &mut self,
        now: Instant,
        wall: UnixTime,
        (from, bytes): (SocketAddr, &[u8]),
        entropy: &mut Entropy,
    ) {
        if let Some((_, measurement)) = &mut self.running {
            measurement.handle_datagram(now, (from, bytes), &self.trail, &mut entropy.secrets);
            self.drain(now, wall, &mut entropy.jitter);
        }
    }

    fn drain(&mut self, now: Instant, wall: UnixTime, jitter: &mut Stream) {
        while let Some((purpose, measurement)) = &mut self.running
            && let Some(progress) = measurement.poll()
        {
            let purpose = *purpose;
            match progress {
                Progress::Send(transmit) => {
                    self.trail.note(now, transmit.to);
                    self.out.push_back(Seen::Send(transmit));
                }
                Progress::Answered => self.out.push_back(Seen::Udp(true)),
                Progress::Silent if purpose == Purpose::Arrival => {
                    self.out.push_back(Seen::Udp(false));
                }
                Progress::Silent => {}
                Progress::Ended(findings) => {
                    self.running = None;
                    if self.verdicts.hear(&findings, self.own, wall) {
                        self.out.push_back(Seen::Changed);
                    }
                    self.next = Some(self.next_after(now, purpose, jitter));
                }
            }
        }
    }

    fn next_after(
        &self,
        now: Instant,
        purpose: Purpose,
        jitter: &mut Stream,
    ) -> (Instant, Purpose) {
        if self.verdicts.are_doubted() && purpose != Purpose::SecondLook {
            return (now + LOOK_AGAIN_AFTER, Purpose::SecondLook);
        }
        let spread = jitter.below(RENEW_SPREAD.as_millis() as u64 + 1);
        (now + RENEW_AFTER + Duration::from_millis(spread), Purpose::Renewal)
    }
}
