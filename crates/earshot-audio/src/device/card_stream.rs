//! One cpal stream, kept alive by a supervisor.
//!
//! Callbacks run on the sound server's clock: they move samples between the card and a lock-free
//! ring, set flags, wake a thread, and nothing else. Whenever the stream is built anew it comes
//! with a fresh ring.
//!
//! Source: what cpal 0.18 does on PulseAudio: a killed server gives one `StreamInvalidated`; a
//! stopped process (suspend) kills the connection; playback underruns are never reported; dropping
//! a stream may report one more error, which means nothing. An error callback that is not heeded
//! may be called a hundred thousand times a second (ALSA), so it only sets a flag.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, Receiver};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use cpal::traits::{DeviceTrait, StreamTrait};
use cpal::{BufferSize, Device, ErrorKind, Stream, StreamConfig};
use rtrb::{Consumer, Producer, RingBuffer};

use super::pace::Wake;
use super::supervisor::{Built, Signs, Supervisor};
use super::{DEFAULT_DEVICE, DeviceError, DeviceNews, Direction, Opened, list};
use crate::frame::SAMPLE_RATE_HZ;

/// Frames per callback that we ask for when capturing. PulseAudio's record queue holds one such
/// period in cpal 0.18: 10 ms lose sound when the machine is busy, 20 ms do not.
const CAPTURE_PERIOD_FRAMES: u32 = 960;
/// Frames per callback that we ask for when playing.
const PLAYBACK_PERIOD_FRAMES: u32 = 480;
/// Room in a ring, milliseconds: far above any level that is reached on purpose.
const RING_MS: usize = 400;
/// How long opening a device may take before we give it up.
const OPEN_PATIENCE: Duration = Duration::from_secs(5);

/// The form in which a card takes or gives samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) rate_hz: u32,
    pub(crate) channels: usize,
}

/// A ring to the running stream, interleaved.
pub(crate) struct Line<End> {
    pub(crate) ring: End,
    pub(crate) shape: Shape,
}

/// A stream that comes back.
#[derive(Debug)]
pub(crate) struct Supervised<End> {
    lines: Receiver<Line<End>>,
    pub(crate) signs: Arc<Signs>,
    supervisor: JoinHandle<()>,
}

impl<End: Send + 'static> Supervised<End> {
    /// The newest line, if the stream was built anew since the last time.
    pub(crate) fn new_line(&self) -> Option<Line<End>> {
        self.lines.try_iter().last()
    }

    /// What was told since the last time.
    pub(crate) fn take_news(&self) -> Vec<DeviceNews> {
        self.signs.take_news()
    }

    fn open(
        id: &str,
        direction: Direction,
        build: impl Fn(Device, Shape, &Arc<Signs>) -> Result<(Stream, End), cpal::Error>
        + Send
        + 'static,
    ) -> Opened<Self> {
        let signs = Arc::new(Signs::default());
        let (line_to, lines) = mpsc::channel();
        let (opened_to, opened) = mpsc::sync_channel(1);
        let id = id.to_owned();
        let known_id = id.clone();
        let watched = Arc::clone(&signs);
        let attempt = move || {
            let list::Found { device, id: own, instead } = list::find(&id, direction)?;
            let shape =
                shape_of(&device, direction).map_err(|error| told(&id, direction, &error))?;
            let (stream, ring) =
                build(device, shape, &watched).map_err(|error| told(&id, direction, &error))?;
            stream.play().map_err(|error| told(&id, direction, &error))?;
            let _voice_thread_gone = line_to.send(Line { ring, shape });
            Ok(Built { _stream: stream, id: own, instead })
        };
        let asked_id = known_id.clone();
        let ask = move || list::find(&asked_id, direction).ok().map(|found| found.id);
        let seen = Arc::clone(&signs);
        let supervisor = thread::Builder::new()
            .name(format!("earshot-{direction}"))
            .spawn(move || {
                Supervisor { attempt, ask, signs: &seen, trouble: None }.run(&opened_to);
            })
            .map_err(|error| DeviceError::ServerGone { reason: error.to_string() })?;
        let supervised = Self { lines, signs, supervisor };
        match opened.recv_timeout(OPEN_PATIENCE) {
            Ok(trouble) => Ok((supervised, trouble)),
            Err(_) => Err(DeviceError::ServerGone {
                reason: format!("no answer about `{known_id}` for {OPEN_PATIENCE:?}"),
            }),
        }
    }
}

impl<End> Drop for Supervised<End> {
    /// Tells the supervisor to end. It is not waited for: closing a stream may take a while.
    fn drop(&mut self) {
        self.signs.stop();
        self.supervisor.thread().unpark();
    }
}

/// Opens a microphone.
pub(crate) fn open_capture(id: &str, wake: &Arc<Wake>) -> Opened<Supervised<Consumer<f32>>> {
    let wake = Arc::clone(wake);
    Supervised::open(id, Direction::Capture, move |device, shape, signs| {
        let (mut to, from) =
            RingBuffer::new(shape.rate_hz as usize * shape.channels * RING_MS / 1_000);
        let (signs, failing, wake) = (Arc::clone(signs), Arc::clone(signs), Arc::clone(&wake));
        let stream = device.build_input_stream::<f32, _, _>(
            config(shape, CAPTURE_PERIOD_FRAMES),
            move |heard, _| {
                signs.beat(heard.len());
                push(&mut to, heard);
                wake.wake();
            },
            move |error| note(&failing, &error),
            None,
        )?;
        Ok((stream, from))
    })
}

