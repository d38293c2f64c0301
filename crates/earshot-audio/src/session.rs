//! The voice of one call: two devices, a sender, a receiver, and the thread that runs them.
//!
//! Open it while the phone rings, so that accepting is only [`VoiceSession::start`]. The node gives
//! a closure that takes each outgoing packet (called on the voice thread, right after encoding, so
//! it must not wait) and pushes the packets that come in, with the moment of their arrival.
//! Nothing wakes the thread for an incoming packet: the speaker asks every 10 ms anyway.
//!
//! Invariant: one thread per session, which sleeps until the next deadline or callback; it ends
//! with the session. Without a session there is no thread.

use std::collections::VecDeque;
use std::sync::mpsc::{self, Receiver as Commands, Sender as CommandSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::codec::{CodecError, EncoderSettings};
use crate::counts::ReceiverStats;
use crate::device::pace::Wake;
use crate::device::{Capture, DeviceError, DeviceNews, Direction, Microphone, Playback, Speaker};
use crate::enhance::{EnhanceSettings, Enhancer};
use crate::level::{FLOOR_DBFS, Meter};
use crate::receiver::Receiver;
use crate::reception::Reception;
use crate::sender::{Sender, SenderStats, StreamStart, VoicePacket};

/// Packets that may wait for the voice thread: over two seconds. When it is that late the oldest
/// are the ones to lose.
const INCOMING_MAX: usize = 256;
/// News of devices kept for the node to fetch.
const NEWS_MAX: usize = 16;
/// Longest sleep: a net below the cards' wake-ups.
const SLEEP_MAX: Duration = Duration::from_millis(100);

/// How a call sounds.
#[derive(Clone, Debug, PartialEq)]
pub struct VoiceSettings {
    /// Where the voice comes from.
    pub microphone: Microphone,
    /// Where the other's voice goes.
    pub speaker: Speaker,
    /// How ours is encoded.
    pub encoder: EncoderSettings,
    /// Random start of sequence and timestamp.
    pub start: StreamStart,
    /// What is done to the microphone.
    pub enhance: EnhanceSettings,
}

/// Why a session could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// One of the devices.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The codec.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The system gives us no thread.
    #[error("no thread for the voice: {reason}")]
    NoThread {
        /// What the system says.
        reason: String,
    },
}

/// What a call can show about its sound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VoiceStats {
    /// Outgoing.
    pub sent: SenderStats,
    /// Incoming; `first_sound` is when the first decoded frame was handed to playout.
    pub received: ReceiverStats,
    /// The microphone, dBFS.
    pub level_in_dbfs: f32,
    /// The loudspeaker, dBFS.
    pub level_out_dbfs: f32,
    /// Samples that a sound card wanted and did not get in time.
    pub underrun_samples: u64,
}

impl Default for VoiceStats {
    fn default() -> Self {
        Self {
            sent: SenderStats::default(),
            received: ReceiverStats::default(),
            level_in_dbfs: FLOOR_DBFS,
            level_out_dbfs: FLOOR_DBFS,
            underrun_samples: 0,
        }
    }
}

/// What one of the devices of a call tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoiceNews {
    /// Microphone or speaker.
    pub direction: Direction,
    /// What.
    pub news: DeviceNews,
}

/// Takes each outgoing packet, on the voice thread.
pub type Outgoing = Box<dyn FnMut(VoicePacket) + Send>;

enum Command {
    Start(Outgoing),
    Mute(bool),
    Hold(bool),
    Reception(Reception),
    Enhance(EnhanceSettings),
    Microphone(Box<Capture>),
    Speaker(Box<Playback>),
    Stop,
}

/// What node and voice thread share.
#[derive(Debug, Default)]
struct Shared {
    incoming: Mutex<VecDeque<(Instant, VoicePacket)>>,
    stats: Mutex<VoiceStats>,
    news: Mutex<VecDeque<VoiceNews>>,
}

/// A panic in one holder leaves plain data behind that is still whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn note(&self, direction: Direction, news: DeviceNews) {
        if let DeviceNews::Trouble(problem) = &news {
            tracing::warn!(%problem, "Sound device");
        }
        let mut all = locked(&self.news);
        if all.len() == NEWS_MAX {
            all.pop_front();
        }
        all.push_back(VoiceNews { direction, news });
    }
}

/// A call's voice. Dropping it stops it.
#[derive(Debug)]
pub struct VoiceSession {
    shared: Arc<Shared>,
    wake: Arc<Wake>,
    commands: CommandSender<Command>,
    thread: Option<JoinHandle<()>>,
}

