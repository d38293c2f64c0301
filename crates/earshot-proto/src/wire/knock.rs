//! A knock: the datagram with which a super-peer that was asked to dial back tries UDP. DESIGN
//! 2.12.
//!
//! `E4 ‖ token (16)`. The token is the asker's own, drawn for this super-peer and this test, so
//! that nobody else can make it believe that it was reached. It is shorter than the question that
//! causes it, and answered by nothing.

use super::{DecodeError, Family};

/// The first byte: beside those of [`question`](super::question), among the free ones of RFC 7983.
pub const FIRST_BYTE: u8 = 0xE4;
/// Bytes of a token.
pub const TOKEN: usize = 16;

const NAME: &str = "knock";
const LENGTH: usize = 1 + TOKEN;

/// What a knock shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Knock(pub [u8; TOKEN]);

impl Knock {
    /// Its bytes.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        [&[FIRST_BYTE], self.0.as_slice()].concat()
    }

    /// Reads a datagram.
    ///
    /// # Errors
    /// [`DecodeError`] when it is none, or not so long.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > LENGTH {
            return Err(DecodeError::TooLong { got: bytes.len(), max: LENGTH });
        }
        match bytes.split_first() {
            Some((&FIRST_BYTE, token)) => {
                let token = token.try_into();
                token.map(Self).map_err(|_| DecodeError::TooShort { got: bytes.len() })
            }
            Some(_) => Err(DecodeError::Malformed { family: NAME, at: Some(0) }),
            None => Err(DecodeError::TooShort { got: 0 }),
        }
    }
}

/// The row of [`ALL`](super::ALL).
pub(super) const FAMILY: Family = Family {
    name: NAME,
    max: LENGTH,
    read: |bytes| Knock::from_bytes(bytes).map(|_| ()),
    rewrite: |bytes| Knock::from_bytes(bytes).map(Knock::to_bytes),
};

#[cfg(test)]
mod tests {
    use super::super::question::FIRST_BYTES;
    use super::*;

    #[test]
    fn a_knock_is_nothing_else_and_nothing_else_is_a_knock() {
        let knock = Knock([7; TOKEN]);
        let bytes = knock.to_bytes();
        assert_eq!(Knock::from_bytes(&bytes), Ok(knock));
        assert!(!FIRST_BYTES.contains(&FIRST_BYTE) && FIRST_BYTE >= 192, "RFC 7983");
        assert!(Knock::from_bytes(&bytes[..LENGTH - 1]).is_err());
        assert!(Knock::from_bytes(&[bytes.as_slice(), &[0]].concat()).is_err());
        assert!(Knock::from_bytes(&[&[0xE3], &bytes[1..]].concat()).is_err());
    }
}
