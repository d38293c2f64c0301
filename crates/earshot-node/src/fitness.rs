//! How fit this machine is to serve others: what the system says of processor and power, and what
//! is assumed where it says nothing. DESIGN 2.12.
//!
//! Source: Linux, `proc(5)` and `Documentation/ABI/testing/sysfs-class-power`. What is not known is
//! taken at a value that is named here, and told as assumed. The upstream is between what was seen
//! ([`upstream`](crate::upstream)) and what the owner allows.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use earshot_proto::super_peer::election::Power;
pub use earshot_proto::super_peer::election::Tariff;

/// Upstream of a line that nobody measured. Our choice: what a slow line at home has, ten relayed
/// calls; a tenth of what counts fully.
pub const UPSTREAM_ASSUMED_BPS: u64 = 1_000_000;
/// Idle part of a processor of which the system tells nothing.
pub const IDLE_ASSUMED_PERCENT: u8 = 50;

/// What was measured, or assumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// How long it has been on line without a break: since the process started.
    pub up: Duration,
    /// What it sends at most, in bits per second.
    pub upstream_bps: u64,
    /// Where that is from.
    pub upstream_from: UpstreamFrom,
    /// How much of its processor was idle since the last time, in percent.
    pub idle_percent: u8,
    /// Whether that was measured.
    pub idle_known: bool,
    /// What it draws its power from.
    pub power: Power,
    /// What its connection costs.
    pub tariff: Tariff,
    /// Whether the system told what the connection costs.
    pub tariff_known: bool,
}

/// Where it is known from what a machine sends at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamFrom {
    /// Nowhere: [`UPSTREAM_ASSUMED_BPS`].
    Assumed,
    /// It was seen to send so much, and may do more.
    Seen,
    /// Its owner lets it carry no more.
    Capped,
}

/// What others know of this machine than the system's files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// What it was seen to send, in bits per second.
    pub seen_bps: Option<u64>,
    /// What its owner lets it carry, in bits per second.
    pub cap_bps: Option<u64>,
    /// What its connection costs.
    pub tariff: Option<Tariff>,
}

/// Asks what the connection costs; may take a moment.
#[derive(Clone)]
pub struct AskTariff(pub Arc<dyn Fn() -> Option<Tariff> + Send + Sync>);

impl std::fmt::Debug for AskTariff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AskTariff")
    }
}

/// Measures this machine.
#[derive(Debug)]
pub struct Scales {
    started: Instant,
    /// Idle and all time of the processor when it was last looked at.
    before: Option<(u64, u64)>,
}

impl Scales {
    /// Scales of a process that starts now.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { started: now, before: processor_time() }
    }

    /// Measures.
    pub fn measure(&mut self, now: Instant, told: &Told) -> Measured {
        let after = processor_time();
        let idle = self.before.zip(after).and_then(|(before, after)| idle_percent(before, after));
        self.before = after.or(self.before);
        let (upstream_bps, upstream_from) = upstream(told.seen_bps, told.cap_bps);
        Measured {
            up: now.saturating_duration_since(self.started),
            upstream_bps,
            upstream_from,
            idle_percent: idle.unwrap_or(IDLE_ASSUMED_PERCENT),
            idle_known: idle.is_some(),
            power: power_of(Path::new("/sys/class/power_supply")),
            tariff: told.tariff.unwrap_or(Tariff::Flat),
            tariff_known: told.tariff.is_some(),
        }
    }
}

/// What was seen is a lower bound, what the owner allows an upper one; between them lies what is
/// assumed.
fn upstream(seen: Option<u64>, cap: Option<u64>) -> (u64, UpstreamFrom) {
    let (bps, from) = match seen.filter(|seen| *seen > UPSTREAM_ASSUMED_BPS) {
        Some(seen) => (seen, UpstreamFrom::Seen),
        None => (UPSTREAM_ASSUMED_BPS, UpstreamFrom::Assumed),
    };
    match cap.filter(|cap| *cap < bps) {
        Some(cap) => (cap, UpstreamFrom::Capped),
        None => (bps, from),
    }
}

