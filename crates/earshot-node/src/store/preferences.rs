//! What a person has set and chosen, in one small file of JSON beside the vault.
//!
//! It is read before anybody logs in, so nothing of it is secret. Invariants: the file is whole or
//! not there; one that cannot be understood is kept aside under another name, and the usual
//! settings are used; files and tones, which only tests listen to, are forgotten with the process.

use earshot_audio::device::{DEFAULT_DEVICE, Microphone, Speaker};
use serde::{Deserialize, Serialize};

use super::files::{self, DataDir};
use crate::api::errors::ErrorCode;
use crate::api::settings::{RING_VOLUME_MAX, Settings};
use crate::api::super_peer::{ServingMode, ServingTerms};

const FILE: &str = "settings";
const ASIDE: &str = "settings.damaged";
/// Longest file that is read. Our choice: ten times what the longest names of devices make.
const BYTES_MAX: u64 = 64 * 1024;

/// Settings and devices.
#[derive(Clone, Debug, PartialEq)]
pub struct Preferences {
    /// What a person has set.
    pub settings: Settings,
    /// Where the voice comes from.
    pub microphone: Microphone,
    /// Where the other's voice goes.
    pub speaker: Speaker,
    /// Where it rings; none until one was chosen.
    pub ringer: Option<Speaker>,
    /// Whether to serve as a super-peer; none until that was answered.
    pub serving: Option<ServingMode>,
    /// What to do then, and how much to use.
    pub terms: ServingTerms,
}

/// As it stands in the file.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Written {
    settings: Settings,
    #[serde(skip_serializing_if = "Option::is_none")]
    microphone: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    speaker: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ringer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    serving: Option<ServingMode>,
    serving_terms: ServingTerms,
}

impl Default for Preferences {
    fn default() -> Self {
        Self {
            settings: Settings::default(),
            microphone: Microphone::Device(DEFAULT_DEVICE.to_owned()),
            speaker: Speaker::Device(DEFAULT_DEVICE.to_owned()),
            ringer: None,
            serving: None,
            terms: ServingTerms::default(),
        }
    }
}

impl Preferences {
    /// The ringer that was chosen, else the system's choice.
    #[must_use]
    pub fn where_it_rings(&self) -> Speaker {
        let usual = || Speaker::Device(DEFAULT_DEVICE.to_owned());
        self.ringer.clone().unwrap_or_else(usual)
    }

    /// Reads the file; also tells the name under which a damaged one was kept aside.
    ///
    /// # Errors
    /// [`ErrorCode::FileRefused`] when it is there and cannot be read.
    pub fn read(data: &DataDir) -> Result<(Self, Option<String>), ErrorCode> {
        let path = data.file(FILE);
        let Some(bytes) = files::read_at_most(&path, BYTES_MAX)? else {
            return Ok((Self::default(), None));
        };
        if let Some(read) = Self::understand(&bytes) {
            return Ok((read, None));
        }
        tracing::warn!("The settings are damaged; they are kept as {ASIDE}");
        files::move_away(&path, &data.file(ASIDE)).map_err(|e| files::refused(&path, &e))?;
        Ok((Self::default(), Some(ASIDE.to_owned())))
    }

    /// Puts them in the place of those before.
    ///
    /// # Errors
    /// [`ErrorCode::DiskFull`] or [`ErrorCode::FileRefused`]; those before are still there.
    pub fn write(&self, data: &DataDir) -> Result<(), ErrorCode> {
        let path = data.file(FILE);
        files::replace(&path, &self.to_bytes()).map_err(|e| files::refused(&path, &e))
    }

