//! Hidden paths through the relay that every super-peer runs: real agents, real ports, our own
//! TURN.

use std::net::SocketAddr;
use std::time::Instant;

use earshot_proto::entropy::Entropy;
use earshot_proto::ids::UserName;
use earshot_proto::port::{
    Input, Machine, Output, PathKind, PathPolicy, RelayServer, RelayTransport, Service, WaitReason,
};
use earshot_proto::super_peer::relay::{Relay, RelayConfig, RelayOutput};
use earshot_proto::time::UnixTime;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::clock::unix_now;
use crate::driver::{Driver, Handle, Keep, Mail, Receipt, Residence};
use crate::puppet::{PATIENCE, Stage, meet, on_loopback, with_loopback_candidates};

/// A super-peer that does nothing but relay.
struct RelayHouse(Relay);

impl Machine for RelayHouse {
    type Notice = ();
    type Record = ();

    fn handle(&mut self, now: Instant, input: Input<'_>) {
        if let Input::Datagram { from, bytes } = input {
            self.0.handle_datagram(now, unix_now(), from, bytes);
        } else if let Input::Link(link, event) = input {
            self.0.handle_link(now, unix_now(), link, &event);
        } else if let Input::RelayPort(port, event) = input {
            self.0.handle_relay_port(now, port, event);
        } else if let Input::Timeout = input {
            self.0.handle_timeout(now);
        }
    }

    fn poll_output(&mut self) -> Output<(), ()> {
        match self.0.poll_output() {
            Some(RelayOutput::Send(transmit)) => Output::Send(transmit),
            Some(RelayOutput::Link(id, order)) => Output::Link(id, order),
            Some(RelayOutput::RelayPort(id, order)) => Output::RelayPort(id, order),
            None => Output::Wait(self.0.poll_timeout(), WaitReason::Timer),
        }
    }
}

struct Nothing;

impl Keep<()> for Nothing {
    fn save(&mut self, (): (), receipt: Receipt) {
        receipt.saved();
    }
}

struct Relays {
    driver: Driver,
    house: Handle<RelayHouse>,
}

impl Relays {
    async fn open() -> Self {
        let driver = Driver::start(on_loopback()).await.expect("loopback has a free port");
        let loopback = "127.0.0.0/8".parse().expect("it is a range");
        let config = RelayConfig { policy: vec![loopback], ..RelayConfig::default() };
        let random = Entropy::new([7; 32]).secrets;
        let residence = Residence {
            machine: RelayHouse(Relay::new(Instant::now(), &config, random)),
            services: vec![Service::SuperPeer, Service::Relay],
            mail: Mail::Delivered,
            keep: Box::new(Nothing),
            notices: Box::new(|()| ()),
            voice: None,
        };
        let house = driver.house(residence).await.expect("the loop runs");
        Self { driver, house }
    }

    /// What `user` needs to use it.
    async fn server(&self, user: &'static str, transport: RelayTransport) -> RelayServer {
        let granted = self.house.call(move |house, now| {
            let user = UserName::new(user).expect("it is a name");
            house.0.grant(now, unix_now(), &user).expect("the house is empty")
        });
        let grant = granted.await.expect("the loop runs");
        assert!(grant.expires > UnixTime::default());
        RelayServer {
            address: self.driver.listening(),
            transport,
            username: grant.username.clone(),
            password: grant.password.to_string(),
        }
    }

    async fn relayed_packets(&self) -> u64 {
        let counted = self.house.call(|house, _| house.0.counters().relayed_packets);
        counted.await.expect("the loop runs")
    }
}

async fn a_hidden_call_goes_through(hers: RelayTransport, his: RelayTransport) {
    let kinds = [hers, his].map(|transport| match transport {
        RelayTransport::Udp => PathKind::RelayUdp,
        RelayTransport::Tcp => PathKind::RelayTcp,
    });
    let relay = Relays::open().await;
    let servers = [vec![relay.server("alice", hers).await], vec![relay.server("bob", his).await]];
    let mut alice = Stage::with(with_loopback_candidates(), &[]).await;
    let mut bob = Stage::with(with_loopback_candidates(), &[]).await;
    let [hers, his] = meet(&mut alice, &mut bob, servers, PathPolicy::RelayOnly).await;
    let at: SocketAddr = relay.driver.listening();
    assert_eq!([hers.kind, his.kind], kinds);
    assert_eq!((hers.relay, his.relay), (Some(at), Some(at)));
    assert_eq!((hers.local, hers.remote), (his.remote, his.local));
    let before = relay.relayed_packets().await;
    let (from, to) = (alice.path(1).await, bob.path(1).await);
    let (tell, mut came) = mpsc::unbounded_channel();
    to.attach(Box::new(move |_, packet| drop(tell.send(packet.to_vec()))));
    for number in 0..50_u8 {
        from.send(&[0x80, number]).expect("the path is up");
        let packet = timeout(PATIENCE, came.recv()).await.expect("it comes in time");
        assert_eq!(packet, Some(vec![0x80, number]));
    }
    assert!(relay.relayed_packets().await >= before + 50);
}

#[tokio::test]
async fn a_hidden_call_goes_through_the_relay_and_tells_no_address() {
    a_hidden_call_goes_through(RelayTransport::Udp, RelayTransport::Udp).await;
}

#[tokio::test]
async fn who_cannot_send_datagrams_reaches_the_relay_over_tcp() {
    a_hidden_call_goes_through(RelayTransport::Tcp, RelayTransport::Udp).await;
    a_hidden_call_goes_through(RelayTransport::Tcp, RelayTransport::Tcp).await;
}
