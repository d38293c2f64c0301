//! What reaches the event loop from its tasks and handles.

use std::any::Any;
use std::net::SocketAddr;
use std::time::Instant;

use earshot_proto::ids::CallId;
use earshot_proto::port::{
    LinkDown, LinkId, MappedPort, PathEvent, PathId, RelayPortId, SaveFailure, SaveId, Service,
    Sighting, VoiceEvent, WorkId,
};
use earshot_proto::secure::password::Worked;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::resident::Resident;
use crate::guests::Seat;

/// One machine in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ResidentId(pub(crate) u32);

/// Something to run on the loop with a machine.
pub(crate) type Job = Box<dyn FnOnce(&mut dyn Any, Instant) + Send>;

/// One thing for the loop to take in.
pub(crate) enum News {
    /// Somebody connected and named a service.
    Guest { stream: TcpStream, from: SocketAddr, service: Service, seat: Seat },
    /// Of a link.
    Link(ResidentId, LinkId, LinkNews),
    /// Of a relay port.
    RelayPort(ResidentId, RelayPortId, PortNews),
    /// The computer's addresses changed.
    Network,
    /// A router forwards this address to a port of ours, or none any more.
    Mapped(MappedPort, Option<SocketAddr>),
    /// Of the local network.
    Nearby(ResidentId, Sighting),
    /// Of a media path.
    Path(ResidentId, PathId, PathEvent),
    /// A record is safe.
    Saved(ResidentId, SaveId),
    /// A record is lost.
    NotSaved(ResidentId, SaveId, SaveFailure),
    /// A long computation is done.
    Worked(ResidentId, WorkId, Box<Worked>),
    /// Of the voice of a call.
    Voice(ResidentId, CallId, VoiceEvent),
    /// An owner wants something of its machine.
    Job(ResidentId, Job),
    /// A machine moves in.
    House(Box<dyn Resident>),
    /// A machine moves out.
    Leave(ResidentId),
    /// Everybody leaves; answered when the links are flushed.
    Stop(oneshot::Sender<()>),
}

/// What a link's task tells.
pub(crate) enum LinkNews {
    Connected { local: SocketAddr },
    Bytes(Vec<u8>),
    Down(LinkDown),
}

/// What became of opening a relay port.
pub(crate) enum PortNews {
    Opened(SocketAddr),
    Failed,
}
