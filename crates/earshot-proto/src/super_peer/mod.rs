//! The super-peer: a well-connected machine that serves others. Lecture, slides 13–15 and 28–32;
//! DESIGN 2.5, 2.6, 2.12.
//!
//! It finds people (keeper and directory), carries sealed envelopes (forwarding), tells watchers
//! who is gone, dials back, and relays voice. It never sees what is carried. One [`SuperPeer`] is
//! one machine of the run loop; its rooms:
//!
//! | room | what it decides |
//! |---|---|
//! | [`membership`] | which super-peers there are; who keeps a key |
//! | [`keeper`] | the registrations held here |
//! | [`clients`] | the devices at home here, and who watches them |
//! | `directory` | registering, finding, listing |
//! | `forwarding` | carrying envelopes and watches |
//! | `reachability` | dialling back |
//! | `enrolment` | getting and renewing the node certificate |
//! | [`relay`] | STUN and TURN |
//! | [`postings`] | the profiles of those who chose to be listed |
//! | [`budgets`] | what others may use, and whom to hand over |
//! | [`election`] | whether to serve, and whom to invite |
//! | [`ring`] | who keeps a key, among two super-peers or a hundred thousand |

pub mod budgets;
pub mod clients;
mod directory;
pub mod election;
pub mod enrolment;
mod forwarding;
pub mod keeper;
pub mod membership;
pub mod postings;
mod reachability;
pub mod relay;
pub mod ring;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::asks::Asks;
use crate::entropy::Entropy;
use crate::ids::UserName;
use crate::port::{Input, LinkId, Machine, Output, Service, WaitReason};
use crate::secure::identity::{Keys, LinkKey};
use crate::secure::link::{Expect, Welcome};
use crate::secure::links::{LinkNews, Links, Who};
use crate::time::{UnixTime, WallClock};
use crate::wire::bounded::Bytes;
use crate::wire::certificate::{Chain, Signed, VerifyKey};
use crate::wire::directory::NodeEntry;
use crate::wire::forward::Address;
use crate::wire::frame::{Frame, Message};
use crate::wire::invite::{Door, Invite};
use crate::wire::policy::{Policy, Range};

use clients::Clients;
use directory::Lookups;
use enrolment::Standing;
use keeper::Keeper;
use membership::Membership;
use reachability::DialBacks;
use relay::{Relay, RelayCounters, RelayOutput};

/// How often expired registrations are dropped.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// How long after a change of membership registrations are put to their keepers anew. Our choice:
/// several changes in a row (a restart, a split) cost one round.
const SETTLE: Duration = Duration::from_millis(500);
/// How long an answer from another super-peer is waited for: shorter than [`asks::PATIENCE`], so
/// that a client for whom we ask hears of a failure while it still waits.
///
/// [`asks::PATIENCE`]: crate::asks::PATIENCE
const ONWARD_PATIENCE: Duration = Duration::from_millis(2500);
/// How often, on average, a member is asked whom it knows. Our choice: two halves of a network that
/// have one member in common are one again within minutes, for a few kB.
const GOSSIP_EVERY: Duration = Duration::from_secs(60);

/// What a super-peer is started with.
pub struct Config {
    /// The network's root key.
    pub root: VerifyKey,
    /// Our own keys.
    pub keys: Keys,
    /// Where others reach us (TCP and UDP).
    pub address: SocketAddr,
    /// Where the login authority is, and its link key; unknown to whoever comes by an invite.
    pub authority: Option<Door>,
    /// Super-peers that can tell where it is.
    pub doors: Vec<Door>,
    /// What was enrolled before, if anything.
    pub enrolled: Option<EnrolmentRecord>,
    /// The token to enrol with, if nothing was.
    pub token: Option<Bytes<32>>,
    /// Ranges that the owner lets the relay reach though they are private.
    pub relay_allow: Vec<Range>,
    /// Wall time at the start.
    pub wall: UnixTime,
    /// 32 bytes of true randomness.
    pub seed: [u8; 32],
}

