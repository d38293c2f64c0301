//! One client's relayed address: its permissions, its channels, and the peers that must consent.
//!
//! Source: RFC 8656, sections 2, 9 and 12; DESIGN 2.12.
//!
//! **Consent.** To a peer address that the owner has not freed, only STUN Binding messages of at
//! most [`CHECK_BYTES_MAX`] bytes go out, and only ten a second to one address from the whole
//! relay, until the peer consents. It consents by answering a check: a Binding success response
//! with MESSAGE-INTEGRITY and FINGERPRINT, from exactly that address and port to this relayed
//! address, with the transaction of a Binding request that our client sent there and that carried a
//! USERNAME of two fragments (`theirs:ours`, RFC 8445 section 7.2.2: the call's ufrags) and
//! MESSAGE-INTEGRITY. Only who received the check knows its transaction; a public STUN server
//! answers without integrity; and a request *of* the peer gives no consent, for its source may be
//! forged by whoever knows the fragments. Consent lasts [`CONSENT_LIFETIME`] from the last such
//! answer, so the client's own RFC 7675 checks renew it.
//!
//! Invariant: each table holds at most [`PEERS_PER_ALLOCATION_MAX`] entries; what has expired
//! counts as absent.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::config::{
    CHANNEL_LIFETIME, CONSENT_LIFETIME, PEERS_PER_ALLOCATION_MAX, PERMISSION_LIFETIME,
};
use super::counters::Refusal;
use super::credentials::SessionId;
use super::glance::{Glance, Transaction};
use super::integrity::Integrity;
use super::per_second::PerSecond;
use super::slab::Key;
use super::streams::Client;

/// Longest check that is passed on before consent: RFC 8489, section 6.1, keeps STUN below 576
/// bytes with headers where the path is unknown.
pub(super) const CHECK_BYTES_MAX: usize = 548;
/// Checks whose answers are awaited, for each peer. Our choice: webrtc-ice sends five a second to a
/// pair.
const AWAITED: usize = 8;

pub(super) struct Allocation {
    pub(super) client: Client,
    pub(super) session: SessionId,
    pub(super) user: Key,
    /// The Allocate request that made it, to know its retransmissions.
    pub(super) transaction: Transaction,
    /// How its answers are sealed.
    pub(super) integrity: Integrity,
    pub(super) wish: Wish,
    /// The address that peers see; absent while the port is being opened.
    pub(super) relayed: Option<SocketAddr>,
    pub(super) lifetime: Duration,
    pub(super) expires: Instant,
    pub(super) tables: Tables,
}

/// What port the client asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish {
    pub(super) ipv6: bool,
    /// Also an IPv6 one, which it does not get: RFC 8656, section 7.2.
    pub(super) both: bool,
    pub(super) even: bool,
}

/// Whom an allocation may talk to.
#[derive(Default)]
pub(super) struct Tables {
    permissions: Vec<Permission>,
    channels: Vec<Channel>,
    peers: Vec<Peer>,
}

/// How far a permission goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Anywhere at this address, at once.
    Free,
    /// Where a peer consents.
    Consent,
    /// To live relayed addresses of our own, where a peer consents.
    Loop,
}

struct Permission {
    ip: IpAddr,
    reach: Reach,
    expires: Instant,
}

struct Channel {
    number: u16,
    peer: SocketAddr,
    expires: Instant,
}

/// A peer address that needs consent.
struct Peer {
    address: SocketAddr,
    awaited: [Transaction; AWAITED],
    next: u8,
    /// When it was last sent to or heard of; the longest silent makes room.
    touched: Instant,
    consents_until: Option<Instant>,
}

/// An entry cannot be made.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TableRefused {
    /// The table is full of live entries.
    Full,
    /// The channel is another peer's, or the peer has another channel.
    Taken,
}

impl Tables {
    /// Installs or refreshes permissions, all or none.
    pub(super) fn permit(
        &mut self,
        now: Instant,
        ips: &[(IpAddr, Reach)],
    ) -> Result<(), TableRefused> {
        self.permissions.retain(|permission| permission.expires > now);
        let fresh = ips.iter().enumerate().filter(|(at, (ip, _))| {
            let again = ips[..*at].iter().any(|(before, _)| before == ip);
            !again && !self.permissions.iter().any(|permission| permission.ip == *ip)
        });
        if self.permissions.len() + fresh.count() > PEERS_PER_ALLOCATION_MAX {
            return Err(TableRefused::Full);
        }
        let expires = now + PERMISSION_LIFETIME;
        for (ip, reach) in ips {
            match self.permissions.iter_mut().find(|permission| permission.ip == *ip) {
                Some(known) => (known.reach, known.expires) = (*reach, expires),
                None => self.permissions.push(Permission { ip: *ip, reach: *reach, expires }),
            }
        }
        Ok(())
    }

