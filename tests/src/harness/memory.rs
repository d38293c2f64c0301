//! Looking for secrets in the memory of a process that we started.
//!
//! Reads `/proc/PID/mem` through every readable mapping (Linux). The process runs on meanwhile: a
//! byte that moves during the copy may be missed, so a search that must find nothing is worth
//! something only beside one that finds what is known to be there.
//! Invariant: a secret counts as found when [`WINDOW`] bytes of it in a row are.

use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;

/// So many bytes in a row are no chance: one in 2^128 for each place.
pub const WINDOW: usize = 16;
/// Bytes that are looked up at once. Any [`WINDOW`] bytes of a secret hold one whole block of it.
const BLOCK: usize = 8;
/// Fewer different bytes in a window say nothing: padding looks like padding everywhere.
const DIFFERENT_MIN: usize = 6;
/// Bits of the filter before the table.
const FILTER_BITS: u32 = 20;

/// A copy of everything readable in a process.
#[derive(Debug)]
pub struct Memory {
    regions: Vec<Vec<u8>>,
}

impl Memory {
    /// Copies the memory of a process.
    ///
    /// # Errors
    /// Where the system does not let us look.
    pub fn of(pid: i32) -> std::io::Result<Self> {
        let maps = BufReader::new(File::open(format!("/proc/{pid}/maps"))?);
        let memory = File::open(format!("/proc/{pid}/mem"))?;
        let mut regions = Vec::new();
        for line in maps.lines() {
            let Some((from, to)) = readable(&line?) else { continue };
            let mut region = vec![0; usize::try_from(to - from).unwrap_or(0)];
            // A mapping may be gone by now, or be one of the kernel's own.
            if memory.read_exact_at(&mut region, from).is_ok() {
                regions.push(region);
            }
        }
        Ok(Self { regions })
    }

    /// A memory that holds just this, such as a file.
    #[must_use]
    pub fn holding(bytes: Vec<u8>) -> Self {
        Self { regions: vec![bytes] }
    }

    /// Bytes copied.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.regions.iter().map(Vec::len).sum()
    }
}

/// The range of a line of `maps`, if the process may read it.
fn readable(line: &str) -> Option<(u64, u64)> {
    let mut words = line.split_ascii_whitespace();
    let (from, to) = words.next()?.split_once('-')?;
    if !words.next()?.starts_with('r') || line.ends_with("[vvar]") {
        return None;
    }
    Some((u64::from_str_radix(from, 16).ok()?, u64::from_str_radix(to, 16).ok()?))
}

/// Secrets, each with the name of its kind.
#[derive(Debug, Default)]
pub struct Secrets {
    all: Vec<(&'static str, Vec<u8>)>,
}

impl Secrets {
    /// Adds a secret. One shorter than [`WINDOW`] cannot be told from chance and is left out.
    pub fn add(&mut self, kind: &'static str, secret: impl Into<Vec<u8>>) {
        let secret = secret.into();
        if secret.len() >= WINDOW {
            self.all.push((kind, secret));
        }
    }

    /// How many there are of a kind.
    #[must_use]
    pub fn count(&self, kind: &str) -> usize {
        self.all.iter().filter(|(of, _)| *of == kind).count()
    }

    /// The kinds of which something is in the memory.
    #[must_use]
    pub fn kinds_in(&self, memory: &Memory) -> BTreeSet<&'static str> {
        let index = Index::of(&self.all);
        memory.regions.iter().flat_map(|region| index.found_in(region)).collect()
    }
}

/// Where each block of each secret is.
struct Index<'a> {
    secrets: &'a [(&'static str, Vec<u8>)],
    filter: Vec<bool>,
    places: HashMap<[u8; BLOCK], Vec<(usize, usize)>>,
}

