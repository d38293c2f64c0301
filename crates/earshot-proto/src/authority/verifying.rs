//! Having an address verified before it is certified. DESIGN 2.5.
//!
//! [`SEATS`] super-peers of distinct prefixes, drawn by lot, are dialled and told a nonce each.
//! They dial the candidate, which signs it on that connection with the key that it wants
//! certified; the signature comes back to us. What [`MAJORITY`] of them say, holds: one that lies
//! changes nothing, and none can say *reached* without the candidate's signature. Whoever cannot
//! be reached is replaced by the next one drawn, and noted ([`Sighting`]); whoever has been told
//! the nonce keeps its seat, silent or not.
//!
//! Invariants: at most [`RUNNING_MAX`] candidates are verified at once, [`PER_SOURCE_MAX`] of them
//! from one address, each by [`DRAWN_MAX`] dials of ours and within [`PATIENCE`].

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::limits::Source;
use super::nodes::Claim;
use crate::entropy::Stream;
use crate::ids::NodeId;
use crate::port::{LinkEvent, LinkId, LinkOrder, Service};
use crate::secure::identity::{LinkKey, open_signed};
use crate::secure::link::Expect;
use crate::secure::links::{LinkNews, Links};
use crate::time::UnixTime;
use crate::wire::certificate::{Chain, Signed, VerifyKey};
use crate::wire::directory::NodeEntry;
use crate::wire::enrolment::{AddressProof, Enrolment, EnrolmentRefusal};
use crate::wire::frame::Message;
use crate::wire::policy::Policy;

/// Verifiers of one candidate. DESIGN 2.5: at least three.
pub(super) const SEATS: usize = 3;
/// So many of them decide.
pub(super) const MAJORITY: usize = 2;
/// Super-peers drawn for one candidate at most. Our choice: when half of those certified are gone,
/// two of nine live in 98 of 100 cases.
pub(super) const DRAWN_MAX: usize = 9;
/// How long one candidate is verified at most. Our choice: a super-peer tells its owner within five
/// seconds of its start.
const PATIENCE: Duration = Duration::from_millis(3200);
/// How long a verifier may take to open its link before another is asked too. Our choice: five
/// flights across an ocean.
const OPEN_PATIENCE: Duration = Duration::from_millis(750);
/// Candidates verified at once at most. Our choice: a network that grows by twenty a second.
const RUNNING_MAX: usize = 64;
/// Of these, from one address (IPv6: /64) at most. Our choice: as many as may serve there.
const PER_SOURCE_MAX: usize = 4;

/// Whom to answer: the link and question of the candidate.
pub(super) type Candidate = (LinkId, u32);

/// What came of it.
pub(super) struct Verdict {
    pub(super) candidate: Candidate,
    pub(super) claim: Claim,
    /// Whether it may be certified, or what it is told instead.
    pub(super) outcome: Result<(), EnrolmentRefusal>,
    /// Whether so few opened their links, none of them against the candidate, that its word may do.
    pub(super) is_silence: bool,
}

/// Whether a super-peer that was dialled opened its link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sighting {
    /// It did.
    Seen(NodeId),
    /// It did not.
    Missed(NodeId),
}

/// The addresses that are being verified.
pub(super) struct Verifying {
    links: Links,
    secrets: Stream,
    running: BTreeMap<Candidate, Running>,
    sightings: Vec<Sighting>,
    /// Whom the policy is being told.
    telling: BTreeMap<LinkId, NodeId>,
    /// Those that said that they follow this version.
    known: Vec<u64>,
}

struct Running {
    claim: Claim,
    source: Source,
    seats: Vec<Seat>,
    /// Those drawn who were not asked yet.
    next: VecDeque<NodeEntry>,
    reached: usize,
    missed: usize,
    /// Those whose links opened.
    opened: usize,
    until: Instant,
}

/// One verifier that was dialled and has not reported.
struct Seat {
    link: LinkId,
    verifier: NodeId,
    nonce: [u8; 32],
    /// Until when its link has to open; none once it has.
    open_by: Option<Instant>,
}

impl Verifying {
    pub(super) fn new(key: &LinkKey, root: VerifyKey, mut secrets: Stream) -> Self {
        let key = LinkKey::from_secret(&key.secret());
        let links = Links::new(key, Some(root), Vec::new(), secrets.split());
        Self {
            links,
            secrets,
            running: BTreeMap::new(),
            sightings: Vec::new(),
            telling: BTreeMap::new(),
            known: Vec::new(),
        }
    }

