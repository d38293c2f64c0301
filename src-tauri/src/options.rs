//! The command line of the app, and what its environment says.

use std::ffi::OsString;
use std::path::PathBuf;

use earshot_node::api::session::OwnPresence;
use tracing::level_filters::LevelFilter;

use crate::desk::Action;
use crate::link::Link;

/// Usage, for people.
pub const USAGE: &str = "\
earshot [--data-dir DIR] [--hidden] [--log LEVEL] [LINK]
earshot [--data-dir DIR] --do ACTION
earshot --version

  --data-dir DIR  where everything is kept; one Earshot runs on one directory
  --hidden        begin in the tray
  --log LEVEL     off, error, warn (as usual), info, debug or trace; to stderr
  LINK            earshot:…; it fills a form and does nothing by itself
  --do ACTION     tell the Earshot that runs: open, answer, decline, mute, unmute, hang-up, quit,
                  online, away, do-not-disturb, invisible

tests only: --listen IP:PORT, --ice-loopback
";

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Invocation {
    /// To run, or to tell the one that runs.
    Run(Options),
    /// To say the version.
    Version,
    /// To say the usage.
    Help,
}

/// How to run.
#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    /// Where everything is kept; absent, where the system keeps such things.
    pub data_dir: Option<PathBuf>,
    /// Whether to begin without the window.
    pub hidden: bool,
    /// What is logged.
    pub log: LevelFilter,
    /// A link that was clicked.
    pub link: Option<Link>,
    /// What the one that runs is to do.
    pub action: Option<Action>,
    /// Tests only: where the node listens.
    pub listen: Option<std::net::SocketAddr>,
    /// Tests only: loopback addresses are candidates.
    pub ice_loopback: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            data_dir: None,
            hidden: false,
            log: LevelFilter::WARN,
            link: None,
            action: None,
            listen: None,
            ice_loopback: false,
        }
    }
}

/// Reads the arguments after the program's name.
///
/// # Errors
/// What is wrong with them.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Invocation, String> {
    let mut arguments = arguments.into_iter();
    let mut options = Options::default();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{} needs a value", argument.display()));
        match argument.to_str() {
            Some("--version") => return Ok(Invocation::Version),
            Some("--help" | "-h") => return Ok(Invocation::Help),
            Some("--data-dir") => options.data_dir = Some(value()?.into()),
            Some("--hidden") => options.hidden = true,
            Some("--do") => options.action = Some(action(&value()?.to_string_lossy())?),
            Some("--log") => {
                let level = value()?.to_string_lossy().parse();
                options.log = level.map_err(|_| "--log needs a level")?;
            }
            Some("--listen") => {
                let address = value()?.to_string_lossy().parse();
                options.listen = Some(address.map_err(|_| "--listen needs IP:PORT")?);
            }
            Some("--ice-loopback") => options.ice_loopback = true,
            Some(text) if options.link.is_none() && !text.starts_with('-') => {
                let link = Link::try_from(text.to_owned()).map_err(|e| format!("`{text}`: {e}"))?;
                options.link = Some(link);
            }
            Some(_) | None => return Err(format!("`{}` is unknown", argument.display())),
        }
    }
    Ok(Invocation::Run(options))
}

fn action(name: &str) -> Result<Action, String> {
    Ok(match name {
        "open" => Action::Open,
        "answer" => Action::Answer,
        "decline" => Action::Decline,
        "mute" => Action::Mute,
        "unmute" => Action::Unmute,
        "hang-up" => Action::HangUp,
        "quit" => Action::Quit,
        "online" => Action::Presence(OwnPresence::Online),
        "away" => Action::Presence(OwnPresence::Away),
        "do-not-disturb" => Action::Presence(OwnPresence::DoNotDisturb),
        "invisible" => Action::Presence(OwnPresence::Invisible),
        _ => return Err(format!("--do does not know `{name}`")),
    })
}

/// An environment variable; one that is empty says nothing.
#[must_use]
pub fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Invocation, String> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn every_word_of_the_usage_is_understood() {
        let options = Options {
            data_dir: Some("d".into()),
            hidden: true,
            link: Link::try_from("earshot:add/anna".to_owned()).ok(),
            ..Options::default()
        };
        let wanted = Ok(Invocation::Run(options));
        assert_eq!(read("--data-dir d --hidden earshot:add/anna"), wanted);
        assert_eq!(read("--version"), Ok(Invocation::Version));
        let actions = USAGE.split_once("runs: ").and_then(|(_, rest)| rest.split_once("\n\n"));
        let (actions, _) = actions.expect("the usage tells the actions");
        for name in actions.split([',', ' ', '\n']).filter(|name| !name.is_empty()) {
            assert!(action(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for line in ["--fast", "https://example.org", "--do", "--do nothing", "--listen x"] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
