//! What the reports of a call tell of time: when theirs came, and so how long the way there and
//! back takes.
//!
//! Source: RFC 3550, sections 4 and 6.4.1: round trip = arrival − LSR − DLSR, all in 65,536ths of a
//! second. Invariants: the only clock in a report is the monotonic one since the call began here,
//! so no time of day leaves; the round trip needs no clock of theirs but a duration.

use std::time::{Duration, Instant};

use earshot_audio::frame::samples_in;
use earshot_audio::reception::Reception as Heard;
use earshot_audio::sender::SenderStats;
use earshot_proto::secure::report_seal::Account;
use earshot_proto::wire::report::{Reception, SenderInfo};

/// Parts of a second in the short form of an NTP time.
const PARTS: u64 = 1 << 16;
/// What our clock shows when the call begins: not 0, which as the time of a report means none.
const CLOCK_BEGINS: Duration = Duration::from_secs(1);
/// A round trip that is longer is a report that was wrong or overtaken; no call is held over such a
/// path.
const ROUND_TRIP_MAX: Duration = Duration::from_secs(20);
/// The two ends round, and may so make a very short way shorter than nothing.
const ROUNDING: i32 = -(PARTS as i32) / 100;

/// The reports of one call, as far as they tell of time.
#[derive(Debug)]
pub(super) struct Correspondence {
    since: Instant,
    /// The middle of the time that their last sender report told, and when it came.
    last_sr: Option<(u32, Instant)>,
    round_trip: Option<Duration>,
}

impl Correspondence {
    pub(super) const fn since(since: Instant) -> Self {
        Self { since, last_sr: None, round_trip: None }
    }

    /// The last round trip that was measured.
    pub(super) const fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// Takes a report that came at `arrived`.
    pub(super) fn take(&mut self, arrived: Instant, account: &Account) {
        if let Some(sender) = &account.sender {
            self.last_sr = Some((middle(sender.ntp), arrived));
        }
        if let Some(reception) = &account.reception {
            self.round_trip = self.measured(arrived, reception).or(self.round_trip);
        }
    }

    /// What we say of our stream at `now`; `spoken` is when voice was last sent, and the time stamp
    /// of its packet.
    pub(super) fn sender(
        &self,
        now: Instant,
        spoken: (Instant, u32),
        sent: &SenderStats,
    ) -> SenderInfo {
        let (at, timestamp) = spoken;
        let passed = samples_in(now.saturating_duration_since(at));
        SenderInfo {
            ntp: self.ntp(now),
            timestamp: timestamp.wrapping_add(passed as u32),
            packets: sent.packets as u32,
            octets: sent.payload_bytes as u32,
        }
    }

    /// What we say of theirs at `now`.
    pub(super) fn reception(&self, now: Instant, heard: &Heard) -> Reception {
        let (last_sr, delay_since_sr) = self.last_sr.map_or((0, 0), |(last_sr, came)| {
            (last_sr, parts(now.saturating_duration_since(came)) as u32)
        });
        Reception {
            fraction_lost: heard.fraction_lost,
            lost: heard.lost,
            highest_sequence: heard.highest_sequence,
            jitter: heard.jitter,
            last_sr,
            delay_since_sr,
            loss_runs: heard.loss_runs,
        }
    }

    fn measured(&self, arrived: Instant, reception: &Reception) -> Option<Duration> {
        if reception.last_sr == 0 {
            return None;
        }
        let since_sr = middle(self.ntp(arrived)).wrapping_sub(reception.last_sr);
        let way = since_sr.wrapping_sub(reception.delay_since_sr) as i32;
        let way = if way < ROUNDING { return None } else { way.max(0).unsigned_abs() };
        let way = Duration::from_nanos(u64::from(way) * 1_000_000_000 / PARTS);
        (way <= ROUND_TRIP_MAX).then_some(way)
    }

