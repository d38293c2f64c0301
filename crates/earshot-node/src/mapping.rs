//! Ports of ours that a home router forwards, where it does: by UPnP, NAT-PMP or PCP.
//!
//! Source: RFC 6886, RFC 6887, UPnP IGD; `earshot_proto::port::Input::Mapped`. The main port is
//! forwarded for TCP, so that buddies and super-peers reach it; two ports for the sound of calls by
//! UDP: a path that takes the place of another is made while that one still has its port. A router
//! that forwards may itself be behind another: who is reachable is found out by super-peers.
//! Routers are asked which of these they speak before they are asked for anything: the library
//! begins with UPnP otherwise, and with that alone. Invariant: mappings are kept and renewed for as
//! long as this lives and the network stays, and lapse after.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use earshot_proto::port::MappedPort;
use portmapper::{Client, Config, Protocol};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use crate::driver::news::News;

/// How often a router that forwards nothing is asked again. Our choice: its owner may allow it
/// meanwhile.
const ASK_AGAIN: Duration = Duration::from_secs(5 * 60);

/// Ports for sound: one in use, and one for the path that takes over.
const SOUND_PORTS: usize = 2;

/// Tells that this computer is in another network.
pub(crate) type NetworkChanges = watch::Receiver<()>;

/// Tells the loop where the main port is forwarded, for as long as the loop lives.
pub(crate) async fn keep_main(
    port: NonZeroU16,
    network: NetworkChanges,
    to_loop: mpsc::Sender<News>,
) {
    let client = client(Protocol::Tcp, port, network);
    tell(MappedPort::Main, client.watch_external_address(), to_loop).await;
}

async fn tell(
    port: MappedPort,
    mut external: watch::Receiver<Option<SocketAddrV4>>,
    to_loop: mpsc::Sender<News>,
) {
    loop {
        let mapped = external.borrow_and_update().map(SocketAddr::V4);
        if let Some(address) = mapped {
            tracing::info!(?port, %address, "A router forwards to a port of ours");
        }
        if to_loop.send(News::Mapped(port, mapped)).await.is_err() {
            return;
        }
        let changed = tokio::select! {
            changed = external.changed() => changed,
            () = to_loop.closed() => return,
        };
        if changed.is_err() {
            return;
        }
    }
}

/// Ports for the sound of calls, which a router may forward.
#[derive(Clone)]
pub(crate) struct SoundPorts(Vec<SoundPort>);

#[derive(Clone)]
struct SoundPort {
    port: u16,
    external: watch::Receiver<Option<SocketAddrV4>>,
    taken: Arc<AtomicBool>,
    _client: Client,
}

/// The port in the hands of one path, until it is dropped.
pub(crate) struct Lease {
    /// Its number on this computer.
    pub(crate) port: u16,
    /// Where it is forwarded from.
    pub(crate) external: SocketAddrV4,
    taken: Arc<AtomicBool>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.taken.store(false, Ordering::Release);
    }
}

impl SoundPorts {
    /// Asks for free ports to be forwarded, and tells the loop when they are.
    pub(crate) async fn open(network: &NetworkChanges, to_loop: &mpsc::Sender<News>) -> Self {
        let mut ports = Vec::new();
        for _ in 0..SOUND_PORTS {
            ports.extend(SoundPort::open(network.clone(), to_loop.clone()).await);
        }
        Self(ports)
    }

    /// Gives one of them to one path, if a router forwards it and nobody has it.
    pub(crate) async fn lease(&self) -> Option<Lease> {
        for port in &self.0 {
            if let Some(lease) = port.lease().await {
                return Some(lease);
            }
        }
        None
    }
}

impl SoundPort {
    async fn open(network: NetworkChanges, to_loop: mpsc::Sender<News>) -> Option<Self> {
        let drawn = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await.ok()?;
        let port = NonZeroU16::new(drawn.local_addr().ok()?.port())?;
        let client = client(Protocol::Udp, port, network);
        tokio::spawn(tell(MappedPort::Sound, client.watch_external_address(), to_loop));
        Some(Self {
            port: port.get(),
            external: client.watch_external_address(),
            taken: Arc::default(),
            _client: client,
        })
    }

    async fn lease(&self) -> Option<Lease> {
        let external = (*self.external.borrow())?;
        // Somebody else on this computer may have taken the number meanwhile.
        UdpSocket::bind((Ipv4Addr::UNSPECIFIED, self.port)).await.ok()?;
        let is_free = !self.taken.swap(true, Ordering::AcqRel);
        is_free.then(|| Lease { port: self.port, external, taken: Arc::clone(&self.taken) })
    }
}

fn client(protocol: Protocol, port: NonZeroU16, network: NetworkChanges) -> Client {
    let client = Client::new(Config { protocol, ..Config::default() });
    tokio::spawn(ask(client.clone(), port, network));
    client
}

/// Asks for the port to be forwarded: at once, in each new network, and from time to time while
/// nobody does.
async fn ask(client: Client, port: NonZeroU16, mut network: NetworkChanges) {
    loop {
        // Whoever is asked in vain is asked again.
        if let Ok(Ok(spoken)) = client.probe().await {
            tracing::debug!(%spoken, "What the router forwards ports by");
        }
        client.update_local_port(port);
        client.procure_mapping();
        tokio::select! {
            changed = network.changed() => match changed {
                // What the router of the old network forwards, it forwards to nobody.
                Ok(()) => client.deactivate(),
                Err(_) => return,
            },
            () = sleep(ASK_AGAIN) => {}
        }
    }
}
