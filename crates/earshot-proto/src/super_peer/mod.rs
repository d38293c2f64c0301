//! The super-peer: a well-connected machine that serves others. Lecture, slides 13–15 and 28–32;
//! DESIGN 2.5, 2.6, 2.12.
//!
//! It finds people (keeper and directory), carries sealed envelopes (forwarding), tells watchers
//! who is gone, dials back, and relays voice. It never sees what is carried. One [`SuperPeer`] is
//! one machine of the run loop; its rooms:
//!
//! | room | what it decides |
//! |---|---|
//! | [`ring`] | who keeps a key, among two super-peers or a hundred thousand |
//! | `place` | putting the ring's questions, and linking its neighbours |
//! | [`contacts`] | the links to other super-peers |
//! | `proofs` | who of those we know has a certificate |
//! | [`keeper`] | the registrations held here |
//! | `handover` | handing over what is kept when the ring has changed |
//! | `lookups` | finding people and keepers |
//! | `answers` | questions in datagrams, ours and others' |
//! | [`clients`] | the devices at home here, and who watches them |
//! | `registering` | putting clients' registrations at their keepers |
//! | `directory` | answering who is kept here, listing |
//! | `forwarding` | carrying envelopes |
//! | [`watching`] | who watches whom, and telling them who is gone |
//! | `reachability` | dialling back |
//! | `enrolment` | getting and renewing the node certificate |
//! | `policy` | following the network's policy |
//! | `verifying` | whether a newcomer is where it says, for the authority |
//! | [`relay`] | STUN and TURN |
//! | `relaying` | giving it what is its |
//! | `partners` | answering STUN in each other's stead |
//! | [`postings`] | the profiles that are kept here |
//! | `profiles` | posting and finding them for clients |
//! | [`budgets`] | what others may use |
//! | `admission`, `leaving` | whom to let in, and whom to hand over |
//! | [`election`] | whether to serve, and whom to invite |
//! | `electing` | how many are around, and the invitations |
//! | [`terms`] | what the owner lets it do and use |

mod admission;
mod answers;
pub mod budgets;
pub mod clients;
mod config;
pub mod contacts;
mod directory;
mod electing;
pub mod election;
pub mod enrolment;
mod forwarding;
mod handover;
pub mod keeper;
mod leaving;
mod lookups;
mod partners;
mod place;
mod policy;
pub mod postings;
mod profiles;
mod proofs;
mod reachability;
mod registering;
pub mod relay;
mod relaying;
pub mod ring;
mod status;
pub mod terms;
#[cfg(test)]
pub(crate) mod testing;
mod verifying;
pub mod watching;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

pub use config::{Config, EnrolmentRecord, Record};
pub use status::{Counters, Load, Status, Watches, Work};

use crate::asks::Asks;
use crate::entropy::Entropy;
use crate::ids::{NodeId, UserName};
use crate::lookup::Near;
use crate::port::{Input, LinkDown, LinkEvent, LinkId, Machine, Output, Service, WaitReason};
use crate::questions::Questions;
use crate::secure::identity::LinkKey;
use crate::secure::link::Welcome;
use crate::secure::links::{Closed, LinkNews, Links, Who};
use crate::time::{UnixTime, WallClock};
use crate::wire::directory::{Directory, DirectoryRefusal, NodeEntry};
use crate::wire::enrolment::Enrolment;
use crate::wire::forward::{Address, Forward};
use crate::wire::frame::{Frame, Message};
use crate::wire::invite::Invite;
use crate::wire::posting::{PostingRefusal, Postings};

use admission::Moving;
use answers::Answers;
use budgets::Budgets;
use clients::Clients;
use contacts::Contacts;
use electing::Electing;
use enrolment::Standing;
use handover::Handings;
use keeper::Keeper;
use lookups::Lookups;
use partners::Partners;
use place::{Chores, RingAsk};
use profiles::Profiles;
use proofs::Proofs;
use reachability::DialBacks;
use registering::Slow;
use relay::{Relay, RelayOutput};
use ring::Ring;
use terms::Owned;
use verifying::Verifications;
use watching::Watching;
use watching::carried::Watch;

/// How often expired registrations are dropped.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// How long after a change around us registrations are handed over. Our choice: several changes in
/// a row (a restart, a split) cost one round.
const SETTLE: Duration = Duration::from_millis(500);
/// How long an answer from another super-peer is waited for: shorter than [`asks::PATIENCE`], so
/// that a client for whom we ask hears of a failure while it still waits.
///
/// [`asks::PATIENCE`]: crate::asks::PATIENCE
const ONWARD_PATIENCE: Duration = Duration::from_millis(2500);

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
    /// After [`SuperPeer::hand_over_clients`]: all have gone, or their time is over.
    Deserted,
}

