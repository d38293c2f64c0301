//! Our media paths through a relay that nobody here wrote: coturn's server, by UDP and by TCP.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use earshot_node::driver::{Driver, Handle, Keep, Mail, Receipt, Residence, Settings, Voice};
use earshot_node::driver::{VoiceReport, runtime};
use earshot_node::paths::{OpenPaths, PathHandle};
use earshot_proto::ids::CallId;
use earshot_proto::port::{
    Input, Machine, Output, PathEvent, PathFacts, PathId, PathKind, PathOrder, PathPolicy,
    RelayServer, RelayTransport, VoiceOrder, WaitReason,
};
use earshot_tests::harness::{Coturn, Scratch};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

/// For a path to come up, and for a packet to arrive.
const SOON: Duration = Duration::from_secs(20);
const PATH: PathId = PathId(1);
const CALL: CallId = CallId([1; 16]);
/// Packets sent each way, as long as those of voice.
const PACKETS: u8 = 50;
const LENGTH: usize = 120;

/// A machine that orders what it is told to, and tells what comes of its path.
#[derive(Default)]
struct Traveller {
    orders: VecDeque<Output<PathEvent, ()>>,
}

impl Machine for Traveller {
    type Notice = PathEvent;
    type Record = ();

    fn handle(&mut self, _: Instant, input: Input<'_>) {
        if let Input::Path(PATH, event) = input {
            self.orders.push_back(Output::Notify(event));
        }
    }

    fn poll_output(&mut self) -> Output<PathEvent, ()> {
        self.orders.pop_front().unwrap_or(Output::Wait(None, WaitReason::Idle))
    }
}

struct Nothing;

impl Keep<()> for Nothing {
    fn save(&mut self, (): (), receipt: Receipt) {
        receipt.saved();
    }
}

/// Hands the path out once it is up.
struct Ticket(UnboundedSender<PathHandle>);

impl Voice for Ticket {
    fn order(&mut self, _: CallId, _: VoiceOrder, _: VoiceReport, paths: &OpenPaths<'_>) {
        let path = paths.handle(PATH).expect("the path is up");
        self.0.send(path).expect("somebody waits for it");
    }
}

/// One end of a path, in a process loop of its own.
struct End {
    driver: Driver,
    traveller: Handle<Traveller>,
    events: UnboundedReceiver<PathEvent>,
    paths: UnboundedReceiver<PathHandle>,
}

impl End {
    async fn new() -> Self {
        let mut settings = Settings::new("127.0.0.1:0".parse().expect("an address"));
        settings.ice.include_loopback = true;
        let driver = Driver::start(settings).await.expect("loopback has free ports");
        let ((tell, events), (hand_out, paths)) = (unbounded_channel(), unbounded_channel());
        let residence = Residence {
            machine: Traveller::default(),
            services: Vec::new(),
            mail: Mail::None,
            keep: Box::new(Nothing),
            notices: Box::new(move |event| drop(tell.send(event))),
            voice: Some(Box::new(Ticket(hand_out))),
        };
        let traveller = driver.house(residence).await.expect("the loop runs");
        Self { driver, traveller, events, paths }
    }

    async fn order(traveller: &Handle<Traveller>, order: Output<PathEvent, ()>) {
        let ordered = traveller.call(|traveller, _| traveller.orders.push_back(order)).await;
        ordered.expect("the loop runs");
    }

    async fn open(&self, controlling: bool, server: RelayServer) {
        let (servers, policy) = (vec![server], PathPolicy::RelayOnly);
        let open = PathOrder::Open { controlling, servers, policy };
        Self::order(&self.traveller, Output::Path(PATH, open)).await;
    }

    /// Carries what this end says of its path to the other, until the path is up.
    async fn goes_up(&mut self, other: &Handle<Traveller>) -> PathFacts {
        loop {
            let event = timeout(SOON, self.events.recv()).await.expect("it goes on in time");
            match event.expect("the loop runs") {
                PathEvent::Local { ufrag, password } => {
                    let remote = PathOrder::Remote { ufrag, password };
                    Self::order(other, Output::Path(PATH, remote)).await;
                }
                PathEvent::Candidate(candidate) => {
                    let candidate = PathOrder::Candidate(candidate);
                    Self::order(other, Output::Path(PATH, candidate)).await;
                }
                PathEvent::Up(facts) => return facts,
                PathEvent::NoRelay => panic!("coturn gives no relayed address"),
                PathEvent::Down(why) => panic!("no path: {why:?}"),
                PathEvent::EndOfCandidates
                | PathEvent::Lively { .. }
                | PathEvent::Silent
                | PathEvent::Tried(_) => {}
            }
        }
    }

    async fn path(&mut self) -> PathHandle {
        Self::order(&self.traveller, Output::Voice(CALL, VoiceOrder::Prepare)).await;
        let path = timeout(SOON, self.paths.recv()).await.expect("it is up");
        path.expect("the loop runs")
    }
}

/// Sends packets from one end, and waits until all are at the other.
async fn carries(from: &PathHandle, to: &PathHandle) {
    let (tell, mut heard) = unbounded_channel();
    to.attach(Box::new(move |_, packet| drop(tell.send(packet.to_vec()))));
    for number in 0..PACKETS {
        from.send(&[number; LENGTH]).expect("the path is up");
        let packet = timeout(SOON, heard.recv()).await.expect("it arrives");
        assert_eq!(packet.expect("the path is up"), [number; LENGTH]);
    }
    to.detach();
}

/// A path between two ends that both are at coturn's relay.
fn through_coturn(transport: RelayTransport) -> [PathFacts; 2] {
    let scratch = Scratch::new("coturn").expect("a directory");
    let coturn = Coturn::start(scratch.path(), "coturn", Some("1")).expect("coturn is needed");
    let server = RelayServer {
        address: coturn.address,
        transport,
        username: Coturn::USERNAME.to_owned(),
        password: Coturn::PASSWORD.to_owned(),
    };
    runtime().expect("an event queue").block_on(async {
        let (mut alice, mut bob) = (End::new().await, End::new().await);
        alice.open(true, server.clone()).await;
        bob.open(false, server).await;
        let (to_alice, to_bob) = (alice.traveller.clone(), bob.traveller.clone());
        let (hers, his) = tokio::join!(alice.goes_up(&to_bob), bob.goes_up(&to_alice));
        let (here, there) = (alice.path().await, bob.path().await);
        carries(&here, &there).await;
        carries(&there, &here).await;
        drop((here, there));
        tokio::join!(alice.driver.stop(), bob.driver.stop());
        for facts in [&hers, &his] {
            assert_eq!(facts.relay, Some(coturn.address));
        }
        [hers, his]
    })
}

#[test]
fn our_paths_go_through_coturns_relay() {
    for facts in through_coturn(RelayTransport::Udp) {
        assert_eq!(facts.kind, PathKind::RelayUdp);
    }
}

#[test]
fn our_paths_reach_coturns_relay_by_tcp() {
    for facts in through_coturn(RelayTransport::Tcp) {
        assert_eq!(facts.kind, PathKind::RelayTcp);
    }
}
