//! What clients cost a super-peer: memory for each, and how many questions a second of its
//! processor answers.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;

use super::limit::Limit;
use super::{Stop, launcher, proc, step};
use crate::harness::{Daemon, Role};
use crate::report::Report;

/// Clients that are measured: what one address may have of links at a process is a few more
/// (`guests.rs`).
const CLIENTS: usize = 240;
/// For so long they search.
const SEARCHES: Duration = Duration::from_secs(10);

const MEMORY: Limit = Limit::at_most("super_peer.mb_per_1000_clients", 16.0);
/// There is no limit to reach; that it was measured is checked.
const LOOKUPS: Limit = Limit::at_least("super_peer.lookups_per_s", 1.0);
/// What is checked, in its order.
pub(super) const LIMITS: [Limit; 2] = [MEMORY, LOOKUPS];

/// Measures it.
pub(super) fn run<W: Write>(out: &Path, report: &mut Report<W>) -> Result<(), Stop> {
    let launch = launcher(out, "load-data")?;
    let authority = launch("authority", Role::Authority).args(["--name", "load"]);
    let authority = Daemon::spawn(&authority.args(["--joins", "1000"]), out)?;
    let (uri, token) = (authority.told("authority")?, authority.told("enrolToken")?);
    let super_peer = launch("super-peer", Role::SuperPeer);
    let super_peer = super_peer.args(["--authority", uri, "--enrol", token]);
    let super_peer = Daemon::spawn(&super_peer.args(["--questions", "1000000"]), out)?;
    let memory = || proc::rss_anon_kib(super_peer.pid()).map_err(Stop::failed);
    let before = memory()?;
    let mut people = step(report, "load.people", || People::gather(super_peer.told("invite")?))?;
    let after = memory()?;
    let megabytes = (after.saturating_sub(before)) as f64 * 1_024.0 / 1e6;
    let for_thousand = megabytes * 1_000.0 / CLIENTS as f64;
    let clients = CLIENTS.to_string();
    report.figure(MEMORY.name(), for_thousand, "MB", &[("clients", &clients)]);
    let lookups = || -> Result<(u64, u64), Stop> {
        let status = super_peer.rpc("super_peer.status", json!({}))?;
        let lookups = status["lookups"].as_u64().ok_or_else(|| Stop::failed("no `lookups`"))?;
        Ok((lookups, proc::cpu_ms(super_peer.pid())))
    };
    let begun = lookups()?;
    step(report, "load.searches", || people.search(SEARCHES))?;
    let ended = lookups()?;
    let (answered, ms) = (ended.0 - begun.0, ended.1 - begun.1);
    let per_s = answered as f64 * 1_000.0 / ms.max(1) as f64;
    report.figure(LOOKUPS.name(), per_s, "lookups_per_s", &[("clients", &clients)]);
    report.fact("super_peer.lookups", &format!("{answered} in {ms} ms of processor time"));
    MEMORY.check(report, Some(for_thousand));
    LOOKUPS.check(report, Some(per_s));
    people.leave()?;
    super_peer.stop()?;
    authority.stop()?;
    Ok(())
}

/// The process of [`super::people`].
struct People {
    process: Child,
    says: BufReader<std::process::ChildStdout>,
}

impl People {
    fn gather(invite: &str) -> Result<Self, Stop> {
        let program = std::env::current_exe().map_err(Stop::failed)?;
        let mut process = Command::new(program)
            .args(["people", invite, &CLIENTS.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(Stop::failed)?;
        let says = process.stdout.take().ok_or_else(|| Stop::failed("no standard output"))?;
        let mut people = Self { process, says: BufReader::new(says) };
        people.says("ready")?;
        Ok(people)
    }

    fn search(&mut self, time: Duration) -> Result<(), Stop> {
        let order = format!("search {}\n", time.as_secs());
        let stdin = self.process.stdin.as_mut().ok_or_else(|| Stop::failed("no standard input"))?;
        stdin.write_all(order.as_bytes()).map_err(Stop::failed)?;
        self.says("found ")
    }

    fn says(&mut self, what: &str) -> Result<(), Stop> {
        let mut line = String::new();
        self.says.read_line(&mut line).map_err(Stop::failed)?;
        let is_right = line.starts_with(what);
        is_right.then_some(()).ok_or_else(|| Stop::failed(format!("people said `{line}`")))
    }

    fn leave(mut self) -> Result<(), Stop> {
        drop(self.process.stdin.take());
        let status = self.process.wait().map_err(Stop::failed)?;
        status.success().then_some(()).ok_or_else(|| Stop::failed(format!("people: {status}")))
    }
}

impl Drop for People {
    /// Whatever went wrong, nobody stays behind: without its standard input it ends.
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
