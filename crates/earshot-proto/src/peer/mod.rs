//! The ordinary peer.

pub mod call;
