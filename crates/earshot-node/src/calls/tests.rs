//! Two processes talk over a real path: what one says the other hears, and nobody else.

use std::path::{Path, PathBuf};

use earshot_audio::device::DeviceError;
use earshot_proto::port::{Output, PathPolicy, VoiceEvent};
use earshot_proto::secure::voice_seal::StreamKeys;
use tokio::time::timeout;

use super::*;
use crate::api::call::PathKind;
use crate::puppet::{Heard, PATH, PATIENCE, Stage, meet};

const CALL: CallId = CallId([1; 16]);

struct Phone {
    stage: Stage,
    desk: CallsDesk,
    reports: mpsc::UnboundedReceiver<CallReport>,
}

impl Phone {
    async fn new(microphone: Microphone, speaker: Speaker) -> Self {
        let (tell, reports) = mpsc::unbounded_channel();
        let devices = Devices { microphone, speaker, encoder: EncoderSettings::default() };
        let reporting: Reports = Arc::new(move |report| drop(tell.send(report)));
        let (calls, desk) = Calls::new(devices, reporting);
        Self { stage: Stage::speaking(Box::new(calls)).await, desk, reports }
    }

    async fn order(&self, order: VoiceOrder) {
        self.stage.order([Output::Voice(CALL, order)]).await;
    }

    async fn start(&self, send: u8, receive: u8) {
        let keys = VoiceKeys { send: stream(send), receive: stream(receive) };
        let route = VoiceRoute { send: vec![PATH], hear: vec![PATH] };
        self.order(VoiceOrder::Start { route, keys: Box::new(keys) }).await;
    }

    async fn report(&mut self) -> Option<CallReport> {
        timeout(PATIENCE, self.reports.recv()).await.expect("a report comes in time")
    }

    async fn stats_when(&mut self, holds: impl Fn(&CallStats) -> bool) -> CallStats {
        loop {
            match self.report().await.expect("the call goes on") {
                CallReport::Stats(stats) if holds(&stats) => return stats,
                CallReport::Stats(_) | CallReport::Level(_) => {}
                CallReport::Problem(_, problem) => panic!("{problem}"),
                CallReport::Device(_, state) => panic!("{state:?}"),
            }
        }
    }
}

fn stream(number: u8) -> StreamKeys {
    StreamKeys { key: [number; 32], salt: [number; 12], ssrc: number.into() }
}

/// A file of this test process.
fn scratch(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("earshot-calls-{}-{name}", std::process::id()))
}

async fn connect(alice: &mut Phone, bob: &mut Phone) {
    let nobody = [Vec::new(), Vec::new()];
    meet(&mut alice.stage, &mut bob.stage, nobody, PathPolicy::Any).await;
}

fn loudness(file: &Path) -> f64 {
    let bytes = std::fs::read(file).expect("the speaker wrote its file");
    let samples =
        bytes[44..].chunks_exact(2).map(|pair| f64::from(i16::from_le_bytes([pair[0], pair[1]])));
    let (sum, count) = samples.fold((0.0, 0.0), |(sum, count), s| (sum + s * s, count + 1.0));
    (sum / f64::max(count, 1.0)).sqrt()
}

#[tokio::test]
async fn what_alice_says_bob_hears() {
    let heard = scratch("bob-hears.wav");
    let mut alice = Phone::new(Microphone::Tone(440.0), Speaker::None).await;
    let mut bob = Phone::new(Microphone::Silence, Speaker::File(heard.clone())).await;
    alice.order(VoiceOrder::Prepare).await;
    bob.order(VoiceOrder::Prepare).await;
    connect(&mut alice, &mut bob).await;
    bob.start(2, 1).await;
    alice.start(1, 2).await;
    let stats = bob.stats_when(|stats| stats.received_packets >= 40).await;
    assert_eq!((stats.auth_failures, stats.replays), (0, 0));
    assert!(stats.first_sound_ms.is_some_and(|ms| ms < 2_000.0), "{stats:?}");
    assert!(bob.desk.stats(CALL).is_some());
    let sent = alice.stats_when(|stats| stats.sent_packets >= 40).await;
    assert!(sent.bitrate_bps > 1_000, "{sent:?}");
    for phone in [&mut alice, &mut bob] {
        let measured = phone.stats_when(|stats| stats.rtt_ms.is_some()).await;
        // Between two sockets of one machine, however busy.
        assert!(measured.rtt_ms.is_some_and(|ms| (0.0..500.0).contains(&ms)), "{measured:?}");
        assert_eq!((measured.auth_failures, measured.replays), (0, 0));
        assert_eq!(measured.path, Some(PathKind::Host));
    }
    bob.order(VoiceOrder::Stop).await;
    while bob.desk.stats(CALL).is_some() {
        bob.report().await.expect("the last report comes before the end");
        tokio::task::yield_now().await;
    }
    // A tone at -20 dBFS is about 2,300 of 32,767.
    let loudness = loudness(&heard);
    assert!(loudness > 500.0, "{loudness}");
    std::fs::remove_file(&heard).expect("it was there");
}

#[tokio::test]
async fn who_has_other_keys_hears_nothing_and_knows_it() {
    let mut alice = Phone::new(Microphone::Tone(440.0), Speaker::None).await;
    let mut eve = Phone::new(Microphone::Silence, Speaker::None).await;
    connect(&mut alice, &mut eve).await;
    eve.start(2, 9).await;
    alice.start(1, 2).await;
    let stats = eve.stats_when(|stats| stats.auth_failures >= 10).await;
    assert_eq!((stats.received_packets, stats.first_sound_ms), (0, None));
}

#[tokio::test]
async fn a_held_call_sends_nothing_until_it_is_resumed() {
    let mut alice = Phone::new(Microphone::Tone(440.0), Speaker::None).await;
    let mut bob = Phone::new(Microphone::Silence, Speaker::None).await;
    connect(&mut alice, &mut bob).await;
    alice.order(VoiceOrder::Hold).await;
    alice.start(1, 2).await;
    bob.start(2, 1).await;
    // Her reports go on, and so the way is measured from his end.
    let measured = bob.stats_when(|stats| stats.rtt_ms.is_some()).await;
    assert_eq!(measured.received_packets, 0);
    let held = alice.stats_when(|_| true).await;
    assert_eq!(held.sent_packets, 0);
    alice.order(VoiceOrder::Resume).await;
    bob.stats_when(|stats| stats.received_packets >= 10).await;
}

#[tokio::test]
async fn a_microphone_that_cannot_be_opened_fails_the_call() {
    let missing = scratch("missing.wav");
    let mut alice = Phone::new(Microphone::File(missing.clone()), Speaker::None).await;
    alice.order(VoiceOrder::Prepare).await;
    let report = alice.report().await.expect("the call's task tells why");
    let CallReport::Problem(CALL, OpenError::Device(DeviceError::FileUnreadable { path, .. })) =
        report
    else {
        panic!("{report:?}");
    };
    assert_eq!(path, missing);
    assert_eq!(alice.stage.hears().await, Heard::Voice(CALL, VoiceEvent::Failed));
}
