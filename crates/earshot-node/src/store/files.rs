//! Small files that are whole or not there: written beside, flushed, renamed.
//!
//! Invariant: after [`replace`] has answered, a power cut leaves the new file; before, the old one
//! or the new one, never a mixture.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use earshot_proto::port::SaveFailure;

use crate::api::errors::ErrorCode;

/// The data directory of one process.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// Locked while we live; the lock goes with the process.
    _lock: File,
}

impl DataDir {
    /// Makes the directory if it is not there, and locks it.
    ///
    /// # Errors
    /// [`ErrorCode::DataInUse`] when another process has it, [`ErrorCode::FileRefused`] when it
    /// cannot be made.
    pub fn open(path: &Path) -> Result<Self, ErrorCode> {
        let refused = |e: io::Error| refused(path, &e);
        fs::create_dir_all(path).map_err(refused)?;
        let lock = path.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .open(lock)
            .map_err(refused)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(fs::TryLockError::WouldBlock) => {
                Err(ErrorCode::DataInUse { directory: path.display().to_string() })
            }
            Err(fs::TryLockError::Error(e)) => Err(refused(e)),
        }
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file in it.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// Reads a file whole; `None` when it is not there.
///
/// # Errors
/// [`ErrorCode::FileRefused`] when it is there and cannot be read.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, ErrorCode> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(refused(path, &e)),
    }
}

/// The directories in a directory, in the order of their names; none where it is not there.
///
/// # Errors
/// [`ErrorCode::FileRefused`] when it is there and cannot be read.
pub fn directories(path: &Path) -> Result<Vec<PathBuf>, ErrorCode> {
    let entries = match fs::read_dir(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.and_then(Iterator::collect::<io::Result<Vec<_>>>),
    };
    let entries = entries.map_err(|e| refused(path, &e))?;
    let mut paths: Vec<_> = entries.iter().map(fs::DirEntry::path).collect();
    paths.retain(|path| path.is_dir());
    paths.sort();
    Ok(paths)
}

/// Makes a directory and those above it, safely: a power cut leaves them there.
///
/// # Errors
/// The operating system's.
pub fn make_directories(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(above) = path.parent() {
        make_directories(above)?;
    }
    fs::create_dir(path)?;
    flush_directory(path)
}

/// Reads the first bytes of a file, one more than `most` so that a longer one is seen to be longer;
/// `None` when it is not there.
///
/// # Errors
/// [`ErrorCode::FileRefused`] when it is there and cannot be read.
pub fn read_at_most(path: &Path, most: u64) -> Result<Option<Vec<u8>>, ErrorCode> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes));
    match read {
        Ok(_) => Ok(Some(bytes)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(refused(path, &e)),
    }
}

/// Puts `bytes` in the place of a file; only the owner may read it.
///
/// # Errors
/// The operating system's.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.create(true).write(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    flush_directory(path)
}

/// Moves a file to another name, if it is there.
///
/// # Errors
/// The operating system's.
pub fn move_away(path: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(path, to) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
        Err(_) | Ok(()) => Ok(()),
    }
}

#[cfg(unix)]
fn flush_directory(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

#[cfg(not(unix))]
fn flush_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

/// What a failed write means to a machine.
#[must_use]
pub fn failure(error: &io::Error) -> SaveFailure {
    let is_full = matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
    if is_full { SaveFailure::DiskFull } else { SaveFailure::Broken }
}

/// What a file that cannot be read or written means to the owner.
#[must_use]
pub fn refused(path: &Path, error: &io::Error) -> ErrorCode {
    if failure(error) == SaveFailure::DiskFull {
        return ErrorCode::DiskFull;
    }
    ErrorCode::FileRefused { file: path.display().to_string(), problem: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(name: &str) -> PathBuf {
        let path =
            std::env::temp_dir().join(format!("earshot-files-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        path
    }

    #[test]
    fn a_data_directory_is_had_by_one_process_at_a_time() {
        let path = directory("lock");
        let first = DataDir::open(&path).expect("a new directory");
        assert!(matches!(DataDir::open(&path), Err(ErrorCode::DataInUse { .. })));
        drop(first);
        assert!(DataDir::open(&path).is_ok());
        fs::remove_dir_all(path).expect("ours");
    }

    #[test]
    fn a_replaced_file_holds_the_new_bytes_and_nothing_is_left_beside() {
        let path = directory("replace");
        let data = DataDir::open(&path).expect("a new directory");
        let file = data.file("vault");
        assert_eq!(read(&file), Ok(None));
        replace(&file, b"one").expect("writable");
        replace(&file, b"two").expect("writable");
        assert_eq!(read(&file), Ok(Some(b"two".to_vec())));
        assert!(!data.file("vault.new").exists());
        fs::remove_dir_all(path).expect("ours");
    }
}
