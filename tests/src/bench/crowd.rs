//! `bench crowd`: 24 super-peers and 200 peers as real processes, as a ring and as one table, and
//! what is left of them when a third of the super-peers is killed. Issue 4.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use super::limit::Limit;
use super::{Stop, launcher, start_super_peers, step};
use crate::harness::{Daemon, Launch, Role};
use crate::report::Report;

const SUPER_PEERS: usize = 24;
const PEOPLE: usize = 200;
/// Processes that start and register side by side: stretching a password takes a core.
const ABREAST: usize = 4;
/// Within this time every search succeeds again, and everybody has a home.
const HEALED: Duration = Duration::from_secs(60);
/// Registrations are refreshed within this time. DESIGN 2.5: every 12 minutes.
const REFRESHED: Duration = Duration::from_secs(13 * 60);
/// For whatever takes a few messages.
const SOON: Duration = Duration::from_secs(60);
const PASSWORD: &str = "a password for benches only";
/// Ring thresholds: all know all, and a ring.
const THRESHOLDS: [(&str, &str); 2] = [("ring", "8"), ("full", "2048")];

/// What is checked, in its order.
pub(super) const LIMITS: [Limit; 6] = [
    Limit::at_least("crowd.found_pct.ring", 100.0),
    Limit::at_least("crowd.found_again_pct.ring", 100.0),
    Limit::at_least("crowd.found_refreshed_pct.ring", 100.0),
    Limit::at_least("crowd.found_pct.full", 100.0),
    Limit::at_least("crowd.found_again_pct.full", 100.0),
    Limit::at_least("crowd.found_refreshed_pct.full", 100.0),
];

/// Runs both networks.
pub(super) fn run<W: Write>(out: &Path, report: &mut Report<W>) -> Result<(), Stop> {
    for (mode, threshold) in THRESHOLDS {
        let got = network(out, report, mode, threshold)?;
        for (limit, got) in LIMITS.iter().filter(|limit| limit.name().ends_with(mode)).zip(got) {
            report.figure(limit.name(), got, "pct", &[("people", &PEOPLE.to_string())]);
            limit.check(report, Some(got));
        }
    }
    Ok(())
}

type People = Vec<(String, Daemon)>;

/// How many of a hundred searches found somebody: at first, a minute after a third of the
/// super-peers died, and after one refresh.
fn network<W: Write>(
    out: &Path,
    report: &mut Report<W>,
    mode: &str,
    threshold: &str,
) -> Result<[f64; 3], Stop> {
    let data = format!("crowd-{mode}");
    let launch = launcher(out, &data)?;
    let authority = launch("authority", Role::Authority).args(["--name", "crowd"]);
    let authority = authority.args(["--ring-threshold", threshold, "--enrol-uses", "100"]);
    let authority = authority.args(["--exempt-super-peers", "100", "--joins", "1000"]);
    let authority = Daemon::spawn(&authority, out)?;
    let name = |what: &str| format!("crowd.{mode}.{what}");
    let mut super_peers = step(report, &name("super_peers"), || {
        start_super_peers(SUPER_PEERS, &authority, &launch, out)
    })?;
    let people = step(report, &name("people"), || {
        let launches: Vec<(String, Launch)> = (0..PEOPLE)
            .map(|number| {
                let door = super_peers[number % SUPER_PEERS].told("invite")?;
                let name = format!("person{number}");
                let launch = launch(&name, Role::Peer).args(["--invite", door]);
                Ok((name, launch))
            })
            .collect::<Result<_, Stop>>()?;
        abreast(&launches, |(name, launch)| come(name, launch, out))
    })?;
    let first = step(report, &name("searches"), || all_find_all(&people))?;
    let dead = super_peers.split_off(SUPER_PEERS - SUPER_PEERS / 3);
    dead.iter().for_each(Daemon::kill);
    let killed = Instant::now();
    step(report, &name("homes"), || {
        people.iter().try_for_each(|(name, peer)| has_a_home(name, peer, killed + HEALED))
    })?;
    until(killed + HEALED, &people)?;
    let again = step(report, &name("searches_again"), || all_find_all(&people))?;
    until(killed + REFRESHED, &people)?;
    let refreshed = step(report, &name("searches_refreshed"), || all_find_all(&people))?;
    let daemons = people.into_iter().map(|(_, peer)| peer).chain(super_peers).chain([authority]);
    for daemon in daemons {
        daemon.stop()?;
    }
    Ok([first, again, refreshed])
}

/// Does so many things, a few side by side, and gives what came of them in their order.
fn abreast<T: Sync, U: Send>(
    things: &[T],
    how: impl Fn(&T) -> Result<U, Stop> + Sync,
) -> Result<Vec<U>, Stop> {
    let share = things.len().div_ceil(ABREAST).max(1);
    std::thread::scope(|scope| {
        let how = &how;
        let parts: Vec<_> = things
            .chunks(share)
            .map(|part| scope.spawn(move || part.iter().map(how).collect::<Result<Vec<U>, Stop>>()))
            .collect();
        let mut all = Vec::with_capacity(things.len());
        for part in parts {
            all.extend(part.join().map_err(|_| Stop::failed("a thread broke"))??);
        }
        Ok(all)
    })
}

fn come(name: &str, launch: &Launch, out: &Path) -> Result<(String, Daemon), Stop> {
    let peer = Daemon::spawn(launch, out)?;
    peer.rpc("register", json!({ "user": name, "password": PASSWORD }))?;
    has_a_home(name, &peer, Instant::now() + SOON)?;
    Ok((name.to_owned(), peer))
}

fn has_a_home(name: &str, peer: &Daemon, end: Instant) -> Result<(), Stop> {
    loop {
        let mark = peer.mark();
        let status = peer.rpc("network.status", json!({}))?;
        if status["home"].is_object() {
            return Ok(());
        }
        let left = end.saturating_duration_since(Instant::now());
        peer.wait_event(mark, left, "home", |event| event["type"] == "networkChanged")
            .map_err(|_| Stop::failed(format!("{name} has no home: {status}")))?;
    }
}

/// Waits until a moment; nobody may end meanwhile.
fn until(moment: Instant, people: &People) -> Result<(), Stop> {
    let (_, first) = &people[0];
    let left = moment.saturating_duration_since(Instant::now());
    match first.wait_exit(left) {
        Err(crate::harness::Trouble::Missing { .. }) => Ok(()),
        Ok(status) => Err(Stop::failed(format!("a peer ended: {status}"))),
        Err(other) => Err(other.into()),
    }
}

/// Everybody searches everybody once; of a hundred searches, how many found the one they were for.
fn all_find_all(people: &People) -> Result<f64, Stop> {
    let found = abreast(people, |(seeker, peer)| {
        let mut found = 0;
        for (name, _) in people.iter().filter(|(name, _)| name != seeker) {
            let from = peer.mark();
            let search = peer.rpc("search", json!({ "user": name }))?;
            let id = &search["searchId"];
            let ended = peer.wait_event(from, SOON, "searchEnded", |event| {
                event["type"] == "searchEnded" && event["searchId"] == *id
            })?;
            found += usize::from(ended.value["found"] == true);
        }
        Ok(found)
    })?;
    let all = people.len() * (people.len() - 1);
    Ok(100.0 * found.iter().sum::<usize>() as f64 / all as f64)
}
