//! A valid message of every variant, drawn from a seed.

mod contents;
mod frames;
mod standing;

use std::collections::BTreeMap;

use earshot_proto::wire::{ALL, Wire};

use crate::draw::Draw;

/// The encodings of each family, by [`Wire::NAME`].
pub(crate) type Samples = BTreeMap<&'static str, Vec<Vec<u8>>>;

/// One draw of everything.
pub(crate) fn samples(seed: u64) -> Samples {
    let mut drawing = Drawing { draw: Draw::new(seed), samples: Samples::new() };
    frames::draw(&mut drawing);
    contents::draw(&mut drawing);
    standing::draw(&mut drawing);
    drawing.samples
}

pub(crate) struct Drawing {
    pub(crate) draw: Draw,
    samples: Samples,
}

impl Drawing {
    /// Takes messages of a family that is one shape.
    pub(crate) fn shape<T: Wire + PartialEq>(&mut self, messages: impl IntoIterator<Item = T>) {
        for message in messages {
            let bytes = message.to_bytes();
            assert!(bytes.len() <= T::MAX, "{} has {} bytes", T::NAME, bytes.len());
            assert!(T::from_bytes(&bytes).is_ok_and(|read| read == message), "{}", T::NAME);
            self.samples.entry(T::NAME).or_default().push(bytes);
        }
    }

    /// Takes messages of a family of variants, which must be all that there are.
    pub(crate) fn variants<T: Wire + PartialEq>(&mut self, messages: impl IntoIterator<Item = T>) {
        self.shape(messages);
        let drawn: Vec<u64> =
            self.samples[T::NAME].iter().filter_map(|bytes| variant(bytes)).collect();
        for number in 0..64 {
            let head = minicbor::to_vec((number, [0_u8; 0])).unwrap();
            let exists = !minicbor::decode::<T>(&head).is_err_and(|e| e.is_unknown_variant());
            let is_drawn = drawn.contains(&number);
            assert_eq!(exists, is_drawn, "variant {number} of {} has no sample", T::NAME);
        }
    }

    pub(crate) fn raw(&mut self, family: &'static str, bytes: Vec<u8>) {
        self.samples.entry(family).or_default().push(bytes);
    }
}

/// The variant's number: `[number, fields]`.
fn variant(bytes: &[u8]) -> Option<u64> {
    let mut decoder = minicbor::Decoder::new(bytes);
    decoder.array().ok()??;
    decoder.u64().ok()
}

#[test]
fn every_family_that_is_read_has_samples_and_they_survive_the_road() {
    for seed in 0..200 {
        let samples = samples(seed);
        let families = ALL.iter().flat_map(|dispatcher| dispatcher.iter());
        let names: Vec<&str> = families.clone().map(|family| family.name).collect();
        assert!(samples.keys().all(|name| names.contains(name)));
        for family in families {
            for sample in samples.get(family.name).unwrap_or_else(|| panic!("no {}", family.name)) {
                assert_eq!((family.rewrite)(sample).as_ref(), Ok(sample), "{}", family.name);
            }
        }
    }
}
