//! The part of a call in which sound flows: voice and reports over one path, sealed.
//!
//! Invariants: the keys of a call are used up by the one set of seals made here; nothing unsealed
//! leaves, and nothing that does not open reaches the session.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use earshot_audio::counts::ReceiverStats;
use earshot_audio::reception::Reporter;
use earshot_audio::sender::VoicePacket;
use earshot_audio::session::{VoiceSession, VoiceStats};
use earshot_proto::ids::CallId;
use earshot_proto::secure::report_seal::{Account, ReportOpener, ReportSealer};
use earshot_proto::secure::voice_seal::{OpenCounts, Opener, Sealer, Seals, Stamp, VoiceKeys};
use earshot_proto::wire::report::is_rtcp;
use tokio::time::{Interval, MissedTickBehavior, interval_at};

use super::reports::{Correspondence, heard_of_us};
use super::{Route, locked};
use crate::api::call::{CallStats, PathKind};
use crate::api::text::Spelled;
use crate::paths::{PathHandle, Sink};

/// How often a call is told of (INTERFACES 3), and a report is sent. That are 76 bytes beside some
/// 5,400 of voice: below the twentieth part that RFC 3550, section 6.2, allows.
const EACH: Duration = Duration::from_secs(1);
/// Figures that "recent" looks back over: ten seconds.
const RECENT: usize = 10;
/// How often the owner is told how loud it is: a meter that moves ten times a second looks alive.
const LEVELS_EACH: Duration = Duration::from_millis(100);
/// The first report leaves as soon as there is something to tell: ten packets of voice.
const FIRST_REPORT: Duration = Duration::from_millis(200);

/// Sound that flows.
pub(super) struct Talk {
    since: Instant,
    /// What hears; none when it has ended.
    ear: Option<Arc<Mutex<Ear>>>,
    /// Over which it hears.
    heard_over: Vec<PathHandle>,
    shared: Arc<Shared>,
    report_sealer: ReportSealer,
    reporter: Reporter,
    sealed: Vec<u8>,
    /// Opus bytes sent until the last figures.
    told_bytes: u64,
    /// What was received at the last figures, the oldest first.
    heard: VecDeque<ReceiverStats>,
    levels_due: Interval,
    figures_due: Interval,
    report_due: Interval,
}

/// What the call's task, the loop and the voice thread share.
struct Shared {
    /// The paths over which each packet is sent.
    send: Mutex<Vec<PathHandle>>,
    counts: Mutex<OpenCounts>,
    correspondence: Mutex<Correspondence>,
    /// When voice was last sent, and the time stamp of its packet.
    spoken: Mutex<Option<(Instant, u32)>>,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// The owner is to be told how loud it is.
    Levels,
    /// The owner is to be told of the call.
    Figures,
    /// The other side is.
    Report,
}

/// Ends when something is due; never before the sound flows.
pub(super) async fn due(talk: &mut Option<Talk>) -> Due {
    let Some(talk) = talk else { return std::future::pending().await };
    tokio::select! {
        _ = talk.levels_due.tick() => Due::Levels,
        _ = talk.figures_due.tick() => Due::Figures,
        _ = talk.report_due.tick() => Due::Report,
    }
}

impl Talk {
    pub(super) fn begin(
        session: &Arc<VoiceSession>,
        route: Route,
        keys: VoiceKeys,
        since: Instant,
    ) -> Self {
        let Seals { sealer, opener, report_sealer, report_opener } = keys.into_seals();
        let shared = Arc::new(Shared {
            send: Mutex::new(Vec::new()),
            counts: Mutex::default(),
            correspondence: Mutex::new(Correspondence::since(Instant::now())),
            spoken: Mutex::default(),
        });
        let ear = Ear {
            session: Arc::clone(session),
            shared: Arc::clone(&shared),
            opener,
            report_opener,
            opened: Vec::new(),
        };
        let mouth = mouth(sealer, Arc::clone(&shared));
        let mut talk = Self {
            since,
            ear: Some(Arc::new(Mutex::new(ear))),
            heard_over: Vec::new(),
            shared,
            report_sealer,
            reporter: Reporter::default(),
            sealed: Vec::new(),
            told_bytes: 0,
            heard: VecDeque::with_capacity(RECENT),
            levels_due: every(LEVELS_EACH, LEVELS_EACH),
            figures_due: every(EACH, EACH),
            report_due: every(FIRST_REPORT, EACH),
        };
        // The first word is to find a path.
        talk.reroute(route);
        session.start(mouth);
        talk
    }

    /// Goes over to other paths: what is sent from now on leaves by them, and what comes over any
    /// of them is heard.
    pub(super) fn reroute(&mut self, route: Route) {
        let Some(ear) = &self.ear else { return };
        for path in &route.hear {
            path.attach(sink(ear));
        }
        for path in std::mem::replace(&mut self.heard_over, route.hear) {
            if !self.heard_over.iter().any(|known| known.is(&path)) {
                path.detach();
            }
        }
        *locked(&self.shared.send) = route.send;
    }

    /// Takes what comes over the paths no more.
    pub(super) fn end(&mut self) {
        self.heard_over.drain(..).for_each(|path| path.detach());
        self.ear = None;
    }

