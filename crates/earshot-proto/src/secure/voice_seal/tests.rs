//! Voice sealing against the vectors of its RFCs and against another implementation.

use data_encoding::HEXLOWER;
use webrtc_srtp::context::Context;
use webrtc_srtp::option::srtp_replay_protection;
use webrtc_srtp::protection_profile::ProtectionProfile;

use super::*;

const KEY: [u8; 32] = *b"an earshot key of 32 bytes......";
const SALT_OF: [u8; SALT] = *b"a salt of 12";
const SSRC: u32 = 0xC0FF_EE01;

fn hex(text: &str) -> Vec<u8> {
    HEXLOWER.decode(text.as_bytes()).expect("hexadecimal")
}

fn keys(ssrc: u32) -> StreamKeys {
    StreamKeys { key: KEY, salt: SALT_OF, ssrc }
}

/// A sealer and the opener at the other side.
fn pair() -> (Sealer, Opener) {
    let seals = VoiceKeys { send: keys(SSRC), receive: keys(SSRC) }.into_seals();
    (seals.sealer, seals.opener)
}

fn stamp(timestamp: u32) -> Stamp {
    Stamp { marker: timestamp == 0, timestamp }
}

fn packet(sealer: &mut Sealer, timestamp: u32, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    sealer.seal(stamp(timestamp), payload, &mut packet).expect("not spent");
    packet
}

/// RFC 7714, section 16.2: session key and salt, not master ones.
fn stream_of_rfc_7714() -> Session {
    let key: [u8; 32] = std::array::from_fn(|i| i as u8);
    let salt = hex("517569642070726f2071756f").try_into().expect("12 bytes");
    Session::given(&key, salt, 0x5501_a0b2)
}

const PLAIN_OF_RFC_7714: &str = "8040f17b8041f8d35501a0b247616c6c696120657374206f6d6e697320646976\
                                 69736120696e207061727465732074726573";
const SEALED_OF_RFC_7714: &str = "8040f17b8041f8d35501a0b232b1de78a822fe12ef9f78fa332e33aab1801238\
                                  9a58e2f3b50b2a0276ffae0f1ba63799b87b7aa3db36dfffd6b0f9bb7878d7a7\
                                  6c13";

#[test]
fn a_packet_is_sealed_as_rfc_7714_shows() {
    let stream = stream_of_rfc_7714();
    assert_eq!(stream.nonce(0xf17b).to_vec(), hex("51753c6580c2726f20718414"));
    let plain = hex(PLAIN_OF_RFC_7714);
    let (header, payload) = plain.split_first_chunk::<HEADER>().expect("a header");
    let mut sealed = Vec::new();
    seal(&stream, 0xf17b, header, payload, &mut sealed);
    assert_eq!(sealed, hex(SEALED_OF_RFC_7714));
}

#[test]
fn a_packet_is_opened_as_rfc_7714_shows() {
    let window = Window::default();
    let mut opener = Opener { stream: stream_of_rfc_7714(), window, counts: OpenCounts::default() };
    let mut packet = hex(SEALED_OF_RFC_7714);
    let voice = opener.open(&mut packet).expect("authentic");
    assert_eq!(voice.payload, b"Gallia est omnis divisa in partes tres");
    assert_eq!((voice.index, voice.header.payload_type), (0xf17b, 0x40));
}

fn other_implementation() -> Context {
    let profile = ProtectionProfile::AeadAes256Gcm;
    Context::new(&KEY, &SALT_OF, profile, Some(srtp_replay_protection(1024)), None)
        .expect("a context")
}

#[test]
fn another_implementation_opens_what_we_seal_over_a_rollover() {
    let (mut sealer, _) = pair();
    let mut other = other_implementation();
    for n in 0..70_000u32 {
        let payload = n.to_be_bytes();
        let sealed = packet(&mut sealer, n * 960, &payload);
        let opened = other.decrypt_rtp(&sealed).expect("authentic");
        assert_eq!(&opened[HEADER..], payload);
    }
}

#[test]
fn we_open_what_another_implementation_seals_over_a_rollover() {
    let (_, mut opener) = pair();
    let mut other = other_implementation();
    for n in 0..70_000u32 {
        let header = RtpHeader {
            marker: false,
            payload_type: OPUS,
            sequence: n as u16,
            timestamp: n * 960,
            ssrc: SSRC,
        };
        let plain = [header.to_bytes().as_slice(), &n.to_be_bytes()].concat();
        let mut sealed = other.encrypt_rtp(&plain).expect("sealed").to_vec();
        let voice = opener.open(&mut sealed).expect("authentic");
        assert_eq!((voice.header, voice.index), (header, u64::from(n)));
        assert_eq!(voice.payload, n.to_be_bytes());
    }
    assert_eq!(opener.counts(), OpenCounts::default());
}