    /// Begins; the verdict comes by [`Verifying::handle`] or [`Verifying::handle_timeout`].
    ///
    /// # Errors
    /// What the candidate is told at once.
    pub(super) fn begin(
        &mut self,
        now: Instant,
        candidate: Candidate,
        from: SocketAddr,
        claim: Claim,
        drawn: Vec<NodeEntry>,
    ) -> Result<(), EnrolmentRefusal> {
        let source = Source::of(from.ip());
        let of_source = self.running.values().filter(|running| running.source == source).count();
        let is_full = self.running.len() >= RUNNING_MAX || of_source >= PER_SOURCE_MAX;
        if is_full || self.running.contains_key(&candidate) {
            return Err(EnrolmentRefusal::TooManyAttempts);
        }
        if drawn.len() < MAJORITY {
            return Err(EnrolmentRefusal::NobodyVerified);
        }
        let (next, until) = (drawn.into(), now + PATIENCE);
        let (seats, reached, missed, opened) = (Vec::new(), 0, 0, 0);
        let mut running = Running { claim, source, seats, next, reached, missed, opened, until };
        self.fill_seats(now, &mut running);
        self.running.insert(candidate, running);
        Ok(())
    }

    /// Dials a super-peer to tell it of the policy.
    pub(super) fn tell(&mut self, now: Instant, node: &NodeEntry, policy: Signed<Policy>) {
        let expect = Expect::Uncertified(node.key);
        let link = self.links.dial(now, node.address, Service::SuperPeer, expect);
        self.links.send(now, link, 1, Enrolment::Policy { policy });
        self.telling.insert(link, node.node);
    }

    /// Ends all that were not told in their time.
    pub(super) fn stop_telling(&mut self) {
        for (link, node) in std::mem::take(&mut self.telling) {
            self.links.close(link);
            self.sightings.push(Sighting::Missed(node));
        }
    }

