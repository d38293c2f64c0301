//! What a person sets once and expects to find again: looks, language, notifications, sounds.
//!
//! Invariant: settings hold nothing secret and nothing of a network, so that they are there before
//! anybody logs in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::errors::ErrorCode;

/// Loudest ring, in percent.
pub const RING_VOLUME_MAX: u8 = 100;

/// Tells the settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SettingsGet {}

/// Changes settings; what is absent stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SettingsSet {
    /// Light or dark.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub appearance: Option<Appearance>,
    /// The language of the window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// Whether messages are notified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notify_messages: Option<bool>,
    /// Whether calls are notified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notify_calls: Option<bool>,
    /// Whether requests are notified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notify_requests: Option<bool>,
    /// Whether notifications show the text of a message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub show_preview: Option<bool>,
    /// Whether there are sounds besides the voices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sounds: Option<bool>,
    /// How loud it rings, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 100), example = 80)]
    pub ring_volume: Option<u8>,
    /// Whether closing the window leaves Earshot in the tray.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub close_to_tray: Option<bool>,
}

/// What a person has set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Settings {
    /// Light or dark.
    pub appearance: Appearance,
    /// The language of the window.
    pub language: Language,
    /// Whether messages are notified.
    pub notify_messages: bool,
    /// Whether calls are notified.
    pub notify_calls: bool,
    /// Whether requests are notified.
    pub notify_requests: bool,
    /// Whether notifications show the text of a message.
    pub show_preview: bool,
    /// Whether there are sounds besides the voices.
    pub sounds: bool,
    /// How loud it rings, in percent.
    #[schemars(range(max = 100), example = 80)]
    pub ring_volume: u8,
    /// Whether closing the window leaves Earshot in the tray.
    pub close_to_tray: bool,
}

/// Light or dark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Appearance {
    /// As the system.
    #[default]
    System,
    /// Light.
    Light,
    /// Dark.
    Dark,
}

/// A language of the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Language {
    /// As the system, if we speak that; else English.
    #[default]
    System,
    /// English.
    En,
    /// Finnish.
    Fi,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            appearance: Appearance::System,
            language: Language::System,
            notify_messages: true,
            notify_calls: true,
            notify_requests: true,
            show_preview: true,
            sounds: true,
            ring_volume: 80,
            close_to_tray: true,
        }
    }
}

impl Settings {
    /// These settings with what is set in the place of what was.
    ///
    /// # Errors
    /// [`ErrorCode::BadParams`] for a volume over [`RING_VOLUME_MAX`].
    pub fn with(self, set: &SettingsSet) -> Result<Self, ErrorCode> {
        let ring_volume = set.ring_volume.unwrap_or(self.ring_volume);
        if ring_volume > RING_VOLUME_MAX {
            let problem = format!("`ringVolume` is at most {RING_VOLUME_MAX}");
            return Err(ErrorCode::BadParams { problem });
        }
        Ok(Self {
            appearance: set.appearance.unwrap_or(self.appearance),
            language: set.language.unwrap_or(self.language),
            notify_messages: set.notify_messages.unwrap_or(self.notify_messages),
            notify_calls: set.notify_calls.unwrap_or(self.notify_calls),
            notify_requests: set.notify_requests.unwrap_or(self.notify_requests),
            show_preview: set.show_preview.unwrap_or(self.show_preview),
            sounds: set.sounds.unwrap_or(self.sounds),
            ring_volume,
            close_to_tray: set.close_to_tray.unwrap_or(self.close_to_tray),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_set_stays() {
        let dark = SettingsSet { appearance: Some(Appearance::Dark), ..SettingsSet::default() };
        let quiet = SettingsSet { ring_volume: Some(10), ..SettingsSet::default() };
        let both = Settings::default().with(&dark).and_then(|settings| settings.with(&quiet));
        let wanted =
            Settings { appearance: Appearance::Dark, ring_volume: 10, ..Settings::default() };
        assert_eq!(both, Ok(wanted));
        let loud = SettingsSet { ring_volume: Some(101), ..SettingsSet::default() };
        assert!(matches!(wanted.with(&loud), Err(ErrorCode::BadParams { .. })));
    }
}
