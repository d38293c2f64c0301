//! The post: sealing what goes to other people's devices, choosing its road, and opening what
//! comes.
//!
//! Roads are the lecture's (slide 32): straight to the device, over the device's home, or over our
//! home and theirs. Devices near by have a link of their own for all of it. What is sent over our
//! home is paced by its answers, calls excepted: who has many buddies or much to say must not run
//! the link over. What comes is opened once: an envelope that was seen before is dropped. Nothing
//! of a blocked user is read, and what a buddy says under another identity key than the pinned one
//! waits for the user's word.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::ids::{CallId, NodeId, UserName};
use crate::port::{LinkId, Service};
use crate::secure::envelope::{self, EnvelopeId, Opened};
use crate::secure::identity::network;
use crate::secure::link::Expect;
use crate::secure::links::{Links, Who};
use crate::wire::bounded::Bytes;
use crate::wire::certificate::{AgreeKey, HolderKeys, VerifyKey};
use crate::wire::directory::NodeEntry;
use crate::wire::forward::{Address, ENVELOPE_MAX, Forward, Undelivered};
use crate::wire::invite::Door;
use crate::wire::sealed::Content;
use crate::wire::sealed::call::SignalingCase;

use super::buddies::Trust;
use super::call::signaling::Route;
use super::home::door_of;
use super::{About, Peer};

/// Envelopes remembered so that a repeated one is known. Our choice: hours of busy talk.
const SEEN_MAX: usize = 4096;
/// Links to super-peers that are not our home, and to devices, at once.
const VISITS_MAX: usize = 32;

/// Bytes of letters that were sent and not answered, beyond which others wait. Our choice: an
/// eighth of what may wait on a link (`secure/records.rs`), so that greeting a thousand buddies
/// leaves room for a call.
const UNANSWERED_MAX: usize = 128 * 1024;
/// Pause after a super-peer has said that we send too much. Our choice: budgets fill by the second.
const REST: Duration = Duration::from_secs(1);
/// Letters that wait at most. Our choice: a thousand buddies with four devices each.
const QUEUED_MAX: usize = 4096;

/// Envelopes seen, what is on its way and what waits, and links opened only to bring something.
#[derive(Debug, Default)]
pub(super) struct Post {
    seen: VecDeque<EnvelopeId>,
    /// Bytes of letters that were sent and not answered; those of calls are not counted.
    unanswered: usize,
    /// Letters that wait until others are answered.
    queue: VecDeque<(Address, Content, Letter)>,
    /// We sent too much: nothing that waits is sent before.
    rests_until: Option<Instant>,
    /// Links to super-peers that are not our home, by their keys.
    visits: Vec<(AgreeKey, LinkId)>,
    /// Links to such that look or post for us, likewise.
    errands: Vec<(AgreeKey, LinkId)>,
    /// Links to devices, dialled or accepted.
    straight: Vec<(Address, LinkId)>,
}

/// A letter on its way, kept until it is known what became of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sent {
    to: Address,
    content: Content,
    letter: Letter,
    /// The home that was to bring it to the device.
    home: Option<NodeId>,
    /// How many of its bytes count as unanswered.
    counted: usize,
}

/// What a letter was about, so that its fate finds its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Letter {
    /// A call's signal, and the case by which it went.
    Call(CallId, SignalingCase),
    /// A request to be buddies.
    Request(UserName),
    /// Anything whose loss is found by other means.
    Other,
}

/// What became of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It reached the device's link.
    Delivered,
    /// A super-peer says why it did not.
    Failed(Undelivered),
    /// No connection, or no answer on it.
    NoConnection,
    /// We have no home at the moment.
    Unlinked,
}

/// Who sent what was opened.
#[derive(Clone, Debug)]
pub(super) struct Sender {
    /// The device.
    pub(super) address: Address,
    /// Its user's identity key.
    pub(super) identity: VerifyKey,
    /// Its keys.
    pub(super) keys: HolderKeys,
    /// How we stand with the user.
    pub(super) trust: Trust,
}

impl Post {
    pub(super) fn waiting(&self) -> usize {
        self.queue.len()
    }

    pub(super) const fn next_due(&self) -> Option<Instant> {
        self.rests_until
    }

