//! The window's own checks, by npm: its types and style, and the tests of its parts.
//!
//! Every view in a browser is `npm run test:browser` in `ui/`: it takes six minutes. Each test
//! command ends with a line `N passed, M failed`; that is what is counted.

use std::path::Path;
use std::process::{Command, Stdio};

/// In this order: what is quick to say no comes first.
const CHECKS: [&str; 3] = ["check", "lint", "test"];
/// What `npm ci` leaves behind; older than the lock file it is of other packages.
const INSTALLED: &str = "node_modules/.package-lock.json";

/// The commands that check the pages under `root`, one after the other.
pub(crate) fn checks(root: &Path) -> Vec<Command> {
    let pages = root.join("ui");
    let install = (!is_installed(&pages)).then(|| npm(&pages, &["ci", "--no-audit", "--no-fund"]));
    let checks = CHECKS.iter().map(|check| npm(&pages, &["run", "--silent", check]));
    install.into_iter().chain(checks).collect()
}

/// The number in a line `N passed, M failed`, maybe with a word and a colon before it.
pub(crate) fn passed(line: &str) -> Option<usize> {
    let line = line.trim().rsplit_once(": ").map_or(line.trim(), |(_, rest)| rest);
    let (passed, failed) = line.split_once(" passed, ")?;
    failed.strip_suffix(" failed")?.parse::<usize>().ok()?;
    passed.parse().ok()
}

fn is_installed(pages: &Path) -> bool {
    let age = |file: &str| std::fs::metadata(pages.join(file)).and_then(|meta| meta.modified());
    matches!((age(INSTALLED), age("package-lock.json")), (Ok(then), Ok(lock)) if then >= lock)
}

fn npm(pages: &Path, arguments: &[&str]) -> Command {
    let mut npm = Command::new(if cfg!(windows) { "npm.cmd" } else { "npm" });
    npm.current_dir(pages).args(arguments).stdin(Stdio::null());
    npm
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_closing_line_counts() {
        assert_eq!(passed("702 passed, 0 failed"), Some(702));
        assert_eq!(passed("browser: 168 passed, 0 failed"), Some(168));
        for other in ["Tests  3 passed (3)", "3 passed, some failed", "x passed, 0 failed", ""] {
            assert_eq!(passed(other), None, "{other}");
        }
    }
}
