//! Builds the window's pages with npm when they are older than their sources, and tells Tauri which
//! commands there are: those that `capabilities/window.json` allows, and no other.
//!
//! `EARSHOT_UI=prebuilt` takes `ui/dist` as it is, for whoever builds without Node.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::SystemTime;
use std::{env, fs};

const UI: &str = "../ui";
const CAPABILITY: &str = "capabilities/window.json";
/// What the pages are made of, below [`UI`].
const SOURCES: &[&str] = &[
    "src",
    "public",
    "index.html",
    "package.json",
    "package-lock.json",
    "vite.config.ts",
    "vite.messages.ts",
    "svelte.config.js",
    "tsconfig.json",
];

fn main() {
    build_pages(Path::new(UI));
    println!("cargo:rerun-if-changed={CAPABILITY}");
    // Tauri wants them for as long as this program runs.
    let allowed = allowed_commands().into_iter().map(|name| &*name.leak());
    let allowed: Vec<&'static str> = allowed.collect();
    let manifest = tauri_build::AppManifest::new().commands(allowed.leak());
    let attributes = tauri_build::Attributes::new().app_manifest(manifest);
    tauri_build::try_build(attributes).expect("tauri.conf.json and the capability are sound");
}

/// `"allow-call-start"` allows the command `call_start`.
fn allowed_commands() -> Vec<String> {
    let text = fs::read_to_string(CAPABILITY).expect("the capability lies beside this file");
    let words = text.split('"').filter_map(|word| word.strip_prefix("allow-"));
    words.map(|name| name.replace('-', "_")).collect()
}

fn build_pages(ui: &Path) {
    println!("cargo:rerun-if-env-changed=EARSHOT_UI");
    for source in SOURCES.iter().chain(&["dist"]).filter(|source| ui.join(source).exists()) {
        println!("cargo:rerun-if-changed={UI}/{source}");
    }
    if env::var("EARSHOT_UI").as_deref() == Ok("prebuilt") {
        return;
    }
    let built = newest(&ui.join("dist/index.html"));
    if built.is_some() && built >= SOURCES.iter().filter_map(|s| newest(&ui.join(s))).max() {
        return;
    }
    let installed = newest(&ui.join("node_modules/.package-lock.json"));
    if installed.is_none() || newest(&ui.join("package-lock.json")) > installed {
        npm(ui, &["ci", "--no-audit", "--no-fund"]);
    }
    npm(ui, &["run", "build"]);
}

/// When a file, or any below a directory, was last written.
fn newest(path: &Path) -> Option<SystemTime> {
    let facts = fs::metadata(path).ok()?;
    let below = facts.is_dir().then(|| fs::read_dir(path).ok()).flatten();
    let below = below.into_iter().flatten().flatten().filter_map(|entry| newest(&entry.path()));
    below.chain(facts.modified().ok()).max()
}

fn npm(ui: &Path, arguments: &[&str]) {
    let mut npm = Command::new("npm");
    // cargo reads the standard output.
    npm.args(arguments).current_dir(ui).stdin(Stdio::null()).stdout(std::io::stderr());
    let told = match npm.status() {
        Ok(status) if status.success() => return,
        Ok(status) => format!("it ended with {status}"),
        Err(error) => error.to_string(),
    };
    panic!(
        "npm {} in {}: {told}. The window's pages need Node 20.19 or newer; or build ui/dist \
         elsewhere and set EARSHOT_UI=prebuilt",
        arguments.join(" "),
        ui.display()
    );
}
