//! The ordinary peer: what every app is at least. Lecture, slides 13 and 28–32; DESIGN 1 and 2.
//!
//! One [`Peer`] is one machine of the run loop. It takes [`Command`]s from its owner and tells
//! [`Notice`]s; its rooms:
//!
//! | room | what it decides |
//! |---|---|
//! | [`command`] | the contract with the owner |
//! | `account`, `authority_door` | registering and logging in |
//! | `signing` | how far a registration or a login is |
//! | `session` | somebody logged in: certificate, vault, leave |
//! | `network` | the network that was joined, and our place in it |
//! | `disk` | what is kept, and what follows when it is safe |
//! | [`super_peers`] | the list of super-peers to knock at |
//! | `asking` | questions to others, and where their answers go |
//! | `home` | the link to the home super-peer, and moving to another |
//! | `registered` | whether the home has registered us |
//! | [`search`], `by_words` | finding people by exact name, and by words |
//! | [`words`], [`listings`] | the words of names, and the profiles found by them |
//! | `profile` | letting others find us by name |
//! | [`cards`] | what is known of other people's devices |
//! | `post` | sealing and opening what goes from device to device |
//! | `buddies` | the buddy list |
//! | `presence` | how we and they are |
//! | `absence` | who is gone, and who only seems to be |
//! | [`chat`] | messages |
//! | [`call`], `calling` | calls, and their place in the peer |
//! | [`nearby`] | people on the same local network, without the Internet |
//! | [`nat`] | whether UDP gets through, and how the NAT before us behaves |
//! | `reachability` | how others reach us: the verdict that calls go by |
//! | [`reach`] | having several super-peers find that out, and offering to serve |

mod absence;
mod account;
mod asking;
mod authority_door;
mod buddies;
mod by_words;
pub mod call;
mod calling;
pub mod cards;
pub mod chat;
pub mod command;
mod disk;
mod home;
pub mod listings;
mod load;
pub mod nat;
pub mod nearby;
mod network;
mod post;
mod presence;
mod profile;
pub mod reach;
mod reachability;
mod registered;
mod relays;
pub mod search;
mod session;
mod signing;
pub mod super_peers;
pub mod words;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::asks::Asks;
use crate::entropy::Entropy;
use crate::ids::UserName;
use crate::port::{
    Input, LinkDown, LinkId, Machine, Output, PathPolicy, RelayServer, SaveId, Service, WaitReason,
    WorkId,
};
use crate::questions::Questions;
use crate::secure::identity::LinkKey;
use crate::secure::link::{LinkError, Welcome};
use crate::secure::links::{Closed, LinkNews, Links, Who};
use crate::secure::local_vault::LockedVault;
use crate::secure::password::{StretchCost, Work};
use crate::time::{UnixTime, WallClock};
use crate::wire::directory::{Directory, Reachability};
use crate::wire::frame::{Frame, Message};
use crate::wire::invite::Door;

use asking::About;
use buddies::Buddies;
use call::Calls;
use cards::Cards;
use chat::Chats;
use command::{Answer, BuddyView, Command, Failure, Notice, PresenceView, SessionView, SignedIn};
use disk::OnSaved;
pub use disk::{NetworkRecord, Record, UserFiles};
use home::Home;
pub use load::Load;
use nat::NatWatch;
use nearby::Nearby;
use network::Joined;
use post::Post;
use presence::Presences;
use profile::Profile;
use reach::Reach;
use reachability::Believed;
use registered::Registered;
use relays::Relays;
use search::Searches;
use session::Session;
use signing::SigningIn;
use super_peers::SuperPeers;

/// What a peer is started with.
pub struct Config {
    /// The port on which others may connect to us; 0: we take no connections.
    pub listen_port: u16,
    /// Says how we can be reached instead of testing it: for tests.
    pub pretend: Option<Reachability>,
    /// What stretching a password costs.
    pub cost: StretchCost,
    /// "Hide my address": relayed paths only, always.
    pub addresses: PathPolicy,
    /// The network joined before, if any.
    pub network: Option<NetworkRecord>,
    /// Those who have logged in on this machine.
    pub users: Vec<UserFiles>,
    /// Wall time at the start.
    pub wall: UnixTime,
    /// 32 bytes of true randomness.
    pub seed: [u8; 32],
}

