//! The network laboratory. See [`earshot_tests::netlab`].

use std::process::ExitCode;

use earshot_tests::netlab::options::{Options, USAGE};
use earshot_tests::netlab::{Ending, run};
use earshot_tests::report::Report;

/// The command line says nothing that we know. INTERFACES 1.
const EXIT_USAGE: u8 = 64;

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(why) => {
            eprintln!("{why}\n{USAGE}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let ending = run(&options, &mut Report::to_stdout());
    match &ending {
        Ending::Held => eprintln!("All checks held."),
        Ending::Failed(first) => eprintln!("A check failed first of all: {first}"),
        Ending::CannotBegin(why) => eprintln!("{why}"),
    }
    ExitCode::from(ending.code())
}
