//! A hostile super-peer: inside the network by a real certificate, and bent.
//!
//! It houses the real machine with its real keys and stands between it and the world: outwards it
//! speaks as the node, inwards it plays everybody whom the node speaks to. So every frame goes
//! through its hands in clear, and its [`Vice`] says what becomes of it. That is possible because
//! the test owns what an attacker does not: the authority's key, by which it plays devices, and the
//! keys of all nodes. They are used for nothing else: outwards an adversary can do what the holder
//! of one certified key can, and confer with its fellows, the [`League`].

mod bridge;
mod league;
mod lies;
mod machine;
mod mischief;

pub use league::League;
pub use lies::Vice;
pub use machine::Adversary;
