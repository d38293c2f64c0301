//! What the benches are asked to do.

use std::path::PathBuf;

/// Usage, for people.
pub const USAGE: &str = "bench [sound|idle|app|ring|load|lookup|crowd|relay …] [--out DIR]";

/// One bench.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// A voice from sender to receiver, judged by what nobody here wrote.
    Sound,
    /// What a peer costs that does nothing.
    Idle,
    /// What the window costs.
    App,
    /// How well and how cheaply super-peers find anybody.
    Ring,
    /// What that costs a peer in a day, and a super-peer for each client.
    Load,
    /// How soon people find each other through real ones.
    Lookup,
    /// Whether many real processes find each other, also when a third of the super-peers dies.
    Crowd,
    /// What relaying costs, beside coturn.
    Relay,
}

impl Name {
    /// All of them, in the order in which they run.
    pub const ALL: [Self; 8] = [
        Self::Sound,
        Self::Idle,
        Self::App,
        Self::Ring,
        Self::Load,
        Self::Lookup,
        Self::Crowd,
        Self::Relay,
    ];

    /// As on the command line, and before the first dot of its figures.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Sound => "sound",
            Self::Idle => "idle",
            Self::App => "app",
            Self::Ring => "ring",
            Self::Load => "load",
            Self::Lookup => "lookup",
            Self::Crowd => "crowd",
            Self::Relay => "relay",
        }
    }
}

/// One run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where the samples are left; a new directory among the temporary ones if absent.
    pub out: Option<PathBuf>,
    /// What to measure.
    pub names: Vec<Name>,
}

impl Options {
    /// Reads a command line without the program's name. Who names nothing means all.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut arguments = arguments.into_iter();
        let mut options = Self { out: None, names: Vec::new() };
        while let Some(argument) = arguments.next() {
            if argument == "--out" {
                let value = arguments.next().ok_or("--out needs a value")?;
                options.out = Some(value.into());
                continue;
            }
            let found = Name::ALL.into_iter().find(|name| name.text() == argument);
            options.names.push(found.ok_or_else(|| format!("`{argument}` is unknown"))?);
        }
        if options.names.is_empty() {
            options.names = Name::ALL.to_vec();
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn benches_are_named_or_all_are_meant() {
        let options = parse("idle --out /o sound").unwrap();
        assert_eq!(options.names, [Name::Idle, Name::Sound]);
        assert_eq!(options.out, Some("/o".into()));
        assert_eq!(parse("").unwrap().names, Name::ALL);
    }

    #[test]
    fn an_unknown_bench_and_a_missing_value_are_refused() {
        for line in ["sounds", "--out", "--fast"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
