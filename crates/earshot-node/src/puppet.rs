//! A machine that does what a test says and tells all that it hears.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use earshot_proto::ids::CallId;
use earshot_proto::port::{
    Input, LinkDown, LinkEvent, LinkId, LinkOrder, Machine, Output, PathEvent, PathFacts, PathId,
    PathOrder, PathPolicy, RelayPortEvent, RelayPortId, RelayServer, SaveFailure, SaveId, Service,
    VoiceEvent, VoiceOrder, WaitReason,
};
use tokio::sync::mpsc;

use crate::driver::{Driver, Handle, Keep, Mail, Receipt, Residence, Settings, Voice, VoiceReport};
use crate::paths::{OpenPaths, PathHandle};

/// How long a test waits for what must happen. Long enough for a machine that is busy with many
/// tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What the puppet heard.
#[derive(Debug, PartialEq)]
pub(crate) enum Heard {
    Timeout,
    Clock,
    Datagram(SocketAddr, Vec<u8>),
    Accepted(LinkId, SocketAddr, Service),
    Connected(LinkId, SocketAddr),
    Bytes(LinkId, Vec<u8>),
    Down(LinkId, LinkDown),
    Path(PathId, PathEvent),
    Opened(RelayPortId, SocketAddr),
    NotOpened(RelayPortId),
    Relayed(RelayPortId, SocketAddr, Vec<u8>),
    Saved(SaveId),
    NotSaved(SaveId, SaveFailure),
    Worked,
    Voice(CallId, VoiceEvent),
    /// Not heard but said, by an owner's job.
    Said(&'static str),
}

/// The machine.
#[derive(Default)]
pub(crate) struct Puppet {
    pub(crate) out: VecDeque<Output<Heard, u32>>,
    pub(crate) deadline: Option<Instant>,
}

impl Machine for Puppet {
    type Notice = Heard;
    type Record = u32;

    fn handle(&mut self, now: Instant, input: Input<'_>) {
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.deadline = None;
        }
        let heard = match input {
            Input::Timeout => Heard::Timeout,
            Input::Clock(_) | Input::Network | Input::Mapped(..) | Input::Nearby(_) => Heard::Clock,
            Input::Datagram { from, bytes } => Heard::Datagram(from, bytes.to_vec()),
            Input::Link(id, event) => match event {
                LinkEvent::Accepted { from, service } => Heard::Accepted(id, from, service),
                LinkEvent::Connected { local } => Heard::Connected(id, local),
                LinkEvent::Bytes(bytes) => Heard::Bytes(id, bytes.to_vec()),
                LinkEvent::Down(down) => Heard::Down(id, down),
            },
            Input::Path(id, event) => Heard::Path(id, event),
            Input::RelayPort(id, event) => match event {
                RelayPortEvent::Opened(address) => Heard::Opened(id, address),
                RelayPortEvent::Failed => Heard::NotOpened(id),
                RelayPortEvent::Datagram { from, bytes } => {
                    Heard::Relayed(id, from, bytes.to_vec())
                }
            },
            Input::Saved(id) => Heard::Saved(id),
            Input::NotSaved(id, failure) => Heard::NotSaved(id, failure),
            Input::Worked(..) => Heard::Worked,
            Input::Voice(call, event) => Heard::Voice(call, event),
        };
        self.out.push_back(Output::Notify(heard));
    }

    fn poll_output(&mut self) -> Output<Heard, u32> {
        let wait = Output::Wait(self.deadline, WaitReason::Timer);
        self.out.pop_front().unwrap_or(wait)
    }
}

/// Keeps odd records and loses even ones.
struct Odd;

impl Keep<u32> for Odd {
    fn save(&mut self, record: u32, receipt: Receipt) {
        if record % 2 == 1 {
            receipt.saved();
        } else {
            drop(receipt);
        }
    }
}

/// Hands out the path that has the number of the call's first byte.
struct PathTaker(mpsc::UnboundedSender<PathHandle>);

impl Voice for PathTaker {
    fn order(
        &mut self,
        call: CallId,
        _order: VoiceOrder,
        report: VoiceReport,
        paths: &OpenPaths<'_>,
    ) {
        match paths.handle(PathId(u32::from(call.0[0]))) {
            Some(handle) => drop(self.0.send(handle)),
            None => report.tell(VoiceEvent::Failed),
        }
    }
}

/// A way to give a puppet orders.
#[derive(Clone)]
pub(crate) struct Strings(Handle<Puppet>);

impl Strings {
    /// Makes the puppet give these outputs.
    pub(crate) async fn order(&self, outputs: impl IntoIterator<Item = Output<Heard, u32>>) {
        let outputs: Vec<_> = outputs.into_iter().collect();
        let given = self.0.call(move |puppet, _| puppet.out.extend(outputs)).await;
        given.expect("the loop runs");
    }
}

/// A process with one puppet.
pub(crate) struct Stage {
    pub(crate) driver: Driver,
    pub(crate) puppet: Handle<Puppet>,
    heard: mpsc::UnboundedReceiver<Heard>,
    paths: mpsc::UnboundedReceiver<PathHandle>,
}

