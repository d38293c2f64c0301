//! Where the randomness of a machine comes from: one seed of the operating system, given at the
//! start.
//!
//! Source: DESIGN, section 3 (randomness is an argument). Invariant: a seed is wiped when it is
//! dropped.

use zeroize::Zeroizing;

/// The operating system gives no randomness.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gives no randomness: {0}")]
pub struct NoSeed(getrandom::Error);

/// Draws a seed for one machine.
///
/// # Errors
/// [`NoSeed`] where the operating system refuses (a broken sandbox, a machine that is just
/// booting).
pub fn draw() -> Result<Zeroizing<[u8; 32]>, NoSeed> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *seed).map_err(NoSeed)?;
    Ok(seed)
}

#[cfg(test)]
mod tests {
    #[test]
    fn two_seeds_differ() {
        let one = super::draw().expect("the test machine has randomness");
        let two = super::draw().expect("the test machine has randomness");
        assert_ne!(*one, *two);
    }
}
