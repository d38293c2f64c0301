//! Questions in datagrams: what lies before and around what is sealed. DESIGN 2.4.
//!
//! The first byte tells ours from STUN and TURN on the same port (RFC 7983); all lengths but those
//! of the sealed parts are fixed. Who may believe what is for
//! [`secure::questions`](crate::secure::questions). Invariants: reading allocates nothing; the
//! replies that are made without any state are shorter than the shortest datagram that causes them.

use super::{DecodeError, Family};

/// The first bytes that are ours. RFC 7983 leaves 192 to 255 free.
pub const FIRST_BYTES: std::ops::RangeInclusive<u8> = QUESTION..=COOKIE;
/// Longest datagram in bytes: what QUIC takes every path to carry (RFC 9000, section 14).
pub const DATAGRAM_MAX: usize = 1200;
/// Bytes before the Noise message of a question.
pub const QUESTION_HEADER: usize = 10 + 2 * MAC;
/// Bytes before the Noise message of an answer.
pub const ANSWER_HEADER: usize = 9;
/// Bytes before the sealed part of a question in a session.
pub const SESSION_QUESTION_HEADER: usize = 19;
/// Bytes before the sealed part of an answer in a session.
pub const SESSION_ANSWER_HEADER: usize = 26;
/// Bytes of a proof and of a cookie: 128 bits, as in WireGuard.
pub const MAC: usize = 16;

const NAME: &str = "question";
/// The first byte of a question with a handshake: the dearest to answer.
pub const QUESTION: u8 = 0xE0;
const ANSWER: u8 = 0xE1;
const SESSION: u8 = 0xE2;
const COOKIE: u8 = 0xE3;

/// The second bytes of datagrams of a session.
const IN_SESSION: u8 = 0;
const FROM_SESSION: u8 = 1;
const NO_SESSION: u8 = 2;

/// Bytes of a tag of AES-256-GCM, which ends every sealed part.
const TAG: usize = 16;
/// A Noise message of NKpsk0 with an empty payload: an ephemeral key and a tag.
const NOISE_MIN: usize = 32 + TAG;
/// Bytes of the question's length inside the padding.
pub const LENGTH: usize = 2;
/// Bytes of a [`Fit`] before the answer.
pub const FIT: usize = 1;

/// Names one datagram of a question, so that its answer finds it; drawn at random for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TryName(pub u64);

/// Names a session: the first eight bytes of the handshake's hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// The beginning of an HMAC-SHA-256.
pub type Mac = [u8; MAC];

/// A datagram of ours, as it lies on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Datagram<'a> {
    /// A question with a handshake: `E0 ‖ epoch (1) ‖ name (8) ‖ proof (16) ‖ cookie proof (16) ‖
    /// Noise message`.
    Question {
        /// The epoch whose secret it is made with.
        epoch: u8,
        /// Names this datagram.
        name: TryName,
        /// Shows that the sender knows the epoch's secret.
        proof: Mac,
        /// Shows that the sender got a cookie at its address; zeros without one.
        cookie_proof: Mac,
        /// The first message of NKpsk0.
        noise: &'a [u8],
    },
    /// Its answer: `E1 ‖ name (8) ‖ Noise message`.
    Answer {
        /// Which datagram it answers.
        name: TryName,
        /// The second message of NKpsk0.
        noise: &'a [u8],
    },
    /// A question in a session: `E2 ‖ 00 ‖ epoch (1) ‖ session (8) ‖ counter (8) ‖ sealed`.
    SessionQuestion {
        /// The epoch under which a lost session is to be told.
        epoch: u8,
        /// The session.
        session: SessionId,
        /// The asker's nonce.
        counter: u64,
        /// Ciphertext and tag.
        sealed: &'a [u8],
    },
    /// Its answer: `E2 ‖ 01 ‖ session (8) ‖ asked (8) ‖ counter (8) ‖ sealed`.
    SessionAnswer {
        /// The session.
        session: SessionId,
        /// The counter of the question.
        asked: u64,
        /// The answerer's nonce.
        counter: u64,
        /// Ciphertext and tag.
        sealed: &'a [u8],
    },
    /// There is no such session: `E2 ‖ 02 ‖ session (8) ‖ counter (8) ‖ proof (16)`.
    SessionUnknown {
        /// The session that was named.
        session: SessionId,
        /// The counter of the question.
        counter: u64,
        /// Shows that the sender knows the epoch's secret.
        proof: Mac,
    },
    /// Ask again with this: `E3 ‖ name (8) ‖ cookie (16) ‖ proof (16)`.
    Cookie {
        /// Which datagram was not answered.
        name: TryName,
        /// The cookie for the asker's address.
        cookie: Mac,
        /// Shows that the sender knows the epoch's secret.
        proof: Mac,
    },
}

