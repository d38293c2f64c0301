//! Where sound comes from and goes to: sound cards, WAV files, a tone, silence, nothing.
//!
//! The only part that touches real time. Files, tone and silence are *paced*: their block `n` is
//! due at an absolute deadline, so that they neither drift nor hurry. Sound cards pace themselves
//! and wake the voice thread from their callbacks.
//!
//! Invariant: towards [`crate::session`] every endpoint speaks blocks of 10 ms at 48 kHz mono.

pub mod card;
mod card_stream;
#[cfg(test)]
mod card_tests;
#[cfg(target_os = "linux")]
mod cookie;
pub mod list;
pub mod pace;
mod sidecar;
mod supervisor;
mod tone;
pub mod wav_sink;
pub mod wav_source;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Instant;

use crate::enhance::Scene;
use crate::frame::{Block, SILENT_BLOCK};
use card::{CardCapture, CardPlayback};
use pace::{PacedCapture, PacedPlayback, StandIn, Wake};
use tone::Tone;
use wav_sink::WavSink;
use wav_source::WavSource;

pub use sidecar::sidecar_path;

/// The name under which the system's chosen device is found, whatever it is at the moment.
pub const DEFAULT_DEVICE: &str = "default";

/// Where a call takes its voice from.
#[derive(Clone, Debug, PartialEq)]
pub enum Microphone {
    /// A sound card, by the id of [`list::devices`] or [`DEFAULT_DEVICE`].
    Device(String),
    /// A WAV file, from its first sample when the call starts, then silence.
    File(PathBuf),
    /// A sine of so many hertz at −20 dBFS.
    Tone(f32),
    /// Nothing.
    Silence,
}

/// Where a call's sound goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// A sound card, by the id of [`list::devices`] or [`DEFAULT_DEVICE`].
    Device(String),
    /// A WAV file, overwritten.
    File(PathBuf),
    /// Nowhere; time still passes.
    None,
}

/// A device or its name that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// The text names no endpoint.
    #[error("`{text}` names no device")]
    BadName {
        /// What was given.
        text: String,
    },
    /// The file cannot be opened or read.
    #[error("cannot read {path}: {reason}")]
    FileUnreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The file cannot be created or written.
    #[error("cannot write {path}: {reason}")]
    FileUnwritable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The file is no WAV of a kind that we read.
    #[error("{path} is no WAV file that can be played: {reason}")]
    UnsupportedWav {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// No device has this id (any more).
    #[error("no sound device `{id}`")]
    NoSuchDevice {
        /// The id asked for.
        id: String,
    },
    /// The system has no device of this direction at all.
    #[error("no {direction} found")]
    NoDevice {
        /// What was looked for.
        direction: Direction,
    },
    /// Another program has the device to itself.
    #[error("sound device `{id}` is in use")]
    DeviceBusy {
        /// The id asked for.
        id: String,
    },
    /// The user or system forbids the use.
    #[error("no permission for sound device `{id}`")]
    Forbidden {
        /// The id asked for.
        id: String,
    },
    /// The device cannot do what a call needs.
    #[error("sound device `{id}` cannot be used: {reason}")]
    Unsupported {
        /// The id asked for.
        id: String,
        /// What it answered.
        reason: String,
    },
    /// The sound server does not answer. A running call keeps trying.
    #[error("the sound server is gone: {reason}")]
    ServerGone {
        /// What was seen last.
        reason: String,
    },
}

/// What a device tells of itself while it is used. Whoever uses it goes on in any case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceNews {
    /// Something is wrong; it takes the place of what was wrong before.
    Trouble(DeviceError),
    /// It works again.
    Well,
}

/// What was opened, and what is wrong with it from the start: it may still come.
pub(crate) type Opened<T> = Result<(T, Option<DeviceError>), DeviceError>;

/// Which way the sound goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Towards us.
    Capture,
    /// Towards the ear.
    Playback,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Capture => "microphone",
            Self::Playback => "speaker",
        })
    }
}

impl FromStr for Microphone {
    type Err = DeviceError;

