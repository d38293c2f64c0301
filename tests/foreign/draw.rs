//! The small parts of messages, drawn from a seed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use earshot_proto::entropy::{Entropy, Stream};
use earshot_proto::ids::UserName;
use earshot_proto::time::UnixTime;
use earshot_proto::wire::bounded::{Bytes, List, Text};

/// Draws values.
pub(crate) struct Draw(Stream);

impl Draw {
    pub(crate) fn new(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        Self(Entropy::new(bytes).jitter)
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        self.0.bytes()
    }

    /// Up to `max` bytes, and one time in four exactly so many.
    pub(crate) fn vec(&mut self, max: usize) -> Vec<u8> {
        let len = if self.chance(4) { max } else { self.below(max + 1) };
        let mut bytes = vec![0; len];
        self.0.fill(&mut bytes);
        bytes
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0.below(end as u64) as usize
    }

    /// One time in `of`.
    pub(crate) fn chance(&mut self, of: usize) -> bool {
        self.below(of) == 0
    }

    /// Of any magnitude, so that every width on the wire comes.
    pub(crate) fn number(&mut self) -> u64 {
        let bits = self.below(64);
        self.0.next_u64() >> bits
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    pub(crate) fn maybe<T>(&mut self, draw: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (!self.chance(3)).then(|| draw(self))
    }

    pub(crate) fn list<T, const MAX: usize>(
        &mut self,
        mut draw: impl FnMut(&mut Self) -> T,
    ) -> List<T, MAX> {
        let len = if self.chance(4) { MAX } else { self.below(MAX.min(5) + 1) };
        List::new((0..len).map(|_| draw(self)).collect()).unwrap()
    }

    /// At most `len` bytes, and at most what the type takes.
    pub(crate) fn blob<const MAX: usize>(&mut self, len: usize) -> Bytes<MAX> {
        Bytes::new(self.vec(len.min(MAX))).unwrap()
    }

    /// Letters of one to four bytes.
    pub(crate) fn text<const MAX: usize>(&mut self) -> Text<MAX> {
        let often = if MAX > 1_000 { 40 } else { 4 };
        let room = if self.chance(often) { MAX } else { self.below(MAX.min(200) + 1) };
        let mut text = String::new();
        while text.len() + 4 <= room {
            text.push(self.pick(&['a', 'Z', ' ', 'é', 'Ж', '語', '🦀', '\u{202e}', '\0']));
        }
        Text::new(text).unwrap()
    }

    pub(crate) fn user(&mut self) -> UserName {
        let len = 3 + self.below(30);
        let name: String = (0..len).map(|_| self.pick(&['a', 'b', 'z', '7', 'ä', 'ж'])).collect();
        UserName::new(&name).unwrap()
    }

    pub(crate) fn time(&mut self) -> UnixTime {
        UnixTime(self.number())
    }

    pub(crate) fn ip(&mut self) -> IpAddr {
        if self.chance(2) {
            Ipv4Addr::from(self.bytes::<4>()).into()
        } else {
            Ipv6Addr::from(self.bytes::<16>()).into()
        }
    }

    pub(crate) fn v6(&mut self) -> SocketAddrV6 {
        let port = u16::from_be_bytes(self.bytes());
        SocketAddrV6::new(Ipv6Addr::from(self.bytes::<16>()), port, 0, 0)
    }

    pub(crate) fn address(&mut self) -> SocketAddr {
        SocketAddr::new(self.ip(), u16::from_be_bytes(self.bytes()))
    }
}
