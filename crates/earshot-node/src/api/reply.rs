//! The answer that a question waits for.
//!
//! Invariant: every question is answered exactly once. Whoever drops a reply without answering has
//! said that the node is leaving.

use std::fmt;

use super::errors::ErrorCode;
use super::failure::Failure;

type Deliver<A> = Box<dyn FnOnce(Result<A, Failure>) + Send>;

/// Where the answer to one question goes.
pub struct Reply<A>(Option<Deliver<A>>);

impl<A> Reply<A> {
    /// A reply that hands the answer to `deliver`, at once and in the caller's thread.
    pub fn new(deliver: impl FnOnce(Result<A, Failure>) + Send + 'static) -> Self {
        Self(Some(Box::new(deliver)))
    }

    /// Answers.
    pub fn answer(mut self, result: Result<A, Failure>) {
        if let Some(deliver) = self.0.take() {
            deliver(result);
        }
    }

    /// Grants what was asked.
    pub fn grant(self, answer: A) {
        self.answer(Ok(answer));
    }

    /// Says why not.
    pub fn refuse(self, why: impl Into<Failure>) {
        self.answer(Err(why.into()));
    }
}

impl<A> Drop for Reply<A> {
    fn drop(&mut self) {
        if let Some(deliver) = self.0.take() {
            deliver(Err(ErrorCode::Leaving.into()));
        }
    }
}

impl<A> fmt::Debug for Reply<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reply(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn a_dropped_question_is_answered_that_the_node_leaves() {
        let (sender, answers) = channel();
        drop(Reply::<u8>::new(move |result| drop(sender.send(result))));
        assert_eq!(answers.try_iter().collect::<Vec<_>>(), [Err(ErrorCode::Leaving.into())]);
    }

    #[test]
    fn a_question_is_answered_once() {
        let (sender, answers) = channel();
        Reply::new(move |result| drop(sender.send(result))).grant(7_u8);
        assert_eq!(answers.try_iter().collect::<Vec<_>>(), [Ok(7)]);
    }
}