    fn to_bytes(&self) -> Vec<u8> {
        let microphone = match &self.microphone {
            kept @ (Microphone::Device(_) | Microphone::Silence) => Some(kept.to_string()),
            Microphone::File(_) | Microphone::Tone(_) => None,
        };
        let kept = |speaker: &Speaker| match speaker {
            Speaker::Device(_) | Speaker::None => Some(speaker.to_string()),
            Speaker::File(_) => None,
        };
        let (speaker, ringer) = (kept(&self.speaker), self.ringer.as_ref().and_then(kept));
        let (settings, serving, serving_terms) = (self.settings, self.serving, self.terms);
        let written = Written { settings, microphone, speaker, ringer, serving, serving_terms };
        serde_json::to_vec_pretty(&written).expect("settings have string keys only")
    }

    fn understand(bytes: &[u8]) -> Option<Self> {
        let whole = Some(bytes).filter(|bytes| bytes.len() as u64 <= BYTES_MAX)?;
        let written: Written = serde_json::from_slice(whole).ok()?;
        let usual = Self::default();
        let read = Self {
            settings: written.settings,
            microphone: parsed(written.microphone)?.unwrap_or(usual.microphone),
            speaker: parsed(written.speaker)?.unwrap_or(usual.speaker),
            ringer: parsed(written.ringer)?,
            serving: written.serving,
            terms: written.serving_terms,
        };
        (read.settings.ring_volume <= RING_VOLUME_MAX).then_some(read)
    }
}

/// A device that is named or not; `None` when the name is none.
fn parsed<D: std::str::FromStr>(name: Option<String>) -> Option<Option<D>> {
    name.map(|name| name.parse()).transpose().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::super_peer::{Caps, Jobs};

    fn directory(name: &str) -> DataDir {
        let path =
            std::env::temp_dir().join(format!("earshot-settings-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        DataDir::open(&path).expect("a new directory")
    }

    #[test]
    fn what_was_written_is_found_again() {
        let data = directory("found");
        assert_eq!(Preferences::read(&data), Ok((Preferences::default(), None)));
        let mine = Preferences {
            settings: Settings { ring_volume: 3, sounds: false, ..Settings::default() },
            microphone: Microphone::Device("pulseaudio:headset".into()),
            speaker: Speaker::None,
            ringer: Some(Speaker::Device(DEFAULT_DEVICE.into())),
            serving: Some(ServingMode::Auto),
            terms: ServingTerms {
                jobs: Jobs { directory: false, relay: true },
                caps: Caps { gb_per_month: Some(20), ..Caps::default() },
            },
        };
        assert_eq!(mine.write(&data), Ok(()));
        assert_eq!(Preferences::read(&data), Ok((mine, None)));
    }

    #[test]
    fn files_and_tones_are_forgotten_with_the_process() {
        let data = directory("forgotten");
        let trial = Preferences {
            microphone: Microphone::Tone(440.0),
            speaker: Speaker::File("out.wav".into()),
            ringer: Some(Speaker::File("ring.wav".into())),
            ..Preferences::default()
        };
        assert_eq!(trial.write(&data), Ok(()));
        assert_eq!(Preferences::read(&data), Ok((Preferences::default(), None)));
    }

    #[test]
    fn a_damaged_file_is_kept_aside_and_told() {
        let long = [b"{}".as_slice(), &[b' '; BYTES_MAX as usize]].concat();
        let damaged: [&[u8]; 5] = [
            b"",
            b"{",
            br#"{"settings":{"ringVolume":200}}"#,
            br#"{"microphone":"gramophone:1"}"#,
            &long,
        ];
        for bytes in damaged {
            let data = directory("damaged");
            files::replace(&data.file(FILE), bytes).expect("writable");
            let told = Some(ASIDE.to_owned());
            assert_eq!(Preferences::read(&data), Ok((Preferences::default(), told)));
            assert_eq!(files::read(&data.file(ASIDE)), Ok(Some(bytes.to_vec())));
            assert_eq!(Preferences::read(&data), Ok((Preferences::default(), None)));
        }
    }

    #[test]
    fn what_a_newer_version_adds_is_passed_over() {
        let newer = br#"{"settings":{"sounds":false,"smell":true},"touch":1}"#;
        let read = Preferences::understand(newer).expect("whole");
        assert!(!read.settings.sounds);
    }
}
