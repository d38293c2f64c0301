//! Who lives on this internet: the login authority, three super-peers, and a person in each home.
//!
//! Invariant: everybody is a process of their own on a host of their own, started with what a user
//! would type; a person whose home does not get through to the network is kept, with the reason.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::LabError;
use super::internet::{Home, Internet, PublicHost};
use super::kind::{Egress, Kind};
use super::line::Line;
use crate::demo::sound::Recording;
use crate::harness::{Daemon, Launch, Mark, Role, Trouble};

/// How many super-peers there are: enough that a call can use another than both homes'.
pub const SUPER_PEERS: u8 = 3;
/// The same port everywhere: our own (docs/protocol.md).
pub const PORT: u16 = 37_373;
/// The sites of authority and first super-peer.
const AUTHORITY: u8 = 1;
const SUPER_PEER: u8 = 2;
/// For whatever takes a few messages between processes of one machine, all of them busy.
pub const SOON: Duration = Duration::from_secs(20);
/// Between two tries to make an account.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// People who come at once. Each stretches a password, which takes a core and 64 MB.
const COME_AT_ONCE: usize = 3;
const PASSWORD: &str = "a password for the laboratory";
/// How long everybody can go on talking, in seconds: the longest story and its end.
const SPEECH_SECONDS: usize = 90;

/// The network's own processes.
#[derive(Debug)]
pub struct Network {
    /// The login authority.
    pub authority: Daemon,
    /// Each with its host.
    pub super_peers: Vec<(Daemon, PublicHost)>,
    program: PathBuf,
    out: PathBuf,
}

impl Network {
    /// Starts authority and super-peers, all of these but the first so far away, one way.
    ///
    /// # Errors
    /// The first that does not come up.
    pub fn found(
        internet: &mut Internet,
        program: &Path,
        out: &Path,
        far: Duration,
    ) -> Result<Self, LabError> {
        let (program, out) = (program.to_owned(), out.to_owned());
        let host = internet.public_host(AUTHORITY, Line::default())?;
        let listen = format!("[::]:{PORT}");
        let (public, public_v6) = public(&host);
        let all = SUPER_PEERS.to_string();
        let authority = Launch::earshotd("authority", &program, Role::Authority)
            .arg("--data-dir")
            .arg(data(&out, "authority"))
            .args(["--name", "netlab", "--listen", &listen])
            .args(["--public", &public, "--public-v6", &public_v6])
            .args(["--enrol-uses", &all, "--exempt-super-peers", &all]);
        let authority = host.host.inside(|| Daemon::spawn(&authority, &out))??;
        let (uri, token) = (authority.told("authority")?, authority.told("enrolToken")?);
        let mut super_peers = Vec::new();
        for number in 0..SUPER_PEERS {
            let delay = if number == 0 { Duration::ZERO } else { far };
            let line = Line { delay, ..Line::default() };
            let host = internet.public_host(SUPER_PEER + number, line)?;
            let name = format!("super-peer-{}", number + 1);
            let launch = super_peer(&name, &program, &out, &host, uri).args(["--enrol", token]);
            let daemon = host.host.inside(|| Daemon::spawn(&launch, &out))??;
            super_peers.push((daemon, host));
        }
        Ok(Self { authority, super_peers, program, out })
    }

    /// The super-peer at an address.
    #[must_use]
    pub fn at(&self, address: &str) -> Option<&Daemon> {
        self.super_peers.iter().find(|(_, host)| host.is_at(address)).map(|(daemon, _)| daemon)
    }

    /// People move into homes; each gets an account and waits for a home super-peer.
    pub fn welcome(&self, homes: Vec<Home>) -> Vec<Person> {
        let voice = crate::speech::speech(5, SPEECH_SECONDS, 48_000);
        let voice = self.voice("voice", voice);
        let numbered: Vec<(usize, Home)> = homes.into_iter().enumerate().collect();
        let count = numbered.len();
        let waiting = Mutex::new(numbered);
        let moved_in = Mutex::new(Vec::with_capacity(count));
        std::thread::scope(|scope| {
            for _ in 0..COME_AT_ONCE {
                scope.spawn(|| {
                    loop {
                        let next = waiting.lock().map(|mut waiting| waiting.pop());
                        let Ok(Some((number, home))) = next else { return };
                        let person = self.move_in(home, number, &voice);
                        if let Ok(mut moved_in) = moved_in.lock() {
                            moved_in.push((number, person));
                        }
                    }
                });
            }
        });
        let mut people = moved_in.into_inner().unwrap_or_default();
        people.sort_by_key(|(number, _)| *number);
        people.into_iter().map(|(_, person)| person).collect()
    }

