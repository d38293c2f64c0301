//! The main UDP port: what comes in goes to the machine that asked for it, what goes out leaves
//! with the turn of the loop.
//!
//! Source: DESIGN 2.4 (one UDP port, told apart by the first byte: that is the machine's business).
//! Invariant: nothing outlives a turn here. A datagram that the kernel does not take then is
//! dropped and counted, as the network would.

use std::net::SocketAddr;

use earshot_proto::port::Transmit;
use tokio::net::UdpSocket;

use crate::batch::{Inbox, More, Outbox};

/// One UDP socket.
pub(crate) struct Datagrams {
    socket: UdpSocket,
    local: SocketAddr,
    outbox: Outbox,
    dropped: u64,
}

impl Datagrams {
    pub(crate) fn new(socket: UdpSocket) -> std::io::Result<Self> {
        let local = socket.local_addr()?;
        Ok(Self { socket, local, outbox: Outbox::default(), dropped: 0 })
    }

    /// Waits until there may be something to receive.
    pub(crate) async fn readable(&self) {
        // An error here is an error of the socket, which reading will meet and pass over.
        let _ = self.socket.readable().await;
    }

    /// Reads what has already come.
    pub(crate) fn fill(&self, inbox: &mut Inbox) -> More {
        inbox.fill(&self.socket)
    }

    /// Sends before the turn ends.
    pub(crate) fn send(&mut self, transmit: Transmit) {
        if self.outbox.push(transmit) {
            self.flush();
        }
    }

    /// Sends what waits.
    pub(crate) fn flush(&mut self) {
        if self.outbox.is_empty() {
            return;
        }
        let dropped = self.outbox.flush(&self.socket, self.local);
        if dropped > 0 {
            self.dropped += dropped as u64;
            tracing::debug!(dropped = self.dropped, "Datagrams dropped");
        }
    }
}
