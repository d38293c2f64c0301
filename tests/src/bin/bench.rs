//! The benches: figures of sound, of a peer at rest and of the relay. See
//! [`earshot_tests::bench`].

use std::process::ExitCode;

use earshot_tests::bench::options::{Options, USAGE};
use earshot_tests::bench::{people, run};
use earshot_tests::demo::Ending;
use earshot_tests::report::Report;

/// The command line says nothing that we know. INTERFACES 1.
const EXIT_USAGE: u8 = 64;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(("people", arguments)) = arguments.split_first().map(|(a, rest)| (&**a, rest)) {
        return match people::run(arguments) {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => {
                eprintln!("{why}");
                ExitCode::FAILURE
            }
        };
    }
    let options = match Options::parse(arguments) {
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
