//! The real app as people use it: two of them on two desktops, each with its own screen, session
//! bus, sound card and home, steered by remote control. It runs alone: two voices are judged.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod desk;
mod mixed;
mod person;
mod program;
mod road;
mod room;
