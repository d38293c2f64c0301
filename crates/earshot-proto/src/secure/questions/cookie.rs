//! Cookies: who shows one receives at the address that it was given to.
//!
//! Source: WireGuard (Donenfeld, NDSS 2017, section 5.4.7). A cookie is an HMAC over the asker's
//! address under a secret that is drawn anew every two minutes, so it costs no memory. Invariant: a
//! cookie is good from its own address only, and for two to four minutes.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::epoch::{is_same, mac};
use crate::entropy::Stream;
use crate::wire::question::Mac;

/// How long a secret makes cookies; they are taken as long again. WireGuard's two minutes.
pub(super) const ROTATION: Duration = Duration::from_secs(120);

/// Makes and checks cookies.
pub(super) struct Cookies {
    present: Zeroizing<[u8; 32]>,
    previous: Zeroizing<[u8; 32]>,
    since: Instant,
}

impl Cookies {
    pub(super) fn new(now: Instant, secrets: &mut Stream) -> Self {
        let (present, previous) = (secrets.bytes(), secrets.bytes());
        Self { present: Zeroizing::new(present), previous: Zeroizing::new(previous), since: now }
    }

    /// The cookie of an address.
    pub(super) fn make(&mut self, now: Instant, from: SocketAddr, secrets: &mut Stream) -> Mac {
        self.rotate(now, secrets);
        cookie(&self.present, from)
    }

    /// Whether `proof` was made with a cookie of this address over the question's own proof.
    pub(super) fn is_proved(
        &mut self,
        now: Instant,
        from: SocketAddr,
        (question, proof): (&Mac, &Mac),
        secrets: &mut Stream,
    ) -> bool {
        self.rotate(now, secrets);
        [&self.present, &self.previous]
            .into_iter()
            .any(|secret| is_same(&prove(&cookie(secret, from), question), proof))
    }

    fn rotate(&mut self, now: Instant, secrets: &mut Stream) {
        let age = now.saturating_duration_since(self.since);
        if age < ROTATION {
            return;
        }
        std::mem::swap(&mut self.present, &mut self.previous);
        secrets.fill(self.present.as_mut_slice());
        if age >= 2 * ROTATION {
            secrets.fill(self.previous.as_mut_slice());
        }
        self.since = now;
    }
}

/// What an asker shows of its cookie: an HMAC under it over the question's own proof, which covers
/// what is particular to the question.
pub(super) fn prove(cookie: &Mac, question: &Mac) -> Mac {
    mac(cookie, &[b"earshot-question-cookie".as_slice(), question])
}

fn cookie(secret: &[u8; 32], from: SocketAddr) -> Mac {
    let ip = match from.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    mac(secret, &[ip.octets().as_slice(), &from.port().to_be_bytes()])
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test begins at some moment")]
mod tests {
    use super::*;
    use crate::entropy::Entropy;

    const QUESTION: Mac = [1; 16];

    #[test]
    fn a_cookie_is_good_from_its_own_address_for_two_to_four_minutes() {
        let mut secrets = Entropy::new([1; 32]).secrets;
        let start = Instant::now();
        let mut cookies = Cookies::new(start, &mut secrets);
        let [home, port, host] = ["203.0.113.9:5000", "203.0.113.9:5001", "203.0.113.8:5000"]
            .map(|address| address.parse().expect("an address"));
        let late = start + ROTATION - Duration::from_secs(1);
        let proof = prove(&cookies.make(late, home, &mut secrets), &QUESTION);
        let mut good = |after, from, question| {
            let shown = (&question, &proof);
            cookies.is_proved(start + Duration::from_secs(after), from, shown, &mut secrets)
        };
        assert!(good(119, home, QUESTION));
        assert!(!good(119, port, QUESTION));
        assert!(!good(119, host, QUESTION));
        assert!(!good(119, home, [2; 16]), "it is for one question");
        assert!(good(120, home, QUESTION));
        assert!(good(239, home, QUESTION));
        assert!(!good(240, home, QUESTION));
    }

    #[test]
    fn after_a_long_silence_no_old_secret_is_left() {
        let mut secrets = Entropy::new([1; 32]).secrets;
        let start = Instant::now();
        let mut cookies = Cookies::new(start, &mut secrets);
        let from = "[2001:db8::1]:9".parse().expect("an address");
        let proof = prove(&cookies.make(start, from, &mut secrets), &QUESTION);
        let shown = (&QUESTION, &proof);
        assert!(!cookies.is_proved(start + 2 * ROTATION, from, shown, &mut secrets));
    }
}
