//! Can others reach us, and would we serve? The asking side of DESIGN 2.12.
//!
//! A test asks our home and some more super-peers to dial back, by TCP and by UDP, each over a link
//! of its own that is closed after. Who serves is decided elsewhere, and how we say that we can be
//! reached in `reachability`; here is found out what both are decided by. Invariants: one test at a
//! time, of at most [`VERIFIERS_ASKED`] super-peers; it is answered once, within the patience of
//! questions and [`KNOCK_PATIENCE`]; nobody is asked who is ourselves; only whom a token was given
//! to is believed by a knock.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::ids::NodeId;
use crate::port::LinkId;
use crate::secure::identity::{Keys, LinkKey, SignKey};
use crate::secure::links::Who;
use crate::time::UnixTime;
use crate::wire::bounded::Bytes;
use crate::wire::certificate::{AgreeKey, Chain};
use crate::wire::directory::{Directory, NodeEntry};
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
}

#[derive(Debug)]
struct Test {
    /// What the owner asked, if it was the owner.
    ask: Option<u64>,
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
    /// While somebody has not told, their answer or the end of patience is waited for.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let told = |test: &Test| {
            let until: Option<Vec<Instant>> =
                test.verifiers.iter().map(|verifier| Some(verifier.told?.until)).collect();
            until?.into_iter().max()
        };
        self.test.as_ref().and_then(told)
    }
}

impl Peer {
    /// The owner has super-peers dial back.
    pub(super) fn test_reach(&mut self, now: Instant, ask: u64) {
        let home = self.home_link();
        match (&mut self.reach.test, home) {
            (None, Some(home)) => self.start_test(now, home, Some(ask)),
            (None, None) => self.fail(ask, Failure::NoSuperPeer { tried: 0 }),
            (Some(Test { ask: waiting @ None, .. }), _) => *waiting = Some(ask),
            (Some(Test { ask: Some(_), .. }), _) => self.fail(ask, Failure::TooMany { max: 1 }),
        }
    }

    /// Has super-peers dial back of ourselves, unless they are about to.
    pub(super) fn confirm_reach(&mut self, now: Instant) {
        let home = self.home_link().filter(|_| self.reach.test.is_none());
        if let Some(home) = home {
            self.start_test(now, home, None);
        }
    }

    fn start_test(
        &mut self,
        now: Instant,
        (home_link, home): (LinkId, NodeEntry),
        ask: Option<u64>,
    ) {
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
        let done = |test: &mut Test| test.verifiers.iter().all(|verifier| verifier.is_done(now));
        if let Some(test) = self.reach.test.take_if(done) {
            self.close_verifiers(&test);
            let verdicts: Vec<_> = test.verifiers.iter().filter_map(Verifier::verdict).collect();
            self.several_told(now, &verdicts);
            if let Some(ask) = test.ask {
                self.succeed(ask, Answer::Reach(verdicts));
            }
        }
    }

    /// The session is over, and the test with it.
    pub(super) fn end_reach_test(&mut self) {
        if let Some(test) = self.reach.test.take() {
            self.close_verifiers(&test);
            if let Some(ask) = test.ask {
                self.fail(ask, Failure::NoSuperPeer { tried: 0 });
            }
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
