//! The machine room's floor: one event loop that owns the machines of this process and their ends
//! to the world.
//!
//! Source: the contract of every machine (`earshot_proto`, first page) and DESIGN, section 3. An
//! authority and a super-peer live in one process behind one TCP and UDP port; an app that is
//! promoted takes a super-peer in. Invariants: one task calls a machine; after each input its
//! outputs are drained until it waits; the loop sleeps until the nearest deadline and does not
//! tick.

pub(crate) mod news;
mod pace;
pub(crate) mod resident;
mod run;
#[cfg(test)]
mod tests;

use std::marker::PhantomData;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use earshot_proto::ids::CallId;
use earshot_proto::port::{Machine, SaveFailure, SaveId, Service, VoiceEvent, VoiceOrder};
use tokio::sync::{mpsc, oneshot};

use crate::guests::GuestLimits;
use crate::links::DIAL_PATIENCE;
use crate::paths::{IceGround, OpenPaths};
pub use crate::sockets::StartError;
use crate::upstream::Upstream;
use crate::ways::Ways;
use news::{News, ResidentId};
use resident::Housed;

/// How the process stands in the world.
#[derive(Clone, Debug)]
pub struct Settings {
    /// TCP and UDP on the same number; 0 finds one that is free for both. `[::]` serves IPv4 too.
    pub listen: SocketAddr,
    /// The address that others see, where a one-to-one NAT hides ours.
    pub public: Option<SocketAddr>,
    /// Bounds on connections from outside.
    pub guests: GuestLimits,
    /// How long a dial may take.
    pub dial_patience: Duration,
    /// Numbers for relay ports; any free ones where `None`.
    pub relay_ports: Option<RangeInclusive<u16>>,
    /// How media paths look for candidates.
    pub ice: IceGround,
    /// How connections to super-peers are made.
    pub ways: Ways,
    /// Whether home routers are asked to forward ports to us.
    pub maps_ports: bool,
}

impl Settings {
    /// The usual settings at an address.
    #[must_use]
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            public: None,
            guests: GuestLimits::default(),
            dial_patience: DIAL_PATIENCE,
            relay_ports: None,
            ice: IceGround::default(),
            ways: Ways::default(),
            maps_ports: false,
        }
    }
}

/// Whether a machine gets the datagrams of the main port; each that asks gets all, and passes over
/// what is not for it: a peer the questions to the super-peer beside it, that one the answers to
/// the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mail {
    /// It does.
    Delivered,
    /// It does not.
    None,
}

/// A machine and all that its owner gives it.
pub struct Residence<M: Machine> {
    /// The machine.
    pub machine: M,
    /// Connections that ask for one of these are its.
    pub services: Vec<Service>,
    /// Whether datagrams are its.
    pub mail: Mail,
    /// Where its records go.
    pub keep: Box<dyn Keep<M::Record>>,
    /// Where its notices go; called on the loop, so it must not wait.
    pub notices: Box<dyn FnMut(M::Notice) + Send>,
    /// Who carries out its voice orders; without one every order fails.
    pub voice: Option<Box<dyn Voice>>,
}

/// Keeps records on disk.
pub trait Keep<R>: Send {
    /// Takes a record and answers by `receipt`, at once or later, on any thread. Called on the
    /// loop: the disk is waited for elsewhere. Several records may be made safe by one flush.
    fn save(&mut self, record: R, receipt: Receipt);
}

/// The answer to one record that was given away. Dropped without an answer, it says that the record
/// is lost.
#[derive(Debug)]
#[must_use]
pub struct Receipt(Option<(ResidentId, SaveId, mpsc::UnboundedSender<News>)>);

impl Receipt {
    pub(crate) fn new(who: ResidentId, id: SaveId, answers: mpsc::UnboundedSender<News>) -> Self {
        Self(Some((who, id, answers)))
    }

    /// The record would survive a power cut.
    pub fn saved(mut self) {
        if let Some((who, id, answers)) = self.0.take() {
            let _ = answers.send(News::Saved(who, id));
        }
    }

    /// The record could not be kept.
    pub fn failed(mut self, failure: SaveFailure) {
        self.answer_failed(failure);
    }

    fn answer_failed(&mut self, failure: SaveFailure) {
        if let Some((who, id, answers)) = self.0.take() {
            let _ = answers.send(News::NotSaved(who, id, failure));
        }
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        self.answer_failed(SaveFailure::Broken);
    }
}

/// Carries out what a machine orders of the voices of its calls.
pub trait Voice: Send {
    /// Takes one order; called on the loop, so it must not wait.
    fn order(
        &mut self,
        call: CallId,
        order: VoiceOrder,
        report: VoiceReport,
        paths: &OpenPaths<'_>,
    );
}

