//! The voices of a peer's calls: sound to sealed packets on a path, and back.
//!
//! ```text
//! voice thread:  packet ─ seal ─▶ path      loop:  path ─ open ─▶ session ─▶ voice thread
//! ```
//!
//! Source: `earshot_proto::port::VoiceOrder`; INTERFACES 3 (`callStats`). The machine decides; here
//! devices are opened and the two halves of a call joined. Invariants: the keys of a call are used
//! up by its one sealer and its one opener; nothing unsealed leaves; each call has one task, which
//! ends with it and with it the devices' use.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use earshot_audio::codec::EncoderSettings;
use earshot_audio::device::{DeviceError, DeviceNews, Direction, Microphone, Speaker};
use earshot_audio::enhance::EnhanceSettings;
use earshot_audio::sender::{StreamStart, VoicePacket};
use earshot_audio::session::{OpenError, VoiceNews, VoiceSession, VoiceSettings, VoiceStats};
use earshot_proto::ids::CallId;
use earshot_proto::port::{VoiceEvent, VoiceOrder};
use earshot_proto::secure::voice_seal::{OpenCounts, Opener, Sealer, Stamp, VoiceKeys};
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;
use tokio::time::{Interval, MissedTickBehavior, interval_at};

use crate::api::audio::AudioLevel;
use crate::api::call::CallStats;
use crate::api::text::Spelled;
use crate::driver::{Voice, VoiceReport};
use crate::paths::{OpenPaths, PathHandle, Sink};
use crate::seed;
use crate::troubles::{DeviceState, Troubles};

/// How often a call is reported on. INTERFACES 3.
const STATS_INTERVAL: Duration = Duration::from_secs(1);
/// Levels between two of these reports: a meter that moves ten times a second looks alive.
const LEVELS: u32 = 10;

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
    Start(PathHandle, Box<VoiceKeys>, Instant),
    Mute(Muted),
    Hold(Held),
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
            VoiceOrder::Start { path, keys } => match paths.handle(path) {
                Some(path) => Some(Order::Start(path, keys, Instant::now())),
                // The path went down in this very moment; the machine hears of it next.
                None => return,
            },
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
}

/// A panic in one holder leaves plain figures behind.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Attends to one call.
struct Attendant {
    call: CallId,
    devices: watch::Receiver<Devices>,
    figures: Figures,
    reports: Reports,
    machine: VoiceReport,
    troubles: Troubles,
}

/// The part of a call in which sound flows.
struct Talk {
    path: PathHandle,
    since: Instant,
    counts: Arc<Mutex<OpenCounts>>,
    /// Opus bytes sent until the last report.
    reported_bytes: u64,
    /// Ticks so far.
    ticks: u32,
    tick: Interval,
}

impl Attendant {
    async fn attend(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
        let devices = self.devices.borrow_and_update().clone();
        let Some(session) = self.open(devices.clone()).await.map(Arc::new) else {
            return self.machine.tell(VoiceEvent::Failed);
        };
        let mut used = devices;
        let mut talk: Option<Talk> = None;
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    None => break,
                    Some(order) => obey(order, &session, &mut talk),
                },
                () = tick(&mut talk) => self.report(&session, &mut talk),
                Ok(()) = self.devices.changed() => {
                    let chosen = self.devices.borrow_and_update().clone();
                    self.change(&session, &mut used, chosen).await;
                }
            }
        }
        if let Some(talk) = &talk {
            talk.path.detach();
        }
        // The sink is gone, so the session is ours alone.
        if let Some(session) = Arc::into_inner(session) {
            self.report_news(session.take_news());
            if let Ok(last) = spawn_blocking(move || session.stop()).await {
                self.report_figures(&last, &mut talk);
            }
        }
        for state in self.troubles.end() {
            (self.reports)(CallReport::Device(self.call, state));
        }
        locked(&self.figures).remove(&self.call);
    }

    /// Opening devices may take as long as the sound server likes.
    async fn open(&self, devices: Devices) -> Option<VoiceSession> {
        let Devices { microphone, speaker, encoder } = devices;
        let (start, enhance) = (random_start(), EnhanceSettings::default());
        let settings = VoiceSettings { microphone, speaker, encoder, start, enhance };
        let opened = spawn_blocking(move || VoiceSession::open(&settings)).await;
        match opened {
            Ok(Ok(session)) => Some(session),
            Ok(Err(error)) => {
                (self.reports)(CallReport::Problem(self.call, error));
                None
            }
            Err(_stopped) => None,
        }
    }

    async fn change(&mut self, session: &Arc<VoiceSession>, used: &mut Devices, chosen: Devices) {
        let before = std::mem::replace(used, chosen.clone());
        let session = Arc::clone(session);
        let changed = spawn_blocking(move || {
            let mut news: Vec<VoiceNews> = Vec::new();
            let mut judge = |direction, result: Result<(), DeviceError>| {
                // One that could not be taken leaves the one of before, of which it says nothing.
                let trouble = result.err().map(DeviceNews::Trouble);
                news.extend(trouble.map(|news| VoiceNews { direction, news }));
            };
            if before.microphone != chosen.microphone {
                judge(Direction::Capture, session.set_microphone(&chosen.microphone));
            }
            if before.speaker != chosen.speaker {
                judge(Direction::Playback, session.set_speaker(&chosen.speaker));
            }
            news
        });
        self.report_news(changed.await.unwrap_or_default());
    }

    fn report(&mut self, session: &VoiceSession, talk: &mut Option<Talk>) {
        let stats = session.stats();
        self.report_news(session.take_news());
        (self.reports)(CallReport::Level(AudioLevel {
            level_in: stats.level_in_dbfs.into(),
            level_out: stats.level_out_dbfs.into(),
        }));
        let Some(ticking) = talk else { return };
        ticking.ticks += 1;
        if ticking.ticks.is_multiple_of(LEVELS) {
            self.report_figures(&stats, talk);
        }
    }

    fn report_figures(&self, stats: &VoiceStats, talk: &mut Option<Talk>) {
        if let Some(talk) = talk {
            let figures = talk.figures(self.call, stats);
            locked(&self.figures).insert(self.call, figures.clone());
            (self.reports)(CallReport::Stats(figures));
        }
    }

    fn report_news(&mut self, news: Vec<VoiceNews>) {
        for state in news.into_iter().filter_map(|news| self.troubles.take(news)) {
            (self.reports)(CallReport::Device(self.call, state));
        }
    }
}

