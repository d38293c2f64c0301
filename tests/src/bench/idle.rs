//! `bench idle`: what a peer costs that is logged in and does nothing.
//!
//! Source: the figures to reach: anonymous memory of at most 12 MB two minutes after login, at most
//! 20 voluntary context switches a minute over all threads (a laptop's battery pays for each).

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use super::limit::Limit;
use super::proc::{self, Threads};
use super::{Stop, launcher, step};
use crate::harness::{Daemon, Launch, Role, Trouble};
use crate::report::Report;

/// From the login on, until memory is looked at and switches are counted.
const SETTLE: Duration = Duration::from_secs(120);
/// Switches are counted for so long. One minute, as the figure says.
const WATCH: Duration = Duration::from_secs(60);
/// Time between two samples.
const TICK: Duration = Duration::from_secs(1);
/// For whatever takes a few messages.
const SOON: Duration = Duration::from_secs(10);
/// Mappings that are named: the rest is small.
const MAPPINGS_TOLD: usize = 6;
const USER: &str = "alice";
const PASSWORD: &str = "correct horse of Alice's battery";

const MEMORY: Limit = Limit::at_most("idle.rss_anon_mb", 12.0);
const SWITCHES: Limit = Limit::at_most("idle.switches_per_min", 20.0);
/// What is checked, in its order.
pub(super) const LIMITS: [Limit; 2] = [MEMORY, SWITCHES];

/// Measures it.
pub(super) fn run<W: Write>(out: &Path, report: &mut Report<W>) -> Result<(), Stop> {
    let launch = launcher(out, "idle-data")?;
    let network = step(report, "idle.start", || {
        let network = launch("idle-network", Role::Network).args(["--name", "idle"]);
        Ok(Daemon::spawn(&network, out)?)
    })?;
    let peer = step(report, "idle.login", || {
        let peer = launch("idle-peer", Role::Peer).args(["--invite", network.told("invite")?]);
        log_in(&peer, out)
    })?;
    let logged_in = Instant::now();
    let mut samples = String::new();
    step(report, "idle.settle", || rest(&peer, logged_in + SETTLE, logged_in, &mut samples))?;
    let memory_kib = proc::rss_anon_kib(peer.pid()).map_err(Stop::failed)?;
    let smaps = std::fs::read_to_string(format!("/proc/{}/smaps", peer.pid()));
    let before = proc::threads(peer.pid()).map_err(Stop::failed)?;
    let begun = Instant::now();
    let mut after = before.clone();
    step(report, "idle.watch", || {
        after = rest(&peer, begun + WATCH, logged_in, &mut samples)?;
        Ok(())
    })?;
    let minutes = begun.elapsed().as_secs_f64() / 60.0;
    std::fs::write(out.join("idle.jsonl"), samples).map_err(Stop::failed)?;
    for daemon in [peer, network] {
        daemon.stop()?;
    }
    if let Ok(smaps) = smaps {
        tell_memory(&smaps, report);
        std::fs::write(out.join("idle.smaps"), smaps).map_err(Stop::failed)?;
    }
    let switches = tell_threads(&before, &after, report) as f64 / minutes;
    let memory_mb = memory_kib as f64 * 1_024.0 / 1e6;
    report.figure("idle.rss_anon_mb", memory_mb, "MB", &[("role", "peer")]);
    report.figure("idle.switches_per_min", switches, "switches/min", &[("role", "peer")]);
    MEMORY.check(report, Some(memory_mb));
    SWITCHES.check(report, Some(switches));
    Ok(())
}

/// As on the second day: the account is there, the program is started, its user logs in.
fn log_in(launch: &Launch, out: &Path) -> Result<Daemon, Stop> {
    let account = json!({ "user": USER, "password": PASSWORD });
    let yesterday = Daemon::spawn(launch, out)?;
    yesterday.rpc("register", account.clone())?;
    yesterday.stop()?;
    let peer = Daemon::spawn(launch, out)?;
    let mark = peer.mark();
    peer.rpc("login", account)?;
    peer.wait_event(mark, SOON, "home", |event| {
        event["type"] == "networkChanged" && event["home"].is_object()
    })?;
    Ok(peer)
}

/// Lets the peer be until a moment, and notes each second how it is. Waits for its end, which must
/// not come. Gives its threads, those that ended meanwhile too.
fn rest(
    peer: &Daemon,
    until: Instant,
    logged_in: Instant,
    samples: &mut String,
) -> Result<Threads, Stop> {
    let mut threads = Threads::new();
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        match peer.wait_exit(TICK.min(left)) {
            Err(Trouble::Missing { .. }) => {}
            Ok(status) => return Err(Stop::failed(format!("the peer ended: {status}"))),
            Err(other) => return Err(other.into()),
        }
        threads.extend(proc::threads(peer.pid()).map_err(Stop::failed)?);
        let by_thread: serde_json::Map<_, _> = threads
            .iter()
            .map(|(id, thread)| (format!("{id} {}", thread.name), json!(thread.switches)))
            .collect();
        let sample = json!({
            "afterLoginMs": logged_in.elapsed().as_millis() as u64,
            "rssAnonKib": proc::rss_anon_kib(peer.pid()).map_err(Stop::failed)?,
            "voluntarySwitches": by_thread,
        });
        let _never_fails = writeln!(samples, "{sample}");
    }
    Ok(threads)
}

fn tell_memory<W: Write>(smaps: &str, report: &mut Report<W>) {
    for (mapping, kib) in proc::mappings(smaps).into_iter().take(MAPPINGS_TOLD) {
        report.fact("idle.memory", &format!("{kib} KiB {mapping}"));
    }
}

/// Says how often each thread slept between two moments, and gives the sum.
fn tell_threads<W: Write>(before: &Threads, after: &Threads, report: &mut Report<W>) -> u64 {
    let mut sum = 0;
    for (id, thread) in after {
        let earlier = before.get(id).map_or(0, |thread| thread.switches);
        let switches = thread.switches - earlier;
        report.fact("idle.thread", &format!("{switches} {}", thread.name));
        sum += switches;
    }
    sum
}