    /// Puts a letter at the end of the queue; one that tells a device how we are takes the place of
    /// another that does. False when the queue is full.
    fn wait(&mut self, to: &Address, content: &Content, letter: &Letter) -> bool {
        if let Content::Presence(said) = content
            && let Some(before) = self.queue.iter_mut().find_map(|(other, content, _)| {
                let Content::Presence(before) = content else { return None };
                (other == to).then_some(before)
            })
        {
            let ask_back = before.ask_back || said.ask_back;
            *before = said.clone();
            before.ask_back = ask_back;
            return true;
        }
        let has_room = self.queue.len() < QUEUED_MAX;
        if has_room {
            self.queue.push_back((to.clone(), content.clone(), letter.clone()));
        }
        has_room
    }
}

impl Peer {
    /// Sends something to all devices of a user that have a home; answers to how many.
    pub(super) fn post_to_user(
        &mut self,
        now: Instant,
        user: &UserName,
        content: &Content,
    ) -> usize {
        let me = self.session.as_ref().map(|s| s.address.clone());
        let devices: Vec<Address> = self
            .cards
            .reachable(user)
            .map(|(address, _)| address.clone())
            .filter(|address| Some(address) != me.as_ref())
            .collect();
        for device in &devices {
            self.post(now, device, content, Letter::Other);
        }
        devices.len()
    }

    /// Seals something for a device and sends it over our home and theirs, when its turn comes.
    pub(super) fn post(&mut self, now: Instant, to: &Address, content: &Content, letter: Letter) {
        let must_wait = self.post.unanswered >= UNANSWERED_MAX
            || !self.post.queue.is_empty()
            || self.post.rests_until.is_some();
        if !must_wait || matches!(letter, Letter::Call(..)) {
            self.post_now(now, to, content, letter);
        } else if !self.post.wait(to, content, &letter) {
            self.letter_fate(now, to, letter, Fate::NoConnection);
        }
    }

    /// Seals something for a device and sends it over our home and theirs at once.
    pub(super) fn post_now(
        &mut self,
        now: Instant,
        to: &Address,
        content: &Content,
        letter: Letter,
    ) {
        let road = self.cards.get(to).and_then(|card| {
            let route = match card.home {
                _ if card.is_near => Route::Straight { at: None },
                Some(home) => Route::BothSuperPeers { home },
                None => return None,
            };
            Some((card.keys.agree, route))
        });
        match road {
            Some((agree, route)) => self.post_by(now, to, &agree, &route, content, letter),
            None => self.letter_fate(now, to, letter, Fate::Failed(Undelivered::NotHere)),
        }
    }

    /// Seals something for a device and sends it by that route. Its fate comes to `letter_fate`.
    pub(super) fn post_by(
        &mut self,
        now: Instant,
        to: &Address,
        agree: &AgreeKey,
        route: &Route,
        content: &Content,
        letter: Letter,
    ) {
        let Some(sealed) = self.seal(now, agree, content) else {
            return self.letter_fate(now, to, letter, Fate::Failed(Undelivered::NotHere));
        };
        let counted = if matches!(letter, Letter::Call(..)) { 0 } else { sealed.len() };
        let home = match route {
            Route::TheirSuperPeer { home } | Route::BothSuperPeers { home } => Some(home.node),
            Route::Straight { .. } | Route::MySuperPeer => None,
        };
        let (content, to_whom) = (content.clone(), to.clone());
        let sent = Sent { to: to_whom, content, letter: letter.clone(), home, counted };
        let about = About::Letter(Box::new(sent));
        let (own, near, to) = (self.home_link(), self.nearby.link_to(to), to.clone());
        let (link, message) = match (route, own) {
            _ if let Some(link) = near => (link, Forward::Deliver { to, sealed }),
            (Route::Straight { at }, _) => match self.straight_link(now, &to, *at, *agree) {
                Some(link) => (link, Forward::Deliver { to, sealed }),
                None => return self.letter_fate(now, &to, letter, Fate::NoConnection),
            },
            (Route::TheirSuperPeer { home }, _) => {
                (self.link_to_node(now, home), Forward::Deliver { to, sealed })
            }
            (Route::MySuperPeer, Some((link, _))) => (link, Forward::Deliver { to, sealed }),
            (Route::BothSuperPeers { home }, Some((link, _))) => {
                (link, Forward::ThroughYou { home: *home, to, sealed })
            }
            (Route::MySuperPeer | Route::BothSuperPeers { .. }, None) => {
                return self.letter_fate(now, &to, letter, Fate::Unlinked);
            }
        };
        self.post.unanswered += counted;
        self.ask(now, link, about, message);
    }

