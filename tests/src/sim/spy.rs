//! The spy: looks at everything that leaves a super-peer or an authority for what nobody but the
//! two who talk may read.
//!
//! Control: the sender's own disk must hold it, or the search itself is broken.

use std::collections::BTreeSet;

/// Length of the pieces looked for, in bytes.
const WINDOW: usize = 16;

/// What is looked for and what was seen.
#[derive(Debug, Default)]
pub(super) struct Spy {
    windows: BTreeSet<[u8; WINDOW]>,
    /// Bytes of blind machines that were searched.
    pub(super) searched: u64,
    /// Where plain text was seen at machines that may see it.
    pub(super) seen: u64,
    /// Where it was seen at machines that may not.
    pub(super) leaks: Vec<String>,
}

impl Spy {
    /// Looks for every window of this text from now on.
    pub(super) fn look_for(&mut self, text: &str) {
        assert!(text.len() >= WINDOW, "too short to be told from chance: {text}");
        let windows = text.as_bytes().windows(WINDOW);
        self.windows.extend(windows.map(|w| <[u8; WINDOW]>::try_from(w).expect("of that length")));
    }

    pub(super) fn looks_at(&mut self, bytes: &[u8], blind: bool, who: &str, what: &str) {
        if self.windows.is_empty() {
            return;
        }
        self.searched += if blind { bytes.len() as u64 } else { 0 };
        let windows = bytes.windows(WINDOW);
        let hit = windows.map(|w| <[u8; WINDOW]>::try_from(w).expect("of that length"));
        if !hit.into_iter().any(|window| self.windows.contains(&window)) {
            return;
        }
        self.seen += u64::from(!blind);
        if blind {
            self.leaks.push(format!("{who}: {what}"));
        }
    }
}
