//! The verbs that build a program of the workspace and then become it.

use std::path::Path;
use std::process::Command;

use crate::app;
use crate::metadata::Metadata;
use crate::package::Purpose;
use crate::setup;
use crate::stop::Stop;
use crate::workspace::cargo;

/// A verb of the same name as the program that it runs.
pub(crate) struct Program {
    pub(crate) verb: &'static str,
    pub(crate) what: &'static str,
    needs: &'static [Purpose],
    build: Build,
}

/// How it is built.
enum Build {
    /// Optimised, and `earshotd` with it, whose path it finds in the variable `EARSHOTD`.
    ReleaseWithDaemon,
    /// Optimised, alone.
    Release,
    /// As tests are.
    Everyday,
}

#[rustfmt::skip]
pub(crate) const PROGRAMS: &[Program] = &[
    Program { verb: "demo", what: "two people find each other, write and talk, as real processes", needs: &[Purpose::Build, Purpose::Speech], build: Build::ReleaseWithDaemon },
    Program { verb: "bench", what: "the figures of docs/figures.md", needs: &[Purpose::Build, Purpose::Speech, Purpose::Python], build: Build::ReleaseWithDaemon },
    Program { verb: "sim", what: "long runs of the simulator", needs: &[Purpose::Build], build: Build::Release },
    Program { verb: "netlab", what: "calls between homes behind every kind of NAT, and what they survive", needs: &[Purpose::Build, Purpose::Netlab], build: Build::ReleaseWithDaemon },
    Program { verb: "bindings", what: "writes docs/rpc.md, its schema and the window's types [--check]", needs: &[Purpose::Build], build: Build::Everyday },
];

/// The programs that this workspace has; a verb whose program is not written does not exist.
pub(crate) fn present(metadata: &Metadata) -> impl Iterator<Item = &'static Program> {
    PROGRAMS.iter().filter(|program| metadata.has_target("bin", program.verb))
}

/// Sets up, builds and runs the program; on Unix this process becomes it.
pub(crate) fn run(
    root: &Path,
    metadata: &Metadata,
    program: &Program,
    arguments: &[String],
) -> Result<(), Stop> {
    setup::install(program.needs)?;
    let with_app = program.verb == "bench" && measures_the_app(arguments);
    if with_app {
        app::pages_can_be_built()?;
        setup::install(&[Purpose::Window, Purpose::WindowTests, Purpose::SoundServer])?;
    }
    let mut build = vec!["build", "--locked", "--workspace", "--bin", program.verb];
    let profile = match program.build {
        Build::ReleaseWithDaemon => {
            build.extend(["--release", "--bin", "earshotd"]);
            "release"
        }
        Build::Release => {
            build.push("--release");
            "release"
        }
        Build::Everyday => "debug",
    };
    if with_app {
        build.extend(app::PROGRAMS.iter().flat_map(|program| ["--bin", program]));
    }
    let built = cargo(root, &build).status();
    if !built.is_ok_and(|status| status.success()) {
        return Err(Stop::check(format!("{} could not be built", program.verb)));
    }
    let mut command = Command::new(metadata.built(profile, program.verb));
    command.args(arguments).env("EARSHOTD", metadata.built(profile, "earshotd"));
    command.env("EARSHOT_APP", metadata.built(profile, app::PROGRAMS[0]));
    become_it(&mut command)
}

/// Whether a bench is asked for that starts the app: by its name, or as all are.
fn measures_the_app(arguments: &[String]) -> bool {
    let pairs = arguments.iter().zip([""].into_iter().chain(arguments.iter().map(String::as_str)));
    let named: Vec<&String> = pairs
        .filter(|(argument, before)| *before != "--out" && *argument != "--out")
        .map(|(argument, _)| argument)
        .collect();
    named.is_empty() || named.iter().any(|name| *name == "app")
}

#[cfg(unix)]
pub(crate) fn become_it(command: &mut Command) -> Result<(), Stop> {
    use std::os::unix::process::CommandExt;
    let error = command.exec();
    Err(Stop::check(format!("{} could not be started: {error}", command.get_program().display())))
}

#[cfg(not(unix))]
pub(crate) fn become_it(command: &mut Command) -> Result<(), Stop> {
    match command.status() {
        Ok(status) => std::process::exit(status.code().unwrap_or(1)),
        Err(error) => Err(Stop::check(error.to_string())),
    }
}
