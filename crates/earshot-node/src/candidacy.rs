//! Whether this peer also serves as a super-peer: what its election is told, and when it asks.
//! DESIGN 2.12.
//!
//! [`Election`] decides; a peer's machine asks others and a super-peer's serves. This stands
//! between them without a clock or a socket of its own, so that the simulator runs it too: news go
//! in, and [`Wish`]es come out. Invariants: one test at a time; nobody is asked anything while the
//! owner says *Never* or has not answered; a service ends with the session of the user who owns it.

pub mod shown;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use earshot_proto::entropy::Stream;
use earshot_proto::ids::NodeId;
use earshot_proto::peer::reach::{DialResult, Verdict};
use earshot_proto::super_peer::election::{
    AddressKind, Band, Cause, Choice, Decision, Election, Finding, Fitness, Need, Obstacle, Order,
    Standing, Transport, VERDICT_LIFE,
};

use crate::fitness::Measured;

/// How often the machine is measured and the home is asked what the network needs.
pub const MEASURE_EVERY: Duration = Duration::from_secs(60);
/// How often a super-peer has itself dialled back: three times within the life of a verdict.
pub const TEST_SERVING: Duration = Duration::from_secs(10 * 60);
/// How often one that waits does: just before verdicts end.
pub const TEST_WAITING: Duration = VERDICT_LIFE.saturating_sub(Duration::from_secs(5 * 60));
/// After so long it asks again where a super-peer was asked too soon, could not be asked, or its
/// datagram alone did not come.
pub const TEST_AGAIN: Duration = Duration::from_secs(11);
/// Tests in a row that are repeated so soon.
const AGAIN_MAX: u32 = 3;

/// Something that is wanted of the peer or of the super-peer in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Have super-peers dial back.
    Test,
    /// Ask the home around; with a score, offer to serve.
    AskAround(Option<u16>),
    /// Measure the machine.
    Measure,
    /// Enrol and serve.
    Promote,
    /// Hand over and stop.
    Demote(Cause),
}

/// The candidacy of one peer.
#[derive(Debug)]
pub struct Candidacy {
    choice: Option<Choice>,
    band: Band,
    jitter: Stream,
    election: Election,
    /// Address that the owner says is ours for good.
    public: Option<SocketAddr>,
    measured: Option<Measured>,
    verdicts: Vec<Verdict>,
    home: Option<NodeId>,
    is_testing: bool,
    again: u32,
    next_test: Option<Instant>,
    next_measure: Option<Instant>,
    wishes: VecDeque<Wish>,
}

impl Candidacy {
    /// A candidacy that rests until there is a home. `choice` is absent until the owner has
    /// answered, and then counts as *Never*.
    #[must_use]
    pub fn new(
        now: Instant,
        choice: Option<Choice>,
        band: Band,
        public: Option<SocketAddr>,
        mut jitter: Stream,
    ) -> Self {
        let election = Election::new(now, choice.unwrap_or(Choice::Never), band, jitter.split());
        Self {
            choice,
            band,
            jitter,
            election,
            public,
            measured: None,
            verdicts: Vec::new(),
            home: None,
            is_testing: false,
            again: 0,
            next_test: None,
            next_measure: None,
            wishes: VecDeque::new(),
        }
    }

    /// The owner has chosen.
    pub fn choose(&mut self, now: Instant, choice: Choice) {
        self.choice = Some(choice);
        self.election.choose(now, choice);
        self.begin(now);
        self.obey();
    }

    /// The peer's home is another one, or there is none.
    pub fn handle_home(&mut self, now: Instant, home: Option<NodeId>) {
        if self.home == home {
            return;
        }
        self.home = home;
        self.begin(now);
    }

    /// The user who owns the service has logged out.
    pub fn handle_logout(&mut self, now: Instant) {
        if self.election.is_serving() {
            self.wishes.push_back(Wish::Demote(Cause::OwnerSaysNever));
        }
        let choice = self.choice.unwrap_or(Choice::Never);
        self.election = Election::new(now, choice, self.band, self.jitter.split());
        self.verdicts.clear();
        (self.home, self.next_test, self.next_measure) = (None, None, None);
    }

    /// The machine was measured.
    pub fn handle_measured(&mut self, now: Instant, measured: Measured) {
        self.measured = Some(measured);
        let fitness = Fitness {
            up: measured.up,
            upstream_bps: measured.upstream_bps,
            idle_percent: measured.idle_percent,
            address: self.address_kind(),
            power: measured.power,
            tariff: measured.tariff,
        };
        self.election.handle_fitness(now, fitness);
        self.obey();
    }

