//! The proving ground.
