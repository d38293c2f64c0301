//! Media paths between two peers: made by ICE here, decided over in the machine.
//!
//! Source: DESIGN 2.10 and section 3 ("a library that does its own I/O");
//! `earshot_proto::port::{PathOrder, PathEvent}`. How a path is made stays behind [`MediaPath`], so
//! that the library can be replaced. Invariant: after its `Close`, or after it said `Down`, a
//! machine hears no more of a path.

mod candidate;
mod ice;
mod pulse;
#[cfg(test)]
mod relayed;
mod shim;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use earshot_proto::port::{PathEvent, PathId, PathKind, PathOrder};
use tokio::sync::mpsc;

use crate::driver::news::{News, ResidentId};
use crate::links::Alive;
use crate::mapping::SoundPorts;
use crate::ways::Ways;

/// How media paths look for candidates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IceGround {
    /// Whether loopback addresses are candidates (`--ice-loopback`: tests and demos on one
    /// machine).
    pub include_loopback: bool,
}

/// The path has been closed or lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the media path is gone")]
pub struct PathGone;

/// Sends packets over a path that is up.
pub trait MediaPath: Send + Sync {
    /// Sends one packet from any thread, without waiting. What the network does not take is lost.
    ///
    /// # Errors
    /// [`PathGone`] after the path was closed or lost.
    fn send(&self, packet: &[u8]) -> Result<(), PathGone>;
}

/// Takes what comes over a path, with the moment it came; called on the loop's thread, so it must
/// be quick.
pub type Sink = Box<dyn FnMut(Instant, &[u8]) + Send>;

/// A path that is up, for whoever sends and receives over it.
#[derive(Clone)]
pub struct PathHandle {
    path: Arc<dyn MediaPath>,
    inlet: Arc<Inlet>,
    kind: PathKind,
}

impl PathHandle {
    /// Its kind, which stays.
    #[must_use]
    pub const fn kind(&self) -> PathKind {
        self.kind
    }

    /// Sends one packet (see [`MediaPath::send`]).
    ///
    /// # Errors
    /// [`PathGone`] after the path was closed or lost.
    pub fn send(&self, packet: &[u8]) -> Result<(), PathGone> {
        self.path.send(packet)
    }

    /// Gives all that comes from now on to `sink`, in place of the one before.
    pub fn attach(&self, sink: Sink) {
        self.inlet.set(Some(sink));
    }

    /// Whether both are of one path.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inlet, &other.inlet)
    }

    /// Drops what comes from now on.
    pub fn detach(&self) {
        self.inlet.set(None);
    }
}

/// Where a path's packets go.
#[derive(Default)]
pub(crate) struct Inlet(Mutex<Option<Sink>>);

impl Inlet {
    fn set(&self, sink: Option<Sink>) {
        let before =
            std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), sink);
        // Dropped after the lock is given back: a sink may own much.
        drop(before);
    }

    fn take(&self, now: Instant, packet: &[u8]) {
        if let Some(sink) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            sink(now, packet);
        }
    }
}

/// The paths of one machine that are up.
pub struct OpenPaths<'a> {
    paths: &'a Paths,
    who: ResidentId,
}

impl OpenPaths<'_> {
    /// The path, if it is up.
    #[must_use]
    pub fn handle(&self, id: PathId) -> Option<PathHandle> {
        self.paths.open.get(&(self.who, id))?.up.get().cloned()
    }
}

/// All media paths of the process.
pub(crate) struct Paths {
    ground: IceGround,
    ways: Ways,
    sound_ports: Option<SoundPorts>,
    open: HashMap<(ResidentId, PathId), OpenPath>,
    answers: mpsc::UnboundedSender<News>,
    alive: Alive,
}

struct OpenPath {
    /// Dropped to close.
    orders: mpsc::UnboundedSender<PathOrder>,
    up: Arc<OnceLock<PathHandle>>,
}

/// Where a path's task tells what happens.
pub(crate) struct PathReport {
    who: ResidentId,
    id: PathId,
    answers: mpsc::UnboundedSender<News>,
    up: Arc<OnceLock<PathHandle>>,
    _alive: Alive,
}

impl PathReport {
    fn tell(&self, event: PathEvent) {
        // The loop is gone only when the process stops.
        let _ = self.answers.send(News::Path(self.who, self.id, event));
    }

    fn is_up(&self, path: Arc<dyn MediaPath>, inlet: Arc<Inlet>, kind: PathKind) {
        // A path comes up once.
        let _ = self.up.set(PathHandle { path, inlet, kind });
    }
}

impl Paths {
    pub(crate) fn new(
        (ground, ways, sound_ports): (IceGround, Ways, Option<SoundPorts>),
        answers: mpsc::UnboundedSender<News>,
        alive: Alive,
    ) -> Self {
        Self { ground, ways, sound_ports, open: HashMap::new(), answers, alive }
    }

    pub(crate) fn order(&mut self, who: ResidentId, id: PathId, order: PathOrder) {
        match order {
            PathOrder::Open { controlling, servers, policy } => {
                let (ground, ways) = (self.ground, self.ways.clone());
                let sound_ports = self.sound_ports.clone();
                let opening =
                    ice::Opening { controlling, servers, policy, ground, ways, sound_ports };
                let (orders, ordered) = mpsc::unbounded_channel();
                let up = Arc::<OnceLock<PathHandle>>::default();
                let report = PathReport {
                    who,
                    id,
                    answers: self.answers.clone(),
                    up: Arc::clone(&up),
                    _alive: self.alive.clone(),
                };
                tokio::spawn(ice::make(opening, ordered, report));
                self.open.insert((who, id), OpenPath { orders, up });
            }
            PathOrder::Remote { .. } | PathOrder::Candidate(_) => {
                if let Some(path) = self.open.get(&(who, id)) {
                    // A task that has ended has also told why.
                    let _ = path.orders.send(order);
                }
            }
            PathOrder::Close => self.forget(who, id),
        }
    }

    /// Whether the machine still has this path.
    pub(crate) fn is_open(&self, who: ResidentId, id: PathId) -> bool {
        self.open.contains_key(&(who, id))
    }

    /// Lets go of a path; its task releases sockets and allocations.
    pub(crate) fn forget(&mut self, who: ResidentId, id: PathId) {
        self.open.remove(&(who, id));
    }

    /// Closes all paths of a machine that leaves.
    pub(crate) fn close_all_of(&mut self, who: ResidentId) {
        self.open.retain(|(owner, _), _| *owner != who);
    }

    pub(crate) fn open_of(&self, who: ResidentId) -> OpenPaths<'_> {
        OpenPaths { paths: self, who }
    }
}