/// The peer machine.
pub struct Peer {
    config: Config,
    clock: WallClock,
    entropy: Entropy,
    links: Links,
    asks: Asks<About>,
    questions: Questions<About>,
    joined: Option<Joined>,
    super_peers: SuperPeers,
    authority_door: Option<Door>,
    /// Whether the authority was reached last time, and since when that is so.
    authority: Option<(bool, UnixTime)>,
    guest_doors: Vec<Door>,
    /// The vaults of those who have logged in on this machine.
    locked: BTreeMap<UserName, LockedVault>,
    /// Their buddy list files, newest first: the last and the one before.
    lists: BTreeMap<UserName, Vec<Vec<u8>>>,
    signing_in: Option<SigningIn>,
    session: Option<Session>,
    /// What was told of it last.
    session_told: Option<SessionView>,
    home: Home,
    registered: Registered,
    relays: Relays,
    nat_watch: NatWatch,
    nearby: Nearby,
    reach: Reach,
    believed: Believed,
    cards: Cards,
    post: Post,
    searches: Searches,
    profile: Profile,
    buddies: Buddies,
    presences: Presences,
    chats: Chats,
    calls: Option<Calls>,
    /// Where the next session goes on numbering paths: no number is used twice.
    next_path: u32,
    saves: BTreeMap<SaveId, OnSaved>,
    last_save: u64,
    last_work: u32,
    out: VecDeque<Output<Notice, Record>>,
}

impl Peer {
    /// Wakes a peer. It does nothing until it is told to.
    #[must_use]
    pub fn new(mut config: Config, now: Instant) -> Self {
        let mut entropy = Entropy::new(config.seed);
        let welcomes =
            vec![(Service::Peer, Welcome::Certified), (Service::Nearby, Welcome::Neighbours)];
        let key = LinkKey::draw(&mut entropy.secrets);
        let links = Links::new(key, None, welcomes, entropy.secrets.split());
        let (mut locked, mut lists) = (BTreeMap::new(), BTreeMap::new());
        for UserFiles { vault, buddies } in std::mem::take(&mut config.users) {
            lists.insert(vault.user().clone(), buddies);
            locked.insert(vault.user().clone(), vault);
        }
        let before = config.network.take();
        let mut peer = Self {
            clock: WallClock::new(now, config.wall),
            config,
            entropy,
            links,
            asks: Asks::default(),
            questions: Questions::default(),
            joined: None,
            super_peers: SuperPeers::default(),
            authority_door: None,
            authority: None,
            guest_doors: Vec::new(),
            locked,
            lists,
            signing_in: None,
            session: None,
            session_told: None,
            home: Home::None,
            registered: Registered::default(),
            relays: Relays::default(),
            nat_watch: NatWatch::default(),
            nearby: Nearby::default(),
            reach: Reach::default(),
            believed: Believed::default(),
            cards: Cards::default(),
            post: Post::default(),
            searches: Searches::default(),
            profile: Profile::default(),
            buddies: Buddies::default(),
            presences: Presences::default(),
            chats: Chats::default(),
            calls: None,
            next_path: 0,
            saves: BTreeMap::new(),
            last_save: 0,
            last_work: 0,
            out: VecDeque::new(),
        };
        if let Some(NetworkRecord { invite, authority, super_peers, also }) = before {
            peer.links.also_told(&also);
            peer.super_peers = super_peers;
            peer.authority_door = authority;
            peer.enter(invite);
        }
        peer
    }

    /// Does what the owner wants; the answer carries `ask`.
    pub fn command(&mut self, now: Instant, ask: u64, command: Command) {
        let needs_session = match &command {
            Command::Join(_) | Command::Register { .. } | Command::Login { .. } => false,
            Command::Logout
            | Command::SetPresence { .. }
            | Command::Search(_)
            | Command::SetListed(_)
            | Command::Request { .. }
            | Command::Accept(_)
            | Command::Decline(_)
            | Command::Block(_)
            | Command::Unblock(_)
            | Command::Send { .. }
            | Command::MarkRead { .. }
            | Command::Call { .. }
            | Command::InCall(..)
            | Command::TestReach => true,
        };
        if needs_session && self.session.is_none() {
            return self.fail(ask, Failure::NotLoggedIn);
        }
        match command {
            Command::Join(invite) => self.join(ask, *invite),
            Command::Register { user, password, display_name } => {
                self.register(now, ask, user, password, display_name);
            }
            Command::Login { user, password } => self.log_in(now, ask, user, password),
            Command::Logout => self.log_out(now, ask),
            Command::SetPresence { shown, mood } => {
                self.set_presence(now, shown, mood);
                self.succeed(ask, Answer::Done);
                self.tell_session();
            }
            Command::Search(sought) => self.search(now, ask, sought),
            Command::SetListed(wish) => self.set_listed(now, ask, wish),
            Command::Request { user, greeting } => self.request_buddy(now, ask, user, greeting),
            Command::Accept(user) => self.accept_buddy(now, ask, user),
            Command::Decline(user) => self.decline_buddy(now, ask, user),
            Command::Block(user) => self.block(now, ask, user),
            Command::Unblock(user) => self.unblock(now, ask, user),
            Command::Send { to, text, client_id } => {
                self.send_message(now, ask, to, text, client_id);
            }
            Command::MarkRead { with, ids } => self.mark_read(now, ask, with, ids),
            Command::Call { to, path } => self.start_call(now, ask, to, path),
            Command::InCall(call, action) => self.in_call(now, ask, call, action),
            Command::TestReach => self.test_reach(now, ask),
        }
        self.settle(now);
    }

