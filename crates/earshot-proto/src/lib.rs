//! What Earshot says and decides.
//!
//! This crate holds every protocol decision of Earshot and nothing else: it opens no socket, reads
//! no clock, touches no disk, starts no thread and asks the operating system for no randomness. The
//! very same machines run in `earshotd`, in the window's backend and in the simulator.
//!
//! # The run loop
//!
//! A role ([`peer::Peer`], [`super_peer::SuperPeer`], [`authority::Authority`]) is a machine owned
//! by one task:
//!
//! 1. give it **one** input by `handle(now, input)`;
//! 2. drain `poll_output()` until it answers [`Output::Wait`](port::Output::Wait), doing what each
//!    output says;
//! 3. sleep until the deadline it named or the next input, whichever is first; at the deadline give
//!    [`Input::Timeout`](port::Input::Timeout).
//!
//! # The map
//!
//! | module | what it is for |
//! |---|---|
//! | [`port`] | the whole vocabulary towards the world: inputs, outputs, orders |
//! | [`ids`] | names of things: users, devices, nodes, networks, keys on the ring |
//! | [`time`] | wall time as an argument |
//! | [`entropy`] | randomness as an argument: one seed, two streams |
//! | [`asks`] | questions that wait for answers |
//! | [`lookup`] | finding a key's keepers on the ring |
//! | [`wire`] | every byte that travels |
//! | [`secure`] | all cryptography |
//! | [`peer`] | the ordinary peer |
//! | [`super_peer`] | the super-peer |
//! | [`authority`] | the login authority |
//!
//! Imports go one way: `wire ← secure ← {peer, super_peer, authority}`; roles never import each
//! other.

pub mod asks;
pub mod authority;
pub mod entropy;
pub mod ids;
pub mod lookup;
pub mod peer;
pub mod port;
pub mod questions;
pub mod secure;
pub mod super_peer;
pub mod time;
pub mod wire;

/// For tests of what peers ask: roles do not know each other, and nobody answers like a real one.
#[cfg(test)]
pub(crate) use super_peer::testing::stun_server;