    /// The home has told how many are around it.
    pub fn handle_around(&mut self, now: Instant, super_peers: u32, clients: u32) {
        // Once we serve, what our own neighbours tell counts.
        if !self.election.is_serving() {
            self.handle_need(now, Need { super_peers, clients, weakest_other: None });
        }
    }

    /// The super-peer in us sees this around itself.
    pub fn handle_need(&mut self, now: Instant, need: Need) {
        self.election.handle_need(now, need);
        // Where there are more super-peers than before, more have to get through.
        if self.lacks_verifiers(now) && self.again == 0 {
            self.next_test = self.next_test.map(|at| at.min(now));
        }
        self.obey();
    }

    /// The home invites us.
    pub fn handle_invited(&mut self, now: Instant) {
        self.election.handle_invited(now);
        self.obey();
    }

    /// The authority did not let us serve, or did not answer.
    pub fn handle_not_enrolled(&mut self, now: Instant) {
        self.election.handle_not_enrolled(now);
        // Nothing was begun that could be ended.
        while self.election.poll_order().is_some() {}
    }

    /// The test is over; none: it could not be made.
    pub fn handle_tested(&mut self, now: Instant, verdicts: Option<Vec<Verdict>>) {
        self.is_testing = false;
        let verdicts = verdicts.unwrap_or_default();
        let is_partial = |verdict: &Verdict| match verdict.tcp {
            DialResult::TooSoon | DialResult::NotAsked => true,
            // One datagram is easily lost.
            DialResult::Reached => verdict.udp == DialResult::Silent,
            DialResult::Refused | DialResult::Silent | DialResult::PortRefused => false,
        };
        let is_partial = verdicts.is_empty() || verdicts.iter().any(is_partial);
        for verdict in &verdicts {
            let Some(by) = verdict.node else { continue };
            let both = [(Transport::Tcp, verdict.tcp), (Transport::Udp, verdict.udp)];
            for (transport, result) in both {
                if let Some(finding) = finding(result) {
                    self.election.handle_verdict(now, by, transport, finding);
                }
            }
        }
        let is_lacking = is_partial || self.lacks_verifiers(now);
        let is_soon = is_lacking && self.again < AGAIN_MAX;
        self.again = if is_soon { self.again + 1 } else { 0 };
        if self.wants_tests() {
            let after = if is_soon { TEST_AGAIN } else { self.test_every() };
            self.next_test = Some(now + after);
        }
        for verdict in verdicts {
            self.verdicts.retain(|known| known.address != verdict.address);
            self.verdicts.push(verdict);
        }
        let excess = self.verdicts.len().saturating_sub(VERDICTS_MAX);
        self.verdicts.drain(..excess);
        // Where it was reached says what its address is worth.
        if let Some(measured) = self.measured {
            self.handle_measured(now, measured);
        }
        self.obey();
    }

    /// A test was begun for somebody else; what it finds comes here too.
    pub const fn test_begun(&mut self) {
        self.is_testing = true;
    }

    /// Whether a test is under way.
    #[must_use]
    pub const fn is_testing(&self) -> bool {
        self.is_testing
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.election.handle_timeout(now);
        if self.next_measure.is_some_and(|at| at <= now) {
            self.next_measure = Some(now + MEASURE_EVERY);
            self.wishes.push_back(Wish::Measure);
            self.wishes.push_back(Wish::AskAround(self.offer(now)));
        }
        if self.next_test.is_some_and(|at| at <= now) && !self.is_testing {
            self.next_test = Some(now + self.test_every());
            if self.is_worth_a_test(now) {
                self.is_testing = true;
                self.wishes.push_back(Wish::Test);
            }
        }
        self.obey();
    }