    /// Binds or refreshes a channel, and with it the permission. RFC 8656, section 12.1.
    pub(super) fn bind(
        &mut self,
        now: Instant,
        number: u16,
        (peer, reach): (SocketAddr, Reach),
    ) -> Result<(), TableRefused> {
        self.channels.retain(|channel| channel.expires > now);
        let touches = |channel: &&mut Channel| channel.number == number || channel.peer == peer;
        let known = self.channels.iter_mut().find(touches);
        let is_same = known.as_ref().is_none_or(|c| c.number == number && c.peer == peer);
        if !is_same {
            return Err(TableRefused::Taken);
        }
        let is_new = known.is_none();
        if is_new && self.channels.len() >= PEERS_PER_ALLOCATION_MAX {
            return Err(TableRefused::Full);
        }
        self.permit(now, &[(peer.ip(), reach)])?;
        let expires = now + CHANNEL_LIFETIME;
        match self.channels.iter_mut().find(|channel| channel.number == number) {
            Some(known) => known.expires = expires,
            None => self.channels.push(Channel { number, peer, expires }),
        }
        Ok(())
    }

    /// The permission for this address, if there is one.
    pub(super) fn reach(&self, now: Instant, ip: IpAddr) -> Option<Reach> {
        let mut live = self.permissions.iter().filter(|permission| permission.expires > now);
        live.find(|permission| permission.ip == ip).map(|permission| permission.reach)
    }

    /// The peer that a channel leads to.
    pub(super) fn channel_peer(&self, now: Instant, number: u16) -> Option<SocketAddr> {
        let channel = self.channels.iter().find(|channel| channel.number == number)?;
        (channel.expires > now).then_some(channel.peer)
    }

    /// The channel that leads to a peer.
    pub(super) fn channel_to(&self, now: Instant, peer: SocketAddr) -> Option<u16> {
        let channel = self.channels.iter().find(|channel| channel.peer == peer)?;
        (channel.expires > now).then_some(channel.number)
    }

    /// Whether this payload may go to a peer that must consent; notes the checks whose answers
    /// would be consent.
    pub(super) fn admit(
        &mut self,
        now: Instant,
        peer: SocketAddr,
        payload: &[u8],
        checks: &mut PerSecond<SocketAddr>,
    ) -> Result<(), Refusal> {
        let known = self.peers.iter().position(|known| known.address == peer);
        let consents = known.is_some_and(|at| self.peers[at].consents(now));
        // After consent only the checks themselves need a look: they keep it alive.
        if consents && payload.first().is_none_or(|first| *first > 3) {
            return Ok(());
        }
        let check = Glance::of(payload).filter(Glance::is_check);
        if !consents {
            if check.is_none() || payload.len() > CHECK_BYTES_MAX {
                return Err(Refusal::NoConsent);
            }
            if !checks.admit(now, peer) {
                return Err(Refusal::CheckRate);
            }
        }
        if let Some(check) = check.filter(Glance::asks_consent) {
            let at = known.unwrap_or_else(|| self.watch(now, peer));
            self.peers[at].await_answer(now, check.transaction);
        }
        Ok(())
    }

    /// Looks at what a peer sent for the answer to a check.
    pub(super) fn hear(&mut self, now: Instant, peer: SocketAddr, payload: &[u8]) {
        if payload.first().is_none_or(|first| *first > 3) {
            return;
        }
        let Some(answer) = Glance::of(payload).filter(Glance::gives_consent) else { return };
        if let Some(known) = self.peers.iter_mut().find(|known| known.address == peer) {
            known.answered(now, &answer.transaction);
        }
    }

    /// A place for a peer; in a full table that of the one that was silent for longest.
    fn watch(&mut self, now: Instant, address: SocketAddr) -> usize {
        let peer = Peer {
            address,
            awaited: [[0; 12]; AWAITED],
            next: 0,
            touched: now,
            consents_until: None,
        };
        if self.peers.len() < PEERS_PER_ALLOCATION_MAX {
            self.peers.push(peer);
            return self.peers.len() - 1;
        }
        let silent = self.peers.iter().enumerate().min_by_key(|(_, known)| known.touched);
        let at = silent.map(|(at, _)| at).expect("a full table is not empty");
        self.peers[at] = peer;
        at
    }
}

impl Peer {
    fn consents(&self, now: Instant) -> bool {
        self.consents_until.is_some_and(|until| until > now)
    }

    fn await_answer(&mut self, now: Instant, transaction: Transaction) {
        self.touched = now;
        if !self.awaited.contains(&transaction) {
            self.awaited[usize::from(self.next)] = transaction;
            self.next = (self.next + 1) % AWAITED as u8;
        }
    }

    /// An answer counts once; the all-zero transaction marks an empty place and never counts.
    fn answered(&mut self, now: Instant, transaction: &Transaction) {
        let awaited = self.awaited.iter_mut().find(|awaited| *awaited == transaction);
        let Some(awaited) = awaited.filter(|_| *transaction != [0; 12]) else { return };
        *awaited = [0; 12];
        self.touched = now;
        self.consents_until = Some(now + CONSENT_LIFETIME);
    }
}
