//! proto decides and touches nothing: no clocks, sockets, files, threads, locks, OS randomness.
//!
//! Kept three times: by the words in its files (here), by clippy, which also sees through renaming
//! imports (`crates/earshot-proto/clippy.toml`), and by what it depends on.

use super::{Finding, Tree};
use crate::workspace::{cargo, read};

const SOURCES: &str = "crates/earshot-proto/src/";
pub(super) const CLIPPY: &str = "crates/earshot-proto/clippy.toml";

/// Parts of the standard library that are closed to proto, with what is open in them.
const CLOSED: &[(&str, &[&str])] = &[
    (
        "std::net",
        &[
            "SocketAddr",
            "SocketAddrV4",
            "SocketAddrV6",
            "IpAddr",
            "Ipv4Addr",
            "Ipv6Addr",
            "AddrParseError",
        ],
    ),
    ("std::time", &["Duration", "Instant"]),
    ("std::fs", &[]),
    ("std::thread", &[]),
    ("std::env", &[]),
    ("std::process", &[]),
    ("std::os", &[]),
    ("std::sync", &["Arc", "Weak", "OnceLock", "LazyLock", "atomic"]),
];

/// Words that mean a clock or the system's randomness wherever they stand in a path.
const WORDS: &[&str] = &[
    "SystemTime",
    "OsRng",
    "SysRng",
    "ThreadRng",
    "thread_rng",
    "getrandom",
    "from_entropy",
    "from_os_rng",
    "try_from_os_rng",
];

/// What clippy must refuse in proto, each with an expression that does it.
#[rustfmt::skip]
pub(super) const REFUSED: &[(&str, &str)] = &[
    ("std::time::Instant::now", "std::time::Instant::now()"),
    ("std::time::Instant::elapsed", "|at: std::time::Instant| at.elapsed()"),
    ("std::time::SystemTime", "None::<std::time::SystemTime>"),
    ("std::net::TcpStream", "None::<std::net::TcpStream>"),
    ("std::net::TcpListener", "None::<std::net::TcpListener>"),
    ("std::net::UdpSocket", "None::<std::net::UdpSocket>"),
    ("std::fs::File", "None::<std::fs::File>"),
    ("std::fs::OpenOptions", "None::<std::fs::OpenOptions>"),
    ("std::fs::read", "std::fs::read(\"\")"),
    ("std::fs::read_to_string", "std::fs::read_to_string(\"\")"),
    ("std::fs::write", "std::fs::write(\"\", \"\")"),
    ("std::fs::rename", "std::fs::rename(\"\", \"\")"),
    ("std::fs::remove_file", "std::fs::remove_file(\"\")"),
    ("std::fs::create_dir_all", "std::fs::create_dir_all(\"\")"),
    ("std::thread::spawn", "std::thread::spawn(|| ())"),
    ("std::thread::scope", "std::thread::scope(|_| ())"),
    ("std::thread::sleep", "std::thread::sleep(std::time::Duration::ZERO)"),
    ("std::env::var", "std::env::var(\"\")"),
    ("std::env::var_os", "std::env::var_os(\"\")"),
    ("std::env::args", "std::env::args()"),
    ("std::process::Command", "None::<std::process::Command>"),
    ("std::sync::Mutex", "None::<std::sync::Mutex<()>>"),
    ("std::sync::RwLock", "None::<std::sync::RwLock<()>>"),
    ("std::sync::Condvar", "None::<std::sync::Condvar>"),
    ("std::sync::Barrier", "None::<std::sync::Barrier>"),
    ("std::sync::mpsc::channel", "std::sync::mpsc::channel::<()>()"),
];

/// Packages that do input and output; proto may not reach them even through others.
const IO_PACKAGES: &[&str] = &["tokio", "mio", "socket2"];

pub(super) fn words(tree: &Tree) -> Result<Vec<Finding>, String> {
    let mut findings = Vec::new();
    for file in tree.rust_under(SOURCES) {
        for mention in &file.mentions {
            // Virtual time needs a moment to begin at, and the standard library makes one only so.
            let start = mention.in_test && mention.path.ends_with("Instant::now");
            if is_impure(&mention.path) && !start {
                let what = format!("proto may not use {}: let it be an argument", mention.path);
                findings.push(Finding::at(file, mention.line, what));
            }
        }
    }
    Ok(findings)
}

fn is_impure(path: &str) -> bool {
    let closed = CLOSED.iter().any(|(part, open)| match path.strip_prefix(part) {
        Some("") => true,
        Some(rest) => rest.strip_prefix("::").is_some_and(|rest| {
            !open.contains(&rest.split("::").next().expect("split gives at least one part"))
        }),
        None => false,
    });
    let clock = path.ends_with("Instant::now");
    closed || clock || path.split("::").any(|word| WORDS.contains(&word))
}

/// A crate's own clippy.toml *replaces* the root's, so it must repeat its lines; and it must name
/// all that [`REFUSED`] lists.
pub(super) fn clippy(tree: &Tree) -> Result<Vec<Finding>, String> {
    let Some(own) = tree.file(CLIPPY) else {
        return Ok(vec![Finding::in_file(CLIPPY, "the file is missing")]);
    };
    let root = tree.file("clippy.toml").map_or("", |file| file.text.as_str());
    let shared = root.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let lost = shared.filter(|line| own.text.lines().all(|own| own != *line));
    let lost = lost.map(|line| format!("the root's line `{line}` is not repeated"));
    let named = |path: &str| own.text.contains(&format!("path = \"{path}\""));
    let unnamed = REFUSED.iter().filter(|(path, _)| !named(path));
    let unnamed = unnamed.map(|(path, _)| format!("{path} is not disallowed"));
    Ok(lost.chain(unnamed).map(|what| Finding::in_file(CLIPPY, what)).collect())
}

pub(super) fn tree(tree: &Tree) -> Result<Vec<Finding>, String> {
    let arguments = ["tree", "-p", "earshot-proto", "-e", "normal", "--prefix", "none"];
    let arguments = [&arguments[..], &["--target", "all", "--format", "{p}"]].concat();
    let listed = read(&mut cargo(&tree.root, &arguments)).map_err(|stop| stop.to_string())?;
    let mut names: Vec<&str> = listed.lines().filter_map(|line| line.split(' ').next()).collect();
    names.sort_unstable();
    names.dedup();
    let found = names.into_iter().filter(|name| IO_PACKAGES.contains(name));
    let manifest = "crates/earshot-proto/Cargo.toml";
    Ok(found.map(|name| Finding::in_file(manifest, format!("proto reaches {name}"))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_pure_and_a_socket_is_not() {
        for pure in ["std::net::SocketAddr", "std::time::Instant", "std::sync::Arc::new", "std::io"]
        {
            assert!(!is_impure(pure), "{pure}");
        }
        for impure in [
            "std::net",
            "std::net::*",
            "std::net::UdpSocket::bind",
            "std::time::Instant::now",
            "Instant::now",
            "rand_core::OsRng",
            "std::sync::Mutex",
            "getrandom::fill",
        ] {
            assert!(is_impure(impure), "{impure}");
        }
    }
}
