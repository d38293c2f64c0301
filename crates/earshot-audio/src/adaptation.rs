//! How the voice is protected against the loss that the other side reports.
//!
//! Measured with libopus 1.6 on recorded speech (PESQ-WB): of single losses the coarse copy of the
//! last frame repairs most (20 %, 32 kb/s: 3.28, deep redundancy 2.89); of bursts it repairs one
//! frame each, and deep redundancy nearly all (20 % in bursts of 100 ms, 40 kb/s: 3.17, against
//! 2.11 with copies at 32); of heavy single losses both together repair most, if there is room for
//! them (20 %, 48 kb/s: 3.68). Below 24 kb/s there are no copies at all.
//!
//! Invariant: no clock and no chance: the same reports give the same answers. Protection rises with
//! the first report that asks for it, and falls only after [`CALM`] quiet ones; each threshold is
//! lower for leaving than for entering.

use std::collections::VecDeque;

use crate::codec::Redundancy;
use crate::reception::Reception;

/// Packets that a judgement needs: half a second of voice. Reports on fewer are joined.
const PACKETS_MIN: u32 = 25;
/// What is remembered, in judgements: at one report a second ten seconds.
const MEMORY: usize = 10;
/// The last of them, which show that loss begins.
const RECENT: usize = 3;
/// Judgements in a row that must ask for less: at one report a second a quarter of a minute.
const CALM: u32 = 15;
/// Runs of loss that it takes to tell bursts from chance.
const RUNS_MIN: u32 = 3;
/// Steps in which the encoder is told of the loss, percent.
const LOSS_STEP_PCT: u8 = 5;
/// The most that it is told; beyond, libopus would leave hardly a bit for the voice itself.
const LOSS_MAX_PCT: u8 = 40;
/// Where deep redundancy repairs bursts nearly as well as it ever does; below 32 there is too
/// little room for it.
const DEEP_BPS: u32 = 40_000;
/// Where copies and deep redundancy both find room.
const BOTH_BPS: u32 = 48_000;
/// Where libopus sends copies at all.
const INBAND_BPS: u32 = 24_000;

/// What the encoder is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protection {
    /// What packets repeat.
    pub redundancy: Redundancy,
    /// Target of the bit rate, bits per second.
    pub bitrate_bps: u32,
}

/// Kinds of protection, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Off,
    Inband,
    Both,
    Deep,
}

/// A level and the loss that it is against, in steps.
type Aim = (Level, u8);

/// What two reports tell of the time between them.
#[derive(Clone, Copy, Debug, Default)]
struct Stretch {
    sent: u32,
    lost: i32,
    runs: i32,
}

impl Stretch {
    fn and(self, other: Self) -> Self {
        let Self { sent, lost, runs } = other;
        Self {
            sent: self.sent.saturating_add(sent),
            lost: self.lost.saturating_add(lost),
            runs: self.runs.saturating_add(runs),
        }
    }

    fn loss_pct(self) -> f32 {
        let lost = self.lost.max(0) as f32;
        (lost * 100.0 / self.sent.max(1) as f32).min(100.0)
    }

    /// As much of it as one standard deviation of chance does not explain (runs come as Poisson's
    /// events do): of few runs a few lost packets mean little.
    fn least_loss_pct(self) -> f32 {
        let runs = self.runs.max(1) as f32;
        self.loss_pct() * (1.0 - 1.0 / runs.sqrt())
    }

    /// How many times longer the runs are than those of losses by pure chance, whose mean is
    /// 1 / (1 − loss). `None` when there were too few to tell.
    fn burstiness(self) -> Option<f32> {
        let runs = u32::try_from(self.runs).ok().filter(|runs| *runs >= RUNS_MIN)?;
        let mean = self.lost.max(0) as f32 / runs as f32;
        Some(mean * (1.0 - self.loss_pct() / 100.0))
    }
}

/// Answers reports with protection.
#[derive(Clone, Debug)]
pub struct Adaptation {
    bitrate_bps: u32,
    before: Option<Reception>,
    /// Too short to be judged.
    gathered: Stretch,
    recent: VecDeque<Stretch>,
    bursty: bool,
    aim: Aim,
    /// Judgements in a row that asked for less, and the most that they asked for.
    calm: u32,
    lower: Aim,
}

