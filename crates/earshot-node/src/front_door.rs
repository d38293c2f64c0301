//! Accepting connections and hearing what they want.
//!
//! Source: `earshot_proto::port::Service` (the preface `45 53 <major> <service>`). Invariant: who
//! has not said within [`PREFACE_PATIENCE`] what it wants, or wants nothing that we know, costs no
//! machine any work.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use earshot_proto::port::Service;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use crate::driver::news::News;
use crate::guests::{GuestLimits, Guests};
use crate::sockets::canonical;

/// How long the first four bytes may take. Our choice: they travel with the connection's third
/// packet, so ten seconds are three retransmissions on a very bad line.
pub(crate) const PREFACE_PATIENCE: Duration = Duration::from_secs(10);
/// Rest after the system refused to accept (no file descriptor left), so that the loop does not
/// spin.
const ACCEPT_REST: Duration = Duration::from_millis(100);
/// "ES" and the major version of the protocol.
const MARK: [u8; 3] = *b"ES\x01";

/// The first four bytes of a connection to `service`.
pub(crate) const fn preface(service: Service) -> [u8; 4] {
    let [e, s, major] = MARK;
    [e, s, major, service as u8]
}

fn service_named_by(preface: [u8; 4]) -> Option<Service> {
    let [mark @ .., service] = preface;
    if mark == MARK { Service::from_byte(service) } else { None }
}

/// Accepts for as long as the loop lives.
pub(crate) async fn accept(
    listener: TcpListener,
    limits: GuestLimits,
    to_loop: mpsc::Sender<News>,
) {
    let guests = Guests::new(limits);
    let pending = Arc::new(Semaphore::new(limits.pending_max));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = to_loop.closed() => return,
        };
        let Ok((stream, from)) = accepted else {
            tokio::time::sleep(ACCEPT_REST).await;
            continue;
        };
        let from = canonical(from);
        // Dropping the stream is the answer to one too many.
        let Ok(hearing) = Arc::clone(&pending).try_acquire_owned() else { continue };
        let Some(seat) = guests.seat(from.ip()) else { continue };
        let to_loop = to_loop.clone();
        tokio::spawn(async move {
            let heard = timeout(PREFACE_PATIENCE, hear(stream)).await;
            drop(hearing);
            if let Ok(Some((stream, service))) = heard {
                // The loop is gone only when the process stops.
                let _ = to_loop.send(News::Guest { stream, from, service, seat }).await;
            } else {
                tracing::debug!(%from, "Connection without a preface dropped");
            }
        });
    }
}

async fn hear(mut stream: TcpStream) -> Option<(TcpStream, Service)> {
    let mut preface = [0; 4];
    stream.read_exact(&mut preface).await.ok()?;
    let service = service_named_by(preface)?;
    stream.set_nodelay(true).ok()?;
    Some((stream, service))
}

/// The address of this end.
pub(crate) fn local_of(stream: &TcpStream) -> std::io::Result<SocketAddr> {
    stream.local_addr().map(canonical)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preface_names_its_service_and_nothing_else_does() {
        for service in [Service::SuperPeer, Service::Authority, Service::Peer] {
            assert_eq!(service_named_by(preface(service)), Some(service));
        }
        assert_eq!(service_named_by(*b"ES\x01\x00"), None);
        assert_eq!(service_named_by(*b"ES\x02\x01"), None);
        assert_eq!(service_named_by(*b"GET "), None);
    }
}
