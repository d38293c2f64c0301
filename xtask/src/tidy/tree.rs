//! The files that the rules look at: what git tracks, and what is new and not ignored.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::mask::code_only;
use super::mention::{Mention, mentions};
use crate::workspace::read;

pub(crate) struct Tree {
    pub(crate) root: PathBuf,
    /// By path.
    pub(crate) files: Vec<File>,
}

/// A text file; what is no UTF-8 (pictures, recordings) is left out.
pub(crate) struct File {
    /// From the root, with forward slashes.
    pub(crate) path: String,
    pub(crate) text: String,
    /// The paths in the code of a Rust file.
    pub(crate) mentions: Vec<Mention>,
}

impl Tree {
    pub(crate) fn read(root: &Path) -> Result<Self, String> {
        // A clone may belong to another user than the one who runs this; we only list it.
        let arguments =
            ["-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard"];
        let listed = read(Command::new("git").current_dir(root).args(arguments))
            .map_err(|stop| stop.to_string())?;
        let mut paths: Vec<&str> = listed.lines().collect();
        paths.sort_unstable();
        paths.dedup();
        let files = paths.into_iter().filter_map(|path| File::read(root, path)).collect();
        Ok(Self { root: root.into(), files })
    }

    /// Takes in that the file at `path` was written, changed or removed.
    pub(crate) fn refresh(&mut self, path: &str) {
        self.files.retain(|file| file.path != path);
        self.files.extend(File::read(&self.root, path));
        self.files.sort_by(|a, b| a.path.cmp(&b.path));
    }

    pub(crate) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// The Rust files below a directory.
    pub(crate) fn rust_under(&self, directory: &str) -> impl Iterator<Item = &File> {
        self.rust().filter(move |file| file.path.starts_with(directory))
    }

    pub(crate) fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.is_rust())
    }
}

impl File {
    fn read(root: &Path, path: &str) -> Option<Self> {
        let text = std::fs::read_to_string(root.join(path)).ok()?;
        Some(Self::new(path, text))
    }

    fn new(path: &str, text: String) -> Self {
        let mentions = if path.ends_with(".rs") {
            mentions(&code_only(&text), &module(path), is_test(path))
        } else {
            Vec::new()
        };
        Self { path: path.into(), text, mentions }
    }

    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
}

/// The module that a source file is, from its crate's root.
fn module(path: &str) -> Vec<&str> {
    let inside = path.split_once("/src/").map_or("", |(_, inside)| inside);
    if inside.starts_with("bin/") {
        return Vec::new();
    }
    let mut module: Vec<&str> = inside.trim_end_matches(".rs").split('/').collect();
    if matches!(module.last(), Some(&"lib" | &"main" | &"mod" | &"")) {
        module.pop();
    }
    module
}

/// Whether a whole file is a test's.
fn is_test(path: &str) -> bool {
    path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("/tests.rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_tells_the_module() {
        assert_eq!(module("crates/x/src/lib.rs"), [""; 0]);
        assert_eq!(module("crates/x/src/wire/mod.rs"), ["wire"]);
        assert_eq!(module("crates/x/src/wire/login.rs"), ["wire", "login"]);
        assert_eq!(module("crates/x/src/bin/earshotd.rs"), [""; 0]);
        assert_eq!(module("crates/x/build.rs"), [""; 0]);
    }
}