    /// When [`Candidacy::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let test = self.next_test.filter(|_| !self.is_testing);
        [self.election.poll_timeout(), self.next_measure, test].into_iter().flatten().min()
    }

    /// What is wanted next.
    pub fn poll_wish(&mut self) -> Option<Wish> {
        self.wishes.pop_front()
    }

    /// What is decided, and why.
    #[must_use]
    pub fn decision(&self, now: Instant) -> Decision {
        self.election.decision(now)
    }

    /// What the owner has chosen, once they have.
    #[must_use]
    pub const fn choice(&self) -> Option<Choice> {
        self.choice
    }

    /// What each super-peer found when it dialled back last.
    #[must_use]
    pub fn verdicts(&self) -> &[Verdict] {
        &self.verdicts
    }

    /// What was measured last.
    #[must_use]
    pub const fn measured(&self) -> Option<&Measured> {
        self.measured.as_ref()
    }

    /// Whether it serves.
    #[must_use]
    pub const fn is_serving(&self) -> bool {
        self.election.is_serving()
    }

    /// Our score as the other super-peers are told it: only who was elected has one.
    #[must_use]
    pub fn rating(&self, now: Instant) -> Option<u16> {
        let is_elected = self.choice == Some(Choice::Auto) && self.is_serving();
        self.decision(now).score.filter(|_| is_elected).map(|score| score.total())
    }

    /// Whether it serves and fewer got through than must.
    fn lacks_verifiers(&self, now: Instant) -> bool {
        let decision = self.election.decision(now);
        let needed = decision.verifiers_needed;
        self.is_serving() && decision.tcp.reached.min(decision.udp.reached) < needed
    }

    fn wants_tests(&self) -> bool {
        self.home.is_some() && matches!(self.choice, Some(Choice::Auto | Choice::Always))
    }

    /// Sets the clocks, or stops them.
    fn begin(&mut self, now: Instant) {
        if self.wants_tests() {
            (self.next_test, self.next_measure, self.again) = (Some(now), Some(now), 0);
        } else {
            (self.next_test, self.next_measure) = (None, None);
        }
    }

    const fn test_every(&self) -> Duration {
        if self.election.is_serving() { TEST_SERVING } else { TEST_WAITING }
    }

    /// Under *Auto* nobody is troubled for a machine that would not do however well it is reached.
    fn is_worth_a_test(&self, now: Instant) -> bool {
        let is_beside = |obstacle: &Obstacle| match obstacle {
            Obstacle::NotReached(..) | Obstacle::NotMeasured | Obstacle::NotInvited => true,
            // Who is not reached is not rated by its address.
            Obstacle::LowScore(_) => self.address_kind() == AddressKind::Private,
            Obstacle::NotNeeded | Obstacle::Resting(_) | Obstacle::NotEnrolled(_) => true,
            Obstacle::OwnerSaysNever | Obstacle::OnBattery | Obstacle::Metered => false,
        };
        self.is_serving() || self.election.decision(now).obstacles.iter().all(is_beside)
    }

    /// The score to offer ourselves with: if nothing but the home's word is missing.
    fn offer(&self, now: Instant) -> Option<u16> {
        let decision = self.election.decision(now);
        let is_missing = |obstacle: &Obstacle| match obstacle {
            Obstacle::NotInvited | Obstacle::NotNeeded => true,
            Obstacle::OwnerSaysNever
            | Obstacle::NotReached(..)
            | Obstacle::NotMeasured
            | Obstacle::OnBattery
            | Obstacle::Metered
            | Obstacle::LowScore(_)
            | Obstacle::NotEnrolled(_)
            | Obstacle::Resting(_) => false,
        };
        let is_ready = self.choice == Some(Choice::Auto)
            && decision.standing == Standing::Ordinary
            && decision.obstacles.iter().all(is_missing);
        decision.score.filter(|_| is_ready).map(|score| score.total())
    }

    /// A private address of the network lasts as well as any there; that one of the Internet does
    /// is known only of the one that the owner names.
    fn address_kind(&self) -> AddressKind {
        let reached = self.verdicts.iter().filter(|verdict| verdict.tcp == DialResult::Reached);
        let Some(tried) = reached.filter_map(|verdict| verdict.tried).next_back() else {
            return AddressKind::Private;
        };
        if self.public.is_some_and(|public| public.ip() == tried.ip()) || is_local(tried.ip()) {
            return AddressKind::Static;
        }
        AddressKind::Dynamic
    }

    fn obey(&mut self) {
        while let Some(order) = self.election.poll_order() {
            self.wishes.push_back(match order {
                Order::Promote => Wish::Promote,
                Order::Demote(cause) => Wish::Demote(cause),
            });
        }
    }
}

/// Verdicts that are shown at most.
const VERDICTS_MAX: usize = 8;

const fn finding(result: DialResult) -> Option<Finding> {
    match result {
        DialResult::Reached => Some(Finding::Reached),
        DialResult::Refused | DialResult::Silent => Some(Finding::NotReached),
        DialResult::TooSoon | DialResult::PortRefused | DialResult::NotAsked => None,
    }
}

fn is_local(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback(),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_loopback(),
    }
}

#[cfg(test)]
mod tests;
