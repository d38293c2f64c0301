//! `bench ring`: the product's rings in the laboratory, at the sizes and in the weather that their
//! limits name.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use super::limit::Limit;
use super::{Stop, step};
use crate::lab::rivals::overlay::flooding;
use crate::lab::trial::{Measured, Trial, run as try_out};
use crate::report::Report;

/// One round trip, in milliseconds.
const ROUND_TRIP: f64 = 80.0;
const HOUR: Duration = Duration::from_secs(3600);
/// Super-peers where lives and liars are tried: above the threshold, so that it is a Chord ring.
const RING: u32 = 3_000;
/// Super-peers of which three in ten die at once; a Chord ring before and after.
const DEATHS: u32 = 5_000;
/// Users who flood each other.
const FLOODERS: usize = 20_000;
/// Share of the records whose four keepers are all among three in ten.
const LOST_PCT: f64 = 0.81;

/// Super-peers that all know each other, where short lives are tried too.
const MEMBERS: u32 = 400;

pub(super) const LIMITS: [Limit; 17] = [
    Limit::at_most("ring.hops.n100000", 4.2),
    Limit::at_most("ring.maintenance.n100000", 600.0),
    Limit::at_most("ring.lookup_p50.n1000", 1.2 * ROUND_TRIP),
    Limit::at_most("ring.lookup_p99.n1000", 3.0 * ROUND_TRIP),
    Limit::at_most("ring.lookup_p50.n10000", 4.2 * ROUND_TRIP),
    Limit::at_least("ring.success.session_1h", 99.9),
    Limit::at_least("ring.success.session_5h30", 99.9),
    Limit::at_least("ring.success.session_1m24", 99.0),
    Limit::at_least("ring.success.session_1m24_full", 99.0),
    Limit::at_least("ring.success.liars_10", 99.0),
    Limit::at_least("ring.success.liars_20", 99.0),
    Limit::at_least("ring.success.liars_30", 90.0),
    Limit::at_least("ring.success.liars_50", 90.0),
    Limit::at_most("ring.messages_max", 100.0),
    Limit::at_most("ring.repair_s", 20.0),
    Limit::at_most("ring.lost_pct", 1.2 * LOST_PCT),
    Limit::at_most("search.messages_vs_flooding", 0.01),
];

/// Runs it.
pub(super) fn run<W: Write>(report: &mut Report<W>) -> Result<(), Stop> {
    let mut got = BTreeMap::new();
    sizes(report, &mut got)?;
    lives(report, &mut got)?;
    liars(report, &mut got)?;
    deaths(report, &mut got)?;
    flood(report, &mut got)?;
    for limit in &LIMITS {
        limit.check(report, got.get(limit.name()).copied());
    }
    Ok(())
}

type Got = BTreeMap<String, f64>;

fn sizes<W: Write>(report: &mut Report<W>, got: &mut Got) -> Result<(), Stop> {
    for (nodes, warm_up, minutes, searches) in
        [(1_000, 2, 5, 10_000), (10_000, 3, 5, 10_000), (100_000, 1, 4, 20_000)]
    {
        let trial = Trial { warm_up, minutes, searches, session: Some(HOUR), ..Trial::of(nodes) };
        let mut measured = tried(report, &format!("ring.n{nodes}"), &trial, got)?;
        let n = nodes.to_string();
        let with = [("n", n.as_str())];
        let per_node = |bytes: u64| bytes as f64 / f64::from(nodes) / (60 * trial.minutes) as f64;
        let p50 = measured.took_at(0.5);
        let p99 = measured.took_at(0.99);
        let messages = measured.search.messages as f64 / measured.searches.max(1) as f64;
        report.figure("ring.hops.mean", measured.mean_hops(), "hops", &with);
        report.figure("ring.hops.p99", measured.hops_at(0.99), "hops", &with);
        report.figure("ring.lookup_ms.p50", p50, "ms", &with);
        report.figure("ring.lookup_ms.p99", p99, "ms", &with);
        report.figure("ring.lookup.messages", messages, "datagrams", &with);
        let upkeep = measured.upkeep_per_node;
        report.figure("ring.maintenance_bytes_per_s", upkeep, "bytes_per_s", &with);
        let records = per_node(measured.records.bytes);
        report.figure("ring.records_bytes_per_s", records, "bytes_per_s", &with);
        let repair = per_node(measured.repair.bytes);
        report.figure("ring.replicas_bytes_per_s", repair, "bytes_per_s", &with);
        got.insert(format!("ring.hops.n{n}"), measured.mean_hops());
        got.insert(format!("ring.maintenance.n{n}"), upkeep);
        got.insert(format!("ring.lookup_p50.n{n}"), p50);
        got.insert(format!("ring.lookup_p99.n{n}"), p99);
        if nodes == 10_000 {
            report.figure("ring.success_pct", measured.success_pct, "pct", &[("session", "1h")]);
            got.insert("ring.success.session_1h".to_owned(), measured.success_pct);
            got.insert("messages".to_owned(), messages);
        }
    }
    Ok(())
}

