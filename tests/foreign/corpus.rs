//! The samples of one seed as files: what other programs may be tried with, and what shows that
//! bytes have changed.

use std::path::PathBuf;

use data_encoding::HEXLOWER;
use earshot_proto::wire::ALL;

use crate::samples::samples;

/// The seed of the files.
const SEED: u64 = 1;
/// With this variable set the files are written instead of compared.
const WRITE: &str = "EARSHOT_WRITE_VECTORS";

fn file(family: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors/wire").join(format!("{family}.hex"))
}

/// One message a line.
fn text(messages: &[Vec<u8>]) -> String {
    messages.iter().map(|bytes| HEXLOWER.encode(bytes) + "\n").collect()
}

#[test]
fn the_bytes_of_every_family_are_those_of_the_files_and_these_are_read() {
    let samples = samples(SEED);
    for family in ALL.iter().flat_map(|dispatcher| dispatcher.iter()) {
        let (path, text) = (file(family.name), text(&samples[family.name]));
        if std::env::var_os(WRITE).is_some() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        for line in kept.lines() {
            let bytes = HEXLOWER.decode(line.as_bytes()).unwrap();
            assert_eq!((family.rewrite)(&bytes), Ok(bytes), "{}", family.name);
        }
        let (name, path) = (family.name, path.display());
        assert!(kept == text, "{name} is not written as in {path}; if that is meant: {WRITE}=1");
    }
}
