//! Sealing reports against the vector of its RFC and against another implementation.

use data_encoding::HEXLOWER;
use webrtc_srtp::context::Context;
use webrtc_srtp::option::srtcp_replay_protection;
use webrtc_srtp::protection_profile::ProtectionProfile;

use super::*;
use crate::secure::voice_seal::{Seals, StreamKeys};

const KEY: [u8; 32] = *b"an earshot key of 32 bytes......";
const SALT_OF: [u8; 12] = *b"a salt of 12";
const OURS: u32 = 0xC0FF_EE01;
const THEIRS: u32 = 0xC0FF_EE02;

fn hex(text: &str) -> Vec<u8> {
    HEXLOWER.decode(text.as_bytes()).expect("hexadecimal")
}

fn keys(ssrc: u32) -> StreamKeys {
    StreamKeys { key: KEY, salt: SALT_OF, ssrc }
}

/// Our sealer and the opener at the other side.
fn pair() -> (ReportSealer, ReportOpener) {
    let here = VoiceKeys { send: keys(OURS), receive: keys(THEIRS) }.into_seals();
    let there = VoiceKeys { send: keys(THEIRS), receive: keys(OURS) }.into_seals();
    (here.report_sealer, there.report_opener)
}

fn account(packets: u32) -> Account {
    let sender = SenderInfo { ntp: 1 << 40, timestamp: 960, packets, octets: 80 * packets };
    let reception = Reception { highest_sequence: packets, lost: -1, ..Reception::default() };
    Account { sender: Some(sender), reception: Some(reception) }
}

fn packet(sealer: &mut ReportSealer, account: Account) -> Vec<u8> {
    let mut packet = Vec::new();
    sealer.seal(account, &mut packet).expect("not spent");
    packet
}

/// RFC 7714, section 17.2: session key and salt, not master ones.
fn session_of_rfc_7714() -> Session {
    let key: [u8; 32] = std::array::from_fn(|i| i as u8);
    let salt = hex("517569642070726f2071756f").try_into().expect("12 bytes");
    Session::given(&key, salt, u32::from_be_bytes(*b"Mars"))
}

const PLAIN_OF_RFC_7714: &str = "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61\
                                 deadbeefdeadbeefdeadbeefdeadbeefdeadbeef";
const SEALED_OF_RFC_7714: &str = "81c8000d4d617273d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50\
                                  a2eaa5c1110555be8415f658c61de0476f1b6fad1d1eb30c4446839f57ff6f6c\
                                  b26ac3be800005d4";

#[test]
fn a_report_is_sealed_as_rfc_7714_shows() {
    let session = session_of_rfc_7714();
    assert_eq!(session.nonce(0x5d4).to_vec(), hex("517524055203726f207170bb"));
    let mut packet = hex(PLAIN_OF_RFC_7714);
    seal(&session, 0x5d4, &mut packet);
    assert_eq!(packet, hex(SEALED_OF_RFC_7714));
}

#[test]
fn a_report_is_opened_as_rfc_7714_shows() {
    let mut packet = hex(SEALED_OF_RFC_7714);
    packet.truncate(packet.len() - INDEX);
    let opened = open(&session_of_rfc_7714(), 0x5d4, &mut packet).map(<[u8]>::to_vec);
    assert_eq!(opened, Some(hex(PLAIN_OF_RFC_7714)));
}

fn other_implementation() -> Context {
    let profile = ProtectionProfile::AeadAes256Gcm;
    Context::new(&KEY, &SALT_OF, profile, None, Some(srtcp_replay_protection(1024)))
        .expect("a context")
}

#[test]
fn another_implementation_opens_the_reports_that_we_seal() {
    let (mut sealer, _) = pair();
    let mut other = other_implementation();
    for n in 0..3_000 {
        let sealed = packet(&mut sealer, account(n));
        let opened = other.decrypt_rtcp(&sealed).expect("authentic");
        let report = Report::from_bytes(&opened).expect("a report");
        assert_eq!((report.ssrc, report.sender), (OURS, account(n).sender));
        assert_eq!(report.block.map(|block| block.ssrc), Some(THEIRS));
    }
}