/// Idle and all time since the start, in ticks. `/proc/stat`, first line: user, nice, system, idle,
/// iowait, irq, softirq, steal.
fn processor_time() -> Option<(u64, u64)> {
    read_processor_time(&std::fs::read_to_string("/proc/stat").ok()?)
}

fn read_processor_time(text: &str) -> Option<(u64, u64)> {
    let line = text.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<u64> = line.split_whitespace().take(8).map_while(|t| t.parse().ok()).collect();
    let [_, _, _, idle, waiting, ..] = ticks.as_slice() else { return None };
    Some((idle + waiting, ticks.iter().sum()))
}

/// Between two looks; none when no time has passed.
fn idle_percent(before: (u64, u64), after: (u64, u64)) -> Option<u8> {
    let (idle, all) = (after.0.checked_sub(before.0)?, after.1.checked_sub(before.1)?);
    (all > 0).then(|| (idle * 100 / all).min(100) as u8)
}

/// On battery is a machine of whose batteries one is being emptied. Those of mice and keyboards
/// (`scope` is `Device`) do not count.
fn power_of(supplies: &Path) -> Power {
    let read = |supply: &Path, what: &str| {
        let text = std::fs::read_to_string(supply.join(what)).unwrap_or_default();
        text.trim().to_owned()
    };
    let is_drained = |supply: &Path| {
        read(supply, "type") == "Battery"
            && read(supply, "scope") != "Device"
            && read(supply, "status") == "Discharging"
    };
    let mut supplies = std::fs::read_dir(supplies).into_iter().flatten().flatten();
    if supplies.any(|supply| is_drained(&supply.path())) { Power::Battery } else { Power::Mains }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_idle_part_is_that_between_two_looks() {
        let before = read_processor_time("cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 1 2 3");
        assert_eq!(before, Some((850, 1000)));
        let after = read_processor_time("cpu  150 0 50 940 60 0 0 0 7 7").expect("a line");
        assert_eq!(idle_percent((850, 1000), after), Some(75));
        assert_eq!(idle_percent((850, 1000), (850, 1000)), None);
        assert_eq!(read_processor_time("intr 1"), None);
        assert_eq!(read_processor_time("cpu  1 2 3"), None);
    }

    #[test]
    fn the_upstream_is_at_least_what_was_seen_and_at_most_what_the_owner_allows() {
        let assumed = (UPSTREAM_ASSUMED_BPS, UpstreamFrom::Assumed);
        assert_eq!(upstream(None, None), assumed);
        assert_eq!(upstream(Some(300_000), Some(8_000_000)), assumed, "an idle line tells nothing");
        assert_eq!(upstream(Some(6_000_000), None), (6_000_000, UpstreamFrom::Seen));
        assert_eq!(upstream(Some(6_000_000), Some(4_000_000)), (4_000_000, UpstreamFrom::Capped));
        assert_eq!(upstream(None, Some(256_000)), (256_000, UpstreamFrom::Capped));
    }

    #[test]
    fn only_a_battery_of_the_machine_that_is_being_emptied_counts() {
        let name = format!("earshot-power-{}", std::process::id());
        let root = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&root);
        let supply = |name: &str, facts: &[(&str, &str)]| {
            let directory = root.join(name);
            std::fs::create_dir_all(&directory).expect("writable");
            for (fact, value) in facts {
                std::fs::write(directory.join(fact), format!("{value}\n")).expect("writable");
            }
        };
        assert_eq!(power_of(&root), Power::Mains, "a computer without any");
        supply("AC", &[("type", "Mains"), ("online", "1")]);
        supply("mouse", &[("type", "Battery"), ("scope", "Device"), ("status", "Discharging")]);
        supply("BAT0", &[("type", "Battery"), ("status", "Charging")]);
        assert_eq!(power_of(&root), Power::Mains);
        supply("BAT0", &[("status", "Discharging")]);
        assert_eq!(power_of(&root), Power::Battery);
        std::fs::remove_dir_all(&root).expect("it was there");
    }
}
