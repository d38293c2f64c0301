//! Somebody who has no window: `earshotd peer`, beside a person's desktop.

use std::path::PathBuf;

use earshot_tests::demo::sound::Recording;
use earshot_tests::harness::web_driver::SOON;
use earshot_tests::harness::{Daemon, Launch, Mark, Role, earshotd};
use serde_json::{Value, json};

use crate::person::{PASSWORD, Person, words};

/// A peer without a window. It speaks a tone and hears nothing, until it is told otherwise.
pub(crate) struct Program {
    name: &'static str,
    pub(crate) peer: Daemon,
    home: PathBuf,
}

impl Program {
    /// A new user of the network of `invite`, and on line.
    pub(crate) fn new(name: &'static str, beside: &Person, invite: &str) -> Self {
        let program = earshotd().expect("EARSHOTD names the program to try: run `./x test e2e`");
        let home = beside.desktop.home().to_owned();
        let launch = Launch::earshotd(name, &program, Role::Peer)
            .arg("--data-dir")
            .arg(home.join(format!("{name}.data")))
            .args(["--listen", "127.0.0.1:0", "--ice-loopback", "--invite", invite]);
        let peer = Daemon::spawn(&launch, &home).unwrap();
        let made = Self { name, peer, home };
        made.ask("audio.set", &json!({ "microphone": "tone:440", "speaker": "none" }));
        let mark = made.peer.mark();
        made.ask("register", &json!({ "user": name, "password": PASSWORD }));
        made.peer.wait_event(mark, SOON, "home", |event| event["home"].is_object()).unwrap();
        made
    }

    /// Asks a person to be a buddy, who says yes and opens the conversation.
    pub(crate) fn befriend(&self, person: &Person) {
        self.ask("buddies.request", &json!({ "user": person.name }));
        person.choose(self.name);
        person.click("button", &words("request.accept", &[]));
        person.sees("button", &words("chat.call", &[("name", self.name)]));
    }

    pub(crate) fn ask(&self, method: &str, params: &Value) -> Value {
        self.peer.rpc(method, params.clone()).unwrap_or_else(|why| panic!("{method}: {why}"))
    }

    /// Waits for a call of ours to be so, from a moment on.
    pub(crate) fn call_is(&self, from: Mark, state: &str) -> Value {
        self.peer.wait_call(from, SOON, state).unwrap()
    }

    /// In the next call it says this; what it hears goes into the file that is answered.
    pub(crate) fn will_say(&self, what: &Recording, call: &str) -> PathBuf {
        let file = |way: &str| self.home.join(format!("{}-{way}-{call}.wav", self.name));
        let (says, hears) = (file("says"), file("hears"));
        what.write(&says).unwrap();
        let device = |path: &PathBuf| format!("file:{}", path.display());
        let set = json!({ "microphone": device(&says), "speaker": device(&hears) });
        self.ask("audio.set", &set);
        hears
    }
}