    /// Leaves politely: the session is ended as by a log-out; links are closed.
    pub fn leave(&mut self, now: Instant) {
        if self.session.is_some() {
            self.end_session(now);
        }
        self.links.close_all();
    }

    /// Who is logged in.
    #[must_use]
    pub fn signed_in(&self) -> Option<SignedIn> {
        self.session.as_ref().map(Session::signed_in)
    }

    /// The civil time at `now`, by this machine's clock.
    #[must_use]
    pub fn wall_at(&self, now: Instant) -> UnixTime {
        self.clock.at(now)
    }

    /// The STUN and TURN server of our home, and what we may use it by.
    #[must_use]
    pub fn relays(&self) -> Vec<RelayServer> {
        self.relay_servers()
    }

    /// The buddy list as the owner sees it.
    pub fn buddies(&self) -> impl Iterator<Item = BuddyView> {
        self.buddies.views()
    }

    /// How a user is, as far as they show it.
    #[must_use]
    pub fn presence_of(&self, user: &UserName) -> PresenceView {
        self.presences.of(user)
    }

    fn wall(&self, now: Instant) -> UnixTime {
        self.clock.at(now)
    }

    fn forget_people(&mut self) {
        self.stop_writing();
        self.cards = Cards::default();
        self.buddies = Buddies::default();
        self.presences = Presences::default();
        self.chats = Chats::default();
        self.searches = Searches::default();
        self.registered = Registered::default();
        self.profile = Profile::default();
    }

    fn tell(&mut self, notice: Notice) {
        self.out.push_back(Output::Notify(notice));
    }

    fn succeed(&mut self, ask: u64, answer: Answer) {
        self.tell(Notice::Answer(ask, Box::new(Ok(answer))));
    }

    fn fail(&mut self, ask: u64, failure: Failure) {
        self.tell(Notice::Answer(ask, Box::new(Err(failure))));
    }

    fn work(&mut self, work: Work) {
        self.last_work = self.last_work.wrapping_add(1);
        self.out.push_back(Output::Work(WorkId(self.last_work), Box::new(work)));
    }

    fn handle_news(&mut self, now: Instant, link: LinkId, news: LinkNews) {
        match news {
            LinkNews::Opened(who, _clock) => self.link_opened(now, link, &who),
            LinkNews::Frame(frame) => self.handle_frame(now, link, frame),
            LinkNews::Closed(why) => {
                if let Closed::Error(LinkError::ClocksDisagree(_, theirs)) = why {
                    self.clocks_disagree(now, link, theirs);
                }
                self.link_closed(now, link, &why);
            }
        }
    }

    fn link_opened(&mut self, now: Instant, link: LinkId, who: &Who) {
        match (self.links.service(link), who) {
            (Some(Service::SuperPeer), Who::Node(node)) => {
                self.home_opened(now, link, *node);
            }
            (Some(Service::Authority), _) => self.authority_opened(now, link, who),
            (Some(Service::Peer), _) => {
                if matches!(link, LinkId::Accepted(_)) {
                    self.straight_opened(link, who);
                }
            }
            (Some(Service::Nearby), _) => self.near_opened(now, link, who),
            (Some(Service::SuperPeer), Who::Device { .. } | Who::Authority | Who::Guest(_)) => {
                self.links.close(link);
                self.link_closed(now, link, &Closed::Down(LinkDown::Refused));
            }
            // It dials relays by media paths only, and is none.
            (Some(Service::Relay) | None, _) => {}
        }
    }

    fn link_closed(&mut self, now: Instant, link: LinkId, why: &Closed) {
        for about in self.asks.link_down(link) {
            self.answered(now, about, None);
        }
        self.road_closed(link);
        self.near_closed(now, link);
        self.sign_in_link_closed(now, link, why);
        self.home_closed(now, link, why);
    }

