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

/// A cargo command in `root` that cannot wait for anybody's answer.
pub(crate) fn cargo(root: &Path, arguments: &[&str]) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root).args(arguments).stdin(Stdio::null());
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