/// What a super-peer keeps on disk.
#[derive(Clone, Debug)]
pub enum Record {
    /// The enrolment: replaces the one before.
    Enrolment(EnrolmentRecord),
}

/// A successful enrolment.
#[derive(Clone, Debug, PartialEq, minicbor::Encode, minicbor::Decode)]
#[cbor(map)]
pub struct EnrolmentRecord {
    /// The node's chain.
    #[n(0)]
    pub chain: Chain,
    /// The policy as the root signed it.
    #[n(1)]
    pub policy: Signed<Policy>,
    /// Members known then.
    #[n(2)]
    pub nodes: Vec<NodeEntry>,
}

/// What a super-peer tells its owner.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// It serves: this invite leads here.
    Serving {
        /// To be handed to newcomers.
        invite: Invite,
        /// Its own entry.
        entry: NodeEntry,
    },
    /// The authority does not let it serve.
    NotEnrolled(enrolment::NotEnrolled),
}

/// Counters since the start, for status and tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Envelopes that a client of ours sent through us.
    pub through_us: u64,
    /// Envelopes that devices brought over links of their own for clients of ours.
    pub from_visitors: u64,
    /// Envelopes that clients of ours sent back to such devices.
    pub to_visitors: u64,
    /// Envelopes delivered to clients of ours for other super-peers.
    pub from_super_peers: u64,
    /// Look-ups answered from registrations held here.
    pub found: u64,
    /// Look-ups for names not held here.
    pub not_here: u64,
}

/// What a super-peer is doing now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Devices at home here.
    pub clients: usize,
    /// Users whose registrations are kept here.
    pub kept: usize,
    /// Super-peers known, ourselves included.
    pub members: usize,
    /// Counters since the start.
    pub counters: Counters,
    /// What the relay does.
    pub relay: RelayCounters,
}

/// How much a super-peer holds at the moment: what a healthy one gets rid of again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Links, open or opening.
    pub links: usize,
    /// Questions that wait for an answer.
    pub asks: usize,
    /// Look-ups for clients.
    pub lookups: usize,
    /// Dial-backs.
    pub dial_backs: usize,
}

/// What a question to another was about.
#[derive(Clone, Debug, PartialEq, Eq)]
enum About {
    /// A registration of this client was to be kept.
    Put(Address),
    /// A look-up on behalf of a client.
    Lookup(u32),
    /// An envelope or a watch that a client wanted carried: its link and question.
    Carry(LinkId, u32),
    /// Another member's list of members.
    Members,
}

/// The super-peer machine.
pub struct SuperPeer {
    config: Config,
    clock: WallClock,
    entropy: Entropy,
    links: Links,
    standing: Standing,
    members: Membership,
    keeper: Keeper,
    clients: Clients,
    asks: Asks<About>,
    lookups: Lookups,
    dial_backs: DialBacks,
    /// Runs from the moment we serve.
    relay: Option<Relay>,
    /// Devices that are at home elsewhere and have linked to us only to reach a client of ours.
    visitors: BTreeMap<Address, LinkId>,
    carried_watches: BTreeMap<crate::ids::NodeId, Vec<forwarding::CarriedWatch>>,
    counters: Counters,
    next_sweep: Instant,
    settle: Option<Instant>,
    /// When a member is asked next whom it knows.
    gossip: Option<Instant>,
    saves: u64,
    out: VecDeque<Output<Notice, Record>>,
}

impl SuperPeer {
    /// Wakes a super-peer; it enrols if it has to, then serves.
    #[must_use]
    pub fn new(config: Config, now: Instant) -> Self {
        let mut entropy = Entropy::new(config.seed);
        let key = LinkKey::from_secret(&config.keys.link.secret());
        let welcomes = vec![(Service::SuperPeer, Welcome::Guests)];
        let links = Links::new(key, Some(config.root), welcomes, entropy.secrets.split());
        let me = NodeEntry {
            node: crate::ids::NodeId([0; 20]),
            address: config.address,
            key: config.keys.link.public(),
        };
        let mut machine = Self {
            clock: WallClock::new(now, config.wall),
            entropy,
            links,
            standing: Standing::default(),
            members: Membership::new(me),
            keeper: Keeper::default(),
            clients: Clients::default(),
            asks: Asks::with_patience(ONWARD_PATIENCE),
            lookups: Lookups::default(),
            dial_backs: DialBacks::default(),
            relay: None,
            visitors: BTreeMap::new(),
            carried_watches: BTreeMap::new(),
            counters: Counters::default(),
            next_sweep: now + SWEEP_EVERY,
            settle: None,
            gossip: None,
            saves: 0,
            out: VecDeque::new(),
            config,
        };
        machine.start(now);
        machine
    }

