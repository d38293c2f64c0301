//! What one side of a call tells the other of its stream and of theirs: RTCP sender and receiver
//! reports (RFC 3550, sections 6.4.1 and 6.4.2), beside the voice on one path (RFC 5761).
//!
//! One packet, one report, about one stream: no compound packet and no name, since the keys name
//! who speaks (RFC 5506). A block is followed by one word of our own, the runs of lost packets, as
//! section 6.4.3 lets a profile extend it: fraction and count do not tell whether losses come one
//! by one. Plain functions, called once a second; sealing is
//! [`secure::report_seal`](crate::secure::report_seal).

use super::{DecodeError, Family};

/// The header, and the SSRC of who reports, in bytes.
pub const HEADER: usize = 8;
/// The longest report in bytes: header, sender's part, block, runs.
pub const REPORT_MAX: usize = HEADER + SENDER + BLOCK;
/// Bounds of the count of lost packets, which has 24 bits and a sign.
pub const LOST_RANGE: std::ops::RangeInclusive<i32> = -(1 << 23)..=(1 << 23) - 1;

const NAME: &str = "voice.rtcp";
/// RFC 3550, section 12.1.
const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
/// Version 2, no padding; the number of blocks is added.
const FIRST: u8 = 0x80;
const SENDER: usize = 20;
/// The block of RFC 3550, and our word behind it.
const BLOCK: usize = 24 + 4;
/// The second bytes of RTCP packets; those of RTP stay outside (RFC 5761, section 4).
const RTCP_TYPES: std::ops::RangeInclusive<u8> = 192..=223;

/// Says whether `packet` is RTCP and not RTP (RFC 5761, section 4).
#[must_use]
pub fn is_rtcp(packet: &[u8]) -> bool {
    packet.get(1).is_some_and(|kind| RTCP_TYPES.contains(kind))
}

/// A report, as it travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// The stream of who reports.
    pub ssrc: u32,
    /// What it sent, once it has sent anything: with it the packet is a sender report.
    pub sender: Option<SenderInfo>,
    /// What it received, once it has received anything.
    pub block: Option<ReportBlock>,
}

/// The sender's part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderInfo {
    /// When it was sent, by any clock of the sender: seconds in the upper half, their 2^32nd parts
    /// in the lower.
    pub ntp: u64,
    /// The same moment in the ticks of the stream's time stamps.
    pub timestamp: u32,
    /// Voice packets sent since the call began; wraps.
    pub packets: u32,
    /// Bytes of their payloads; wraps.
    pub octets: u32,
}

/// The part about a stream that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportBlock {
    /// Which stream.
    pub ssrc: u32,
    /// How it came.
    pub reception: Reception,
}

/// How a stream came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reception {
    /// Lost since the report before, in 256ths of what was sent.
    pub fraction_lost: u8,
    /// Lost since the call began; what lies outside of [`LOST_RANGE`] is told as its bound.
    pub lost: i32,
    /// The highest sequence number that came, with its rollovers.
    pub highest_sequence: u32,
    /// Interarrival jitter in ticks of the stream's time stamps.
    pub jitter: u32,
    /// The middle of [`SenderInfo::ntp`] of the last sender report that came; 0 before any.
    pub last_sr: u32,
    /// How long ago that was, in 65,536ths of a second.
    pub delay_since_sr: u32,
    /// Runs of lost packets since the call began; wraps. Our own word.
    pub loss_runs: u32,
}

impl Report {
    /// Its bytes, at most [`REPORT_MAX`], appended to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        let kind = if self.sender.is_some() { SENDER_REPORT } else { RECEIVER_REPORT };
        let words = (self.len() / 4 - 1) as u16;
        out.extend([FIRST | u8::from(self.block.is_some()), kind]);
        out.extend(words.to_be_bytes());
        out.extend(self.ssrc.to_be_bytes());
        if let Some(SenderInfo { ntp, timestamp, packets, octets }) = self.sender {
            out.extend(ntp.to_be_bytes());
            [timestamp, packets, octets].iter().for_each(|word| out.extend(word.to_be_bytes()));
        }
        let Some(ReportBlock { ssrc, reception }) = self.block else { return };
        let lost = reception.lost.clamp(*LOST_RANGE.start(), *LOST_RANGE.end());
        out.extend(ssrc.to_be_bytes());
        out.push(reception.fraction_lost);
        out.extend(&lost.to_be_bytes()[1..]);
        let words = [
            reception.highest_sequence,
            reception.jitter,
            reception.last_sr,
            reception.delay_since_sr,
            reception.loss_runs,
        ];
        words.iter().for_each(|word| out.extend(word.to_be_bytes()));
    }

    const fn len(&self) -> usize {
        let sender = if self.sender.is_some() { SENDER } else { 0 };
        let block = if self.block.is_some() { BLOCK } else { 0 };
        HEADER + sender + block
    }

    /// Reads the report that `bytes` are, to the last byte.
    ///
    /// # Errors
    /// [`DecodeError`] says what is wrong with the bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let malformed = |at: usize| DecodeError::Malformed { family: NAME, at: Some(at) };
        if bytes.len() > REPORT_MAX {
            return Err(DecodeError::TooLong { got: bytes.len(), max: REPORT_MAX });
        }
        let mut rest = Words(bytes);
        let too_short = || DecodeError::TooShort { got: bytes.len() };
        let head = rest.word().ok_or_else(too_short)?;
        let ssrc = rest.word().ok_or_else(too_short)?;
        let [first, kind, length @ ..] = head.to_be_bytes();
        let has_block = match first {
            FIRST => false,
            0x81 => true,
            _ => return Err(malformed(0)),
        };
        let is_sender = match kind {
            SENDER_REPORT => true,
            RECEIVER_REPORT => false,
            _ => return Err(malformed(1)),
        };
        if 4 * (usize::from(u16::from_be_bytes(length)) + 1) != bytes.len() {
            return Err(malformed(2));
        }
        let sender = if is_sender { Some(rest.sender().ok_or_else(too_short)?) } else { None };
        let block = if has_block { Some(rest.block().ok_or_else(too_short)?) } else { None };
        if !rest.0.is_empty() {
            let at = bytes.len() - rest.0.len();
            return Err(DecodeError::TrailingBytes { family: NAME, at });
        }
        Ok(Self { ssrc, sender, block })
    }
}

