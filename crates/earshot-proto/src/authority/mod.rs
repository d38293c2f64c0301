//! The login authority: it keeps user names and password records, and certifies whose key is whose.
//! DESIGN 2.1, 2.3.
//!
//! Peers and super-peers dial it; every question comes over a
//! [`SecureLink`](crate::secure::link::SecureLink), from a guest (register, log in, enrol) or from
//! the holder of a certificate (renew, ask for devices). Invariants: an answer that promises
//! something leaves only when its record is on disk ([`Input::Saved`]); what could not be kept is
//! as if it never was; a name that nobody has is answered like a wrong password, in as many steps
//! and bytes; everything that a stranger can make us hold is bounded.
//!
//! [`Input::Saved`]: crate::port::Input::Saved

mod accounts;
mod announcing;
mod keys;
mod lately;
mod limits;
mod links;
mod nodes;
mod orders;
mod registrar;
mod state;
#[cfg(test)]
mod tests;
mod verifying;

pub use keys::{AUTHORITY_LIFE, AuthorityKeys, BadKeys, DEVICE_LIFE, NODE_LIFE, NoRoot};
pub use limits::{Limits, Rate};
pub use links::Authority;
pub use orders::{Notice, Order, TokenText};
pub use state::{
    ACCOUNTS_MAX, Account, Admits, AuthorityState, NODES_MAX, Node, Record, Row, RowDamaged,
    StateRefused, TOKENS_MAX, Token,
};