    /// What it is doing.
    #[must_use]
    pub fn status(&self) -> Status {
        Status {
            clients: self.clients.len(),
            kept: self.keeper.len(),
            members: self.members.len(),
            counters: self.counters,
            relay: self.relay.as_ref().map(|relay| *relay.counters()).unwrap_or_default(),
        }
    }

    /// How much it holds at the moment.
    #[must_use]
    pub fn load(&self) -> Load {
        Load {
            links: self.links.len(),
            asks: self.asks.len(),
            lookups: self.lookups.len(),
            dial_backs: self.dial_backs.len(),
        }
    }

    /// Whether a registration of this user is held here.
    #[must_use]
    pub fn keeps(&self, user: &UserName) -> bool {
        self.keeper.holds(user)
    }

    /// Says goodbye: links are closed, so that clients and members need not find out.
    pub fn leave(&mut self) {
        self.links.close_all();
    }

    fn wall(&self, now: Instant) -> UnixTime {
        self.clock.at(now)
    }

    fn handle_news(&mut self, now: Instant, link: LinkId, news: LinkNews) {
        match news {
            LinkNews::Opened(who, _clock) => self.link_opened(now, link, &who),
            LinkNews::Frame(frame) => self.handle_frame(now, link, frame),
            LinkNews::Closed(_) => self.link_down(now, link),
        }
    }

    fn link_opened(&mut self, now: Instant, link: LinkId, who: &Who) {
        match who {
            Who::Node(_) if self.is_asking_door(link) => {}
            Who::Node(entry) => self.member_linked(now, *entry, link),
            Who::Authority => self.authority_linked(now, link),
            Who::Device { address, .. } => {
                self.visitors.insert(address.clone(), link);
            }
            Who::Guest(_) => {}
        }
    }

    fn link_down(&mut self, now: Instant, link: LinkId) {
        for about in self.asks.link_down(link) {
            self.ask_failed(now, about);
        }
        self.client_gone(now, link);
        self.visitors.retain(|_, visitor| *visitor != link);
        self.member_gone(now, link);
        self.authority_gone(now, link);
    }

    fn handle_frame(&mut self, now: Instant, link: LinkId, frame: Frame) {
        let Some(who) = self.links.who(link).cloned() else { return };
        let Frame { ask, message } = frame;
        match message {
            Message::Directory(message) => self.handle_directory(now, link, &who, ask, message),
            Message::Forward(message) => self.handle_forward(now, link, &who, ask, message),
            Message::Nat(message) => self.handle_nat(now, link, &who, ask, message),
            Message::Enrolment(message) => self.handle_enrolment(now, link, &who, message),
            // Only an authority speaks of log-ins: whoever asks us is in the wrong place.
            Message::Login(_) => self.links.close(link),
        }
    }

    /// Answers a question (`ask` 0: no answer is wanted).
    fn answer(&mut self, now: Instant, link: LinkId, ask: u32, message: impl Into<Message>) {
        if ask != 0 {
            self.links.send(now, link, ask, message);
        }
    }

    /// Puts a question; what it was about comes back by the answer or by `ask_failed`.
    fn ask(&mut self, now: Instant, link: LinkId, about: About, message: impl Into<Message>) {
        match self.asks.open(now, link, about) {
            Ok(ask) => self.links.send(now, link, ask, message),
            Err(about) => self.ask_failed(now, about),
        }
    }

