//! The machine room.
pub mod api;
pub mod rpc;
