//! Dialling back: can others open a connection to this device, and do datagrams get through? DESIGN
//! 2.12.
//!
//! Only to the address that the asking link comes from, only ports ≥ 1024, 80 and 443, one attempt
//! in ten seconds a device, and the connection is closed as soon as it stands: nobody can make a
//! port scanner of us. Whoever wants it gets one datagram too, which is shorter than the question.
//! Invariants: at most [`RUNNING_MAX`] attempts are under way, and [`REMEMBERED_MAX`] remembered.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::port::{LinkDown, LinkEvent, LinkId, LinkOrder, Output, Service, Transmit};
use crate::secure::links::Who;
use crate::wire::bounded::{Bytes, Text};
use crate::wire::forward::Address;
use crate::wire::knock::{Knock, TOKEN};
use crate::wire::nat::{Nat, NatRefusal, is_dialled};

use super::SuperPeer;
use super::relay::{Side, Turned};

/// Shortest time between two dial-backs for one device. DESIGN 2.12.
const DIAL_BACK_EVERY: Duration = Duration::from_secs(10);
/// How long a connection may take. Our choice: TCP asks twice within it (RFC 6298: after one
/// second), and the device still waits for our answer.
const DIAL_BACK_PATIENCE: Duration = Duration::from_secs(2);
/// Attempts under way at most. Our choice: as many as clients that come home at once.
const RUNNING_MAX: usize = 1024;
/// Devices whose last attempt is remembered: all that may ask within [`DIAL_BACK_EVERY`].
const REMEMBERED_MAX: usize = 4096;

/// Dial-backs under way, and when each device last asked for one.
#[derive(Debug, Default)]
pub(super) struct DialBacks {
    running: BTreeMap<LinkId, DialBack>,
    asked: BTreeMap<Address, Instant>,
}

#[derive(Debug)]
struct DialBack {
    device: LinkId,
    ask: u32,
    tried: SocketAddr,
    give_up: Instant,
}

impl DialBacks {
    pub(super) fn len(&self) -> usize {
        self.running.len()
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.running.values().map(|running| running.give_up).min()
    }

    /// Whether a device may ask now; if so it has.
    fn admit(&mut self, now: Instant, who: &Address) -> Result<(), NatRefusal> {
        if self.running.len() >= RUNNING_MAX {
            return Err(NatRefusal::TooSoon);
        }
        if self.asked.len() >= REMEMBERED_MAX {
            self.asked.retain(|_, at| now < *at + DIAL_BACK_EVERY);
        }
        let is_known = self.asked.get(who).is_some_and(|at| now < *at + DIAL_BACK_EVERY);
        if is_known || self.asked.len() >= REMEMBERED_MAX {
            return Err(NatRefusal::TooSoon);
        }
        self.asked.insert(who.clone(), now);
        Ok(())
    }
}

impl SuperPeer {
    pub(super) fn handle_nat(
        &mut self,
        now: Instant,
        link: LinkId,
        who: &Who,
        ask: u32,
        message: Nat,
    ) {
        match message {
            Nat::DialBack { port, token } => {
                if let Err(reason) = self.dial_back(now, (link, ask), who, port, token) {
                    self.answer(now, link, ask, Nat::Refused { reason });
                }
            }
            Nat::RelayCredentials => {
                let answer = self.relay_grant(now, link, who);
                self.answer(now, link, ask, answer);
            }
            Nat::Alternate { port } => self.partner_told(now, link, who, port),
            Nat::Turned { to, transaction, length, alternate, asked_alternate } => {
                let side = |alternate| if alternate { Side::Alternate } else { Side::Main };
                if let Ok(transaction) = (*transaction).try_into() {
                    let (asked, from) = (side(asked_alternate), side(alternate));
                    let turned = Turned { to, transaction, question_len: length, asked, from };
                    self.turned_here(now, link, turned);
                }
            }
            Nat::DialedBack { .. } | Nat::RelayGrant { .. } | Nat::Refused { .. } => {}
        }
    }

