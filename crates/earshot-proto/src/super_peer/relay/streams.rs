//! Clients that come by TCP: a connection each, cut into messages.
//!
//! Source: RFC 8656, sections 2.1 and 3.1; RFC 8489, section 6.2.2. Where UDP is blocked a client
//! connects to the very port of everything else; towards the peers its allocation is like any
//! other. Invariants: a connection without an allocation lives [`PATIENCE`] and holds less than one
//! message; there are at most [`STRANGERS_MAX`] of them, [`STRANGERS_NEAR_MAX`] from one address; a
//! connection ends with its allocation, and an allocation with its connection.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::counters::Refusal;
use super::framing::{Extent, extent};
use super::{Relay, RelayOutput, stranger};
use crate::port::{LinkEvent, LinkId, LinkOrder};
use crate::time::UnixTime;

/// How long a connection may be without an allocation. Our choice: as long as a preface may take;
/// asking twice is two round trips.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Connections without an allocation. Our choice: a quarter of the allocations that there may be.
pub(super) const STRANGERS_MAX: usize = 256;
/// The same from one IPv4 address or IPv6 /64. Our choice: the phones of a household that all come
/// at once.
pub(super) const STRANGERS_NEAR_MAX: usize = 16;

/// Where a client is: its side of the 5-tuple (RFC 8656, section 3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Client {
    /// It sends datagrams from there to the main port.
    Udp(SocketAddr),
    /// It has connected, from there.
    Tcp(LinkId, SocketAddr),
}

impl Client {
    pub(super) const fn address(self) -> SocketAddr {
        match self {
            Self::Udp(address) | Self::Tcp(_, address) => address,
        }
    }
}

/// All connections.
#[derive(Default)]
pub(super) struct Streams {
    open: BTreeMap<LinkId, Stream>,
    /// Those without an allocation, and when their time is over.
    due: BTreeSet<(Instant, LinkId)>,
    /// Those that are to be closed when all is said.
    closing: VecDeque<LinkId>,
}

struct Stream {
    from: SocketAddr,
    due: Instant,
    /// The beginning of a message.
    held: Vec<u8>,
}

impl Streams {
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    pub(super) fn poll_close(&mut self) -> Option<RelayOutput> {
        self.closing.pop_front().map(|link| RelayOutput::Link(link, LinkOrder::Close))
    }

    /// The client has an allocation: its time is not over before that.
    pub(super) fn settle(&mut self, client: Client) {
        let Client::Tcp(link, _) = client else { return };
        if let Some(stream) = self.open.get(&link) {
            self.due.remove(&(stream.due, link));
        }
    }

    /// The client's connection is to be closed.
    pub(super) fn end(&mut self, client: Client) {
        let Client::Tcp(link, _) = client else { return };
        if self.forget(link).is_some() {
            self.closing.push_back(link);
        }
    }

    fn forget(&mut self, link: LinkId) -> Option<Stream> {
        let stream = self.open.remove(&link)?;
        self.due.remove(&(stream.due, link));
        Some(stream)
    }

    fn has_room_for(&self, from: SocketAddr) -> bool {
        let near = |address: SocketAddr| -> IpAddr { stranger(address.ip()) };
        let here = self.due.iter().filter_map(|(_, link)| self.open.get(link));
        let here = here.filter(|stream| near(stream.from) == near(from)).count();
        self.due.len() < STRANGERS_MAX && here < STRANGERS_NEAR_MAX
    }
}

impl Relay {
    /// Whether this link is a client's.
    #[must_use]
    pub fn has_link(&self, link: LinkId) -> bool {
        self.streams.open.contains_key(&link)
    }

    /// How many clients are connected.
    #[must_use]
    pub fn links(&self) -> usize {
        self.streams.open.len()
    }

    /// Takes what happened on a link of [`Service::Relay`](crate::port::Service::Relay).
    pub fn handle_link(
        &mut self,
        now: Instant,
        wall: UnixTime,
        link: LinkId,
        event: &LinkEvent<'_>,
    ) {
        match event {
            LinkEvent::Accepted { from, .. } => self.connected(now, link, *from),
            LinkEvent::Bytes(bytes) => self.stream_bytes(now, wall, link, bytes),
            LinkEvent::Down(_) => self.disconnected(link),
            // We dial nobody.
            LinkEvent::Connected { .. } => {}
        }
    }

    fn connected(&mut self, now: Instant, link: LinkId, from: SocketAddr) {
        if !self.streams.has_room_for(from) {
            self.counters.refuse(Refusal::Connections);
            return self.streams.closing.push_back(link);
        }
        let due = now + PATIENCE;
        self.streams.open.insert(link, Stream { from, due, held: Vec::new() });
        self.streams.due.insert((due, link));
    }

    fn stream_bytes(&mut self, now: Instant, wall: UnixTime, link: LinkId, bytes: &[u8]) {
        let Some(stream) = self.streams.open.get_mut(&link) else { return };
        let client = Client::Tcp(link, stream.from);
        let mut whole = std::mem::take(&mut stream.held);
        let mut rest = bytes;
        if !whole.is_empty() {
            whole.extend_from_slice(bytes);
            rest = &whole;
        }
        loop {
            let Ok(extent) = extent(rest) else {
                self.counters.refuse(Refusal::Malformed);
                return self.hang_up(client);
            };
            let Some(Extent { message, padded }) = extent.filter(|e| e.padded <= rest.len()) else {
                break;
            };
            let (first, after) = rest.split_at(padded);
            self.message(now, wall, client, &first[..message]);
            rest = after;
        }
        // What was said may have ended it.
        if let Some(stream) = self.streams.open.get_mut(&link) {
            stream.held = rest.to_vec();
        }
    }

    fn disconnected(&mut self, link: LinkId) {
        let Some(stream) = self.streams.forget(link) else { return };
        let client = Client::Tcp(link, stream.from);
        if let Some(key) = self.by_client.get(&client).copied() {
            self.release(key);
        }
    }

    /// Ends a connection, and its allocation if there is one.
    fn hang_up(&mut self, client: Client) {
        match self.by_client.get(&client).copied() {
            Some(key) => drop(self.release(key)),
            None => self.streams.end(client),
        }
    }

    /// Ends connections whose time is over.
    pub(super) fn streams_due(&mut self, now: Instant) {
        while let Some((_, link)) = self.streams.due.first().copied().filter(|(at, _)| *at <= now) {
            self.counters.refuse(Refusal::Idle);
            if self.streams.forget(link).is_some() {
                self.streams.closing.push_back(link);
            }
        }
    }
}
