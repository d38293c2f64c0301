//! Connections in memory: bytes in order, cut anywhere, late, or lost with the host at the other
//! end.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use earshot_proto::port::{LinkDown, LinkId, Service};

use super::world::MachineId;

/// How long a dial waits for an answer; as in node.
pub(super) const DIAL_PATIENCE: Duration = Duration::from_secs(5);
/// Bytes that one direction of a connection holds while nobody takes them; as in node.
pub(super) const QUEUE_MAX: usize = 1024 * 1024;
/// Bytes beyond which media is dropped; as in node.
pub(super) const MEDIA_MAX: usize = 64 * 1024;

/// The side of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Dialler,
    Listener,
}

impl Side {
    pub(super) const fn other(self) -> Self {
        match self {
            Self::Dialler => Self::Listener,
            Self::Listener => Self::Dialler,
        }
    }

    pub(super) const fn index(self) -> usize {
        match self {
            Self::Dialler => 0,
            Self::Listener => 1,
        }
    }
}

/// One end of a connection: a machine in one of its lives.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) machine: MachineId,
    pub(super) life: u32,
    pub(super) link: LinkId,
    pub(super) open: bool,
}

/// Something on its way along a connection.
#[derive(Debug)]
pub(super) enum Piece {
    Connected { local: SocketAddr },
    Accepted { from: SocketAddr, service: Service },
    Bytes(Vec<u8>),
    Down(LinkDown),
}

/// A connection, from the dial on.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) to: SocketAddr,
    pub(super) service: Service,
    pub(super) dialler: End,
    pub(super) listener: Option<End>,
    /// What is on its way to each side, in order.
    pub(super) pipes: [VecDeque<Piece>; 2],
    pub(super) held: [usize; 2],
    /// When the last piece to each side arrives.
    pub(super) last: [Duration; 2],
}

impl Conn {
    pub(super) fn end(&self, side: Side) -> Option<&End> {
        match side {
            Side::Dialler => Some(&self.dialler),
            Side::Listener => self.listener.as_ref(),
        }
    }

    pub(super) fn end_mut(&mut self, side: Side) -> Option<&mut End> {
        match side {
            Side::Dialler => Some(&mut self.dialler),
            Side::Listener => self.listener.as_mut(),
        }
    }

    /// Nobody is at either end any more.
    pub(super) fn is_over(&self) -> bool {
        !self.dialler.open && self.listener.as_ref().is_none_or(|end| !end.open)
    }
}

impl Piece {
    pub(super) const fn size(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Connected { .. } | Self::Accepted { .. } | Self::Down(_) => 0,
        }
    }
}
