//! The recovery key: 128 bits on paper, the second way to the vault key. DESIGN 2.3.
//!
//! Printed as eight groups of four letters of Crockford's base 32 (no I, L, O, U), the last 32 bits
//! a checksum, so that a slip of the pen is told from a key that does not fit.

use data_encoding::{DecodeKind, Encoding, Specification};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use super::seal::SealKey;
use crate::entropy::Stream;

const KEY_LEN: usize = 16;
const CHECKSUM_LEN: usize = 4;
/// Letters of the printed form: 160 bits, five a letter.
const LETTERS: usize = 32;
/// Letters between two hyphens.
const GROUP: usize = 4;
/// Longest text read as a key: each letter with some space around it.
const TEXT_MAX: usize = 8 * LETTERS;

/// A recovery key.
pub struct RecoveryKey(Zeroizing<[u8; KEY_LEN]>);

/// A recovery key in the form for paper, on its way to its owner. It is wiped when dropped, has no
/// `Clone` and tells nothing when printed.
#[derive(PartialEq, Eq)]
pub struct Paper(Zeroizing<String>);

impl Paper {
    /// The letters, to be shown once.
    #[must_use]
    pub fn into_text(self) -> Zeroizing<String> {
        self.0
    }
}

impl std::fmt::Debug for Paper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Paper(..)")
    }
}

/// Why a text is no recovery key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadRecoveryKey {
    /// Not 32 letters.
    #[error("a recovery key has {LETTERS} letters and digits, not {got}")]
    Length {
        /// Letters found, hyphens and spaces not counted.
        got: usize,
    },
    /// A letter or sign that recovery keys do not use.
    #[error("letter {position} is none that recovery keys use")]
    Letter {
        /// Which, from 1, hyphens and spaces not counted.
        position: usize,
    },
    /// All letters are possible, but they do not belong together.
    #[error("a letter is wrong: compare again with the paper")]
    Checksum,
}

impl RecoveryKey {
    /// Draws a new one.
    pub fn draw(secrets: &mut Stream) -> Self {
        Self(Zeroizing::new(secrets.bytes()))
    }

    pub(super) fn seal_key(&self) -> SealKey {
        SealKey::derive(self.0.as_slice(), "earshot-vault-by-recovery-v1")
    }

    /// The form for paper: `XXXX-XXXX-…`, eight groups.
    #[must_use]
    pub fn to_paper(&self) -> Paper {
        let mut bytes = Zeroizing::new([0; KEY_LEN + CHECKSUM_LEN]);
        bytes[..KEY_LEN].copy_from_slice(self.0.as_slice());
        bytes[KEY_LEN..].copy_from_slice(&checksum(&self.0));
        let letters = Zeroizing::new(crockford().encode(bytes.as_slice()));
        let mut paper = Zeroizing::new(String::with_capacity(LETTERS + LETTERS / GROUP));
        for (i, letter) in letters.chars().enumerate() {
            if i > 0 && i % GROUP == 0 {
                paper.push('-');
            }
            paper.push(letter);
        }
        Paper(paper)
    }

    /// Reads what somebody typed from paper: small letters, spaces, O for 0, I and L for 1 are
    /// forgiven.
    ///
    /// # Errors
    /// [`BadRecoveryKey`] says what to look at.
    pub fn from_paper(typed: &str) -> Result<Self, BadRecoveryKey> {
        if typed.len() > TEXT_MAX {
            return Err(BadRecoveryKey::Length { got: typed.len() });
        }
        let letters: Zeroizing<String> =
            Zeroizing::new(typed.chars().filter(|c| !c.is_whitespace() && *c != '-').collect());
        let got = letters.chars().count();
        if got != LETTERS {
            return Err(BadRecoveryKey::Length { got });
        }
        let mut bytes = crockford().decode(letters.as_bytes()).map_err(|e| match e.kind {
            DecodeKind::Symbol => BadRecoveryKey::Letter { position: e.position + 1 },
            DecodeKind::Length | DecodeKind::Trailing | DecodeKind::Padding => {
                BadRecoveryKey::Length { got }
            }
        })?;
        let mut key = Zeroizing::new([0; KEY_LEN]);
        key.copy_from_slice(&bytes[..KEY_LEN]);
        let fits = bytes[KEY_LEN..] == checksum(&key);
        bytes.zeroize();
        if fits { Ok(Self(key)) } else { Err(BadRecoveryKey::Checksum) }
    }
}

fn checksum(key: &[u8; KEY_LEN]) -> [u8; CHECKSUM_LEN] {
    let hash: [u8; 32] =
        Sha256::new().chain_update("earshot-recovery-key-v1\0").chain_update(key).finalize().into();
    *hash.first_chunk().expect("32 bytes hold 4")
}

/// Crockford's base 32: <https://www.crockford.com/base32.html>.
fn crockford() -> Encoding {
    let mut alphabet = Specification::new();
    alphabet.symbols.push_str("0123456789ABCDEFGHJKMNPQRSTVWXYZ");
    alphabet.translate.from.push_str("abcdefghjkmnpqrstvwxyzOoIiLl");
    alphabet.translate.to.push_str("ABCDEFGHJKMNPQRSTVWXYZ001111");
    alphabet.encoding().expect("32 distinct letters")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::Entropy;

    fn key() -> RecoveryKey {
        RecoveryKey::draw(&mut Entropy::new([4; 32]).secrets)
    }

    #[test]
    fn a_key_comes_back_from_paper_however_it_is_typed() {
        let paper = key().to_paper().into_text();
        assert_eq!(paper.len(), 39);
        assert_eq!(format!("{:?}", key().to_paper()), "Paper(..)");
        let sloppy = paper.to_lowercase().replace('-', " ").replace('0', "o").replace('1', "l");
        for typed in [paper.as_str(), &sloppy, &paper.replace('-', "")] {
            assert_eq!(RecoveryKey::from_paper(typed).ok().map(|k| k.0), Some(key().0));
        }
    }

    #[test]
    fn every_single_wrong_letter_is_noticed() {
        let paper = key().to_paper().into_text();
        for (i, letter) in paper.char_indices().filter(|(_, c)| *c != '-') {
            let wrong = if letter == 'Z' { "Y" } else { "Z" };
            let mut typed = paper.to_string();
            typed.replace_range(i..=i, wrong);
            let read = RecoveryKey::from_paper(&typed).err();
            assert_eq!(read, Some(BadRecoveryKey::Checksum), "letter {i}");
        }
    }

    #[test]
    fn a_text_that_is_no_key_is_told_why() {
        let read = |text: &str| RecoveryKey::from_paper(text).err();
        assert_eq!(read("ABCD"), Some(BadRecoveryKey::Length { got: 4 }));
        assert_eq!(read(&"é".repeat(32)), Some(BadRecoveryKey::Letter { position: 1 }));
        assert_eq!(read(&"U".repeat(32)), Some(BadRecoveryKey::Letter { position: 1 }));
        assert_eq!(read(&"A".repeat(5000)), Some(BadRecoveryKey::Length { got: 5000 }));
    }
}
