//! Sound in, sound out: everything between a microphone, packets, and a loudspeaker.
//!
//! ```text
//! device ─ 10 ms ─▶ sender ─ packets ─▶ (seal, path, open) ─▶ receiver ─ 10 ms ─▶ device
//!           (frame, level)    (codec, deep)                         (sequence, delay, jitter,
//!                  ▲                                                 decoder, stretch, counts)
//!             adaptation ◀─ their reports                             arrivals ─▶ our reports
//! ```
//!
//! A call opens a [`session::VoiceSession`], starts it with a closure that takes the packets, and
//! pushes into it the packets that come. Sealing, paths and keys are the node's and proto's.
//!
//! Invariant: the deciding parts (all but [`device`], [`session`] and [`aside`]) read no clock, own
//! no thread and open no file: time is an argument. Nothing here knows a network, a key or another
//! crate of Earshot.

pub mod adaptation;
pub mod arrivals;
pub mod aside;
pub mod bursts;
pub mod codec;
pub mod counts;
pub mod decoder;
mod deep;
pub mod delay;
pub mod device;
pub mod enhance;
pub mod frame;
pub mod jitter;
pub mod level;
pub mod receiver;
pub mod reception;
pub mod resample;
pub mod sender;
pub mod sequence;
pub mod session;
pub mod stretch;
pub mod tune;
