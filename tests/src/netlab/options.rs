//! What the laboratory is asked to do.

use std::path::PathBuf;
use std::time::Duration;

use super::kind::{self, KINDS, Kind};
use super::line::Line;
use super::matrix::CORE;
use super::stories::Story;

/// Usage, for people.
pub const USAGE: &str = "\
netlab [--probe | --core | --pairs CALLER,CALLEE … | --story NAME …] [--repeat N] [--jobs N]
       [--line delay=MS,jitter=MS,loss=PERMILLE,rate=KBPS] [--far MS] [--out DIR]";

/// Calls at once, unless told: as many as a small machine has cores.
const JOBS: usize = 2;

/// A caller's kind and a callee's.
pub type Pair = (&'static Kind, &'static Kind);

/// One run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Who calls whom.
    pub pairs: Vec<Pair>,
    /// What is survived.
    pub stories: Vec<Story>,
    /// How often every pair calls.
    pub repeat: u32,
    /// Calls at once.
    pub jobs: usize,
    /// How good the homes' lines are.
    pub line: Line,
    /// How far away all super-peers but the first are, one way.
    pub far: Duration,
    /// Where everything is left; a new directory among the temporary ones if absent.
    pub out: Option<PathBuf>,
    /// The NATs are looked at and nobody calls.
    pub probe_only: bool,
}

impl Options {
    /// Reads a command line without the program's name. Without a choice it is everything.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut arguments = arguments.into_iter().peekable();
        let mut options = Self {
            pairs: Vec::new(),
            stories: Vec::new(),
            repeat: 1,
            jobs: JOBS,
            line: Line::default(),
            far: Duration::ZERO,
            out: None,
            probe_only: false,
        };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--probe" => options.probe_only = true,
                "--core" => options.pairs.extend(core()?),
                "--repeat" => options.repeat = count(&value()?)?,
                "--jobs" => options.jobs = count(&value()?)? as usize,
                "--line" => options.line = Line::parse(&value()?)?,
                "--far" => options.far = Duration::from_millis(count(&value()?)?.into()),
                "--out" => options.out = Some(value()?.into()),
                "--pairs" => {
                    options.pairs.push(pair(&value()?)?);
                    while let Some(more) = arguments.next_if(|next| !next.starts_with("--")) {
                        options.pairs.push(pair(&more)?);
                    }
                }
                "--story" => {
                    options.stories.push(Story::named(&value()?)?);
                    while let Some(more) = arguments.next_if(|next| !next.starts_with("--")) {
                        options.stories.push(Story::named(&more)?);
                    }
                }
                _ => return Err(format!("`{argument}` is unknown")),
            }
        }
        if options.pairs.is_empty() && options.stories.is_empty() && !options.probe_only {
            options.pairs = every_pair();
            options.stories = Story::ALL.to_vec();
        }
        Ok(options)
    }

    /// The kinds of homes that must be built for it.
    #[must_use]
    pub fn kinds(&self) -> Vec<&'static Kind> {
        let asked = |kind: &&'static Kind| {
            let calls = self.pairs.iter().any(|(one, other)| *one == *kind || *other == *kind);
            let lives = self.stories.iter().any(|story| story.kinds().contains(&kind.name));
            self.probe_only || calls || lives
        };
        KINDS.iter().filter(asked).collect()
    }
}

fn every_pair() -> Vec<Pair> {
    KINDS.iter().flat_map(|caller| KINDS.iter().map(move |callee| (caller, callee))).collect()
}

fn core() -> Result<Vec<Pair>, String> {
    CORE.iter().map(|names| pair(names)).collect()
}

fn pair(text: &str) -> Result<Pair, String> {
    let known = || KINDS.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", ");
    let find = |name: &str| {
        kind::named(name).ok_or_else(|| format!("`{name}` is no kind of home: {}", known()))
    };
    let (caller, callee) = text.split_once(',').ok_or(format!("`{text}` is no CALLER,CALLEE"))?;
    Ok((find(caller)?, find(callee)?))
}

fn count(text: &str) -> Result<u32, String> {
    text.parse().ok().filter(|n| *n > 0).ok_or_else(|| format!("`{text}` is no number above 0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn without_a_choice_it_is_every_ordered_pair_and_every_story() {
        let options = parse("").unwrap();
        assert_eq!(options.pairs.len(), KINDS.len() * KINDS.len());
        assert_eq!((options.repeat, options.stories.len()), (1, Story::ALL.len()));
        assert_eq!(options.kinds().len(), KINDS.len());
    }

    #[test]
    fn pairs_and_stories_are_chosen_by_name() {
        let options =
            parse("--pairs public,symmetric symmetric,public --repeat 3 --out /o").unwrap();
        assert_eq!((options.pairs.len(), options.repeat), (2, 3));
        assert_eq!(options.kinds().len(), 2);
        assert!(options.stories.is_empty());
        let options = parse("--story nat_reboot --line loss=10 --far 40").unwrap();
        assert_eq!((options.stories.len(), options.line.loss_permille), (1, 10));
        assert_eq!(options.far, Duration::from_millis(40));
        assert!(parse("--core").unwrap().pairs.len() >= 12, "the core dozen");
        assert_eq!(parse("--probe").unwrap().kinds().len(), KINDS.len());
    }

    #[test]
    fn anything_else_is_refused() {
        for line in
            ["x", "--out", "--pairs public", "--pairs a,b", "--repeat 0", "--far 0", "--story none"]
        {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
