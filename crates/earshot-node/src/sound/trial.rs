//! Trying the sound out: a level meter, hearing oneself, one ring.

use std::time::Duration;

use earshot_audio::aside::{Aside, Rounds};
use earshot_audio::device::DeviceError;
use earshot_audio::tune::Tune;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::{Tell, bells};
use crate::api::audio::{AudioLevel, AudioPart, AudioTrial};
use crate::api::errors::ErrorCode;
use crate::api::events::Event;
use crate::owner;
use crate::store::preferences::Preferences;
use crate::troubles::Troubles;

/// A trial that nobody ended ends after this: a microphone must not stay open unseen.
const LONGEST: Duration = Duration::from_secs(60);
/// How often levels are told: a needle of twenty a second moves smoothly.
const LEVEL_EVERY: Duration = Duration::from_millis(50);

/// A trial that goes on.
pub(super) struct Trial {
    what: AudioTrial,
    aside: Aside,
    ends: Instant,
    tick: Interval,
    troubles: Troubles,
}

impl Trial {
    /// Begins one; none for [`AudioTrial::Off`]. The ringer is tried aloud even where sounds are
    /// off.
    pub(super) async fn begin(
        what: AudioTrial,
        preferences: &Preferences,
    ) -> Result<Option<Self>, ErrorCode> {
        let ringer = preferences.where_it_rings();
        let Preferences { settings, microphone, speaker, .. } = preferences.clone();
        let gain = bells::loudness(settings.ring_volume);
        let opened = spawn_blocking(move || match what {
            AudioTrial::Off => None,
            AudioTrial::Meter => Some(Aside::meter(&microphone)),
            AudioTrial::Loop => Some(Aside::echo(&microphone, &speaker)),
            AudioTrial::Ringer => Some(Aside::play(&ringer, Tune::Ring, Rounds::Once, gain)),
        });
        let opened: Option<Result<Aside, DeviceError>> =
            opened.await.map_err(|_| ErrorCode::Leaving)?;
        let Some(opened) = opened else { return Ok(None) };
        let aside = opened.map_err(|error| owner::refused_audio(&error))?;
        let mut tick = interval(LEVEL_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (ends, troubles) = (Instant::now() + LONGEST, Troubles::default());
        Ok(Some(Self { what, aside, ends, tick, troubles }))
    }

    /// Tells how loud it is and what is wrong; whether it goes on.
    fn report(&mut self, tell: &Tell) -> bool {
        let part = (self.what == AudioTrial::Ringer).then_some(AudioPart::Ringer);
        for news in self.aside.take_news() {
            if let Some(state) = self.troubles.take(news) {
                tell(Event::AudioProblem(owner::device_problem(None, part, &state)));
            }
        }
        if self.what != AudioTrial::Ringer {
            let levels = self.aside.levels();
            let (level_in, level_out) = (levels.in_dbfs.into(), levels.out_dbfs.into());
            tell(Event::AudioLevel(AudioLevel { level_in, level_out }));
        }
        !self.aside.is_over() && Instant::now() < self.ends
    }

    /// Ends it; what was wrong is nobody's concern any more.
    pub(super) async fn end(mut self, tell: &Tell) {
        let part = (self.what == AudioTrial::Ringer).then_some(AudioPart::Ringer);
        for state in self.troubles.end() {
            tell(Event::AudioProblem(owner::device_problem(None, part, &state)));
        }
        let aside = self.aside;
        let _ = spawn_blocking(move || drop(aside)).await;
    }
}

/// Waits for the next report of a trial and makes it; whether the trial goes on.
pub(super) async fn tick(trial: &mut Option<Trial>, tell: &Tell) -> bool {
    match trial {
        Some(trial) => {
            trial.tick.tick().await;
            trial.report(tell)
        }
        None => std::future::pending().await,
    }
}