    /// `device:ID`, `file:PATH.wav`, `tone:HZ` or `silence`.
    fn from_str(text: &str) -> Result<Self, DeviceError> {
        let bad = || DeviceError::BadName { text: text.to_owned() };
        match text.split_once(':') {
            None if text == "silence" => Ok(Self::Silence),
            Some(("device", id)) if !id.is_empty() => Ok(Self::Device(id.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(PathBuf::from(path))),
            Some(("tone", hz)) => match hz.parse() {
                Ok(hz) if (20.0..=20_000.0).contains(&hz) => Ok(Self::Tone(hz)),
                Ok(_) | Err(_) => Err(bad()),
            },
            None | Some(_) => Err(bad()),
        }
    }
}

impl fmt::Display for Microphone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(id) => write!(f, "device:{id}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Tone(hz) => write!(f, "tone:{hz}"),
            Self::Silence => f.write_str("silence"),
        }
    }
}

impl FromStr for Speaker {
    type Err = DeviceError;

    /// `device:ID`, `file:PATH.wav` or `none`.
    fn from_str(text: &str) -> Result<Self, DeviceError> {
        match text.split_once(':') {
            None if text == "none" => Ok(Self::None),
            Some(("device", id)) if !id.is_empty() => Ok(Self::Device(id.to_owned())),
            Some(("file", path)) if !path.is_empty() => Ok(Self::File(PathBuf::from(path))),
            None | Some(_) => Err(DeviceError::BadName { text: text.to_owned() }),
        }
    }
}

impl fmt::Display for Speaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(id) => write!(f, "device:{id}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::None => f.write_str("none"),
        }
    }
}

/// An open microphone.
#[derive(Debug)]
pub(crate) enum Capture {
    Paced(PacedCapture),
    Card(Box<CardCapture>, StandIn),
}

impl Capture {
    /// Opens what `microphone` names. A file is checked but not yet read; a card runs at once, or
    /// as soon as it is there.
    pub(crate) fn open(microphone: &Microphone, wake: &Arc<Wake>) -> Opened<Self> {
        let opened = match microphone {
            Microphone::Device(id) => {
                let (card, trouble) = CardCapture::open(id, wake)?;
                return Ok((Self::Card(Box::new(card), StandIn::default()), trouble));
            }
            Microphone::File(path) => {
                let mut file = WavSource::open(path)?;
                let path = path.clone();
                let fill = move || file.next_block();
                Self::Paced(PacedCapture::new(Box::new(fill), Some(path)))
            }
            Microphone::Tone(hz) => {
                let mut tone = Tone::new(*hz);
                Self::Paced(PacedCapture::new(Box::new(move || Ok(tone.next_block())), None))
            }
            Microphone::Silence => {
                Self::Paced(PacedCapture::new(Box::new(|| Ok(SILENT_BLOCK)), None))
            }
        };
        Ok((opened, None))
    }

    /// The call begins: a paced microphone speaks its first sample now, a card forgets what it
    /// heard before.
    pub(crate) fn start(&mut self, at: Instant) -> Result<(), DeviceError> {
        match self {
            Self::Paced(paced) => paced.start(at),
            Self::Card(card, stand_in) => {
                card.forget();
                stand_in.lives(at);
                Ok(())
            }
        }
    }

    /// The next 10 ms, once they are complete.
    pub(crate) fn take(&mut self, now: Instant) -> Result<Option<Block>, DeviceError> {
        match self {
            Self::Paced(paced) => paced.take(now),
            Self::Card(card, stand_in) => Ok(card.take().inspect(|_| stand_in.lives(now))),
        }
    }

    /// Whether 10 ms have gone by for which a card that is gone gave nothing; ask until it says no.
    pub(crate) fn owes(&mut self, now: Instant) -> bool {
        match self {
            Self::Paced(_) => false,
            Self::Card(_, stand_in) => {
                let owes = stand_in.wants(now).is_some();
                if owes {
                    stand_in.passed();
                }
                owes
            }
        }
    }

    /// When to ask again; before that only if the device wakes us.
    pub(crate) fn due(&self) -> Option<Instant> {
        match self {
            Self::Paced(paced) => paced.due(),
            Self::Card(_, stand_in) => stand_in.due(),
        }
    }

