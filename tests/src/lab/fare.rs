//! What a message costs on the wire: the encoded length of what is said, and what carries it.
//!
//! The model: everything between super-peers is a question in datagrams ([`wire::question`]) over
//! IPv4. In a session kept for ten minutes a question of q bytes costs 28 + 19 + 16 + q and its
//! answer of a bytes 28 + 26 + 1 + 16 + a; the exchange that begins a session is padded so that the
//! question is no shorter than the answer. An answer beyond [`ANSWER_MAX`] bytes is cut in several,
//! each with its question. A byte is counted once, where it is sent.
//!
//! [`wire::question`]: earshot_proto::wire::question

use earshot_proto::secure::questions::{ANSWER_MAX, SESSION_LIFE};
use earshot_proto::wire::question::{
    ANSWER_HEADER, FIT, LENGTH, QUESTION_HEADER, SESSION_ANSWER_HEADER, SESSION_QUESTION_HEADER,
};

use super::queue::Moment;

/// Headers of IPv4 and UDP.
pub const UDP: usize = 28;
const TAG: usize = 16;
const NOISE: usize = 32 + TAG;

/// What a message was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Keeping the ring.
    Upkeep,
    /// Finding somebody.
    Search,
    /// Putting and refreshing records.
    Records,
    /// Handing records over and restoring replicas.
    Repair,
}

/// How many messages there were and how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// Datagrams.
    pub messages: u64,
    /// Bytes, headers of IP and UDP counted.
    pub bytes: u64,
}

impl Sum {
    /// What came since an earlier reading.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self { messages: self.messages - earlier.messages, bytes: self.bytes - earlier.bytes }
    }
}

/// All that was sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bill {
    sums: [Sum; 4],
}

impl Bill {
    /// What was sent for one purpose.
    #[must_use]
    pub const fn of(&self, purpose: Purpose) -> Sum {
        self.sums[purpose as usize]
    }

    /// Adds messages.
    pub const fn add(&mut self, purpose: Purpose, messages: u64, bytes: u64) {
        let sum = &mut self.sums[purpose as usize];
        sum.messages += messages;
        sum.bytes += bytes;
    }

    /// A question was answered; it was sent `tries` times.
    pub fn answered(
        &mut self,
        purpose: Purpose,
        begins: bool,
        tries: u64,
        question: usize,
        answer: usize,
    ) {
        let (asked, said) = exchange(begins, question, answer);
        self.add(purpose, tries + 1, tries * asked as u64 + said as u64);
    }

    /// A question was not answered.
    pub fn silent(&mut self, purpose: Purpose, tries: u64, question: usize) {
        let (asked, _) = exchange(true, question, question);
        self.add(purpose, tries, tries * asked as u64);
    }
}

/// Bytes of a question and of its answer.
fn exchange(begins: bool, question: usize, answer: usize) -> (usize, usize) {
    let more = answer.saturating_sub(1) / ANSWER_MAX;
    let in_session = |bytes: usize| UDP + SESSION_QUESTION_HEADER + TAG + bytes;
    let answer_in_session = |bytes: usize| UDP + SESSION_ANSWER_HEADER + FIT + TAG + bytes;
    let rest = more * in_session(question);
    let rest_answer = answer_in_session(0) * more;
    if begins {
        let said = UDP + ANSWER_HEADER + NOISE + FIT + answer.min(ANSWER_MAX);
        let asked = (UDP + QUESTION_HEADER + NOISE + LENGTH + question).max(said);
        (asked + rest, said + rest_answer + answer.saturating_sub(ANSWER_MAX))
    } else {
        (in_session(question) + rest, answer_in_session(answer) + rest_answer)
    }
}

/// With whom a node has a session, and until when.
#[derive(Debug, Default)]
pub struct Sessions {
    kept: Vec<(u32, u32)>,
}

impl Sessions {
    /// An exchange with that node; answers whether a session begins with it.
    pub fn exchange(&mut self, now: Moment, with: u32) -> bool {
        let now = (now / super::queue::SECOND) as u32;
        let ends = now + SESSION_LIFE.as_secs() as u32;
        match self.kept.iter().position(|(node, _)| *node == with) {
            Some(at) if self.kept[at].1 > now => false,
            Some(at) => {
                self.kept[at].1 = ends;
                true
            }
            None => {
                if self.kept.len() == self.kept.capacity() {
                    self.kept.retain(|(_, ends)| *ends > now);
                }
                self.kept.push((with, ends));
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_saves_the_padding_until_it_ends() {
        let mut sessions = Sessions::default();
        let second = super::super::queue::SECOND;
        assert!(sessions.exchange(0, 7));
        assert!(!sessions.exchange(599 * second, 7));
        assert!(sessions.exchange(600 * second, 7));
        assert_eq!(exchange(true, 24, 600), (686, 686));
        assert_eq!(exchange(false, 24, 600), (87, 671));
        let (asked, said) = exchange(false, 24, ANSWER_MAX + 1);
        assert_eq!((asked, said), (2 * 87, 2 * 71 + ANSWER_MAX + 1), "two answers, two questions");
    }
}