impl VoiceSession {
    /// Opens both devices and the codec. Nothing is sent or played before [`Self::start`]. A card
    /// that cannot be opened is waited for and told of; one of the two must work.
    pub fn open(settings: &VoiceSettings) -> Result<Self, OpenError> {
        let wake = Arc::new(Wake::default());
        let shared = Arc::new(Shared::default());
        let (capture, deaf) = Capture::open(&settings.microphone, &wake)?;
        let (playback, dumb) = Playback::open(&settings.speaker, &wake)?;
        if let (Some(deaf), Some(_)) = (deaf, dumb) {
            return Err(deaf.into());
        }
        let (commands, orders) = mpsc::channel();
        let voice = Voice {
            shared: Arc::clone(&shared),
            orders,
            enhancer: Enhancer::new(settings.enhance, capture.scene()),
            enhance: settings.enhance,
            capture,
            playback,
            sender: Sender::new(&settings.encoder, settings.start)?,
            receiver: Receiver::new()?,
            meter_out: Meter::default(),
            outgoing: None,
            held: false,
        };
        let woken = Arc::clone(&wake);
        let thread = thread::Builder::new()
            .name("earshot-voice".to_owned())
            .spawn(move || {
                woken.adopt_this_thread();
                voice.run();
            })
            .map_err(|error| OpenError::NoThread { reason: error.to_string() })?;
        Ok(Self { shared, wake, commands, thread: Some(thread) })
    }

    /// The call begins: speaks, plays, and gives every packet to `outgoing`.
    pub fn start(&self, outgoing: impl FnMut(VoicePacket) + Send + 'static) {
        self.command(Command::Start(Box::new(outgoing)));
    }

    /// Takes a packet that came at `arrived`.
    pub fn push(&self, arrived: Instant, packet: VoicePacket) {
        let mut incoming = locked(&self.shared.incoming);
        if incoming.len() == INCOMING_MAX {
            incoming.pop_front();
        }
        incoming.push_back((arrived, packet));
    }

    /// Sends silence instead of the microphone, or the microphone again.
    pub fn set_muted(&self, muted: bool) {
        self.command(Command::Mute(muted));
    }

    /// Stops sending and playing but keeps the devices, or goes on.
    pub fn set_held(&self, held: bool) {
        self.command(Command::Hold(held));
    }

    /// Takes the other side's report on our voice, which is protected accordingly.
    pub fn note_reception(&self, reception: Reception) {
        self.command(Command::Reception(reception));
    }

    /// Changes what is done to the microphone.
    pub fn set_enhancement(&self, settings: EnhanceSettings) {
        self.command(Command::Enhance(settings));
    }

    /// Changes the microphone in the running call; on an error the old one stays.
    pub fn set_microphone(&self, microphone: &Microphone) -> Result<(), DeviceError> {
        let (capture, trouble) = Capture::open(microphone, &self.wake)?;
        trouble.map_or(Ok(()), Err)?;
        self.command(Command::Microphone(Box::new(capture)));
        Ok(())
    }

    /// Changes the speaker in the running call; on an error the old one stays.
    pub fn set_speaker(&self, speaker: &Speaker) -> Result<(), DeviceError> {
        let (playback, trouble) = Playback::open(speaker, &self.wake)?;
        trouble.map_or(Ok(()), Err)?;
        self.command(Command::Speaker(Box::new(playback)));
        Ok(())
    }

    /// What can be shown now; at most one block of 10 ms old.
    pub fn stats(&self) -> VoiceStats {
        *locked(&self.shared.stats)
    }

    /// What devices told since the last time. The call goes on in any case.
    pub fn take_news(&self) -> Vec<VoiceNews> {
        locked(&self.shared.news).drain(..).collect()
    }

    /// Ends the call's sound and completes its files. The last figures are the answer.
    pub fn stop(mut self) -> VoiceStats {
        self.end();
        self.stats()
    }

    fn end(&mut self) {
        self.command(Command::Stop);
        if let Some(thread) = self.thread.take() {
            let _it_panicked_and_said_so = thread.join();
        }
    }

    fn command(&self, command: Command) {
        let _thread_ended_already = self.commands.send(command);
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }
}

impl Drop for VoiceSession {
    fn drop(&mut self) {
        self.end();
    }
}

/// The voice thread's own.
struct Voice {
    shared: Arc<Shared>,
    orders: Commands<Command>,
    capture: Capture,
    playback: Playback,
    sender: Sender,
    receiver: Receiver,
    meter_out: Meter,
    enhance: EnhanceSettings,
    enhancer: Option<Enhancer>,
    /// Set when the call has begun.
    outgoing: Option<Outgoing>,
    held: bool,
}