    fn dial_back(
        &mut self,
        now: Instant,
        (device, ask): (LinkId, u32),
        who: &Who,
        port: u16,
        token: Option<Bytes<TOKEN>>,
    ) -> Result<(), NatRefusal> {
        let Who::Device { address, .. } = who else { return Err(NatRefusal::NotAllowed) };
        let from = self.links.remote_address(device).ok_or(NatRefusal::NotAllowed)?;
        let token: Option<[u8; TOKEN]> = match token {
            Some(token) => Some((*token).try_into().map_err(|_| NatRefusal::NotAllowed)?),
            None => None,
        };
        if !is_dialled(port) {
            return Err(NatRefusal::PortRefused);
        }
        self.dial_backs.admit(now, address)?;
        let tried = SocketAddr::new(from.ip(), port);
        if let Some(token) = token {
            let bytes = Knock(token).to_bytes();
            self.out.push_back(Output::Send(Transmit { to: tried, bytes }));
        }
        let back = self.links.spare_id();
        let give_up = now + DIAL_BACK_PATIENCE;
        self.dial_backs.running.insert(back, DialBack { device, ask, tried, give_up });
        let order = LinkOrder::Dial { to: tried, also: None, service: Service::Peer };
        self.out.push_back(Output::Link(back, order));
        Ok(())
    }

    /// Takes the event if the link is a dial-back's; they carry nothing, so they bypass the table
    /// of links.
    pub(super) fn handle_dial_back(
        &mut self,
        now: Instant,
        link: LinkId,
        event: &LinkEvent<'_>,
    ) -> bool {
        if !self.dial_backs.running.contains_key(&link) {
            return false;
        }
        match event {
            LinkEvent::Connected { .. } => {
                self.out.push_back(Output::Link(link, LinkOrder::Close));
                self.dialled_back(now, link, None);
            }
            LinkEvent::Down(LinkDown::Unreachable) => self.dialled_back(now, link, Some(true)),
            LinkEvent::Down(
                LinkDown::Refused | LinkDown::Closed | LinkDown::Broken | LinkDown::Overrun,
            ) => self.dialled_back(now, link, Some(false)),
            LinkEvent::Accepted { .. } | LinkEvent::Bytes(_) => {}
        }
        true
    }

    /// Gives up those that nothing answers.
    pub(super) fn dial_backs_due(&mut self, now: Instant) {
        let running = self.dial_backs.running.iter();
        let overdue = running.filter(|(_, running)| running.give_up <= now);
        let overdue: Vec<LinkId> = overdue.map(|(link, _)| *link).collect();
        for link in overdue {
            self.out.push_back(Output::Link(link, LinkOrder::Close));
            self.dialled_back(now, link, Some(true));
        }
    }

    /// An attempt has ended; where it failed, whether it met silence or a no.
    fn dialled_back(&mut self, now: Instant, link: LinkId, silent: Option<bool>) {
        if let Some(DialBack { device, ask, tried, .. }) = self.dial_backs.running.remove(&link) {
            let reached = silent.is_none();
            self.answer(now, device, ask, Nat::DialedBack { reached, tried, silent });
        }
    }

    fn relay_grant(&mut self, now: Instant, link: LinkId, who: &Who) -> Nat {
        let Who::Device { address, .. } = who else {
            return Nat::Refused { reason: NatRefusal::NotAllowed };
        };
        let wall = self.wall(now);
        let relay = self.relay.as_mut().filter(|_| self.owned.is_relay());
        let grant = relay.map(|relay| relay.grant(now, wall, &address.user));
        let Some(Ok(grant)) = grant else {
            return Nat::Refused { reason: NatRefusal::NoRelay };
        };
        let texts = (Text::new(grant.username), Text::new(grant.password.as_str()));
        let (Ok(username), Ok(password)) = texts else {
            return Nat::Refused { reason: NatRefusal::NoRelay };
        };
        // Who comes by IPv6 has perhaps nothing else.
        let from = self.links.remote_address(link);
        let by_v6 = from.is_some_and(|from| from.ip().to_canonical().is_ipv6());
        let v6 = self.config.v6.filter(|_| by_v6);
        let address = v6.map_or(self.config.address, SocketAddr::V6);
        Nat::RelayGrant { address, username, password, expires: grant.expires }
    }
}
