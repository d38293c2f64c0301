//! A slow line: two TUN devices in two namespaces, and packets carried from one to the other late.
//!
//! Source: the kernel's `Documentation/networking/tuntap.rst`. Each packet waits for the delay and
//! up to the jitter more; none overtakes another, as on a line. Invariant: at most [`WAITING_MAX`]
//! packets wait each way, what is more is dropped, as a full buffer does.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};

use super::LabError;
use super::line::Line;
use super::namespace::Namespace;
use super::tun;
use crate::speech::Dice;

/// Packets on the way, each way. Our choice: two seconds of a call in 2 ms pieces.
const WAITING_MAX: usize = 1_024;
/// The longest packet of a TUN device with the usual MTU, and room.
const PACKET_MAX: usize = 2_048;

/// How often a device that is down is looked at.
const DOWN: Duration = Duration::from_millis(1);

/// A slow line; it lasts until the program ends.
#[derive(Debug)]
pub struct Shim;

impl Shim {
    /// Makes both devices and begins to carry.
    ///
    /// # Errors
    /// Where there are no TUN devices.
    pub fn lay(
        one: (&Namespace, &str),
        other: (&Namespace, &str),
        line: Line,
        seed: u64,
    ) -> Result<Self, LabError> {
        let ends = [Arc::new(device(one)?), Arc::new(device(other)?)];
        for way in [0, 1] {
            let (from, to) = (Arc::clone(&ends[way]), Arc::clone(&ends[1 - way]));
            let (held, due) = sync_channel::<(Instant, Vec<u8>)>(WAITING_MAX);
            let dice = Dice::new(seed * 2 + way as u64);
            thread::spawn(move || take(&from, &held, line, dice));
            thread::spawn(move || {
                for (at, packet) in due {
                    while let Some(early) = at.checked_duration_since(Instant::now()) {
                        thread::park_timeout(early);
                    }
                    // A device that is down takes nothing: lost, as on a line.
                    drop((&*to).write(&packet));
                }
            });
        }
        Ok(Self)
    }
}

fn device((space, name): (&Namespace, &str)) -> Result<File, LabError> {
    let open = || {
        let file = OpenOptions::new().read(true).write(true).open(tun::PATH)?;
        tun::attach(&file, name)?;
        Ok(file)
    };
    space.inside(open)?.map_err(|error| LabError::io(tun::PATH, error))
}

/// Reads packets and says when each is due.
fn take(from: &File, held: &SyncSender<(Instant, Vec<u8>)>, line: Line, mut dice: Dice) {
    let mut last = Instant::now();
    let mut packet = [0; PACKET_MAX];
    loop {
        // A device that is down, or on its way to another namespace, is waited for.
        let mut ready = [PollFd::new(from, PollFlags::IN)];
        if poll(&mut ready, None).is_err() {
            return;
        }
        let Ok(length) = (&*from).read(&mut packet) else {
            thread::park_timeout(DOWN);
            continue;
        };
        let late = line.delay + line.jitter.mul_f64(dice.unit());
        last = last.max(Instant::now() + late);
        drop(held.try_send((last, packet[..length].to_vec())));
    }
}
