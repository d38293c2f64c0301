//! Accepting connections and hearing what they want.
//!
//! Source: `earshot_proto::port::Service` (the preface `45 53 <major> <service>`); RFC 8489,
//! section 5 (a STUN request begins with a byte 0, which no preface does). One hall has several
//! doors where the low ports are open too. Invariant: who has not said within
//! [`PREFACE_PATIENCE`] what it wants, or wants nothing that we know, costs no machine any work.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use earshot_proto::port::{Service, canonical};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::driver::news::News;
use crate::guests::{GuestLimits, Guests};
use crate::sockets;
use crate::upstream::is_beyond_home;

/// How long the first four bytes may take. Our choice: they travel with the connection's third
/// packet, so ten seconds are three retransmissions on a very bad line.
pub(crate) const PREFACE_PATIENCE: Duration = Duration::from_secs(10);
/// Rest after the system refused to accept (no file descriptor left), so that the loop does not
/// spin.
const ACCEPT_REST: Duration = Duration::from_millis(100);
/// "ES" and the major version of the protocol.
const MARK: [u8; 3] = *b"ES\x01";

/// First byte of every STUN request of a method below 0x80, as all of TURN's are.
const STUN_REQUEST: u8 = 0;

/// The first four bytes of a connection to `service`; a relay is told nothing of ours.
pub(crate) fn preface(service: Service) -> Option<[u8; 4]> {
    let [e, s, major] = MARK;
    (service != Service::Relay).then_some([e, s, major, service as u8])
}

/// The hall behind all doors: who sits there, and who stands in a door.
#[derive(Clone)]
pub(crate) struct Hall {
    guests: Arc<Guests>,
    pending: Arc<Semaphore>,
}

impl Hall {
    pub(crate) fn new(limits: GuestLimits) -> Self {
        let pending = Arc::new(Semaphore::new(limits.pending_max));
        Self { guests: Arc::new(Guests::new(limits)), pending }
    }
}

fn service_named_by(preface: [u8; 4]) -> Option<Service> {
    let [mark @ .., service] = preface;
    if mark == MARK { Service::from_byte(service) } else { None }
}

/// Accepts for as long as the loop lives.
pub(crate) async fn accept(listener: TcpListener, hall: Hall, to_loop: mpsc::Sender<News>) {
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
        let Ok(hearing) = Arc::clone(&hall.pending).try_acquire_owned() else { continue };
        let Some(seat) = hall.guests.seat(from.ip()) else { continue };
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
    let mut first = [0];
    // What is not ours to read stays for the relay.
    let service = match (stream.peek(&mut first).await.ok()?, first) {
        (1, [STUN_REQUEST]) => Service::Relay,
        _ => {
            let mut preface = [0; 4];
            stream.read_exact(&mut preface).await.ok()?;
            service_named_by(preface)?
        }
    };
    stream.set_nodelay(true).ok()?;
    Some((stream, service))
}

/// Doors for those whom a firewall lets reach no other port, in the order in which they are tried.
/// DESIGN 2.2.
const LOW_PORTS: [u16; 2] = [443, 80];

/// Opens the low ports that can be opened here. Most machines give them to nobody but the system,
/// or have something else there; where we listen at home only, they are of no use.
pub(crate) fn open_low_ports(
    ip: IpAddr,
    hall: &Hall,
    to_loop: &mpsc::Sender<News>,
) -> Vec<JoinHandle<()>> {
    let ports = LOW_PORTS.into_iter().filter(|_| is_beyond_home(ip));
    let opened = ports.filter_map(|port| match sockets::tcp(SocketAddr::new(ip, port)) {
        Ok(listener) => Some(tokio::spawn(accept(listener, hall.clone(), to_loop.clone()))),
        Err(error) => {
            tracing::info!(port, %error, "Nobody can come by this port");
            None
        }
    });
    opened.collect()
}

/// The address of this end.
pub(crate) fn local_of(stream: &TcpStream) -> std::io::Result<SocketAddr> {
    stream.local_addr().map(canonical)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_low_ports_stay_closed_where_only_the_home_is_listened_to() {
        let (to_loop, _) = mpsc::channel(1);
        let hall = Hall::new(GuestLimits::default());
        for ip in ["127.0.0.1", "192.168.1.5", "::1", "fe80::1"] {
            let ip = ip.parse().expect("an address");
            assert!(open_low_ports(ip, &hall, &to_loop).is_empty(), "{ip}");
        }
    }

    #[test]
    fn a_preface_names_its_service_and_nothing_else_does() {
        for service in [Service::SuperPeer, Service::Authority, Service::Peer, Service::Nearby] {
            assert_eq!(preface(service).and_then(service_named_by), Some(service));
        }
        assert_eq!(preface(Service::Relay), None);
        assert_eq!(service_named_by(*b"ES\x01\x00"), None);
        assert_eq!(service_named_by(*b"ES\x02\x01"), None);
        assert_eq!(service_named_by(*b"GET "), None);
    }
}
