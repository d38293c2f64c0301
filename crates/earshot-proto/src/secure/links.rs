//! All links of one machine: who is at the other end of each, and their handshakes, beats and
//! deaths.
//!
//! A role speaks to links by [`LinkId`] and never sees bytes: it gets [`LinkNews`] and sends
//! frames. Frames sent before a handshake ends wait in the link. Invariant: [`LinkNews::Opened`]
//! comes before any frame, and [`LinkNews::Closed`] comes exactly once for every link that was
//! dialled or accepted, unless we closed it ourselves.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::also::Also;
use super::identity::LinkKey;
use super::link::{self, Expect, LinkError, LocalIdentity, Opened, Remote, SecureLink, Welcome};
use crate::entropy::Stream;
use crate::ids::DeviceId;
use crate::port::{LinkDown, LinkEvent, LinkId, LinkOrder, Service};
use crate::time::UnixTime;
use crate::wire::certificate::{
    AgreeKey, Chain, HolderKeys, Signed, Statement, Subject, VerifyKey,
};
use crate::wire::directory::NodeEntry;
use crate::wire::forward::Address;
use crate::wire::frame::{Frame, Message};
use crate::wire::invite::AlsoAt;

/// Who is at the other end of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// A device of a user.
    Device {
        /// The user and the device.
        address: Address,
        /// The user's identity key K_u.
        identity: VerifyKey,
        /// The device's keys.
        keys: HolderKeys,
    },
    /// A super-peer.
    Node(NodeEntry),
    /// A login authority.
    Authority,
    /// Somebody without a certificate, who holds this key.
    Guest(AgreeKey),
}

impl Who {
    /// Whether it is the device with this address.
    #[must_use]
    pub fn is_device(&self, wanted: &Address) -> bool {
        matches!(self, Self::Device { address, .. } if address == wanted)
    }

    /// The device's id, if it is a device.
    #[must_use]
    pub const fn device(&self) -> Option<DeviceId> {
        match self {
            Self::Device { address, .. } => Some(address.device),
            Self::Node(_) | Self::Authority | Self::Guest(_) => None,
        }
    }
}

/// What happens on a link.
#[derive(Clone, Debug, PartialEq)]
pub enum LinkNews {
    /// The other side is known; its wall clock comes along.
    Opened(Who, UnixTime),
    /// A frame came.
    Frame(Frame),
    /// It is gone.
    Closed(Closed),
}

/// Why a link is gone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    /// The connection ended or never began.
    #[error("connection gone: {0:?}")]
    Down(LinkDown),
    /// We closed it because of what the other side said or did not say.
    #[error(transparent)]
    Error(#[from] LinkError),
}

impl Closed {
    /// Whether the other side was silent for so long that it counts as dead, rather than that the
    /// connection broke or ended.
    #[must_use]
    pub const fn is_silence(&self) -> bool {
        matches!(self, Self::Error(LinkError::Silent))
    }
}

/// All links of one machine.
pub struct Links {
    key: LinkKey,
    chain: Option<Chain>,
    root: Option<VerifyKey>,
    secrets: Stream,
    table: BTreeMap<LinkId, Entry>,
    last_dialled: u32,
    /// How each service that we offer lets others in.
    welcomes: Vec<(Service, Welcome)>,
    orders: VecDeque<(LinkId, LinkOrder)>,
    broken: Vec<(LinkId, Closed)>,
    /// Second addresses of those whom we may dial.
    also: Also,
}

struct Entry {
    link: SecureLink,
    remote: SocketAddr,
    /// Our own end, where we dialled and are connected.
    local: Option<SocketAddr>,
    service: Service,
    connected: bool,
    /// When our dial had succeeded: then our first message left.
    began: Option<Instant>,
    /// From then to the first answer.
    round_trip: Option<Duration>,
    who: Option<Who>,
    /// What the authority has signed for a super-peer at the other end.
    statement: Option<Signed<Statement>>,
    /// End of the certificate of whoever is at the other end.
    until: Option<UnixTime>,
    since: UnixTime,
}

