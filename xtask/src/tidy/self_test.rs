//! `tidy --self-test`: plants violations in a temporary copy, one at a time, and expects each to be
//! caught by the rule that is there for it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::plants::{Edit, PLANTS, Plant};
use super::purity::{CLIPPY, REFUSED};
use super::{RULES, Tree};
use crate::workspace::cargo;

/// Gives back how many planted violations were caught, or names the first that was not.
pub(crate) fn self_test(root: &Path) -> Result<usize, String> {
    if let Some(rule) = RULES.iter().find(|rule| PLANTS.iter().all(|p| p.rule != rule.name)) {
        return Err(format!("the rule {} has no planted violation", rule.name));
    }
    let copy = Copy::new(root)?;
    let mut tree = Tree::read(&copy.root)?;
    for plant in PLANTS {
        caught(&mut tree, plant)
            .map_err(|why| format!("{} ({}): {why}", plant.rule, plant.place))?;
    }
    let refused = clippy_refuses(&copy.root)?;
    eprintln!("tidy: {} planted violations were caught, clippy refuses {refused}", PLANTS.len());
    Ok(PLANTS.len() + refused)
}

/// Plants, looks, and takes the plant out again.
fn caught(tree: &mut Tree, plant: &Plant) -> Result<(), String> {
    let rule = RULES.iter().find(|rule| rule.name == plant.rule).ok_or("there is no such rule")?;
    let lock = std::fs::read(tree.root.join("Cargo.lock")).map_err(|error| error.to_string())?;
    let here = |findings: &[super::Finding]| {
        findings.iter().filter(|finding| finding.place.starts_with(plant.place)).count()
    };
    let before = here(&(rule.check)(tree)?);
    let mut originals = Vec::new();
    for edit in plant.edits {
        originals.push((edit.path(), std::fs::read(tree.root.join(edit.path())).ok()));
        edit.apply(tree)?;
    }
    let after = here(&(rule.check)(tree)?);
    for (path, original) in originals.into_iter().rev() {
        let file = tree.root.join(path);
        let restored = match original {
            Some(text) => std::fs::write(file, text),
            None => std::fs::remove_file(file),
        };
        restored.map_err(|error| format!("{path}: {error}"))?;
        tree.refresh(path);
    }
    // cargo tree has taken planted dependencies into the lock file.
    std::fs::write(tree.root.join("Cargo.lock"), lock).map_err(|error| error.to_string())?;
    if after > before { Ok(()) } else { Err("the planted violation was not caught".into()) }
}

impl Edit {
    fn path(&self) -> &'static str {
        match self {
            Self::Append(path, _) | Self::Replace(path, ..) | Self::Clear(path) => path,
        }
    }

    fn apply(&self, tree: &mut Tree) -> Result<(), String> {
        let file = tree.root.join(self.path());
        let old = std::fs::read_to_string(&file).unwrap_or_default();
        let new = match self {
            Self::Append(_, text) => format!("{old}{text}"),
            Self::Replace(path, from, to) => {
                if !old.contains(from) {
                    return Err(format!("{path} does not contain `{from}` to plant at"));
                }
                old.replacen(from, to, 1)
            }
            Self::Clear(_) => String::new(),
        };
        let written = file.parent().map_or(Ok(()), std::fs::create_dir_all);
        written.and_then(|()| std::fs::write(&file, new)).map_err(|error| error.to_string())?;
        tree.refresh(self.path());
        Ok(())
    }
}

/// Has clippy look at one expression for each path that proto's `clippy.toml` must refuse; gives
/// back how many it refused, which must be all.
fn clippy_refuses(copy: &Path) -> Result<usize, String> {
    let probe = copy.join("clippy-probe");
    let write = |path: &str, text: String| {
        let file = probe.join(path);
        file.parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| std::fs::write(file, text))
    };
    let manifest = "[package]\nname = \"probe\"\nedition = \"2024\"\n[workspace]\n";
    let settings = std::fs::read_to_string(copy.join(CLIPPY));
    // One expression a line: the line number tells which of them was refused.
    let lines = REFUSED.iter().enumerate();
    let source: String =
        lines.map(|(n, (_, code))| format!("fn f{n}() {{ let _ = {code}; }}\n")).collect();
    write("Cargo.toml", manifest.into())
        .and_then(|()| write("clippy.toml", settings?))
        .and_then(|()| write("src/lib.rs", format!("#![allow(dead_code)]\n{source}")))
        .map_err(|error| format!("the probe for clippy could not be written: {error}"))?;
    let output = cargo(&probe, &["clippy", "--quiet", "--message-format", "short"])
        .env("CARGO_TARGET_DIR", probe.join("target"))
        .stdout(Stdio::null())
        .output()
        .map_err(|error| format!("clippy could not be started: {error}"))?;
    let told = String::from_utf8_lossy(&output.stderr);
    for (index, (path, _)) in REFUSED.iter().enumerate() {
        let place = format!("src/lib.rs:{}:", index + 2);
        let refused = |line: &str| {
            line.starts_with(&place) && line.contains("disallowed") && line.contains(path)
        };
        if !told.lines().any(refused) {
            return Err(format!("clippy let {path} pass; it said:\n{told}"));
        }
    }
    Ok(REFUSED.len())
}

/// A copy of the tree in a temporary directory, gone when dropped.
struct Copy {
    root: PathBuf,
}

impl Copy {
    fn new(from: &Path) -> Result<Self, String> {
        let name = format!("earshot-tidy-{}", std::process::id());
        let copy = Self { root: std::env::temp_dir().join(name) };
        copy.fill(from).map_err(|why| format!("the tree could not be copied: {why}"))?;
        Ok(copy)
    }

    fn fill(&self, from: &Path) -> Result<(), String> {
        std::fs::create_dir_all(&self.root).map_err(|error| error.to_string())?;
        for file in Tree::read(from)?.files {
            let to = self.root.join(&file.path);
            let made = to.parent().map_or(Ok(()), std::fs::create_dir_all);
            made.and_then(|()| std::fs::write(&to, file.text))
                .map_err(|error| format!("{}: {error}", file.path))?;
        }
        // Planted dependencies are all in the lock file already: nothing is to be asked of anybody.
        let settings = self.root.join(".cargo/config.toml");
        let old = std::fs::read_to_string(&settings).map_err(|error| error.to_string())?;
        std::fs::write(&settings, format!("{old}\n[net]\noffline = true\n"))
            .map_err(|error| error.to_string())?;
        let init = Command::new("git").current_dir(&self.root).args(["init", "--quiet"]).status();
        let made = init.is_ok_and(|status| status.success());
        if made { Ok(()) } else { Err("git init failed".into()) }
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // What is left in the temporary directory harms nobody.
        drop(std::fs::remove_dir_all(&self.root));
    }
}
