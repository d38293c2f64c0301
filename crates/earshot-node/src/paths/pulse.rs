//! Whether packets get through a path, and how fast: a probe every quarter of a second, and its
//! answer.
//!
//! Source: DESIGN 2.10. A probe is ten bytes of our own (docs/protocol.md, 11.3): a mark that no
//! RTP packet and no STUN message begins with, *question* or *answer*, and eight bytes that nobody
//! can guess who does not see the path. A silent voice (DTX) is no dead path, so voice is not what
//! is listened for. Nothing here sends or sleeps. Invariants: an answer is as long as its question;
//! at most [`OPEN_MAX`] questions are remembered; [`Silent`](PathEvent::Silent) and
//! [`Lively`](PathEvent::Lively) take turns but for a lively one from time to time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use earshot_proto::port::PathEvent;

use crate::seed;

/// Between two probes. DESIGN 2.10.
const EVERY: Duration = Duration::from_millis(250);
/// The same where nothing else has come or gone for a while: a warm path is to cost its relay
/// little.
const IDLE_EVERY: Duration = Duration::from_secs(2);
/// How long after other packets, either way, a path is still in use. Our choice: reports come every
/// second.
const IN_USE: Duration = Duration::from_secs(2);
/// How long the first answer may take, while nothing is known of the path. Our choice: a round trip
/// around the world by satellite.
const FIRST_PATIENCE: Duration = Duration::from_millis(800);
/// How long an answer may take at least, and beyond two round trips: what queues and a busy
/// computer add.
const PATIENCE_MIN: Duration = Duration::from_millis(150);
const SLACK: Duration = Duration::from_millis(60);
/// Questions remembered: those of one second on a line of any length.
const OPEN_MAX: usize = 8;
/// After how many answers a lively path is told of again, for its round trip; at once where that
/// differs from what was told by so many milliseconds and by a quarter.
const TOLD_EACH: u32 = 8;
const NEWS_MS: f64 = 5.0;
const NEWS_BY: f64 = 0.25;
/// Weight of a new round trip in the smoothed one. RFC 6298, section 2: 1/8.
const WEIGHT: f64 = 0.125;
/// Of so many answers the fastest counts: the first ones meet a computer that is busy with making
/// the path, and another may be chosen for what they say.
const FIRST_ANSWERS: u32 = 4;

/// The first byte of a probe. RFC 9443 leaves it to nobody who shares our paths.
const MARK: u8 = 0xE3;
const QUESTION: u8 = 0;
const ANSWER: u8 = 1;
/// Length of a probe in bytes.
pub(super) const PROBE: usize = 10;

/// What a packet is to the pulse.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// To be sent back.
    Answer([u8; PROBE]),
    /// Its own.
    Noted,
}

/// The pulse of one path that is up.
pub(super) struct Pulse {
    open: VecDeque<(u64, Instant)>,
    next: Instant,
    /// When it is looked whether it is in use.
    looks: Instant,
    round_trip_ms: Option<f64>,
    told_ms: Option<f64>,
    is_lively: Option<bool>,
    /// When an answer came last.
    heard: Option<Instant>,
    /// When anything but a probe came or went last.
    used: Option<Instant>,
    answers: u32,
    event: Option<PathEvent>,
}

/// Whether a packet is a probe.
pub(super) fn is_probe(packet: &[u8]) -> bool {
    packet.len() == PROBE && packet[0] == MARK
}

