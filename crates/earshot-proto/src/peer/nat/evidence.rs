//! What a measurement's answers and silences say. RFC 5780, sections 4.3 and 4.4.
//!
//! Invariant: nothing is concluded from an answer that is missing, but that a filter held it back;
//! and that only where answers of the same places got through besides.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::verdict::{Filtering, Mapping};

/// Plain questions that must be answered while nothing answers the others, of five. Our choice:
/// most of them, so that no outage is taken for a filter.
const PULSES_NEEDED: usize = 3;

/// The questions; each is asked once, and repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Test {
    /// Test I of both sections: the server.
    Reach,
    /// Section 4.4, test II: the partner shall answer, from its other port.
    ChangeBoth,
    /// Section 4.4, test III: the server shall, from its other port.
    ChangePort,
    /// Along with both, the server: whether anything gets through meanwhile, and whether we are
    /// seen where we were.
    Pulse,
    /// Section 4.3, test II: the partner, at the server's port.
    OtherAddress,
    /// Section 4.3, test III: the partner, at the other port. It also shows that it answers from
    /// there.
    OtherPort,
    /// Whether the server answers from its other port.
    OwnPort,
    /// The partner shall answer once more, whom the NAT lets in by now.
    Proof,
}

/// What came of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// An answer, and where we were seen.
    Seen(SocketAddr),
    /// An answer that says nothing.
    Unclear,
    /// None.
    Silent,
}

/// What came of all questions so far.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    outcomes: BTreeMap<Test, Outcome>,
    /// Pulses that were answered, and how many had been sent at the last answer.
    pulses: (usize, usize),
}

impl Evidence {
    pub(super) fn hear(&mut self, test: Test, outcome: Outcome) {
        self.outcomes.insert(test, outcome);
    }

    /// A pulse was answered after so many had been sent; each counts once.
    pub(super) fn pulse(&mut self, outcome: Outcome, sent: usize) {
        let (answered, before) = self.pulses;
        if before < sent {
            self.pulses = (answered + 1, sent);
            self.outcomes.insert(Test::Pulse, outcome);
        }
    }

    /// Where we were seen last.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.seen(Test::Pulse).or(self.seen(Test::Reach))
    }

    pub(super) fn seen(&self, test: Test) -> Option<SocketAddr> {
        match self.outcomes.get(&test)? {
            Outcome::Seen(address) => Some(*address),
            Outcome::Unclear | Outcome::Silent => None,
        }
    }

    pub(super) fn is_silent(&self, test: Test) -> bool {
        self.outcomes.get(&test) == Some(&Outcome::Silent)
    }

    /// Section 4.3; none where an answer is missing, or where we are seen elsewhere than before.
    pub(super) fn mapping(&self) -> Option<Mapping> {
        let first = self.seen(Test::Reach)?;
        let second = self.seen(Test::OtherAddress)?;
        if self.has_moved() {
            None
        } else if second == first {
            Some(Mapping::EndpointIndependent)
        } else if self.seen(Test::OtherPort)? == second {
            Some(Mapping::AddressDependent)
        } else {
            Some(Mapping::AddressAndPortDependent)
        }
    }

    /// Section 4.4, if all silence were the NAT's while the server answers.
    pub(super) fn seeming_filtering(&self) -> Option<Filtering> {
        let (answered, _) = self.pulses;
        if self.seen(Test::ChangeBoth).is_some() {
            Some(Filtering::EndpointIndependent)
        } else if answered < PULSES_NEEDED || self.has_moved() {
            None
        } else if self.is_silent(Test::ChangePort) {
            Some(Filtering::AddressAndPortDependent)
        } else if self.is_silent(Test::ChangeBoth) && self.seen(Test::ChangePort).is_some() {
            Some(Filtering::AddressDependent)
        } else {
            None
        }
    }

    /// Section 4.4, where the silence is the NAT's.
    pub(super) fn filtering(&self) -> Option<Filtering> {
        let seeming = self.seeming_filtering()?;
        let is_proven = match seeming {
            Filtering::EndpointIndependent => true,
            Filtering::AddressDependent => match self.mapping() {
                Some(Mapping::EndpointIndependent) => self.seen(Test::Proof).is_some(),
                // Other places see another port of ours, which nothing opens to the partner.
                Some(Mapping::AddressDependent | Mapping::AddressAndPortDependent) => {
                    self.seen(Test::OtherPort).is_some()
                }
                None => false,
            },
            Filtering::AddressAndPortDependent => self.seen(Test::OwnPort).is_some(),
        };
        is_proven.then_some(seeming)
    }

    /// We are seen elsewhere than at the beginning: the network changed in between.
    fn has_moved(&self) -> bool {
        self.seen(Test::Pulse).is_some_and(|pulse| Some(pulse) != self.seen(Test::Reach))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pulse_that_is_answered_twice_is_one() {
        let home = "203.0.113.7:40001".parse().unwrap();
        let mut evidence = Evidence::default();
        evidence.hear(Test::Reach, Outcome::Seen(home));
        evidence.hear(Test::ChangeBoth, Outcome::Silent);
        evidence.hear(Test::ChangePort, Outcome::Silent);
        for sent in [1, 1, 1, 2, 2] {
            evidence.pulse(Outcome::Seen(home), sent);
            assert_eq!(evidence.seeming_filtering(), None);
        }
        evidence.pulse(Outcome::Seen(home), 5);
        let strict = Some(Filtering::AddressAndPortDependent);
        assert_eq!(evidence.seeming_filtering(), strict);
        assert_eq!(evidence.filtering(), None);
        evidence.hear(Test::OwnPort, Outcome::Seen(home));
        assert_eq!(evidence.filtering(), strict);
    }

    #[test]
    fn who_is_seen_elsewhere_in_between_concludes_nothing() {
        let at = |port| Outcome::Seen(SocketAddr::new([203, 0, 113, 7].into(), port));
        let mut evidence = Evidence::default();
        evidence.hear(Test::Reach, at(1));
        evidence.hear(Test::ChangeBoth, Outcome::Silent);
        evidence.hear(Test::ChangePort, Outcome::Silent);
        (1..=5).for_each(|sent| evidence.pulse(at(2), sent));
        evidence.hear(Test::OtherAddress, at(2));
        evidence.hear(Test::OtherPort, at(2));
        evidence.hear(Test::OwnPort, at(2));
        assert_eq!((evidence.mapping(), evidence.filtering()), (None, None));
    }
}
