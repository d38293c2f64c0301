//! `setup`: installs the system packages that are missing, or says what to type.
//!
//! Never prompts: with root or password-less sudo it installs, else it prints the command and the
//! exit code is 2.

use std::process::{Command, Stdio};

use crate::package::{MANAGERS, Manager, NEEDS, Need, Purpose, find_program, succeeds};
use crate::stop::Stop;

/// Installs what is missing for these purposes.
pub(crate) fn install(purposes: &[Purpose]) -> Result<(), Stop> {
    let Some(plan) = Plan::new(purposes)? else { return Ok(()) };
    let Some(shell) = root_shell() else {
        return Err(plan.stop("Some system packages are missing, and they need root to install."));
    };
    for command in &plan.commands {
        eprintln!("Installing: {command}");
        let (program, arguments) = shell.split_first().expect("a root shell has a program");
        let status = Command::new(program)
            .args(arguments)
            .arg(format!("{command} >&2"))
            .stdin(Stdio::null())
            .status();
        if !status.is_ok_and(|status| status.success()) {
            return Err(plan.stop(&format!("`{command}` failed.")));
        }
    }
    match missing(purposes).as_slice() {
        [] => Ok(()),
        [first, ..] => {
            let why = format!("After installing, {:?} is still not to be found.", first.probe);
            Err(plan.stop(&why))
        }
    }
}

/// Prints on stdout what `install` would run, and installs nothing.
pub(crate) fn print(purposes: &[Purpose]) -> Result<(), Stop> {
    match Plan::new(purposes)? {
        Some(plan) => println!("{}", plan.typed()),
        None => eprintln!("Nothing is missing."),
    }
    Ok(())
}

struct Plan {
    commands: Vec<String>,
}

impl Plan {
    /// What to run; `None` where nothing is missing.
    fn new(purposes: &[Purpose]) -> Result<Option<Self>, Stop> {
        let missing = missing(purposes);
        if missing.is_empty() {
            return Ok(None);
        }
        let found = MANAGERS.iter().position(|manager| find_program(manager.program).is_some());
        let Some(index) = found else {
            let names: Vec<&str> = missing.iter().map(|need| need.packages[0]).collect();
            return Err(Stop::SetUp {
                why: "No package manager was found that xtask knows.".into(),
                command: format!("(install by hand) {}", names.join(" ")),
            });
        };
        Ok(Some(Self { commands: commands(&MANAGERS[index], index, &missing) }))
    }

    /// The commands for a person's terminal.
    fn typed(&self) -> String {
        format!("sudo sh -c '{}'", self.commands.join(" && "))
    }

    fn stop(&self, why: &str) -> Stop {
        Stop::SetUp { why: why.into(), command: self.typed() }
    }
}

fn commands(manager: &Manager, index: usize, missing: &[&Need]) -> Vec<String> {
    let mut packages: Vec<&str> = missing.iter().map(|need| need.packages[index]).collect();
    packages.sort_unstable();
    packages.dedup();
    let install = format!("{} {}", manager.install, packages.join(" "));
    manager.refresh.map(String::from).into_iter().chain([install]).collect()
}

fn missing(purposes: &[Purpose]) -> Vec<&'static Need> {
    let wanted = NEEDS.iter().filter(|need| purposes.contains(&need.purpose));
    wanted.filter(|need| !need.probe.holds()).collect()
}

/// The words before a command line that is to run as root without asking anybody.
fn root_shell() -> Option<&'static [&'static str]> {
    if is_root() {
        Some(&["sh", "-c"])
    } else if succeeds("sudo", &["-n", "true"]) {
        Some(&["sudo", "-n", "sh", "-c"])
    } else {
        None
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").stdin(Stdio::null()).output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_named_once_though_two_needs_ask_for_it() {
        let compilers: Vec<&Need> =
            NEEDS.iter().filter(|need| need.packages[0] == "build-essential").collect();
        assert!(compilers.len() > 1);
        let commands = commands(&MANAGERS[0], 0, &compilers);
        assert_eq!(commands[0], "apt-get update -q");
        assert!(commands[1].ends_with("--no-install-recommends build-essential"));
    }

    #[test]
    fn every_command_fits_between_single_quotes() {
        let every: Vec<&Need> = NEEDS.iter().collect();
        for (index, manager) in MANAGERS.iter().enumerate() {
            for command in commands(manager, index, &every) {
                assert!(!command.contains('\''), "{command}");
            }
        }
    }
}
