//! The story: Alice and Bob sign up, find each other, write, and talk until all is said.
//!
//! Invariant: every step waits for an event or an answer with a deadline, and everything that the
//! verdict needs is in the evidence by the time it is told.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::PEOPLE;
use super::evidence::Evidence;
use super::options::Options;
use super::sabotage::{PlainVoice, Sabotage};
use super::sealed::{self, Memories};
use super::sound::Recording;
use super::stage::Stage;
use crate::harness::memory::Secrets;
use crate::harness::{Daemon, Heard, Mark, Trouble, monotonic_ns, ms_between, own_network};
use crate::report::{Outcome, Report};

/// For whatever takes a few messages between processes of one machine.
const SOON: Duration = Duration::from_secs(10);
/// For a path: an agent that finds none gives up within half a minute.
const PATH_WITHIN: Duration = Duration::from_secs(60);
/// What each writes, and what the authority never learns.
const TEXTS: [&str; 2] = [
    "Are you there, Bob? The kettle is on and the door stands open.",
    "On my way, Alice! Is there any of the rhubarb cake left?",
];
const PASSWORDS: [&str; 2] =
    ["correct horse of Alice's battery", "rhubarb and Bob's umbrella stand"];
const GREETING: &str = "You had the green canoe and I had no paddle.";
/// The share of the call after which memories are copied: voice has been flowing, and there is
/// time left to hear it go on.
const COPY_AFTER: f64 = 0.6;

/// Homes are chosen by lot among two: so many times the same one is one chance in 65,536.
const HOMES_TRIES: usize = 16;

/// Tells it, step by step, into `evidence`.
///
/// # Errors
/// The first thing that did not happen; the evidence holds what did.
pub fn tell<W: Write>(
    options: &Options,
    program: &Path,
    out: &Path,
    report: &mut Report<W>,
    evidence: &mut Evidence,
) -> Result<(), Trouble> {
    let stage = begin(options, program, out, report, evidence)?;
    evidence.processes = stage.everybody().count();
    let told = Story { options, out, stage: &stage, report, evidence }.tell();
    let stopped = report.timed("demo.stop", |_| stop(&stage, evidence));
    told.and(stopped)
}

/// Starts everybody, makes their accounts, and logs both in where they have never been. A newcomer
/// chooses a home by lot and keeps to it: where homes matter, all is begun anew until Alice and Bob
/// have one of their own.
fn begin<W: Write>(
    options: &Options,
    program: &Path,
    out: &Path,
    report: &mut Report<W>,
    evidence: &mut Evidence,
) -> Result<Stage, Trouble> {
    for _ in 0..HOMES_TRIES {
        let mut stage = report.timed("demo.start", |_| Stage::set(options, program, out))?;
        report.timed("demo.register", |_| register(&stage))?;
        report.timed("demo.change_computers", |_| stage.change_computers())?;
        report.timed("demo.login", |_| log_in(&stage, evidence))?;
        let homes = [stage.home(0)?, stage.home(1)?];
        evidence.homes = Some(homes);
        if options.case.is_none() || homes[0] != homes[1] {
            return Ok(stage);
        }
    }
    let what = "Alice and Bob always had the same home".to_owned();
    Err(Trouble::Unexpected { name: "demo".to_owned(), what })
}

fn register(stage: &Stage) -> Result<(), Trouble> {
    for ((peer, user), password) in stage.peers.iter().zip(PEOPLE).zip(PASSWORDS) {
        let mark = peer.mark();
        peer.rpc("register", json!({ "user": user, "password": password }))?;
        finds_home(peer, mark)?;
    }
    Ok(())
}

fn log_in(stage: &Stage, evidence: &mut Evidence) -> Result<(), Trouble> {
    for ((peer, user), password) in stage.peers.iter().zip(PEOPLE).zip(PASSWORDS) {
        let mark = peer.mark();
        let login = peer.ask("login", json!({ "user": user, "password": password }))?;
        let stretch = login.result["stretchMs"].as_f64();
        let stretch = stretch.ok_or_else(|| unexpected(peer, "login without stretchMs"))?;
        evidence.stretch_ms.push(stretch);
        evidence.login_ms.push(ms_between(login.sent_ns, login.heard_ns) - stretch);
        finds_home(peer, mark)?;
    }
    Ok(())
}

