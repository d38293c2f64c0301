//! Devices and settings: what the owner chooses, kept before it is granted.

use earshot_audio::device::{DeviceError, Microphone, Speaker};

use super::{Owner, refused, shown};
use crate::api::audio::{AudioSet, AudioTrial, ChosenDevices, Devices};
use crate::api::commands::Done;
use crate::api::errors::ErrorCode;
use crate::api::events::Event;
use crate::api::failure::Failure;
use crate::api::reply::Reply;
use crate::api::settings::{Settings, SettingsSet};
use crate::api::super_peer::{ServingTerms, SuperPeerSet};
use crate::store::preferences::Preferences;

impl Owner {
    pub(super) fn chosen(&self) -> ChosenDevices {
        shown::chosen(&self.tools.preferences.borrow())
    }

    /// The devices of this computer. The sound server is asked where waiting a little is allowed.
    pub(super) async fn devices(&self) -> Result<Devices, Failure> {
        let chosen = self.chosen();
        let asked = chosen.clone();
        let found = tokio::task::spawn_blocking(move || shown::devices(asked)).await;
        self.tools.sound.look(chosen).await;
        found.map_err(|_| ErrorCode::Leaving.into())
    }

    /// Tries the sound out.
    pub(super) async fn test_audio(&self, what: AudioTrial) -> Result<Done, ErrorCode> {
        self.tools.sound.test(what).await.map(|()| Done {})
    }

    /// Takes the devices that are named, all or none.
    pub(super) async fn set_audio(&self, set: &AudioSet) -> Result<ChosenDevices, ErrorCode> {
        let bad = |field: &str| {
            let field = field.to_owned();
            move |_: DeviceError| ErrorCode::BadDevice { field: field.clone() }
        };
        let microphone = set.microphone.as_deref().map(str::parse::<Microphone>).transpose();
        let microphone = microphone.map_err(bad("microphone"))?;
        let speaker = set.speaker.as_deref().map(str::parse::<Speaker>).transpose();
        let speaker = speaker.map_err(bad("speaker"))?;
        let ringer = set.ringer.as_deref().map(str::parse::<Speaker>).transpose();
        let ringer = ringer.map_err(bad("ringer"))?;
        if let Some(Microphone::File(path)) = &microphone {
            refused::readable(path)?;
        }
        let before = self.tools.preferences.borrow().clone();
        let chosen = Preferences {
            settings: before.settings,
            microphone: microphone.unwrap_or(before.microphone),
            speaker: speaker.unwrap_or(before.speaker),
            ringer: ringer.or(before.ringer),
            serving: before.serving,
            terms: before.terms,
        };
        self.keep(chosen).await?;
        Ok(self.chosen())
    }

    /// Changes settings. Everybody who listens hears of it after the answer.
    pub(super) async fn set(&self, set: &SettingsSet, reply: Reply<Settings>) {
        let before = self.tools.preferences.borrow().clone();
        let kept = async {
            let settings = before.settings.with(set)?;
            self.keep(Preferences { settings, ..before }).await?;
            Ok::<_, ErrorCode>(settings)
        };
        match kept.await {
            Ok(settings) => {
                reply.grant(settings);
                self.ears.tell(Event::SettingsChanged { settings });
            }
            Err(why) => reply.refuse(why),
        }
    }

    /// Keeps whether to serve as a super-peer, and how; tells how.
    ///
    /// # Errors
    /// [`ErrorCode::NoJob`], [`ErrorCode::CapOutOfRange`], [`ErrorCode::DiskFull`] or
    /// [`ErrorCode::FileRefused`]; what was chosen before still is.
    pub async fn keep_serving(&self, set: &SuperPeerSet) -> Result<ServingTerms, ErrorCode> {
        let before = self.tools.preferences.borrow().clone();
        let (terms, serving) = (before.terms.with(set)?, set.mode.or(before.serving));
        self.keep(Preferences { serving, terms, ..before }).await?;
        Ok(terms)
    }

    /// Puts preferences in force once they are on disk.
    async fn keep(&self, preferences: Preferences) -> Result<(), ErrorCode> {
        self.tools.disk.prefer(preferences.clone()).await?;
        self.tools.calls.choose(|devices| {
            devices.microphone.clone_from(&preferences.microphone);
            devices.speaker.clone_from(&preferences.speaker);
        });
        self.tools.preferences.send_replace(preferences);
        Ok(())
    }
}