    /// Where this microphone is.
    pub(crate) const fn scene(&self) -> Scene {
        match self {
            Self::Paced(_) => Scene::Wire,
            Self::Card(..) => Scene::Room,
        }
    }

    /// What the device told since the last time.
    pub(crate) fn take_news(&mut self) -> Vec<DeviceNews> {
        match self {
            Self::Paced(_) => Vec::new(),
            Self::Card(card, _) => card.take_news(),
        }
    }
}

/// An open speaker.
#[derive(Debug)]
pub(crate) enum Playback {
    Paced(PacedPlayback),
    Card(Box<CardPlayback>, StandIn),
}

impl Playback {
    /// Opens what `speaker` names.
    pub(crate) fn open(speaker: &Speaker, wake: &Arc<Wake>) -> Opened<Self> {
        let file = match speaker {
            Speaker::Device(id) => {
                let (card, trouble) = CardPlayback::open(id, wake)?;
                return Ok((Self::Card(Box::new(card), StandIn::default()), trouble));
            }
            Speaker::File(path) => Some(WavSink::create(path)?),
            Speaker::None => None,
        };
        Ok((Self::Paced(PacedPlayback::new(file)), None))
    }

    /// The call begins: a paced speaker is heard from now on.
    pub(crate) fn start(&mut self, at: Instant) -> Result<(), DeviceError> {
        match self {
            Self::Paced(paced) => paced.start(at),
            Self::Card(_, stand_in) => {
                stand_in.lives(at);
                Ok(())
            }
        }
    }

    /// If a block is wanted now, the moment at which its first sample will be heard. For a card
    /// that is gone time goes by as well, so that nothing piles up for the day that it comes back.
    pub(crate) fn wants(&mut self, now: Instant) -> Option<Instant> {
        match self {
            Self::Paced(paced) => paced.wants(now),
            Self::Card(card, stand_in) => {
                let wants = card.wants(now).inspect(|_| stand_in.lives(now));
                wants.or_else(|| stand_in.wants(now))
            }
        }
    }

    /// Gives the wanted block.
    pub(crate) fn put(&mut self, block: &Block) -> Result<(), DeviceError> {
        match self {
            Self::Paced(paced) => paced.put(block),
            Self::Card(_, stand_in) if stand_in.stands_in() => {
                stand_in.passed();
                Ok(())
            }
            Self::Card(card, _) => {
                card.put(block);
                Ok(())
            }
        }
    }

    /// When to ask again; before that only if the device wakes us.
    pub(crate) fn due(&self) -> Option<Instant> {
        match self {
            Self::Paced(paced) => paced.due(),
            Self::Card(_, stand_in) => stand_in.due(),
        }
    }

    /// Times that a card had nothing to play.
    pub(crate) fn underruns(&self) -> u64 {
        match self {
            Self::Paced(_) => 0,
            Self::Card(card, _) => card.underruns(),
        }
    }

    /// What the device told since the last time.
    pub(crate) fn take_news(&mut self) -> Vec<DeviceNews> {
        match self {
            Self::Paced(_) => Vec::new(),
            Self::Card(card, _) => card.take_news(),
        }
    }

    /// Ends a file properly.
    pub(crate) fn finish(&mut self) -> Result<(), DeviceError> {
        match self {
            Self::Paced(paced) => paced.finish(),
            Self::Card(..) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written_alike() {
        for text in ["device:pulseaudio:mic A", "file:/tmp/a b.wav", "tone:440", "silence"] {
            assert_eq!(text.parse::<Microphone>().unwrap().to_string(), text);
        }
        for text in ["device:default", "file:x.wav", "none"] {
            assert_eq!(text.parse::<Speaker>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn other_names_are_refused() {
        for text in ["", "device:", "file:", "tone:", "tone:x", "tone:NaN", "tone:1", "none", "x:y"]
        {
            let bad = Err(DeviceError::BadName { text: text.to_owned() });
            assert_eq!(text.parse::<Microphone>(), bad);
        }
        for text in ["silence", "tone:440", "device"] {
            assert!(text.parse::<Speaker>().is_err());
        }
    }
}