/// What a question to another was about.
#[derive(Clone, Debug, PartialEq, Eq)]
enum About {
    /// A registration of this client was to be kept.
    Put(Address, u64),
    /// A question of the ring.
    Ring(Box<RingAsk>),
    /// Which nodes are near a look-up's key, as this node sees it.
    Near(u32, NodeId),
    /// What a look-up looks for, asked from this keeper.
    Fetch(u32, NodeId),
    /// Which records this node lacks.
    Offer(NodeId),
    /// A record that this node lacked.
    Handed(NodeId),
    /// A posting of the client with this link.
    Post(LinkId),
    /// A page that a look-up puts together, asked from this keeper.
    FetchPage(u32, NodeId),
    /// An envelope that a client wanted carried: its link and question, and to whom.
    Carry(LinkId, u32, UserName),
    /// A watch, likewise, and at which home.
    Watch(LinkId, u32, Box<(Watch, NodeId)>),
    /// Whether this successor holds our list of subscribers.
    Copy(NodeId),
    /// Whether this home, of which somebody says that it is dead, lives.
    Lives(NodeId),
    /// Whom another super-peer knows.
    Members,
    /// Certificates of nodes that are not proven.
    Certificates,
}

/// The super-peer machine.
pub struct SuperPeer {
    config: Config,
    clock: WallClock,
    entropy: Entropy,
    links: Links,
    standing: Standing,
    ring: Ring,
    contacts: Contacts,
    chores: Chores,
    /// Keepers that may become slow.
    slow: Slow,
    proofs: Proofs,
    keeper: Keeper,
    clients: Clients,
    budgets: Budgets,
    moving: Moving,
    asks: Asks<About>,
    questions: Questions<About>,
    answers: Answers,
    lookups: Lookups,
    handings: Handings,
    profiles: Profiles,
    dial_backs: DialBacks,
    electing: Electing,
    verifications: Verifications,
    /// Runs from the moment we serve.
    relay: Option<Relay>,
    partners: Partners,
    /// Devices that are at home elsewhere and have linked to us only to reach a client of ours.
    visitors: BTreeMap<Address, LinkId>,
    watching: Watching,
    owned: Owned,
    counters: Counters,
    next_sweep: Instant,
    /// Whether only the relay has done anything since we last waited, and until when that was but
    /// for the relay.
    only_relayed: bool,
    due_beside_relay: Option<Instant>,
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
        let mut links = Links::new(key, Some(config.root), welcomes, entropy.secrets.split());
        links.also_told(&config.also);
        let me = NodeEntry {
            node: NodeId([0; 20]),
            address: config.address,
            key: config.keys.link.public(),
        };
        let ring = Ring::new(ring::Config::default(), me, entropy.jitter.split());
        let mut machine = Self {
            clock: WallClock::new(now, config.wall),
            links,
            standing: Standing::default(),
            ring,
            contacts: Contacts::default(),
            chores: Chores::default(),
            slow: Slow::default(),
            proofs: Proofs::default(),
            keeper: Keeper::default(),
            clients: Clients::default(),
            budgets: Budgets::new(now, config.limits, entropy.jitter.split()),
            moving: Moving::default(),
            asks: Asks::with_patience(ONWARD_PATIENCE),
            questions: Questions::default(),
            answers: Answers::default(),
            lookups: Lookups::default(),
            handings: Handings::default(),
            profiles: Profiles::default(),
            dial_backs: DialBacks::default(),
            electing: Electing::default(),
            verifications: Verifications::default(),
            relay: None,
            partners: Partners::default(),
            visitors: BTreeMap::new(),
            watching: Watching::default(),
            owned: Owned::new(config.terms, config.traffic),
            counters: Counters::default(),
            next_sweep: now + SWEEP_EVERY,
            only_relayed: false,
            due_beside_relay: None,
            saves: 0,
            out: VecDeque::new(),
            entropy,
            config,
        };
        machine.start(now);
        machine
    }

    /// Says goodbye: the neighbours on the ring are told, and links are closed, so that clients
    /// need not find out.
    pub fn leave(&mut self, now: Instant) {
        self.ring.leave(now);
        self.turn_ring(now);
        self.save_traffic();
        self.links.close_all();
    }

    /// Where we stand on the ring.
    #[must_use]
    pub const fn ring(&self) -> &Ring {
        &self.ring
    }

    fn wall(&self, now: Instant) -> UnixTime {
        self.clock.at(now)
    }

    fn handle_news(&mut self, now: Instant, link: LinkId, news: LinkNews) {
        match news {
            LinkNews::Opened(who, _clock) => self.link_opened(now, link, &who),
            LinkNews::Frame(frame) => self.handle_frame(now, link, frame),
            LinkNews::Closed(why) => self.link_down(now, link, &why),
        }
    }

    fn link_opened(&mut self, now: Instant, link: LinkId, who: &Who) {
        self.named(now, who);
        match who {
            Who::Node(_) if self.is_asking_door(link) => {}
            Who::Node(entry) => self.node_linked(now, *entry, link),
            Who::Authority => self.authority_linked(now, link),
            Who::Device { address, .. } => {
                self.visitors.insert(address.clone(), link);
            }
            Who::Guest(_) => {}
        }
    }

    /// Ends a link from our side; what hung on it ends too.
    fn hang_up(&mut self, now: Instant, link: LinkId) {
        self.links.close(link);
        self.link_down(now, link, &Closed::Down(LinkDown::Closed));
    }

    fn link_down(&mut self, now: Instant, link: LinkId, why: &Closed) {
        let lost = self.contacts.closed(link);
        let was_open = lost.is_none_or(|lost| lost.was_open);
        for about in self.asks.link_down(link) {
            if let About::Ring(asked) = about {
                self.ring_link_closed(now, *asked, was_open);
            } else if let About::Lives(home) = about {
                // What follows from the link's end says more than that no answer comes.
                self.watching.not_asked(&home);
            } else {
                self.ask_failed(now, about);
            }
        }
        self.partner_gone(link);
        self.client_gone(now, link);
        self.visitors.retain(|_, visitor| *visitor != link);
        if let Some(lost) = lost {
            self.node_gone(now, &lost, why);
        }
        self.authority_gone(now, link);
        self.verification_ended(now, link, None);
    }

    fn handle_frame(&mut self, now: Instant, link: LinkId, frame: Frame) {
        let Some(who) = self.links.who(link).cloned() else { return };
        let Frame { ask, message } = frame;
        if !self.admits(now, link, &who, ask, &message) {
            return;
        }
        match message {
            Message::Directory(message) => self.handle_directory(now, link, &who, ask, message),
            Message::Forward(message) => self.handle_forward(now, link, &who, ask, message),
            Message::Nat(message) => self.handle_nat(now, link, &who, ask, message),
            Message::Enrolment(message) => self.handle_enrolment(now, link, &who, ask, message),
            Message::RingQuestion(question) => {
                self.handle_ring_question(now, link, &who, ask, question);
            }
            Message::RingReply(reply) => self.link_answered(now, link, ask, reply),
            Message::Election(message) => self.handle_election(now, link, &who, ask, message),
            Message::Postings(message) => self.handle_postings(now, link, &who, ask, message),
            // Only an authority speaks of log-ins: whoever asks us is in the wrong place.
            Message::Login(_) => self.hang_up(now, link),
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

    /// The answer to a question of ours, perhaps, came over a link.
    fn link_answered(&mut self, now: Instant, link: LinkId, ask: u32, answer: impl Into<Message>) {
        if let Some(about) = self.asks.answered(link, ask) {
            self.ask_answered(now, about, answer.into());
        }
    }

    /// The answer to a question of ours.
    fn ask_answered(&mut self, now: Instant, about: About, answer: Message) {
        match (about, answer) {
            (About::Ring(asked), Message::RingReply(reply)) => {
                self.ring_answered(now, &asked, Some(reply));
            }
            (About::Near(lookup, node), Message::RingReply(reply)) => {
                self.near_told(now, lookup, &node, Near::of_reply(reply));
            }
            (About::Fetch(lookup, node), Message::Directory(answer)) => {
                self.fetched(now, lookup, &node, Some(answer));
            }
            (About::Put(client, counter), Message::Directory(answer)) => {
                self.keeper_answered(now, &client, counter, matches!(answer, Directory::Kept));
            }
            (About::Offer(node), Message::Directory(Directory::Wanted { places })) => {
                self.offer_answered(now, &node, Some(&places));
            }
            (
                About::Offer(node) | About::Handed(node),
                Message::Directory(Directory::Refused { reason: DirectoryRefusal::Busy })
                | Message::Postings(Postings::Refused { reason: PostingRefusal::Busy }),
            ) => self.handing_busy(now, &node),
            (About::Handed(node), Message::Directory(_) | Message::Postings(_)) => {
                self.handed(now, &node);
            }
            (About::Post(client), Message::Postings(answer)) => {
                self.post_answered(now, client, Some(&answer));
            }
            (About::FetchPage(lookup, node), Message::Postings(answer)) => {
                self.page_fetched(now, lookup, &node, Some(answer));
            }
            (About::Members, Message::Directory(Directory::SuperPeers { nodes, .. })) => {
                self.members_told(&nodes);
            }
            (About::Carry(link, ask, user), Message::Forward(answer)) => {
                self.carried(now, link, ask, &user, answer);
            }
            (About::Watch(link, ask, watch), Message::Forward(answer)) => {
                self.watch_carried(now, link, ask, &watch, answer);
            }
            (About::Copy(node), Message::Forward(Forward::Copied)) => {
                self.watching.copied(now, &node);
            }
            (About::Lives(home), Message::Forward(answer)) => {
                self.home_answered(now, &home, &answer);
            }
            (About::Certificates, Message::Enrolment(Enrolment::Certificates { statements })) => {
                self.certificates_told(now, statements.into_vec())
            }
            (about, _) => self.ask_failed(now, about),
        }
    }

    /// A question of ours was not answered.
    fn ask_failed(&mut self, now: Instant, about: About) {
        match about {
            About::Ring(asked) => self.ring_answered(now, &asked, None),
            About::Near(lookup, node) => self.near_told(now, lookup, &node, None),
            About::Fetch(lookup, node) => self.fetched(now, lookup, &node, None),
            About::Put(client, counter) => self.keeper_answered(now, &client, counter, false),
            About::Offer(node) => self.offer_answered(now, &node, None),
            About::Handed(node) => self.handed(now, &node),
            About::Post(client) => self.post_answered(now, client, None),
            About::FetchPage(lookup, node) => self.page_fetched(now, lookup, &node, None),
            About::Carry(link, ask, user) => self.carry_failed(now, link, ask, &user),
            About::Watch(link, ask, watch) => {
                self.carry_failed(now, link, ask, &watch.0.watched.user);
            }
            About::Copy(node) => self.watching.not_copied(now, &node),
            About::Lives(home) => self.home_silent(now, &home),
            About::Members | About::Certificates => {}
        }
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
        self.answers_due(now);
        self.ring.handle_timeout(now);
        self.lookups_due(now);
        self.chores_due(now);
        self.slow_due(now);
        self.proofs_due(now);
        self.handings_due(now);
        self.shed_due(now);
        self.watching_due(now);
        self.renew_due(now);
        self.dial_backs_due(now);
        self.electing_due(now);
        self.verifications_due(now);
        self.traffic_due(now);
        if self.next_sweep <= now {
            self.next_sweep = now + SWEEP_EVERY;
            let wall = self.wall(now);
            self.keeper.sweep(wall);
            self.profiles.store.sweep(wall);
        }
    }

    /// When something is due but for the relay.
    fn next_beside_relay(&self) -> Option<Instant> {
        [
            self.links.poll_timeout(),
            self.asks.next_deadline(),
            self.standing.next_due(),
            self.verifications.next_due(),
            self.questions.poll_timeout(),
            self.answers.next_due(),
            self.ring.poll_timeout(),
            self.contacts.next_due(),
            self.chores.next_due(),
            self.slow.next_due(),
            self.proofs.next_due(),
            self.watching.next_due(),
            self.lookups.next_due(),
            self.dial_backs.next_due(),
            self.electing.next_due(),
            self.owned.next_due(),
            self.next_shed(),
            self.handings.next_due(),
            (!self.keeper.is_empty() || !self.profiles.store.is_empty()).then_some(self.next_sweep),
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
        self.count_input(&input);
        if relaying::is_relayed(&input) {
            return self.handle_relayed(now, input);
        }
        self.handle_input(now, input);
        self.turn_ring(now);
        while self.links.has_broken() {
            for (link, news) in self.links.handle_timeout(now) {
                self.handle_news(now, link, news);
            }
            self.turn_ring(now);
        }
        self.terms_in_force(now);
    }

    fn poll_output(&mut self) -> Output<Notice, Record> {
        if let Some(output) = self.out.pop_front() {
            return output;
        }
        if let Some((link, order)) = self.links.poll_order() {
            self.count_order(&order);
            return Output::Link(link, order);
        }
        if let Some(transmit) = self.questions.poll_transmit() {
            return Output::Send(transmit);
        }
        let relayed = self.relay.as_mut().and_then(Relay::poll_output);
        relayed.iter().for_each(|output| self.count_relayed(output));
        match relayed {
            Some(RelayOutput::Send(transmit)) => Output::Send(transmit),
            Some(RelayOutput::Link(link, order)) => Output::Link(link, order),
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
            Input::Datagram { from, bytes } => self.handle_question_datagram(now, from, bytes),
            Input::Link(link, event) => {
                if self.handle_dial_back(now, link, &event)
                    || self.handle_relay_link(now, link, &event)
                {
                    return;
                }
                if let LinkEvent::Accepted { from, .. } = event
                    && !self.admits_link(link, from)
                {
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
                self.tell_alternate(now);
            }
            Input::NotSaved(..) => self.not_saved(),
            // No media path, voice or long computation, and no record is waited for.
            Input::Path(..) | Input::Voice(..) | Input::Worked(..) | Input::Saved(_) => {}
            Input::Network | Input::Mapped(..) | Input::Nearby(_) => {}
        }
    }
}
