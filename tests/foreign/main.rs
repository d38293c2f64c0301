//! Whatever bytes a stranger sends: a message or an error, never a panic, never much memory.
//!
//! The table runs over `wire::ALL`, which the dispatchers are made from, so that no decoder can be
//! missing. Valid messages of every variant are drawn from a seed ([`samples`]); those of one seed
//! lie in `tests/vectors/wire` and show when bytes on the wire change. From them come the bad ones
//! ([`damage`]).

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod corpus;
mod damage;
mod doors;
mod draw;
mod memory;
mod people;
mod samples;
mod table;
