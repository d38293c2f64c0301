//! Sound devices: which there are, which are used, and what is wrong with them.

use earshot_proto::ids::CallId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::text::Spelled;

/// Lists the sound devices of this computer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AudioDevices {}

/// The sound devices of this computer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Devices {
    /// What can be spoken into.
    pub microphones: Vec<Device>,
    /// What can be heard.
    pub speakers: Vec<Device>,
    /// What is used.
    pub chosen: ChosenDevices,
}

/// A sound device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Device {
    /// Chosen as `device:ID`.
    #[schemars(example = "alsa_input.pci-0000_00_1f.3.analog-stereo")]
    pub id: String,
    /// For people.
    #[schemars(example = "Built-in Audio")]
    pub name: String,
    /// Whether the system would choose it.
    pub is_default: bool,
}

/// Chooses sound devices; what is absent stays as it is. A running call goes over to them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AudioSet {
    /// `device:ID`, `file:PATH.wav`, `tone:HZ` or `silence`. The id `default` is what the system
    /// chooses.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "file:/tmp/alice-in.wav")]
    pub microphone: Option<String>,
    /// `device:ID`, `file:PATH.wav` or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "file:/tmp/bob-out.wav")]
    pub speaker: Option<String>,
    /// Where it rings: as the speaker.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "device:default")]
    pub ringer: Option<String>,
}

/// Tries the sound out. It ends by itself after a minute, or when a call begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AudioTest {
    /// What is tried; it takes the place of what was tried before.
    pub what: AudioTrial,
}

/// What of the sound is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum AudioTrial {
    /// Nothing any more.
    Off,
    /// The microphone: `audioLevel` comes twenty times a second.
    Meter,
    /// Microphone and speaker: one hears oneself a second later, and `audioLevel` comes as well.
    Loop,
    /// The ringer: it rings once.
    Ringer,
}

/// The sound devices that are used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChosenDevices {
    /// As in `audio.set`.
    #[schemars(example = "device:default")]
    pub microphone: String,
    /// As in `audio.set`.
    #[schemars(example = "device:default")]
    pub speaker: String,
    /// As in `audio.set`.
    #[schemars(example = "device:default")]
    pub ringer: String,
}

/// How loud it is now: ten times a second in a call, more often while the sound is tried out.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AudioLevel {
    /// Level of the microphone: dBFS, -100 to 0.
    #[schemars(example = -23.5)]
    pub level_in: f64,
    /// Level of what is played: dBFS, -100 to 0.
    #[schemars(example = -20.5)]
    pub level_out: f64,
}

/// Something is wrong with the sound, or right again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AudioProblem {
    /// What.
    pub fault: AudioFault,
    /// The device or file.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(example = "device:default")]
    pub device: Option<String>,
    /// What it is used for; absent when all of them are meant. The latest word on a part counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<AudioPart>,
    /// The call that it happened in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_id: Option<Spelled<CallId>>,
    /// Whether it is over.
    pub solved: bool,
}

/// What a sound device is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum AudioPart {
    /// One speaks into it.
    Microphone,
    /// One hears the others from it.
    Speaker,
    /// It rings there.
    Ringer,
}

/// What can be wrong with the sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum AudioFault {
    /// There is no microphone.
    NoMicrophone,
    /// There is no speaker.
    NoSpeaker,
    /// No device has that id (any more).
    NoSuchDevice,
    /// Another program has the device to itself.
    DeviceBusy,
    /// The user or the system forbids the use.
    Forbidden,
    /// The device cannot do what a call needs.
    Unsupported,
    /// The sound server does not answer.
    ServerGone,
    /// The file cannot be opened or read.
    FileUnreadable,
    /// The file cannot be created or written.
    FileUnwritable,
    /// The file is no WAV that can be played.
    UnsupportedWav,
}
