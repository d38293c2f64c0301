//! The loop's one timer: it wakes the process once, at its time.
//!
//! On Linux this is a kernel's timer (timerfd). The runtime's own wheel wakes up to three times for
//! a deadline some seconds away, since it hands timers down from a slot of 4 s to one of 64 ms to
//! one of 1 ms: measured 22 wake-ups a minute with one idle link, where the kernel's timer needs
//! 15. Elsewhere the wheel does.

use std::time::Instant;

#[cfg(target_os = "linux")]
pub(crate) use kernel::Alarm;
#[cfg(not(target_os = "linux"))]
pub(crate) use wheel::Alarm;

#[cfg(target_os = "linux")]
mod kernel {
    use std::io;
    use std::os::fd::{AsFd, AsRawFd, RawFd};
    use std::time::Duration;

    use nix::sys::time::TimeSpec;
    use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    use super::Instant;

    pub(crate) struct Alarm(AsyncFd<Timer>);

    struct Timer(TimerFd);

    impl AsRawFd for Timer {
        fn as_raw_fd(&self) -> RawFd {
            self.0.as_fd().as_raw_fd()
        }
    }

    #[expect(unsafe_code, reason = "the runtime cannot see that a type keeps its descriptor")]
    fn register(timer: Timer) -> io::Result<AsyncFd<Timer>> {
        // SAFETY: `Timer` owns its descriptor, always names the same one, and does not close it
        // before it is dropped.
        let registered = unsafe { AsyncFd::register_with_interest(timer, Interest::READABLE) };
        registered.map_err(io::Error::from)
    }

    impl Alarm {
        pub(crate) fn new() -> io::Result<Self> {
            // The clock of `Instant`.
            let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
            let timer = Timer(TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?);
            Ok(Self(register(timer)?))
        }

        /// Rings at `deadline` and no more at the one before.
        pub(crate) fn set(&mut self, deadline: Option<Instant>) {
            let timer = &self.0.get_ref().0;
            let done = match deadline {
                None => timer.unset(),
                Some(deadline) => {
                    // Zero would mean never.
                    let wait = deadline.saturating_duration_since(Instant::now());
                    let wait = TimeSpec::from_duration(wait.max(Duration::from_nanos(1)));
                    timer.set(Expiration::OneShot(wait), TimerSetTimeFlags::empty())
                }
            };
            done.expect("a timer of ours takes any time that is not negative");
        }

        /// Ends when it rings.
        pub(crate) async fn rings(&mut self) {
            // An error here is the end of the runtime, and then nothing rings any more.
            while let Ok(mut ready) = self.0.readable().await {
                let rung = ready.try_io(|timer| timer.get_ref().0.wait().map_err(io::Error::from));
                if rung.is_ok() {
                    return;
                }
            }
            std::future::pending().await
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod wheel {
    use std::io;
    use std::pin::Pin;

    use tokio::time::{Sleep, sleep_until};

    use super::Instant;

    pub(crate) struct Alarm(Option<Pin<Box<Sleep>>>);

    impl Alarm {
        pub(crate) fn new() -> io::Result<Self> {
            Ok(Self(None))
        }

        /// Rings at `deadline` and no more at the one before.
        pub(crate) fn set(&mut self, deadline: Option<Instant>) {
            self.0 = deadline.map(|deadline| Box::pin(sleep_until(deadline.into())));
        }

        /// Ends when it rings.
        pub(crate) async fn rings(&mut self) {
            match &mut self.0 {
                Some(sleep) => sleep.as_mut().await,
                None => std::future::pending().await,
            }
            self.0 = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;
    use crate::puppet::PATIENCE;

    #[tokio::test]
    async fn it_rings_once_and_not_early() {
        let mut alarm = Alarm::new().expect("the system has timers");
        let deadline = Instant::now() + Duration::from_millis(30);
        alarm.set(Some(deadline));
        timeout(PATIENCE, alarm.rings()).await.expect("it rings in time");
        assert!(Instant::now() >= deadline);
        let again = timeout(Duration::from_millis(50), alarm.rings()).await;
        assert!(again.is_err(), "it rings once");
    }

    #[tokio::test]
    async fn what_is_past_rings_at_once_and_what_is_unset_never() {
        let mut alarm = Alarm::new().expect("the system has timers");
        alarm.set(Some(Instant::now()));
        timeout(PATIENCE, alarm.rings()).await.expect("it rings in time");
        alarm.set(Some(Instant::now()));
        alarm.set(None);
        assert!(timeout(Duration::from_millis(50), alarm.rings()).await.is_err());
        alarm.set(Some(Instant::now() + Duration::from_secs(3600)));
        alarm.set(Some(Instant::now()));
        timeout(PATIENCE, alarm.rings()).await.expect("the earlier one counts");
    }
}
