//! `run`: builds the app and becomes it; where there is no display, the demo.

use std::path::Path;
use std::process::Command;

use crate::metadata::Metadata;
use crate::package::{Purpose, find_program};
use crate::proving;
use crate::setup;
use crate::stop::Stop;
use crate::workspace::cargo;

/// The app: the program that people start, and its window, which lies beside it.
pub(crate) const PROGRAMS: [&str; 2] = ["earshot", "earshot-window"];
/// Who has no Node builds the pages elsewhere, and says so by this variable.
const PREBUILT: (&str, &str) = ("EARSHOT_UI", "prebuilt");

/// Sets up, builds and runs the app; on Unix this process becomes it.
pub(crate) fn run(root: &Path) -> Result<(), Stop> {
    let metadata = Metadata::read(root)?;
    if !has_display() {
        eprintln!("There is no display here, so this is the demo.");
        return demo(root, &metadata);
    }
    pages_can_be_built()?;
    setup::install(&[Purpose::Build, Purpose::Window])?;
    let programs = PROGRAMS.iter().flat_map(|program| ["--bin", program]);
    let build = ["build", "--locked", "--workspace", "--release"].into_iter().chain(programs);
    let built = cargo(root, &build.collect::<Vec<_>>()).status();
    if !built.is_ok_and(|status| status.success()) {
        return Err(Stop::check("The app could not be built"));
    }
    proving::become_it(&mut Command::new(metadata.built("release", PROGRAMS[0])))
}

fn demo(root: &Path, metadata: &Metadata) -> Result<(), Stop> {
    let demo = proving::present(metadata).find(|program| program.verb == "demo");
    let demo = demo.ok_or_else(|| Stop::check("There is no demo here either"))?;
    proving::run(root, metadata, demo, &[])
}

/// The pages of the window are made by npm.
pub(crate) fn pages_can_be_built() -> Result<(), Stop> {
    let prebuilt = std::env::var(PREBUILT.0).is_ok_and(|value| value == PREBUILT.1);
    if prebuilt || find_program("npm").is_some() {
        return Ok(());
    }
    Err(Stop::SetUp {
        why: "The window's pages need Node 20.19 or newer with npm.".into(),
        command: "(install it from https://nodejs.org, or) EARSHOT_UI=prebuilt ./x run".into(),
    })
}

fn has_display() -> bool {
    let named = ["DISPLAY", "WAYLAND_DISPLAY"].map(std::env::var_os);
    named.iter().flatten().any(|name| !name.is_empty())
}
