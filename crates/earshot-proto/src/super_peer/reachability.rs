//! Dialling back: can others open a connection to this client? DESIGN 2.12.
//!
//! Only to the address that the asking link comes from, only ports ≥ 1024, 80 and 443, one attempt
//! in ten seconds a client, and the connection is closed as soon as it stands: nobody can make a
//! port scanner of us.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::port::{LinkDown, LinkEvent, LinkId, LinkOrder, Output, Service};
use crate::secure::links::Who;
use crate::wire::bounded::Text;
use crate::wire::nat::{Nat, NatRefusal};

use super::SuperPeer;

/// Shortest time between two dial-backs for one client. DESIGN 2.12.
const DIAL_BACK_EVERY: Duration = Duration::from_secs(10);

/// Dial-backs under way.
#[derive(Debug, Default)]
pub(super) struct DialBacks {
    running: BTreeMap<LinkId, DialBack>,
}

#[derive(Debug)]
struct DialBack {
    client: LinkId,
    ask: u32,
    tried: SocketAddr,
}

impl DialBacks {
    pub(super) fn len(&self) -> usize {
        self.running.len()
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
            Nat::DialBack { port } => {
                if let Err(reason) = self.dial_back(now, link, ask, port) {
                    self.answer(now, link, ask, Nat::Refused { reason });
                }
            }
            Nat::RelayCredentials => {
                let answer = self.relay_grant(now, who);
                self.answer(now, link, ask, answer);
            }
            Nat::DialedBack { .. } | Nat::RelayGrant { .. } | Nat::Refused { .. } => {}
        }
    }

    fn dial_back(
        &mut self,
        now: Instant,
        link: LinkId,
        ask: u32,
        port: u16,
    ) -> Result<(), NatRefusal> {
        let client = self.clients.of_link_mut(link).ok_or(NatRefusal::NotAllowed)?;
        if port < 1024 && port != 80 && port != 443 {
            return Err(NatRefusal::PortRefused);
        }
        if client.dialled_back.is_some_and(|at| now < at + DIAL_BACK_EVERY) {
            return Err(NatRefusal::TooSoon);
        }
        client.dialled_back = Some(now);
        let tried = SocketAddr::new(client.observed.ip(), port);
        let back = self.links.spare_id();
        self.dial_backs.running.insert(back, DialBack { client: link, ask, tried });
        let order = LinkOrder::Dial { to: tried, service: Service::Peer };
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
        let reached = match event {
            LinkEvent::Connected { .. } => true,
            LinkEvent::Down(LinkDown::Refused | LinkDown::Unreachable) => false,
            LinkEvent::Down(LinkDown::Closed | LinkDown::Broken | LinkDown::Overrun) => false,
            LinkEvent::Accepted { .. } | LinkEvent::Bytes(_) => return true,
        };
        if let Some(DialBack { client, ask, tried }) = self.dial_backs.running.remove(&link) {
            if reached {
                self.out.push_back(Output::Link(link, LinkOrder::Close));
            }
            self.answer(now, client, ask, Nat::DialedBack { reached, tried });
        }
        true
    }

    fn relay_grant(&mut self, now: Instant, who: &Who) -> Nat {
        let Who::Device { address, .. } = who else {
            return Nat::Refused { reason: NatRefusal::NotAllowed };
        };
        let wall = self.wall(now);
        let grant = self.relay.as_mut().map(|relay| relay.grant(now, wall, &address.user));
        let Some(Ok(grant)) = grant else {
            return Nat::Refused { reason: NatRefusal::NoRelay };
        };
        let texts = (Text::new(grant.username), Text::new(grant.password.as_str()));
        let (Ok(username), Ok(password)) = texts else {
            return Nat::Refused { reason: NatRefusal::NoRelay };
        };
        Nat::RelayGrant { address: self.config.address, username, password, expires: grant.expires }
    }
}
