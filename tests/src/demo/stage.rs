//! The processes of the demo: an authority, a super-peer or two, and two peers, on loopback and on
//! ports that the system chooses.

use std::path::Path;

use serde_json::{Value, json};

use super::PEOPLE;
use super::options::{Case, Options};
use crate::harness::{Daemon, Launch, Role, Trouble};

/// Where the processes keep their data, under `--out`.
pub(super) const DATA: &str = "data";
/// Any port of the loopback.
const ANYWHERE: &str = "127.0.0.1:0";
/// The relay reaches only where its owner lets it: here, the loopback.
const LOOPBACK: &str = "127.0.0.0/8";

/// All of them.
#[derive(Debug)]
pub struct Stage {
    /// The login authority.
    pub authority: Daemon,
    /// Alice's home, and Bob's if that is another one.
    pub super_peers: Vec<Daemon>,
    /// In the order of [`PEOPLE`].
    pub peers: [Daemon; 2],
}

impl Stage {
    /// Starts everything. Where the way of signaling matters each of the two has a super-peer of
    /// their own, so that its counters tell whose was used.
    ///
    /// # Errors
    /// The first process that does not come up.
    pub fn set(options: &Options, program: &Path, out: &Path) -> Result<Self, Trouble> {
        let builder = Builder { program, out };
        let mut authority = builder.authority(ANYWHERE)?;
        let mut super_peers = vec![builder.super_peer("super-peer", &authority)?];
        if options.case.is_some() {
            // A token enrols one super-peer; an authority that starts prints a new one.
            let address = authority.told("listen")?.to_owned();
            authority.stop()?;
            drop(authority);
            authority = builder.authority(&address)?;
            super_peers.push(builder.super_peer("super-peer-2", &authority)?);
        }
        let home = |person: usize| super_peers.get(person).unwrap_or(&super_peers[0]);
        let peer = |person: usize| builder.peer(person, home(person), options.case);
        let peers = [peer(0)?, peer(1)?];
        Ok(Self { authority, super_peers, peers })
    }

    /// Who carries, and must not understand: the super-peers and the authority.
    pub fn outsiders(&self) -> impl Iterator<Item = &Daemon> {
        self.super_peers.iter().chain([&self.authority])
    }

    /// All, in the order in which they leave.
    pub fn everybody(&self) -> impl Iterator<Item = &Daemon> {
        self.peers.iter().chain(self.outsiders())
    }

    /// What each super-peer has done so far.
    ///
    /// # Errors
    /// The first that does not tell.
    pub fn services(&self) -> Result<Vec<Value>, Trouble> {
        let status = |super_peer: &Daemon| super_peer.rpc("super_peer.status", json!({}));
        self.super_peers.iter().map(status).collect()
    }
}

struct Builder<'a> {
    program: &'a Path,
    out: &'a Path,
}

impl Builder<'_> {
    fn launch(&self, name: &str, role: Role) -> Launch {
        let data = self.out.join(DATA).join(name);
        Launch::earshotd(name, self.program, role).arg("--data-dir").arg(data)
    }

    fn authority(&self, listen: &str) -> Result<Daemon, Trouble> {
        let launch = self.launch("authority", Role::Authority);
        Daemon::spawn(&launch.args(["--name", "demo", "--listen", listen]), self.out)
    }

    fn super_peer(&self, name: &str, authority: &Daemon) -> Result<Daemon, Trouble> {
        let (uri, token) = (authority.told("authority")?, authority.told("enrolToken")?);
        let launch = self
            .launch(name, Role::SuperPeer)
            .args(["--authority", uri, "--enrol", token, "--listen", ANYWHERE])
            .args(["--relay-allow", LOOPBACK]);
        Daemon::spawn(&launch, self.out)
    }

    fn peer(&self, person: usize, home: &Daemon, case: Option<Case>) -> Result<Daemon, Trouble> {
        let launch = self.launch(PEOPLE[person], Role::Peer).args([
            "--invite",
            home.told("invite")?,
            "--listen",
            ANYWHERE,
            "--ice-loopback",
        ]);
        let launch = match case {
            Some(case) => launch.args(["--pretend-reachability", case.reachability()[person]]),
            None => launch,
        };
        Daemon::spawn(&launch, self.out)
    }
}
