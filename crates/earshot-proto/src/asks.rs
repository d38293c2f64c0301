//! Questions that were put to others and not answered yet. All end: by an answer, by the link going
//! down, or by [`PATIENCE`]; so nothing that waits for an answer waits for ever.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::port::LinkId;

/// How long an answer is waited for. Our choice: a slow line's round trip with one lost segment,
/// doubled.
pub const PATIENCE: Duration = Duration::from_secs(4);
/// Open questions at most; a further one fails at once.
pub const ASKS_MAX: usize = 16_384;

/// The open questions of one machine; `A` says what each was about, so that its answer finds its
/// way.
#[derive(Debug)]
pub struct Asks<A> {
    open: BTreeMap<u32, Asked<A>>,
    last: u32,
    patience: Duration,
}

#[derive(Debug)]
struct Asked<A> {
    link: LinkId,
    deadline: Instant,
    about: A,
}

impl<A> Default for Asks<A> {
    fn default() -> Self {
        Self::with_patience(PATIENCE)
    }
}

impl<A> Asks<A> {
    /// No questions yet; answers are waited for this long.
    #[must_use]
    pub const fn with_patience(patience: Duration) -> Self {
        Self { open: BTreeMap::new(), last: 0, patience }
    }

    /// Opens a question on `link` and gives its number.
    ///
    /// # Errors
    /// What it was about, when too many are open.
    pub fn open(&mut self, now: Instant, link: LinkId, about: A) -> Result<u32, A> {
        if self.open.len() >= ASKS_MAX {
            return Err(about);
        }
        loop {
            self.last = self.last.wrapping_add(1);
            if self.last != 0 && !self.open.contains_key(&self.last) {
                break;
            }
        }
        self.open.insert(self.last, Asked { link, deadline: now + self.patience, about });
        Ok(self.last)
    }

    /// What the question was about that an answer on `link` belongs to. An answer from elsewhere is
    /// nobody's.
    pub fn answered(&mut self, link: LinkId, ask: u32) -> Option<A> {
        if self.open.get(&ask)?.link != link {
            return None;
        }
        self.open.remove(&ask).map(|asked| asked.about)
    }

    /// The questions that died with a link.
    pub fn link_down(&mut self, link: LinkId) -> Vec<A> {
        self.take(|asked| asked.link == link)
    }

    /// The questions nobody answered in time.
    pub fn overdue(&mut self, now: Instant) -> Vec<A> {
        self.take(|asked| asked.deadline <= now)
    }

    /// How many are open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// When the next question is overdue.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.open.values().map(|asked| asked.deadline).min()
    }

    fn take(&mut self, which: impl Fn(&Asked<A>) -> bool) -> Vec<A> {
        let gone = self.open.extract_if(.., |_, asked| which(asked));
        gone.map(|(_, asked)| asked.about).collect()
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test begins at some moment")]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_only_on_the_link_that_was_asked() {
        let now = Instant::now();
        let (here, there) = (LinkId::Dialled(1), LinkId::Dialled(2));
        let mut asks = Asks::default();
        let ask = asks.open(now, here, "who?").expect("room");
        assert_eq!(asks.answered(there, ask), None);
        assert_eq!(asks.answered(here, ask), Some("who?"));
        assert_eq!(asks.answered(here, ask), None, "a second answer is nobody's");
    }

    #[test]
    fn no_question_waits_for_ever() {
        let now = Instant::now();
        let mut asks = Asks::default();
        let _ = asks.open(now, LinkId::Dialled(1), 1);
        let _ = asks.open(now, LinkId::Dialled(2), 2);
        assert_eq!(asks.link_down(LinkId::Dialled(1)), [1]);
        assert_eq!(asks.next_deadline(), Some(now + PATIENCE));
        assert_eq!(asks.overdue(now + PATIENCE), [2]);
        assert_eq!(asks.next_deadline(), None);
    }
}