impl<'a> Datagram<'a> {
    /// Its bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(DATAGRAM_MAX);
        match *self {
            Self::Question { epoch, name, proof, cookie_proof, noise } => {
                bytes.extend_from_slice(&[QUESTION, epoch]);
                bytes.extend_from_slice(&name.0.to_be_bytes());
                bytes.extend_from_slice(&proof);
                bytes.extend_from_slice(&cookie_proof);
                bytes.extend_from_slice(noise);
            }
            Self::Answer { name, noise } => {
                bytes.push(ANSWER);
                bytes.extend_from_slice(&name.0.to_be_bytes());
                bytes.extend_from_slice(noise);
            }
            Self::SessionQuestion { epoch, session, counter, sealed } => {
                bytes.extend_from_slice(&[SESSION, IN_SESSION, epoch]);
                bytes.extend_from_slice(&session.0.to_be_bytes());
                bytes.extend_from_slice(&counter.to_be_bytes());
                bytes.extend_from_slice(sealed);
            }
            Self::SessionAnswer { session, asked, counter, sealed } => {
                bytes.extend_from_slice(&[SESSION, FROM_SESSION]);
                bytes.extend_from_slice(&session.0.to_be_bytes());
                bytes.extend_from_slice(&asked.to_be_bytes());
                bytes.extend_from_slice(&counter.to_be_bytes());
                bytes.extend_from_slice(sealed);
            }
            Self::SessionUnknown { session, counter, proof } => {
                bytes.extend_from_slice(&[SESSION, NO_SESSION]);
                bytes.extend_from_slice(&session.0.to_be_bytes());
                bytes.extend_from_slice(&counter.to_be_bytes());
                bytes.extend_from_slice(&proof);
            }
            Self::Cookie { name, cookie, proof } => {
                bytes.push(COOKIE);
                bytes.extend_from_slice(&name.0.to_be_bytes());
                bytes.extend_from_slice(&cookie);
                bytes.extend_from_slice(&proof);
            }
        }
        bytes
    }

    /// Reads one datagram.
    ///
    /// # Errors
    /// [`DecodeError`]: too long, too short for its kind, of a kind that is not ours, or with bytes
    /// behind a kind of fixed length.
    pub fn from_bytes(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        if bytes.len() > DATAGRAM_MAX {
            return Err(DecodeError::TooLong { got: bytes.len(), max: DATAGRAM_MAX });
        }
        let mut rest = Reader { whole: bytes.len(), rest: bytes };
        match (rest.byte()?, bytes.get(1)) {
            (QUESTION, _) => Ok(Self::Question {
                epoch: rest.byte()?,
                name: TryName(rest.number()?),
                proof: rest.take()?,
                cookie_proof: rest.take()?,
                noise: rest.sealed(NOISE_MIN + LENGTH)?,
            }),
            (ANSWER, _) => Ok(Self::Answer {
                name: TryName(rest.number()?),
                noise: rest.sealed(NOISE_MIN + FIT)?,
            }),
            (SESSION, Some(&IN_SESSION)) => {
                let [_, epoch] = rest.take()?;
                Ok(Self::SessionQuestion {
                    epoch,
                    session: SessionId(rest.number()?),
                    counter: rest.number()?,
                    sealed: rest.sealed(TAG)?,
                })
            }
            (SESSION, Some(&FROM_SESSION)) => {
                rest.byte()?;
                Ok(Self::SessionAnswer {
                    session: SessionId(rest.number()?),
                    asked: rest.number()?,
                    counter: rest.number()?,
                    sealed: rest.sealed(FIT + TAG)?,
                })
            }
            (SESSION, Some(&NO_SESSION)) => {
                rest.byte()?;
                let session = SessionId(rest.number()?);
                let (counter, proof) = (rest.number()?, rest.take()?);
                rest.end()?;
                Ok(Self::SessionUnknown { session, counter, proof })
            }
            (SESSION, Some(_)) => Err(DecodeError::Malformed { family: NAME, at: Some(1) }),
            (SESSION, None) => Err(DecodeError::TooShort { got: 1 }),
            (COOKIE, _) => {
                let name = TryName(rest.number()?);
                let (cookie, proof) = (rest.take()?, rest.take()?);
                rest.end()?;
                Ok(Self::Cookie { name, cookie, proof })
            }
            (other, _) => Err(DecodeError::UnknownFamily(other)),
        }
    }
}