impl Links {
    /// No links yet. `welcomes` says whom each offered service lets in. Without a root nobody is
    /// met: see [`Links::join`].
    #[must_use]
    pub const fn new(
        key: LinkKey,
        root: Option<VerifyKey>,
        welcomes: Vec<(Service, Welcome)>,
        secrets: Stream,
    ) -> Self {
        Self {
            key,
            chain: None,
            root,
            secrets,
            table: BTreeMap::new(),
            last_dialled: 0,
            welcomes,
            orders: VecDeque::new(),
            broken: Vec::new(),
            also: Also::new(),
        }
    }

    /// From now on links are opened with this certificate.
    pub fn certify(&mut self, chain: Chain) {
        self.chain = Some(chain);
    }

    /// From now on links are opened with this key and certificate; open ones stay as they are.
    pub fn become_holder(&mut self, key: &LinkKey, chain: Option<Chain>) {
        self.key = LinkKey::from_secret(&key.secret());
        self.chain = chain;
    }

    /// Links are for the network of this root from now on.
    pub const fn join(&mut self, root: VerifyKey) {
        self.root = Some(root);
    }

    /// A link id that is used by no link: for connections that carry no frames.
    pub const fn spare_id(&mut self) -> LinkId {
        self.last_dialled = self.last_dialled.wrapping_add(1);
        LinkId::Dialled(self.last_dialled)
    }

    /// Dials. Frames may be sent at once; they wait for the handshake.
    pub fn dial(
        &mut self,
        now: Instant,
        to: SocketAddr,
        service: Service,
        expect: Expect,
    ) -> LinkId {
        let id = self.spare_id();
        let Some(root) = self.root else {
            self.broken.push((id, Closed::Down(LinkDown::Unreachable)));
            return id;
        };
        let also = match &expect {
            Expect::Key(key) | Expect::Uncertified(key) => self.also.of(key, to),
            Expect::Anyone | Expect::DeviceOf(_) => None,
        };
        let link = SecureLink::dial(
            local(&self.key, self.chain.as_ref(), root),
            service,
            expect,
            now,
            &mut self.secrets,
        );
        self.table.insert(
            id,
            Entry {
                link,
                remote: to,
                local: None,
                service,
                connected: false,
                began: None,
                round_trip: None,
                who: None,
                statement: None,
                until: None,
                since: UnixTime(0),
            },
        );
        self.orders.push_back((id, LinkOrder::Dial { to, also, service }));
        id
    }

    /// Takes what happened on a link.
    pub fn handle(
        &mut self,
        now: Instant,
        wall: UnixTime,
        id: LinkId,
        event: LinkEvent<'_>,
    ) -> Vec<LinkNews> {
        match event {
            LinkEvent::Accepted { from, service } => {
                self.accept(now, id, from, service);
                Vec::new()
            }
            LinkEvent::Connected { local } => {
                if let Some(entry) = self.table.get_mut(&id) {
                    entry.local = Some(local);
                    entry.connected = true;
                    entry.began = Some(now);
                    flush(id, entry, &mut self.orders);
                }
                Vec::new()
            }
            LinkEvent::Bytes(bytes) => self.handle_bytes(now, wall, id, bytes),
            LinkEvent::Down(why) => {
                let known = self.table.remove(&id).is_some();
                known.then_some(LinkNews::Closed(Closed::Down(why))).into_iter().collect()
            }
        }
    }

    fn accept(&mut self, now: Instant, id: LinkId, remote: SocketAddr, service: Service) {
        let offered = self.welcomes.iter().find(|(offered, _)| *offered == service);
        let (Some((_, welcome)), Some(root)) = (offered, self.root) else {
            self.orders.push_back((id, LinkOrder::Close));
            return;
        };
        let link = SecureLink::accept(
            local(&self.key, self.chain.as_ref(), root),
            service,
            *welcome,
            now,
            &mut self.secrets,
        );
        self.table.insert(
            id,
            Entry {
                link,
                remote,
                local: None,
                service,
                connected: true,
                began: None,
                round_trip: None,
                who: None,
                statement: None,
                until: None,
                since: UnixTime(0),
            },
        );
    }