    /// Tells the other side what was sent and how theirs came. A call that rests tells it, too, so
    /// that the round trip goes on being measured.
    pub(super) fn report(&mut self, stats: &VoiceStats) {
        let now = Instant::now();
        let heard = self.reporter.report(&stats.received);
        let spoken = *locked(&self.shared.spoken);
        let correspondence = locked(&self.shared.correspondence);
        let account = Account {
            sender: spoken.map(|spoken| correspondence.sender(now, spoken, &stats.sent)),
            reception: heard.map(|heard| correspondence.reception(now, &heard)),
        };
        drop(correspondence);
        match self.report_sealer.seal(account, &mut self.sealed) {
            Ok(()) => self.shared.send(&self.sealed),
            Err(error) => tracing::warn!(%error, "A report was not sealed"),
        }
    }

    pub(super) fn figures(&mut self, call: CallId, stats: &VoiceStats) -> CallStats {
        let counts = *locked(&self.shared.counts);
        let path = locked(&self.shared.send).first().map(PathHandle::kind);
        let round_trip = locked(&self.shared.correspondence).round_trip();
        let bytes = stats.sent.payload_bytes;
        let bitrate_bps = (bytes - self.told_bytes.min(bytes)) * 8;
        self.told_bytes = bytes;
        let received = &stats.received;
        let recent = received.since(self.heard.front().unwrap_or(&ReceiverStats::default()));
        if self.heard.len() == RECENT {
            self.heard.pop_front();
        }
        self.heard.push_back(*received);
        let first = received.first_sound.map(|first| first.saturating_duration_since(self.since));
        let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
        CallStats {
            call_id: Spelled::from(&call),
            path: path.map(PathKind::from),
            sent_packets: stats.sent.packets,
            received_packets: received.received,
            lost_packets: received.lost,
            loss_pct: received.loss_pct().into(),
            recent_loss_pct: recent.loss_pct().into(),
            jitter_ms: received.jitter_ms().into(),
            rtt_ms: round_trip.map(ms),
            buffer_ms: received.buffer_ms().into(),
            concealed_pct: received.concealed_pct().into(),
            recent_concealed_pct: recent.concealed_pct().into(),
            bitrate_bps,
            level_in: stats.level_in_dbfs.into(),
            level_out: stats.level_out_dbfs.into(),
            auth_failures: counts.auth_failures + counts.malformed,
            replays: counts.replays,
            first_sound_ms: first.map(ms),
        }
    }
}

fn every(first: Duration, each: Duration) -> Interval {
    let mut interval = interval_at(tokio::time::Instant::now() + first, each);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

impl Shared {
    fn send(&self, packet: &[u8]) {
        for path in locked(&self.send).iter() {
            // A path that is gone is the machine's to notice.
            let _ = path.send(packet);
        }
    }
}

/// Seals and sends, on the voice thread.
fn mouth(mut sealer: Sealer, shared: Arc<Shared>) -> impl FnMut(VoicePacket) + Send + 'static {
    let mut sealed = Vec::new();
    move |packet| {
        let stamp = Stamp { marker: packet.marker, timestamp: packet.timestamp };
        match sealer.seal(stamp, &packet.payload, &mut sealed) {
            Ok(()) => {
                shared.send(&sealed);
                *locked(&shared.spoken) = Some((Instant::now(), packet.timestamp));
            }
            Err(error) => tracing::warn!(%error, "A voice packet was not sealed"),
        }
    }
}

/// Opens and hands over, on the loop's thread.
struct Ear {
    session: Arc<VoiceSession>,
    shared: Arc<Shared>,
    opener: Opener,
    report_opener: ReportOpener,
    opened: Vec<u8>,
}

/// Lets the ear hear one path.
fn sink(ear: &Arc<Mutex<Ear>>) -> Sink {
    let ear = Arc::clone(ear);
    Box::new(move |arrived, packet| locked(&ear).hear(arrived, packet))
}

impl Ear {
    fn hear(&mut self, arrived: Instant, packet: &[u8]) {
        self.opened.clear();
        self.opened.extend_from_slice(packet);
        let taken = if is_rtcp(packet) { self.report(arrived) } else { self.voice(arrived) };
        if taken.is_none() {
            let counts = self.opener.counts().and(self.report_opener.counts());
            *locked(&self.shared.counts) = counts;
        }
    }

    fn voice(&mut self, arrived: Instant) -> Option<()> {
        let voice = self.opener.open(&mut self.opened).ok()?;
        let packet = VoicePacket {
            sequence: voice.header.sequence,
            timestamp: voice.header.timestamp,
            marker: voice.header.marker,
            payload: voice.payload.to_vec(),
        };
        self.session.push(arrived, packet);
        Some(())
    }

    fn report(&mut self, arrived: Instant) -> Option<()> {
        let account = self.report_opener.open(&mut self.opened).ok()?;
        locked(&self.shared.correspondence).take(arrived, &account);
        if let Some(reception) = &account.reception {
            self.session.note_reception(heard_of_us(reception));
        }
        Some(())
    }
}
