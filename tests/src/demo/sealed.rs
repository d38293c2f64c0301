//! Whether anybody but the two could have understood them: a search of the memories of super-peers
//! and authority for what was written, said and thought secret, copied in mid-call.
//!
//! The voice that is searched for is made here: an encoder with the settings of the product and
//! the same recording gives the same Opus packets. That it is the same, and that the search finds
//! what is there, shows in the peers: where the packets are not found in either of them, nothing
//! was proved and the check fails.

use std::path::Path;

use earshot_audio::codec::EncoderSettings;
use earshot_audio::device::wav_source::WavSource;
use earshot_audio::frame::{BLOCK_SAMPLES, SAMPLE_RATE_HZ};
use earshot_audio::sender::{Sender, StreamStart};

use super::PEOPLE;
use super::evidence::Found;
use super::stage::Stage;
use crate::harness::Daemon;
use crate::harness::memory::{Memory, Secrets};

/// Kinds of secrets, as they are named when found.
pub const VOICE: &str = "voice";
/// Messages and greetings.
pub const TEXT: &str = "text";
/// Passwords. In a peer they are wiped, so they need not be found there.
pub const PASSWORD: &str = "password";

/// Copies of the memories of all processes.
#[derive(Debug)]
pub struct Memories {
    outside: Vec<(String, Memory)>,
    inside: Vec<(String, Memory)>,
}

impl Memories {
    /// Copies them while the processes run on: those that pass sound on stand still for nothing.
    ///
    /// # Errors
    /// Where the system does not let us look.
    pub fn copy(stage: &Stage) -> std::io::Result<Self> {
        let copy = |daemon: &Daemon| Ok((daemon.name().to_owned(), Memory::of(daemon.pid())?));
        let outside = stage.outsiders().map(copy);
        let inside = stage.peers.iter().map(copy);
        Ok(Self {
            outside: outside.collect::<std::io::Result<_>>()?,
            inside: inside.collect::<std::io::Result<_>>()?,
        })
    }

    /// Searches all of them.
    #[must_use]
    pub fn search(&self, secrets: &Secrets) -> Found {
        let found = |(name, memory): &(String, Memory)| {
            let kinds = secrets.kinds_in(memory);
            kinds.into_iter().map(|kind| (name.clone(), kind)).collect::<Vec<_>>()
        };
        Found {
            outside: self.outside.iter().flat_map(found).collect(),
            inside: self.inside.iter().flat_map(found).map(|(_, kind)| kind).collect(),
        }
    }
}

/// The Opus packets of both recordings under `out`.
///
/// # Errors
/// A recording that cannot be read, or a codec that does not open.
pub fn voice(out: &Path) -> Result<Vec<Vec<u8>>, String> {
    let mut packets = Vec::new();
    for person in PEOPLE {
        let path = out.join(format!("{person}-in.wav"));
        let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let wav = hound::WavReader::open(&path).map_err(|error| wrong(&error))?;
        debug_assert_eq!(wav.spec().sample_rate, SAMPLE_RATE_HZ, "the demo wrote it");
        let mut source = WavSource::open(&path).map_err(|error| wrong(&error))?;
        let mut sender = Sender::new(&EncoderSettings::default(), StreamStart::default())
            .map_err(|error| wrong(&error))?;
        for _ in 0..wav.duration() as usize / BLOCK_SAMPLES {
            let block = source.next_block().map_err(|error| wrong(&error))?;
            let packet = sender.push(&block).map_err(|error| wrong(&error))?;
            packets.extend(packet.map(|packet| packet.payload));
        }
    }
    Ok(packets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::sound::Recording;
    use crate::harness::Scratch;
    use crate::speech::speech;

    #[test]
    fn the_same_recording_gives_the_same_packets() {
        let scratch = Scratch::new("sealed").unwrap();
        for (person, seed) in PEOPLE.into_iter().zip(1..) {
            let said = Recording { samples: speech(seed, 2, SAMPLE_RATE_HZ), sample0_ns: None };
            said.write(&scratch.join(&format!("{person}-in.wav"))).unwrap();
        }
        let packets = voice(scratch.path()).unwrap();
        assert!(packets.len() > 150, "{}", packets.len());
        assert_eq!(voice(scratch.path()).unwrap(), packets);
    }
}
