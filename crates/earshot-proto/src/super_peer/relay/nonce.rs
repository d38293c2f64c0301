//! Nonces that cost no memory: a half-hour number and an HMAC over it and the asker's address.
//!
//! Source: RFC 8489, section 9.2; RFC 8656, section 5 (expire at least once an hour). Sixteen
//! characters, so that a 401 with a short realm stays within three times the shortest question.
//! Invariant: a nonce is good only from the address it was given to, so a valid one proves that its
//! bearer receives there.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// A nonce is good in the window it was made in and the next: 30 to 60 minutes.
const WINDOW: Duration = Duration::from_secs(1800);
/// Bytes of window number that travel; enough to tell this window from the last.
const NUMBER_LEN: usize = 2;
/// Bytes of HMAC that travel: 80 bits, guessed online only, for one address and hour.
const TAG_LEN: usize = 10;
const LEN: usize = NUMBER_LEN + TAG_LEN;

pub(super) struct Nonces {
    key: Zeroizing<[u8; 32]>,
    start: Instant,
}

impl Nonces {
    pub(super) fn new(start: Instant, key: [u8; 32]) -> Self {
        Self { key: Zeroizing::new(key), start }
    }

    /// A nonce for this address.
    pub(super) fn make(&self, now: Instant, from: SocketAddr) -> String {
        BASE64URL_NOPAD.encode(&self.bytes(self.window(now), from))
    }

    /// Whether the text is a nonce that was given to this address and is still fresh.
    pub(super) fn is_fresh(&self, now: Instant, from: SocketAddr, text: &str) -> bool {
        let Ok(got) = BASE64URL_NOPAD.decode(text.as_bytes()) else { return false };
        let this = self.window(now);
        let fresh = |window| got.ct_eq(&self.bytes(window, from)).into();
        fresh(this) || this.checked_sub(1).is_some_and(fresh)
    }

    fn window(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.start).as_secs() / WINDOW.as_secs()
    }

    fn bytes(&self, window: u64, from: SocketAddr) -> [u8; LEN] {
        let ip = match from.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.as_slice())
            .expect("HMAC takes keys of any length");
        mac.update(b"earshot relay nonce");
        mac.update(&window.to_be_bytes());
        mac.update(&ip.octets());
        mac.update(&from.port().to_be_bytes());
        let tag = mac.finalize().into_bytes();
        let mut bytes = [0; LEN];
        bytes[..NUMBER_LEN].copy_from_slice(&window.to_be_bytes()[8 - NUMBER_LEN..]);
        bytes[NUMBER_LEN..].copy_from_slice(&tag[..TAG_LEN]);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn story() -> (Nonces, Instant, SocketAddr) {
        let now = crate::super_peer::relay::tests::start();
        (Nonces::new(now, [7; 32]), now, "203.0.113.9:5000".parse().unwrap())
    }

    #[test]
    fn a_nonce_is_good_for_half_an_hour_and_gone_after_an_hour() {
        let (nonces, now, from) = story();
        let nonce = nonces.make(now, from);
        assert_eq!(nonce.len(), 16);
        assert!(nonces.is_fresh(now, from, &nonce));
        assert!(nonces.is_fresh(now + WINDOW, from, &nonce));
        assert!(!nonces.is_fresh(now + 2 * WINDOW, from, &nonce));
    }

    #[test]
    fn a_nonce_is_good_for_its_address_only() {
        let (nonces, now, from) = story();
        let nonce = nonces.make(now, from);
        assert!(!nonces.is_fresh(now, "203.0.113.9:5001".parse().unwrap(), &nonce));
        assert!(!nonces.is_fresh(now, "203.0.113.10:5000".parse().unwrap(), &nonce));
        assert!(!nonces.is_fresh(now, from, "AAAAAAAAAAAAAAAA"));
        assert!(!nonces.is_fresh(now, from, "not base64!"));
    }
}
