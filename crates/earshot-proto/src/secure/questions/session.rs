//! What both sides keep of an exchange: keys from the handshake, a counter, a replay window.
//!
//! A sealed part is AES-256-GCM under Noise's keys and nonces (Noise, sections 5.1 and 12.4), with
//! the datagram's header as associated data. Only the 64 bytes of both keys are kept; AES expands
//! them for each datagram, which is cheaper than a thousand expanded keys in memory. Invariants: a
//! key seals with its own counter; a counter opens at most once.

use zeroize::Zeroizing;

use crate::secure::aes::{Gcm, TAG};
use crate::secure::noise::{HandshakeState, Split, nonce, split};
use crate::secure::replay::Window;
use crate::wire::question::SessionId;

/// Datagrams under one key: far more than ten minutes hold, far fewer than GCM allows under
/// counted nonces (NIST SP 800-38D, section 8.3).
const COUNTER_END: u64 = 1 << 32;

/// One side of a session.
pub(super) struct Session {
    id: SessionId,
    send: Zeroizing<[u8; 32]>,
    receive: Zeroizing<[u8; 32]>,
    next: u64,
    window: Window,
}

impl Session {
    /// The asker's side of an exchange that has ended.
    pub(super) fn of_asker(handshake: HandshakeState) -> Self {
        let Split { hash, from_initiator, from_responder } = split(handshake);
        Self::new(&hash, from_initiator, from_responder)
    }

    /// The answerer's side of it.
    pub(super) fn of_answerer(handshake: HandshakeState) -> Self {
        let Split { hash, from_initiator, from_responder } = split(handshake);
        Self::new(&hash, from_responder, from_initiator)
    }

    fn new(hash: &[u8; 32], send: Zeroizing<[u8; 32]>, receive: Zeroizing<[u8; 32]>) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = *hash;
        let id = SessionId(u64::from_be_bytes([a, b, c, d, e, f, g, h]));
        Self { id, send, receive, next: 0, window: Window::default() }
    }

    pub(super) const fn id(&self) -> SessionId {
        self.id
    }

    /// Seals `plain` behind the header that `head` makes for the counter, and tells the counter;
    /// none when the key is used up.
    pub(super) fn seal(
        &mut self,
        head: impl FnOnce(u64) -> Vec<u8>,
        plain: &[&[u8]],
    ) -> Option<(u64, Vec<u8>)> {
        let counter = self.next;
        if counter >= COUNTER_END {
            return None;
        }
        self.next = counter + 1;
        let mut datagram = head(counter);
        let header = datagram.len();
        plain.iter().for_each(|part| datagram.extend_from_slice(part));
        let (about, body) = datagram.split_at_mut(header);
        let tag = Gcm::new(&self.send).seal(nonce(counter), about, body);
        datagram.extend_from_slice(&tag);
        Some((counter, datagram))
    }

    /// Opens what is sealed behind the header `about`; none when it came before, is too old, or is
    /// not authentic.
    pub(super) fn open(&mut self, counter: u64, about: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        self.window.fresh(counter).ok()?;
        let (body, tag) = sealed.split_last_chunk::<TAG>()?;
        let mut body = body.to_vec();
        Gcm::new(&self.receive).open(nonce(counter), about, &mut body, tag).ok()?;
        self.window.record(counter);
        Some(body)
    }
}
