//! The verbs of `./x`, from arguments to work.

use std::path::Path;

use crate::app;
use crate::metadata::Metadata;
use crate::package::EVERYTHING;
use crate::proving;
use crate::setup;
use crate::stop::Stop;
use crate::test;
use crate::tidy;
use crate::workspace::root;

pub(crate) fn run(arguments: &[String]) -> Result<(), Stop> {
    let root = root();
    let Some((verb, rest)) = arguments.split_first() else { return Err(usage(&root)) };
    let flags: Vec<&str> = rest.iter().map(String::as_str).collect();
    match (verb.as_str(), flags.as_slice()) {
        ("help" | "--help" | "-h", []) => {
            eprintln!("{}", usage(&root));
            Ok(())
        }
        ("setup", []) => setup::install(EVERYTHING),
        ("setup", ["--print"]) => setup::print(EVERYTHING),
        ("test", ["--list"]) => test::list(&root),
        ("test", _) => test::run(&root, rest),
        ("tidy", []) => tidy::run(&root).map(drop).map_err(Stop::Check),
        ("tidy", ["--self-test"]) => {
            tidy::run(&root).and_then(|_| tidy::self_test(&root)).map(drop).map_err(Stop::Check)
        }
        ("run", []) => app::run(&root),
        _ => program(&root, verb, rest),
    }
}

fn program(root: &Path, verb: &str, arguments: &[String]) -> Result<(), Stop> {
    let metadata = Metadata::read(root)?;
    let found = proving::present(&metadata).find(|program| program.verb == verb);
    let program = found.ok_or_else(|| usage(root))?;
    proving::run(root, &metadata, program, arguments)
}

fn usage(root: &Path) -> Stop {
    let mut lines = vec![
        ("run", "Earshot itself; where there is no display, its demo"),
        ("test [FAMILY…] [--list]", "everything that must hold, or some families of it"),
        ("setup [--print]", "install the system packages that are missing, or show how"),
        ("tidy [--self-test]", "our own rules, or a proof that each catches a violation"),
    ];
    let metadata = Metadata::read(root);
    let programs = metadata.iter().flat_map(proving::present);
    lines.extend(programs.map(|program| (program.verb, program.what)));
    let lines: Vec<String> =
        lines.iter().map(|(verb, what)| format!("  ./x {verb:<24} {what}")).collect();
    Stop::Usage(format!("Earshot: set-up, build and start.\n\n{}", lines.join("\n")))
}
