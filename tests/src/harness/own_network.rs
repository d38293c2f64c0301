//! A network of one's own: the program starts itself again in a network namespace that holds the
//! loopback alone, where packets can be dropped by the kernel without root and without harm.
//!
//! Source: user_namespaces(7), network_namespaces(7), nft(8). Needs unshare, ip and nft.

use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};

/// Says to the second start that it is inside.
const INSIDE: &str = "EARSHOT_OWN_NETWORK";
/// Where administrators' programs lie, which may be missing from a user's search path.
const MORE_PATHS: &str = "/usr/sbin:/sbin";
/// The magic cookie of every STUN message, at bytes 4 to 7 of the datagram (RFC 8489, section 5);
/// nft counts bits from the UDP header of 8 bytes on.
const STUN_COOKIE: &str = "@th,96,32 0x2112a442";

/// Why there is no network of our own.
#[derive(Debug, thiserror::Error)]
#[error("no network of our own: {0}")]
pub struct NoNetwork(String);

/// Returns inside such a network: outside, the whole program is started again with the same
/// arguments and this call does not return.
///
/// # Errors
/// Where the system does not allow it, or a program is missing.
pub fn enter() -> Result<(), NoNetwork> {
    enter_with(&["--net", "--"])
}

/// As [`enter`], and what is mounted there is seen by nobody else: namespaces can be named.
///
/// # Errors
/// As [`enter`].
pub fn enter_with_mounts() -> Result<(), NoNetwork> {
    enter_with(&["--net", "--mount", "--"])
}

fn enter_with(own: &[&str]) -> Result<(), NoNetwork> {
    if std::env::var_os(INSIDE).is_some() {
        return run("ip", &["link", "set", "lo", "up"], "").map(drop);
    }
    for program in ["ip", "nft"] {
        run(program, &["-V"], "")?;
    }
    let own_user = [&["--user", "--map-root-user"], own].concat();
    let works = |how: &[&str]| run("unshare", &[how, &["true"]].concat(), "").is_ok();
    // Whoever is root may do without a user namespace where those are forbidden.
    let how = if works(&own_user) { &own_user[..] } else { own };
    run("unshare", &[how, &["true"]].concat(), "")?;
    restart(how).map(|never| match never {})
}

fn restart(how: &[&str]) -> Result<Infallible, NoNetwork> {
    let program = std::env::current_exe().map_err(|error| NoNetwork(error.to_string()))?;
    let mut again = Command::new("unshare");
    again.args(how).arg(program).args(std::env::args_os().skip(1)).env(INSIDE, "1");
    Err(NoNetwork(again.exec().to_string()))
}

/// From now on drops every second datagram that comes to one of these addresses' ports.
///
/// # Errors
/// Where the kernel does not take the rule.
pub fn drop_half(to: &[SocketAddr]) -> Result<(), NoNetwork> {
    let rules = to.iter().map(|to| {
        let port = to.port();
        format!("udp dport {port} numgen inc mod 2 0 counter drop")
    });
    add(&rules.collect::<Vec<_>>())
}

/// From now on drops every STUN message over UDP, and so all of ICE's checks.
///
/// # Errors
/// Where the kernel does not take the rule.
pub fn drop_stun() -> Result<(), NoNetwork> {
    add(&[format!("meta l4proto udp {STUN_COOKIE} counter drop")])
}

/// Datagrams dropped so far.
///
/// # Errors
/// Where the kernel does not tell.
pub fn dropped() -> Result<u64, NoNetwork> {
    let listed = run("nft", &["list", "table", "inet", "earshot"], "")?;
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    let counts = text.split("counter packets ").skip(1);
    Ok(counts.filter_map(|rest| rest.split(' ').next()?.parse::<u64>().ok()).sum())
}

/// Dropped on the way in: a sender whose packet is refused on the way out would be told.
fn add(rules: &[String]) -> Result<(), NoNetwork> {
    let rules = rules.join("\n");
    let table = format!(
        "table inet earshot {{\nchain input {{\ntype filter hook input priority 0\n{rules}\n}}\n}}\n"
    );
    run("nft", &["-f", "-"], &table).map(drop)
}

/// Runs one of the system's programs to its end.
pub(crate) fn run(program: &str, arguments: &[&str], input: &str) -> Result<Output, NoNetwork> {
    let path = std::env::var("PATH").unwrap_or_default();
    let failed = |why: &dyn std::fmt::Display| NoNetwork(format!("{program}: {why}"));
    let mut child = Command::new(program)
        .args(arguments)
        .env("PATH", format!("{path}:{MORE_PATHS}"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(&error))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that does not read its input says why itself.
        drop(stdin.write_all(input.as_bytes()));
    }
    let output = child.wait_with_output().map_err(|error| failed(&error))?;
    if output.status.success() {
        return Ok(output);
    }
    Err(failed(&String::from_utf8_lossy(&output.stderr).trim()))
}
