//! `bench lookup`: real super-peers on a ring, and how soon people at home there find each other.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use serde_json::json;

use super::limit::Limit;
use super::{Stop, launcher, start_super_peers, step};
use crate::harness::{Daemon, Mark, Role};
use crate::report::Report;

/// Super-peers, with a threshold below, so that they form a ring.
const SUPER_PEERS: usize = 32;
const THRESHOLD: &str = "8";
/// People who look for each other.
const PEOPLE: usize = 8;
/// How often everybody looks for everybody. The first time, sessions are made, and it is not
/// counted.
const ROUNDS: usize = 12;
/// For whatever takes a few messages.
const SOON: Duration = Duration::from_secs(20);
const PASSWORD: &str = "a password for benches only";

const MEDIAN: Limit = Limit::at_most("lookup.local_ms.p50", 1.0);
const SLOW: Limit = Limit::at_most("lookup.local_ms.p95", 4.0);
/// What is checked, in its order.
pub(super) const LIMITS: [Limit; 2] = [MEDIAN, SLOW];

/// Measures it.
pub(super) fn run<W: Write>(out: &Path, report: &mut Report<W>) -> Result<(), Stop> {
    let launch = launcher(out, "lookup-data")?;
    let authority = launch("authority", Role::Authority).args(["--name", "bench"]);
    let authority = authority.args(["--ring-threshold", THRESHOLD, "--enrol-uses", "100"]);
    let authority = authority.args(["--exempt-super-peers", "100"]);
    let authority = Daemon::spawn(&authority, out)?;
    let super_peers =
        step(report, "lookup.start", || start_super_peers(SUPER_PEERS, &authority, &launch, out))?;
    step(report, "lookup.ring", || on_a_ring(&super_peers))?;
    let people = step(report, "lookup.people", || {
        let come = |number: usize| {
            let door = super_peers[number * SUPER_PEERS / PEOPLE].told("invite")?;
            let name = format!("person{number}");
            let peer = Daemon::spawn(&launch(&name, Role::Peer).args(["--invite", door]), out)?;
            peer.rpc("register", json!({ "user": name, "password": PASSWORD }))?;
            peer.wait_event(Mark::default(), SOON, "home", |event| {
                event["type"] == "networkChanged" && event["home"].is_object()
            })?;
            Ok((name, peer))
        };
        (0..PEOPLE).map(come).collect::<Result<Vec<_>, Stop>>()
    })?;
    let mut took = Vec::new();
    step(report, "lookup.searches", || {
        for round in 0..ROUNDS {
            for (seeker, peer) in &people {
                for (name, _) in people.iter().filter(|(name, _)| name != seeker) {
                    let ms = found_after(peer, name)?;
                    if round > 0 {
                        took.push(ms);
                    }
                }
            }
        }
        Ok(())
    })?;
    took.sort_by(f64::total_cmp);
    let at = |share: f64| took.get((took.len() as f64 * share) as usize).copied();
    for (limit, share) in [(MEDIAN, 0.5), (SLOW, 0.95)] {
        let ms = at(share);
        let with = [("super_peers", "32"), ("searches", &*took.len().to_string())];
        ms.iter().for_each(|ms| report.figure(limit.name(), *ms, "ms", &with));
        limit.check(report, ms);
    }
    let daemons = people.into_iter().map(|(_, peer)| peer).chain(super_peers).chain([authority]);
    for daemon in daemons {
        daemon.stop()?;
    }
    Ok(())
}

/// Waits until every super-peer has a full list of successors on a ring.
fn on_a_ring(super_peers: &[Daemon]) -> Result<(), Stop> {
    let end = std::time::Instant::now() + SOON;
    for daemon in super_peers {
        loop {
            let status = daemon.rpc("super_peer.status", json!({}))?;
            let place = &status["place"];
            let list = place["successors"].as_array().map_or(0, Vec::len);
            if place["mode"] == "ring" && list > 0 {
                break;
            }
            if std::time::Instant::now() > end {
                return Err(Stop::failed(format!("there is no ring: {status}")));
            }
        }
    }
    Ok(())
}

/// Milliseconds until somebody is found, as the peer says.
fn found_after(peer: &Daemon, name: &str) -> Result<f64, Stop> {
    let from = peer.mark();
    peer.rpc("search", json!({ "user": name }))?;
    let result = peer.wait_event(from, SOON, "searchResult", |event| {
        event["type"] == "searchResult" && event["user"] == name
    })?;
    result.value["ms"].as_f64().ok_or_else(|| Stop::failed("a search result without `ms`"))
}