/// What is left to read.
struct Words<'b>(&'b [u8]);

impl Words<'_> {
    fn word(&mut self) -> Option<u32> {
        let (word, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*word))
    }

    fn sender(&mut self) -> Option<SenderInfo> {
        let ntp = u64::from(self.word()?) << 32 | u64::from(self.word()?);
        let (timestamp, packets, octets) = (self.word()?, self.word()?, self.word()?);
        Some(SenderInfo { ntp, timestamp, packets, octets })
    }

    fn block(&mut self) -> Option<ReportBlock> {
        let (ssrc, losses) = (self.word()?, self.word()?);
        let reception = Reception {
            fraction_lost: (losses >> 24) as u8,
            // The sign is that of the 24 bits.
            lost: (losses << 8) as i32 >> 8,
            highest_sequence: self.word()?,
            jitter: self.word()?,
            last_sr: self.word()?,
            delay_since_sr: self.word()?,
            loss_runs: self.word()?,
        };
        Some(ReportBlock { ssrc, reception })
    }
}

/// The row of [`ALL`](super::ALL): a report by itself.
pub(super) const FAMILY: Family = Family {
    name: NAME,
    max: REPORT_MAX,
    read: |bytes| Report::from_bytes(bytes).map(drop),
    rewrite: |bytes| {
        let report = Report::from_bytes(bytes)?;
        let mut written = Vec::with_capacity(REPORT_MAX);
        report.write(&mut written);
        Ok(written)
    },
};

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report {
            ssrc: 0x0102_0304,
            sender: Some(SenderInfo {
                ntp: 0x1112_1314_1516_1718,
                timestamp: 0x2122_2324,
                packets: 7,
                octets: 560,
            }),
            block: Some(ReportBlock {
                ssrc: 0x3132_3334,
                reception: Reception {
                    fraction_lost: 0x40,
                    lost: -2,
                    highest_sequence: 0x0001_FFFE,
                    jitter: 48,
                    last_sr: 0x1314_1516,
                    delay_since_sr: 0x8000,
                    loss_runs: 5,
                },
            }),
        }
    }

    fn bytes(report: &Report) -> Vec<u8> {
        let mut bytes = Vec::new();
        report.write(&mut bytes);
        bytes
    }

    #[test]
    fn a_sender_report_lies_as_rfc_3550_draws_it() {
        let expected = [
            0x81, 200, 0, 13, 1, 2, 3, 4, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x21,
            0x22, 0x23, 0x24, 0, 0, 0, 7, 0, 0, 2, 0x30, 0x31, 0x32, 0x33, 0x34, 0x40, 0xFF, 0xFF,
            0xFE, 0, 1, 0xFF, 0xFE, 0, 0, 0, 48, 0x13, 0x14, 0x15, 0x16, 0, 0, 0x80, 0, 0, 0, 0, 5,
        ];
        assert_eq!(bytes(&report()), expected);
        assert_eq!(Report::from_bytes(&expected), Ok(report()));
    }

    #[test]
    fn a_receiver_report_has_no_sender_and_an_empty_one_has_no_block() {
        for (block, len) in [(report().block, 36), (None, 8)] {
            let report = Report { sender: None, block, ..report() };
            let bytes = bytes(&report);
            assert_eq!((bytes[1], bytes.len()), (201, len));
            assert_eq!(Report::from_bytes(&bytes), Ok(report));
        }
    }

    #[test]
    fn a_count_beyond_24_bits_is_told_as_its_bound() {
        for (lost, told) in [(i32::MAX, (1 << 23) - 1), (i32::MIN, -(1 << 23)), (-1, -1)] {
            let mut report = report();
            report.block.as_mut().unwrap().reception.lost = lost;
            let read = Report::from_bytes(&bytes(&report)).unwrap();
            assert_eq!(read.block.unwrap().reception.lost, told);
        }
    }

    #[test]
    fn what_our_reports_never_are_is_refused() {
        let good = bytes(&report());
        for (at, byte) in [(0, 0x82), (0, 0xA1), (0, 0x41), (1, 202), (1, 111), (2, 1), (3, 12)] {
            let mut bad = good.clone();
            bad[at] = byte;
            let refused = Err(DecodeError::Malformed { family: NAME, at: Some(at.min(2)) });
            assert_eq!(Report::from_bytes(&bad), refused, "byte {at}");
        }
        for len in 0..good.len() {
            assert!(Report::from_bytes(&good[..len]).is_err(), "{len} bytes");
        }
        let long = [good, vec![0; 4]].concat();
        let refused = Err(DecodeError::TooLong { got: 60, max: REPORT_MAX });
        assert_eq!(Report::from_bytes(&long), refused);
    }

    #[test]
    fn reports_and_voice_are_told_apart_by_their_second_byte() {
        use crate::wire::voice::{OPUS, RtpHeader};
        assert!(is_rtcp(&bytes(&report())));
        for marker in [false, true] {
            let header =
                RtpHeader { marker, payload_type: OPUS, sequence: 0, timestamp: 0, ssrc: 0 };
            assert!(!is_rtcp(&header.to_bytes()));
        }
        assert!(!is_rtcp(&[]) && !is_rtcp(&[0x80]));
    }
}
