//! `docs/rpc.md`, `docs/rpc.schema.json` and the window's TypeScript, made from the types of the
//! contract.
//!
//! Source: INTERFACES 3. Invariant: the same types give the same bytes, and a test fails while a
//! file is stale.

mod example;
mod page;
mod schema;
mod typescript;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use schema::Contract;

/// The files, from the root of the tree, and what each must hold.
fn files() -> [(&'static str, String); 3] {
    let contract = Contract::new();
    let schema = serde_json::to_string_pretty(contract.document());
    let schema = schema.expect("JSON can be written") + "\n";
    [
        ("docs/rpc.md", page::write(&contract)),
        ("docs/rpc.schema.json", schema),
        ("ui/src/backend/generated.ts", typescript::write(&contract)),
    ]
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Files that do not hold what they must.
fn stale() -> Vec<&'static str> {
    let fresh = |file: &str, text: &str| {
        std::fs::read_to_string(root().join(file)).is_ok_and(|found| found == text)
    };
    let files = files().into_iter();
    files.filter(|(file, text)| !fresh(file, text)).map(|(file, _)| file).collect()
}

/// The program: writes the files, or with `--check` tells which are stale. Gives the exit code.
pub fn program(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    match arguments.as_slice() {
        [] => write(),
        [check] if check == "--check" => {
            let stale = stale();
            for file in &stale {
                eprintln!("{file} is stale: ./x bindings writes it");
            }
            u8::from(!stale.is_empty())
        }
        _ => {
            eprintln!("usage: bindings [--check]");
            64
        }
    }
}

fn write() -> u8 {
    for (file, text) in files() {
        let path = root().join(file);
        let directory = path.parent().expect("a file of the tree lies in a directory");
        let written = std::fs::create_dir_all(directory).and_then(|()| std::fs::write(&path, text));
        if let Err(error) = written {
            eprintln!("{file}: {error}");
            return 1;
        }
    }
    0
}

#[cfg(test)]
mod tests;
