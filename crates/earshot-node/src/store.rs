//! What is kept on disk; one file a kind of data.

pub mod authority;
pub mod files;
pub mod history;
pub mod peer;
pub mod preferences;
