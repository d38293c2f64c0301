//! Who may import whom: between our crates, and between the layers inside proto.
//!
//! Source: ARCHITECTURE.md, "Who may import whom".

use super::{Finding, Tree};
use crate::metadata::Metadata;

/// Each package of ours with those of ours that it may depend on; tests may depend on all.
const CRATES: &[(&str, &[&str])] = &[
    ("earshot-proto", &[]),
    ("earshot-audio", &[]),
    ("earshot-node", &["earshot-proto", "earshot-audio"]),
    ("earshot", &["earshot-node"]),
    ("earshot-tests", &["earshot-proto", "earshot-audio", "earshot-node"]),
    ("xtask", &[]),
];

/// Modules of proto that are layers, each with the layers that it may import besides itself.
const LAYERS: &[(&str, &[&str])] = &[
    ("wire", &[]),
    ("secure", &["wire"]),
    ("peer", &["wire", "secure"]),
    ("super_peer", &["wire", "secure"]),
    ("authority", &["wire", "secure"]),
];

/// The modules that the ground (ids, time, port …) may not import: it lies below the roles.
const ROLES: &[&str] = &["peer", "super_peer", "authority"];

pub(super) fn crates(tree: &Tree) -> Result<Vec<Finding>, String> {
    let metadata = Metadata::read(&tree.root).map_err(|stop| stop.to_string())?;
    let ours: Vec<&str> = metadata.packages.iter().map(|package| package.name.as_str()).collect();
    let mut findings = Vec::new();
    for package in &metadata.packages {
        let manifest = format!("{}/Cargo.toml", package.directory);
        let Some((_, allowed)) = CRATES.iter().find(|(name, _)| *name == package.name) else {
            findings
                .push(Finding::in_file(manifest, "no row in CRATES (xtask/src/tidy/imports.rs)"));
            continue;
        };
        for dependency in &package.dependencies {
            let name = dependency.name.as_str();
            if ours.contains(&name) && !allowed.contains(&name) {
                let what = format!("{} may not depend on {name}", package.name);
                findings.push(Finding::in_file(&manifest, what));
            }
        }
    }
    Ok(findings)
}

pub(super) fn layers(tree: &Tree) -> Result<Vec<Finding>, String> {
    const SOURCES: &str = "crates/earshot-proto/src/";
    let mut findings = Vec::new();
    for file in tree.rust_under(SOURCES) {
        let inside = &file.path[SOURCES.len()..];
        if inside == "lib.rs" {
            continue;
        }
        let own = inside.trim_end_matches(".rs").split('/').next().unwrap_or(inside);
        let allowed = LAYERS.iter().find(|(layer, _)| *layer == own).map(|(_, allowed)| *allowed);
        for mention in &file.mentions {
            let Some(path) = mention.path.strip_prefix("crate::") else { continue };
            let other = path.split("::").next().unwrap_or(path);
            let is_layer = LAYERS.iter().any(|(layer, _)| *layer == other);
            let forbidden = match allowed {
                // A glob over the crate's root would hide what is imported.
                _ if other == "*" => true,
                Some(allowed) => is_layer && other != own && !allowed.contains(&other),
                None => ROLES.contains(&other),
            };
            if forbidden {
                let what = format!("{own} may not import {}", mention.path);
                findings.push(Finding::at(file, mention.line, what));
            }
        }
    }
    Ok(findings)
}
