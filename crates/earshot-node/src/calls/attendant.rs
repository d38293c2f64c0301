//! The task of one call: devices opened, orders obeyed, and every second something to tell.
//!
//! Invariants: what may wait for a sound server runs beside the loop; the task ends when its orders
//! do, and tells its last figures before that.

use std::sync::Arc;

use earshot_audio::device::{DeviceError, DeviceNews, Direction};
use earshot_audio::enhance::EnhanceSettings;
use earshot_audio::sender::StreamStart;
use earshot_audio::session::{VoiceNews, VoiceSession, VoiceSettings, VoiceStats};
use earshot_proto::ids::CallId;
use earshot_proto::port::VoiceEvent;
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;

use super::talk::{Due, Talk, due};
use super::{CallReport, Devices, Figures, Held, Muted, Order, Reports, locked};
use crate::api::audio::AudioLevel;
use crate::driver::VoiceReport;
use crate::seed;
use crate::troubles::Troubles;

/// Attends to one call.
pub(super) struct Attendant {
    pub(super) call: CallId,
    pub(super) devices: watch::Receiver<Devices>,
    pub(super) figures: Figures,
    pub(super) reports: Reports,
    pub(super) machine: VoiceReport,
    pub(super) troubles: Troubles,
}

impl Attendant {
    pub(super) async fn attend(mut self, mut orders: mpsc::UnboundedReceiver<Order>) {
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
                due = due(&mut talk) => match due {
                    Due::Levels => self.report_levels(&session),
                    Due::Figures => self.report_figures(&session.stats(), &mut talk),
                    Due::Report => {
                        if let Some(talk) = &mut talk {
                            talk.report(&session.stats());
                        }
                    }
                },
                Ok(()) = self.devices.changed() => {
                    let chosen = self.devices.borrow_and_update().clone();
                    self.change(&session, &mut used, chosen).await;
                }
            }
        }
        if let Some(talk) = &mut talk {
            talk.end();
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

    /// How loud it is, and what the devices told.
    fn report_levels(&mut self, session: &VoiceSession) {
        let stats = session.stats();
        self.report_news(session.take_news());
        (self.reports)(CallReport::Level(AudioLevel {
            level_in: stats.level_in_dbfs.into(),
            level_out: stats.level_out_dbfs.into(),
        }));
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
        Order::Start(route, keys, since) => {
            if let Some(mut before) = talk.take() {
                before.end();
            }
            *talk = Some(Talk::begin(session, route, *keys, since));
        }
        Order::Reroute(route) => {
            if let Some(talk) = talk {
                talk.reroute(route);
            }
        }
        Order::Mute(muted) => session.set_muted(muted == Muted::Yes),
        Order::Hold(held) => session.set_held(held == Held::Yes),
    }
}

/// RFC 3550, section 5.1: so that the header's known part is small. The sealer counts for itself.
fn random_start() -> StreamStart {
    let [s0, s1, t0, t1, t2, t3, ..] = seed::draw().map_or([0; 32], |seed| *seed);
    StreamStart {
        sequence: u16::from_be_bytes([s0, s1]),
        timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
    }
}
