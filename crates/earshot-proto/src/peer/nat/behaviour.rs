//! One measurement: what the NAT before us maps and whom it lets in, asked of our home and its
//! partner. RFC 5780, sections 4.3 and 4.4.
//!
//! Whom it lets in is asked first, since the questions after open it to the partner. Silence says
//! that something was filtered only where it is hardly a loss or a failure: plain questions go
//! along with those that nothing answers, and are answered; who was to answer answers when asked
//! from inside; and where the NAT maps to one address, the very question that was not answered is
//! answered once the NAT is open to it. An answer from where datagrams of ours went lately
//! ([`Trail`]) says nothing: everybody would let it in. Invariants: a measurement asks each
//! [`Test`] once at most, and ends; nothing goes to an address that the home names, unless
//! [`is_askable`].

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use super::super::super_peers::ANY_PRIVATE;
use super::evidence::{Evidence, Outcome, Test};
use super::question::{Change, Due, Question, Reply, SILENCE_WAITS, WAITS, decode};
use super::trail::Trail;
use super::verdict::{Filtering, Findings, Mapping, Verdict};
use crate::entropy::Stream;
use crate::port::{Transmit, canonical};
use crate::wire::nat::is_dialled;

/// Whom we ask, and how much.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Our home: the server's main address.
    pub(super) server: SocketAddr,
    pub(super) depth: Depth,
}

/// How much is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// Whether UDP gets through, and where we are seen.
    Reach,
    /// How the NAT behaves too.
    Behaviour,
}

/// What a measurement comes up with.
#[derive(Debug, PartialEq)]
pub(super) enum Progress {
    Send(Transmit),
    /// UDP gets through and back.
    Answered,
    /// It does not.
    Silent,
    /// It is over.
    Ended(Findings),
}

/// A measurement under way.
#[derive(Debug)]
pub(super) struct Measurement {
    place: Place,
    /// What was held true of filtering before: a first contradiction ends the measurement before
    /// anything opens the NAT, so that the second look sees it as the first did.
    before: Verdict<Filtering>,
    /// OTHER-ADDRESS.
    other: Option<SocketAddr>,
    asked: Test,
    open: Vec<(Test, Question)>,
    evidence: Evidence,
    out: VecDeque<Progress>,
}

impl Measurement {
    pub(super) fn begin(
        now: Instant,
        place: Place,
        before: Verdict<Filtering>,
        secrets: &mut Stream,
    ) -> Self {
        let mut measurement = Self {
            place,
            before,
            other: None,
            asked: Test::Reach,
            open: Vec::new(),
            evidence: Evidence::default(),
            out: VecDeque::new(),
        };
        measurement.ask(now, &[(Test::Reach, place.server)], secrets);
        measurement
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.open.iter().map(|(_, question)| question.next_due()).min()
    }

    pub(super) fn poll(&mut self) -> Option<Progress> {
        self.out.pop_front()
    }

    /// Repeats what was not answered, and gives up what was repeated often enough.
    pub(super) fn handle_timeout(&mut self, now: Instant, secrets: &mut Stream) {
        let mut silent = Vec::new();
        for (test, question) in &mut self.open {
            match question.handle_timeout(now) {
                Some(Due::Again(transmit)) => self.out.push_back(Progress::Send(transmit)),
                Some(Due::Silence) => silent.push(*test),
                None => {}
            }
        }
        for test in silent {
            self.conclude(now, test, Outcome::Silent, secrets);
        }
    }

    /// Takes a datagram that may be an answer.
    pub(super) fn handle_datagram(
        &mut self,
        now: Instant,
        (from, bytes): (SocketAddr, &[u8]),
        trail: &Trail,
        secrets: &mut Stream,
    ) {
        let Some(message) = decode(bytes) else { return };
        let from = canonical(from);
        let mut open = self.open.iter();
        let reply = open.find_map(|(test, question)| {
            Some((*test, question.reply(from, &message)?, question.sent()))
        });
        let Some((test, reply, sent)) = reply else { return };
        let outcome = self.outcome(now, test, from, reply, trail);
        if test == Test::Pulse {
            return self.evidence.pulse(outcome, sent);
        }
        if test == Test::Reach {
            if !reply.is_success {
                return;
            }
            self.out.push_back(Progress::Answered);
            let server = self.place.server;
            let is_wanted = self.place.depth == Depth::Behaviour;
            let other = reply.other.filter(|other| is_wanted && is_askable(server, *other));
            self.other = other.filter(|_| reply.mapped.is_some());
        }
        self.conclude(now, test, outcome, secrets);
    }

    /// What an answer says: nothing where it came from elsewhere than it was to come from, or from
    /// where the NAT is open to anyway.
    fn outcome(
        &self,
        now: Instant,
        test: Test,
        from: SocketAddr,
        reply: Reply,
        trail: &Trail,
    ) -> Outcome {
        let Some(mapped) = reply.mapped.filter(|_| reply.is_success) else {
            return Outcome::Unclear;
        };
        let says_something = match test {
            Test::ChangeBoth => Some(from) == self.other && !trail.leads_to_any_of(now, from.ip()),
            Test::ChangePort => Some(from) == self.own_port() && !trail.leads_to(now, from),
            Test::Proof => Some(from) == self.other,
            Test::Reach | Test::OtherAddress | Test::OtherPort | Test::OwnPort | Test::Pulse => {
                true
            }
        };
        if says_something { Outcome::Seen(mapped) } else { Outcome::Unclear }
    }

