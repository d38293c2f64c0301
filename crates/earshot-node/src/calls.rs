//! The voices of a peer's calls: sound to sealed packets on a path, and back.
//!
//! ```text
//! voice thread:  packet ─ seal ─▶ path      loop:  path ─ open ─▶ session ─▶ voice thread
//! ```
//!
//! Source: `earshot_proto::port::VoiceOrder`; INTERFACES 3 (`callStats`). The machine decides; here
//! its orders go to one task a call ([`attendant`]), in which sound and reports flow ([`talk`],
//! [`reports`]). Invariant: each call has one task, which ends with it and with it the devices'
//! use.

mod attendant;
mod reports;
mod talk;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use attendant::Attendant;
use earshot_audio::codec::EncoderSettings;
use earshot_audio::device::{Microphone, Speaker};
use earshot_audio::session::OpenError;
use earshot_proto::ids::CallId;
use earshot_proto::port::{PathId, VoiceOrder, VoiceRoute};
use earshot_proto::secure::voice_seal::VoiceKeys;
use tokio::sync::{mpsc, watch};

use crate::api::audio::AudioLevel;
use crate::api::call::{Call, CallStats};
use crate::driver::{Voice, VoiceReport};
use crate::paths::{OpenPaths, PathHandle};
use crate::troubles::{DeviceState, Troubles};

/// What calls speak and listen with.
#[derive(Clone, Debug, PartialEq)]
pub struct Devices {
    /// Where the voice comes from.
    pub microphone: Microphone,
    /// Where the other's voice goes.
    pub speaker: Speaker,
    /// How the voice is encoded; of calls that begin later.
    pub encoder: EncoderSettings,
}

/// What a call tells its owner of its sound.
#[derive(Clone, Debug)]
pub enum CallReport {
    /// How it is heard: every second, and at its end.
    Stats(CallStats),
    /// How loud it is.
    Level(AudioLevel),
    /// No call is possible with these devices; the machine hears so next.
    Problem(CallId, OpenError),
    /// Something is wrong with a device of a call that goes on, or right again.
    Device(CallId, DeviceState),
}

/// Takes reports; called on the loop, so it must not wait.
pub type Reports = Arc<dyn Fn(CallReport) + Send + Sync>;

/// Carries out the voice orders of one peer.
pub struct Calls {
    devices: watch::Receiver<Devices>,
    figures: Figures,
    reports: Reports,
    /// Dropping the sender ends the call's task.
    open: HashMap<CallId, mpsc::UnboundedSender<Order>>,
}

/// The owner's end of [`Calls`].
#[derive(Clone)]
pub struct CallsDesk {
    devices: watch::Sender<Devices>,
    figures: Figures,
}

/// The last figures of each call that is going on.
type Figures = Arc<Mutex<HashMap<CallId, CallStats>>>;

enum Order {
    /// Boxed, as the keys came, so that they are not copied about.
    Start(Route, Box<VoiceKeys>, Instant),
    Reroute(Route),
    Mute(Muted),
    Hold(Held),
}

/// The paths of a voice that are up.
struct Route {
    send: Vec<PathHandle>,
    hear: Vec<PathHandle>,
}

impl Route {
    /// What went down in this very moment is left out; the machine hears of it next.
    fn of(route: &VoiceRoute, paths: &OpenPaths<'_>) -> Self {
        let up = |ids: &[PathId]| ids.iter().filter_map(|id| paths.handle(*id)).collect();
        Self { send: up(&route.send), hear: up(&route.hear) }
    }
}

/// Whether our voice is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Muted {
    Yes,
    No,
}

/// Whether the call rests.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    Yes,
    No,
}

impl Calls {
    /// The voices of a peer that speaks and listens with `devices`.
    #[must_use]
    pub fn new(devices: Devices, reports: Reports) -> (Self, CallsDesk) {
        let (choose, chosen) = watch::channel(devices);
        let figures = Figures::default();
        let desk = CallsDesk { devices: choose, figures: Arc::clone(&figures) };
        (Self { devices: chosen, figures, reports, open: HashMap::new() }, desk)
    }

    fn begin(&self, call: CallId, report: VoiceReport) -> mpsc::UnboundedSender<Order> {
        let (orders, ordered) = mpsc::unbounded_channel();
        let attendant = Attendant {
            call,
            devices: self.devices.clone(),
            figures: Arc::clone(&self.figures),
            reports: Arc::clone(&self.reports),
            machine: report,
            troubles: Troubles::default(),
        };
        tokio::spawn(attendant.attend(ordered));
        orders
    }
}

impl Voice for Calls {
    fn order(
        &mut self,
        call: CallId,
        order: VoiceOrder,
        report: VoiceReport,
        paths: &OpenPaths<'_>,
    ) {
        let order = match order {
            VoiceOrder::Prepare => None,
            VoiceOrder::Start { route, keys } => {
                Some(Order::Start(Route::of(&route, paths), keys, Instant::now()))
            }
            VoiceOrder::Reroute(route) => Some(Order::Reroute(Route::of(&route, paths))),
            VoiceOrder::Mute => Some(Order::Mute(Muted::Yes)),
            VoiceOrder::Unmute => Some(Order::Mute(Muted::No)),
            VoiceOrder::Hold => Some(Order::Hold(Held::Yes)),
            VoiceOrder::Resume => Some(Order::Hold(Held::No)),
            VoiceOrder::Stop => {
                self.open.remove(&call);
                return;
            }
        };
        if !self.open.contains_key(&call) {
            let orders = self.begin(call, report);
            self.open.insert(call, orders);
        }
        if let (Some(orders), Some(order)) = (self.open.get(&call), order) {
            // A task that could not open its devices has told so.
            let _ = orders.send(order);
        }
    }
}

impl CallsDesk {
    /// Changes what is spoken and listened with; running calls go over to it.
    pub fn choose(&self, change: impl FnOnce(&mut Devices)) {
        self.devices.send_modify(change);
    }

    /// What is spoken and listened with.
    #[must_use]
    pub fn chosen(&self) -> Devices {
        self.devices.borrow().clone()
    }

    /// How a call is heard, at most a second ago; `None` before it began and after it ended.
    #[must_use]
    pub fn stats(&self, call: CallId) -> Option<CallStats> {
        locked(&self.figures).get(&call).cloned()
    }

    /// Adds to what is told of a call what its sound has measured of the path.
    pub fn measured(&self, call: &mut Call) {
        let stats = call.id.read().ok().and_then(|id| self.stats(id));
        if let (Some(path), Some(stats)) = (&mut call.path, stats) {
            path.rtt_ms = stats.rtt_ms.or(path.rtt_ms);
        }
    }
}

/// A panic in one holder leaves plain figures behind.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
