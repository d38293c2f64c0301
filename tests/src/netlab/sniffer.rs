//! What passed the backbone lately, to look at when a call failed.
//!
//! Source: packet(7); the classic pcap format (draft-ietf-opsawg-pcap), LINKTYPE_RAW. A packet that
//! is forwarded stands there twice, as it came and as it left: what was lost between shows.
//! Invariant: at most [`KEPT_BYTES`] are kept, the oldest go first; of each packet [`SNAP`] bytes.

use std::collections::VecDeque;
use std::io::{BufWriter, Write};
use std::net::IpAddr;
use std::num::NonZero;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::net::{AddressFamily, Protocol, RecvFlags, SocketFlags, SocketType};
use rustix::net::{recv, socket_with};

use super::LabError;
use super::namespace::Namespace;

/// All packets (linux/if_ether.h), in network order.
const ETH_P_ALL: u16 = 0x0003;
/// Headers, and the whole of what is not voice.
const SNAP: usize = 256;
/// Our choice: some minutes of a call, its signaling included.
const KEPT_BYTES: usize = 16 << 20;
/// What a packet costs beside its bytes.
const OVERHEAD: usize = 64;
/// The file begins so: magic for microseconds, version 2.4, zone, accuracy, snap, LINKTYPE_RAW.
const MAGIC: u32 = 0xa1b2_c3d4;
const LINKTYPE_RAW: u32 = 101;

struct Packet {
    at: SystemTime,
    whole: usize,
    bytes: Vec<u8>,
}

#[derive(Default)]
struct Ring {
    packets: VecDeque<Packet>,
    held: usize,
}

/// Listens until the program ends.
#[derive(Clone)]
pub struct Sniffer(Arc<Mutex<Ring>>);

impl std::fmt::Debug for Sniffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sniffer")
    }
}

impl Sniffer {
    /// Listens on all devices of a namespace.
    ///
    /// # Errors
    /// Where it may not.
    pub fn listen(space: &Namespace) -> Result<Self, LabError> {
        let open = || {
            let all = NonZero::new(u32::from(ETH_P_ALL.to_be())).map(Protocol::from_raw);
            socket_with(AddressFamily::PACKET, SocketType::DGRAM, SocketFlags::CLOEXEC, all)
        };
        let socket = space.inside(open)?.map_err(|e| LabError::io("a sniffer", e.into()))?;
        let ring = Arc::<Mutex<Ring>>::default();
        let kept = Arc::clone(&ring);
        thread::spawn(move || {
            let mut bytes = [0_u8; 65_536];
            loop {
                match recv(&socket, &mut bytes[..], RecvFlags::TRUNC) {
                    Ok((length, whole)) => {
                        let snap = bytes[..length.min(SNAP)].to_vec();
                        lock(&kept).keep(Packet { at: SystemTime::now(), whole, bytes: snap });
                    }
                    // A device that went down is told once.
                    Err(rustix::io::Errno::NETDOWN | rustix::io::Errno::INTR) => {}
                    Err(_) => return,
                }
            }
        });
        Ok(Self(ring))
    }

    /// Writes what passed since a moment from or to somebody of interest.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(
        &self,
        path: &Path,
        since: SystemTime,
        of_interest: impl Fn(IpAddr) -> bool,
    ) -> std::io::Result<()> {
        let mut file = BufWriter::new(std::fs::File::create(path)?);
        for word in [MAGIC, 0x0004_0002, 0, 0, SNAP as u32, LINKTYPE_RAW] {
            file.write_all(&word.to_ne_bytes())?;
        }
        let ring = lock(&self.0);
        for packet in ring.packets.iter().filter(|packet| packet.at >= since) {
            if !ends(&packet.bytes).into_iter().flatten().any(&of_interest) {
                continue;
            }
            let at = packet.at.duration_since(UNIX_EPOCH).unwrap_or_default();
            let (length, whole) = (packet.bytes.len() as u32, packet.whole as u32);
            for word in [at.as_secs() as u32, at.subsec_micros(), length, whole] {
                file.write_all(&word.to_ne_bytes())?;
            }
            file.write_all(&packet.bytes)?;
        }
        file.flush()
    }
}

impl Ring {
    fn keep(&mut self, packet: Packet) {
        self.held += packet.bytes.len() + OVERHEAD;
        self.packets.push_back(packet);
        while self.held > KEPT_BYTES {
            let Some(oldest) = self.packets.pop_front() else { return };
            self.held -= oldest.bytes.len() + OVERHEAD;
        }
    }
}

fn lock(ring: &Mutex<Ring>) -> std::sync::MutexGuard<'_, Ring> {
    ring.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Source and destination of an IP packet.
fn ends(packet: &[u8]) -> [Option<IpAddr>; 2] {
    let four = |at: usize| {
        let bytes: [u8; 4] = packet.get(at..at + 4)?.try_into().ok()?;
        Some(IpAddr::from(bytes))
    };
    let sixteen = |at: usize| {
        let bytes: [u8; 16] = packet.get(at..at + 16)?.try_into().ok()?;
        Some(IpAddr::from(bytes))
    };
    match packet.first().map(|first| first >> 4) {
        Some(4) => [four(12), four(16)],
        Some(6) => [sixteen(8), sixteen(24)],
        Some(_) | None => [None, None],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_when_the_ring_is_full() {
        let mut ring = Ring::default();
        let packet = |n: u8| Packet { at: SystemTime::now(), whole: 256, bytes: vec![n; 256] };
        (0..=255).cycle().take(60_000).for_each(|n| ring.keep(packet(n)));
        assert!(ring.held <= KEPT_BYTES);
        assert_eq!(ring.packets.len(), KEPT_BYTES / (256 + OVERHEAD));
    }

    #[test]
    fn both_ends_of_a_packet_are_read() {
        let mut packet = vec![0_u8; 40];
        packet[0] = 0x45;
        packet[12..16].copy_from_slice(&[5, 11, 0, 2]);
        assert_eq!(ends(&packet)[0], Some(IpAddr::from([5, 11, 0, 2])));
        packet[0] = 0x60;
        packet[24] = 0x2a;
        assert!(ends(&packet)[1].is_some_and(|ip| ip.is_ipv6()));
        assert_eq!(ends(&[]), [None, None]);
    }
}
