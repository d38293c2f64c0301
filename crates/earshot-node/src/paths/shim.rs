//! A relay that ICE's library cannot reach (over TCP, or by IPv6), as one on this computer.
//!
//! Source: RFC 8656, section 3.1, and RFC 8489, section 6.2.2 (framing over TCP). The library
//! speaks TURN only by datagrams over IPv4: so it speaks to a port on loopback, and what it says
//! there goes on to the relay. Media that a stream does not take is dropped, as a line would, for
//! what comes late is worth nothing. Invariants: only the first who speaks is served; what waits
//! for the stream is at most [`WAITING_MAX`] bytes, and it holds whole messages.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use earshot_proto::port::{RelayServer, RelayTransport};
use earshot_proto::super_peer::relay::{Extent, NotTurn, Relay, extent};
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::sockets::udp;
use crate::ways::Ways;

/// How long connecting may take, all ways together.
const PATIENCE: Duration = Duration::from_secs(8);
/// Bytes that wait for a slow stream. Our choice: half a second of a call.
const WAITING_MAX: usize = 8 * 1024;
/// The longest message, in bytes.
const MESSAGE_MAX: usize = 2048;

/// Stands for one relay until it is dropped.
pub(super) struct Shim {
    address: SocketAddr,
    task: AbortHandle,
}

impl Drop for Shim {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shim {
    /// Opens a port for a relay; the relay itself is reached beside the caller.
    pub(super) async fn open(server: &RelayServer, ways: &Ways) -> io::Result<Self> {
        let here = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = here.local_addr()?;
        let (to, ways) = (server.address, ways.clone());
        let task = match server.transport {
            RelayTransport::Tcp => tokio::spawn(async move {
                if let Err(error) = over_tcp(here, to, &ways).await {
                    tracing::info!(relay = %to, %error, "No relay over TCP any more");
                }
            }),
            RelayTransport::Udp => {
                let any = SocketAddr::new(
                    if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { [0_u16; 8].into() },
                    0,
                );
                let there = udp(any)?;
                tokio::spawn(async move {
                    let _ = over_udp(here, there, to).await;
                })
            }
        };
        Ok(Self { address, task: task.abort_handle() })
    }