    fn handle_bytes(
        &mut self,
        now: Instant,
        wall: UnixTime,
        id: LinkId,
        bytes: &[u8],
    ) -> Vec<LinkNews> {
        let Some(entry) = self.table.get_mut(&id) else { return Vec::new() };
        let measured = entry.began.map(|began| now.saturating_duration_since(began));
        entry.round_trip = entry.round_trip.or(measured);
        let mut heard = Vec::new();
        let result = entry.link.handle_bytes(now, wall, bytes, &mut heard);
        let mut news = Vec::with_capacity(heard.len());
        for item in heard {
            news.push(match item {
                link::LinkNews::Open(opened) => {
                    let Opened { remote, chain, clock, .. } = opened;
                    if let Remote::Certified(verified) = &remote {
                        entry.until = Some(verified.statement.not_after);
                    }
                    let (who, hint) = who_is(remote);
                    if let Some(hint) = hint {
                        self.also.learn(hint);
                    }
                    if let Who::Node(_) = who {
                        entry.statement = chain.and_then(|chain| chain.holder);
                    }
                    entry.who = Some(who.clone());
                    entry.since = wall;
                    LinkNews::Opened(who, clock)
                }
                link::LinkNews::Frame(frame) => LinkNews::Frame(frame),
            });
        }
        flush(id, entry, &mut self.orders);
        if let Err(error) = result {
            self.close(id);
            news.push(LinkNews::Closed(error.into()));
        }
        news
    }

    /// Sends a frame. On a link that is gone nothing happens: its end was or will be told.
    pub fn send(&mut self, now: Instant, id: LinkId, ask: u32, message: impl Into<Message>) {
        let Some(entry) = self.table.get_mut(&id) else { return };
        match entry.link.send(now, &Frame { ask, message: message.into() }) {
            Ok(()) => flush(id, entry, &mut self.orders),
            Err(error) => {
                self.close(id);
                self.broken.push((id, error.into()));
            }
        }
    }

    /// Closes a link after what was sent on it; nothing more is told of it.
    pub fn close(&mut self, id: LinkId) {
        if self.table.remove(&id).is_some() {
            self.orders.push_back((id, LinkOrder::Close));
        }
    }

    /// Closes all links.
    pub fn close_all(&mut self) {
        let ids: Vec<LinkId> = self.table.keys().copied().collect();
        ids.into_iter().for_each(|id| self.close(id));
    }

    /// Takes hints where others listen too.
    pub fn also_told(&mut self, hints: &[AlsoAt]) {
        hints.iter().for_each(|hint| self.also.learn(*hint));
    }

    /// Forgets where those listen too who are not wanted.
    pub fn keep_also(&mut self, wanted: impl Fn(&AgreeKey) -> bool) {
        self.also.keep(wanted);
    }

    /// Where these listen too, as far as it is known.
    #[must_use]
    pub fn also_of(&self, nodes: &[NodeEntry], other: Option<&AgreeKey>) -> Vec<AlsoAt> {
        self.also.among(nodes, other)
    }

    /// Where anybody listens too, as far as it is known.
    pub fn also(&self) -> impl Iterator<Item = AlsoAt> {
        self.also.all()
    }

    /// The address that datagrams to a node of this link go to: of the family that the link was
    /// made by.
    #[must_use]
    pub fn datagrams_to(&self, id: LinkId, node: &NodeEntry) -> SocketAddr {
        let v6 = self.also.of(&node.key, node.address).filter(|_| self.is_by_v6(id));
        v6.map_or(node.address, SocketAddr::V6)
    }

    /// Whether a link that we dialled was made by IPv6.
    #[must_use]
    pub fn is_by_v6(&self, id: LinkId) -> bool {
        self.local_address(id).is_some_and(|local| local.ip().to_canonical().is_ipv6())
    }

    /// Who is at the other end; none before the handshake has ended.
    #[must_use]
    pub fn who(&self, id: LinkId) -> Option<&Who> {
        self.table.get(&id)?.who.as_ref()
    }

    /// What the authority has signed for the super-peer at the other end.
    #[must_use]
    pub fn statement(&self, id: LinkId) -> Option<&Signed<Statement>> {
        self.table.get(&id)?.statement.as_ref()
    }

