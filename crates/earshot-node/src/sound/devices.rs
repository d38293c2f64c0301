//! Telling that sound devices come and go, while somebody looks at them.
//!
//! There is no event for it, so the sound server is asked once a second.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::Tell;
use crate::api::audio::{ChosenDevices, Devices};
use crate::api::events::Event;
use crate::owner;
use crate::store::preferences::Preferences;

/// How long after a look it is still told. Our choice: as long as a page of settings is open.
const LOOKS_FOR: Duration = Duration::from_secs(180);
const ASK_EVERY: Duration = Duration::from_secs(1);

/// A look at the devices.
pub(super) struct DeviceWatch {
    preferences: watch::Receiver<Preferences>,
    seen: Option<Devices>,
    ends: Instant,
    tick: Interval,
}

impl DeviceWatch {
    pub(super) async fn begin(
        chosen: ChosenDevices,
        preferences: watch::Receiver<Preferences>,
    ) -> Self {
        let seen = list(chosen).await;
        let mut tick = interval(ASK_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tick.reset();
        Self { preferences, seen, ends: Instant::now() + LOOKS_FOR, tick }
    }
}

async fn list(chosen: ChosenDevices) -> Option<Devices> {
    spawn_blocking(move || owner::devices(chosen)).await.ok()
}

/// Waits for the next look and tells what is new; whether it goes on.
pub(super) async fn tick(watch: &mut Option<DeviceWatch>, tell: &Tell) -> bool {
    let Some(watch) = watch else { return std::future::pending().await };
    watch.tick.tick().await;
    let chosen = owner::chosen(&watch.preferences.borrow());
    let now = list(chosen).await;
    let changed = match (&now, &watch.seen) {
        (Some(now), Some(seen)) => {
            now.microphones != seen.microphones || now.speakers != seen.speakers
        }
        (None, _) | (_, None) => false,
    };
    if let (Some(devices), true) = (now.clone(), changed) {
        tell(Event::AudioDevicesChanged { devices });
    }
    watch.seen = now;
    Instant::now() < watch.ends
}
