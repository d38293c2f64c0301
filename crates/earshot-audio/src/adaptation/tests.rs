//! Reports of every kind, and how the voice is protected against what they tell.

use proptest::prelude::*;

use super::*;
use crate::arrivals::Arrivals;
use crate::counts::ReceiverStats;
use crate::reception::Reporter;

/// SplitMix64 (Steele, Lea, Flood 2014), in 0…1.
struct Dice(u64);

impl Dice {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// A path that loses `pct` of the packets in runs of `mean` packets, and reports once a second.
struct Path {
    dice: Dice,
    sequence: u16,
    in_burst: bool,
    arrivals: Arrivals,
    reporter: Reporter,
    adaptation: Adaptation,
    changes: Vec<(u32, Protection)>,
    seconds: u32,
}

impl Path {
    fn new(seed: u64) -> Self {
        Self {
            dice: Dice(seed),
            sequence: 65_000,
            in_burst: false,
            arrivals: Arrivals::default(),
            reporter: Reporter::default(),
            adaptation: Adaptation::new(32_000),
            changes: Vec::new(),
            seconds: 0,
        }
    }

    fn run(&mut self, seconds: u32, pct: f64, mean: f64) -> &mut Self {
        let part = pct / 100.0;
        let begin = if mean > 1.0 { part / (mean * (1.0 - part)) } else { part };
        let stay = if mean > 1.0 { 1.0 - 1.0 / mean } else { part };
        for _ in 0..seconds {
            for _ in 0..50 {
                self.in_burst = self.dice.unit() < if self.in_burst { stay } else { begin };
                if !self.in_burst {
                    self.arrivals.note(self.sequence);
                }
                self.sequence = self.sequence.wrapping_add(1);
            }
            self.seconds += 1;
            let stats = ReceiverStats {
                received: self.arrivals.received(),
                lost: self.arrivals.lost(),
                loss_runs: self.arrivals.runs(),
                highest_sequence: self.arrivals.highest(),
                ..ReceiverStats::default()
            };
            let report = self.reporter.report(&stats).unwrap();
            if let Some(change) = self.adaptation.note(&report) {
                self.changes.push((self.seconds, change));
            }
        }
        self
    }

    fn level(&self) -> Level {
        self.adaptation.aim.0
    }
}

#[test]
fn each_kind_of_loss_has_its_protection() {
    // Percent lost, mean run, what protects against it, at which bit rate.
    let table = [
        (0.0, 1.0, Level::Off, 32_000),
        (0.3, 1.0, Level::Off, 32_000),
        (5.0, 1.0, Level::Inband, 32_000),
        (10.0, 1.0, Level::Inband, 32_000),
        (30.0, 1.0, Level::Both, 48_000),
        (10.0, 5.0, Level::Deep, 40_000),
        (20.0, 5.0, Level::Deep, 40_000),
        (30.0, 5.0, Level::Deep, 40_000),
        (30.0, 2.5, Level::Deep, 40_000),
    ];
    for (pct, mean, level, bitrate_bps) in table {
        for seed in 1..=5 {
            let mut path = Path::new(seed);
            path.run(60, pct, mean);
            let found = (path.level(), path.adaptation.protection().bitrate_bps);
            assert_eq!(found, (level, bitrate_bps), "{pct} % in runs of {mean}, seed {seed}");
        }
    }
}

#[test]
fn protection_comes_within_seconds_and_goes_after_a_quiet_while() {
    for seed in 1..=5 {
        let mut path = Path::new(seed);
        path.run(30, 0.0, 1.0).run(4, 30.0, 5.0);
        assert_ne!(path.level(), Level::Off, "seed {seed}");
        path.run(4, 30.0, 5.0);
        assert_eq!(path.level(), Level::Deep, "seed {seed}");
        path.run(14, 0.0, 1.0);
        assert_eq!(path.level(), Level::Deep, "seed {seed}: not yet");
        path.run(30, 0.0, 1.0);
        assert_eq!(path.level(), Level::Off, "seed {seed}");
    }
}

#[test]
fn steady_loss_does_not_make_it_flap() {
    for pct in [0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 15.0, 18.0, 20.0, 25.0, 30.0] {
        for mean in [1.0, 1.5, 2.0, 5.0] {
            let mut path = Path::new((pct * 10.0) as u64);
            path.run(600, pct, mean);
            let levels: Vec<_> = path.changes.iter().map(|(_, p)| kind(p.redundancy)).collect();
            let switches = levels.windows(2).filter(|pair| pair[0] != pair[1]).count();
            println!("{pct} % in runs of {mean}: {switches} switches in ten minutes");
            assert!(switches <= 20, "{pct} % in runs of {mean}: {switches} switches");
        }
    }
}

fn kind(redundancy: Redundancy) -> u8 {
    match redundancy {
        Redundancy::Off => 0,
        Redundancy::Inband { .. } => 1,
        Redundancy::Both { .. } => 2,
        Redundancy::Deep { .. } => 3,
    }
}

#[test]
fn a_path_without_loss_is_never_touched() {
    let mut path = Path::new(1);
    path.run(600, 0.0, 1.0);
    assert_eq!(path.changes, []);
}

#[test]
fn a_lost_report_loses_no_count_and_an_old_one_changes_nothing() {
    let report = |highest_sequence, lost, loss_runs| Reception {
        highest_sequence,
        lost,
        loss_runs,
        ..Reception::default()
    };
    let mut adaptation = Adaptation::new(32_000);
    assert_eq!(adaptation.note(&report(50, 0, 0)), None);
    // The one in between was lost; 100 packets, ten of them lost one by one.
    let change = adaptation.note(&report(150, 10, 10)).unwrap();
    assert_eq!(change.redundancy, Redundancy::Inband { expected_loss_pct: 10 });
    assert_eq!(adaptation.note(&report(100, 5, 5)), None);
    assert_eq!(adaptation.note(&report(150, 10, 10)), None);
    assert_eq!(adaptation.note(&report(160, 11, 11)), None, "too few to judge");
}

#[test]
fn a_low_bit_rate_is_raised_to_where_there_are_copies_at_all() {
    let mut path = Path::new(3);
    path.adaptation = Adaptation::new(16_000);
    path.run(20, 10.0, 1.0);
    assert_eq!(path.adaptation.protection().bitrate_bps, INBAND_BPS);
    assert_eq!(Adaptation::new(16_000).protection().bitrate_bps, 16_000);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn whatever_is_reported_what_is_told_stays_in_bounds(
        reports in prop::collection::vec(
            (any::<u8>(), any::<i32>(), any::<u32>(), any::<u32>(), any::<u32>()),
            0..60,
        ),
    ) {
        let mut adaptation = Adaptation::new(32_000);
        for (fraction_lost, lost, highest_sequence, jitter, loss_runs) in reports {
            let report = Reception { fraction_lost, lost, highest_sequence, jitter, loss_runs };
            adaptation.note(&report);
            let Protection { redundancy, bitrate_bps } = adaptation.protection();
            prop_assert!((32_000..=BOTH_BPS).contains(&bitrate_bps));
            let told = match redundancy {
                Redundancy::Off => 0,
                Redundancy::Inband { expected_loss_pct }
                | Redundancy::Deep { expected_loss_pct }
                | Redundancy::Both { expected_loss_pct } => expected_loss_pct,
            };
            prop_assert!(told <= LOSS_MAX_PCT);
            prop_assert!(adaptation.recent.len() <= MEMORY);
        }
    }
}
