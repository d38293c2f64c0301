//! Datagrams in batches: what has come is read by one call, and what goes out leaves by one.
//!
//! Source: recvmmsg(2), sendmmsg(2). A relay passes on thousands of small datagrams a second, and a
//! call of the kernel costs more than all that we do with one. Where there are no such calls each
//! datagram has its own. Invariants: nothing is waited for; a batch is read or sent within one turn
//! of the loop.

use std::io;
use std::net::SocketAddr;

use earshot_proto::port::{Transmit, canonical};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use crate::sockets::reachable_from;

/// The longest datagram that is read, in bytes: what fits an Ethernet frame, with room for larger
/// local links. Longer ones are dropped, not cut.
pub(crate) const DATAGRAM_MAX: usize = 2048;
/// Datagrams read or sent by one call. Our choice: at twice as many a call is no longer cheaper by
/// a measurable part, and a busy relay has seldom more.
pub(crate) const BATCH: usize = 32;

type Buffer = [u8; DATAGRAM_MAX + 1];

/// What has come: one of these serves all sockets of a loop.
pub(crate) struct Inbox {
    buffers: Vec<Buffer>,
    came: Vec<(SocketAddr, usize)>,
}

/// Whether a socket has more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum More {
    /// It may have.
    Perhaps,
    /// It is empty; the runtime tells when that changes.
    No,
}

impl Inbox {
    pub(crate) fn new() -> Self {
        Self { buffers: vec![[0; DATAGRAM_MAX + 1]; BATCH], came: Vec::with_capacity(BATCH) }
    }

