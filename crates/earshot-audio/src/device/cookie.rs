//! The cookie of PulseAudio: 256 random bytes in the home, shown by each client to the server.
//!
//! A server hangs up on a client that shows none, even one that it would let in by its user; so
//! libpulse makes one for whoever has none yet, and cpal's client, which is not libpulse, leaves
//! that to us. Source: PulseAudio, `pulsecore/authkey.c`. Invariant: a cookie that is there is
//! never touched, and a new one is whole from the first moment.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Once;

const LENGTH: usize = 256;

/// Makes one, once in a process, where there is none.
pub(super) fn ensure() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let places = places(std::env::var_os("PULSE_COOKIE"), std::env::home_dir());
        // Without one the server says what it thinks of that.
        let _ = ensure_in(&places);
    });
}

/// Where clients look, in their order.
fn places(named: Option<std::ffi::OsString>, home: Option<PathBuf>) -> Vec<PathBuf> {
    let named = named.filter(|path| !path.is_empty()).map(PathBuf::from);
    let in_home = [".config/pulse/cookie", ".pulse-cookie"];
    let in_home = in_home.iter().filter_map(|file| Some(home.as_ref()?.join(file)));
    named.into_iter().chain(in_home).collect()
}

fn ensure_in(places: &[PathBuf]) -> io::Result<()> {
    match places.first() {
        Some(first) if places.iter().all(|place| !place.exists()) => make(first),
        Some(_) | None => Ok(()),
    }
}

fn make(cookie: &Path) -> io::Result<()> {
    if let Some(directory) = cookie.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    }
    let mut bytes = [0; LENGTH];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    // Written beside and linked: who comes first wins, and nobody reads half of it.
    let beside = cookie.with_extension(format!("earshot-{}", std::process::id()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).open(&beside)?.write_all(&bytes)?;
    let linked = fs::hard_link(&beside, cookie);
    fs::remove_file(&beside).and(linked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_made_where_there_is_none_and_never_touched() {
        let home = std::env::temp_dir().join(format!("earshot-cookie-{}", std::process::id()));
        let places = places(None, Some(home.clone()));
        ensure_in(&places).expect("writable");
        let first = fs::read(&places[0]).expect("made");
        assert_eq!(first.len(), LENGTH);
        assert_ne!(first, [0; LENGTH]);
        ensure_in(&places).expect("nothing to do");
        assert_eq!(fs::read(&places[0]).expect("still there"), first);
        assert_eq!(fs::read_dir(home.join(".config/pulse")).expect("made").count(), 1);
        fs::remove_dir_all(&home).expect("ours");

        // An old one in the other place is enough.
        fs::create_dir_all(&home).expect("writable");
        fs::write(&places[1], [1; LENGTH]).expect("writable");
        ensure_in(&places).expect("nothing to do");
        assert!(!places[0].exists());
        fs::remove_dir_all(&home).expect("ours");
    }

    #[test]
    fn a_named_place_comes_first() {
        let named = places(Some("/run/cookie".into()), Some("/home/anna".into()));
        assert_eq!(named[0], Path::new("/run/cookie"));
        assert_eq!(named.len(), 3);
    }
}