    fn seal(
        &mut self,
        now: Instant,
        to: &AgreeKey,
        content: &Content,
    ) -> Option<Bytes<ENVELOPE_MAX>> {
        let wall = self.wall(now);
        let home = self.home_link().map(|(_, node)| node);
        let session = self.session.as_ref()?;
        let from = envelope::From { keys: &session.vault.keys, chain: &session.vault.chain, home };
        let network = network(&session.vault.root);
        envelope::seal(from, to, &network, wall, content, &mut self.entropy.secrets).ok()
    }

    /// A link to a super-peer: the home's, an open one, or a new one.
    pub(super) fn link_to_node(&mut self, now: Instant, node: &NodeEntry) -> LinkId {
        if let Some((link, home)) = self.home_link()
            && home.node == node.node
        {
            return link;
        }
        road(&mut self.post.visits, &mut self.links, now, &door_of(node))
    }

    /// A link to a super-peer on an errand: the home's, that of a visit, or one of its own, which
    /// is closed when all errands are done.
    pub(super) fn errand_to(&mut self, now: Instant, door: &Door) -> LinkId {
        if let Some((link, home)) = self.home_link()
            && home.key == door.key
        {
            return link;
        }
        if let Some(link) = self.visit_of(&door.key) {
            return link;
        }
        road(&mut self.post.errands, &mut self.links, now, door)
    }

    /// Closes the links of errands when none is under way.
    pub(super) fn errand_done(&mut self) {
        if !self.searches.looks_for_words() && !self.profile.is_posting() {
            let errands = std::mem::take(&mut self.post.errands).into_iter();
            errands.for_each(|(_, link)| self.links.close(link));
        }
    }

    /// A link to a super-peer for one question: an open one, or one of its own, which whoever asks
    /// closes after.
    pub(super) fn link_for_once(&mut self, now: Instant, door: &Door) -> (LinkId, bool) {
        if let Some(open) = self.visit_of(&door.key) {
            return (open, false);
        }
        let expect = Expect::Key(door.key);
        (self.links.dial(now, door.address, Service::SuperPeer, expect), true)
    }

    /// The open link to the super-peer with that key, if we visit it.
    pub(super) fn visit_of(&self, key: &AgreeKey) -> Option<LinkId> {
        let mut visits = self.post.visits.iter().map(|(_, link)| *link);
        visits.find(|link| match self.links.who(*link) {
            Some(Who::Node(node)) => node.key == *key,
            Some(Who::Device { .. } | Who::Authority | Who::Guest(_)) | None => false,
        })
    }

    /// A connection to a device itself: an open one, or a new one where an address is given.
    fn straight_link(
        &mut self,
        now: Instant,
        to: &Address,
        at: Option<SocketAddr>,
        agree: AgreeKey,
    ) -> Option<LinkId> {
        if let Some((_, link)) = self.post.straight.iter().find(|(device, _)| device == to) {
            return Some(*link);
        }
        if self.post.straight.len() >= VISITS_MAX {
            let (_, oldest) = self.post.straight.remove(0);
            self.links.close(oldest);
        }
        let link = self.links.dial(now, at?, Service::Peer, Expect::Key(agree));
        self.post.straight.push((to.clone(), link));
        Some(link)
    }

    /// Closes the connection to a device that was opened for a call.
    pub(super) fn close_straight(&mut self, to: &Address) {
        if let Some(place) = self.post.straight.iter().position(|(device, _)| device == to) {
            let (_, link) = self.post.straight.swap_remove(place);
            self.links.close(link);
        }
    }

    /// Links other than the home's may be dead without having ended: what is said next goes over
    /// new ones, and what waits for an answer has failed.
    pub(super) fn doubt_roads(&mut self, now: Instant) {
        let visits = std::mem::take(&mut self.post.visits).into_iter().map(|(_, link)| link);
        let is_ours = |(_, link): &mut (Address, LinkId)| matches!(link, LinkId::Dialled(_));
        let straight = self.post.straight.extract_if(.., is_ours).map(|(_, link)| link);
        let roads: Vec<LinkId> = visits.chain(straight).collect();
        roads.into_iter().for_each(|link| self.let_go(now, link));
    }

