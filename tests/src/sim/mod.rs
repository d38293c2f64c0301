//! The simulator: the very machines of `earshot_proto` in a world of virtual time.
//!
//! Source: DESIGN 3 (the contract table) and 5. Everything that a machine sees (time, randomness,
//! bytes, disks, media paths) comes from the [`World`]; what stands in for what is told in
//! `tests/sim/README.md`. Invariant: one seed, one log.

pub mod adversary;
mod disk;
mod electing;
mod handing;
mod host;
mod hostile;
pub mod intruder;
mod journal;
mod lan;
mod links;
mod net;
mod network;
mod oracle;
mod owner;
mod people;
mod sloppy;
mod spy;
pub mod swarm;
mod world;

pub use electing::{Candidates, node_of};
pub use host::{Nat, Script, Skew};
pub use oracle::Ice;
pub use owner::Owner;
pub use people::{PASSWORD, SOON, user};
pub use world::World;
