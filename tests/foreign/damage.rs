//! Making bad bytes of good ones.

use crate::draw::Draw;

/// Heads of CBOR that claim a lot, have no length, or mean nothing.
const CLAIMS: [&[u8]; 14] = [
    &[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0xbb, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0x5b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0x7a, 0xff, 0xff, 0xff, 0xff],
    &[0x9a, 0x00, 0x10, 0x00, 0x00],
    &[0x5a, 0x00, 0x01, 0x00, 0x00],
    &[0x99, 0xff, 0xff],
    &[0x9f],
    &[0xbf],
    &[0x5f, 0x41, 0x00],
    &[0x7f, 0x61, 0x61],
    &[0xdb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0xff],
    &[0x1c],
];
/// What a reader has to skip, nested without end.
const NESTS: [&[u8]; 5] = [&[0x82, 0x9f], &[0x81], &[0x9f], &[0xc1], &[0xa1, 0x00]];

/// Damaged copies of `sample`, at most a few hundred; `other` lends pieces.
pub(crate) fn damaged(sample: &[u8], other: &[u8], draw: &mut Draw) -> Vec<Vec<u8>> {
    let mut bad = Vec::new();
    for _ in 0..24 {
        bad.push(sample[..draw.below(sample.len() + 1)].to_vec());
    }
    for _ in 0..64 {
        let mut flipped = sample.to_vec();
        for _ in 0..=draw.below(3) {
            // Heads are rather at the beginning.
            let reach = if draw.chance(2) { flipped.len().min(48) } else { flipped.len() };
            if reach > 0 {
                flipped[draw.below(reach)] ^= 1 << draw.below(8);
            }
        }
        bad.push(flipped);
    }
    for _ in 0..24 {
        let (end, start) = (draw.below(sample.len() + 1), draw.below(other.len() + 1));
        bad.push([&sample[..end], &other[start..]].concat());
    }
    for claim in CLAIMS {
        let at = draw.below(sample.len() + 1);
        bad.push([&sample[..at], claim, &sample[at..]].concat());
        bad.push([&sample[..at], claim].concat());
        let over = (at + claim.len()).min(sample.len());
        bad.push([&sample[..at], claim, &sample[over..]].concat());
    }
    for nest in NESTS {
        bad.extend([0, 2].iter().filter_map(|at| grown(sample, *at, &nest.repeat(400))));
        bad.extend([0, 2].iter().filter_map(|at| grown(sample, *at, &[nest, &[0; 3]].concat())));
    }
    bad
}

/// The sample with one thing more in the container whose head is at `at` and which ends with it: a
/// field of tomorrow.
fn grown(sample: &[u8], at: usize, what: &[u8]) -> Option<Vec<u8>> {
    let key: &[u8] = match sample.get(at)? {
        0x80..0x97 => &[],
        0xa0..0xb7 => &[0x18, 0x63],
        _ => return None,
    };
    let mut grown = [sample, key, what].concat();
    grown[at] += 1;
    Some(grown)
}

/// Bytes without any meaning, of all lengths up to `max` and just beyond, rather short ones.
pub(crate) fn arbitrary(max: usize, draw: &mut Draw) -> Vec<Vec<u8>> {
    let mut bytes: Vec<Vec<u8>> = (0..200).map(|_| draw.vec(64)).collect();
    bytes.extend((0..40).map(|_| draw.vec(max.min(2_000))));
    bytes.push(draw.vec(max));
    bytes.push(vec![0; max + 1]);
    for nest in NESTS.iter().chain(&CLAIMS) {
        bytes.push(nest.repeat(max / nest.len()));
        bytes.push([&[0x82, 0x00], nest.repeat(max / nest.len()).as_slice()].concat());
    }
    bytes
}
