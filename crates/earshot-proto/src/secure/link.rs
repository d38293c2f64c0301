//! One encrypted TCP connection: the handshake, who the other is, and frames cut into records.
//! DESIGN 2.4.
//!
//! Source: `Noise_XX_25519_AESGCM_SHA256` (Noise revision 34). Everything on the wire behind the
//! preface is `length (2 bytes, big-endian) ‖ bytes`: three handshake messages, then records of at
//! most 4,096 bytes. Prologue: `"earshot" ‖ major version ‖ network id ‖ service`, so sides that
//! disagree on one of these cannot meet. Messages 2 and 3 carry a
//! [`Hello`](crate::wire::certificate::Hello); the certified key must be the key that the handshake
//! proved. Invariants: no frame is sent to or taken from a peer before its certificate is believed;
//! a record is sealed at the moment it is taken for writing, so the order of nonces is the order on
//! the wire; the dialler shows itself only to whom it expected; everything held for the other side
//! is bounded.

use std::time::{Duration, Instant};

use super::aes::TAG;
use super::identity::{Disbelief, LinkKey, Verified};
use super::noise::{HandshakeState, TransportState};
use super::records::{BadRecord, Class, Cutter, Joiner, PLAIN_MAX, RECORD_MAX};
use crate::entropy::Stream;
use crate::port::Service;
use crate::time::UnixTime;
use crate::wire::DecodeError;
use crate::wire::certificate::{AgreeKey, Chain, VerifyKey};
use crate::wire::frame::{FRAME_MAX, Frame};

mod handshake;
#[cfg(test)]
mod tests;

/// The protocol's major version: the preface and the prologue carry it.
pub const MAJOR: u8 = 1;
/// How long a handshake may take. Our choice: three flights of a bad satellite path fit several
/// times over.
pub const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);
/// A side that was silent for this long sends a beat. DESIGN 2.4.
pub const BEAT: Duration = Duration::from_secs(10);
/// A link on which nothing was heard for this long is dead. DESIGN 2.6 wants a death to be seen by
/// buddies within 15 s, so a beat may be 4 s late, and the news of the death 1 s.
pub const SILENCE_MAX: Duration = Duration::from_secs(14);
/// Records under one key: Noise's rekey follows. Far below the 2^32 at which GCM's margin shrinks
/// (NIST SP 800-38D).
pub const RECORDS_PER_KEY: u64 = 1 << 20;
/// Bytes of a record's length on the wire.
const LENGTH: usize = 2;
/// Bytes given by one [`SecureLink::take_output`]: small enough that what turns urgent meanwhile
/// overtakes.
pub const WRITE_MAX: usize = 16 * 1024;

/// What one side is on a link.
#[derive(Clone, Copy, Debug)]
pub struct LocalIdentity<'a> {
    /// Its link key.
    pub key: &'a LinkKey,
    /// Its certificate; a device that is signing in has none yet.
    pub chain: Option<&'a Chain>,
    /// The root key of its network.
    pub root: VerifyKey,
    /// Feature bits to tell.
    pub features: u64,
}

/// Whom a dialler wants to meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Anyone with a certificate of the network.
    Anyone,
    /// The holder of this link key, as an invite or a list of super-peers names it, with a
    /// certificate of the network.
    Key(AgreeKey),
    /// The holder of this link key, who may have no certificate yet; it is met as a guest.
    Uncertified(AgreeKey),
    /// A device of the user with this identity key, near by: its certificate may have ended
    /// [`NEARBY_GRACE`](super::identity::NEARBY_GRACE) ago.
    DeviceOf(VerifyKey),
}

/// Whom an accepter lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Welcome {
    /// Holders of a certificate within its life.
    Certified,
    /// These, and devices without one: they sign in.
    Guests,
    /// These, and holders of a certificate that ended at most
    /// [`NEARBY_GRACE`](super::identity::NEARBY_GRACE) ago: they renew it.
    Renewals,
    /// Holders of a certificate that ended at most
    /// [`NEARBY_GRACE`](super::identity::NEARBY_GRACE) ago: neighbours.
    Neighbours,
}