    /// The server's other port.
    fn own_port(&self) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.place.server.ip(), self.other?.port()))
    }

    fn conclude(&mut self, now: Instant, test: Test, outcome: Outcome, secrets: &mut Stream) {
        let Some(place) = self.open.iter().position(|(open, _)| *open == test) else { return };
        self.open.remove(place);
        if test == Test::Pulse {
            return;
        }
        self.evidence.hear(test, outcome);
        if test == Test::Reach && outcome == Outcome::Silent {
            self.out.push_back(Progress::Silent);
        }
        if test == Test::ChangeBoth && matches!(outcome, Outcome::Seen(_)) {
            // Who lets in anybody lets in another port.
            self.open.clear();
        }
        if self.open.iter().all(|(open, _)| *open == Test::Pulse) {
            self.open.clear();
            self.go_on(now, secrets);
        }
    }

    /// All that was asked has an outcome: what is asked next?
    fn go_on(&mut self, now: Instant, secrets: &mut Stream) {
        let server = self.place.server;
        let (Some(other), Some(own_port)) = (self.other, self.own_port()) else {
            return self.end(None, None);
        };
        match self.asked {
            Test::Reach => {
                let tests = [Test::ChangeBoth, Test::ChangePort, Test::Pulse];
                let filters = tests.map(|test| (test, server));
                self.ask(now, &filters, secrets);
            }
            Test::ChangeBoth | Test::ChangePort | Test::Pulse => {
                let seeming = self.evidence.seeming_filtering();
                if seeming.is_some_and(|filtering| self.before.is_news(filtering)) {
                    return self.end(None, seeming);
                }
                let mut mapping = vec![
                    (Test::OtherAddress, SocketAddr::new(other.ip(), server.port())),
                    (Test::OtherPort, other),
                ];
                if self.evidence.is_silent(Test::ChangePort) {
                    mapping.push((Test::OwnPort, own_port));
                }
                self.ask(now, &mapping, secrets);
            }
            Test::OtherAddress | Test::OtherPort | Test::OwnPort => {
                let is_open = self.evidence.mapping() == Some(Mapping::EndpointIndependent)
                    && self.evidence.seen(Test::OtherPort).is_some();
                if is_open && self.evidence.is_silent(Test::ChangeBoth) {
                    self.ask(now, &[(Test::Proof, server)], secrets);
                } else {
                    self.end(self.evidence.mapping(), self.evidence.filtering());
                }
            }
            Test::Proof => self.end(self.evidence.mapping(), self.evidence.filtering()),
        }
    }

    fn ask(&mut self, now: Instant, tests: &[(Test, SocketAddr)], secrets: &mut Stream) {
        for (test, to) in tests {
            let (change, waits) = match test {
                Test::ChangeBoth | Test::Proof => (Change::AddressAndPort, SILENCE_WAITS),
                Test::ChangePort => (Change::Port, SILENCE_WAITS),
                Test::Pulse => (Change::Nothing, SILENCE_WAITS),
                Test::Reach | Test::OtherAddress | Test::OtherPort | Test::OwnPort => {
                    (Change::Nothing, WAITS)
                }
            };
            self.open.push((*test, Question::new(now, (*to, change), waits, secrets)));
            self.asked = *test;
        }
        self.handle_timeout(now, secrets);
    }

    fn end(&mut self, mapping: Option<Mapping>, filtering: Option<Filtering>) {
        let findings = Findings { address: self.evidence.address(), mapping, filtering };
        self.out.push_back(Progress::Ended(findings));
    }
}

/// Whether a server at `server` may have us ask there: nobody can make a port scanner of us, and
/// nobody outside can look into private networks through us.
fn is_askable(server: SocketAddr, other: SocketAddr) -> bool {
    let is_private = |ip| ANY_PRIVATE.iter().any(|range| range.contains(ip));
    let ip = other.ip();
    let is_host = !ip.is_unspecified() && !ip.is_multicast() && ip != Ipv4Addr::BROADCAST;
    let is_other = ip != server.ip() && other.port() != server.port();
    let is_near = is_private(server.ip()) || !is_private(ip);
    server.is_ipv4() == other.is_ipv4()
        && is_host
        && is_other
        && is_near
        && is_dialled(other.port())
}

#[cfg(test)]
mod tests {
    use super::is_askable;

    #[test]
    fn a_home_leads_us_neither_inside_nor_to_any_port() {
        let askable =
            |server: &str, other: &str| is_askable(server.parse().unwrap(), other.parse().unwrap());
        assert!(askable("198.51.100.1:37373", "198.51.100.2:37374"));
        assert!(askable("192.168.0.1:37373", "192.168.0.2:37374"));
        assert!(askable("[2001:db8::1]:37373", "[2001:db8::2]:37374"));
        for other in [
            "198.51.100.1:37374",
            "198.51.100.2:37373",
            "198.51.100.2:53",
            "198.51.100.2:0",
            "192.168.0.2:37374",
            "127.0.0.1:37374",
            "0.0.0.0:37374",
            "224.0.0.1:37374",
            "255.255.255.255:37374",
            "[2001:db8::2]:37374",
        ] {
            assert!(!askable("198.51.100.1:37373", other), "{other}");
        }
        assert!(!askable("[2001:db8::1]:37373", "[fe80::1]:37374"));
        assert!(!askable("[2001:db8::1]:37373", "[::1]:37374"));
    }
}