    /// A device has linked to us directly. Only buddies may: others are shown the door.
    pub(super) fn straight_opened(&mut self, link: LinkId, who: &Who) {
        let Who::Device { address, identity, .. } = who else { return self.links.close(link) };
        if self.buddies.trust(&address.user, identity) != Trust::Buddy {
            return self.links.close(link);
        }
        if self.post.straight.len() < VISITS_MAX {
            self.post.straight.push((address.clone(), link));
        } else {
            self.links.close(link);
        }
    }

    /// A link is gone: it brings nothing any more.
    pub(super) fn road_closed(&mut self, link: LinkId) {
        self.post.visits.retain(|(_, id)| *id != link);
        self.post.errands.retain(|(_, id)| *id != link);
        self.post.straight.retain(|(_, id)| *id != link);
    }

    /// Closes the links that were opened only to bring something, and drops what waits.
    pub(super) fn close_roads(&mut self) {
        self.post.queue.clear();
        self.post.rests_until = None;
        let visits = std::mem::take(&mut self.post.visits).into_iter().map(|(_, link)| link);
        let errands = std::mem::take(&mut self.post.errands).into_iter().map(|(_, link)| link);
        let straight = std::mem::take(&mut self.post.straight).into_iter().map(|(_, link)| link);
        visits.chain(errands).chain(straight).for_each(|link| self.links.close(link));
    }

    /// What became of a letter, as told by whoever was to bring it (none: nobody told in time). If
    /// we sent too much, it is the first to be sent again.
    pub(super) fn letter_answered(&mut self, now: Instant, sent: Sent, answer: Option<Forward>) {
        let Sent { to, content, letter, home, counted } = sent;
        self.post.unanswered -= counted;
        let fate = match answer {
            Some(Forward::Delivered) => Fate::Delivered,
            Some(Forward::Undelivered { reason }) => Fate::Failed(reason),
            Some(_) | None => Fate::NoConnection,
        };
        if fate == Fate::Failed(Undelivered::TooMuch) && !matches!(letter, Letter::Call(..)) {
            self.post.queue.push_front((to, content, letter));
            self.post.rests_until.get_or_insert(now + REST);
        } else if home.is_some_and(|home| self.cards.is_elsewhere(&to, &home)) {
            // It has moved meanwhile: what its home of then says is of the past.
            self.letter_told(now, &to, letter, fate);
        } else {
            self.letter_fate(now, &to, letter, fate);
        }
        self.post_waiting(now);
    }

    /// Sends what waits, as far as it may go.
    pub(super) fn post_waiting(&mut self, now: Instant) {
        self.post.rests_until.take_if(|until| *until <= now);
        while self.post.unanswered < UNANSWERED_MAX
            && self.post.rests_until.is_none()
            && let Some((to, content, letter)) = self.post.queue.pop_front()
        {
            self.post_now(now, &to, &content, letter);
        }
    }

    fn letter_fate(&mut self, now: Instant, to: &Address, letter: Letter, fate: Fate) {
        match fate {
            Fate::Failed(Undelivered::NotHere) => {
                self.device_gone(now, to);
                self.not_met(now, &to.user);
            }
            Fate::Failed(Undelivered::HomeUnreachable) => {
                self.home_unreachable(now, to);
                self.not_met(now, &to.user);
            }
            Fate::NoConnection => self.not_met(now, &to.user),
            Fate::Failed(Undelivered::TooMuch | Undelivered::NotAllowed)
            | Fate::Delivered
            | Fate::Unlinked => {}
        }
        self.letter_told(now, to, letter, fate);
    }

    /// Tells a letter's fate to whoever waits for it.
    fn letter_told(&mut self, now: Instant, to: &Address, letter: Letter, fate: Fate) {
        match letter {
            Letter::Call(call, case) => self.call_letter_fate(now, call, to, case, fate),
            Letter::Request(user) if fate == Fate::Delivered => self.request_delivered(&user),
            Letter::Request(_) | Letter::Other => {}
        }
    }

