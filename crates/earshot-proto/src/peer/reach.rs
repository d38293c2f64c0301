//! Can others reach us, and would we serve? The asking side of DESIGN 2.12.
//!
//! A test asks our home and some more super-peers to dial back, by TCP and by UDP, each over a link
//! of its own that is closed after. Who serves is decided elsewhere; here is found out what that is
//! decided by. Invariants: one test at a time, of at most [`VERIFIERS_ASKED`] super-peers; it is
//! answered once, within the patience of questions and [`KNOCK_PATIENCE`]; nobody is asked who is
//! ourselves; only whom a token was given to is believed by a knock.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::ids::NodeId;
use crate::port::LinkId;
use crate::secure::identity::{Keys, LinkKey, SignKey};
use crate::secure::links::Who;
use crate::time::UnixTime;
use crate::wire::bounded::Bytes;
use crate::wire::certificate::{AgreeKey, Chain};
use crate::wire::directory::{Directory, NodeEntry, Reachability};
use crate::wire::election::Election;
use crate::wire::frame::Message;
use crate::wire::invite::Door;
use crate::wire::knock::{Knock, TOKEN};
use crate::wire::nat::{Nat, NatRefusal};

use super::asking::About;
use super::command::{Answer, Failure, Notice};
use super::{Peer, home};

/// Super-peers asked in one test: the home and three more, so that two liars do not outvote the
/// honest and one that is gone is not missed.
pub const VERIFIERS_ASKED: usize = 4;
/// How long a knock is waited for after the same super-peer has told how TCP went: it sent the
/// knock first.
pub const KNOCK_PATIENCE: Duration = Duration::from_secs(1);

/// A super-peer dials back for one device once in so long (DESIGN 2.12), and we ask a little later.
const DIAL_BACK_EVERY: Duration = Duration::from_secs(11);

/// What came of one super-peer's dialling back by one transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DialResult {
    /// It got through.
    Reached,
    /// The address said that nobody listens there.
    Refused,
    /// Nothing answered, or nothing came.
    Silent,
    /// It was asked too soon after the last time.
    TooSoon,
    /// It does not dial that port.
    PortRefused,
    /// It was not asked, or did not tell: it could not be reached itself.
    NotAsked,
}

/// What one super-peer found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Where the super-peer is.
    pub address: SocketAddr,
    /// Which it is; unknown when it was not reached.
    pub node: Option<NodeId>,
    /// The address that it dialled.
    pub tried: Option<SocketAddr>,
    /// How TCP went.
    pub tcp: DialResult,
    /// How UDP went.
    pub udp: DialResult,
    /// When.
    pub at: UnixTime,
}

/// The test under way, and which super-peer is ourselves.
#[derive(Debug, Default)]
pub(super) struct Reach {
    test: Option<Test>,
    own: Option<AgreeKey>,
    /// Where a router forwards to our main port, if one does.
    mapped: Option<SocketAddr>,
    /// When our home is asked again to dial back.
    again: Option<Instant>,
}

#[derive(Debug)]
struct Test {
    ask: u64,
    verifiers: Vec<Verifier>,
}

#[derive(Debug)]
struct Verifier {
    door: Door,
    link: LinkId,
    /// The link was opened for the test.
    is_ours: bool,
    token: [u8; TOKEN],
    is_knocked: bool,
    told: Option<Told>,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    node: Option<NodeId>,
    tried: Option<SocketAddr>,
    tcp: DialResult,
    /// Until when a knock is waited for.
    until: Instant,
    at: UnixTime,
}

impl Verifier {
    fn is_done(&self, now: Instant) -> bool {
        self.told.is_some_and(|told| {
            let is_known = told.tcp != DialResult::Reached && told.tried.is_none();
            self.is_knocked || is_known || told.until <= now
        })
    }

    fn verdict(&self) -> Option<Verdict> {
        let Told { node, tried, tcp, at, .. } = self.told?;
        let udp = match (self.is_knocked, tried) {
            (true, _) => DialResult::Reached,
            (false, Some(_)) => DialResult::Silent,
            (false, None) => tcp,
        };
        Some(Verdict { address: self.door.address, node, tried, tcp, udp, at })
    }
}

