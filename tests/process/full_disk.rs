//! A disk that is full: told by its name, nothing acknowledged is lost, and all goes on when there
//! is space again.
//!
//! The data directory is a small file system in memory, mounted where only the process sees it
//! (user_namespaces(7)); the test reaches it through `/proc/PID/root`.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use earshot_tests::harness::{Daemon, Launch, Role};
use serde_json::{Value, json};

use crate::world::{PASSWORD, World, befriend, log_in, refused, write};

/// Mounts a file system on the first argument and becomes the rest.
const ON_A_SMALL_DISK: &str = r#"mount -t tmpfs -o size=4m small "$0" && exec "$@""#;

/// The same process on a disk of its own.
fn on_a_small_disk(world: &World, name: &str, role: Role, more: &[&str]) -> Daemon {
    let data = world.data(name);
    std::fs::create_dir_all(&data).unwrap();
    let launch = Launch::program(name, "unshare")
        .args(["--user", "--map-root-user", "--mount", "--", "sh", "-c", ON_A_SMALL_DISK])
        .arg(&data)
        .arg(world.program())
        .args([role.name(), "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(&data)
        .args(more);
    world.spawn(&launch).unwrap()
}

/// Something that takes all the space there is left, until it is dropped.
struct Filler {
    path: PathBuf,
    file: File,
}

impl Filler {
    fn new(daemon: &Daemon, data: &Path) -> Self {
        let seen = data.strip_prefix("/").unwrap();
        let path = Path::new("/proc").join(daemon.pid().to_string()).join("root");
        let path = path.join(seen).join("filler");
        let mut filler = Self { file: File::create(&path).unwrap(), path };
        filler.fill();
        filler
    }

    /// Takes what was given back meanwhile too.
    fn fill(&mut self) {
        for size in [64 * 1024, 4096, 1] {
            while self.file.write(&vec![7; size]).is_ok_and(|written| written > 0) {}
        }
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        let removed = std::fs::remove_file(&self.path);
        assert!(std::thread::panicking() || removed.is_ok(), "{removed:?}");
    }
}

fn texts(peer: &Daemon) -> Vec<String> {
    let history = peer.rpc("chat.history", json!({ "with": "ben", "limit": 500 })).unwrap();
    let text = |message: &Value| message["text"].as_str().unwrap().to_owned();
    history["messages"].as_array().unwrap().iter().map(text).collect()
}

#[test]
fn a_peer_on_a_full_disk_promises_nothing_and_forgets_nothing() {
    let world = World::new("full-peer");
    let network = world.network("network");
    let invite = network.told("invite").unwrap();
    let anna = on_a_small_disk(&world, "anna", Role::Peer, &["--rpc", "stdio", "--invite", invite]);
    let account = json!({ "user": "anna", "password": PASSWORD });
    let filler = Filler::new(&anna, &world.data("anna"));
    assert_eq!(refused(anna.rpc("register", account.clone())), "diskFull");
    drop(filler);
    let other = json!({ "user": "anna", "password": PASSWORD });
    // The authority had certified her before the disk was asked: then she logs in.
    if anna.rpc("register", other).is_err() {
        log_in(&anna, "anna").unwrap();
    }
    let ben = world.person("ben", &network);
    befriend(("anna", &anna), ("ben", &ben));
    write(&anna, "ben", "before");

    let mut filler = Filler::new(&anna, &world.data("anna"));
    let long = "long ".repeat(4_000);
    let send = |text: &str| {
        anna.rpc("chat.send", json!({ "to": "ben", "text": text, "clientId": &text[..4] }))
    };
    // What fits into a page that is there already may still be kept.
    let kept = (0..40).find_map(|_| send(&long).err()).expect("the disk is full");
    assert_eq!(refused(Err(kept)), "diskFull");
    filler.fill();
    // Each list takes the place of the one before the last, until it has grown out of that.
    let block = |number: usize| anna.rpc("buddies.block", json!({ "user": pest(number) }));
    let (blocked, full) = (0..500).find_map(|n| block(n).err().map(|full| (n, full))).unwrap();
    assert_eq!(refused(Err(full)), "diskFull");
    assert_eq!(texts(&anna), ["before"], "it can be read all the same");
    drop(filler);

    send(&long).unwrap();
    block(blocked).unwrap();
    anna.rpc("logout", json!({})).unwrap();
    log_in(&anna, "anna").unwrap();
    assert_eq!(texts(&anna), ["before", &long], "each once");
    let buddies = anna.rpc("buddies.list", json!({})).unwrap()["buddies"].clone();
    let relation = |user: &str| {
        let buddy = buddies.as_array().unwrap().iter().find(|buddy| buddy["user"] == user);
        buddy.map(|buddy| buddy["relation"].clone())
    };
    assert_eq!(relation("ben"), Some(json!("buddy")));
    assert!((0..=blocked).all(|number| relation(&pest(number)) == Some(json!("blocked"))));
}

fn pest(number: usize) -> String {
    format!("pest{number}")
}

#[test]
fn an_authority_on_a_full_disk_certifies_nobody() {
    let world = World::new("full-authority");
    let network = on_a_small_disk(&world, "network", Role::Network, &["--name", "test"]);
    let _anna = world.person("anna", &network);
    let (ben, anna_again) = (world.peer("ben", &network), world.peer("again", &network));
    let filler = Filler::new(&network, &world.data("network"));
    let account = json!({ "user": "ben", "password": PASSWORD });
    assert_eq!(refused(ben.rpc("register", account.clone())), "authorityFailed");
    drop(filler);
    ben.rpc("register", account).unwrap();
    log_in(&anna_again, "anna").unwrap();
}
