//! A peer that lives inside the test: the product's own loop, disk and machine, and a voice of the
//! test's, which therefore knows what is said before it is sealed and the keys that seal it.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use earshot_audio::codec::EncoderSettings;
use earshot_audio::frame::{BLOCK_SAMPLES, Block, SAMPLE_RATE_HZ};
use earshot_audio::sender::{Sender, StreamStart};
use earshot_node::driver::{
    Driver, Handle, Mail, Residence, Settings, Voice, VoiceReport, runtime,
};
use earshot_node::paths::{IceGround, OpenPaths, PathHandle};
use earshot_node::store::files::DataDir;
use earshot_node::store::peer::{self as store, Kept};
use earshot_node::{clock, seed};
use earshot_proto::ids::CallId;
use earshot_proto::peer::command::{Answer, Command, Failure, Notice};
use earshot_proto::peer::{Config, Peer};
use earshot_proto::port::{PathPolicy, Service, VoiceOrder};
use earshot_proto::secure::password::StretchCost;
use earshot_proto::secure::voice_seal::{Opener, Sealer, Seals, Stamp, VoiceKeys};
use earshot_proto::wire::invite::Invite;
use earshot_tests::speech::speech;

use crate::world::SOON;

/// So many packets are remembered of each kind: a second of voice. Issue 2.
pub(crate) const REMEMBERED: usize = 50;
/// One packet of voice is as long.
const FRAME: Duration = Duration::from_millis(20);
/// What is said, over and over.
const SPEECH_SECONDS: usize = 4;

/// What the voice knows: the last packets of each kind, oldest first, and the keys.
#[derive(Clone, Default)]
pub(crate) struct Known {
    pub(crate) said: VecDeque<Vec<u8>>,
    pub(crate) said_sealed: VecDeque<Vec<u8>>,
    pub(crate) heard: VecDeque<Vec<u8>>,
    pub(crate) heard_sealed: VecDeque<Vec<u8>>,
    pub(crate) keys: Vec<Vec<u8>>,
    pub(crate) packets_said: usize,
    pub(crate) packets_heard: usize,
}

fn remember(last: &mut VecDeque<Vec<u8>>, packet: &[u8]) {
    if last.len() == REMEMBERED {
        last.pop_front();
    }
    last.push_back(packet.to_vec());
}

/// What the voice knows, and a bell for whoever waits until it knows more.
#[derive(Default)]
struct Ledger {
    known: Mutex<Known>,
    more: Condvar,
}

impl Ledger {
    fn locked(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, note: impl FnOnce(&mut Known)) {
        note(&mut self.locked());
        self.more.notify_all();
    }
}

type Shared = Arc<Ledger>;

/// The voice of the test: speech through the product's encoder and seal.
struct KnownVoice {
    known: Shared,
    mouth: Option<Mouth>,
}

struct Mouth {
    /// Dropped to close.
    _open: std::sync::mpsc::Sender<()>,
    path: PathHandle,
}

impl Voice for KnownVoice {
    fn order(&mut self, _: CallId, order: VoiceOrder, _: VoiceReport, paths: &OpenPaths<'_>) {
        match order {
            VoiceOrder::Start { route, keys } => {
                if let Some(path) = route.send.first().and_then(|path| paths.handle(*path)) {
                    self.start(path, *keys);
                }
            }
            VoiceOrder::Stop => {
                if let Some(mouth) = self.mouth.take() {
                    mouth.path.detach();
                }
            }
            VoiceOrder::Prepare
            | VoiceOrder::Reroute(_)
            | VoiceOrder::Mute
            | VoiceOrder::Unmute
            | VoiceOrder::Hold
            | VoiceOrder::Resume => {}
        }
    }
}

impl KnownVoice {
    fn start(&mut self, path: PathHandle, keys: VoiceKeys) {
        for stream in [&keys.send, &keys.receive] {
            self.known.note(|known| known.keys.push(stream.key.to_vec()));
        }
        let Seals { sealer, mut opener, .. } = keys.into_seals();
        let known = Arc::clone(&self.known);
        path.attach(Box::new(move |_, packet| hear(&known, &mut opener, packet)));
        let (open, closed) = channel();
        let (known, out) = (Arc::clone(&self.known), path.clone());
        std::thread::spawn(move || speak(&known, &out, sealer, &closed));
        self.mouth = Some(Mouth { _open: open, path });
    }
}

fn hear(known: &Shared, opener: &mut Opener, packet: &[u8]) {
    let mut opened = packet.to_vec();
    if let Ok(voice) = opener.open(&mut opened) {
        known.note(|known| {
            known.packets_heard += 1;
            remember(&mut known.heard, voice.payload);
            remember(&mut known.heard_sealed, packet);
        });
    }
}

/// Says a packet each [`FRAME`] until the call is over.
fn speak(known: &Shared, path: &PathHandle, mut sealer: Sealer, closed: &Receiver<()>) {
    let mut encoder = Sender::new(&EncoderSettings::default(), StreamStart::default()).unwrap();
    let sound = speech(77, SPEECH_SECONDS, SAMPLE_RATE_HZ);
    let (blocks, _) = sound.as_chunks::<BLOCK_SAMPLES>();
    let mut next = Instant::now();
    for block in blocks.iter().cycle() {
        let Some(packet) = encoder.push(&Block::from(*block)).unwrap() else { continue };
        let stamp = Stamp { marker: packet.marker, timestamp: packet.timestamp };
        let mut sealed = Vec::new();
        sealer.seal(stamp, &packet.payload, &mut sealed).unwrap();
        known.note(|known| {
            known.packets_said += 1;
            remember(&mut known.said, &packet.payload);
            remember(&mut known.said_sealed, &sealed);
        });
        next += FRAME;
        let over = closed.recv_timeout(next.saturating_duration_since(Instant::now()));
        let is_open = over == Err(std::sync::mpsc::RecvTimeoutError::Timeout);
        if !is_open || path.send(&sealed).is_err() {
            return;
        }
    }
}

