//! How the code must read: the part of CONTRIBUTING.md that a machine can judge.

use super::{Finding, Tree};

/// Past this a file has a second noun in it. CONTRIBUTING.md asks for 100 to 350 lines.
const LINES_MAX: usize = 600;
const COLUMNS_MAX: usize = 100;

pub(super) fn ignored(tree: &Tree) -> Result<Vec<Finding>, String> {
    let what = "a test that does not run is no test";
    Ok(mentioned(tree, |path, _| path == "#[ignore]", what))
}

pub(super) fn unfinished(tree: &Tree) -> Result<Vec<Finding>, String> {
    let what = "what is not built is absent";
    Ok(mentioned(tree, |path, _| matches!(path, "todo!" | "unimplemented!" | "dbg!"), what))
}

pub(super) fn sleep(tree: &Tree) -> Result<Vec<Finding>, String> {
    let what = "wait for an event with a deadline; sleeping synchronises nothing";
    let sleeps = |path: &str, in_test: bool| {
        in_test && (path.ends_with("thread::sleep") || path.ends_with("time::sleep"))
    };
    Ok(mentioned(tree, sleeps, what))
}

fn mentioned(tree: &Tree, is_wrong: fn(&str, bool) -> bool, what: &str) -> Vec<Finding> {
    let files = tree.rust();
    files
        .flat_map(|file| {
            let mentions = file.mentions.iter();
            let wrong = mentions.filter(move |mention| is_wrong(&mention.path, mention.in_test));
            wrong.map(move |m| Finding::at(file, m.line, format!("{}: {what}", m.path)))
        })
        .collect()
}

pub(super) fn length(tree: &Tree) -> Result<Vec<Finding>, String> {
    let long = tree.rust().filter(|file| file.text.lines().count() > LINES_MAX);
    let what = format!("more than {LINES_MAX} lines: look for the second noun");
    Ok(long.map(|file| Finding::in_file(&file.path, &what)).collect())
}

/// Strings and addresses that cannot be broken are exempt.
pub(super) fn width(tree: &Tree) -> Result<Vec<Finding>, String> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        for (index, line) in file.text.lines().enumerate() {
            let exempt = line.contains('"') || line.contains("://");
            if line.chars().count() > COLUMNS_MAX && !exempt {
                let what = format!("more than {COLUMNS_MAX} columns");
                findings.push(Finding::at(file, index + 1, what));
            }
        }
    }
    Ok(findings)
}

pub(super) fn opening(tree: &Tree) -> Result<Vec<Finding>, String> {
    let silent = tree.rust().filter(|file| !file.text.starts_with("//! "));
    let what = "the first line says what the file is for: `//! …`";
    Ok(silent.map(|file| Finding::in_file(&file.path, what)).collect())
}

/// Examples in documentation are compiled one by one and with other features: `./x test` does not
/// run them, and what does not run rots. A fence that says ```` ```text ```` is a picture.
pub(super) fn examples(tree: &Tree) -> Result<Vec<Finding>, String> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        let mut inside = false;
        for (index, line) in file.text.lines().map(str::trim_start).enumerate() {
            let words = line.strip_prefix("///").or_else(|| line.strip_prefix("//!"));
            let Some(fence) = words.and_then(|words| words.trim().strip_prefix("```")) else {
                continue;
            };
            inside = !inside;
            if inside && fence != "text" {
                let what = "an example that is not run: make it a test, or say ```text";
                findings.push(Finding::at(file, index + 1, what));
            }
        }
    }
    Ok(findings)
}
