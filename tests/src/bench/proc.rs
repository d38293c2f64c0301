//! What the kernel says of a process: memory of its own, and how often its threads went to sleep.
//!
//! Source: proc(5) (Linux). Reading it wakes nobody in the process.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Result};

/// A thread and how often it gave the processor back by itself since it began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Thread {
    pub(super) name: String,
    pub(super) switches: u64,
}

/// By thread id.
pub(super) type Threads = BTreeMap<u32, Thread>;

/// `RssAnon`: what it holds of memory that is not a file's, in KiB.
pub(super) fn rss_anon_kib(pid: i32) -> Result<u64> {
    number(&std::fs::read_to_string(format!("/proc/{pid}/status"))?, "RssAnon:")
}

/// Its share of all memory that it uses, in KiB.
pub(super) fn pss_kib(pid: i32) -> Result<u64> {
    number(&std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?, "Pss:")
}

/// Its name; empty for one that is gone.
pub(super) fn name(pid: i32) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    value(&status, "Name:").unwrap_or_default().to_owned()
}

/// Time that it had a processor, in ms; nothing for one that is gone.
pub(super) fn cpu_ms(pid: i32) -> u64 {
    /// USER_HZ is 100 on every machine that Linux runs on today.
    const TICK_MS: u64 = 10;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name before may hold anything, so count from its closing bracket: utime is the 12th.
    let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
    let times = after.split_ascii_whitespace().skip(11).take(2);
    times.filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>() * TICK_MS
}

/// It and all that it started, the living ones.
pub(super) fn tree(pid: i32) -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let all = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let parents: BTreeMap<i32, i32> = all
        .filter_map(|pid| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let lives = !value(&status, "State:")?.starts_with('Z');
            lives.then_some((pid, value(&status, "PPid:")?.parse().ok()?))
        })
        .collect();
    let mut tree = vec![pid];
    let mut next = 0;
    while let Some(parent) = tree.get(next).copied() {
        tree.extend(parents.iter().filter(|(_, of)| **of == parent).map(|(child, _)| *child));
        next += 1;
    }
    tree
}

/// All its threads. One that ends meanwhile is left out.
pub(super) fn threads(pid: i32) -> Result<Threads> {
    let mut threads = Threads::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let path = entry?.path();
        let id = path.file_name().and_then(|name| name.to_str()?.parse().ok());
        let Ok(status) = std::fs::read_to_string(path.join("status")) else { continue };
        let switches = number(&status, "voluntary_ctxt_switches:")?;
        let name = value(&status, "Name:").unwrap_or_default().to_owned();
        threads.extend(id.map(|id| (id, Thread { name, switches })));
    }
    Ok(threads)
}

/// Anonymous memory by mapping, the largest first, in KiB: what `RssAnon` is made of.
pub(super) fn mappings(smaps: &str) -> Vec<(String, u64)> {
    let mut sums = BTreeMap::<String, u64>::new();
    let mut mapping = String::new();
    for line in smaps.lines() {
        let mut words = line.split_ascii_whitespace();
        let Some(first) = words.next() else { continue };
        if !first.ends_with(':') {
            mapping = words.nth(4).unwrap_or("[anonymous]").to_owned();
        } else if first == "Anonymous:" {
            let kib = words.next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0);
            *sums.entry(mapping.clone()).or_default() += kib;
        }
    }
    let mut sums: Vec<_> = sums.into_iter().filter(|(_, kib)| *kib > 0).collect();
    sums.sort_by_key(|(_, kib)| std::cmp::Reverse(*kib));
    sums
}

fn value<'a>(status: &'a str, key: &str) -> Option<&'a str> {
    status.lines().find_map(|line| Some(line.strip_prefix(key)?.trim()))
}

fn number(status: &str, key: &str) -> Result<u64> {
    let word = value(status, key).and_then(|value| value.split(' ').next());
    let missing = || Error::new(ErrorKind::InvalidData, format!("/proc tells no {key}"));
    word.and_then(|word| word.parse().ok()).ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMAPS: &str = "\
55d0-55d1 rw-p 00001000 00:1f 42      /usr/bin/peer
Size:    8 kB
Anonymous:    8 kB
55d2-55d3 rw-p 00000000 00:00 0       [heap]
Anonymous:  900 kB
7f00-7f01 rw-p 00000000 00:00 0
Anonymous:   40 kB
7f02-7f03 rw-p 00000000 00:00 0
Anonymous:  100 kB
7f04-7f05 r--p 00000000 00:1f 43      /lib/libc.so
Anonymous:    0 kB
";

    #[test]
    fn anonymous_memory_is_summed_by_mapping() {
        let wanted = [("[heap]", 900), ("[anonymous]", 140), ("/usr/bin/peer", 8)];
        let got = mappings(SMAPS);
        assert!(got.iter().map(|(name, kib)| (name.as_str(), *kib)).eq(wanted), "{got:?}");
    }

    #[test]
    fn our_own_process_has_memory_and_threads_that_sleep() {
        let pid = i32::try_from(std::process::id()).unwrap();
        assert!(rss_anon_kib(pid).unwrap() > 0);
        let (begun, wait) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::Builder::new().name("sleeper".to_owned());
        let sleeper = thread.spawn(move || wait.recv()).unwrap();
        let asleep = || {
            let threads = threads(pid).unwrap();
            threads.values().any(|thread| thread.name == "sleeper" && thread.switches > 0)
        };
        let patience = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while !asleep() {
            assert!(std::time::Instant::now() < patience, "it never went to sleep");
            std::thread::yield_now();
        }
        drop(begun);
        assert!(sleeper.join().unwrap().is_err());
        assert!(rss_anon_kib(-1).is_err());
    }
}
