//! The two relays that are measured: ours, in a real super-peer, and coturn's.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use stun_rs::methods;

use super::super::{Stop, launcher, people};
use super::client::{Account, unproven};
use crate::harness::{Daemon, Role};

/// For whatever takes a few messages.
const SOON: Duration = Duration::from_secs(20);
/// Users of ours: sixteen allocations each make what is measured, with some to spare.
const USERS: usize = 36;
/// More than a processor can carry, so that no limit of the owner's is measured.
const RATE: &str = "1000000000";

/// A relay that runs.
pub(super) struct Server {
    /// As in the figures.
    pub(super) name: &'static str,
    pub(super) address: SocketAddr,
    pub(super) accounts: Vec<Account>,
    process: Process,
}

enum Process {
    Ours(Box<Ours>),
    Coturn(Child),
}

/// A network of our own, as far as it is needed.
struct Ours {
    super_peer: Daemon,
    authority: Daemon,
}

impl Server {
    /// `earshotd super-peer`, which may relay to loopback.
    pub(super) fn ours(out: &Path) -> Result<Self, Stop> {
        let launch = launcher(out, "relay-data")?;
        let authority = launch("relay-authority", Role::Authority).args(["--name", "relay"]);
        let authority = Daemon::spawn(&authority.args(["--joins", "1000"]), out)?;
        let (uri, token) = (authority.told("authority")?, authority.told("enrolToken")?);
        let super_peer = launch("relay-super-peer", Role::SuperPeer);
        let super_peer = super_peer.args(["--authority", uri, "--enrol", token]);
        let super_peer = super_peer.args(["--relay-allow", "127.0.0.0/8", "--relay-rate", RATE]);
        let super_peer = Daemon::spawn(&super_peer, out)?;
        let invite = super_peer.told("invite")?;
        let relays = people::relays(invite, USERS).map_err(Stop::failed)?;
        let address = super_peer.told("listen")?.parse().map_err(Stop::failed)?;
        let accounts = relays.into_iter().map(|relay| {
            let (username, password) = (relay.username, relay.password);
            Account { username, password }
        });
        let accounts = accounts.collect();
        let process = Process::Ours(Box::new(Ours { super_peer, authority }));
        Ok(Self { name: "earshot", address, accounts, process })
    }

    /// coturn with one relay thread, or as many as it chooses.
    pub(super) fn coturn(out: &Path, threads: Option<&str>) -> Result<Self, Stop> {
        let free = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Stop::failed)?;
        let address = free.local_addr().map_err(Stop::failed)?;
        drop(free);
        let name = if threads.is_some() { "coturn" } else { "coturn_default" };
        let file = |what: &str| out.join(format!("{name}.{what}")).display().to_string();
        let mut command = Command::new("turnserver");
        command.args(["-n", "--no-tls", "--no-dtls", "--no-cli", "-a", "--allow-loopback-peers"]);
        command.args(["-L", "127.0.0.1", "-p", &address.port().to_string()]);
        command.args(["-r", "earshot", "-u", "bench:password", "--log-file", "/dev/null"]);
        command.args(["--pidfile", &file("pid"), "--userdb", &file("db")]);
        command.args(threads.into_iter().flat_map(|threads| ["-m", threads]));
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.map_err(|error| {
            Stop::CannotBegin(format!(
                "coturn is needed ({error}). Type this:\n    apt-get install coturn"
            ))
        })?;
        let account = Account { username: "bench".to_owned(), password: "password".to_owned() };
        let server =
            Self { name, address, accounts: vec![account], process: Process::Coturn(child) };
        server.answers()?;
        Ok(server)
    }

    pub(super) fn pid(&self) -> i32 {
        match &self.process {
            Process::Ours(ours) => ours.super_peer.pid(),
            Process::Coturn(child) => child.id() as i32,
        }
    }

    /// Ends it.
    pub(super) fn stop(self) -> Result<(), Stop> {
        if let Process::Ours(ours) = &self.process {
            ours.super_peer.stop()?;
            ours.authority.stop()?;
        }
        Ok(())
    }

    /// Waits until it answers.
    fn answers(&self) -> Result<(), Stop> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Stop::failed)?;
        socket.set_read_timeout(Some(Duration::from_millis(100))).map_err(Stop::failed)?;
        let end = Instant::now() + SOON;
        let mut buffer = [0; 512];
        while Instant::now() < end {
            let _ = socket.send_to(&unproven(methods::BINDING, 1, false), self.address);
            if socket.recv(&mut buffer).is_ok() {
                return Ok(());
            }
        }
        Err(Stop::failed(format!("{} does not answer", self.name)))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Process::Coturn(child) = &mut self.process {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
