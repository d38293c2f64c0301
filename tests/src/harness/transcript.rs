//! Everything that was said to a process and by it, line by line with the time.
//!
//! `{"monotonic_ns":N,"sent":…}` or `{"monotonic_ns":N,"received":…}`; what is no JSON stands there
//! as a string. From it the figures of the demo can be computed again.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

/// Longest line that is kept whole; of a longer one its length is noted.
const KEPT_MAX: usize = 64 * 1024;

/// The file `NAME.rpc.jsonl`.
#[derive(Debug)]
pub(super) struct Transcript(Mutex<BufWriter<File>>);

impl Transcript {
    pub(super) fn create(path: &Path) -> std::io::Result<Self> {
        Ok(Self(Mutex::new(BufWriter::new(File::create(path)?))))
    }

    pub(super) fn sent(&self, at_ns: u64, line: &[u8]) {
        self.note(at_ns, "sent", line);
    }

    pub(super) fn received(&self, at_ns: u64, line: &[u8]) {
        self.note(at_ns, "received", line);
    }

    /// A full disk must not end what is being watched.
    fn note(&self, at_ns: u64, way: &str, line: &[u8]) {
        let whole = if line.len() <= KEPT_MAX {
            let text = String::from_utf8_lossy(line);
            serde_json::from_slice(line).unwrap_or_else(|_| Value::String(text.trim_end().into()))
        } else {
            Value::String(format!("{} bytes", line.len()))
        };
        let noted = json!({ "monotonic_ns": at_ns, way: whole });
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        drop(writeln!(file, "{noted}").and_then(|()| file.flush()));
    }
}
