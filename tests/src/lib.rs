//! The proving ground.

pub mod align;
pub mod bench;
pub mod demo;
pub mod harness;
pub mod lab;
pub mod netlab;
pub mod program;
pub mod report;
pub mod ring;
pub mod sim;
pub mod speech;
pub mod stoi;
#[cfg(test)]
mod vectors;