#[test]
fn we_open_the_reports_that_another_implementation_seals() {
    let (_, mut opener) = pair();
    let mut other = other_implementation();
    for n in 0..3_000 {
        let Account { sender, reception } = account(n);
        let block = reception.map(|reception| ReportBlock { ssrc: THEIRS, reception });
        let mut plain = Vec::new();
        Report { ssrc: OURS, sender, block }.write(&mut plain);
        let mut sealed = other.encrypt_rtcp(&plain).expect("sealed").to_vec();
        assert_eq!(opener.open(&mut sealed), Ok(account(n)));
    }
    assert_eq!(opener.counts(), OpenCounts::default());
}

#[test]
fn a_report_opens_once_and_is_counted_when_it_comes_again() {
    let (mut sealer, mut opener) = pair();
    let first = packet(&mut sealer, account(0));
    assert_eq!(opener.open(&mut first.clone()), Ok(account(0)));
    assert_eq!(opener.open(&mut first.clone()), Err(OpenError::Replay));
    let mut later: Vec<_> = (1..=1024).map(|n| packet(&mut sealer, account(n))).collect();
    later.swap(0, 500);
    assert!(later.iter_mut().all(|packet| opener.open(packet).is_ok()), "in any order");
    assert_eq!(opener.open(&mut first.clone()), Err(OpenError::TooOld));
    assert_eq!(opener.counts(), OpenCounts { replays: 1, too_old: 1, ..OpenCounts::default() });
}

#[test]
fn a_changed_byte_anywhere_is_refused_and_harms_nothing() {
    let (mut sealer, mut opener) = pair();
    let sealed = packet(&mut sealer, account(5));
    for at in 0..sealed.len() {
        for bit in [1, 0x80] {
            let mut changed = sealed.clone();
            changed[at] ^= bit;
            let expected = match (at, bit) {
                // Without its E a report is not even tried.
                (72, 0x80) => OpenError::Malformed,
                _ => OpenError::Forged,
            };
            assert_eq!(opener.open(&mut changed), Err(expected), "byte {at}");
        }
    }
    assert_eq!(opener.counts().malformed, 1);
    assert_eq!(opener.open(&mut sealed.clone()), Ok(account(5)));
}

#[test]
fn what_is_no_report_or_not_about_us_is_malformed() {
    let (mut sealer, mut opener) = pair();
    for len in [0, 1, HEADER + TAG + INDEX - 1, SEALED_REPORT_MAX + 1] {
        assert_eq!(opener.open(&mut vec![0x80; len]), Err(OpenError::Malformed));
    }
    sealer.about += 1;
    let stray = packet(&mut sealer, account(0));
    assert_eq!(opener.open(&mut stray.clone()), Err(OpenError::Malformed));
    assert_eq!(opener.counts().malformed, 5);
}

#[test]
fn neither_the_other_direction_nor_voice_opens_a_report() {
    let mut other = keys(THEIRS);
    other.key = [9; 32];
    let Seals { mut report_sealer, mut report_opener, mut opener, .. } =
        VoiceKeys { send: keys(OURS), receive: other }.into_seals();
    let sealed = packet(&mut report_sealer, account(0));
    assert_eq!(report_opener.open(&mut sealed.clone()), Err(OpenError::Forged));
    assert!(opener.open(&mut sealed.clone()).is_err());
}

#[test]
fn the_key_of_the_reports_is_spent_after_2_to_the_31_of_them() {
    let (mut sealer, mut opener) = pair();
    sealer.next = INDEX_END - 1;
    let last = packet(&mut sealer, account(0));
    assert_eq!(last.len(), SEALED_REPORT_MAX);
    assert_eq!(opener.open(&mut last.clone()), Ok(account(0)));
    let mut packet = last;
    assert_eq!(sealer.seal(account(0), &mut packet), Err(ReportKeySpent));
    assert!(packet.is_empty());
}
