//! `tidy`: our own rules, which no compiler keeps for us.
//!
//! Text, `cargo metadata` and `cargo tree` are enough; nothing is compiled. Each rule has a planted
//! violation (see [`plants`]) that `tidy --self-test` expects it to catch.

mod imports;
mod licences;
mod mask;
mod mention;
mod packages;
mod places;
mod plants;
mod purity;
mod self_test;
mod style;
mod tree;

use std::path::Path;

use tree::{File, Tree};

pub(crate) use self_test::self_test;

/// One rule of the house.
struct Rule {
    name: &'static str,
    check: fn(&Tree) -> Result<Vec<Finding>, String>,
}

/// Where a rule is broken, and how.
struct Finding {
    /// `path:line` or a path.
    place: String,
    what: String,
}

impl Finding {
    fn at(file: &File, line: usize, what: impl Into<String>) -> Self {
        Self { place: format!("{}:{line}", file.path), what: what.into() }
    }

    fn in_file(path: impl Into<String>, what: impl Into<String>) -> Self {
        Self { place: path.into(), what: what.into() }
    }
}

#[rustfmt::skip]
const RULES: &[Rule] = &[
    Rule { name: "import-crates", check: imports::crates },
    Rule { name: "import-layers", check: imports::layers },
    Rule { name: "purity-words", check: purity::words },
    Rule { name: "purity-clippy", check: purity::clippy },
    Rule { name: "purity-tree", check: purity::tree },
    Rule { name: "package-owner", check: packages::owner },
    Rule { name: "package-files", check: packages::files },
    Rule { name: "test-ignored", check: style::ignored },
    Rule { name: "test-sleep", check: style::sleep },
    Rule { name: "test-family", check: places::families },
    Rule { name: "test-in-doc", check: style::examples },
    Rule { name: "unfinished", check: style::unfinished },
    Rule { name: "file-length", check: style::length },
    Rule { name: "line-width", check: style::width },
    Rule { name: "file-opening", check: style::opening },
    Rule { name: "machine-path", check: places::machine },
    Rule { name: "directory-map", check: places::map },
    Rule { name: "licences", check: licences::allowed },
];

/// How many Rust files the tree at `root` has.
pub(crate) fn rust_files(root: &Path) -> Result<usize, String> {
    Ok(Tree::read(root)?.rust().count())
}

/// Checks every rule over the tree at `root`; gives back how many rules hold, or what does not.
pub(crate) fn run(root: &Path) -> Result<usize, String> {
    let tree = Tree::read(root)?;
    let mut broken = 0;
    for rule in RULES {
        for finding in (rule.check)(&tree)? {
            eprintln!("{}: {}: {}", rule.name, finding.place, finding.what);
            broken += 1;
        }
    }
    if broken > 0 {
        return Err(format!("tidy found {broken} violations"));
    }
    eprintln!("tidy: {} rules hold over {} files", RULES.len(), tree.files.len());
    Ok(RULES.len())
}
