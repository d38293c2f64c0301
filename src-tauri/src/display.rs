//! Whether there is a display, and whether it is still there: a resident whose display has gone has
//! outlived the session that it was started in.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::Path;

use crate::options::variable;

/// Where X servers of this computer listen (Xserver(1)).
const X_SOCKETS: &str = "/tmp/.X11-unix/X";

/// Whether a display is named at all.
#[must_use]
pub fn is_named() -> bool {
    variable("WAYLAND_DISPLAY").or_else(|| variable("DISPLAY")).is_some()
}

/// Whether the display that is named can be reached. One on another computer is believed in.
#[must_use]
pub fn is_there() -> bool {
    let wayland = variable("WAYLAND_DISPLAY").is_some_and(|name| {
        let directory = variable("XDG_RUNTIME_DIR").unwrap_or_default();
        // An absolute name stands for itself.
        UnixStream::connect(Path::new(&directory).join(name)).is_ok()
    });
    wayland || variable("DISPLAY").is_some_and(|name| x_answers(&name.to_string_lossy()))
}

fn x_answers(name: &str) -> bool {
    let Some(number) = x_number(name) else { return true };
    let path = format!("{X_SOCKETS}{number}");
    let hidden = SocketAddr::from_abstract_name(&path);
    UnixStream::connect(&path).is_ok()
        || hidden.is_ok_and(|address| UnixStream::connect_addr(&address).is_ok())
}

/// The number of a display of this computer: `:1.0` is 1.
fn x_number(name: &str) -> Option<&str> {
    let (host, rest) = name.rsplit_once(':')?;
    let number = rest.split('.').next()?;
    (matches!(host, "" | "unix") && number.parse::<u16>().is_ok()).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_display_of_this_computer_has_a_number() {
        for (name, number) in [(":0", Some("0")), (":1.0", Some("1")), ("unix:2", Some("2"))] {
            assert_eq!(x_number(name), number, "{name}");
        }
        for elsewhere in ["", "host:1", "host:10.0", ":", ":x"] {
            assert_eq!(x_number(elsewhere), None, "{elsewhere}");
        }
        assert!(!x_answers(":65535"));
        assert!(x_answers("host:1"));
    }
}
