//! The signals of one call between two devices: numbered, repeated until heard, taken once and in
//! order.
//!
//! Signals travel over TCP, but through super-peers that may crash with a signal in hand, and by
//! another way when one fails; so what must arrive is repeated here, end to end. What comes before
//! its turn is kept within [`EARLY_MAX`]; beyond it (and before the offer, which makes the dialog)
//! it is not heard, so that the sender, who keeps it anyway, repeats it. Invariants: every number
//! is taken at most once; nothing is taken after an end.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use crate::wire::sealed::call::SignalBody;

/// First wait before what was not heard is said again. Our choice: above the round trip through two
/// super-peers on two continents (about 0.4 s), so that what is on its way is seldom repeated.
pub(super) const REPEAT_FIRST: Duration = Duration::from_millis(500);
/// Longest wait between two repetitions. Our choice: a home that crashed is replaced within
/// seconds.
pub(super) const REPEAT_LONGEST: Duration = Duration::from_secs(4);
/// Signals kept that came before their turn. Our choice: more than one side says in one go.
pub(super) const EARLY_MAX: usize = 16;
/// Signals repeated in one go at most: no more than the other side would keep.
const REPEAT_AT_ONCE: usize = EARLY_MAX;

/// One side of the conversation.
#[derive(Debug, Default)]
pub(super) struct Dialog {
    said: u32,
    unheard: VecDeque<(u32, SignalBody)>,
    repeat_at: Option<Instant>,
    repeats: u32,
    taken: u32,
    early: BTreeMap<u32, SignalBody>,
    owes: bool,
    ended: bool,
}

impl Dialog {
    /// Numbers what is to be said and keeps it until it is heard.
    pub(super) fn say(&mut self, now: Instant, body: SignalBody) -> u32 {
        self.said += 1;
        self.unheard.push_back((self.said, body));
        if self.repeat_at.is_none() {
            self.repeat_at = Some(now + REPEAT_FIRST);
        }
        self.said
    }

    /// Everything still unheard stays unsaid: the end makes it pointless.
    pub(super) fn drop_unheard(&mut self) {
        self.unheard.clear();
        self.repeat_at = None;
        self.repeats = 0;
    }

    /// The other side has taken our signals up to `number`. True when that is news.
    pub(super) fn hear(&mut self, now: Instant, number: u32) -> bool {
        let before = self.unheard.len();
        self.unheard.retain(|(n, _)| *n > number);
        if self.unheard.len() == before {
            return false;
        }
        self.repeats = 0;
        self.repeat_at = (!self.unheard.is_empty()).then(|| now + REPEAT_FIRST);
        true
    }

    /// Whether everything said up to `number` was heard.
    pub(super) fn was_heard(&self, number: u32) -> bool {
        self.unheard.front().is_none_or(|(first, _)| *first > number)
    }

    /// Whether anything waits to be heard.
    pub(super) fn waits(&self) -> bool {
        !self.unheard.is_empty()
    }

    /// Whether a signal like this waits to be heard.
    pub(super) fn waits_for(&self, like: fn(&SignalBody) -> bool) -> bool {
        self.unheard.iter().any(|(_, body)| like(body))
    }

    /// Takes a signal in; gives what has its turn now, in order.
    pub(super) fn take(&mut self, number: u32, body: &SignalBody) -> Vec<SignalBody> {
        if number == 0 {
            return Vec::new();
        }
        self.owes = true;
        if self.ended {
            return Vec::new();
        }
        if matches!(body, SignalBody::End { .. }) {
            // Even out of all order: whoever was started anew counts from 1 again to say that it
            // knows nothing.
            self.ended = true;
            self.taken = number.max(self.taken);
            self.early.clear();
            return vec![body.clone()];
        }
        if number <= self.taken {
            return Vec::new();
        }
        if number - self.taken > EARLY_MAX as u32 {
            return Vec::new();
        }
        self.early.insert(number, body.clone());
        let mut turn = Vec::new();
        while let Some(body) = self.early.remove(&(self.taken + 1)) {
            self.taken += 1;
            turn.push(body);
        }
        turn
    }

    /// How far the other side was taken, to be told to it. Whoever calls this tells it.
    pub(super) fn tell_taken(&mut self) -> u32 {
        self.owes = false;
        self.taken
    }

    /// Whether the other side has not been told yet how far it was heard.
    pub(super) fn owes(&self) -> bool {
        self.owes
    }

    /// When something is due to be repeated.
    pub(super) fn repeat_at(&self) -> Option<Instant> {
        self.repeat_at
    }

