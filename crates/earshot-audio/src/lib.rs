//! Sound in, sound out.
pub mod codec;
pub mod counts;
pub mod decoder;
pub mod delay;
pub mod frame;
pub mod jitter;
pub mod level;
pub mod receiver;
pub mod sender;
pub mod sequence;
pub mod stretch;
