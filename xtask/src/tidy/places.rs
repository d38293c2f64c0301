//! What the tree says of places: directories, machines, test targets.

use super::{Finding, Tree};
use crate::family::{FAMILIES, Work};
use crate::metadata::Metadata;

/// Paths that exist on one machine only. Written in two halves, lest this file name them.
const MACHINES: &[&str] =
    &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/tmp/bash", "_jobs")];

pub(super) fn machine(tree: &Tree) -> Result<Vec<Finding>, String> {
    let mut findings = Vec::new();
    for file in &tree.files {
        for (index, line) in file.text.lines().enumerate() {
            if let Some(path) = MACHINES.iter().find(|path| names(line, path)) {
                findings.push(Finding::at(file, index + 1, format!("names {path}…")));
            }
        }
    }
    Ok(findings)
}

/// Whether `line` has `path` as the beginning of a path, not as its middle.
fn names(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|before| before.is_alphanumeric() || "._-}".contains(before))
    })
}

/// README.md and ARCHITECTURE.md together name every top-level directory.
pub(super) fn map(tree: &Tree) -> Result<Vec<Finding>, String> {
    let pages = ["README.md", "ARCHITECTURE.md"].map(|page| tree.file(page));
    let text: String = pages.into_iter().flatten().map(|page| page.text.as_str()).collect();
    let mut directories: Vec<&str> =
        tree.files.iter().filter_map(|file| Some(file.path.split_once('/')?.0)).collect();
    directories.dedup();
    let visible = directories.into_iter().filter(|directory| !directory.starts_with('.'));
    let unnamed = visible.filter(|directory| !text.contains(&format!("{directory}/")));
    let what = "neither README.md nor ARCHITECTURE.md says what this directory is";
    Ok(unnamed.map(|directory| Finding::in_file(directory, what)).collect())
}

/// Every test target is run by some family: `--test NAME` in `xtask/src/family.rs`.
pub(super) fn families(tree: &Tree) -> Result<Vec<Finding>, String> {
    let metadata = Metadata::read(&tree.root).map_err(|stop| stop.to_string())?;
    let run = |name: &str| {
        FAMILIES.iter().any(|family| match family.work {
            Work::Cargo(arguments) => arguments.windows(2).any(|pair| pair == ["--test", name]),
            Work::Tidy | Work::Format | Work::Lint | Work::Pages => false,
        })
    };
    let mut findings = Vec::new();
    for package in &metadata.packages {
        let targets = package.targets.iter().filter(|target| target.kind == "test");
        for target in targets.filter(|target| !run(&target.name)) {
            let manifest = format!("{}/Cargo.toml", package.directory);
            let what = format!("no family runs `{}` (xtask/src/family.rs)", target.name);
            findings.push(Finding::in_file(manifest, what));
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_path_is_one_that_begins_there() {
        let path = MACHINES[0];
        assert!(names(&format!("see {path}main"), path));
        assert!(names(&format!("\"{path}main\""), path));
        assert!(!names(&format!("a net{path}main"), path));
        assert!(!names(&format!("https://example.org{path}x"), path));
    }
}
