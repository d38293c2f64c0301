//! The processes of the demo: an authority, a super-peer or two, and two peers, on loopback and on
//! ports that the system chooses.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::PEOPLE;
use super::options::{Case, Options};
use crate::harness::{Daemon, Launch, Role, Trouble};

/// Where the processes keep their data, under `--out`.
const DATA: &str = "data";
/// Any port of the loopback.
const ANYWHERE: &str = "127.0.0.1:0";
/// The relay reaches only where its owner lets it: here, the loopback.
const LOOPBACK: &str = "127.0.0.0/8";

/// All of them.
#[derive(Debug)]
pub struct Stage {
    /// The login authority.
    pub authority: Daemon,
    /// One, or two where it matters whose home does what.
    pub super_peers: Vec<Daemon>,
    /// In the order of [`PEOPLE`].
    pub peers: [Daemon; 2],
    builder: Builder,
}

impl Stage {
    /// Starts everything. Where the way of signaling matters there are two super-peers, so that
    /// each of the two can have a home of their own and its counters tell whose was used.
    ///
    /// # Errors
    /// The first process that does not come up.
    pub fn set(options: &Options, program: &Path, out: &Path) -> Result<Self, Trouble> {
        let data = out.join(DATA);
        if data.exists() {
            let name = "demo".to_owned();
            let failed = |source| Trouble::Io { name, doing: "removing old data", source };
            std::fs::remove_dir_all(&data).map_err(failed)?;
        }
        let (program, out) = (program.to_owned(), out.to_owned());
        let builder = Builder { program, out, case: options.case };
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
        let peers = builder.peers(&super_peers, "-before")?;
        Ok(Self { authority, super_peers, peers, builder })
    }

    /// Both leave their computers and sit down at new ones, where nothing of theirs is: their names
    /// and passwords must do.
    ///
    /// # Errors
    /// Who does not leave, or does not come up.
    pub fn change_computers(&mut self) -> Result<(), Trouble> {
        for peer in &self.peers {
            peer.stop()?;
        }
        self.peers = self.builder.peers(&self.super_peers, "")?;
        Ok(())
    }

    /// Who carries, and must not understand: the super-peers and the authority.
    pub fn outsiders(&self) -> impl Iterator<Item = &Daemon> {
        self.super_peers.iter().chain([&self.authority])
    }

    /// All, in the order in which they leave.
    pub fn everybody(&self) -> impl Iterator<Item = &Daemon> {
        self.peers.iter().chain(self.outsiders())
    }

    /// Which super-peer is a person's home.
    ///
    /// # Errors
    /// Where it is none of them.
    pub fn home(&self, person: usize) -> Result<usize, Trouble> {
        let peer = &self.peers[person];
        let home = peer.rpc("network.status", json!({}))?["home"].clone();
        let is_it = |super_peer: &Daemon| super_peer.ready()["nodeKey"] == home["nodeKey"];
        self.super_peers.iter().position(is_it).ok_or_else(|| Trouble::Unexpected {
            name: peer.name().to_owned(),
            what: format!("a home of nobody: {home}"),
        })
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

#[derive(Debug)]
struct Builder {
    program: PathBuf,
    out: PathBuf,
    case: Option<Case>,
}

impl Builder {
    fn launch(&self, name: &str, role: Role) -> Launch {
        let data = self.out.join(DATA).join(name);
        Launch::earshotd(name, &self.program, role).arg("--data-dir").arg(data)
    }

    fn authority(&self, listen: &str) -> Result<Daemon, Trouble> {
        let launch = self.launch("authority", Role::Authority);
        Daemon::spawn(&launch.args(["--name", "demo", "--listen", listen]), &self.out)
    }

    fn super_peer(&self, name: &str, authority: &Daemon) -> Result<Daemon, Trouble> {
        let (uri, token) = (authority.told("authority")?, authority.told("enrolToken")?);
        let launch = self
            .launch(name, Role::SuperPeer)
            .args(["--authority", uri, "--enrol", token, "--listen", ANYWHERE])
            .args(["--relay-allow", LOOPBACK]);
        Daemon::spawn(&launch, &self.out)
    }

    /// Each knows one super-peer, which is not to say that it becomes the home.
    fn peers(&self, super_peers: &[Daemon], suffix: &str) -> Result<[Daemon; 2], Trouble> {
        let knows = |person: usize| super_peers.get(person).unwrap_or(&super_peers[0]);
        let peer = |person: usize| {
            let name = format!("{}{suffix}", PEOPLE[person]);
            let launch = self.launch(&name, Role::Peer).args([
                "--invite",
                knows(person).told("invite")?,
                "--listen",
                ANYWHERE,
                "--ice-loopback",
            ]);
            let launch = match self.case {
                Some(case) => launch.args(["--pretend-reachability", case.reachability()[person]]),
                None => launch,
            };
            Daemon::spawn(&launch, &self.out)
        };
        Ok([peer(0)?, peer(1)?])
    }
}
