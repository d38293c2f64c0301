//! The Opus decoder with its neural concealment and its deep redundancy (DRED), which the `opus`
//! crate cannot switch on.
//!
//! Source: libopus 1.6 `opus.h`. Decoder complexity 5 and above conceals lost frames with the deep
//! PLC network (PESQ-WB +0.15 to +0.4 on lossy speech); 6 and 7 add enhancers of low bit rates that
//! cost intelligibility (STOI) at our rates, so we stay at 5.
//! Invariant: the pointers are valid from `new` to `drop` and never leave this file.

#![expect(unsafe_code, reason = "libopus is C; the safe crate hides the decoder's controls")]

use std::ptr::{self, NonNull};

use opusic_sys as ffi;

use crate::codec::{CodecError, PACKET_SAMPLES_MAX};
use crate::frame::SAMPLE_RATE_HZ;

/// See the module's text.
const DECODER_COMPLEXITY: i32 = 5;
/// Opus conceals in steps of 2.5 ms (RFC 6716 section 2.1.4).
pub(crate) const CONCEAL_STEP: usize = 120;

/// The deepest redundancy that is looked for: a second, as much as is sent.
const DEEP_MAX: i32 = SAMPLE_RATE_HZ as i32;

/// Turns packets back into sound, and invents what is missing.
#[derive(Debug)]
pub struct VoiceDecoder {
    opus: Owned<ffi::OpusDecoder>,
    reader: Owned<ffi::OpusDREDDecoder>,
    /// What the last packet told of the sound before it.
    past: Owned<ffi::OpusDRED>,
}

/// Memory of libopus, and what gives it back.
#[derive(Debug)]
struct Owned<T>(NonNull<T>, unsafe extern "C" fn(*mut T));

impl<T> Owned<T> {
    const fn as_ptr(&self) -> *mut T {
        self.0.as_ptr()
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: made by the function that this one belongs to, destroyed once.
        unsafe { (self.1)(self.as_ptr()) }
    }
}

// SAFETY: all three are plain memory without thread affinity; `&mut self` on every use keeps them
// to one thread at a time.
unsafe impl Send for VoiceDecoder {}

impl VoiceDecoder {
    /// Opens a decoder for 48 kHz mono.
    pub fn new() -> Result<Self, CodecError> {
        let mut code = 0;
        // SAFETY: plain values and a pointer to a live local.
        let raw = unsafe { ffi::opus_decoder_create(SAMPLE_RATE_HZ as i32, 1, &raw mut code) };
        let opus = NonNull::new(raw).ok_or(CodecError { call: "opus_decoder_create", code })?;
        let opus = Owned(opus, ffi::opus_decoder_destroy);
        // SAFETY: a pointer to a live local.
        let raw = unsafe { ffi::opus_dred_decoder_create(&raw mut code) };
        let reader =
            NonNull::new(raw).ok_or(CodecError { call: "opus_dred_decoder_create", code })?;
        let reader = Owned(reader, ffi::opus_dred_decoder_destroy);
        // SAFETY: a pointer to a live local.
        let raw = unsafe { ffi::opus_dred_alloc(&raw mut code) };
        let past = NonNull::new(raw).ok_or(CodecError { call: "opus_dred_alloc", code })?;
        let past = Owned(past, ffi::opus_dred_free);
        let mut decoder = Self { opus, reader, past };
        decoder.set_complexity(DECODER_COMPLEXITY)?;
        Ok(decoder)
    }

    /// Decodes `payload` and appends its sound to `out`; answers how many samples that were.
    pub fn decode(&mut self, payload: &[u8], out: &mut Vec<f32>) -> Result<usize, CodecError> {
        self.run(payload, PACKET_SAMPLES_MAX, 0, out)
    }

    /// Appends `samples` of invented sound in place of a lost packet. `samples` is rounded up to
    /// 2.5 ms for the decoder and cut back afterwards.
    pub fn conceal(&mut self, samples: usize, out: &mut Vec<f32>) -> Result<usize, CodecError> {
        let end = out.len() + samples;
        self.run(&[], samples.next_multiple_of(CONCEAL_STEP), 0, out)?;
        out.truncate(end);
        Ok(samples)
    }

