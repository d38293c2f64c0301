//! Who calls whom, and what the calls came to together.
//!
//! Invariant: nobody is in two calls at once; the oracle judges every pair, and a pair's check
//! holds only if both heard each other by the way that the oracle says.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::SystemTime;

use serde_json::{Value, json};

use super::call::{self, Attempt};
use super::internet::PublicHost;
use super::kind::{KINDS, Side};
use super::options::{Options, Pair};
use super::oracle::{self, Verdict};
use super::people::Person;
use super::sniffer::Sniffer;
use crate::report::{Outcome, Report, decimal};

/// The core dozen: what must hold at every submission. A pair is one line.
#[rustfmt::skip]
pub const CORE: &[&str] = &[
    "public,public",
    "public,port_restricted",
    "port_restricted,public",
    "full_cone,symmetric",
    "symmetric,full_cone",
    "address_restricted,symmetric",
    "symmetric,address_restricted",
    "port_restricted,port_restricted",
    "port_restricted,symmetric",
    "symmetric,symmetric",
    "same_lan,same_lan",
    "carrier,port_restricted",
    "carrier,carrier",
    "carrier_hairpin,carrier_hairpin",
    "dual_stack,dual_stack",
    "carrier_symmetric,public",
    "port_mapped,symmetric",
    "udp_blocked,port_restricted",
    "tcp_443_only,symmetric",
    "full_cone,http_proxy",
    "dual_stack,ipv6_only",
    "ipv6_only,port_restricted",
];

/// Tries of one call. What the second reaches counts as connected, not as the first try.
const TRIES: usize = 2;

/// A pair and its tries.
#[derive(Clone, Debug)]
pub struct Result {
    /// Who.
    pub pair: Pair,
    /// Which repetition, from 0.
    pub round: u32,
    /// What the oracle says.
    pub verdict: Verdict,
    /// The first try, and a second where that failed.
    pub tries: Vec<Attempt>,
}

impl Result {
    fn last(&self) -> &Attempt {
        self.tries.last().expect("a call is tried at least once")
    }

    fn connected(&self) -> bool {
        self.last().connected()
    }

    fn first_try(&self) -> bool {
        self.tries[0].connected()
    }

    fn way(&self) -> Option<&'static str> {
        self.last().way().filter(|_| self.connected())
    }

    /// Direct if and only if it can be, and connected if it can be.
    fn as_the_oracle_says(&self) -> bool {
        match self.verdict {
            Verdict::Direct => self.way() == Some("direct"),
            Verdict::Relay => matches!(self.way(), Some("relay" | "tcp")),
            Verdict::Impossible => !self.connected(),
        }
    }

    fn name(&self) -> String {
        format!("{}.{}", self.pair.0.name, self.pair.1.name)
    }

    fn row(&self) -> Value {
        let tries = self.tries.iter().map(|tried| {
            json!({
                "ringMs": tried.ring_ms, "talkMs": tried.talk_ms, "paths": tried.paths,
                "firstSoundMs": tried.first_sound_ms, "pieces": tried.pieces, "relay": tried.relay,
                "lossPct": tried.loss_pct, "trouble": tried.trouble, "way": tried.way(),
                "connected": tried.connected(),
            })
        });
        json!({
            "caller": self.pair.0.name, "callee": self.pair.1.name, "round": self.round,
            "oracle": self.verdict.word(), "tries": tries.collect::<Vec<_>>(),
        })
    }
}

/// Whose turn it is.
struct Turns {
    waiting: Vec<(u32, Pair)>,
    busy: BTreeSet<String>,
}