    /// Reads what has come to a socket, at most [`BATCH`], in place of what was read before.
    pub(crate) fn fill(&mut self, socket: &UdpSocket) -> More {
        self.came.clear();
        let Self { buffers, came } = self;
        let read = socket.try_io(Interest::READABLE, || {
            calls::read(socket, buffers, came)?;
            // The call has met the end of the queue: said so, the runtime looks anew.
            if came.len() < BATCH { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        match read {
            Ok(()) => More::Perhaps,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => More::No,
            // An answer of the network to something that was sent.
            Err(_) => More::Perhaps,
        }
    }

    /// How many were read.
    pub(crate) const fn len(&self) -> usize {
        self.came.len()
    }

    /// What was read, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (SocketAddr, &[u8])> {
        let read = self.came.iter().zip(&self.buffers);
        let whole = read.filter(|((_, length), _)| *length <= DATAGRAM_MAX);
        whole.map(|((from, length), buffer)| (canonical(*from), &buffer[..*length]))
    }
}

/// What is to leave a socket before the turn ends.
#[derive(Default)]
pub(crate) struct Outbox(Vec<Transmit>);

impl Outbox {
    /// Takes one; whether it is time to send.
    pub(crate) fn push(&mut self, transmit: Transmit) -> bool {
        self.0.push(transmit);
        self.0.len() >= BATCH
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Drops all.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Sends all from a socket bound to `local`; how many were dropped, since the kernel has no
    /// room or the family does not fit.
    pub(crate) fn flush(&mut self, socket: &UdpSocket, local: SocketAddr) -> usize {
        let asked = self.0.len();
        self.0.retain_mut(|transmit| match reachable_from(local, transmit.to) {
            Some(to) => {
                transmit.to = to;
                true
            }
            None => false,
        });
        let sent: usize = self.0.chunks(BATCH).map(|batch| calls::send(socket, batch)).sum();
        self.0.clear();
        asked - sent
    }
}

#[cfg(target_os = "linux")]
mod calls {
    use std::cell::RefCell;
    use std::io::{self, IoSlice, IoSliceMut};
    use std::net::SocketAddr;
    use std::os::fd::AsRawFd;

    use earshot_proto::port::Transmit;
    use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg};
    use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, sendmmsg, sendto};
    use tokio::net::UdpSocket;

    use super::{BATCH, Buffer};

    thread_local! {
        /// One set a family, since the kernel leaves the length of the last address in it.
        static HEADERS: RefCell<[MultiHeaders<SockaddrStorage>; 2]> =
            RefCell::new([(); 2].map(|()| MultiHeaders::preallocate(BATCH, None)));
    }

    /// Reads at most [`BATCH`].
    pub(super) fn read(
        socket: &UdpSocket,
        buffers: &mut [Buffer],
        came: &mut Vec<(SocketAddr, usize)>,
    ) -> io::Result<()> {
        let family = usize::from(socket.local_addr()?.is_ipv6());
        HEADERS.with_borrow_mut(|headers| {
            let headers = &mut headers[family];
            let mut places: Vec<[IoSliceMut<'_>; 1]> =
                buffers.iter_mut().map(|buffer| [IoSliceMut::new(buffer)]).collect();
            let flags = MsgFlags::MSG_DONTWAIT;
            let read = recvmmsg(socket.as_raw_fd(), headers, places.iter_mut(), flags, None)?;
            for message in read {
                let address = message.address.and_then(|address: SockaddrStorage| {
                    let v4 = address.as_sockaddr_in().map(|v4| SocketAddr::from(*v4));
                    v4.or_else(|| address.as_sockaddr_in6().map(|v6| SocketAddr::from(*v6)))
                });
                let unknown = SocketAddr::from(([0, 0, 0, 0], 0));
                came.push((address.unwrap_or(unknown), message.bytes));
            }
            Ok(())
        })
    }

    /// Sends at most [`BATCH`]; how many the kernel took.
    pub(super) fn send(socket: &UdpSocket, batch: &[Transmit]) -> usize {
        if let [Transmit { to, bytes }] = batch {
            return usize::from(sendto(socket, bytes, SendFlags::DONTWAIT, to).is_ok());
        }
        let addresses: Vec<SocketAddrAny> =
            batch.iter().map(|transmit| SocketAddrAny::from(transmit.to)).collect();
        let pieces: Vec<[IoSlice<'_>; 1]> =
            batch.iter().map(|transmit| [IoSlice::new(&transmit.bytes)]).collect();
        let mut none: Vec<SendAncillaryBuffer<'_, '_, '_>> =
            batch.iter().map(|_| SendAncillaryBuffer::default()).collect();
        let messages = addresses.iter().zip(&pieces).zip(&mut none);
        let mut messages: Vec<MMsgHdr<'_>> = messages
            .map(|((address, piece), none)| MMsgHdr::new_with_addr(address, piece, none))
            .collect();
        let (mut at, mut taken) = (0, 0);
        while at < messages.len() {
            match sendmmsg(socket, &mut messages[at..], SendFlags::DONTWAIT) {
                Ok(sent) => (at, taken) = (at + sent.max(1), taken + sent),
                Err(rustix::io::Errno::AGAIN) => break,
                // The first of them cannot be sent.
                Err(_) => at += 1,
            }
        }
        taken
    }
}

#[cfg(not(target_os = "linux"))]
mod calls {
    use std::io;
    use std::net::SocketAddr;

    use earshot_proto::port::Transmit;
    use socket2::SockRef;
    use tokio::net::UdpSocket;

    use super::Buffer;

    pub(super) fn read(
        socket: &UdpSocket,
        buffers: &mut [Buffer],
        came: &mut Vec<(SocketAddr, usize)>,
    ) -> io::Result<()> {
        for buffer in buffers {
            match socket.try_recv_from(buffer) {
                Ok((length, from)) => came.push((from, length)),
                Err(_) if !came.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(super) fn send(socket: &UdpSocket, batch: &[Transmit]) -> usize {
        let socket = SockRef::from(socket);
        let send =
            |transmit: &&Transmit| socket.send_to(&transmit.bytes, &transmit.to.into()).is_ok();
        batch.iter().filter(send).count()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;
    use crate::puppet::PATIENCE;
    use crate::sockets::udp;

    #[tokio::test]
    async fn what_is_sent_in_a_batch_comes_in_order_and_nothing_too_long() {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let host: SocketAddr = host.parse().expect("an address");
            let (here, there) = (udp(host).expect("a port"), udp(host).expect("a port"));
            let [from, to] =
                [&here, &there].map(|socket| socket.local_addr().expect("it is bound"));
            let mut outbox = Outbox::default();
            for number in 0..100_u8 {
                outbox.push(Transmit { to, bytes: vec![number; usize::from(number) + 1] });
            }
            outbox.push(Transmit { to, bytes: vec![0; DATAGRAM_MAX + 1] });
            outbox.push(Transmit { to, bytes: b"last".to_vec() });
            assert_eq!(outbox.flush(&here, from), 0);
            assert!(outbox.is_empty());
            let (mut inbox, mut heard) = (Inbox::new(), Vec::new());
            while heard.last().is_none_or(|last| last != b"last") {
                timeout(PATIENCE, there.readable()).await.expect("it comes").expect("it works");
                while inbox.fill(&there) == More::Perhaps {
                    heard.extend(inbox.iter().map(|(_, bytes)| bytes.to_vec()));
                }
                assert!(inbox.iter().all(|(sender, _)| sender == from));
                heard.extend(inbox.iter().map(|(_, bytes)| bytes.to_vec()));
            }
            assert_eq!(heard.len(), 101);
            assert!(heard[..100].iter().zip(0..).all(|(h, n)| *h == vec![n; usize::from(n) + 1]));
        }
    }

    #[tokio::test]
    async fn what_cannot_be_reached_is_dropped_and_the_rest_is_sent() {
        let [here, there] = [(); 2].map(|()| udp(([127, 0, 0, 1], 0).into()).expect("a port"));
        let [from, to] = [&here, &there].map(|socket| socket.local_addr().expect("it is bound"));
        let mut outbox = Outbox::default();
        for to in ["[::1]:9".parse().expect("an address"), to] {
            outbox.push(Transmit { to, bytes: b"hello".to_vec() });
        }
        assert_eq!(outbox.flush(&here, from), 1);
        timeout(PATIENCE, there.readable()).await.expect("it comes").expect("it works");
        let mut inbox = Inbox::new();
        assert_eq!(inbox.fill(&there), More::No);
        assert_eq!(inbox.iter().collect::<Vec<_>>(), [(from, b"hello".as_slice())]);
    }
}