    /// How often the oldest unheard signal was repeated.
    pub(super) fn repeats(&self) -> u32 {
        self.repeats
    }

    /// What is to be said again now; the wait before the next time doubles.
    pub(super) fn repeat(&mut self, now: Instant) -> Vec<(u32, SignalBody)> {
        if self.unheard.is_empty() {
            self.repeat_at = None;
            return Vec::new();
        }
        self.repeats = self.repeats.saturating_add(1);
        let wait = REPEAT_FIRST.saturating_mul(1 << self.repeats.min(8)).min(REPEAT_LONGEST);
        self.repeat_at = Some(now + wait);
        self.unheard()
    }

    /// What is to be said again by another way, whenever it would be repeated.
    pub(super) fn unheard(&self) -> Vec<(u32, SignalBody)> {
        self.unheard.iter().take(REPEAT_AT_ONCE).cloned().collect()
    }

    /// One side is elsewhere now: what is said again by the way there was never said by it.
    pub(super) fn renew(&mut self, now: Instant) {
        self.repeats = 0;
        self.repeat_at = self.repeat_at.map(|_| now + REPEAT_FIRST);
    }

    /// No repetition any more: whoever has not heard by now will be told only when it speaks.
    pub(super) fn rest(&mut self) {
        self.repeat_at = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::call::tests::world::epoch;
    use crate::wire::sealed::call::SignalledEnd;
    use SignalBody::{Accept, Hold, Resume};
    use proptest::prelude::*;

    const END: SignalBody = SignalBody::End { reason: SignalledEnd::HungUp };

    #[test]
    fn what_is_not_heard_is_said_again_ever_more_slowly() {
        let (mut dialog, start) = (Dialog::default(), epoch());
        dialog.say(start, Accept);
        let mut waits = Vec::new();
        let mut now = start;
        for _ in 0..6 {
            let at = dialog.repeat_at().expect("unheard");
            waits.push((at - now).as_millis());
            now = at;
            assert_eq!(dialog.repeat(now), vec![(1, Accept)]);
        }
        assert_eq!(waits, [500, 1000, 2000, 4000, 4000, 4000]);
        assert!(dialog.hear(now, 1));
        assert_eq!(dialog.repeat_at(), None);
    }

    #[test]
    fn an_end_is_taken_whatever_is_missing_before_it_and_nothing_after_it() {
        let mut dialog = Dialog::default();
        assert_eq!(dialog.take(1, &Accept), vec![Accept]);
        assert_eq!(dialog.take(4, &END), vec![END]);
        assert_eq!(dialog.take(2, &Hold), vec![]);
        assert_eq!(dialog.take(5, &Hold), vec![]);
        assert_eq!(dialog.tell_taken(), 4);
    }

    #[test]
    fn what_comes_far_before_its_turn_is_not_kept_and_not_heard() {
        let mut dialog = Dialog::default();
        for number in 2..=1_000_000u32 {
            if number < 40 || number % 9_999 == 0 {
                assert_eq!(dialog.take(number, &Hold), vec![]);
            }
        }
        assert!(dialog.early.len() < EARLY_MAX);
        assert_eq!(dialog.take(1, &Hold).len(), EARLY_MAX);
        assert_eq!(dialog.tell_taken(), EARLY_MAX as u32);
    }

    proptest! {
        #[test]
        fn signals_lost_doubled_and_shuffled_are_taken_once_and_in_order(
            seed in any::<[u8; 32]>(), count in 1u32..40, loss in 0u64..60,
        ) {
            let mut jitter = crate::entropy::Entropy::new(seed).jitter;
            let (mut from, mut to) = (Dialog::default(), Dialog::default());
            let mut now = epoch();
            let said: Vec<_> = (0..count).map(|n| if n % 2 == 0 { Hold } else { Resume }).collect();
            let mut air: Vec<(u32, SignalBody)> = said
                .iter()
                .map(|body| (from.say(now, body.clone()), body.clone()))
                .collect();
            let mut taken = Vec::new();
            for _ in 0..1_000 {
                if air.is_empty() {
                    let Some(at) = from.repeat_at() else { break };
                    now = at;
                    air = from.repeat(now);
                }
                let next = jitter.below(air.len() as u64) as usize;
                let (number, body) = air.swap_remove(next);
                if jitter.below(100) < 20 {
                    air.push((number, body.clone()));
                }
                if jitter.below(100) >= loss {
                    taken.extend(to.take(number, &body));
                }
                if jitter.below(100) >= loss {
                    from.hear(now, to.tell_taken());
                }
            }
            prop_assert_eq!(taken, said);
            prop_assert!(!from.waits());
        }
    }
}
