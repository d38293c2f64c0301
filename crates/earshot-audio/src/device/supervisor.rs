//! The thread that keeps one stream alive: it builds it, watches it, and builds it anew when it
//! failed, fell silent, or another device is the one to use.
//!
//! There is no event for a device that comes or goes, so once a second it is asked which one would
//! be used now: the system's choice may have changed, and a server moves the stream of a device
//! that was pulled out to another one without a word. Source: what cpal 0.18 does on PulseAudio.
//! Invariants: a stream is dropped here, never by a callback; trouble is told once, and its end.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::pace::DEAD_AFTER;
use super::{DeviceError, DeviceNews};

/// How often the supervisor looks whether callbacks still come.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How often it asks which device to use: about a millisecond of the sound server's time.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// First and longest pause between two attempts: sound is back within two seconds of its device.
const RETRY_FIRST: Duration = Duration::from_millis(200);
const RETRY_LAST: Duration = Duration::from_secs(1);
/// News that nobody fetched; the oldest say least.
const NEWS_MAX: usize = 8;

/// What callbacks and supervisor tell.
#[derive(Debug, Default)]
pub(crate) struct Signs {
    stop: AtomicBool,
    failed: AtomicBool,
    callbacks: AtomicU64,
    /// Sound was given to the stream: from now on an empty ring is a gap.
    pub(crate) primed: AtomicBool,
    /// Samples that a playback callback wanted and did not get.
    pub(crate) underruns: AtomicU64,
    /// Interleaved samples of the largest callback.
    pub(crate) largest: AtomicUsize,
    news: Mutex<VecDeque<DeviceNews>>,
}

impl Signs {
    /// A callback ran.
    pub(super) fn beat(&self, samples: usize) {
        self.callbacks.fetch_add(1, Ordering::Relaxed);
        self.largest.fetch_max(samples, Ordering::Relaxed);
    }

    /// An error callback says that the stream is over.
    pub(super) fn fail(&self) {
        self.failed.store(true, Ordering::Relaxed);
    }

    /// The stream is not wanted any more.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// What was told since the last time.
    pub(super) fn take_news(&self) -> Vec<DeviceNews> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect()
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn tell(&self, news: DeviceNews) {
        let mut all = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() == NEWS_MAX {
            all.pop_front();
        }
        all.push_back(news);
    }
}

/// A stream that runs.
pub(super) struct Built<S> {
    /// Held, and dropped with this.
    pub(super) _stream: S,
    /// The device that it runs on.
    pub(super) id: String,
    /// Why that is another one than was asked for.
    pub(super) instead: Option<DeviceError>,
}

/// What a supervisor works with.
pub(super) struct Supervisor<'a, Attempt, Ask> {
    pub(super) attempt: Attempt,
    /// Which device would be used now, if the sound server answers.
    pub(super) ask: Ask,
    pub(super) signs: &'a Signs,
    /// What was told last.
    pub(super) trouble: Option<DeviceError>,
}

