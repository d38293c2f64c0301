//! The data path: from a client to a peer, from a peer to a client, and between two clients of this
//! relay.
//!
//! Source: RFC 8656, sections 11 and 12; DESIGN 2.12. A payload is copied once, into the buffer
//! that is sent. Nothing is logged for a packet; what is dropped is counted. What goes to a client
//! by TCP is media: whoever writes it drops what a slow reader would hear too late.

use std::net::SocketAddr;
use std::time::Instant;

use super::allocation::Reach;
use super::counters::Refusal;
use super::framing::{channel_data, data_indication};
use super::slab::Key;
use super::streams::Client;
use super::{Relay, RelayOutput};
use crate::port::{LinkOrder, RelayPortId, RelayPortOrder, Transmit};

impl Relay {
    /// ChannelData of a client.
    pub(super) fn channel_data(&mut self, now: Instant, from: Client, number: u16, payload: &[u8]) {
        let key = self.by_client.get(&from).copied();
        let allocation = key.and_then(|key| self.allocations.get(key));
        let peer = allocation.and_then(|known| known.tables.channel_peer(now, number));
        let sent = match key.zip(peer) {
            Some((key, peer)) => self.pass_out(now, key, peer, payload),
            None => Err(Refusal::NoPermission),
        };
        self.count(sent);
    }

    /// A Send indication of a client.
    pub(super) fn send_indication(
        &mut self,
        now: Instant,
        from: Client,
        peer: SocketAddr,
        payload: &[u8],
    ) {
        let sent = match self.by_client.get(&from) {
            Some(key) => self.pass_out(now, *key, peer, payload),
            None => Err(Refusal::NoPermission),
        };
        self.count(sent);
    }

    /// A datagram that came to a relay port.
    pub(super) fn peer_datagram(
        &mut self,
        now: Instant,
        key: Key,
        from: SocketAddr,
        payload: &[u8],
    ) {
        let delivered = self.pass_in(now, key, from, payload);
        self.count(delivered);
    }

    fn pass_out(
        &mut self,
        now: Instant,
        key: Key,
        peer: SocketAddr,
        payload: &[u8],
    ) -> Result<(), Refusal> {
        let allocation = self.allocations.get_mut(key).ok_or(Refusal::NoPermission)?;
        let relayed = allocation.relayed.ok_or(Refusal::NoPermission)?;
        let reach = allocation.tables.reach(now, peer.ip()).ok_or(Refusal::NoPermission)?;
        let looped = self.by_relayed.get(&peer).copied();
        match reach {
            Reach::Free => {}
            Reach::Loop if looped.is_none() => return Err(Refusal::OwnAddress),
            Reach::Loop | Reach::Consent => {
                allocation.tables.admit(now, peer, payload, &mut self.checks)?;
            }
        }
        self.spend(now, key, payload.len())?;
        match looped {
            Some(other) => {
                self.counters.looped_packets += 1;
                self.pass_in(now, other, relayed, payload)
            }
            None => {
                let order = RelayPortOrder::Send(Transmit { to: peer, bytes: payload.to_vec() });
                self.out.push_back(RelayOutput::RelayPort(RelayPortId(key.0), order));
                Ok(())
            }
        }
    }

    fn pass_in(
        &mut self,
        now: Instant,
        key: Key,
        from: SocketAddr,
        payload: &[u8],
    ) -> Result<(), Refusal> {
        let allocation = self.allocations.get_mut(key).ok_or(Refusal::NoPermission)?;
        if allocation.relayed.is_none() || allocation.tables.reach(now, from.ip()).is_none() {
            return Err(Refusal::NoPermission);
        }
        allocation.tables.hear(now, from, payload);
        let client = allocation.client;
        let channel = allocation.tables.channel_to(now, from);
        self.spend(now, key, payload.len())?;
        let framed = match channel {
            Some(number) => channel_data(number, payload),
            None => data_indication(&self.random.bytes(), from, payload),
        };
        let mut bytes = framed.ok_or(Refusal::Malformed)?;
        self.out.push_back(match client {
            Client::Udp(to) => RelayOutput::Send(Transmit { to, bytes }),
            Client::Tcp(link, _) => {
                bytes.resize(bytes.len().next_multiple_of(4), 0);
                RelayOutput::Link(link, LinkOrder::Media(bytes))
            }
        });
        Ok(())
    }

    /// Takes a payload from what its user and all together may send in a second, and counts it as
    /// relayed.
    fn spend(&mut self, now: Instant, key: Key, bytes: usize) -> Result<(), Refusal> {
        let user = self.allocations.get(key).map(|allocation| allocation.user);
        let user = user.and_then(|user| self.users.get_mut(user)).ok_or(Refusal::NoPermission)?;
        if !user.bucket.has(now, bytes) || !self.total.has(now, bytes) {
            return Err(Refusal::ByteRate);
        }
        user.bucket.take(bytes);
        self.total.take(bytes);
        self.counters.relayed(bytes);
        Ok(())
    }

    const fn count(&mut self, done: Result<(), Refusal>) {
        if let Err(why) = done {
            self.counters.refuse(why);
        }
    }
}
