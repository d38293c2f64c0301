//! Real `earshotd` processes: how they start, answer, refuse, survive and leave.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod certificates;
mod founding;
mod full_disk;
mod inside;
mod killing;
mod leaving;
mod listing;
mod owning;
mod people;
mod presence;
mod ring;
mod ringing;
mod rpc;
mod secrecy;
mod serving;
mod sound;
mod starting;
mod strangers;
mod world;
