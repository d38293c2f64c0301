//! Real processes as the tests and the demo see them: started, spoken to, watched, stopped.
//!
//! Source: INTERFACES 2 and 3. Messages are read as plain JSON and not through the node's own
//! types, so that whoever tests by this harness checks the contract as a foreign client would.
//! Invariant: every wait is for something told (a line, an exit) with a deadline; no process
//! outlives the value that started it, and only processes started here are ever signalled.

mod clock;
mod coturn;
mod daemon;
mod desktop;
mod inbox;
mod launch;
pub mod memory;
pub mod own_network;
pub mod panel;
mod run;
mod scratch;
mod sound_server;
mod transcript;
mod trouble;
pub mod web_driver;

use std::path::{Path, PathBuf};

pub use clock::{monotonic_ns, ms_between};
pub use coturn::Coturn;
pub use daemon::{Answer, Daemon};
pub use desktop::{APP_VARIABLE, App, Desktop, app_program};
pub use inbox::{Heard, Mark};
pub use launch::{Launch, Role};
pub use run::Run;
pub use scratch::Scratch;
pub use sound_server::{Cards, SoundServer};
pub use trouble::{Refusal, Trouble};
pub use web_driver::{Page, PageTrouble};

/// The variable that names the `earshotd` to try.
pub const PROGRAM_VARIABLE: &str = "EARSHOTD";

/// The `earshotd` to try: the one that [`PROGRAM_VARIABLE`] names, or one that lies beside this
/// program or, for a test, one directory above it.
#[must_use]
pub fn earshotd() -> Option<PathBuf> {
    let named = std::env::var_os(PROGRAM_VARIABLE).map(PathBuf::from);
    named.or_else(beside_us).filter(|path| path.is_file())
}

fn beside_us() -> Option<PathBuf> {
    let name = format!("earshotd{}", std::env::consts::EXE_SUFFIX);
    let own = std::env::current_exe().ok()?;
    let mut above = own.ancestors().skip(1).take(2).map(|directory| directory.join(&name));
    above.find(|path: &PathBuf| Path::is_file(path))
}
