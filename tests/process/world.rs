//! Processes for a test, and what every story needs of them.

use std::path::PathBuf;
use std::time::Duration;

use earshot_tests::harness::{Daemon, Launch, Mark, Role, Scratch, Trouble, earshotd};
use serde_json::{Value, json};

/// For whatever takes a few messages between processes of one machine, all of them busy.
pub(crate) const SOON: Duration = Duration::from_secs(20);
/// Long enough to be taken, the same for everybody.
pub(crate) const PASSWORD: &str = "a password for tests only";

/// A directory and the program to try in it.
pub(crate) struct World {
    pub(crate) scratch: Scratch,
    program: PathBuf,
}

impl World {
    pub(crate) fn new(name: &str) -> Self {
        let program =
            earshotd().expect("EARSHOTD names the program to try: run `./x test process`");
        Self { scratch: Scratch::new(name).unwrap(), program }
    }

    /// An `earshotd` whose data directory has its name; listens anywhere unless told otherwise.
    pub(crate) fn launch(&self, name: &str, role: Role) -> Launch {
        let launch = self.bare(name, role).args(["--listen", "127.0.0.1:0"]);
        match role {
            Role::Network | Role::Authority => launch.args(["--name", "test"]),
            Role::SuperPeer => launch,
            Role::Peer => launch.arg("--ice-loopback"),
        }
    }

    /// The same without address and name.
    pub(crate) fn bare(&self, name: &str, role: Role) -> Launch {
        Launch::earshotd(name, &self.program, role).arg("--data-dir").arg(self.data(name))
    }

    pub(crate) fn program(&self) -> &PathBuf {
        &self.program
    }

    pub(crate) fn data(&self, name: &str) -> PathBuf {
        self.scratch.join(&format!("{name}.data"))
    }

    pub(crate) fn spawn(&self, launch: &Launch) -> Result<Daemon, Trouble> {
        Daemon::spawn(launch, self.scratch.path())
    }

    /// Authority and super-peer in one.
    pub(crate) fn network(&self, name: &str) -> Daemon {
        self.spawn(&self.launch(name, Role::Network)).unwrap()
    }

    /// A super-peer enrolled at an authority.
    pub(crate) fn super_peer(&self, name: &str, authority: &Daemon) -> Daemon {
        let (uri, token) =
            (authority.told("authority").unwrap(), authority.told("enrolToken").unwrap());
        let launch =
            self.launch(name, Role::SuperPeer).args(["--authority", uri, "--enrol", token]);
        self.spawn(&launch).unwrap()
    }

    /// A peer that knows a network by the invite of `host`.
    pub(crate) fn peer(&self, name: &str, host: &Daemon) -> Daemon {
        let invite = host.told("invite").unwrap();
        self.spawn(&self.launch(name, Role::Peer).args(["--invite", invite])).unwrap()
    }

    /// A peer with an account of its own name.
    pub(crate) fn person(&self, name: &str, host: &Daemon) -> Daemon {
        let peer = self.peer(name, host);
        peer.rpc("register", json!({ "user": name, "password": PASSWORD })).unwrap();
        online(&peer, Mark::default());
        peer
    }
}

pub(crate) fn log_in(peer: &Daemon, user: &str) -> Result<Value, Trouble> {
    peer.rpc("login", json!({ "user": user, "password": PASSWORD }))
}

/// Waits until the peer is linked and can be found.
pub(crate) fn online(peer: &Daemon, from: Mark) {
    peer.wait_event(from, SOON, "home", |event| {
        event["type"] == "networkChanged" && event["home"].is_object()
    })
    .unwrap();
}

/// Waits until a call is so, and gives it.
pub(crate) fn call_is(peer: &Daemon, from: Mark, state: &str) -> Value {
    peer.wait_call(from, SOON, state).unwrap()
}

/// Makes two people each other's buddies.
pub(crate) fn befriend(one: (&str, &Daemon), other: (&str, &Daemon)) {
    one.1.rpc("buddies.request", json!({ "user": other.0 })).unwrap();
    other
        .1
        .wait_event(Mark::default(), SOON, "buddyRequested", |event| {
            event["type"] == "buddyRequested" && event["user"] == one.0
        })
        .unwrap();
    other.1.rpc("buddies.accept", json!({ "user": one.0 })).unwrap();
    for ((_, peer), (name, _)) in [(one, other), (other, one)] {
        peer.wait_event(Mark::default(), SOON, "buddy", |event| {
            event["buddy"]["user"] == name && event["buddy"]["relation"] == "buddy"
        })
        .unwrap();
    }
}

/// Waits until a buddy is shown so.
pub(crate) fn shows(peer: &Daemon, from: Mark, user: &str, presence: &str) {
    peer.wait_event(from, SOON, presence, |event| {
        event["type"] == "presenceChanged" && event["user"] == user && event["presence"] == presence
    })
    .unwrap();
}

/// Waits for a text from somebody else.
pub(crate) fn hears(peer: &Daemon, text: &str) {
    peer.wait_event(Mark::default(), SOON, text, |event| {
        event["message"]["direction"] == "in" && event["message"]["text"] == text
    })
    .unwrap();
}

pub(crate) fn write(peer: &Daemon, to: &str, text: &str) -> Value {
    peer.rpc("chat.send", json!({ "to": to, "text": text, "clientId": text })).unwrap()
}

/// The code of a refusal; what was granted or went otherwise wrong is a failure of the test.
#[track_caller]
pub(crate) fn refused(result: Result<Value, Trouble>) -> String {
    let trouble = result.expect_err("it was granted");
    trouble.refusal().unwrap_or_else(|| panic!("{trouble}")).code.clone()
}

/// Code, facts and exit status of a process that does not start.
#[track_caller]
pub(crate) fn not_ready(result: Result<Daemon, Trouble>) -> (String, Value, Option<i32>) {
    match result {
        Err(Trouble::NotReady { error, status, .. }) => {
            let code = error["code"].as_str().unwrap_or_default().to_owned();
            (code, error["facts"].clone(), status.and_then(|status| status.code()))
        }
        other => panic!("it should say that it is not ready: {other:?}"),
    }
}
