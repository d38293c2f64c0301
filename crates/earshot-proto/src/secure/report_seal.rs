//! Sealing reports: SRTCP with AEAD_AES_256_GCM (RFC 3711, section 3.4; RFC 7714, section 9), once
//! a second.
//!
//! A packet is `RTCP header and SSRC (8) ‖ ciphertext ‖ tag (16) ‖ E and index (4)`; the first
//! eight and the last four bytes are authenticated. E is always set: a report that is not encrypted
//! is refused. Nonce: salt XOR `0000 ‖ SSRC ‖ 0000 ‖ index` (RFC 7714, section 9.1). Invariants:
//! the keys are not those of voice, the sealer counts by itself, so no nonce is used twice; a
//! packet opens at most once.

use super::aes::TAG;
use super::replay::Window;
use super::srtp::{Purpose, Session};
use super::voice_seal::{OpenCounts, OpenError, VoiceKeys};
use crate::wire::report::{HEADER, REPORT_MAX, Reception, Report, ReportBlock, SenderInfo};

/// Longest sealed report in bytes.
pub const SEALED_REPORT_MAX: usize = REPORT_MAX + TAG + INDEX;

/// Bytes of the last word.
const INDEX: usize = 4;
/// The bit in it that says that the packet is encrypted.
const ENCRYPTED: u32 = 1 << 31;
/// Indices of one key (RFC 3711, section 9.2).
const INDEX_END: u32 = 1 << 31;

/// What is reported; the sealer adds which streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// What was sent, once anything was.
    pub sender: Option<SenderInfo>,
    /// What was received, once anything was.
    pub reception: Option<Reception>,
}

/// 2^31 reports were sealed, one a second for 68 years: the key is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key of the reports is spent")]
pub struct ReportKeySpent;

/// Seals our reports.
pub struct ReportSealer {
    session: Session,
    next: u32,
    /// The stream that is reported on.
    about: u32,
}

impl ReportSealer {
    pub(super) fn new(keys: &VoiceKeys) -> Self {
        let session = Session::new(&keys.send, Purpose::Reports);
        Self { session, next: 0, about: keys.receive.ssrc }
    }

    /// Seals a report into `packet`, whose old content is dropped and whose memory is used again.
    ///
    /// # Errors
    /// [`ReportKeySpent`]; `packet` is empty then.
    pub fn seal(&mut self, account: Account, packet: &mut Vec<u8>) -> Result<(), ReportKeySpent> {
        packet.clear();
        let index = self.next;
        if index >= INDEX_END {
            return Err(ReportKeySpent);
        }
        self.next = index + 1;
        let Account { sender, reception } = account;
        let block = reception.map(|reception| ReportBlock { ssrc: self.about, reception });
        packet.reserve(SEALED_REPORT_MAX);
        Report { ssrc: self.session.ssrc, sender, block }.write(packet);
        seal(&self.session, index, packet);
        Ok(())
    }
}

/// Opens the other side's reports.
pub struct ReportOpener {
    session: Session,
    window: Window,
    counts: OpenCounts,
    /// The stream that they report on.
    about: u32,
}

impl ReportOpener {
    pub(super) fn new(keys: &VoiceKeys) -> Self {
        Self {
            session: Session::new(&keys.receive, Purpose::Reports),
            window: Window::default(),
            counts: OpenCounts::default(),
            about: keys.send.ssrc,
        }
    }

    /// Opens one report in place.
    ///
    /// # Errors
    /// [`OpenError`], each counted.
    pub fn open(&mut self, packet: &mut [u8]) -> Result<Account, OpenError> {
        let opened = self.try_open(packet);
        self.counts.note(opened.as_ref().err());
        opened
    }

    /// What was not opened so far.
    #[must_use]
    pub const fn counts(&self) -> OpenCounts {
        self.counts
    }

    fn try_open(&mut self, packet: &mut [u8]) -> Result<Account, OpenError> {
        if packet.len() < HEADER + TAG + INDEX || packet.len() > SEALED_REPORT_MAX {
            return Err(OpenError::Malformed);
        }
        let (sealed, last) = packet.split_last_chunk_mut().ok_or(OpenError::Malformed)?;
        let word = u32::from_be_bytes(*last);
        if word & ENCRYPTED == 0 {
            return Err(OpenError::Malformed);
        }
        let index = word & !ENCRYPTED;
        self.window.fresh(index.into())?;
        let report = open(&self.session, index, sealed).ok_or(OpenError::Forged)?;
        self.window.record(index.into());
        let report = Report::from_bytes(report).map_err(|_| OpenError::Malformed)?;
        let about_ours = report.block.is_none_or(|block| block.ssrc == self.about);
        if report.ssrc != self.session.ssrc || !about_ours {
            return Err(OpenError::Malformed);
        }
        let reception = report.block.map(|block| block.reception);
        Ok(Account { sender: report.sender, reception })
    }
}

/// What is authenticated besides the ciphertext.
fn about(header: &[u8; HEADER], word: u32) -> [u8; HEADER + INDEX] {
    let mut about = [0; HEADER + INDEX];
    about[..HEADER].copy_from_slice(header);
    about[HEADER..].copy_from_slice(&word.to_be_bytes());
    about
}

/// Seals the report that `packet` is.
fn seal(session: &Session, index: u32, packet: &mut Vec<u8>) {
    let word = ENCRYPTED | index;
    let (header, body) = packet.split_first_chunk_mut().expect("a report begins with its header");
    let about = about(header, word);
    let tag = session.cipher.seal(session.nonce(index.into()), &about, body);
    packet.extend_from_slice(&tag);
    packet.extend_from_slice(&word.to_be_bytes());
}

/// Opens `sealed`, which ends with the tag; gives the report.
fn open<'p>(session: &Session, index: u32, sealed: &'p mut [u8]) -> Option<&'p [u8]> {
    let (report, tag) = sealed.split_last_chunk_mut::<TAG>()?;
    let (header, body) = report.split_first_chunk_mut::<HEADER>()?;
    let about = about(header, ENCRYPTED | index);
    session.cipher.open(session.nonce(index.into()), &about, body, tag).ok()?;
    Some(report)
}

#[cfg(test)]
mod tests;
