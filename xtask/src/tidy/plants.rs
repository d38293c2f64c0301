//! Violations to plant: at least one a rule, so that a rule that has gone blind is noticed.

/// One violation and the rule that must catch it.
pub(super) struct Plant {
    pub(super) rule: &'static str,
    /// The beginning of the place that the finding must name.
    pub(super) place: &'static str,
    pub(super) edits: &'static [Edit],
}

/// A change to one file of the copy.
pub(super) enum Edit {
    /// Lines at its end; where there is no such file, all of it.
    Append(&'static str, &'static str),
    /// The first text becomes the second.
    Replace(&'static str, &'static str, &'static str),
    /// The file is empty.
    Clear(&'static str),
}

use Edit::{Append, Clear, Replace};

const PROTO: &str = "crates/earshot-proto/Cargo.toml";
const AUDIO: &str = "crates/earshot-audio/Cargo.toml";
const NODE: &str = "crates/earshot-node/Cargo.toml";
const XTASK: &str = "xtask/Cargo.toml";
const CLIPPY: &str = "crates/earshot-proto/clippy.toml";
const WIRE: &str = "crates/earshot-proto/src/wire/planted.rs";
const SECURE: &str = "crates/earshot-proto/src/secure/planted.rs";
const PEER: &str = "crates/earshot-proto/src/peer/planted.rs";
const SUPER_PEER: &str = "crates/earshot-proto/src/super_peer/planted.rs";
const AUTHORITY: &str = "crates/earshot-proto/src/authority/planted.rs";
const GROUND: &str = "crates/earshot-proto/src/planted.rs";
const NODE_FILE: &str = "crates/earshot-node/src/planted.rs";
const TEST_FILE: &str = "tests/planted.rs";
const DEPENDENCIES: &str = "[dependencies]\n";

/// A dependency of `$manifest` on `$line`.
macro_rules! depends {
    ($manifest:expr, $line:literal) => {
        &[Replace($manifest, DEPENDENCIES, concat!("[dependencies]\n", $line, "\n"))]
    };
}

#[rustfmt::skip]
pub(super) const PLANTS: &[Plant] = &[
    // Between crates.
    plant("import-crates", PROTO, depends!(PROTO, "earshot-audio.workspace = true")),
    plant("import-crates", AUDIO, depends!(AUDIO, "earshot-proto.workspace = true")),
    plant("import-crates", NODE, &[Append(NODE, "[dev-dependencies.earshot-tests]\npath = \"../../tests\"\n")]),
    plant("import-crates", XTASK, &[Append(XTASK, "[dependencies]\nearshot-proto.workspace = true\n")]),
    // Between the layers of proto.
    plant("import-layers", WIRE, &[Append(WIRE, "use crate::secure::Seal;\n")]),
    plant("import-layers", WIRE, &[Append(WIRE, "fn f(p: &super::super::peer::Peer) {}\n")]),
    plant("import-layers", SECURE, &[Append(SECURE, "use crate::{wire, super_peer::SuperPeer};\n")]),
    plant("import-layers", SECURE, &[Append(SECURE, "use crate::authority;\n")]),
    plant("import-layers", PEER, &[Append(PEER, "fn f() { crate::super_peer::f(); }\n")]),
    plant("import-layers", PEER, &[Append(PEER, "mod inner { use super::super::super::authority::A; }\n")]),
    plant("import-layers", SUPER_PEER, &[Append(SUPER_PEER, "use crate::peer::Peer;\n")]),
    plant("import-layers", SUPER_PEER, &[Append(SUPER_PEER, "#[cfg(test)] mod tests { use crate::authority::A; }\n")]),
    plant("import-layers", AUTHORITY, &[Append(AUTHORITY, "use crate::super_peer::*;\n")]),
    plant("import-layers", AUTHORITY, &[Append(AUTHORITY, "use crate::*;\n")]),
    plant("import-layers", GROUND, &[Append(GROUND, "use crate::peer::Peer;\n")]),
    // Purity.
    plant("purity-words", PEER, &[Append(PEER, "use std::net::UdpSocket;\n")]),
    plant("purity-words", PEER, &[Append(PEER, "use std::{net::{self, IpAddr}, fmt};\n")]),
    plant("purity-words", PEER, &[Append(PEER, "fn f() { std::net::TcpStream::connect(a); }\n")]),
    plant("purity-words", WIRE, &[Append(WIRE, "use std::time::SystemTime;\n")]),
    plant("purity-words", WIRE, &[Append(WIRE, "fn f() { Instant::now(); }\n")]),
    plant("purity-words", SECURE, &[Append(SECURE, "use std::fs;\n")]),
    plant("purity-words", SECURE, &[Append(SECURE, "fn f() { std::thread::spawn(g); }\n")]),
    plant("purity-words", SECURE, &[Append(SECURE, "use std::sync::{Arc, Mutex};\n")]),
    plant("purity-words", GROUND, &[Append(GROUND, "fn f() { std::env::var(\"HOME\"); }\n")]),
    plant("purity-words", GROUND, &[Append(GROUND, "fn f() { getrandom::fill(b); }\n")]),
    plant("purity-words", SECURE, &[Append(SECURE, "use rand_core::OsRng;\n")]),
    plant("purity-words", SECURE, &[Append(SECURE, "fn f() { rand::thread_rng(); }\n")]),
    plant("purity-words", SECURE, &[Append(SECURE, "fn f() { R::from_os_rng(); }\n")]),
    plant("purity-clippy", CLIPPY, &[Replace(CLIPPY, "allow-unwrap-in-tests = true\n", "")]),
    plant("purity-clippy", CLIPPY, &[Replace(CLIPPY, "std::time::Instant::now", "std::time::never")]),
    plant("purity-clippy", CLIPPY, &[Clear(CLIPPY)]),
    plant("purity-tree", PROTO, depends!(PROTO, "tokio.workspace = true")),
    plant("purity-tree", PROTO, depends!(PROTO, "socket2.workspace = true")),
    plant("purity-tree", PROTO, depends!(PROTO, "webrtc-util.workspace = true")),
    // The homes of packages.
    plant("package-owner", NODE, depends!(NODE, "cpal.workspace = true")),
    plant("package-owner", AUDIO, depends!(AUDIO, "tokio.workspace = true")),
    plant("package-owner", "Cargo.toml", &[Replace(NODE, "webrtc-ice.workspace = true\n", "")]),
    plant("package-files", "crates/earshot-node/src/planted", &[
        Append(NODE_FILE, "use webrtc_ice::agent::Agent;\n"),
        Append("crates/earshot-node/src/planted2.rs", "fn f(c: webrtc_ice::Candidate) {}\n"),
        Append("crates/earshot-node/src/planted3.rs", "use webrtc_ice::{state, url};\n"),
        Append("crates/earshot-node/src/planted4.rs", "use webrtc_ice as ice;\n"),
    ]),
    // Tests and style.
    plant("test-ignored", TEST_FILE, &[Append(TEST_FILE, "#[test]\n#[ignore = \"slow\"]\nfn f() {}\n")]),
    plant("test-sleep", TEST_FILE, &[Append(TEST_FILE, "fn f() { std::thread::sleep(D); }\n")]),
    plant("test-sleep", NODE_FILE, &[Append(NODE_FILE, "#[cfg(test)]\nmod tests {\n async fn f() { tokio::time::sleep(D).await }\n}\n")]),
    plant("test-family", "tests/Cargo.toml", &[
        Append("tests/Cargo.toml", "\n[[test]]\nname = \"planted\"\npath = \"planted.rs\"\n"),
        Append(TEST_FILE, "\n"),
    ]),
    plant("test-in-doc", NODE_FILE, &[Append(NODE_FILE, "/// ```\n/// f();\n/// ```\nfn f() {}\n")]),
    plant("unfinished", NODE_FILE, &[Append(NODE_FILE, "fn f() { todo!() }\n")]),
    plant("unfinished", NODE_FILE, &[Append(NODE_FILE, "fn f() { unimplemented!(\"x\") }\n")]),
    plant("unfinished", NODE_FILE, &[Append(NODE_FILE, "fn f() { dbg!(1); }\n")]),
    plant("line-width", NODE_FILE, &[Append(NODE_FILE, "// 45678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901\n")]),
    plant("file-opening", NODE_FILE, &[Clear(NODE_FILE)]),
    plant("file-length", NODE_FILE, &[Append(NODE_FILE, LONG)]),
    // Places and licences.
    plant("machine-path", "README.md", &[Append("README.md", concat!("See /wo", "rk/notes.\n"))]),
    plant("machine-path", NODE_FILE, &[Append(NODE_FILE, concat!("const A: &str = \"/ro", "ot/a\";\n"))]),
    plant("directory-map", "planted", &[Append("planted/file.txt", "x\n")]),
    plant("licences", "Cargo.lock", &[Replace("deny.toml", "\"ISC\"", "\"ISC-no\"")]),
];

const fn plant(rule: &'static str, place: &'static str, edits: &'static [Edit]) -> Plant {
    Plant { rule, place, edits }
}

/// 640 lines.
const LONG: &str = {
    const LINES: [u8; 640] = [b'\n'; 640];
    match std::str::from_utf8(&LINES) {
        Ok(text) => text,
        Err(_) => "",
    }
};
