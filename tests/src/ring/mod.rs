//! The explorer: walks the rules of [`earshot_proto::super_peer::ring::chord`] through the
//! interleavings of join, stabilise, rectify and fail, and checks Zave's invariant after every
//! atomic step ("How to Make Chord Correct", 2017).
//!
//! A step is hers: one node's question, the answer of the other's present state, and what the asker
//! makes of it. Failures are seen at once by whoever asks (her perfect failure detector), and a
//! node fails only if every member keeps a live successor and s + 1 principals remain (her
//! operating assumption). States that differ by a rotation of the ring are one state.

pub mod explore;
pub mod rules;
pub mod schedules;
pub mod world;
