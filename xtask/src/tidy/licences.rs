//! Every package that we ship or build with has a licence that `deny.toml` allows.
//!
//! `deny.toml` is also read by cargo-deny, which looks for advisories besides.

use super::{Finding, Tree};
use crate::workspace::{cargo, read};

const ALLOWED: &str = "deny.toml";

pub(super) fn allowed(tree: &Tree) -> Result<Vec<Finding>, String> {
    let deny = tree.file(ALLOWED).map_or("", |file| file.text.as_str());
    let allowed = allow_list(deny);
    let arguments = ["tree", "--workspace", "-e", "normal,build", "--target", "all"];
    let arguments = [&arguments[..], &["--prefix", "none", "--format", "{p}|{l}|"]].concat();
    let listed = read(&mut cargo(&tree.root, &arguments)).map_err(|stop| stop.to_string())?;
    let mut packages: Vec<(&str, &str)> = listed
        .lines()
        .filter_map(|line| line.split_once('|'))
        .map(|(package, rest)| (package, rest.split('|').next().unwrap_or(rest)))
        .collect();
    packages.sort_unstable();
    packages.dedup();
    let refused = packages.into_iter().filter(|(_, licence)| !holds(licence, &allowed));
    Ok(refused
        .map(|(package, licence)| {
            let name = package.split(" (").next().unwrap_or(package);
            Finding::in_file("Cargo.lock", format!("{name} has the licence `{licence}`"))
        })
        .collect())
}

/// The entries of `allow = [ … ]`.
fn allow_list(deny: &str) -> Vec<&str> {
    let list = deny.split_once("\nallow = [").and_then(|(_, rest)| rest.split_once(']'));
    list.map_or("", |(list, _)| list).split('"').skip(1).step_by(2).collect()
}

/// Whether the allowed licences satisfy an SPDX expression. `/` is how `OR` was once written.
fn holds(expression: &str, allowed: &[&str]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    either(&mut words, allowed).unwrap_or(false) && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

/// `a OR b`; `AND` binds tighter (SPDX specification, annex D.4.5).
fn either(words: &mut Words<'_>, allowed: &[&str]) -> Option<bool> {
    let mut result = both(words, allowed)?;
    while words.next_if_eq(&"OR").is_some() {
        result |= both(words, allowed)?;
    }
    Some(result)
}

fn both(words: &mut Words<'_>, allowed: &[&str]) -> Option<bool> {
    let mut result = one(words, allowed)?;
    while words.next_if_eq(&"AND").is_some() {
        result &= one(words, allowed)?;
    }
    Some(result)
}

fn one(words: &mut Words<'_>, allowed: &[&str]) -> Option<bool> {
    let word = words.next()?;
    if word == "(" {
        let result = either(words, allowed)?;
        return (words.next()? == ")").then_some(result);
    }
    if words.next_if_eq(&"WITH").is_some() {
        // An exception only ever permits more than its licence does.
        words.next()?;
    }
    Some(allowed.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_holds_as_its_licences_do() {
        let allowed = ["MIT", "Apache-2.0"];
        for good in [
            "MIT",
            "MIT/X",
            "GPL-3.0 OR MIT",
            "Apache-2.0 WITH LLVM-exception",
            "(MIT OR X) AND MIT",
        ] {
            assert!(holds(good, &allowed), "{good}");
        }
        for bad in
            ["", "GPL-3.0", "MIT AND GPL-3.0", "(X OR Y) AND MIT", "(MIT", "MIT MIT", "MIT OR"]
        {
            assert!(!holds(bad, &allowed), "{bad}");
        }
    }

    #[test]
    fn the_allow_list_is_read_from_the_file() {
        let deny = "[licenses]\nallow = [\n    \"MIT\", # any\n    \"ISC\",\n]\n[bans]\n";
        assert_eq!(allow_list(deny), ["MIT", "ISC"]);
    }
}