    /// Appends `samples` of the background noise in an announced silence. The network is no better
    /// at noise than the classic way, and thirty times as dear.
    pub fn comfort(&mut self, samples: usize, out: &mut Vec<f32>) -> Result<usize, CodecError> {
        self.set_complexity(0)?;
        let comforted = self.conceal(samples, out);
        self.set_complexity(DECODER_COMPLEXITY)?;
        comforted
    }

    /// Appends the `samples` just before `next`, from the coarse copy that `next` carries.
    pub fn recover(
        &mut self,
        next: &[u8],
        samples: usize,
        out: &mut Vec<f32>,
    ) -> Result<usize, CodecError> {
        self.run(next, samples, 1, out)
    }

    /// How many samples before `packet` its deep redundancy reaches: 0 when it has none. What it
    /// tells is kept for [`Self::recover_deep`].
    pub fn deep_reach(&mut self, packet: &[u8]) -> usize {
        let Ok(length) = i32::try_from(packet.len()) else { return 0 };
        if length == 0 {
            return 0;
        }
        let (rate, mut end) = (SAMPLE_RATE_HZ as i32, 0);
        // SAFETY: the pointer is valid for `length` bytes, and libopus checks their structure;
        // reader and past are live, `end` is a live local; 0 has all of it read at once.
        let reach = unsafe {
            ffi::opus_dred_parse(
                self.reader.as_ptr(),
                self.past.as_ptr(),
                packet.as_ptr(),
                length,
                DEEP_MAX,
                rate,
                &raw mut end,
                0,
            )
        };
        usize::try_from(reach).unwrap_or(0)
    }

    /// Appends `samples`, a multiple of 2.5 ms, that begin `before` samples before the packet that
    /// was last given to [`Self::deep_reach`], which must have answered at least as much.
    pub fn recover_deep(
        &mut self,
        before: usize,
        samples: usize,
        out: &mut Vec<f32>,
    ) -> Result<usize, CodecError> {
        let (before, room) = (before.min(DEEP_MAX as usize), samples.min(PACKET_SAMPLES_MAX));
        let start = out.len();
        out.resize(start + room, 0.0);
        // SAFETY: decoder and past are live; the output has room for `room` mono samples behind
        // `start`.
        let written = unsafe {
            ffi::opus_decoder_dred_decode_float(
                self.opus.as_ptr(),
                self.past.as_ptr(),
                before as i32,
                out[start..].as_mut_ptr(),
                room as i32,
            )
        };
        let samples = checked("opus_decoder_dred_decode_float", written);
        out.truncate(start + samples.as_ref().map_or(0, |samples| *samples));
        samples
    }

    fn set_complexity(&mut self, complexity: i32) -> Result<(), CodecError> {
        let request = ffi::OPUS_SET_COMPLEXITY_REQUEST;
        // SAFETY: the decoder is live; this request takes exactly one int.
        let code = unsafe { ffi::opus_decoder_ctl(self.opus.as_ptr(), request, complexity) };
        checked("opus_decoder_ctl", code).map(|_| ())
    }

    fn run(
        &mut self,
        payload: &[u8],
        room: usize,
        fec: i32,
        out: &mut Vec<f32>,
    ) -> Result<usize, CodecError> {
        let room = room.min(PACKET_SAMPLES_MAX);
        let start = out.len();
        out.resize(start + room, 0.0);
        let data = if payload.is_empty() { ptr::null() } else { payload.as_ptr() };
        // SAFETY: `data` points to `payload.len()` bytes (or is null with length 0, which asks for
        // concealment); the output has room for `room` mono samples behind `start`.
        let written = unsafe {
            ffi::opus_decode_float(
                self.opus.as_ptr(),
                data,
                i32::try_from(payload.len()).unwrap_or(i32::MAX),
                out[start..].as_mut_ptr(),
                room as i32,
                fec,
            )
        };
        let samples = checked("opus_decode_float", written).unwrap_or(0);
        out.truncate(start + samples);
        checked("opus_decode_float", written)
    }
}

/// Says whether a packet carries a coarse copy of the one before it.
pub fn has_redundancy(payload: &[u8]) -> bool {
    let Ok(length) = i32::try_from(payload.len()) else { return false };
    // SAFETY: the pointer is valid for `length` bytes, and libopus checks the packet's structure.
    length > 0 && unsafe { ffi::opus_packet_has_lbrr(payload.as_ptr(), length) } == 1
}

fn checked(call: &'static str, code: i32) -> Result<usize, CodecError> {
    usize::try_from(code).map_err(|_| CodecError { call, code })
}