impl Voice {
    fn run(mut self) {
        loop {
            while let Ok(command) = self.orders.try_recv() {
                if matches!(command, Command::Stop) {
                    return self.finish();
                }
                self.obey(command);
            }
            if self.outgoing.is_none() {
                // Only a command can change anything now.
                thread::park();
                continue;
            }
            self.speak();
            self.hear();
            self.publish();
            self.sleep();
        }
    }

    fn obey(&mut self, command: Command) {
        let now = Instant::now();
        let done = match command {
            Command::Start(outgoing) => {
                self.outgoing = Some(outgoing);
                let (spoken, heard) = (self.capture.start(now), self.playback.start(now));
                self.judge(Direction::Capture, spoken);
                self.judge(Direction::Playback, heard);
                Ok(())
            }
            Command::Mute(muted) => {
                self.sender.set_muted(muted);
                Ok(())
            }
            Command::Hold(held) => {
                self.held = held;
                Ok(())
            }
            Command::Reception(reception) => self.sender.note_reception(&reception),
            Command::Enhance(settings) => {
                self.enhance = settings;
                self.enhancer = Enhancer::new(settings, self.capture.scene());
                Ok(())
            }
            Command::Microphone(capture) => {
                self.capture = *capture;
                self.enhancer = Enhancer::new(self.enhance, self.capture.scene());
                if self.outgoing.is_some() {
                    let started = self.capture.start(now);
                    self.judge(Direction::Capture, started);
                }
                Ok(())
            }
            Command::Speaker(playback) => {
                let finished = self.playback.finish();
                self.judge(Direction::Playback, finished);
                self.playback = *playback;
                if self.outgoing.is_some() {
                    let started = self.playback.start(now);
                    self.judge(Direction::Playback, started);
                }
                Ok(())
            }
            Command::Stop => Ok(()),
        };
        if let Err(error) = done {
            tracing::warn!(%error, "Voice setting");
        }
    }

    /// Notes what a device could not do.
    fn judge(&self, direction: Direction, done: Result<(), DeviceError>) {
        if let Err(problem) = done {
            self.shared.note(direction, DeviceNews::Trouble(problem));
        }
    }

    /// Microphone to packets.
    fn speak(&mut self) {
        let now = Instant::now();
        loop {
            let block = match self.capture.take(now) {
                Ok(Some(block)) => block,
                Ok(None) => break,
                Err(problem) => return self.judge(Direction::Capture, Err(problem)),
            };
            let block = self.enhancer.as_mut().map_or(block, |clean| clean.capture(&block));
            if self.held {
                self.sender.pass();
                continue;
            }
            match (self.sender.push(&block), &mut self.outgoing) {
                (Ok(Some(packet)), Some(outgoing)) => outgoing(packet),
                (Ok(_), _) => {}
                (Err(error), _) => tracing::warn!(%error, "Encoding"),
            }
        }
        while self.capture.owes(now) {
            self.sender.pass();
        }
    }

    /// Packets to speaker.
    fn hear(&mut self) {
        let arrived = std::mem::take(&mut *locked(&self.shared.incoming));
        for (at, packet) in arrived {
            self.receiver.push(at, packet);
        }
        let now = Instant::now();
        while let Some(heard_at) = self.playback.wants(now) {
            let mut block = self.receiver.pull(heard_at);
            if self.held {
                block.fill(0.0);
            }
            self.meter_out.feed(&block);
            if let Some(enhancer) = &mut self.enhancer {
                enhancer.render(&block);
            }
            let put = self.playback.put(&block);
            self.judge(Direction::Playback, put);
        }
    }

    fn publish(&self) {
        *locked(&self.shared.stats) = VoiceStats {
            sent: self.sender.stats(),
            received: *self.receiver.stats(),
            level_in_dbfs: self.sender.level_dbfs(),
            level_out_dbfs: self.meter_out.dbfs(),
            underrun_samples: self.playback.underruns(),
        };
    }

    fn sleep(&mut self) {
        for news in self.capture.take_news() {
            self.shared.note(Direction::Capture, news);
        }
        for news in self.playback.take_news() {
            self.shared.note(Direction::Playback, news);
        }
        let due = [self.capture.due(), self.playback.due()].into_iter().flatten().min();
        let now = Instant::now();
        let wait = due.map_or(SLEEP_MAX, |due| due.saturating_duration_since(now).min(SLEEP_MAX));
        if !wait.is_zero() {
            thread::park_timeout(wait);
        }
    }

    fn finish(mut self) {
        self.publish();
        let finished = self.playback.finish();
        self.judge(Direction::Playback, finished);
    }
}