    /// The versions that super-peers have said they follow.
    pub(super) fn poll_known(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.known)
    }

    /// The certificate that verifiers are shown.
    pub(super) fn certify(&mut self, chain: Chain) {
        self.links.certify(chain);
    }

    /// The candidate's link is gone: nobody waits any more.
    pub(super) fn forget(&mut self, link: LinkId) {
        let gone: Vec<Candidate> =
            self.running.keys().filter(|candidate| candidate.0 == link).copied().collect();
        for candidate in gone {
            let running = self.running.remove(&candidate);
            self.close(running.iter().flat_map(|running| &running.seats));
        }
    }

    /// Something happened on a link that we dialled.
    pub(super) fn handle(
        &mut self,
        now: Instant,
        wall: UnixTime,
        link: LinkId,
        event: LinkEvent<'_>,
    ) -> Vec<Verdict> {
        for news in self.links.handle(now, wall, link, event) {
            self.take(now, link, news);
        }
        self.decided(now)
    }

    /// Gives up what took too long.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Vec<Verdict> {
        for (link, news) in self.links.handle_timeout(now) {
            self.take(now, link, news);
        }
        let slow = |seat: &Seat| seat.open_by.is_some_and(|at| at <= now);
        let slow: Vec<LinkId> = self
            .running
            .values()
            .flat_map(|r| &r.seats)
            .filter(|s| slow(s))
            .map(|s| s.link)
            .collect();
        for link in slow {
            self.links.close(link);
            self.leaves(now, link, None);
        }
        self.decided(now)
    }

    /// Who opened a link to us lately, and who did not.
    pub(super) fn poll_sightings(&mut self) -> Vec<Sighting> {
        std::mem::take(&mut self.sightings)
    }

    pub(super) fn poll_order(&mut self) -> Option<(LinkId, LinkOrder)> {
        self.links.poll_order()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let due = |running: &Running| {
            let opening = running.seats.iter().filter_map(|seat| seat.open_by).min();
            opening.map_or(running.until, |at| at.min(running.until))
        };
        let decided = self.running.values().map(due).min();
        decided.into_iter().chain(self.links.poll_timeout()).min()
    }

    fn take(&mut self, now: Instant, link: LinkId, news: LinkNews) {
        match news {
            LinkNews::Opened(..) => {
                for running in self.running.values_mut() {
                    let Some(seat) = running.seats.iter_mut().find(|seat| seat.link == link) else {
                        continue;
                    };
                    seat.open_by = None;
                    running.opened += 1;
                    self.sightings.push(Sighting::Seen(seat.verifier));
                }
            }
            LinkNews::Frame(frame) => {
                self.links.close(link);
                match frame.message {
                    Message::Enrolment(Enrolment::PolicyKnown { version }) => {
                        if let Some(node) = self.telling.remove(&link) {
                            self.sightings.push(Sighting::Seen(node));
                            self.known.push(version);
                        }
                        self.leaves(now, link, None);
                    }
                    Message::Enrolment(Enrolment::Verified { proof }) => {
                        self.leaves(now, link, Some(proof));
                    }
                    // Whatever else it says, it does not verify.
                    Message::Enrolment(_)
                    | Message::Login(_)
                    | Message::Directory(_)
                    | Message::Forward(_)
                    | Message::Nat(_)
                    | Message::Postings(_)
                    | Message::Election(_)
                    | Message::RingQuestion(_)
                    | Message::RingReply(_) => self.leaves(now, link, None),
                }
            }
            LinkNews::Closed(_) => {
                if let Some(node) = self.telling.remove(&link) {
                    self.sightings.push(Sighting::Missed(node));
                }
                self.leaves(now, link, None);
            }
        }
    }

    /// A verifier is done: with a report, or it never will be.
    fn leaves(&mut self, now: Instant, link: LinkId, report: Option<Option<Signed<AddressProof>>>) {
        let has = |running: &Running| running.seats.iter().position(|seat| seat.link == link);
        let found = self.running.iter().find_map(|(candidate, r)| Some((*candidate, has(r)?)));
        let Some((candidate, at)) = found else { return };
        let Some(mut running) = self.running.remove(&candidate) else { return };
        let seat = running.seats.swap_remove(at);
        match report {
            Some(Some(proof)) if running.is_proved_by(&seat, &proof) => running.reached += 1,
            Some(_) => running.missed += 1,
            // Who was told the nonce keeps its seat, so that nobody gets another draw by silence.
            None if seat.open_by.is_none() => running.seats.push(seat),
            None => {
                self.sightings.push(Sighting::Missed(seat.verifier));
                self.fill_seats(now, &mut running);
            }
        }
        self.running.insert(candidate, running);
    }

    fn fill_seats(&mut self, now: Instant, running: &mut Running) {
        while running.seats.len() + running.reached + running.missed < SEATS
            && let Some(verifier) = running.next.pop_front()
        {
            let nonce = self.secrets.bytes();
            let expect = Expect::Uncertified(verifier.key);
            let link = self.links.dial(now, verifier.address, Service::SuperPeer, expect);
            let (address, key) = (running.claim.address, running.claim.keys.agree);
            self.links.send(now, link, 1, Enrolment::Verify { address, key, nonce });
            let open_by = Some(now + OPEN_PATIENCE);
            running.seats.push(Seat { link, verifier: verifier.node, nonce, open_by });
        }
    }

    /// Those about whom enough was said, or the time is up.
    fn decided(&mut self, now: Instant) -> Vec<Verdict> {
        let outcomes = self.running.iter().filter_map(|(c, r)| Some((*c, r.outcome(now)?)));
        let outcomes: Vec<_> = outcomes.collect();
        let mut verdicts = Vec::with_capacity(outcomes.len());
        for (candidate, outcome) in outcomes {
            let Some(running) = self.running.remove(&candidate) else { continue };
            self.close(&running.seats);
            let is_silence = running.opened < MAJORITY && running.missed == 0;
            verdicts.push(Verdict { candidate, claim: running.claim, outcome, is_silence });
        }
        verdicts
    }

    fn close<'a>(&mut self, seats: impl IntoIterator<Item = &'a Seat>) {
        seats.into_iter().for_each(|seat| self.links.close(seat.link));
    }
}

impl Running {
    fn is_proved_by(&self, seat: &Seat, proof: &Signed<AddressProof>) -> bool {
        let said = open_signed(proof, &self.claim.keys.verify);
        said.is_ok_and(|said| said.nonce == seat.nonce && said.address == self.claim.address)
    }

    fn outcome(&self, now: Instant) -> Option<Result<(), EnrolmentRefusal>> {
        if self.reached >= MAJORITY {
            return Some(Ok(()));
        }
        if self.missed >= MAJORITY {
            return Some(Err(EnrolmentRefusal::NotReached));
        }
        let asks_nobody = self.seats.is_empty() && self.next.is_empty();
        (asks_nobody || self.until <= now).then_some(Err(EnrolmentRefusal::NobodyVerified))
    }
}
