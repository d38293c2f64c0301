//! A super-peer with its real relay, as far as it answers Binding questions.

use std::net::SocketAddr;
use std::time::Instant;

use super::model::{NOON, addr, start};
use crate::entropy::Entropy;
use crate::port::{RelayPortEvent, RelayPortId, RelayPortOrder, Transmit};
use crate::super_peer::relay::{Relay, RelayConfig, RelayOutput};

/// A datagram on its way.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) bytes: Vec<u8>,
    pub(super) at: Instant,
}

/// A super-peer with both its ports.
pub(super) struct Server {
    pub(super) relay: Relay,
    pub(super) main: SocketAddr,
    pub(super) alternate: SocketAddr,
    port: Option<RelayPortId>,
    pub(super) is_up: bool,
    pub(super) is_alternate_up: bool,
}

impl Server {
    pub(super) fn new(main: &str, alternate: &str) -> Self {
        let (main, alternate) = (addr(main), addr(alternate));
        let config = RelayConfig {
            ipv6: true,
            main: Some(main),
            own: vec![main.ip().to_string().parse().unwrap()],
            ..RelayConfig::default()
        };
        let relay = Relay::new(start(), &config, Entropy::new([9; 32]).secrets);
        Self { relay, main, alternate, port: None, is_up: true, is_alternate_up: true }
    }

    /// What it sends: from where, to where.
    pub(super) fn drain(&mut self, now: Instant) -> Vec<Packet> {
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

    pub(super) fn handle(&mut self, packet: &Packet) {
        if !self.is_up {
            return;
        }
        let Packet { from, to, bytes, at } = packet;
        match self.port.filter(|_| *to == self.alternate) {
            Some(port) => {
                let event = RelayPortEvent::Datagram { from: *from, bytes };
                self.relay.handle_relay_port(*at, port, event);
            }
            None => self.relay.handle_datagram(*at, NOON, *from, bytes),
        }
    }
}