impl Reach {
    pub(super) const fn mapped(&self) -> Option<SocketAddr> {
        self.mapped
    }

    /// While somebody has not told, their answer or the end of patience is waited for.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let told = |test: &Test| {
            let until: Option<Vec<Instant>> =
                test.verifiers.iter().map(|verifier| Some(verifier.told?.until)).collect();
            until?.into_iter().max()
        };
        self.test.as_ref().and_then(told).into_iter().chain(self.again).min()
    }
}

impl Peer {
    /// The port that others find us at: ours, or the one that a router forwards to it.
    fn outward_port(&self) -> u16 {
        self.reach.mapped.map_or(self.config.listen_port, |mapped| mapped.port())
    }

    /// Has our home dial back.
    pub(super) fn ask_dial_back(&mut self, now: Instant) {
        self.reach.again = None;
        let is_tested = matches!(self.config.pretend, Some(Reachability::Public) | None);
        let Some((link, _)) = self.home_link().filter(|_| is_tested) else { return };
        let port = self.outward_port();
        if port != 0 {
            self.ask(now, link, About::DialBack, Nat::DialBack { port, token: None });
        }
    }

    /// The same as soon as it does so again.
    pub(super) fn dial_back_again(&mut self, now: Instant) {
        self.reach.again = Some(now + DIAL_BACK_EVERY);
    }

    /// A router forwards to our main port, or does not any more.
    pub(super) fn mapped(&mut self, now: Instant, address: Option<SocketAddr>) {
        if std::mem::replace(&mut self.reach.mapped, address) != address {
            self.dial_back_again(now);
            self.tell_network();
        }
    }

    /// Has super-peers dial back.
    pub(super) fn test_reach(&mut self, now: Instant, ask: u64) {
        let Some((home_link, home)) = self.home_link() else {
            return self.fail(ask, Failure::NoSuperPeer { tried: 0 });
        };
        if self.reach.test.is_some() {
            return self.fail(ask, Failure::TooMany { max: 1 });
        }
        let home_door = home::door_of(&home);
        let mut verifiers = Vec::new();
        if self.reach.own != Some(home.key) {
            verifiers.push(self.verifier(home_door, home_link, false));
        }
        let but: Vec<AgreeKey> = self.reach.own.into_iter().collect();
        let (most, jitter) = (VERIFIERS_ASKED - verifiers.len(), &mut self.entropy.jitter);
        let doors = self.super_peers.verifiers(&home_door, &but, most, jitter);
        let are_few = doors.len() < most;
        for door in doors {
            let (link, is_ours) = self.link_for_once(now, &door);
            verifiers.push(self.verifier(door, link, is_ours));
        }
        let questions: Vec<_> = verifiers.iter().map(|v| (v.link, v.token)).collect();
        self.reach.test = Some(Test { ask, verifiers });
        let port = self.outward_port();
        for (link, token) in questions {
            let token = Bytes::new(token.to_vec()).ok();
            self.ask(now, link, About::Verify(link), Nat::DialBack { port, token });
        }
        if are_few {
            // There may be others by now: they are known to the next test.
            self.ask(now, home_link, About::SuperPeers, Directory::ListSuperPeers);
        }
        self.reach_due(now);
    }

    fn verifier(&mut self, door: Door, link: LinkId, is_ours: bool) -> Verifier {
        let token = self.entropy.secrets.bytes();
        Verifier { door, link, is_ours, token, is_knocked: false, told: None }
    }