    /// Something was brought to us.
    pub(super) fn handle_forward(
        &mut self,
        now: Instant,
        link: LinkId,
        ask: u32,
        message: Forward,
    ) {
        match message {
            Forward::Deliver { to, sealed } => {
                let mine = self.session.as_ref().is_some_and(|s| s.address == to);
                if mine {
                    self.open_letter(now, link, &sealed);
                }
                if ask != 0 {
                    let reason = Undelivered::NotHere;
                    let answer =
                        if mine { Forward::Delivered } else { Forward::Undelivered { reason } };
                    self.links.send(now, link, ask, answer);
                }
            }
            // Whom we watch, our home watches for us.
            Forward::Gone { who, watcher: _, home } if self.is_of_home(link) => {
                self.gone_from(now, &who, home.as_ref());
            }
            Forward::Lost { who, watcher: _, home } if self.is_of_home(link) => {
                self.watch_lost(now, &who, &home);
            }
            Forward::Delivered | Forward::Undelivered { .. } | Forward::Watching => {
                match self.asks.answered(link, ask) {
                    Some(About::Watch(watched, home)) => {
                        self.watch_answered(now, &watched, &home, &message);
                    }
                    Some(About::Letter(sent)) => self.letter_answered(now, *sent, Some(message)),
                    Some(about) => self.answered(now, about, None),
                    None => {}
                }
            }
            Forward::Gone { .. }
            | Forward::Lost { .. }
            | Forward::ThroughYou { .. }
            | Forward::Watch { .. }
            | Forward::Subscribers { .. }
            | Forward::Copied
            | Forward::HomeDead { .. }
            | Forward::Subscribed { .. }
            | Forward::Unwatch { .. } => self.links.close(link),
        }
    }

    fn open_letter(&mut self, now: Instant, link: LinkId, sealed: &[u8]) {
        let (wall, purpose) = (self.wall(now), self.purpose_on(link));
        let Some(session) = &self.session else { return };
        let vault = &session.vault;
        let Ok(opened) = envelope::open(&vault.keys.link, &vault.root, wall, purpose, sealed)
        else {
            tracing::debug!("An envelope that cannot be opened was dropped");
            return;
        };
        let Opened { id, sender, sealed_at, home, content } = opened;
        if self.post.seen.contains(&id) {
            return;
        }
        if self.post.seen.len() == SEEN_MAX {
            self.post.seen.pop_front();
        }
        self.post.seen.push_back(id);
        let envelope::Sender { address, identity, keys, .. } = sender;
        let trust = self.trust(&address.user, &identity);
        if matches!(trust, Trust::Blocked | Trust::OtherKey) {
            return;
        }
        let at = wall.min(sealed_at);
        self.cards.certified(&address, identity, keys, at);
        self.cards.written_from(&address, home, at);
        let from = Sender { address, identity, keys, trust };
        match content {
            Content::Buddy(message) => self.handle_buddy(now, &from, message),
            Content::Presence(message) => self.handle_presence(now, &from, message),
            Content::Chat(message) => self.handle_chat(now, &from, message),
            Content::Call(signal) => self.handle_call_signal(now, &from, &signal),
            Content::Own(message) => self.handle_own(now, &from, message),
        }
    }

    /// How we stand with a user who shows this key; a buddy's changed key is noted and told.
    fn trust(&mut self, user: &UserName, identity: &VerifyKey) -> Trust {
        if self.session.as_ref().is_some_and(|s| s.address.user == *user) {
            let own = self.session.as_ref().map(|s| s.vault.vault.identity);
            return if own == Some(*identity) { Trust::Myself } else { Trust::OtherKey };
        }
        let trust = self.buddies.trust(user, identity);
        if trust == Trust::OtherKey {
            self.key_changed(user);
        }
        trust
    }
}

/// The link to a super-peer among these, or a new one, which takes the place of the oldest when
/// there are many.
fn road(
    roads: &mut Vec<(AgreeKey, LinkId)>,
    links: &mut Links,
    now: Instant,
    door: &Door,
) -> LinkId {
    if let Some((_, link)) = roads.iter().find(|(key, _)| *key == door.key) {
        return *link;
    }
    if roads.len() >= VISITS_MAX {
        let (_, oldest) = roads.remove(0);
        links.close(oldest);
    }
    let link = links.dial(now, door.address, Service::SuperPeer, Expect::Key(door.key));
    roads.push((door.key, link));
    link
}
