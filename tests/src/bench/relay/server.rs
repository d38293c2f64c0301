//! The two relays that are measured: ours, in a real super-peer, and coturn's.

use std::net::SocketAddr;
use std::path::Path;

use super::super::{Stop, launcher, people};
use super::client::Account;
use crate::harness::{Coturn, Daemon, Role};

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
    Coturn(Coturn),
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
        let name = if threads.is_some() { "coturn" } else { "coturn_default" };
        let coturn = Coturn::start(out, name, threads)?;
        let (username, password) = (Coturn::USERNAME.to_owned(), Coturn::PASSWORD.to_owned());
        let (address, accounts) = (coturn.address, vec![Account { username, password }]);
        Ok(Self { name, address, accounts, process: Process::Coturn(coturn) })
    }

    pub(super) fn pid(&self) -> i32 {
        match &self.process {
            Process::Ours(ours) => ours.super_peer.pid(),
            Process::Coturn(coturn) => coturn.pid(),
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
}