#[test]
fn a_packet_opens_once_and_is_counted_when_it_comes_again() {
    let (mut sealer, mut opener) = pair();
    let first = packet(&mut sealer, 0, b"one");
    assert_eq!(opener.open(&mut first.clone()).map(|v| v.payload.to_vec()), Ok(b"one".to_vec()));
    assert_eq!(opener.open(&mut first.clone()), Err(OpenError::Replay));
    for n in 1..=1024 {
        assert!(opener.open(&mut packet(&mut sealer, n * 960, b"more")).is_ok());
    }
    assert_eq!(opener.open(&mut first.clone()), Err(OpenError::TooOld));
    assert_eq!(opener.counts(), OpenCounts { replays: 1, too_old: 1, ..OpenCounts::default() });
}

#[test]
fn packets_open_in_any_order_within_the_window() {
    let (mut sealer, mut opener) = pair();
    let mut packets: Vec<_> = (0..1000).map(|n| packet(&mut sealer, n, b"voice")).collect();
    packets.reverse();
    assert!(packets.iter_mut().all(|p| opener.open(p).is_ok()));
}

#[test]
fn a_changed_byte_anywhere_is_a_forgery_and_harms_nothing() {
    let (mut sealer, mut opener) = pair();
    let sealed = packet(&mut sealer, 0, b"voice");
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        let refused = opener.open(&mut changed).expect_err("a changed byte");
        let expected = if at == 0 { OpenError::Malformed } else { OpenError::Forged };
        assert_eq!(refused, expected, "byte {at}");
    }
    assert_eq!(opener.counts().auth_failures, sealed.len() as u64 - 1);
    assert!(opener.open(&mut sealed.clone()).is_ok());
}

#[test]
fn what_is_no_packet_is_malformed() {
    let (_, mut opener) = pair();
    for len in [0, 1, HEADER, HEADER + TAG - 1, PACKET_MAX + 1] {
        assert_eq!(opener.open(&mut vec![0x80; len]), Err(OpenError::Malformed));
    }
    assert_eq!(opener.counts().malformed, 5);
}

#[test]
fn one_direction_does_not_open_with_the_keys_of_the_other() {
    let receive = StreamKeys { key: [9; 32], salt: SALT_OF, ssrc: SSRC };
    let Seals { mut sealer, mut opener, .. } = VoiceKeys { send: keys(SSRC), receive }.into_seals();
    let sealed = packet(&mut sealer, 0, b"an echo");
    assert_eq!(opener.open(&mut sealed.clone()), Err(OpenError::Forged));
}

#[test]
fn a_key_is_spent_after_2_to_the_48_packets() {
    let (mut sealer, _) = pair();
    sealer.next = INDEX_END - 1;
    let mut packet = Vec::new();
    assert_eq!(sealer.seal(stamp(0), b"last", &mut packet), Ok(()));
    assert_eq!(sealer.seal(stamp(0), b"beyond", &mut packet), Err(VoiceSealError::Spent));
    assert!(packet.is_empty());
}

#[test]
fn the_longest_payload_fits_and_one_byte_more_does_not() {
    let (mut sealer, mut opener) = pair();
    let mut longest = packet(&mut sealer, 0, &[7; PAYLOAD_MAX]);
    assert_eq!(longest.len(), PACKET_MAX);
    assert!(opener.open(&mut longest).is_ok());
    let refused = sealer.seal(stamp(0), &[7; PAYLOAD_MAX + 1], &mut Vec::new());
    assert_eq!(refused, Err(VoiceSealError::TooLong { got: PAYLOAD_MAX + 1 }));
}

#[test]
fn sealing_uses_the_memory_it_is_given_again() {
    let (mut sealer, _) = pair();
    let mut packet = Vec::with_capacity(PACKET_MAX);
    let memory = packet.as_ptr();
    for n in 0..10 {
        sealer.seal(stamp(n), &[1; 160], &mut packet).expect("not spent");
    }
    assert_eq!(packet.as_ptr(), memory);
}