fn lives<W: Write>(report: &mut Report<W>, got: &mut Got) -> Result<(), Stop> {
    for (nodes, name, key, seconds) in [
        (RING, "5.5h", "5h30", 19_800),
        (RING, "1.4min", "1m24", 84),
        (MEMBERS, "1.4min", "1m24_full", 84),
    ] {
        let session = Some(Duration::from_secs(seconds));
        let trial = Trial { warm_up: 5, minutes: 5, session, ..Trial::of(nodes) };
        let measured = tried(report, &format!("ring.session_{key}"), &trial, got)?;
        let with = [("n", &*nodes.to_string()), ("session", name)];
        report.figure("ring.success_pct", measured.success_pct, "pct", &with);
        got.insert(format!("ring.success.session_{key}"), measured.success_pct);
    }
    Ok(())
}

fn liars<W: Write>(report: &mut Report<W>, got: &mut Got) -> Result<(), Stop> {
    for percent in [10, 20, 30, 50] {
        let liars = f64::from(percent) / 100.0;
        let trial = Trial { liars, minutes: 5, ..Trial::of(RING) };
        let measured = tried(report, &format!("ring.liars_{percent}"), &trial, got)?;
        let percent = percent.to_string();
        report.figure("ring.success_pct", measured.success_pct, "pct", &[("liars", &percent)]);
        got.insert(format!("ring.success.liars_{percent}"), measured.success_pct);
    }
    Ok(())
}

fn deaths<W: Write>(report: &mut Report<W>, got: &mut Got) -> Result<(), Stop> {
    let trial = Trial { fail: 0.3, minutes: 2, users: 100_000, ..Trial::of(DEATHS) };
    let measured = tried(report, "ring.deaths", &trial, got)?;
    if let Some(seconds) = measured.repair_s {
        report.figure("ring.repair_s", seconds, "s", &[("fail", "30")]);
        got.insert("ring.repair_s".to_owned(), seconds);
    }
    let lost = 100.0 * measured.before.lost as f64 / trial.users as f64;
    report.figure("ring.lost_pct", lost, "pct", &[("fail", "30")]);
    got.insert("ring.lost_pct".to_owned(), lost);
    Ok(())
}

/// Against users who flood each other: as many machines as the larger of our rings has users.
fn flood<W: Write>(report: &mut Report<W>, got: &mut Got) -> Result<(), Stop> {
    let flood = step(report, "ring.flooding", || Ok(flooding(FLOODERS, 0.0, 200, 1)))?;
    let users = FLOODERS.to_string();
    let with = [("users", users.as_str())];
    report.figure("flooding.messages", flood.messages, "messages", &with);
    report.figure("flooding.success_pct", flood.success_pct, "pct", &with);
    if let Some(ours) = got.get("messages") {
        let ratio = ours / flood.messages;
        report.figure("search.messages_vs_flooding", ratio, "ratio", &with);
        got.insert("search.messages_vs_flooding".to_owned(), ratio);
    }
    Ok(())
}

/// Runs one, and keeps the most questions that any look-up put.
fn tried<W: Write>(
    report: &mut Report<W>,
    name: &str,
    trial: &Trial,
    got: &mut Got,
) -> Result<Measured, Stop> {
    let measured = step(report, name, || Ok(try_out(trial)))?;
    let most = measured.questions.iter().copied().fold(0.0, f64::max);
    let before = got.entry("ring.messages_max".to_owned()).or_insert(0.0);
    *before = before.max(most);
    Ok(measured)
}
