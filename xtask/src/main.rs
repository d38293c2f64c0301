//! Set-up, build and start: what `./x` runs.
//!
//! Depends on the standard library alone and on no crate of ours, so that the first command on a
//! fresh machine answers within seconds and works even while the rest does not compile.

mod app;
mod counts;
mod family;
mod json;
mod metadata;
mod package;
mod pages;
mod proving;
mod setup;
mod stop;
mod test;
mod tidy;
mod verb;
mod workspace;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match verb::run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(stop) => {
            eprintln!("{stop}");
            ExitCode::from(stop.code())
        }
    }
}
