//! Where the workspace lies, and how cargo is asked about it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::stop::Stop;

/// The workspace root. cargo tells us at run time where it found this package.
pub(crate) fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    here.parent().expect("xtask lies one directory below the root").to_path_buf()
}

/// What cargo tells the programs that it runs, us among them, about themselves.
const OURS: &[&str] = &["CARGO_PKG_", "CARGO_MANIFEST_"];

/// A cargo command in `root` that cannot wait for anybody's answer. It builds as if typed by hand:
/// some build scripts look at what cargo tells of us, and would have all built anew.
pub(crate) fn cargo(root: &Path, arguments: &[&str]) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root).args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if OURS.iter().any(|ours| name.to_string_lossy().starts_with(ours)) {
            cargo.env_remove(name);
        }
    }
    cargo
}

/// Runs a command to its end and gives back its standard output.
pub(crate) fn read(command: &mut Command) -> Result<String, Stop> {
    let shown = shown(command);
    let output = command
        .stderr(Stdio::piped())
        .output()
        .map_err(|error| Stop::check(format!("`{shown}` could not be started: {error}")))?;
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stderr);
        return Err(Stop::check(format!("`{shown}` failed:\n{told}")));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The command as a person would type it.
pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    std::iter::once(program)
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