impl<'a> Index<'a> {
    fn of(secrets: &'a [(&'static str, Vec<u8>)]) -> Self {
        let mut filter = vec![false; 1 << FILTER_BITS];
        let mut places: HashMap<_, Vec<_>> = HashMap::new();
        for (number, (_, secret)) in secrets.iter().enumerate() {
            let (blocks, _) = secret.as_chunks::<BLOCK>();
            for (at, block) in blocks.iter().enumerate() {
                filter[slot(*block)] = true;
                places.entry(*block).or_default().push((number, at * BLOCK));
            }
        }
        Self { secrets, filter, places }
    }

    fn found_in(&self, region: &[u8]) -> BTreeSet<&'static str> {
        let mut found = BTreeSet::new();
        for (at, block) in region.array_windows::<BLOCK>().enumerate() {
            if !self.filter[slot(*block)] {
                continue;
            }
            for (number, offset) in self.places.get(block).into_iter().flatten() {
                let (kind, secret) = &self.secrets[*number];
                if is_window(secret, *offset, region, at) {
                    found.insert(*kind);
                }
            }
        }
        found
    }
}

/// Spreads a block over the filter: Fibonacci hashing (Knuth, TAOCP 3, section 6.4).
const fn slot(block: [u8; BLOCK]) -> usize {
    let mixed = u64::from_le_bytes(block).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> (u64::BITS - FILTER_BITS)) as usize
}

/// Whether the run of equal bytes around a common block is long and telling enough.
fn is_window(secret: &[u8], offset: usize, region: &[u8], at: usize) -> bool {
    let before = secret[..offset].iter().rev().zip(region[..at].iter().rev());
    let before = before.take_while(|(a, b)| a == b).count();
    let behind = secret[offset..].iter().zip(&region[at..]).take_while(|(a, b)| a == b).count();
    let run = &secret[offset - before..offset + behind];
    run.len() >= WINDOW && run.iter().collect::<BTreeSet<_>>().len() >= DIFFERENT_MIN
}

#[cfg(test)]
mod tests {
    use super::super::{Daemon, Launch, Scratch};
    use super::*;

    fn secrets() -> Secrets {
        let mut secrets = Secrets::default();
        secrets.add("text", "The kettle is on and the door stands open.");
        secrets.add("dull", [7; 40]);
        secrets.add("short", "short");
        secrets
    }

    #[test]
    fn any_sixteen_bytes_of_a_secret_are_found_at_any_place() {
        let secret = b"The kettle is on and the door stands open.";
        for at in 0..=secret.len() - WINDOW {
            for before in 0..9 {
                let mut memory = vec![b'x'; before];
                memory.extend(&secret[at..at + WINDOW]);
                memory.extend(b"yyy");
                let found = secrets().kinds_in(&Memory::holding(memory));
                assert_eq!(found, BTreeSet::from(["text"]));
            }
        }
    }

    #[test]
    fn fifteen_bytes_dull_ones_and_short_secrets_are_not() {
        let memory = b"The kettle is o short \x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\
                       \x07\x07\x07\x07\x07\x07\x07\x07";
        assert_eq!(secrets().kinds_in(&Memory::holding(memory.to_vec())), BTreeSet::new());
    }

    #[test]
    fn what_a_process_was_told_is_found_in_it_and_not_in_another() {
        let scratch = Scratch::new("memory").unwrap();
        let spawn = |name, told: &str| {
            let script =
                "echo '{\"ready\":true}'; read line; read more; echo '{\"id\":1}'; read end";
            let launch = Launch::program(name, "/bin/sh").args(["-c", script]);
            let daemon = Daemon::spawn(&launch, scratch.path()).unwrap();
            daemon.say(told.as_bytes()).unwrap();
            // The answer, an error without more, says that the line was read.
            assert!(daemon.rpc("m", serde_json::json!({})).is_err());
            daemon
        };
        let knows = spawn("knows", "The kettle is on and the door stands open.\n");
        let guesses = spawn("guesses", "The kettle is off and the door is shut.\n");
        let kinds = |daemon: &Daemon| secrets().kinds_in(&Memory::of(daemon.pid()).unwrap());
        assert_eq!(kinds(&knows), BTreeSet::from(["text"]));
        assert_eq!(kinds(&guesses), BTreeSet::new());
    }
}