    /// When the certificate of whoever is at the other end ends or has ended.
    #[must_use]
    pub fn certified_until(&self, id: LinkId) -> Option<UnixTime> {
        self.table.get(&id)?.until
    }

    /// The other end's address.
    #[must_use]
    pub fn remote_address(&self, id: LinkId) -> Option<SocketAddr> {
        Some(self.table.get(&id)?.remote)
    }

    /// Our own address on a link that we dialled, once it is connected.
    #[must_use]
    pub fn local_address(&self, id: LinkId) -> Option<SocketAddr> {
        self.table.get(&id)?.local
    }

    /// How long a link that we dialled took there and back, when it was made.
    #[must_use]
    pub fn round_trip(&self, id: LinkId) -> Option<Duration> {
        self.table.get(&id)?.round_trip
    }

    /// What the link is for.
    #[must_use]
    pub fn service(&self, id: LinkId) -> Option<Service> {
        Some(self.table.get(&id)?.service)
    }

    /// The open links: what for, to where, since when.
    pub fn open(&self) -> impl Iterator<Item = (Service, SocketAddr, UnixTime)> {
        let open = self.table.values().filter(|entry| entry.who.is_some());
        open.map(|entry| (entry.service, entry.remote, entry.since))
    }

    /// The links that others have opened, the oldest first: from where, and by whom as soon as that
    /// is known.
    pub fn accepted(&self) -> impl Iterator<Item = (LinkId, SocketAddr, Option<&Who>)> {
        let accepted = self.table.iter().filter(|(id, _)| matches!(id, LinkId::Accepted(_)));
        accepted.map(|(id, entry)| (*id, entry.remote, entry.who.as_ref()))
    }

    /// Links that are open or opening.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// The next thing to do with a link.
    pub fn poll_order(&mut self) -> Option<(LinkId, LinkOrder)> {
        self.orders.pop_front()
    }

    /// When [`Links::handle_timeout`] is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.table.values().filter_map(|entry| entry.link.poll_timeout()).min()
    }

    /// Sends beats, and finds dead links. To be called also after sending, when
    /// [`Links::has_broken`].
    pub fn handle_timeout(&mut self, now: Instant) -> Vec<(LinkId, LinkNews)> {
        let mut dead = std::mem::take(&mut self.broken);
        for (id, entry) in &mut self.table {
            match entry.link.handle_timeout(now) {
                Ok(()) => flush(*id, entry, &mut self.orders),
                Err(error) => dead.push((*id, error.into())),
            }
        }
        for (id, _) in &dead {
            self.close(*id);
        }
        dead.into_iter().map(|(id, why)| (id, LinkNews::Closed(why))).collect()
    }

    /// Whether a link broke while something was sent on it: its end waits in
    /// [`Links::handle_timeout`].
    #[must_use]
    pub const fn has_broken(&self) -> bool {
        !self.broken.is_empty()
    }
}

fn local<'a>(key: &'a LinkKey, chain: Option<&'a Chain>, root: VerifyKey) -> LocalIdentity<'a> {
    LocalIdentity { key, chain, root, features: 0 }
}

fn flush(id: LinkId, entry: &mut Entry, orders: &mut VecDeque<(LinkId, LinkOrder)>) {
    if !entry.connected {
        return;
    }
    while let Some(bytes) = entry.link.take_output() {
        orders.push_back((id, LinkOrder::Bytes(bytes)));
    }
}

/// Who it is, and where it listens too.
fn who_is(remote: Remote) -> (Who, Option<AlsoAt>) {
    let verified = match remote {
        Remote::Certified(verified) => verified,
        Remote::Guest(key) => return (Who::Guest(key), None),
    };
    match verified.statement.subject {
        Subject::Authority { .. } => (Who::Authority, None),
        Subject::Device { user, identity, device, keys } => {
            (Who::Device { address: Address { user, device }, identity, keys }, None)
        }
        Subject::Node { node, address, keys, v6, .. } => {
            let key = keys.agree;
            let hint = v6.map(|address| AlsoAt { key, address });
            (Who::Node(NodeEntry { node, address, key }), hint)
        }
    }
}
