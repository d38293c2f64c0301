//! The proving ground.

pub mod align;
pub mod speech;
pub mod stoi;
