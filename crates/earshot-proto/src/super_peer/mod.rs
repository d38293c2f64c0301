//! The role.

pub mod relay;