impl Pulse {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            open: VecDeque::new(),
            next: now,
            looks: now,
            round_trip_ms: None,
            told_ms: None,
            is_lively: None,
            heard: None,
            used: None,
            answers: 0,
            event: None,
        }
    }

    /// When [`Self::beat`] is next needed.
    pub(super) fn due(&self) -> Instant {
        let next = self.next.min(self.looks);
        let late = self.late().filter(|_| self.is_lively != Some(false));
        late.map_or(next, |at| at.min(next))
    }

    /// Notes what was not answered in time; gives a question, if it is time for one.
    pub(super) fn beat(&mut self, now: Instant) -> Option<[u8; PROBE]> {
        let is_late = self.late().is_some_and(|at| at <= now);
        if is_late && self.is_lively != Some(false) {
            self.is_lively = Some(false);
            self.event = Some(PathEvent::Silent);
        }
        self.looks = now + EVERY;
        if now < self.next {
            return None;
        }
        self.next = now + if self.is_in_use(now) { EVERY } else { IDLE_EVERY };
        if self.open.len() == OPEN_MAX {
            self.open.pop_front();
        }
        let token = u64::from_be_bytes(seed::draw().ok()?[..8].try_into().ok()?);
        self.open.push_back((token, now));
        Some(probe(QUESTION, token))
    }

    /// Notes whether anything but probes has come or gone since this was called last. What comes
    /// into use is asked at once.
    pub(super) fn note_use(&mut self, now: Instant, is_used: bool) {
        if is_used {
            let was_idle = !self.is_in_use(now);
            self.used = Some(now);
            if was_idle {
                self.next = now;
            }
        }
    }

    fn is_in_use(&self, now: Instant) -> bool {
        self.used.is_some_and(|used| now < used + IN_USE)
    }

    /// Takes a packet that [`is_probe`].
    pub(super) fn take(&mut self, now: Instant, packet: &[u8]) -> Taken {
        let [MARK, kind, token @ ..] = packet else { return Taken::Noted };
        let Ok(token) = token.try_into().map(u64::from_be_bytes) else { return Taken::Noted };
        if *kind == QUESTION {
            return Taken::Answer(probe(ANSWER, token));
        }
        if let Some(at) = self.open.iter().position(|(known, _)| *known == token) {
            let (_, sent) = self.open[at];
            // What was asked before it may still be answered, but nothing waits for it.
            self.open.drain(..=at);
            self.heard = Some(now);
            self.answered(now.saturating_duration_since(sent));
        }
        Taken::Noted
    }

    /// What there is to tell.
    pub(super) const fn event(&mut self) -> Option<PathEvent> {
        self.event.take()
    }

    /// When the first question that is open will be answered late; one after another that was
    /// answered just now gets the time anew, for answers that were held up come together.
    fn late(&self) -> Option<Instant> {
        let (_, sent) = self.open.front()?;
        Some(self.heard.map_or(*sent, |heard| heard.max(*sent)) + self.patience())
    }

    fn answered(&mut self, round_trip: Duration) {
        // One that was held up says little of the path: it counts for no more than is waited for.
        let measured = round_trip.min(self.patience()).as_secs_f64() * 1000.0;
        self.answers = self.answers.saturating_add(1);
        let rtt_ms = match self.round_trip_ms {
            None => measured,
            Some(known) if self.answers <= FIRST_ANSWERS => known.min(measured),
            Some(known) => known + WEIGHT * (measured - known),
        };
        self.round_trip_ms = Some(rtt_ms);
        let differs = |told: f64| (rtt_ms - told).abs() > NEWS_MS.max(told * NEWS_BY);
        let is_news = self.told_ms.is_some_and(differs) || self.answers.is_multiple_of(TOLD_EACH);
        if self.is_lively != Some(true) || is_news {
            self.is_lively = Some(true);
            self.told_ms = Some(rtt_ms);
            self.event = Some(PathEvent::Lively { rtt_ms });
        }
    }

    fn patience(&self) -> Duration {
        let known = self.round_trip_ms.map(|ms| Duration::from_secs_f64(ms / 1000.0));
        known.map_or(FIRST_PATIENCE, |known| (known * 2 + SLACK).max(PATIENCE_MIN))
    }
}

