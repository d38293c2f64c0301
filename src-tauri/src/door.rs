//! One Earshot on one directory: the first holds a lock, and whoever comes later tells it by a
//! socket what was wanted, and ends.
//!
//! Invariants: the lock decides, not the socket, which may be left over; a message is one short
//! line, from the same user (the directory is theirs alone).

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::desk::Action;
use crate::link::{LINK_MAX, Link};
use crate::options::variable;

/// A message: a link with its envelope.
const MESSAGE_MAX: u64 = LINK_MAX as u64 + 200;
/// Longest path of a socket (unix(7)), less its last byte.
const SOCKET_PATH_MAX: usize = 107;
/// For one that begins or ends just now. It leaves the network within 3 s (INTERFACES 2).
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks at a lock whose release nobody announces.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Whoever knocks says at once what it wants.
const HEARING: Duration = Duration::from_secs(1);

/// What a later start wants of the one that runs.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wish {
    /// That it shows itself, with the link that was clicked.
    Show(Option<Link>),
    /// That it does this.
    Do(Action),
}

/// Who we are on this directory.
#[derive(Debug)]
pub enum Place {
    /// The one that runs.
    First(Door),
    /// A later one; the first took our wish.
    Later,
}

/// The lock, and the socket behind which wishes are heard.
#[derive(Debug)]
pub struct Door {
    listener: UnixListener,
    _lock: File,
}

/// Takes the place, or tells the one that has it.
///
/// # Errors
/// What the system says of the directory or the socket.
pub fn enter(directory: &Path, wish: &Wish) -> std::io::Result<Place> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let lock = File::create(directory.join("lock"))?;
    let socket = socket(directory)?;
    let begun = Instant::now();
    loop {
        if lock.try_lock().is_ok() {
            let _none_left_over = fs::remove_file(&socket);
            return Ok(Place::First(Door { listener: UnixListener::bind(&socket)?, _lock: lock }));
        }
        match knock(&socket, wish) {
            Ok(()) => return Ok(Place::Later),
            Err(error) if begun.elapsed() > PATIENCE => return Err(error),
            Err(_) => std::thread::park_timeout(LOOK_AGAIN),
        }
    }
}

fn knock(socket: &Path, wish: &Wish) -> std::io::Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_string(wish).expect("a wish has string keys only");
    line.push('\n');
    stream.write_all(line.as_bytes())?;
    // It was taken when the one that runs says so; who is leaving says nothing.
    stream.read_exact(&mut [0])
}

/// In the directory, or where its path is too long beside other sockets of this user.
fn socket(directory: &Path) -> std::io::Result<PathBuf> {
    let inside = directory.join("door");
    if inside.as_os_str().len() <= SOCKET_PATH_MAX {
        return Ok(inside);
    }
    let facts = fs::metadata(directory)?;
    let runtime = variable("XDG_RUNTIME_DIR").ok_or(std::io::ErrorKind::InvalidFilename)?;
    Ok(Path::new(&runtime).join(format!("earshot-{}-{}", facts.dev(), facts.ino())))
}

impl Door {
    /// Hears wishes, one after the other, for as long as they are taken.
    pub fn listen(&self, mut take: impl FnMut(Wish) -> bool) {
        for stream in self.listener.incoming().flatten() {
            let Some(wish) = hear(&stream) else { continue };
            // Whoever does not wait for it any more was heard all the same.
            let say_taken = || drop((&stream).write_all(&[1]));
            let quits = wish == Wish::Do(Action::Quit);
            if quits {
                // Before it is done: the program ends with it.
                say_taken();
            }
            if !take(wish) {
                return;
            }
            if !quits {
                say_taken();
            }
        }
    }
}

fn hear(stream: &UnixStream) -> Option<Wish> {
    stream.set_read_timeout(Some(HEARING)).ok()?;
    let mut line = String::new();
    BufReader::new(stream.take(MESSAGE_MAX)).read_line(&mut line).ok()?;
    serde_json::from_str(&line).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    fn directory(name: &str) -> PathBuf {
        let name = format!("earshot-door-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        drop(fs::remove_dir_all(&path));
        path
    }

    fn first(directory: &Path) -> Door {
        match enter(directory, &Wish::Show(None)) {
            Ok(Place::First(door)) => door,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn whoever_comes_later_tells_the_first_and_goes() {
        let home = directory("later");
        let door = first(&home);
        let (sender, heard) = channel();
        std::thread::spawn(move || door.listen(|wish| sender.send(wish).is_ok()));
        let link = Link::try_from("earshot:call/anna".to_owned()).unwrap();
        for wish in [Wish::Show(Some(link)), Wish::Do(Action::Mute), Wish::Show(None)] {
            assert!(matches!(enter(&home, &wish), Ok(Place::Later)));
            assert_eq!(heard.recv(), Ok(wish));
        }
    }

    #[test]
    fn nonsense_is_not_heard_and_a_place_that_was_left_is_taken() {
        let home = directory("left");
        let door = first(&home);
        let mut stream = UnixStream::connect(socket(&home).unwrap()).unwrap();
        stream.write_all(b"nonsense\n").unwrap();
        assert_eq!(hear(&door.listener.accept().unwrap().0), None);
        drop(door);
        drop(first(&home));
    }

    #[test]
    fn a_path_too_long_for_a_socket_has_it_elsewhere() {
        let home = directory(&"l".repeat(120));
        fs::create_dir_all(&home).unwrap();
        let place = socket(&home);
        assert!(
            place.is_err_and(|e| e.kind() == std::io::ErrorKind::InvalidFilename)
                || socket(&home).is_ok_and(|path| path.as_os_str().len() <= SOCKET_PATH_MAX)
        );
        fs::remove_dir_all(&home).unwrap();
    }
}
