//! The `.json` beside each file of sound: when its first sample was spoken or heard, on the clock
//! that all processes of one machine share. The delay from mouth to ear is the difference of two.

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::DeviceError;

/// The note beside `wav`: the same name, ending in `.json`.
pub fn sidecar_path(wav: &Path) -> PathBuf {
    wav.with_extension("json")
}

/// Notes that sample 0 of `wav` is at `start`.
pub(crate) fn write(wav: &Path, start: Instant) -> Result<(), DeviceError> {
    let Some(nanos) = monotonic_nanos(start) else { return Ok(()) };
    let path = sidecar_path(wav);
    let text = format!("{{\"sample0_monotonic_ns\":{nanos},\"sample_rate_hz\":48000}}\n");
    std::fs::write(&path, text)
        .map_err(|error| DeviceError::FileUnwritable { path, reason: error.to_string() })
}

/// `at` as nanoseconds of CLOCK_MONOTONIC.
#[cfg(unix)]
fn monotonic_nanos(at: Instant) -> Option<i128> {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let instant = Instant::now();
    let now = i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec);
    let after = at.saturating_duration_since(instant).as_nanos() as i128;
    let before = instant.saturating_duration_since(at).as_nanos() as i128;
    Some(now + after - before)
}

/// Where processes share no such clock, no note is written.
#[cfg(not(unix))]
const fn monotonic_nanos(_: Instant) -> Option<i128> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn moments_differ_on_the_shared_clock_as_they_do_here() {
        let now = Instant::now();
        let earlier = monotonic_nanos(now).unwrap();
        let later = monotonic_nanos(now + Duration::from_millis(50)).unwrap();
        assert!((later - earlier - 50_000_000).abs() < 5_000_000);
    }

    #[test]
    fn the_note_lies_beside_the_sound() {
        assert_eq!(sidecar_path(Path::new("/a/bob-out.wav")), Path::new("/a/bob-out.json"));
    }
}
