//! Voice-like load over allocations: who sends when, what arrives, and how long it took.
//!
//! Source: a call sends 172 bytes (RTP of 20 ms with its tag) 50 times a second. Invariant: every
//! message carries its number and the moment at which it was due, so that a sender that is late
//! does not make the relay look fast.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::super::Stop;
use super::client::ROOM;

/// Bytes of one message.
pub(super) const PAYLOAD: usize = 172;
/// What each flow sends a second in a call.
pub(super) const CALL_PER_S: f64 = 50.0;
/// How long stragglers are waited for.
const STRAGGLERS: Duration = Duration::from_millis(500);
/// The channel that every client binds.
pub(super) const CHANNEL: u16 = 0x4001;
/// Its header.
const HEADER: usize = 4;

/// One direction of a call.
pub(super) struct Flow {
    /// Sends; what is sent begins with a channel's header if this is a client.
    pub(super) from: UdpSocket,
    /// What is put before the payload.
    pub(super) framed: bool,
}

/// What came of a load.
#[derive(Clone, Debug, Default)]
pub(super) struct Came {
    pub(super) sent: u64,
    pub(super) received: u64,
    /// Of each message that came, in µs, sorted.
    pub(super) delays_us: Vec<u32>,
    pub(super) took: Duration,
}

impl Came {
    pub(super) fn loss_pct(&self) -> f64 {
        100.0 * (self.sent - self.received.min(self.sent)) as f64 / self.sent.max(1) as f64
    }

    pub(super) fn delay_ms(&self, share: f64) -> f64 {
        let last = self.delays_us.len().saturating_sub(1);
        let at = (last as f64 * share).round() as usize;
        self.delays_us.get(at).map_or(f64::NAN, |us| f64::from(*us) / 1000.0)
    }

    pub(super) fn sent_per_s(&self) -> f64 {
        self.sent as f64 / self.took.as_secs_f64()
    }
}

/// Those who listen, until they are dropped.
pub(super) struct Ears {
    heard: Arc<Mutex<Vec<u32>>>,
    base: Instant,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ears {
    /// Listens at these sockets.
    pub(super) fn open(sockets: Vec<UdpSocket>, base: Instant) -> Result<Self, Stop> {
        let (heard, stop) = (Arc::<Mutex<Vec<u32>>>::default(), Arc::<AtomicBool>::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(Stop::failed)?;
        for socket in &sockets {
            socket.set_nonblocking(true).map_err(Stop::failed)?;
        }
        let (shared, is_over) = (Arc::clone(&heard), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            runtime.block_on(async move {
                for socket in sockets {
                    let Ok(socket) = tokio::net::UdpSocket::from_std(socket) else { return };
                    tokio::spawn(listen(socket, base, Arc::clone(&shared)));
                }
                let mut beat = tokio::time::interval(Duration::from_millis(20));
                while !is_over.load(Ordering::Relaxed) {
                    beat.tick().await;
                }
            });
        });
        Ok(Self { heard, base, stop, thread: Some(thread) })
    }

    /// Sends so many messages a second of each flow, evenly, and says what came.
    pub(super) fn hear(&self, flows: &[Flow], per_s: f64, time: Duration) -> Result<Came, Stop> {
        self.lock().clear();
        let gap = Duration::from_secs_f64(1.0 / (per_s * flows.len() as f64));
        let begun = Instant::now();
        let mut sent = 0_u64;
        let mut message = [0x80; HEADER + PAYLOAD];
        message[..2].copy_from_slice(&CHANNEL.to_be_bytes());
        message[2..HEADER].copy_from_slice(&(PAYLOAD as u16).to_be_bytes());
        for flow in flows.iter().cycle() {
            let due = gap.mul_f64(sent as f64);
            if due >= time {
                break;
            }
            let early = due.saturating_sub(begun.elapsed());
            if early > Duration::from_micros(50) {
                std::thread::park_timeout(early);
            }
            let stamp = (begun + due).duration_since(self.base).as_nanos() as u64;
            message[HEADER + 4..HEADER + 12].copy_from_slice(&stamp.to_be_bytes());
            let bytes = if flow.framed { &message[..] } else { &message[HEADER..] };
            // What the kernel does not take is lost, and counted as such.
            let _ = flow.from.send(bytes);
            sent += 1;
        }
        let took = begun.elapsed();
        let end = Instant::now() + STRAGGLERS;
        while (self.lock().len() as u64) < sent && Instant::now() < end {
            std::thread::park_timeout(Duration::from_millis(10));
        }
        let mut delays_us = self.lock().clone();
        delays_us.sort_unstable();
        Ok(Came { sent, received: delays_us.len() as u64, delays_us, took })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<u32>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ears {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

async fn listen(socket: tokio::net::UdpSocket, base: Instant, heard: Arc<Mutex<Vec<u32>>>) {
    let mut buffer = [0; ROOM];
    while let Ok(length) = socket.recv(&mut buffer).await {
        // A client hears its channel, a socket of its own the payload.
        let at = if buffer[0] == 0x80 { 4 } else { HEADER + 4 };
        let Some(stamp) = buffer[..length].get(at..at + 8).and_then(|s| s.try_into().ok()) else {
            continue;
        };
        let sent = Duration::from_nanos(u64::from_be_bytes(stamp));
        let delay = base.elapsed().saturating_sub(sent).as_micros();
        let delay = u32::try_from(delay).unwrap_or(u32::MAX);
        heard.lock().unwrap_or_else(PoisonError::into_inner).push(delay);
    }
}

/// A peer that says everything back, until the process ends.
pub(super) fn echo() -> Result<SocketAddr, Stop> {
    let socket = UdpSocket::bind("127.0.0.1:0").map_err(Stop::failed)?;
    let address = socket.local_addr().map_err(Stop::failed)?;
    std::thread::spawn(move || {
        let mut buffer = [0; ROOM];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&buffer[..length], from);
        }
    });
    Ok(address)
}