impl Adaptation {
    /// One that knows of no loss yet; `bitrate_bps` is the rate without any.
    pub fn new(bitrate_bps: u32) -> Self {
        Self {
            bitrate_bps,
            before: None,
            gathered: Stretch::default(),
            recent: VecDeque::with_capacity(MEMORY),
            bursty: false,
            aim: (Level::Off, 0),
            calm: 0,
            lower: (Level::Off, 0),
        }
    }

    /// Takes a report; answers what to change, if anything.
    pub fn note(&mut self, reception: &Reception) -> Option<Protection> {
        let Some(before) = self.before else {
            self.before = Some(*reception);
            return None;
        };
        self.gathered = self.gathered.and(between(&before, reception)?);
        self.before = Some(*reception);
        if self.gathered.sent < PACKETS_MIN {
            return None;
        }
        if self.recent.len() == MEMORY {
            self.recent.pop_front();
        }
        self.recent.push_back(std::mem::take(&mut self.gathered));
        let wanted = self.wanted();
        let aim = self.settle(wanted);
        let changed = aim != self.aim;
        self.aim = aim;
        changed.then(|| self.protection())
    }

    /// What the encoder should do now.
    pub fn protection(&self) -> Protection {
        let (level, expected_loss_pct) = self.aim;
        let (redundancy, least_bps) = match level {
            Level::Off => (Redundancy::Off, 0),
            Level::Inband => (Redundancy::Inband { expected_loss_pct }, INBAND_BPS),
            Level::Both => (Redundancy::Both { expected_loss_pct }, BOTH_BPS),
            Level::Deep => (Redundancy::Deep { expected_loss_pct }, DEEP_BPS),
        };
        Protection { redundancy, bitrate_bps: self.bitrate_bps.max(least_bps) }
    }

    /// What the reports ask for now, whatever was done before but for the thresholds.
    fn wanted(&mut self) -> Aim {
        let newest_first = || self.recent.iter().rev();
        let all = newest_first().copied().fold(Stretch::default(), Stretch::and);
        let last = newest_first().take(RECENT).copied().fold(Stretch::default(), Stretch::and);
        let loss_pct = all.loss_pct().max(last.least_loss_pct());
        let (level, _) = self.aim;
        let than = |enter: f32, leave: f32, inside: bool| if inside { leave } else { enter };
        if let Some(burstiness) = all.burstiness() {
            self.bursty = burstiness >= than(1.5, 1.25, self.bursty);
        }
        let deep = loss_pct >= than(5.0, 3.0, level == Level::Deep);
        let level = if self.bursty && deep {
            Level::Deep
        } else if loss_pct >= than(20.0, 15.0, level == Level::Both) {
            Level::Both
        } else if loss_pct >= than(2.0, 1.0, level != Level::Off) {
            Level::Inband
        } else {
            return (Level::Off, 0);
        };
        let steps = (loss_pct / f32::from(LOSS_STEP_PCT)).ceil() as u8;
        (level, (steps * LOSS_STEP_PCT).min(LOSS_MAX_PCT))
    }

    /// Rises at once, falls slowly.
    fn settle(&mut self, wanted: Aim) -> Aim {
        if wanted >= self.aim {
            self.calm = 0;
            return wanted;
        }
        self.lower = if self.calm == 0 { wanted } else { self.lower.max(wanted) };
        self.calm += 1;
        if self.calm < CALM {
            return self.aim;
        }
        self.calm = 0;
        self.lower
    }
}

/// `None` when the later report is not later, or tells what cannot be.
fn between(before: &Reception, now: &Reception) -> Option<Stretch> {
    let sent = now.highest_sequence.wrapping_sub(before.highest_sequence) as i32;
    let sent = u32::try_from(sent).ok()?;
    let lost = now.lost.saturating_sub(before.lost);
    let runs = now.loss_runs.wrapping_sub(before.loss_runs) as i32;
    (i64::from(lost) <= i64::from(sent)).then_some(Stretch { sent, lost, runs })
}

#[cfg(test)]
mod tests;