/// Who is at the other end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remote {
    /// The holder of a certificate that was verified, and whose key the handshake proved.
    Certified(Verified),
    /// Somebody without a certificate, who holds this key.
    Guest(AgreeKey),
}

/// A link that came to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Who is at the other end.
    pub remote: Remote,
    /// The certificate that it has shown.
    pub chain: Option<Chain>,
    /// The other's feature bits.
    pub features: u64,
    /// The other's wall clock.
    pub clock: UnixTime,
    /// The handshake's hash, the same at both ends and of no other link: what is signed on this
    /// link names it (Noise, section 11.2).
    pub binding: [u8; 32],
}

/// What a link tells.
#[derive(Clone, Debug, PartialEq)]
pub enum LinkNews {
    /// The other side is who it says.
    Open(Opened),
    /// A frame came.
    Frame(Frame),
}

/// Why a link must be closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Another version, network or service, or changed bytes: the handshake does not hold.
    #[error("the handshake does not hold")]
    Handshake,
    /// The other's hello cannot be read.
    #[error("unreadable hello: {0}")]
    Hello(DecodeError),
    /// The other's certificate is not believed.
    #[error("certificate refused: {0}")]
    Refused(#[from] Disbelief),
    /// Somebody else than expected.
    #[error("answered by another key")]
    WrongKey {
        /// The key that answered.
        got: AgreeKey,
    },
    /// The other's certificate is not valid now by our clock, and the other's clock says another
    /// time: one of the two is wrong.
    #[error("the clocks disagree: {0}")]
    ClocksDisagree(Disbelief, UnixTime),
    /// No certificate, where one is needed.
    #[error("no certificate shown")]
    NoCertificate,
    /// The handshake took longer than [`HANDSHAKE_PATIENCE`].
    #[error("the handshake took too long")]
    Slow,
    /// Nothing was heard for [`SILENCE_MAX`].
    #[error("silent for too long")]
    Silent,
    /// A record was changed on the way.
    #[error("a record was tampered with")]
    Tampered,
    /// A record of no known form.
    #[error("malformed record")]
    BadRecord,
    /// A record or a frame longer than allowed.
    #[error("record or frame too long")]
    Oversize,
    /// A frame that is no message.
    #[error("unreadable frame: {0}")]
    Decode(#[from] DecodeError),
    /// More waits to be written than is held: the other side does not read.
    #[error("the other side does not read")]
    Overrun,
    /// An error was told before; nothing more happens here.
    #[error("the link is closed")]
    Closed,
}

/// One link, from its first byte. Time, bytes and randomness are arguments; it never does anything
/// by itself.
pub struct SecureLink {
    state: State,
    terms: Terms,
    chain: Option<Chain>,
    features: u64,
    root: VerifyKey,
    /// The record that is coming in, with its length.
    partial: Vec<u8>,
    /// Handshake bytes and beats that wait to be written, already sealed.
    ready: Vec<u8>,
    cutter: Cutter,
    joiner: Joiner,
    started: Instant,
    spoke: Instant,
    heard: Instant,
    records_per_key: u64,
}

enum State {
    Greeting(Box<HandshakeState>),
    Open(Box<TransportState>),
    Closed,
}

#[derive(Clone, Copy)]
enum Terms {
    Dialled(Expect),
    Accepted(Welcome),
}

impl SecureLink {
    /// The dialling side; its first bytes wait in [`take_output`](Self::take_output).
    #[must_use]
    pub fn dial(
        local: LocalIdentity<'_>,
        service: Service,
        expect: Expect,
        now: Instant,
        secrets: &mut Stream,
    ) -> Self {
        let handshake = handshake::dialler(&local, service, secrets);
        let mut link = Self::new(local, handshake, Terms::Dialled(expect), now);
        link.write_greeting(&[]).expect("the first message needs nothing of the other side");
        link
    }

    /// The accepting side.
    #[must_use]
    pub fn accept(
        local: LocalIdentity<'_>,
        service: Service,
        welcome: Welcome,
        now: Instant,
        secrets: &mut Stream,
    ) -> Self {
        let handshake = handshake::accepter(&local, service, secrets);
        Self::new(local, handshake, Terms::Accepted(welcome), now)
    }

    fn new(
        local: LocalIdentity<'_>,
        handshake: HandshakeState,
        terms: Terms,
        now: Instant,
    ) -> Self {
        Self {
            state: State::Greeting(Box::new(handshake)),
            terms,
            chain: local.chain.cloned(),
            features: local.features,
            root: local.root,
            partial: Vec::new(),
            ready: Vec::new(),
            cutter: Cutter::default(),
            joiner: Joiner::default(),
            started: now,
            spoke: now,
            heard: now,
            records_per_key: RECORDS_PER_KEY,
        }
    }

    /// Takes bytes from the wire, cut anywhere, and adds what they mean to `news`. News that came
    /// before an error are true.
    ///
    /// # Errors
    /// [`LinkError`]: the link must be closed.
    pub fn handle_bytes(
        &mut self,
        now: Instant,
        wall: UnixTime,
        mut bytes: &[u8],
        news: &mut Vec<LinkNews>,
    ) -> Result<(), LinkError> {
        while !bytes.is_empty() {
            let Some(record) = self.next_record(&mut bytes)? else {
                break;
            };
            let taken = match self.state {
                State::Greeting(_) => self.handle_greeting(now, wall, &record),
                State::Open(_) => self.handle_record(now, &record),
                State::Closed => Err(LinkError::Closed),
            };
            news.extend(self.or_close(taken)?);
        }
        Ok(())
    }

    /// Puts a frame into the queue of its class. Before the link is open it waits.
    ///
    /// # Errors [`LinkError::Overrun`], [`LinkError::Oversize`] or [`LinkError::Closed`]: the link
    /// must be closed.
    pub fn send(&mut self, now: Instant, frame: &Frame) -> Result<(), LinkError> {
        if matches!(self.state, State::Closed) {
            return Err(LinkError::Closed);
        }
        let class = if frame.is_urgent() { Class::Urgent } else { Class::Bulk };
        let frame = frame.to_bytes();
        if frame.len() > FRAME_MAX {
            return self.or_close(Err(LinkError::Oversize));
        }
        self.spoke = now;
        let pushed = self.cutter.push(class, frame);
        self.or_close(if pushed { Ok(()) } else { Err(LinkError::Overrun) })
    }

    /// Bytes to write, at most about [`WRITE_MAX`]; `None` when there are none. Call it until then
    /// after each `handle_*` and [`send`](Self::send).
    pub fn take_output(&mut self) -> Option<Vec<u8>> {
        let mut plain = [0; PLAIN_MAX];
        while self.ready.len() < WRITE_MAX
            && let State::Open(transport) = &mut self.state
            && let Some(len) = self.cutter.next(&mut plain)
        {
            seal(transport, &plain[..len], self.records_per_key, &mut self.ready);
        }
        (!self.ready.is_empty()).then(|| std::mem::take(&mut self.ready))
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due; `None` once the link is closed.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Greeting(_) => Some(self.started + HANDSHAKE_PATIENCE),
            State::Open(_) => Some((self.spoke + BEAT).min(self.heard + SILENCE_MAX)),
            State::Closed => None,
        }
    }

    /// Sends a beat, or finds the link dead. Being early does no harm.
    ///
    /// # Errors
    /// [`LinkError::Slow`] or [`LinkError::Silent`]: the link must be closed.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), LinkError> {
        match &mut self.state {
            State::Greeting(_) if self.started + HANDSHAKE_PATIENCE <= now => {
                self.or_close(Err(LinkError::Slow))
            }
            State::Open(_) if self.heard + SILENCE_MAX <= now => {
                self.or_close(Err(LinkError::Silent))
            }
            State::Open(transport) if self.spoke + BEAT <= now => {
                seal(transport, &[], self.records_per_key, &mut self.ready);
                self.spoke = now;
                Ok(())
            }
            State::Greeting(_) | State::Open(_) | State::Closed => Ok(()),
        }
    }

    /// Whether the other side is known and frames flow.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Bytes of frames that were not yet taken for writing.
    #[must_use]
    pub const fn waiting(&self) -> usize {
        self.cutter.waiting()
    }

    fn handle_record(
        &mut self,
        now: Instant,
        record: &[u8],
    ) -> Result<Option<LinkNews>, LinkError> {
        let State::Open(transport) = &mut self.state else {
            return Err(LinkError::Closed);
        };
        let mut plain = [0; RECORD_MAX];
        let len = transport.read_message(record, &mut plain).map_err(|_| LinkError::Tampered)?;
        if transport.receiving_nonce().is_multiple_of(self.records_per_key) {
            transport.rekey_incoming();
        }
        self.heard = now;
        let frame = self.joiner.take(&plain[..len]).map_err(|e| match e {
            BadRecord::Header => LinkError::BadRecord,
            BadRecord::Oversize => LinkError::Oversize,
        })?;
        Ok(frame.map(|bytes| Frame::from_bytes(&bytes)).transpose()?.map(LinkNews::Frame))
    }

    /// Passes `result` on, and forgets everything held when it is an error.
    fn or_close<T>(&mut self, result: Result<T, LinkError>) -> Result<T, LinkError> {
        if result.is_err() {
            self.state = State::Closed;
            self.partial = Vec::new();
            self.ready = Vec::new();
            self.cutter = Cutter::default();
            self.joiner = Joiner::default();
        }
        result
    }

    /// Takes from `bytes` up to the end of one record and returns its inside, if it is complete.
    fn next_record(&mut self, bytes: &mut &[u8]) -> Result<Option<Vec<u8>>, LinkError> {
        if matches!(self.state, State::Closed) {
            return Err(LinkError::Closed);
        }
        if !self.fill(bytes, LENGTH) {
            return Ok(None);
        }
        let len = self.partial.first_chunk().map_or(0, |len| usize::from(u16::from_be_bytes(*len)));
        if len > RECORD_MAX {
            return self.or_close(Err(LinkError::Oversize));
        }
        if !self.fill(bytes, LENGTH + len) {
            return Ok(None);
        }
        let mut record = std::mem::take(&mut self.partial);
        record.drain(..LENGTH);
        Ok(Some(record))
    }

    /// Moves bytes into the coming record until it has `len`; tells whether it has.
    fn fill(&mut self, bytes: &mut &[u8], len: usize) -> bool {
        let missing = len.saturating_sub(self.partial.len()).min(bytes.len());
        let (taken, rest) = bytes.split_at(missing);
        self.partial.extend_from_slice(taken);
        *bytes = rest;
        self.partial.len() >= len
    }
}

impl std::fmt::Debug for SecureLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.state {
            State::Greeting(_) => "SecureLink(greeting)",
            State::Open(_) => "SecureLink(open)",
            State::Closed => "SecureLink(closed)",
        })
    }
}

/// Appends one sealed record to `out`.
fn seal(transport: &mut TransportState, plain: &[u8], records_per_key: u64, out: &mut Vec<u8>) {
    let (at, len) = (out.len() + LENGTH, plain.len() + TAG);
    let length = u16::try_from(len).expect("a record has at most 4,096 bytes");
    out.extend_from_slice(&length.to_be_bytes());
    out.resize(at + len, 0);
    transport
        .write_message(plain, &mut out[at..])
        .expect("the buffer fits, and no link lives for 2^64 records");
    if transport.sending_nonce().is_multiple_of(records_per_key) {
        transport.rekey_outgoing();
    }
}
