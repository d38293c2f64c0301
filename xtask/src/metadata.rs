//! What cargo says of the workspace: its packages, what they need, what is built from them.

use std::path::{Path, PathBuf};

use crate::json::Json;
use crate::stop::Stop;
use crate::workspace::{cargo, read};

/// The workspace as `cargo metadata --no-deps` tells it.
pub(crate) struct Metadata {
    pub(crate) packages: Vec<Package>,
    target_directory: PathBuf,
}

pub(crate) struct Package {
    pub(crate) name: String,
    /// Its directory, relative to the root, with forward slashes.
    pub(crate) directory: String,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) targets: Vec<Target>,
}

pub(crate) struct Dependency {
    pub(crate) name: String,
    /// A normal dependency: part of the product, not only of its tests or its build script.
    pub(crate) normal: bool,
}

pub(crate) struct Target {
    pub(crate) name: String,
    /// `lib`, `bin`, `test` …
    pub(crate) kind: String,
}

impl Metadata {
    pub(crate) fn read(root: &Path) -> Result<Self, Stop> {
        let told = read(&mut cargo(root, &["metadata", "--no-deps", "--format-version", "1"]))?;
        let strange = || Stop::check("`cargo metadata` answered in a form unknown to xtask");
        let told = Json::parse(&told).ok_or_else(strange)?;
        let root = told.text("workspace_root").ok_or_else(strange)?;
        let packages: Option<Vec<Package>> =
            told.list("packages").iter().map(|package| Package::read(package, root)).collect();
        Ok(Self {
            packages: packages.ok_or_else(strange)?,
            target_directory: told.text("target_directory").ok_or_else(strange)?.into(),
        })
    }

    /// Where cargo leaves a program of a profile.
    pub(crate) fn built(&self, profile: &str, program: &str) -> PathBuf {
        let file = format!("{program}{}", std::env::consts::EXE_SUFFIX);
        self.target_directory.join(profile).join(file)
    }

    /// Whether any package builds a target of that kind and name.
    pub(crate) fn has_target(&self, kind: &str, name: &str) -> bool {
        let mut targets = self.packages.iter().flat_map(|package| &package.targets);
        targets.any(|target| target.kind == kind && target.name == name)
    }
}

impl Package {
    fn read(told: &Json, root: &str) -> Option<Self> {
        let manifest = told.text("manifest_path")?.strip_prefix(root)?.replace('\\', "/");
        let directory = manifest.strip_suffix("Cargo.toml")?.trim_matches('/');
        let dependencies = told.list("dependencies").iter().map(|dependency| {
            let normal = dependency.member("kind") == Some(&Json::Bare("null".into()));
            Some(Dependency { name: dependency.text("name")?.into(), normal })
        });
        let targets = told.list("targets").iter().map(|target| {
            let Some(Json::Text(kind)) = target.list("kind").first() else { return None };
            Some(Target { name: target.text("name")?.into(), kind: kind.clone() })
        });
        Some(Self {
            name: told.text("name")?.into(),
            directory: directory.into(),
            dependencies: dependencies.collect::<Option<_>>()?,
            targets: targets.collect::<Option<_>>()?,
        })
    }
}