    /// Seconds in the upper half, their 2^32nd parts in the lower.
    fn ntp(&self, at: Instant) -> u64 {
        let shown = CLOCK_BEGINS + at.saturating_duration_since(self.since);
        let fraction = (u64::from(shown.subsec_nanos()) << 32) / 1_000_000_000;
        shown.as_secs() << 32 | fraction
    }
}

/// Their report on our voice, in the words of those who code it.
pub(super) const fn heard_of_us(reception: &Reception) -> Heard {
    Heard {
        fraction_lost: reception.fraction_lost,
        lost: reception.lost,
        highest_sequence: reception.highest_sequence,
        jitter: reception.jitter,
        loss_runs: reception.loss_runs,
    }
}

const fn middle(ntp: u64) -> u32 {
    (ntp >> 16) as u32
}

const fn parts(time: Duration) -> u64 {
    time.as_secs() * PARTS + time.subsec_nanos() as u64 * PARTS / 1_000_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn sent() -> SenderStats {
        SenderStats { packets: 50, payload_bytes: 4_000 }
    }

    fn ours(side: &Correspondence, now: Instant) -> Account {
        let sender = Some(side.sender(now, (now, 0), &sent()));
        Account { sender, reception: Some(side.reception(now, &Heard::default())) }
    }

    /// Alice and Bob report each second over a way of `way`, from clocks that began apart.
    fn correspond(way: Duration) -> [Option<Duration>; 2] {
        let start = Instant::now();
        let mut alice = Correspondence::since(start);
        let mut bob = Correspondence::since(start + 317 * MS);
        for second in 1..=5 {
            let now = start + second * 1_000 * MS;
            bob.take(now + way, &ours(&alice, now));
            let later = now + 400 * MS;
            alice.take(later + way, &ours(&bob, later));
        }
        [alice.round_trip(), bob.round_trip()]
    }

    #[test]
    fn the_round_trip_is_what_the_way_takes_there_and_back() {
        for way in [0, 1, 20, 150, 390] {
            for measured in correspond(way * MS) {
                let measured = measured.expect("measured");
                let off = measured.abs_diff(2 * way * MS);
                assert!(off < MS, "{way} ms there: {measured:?}");
            }
        }
    }

    #[test]
    fn before_a_sender_report_came_back_nothing_is_measured() {
        let start = Instant::now();
        let (mut alice, bob) = (Correspondence::since(start), Correspondence::since(start));
        alice.take(start + 50 * MS, &ours(&bob, start + 40 * MS));
        assert_eq!(alice.round_trip(), None);
        let block = alice.reception(start + 80 * MS, &Heard::default());
        assert_eq!(block.delay_since_sr, (30 * PARTS / 1_000) as u32);
        assert_eq!(block.last_sr, middle(bob.ntp(start + 40 * MS)));
    }

    #[test]
    fn what_cannot_be_a_round_trip_is_not_believed() {
        let start = Instant::now();
        let mut alice = Correspondence::since(start);
        let mut told = |last_sr: u32, delay_since_sr: u32| {
            let reception = Reception { last_sr, delay_since_sr, ..Reception::default() };
            let account = Account { sender: None, reception: Some(reception) };
            alice.take(start + 10_000 * MS, &account);
            alice.round_trip()
        };
        // Our clock shows 11 s then.
        assert_eq!(told(20 << 16, 0), None, "of the future");
        assert_eq!(told(1 << 16, 12 << 16), None, "shorter than nothing");
        assert_eq!(told(1 << 16, 9 << 16), Some(1_000 * MS));
        assert_eq!(told(12 << 16, 0), Some(1_000 * MS), "the last one stays");
    }

    #[test]
    fn the_clock_of_a_report_is_no_time_of_day() {
        let start = Instant::now();
        let side = Correspondence::since(start);
        let info = side.sender(start + 2_500 * MS, (start + 2_000 * MS, u32::MAX), &sent());
        assert_eq!(info.ntp, 3 << 32 | 1 << 31);
        assert_eq!(info.timestamp, 23_999, "half a second after the packet, over the fold");
        assert_eq!((info.packets, info.octets), (50, 4_000));
    }
}