/// Only who is linked to a home can be found.
fn finds_home(peer: &Daemon, from: Mark) -> Result<Heard, Trouble> {
    peer.wait_event(from, SOON, "home", |event| {
        event["type"] == "networkChanged" && event["home"].is_object()
    })
}

fn stop(stage: &Stage, evidence: &mut Evidence) -> Result<(), Trouble> {
    for daemon in stage.everybody() {
        let breaches = daemon.breaches();
        evidence
            .breaches
            .extend(breaches.iter().map(|breach| format!("{}: {breach}", daemon.name())));
        let (status, took) = daemon.stop()?;
        evidence.stopped.push((daemon.name().to_owned(), status.code(), took));
    }
    Ok(())
}

struct Story<'a, W> {
    options: &'a Options,
    out: &'a Path,
    stage: &'a Stage,
    report: &'a mut Report<W>,
    evidence: &'a mut Evidence,
}

impl<W: Write> Story<'_, W> {
    fn tell(&mut self) -> Result<(), Trouble> {
        self.step("demo.search", Self::search)?;
        self.step("demo.buddies", Self::become_buddies)?;
        self.step("demo.chat", Self::write)?;
        self.evidence.met = true;
        let before = self.stage.services()?;
        let id = self.step("demo.ring", Self::ring)?;
        self.step("demo.talk", |story| story.connect(&id))?;
        let talking = self.stage.services()?;
        let memories = self.step("demo.speech", |story| story.speak(&id))?;
        let hung_up = self.step("demo.hang_up", |story| story.hang_up(&id));
        self.search_memories(memories);
        let after = self.stage.services()?;
        let moments = before.into_iter().zip(talking).zip(after);
        self.evidence.services = moments.map(|((a, b), c)| [a, b, c]).collect();
        hung_up
    }

    fn step<T>(
        &mut self,
        name: &str,
        how: impl FnOnce(&mut Self) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let start = Instant::now();
        let result = how(self);
        self.report.step(name, Outcome::of(result.is_ok()), start.elapsed());
        result
    }

    fn search(&mut self) -> Result<(), Trouble> {
        let alice = &self.stage.peers[0];
        let mark = alice.mark();
        let search = alice.ask("search", json!({ "user": PEOPLE[1] }))?;
        let id = search.result["searchId"].clone();
        let found = alice.wait_event(mark, SOON, "searchResult", |event| {
            event["type"] == "searchResult" && event["searchId"] == id && event["user"] == PEOPLE[1]
        })?;
        self.evidence.search_ms = Some(ms_between(search.sent_ns, found.at_ns));
        Ok(())
    }

    /// Both must see the other online: only then is a call to a buddy sure to find them.
    fn become_buddies(&mut self) -> Result<(), Trouble> {
        let [alice, bob] = &self.stage.peers;
        let marks = self.marks();
        alice.rpc("buddies.request", json!({ "user": PEOPLE[1], "greeting": GREETING }))?;
        bob.wait_event(marks[1], SOON, "buddyRequested", |event| {
            event["type"] == "buddyRequested" && event["greeting"] == GREETING
        })?;
        bob.rpc("buddies.accept", json!({ "user": PEOPLE[0] }))?;
        for (person, peer) in self.stage.peers.iter().enumerate() {
            let other = PEOPLE[1 - person];
            peer.wait_event(marks[person], SOON, "buddy", |event| {
                let buddy = &event["buddy"];
                buddy["user"] == other && buddy["relation"] == "buddy"
            })?;
            peer.wait_event(marks[person], SOON, "buddy online", |event| {
                let buddy = &event["buddy"];
                let shown = event["type"] == "presenceChanged" && event["user"] == other;
                shown && event["presence"] == "online"
                    || buddy["user"] == other && buddy["presence"] == "online"
            })?;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), Trouble> {
        for (from, to) in [(0, 1), (1, 0)] {
            let (writer, reader) = (&self.stage.peers[from], &self.stage.peers[to]);
            let marks = [writer.mark(), reader.mark()];
            let message = json!({ "to": PEOPLE[to], "text": TEXTS[from], "clientId": "c-1" });
            let sent = writer.rpc("chat.send", message)?;
            reader.wait_event(marks[1], SOON, "message", |event| {
                let message = &event["message"];
                message["direction"] == "in" && message["text"] == TEXTS[from]
            })?;
            writer.wait_event(marks[0], SOON, "arrived message", |event| {
                let message = &event["message"];
                message["id"] == sent["messageId"] && message["state"] == "arrived"
            })?;
        }
        Ok(())
    }

    fn ring(&mut self) -> Result<Value, Trouble> {
        let [alice, bob] = &self.stage.peers;
        for (person, peer) in PEOPLE.iter().zip(&self.stage.peers) {
            let file = |way: &str| self.out.join(format!("{person}-{way}.wav"));
            let silent = self.options.sabotage == Some(Sabotage::Silence) && *person == PEOPLE[1];
            let microphone = format!("file:{}", file("in").display());
            let microphone = if silent { "silence".to_owned() } else { microphone };
            let speaker = format!("file:{}", file("out").display());
            peer.rpc("audio.set", json!({ "microphone": microphone, "speaker": speaker }))?;
        }
        if self.options.sabotage == Some(Sabotage::SkipIce) {
            own_network::drop_stun().map_err(|error| self.kernel(&error))?;
        }
        let mark = bob.mark();
        let path = if self.options.relayed() { "relay" } else { "any" };
        let start = alice.ask("call.start", json!({ "to": PEOPLE[1], "path": path }))?;
        let id = start.result["callId"].clone();
        let ringing = bob.wait_event(mark, SOON, "ringing", |event| {
            let call = &event["call"];
            call["id"] == id && call["direction"] == "in" && call["state"] == "ringing"
        })?;
        self.evidence.ring_ms = Some(ms_between(start.sent_ns, ringing.at_ns));
        Ok(id)
    }

    fn connect(&mut self, id: &Value) -> Result<(), Trouble> {
        let bob = &self.stage.peers[1];
        let marks = self.marks();
        let accept = bob.ask("call.accept", json!({ "callId": id }))?;
        self.evidence.accept_ns = Some(accept.sent_ns);
        for (person, peer) in self.stage.peers.iter().enumerate() {
            let settled = peer.wait_event(marks[person], PATH_WITHIN, "talking", |event| {
                of_call(event, id, &["talking", "ended"])
            })?;
            let call = settled.value["call"].clone();
            if call["state"] == "ended" {
                let end = call["end"].to_string();
                self.evidence.ended[person] = Some(call);
                return Err(unexpected(peer, &format!("the call ended: {end}")));
            }
            self.evidence.calls[person] = Some(call);
        }
        if self.options.sabotage == Some(Sabotage::DropHalf) {
            let ends = self.evidence.path_ends();
            own_network::drop_half(&ends).map_err(|error| self.kernel(&error))?;
        }
        Ok(())
    }

    /// Until both have said everything. Nobody waits for a time but for the end of the call, which
    /// must not come before it. Gives back the memories of all processes as they were meanwhile.
    fn speak(&mut self, id: &Value) -> Result<std::io::Result<Memories>, Trouble> {
        for peer in &self.stage.peers {
            peer.wait_event(Mark::default(), SOON, "callStats", |event| {
                event["type"] == "callStats" && event["callId"] == *id
            })?;
        }
        let seconds = f64::from(self.options.seconds);
        let said_ns = |share: f64| {
            let starts = PEOPLE.iter().filter_map(|person| {
                let wav = self.out.join(format!("{person}-in.wav"));
                Recording::read(&wav).ok()?.sample0_ns
            });
            let start = starts.max().unwrap_or_else(monotonic_ns);
            start + (seconds * share * 1e9) as u64
        };
        let (copy_ns, end_ns) = (said_ns(COPY_AFTER), said_ns(1.0));
        self.stay_in_call(id, copy_ns)?;
        let memories = self.copy_memories();
        self.stay_in_call(id, end_ns)?;
        for (person, peer) in self.stage.peers.iter().enumerate() {
            self.evidence.stats[person] = Some(peer.rpc("call.stats", json!({ "callId": id }))?);
            self.evidence.calls[person] = last_call(peer, id);
        }
        if self.options.sabotage == Some(Sabotage::DropHalf) {
            let dropped = own_network::dropped().map_err(|error| self.kernel(&error))?;
            self.report.fact("demo.dropped", &format!("{dropped} datagrams by the kernel"));
        }
        Ok(memories)
    }

    fn stay_in_call(&self, id: &Value, until_ns: u64) -> Result<(), Trouble> {
        let alice = &self.stage.peers[0];
        let left = Duration::from_nanos(until_ns.saturating_sub(monotonic_ns()));
        let end = alice.wait_event(Mark::default(), left, "end of the call", |event| {
            of_call(event, id, &["ended"])
        });
        match end {
            Err(Trouble::Missing { .. }) => Ok(()),
            Ok(ended) => Err(unexpected(alice, &format!("ended early: {}", ended.value["call"]))),
            Err(other) => Err(other),
        }
    }

    fn copy_memories(&self) -> std::io::Result<Memories> {
        let plain = self.options.sabotage == Some(Sabotage::PlainRelay);
        let _talking_meanwhile = plain.then(|| self.plain_voice()).transpose()?;
        Memories::copy(self.stage)
    }

    fn plain_voice(&self) -> std::io::Result<PlainVoice> {
        let relay = self.stage.super_peers[0].told("listen").ok();
        let relay: Option<SocketAddr> = relay.and_then(|address| address.parse().ok());
        let voice = sealed::voice(self.out).map_err(std::io::Error::other)?;
        PlainVoice::to(relay.ok_or_else(|| std::io::Error::other("no relay"))?, &voice)
    }

    fn search_memories(&mut self, memories: std::io::Result<Memories>) {
        let mut secrets = Secrets::default();
        TEXTS.into_iter().chain([GREETING]).for_each(|text| secrets.add(sealed::TEXT, text));
        PASSWORDS.into_iter().for_each(|password| secrets.add(sealed::PASSWORD, password));
        let voice = sealed::voice(self.out).map_err(std::io::Error::other);
        let found = memories.and_then(|memories| {
            voice?.into_iter().for_each(|packet| secrets.add(sealed::VOICE, packet));
            Ok(memories.search(&secrets))
        });
        match found {
            Ok(found) => self.evidence.sealed = Some(found),
            Err(error) => eprintln!("Memories could not be searched: {error}"),
        }
    }

    fn hang_up(&mut self, id: &Value) -> Result<(), Trouble> {
        self.stage.peers[0].rpc("call.hang_up", json!({ "callId": id }))?;
        for (person, peer) in self.stage.peers.iter().enumerate() {
            let ended = peer.wait_event(Mark::default(), SOON, "end of the call", |event| {
                of_call(event, id, &["ended"])
            })?;
            self.evidence.ended[person] = Some(ended.value["call"].clone());
        }
        Ok(())
    }

    fn marks(&self) -> [Mark; 2] {
        [self.stage.peers[0].mark(), self.stage.peers[1].mark()]
    }

    fn kernel(&self, error: &own_network::NoNetwork) -> Trouble {
        unexpected(&self.stage.peers[0], &error.to_string())
    }
}

fn of_call(event: &Value, id: &Value, states: &[&str]) -> bool {
    let call = &event["call"];
    let state = call["state"].as_str().unwrap_or_default();
    event["type"] == "callChanged" && call["id"] == *id && states.contains(&state)
}

/// How the call stood last.
fn last_call(peer: &Daemon, id: &Value) -> Option<Value> {
    let events: Vec<Heard> = peer.events_since(Mark::default());
    let mut of_it = events.into_iter().rev().filter(|event| event.value["call"]["id"] == *id);
    of_it.next().map(|mut event| event.value["call"].take())
}

fn unexpected(peer: &Daemon, what: &str) -> Trouble {
    Trouble::Unexpected { name: peer.name().to_owned(), what: what.to_owned() }
}