    /// Where the library speaks to it.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Connects this end to the first who speaks to it.
async fn met(here: UdpSocket) -> io::Result<UdpSocket> {
    let mut first = [0; 1];
    let (_, from) = here.peek_from(&mut first).await?;
    here.connect(from).await?;
    Ok(here)
}

async fn over_udp(here: UdpSocket, there: UdpSocket, relay: SocketAddr) -> io::Result<()> {
    let here = met(here).await?;
    there.connect(relay).await?;
    let (mut out, mut back) = ([0; MESSAGE_MAX], [0; MESSAGE_MAX]);
    loop {
        // What a socket does not take is lost, as on the way.
        tokio::select! {
            length = here.recv(&mut out) => drop(there.try_send(&out[..length?])),
            // An error is an ICMP answer to something that was sent.
            length = there.recv(&mut back) => if let Ok(length) = length {
                drop(here.try_send(&back[..length]));
            },
        }
    }
}

async fn over_tcp(here: UdpSocket, relay: SocketAddr, ways: &Ways) -> io::Result<()> {
    let connected = timeout(PATIENCE, ways.connect(relay, None)).await;
    let stream = connected.map_err(|_| io::ErrorKind::TimedOut)??;
    stream.set_nodelay(true)?;
    carry(met(here).await?, stream).await
}

async fn carry(here: UdpSocket, stream: TcpStream) -> io::Result<()> {
    let (reader, writer) = stream.into_split();
    tokio::select! {
        ended = send(&here, writer) => ended,
        ended = receive(reader, &here) => ended,
    }
}

/// Writes whole messages, each padded to four bytes; drops those for which there is no room.
async fn send(here: &UdpSocket, mut writer: OwnedWriteHalf) -> io::Result<()> {
    let mut message = [0; MESSAGE_MAX];
    let mut waiting: Vec<u8> = Vec::new();
    loop {
        let length = if waiting.is_empty() {
            here.recv(&mut message).await?
        } else {
            tokio::select! {
                length = here.recv(&mut message) => length?,
                written = writer.write(&waiting) => {
                    waiting.drain(..written?);
                    continue;
                }
            }
        };
        let padded = length.next_multiple_of(4).min(MESSAGE_MAX);
        if waiting.len() + padded <= WAITING_MAX {
            message[length..padded].fill(0);
            waiting.extend_from_slice(&message[..padded]);
        }
    }
}

/// Cuts the stream into messages.
async fn receive(reader: OwnedReadHalf, here: &UdpSocket) -> io::Result<()> {
    let mut held: Vec<u8> = Vec::new();
    loop {
        reader.readable().await?;
        let mut chunk = [0; MESSAGE_MAX];
        match reader.try_read(&mut chunk) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => held.extend_from_slice(&chunk[..length]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        }
        while let Some(Extent { message, padded }) = first_message(&held)? {
            drop(here.try_send(&held[..message]));
            held.drain(..padded);
        }
    }
}

/// How far the first message reaches, once all of it is there.
fn first_message(bytes: &[u8]) -> io::Result<Option<Extent>> {
    match extent(bytes).map_err(io::Error::other)? {
        Some(Extent { padded, .. }) if padded > MESSAGE_MAX || !Relay::serves(bytes[0]) => {
            Err(io::Error::other(NotTurn))
        }
        whole => Ok(whole.filter(|extent| extent.padded <= bytes.len())),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    use super::*;

    const WAIT: Duration = Duration::from_secs(10);

    fn server(address: SocketAddr, transport: RelayTransport) -> RelayServer {
        RelayServer { address, transport, username: "u".into(), password: "p".into() }
    }

    async fn client(shim: &Shim) -> UdpSocket {
        let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        client.connect(shim.address()).await.expect("loopback");
        client
    }

    #[tokio::test]
    async fn messages_go_over_a_stream_padded_and_come_back_whole() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let relay = listener.local_addr().expect("it is bound");
        let opened = Shim::open(&server(relay, RelayTransport::Tcp), &Ways::default()).await;
        let shim = opened.expect("loopback has a port");
        let client = client(&shim).await;
        let channel = [0x40, 0, 0, 5, 1, 2, 3, 4, 5];
        client.send(&channel).await.expect("it is sent");
        let accepted = timeout(WAIT, listener.accept()).await.expect("it dials in time");
        let (mut stream, _) = accepted.expect("a connection");
        let mut padded = [9; 12];
        stream.read_exact(&mut padded).await.expect("it comes");
        assert_eq!(padded, [0x40, 0, 0, 5, 1, 2, 3, 4, 5, 0, 0, 0]);
        // Two messages in three pieces.
        let mut stun = vec![0, 1, 0, 4];
        stun.resize(24, 7);
        let both = [stun.as_slice(), &padded].concat();
        for piece in [&both[..3], &both[3..25], &both[25..]] {
            stream.write_all(piece).await.expect("it is read");
            stream.flush().await.expect("it is read");
        }
        let mut heard = [0; 64];
        for whole in [stun.as_slice(), &channel] {
            let length = timeout(WAIT, client.recv(&mut heard)).await.expect("in time");
            assert_eq!(&heard[..length.expect("it comes")], whole);
        }
    }

    #[tokio::test]
    async fn datagrams_reach_a_relay_by_ipv6() {
        let relay = UdpSocket::bind("[::1]:0").await.expect("a port");
        let at = relay.local_addr().expect("it is bound");
        let opened = Shim::open(&server(at, RelayTransport::Udp), &Ways::default()).await;
        let shim = opened.expect("loopback has a port");
        let client = client(&shim).await;
        client.send(b"question").await.expect("it is sent");
        let mut heard = [0; 64];
        let came = timeout(WAIT, relay.recv_from(&mut heard)).await.expect("in time");
        let (length, from) = came.expect("it comes");
        relay.send_to(b"answer", from).await.expect("it is sent");
        assert_eq!(&heard[..length], b"question");
        let length = timeout(WAIT, client.recv(&mut heard)).await.expect("in time");
        assert_eq!(&heard[..length.expect("it comes")], b"answer");
    }

    #[test]
    fn a_stream_that_is_no_turn_ends() {
        assert!(first_message(b"HTTP/1.1").is_err());
        assert!(first_message(&[0x80, 0, 0, 0]).is_err());
        assert!(first_message(&[0x40, 0, 0xff, 0xff]).is_err());
        assert_eq!(first_message(&[0x40, 0, 0, 1, 7]).ok(), Some(None));
        let whole = Extent { message: 5, padded: 8 };
        assert_eq!(first_message(&[0x40, 0, 0, 1, 7, 0, 0, 0]).ok(), Some(Some(whole)));
    }
}
