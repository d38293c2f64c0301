//! Lines from a stream, none longer than [`LINE_MAX`].
//!
//! Invariants: never more than one line and one chunk are held; a longer line is skipped to its end
//! and told as one [`Line::TooLong`]. What was read is wiped, since a line may hold a password.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};
use zeroize::{Zeroize, Zeroizing};

/// Longest line, in bytes, without its end. INTERFACES 3.
pub const LINE_MAX: usize = 1024 * 1024;
/// Bytes read at a time. Our choice: all but messages fit, and the standard input's own buffer has
/// the same size.
const CHUNK: usize = 8 * 1024;

/// A line.
pub(super) enum Line {
    /// Its bytes.
    Whole(Zeroizing<Vec<u8>>),
    /// It was longer than is read.
    TooLong,
}

/// Cuts a stream into lines.
pub(super) struct Lines<R> {
    input: R,
    chunk: Zeroizing<[u8; CHUNK]>,
    unread: std::ops::Range<usize>,
    line: Zeroizing<Vec<u8>>,
    skipping: bool,
    ended: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            chunk: Zeroizing::new([0; CHUNK]),
            unread: 0..0,
            line: Zeroizing::default(),
            skipping: false,
            ended: false,
        }
    }

    /// The next line; `None` at the end. A last line without an end counts. Nothing is lost when
    /// the future is dropped.
    pub(super) async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            if let Some(line) = self.cut() {
                return Ok(Some(line));
            }
            if self.ended {
                let rest = self.skipping || !self.line.is_empty();
                return Ok(rest.then(|| self.finish()));
            }
            let got = self.input.read(self.chunk.as_mut_slice()).await?;
            self.unread = 0..got;
            self.ended = got == 0;
        }
    }

    /// Takes from the chunk up to the end of a line.
    fn cut(&mut self) -> Option<Line> {
        let unread = &self.chunk[self.unread.clone()];
        let end = unread.iter().position(|byte| *byte == b'\n');
        let part = &unread[..end.unwrap_or(unread.len())];
        if self.skipping || self.line.len() + part.len() > LINE_MAX {
            self.skipping = true;
            self.line = Zeroizing::default();
        } else {
            make_room(&mut self.line, part.len());
            self.line.extend_from_slice(part);
        }
        let Some(end) = end else {
            self.unread = 0..0;
            return None;
        };
        self.unread.start += end + 1;
        Some(self.finish())
    }

    fn finish(&mut self) -> Line {
        if self.unread.is_empty() {
            self.chunk.zeroize();
        }
        let line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.skipping) { Line::TooLong } else { Line::Whole(line) }
    }
}

/// Grows by doubling, but never past [`LINE_MAX`], and wipes what it grew out of.
fn make_room(line: &mut Zeroizing<Vec<u8>>, more: usize) {
    let needed = line.len() + more;
    if more == 0 || needed <= line.capacity() {
        return;
    }
    let capacity = needed.max(2 * line.capacity()).clamp(CHUNK, LINE_MAX);
    let mut larger = Zeroizing::new(Vec::with_capacity(capacity));
    larger.extend_from_slice(line);
    *line = larger;
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(input: &[u8]) -> Vec<Result<String, ()>> {
        let mut lines = Lines::new(input);
        let mut all = Vec::new();
        while let Some(line) = lines.next().await.expect("memory does not fail") {
            assert!(lines.line.capacity() <= LINE_MAX);
            all.push(match line {
                Line::Whole(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
                Line::TooLong => Err(()),
            });
        }
        all
    }

    #[tokio::test]
    async fn a_line_of_two_mebibytes_is_skipped_and_the_next_one_read() {
        let mut input = vec![b'x'; 2 * LINE_MAX];
        input.extend_from_slice(b"\nnext\n");
        assert_eq!(lines(&input).await, [Err(()), Ok("next".into())]);
    }

    #[tokio::test]
    async fn a_line_of_the_greatest_length_is_read() {
        let longest = "x".repeat(LINE_MAX);
        assert_eq!(lines(format!("{longest}\n").as_bytes()).await, [Ok(longest.clone())]);
        assert_eq!(lines(format!("{longest}x\n").as_bytes()).await, [Err(())]);
    }

    #[tokio::test]
    async fn the_last_line_needs_no_end() {
        assert_eq!(lines(b"one\n\ntwo").await, [Ok("one".into()), Ok("".into()), Ok("two".into())]);
        assert!(lines(b"").await.is_empty());
    }

    #[tokio::test]
    async fn what_was_read_is_wiped() {
        let mut lines = Lines::new(&b"password\n"[..]);
        assert!(matches!(lines.next().await, Ok(Some(Line::Whole(_)))));
        assert!(lines.chunk.iter().all(|byte| *byte == 0));
    }
}
