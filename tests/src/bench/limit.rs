//! What a figure must keep to.

use std::io::Write;

use crate::report::{Outcome, Report, decimal};

/// A check on one figure.
#[derive(Debug)]
pub(super) struct Limit {
    name: &'static str,
    bound: Bound,
}

#[derive(Debug)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Limit {
    pub(super) const fn at_most(name: &'static str, most: f64) -> Self {
        Self { name, bound: Bound::AtMost(most) }
    }

    pub(super) const fn at_least(name: &'static str, least: f64) -> Self {
        Self { name, bound: Bound::AtLeast(least) }
    }

    /// The check's name.
    pub(super) const fn name(&self) -> &'static str {
        self.name
    }

    /// Checks it; what was not measured fails.
    pub(super) fn check<W: Write>(&self, report: &mut Report<W>, got: Option<f64>) {
        let (held, wanted) = match self.bound {
            Bound::AtMost(most) => (got.is_some_and(|got| got <= most), format!("<={most}")),
            Bound::AtLeast(least) => (got.is_some_and(|got| got >= least), format!(">={least}")),
        };
        let got = got.map_or_else(|| "nothing".to_owned(), decimal);
        report.check(self.name, Outcome::of(held), &wanted, &got);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_holds_on_its_own_side_and_never_for_nothing() {
        let (most, least) = (Limit::at_most("a", 12.0), Limit::at_least("b", 4.2));
        let mut report = Report::new(Vec::new());
        most.check(&mut report, Some(12.0));
        least.check(&mut report, Some(4.2));
        assert_eq!(report.failed(), [""; 0]);
        most.check(&mut report, Some(12.1));
        least.check(&mut report, Some(4.1));
        most.check(&mut report, None);
        assert_eq!(report.failed(), ["a", "b", "a"]);
    }
}