/// The peer, seen by its owner: the test.
pub(crate) struct Inside {
    handle: Handle<Peer>,
    runtime: tokio::runtime::Handle,
    notices: Receiver<Notice>,
    seen: Vec<Notice>,
    next_ask: u64,
    known: Shared,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Inside {
    /// A peer that keeps its files in `directory` and knows no network yet.
    pub(crate) fn new(directory: &Path) -> Self {
        let (tell, notices) = channel();
        let known = Shared::default();
        let data = DataDir::open(directory).unwrap();
        let kept = Kept::read(&data).unwrap();
        let runtime = runtime().unwrap();
        let remote = runtime.handle().clone();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let (housed, house) = channel();
        let voice = KnownVoice { known: Arc::clone(&known), mouth: None };
        let thread = std::thread::spawn(move || {
            runtime.block_on(async move {
                let mut settings = Settings::new("127.0.0.1:0".parse().unwrap());
                settings.ice = IceGround { include_loopback: true };
                let driver = Driver::start(settings).await.unwrap();
                let (disk, _desk) = open_disk(data);
                let residence = Residence {
                    machine: Peer::new(config(&driver, kept), Instant::now()),
                    services: vec![Service::Peer],
                    mail: Mail::Delivered,
                    keep: Box::new(disk.0),
                    notices: Box::new(move |notice| drop(tell.send(notice))),
                    voice: Some(Box::new(voice)),
                };
                let handle = driver.house(residence).await.unwrap();
                let _ = disk.1.set(handle.clone());
                housed.send(handle).unwrap();
                let _ = stopped.await;
                driver.stop().await;
            });
        });
        let handle = house.recv().unwrap();
        let (stop, thread) = (Some(stop), Some(thread));
        Self {
            handle,
            runtime: remote,
            notices,
            seen: Vec::new(),
            next_ask: 0,
            known,
            stop,
            thread,
        }
    }

    /// What its voice knows now.
    pub(crate) fn known(&self) -> Known {
        self.known.locked().clone()
    }

    /// Asks and waits for the answer.
    pub(crate) fn ask(&mut self, command: Command) -> Result<Answer, Failure> {
        self.order(command);
        self.answer_until(Instant::now() + SOON)
            .unwrap_or_else(|| panic!("no answer: {:?}", self.seen))
    }

    /// Asks.
    pub(crate) fn order(&mut self, command: Command) {
        self.next_ask += 1;
        let ask = self.next_ask;
        let asked = self.handle.call(move |peer, now| peer.command(now, ask, command));
        self.runtime.block_on(asked).unwrap();
    }

    /// The answer to what was asked last, if it comes before `deadline`.
    pub(crate) fn answer_until(&mut self, deadline: Instant) -> Option<Result<Answer, Failure>> {
        let ask = self.next_ask;
        let answers =
            |notice: &Notice| matches!(notice, Notice::Answer(number, _) if *number == ask);
        self.until(deadline, |notice| answers(notice).then_some(()))?;
        let place = self.seen.iter().position(answers)?;
        let Notice::Answer(_, result) = self.seen.remove(place) else { return None };
        Some(*result)
    }

    /// The first notice since the start, come or still to come, that says what is wanted.
    pub(crate) fn wait<T>(&mut self, what: &str, fits: impl Fn(&Notice) -> Option<T>) -> T {
        let found = self.until(Instant::now() + SOON, fits);
        found.unwrap_or_else(|| panic!("no {what} within {SOON:?}: {:?}", self.seen))
    }

    fn until<T>(&mut self, deadline: Instant, fits: impl Fn(&Notice) -> Option<T>) -> Option<T> {
        let mut found = self.seen.iter().find_map(&fits);
        while found.is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            let notice = self.notices.recv_timeout(left).ok()?;
            found = fits(&notice);
            self.seen.push(notice);
        }
        found
    }

    /// Waits until so many packets went each way.
    pub(crate) fn has_talked(&self, packets: usize) {
        let too_few = |known: &mut Known| known.packets_said.min(known.packets_heard) < packets;
        let waited = self.known.more.wait_timeout_while(self.known.locked(), SOON, too_few);
        let (known, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let (said, heard) = (known.packets_said, known.packets_heard);
        assert!(said.min(heard) >= packets, "{said} packets said, {heard} heard");
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

type Disk = (store::PeerDisk, Arc<OnceLock<Handle<Peer>>>);

/// The product's disk, which gives the peer its history when that was opened.
fn open_disk(data: DataDir) -> (Disk, store::DiskDesk) {
    let cell: Arc<OnceLock<Handle<Peer>>> = Arc::default();
    let (opened, runtime) = (Arc::clone(&cell), tokio::runtime::Handle::current());
    let (disk, desk) = store::start(
        data,
        Box::new(move |history| {
            if let Some(handle) = opened.get() {
                let loaded = handle.call(move |peer, now| peer.load_history(now, history));
                let _ = runtime.block_on(loaded);
            }
        }),
    )
    .unwrap();
    ((disk, cell), desk)
}

fn config(driver: &Driver, kept: Kept) -> Config {
    Config {
        listen_port: driver.listening().port(),
        pretend: None,
        cost: StretchCost::LEAST,
        addresses: PathPolicy::Any,
        network: kept.network,
        users: kept.users,
        wall: clock::unix_now(),
        seed: *seed::draw().unwrap(),
    }
}

/// The invite that a process has printed.
pub(crate) fn invite(uri: &str) -> Box<Invite> {
    Box::new(Invite::from_uri(uri).unwrap())
}
