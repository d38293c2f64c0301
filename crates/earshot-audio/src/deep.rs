//! The Opus encoder with deep redundancy (DRED), which the `opus` crate cannot switch on.
//!
//! Each packet then carries, besides its own frame, up to a second of the sound before it, coarsely
//! coded by a neural network, so that a whole burst is repaired from the first packet behind it.
//! Source: libopus 1.6 `opus.h`, `opus_defines.h`; draft-ietf-mlcodec-opus-dred.
//! Invariant: the pointer is valid from `new` to `drop` and never leaves this file.

#![expect(unsafe_code, reason = "libopus is C; the safe crate hides the encoder's controls")]

use std::ptr::NonNull;

use opusic_sys as ffi;

use crate::codec::CodecError;
use crate::frame::SAMPLE_RATE_HZ;

/// How far back redundancy may reach, in units of 10 ms: a second. The bit rate limits it before.
const DURATION: i32 = 100;

/// Turns frames into packets that remember what was said before.
#[derive(Debug)]
pub(crate) struct DeepEncoder {
    opus: NonNull<ffi::OpusEncoder>,
}

// SAFETY: an OpusEncoder is plain memory without thread affinity; `&mut self` on every use keeps
// it to one thread at a time.
unsafe impl Send for DeepEncoder {}

impl DeepEncoder {
    /// Opens an encoder for 48 kHz mono speech with variable bit rate.
    pub(crate) fn new(complexity: i32, leave_out_silence: i32) -> Result<Self, CodecError> {
        let mut code = 0;
        let (rate, voip) = (SAMPLE_RATE_HZ as i32, ffi::OPUS_APPLICATION_VOIP);
        // SAFETY: plain values and a pointer to a live local.
        let raw = unsafe { ffi::opus_encoder_create(rate, 1, voip, &raw mut code) };
        let opus = NonNull::new(raw).ok_or(CodecError { call: "opus_encoder_create", code })?;
        let mut encoder = Self { opus };
        encoder.set(ffi::OPUS_SET_COMPLEXITY_REQUEST, complexity)?;
        encoder.set(ffi::OPUS_SET_VBR_REQUEST, 1)?;
        encoder.set(ffi::OPUS_SET_SIGNAL_REQUEST, ffi::OPUS_SIGNAL_VOICE)?;
        encoder.set(ffi::OPUS_SET_DTX_REQUEST, leave_out_silence)?;
        encoder.set(ffi::OPUS_SET_DRED_DURATION_REQUEST, DURATION)?;
        Ok(encoder)
    }

    /// Aims at a bit rate, bits per second.
    pub(crate) fn set_bitrate(&mut self, bps: i32) -> Result<(), CodecError> {
        self.set(ffi::OPUS_SET_BITRATE_REQUEST, bps)
    }

    /// Tells of the loss, in percent, and whether the last frame is repeated besides (0 or 1).
    pub(crate) fn set_redundancy(&mut self, inband: i32, loss_pct: i32) -> Result<(), CodecError> {
        self.set(ffi::OPUS_SET_INBAND_FEC_REQUEST, inband)?;
        self.set(ffi::OPUS_SET_PACKET_LOSS_PERC_REQUEST, loss_pct)
    }

    /// Encodes one frame into at most `room` bytes.
    pub(crate) fn encode(&mut self, pcm: &[f32], room: usize) -> Result<Vec<u8>, CodecError> {
        let mut packet = vec![0; room];
        // SAFETY: the encoder is live; `pcm` holds `pcm.len()` mono samples, `packet` `room` bytes.
        let written = unsafe {
            ffi::opus_encode_float(
                self.opus.as_ptr(),
                pcm.as_ptr(),
                pcm.len() as i32,
                packet.as_mut_ptr(),
                room as i32,
            )
        };
        let call = "opus_encode_float";
        let length = usize::try_from(written).map_err(|_| CodecError { call, code: written })?;
        packet.truncate(length);
        Ok(packet)
    }

    fn set(&mut self, request: i32, value: i32) -> Result<(), CodecError> {
        // SAFETY: the encoder is live; each request made here takes exactly one int.
        let code = unsafe { ffi::opus_encoder_ctl(self.opus.as_ptr(), request, value) };
        if code < 0 { Err(CodecError { call: "opus_encoder_ctl", code }) } else { Ok(()) }
    }
}

impl Drop for DeepEncoder {
    fn drop(&mut self) {
        // SAFETY: created by `opus_encoder_create`, destroyed once.
        unsafe { ffi::opus_encoder_destroy(self.opus.as_ptr()) }
    }
}