/// What an answer says of itself: its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Fit {
    /// The answer follows.
    Whole = 0,
    /// It is longer than the question; in the session that has begun it fits.
    Longer = 1,
    /// It fits into no datagram: ask over a link.
    TooLong = 2,
}

impl Fit {
    /// What a byte says. One that is not known yet asks for a link, like [`Self::TooLong`].
    #[must_use]
    pub const fn from_byte(byte: u8) -> Self {
        match byte {
            0 => Self::Whole,
            1 => Self::Longer,
            _ => Self::TooLong,
        }
    }
}

/// Takes a datagram from the front.
struct Reader<'a> {
    whole: usize,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let too_short = DecodeError::TooShort { got: self.whole };
        let (taken, rest) = self.rest.split_first_chunk().ok_or(too_short)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn byte(&mut self) -> Result<u8, DecodeError> {
        self.take().map(|[byte]| byte)
    }

    fn number(&mut self) -> Result<u64, DecodeError> {
        self.take().map(u64::from_be_bytes)
    }

    /// All that is left: `min` bytes at least.
    fn sealed(&self, min: usize) -> Result<&'a [u8], DecodeError> {
        let enough = Some(self.rest).filter(|rest| rest.len() >= min);
        enough.ok_or(DecodeError::TooShort { got: self.whole })
    }

    fn end(&self) -> Result<(), DecodeError> {
        let at = self.whole - self.rest.len();
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(DecodeError::TrailingBytes { family: NAME, at })
    }
}

/// The row of [`ALL`](super::ALL).
pub(super) const FAMILY: Family = Family {
    name: NAME,
    max: DATAGRAM_MAX,
    read: |bytes| Datagram::from_bytes(bytes).map(drop),
    rewrite: |bytes| Datagram::from_bytes(bytes).map(|datagram| datagram.to_bytes()),
};

#[cfg(test)]
mod tests {
    use super::*;

    const MACS: (Mac, Mac) = ([3; MAC], [4; MAC]);

    fn one_of_each(sealed: &[u8]) -> [Datagram<'_>; 6] {
        let (proof, other) = MACS;
        let (name, session) = (TryName(0x0102), SessionId(0x0304));
        [
            Datagram::Question { epoch: 7, name, proof, cookie_proof: other, noise: sealed },
            Datagram::Answer { name, noise: sealed },
            Datagram::SessionQuestion { epoch: 7, session, counter: 9, sealed },
            Datagram::SessionAnswer { session, asked: 9, counter: 5, sealed },
            Datagram::SessionUnknown { session, counter: 9, proof },
            Datagram::Cookie { name, cookie: other, proof },
        ]
    }

