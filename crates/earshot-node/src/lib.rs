//! The machine room.
