//! All cryptography: keys, certificates, links, envelopes, questions, passwords, voice.
//!
//! Nothing outside this module names a cipher. Invariants: a key seals with its own counter and no
//! caller chooses a nonce; secrets are zeroised, have no `Clone` and no telling `Debug`; signatures
//! are domain-separated and checked over the bytes as received (`verify_strict`, RFC 8032).

mod aes;
mod also;
pub mod buddy_file;
pub mod call_keys;
pub mod envelope;
pub mod identity;
pub mod link;
pub mod links;
pub mod local_vault;
pub mod location;
mod nearby_tag;
mod noise;
pub mod password;
pub mod postings;
pub mod questions;
mod records;
pub mod recovery_key;
pub mod registration;
mod replay;
pub mod report_seal;
pub mod seal;
mod srtp;
#[cfg(test)]
pub(crate) mod testing;
pub mod vault;
pub mod voice_seal;
