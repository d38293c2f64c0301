//! The property table: every row of `wire::ALL` against good, damaged and meaningless bytes.

use std::panic::{AssertUnwindSafe, catch_unwind};

use data_encoding::HEXLOWER;
use earshot_proto::wire::frame::Frame;
use earshot_proto::wire::sealed::Content;
use earshot_proto::wire::{ALL, Family};

use crate::damage::{arbitrary, damaged};
use crate::draw::Draw;
use crate::memory::{allowed, peak_of};
use crate::samples::samples;

/// How many draws of all samples are damaged.
const ROUNDS: u64 = 12;

/// Does `read` with bytes of any kind: without a panic, and within the memory allowed.
pub(crate) fn bear<T>(what: &str, bytes: &[u8], read: impl FnOnce(&[u8]) -> T) -> T {
    bear_and_answer(what, bytes, 0, read)
}

/// As [`bear`], where reading makes an answer too, for which `room` is taken.
pub(crate) fn bear_and_answer<T>(
    what: &str,
    bytes: &[u8],
    room: usize,
    read: impl FnOnce(&[u8]) -> T,
) -> T {
    let told = || {
        let shown = &bytes[..bytes.len().min(400)];
        format!("{what}, {} bytes: {}", bytes.len(), HEXLOWER.encode(shown))
    };
    let (result, peak) = peak_of(|| catch_unwind(AssertUnwindSafe(|| read(bytes))));
    let result = result.unwrap_or_else(|_| panic!("panicked at {}", told()));
    assert!(peak <= allowed(bytes.len()) + room, "{peak} bytes held for {}", told());
    result
}

/// A row against bytes; what it takes must mean the same when written and read again.
fn try_row(family: &Family, bytes: &[u8]) -> bool {
    let name = family.name;
    let read = bear(name, bytes, family.read);
    let rewritten = (family.rewrite)(bytes);
    assert_eq!(rewritten.is_ok(), read.is_ok(), "{name}");
    if let Ok(written) = &rewritten {
        assert!(bytes.len() <= family.max, "{name} reads {} bytes", bytes.len());
        assert_eq!((family.rewrite)(written).as_ref(), Ok(written), "{name}");
    }
    rewritten.is_ok()
}

fn rows() -> impl Iterator<Item = &'static Family> {
    ALL.iter().flat_map(|dispatcher| dispatcher.iter())
}

#[test]
fn good_bytes_of_every_family_are_read_within_the_memory_allowed() {
    for seed in 0..200 {
        let samples = samples(seed);
        for family in rows() {
            assert!(samples[family.name].iter().all(|sample| try_row(family, sample)));
        }
    }
}

#[test]
fn damaged_bytes_of_every_family_give_an_error_or_a_message() {
    for seed in 0..ROUNDS {
        let (samples, mut draw) = (samples(seed), Draw::new(seed));
        let everything: Vec<&Vec<u8>> = samples.values().flatten().collect();
        for family in rows() {
            let mut refused = 0;
            for sample in &samples[family.name] {
                let other = draw.pick(&everything);
                for bad in damaged(sample, other, &mut draw) {
                    refused += usize::from(!try_row(family, &bad));
                }
            }
            assert!(refused > 0, "{} takes everything", family.name);
        }
    }
}

#[test]
fn a_field_of_tomorrow_is_skipped() {
    // {0: …, 99: [1, {2: "x"}]} behind the fields of today.
    let extra = [0x18, 0x63, 0x82, 0x01, 0xa1, 0x02, 0x61, b'x'];
    let samples = samples(0);
    let mut grown_ones = 0;
    for family in rows() {
        for sample in samples[family.name].iter().filter(|bytes| (0xa0..0xb7).contains(&bytes[0])) {
            let mut grown = [sample.as_slice(), &extra].concat();
            grown[0] += 1;
            if grown.len() <= family.max {
                assert_eq!((family.rewrite)(&grown).as_ref(), Ok(sample), "{}", family.name);
                grown_ones += 1;
            }
        }
    }
    assert!(grown_ones >= 10);
}

#[test]
fn meaningless_bytes_of_every_length_give_an_error_or_a_message() {
    for family in rows() {
        let mut draw = Draw::new(7);
        for bytes in arbitrary(family.max, &mut draw) {
            try_row(family, &bytes);
        }
    }
}

#[test]
fn frames_and_contents_bear_the_same() {
    let mut draw = Draw::new(11);
    for seed in 0..3 {
        let samples = samples(seed);
        for sample in samples.values().flatten() {
            let other = draw.vec(100);
            for bad in damaged(sample, &other, &mut draw) {
                let tag = draw.pick(&[1, 2, 3, 4, 5, 33, 34, 35, 36, 37, 0, 255]);
                let content = [&[tag], bad.as_slice()].concat();
                drop(bear("content", &content, Content::from_bytes));
                let frame = [&[tag, 0, 0, 0, 7], bad.as_slice()].concat();
                drop(bear("frame", &frame, Frame::from_bytes));
            }
        }
    }
    for short in 0..6 {
        assert!(Frame::from_bytes(&vec![1; short]).is_err());
    }
    assert!(Content::from_bytes(&[]).is_err());
}
