//! Passwords: stretching, and OPAQUE (RFC 9807). The long computations are handed out as [`Work`].

/// A long computation, to be run off the event loop by [`Work::run`].
#[derive(Debug)]
pub enum Work {}

/// The result of a [`Work`].
#[derive(Debug)]
pub enum Worked {}
