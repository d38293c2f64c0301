//! Every library of weight has one home: one crate depends on it, and few files name it.
//!
//! So it can be replaced, and its traps are known in one place. serde is exempt, and so are tests
//! and dev-dependencies.

use super::{Finding, Tree};
use crate::metadata::Metadata;

/// A package, the crate that depends on it, and how many files of that crate may name it
/// (`None`: any number).
struct Home {
    package: &'static str,
    owner: &'static str,
    files: Option<usize>,
}

#[rustfmt::skip]
const HOMES: &[Home] = &[
    home("aes-gcm", "earshot-proto", Some(2)),
    home("opaque-ke", "earshot-proto", Some(2)),
    home("sha1", "earshot-proto", Some(2)),
    home("snow", "earshot-proto", Some(2)),
    // The relay's files and those that ask it and other STUN servers.
    home("stun-rs", "earshot-proto", Some(4)),
    home("cpal", "earshot-audio", Some(2)),
    home("opus", "earshot-audio", Some(2)),
    home("opusic-sys", "earshot-audio", Some(2)),
    home("rubato", "earshot-audio", Some(2)),
    home("sonora", "earshot-audio", Some(2)),
    home("getrandom", "earshot-node", Some(2)),
    home("netwatch", "earshot-node", Some(1)),
    home("portmapper", "earshot-node", Some(1)),
    home("rusqlite", "earshot-node", Some(2)),
    home("socket2", "earshot-node", Some(2)),
    home("webrtc-ice", "earshot-node", Some(2)),
    home("ksni", "earshot", Some(1)),
    home("tauri", "earshot", Some(4)),
    home("zbus", "earshot", Some(2)),
    // Being the one crate with tokio is what node is for.
    home("tokio", "earshot-node", None),
];

const fn home(package: &'static str, owner: &'static str, files: Option<usize>) -> Home {
    Home { package, owner, files }
}

pub(super) fn owner(tree: &Tree) -> Result<Vec<Finding>, String> {
    let metadata = Metadata::read(&tree.root).map_err(|stop| stop.to_string())?;
    let mut findings = Vec::new();
    for home in HOMES {
        let users = metadata.packages.iter().filter(|package| {
            let mut dependencies = package.dependencies.iter();
            dependencies.any(|dependency| dependency.normal && dependency.name == home.package)
        });
        let users: Vec<_> = users.filter(|package| package.name != "earshot-tests").collect();
        if users.iter().all(|user| user.name != home.owner) {
            let what = format!("{} does not depend on {}", home.owner, home.package);
            findings.push(Finding::in_file("Cargo.toml", what));
        }
        for stranger in users.iter().filter(|user| user.name != home.owner) {
            let manifest = format!("{}/Cargo.toml", stranger.directory);
            let what = format!("{} belongs to {} alone", home.package, home.owner);
            findings.push(Finding::in_file(manifest, what));
        }
    }
    Ok(findings)
}

pub(super) fn files(tree: &Tree) -> Result<Vec<Finding>, String> {
    let metadata = Metadata::read(&tree.root).map_err(|stop| stop.to_string())?;
    let mut findings = Vec::new();
    for home in HOMES {
        let Some(most) = home.files else { continue };
        let root = home.package.replace('-', "_");
        let Some(owner) = metadata.packages.iter().find(|p| p.name == home.owner) else { continue };
        let sources = format!("{}/src/", owner.directory);
        let named = tree.rust_under(&sources).filter(|file| {
            let mut mentions = file.mentions.iter().filter(|mention| !mention.in_test);
            mentions.any(|mention| mention.path.split("::").next() == Some(&root))
        });
        let paths: Vec<&str> = named.map(|file| file.path.as_str()).collect();
        if paths.len() > most {
            let what = format!("{root} is named in {} files, {most} are enough", paths.len());
            findings.extend(paths.iter().map(|path| Finding::in_file(*path, &what)));
        }
    }
    Ok(findings)
}
