//! Attaching to a TUN device, for which no safe call exists.
//!
//! Source: linux/if_tun.h, `Documentation/networking/tuntap.rst`; ioctl(2). Invariant: what is
//! handed to the kernel is as large as the kernel's `struct ifreq` and outlives the call.

#![expect(unsafe_code, reason = "a TUN device is made by an ioctl and nothing else")]

use std::fs::File;
use std::io::{Error, ErrorKind};

use rustix::ioctl::{Setter, ioctl, opcode};

/// Where TUN devices are made.
pub const PATH: &str = "/dev/net/tun";
/// A name with its closing zero (linux/if.h).
const IFNAMSIZ: usize = 16;
/// Packets of IP, and no four bytes before them (linux/if_tun.h).
const IFF_TUN: u16 = 0x0001;
const IFF_NO_PI: u16 = 0x1000;
/// `_IOW('T', 202, int)`.
const TUNSETIFF: rustix::ioctl::Opcode = opcode::write::<u32>(b'T', 202);

/// `struct ifreq`: a name, and a union of 24 bytes whose first two are the flags.
#[repr(C, align(8))]
struct Request {
    name: [u8; IFNAMSIZ],
    flags: u16,
    rest: [u8; 22],
}

/// Makes the file the packets' way of a new TUN device of the calling thread's namespace.
///
/// # Errors
/// What the system says, or that the name is too long.
pub fn attach(file: &File, device: &str) -> std::io::Result<()> {
    if device.len() >= IFNAMSIZ {
        return Err(Error::new(ErrorKind::InvalidInput, "the device's name is too long"));
    }
    let mut name = [0; IFNAMSIZ];
    name[..device.len()].copy_from_slice(device.as_bytes());
    let request = Request { name, flags: IFF_TUN | IFF_NO_PI, rest: [0; 22] };
    // SAFETY: TUNSETIFF reads and writes one `struct ifreq` of 40 bytes, which `Request` is.
    unsafe { ioctl(file, Setter::<TUNSETIFF, Request>::new(request))? };
    Ok(())
}