/// Opens a loudspeaker.
pub(crate) fn open_playback(id: &str, wake: &Arc<Wake>) -> Opened<Supervised<Producer<f32>>> {
    let wake = Arc::clone(wake);
    Supervised::open(id, Direction::Playback, move |device, shape, signs| {
        let (to, mut from) =
            RingBuffer::new(shape.rate_hz as usize * shape.channels * RING_MS / 1_000);
        let (signs, failing, wake) = (Arc::clone(signs), Arc::clone(signs), Arc::clone(&wake));
        let stream = device.build_output_stream::<f32, _, _>(
            config(shape, PLAYBACK_PERIOD_FRAMES),
            move |wanted, _| {
                signs.beat(wanted.len());
                let missing = pop(&mut from, wanted);
                if signs.primed.load(Ordering::Relaxed) {
                    signs.underruns.fetch_add(missing as u64, Ordering::Relaxed);
                }
                wake.wake();
            },
            move |error| note(&failing, &error),
            None,
        )?;
        Ok((stream, to))
    })
}

/// 48 kHz mono if the card (or the server for it) takes that, else what the card likes best.
fn shape_of(device: &Device, direction: Direction) -> Result<Shape, cpal::Error> {
    let ours = Shape { rate_hz: SAMPLE_RATE_HZ, channels: 1 };
    let fits = |range: &cpal::SupportedStreamConfigRange| {
        range.channels() == 1
            && (range.min_sample_rate()..=range.max_sample_rate()).contains(&SAMPLE_RATE_HZ)
    };
    let (fitting, likes) = match direction {
        Direction::Capture => (
            device.supported_input_configs()?.any(|range| fits(&range)),
            device.default_input_config(),
        ),
        Direction::Playback => (
            device.supported_output_configs()?.any(|range| fits(&range)),
            device.default_output_config(),
        ),
    };
    if fitting {
        return Ok(ours);
    }
    let likes = likes?;
    Ok(Shape { rate_hz: likes.sample_rate(), channels: usize::from(likes.channels()) })
}

fn config(shape: Shape, period_at_48k: u32) -> StreamConfig {
    let frames = period_at_48k * (shape.rate_hz / 100) / (SAMPLE_RATE_HZ / 100);
    StreamConfig {
        channels: shape.channels as u16,
        sample_rate: shape.rate_hz,
        // Never the default: on PulseAudio that is two seconds.
        buffer_size: BufferSize::Fixed(frames),
    }
}

/// Moves what fits; the rest of a full ring is lost, which is how an unread microphone goes stale.
fn push(ring: &mut Producer<f32>, samples: &[f32]) {
    let fits = samples.len().min(ring.slots());
    if let Ok(chunk) = ring.write_chunk_uninit(fits) {
        chunk.fill_from_iter(samples.iter().copied());
    }
}

/// Fills `wanted`, with silence where the ring is empty; answers how many samples were missing.
fn pop(ring: &mut Consumer<f32>, wanted: &mut [f32]) -> usize {
    let there = wanted.len().min(ring.slots());
    if let Ok(chunk) = ring.read_chunk(there) {
        wanted.iter_mut().zip(chunk).for_each(|(to, from)| *to = from);
    }
    wanted[there..].fill(0.0);
    wanted.len() - there
}

/// In an error callback: an xrun or a moved stream goes on by itself, anything else is the end.
fn note(signs: &Signs, error: &cpal::Error) {
    let harmless = matches!(
        error.kind(),
        ErrorKind::Xrun | ErrorKind::DeviceChanged | ErrorKind::RealtimeDenied
    );
    if !harmless {
        signs.fail();
    }
}

fn told(id: &str, direction: Direction, error: &cpal::Error) -> DeviceError {
    let id = id.to_owned();
    let reason = error.to_string();
    #[expect(clippy::wildcard_enum_match_arm, reason = "cpal may add kinds at any time")]
    match error.kind() {
        ErrorKind::DeviceBusy => DeviceError::DeviceBusy { id },
        // ALSA names a default where there is no card at all.
        ErrorKind::DeviceNotAvailable if id == DEFAULT_DEVICE => {
            DeviceError::NoDevice { direction }
        }
        ErrorKind::DeviceNotAvailable => DeviceError::NoSuchDevice { id },
        ErrorKind::PermissionDenied => DeviceError::Forbidden { id },
        ErrorKind::HostUnavailable | ErrorKind::StreamInvalidated => {
            DeviceError::ServerGone { reason }
        }
        _ => DeviceError::Unsupported { id, reason },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_card_refuses_is_told_with_its_reason() {
        let of = |kind, id: &str| told(id, Direction::Capture, &cpal::Error::from(kind));
        let id = || "usb".to_owned();
        assert_eq!(of(ErrorKind::DeviceBusy, "usb"), DeviceError::DeviceBusy { id: id() });
        assert_eq!(of(ErrorKind::PermissionDenied, "usb"), DeviceError::Forbidden { id: id() });
        assert_eq!(
            of(ErrorKind::DeviceNotAvailable, "usb"),
            DeviceError::NoSuchDevice { id: id() }
        );
        let none = DeviceError::NoDevice { direction: Direction::Capture };
        assert_eq!(of(ErrorKind::DeviceNotAvailable, DEFAULT_DEVICE), none);
        assert!(matches!(of(ErrorKind::HostUnavailable, "usb"), DeviceError::ServerGone { .. }));
        assert!(matches!(
            of(ErrorKind::UnsupportedConfig, "usb"),
            DeviceError::Unsupported { id, .. } if id == "usb"
        ));
    }
}
