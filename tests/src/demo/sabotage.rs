//! What the demo breaks on purpose, to show that its checks would notice.
//!
//! Each sabotage is done from outside, to a product that knows nothing of it:
//! - *silence*: Bob's microphone is silence.
//! - *swap-wav*: what was heard is compared with what the other one did not say.
//! - *drop-half*: the kernel drops every second packet of the call, in a network of our own.
//! - *skip-ice*: the kernel drops every STUN message, so that ICE checks nothing.
//! - *plain-relay*: the voice passes the relay's door unsealed as well. No `earshotd` has a way to
//!   send it so, hence the demo does, while it copies the relay's memory: the search must find it.

use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// Bob says nothing.
    Silence,
    /// The wrong recording is compared with.
    SwapWav,
    /// Half of the packets of the call are lost.
    DropHalf,
    /// The relay sees plain voice.
    PlainRelay,
    /// No path is checked.
    SkipIce,
}

impl Sabotage {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Silence, Self::SwapWav, Self::DropHalf, Self::PlainRelay, Self::SkipIce];

    /// As on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Silence => "silence",
            Self::SwapWav => "swap-wav",
            Self::DropHalf => "drop-half",
            Self::PlainRelay => "plain-relay",
            Self::SkipIce => "skip-ice",
        }
    }

    /// The check that must be the first to fail. What cannot be measured then fails behind it.
    #[must_use]
    pub const fn caught_by(self) -> &'static str {
        match self {
            Self::Silence => "demo.stoi.bob_to_alice",
            Self::SwapWav => "demo.stoi.alice_to_bob",
            Self::DropHalf => "demo.loss.alice",
            Self::PlainRelay => "demo.sealed",
            Self::SkipIce => "demo.path",
        }
    }

    /// Whether the kernel has to drop packets, which it does in a network of our own.
    #[must_use]
    pub const fn needs_own_network(self) -> bool {
        match self {
            Self::DropHalf | Self::SkipIce => true,
            Self::Silence | Self::SwapWav | Self::PlainRelay => false,
        }
    }
}

/// How often plain voice knocks at the relay's door: often enough that some is always in its
/// hands, whatever sealed packet came last.
const EVERY: Duration = Duration::from_millis(1);
/// Longer than any sealed packet of a call, so that these do not write over all of it.
const DATAGRAM_MAX: usize = 1_200;

/// Sends plain voice to a relay until dropped.
#[derive(Debug)]
pub struct PlainVoice {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl PlainVoice {
    /// Sends these Opus packets, several to a datagram, over and over.
    ///
    /// # Errors
    /// Where the system gives no socket.
    pub fn to(relay: SocketAddr, voice: &[Vec<u8>]) -> std::io::Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        let mut datagrams = vec![Vec::new()];
        for packet in voice.iter().filter(|packet| packet.len() < DATAGRAM_MAX) {
            let full =
                datagrams.last().is_none_or(|d: &Vec<u8>| d.len() + packet.len() > DATAGRAM_MAX);
            if full {
                datagrams.push(Vec::new());
            }
            datagrams.last_mut().expect("one was there from the start").extend(packet);
        }
        let (stop, stopped) = mpsc::channel::<()>();
        let thread = thread::spawn(move || {
            for datagram in datagrams.iter().cycle() {
                // A full buffer on the way loses one of very many.
                drop(socket.send_to(datagram, relay));
                if stopped.recv_timeout(EVERY) == Err(RecvTimeoutError::Disconnected) {
                    return;
                }
            }
        });
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for PlainVoice {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