/// Has everybody call, some at once, and gives what came of it in the order asked for.
pub fn call_all(
    options: &Options,
    people: &[Person],
    sniffer: &Sniffer,
    out: &Path,
) -> Vec<Result> {
    let rounds = 0..options.repeat;
    let asked: Vec<(u32, Pair)> =
        rounds.flat_map(|round| options.pairs.iter().map(move |pair| (round, *pair))).collect();
    let turns = Turns { waiting: asked.clone(), busy: BTreeSet::new() };
    let (turns, freed) = (Mutex::new(turns), Condvar::new());
    let results = Mutex::new(Vec::with_capacity(asked.len()));
    std::thread::scope(|scope| {
        for _ in 0..options.jobs {
            scope.spawn(|| {
                while let Some((round, pair)) = next(&turns, &freed) {
                    let result = call_one(round, pair, people, sniffer, out);
                    eprintln!("{}", told(&result));
                    results.lock().unwrap_or_else(PoisonError::into_inner).push(result);
                    let mut turns = turns.lock().unwrap_or_else(PoisonError::into_inner);
                    oracle::people(pair.0, pair.1).iter().for_each(|name| {
                        turns.busy.remove(name);
                    });
                    freed.notify_all();
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    let place =
        |result: &Result| asked.iter().position(|asked| *asked == (result.round, result.pair));
    results.sort_by_key(place);
    results
}

/// The next pair of which nobody is in a call.
fn next(turns: &Mutex<Turns>, freed: &Condvar) -> Option<(u32, Pair)> {
    let mut held = turns.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if held.waiting.is_empty() {
            return None;
        }
        let free = held.waiting.iter().position(|(_, (caller, callee))| {
            oracle::people(caller, callee).iter().all(|name| !held.busy.contains(name))
        });
        if let Some(at) = free {
            let (round, pair) = held.waiting.remove(at);
            held.busy.extend(oracle::people(pair.0, pair.1));
            return Some((round, pair));
        }
        held = freed.wait(held).unwrap_or_else(PoisonError::into_inner);
    }
}

fn call_one(round: u32, pair: Pair, people: &[Person], sniffer: &Sniffer, out: &Path) -> Result {
    let find = |name: &str| people.iter().find(|person| person.name == name);
    let [caller, callee] = oracle::people(pair.0, pair.1);
    let verdict = oracle::verdict(pair.0, pair.1);
    let (Some(caller), Some(callee)) = (find(&caller), find(&callee)) else {
        let trouble = Some("nobody lives there".to_owned());
        let tries = vec![Attempt { trouble, ..Attempt::default() }];
        return Result { pair, round, verdict, tries };
    };
    let begun = SystemTime::now();
    let mut result = Result { pair, round, verdict, tries: Vec::new() };
    for _ in 0..TRIES {
        result.tries.push(call::make(caller, callee, verdict == Verdict::Direct));
        let stranded = caller.stranded.is_some() || callee.stranded.is_some();
        if result.connected() || stranded {
            break;
        }
    }
    if !(result.first_try() && result.as_the_oracle_says()) {
        let path = out.join(format!("{}-{}.pcap", pair.0.name, pair.1.name));
        let theirs = |ip| caller.home.is_at(ip) || callee.home.is_at(ip);
        if let Err(error) = sniffer.write(&path, begun, theirs) {
            eprintln!("{}: {error}", path.display());
        }
    }
    result
}

fn told(result: &Result) -> String {
    let last = result.last();
    let paths = last.paths.clone().map(|path| path.unwrap_or_else(|| "none".to_owned()));
    let shown = |ms: Option<f64>| ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.0}"));
    let word = if result.as_the_oracle_says() { "ok" } else { "FAILED" };
    format!(
        "{word:<6} {:<42} {:<10} {:<18} ring {:>5} ms, talk {:>5} ms, sound {:>5} ms{}{}",
        result.name(),
        result.verdict.word(),
        paths.join("↔"),
        shown(last.ring_ms),
        shown(last.talk_ms),
        shown(last.first_sound_ms),
        if result.first_try() { "" } else { ", second try" },
        last.trouble.as_deref().map(|why| format!(": {why}")).unwrap_or_default(),
    )
}

/// Reports the calls: a check for each pair, the figures, and a table for people.
pub fn judge<W: Write>(results: &[Result], out: &Path, report: &mut Report<W>) {
    let rows: String = results.iter().map(|result| format!("{}\n", result.row())).collect();
    if let Err(error) = std::fs::write(out.join("calls.jsonl"), rows) {
        eprintln!("calls.jsonl: {error}");
    }
    for result in results {
        let got = match (result.way(), &result.last().trouble) {
            (Some(way), _) => way.to_owned(),
            (None, Some(trouble)) => format!("none:{trouble}"),
            (None, None) => format!("unheard:{:?}", result.last().pieces),
        };
        let held = Outcome::of(result.as_the_oracle_says());
        report.check(&format!("netlab.call.{}", result.name()), held, result.verdict.word(), &got);
    }
    figures(results, report);
    eprintln!("{}", table(results));
}

/// Reports which share of the relayed calls went by the super-peer that is near.
pub fn judge_relays<W: Write>(results: &[Result], near: &PublicHost, report: &mut Report<W>) {
    let relays = results.iter().filter(|result| result.connected());
    let relays: Vec<&str> = relays.filter_map(|result| result.last().relay.as_deref()).collect();
    let by_near = relays.iter().filter(|relay| near.is_at(relay)).count();
    let got = format!("{by_near} of {}", relays.len());
    let held = Outcome::of(!relays.is_empty() && by_near == relays.len());
    report.check("netlab.relayed_by_nearest", held, "all", &got);
}

fn figures<W: Write>(results: &[Result], report: &mut Report<W>) {
    report.figure("netlab.pairs", results.len() as f64, "pairs", &[]);
    let possible = |result: &&Result| result.verdict != Verdict::Impossible;
    let directly = |result: &&Result| result.verdict == Verdict::Direct;
    share(report, "netlab.connected_pct", results.iter().filter(possible), Result::connected);
    let direct = |result: &Result| result.way() == Some("direct");
    share(report, "netlab.direct_where_possible_pct", results.iter().filter(directly), direct);
    share(report, "netlab.first_try_pct", results.iter().filter(possible), Result::first_try);
    for kind in [None, Some("direct"), Some("relay"), Some("tcp")] {
        let of_kind = |result: &&Result| kind.is_none_or(|kind| result.way() == Some(kind));
        let sounds = results.iter().filter(of_kind).filter(|result| result.connected());
        let sounds: Vec<f64> = sounds.filter_map(|result| result.last().first_sound_ms).collect();
        let with: Vec<(&str, &str)> = kind.map(|kind| ("kind", kind)).into_iter().collect();
        if let Some(late) = percentile(&sounds, 95) {
            report.figure("netlab.first_sound_ms_p95", late, "ms", &with);
        }
    }
}

fn share<'a, W: Write>(
    report: &mut Report<W>,
    name: &str,
    of: impl Iterator<Item = &'a Result>,
    is: impl Fn(&Result) -> bool,
) {
    let all: Vec<bool> = of.map(is).collect();
    if !all.is_empty() {
        let yes = all.iter().filter(|yes| **yes).count();
        report.figure(name, 100.0 * yes as f64 / all.len() as f64, "%", &[]);
    }
}

/// The smallest number that so many percent of all do not exceed (nearest rank).
#[must_use]
pub fn percentile(numbers: &[f64], percent: usize) -> Option<f64> {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

/// Callers down, callees across: the way, and the time from picking up to the first sound.
fn table(results: &[Result]) -> String {
    let used = |side: Side| {
        KINDS.iter().filter(move |kind| {
            results.iter().any(|result| match side {
                Side::A => result.pair.0 == *kind,
                Side::B => result.pair.1 == *kind,
            })
        })
    };
    let mut text = format!("\n{:<20}", "caller \\ callee");
    for callee in used(Side::B) {
        text += &format!("{:>19}", callee.name);
    }
    for caller in used(Side::A) {
        text += &format!("\n{:<20}", caller.name);
        for callee in used(Side::B) {
            let of_pair = results.iter().filter(|result| result.pair == (caller, callee));
            text += &format!("{:>19}", cell(&of_pair.collect::<Vec<_>>()));
        }
    }
    text + "\n(! otherwise than the oracle says)\n"
}

fn cell(results: &[&Result]) -> String {
    let Some(last) = results.last() else { return String::new() };
    let wrong = results.iter().filter(|result| !result.as_the_oracle_says()).count();
    let mark = if wrong == 0 { "" } else { "!" };
    let way = last.way().unwrap_or("none");
    let sounds: Vec<f64> = results.iter().filter_map(|r| r.last().first_sound_ms).collect();
    let late = percentile(&sounds, 95).filter(|_| last.connected());
    let late = late.map(|ms| format!(" {}", decimal(ms.round()))).unwrap_or_default();
    format!("{mark}{way}{late}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(ways: [&str; 2], verdict: Verdict) -> Result {
        let attempt = Attempt {
            paths: ways.map(|way| Some(way.to_owned())),
            pieces: [8, 8],
            first_sound_ms: Some(50.0),
            ..Attempt::default()
        };
        Result { pair: (&KINDS[0], &KINDS[1]), round: 0, verdict, tries: vec![attempt] }
    }

    #[test]
    fn direct_is_right_if_and_only_if_it_can_be() {
        assert!(result(["host", "srflx"], Verdict::Direct).as_the_oracle_says());
        assert!(!result(["relayUdp", "relayUdp"], Verdict::Direct).as_the_oracle_says());
        assert!(result(["relayTcp", "relayUdp"], Verdict::Relay).as_the_oracle_says());
        assert!(!result(["host", "srflx"], Verdict::Relay).as_the_oracle_says());
        assert!(!result(["host", "srflx"], Verdict::Impossible).as_the_oracle_says());
        let mut unheard = result(["host", "srflx"], Verdict::Direct);
        unheard.tries[0].pieces = [8, 0];
        assert!(!unheard.as_the_oracle_says());
    }

    #[test]
    fn a_second_try_connects_and_is_no_first_try() {
        let mut twice = result(["host", "srflx"], Verdict::Direct);
        let failed = Attempt { trouble: Some("noPath".to_owned()), ..Attempt::default() };
        twice.tries.insert(0, failed);
        assert!(twice.connected() && !twice.first_try());
        let mut report = Report::new(Vec::new());
        figures(&[twice, result(["host", "host"], Verdict::Direct)], &mut report);
        assert_eq!(report.failed(), Vec::<String>::new());
    }

    #[test]
    fn the_percentile_is_a_number_that_was_measured() {
        let numbers: Vec<f64> = (1..=20).map(f64::from).collect();
        assert_eq!(percentile(&numbers, 95), Some(19.0));
        assert_eq!(percentile(&[3.0], 95), Some(3.0));
        assert_eq!(percentile(&[], 95), None);
    }
}