    fn handle_frame(&mut self, now: Instant, link: LinkId, frame: Frame) {
        let Frame { ask, message } = frame;
        match message {
            Message::Login(message) => self.handle_login(now, link, message),
            Message::Directory(Directory::MoveOn { homes, after_ms }) => {
                self.asks.answered(link, ask);
                self.moved_on(now, link, &homes, Duration::from_millis(after_ms.into()));
            }
            Message::Directory(message) => {
                if self.guest_answered(now, link, &message) {
                    return;
                }
                if let Some(about) = self.asks.answered(link, ask) {
                    self.answered(now, about, Some(message.into()));
                }
            }
            Message::Nat(message) => self.handle_nat(now, link, ask, message),
            message @ (Message::RingReply(_) | Message::Postings(_)) => {
                if let Some(about) = self.asks.answered(link, ask) {
                    self.answered(now, about, Some(message));
                }
            }
            Message::Forward(message) => self.handle_forward(now, link, ask, message),
            Message::Election(message) => self.handle_election(now, link, ask, message),
            // Only a super-peer enrols and is asked about the ring.
            Message::Enrolment(_) | Message::RingQuestion(_) => self.links.close(link),
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        for (link, news) in self.links.handle_timeout(now) {
            self.handle_news(now, link, news);
        }
        for about in self.asks.overdue(now) {
            self.answered(now, about, None);
        }
        self.account_due(now);
        self.home_due(now);
        self.registered_due(now);
        self.lease_due(now);
        self.held_due(now);
        self.lost_due(now);
        self.post_waiting(now);
        self.repeat_due(now);
        self.nat_due(now);
        self.reach_due(now);
        self.reachability_due(now);
        self.requests_due(now);
        self.searches_due(now);
        self.profile_due(now);
        self.questions_due(now);
        self.calls_due(now);
        self.meet(now);
    }

    /// What follows from an input inside the machine itself: broken links are told, calls say what
    /// they want.
    fn settle(&mut self, now: Instant) {
        while self.links.has_broken() {
            for (link, news) in self.links.handle_timeout(now) {
                self.handle_news(now, link, news);
            }
        }
        self.drain_calls(now);
    }

    fn next_timeout(&self) -> Option<Instant> {
        [
            self.links.poll_timeout(),
            self.asks.next_deadline(),
            self.account_timeout(),
            self.home_timeout(),
            self.registered.next_due(),
            self.presences.absences.next_due(),
            self.post.next_due(),
            self.chats.next_due(),
            self.nat_watch.next_due(),
            self.near_timeout(),
            self.reach.next_due(),
            self.believed.next_due(),
            self.searches.next_due(),
            self.profile_timeout(),
            self.questions.poll_timeout(),
            self.calls.as_ref().and_then(Calls::poll_timeout),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}

impl Machine for Peer {
    type Notice = Notice;
    type Record = Record;

    fn handle(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Timeout => self.handle_timeout(now),
            Input::Clock(wall) => self.clock = WallClock::new(now, wall),
            Input::Network => self.network_changed(now),
            Input::Mapped(port, address) => self.mapped(now, port, address),
            Input::Nearby(sighting) => self.handle_sighting(now, sighting),
            Input::Datagram { from, bytes } => self.handle_datagram(now, from, bytes),
            Input::Link(link, event) => {
                let wall = self.wall(now);
                for news in self.links.handle(now, wall, link, event) {
                    self.handle_news(now, link, news);
                }
            }
            Input::Path(path, event) => self.handle_path(now, path, event),
            Input::Voice(call, event) => self.handle_voice(now, call, event),
            Input::Saved(id) => self.saved(now, id),
            Input::NotSaved(id, why) => self.not_saved(id, why),
            Input::Worked(_, worked) => self.handle_worked(now, *worked),
            // A peer runs no relay.
            Input::RelayPort(..) => {}
        }
        self.settle(now);
    }

    fn poll_output(&mut self) -> Output<Notice, Record> {
        if let Some(output) = self.out.pop_front() {
            return output;
        }
        if let Some((link, order)) = self.links.poll_order() {
            return Output::Link(link, order);
        }
        if let Some(transmit) = self.questions.poll_transmit() {
            return Output::Send(transmit);
        }
        let reason = if self.session.is_some() { WaitReason::Timer } else { WaitReason::Idle };
        Output::Wait(self.next_timeout(), reason)
    }
}