/// Why a stream is dropped.
enum Why {
    Failed(&'static str),
    AnotherDevice,
    Unwanted,
}

impl<S, Attempt, Ask> Supervisor<'_, Attempt, Ask>
where
    Attempt: Fn() -> Result<Built<S>, DeviceError>,
    Ask: Fn() -> Option<String>,
{
    /// Works until told to stop. How the first attempt went is answered at once; what is wrong then
    /// may get better.
    pub(super) fn run(mut self, first: &SyncSender<Option<DeviceError>>) {
        let mut pause = RETRY_FIRST;
        while !self.signs.is_stopped() {
            self.signs.failed.store(false, Ordering::Relaxed);
            match (self.attempt)() {
                Ok(built) => {
                    // Nobody waits but the first time.
                    let _ = first.try_send(None);
                    let began = Instant::now();
                    let why = self.watch(&built);
                    drop(built);
                    match why {
                        Why::Unwanted => return,
                        Why::AnotherDevice => continue,
                        Why::Failed(reason) => {
                            self.has(DeviceError::ServerGone { reason: reason.to_owned() });
                        }
                    }
                    if began.elapsed() > RETRY_LAST {
                        pause = RETRY_FIRST;
                    }
                }
                Err(error) => {
                    let _ = first.try_send(Some(error.clone()));
                    self.has(error);
                }
            }
            if !self.signs.is_stopped() {
                thread::park_timeout(pause);
                pause = (pause * 2).min(RETRY_LAST);
            }
        }
    }

    /// Answers when the stream is to be dropped.
    fn watch(&mut self, built: &Built<S>) -> Why {
        let callbacks = || self.signs.callbacks.load(Ordering::Relaxed);
        let mut last_count = callbacks();
        let (mut last_beat, mut asked) = (Instant::now(), Instant::now());
        let mut lives = false;
        while !self.signs.is_stopped() {
            thread::park_timeout(LOOK_EVERY);
            if self.signs.failed.load(Ordering::Relaxed) {
                return Why::Failed("the stream broke off");
            }
            let count = self.signs.callbacks.load(Ordering::Relaxed);
            if count != last_count {
                (last_count, last_beat) = (count, Instant::now());
                if !lives {
                    lives = true;
                    match built.instead.clone() {
                        Some(instead) => self.has(instead),
                        None => self.is_well(),
                    }
                }
            } else if last_beat.elapsed() >= DEAD_AFTER {
                return Why::Failed("the stream fell silent");
            }
            if asked.elapsed() >= ASK_EVERY {
                asked = Instant::now();
                if (self.ask)().is_some_and(|id| id != built.id) {
                    return Why::AnotherDevice;
                }
            }
        }
        Why::Unwanted
    }

    fn has(&mut self, trouble: DeviceError) {
        if self.trouble.as_ref() != Some(&trouble) {
            self.signs.tell(DeviceNews::Trouble(trouble.clone()));
            self.trouble = Some(trouble);
        }
    }

    fn is_well(&mut self) {
        if self.trouble.take().is_some() {
            self.signs.tell(DeviceNews::Well);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, sync_channel};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// A sound server that has one device at a time, or none.
    #[derive(Clone, Default)]
    struct Server(Arc<Mutex<Option<&'static str>>>);

    impl Server {
        fn plug(&self, id: Option<&'static str>) {
            *self.0.lock().unwrap() = id;
        }

        fn id(&self) -> Option<String> {
            self.0.lock().unwrap().map(str::to_owned)
        }
    }

    struct Watched {
        server: Server,
        signs: Arc<Signs>,
        first: Receiver<Option<DeviceError>>,
        built: Receiver<String>,
    }

    /// Supervises streams of `wanted` on `server`; whatever runs gives callbacks.
    fn supervised(wanted: &'static str, server: &Server) -> Watched {
        let signs = Arc::new(Signs::default());
        let (first_to, first) = sync_channel(1);
        let (built_to, built) = sync_channel(16);
        let (seen, plugged) = (Arc::clone(&signs), server.clone());
        thread::spawn(move || {
            let ask = || plugged.id();
            let attempt = || {
                let id = plugged.id().ok_or(DeviceError::NoSuchDevice { id: wanted.into() })?;
                let instead =
                    (id != wanted).then(|| DeviceError::NoSuchDevice { id: wanted.into() });
                built_to.send(id.clone()).unwrap();
                Ok(Built { _stream: (), id, instead })
            };
            Supervisor { attempt, ask, signs: &seen, trouble: None }.run(&first_to);
        });
        let beating = Arc::clone(&signs);
        thread::spawn(move || {
            while !beating.is_stopped() {
                beating.beat(480);
                thread::park_timeout(Duration::from_millis(10));
            }
        });
        Watched { server: server.clone(), signs, first, built }
    }

    impl Watched {
        fn next(&self) -> DeviceNews {
            let began = Instant::now();
            loop {
                if let Some(news) = self.signs.take_news().into_iter().next() {
                    return news;
                }
                assert!(began.elapsed() < PATIENCE, "no news");
                thread::park_timeout(Duration::from_millis(5));
            }
        }
    }

    impl Drop for Watched {
        fn drop(&mut self) {
            self.signs.stop();
        }
    }

    fn missing() -> DeviceNews {
        DeviceNews::Trouble(DeviceError::NoSuchDevice { id: "headset".into() })
    }

    #[test]
    fn a_device_that_is_not_there_is_told_and_taken_when_it_comes() {
        let watched = supervised("headset", &Server::default());
        let first = watched.first.recv_timeout(PATIENCE).unwrap();
        assert!(matches!(first, Some(DeviceError::NoSuchDevice { .. })));
        assert_eq!(watched.next(), missing());
        watched.server.plug(Some("headset"));
        assert_eq!(watched.next(), DeviceNews::Well);
        assert_eq!(watched.built.recv_timeout(PATIENCE).unwrap(), "headset");
    }

    #[test]
    fn another_stands_in_for_a_device_until_it_is_back() {
        let server = Server::default();
        server.plug(Some("headset"));
        let watched = supervised("headset", &server);
        assert_eq!(watched.first.recv_timeout(PATIENCE).unwrap(), None);
        let next = || watched.built.recv_timeout(PATIENCE).unwrap();
        assert_eq!(next(), "headset");
        server.plug(Some("built-in"));
        assert_eq!(next(), "built-in");
        assert_eq!(watched.next(), missing());
        server.plug(Some("headset"));
        assert_eq!(next(), "headset");
        assert_eq!(watched.next(), DeviceNews::Well);
    }

    #[test]
    fn a_stream_that_breaks_off_is_built_anew() {
        let server = Server::default();
        server.plug(Some("headset"));
        let watched = supervised("headset", &server);
        watched.built.recv_timeout(PATIENCE).unwrap();
        watched.signs.fail();
        assert!(matches!(watched.next(), DeviceNews::Trouble(DeviceError::ServerGone { .. })));
        watched.built.recv_timeout(PATIENCE).unwrap();
        assert_eq!(watched.next(), DeviceNews::Well);
    }
}