/// The settings of most tests.
pub(crate) fn on_loopback() -> Settings {
    Settings::new(([127, 0, 0, 1], 0).into())
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::with(on_loopback(), &[Service::SuperPeer]).await
    }

    pub(crate) async fn with(settings: Settings, services: &[Service]) -> Self {
        let driver = Driver::start(settings).await.expect("loopback has a free port");
        let mut stage = Self::house(&driver, services).await;
        assert_eq!(stage.hears().await, Heard::Clock, "the first input is the wall clock");
        stage
    }

    /// One that looks for paths over loopback, with the voice of a test.
    pub(crate) async fn speaking(voice: Box<dyn Voice>) -> Self {
        let started = Driver::start(with_loopback_candidates()).await;
        let driver = started.expect("loopback has a free port");
        let (_, nobody) = mpsc::unbounded_channel();
        let mut stage = Self::house_speaking(&driver, &[], voice, nobody).await;
        assert_eq!(stage.hears().await, Heard::Clock, "the first input is the wall clock");
        stage
    }

    pub(crate) async fn house(driver: &Driver, services: &[Service]) -> Self {
        let (take, paths) = mpsc::unbounded_channel();
        Self::house_speaking(driver, services, Box::new(PathTaker(take)), paths).await
    }

    async fn house_speaking(
        driver: &Driver,
        services: &[Service],
        voice: Box<dyn Voice>,
        paths: mpsc::UnboundedReceiver<PathHandle>,
    ) -> Self {
        let (tell, heard) = mpsc::unbounded_channel();
        let residence = Residence {
            machine: Puppet::default(),
            services: services.to_vec(),
            mail: Mail::Delivered,
            keep: Box::new(Odd),
            notices: Box::new(move |heard| drop(tell.send(heard))),
            voice: Some(voice),
        };
        let puppet = driver.house(residence).await.expect("the loop runs");
        Self { driver: driver.clone(), puppet, heard, paths }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.driver.listening()
    }

    /// Makes the puppet give these outputs.
    pub(crate) async fn order(&self, outputs: impl IntoIterator<Item = Output<Heard, u32>>) {
        self.strings().order(outputs).await;
    }

    pub(crate) fn strings(&self) -> Strings {
        Strings(self.puppet.clone())
    }

    /// The next thing heard.
    pub(crate) async fn hears(&mut self) -> Heard {
        let heard = tokio::time::timeout(PATIENCE, self.heard_next()).await;
        heard.expect("something is heard in time")
    }

    /// The next thing heard, whenever that is.
    pub(crate) async fn heard_next(&mut self) -> Heard {
        self.heard.recv().await.expect("the machine is there")
    }

    /// The path that is up under this number.
    pub(crate) async fn path(&mut self, id: u8) -> PathHandle {
        let call = CallId([id; 16]);
        self.order([Output::Voice(call, VoiceOrder::Prepare)]).await;
        let path = tokio::time::timeout(PATIENCE, self.paths.recv()).await;
        path.expect("the path is there in time").expect("the machine is there")
    }

    /// Dials and waits until it is up at this end.
    pub(crate) async fn dial(&mut self, id: u32, to: SocketAddr) -> LinkId {
        let id = LinkId::Dialled(id);
        self.order([dial(id, to)]).await;
        let heard = self.hears().await;
        assert!(matches!(heard, Heard::Connected(up, _) if up == id), "{heard:?}");
        id
    }
}

/// Settings for paths within this computer.
pub(crate) fn with_loopback_candidates() -> Settings {
    let mut settings = on_loopback();
    settings.ice.include_loopback = true;
    settings
}

/// The path of [`meet`].
pub(crate) const PATH: PathId = PathId(1);

/// An order for it.
pub(crate) fn path(order: PathOrder) -> Output<Heard, u32> {
    Output::Path(PATH, order)
}

/// What came of it.
pub(crate) async fn path_event(stage: &mut Stage) -> PathEvent {
    let heard = stage.hears().await;
    let Heard::Path(PATH, event) = heard else { panic!("not of the path: {heard:?}") };
    event
}

/// Opens a path between two processes; the first controls.
pub(crate) async fn meet(
    alice: &mut Stage,
    bob: &mut Stage,
    servers: [Vec<RelayServer>; 2],
    policy: PathPolicy,
) -> [PathFacts; 2] {
    let [hers, his] = servers;
    alice.order([path(PathOrder::Open { controlling: true, servers: hers, policy })]).await;
    bob.order([path(PathOrder::Open { controlling: false, servers: his, policy })]).await;
    let (to_alice, to_bob) = (alice.strings(), bob.strings());
    let (hers, his) = tokio::join!(signal(alice, &to_bob), signal(bob, &to_alice));
    [hers, his]
}

/// Carries signaling from one to the other until the path is up.
async fn signal(from: &mut Stage, to: &Strings) -> PathFacts {
    loop {
        match path_event(from).await {
            PathEvent::Local { ufrag, password } => {
                to.order([path(PathOrder::Remote { ufrag, password })]).await;
            }
            PathEvent::Candidate(text) => to.order([path(PathOrder::Candidate(text))]).await,
            PathEvent::EndOfCandidates
            | PathEvent::Lively { .. }
            | PathEvent::Silent
            | PathEvent::NoRelay
            | PathEvent::Tried(_) => {}
            PathEvent::Up(facts) => return facts,
            PathEvent::Down(down) => panic!("no path: {down:?}"),
        }
    }
}

/// The order to dial a super-peer.
pub(crate) fn dial(id: LinkId, to: SocketAddr) -> Output<Heard, u32> {
    Output::Link(id, LinkOrder::Dial { to, also: None, service: Service::SuperPeer })
}

/// The order to write.
pub(crate) fn bytes(id: LinkId, bytes: &[u8]) -> Output<Heard, u32> {
    Output::Link(id, LinkOrder::Bytes(bytes.to_vec()))
}

/// The order to close.
pub(crate) fn close(id: LinkId) -> Output<Heard, u32> {
    Output::Link(id, LinkOrder::Close)
}