    /// Writes what is spoken, for all microphones.
    fn voice(&self, name: &str, samples: Vec<f32>) -> PathBuf {
        let path = self.out.join(format!("{name}.wav"));
        if let Err(why) = (Recording { samples, sample0_ns: None }).write(&path) {
            eprintln!("{why}");
        }
        path
    }

    fn move_in(&self, home: Home, number: usize, voice: &Path) -> Person {
        let begun = Instant::now();
        let name = home.person();
        let peer = self.peer(&home, number);
        let microphone = self.out.join(format!("{name}-in.wav"));
        let stranded = match &peer {
            Ok(peer) => register(peer, &name).err().map(|trouble| trouble.to_string()),
            Err(trouble) => Some(trouble.to_string()),
        };
        let (peer, online_after) = (peer.ok(), begun.elapsed());
        let out = self.out.clone();
        let person = Person { home, name, peer, stranded, online_after, microphone, out };
        person.speak(voice);
        person
    }

    /// Starts a super-peer anew that was killed.
    ///
    /// # Errors
    /// That it does not come up.
    pub fn revive(&mut self, name: &str) -> Result<(), LabError> {
        let (program, out) = (&self.program, &self.out);
        let Some((daemon, host)) =
            self.super_peers.iter_mut().find(|(daemon, _)| daemon.name() == name)
        else {
            return Ok(());
        };
        daemon.wait_exit(SOON)?;
        let launch = super_peer(name, program, out, host, self.authority.told("authority")?);
        *daemon = host.host.inside(|| Daemon::spawn(&launch, out))??;
        Ok(())
    }

    fn peer(&self, home: &Home, number: usize) -> Result<Daemon, LabError> {
        let name = home.person();
        let (known, _) = &self.super_peers[number % self.super_peers.len()];
        let any = if home.kind.v6 { "[::]" } else { "0.0.0.0" };
        let mut launch = Launch::earshotd(&name, &self.program, Role::Peer)
            .arg("--data-dir")
            .arg(data(&self.out, &name))
            .args(["--invite", known.told("invite")?, "--listen", &format!("{any}:{PORT}")])
            .args(["--log", "info"]);
        if let Some(proxy) = home.proxy {
            // As desktops tell their programs.
            let url = format!("http://{proxy}");
            launch = launch.env("HTTPS_PROXY", &url).env("https_proxy", &url);
        }
        Ok(home.host.inside(|| Daemon::spawn(&launch, &self.out))??)
    }
}

/// Somebody in a home.
#[derive(Debug)]
pub struct Person {
    /// Where.
    pub home: Home,
    /// Known as.
    pub name: String,
    /// Why nobody can call or be called there, if so.
    pub stranded: Option<String>,
    /// From the start of the process to its home super-peer, or to giving up.
    pub online_after: Duration,
    /// What is spoken.
    pub microphone: PathBuf,
    peer: Option<Daemon>,
    out: PathBuf,
}

