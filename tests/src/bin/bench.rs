//! The benches: figures of sound, of a peer at rest and of the relay. See
//! [`earshot_tests::bench`].

use std::process::ExitCode;

use earshot_tests::bench::options::{Options, USAGE};
use earshot_tests::bench::{people, run};
use earshot_tests::program::program;

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
    program(Options::parse(arguments), USAGE, run)
}
