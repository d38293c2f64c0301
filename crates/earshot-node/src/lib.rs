//! The machine room.

mod alarm;
pub mod api;
mod batch;
pub mod bindings;
pub mod calls;
pub mod candidacy;
pub mod cli;
pub mod clock;
mod datagrams;
pub mod driver;
pub mod embedded;
pub mod fitness;
mod front_door;
pub mod guests;
mod interfaces;
mod links;
mod mapping;
mod neighbourhood;
pub mod owner;
pub mod paths;
mod ports;
#[cfg(test)]
mod puppet;
mod relay_ports;
pub mod rpc;
pub mod run;
pub mod seed;
mod sockets;
pub mod sound;
pub mod start;
pub mod store;
mod troubles;
pub mod upstream;
pub mod ways;