impl Person {
    /// The kind of home.
    #[must_use]
    pub const fn kind(&self) -> &'static Kind {
        self.home.kind
    }

    /// The process, if the person is on line.
    ///
    /// # Errors
    /// Why not.
    pub fn peer(&self) -> Result<&Daemon, Trouble> {
        let why = || self.stranded.clone().unwrap_or_else(|| "is not on line".to_owned());
        let peer = self.peer.as_ref().filter(|_| self.stranded.is_none());
        peer.ok_or_else(|| Trouble::Unexpected { name: self.name.clone(), what: why() })
    }

    /// Speaks what is recorded there from the next call on. The note of when it began lies beside
    /// the name that one speaks by, and so everybody has a name of their own for it.
    pub fn speak(&self, recording: &Path) {
        drop(std::fs::remove_file(&self.microphone));
        if let Err(error) = std::os::unix::fs::symlink(recording, &self.microphone) {
            eprintln!("{}: {error}", self.microphone.display());
        }
    }

    /// Chooses where the sound comes from and goes to.
    ///
    /// # Errors
    /// As [`Daemon::rpc`].
    pub fn sit_down(&self, hears: &str) -> Result<PathBuf, Trouble> {
        let speaker = self.out.join(format!("{hears}-{}.wav", self.name));
        let microphone = format!("file:{}", self.microphone.display());
        let sound = json!({
            "microphone": microphone,
            "speaker": format!("file:{}", speaker.display()),
        });
        self.peer()?.rpc("audio.set", sound)?;
        Ok(speaker)
    }

    /// Makes this person and another buddies, if they are not yet.
    ///
    /// # Errors
    /// What did not happen.
    pub fn befriend(&self, other: &Self) -> Result<(), Trouble> {
        if self.knows(other)? {
            return Ok(());
        }
        let (one, two) = (self.peer()?, other.peer()?);
        one.rpc("buddies.request", json!({ "user": other.name }))?;
        two.wait_event(Mark::default(), SOON, "buddyRequested", |event| {
            event["type"] == "buddyRequested" && event["user"] == self.name
        })?;
        two.rpc("buddies.accept", json!({ "user": self.name }))?;
        for (peer, name) in [(one, &other.name), (two, &self.name)] {
            peer.wait_event(Mark::default(), SOON, "buddy online", |event| {
                let shown = event["type"] == "presenceChanged" && event["user"] == *name;
                shown && event["presence"] == "online"
                    || event["buddy"]["user"] == *name && event["buddy"]["presence"] == "online"
            })?;
        }
        Ok(())
    }

    fn knows(&self, other: &Self) -> Result<bool, Trouble> {
        let listed = self.peer()?.rpc("buddies.list", json!({}))?;
        let buddies = listed["buddies"].as_array().map(Vec::as_slice).unwrap_or_default();
        let known = |buddy: &Value| buddy["user"] == other.name && buddy["relation"] == "buddy";
        Ok(buddies.iter().any(known))
    }

    /// Whether the person gets out only by TCP.
    #[must_use]
    pub fn has_no_udp(&self) -> bool {
        self.home.kind.egress != Egress::Any
    }
}

fn data(out: &Path, name: &str) -> PathBuf {
    out.join("data").join(name)
}

/// What a host with both addresses tells of itself.
fn public(host: &PublicHost) -> (String, String) {
    (format!("{}:{PORT}", host.v4), format!("[{}]:{PORT}", host.v6))
}

fn super_peer(name: &str, program: &Path, out: &Path, host: &PublicHost, uri: &str) -> Launch {
    let (public, public_v6) = public(host);
    Launch::earshotd(name, program, Role::SuperPeer)
        .arg("--data-dir")
        .arg(data(out, name))
        .args(["--authority", uri, "--listen", &format!("[::]:{PORT}")])
        .args(["--public", &public, "--public-v6", &public_v6, "--log", "info"])
}

/// Again where the network is not there yet: another way to it may still be tried.
fn register(peer: &Daemon, name: &str) -> Result<(), Trouble> {
    let (begun, mark) = (Instant::now(), peer.mark());
    let account = json!({ "user": name, "password": PASSWORD });
    while let Err(trouble) = peer.rpc("register", account.clone()) {
        let not_yet = trouble.refusal().is_some_and(|refusal| refusal.code == "notConnected");
        if !not_yet || begun.elapsed() > SOON {
            return Err(trouble);
        }
        drop(peer.wait_event(peer.mark(), ASK_AGAIN, "a change of the network", |event| {
            event["type"] == "networkChanged"
        }));
    }
    peer.wait_event(mark, SOON, "home", |event| {
        event["type"] == "networkChanged" && event["home"].is_object()
    })?;
    Ok(())
}
