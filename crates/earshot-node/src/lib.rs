//! The machine room.
pub mod api;
