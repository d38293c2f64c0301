//! Stories of calls between several machines, in virtual time.

mod cases;
mod ends;
mod foreign;
mod survival;
mod swarm;
pub(super) mod world;
