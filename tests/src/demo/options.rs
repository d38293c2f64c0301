//! What the demo is asked to do.

use std::path::PathBuf;

use super::sabotage::Sabotage;

/// Usage, for people.
pub const USAGE: &str = "\
demo [--out DIR] [--relay-only] [--case direct|callee-super-peer|both-super-peers]
     [--speech WAV] [--seconds N] [--sabotage silence|swap-wav|drop-half|plain-relay|skip-ice]";

/// How long both speak, unless told: enough for ten windows after a pause for breath.
const SECONDS_DEFAULT: u32 = 12;
/// Below this there are no ten windows of speech; above it the recordings fill memories.
const SECONDS: std::ops::RangeInclusive<u32> = 5..=600;

/// One run of the demo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where everything is left; a new directory among the temporary ones if absent.
    pub out: Option<PathBuf>,
    /// Call through the relay only.
    pub relay_only: bool,
    /// Force one of the three ways of signaling.
    pub case: Option<Case>,
    /// A recording to speak, instead of the system's.
    pub speech: Option<PathBuf>,
    /// How long both speak.
    pub seconds: u32,
    /// Break one thing.
    pub sabotage: Option<Sabotage>,
}

/// The three ways of signaling (lecture, slide 32).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// The callee can be reached by anybody.
    Direct,
    /// The callee cannot, the caller can open connections.
    CalleeSuperPeer,
    /// The caller can open none but to its home.
    BothSuperPeers,
}

impl Case {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Direct, Self::CalleeSuperPeer, Self::BothSuperPeers];

    /// As on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::CalleeSuperPeer => "callee-super-peer",
            Self::BothSuperPeers => "both-super-peers",
        }
    }

    /// As in `callChanged`.
    #[must_use]
    pub const fn signaling(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::CalleeSuperPeer => "calleeSuperPeer",
            Self::BothSuperPeers => "bothSuperPeers",
        }
    }

    /// What caller and callee pretend, for `--pretend-reachability`.
    #[must_use]
    pub const fn reachability(self) -> [&'static str; 2] {
        match self {
            Self::Direct => ["natted", "public"],
            Self::CalleeSuperPeer => ["natted", "natted"],
            Self::BothSuperPeers => ["restricted", "natted"],
        }
    }
}

impl Options {
    /// Reads a command line without the program's name.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut arguments = arguments.into_iter();
        let mut options = Self {
            out: None,
            relay_only: false,
            case: None,
            speech: None,
            seconds: SECONDS_DEFAULT,
            sabotage: None,
        };
        while let Some(argument) = arguments.next() {
            if argument == "--relay-only" {
                options.relay_only = true;
                continue;
            }
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--out" => options.out = Some(value()?.into()),
                "--speech" => options.speech = Some(value()?.into()),
                "--case" => options.case = Some(named(&value()?, &Case::ALL, Case::name)?),
                "--sabotage" => {
                    let all = &Sabotage::ALL;
                    options.sabotage = Some(named(&value()?, all, Sabotage::name)?);
                }
                "--seconds" => {
                    let seconds = value()?.parse().ok().filter(|n| SECONDS.contains(n));
                    let range = format!("{} to {}", SECONDS.start(), SECONDS.end());
                    options.seconds = seconds.ok_or(format!("--seconds takes {range}"))?;
                }
                _ => return Err(format!("`{argument}` is unknown")),
            }
        }
        Ok(options)
    }

    /// Whether the call is to go through the relay.
    #[must_use]
    pub fn relayed(&self) -> bool {
        self.relay_only || self.sabotage == Some(Sabotage::PlainRelay)
    }
}

fn named<T: Copy>(name: &str, all: &[T], name_of: fn(T) -> &'static str) -> Result<T, String> {
    let names: Vec<&str> = all.iter().map(|one| name_of(*one)).collect();
    let found = all.iter().find(|one| name_of(**one) == name);
    found.copied().ok_or_else(|| format!("`{name}` is none of {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn every_option_of_the_interface_is_read() {
        let options = parse(
            "--out /o --relay-only --case both-super-peers --speech s.wav --seconds 7 \
             --sabotage drop-half",
        );
        let wanted = Options {
            out: Some("/o".into()),
            relay_only: true,
            case: Some(Case::BothSuperPeers),
            speech: Some("s.wav".into()),
            seconds: 7,
            sabotage: Some(Sabotage::DropHalf),
        };
        assert_eq!(options, Ok(wanted));
        assert_eq!(parse("").unwrap().seconds, 12);
        for sabotage in Sabotage::ALL {
            let line = format!("--sabotage {}", sabotage.name());
            assert_eq!(parse(&line).unwrap().sabotage, Some(sabotage));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for line in ["x", "--out", "--case", "--case none", "--seconds 1", "--sabotage noise"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_plain_relay_needs_a_relay() {
        assert!(parse("--sabotage plain-relay").unwrap().relayed());
        assert!(!parse("--sabotage silence").unwrap().relayed());
    }
}
