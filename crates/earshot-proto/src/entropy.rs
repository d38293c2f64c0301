//! Randomness as an argument: one 32-byte seed, split into two streams that never meet.
//!
//! *Secrets* feed keys, nonces and tokens; *jitter* feeds back-offs and choices that can be seen on
//! the wire, so that what is seen tells nothing of the keys. Both are ChaCha20 (RFC 8439), as in
//! [`rand_chacha`].

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

/// The two streams of randomness that a machine owns.
pub struct Entropy {
    /// For keys, nonces, tokens and identifiers that must not be guessed.
    pub secrets: Stream,
    /// For back-off, sampling and everything whose outcome others can observe.
    pub jitter: Stream,
}

impl Entropy {
    /// Splits one seed into the two streams.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        let stream = |number: u64| {
            let mut rng = ChaCha20Rng::from_seed(seed);
            rng.set_stream(number);
            Stream(rng)
        };
        Self { secrets: stream(1), jitter: stream(2) }
    }
}

impl std::fmt::Debug for Entropy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entropy(..)")
    }
}

/// One deterministic, cryptographically strong stream of bytes.
pub struct Stream(ChaCha20Rng);

impl Stream {
    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }

    /// The next `N` bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `end`, without measurable bias for the small ranges used here. `end` must not
    /// be 0.
    pub fn below(&mut self, end: u64) -> u64 {
        debug_assert!(end > 0, "an empty range has no member");
        ((u128::from(self.0.next_u64()) * u128::from(end)) >> 64) as u64
    }

    /// A stream of its own for a part of the machine (a link, a call), split off this one.
    pub fn split(&mut self) -> Stream {
        Stream(ChaCha20Rng::from_seed(self.bytes()))
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stream(..)")
    }
}

/// `opaque-ke` and `snow` speak the older random traits (rand_core 0.6).
impl rand_core_06::RngCore for Stream {
    fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        self.0.fill_bytes(dest);
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), rand_core_06::Error> {
        self.0.fill_bytes(dest);
        Ok(())
    }
}

impl rand_core_06::CryptoRng for Stream {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_two_streams_and_they_differ() {
        let (mut one, mut two) = (Entropy::new([7; 32]), Entropy::new([7; 32]));
        let secret: [u8; 32] = one.secrets.bytes();
        assert_eq!(secret, two.secrets.bytes());
        assert_ne!(secret, one.jitter.bytes());
    }

    #[test]
    fn a_bounded_number_stays_below_its_end() {
        let mut jitter = Entropy::new([1; 32]).jitter;
        let seen: std::collections::BTreeSet<u64> = (0..200).map(|_| jitter.below(5)).collect();
        assert_eq!(seen, (0..5).collect());
    }
}