    /// A super-peer has told how TCP went, or has not.
    pub(super) fn verifier_told(&mut self, now: Instant, link: LinkId, answer: Option<Message>) {
        let at = self.wall(now);
        let node = match self.links.who(link) {
            Some(Who::Node(NodeEntry { node, .. })) => Some(*node),
            Some(Who::Device { .. } | Who::Authority | Who::Guest(_)) | None => None,
        };
        let Some(test) = &mut self.reach.test else { return };
        let Some(verifier) = test.verifiers.iter_mut().find(|v| v.link == link) else { return };
        let (tcp, tried) = match answer {
            Some(Message::Nat(Nat::DialedBack { reached: true, tried, .. })) => {
                (DialResult::Reached, Some(tried))
            }
            Some(Message::Nat(Nat::DialedBack { silent, tried, .. })) => match silent {
                Some(false) => (DialResult::Refused, Some(tried)),
                Some(true) | None => (DialResult::Silent, Some(tried)),
            },
            Some(Message::Nat(Nat::Refused { reason: NatRefusal::TooSoon })) => {
                (DialResult::TooSoon, None)
            }
            Some(Message::Nat(Nat::Refused { reason: NatRefusal::PortRefused })) => {
                (DialResult::PortRefused, None)
            }
            Some(_) | None => (DialResult::NotAsked, None),
        };
        verifier.told = Some(Told { node, tried, tcp, until: now + KNOCK_PATIENCE, at });
        self.reach_due(now);
    }

    /// A knock came.
    pub(super) fn handle_knock(&mut self, now: Instant, bytes: &[u8]) {
        let (Ok(Knock(token)), Some(test)) = (Knock::from_bytes(bytes), &mut self.reach.test)
        else {
            return;
        };
        if let Some(verifier) = test.verifiers.iter_mut().find(|v| v.token == token) {
            verifier.is_knocked = true;
        }
        self.reach_due(now);
    }

    /// Ends the test when everybody has told and knocked, or had the time to.
    pub(super) fn reach_due(&mut self, now: Instant) {
        if self.reach.again.is_some_and(|at| at <= now) {
            self.ask_dial_back(now);
        }
        let done = |test: &mut Test| test.verifiers.iter().all(|verifier| verifier.is_done(now));
        if let Some(test) = self.reach.test.take_if(done) {
            self.close_verifiers(&test);
            let verdicts = test.verifiers.iter().filter_map(Verifier::verdict).collect();
            self.succeed(test.ask, Answer::Reach(verdicts));
        }
    }

    /// The session is over, and the test with it.
    pub(super) fn end_reach_test(&mut self) {
        if let Some(test) = self.reach.test.take() {
            self.close_verifiers(&test);
            self.fail(test.ask, Failure::NoSuperPeer { tried: 0 });
        }
    }

    fn close_verifiers(&mut self, test: &Test) {
        let ours = test.verifiers.iter().filter(|verifier| verifier.is_ours);
        ours.for_each(|verifier| self.links.close(verifier.link));
    }

    /// Asks our home how many super-peers there are; the answer is a notice. With a score we offer
    /// to serve.
    pub fn ask_around(&mut self, now: Instant, score: Option<u16>) {
        if let Some((link, _)) = self.home_link() {
            self.ask(now, link, About::Around, Election::Ask { score });
        }
    }

    /// The super-peer with this link key is ourselves: it is nobody to ask about us.
    pub const fn own_super_peer(&mut self, own: Option<AgreeKey>) {
        self.reach.own = own;
    }

    /// Whether a super-peer on this machine is ourselves.
    pub(super) const fn serves(&self) -> bool {
        self.reach.own.is_some()
    }

    /// The keys and the certificate of this device: what a super-peer on it enrols with, and serves
    /// by.
    #[must_use]
    pub fn node_owner(&self) -> Option<(Keys, Chain)> {
        let vault = &self.session.as_ref()?.vault;
        let sign = SignKey::from_secret(&vault.keys.sign.secret());
        let link = LinkKey::from_secret(&vault.keys.link.secret());
        Some((Keys { sign, link }, vault.chain.clone()))
    }

    /// Where the login authority is, if it is known.
    #[must_use]
    pub const fn authority_door(&self) -> Option<Door> {
        self.authority_door
    }

    /// Our home says something of itself, or answers.
    pub(super) fn handle_election(
        &mut self,
        now: Instant,
        link: LinkId,
        ask: u32,
        message: Election,
    ) {
        let is_home = self.home_link().is_some_and(|(home, _)| home == link);
        if message == Election::Invited {
            if is_home {
                self.tell(Notice::Invited);
            }
        } else if let Some(about) = self.asks.answered(link, ask) {
            self.answered(now, about, Some(message.into()));
        }
    }
}