/// Where the voice of a call reports.
#[derive(Clone, Debug)]
pub struct VoiceReport {
    who: ResidentId,
    call: CallId,
    answers: mpsc::UnboundedSender<News>,
}

impl VoiceReport {
    pub(crate) fn new(who: ResidentId, call: CallId, answers: mpsc::UnboundedSender<News>) -> Self {
        Self { who, call, answers }
    }

    /// Tells the machine.
    pub fn tell(&self, event: VoiceEvent) {
        let _ = self.answers.send(News::Voice(self.who, self.call, event));
    }
}

/// The loop is gone, or the machine has left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the machine has stopped")]
pub struct Stopped;

/// The loop, seen from outside.
#[derive(Clone, Debug)]
pub struct Driver {
    to_loop: mpsc::Sender<News>,
    listening: SocketAddr,
    upstream: Upstream,
    next: Arc<AtomicU32>,
}

impl Driver {
    /// Opens the main port and starts the loop on the current runtime (see [`runtime`]).
    ///
    /// # Errors
    /// [`StartError`] where the port cannot be opened.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        let upstream = Upstream::default();
        let (to_loop, listening) = run::start(settings, upstream.clone()).await?;
        Ok(Self { to_loop, listening, upstream, next: Arc::default() })
    }

    /// The address of the main port, its number found.
    #[must_use]
    pub fn listening(&self) -> SocketAddr {
        self.listening
    }

    /// How fast it has been seen to send.
    #[must_use]
    pub const fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// Takes a machine in. Its first input is the wall clock.
    ///
    /// # Errors
    /// [`Stopped`] after [`Driver::stop`].
    pub async fn house<M>(&self, residence: Residence<M>) -> Result<Handle<M>, Stopped>
    where
        M: Machine + Send + 'static,
        M::Notice: 'static,
        M::Record: 'static,
    {
        let who = ResidentId(self.next.fetch_add(1, Ordering::Relaxed));
        let housed = Box::new(Housed::new(who, residence));
        self.to_loop.send(News::House(housed)).await.map_err(|_| Stopped)?;
        Ok(Handle { who, to_loop: self.to_loop.clone(), machine: PhantomData })
    }

    /// Ends the loop: machines are dropped, links get up to two seconds to write what was ordered
    /// before, media paths release their allocations. Say goodbye by the machines first.
    pub async fn stop(self) {
        let (done, stopped) = oneshot::channel();
        if self.to_loop.send(News::Stop(done)).await.is_ok() {
            let _ = stopped.await;
        }
    }
}

/// A machine's owner's end.
pub struct Handle<M> {
    who: ResidentId,
    to_loop: mpsc::Sender<News>,
    machine: PhantomData<fn(M)>,
}

impl<M> Clone for Handle<M> {
    fn clone(&self) -> Self {
        Self { who: self.who, to_loop: self.to_loop.clone(), machine: PhantomData }
    }
}

impl<M: 'static> Handle<M> {
    /// Runs `job` with the machine on the loop and gives its result. The outputs that come of it,
    /// notices too, are carried out after `job` has run: what `job` itself sends to the place where
    /// notices go is there before them.
    ///
    /// # Errors
    /// [`Stopped`] when the machine is no longer there.
    pub async fn call<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut M, Instant) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (answer, answered) = oneshot::channel();
        let job = move |machine: &mut dyn std::any::Any, now| {
            let machine = machine.downcast_mut().expect("a handle is made with its machine's type");
            // Nobody waits any more: the job was done all the same.
            let _ = answer.send(job(machine, now));
        };
        self.to_loop.send(News::Job(self.who, Box::new(job))).await.map_err(|_| Stopped)?;
        answered.await.map_err(|_| Stopped)
    }

    /// Takes the machine out of the loop; its links are flushed and closed, its ports and paths
    /// released.
    ///
    /// # Errors
    /// [`Stopped`] when the loop is gone.
    pub async fn leave(self) -> Result<(), Stopped> {
        self.to_loop.send(News::Leave(self.who)).await.map_err(|_| Stopped)
    }
}

/// Threads that compute (passwords) and read files; more wait. Our choice: stretching takes 64 MiB
/// each.
const BLOCKING_MAX: usize = 4;
/// An idle thread of these ends after this, so that a quiet process is one thread.
const BLOCKING_REST: Duration = Duration::from_secs(2);

/// The runtime of a process: one thread for the loop and all its tasks.
///
/// # Errors
/// The operating system's, where it gives no event queue.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_MAX)
        .thread_keep_alive(BLOCKING_REST)
        .build()
}