fn obey(order: Order, session: &Arc<VoiceSession>, talk: &mut Option<Talk>) {
    match order {
        Order::Start(path, keys, since) => {
            if let Some(before) = talk.take() {
                before.path.detach();
            }
            *talk = Some(Talk::begin(session, path, *keys, since));
        }
        Order::Mute(muted) => session.set_muted(muted == Muted::Yes),
        Order::Hold(held) => session.set_held(held == Held::Yes),
    }
}

/// Ends when the next report is due; never before the sound flows.
async fn tick(talk: &mut Option<Talk>) {
    match talk {
        Some(talk) => drop(talk.tick.tick().await),
        None => std::future::pending().await,
    }
}

impl Talk {
    fn begin(
        session: &Arc<VoiceSession>,
        path: PathHandle,
        keys: VoiceKeys,
        since: Instant,
    ) -> Self {
        let (sealer, opener) = keys.into_seals();
        let counts = Arc::<Mutex<OpenCounts>>::default();
        path.attach(ear(Arc::clone(session), opener, Arc::clone(&counts)));
        session.start(mouth(path.clone(), sealer));
        let every = STATS_INTERVAL / LEVELS;
        let mut tick = interval_at(tokio::time::Instant::now() + every, every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { path, since, counts, reported_bytes: 0, ticks: 0, tick }
    }

    fn figures(&mut self, call: CallId, stats: &VoiceStats) -> CallStats {
        let counts = *locked(&self.counts);
        let bytes = stats.sent.payload_bytes;
        let bitrate_bps = (bytes - self.reported_bytes.min(bytes)) * 8;
        self.reported_bytes = bytes;
        let received = &stats.received;
        let first = received.first_sound.map(|first| first.saturating_duration_since(self.since));
        CallStats {
            call_id: Spelled::from(&call),
            sent_packets: stats.sent.packets,
            received_packets: received.received,
            lost_packets: received.lost,
            loss_pct: received.loss_pct().into(),
            jitter_ms: received.jitter_ms().into(),
            rtt_ms: None,
            buffer_ms: received.buffer_ms().into(),
            concealed_pct: received.concealed_pct().into(),
            bitrate_bps,
            level_in: stats.level_in_dbfs.into(),
            level_out: stats.level_out_dbfs.into(),
            auth_failures: counts.auth_failures + counts.malformed,
            replays: counts.replays,
            first_sound_ms: first.map(|after| after.as_secs_f64() * 1_000.0),
        }
    }
}

/// Seals and sends, on the voice thread.
fn mouth(path: PathHandle, mut sealer: Sealer) -> impl FnMut(VoicePacket) + Send + 'static {
    let mut sealed = Vec::new();
    move |packet| {
        let stamp = Stamp { marker: packet.marker, timestamp: packet.timestamp };
        match sealer.seal(stamp, &packet.payload, &mut sealed) {
            // A path that is gone is the machine's to notice.
            Ok(()) => drop(path.send(&sealed)),
            Err(error) => tracing::warn!(%error, "A voice packet was not sealed"),
        }
    }
}

/// Opens and hands over, on the loop's thread.
fn ear(session: Arc<VoiceSession>, mut opener: Opener, counts: Arc<Mutex<OpenCounts>>) -> Sink {
    let mut opened = Vec::new();
    Box::new(move |arrived, packet| {
        opened.clear();
        opened.extend_from_slice(packet);
        match opener.open(&mut opened) {
            Ok(voice) => {
                let packet = VoicePacket {
                    sequence: voice.header.sequence,
                    timestamp: voice.header.timestamp,
                    marker: voice.header.marker,
                    payload: voice.payload.to_vec(),
                };
                session.push(arrived, packet);
            }
            Err(_) => *locked(&counts) = opener.counts(),
        }
    })
}

/// RFC 3550, section 5.1: so that the header's known part is small. The sealer counts for itself.
fn random_start() -> StreamStart {
    let [s0, s1, t0, t1, t2, t3, ..] = seed::draw().map_or([0; 32], |seed| *seed);
    StreamStart {
        sequence: u16::from_be_bytes([s0, s1]),
        timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
    }
}

#[cfg(test)]
mod tests;
