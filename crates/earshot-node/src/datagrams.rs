//! The main UDP port: what comes in goes to the machine that asked for it, what goes out leaves at
//! once.
//!
//! Source: DESIGN 2.4 (one UDP port, told apart by the first byte: that is the machine's business).
//! Invariant: nothing is queued here. A datagram that the kernel does not take now is dropped and
//! counted, as the network would.

use std::net::SocketAddr;

use earshot_proto::port::Transmit;
use tokio::net::UdpSocket;

use crate::sockets::{canonical, reachable_from};

/// The longest datagram that is read, in bytes: what fits an Ethernet frame, with room for larger
/// local links. Longer ones are dropped, not cut.
pub(crate) const DATAGRAM_MAX: usize = 2048;

/// One UDP socket.
pub(crate) struct Datagrams {
    socket: UdpSocket,
    local: SocketAddr,
    dropped: u64,
}

impl Datagrams {
    pub(crate) fn new(socket: UdpSocket) -> std::io::Result<Self> {
        let local = socket.local_addr()?;
        Ok(Self { socket, local, dropped: 0 })
    }

    /// Waits until the first datagram can be sent without waiting.
    pub(crate) async fn warm_up(&self) -> std::io::Result<()> {
        self.socket.writable().await
    }

    /// Waits until there may be something to receive.
    pub(crate) async fn readable(&self) {
        // An error here is an error of the socket, which `receive` will meet and pass over.
        let _ = self.socket.readable().await;
    }

    /// The next datagram that has already come. Errors (an ICMP answer to something sent) and
    /// datagrams that are too long are passed over.
    pub(crate) fn receive<'b>(
        &self,
        buffer: &'b mut [u8; DATAGRAM_MAX + 1],
    ) -> Option<(SocketAddr, &'b [u8])> {
        receive(&self.socket, buffer)
    }

    /// Sends, or drops where the kernel has no room or the family does not fit.
    pub(crate) fn send(&mut self, transmit: &Transmit) {
        let to = reachable_from(self.local, transmit.to);
        let sent = to.and_then(|to| self.socket.try_send_to(&transmit.bytes, to).ok());
        if sent.is_none() {
            self.dropped += 1;
            tracing::debug!(dropped = self.dropped, to = %transmit.to, "Datagram dropped");
        }
    }
}

/// The next datagram that has already come to `socket`.
pub(crate) fn receive<'b>(
    socket: &UdpSocket,
    buffer: &'b mut [u8; DATAGRAM_MAX + 1],
) -> Option<(SocketAddr, &'b [u8])> {
    loop {
        match socket.try_recv_from(buffer) {
            Ok((length, _)) if length > DATAGRAM_MAX => {}
            Ok((length, from)) => return Some((canonical(from), &buffer[..length])),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return None,
            Err(_) => {}
        }
    }
}