    #[test]
    fn every_kind_lies_as_the_protocol_draws_it() {
        let sealed = [0xAA; 60];
        let written = one_of_each(&sealed).map(|datagram| datagram.to_bytes());
        let starts: [&[u8]; 6] = [
            &[0xE0, 7, 0, 0, 0, 0, 0, 0, 1, 2, 3, 3],
            &[0xE1, 0, 0, 0, 0, 0, 0, 1, 2, 0xAA],
            &[0xE2, 0, 7, 0, 0, 0, 0, 0, 0, 3, 4, 0, 0, 0, 0, 0, 0, 0, 9, 0xAA],
            &[0xE2, 1, 0, 0, 0, 0, 0, 0, 3, 4, 0, 0, 0, 0, 0, 0, 0, 9],
            &[0xE2, 2, 0, 0, 0, 0, 0, 0, 3, 4, 0, 0, 0, 0, 0, 0, 0, 9, 3, 3],
            &[0xE3, 0, 0, 0, 0, 0, 0, 1, 2, 4, 4],
        ];
        let headers =
            [QUESTION_HEADER, ANSWER_HEADER, SESSION_QUESTION_HEADER, SESSION_ANSWER_HEADER];
        for (bytes, header) in written.iter().zip(headers) {
            assert_eq!(bytes.len(), header + sealed.len());
        }
        for ((bytes, start), datagram) in written.iter().zip(starts).zip(one_of_each(&sealed)) {
            assert!(bytes.starts_with(start), "{datagram:?}");
            assert_eq!(Datagram::from_bytes(bytes), Ok(datagram));
        }
    }

    #[test]
    fn what_is_cut_off_and_what_hangs_on_is_refused() {
        let sealed = [0xAA; NOISE_MIN + LENGTH];
        for datagram in one_of_each(&sealed) {
            let mut bytes = datagram.to_bytes();
            let least = match datagram {
                Datagram::Question { .. } => bytes.len(),
                Datagram::Answer { .. } => ANSWER_HEADER + NOISE_MIN + FIT,
                Datagram::SessionQuestion { .. } => SESSION_QUESTION_HEADER + TAG,
                Datagram::SessionAnswer { .. } => SESSION_ANSWER_HEADER + FIT + TAG,
                Datagram::SessionUnknown { .. } | Datagram::Cookie { .. } => bytes.len(),
            };
            assert!(Datagram::from_bytes(&bytes[..least]).is_ok());
            for cut in 1..least {
                let refused = Err(DecodeError::TooShort { got: cut });
                assert_eq!(Datagram::from_bytes(&bytes[..cut]), refused);
            }
            bytes.resize(DATAGRAM_MAX, 0);
            let fixed =
                matches!(datagram, Datagram::SessionUnknown { .. } | Datagram::Cookie { .. });
            assert_eq!(Datagram::from_bytes(&bytes).is_err(), fixed);
            bytes.push(0);
            let refused = DecodeError::TooLong { got: DATAGRAM_MAX + 1, max: DATAGRAM_MAX };
            assert_eq!(Datagram::from_bytes(&bytes), Err(refused));
        }
        assert_eq!(Datagram::from_bytes(&[]), Err(DecodeError::TooShort { got: 0 }));
    }

    #[test]
    fn other_kinds_are_not_ours() {
        for first in (0..=0xFF).filter(|first| !FIRST_BYTES.contains(first)) {
            let refused = Err(DecodeError::UnknownFamily(first));
            assert_eq!(Datagram::from_bytes(&[first; 100]), refused);
        }
        let refused = Err(DecodeError::Malformed { family: NAME, at: Some(1) });
        assert_eq!(Datagram::from_bytes(&[[SESSION, 3].as_slice(), &[0; 98]].concat()), refused);
    }

    #[test]
    fn what_is_said_without_state_is_shorter_than_what_it_answers() {
        let [.., unknown, cookie] = one_of_each(&[]).map(|datagram| datagram.to_bytes().len());
        assert!(cookie < QUESTION_HEADER + NOISE_MIN + LENGTH);
        assert!(unknown < SESSION_QUESTION_HEADER + TAG);
        const { assert!(ANSWER_HEADER + FIT < QUESTION_HEADER + LENGTH, "an empty answer") };
    }
}
