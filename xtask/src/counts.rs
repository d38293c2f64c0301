//! `tests/counts.toml`: for each family the least number of tests that must run.
//!
//! A test that silently stops running is worse than one that fails. Whoever adds tests raises the
//! number; whoever removes some says why in the commit that lowers it.

use std::collections::BTreeMap;
use std::path::Path;

use crate::stop::Stop;

/// Where the numbers are kept, from the root.
pub(crate) const FILE: &str = "tests/counts.toml";

#[derive(Debug)]
pub(crate) struct Counts(BTreeMap<String, usize>);

impl Counts {
    pub(crate) fn read(root: &Path) -> Result<Self, Stop> {
        let text = std::fs::read_to_string(root.join(FILE))
            .map_err(|error| Stop::check(format!("{FILE} could not be read: {error}")))?;
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self, Stop> {
        let lines = text.lines().map(str::trim);
        let entries = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        let read = entries.map(|line| {
            let pair = line.split_once('=').and_then(|(name, number)| {
                Some((name.trim().to_string(), number.trim().parse().ok()?))
            });
            pair.ok_or_else(|| Stop::check(format!("{FILE}: `{line}` is not `family = number`")))
        });
        read.collect::<Result<_, _>>().map(Self)
    }

    /// The least count of a family.
    pub(crate) fn least(&self, family: &str) -> Option<usize> {
        self.0.get(family).copied()
    }

    pub(crate) fn families(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Whether so many are enough; if not, the reason.
    pub(crate) fn judge(&self, family: &str, ran: usize) -> Result<(), String> {
        match self.least(family) {
            None => Err(format!("{FILE} has no line `{family} = {ran}`")),
            Some(least) if ran < least => Err(format!(
                "only {ran} ran, and {FILE} asks for {least}: either tests stopped running, or \
                 some were removed and the number was not lowered with them"
            )),
            Some(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_tests_than_kept_fail_and_more_are_fine() {
        let counts = Counts::parse("# least\nunit = 3\n").unwrap();
        assert!(counts.judge("unit", 2).unwrap_err().contains("only 2 ran"));
        assert_eq!(counts.judge("unit", 3), Ok(()));
        assert_eq!(counts.judge("unit", 4), Ok(()));
        assert!(counts.judge("sim", 4).unwrap_err().contains("sim = 4"));
    }

    #[test]
    fn a_line_that_is_no_count_is_refused() {
        assert!(Counts::parse("unit 3").is_err());
        assert!(Counts::parse("unit = many").is_err());
    }
}
