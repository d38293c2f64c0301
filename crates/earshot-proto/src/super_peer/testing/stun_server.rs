//! For tests: a super-peer with its real relay, as far as it answers Binding questions.

use std::net::SocketAddr;
use std::time::Instant;

use super::super::relay::{Relay, RelayConfig, RelayOutput};
use crate::entropy::Entropy;
use crate::port::{RelayPortEvent, RelayPortId, RelayPortOrder, Transmit};
use crate::time::UnixTime;

/// A datagram on its way.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) bytes: Vec<u8>,
    pub(crate) at: Instant,
}

/// A super-peer with both its ports.
pub(crate) struct Server {
    pub(crate) relay: Relay,
    pub(crate) main: SocketAddr,
    pub(crate) alternate: SocketAddr,
    port: Option<RelayPortId>,
    pub(crate) is_up: bool,
    pub(crate) is_alternate_up: bool,
}

impl Server {
    pub(crate) fn new(now: Instant, main: SocketAddr, alternate: SocketAddr) -> Self {
        let config = RelayConfig {
            ipv6: true,
            main: Some(main),
            own: vec![main.ip().to_string().parse().unwrap()],
            ..RelayConfig::default()
        };
        let relay = Relay::new(now, &config, Entropy::new([9; 32]).secrets);
        Self { relay, main, alternate, port: None, is_up: true, is_alternate_up: true }
    }

    /// What it sends: from where, to where.
    pub(crate) fn drain(&mut self, now: Instant) -> Vec<Packet> {
        let mut sent = Vec::new();
        let mut send = |from, Transmit { to, bytes }| {
            sent.push(Packet { from, to, bytes, at: now });
        };
        while let Some(output) = self.relay.poll_output() {
            match output {
                RelayOutput::Send(transmit) => send(self.main, transmit),
                RelayOutput::RelayPort(_, RelayPortOrder::Send(transmit)) => {
                    if self.is_alternate_up {
                        send(self.alternate, transmit);
                    }
                }
                RelayOutput::RelayPort(port, RelayPortOrder::OpenAlternate) => {
                    self.port = Some(port);
                    let opened = RelayPortEvent::Opened(self.alternate);
                    self.relay.handle_relay_port(now, port, opened);
                }
                RelayOutput::RelayPort(..) | RelayOutput::Link(..) => panic!("nobody relays"),
            }
        }
        sent
    }

    pub(crate) fn handle(&mut self, packet: &Packet) {
        if !self.is_up {
            return;
        }
        let Packet { from, to, bytes, at } = packet;
        match self.port.filter(|_| *to == self.alternate) {
            Some(port) => {
                let event = RelayPortEvent::Datagram { from: *from, bytes };
                self.relay.handle_relay_port(*at, port, event);
            }
            None => self.relay.handle_datagram(*at, UnixTime::default(), *from, bytes),
        }
    }
}