    fn ask_failed(&mut self, now: Instant, about: About) {
        match about {
            About::Put(client) => self.keeper_answered(now, &client, false),
            About::Lookup(lookup) => self.lookup_answered(now, lookup, None),
            About::Carry(link, ask) => self.carry_failed(now, link, ask),
            About::Members => {}
        }
    }

    /// A link to that member: the open one, or a new one (what is sent waits for it).
    fn link_to(&mut self, now: Instant, entry: &NodeEntry) -> LinkId {
        if let Some(link) = self.members.road(&entry.node) {
            return link;
        }
        let expect = Expect::Key(entry.key);
        let link = self.links.dial(now, entry.address, Service::SuperPeer, expect);
        self.members.learn(*entry, now);
        self.members.dialling(&entry.node, link, now);
        link
    }

    fn handle_timeout(&mut self, now: Instant) {
        for (link, news) in self.links.handle_timeout(now) {
            self.handle_news(now, link, news);
        }
        for about in self.asks.overdue(now) {
            self.ask_failed(now, about);
        }
        if let Some(relay) = &mut self.relay {
            relay.handle_timeout(now);
        }
        self.join_due(now);
        self.renew_due(now);
        if self.next_sweep <= now {
            self.next_sweep = now + SWEEP_EVERY;
            let wall = self.wall(now);
            self.keeper.sweep(wall);
        }
        if self.settle.is_some_and(|at| at <= now) {
            self.settle = None;
            self.put_all(now);
            self.keep_members();
            self.gossip(now);
        }
        if self.gossip.is_some_and(|at| at <= now) {
            self.gossip(now);
        }
    }

    fn next_timeout(&self) -> Option<Instant> {
        let serving = self.standing.is_serving();
        [
            self.links.poll_timeout(),
            self.asks.next_deadline(),
            self.relay.as_ref().and_then(Relay::poll_timeout),
            self.standing.next_due(),
            serving.then(|| self.members.next_due()).flatten(),
            self.settle,
            self.gossip,
            (!self.keeper.is_empty()).then_some(self.next_sweep),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}

impl Machine for SuperPeer {
    type Notice = Notice;
    type Record = Record;

    fn handle(&mut self, now: Instant, input: Input<'_>) {
        self.handle_input(now, input);
        while self.links.has_broken() {
            for (link, news) in self.links.handle_timeout(now) {
                self.handle_news(now, link, news);
            }
        }
    }

    fn poll_output(&mut self) -> Output<Notice, Record> {
        if let Some(output) = self.out.pop_front() {
            return output;
        }
        if let Some((link, order)) = self.links.poll_order() {
            return Output::Link(link, order);
        }
        match self.relay.as_mut().and_then(Relay::poll_output) {
            Some(RelayOutput::Send(transmit)) => Output::Send(transmit),
            Some(RelayOutput::RelayPort(port, order)) => Output::RelayPort(port, order),
            None => Output::Wait(self.next_timeout(), WaitReason::Timer),
        }
    }
}

impl SuperPeer {
    fn handle_input(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Timeout => self.handle_timeout(now),
            Input::Clock(wall) => self.clock = WallClock::new(now, wall),
            Input::Datagram { from, bytes } => {
                let wall = self.wall(now);
                if let Some(relay) = &mut self.relay {
                    relay.handle_datagram(now, wall, from, bytes);
                }
            }
            Input::Link(link, event) => {
                if self.handle_dial_back(now, link, &event) {
                    return;
                }
                let wall = self.wall(now);
                for news in self.links.handle(now, wall, link, event) {
                    self.handle_news(now, link, news);
                }
            }
            Input::RelayPort(port, event) => {
                if let Some(relay) = &mut self.relay {
                    relay.handle_relay_port(now, port, event);
                }
            }
            Input::NotSaved(..) => self.not_saved(),
            // A super-peer has no media path, no voice and no long computation; and it waits for no
            // record.
            Input::Path(..) | Input::Voice(..) | Input::Worked(..) | Input::Saved(_) => {}
        }
    }
}
