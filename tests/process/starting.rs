//! Starting: what a process says first, and how it says that it cannot.

use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;

use earshot_tests::harness::{Launch, Role};
use serde_json::json;

use crate::world::{World, not_ready, refused};

#[test]
fn the_first_line_tells_all_that_others_need() {
    let world = World::new("first-line");
    let network = world.network("network");
    let ready = network.ready();
    assert_eq!((&ready["role"], &ready["network"]), (&json!("network"), &json!("test")));
    assert!(network.told("invite").unwrap().starts_with("earshot:"));
    assert!(network.told("authority").unwrap().starts_with("earshot-authority:"));
    assert!(!network.told("nodeKey").unwrap().is_empty());
    assert!(!network.told("rootKey").unwrap().is_empty());
    assert_eq!(ready["pid"], network.pid());
    let listen: std::net::SocketAddr = network.told("listen").unwrap().parse().unwrap();
    assert!(listen.ip().is_loopback() && listen.port() != 0);
    let peer = world.peer("peer", &network);
    assert_eq!(peer.ready()["role"], "peer");
    assert_eq!(peer.ready()["version"], ready["version"]);
    assert!(peer.ready().get("enrolToken").is_none() && peer.ready().get("nodeKey").is_none());
}

#[test]
fn the_version_is_told_without_starting() {
    let world = World::new("version");
    let told = Command::new(world.program()).arg("--version").output().unwrap();
    assert_eq!(told.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&told.stdout).contains(env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_wrong_command_line_is_usage() {
    let world = World::new("usage");
    let data = world.data("x").display().to_string();
    let lines: [&[&str]; 7] = [
        &[],
        &["janitor"],
        &["peer"],
        &["peer", "--data-dir", &data],
        &["authority", "--data-dir", &data],
        &["network", "--data-dir", &data, "--name", "n", "--listen", "nowhere"],
        &["peer", "--data-dir", &data, "--rpc", "stdio", "--colour", "red"],
    ];
    for line in lines {
        let launch = Launch::program("wrong", world.program()).args(line);
        let (code, _, status) = not_ready(world.spawn(&launch));
        assert_eq!((code.as_str(), status), ("usage", Some(64)), "{line:?}");
    }
}

#[test]
fn a_port_that_is_taken_is_named_for_tcp_and_for_udp() {
    let world = World::new("port");
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    for taken in [tcp.local_addr().unwrap(), udp.local_addr().unwrap()] {
        let launch = world.bare("network", Role::Network).args(["--name", "test", "--listen"]);
        let (code, facts, status) = not_ready(world.spawn(&launch.arg(taken.to_string())));
        assert_eq!((code.as_str(), status), ("portInUse", Some(1)));
        assert_eq!(facts, json!({ "port": taken.port() }));
    }
}

#[test]
fn a_data_directory_serves_one_process() {
    let world = World::new("data-in-use");
    let network = world.network("network");
    let again = world.launch("network", Role::Network);
    let (code, _, status) = not_ready(world.spawn(&again));
    assert_eq!((code.as_str(), status), ("dataInUse", Some(1)));
    assert!(network.told("invite").is_ok());
}

#[test]
fn damaged_data_is_told_with_the_file_and_never_served() {
    let world = World::new("damaged");
    let network = world.network("network");
    let person = world.person("anna", &network);
    for daemon in [&person, &network] {
        assert_eq!(daemon.stop().unwrap().0.code(), Some(0));
    }
    let mut told = 0;
    for (name, role) in [("network", Role::Network), ("anna", Role::Peer)] {
        for file in files(&world.data(name)) {
            let whole = std::fs::read(&file).unwrap();
            std::fs::write(&file, damaged(&whole)).unwrap();
            match world.spawn(&world.launch(name, role)) {
                // A file that is made anew at every start (a lock, a log of the database).
                Ok(served) => drop(served.stop().unwrap()),
                failed => {
                    let (code, facts, status) = not_ready(failed);
                    assert_eq!((code.as_str(), status), ("damagedData", Some(3)), "{file:?}");
                    assert!(facts["file"].as_str().is_some_and(|named| !named.is_empty()));
                    told += 1;
                }
            }
            std::fs::write(&file, whole).unwrap();
        }
    }
    assert!(told >= 2, "a damaged store must be noticed in every role, {told} were");
    assert!(world.spawn(&world.launch("network", Role::Network)).is_ok(), "whole again");
}

#[test]
fn an_invite_with_a_wrong_letter_is_refused() {
    let world = World::new("bad-invite");
    let network = world.network("network");
    let invite = network.told("invite").unwrap();
    let (head, tail) = invite.split_at(invite.len() / 2);
    let other = if tail.starts_with('A') { "B" } else { "A" };
    let damaged = format!("{head}{other}{}", &tail[1..]);
    let cut = &invite[..invite.len() - 3];
    let cases = [(damaged.as_str(), "damaged"), (cut, "damaged"), ("hello", "notAnInvite")];
    for (text, problem) in cases {
        let launch = world.launch("peer", Role::Peer).args(["--invite", text]);
        let (code, facts, status) = not_ready(world.spawn(&launch));
        assert_eq!((code.as_str(), status), ("badInvite", Some(1)), "{text}");
        assert_eq!(facts["problem"], problem, "{text}");
    }
    let peer = world.spawn(&world.launch("peer", Role::Peer)).unwrap();
    assert_eq!(refused(peer.rpc("network.join", json!({ "invite": damaged }))), "badInvite");
    let joined = peer.rpc("network.join", json!({ "invite": invite })).unwrap();
    assert_eq!(joined["network"]["name"], "test");
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.metadata().is_ok_and(|file| file.len() > 0) {
            found.push(path);
        }
    }
    found
}

/// Every byte of the first page is another one.
fn damaged(whole: &[u8]) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    bytes.iter_mut().take(4096).for_each(|byte| *byte ^= 0x5a);
    bytes
}