fn probe(kind: u8, token: u64) -> [u8; PROBE] {
    let mut bytes = [MARK, kind, 0, 0, 0, 0, 0, 0, 0, 0];
    bytes[2..].copy_from_slice(&token.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn answer(question: &[u8; PROBE], now: Instant) -> [u8; PROBE] {
        match Pulse::new(now).take(now, question) {
            Taken::Answer(answer) => answer,
            Taken::Noted => panic!("a question is answered"),
        }
    }

    #[test]
    fn an_answered_probe_tells_the_round_trip_and_a_late_one_silence() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        pulse.note_use(start, true);
        let question = pulse.beat(start).expect("the first is due at once");
        assert_eq!(pulse.take(start + 20 * MS, &answer(&question, start)), Taken::Noted);
        assert_eq!(pulse.event(), Some(PathEvent::Lively { rtt_ms: 20.0 }));
        let asked = start + EVERY;
        assert_eq!(pulse.due(), asked);
        let question = pulse.beat(asked).expect("it is due");
        assert_eq!(pulse.due(), asked + PATIENCE_MIN, "its answer is due before the next");
        assert_eq!(pulse.beat(pulse.due()), None);
        assert_eq!(pulse.event(), Some(PathEvent::Silent));
        pulse.take(asked + 220 * MS, &answer(&question, asked));
        assert!(matches!(pulse.event(), Some(PathEvent::Lively { .. })), "late, but there");
    }

    #[test]
    fn a_silent_path_is_told_of_once_and_goes_on_being_asked() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        let (mut now, mut questions, mut told) = (start, 0, 0);
        while now < start + 10 * EVERY {
            pulse.note_use(now, true);
            questions += usize::from(pulse.beat(now).is_some());
            told += usize::from(pulse.event() == Some(PathEvent::Silent));
            now = pulse.due().max(now + MS);
        }
        assert_eq!((questions, told, pulse.open.len()), (10, 1, OPEN_MAX));
    }

    #[test]
    fn answers_that_were_held_up_come_together_and_bring_it_back_for_good() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        pulse.note_use(start, true);
        let first = pulse.beat(start).expect("it is due");
        pulse.take(start + 20 * MS, &answer(&first, start));
        assert!(matches!(pulse.event(), Some(PathEvent::Lively { .. })));
        let (mut now, mut questions, mut told) = (start + 20 * MS, Vec::new(), Vec::new());
        while now < start + 8 * EVERY {
            pulse.note_use(now, true);
            questions.extend(pulse.beat(now));
            told.extend(pulse.event());
            now = pulse.due().max(now + MS);
        }
        for question in &questions {
            pulse.take(now, &answer(question, now));
            told.extend(pulse.event());
            pulse.beat(now);
            told.extend(pulse.event());
        }
        let silent = told.iter().filter(|event| **event == PathEvent::Silent).count();
        assert_eq!((silent, told.first()), (1, Some(&PathEvent::Silent)), "{told:?}");
        assert!(told.len() > 1, "it is lively again");
        assert!(pulse.patience() < FIRST_PATIENCE, "and it is no slower for it");
    }

    #[test]
    fn an_idle_path_that_comes_into_use_is_asked_within_a_quarter_of_a_second() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        let mut now = start;
        let mut beat_at = |pulse: &mut Pulse, used: bool| {
            pulse.note_use(now, used);
            if let Some(question) = pulse.beat(now) {
                pulse.take(now, &answer(&question, now));
                return Some(std::mem::replace(&mut now, pulse.due()));
            }
            now = pulse.due().max(now + MS);
            None
        };
        assert_eq!(beat_at(&mut pulse, false), Some(start));
        assert_eq!(beat_at(&mut pulse, false), None, "it is idle");
        assert_eq!(beat_at(&mut pulse, true), Some(start + 2 * EVERY));
        assert_eq!(beat_at(&mut pulse, true), Some(start + 3 * EVERY));
    }

    #[test]
    fn a_first_answer_that_a_busy_computer_held_up_is_soon_made_good() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        let mut told = Vec::new();
        for (number, ms) in [90, 1, 1, 30, 30, 30, 30, 30].into_iter().enumerate() {
            let now = start + EVERY * number as u32;
            pulse.note_use(now, true);
            let question = pulse.beat(now).expect("it is due");
            pulse.take(now + MS * ms, &answer(&question, now));
            if let Some(PathEvent::Lively { rtt_ms }) = pulse.event() {
                told.push(rtt_ms.round());
            }
        }
        assert_eq!(told, [90.0, 1.0, 8.0, 13.0], "the fastest of four, then smoothed");
    }

    #[test]
    fn a_path_that_nothing_else_comes_over_is_asked_less_often() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        let (mut now, mut questions) = (start, 0);
        while now < start + 10 * IDLE_EVERY {
            pulse.note_use(now, now == start);
            if let Some(question) = pulse.beat(now) {
                questions += 1;
                pulse.take(now, &answer(&question, now));
            }
            now = pulse.due().max(now + MS);
        }
        assert_eq!(questions, 17, "two seconds at four, then one each two seconds");
    }

    #[test]
    fn an_answer_that_nobody_asked_for_is_nothing() {
        let start = Instant::now();
        let mut pulse = Pulse::new(start);
        pulse.beat(start);
        assert_eq!(pulse.take(start, &probe(ANSWER, 7)), Taken::Noted);
        assert_eq!(pulse.event(), None);
        assert!(!is_probe(&[0x80; PROBE]) && !is_probe(&[MARK, 0]));
    }
}
