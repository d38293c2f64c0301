//! A small world for calls: devices, homes, a signal network that loses, doubles and shuffles, and
//! an oracle that stands for ICE. It also keeps watch: whatever a machine puts out must be lawful
//! at any moment.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::super::reason::{By, EndReason, NotLocated};
use super::super::signaling::SignalingCase;
use super::super::view::{CallState, CallView, LogEntry};
use super::super::{
    Callee, Callers, Calls, CallsOutput, Delivery, Me, Refused, Sender, Standing, Surroundings,
};
use crate::entropy::{Entropy, Stream};
use crate::ids::{CallId, DeviceId, NetworkId, NodeId, UserName};
use crate::port::{
    PathEvent, PathId, PathPolicy, RelayServer, RelayTransport, VoiceEvent, VoiceRoute,
};
use crate::secure::identity::LinkKey;
use crate::wire::Wire;
use crate::wire::certificate::{AgreeKey, VerifyKey};
use crate::wire::directory::{NodeEntry, Reachability};
use crate::wire::forward::{Address, Undelivered};
use crate::wire::sealed::call::{Signal, SignalBody};

mod network;
mod oracle;
mod watch;

/// Where virtual time begins.
#[expect(clippy::disallowed_methods, reason = "an Instant has no other beginning")]
pub(in super::super) fn epoch() -> Instant {
    Instant::now()
}

pub(super) const MS: Duration = Duration::from_millis(1);
pub(super) const SECOND: Duration = Duration::from_secs(1);

/// What the oracle says about paths.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Ice {
    /// They come up so long after both sides know each other.
    After(Duration),
    /// No pair works; told so long after.
    Never(Duration),
    /// Neither up nor given up.
    Silent,
    /// The sockets cannot even be opened.
    Unavailable,
}

enum Event {
    Located(usize, CallId, UserName),
    Signal { to: usize, from: Sender, bytes: Vec<u8> },
    Delivery { to: usize, call: CallId, about: Address, case: SignalingCase, fared: Delivery },
    Path(usize, PathKey, PathEvent),
}

/// Which run of its device a path belongs to, and its number there.
type PathKey = (u8, u32);

/// A voice as the orders left it.
#[derive(Debug, Default)]
pub(super) struct Voice {
    pub(super) started: bool,
    pub(super) muted: bool,
    pub(super) held: bool,
    stopped: bool,
    pub(super) route: VoiceRoute,
    send: Vec<u8>,
    receive: Vec<u8>,
}

#[derive(Debug)]
struct Path {
    policy: PathPolicy,
    controlling: bool,
    relay: Option<SocketAddr>,
    open: bool,
    up: bool,
    with: Option<(usize, PathKey)>,
}

pub(super) struct Device {
    pub(super) name: &'static str,
    pub(super) calls: Calls,
    pub(super) address: Address,
    seed: u8,
    runs: u8,
    alive: bool,
    listed: bool,
    around: Surroundings,
    pub(super) views: Vec<CallView>,
    pub(super) log: Vec<LogEntry>,
    pub(super) voices: BTreeMap<CallId, Voice>,
    paths: BTreeMap<PathKey, Path>,
    pub(super) forgotten: usize,
    pub(super) ever: Vec<CallView>,
}

pub(super) struct World {
    pub(super) now: Instant,
    pub(super) devices: Vec<Device>,
    pub(super) jitter: Stream,
    events: BTreeMap<(Instant, u64), Event>,
    count: u64,
    /// One way, at least and at most.
    pub(super) latency: (Duration, Duration),
    pub(super) loss_pct: u64,
    pub(super) doubled_pct: u64,
    pub(super) ice: Ice,
    /// Where it is told, main paths go through a relay, and this becomes of direct ones.
    pub(super) direct: Option<Ice>,
    /// Relays that give nobody an address.
    pub(super) refusing: Vec<SocketAddr>,
    /// Those of them that a device has told of.
    pub(super) relays_failed: Vec<SocketAddr>,
    pub(super) direct_works: bool,
    pub(super) directory_works: bool,
    pub(super) refusal: Option<Undelivered>,
    /// The contributions of this device are no keys.
    pub(super) spoil_keys_of: Option<&'static str>,
    dead_homes: BTreeSet<u8>,
    pub(super) standing: BTreeMap<(&'static str, &'static str), Standing>,
    visits: BTreeSet<(usize, u8)>,
    straight: BTreeSet<(usize, usize)>,
    /// Cases by which signals arrived, in order: caller's device, case.
    pub(super) carried: Vec<(&'static str, SignalingCase)>,
    /// What was said, once each time it was sent.
    pub(super) said: Vec<(&'static str, Signal)>,
}

pub(super) fn user(name: &str) -> UserName {
    UserName::new(name.split('/').next().expect("a name")).expect("a user name")
}

pub(in super::super) fn home(number: u8) -> NodeEntry {
    NodeEntry {
        node: NodeId([number; 20]),
        address: ([10, 0, 0, number], 4_000).into(),
        key: AgreeKey([number; 32]),
    }
}

/// A relay that there is.
pub(super) fn relay(number: u8) -> RelayServer {
    RelayServer {
        address: ([10, 0, 0, number], 3_478).into(),
        transport: RelayTransport::Udp,
        username: "user".to_owned(),
        password: "password".to_owned(),
    }
}

fn identity(name: &str) -> VerifyKey {
    let mut key = [0; 32];
    key[..name.len().min(3)].copy_from_slice(&name.as_bytes()[..name.len().min(3)]);
    VerifyKey(key)
}

fn link(seed: u8) -> LinkKey {
    LinkKey::from_secret(&[seed; 32])
}

fn machine(name: &str, address: &Address, seed: u8, runs: u8, around: Surroundings) -> Calls {
    let me = Me { address: address.clone(), identity: identity(name), link: link(seed) };
    let mut seed = [seed; 32];
    seed[0] = runs;
    Calls::new(me, NetworkId([1; 32]), around, Entropy::new(seed).secrets, 0)
}

impl World {
    pub(super) fn new(seed: [u8; 32]) -> Self {
        Self {
            now: epoch(),
            devices: Vec::new(),
            jitter: Entropy::new(seed).jitter,
            events: BTreeMap::new(),
            count: 0,
            latency: (20 * MS, 20 * MS),
            loss_pct: 0,
            doubled_pct: 0,
            ice: Ice::After(50 * MS),
            direct: None,
            refusing: Vec::new(),
            relays_failed: Vec::new(),
            direct_works: true,
            directory_works: true,
            refusal: None,
            spoil_keys_of: None,
            dead_homes: BTreeSet::new(),
            standing: BTreeMap::new(),
            visits: BTreeSet::new(),
            straight: BTreeSet::new(),
            carried: Vec::new(),
            said: Vec::new(),
        }
    }

    /// Alice and Bob, each with a home of its own.
    pub(super) fn pair(alice: Reachability, bob: Reachability) -> Self {
        Self::new([1; 32]).with("alice", alice, 1).with("bob", bob, 2)
    }

    /// Adds a device: "bob" or, for another device of Bob's, "bob/phone".
    pub(super) fn with(mut self, name: &'static str, reachability: Reachability, at: u8) -> Self {
        let seed = self.devices.len() as u8 + 10;
        let address = Address { user: user(name), device: DeviceId([seed; 16]) };
        let around = Surroundings {
            reachability,
            home: Some(home(at)),
            servers: vec![relay(9), relay(8)],
            addresses: PathPolicy::Any,
            callers: Callers::Everybody,
        };
        self.devices.push(Device {
            name,
            calls: machine(name, &address, seed, 0, around.clone()),
            address,
            seed,
            runs: 0,
            alive: true,
            listed: true,
            around,
            views: Vec::new(),
            log: Vec::new(),
            voices: BTreeMap::new(),
            paths: BTreeMap::new(),
            forgotten: 0,
            ever: Vec::new(),
        });
        self
    }

    pub(super) fn at(&self, name: &str) -> usize {
        self.devices.iter().position(|d| d.name == name).expect("a device of this world")
    }

    pub(super) fn device(&self, name: &str) -> &Device {
        &self.devices[self.at(name)]
    }

    /// Calls; the id of the call.
    pub(super) fn start(&mut self, from: &str, to: &str) -> CallId {
        self.try_start(from, to, PathPolicy::Any).expect("not in a call")
    }

    pub(super) fn try_start(
        &mut self,
        from: &str,
        to: &str,
        path: PathPolicy,
    ) -> Result<CallId, Refused> {
        let (now, at) = (self.now, self.at(from));
        let result = self.devices[at].calls.start(now, user(to), path);
        self.drain(at);
        result
    }

    /// Gives an order about the call under way at a device.
    pub(super) fn order(
        &mut self,
        name: &str,
        order: fn(&mut Calls, Instant, CallId) -> Result<(), Refused>,
    ) -> Result<(), Refused> {
        let (now, at) = (self.now, self.at(name));
        let Some(call) = self.devices[at].calls.current() else { return Err(Refused::NoSuchCall) };
        let result = order(&mut self.devices[at].calls, now, call.id);
        self.drain(at);
        result
    }

    pub(super) fn tell(&mut self, name: &str, act: impl FnOnce(&mut Calls, Instant)) {
        let (now, at) = (self.now, self.at(name));
        act(&mut self.devices[at].calls, now);
        self.drain(at);
    }

    pub(super) fn audio_fails(&mut self, name: &str) {
        let call = self.current(name).expect("in a call").id;
        self.tell(name, |calls, now| calls.handle_voice(now, call, VoiceEvent::Failed));
    }

    pub(super) fn around(&mut self, name: &str, change: impl FnOnce(&mut Surroundings)) {
        let at = self.at(name);
        change(&mut self.devices[at].around);
        let around = self.devices[at].around.clone();
        self.tell(name, |calls, now| calls.handle_surroundings(now, around));
    }

    /// The device stops in the middle of everything.
    pub(super) fn crash(&mut self, name: &str) {
        let at = self.at(name);
        self.devices[at].alive = false;
        self.straight.retain(|(a, b)| *a != at && *b != at);
        self.visits.retain(|(visitor, _)| *visitor != at);
        for path in self.open_paths(at) {
            self.close_path(at, path);
        }
    }

    /// It starts again, knowing nothing of calls.
    pub(super) fn restart(&mut self, name: &str) {
        let at = self.at(name);
        let device = &mut self.devices[at];
        device.runs += 1;
        device.alive = true;
        let (seed, runs, around) = (device.seed, device.runs, device.around.clone());
        device.calls = machine(device.name, &device.address, seed, runs, around);
        device.voices.clear();
        device.views.clear();
        device.log.clear();
    }

    /// The device is nowhere registered.
    pub(super) fn unlist(&mut self, name: &str) {
        let at = self.at(name);
        self.devices[at].listed = false;
    }

    pub(super) fn kill_home(&mut self, number: u8) {
        self.dead_homes.insert(number);
        self.visits.retain(|(_, at)| *at != number);
    }

    pub(super) fn heal_homes(&mut self) {
        self.dead_homes.clear();
    }

    fn push(&mut self, after: Duration, event: Event) {
        self.count += 1;
        self.events.insert((self.now + after, self.count), event);
    }

    fn one_way(&mut self) -> Duration {
        let (least, most) = self.latency;
        let spread = (most - least).as_micros() as u64 + 1;
        least + Duration::from_micros(self.jitter.below(spread))
    }

    fn chance(&mut self, pct: u64) -> bool {
        self.jitter.below(100) < pct
    }

    /// What a device is to a user, for the device's owner.
    fn standing_of(&self, owner: usize, other: &UserName) -> Standing {
        let pair = self
            .standing
            .iter()
            .find(|((a, b), _)| user(a) == self.devices[owner].address.user && user(b) == *other);
        pair.map_or(Standing::Buddy, |(_, standing)| *standing)
    }

    pub(super) fn is_alive(&self, name: &str) -> bool {
        self.device(name).alive
    }

    // Time.

    /// Lets time run until the condition holds; panics when it does not within `limit`.
    pub(super) fn run_until(&mut self, limit: Duration, what: impl Fn(&Self) -> bool) {
        let end = self.now + limit;
        while !what(self) {
            assert!(self.step(end), "it did not come to that: {:#?}", self.picture());
        }
    }

    pub(super) fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
        self.now = end;
    }

    fn picture(&self) -> Vec<(&'static str, Option<CallView>, &Calls)> {
        self.devices.iter().map(|d| (d.name, d.calls.current(), &d.calls)).collect()
    }

    /// The next thing happens, unless it is after `end`.
    fn step(&mut self, end: Instant) -> bool {
        let alive = self.devices.iter().enumerate().filter(|(_, d)| d.alive);
        let timer = alive.filter_map(|(i, d)| d.calls.poll_timeout().map(|at| (at, i))).min();
        let event = self.events.keys().next().copied();
        let timer_first = match (timer, event) {
            (Some((timer, _)), Some((event, _))) => timer <= event,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if let Some((at, device)) = timer.filter(|_| timer_first) {
            if at > end {
                return false;
            }
            self.now = self.now.max(at);
            self.devices[device].calls.handle_timeout(self.now);
            self.drain(device);
            let next = self.devices[device].calls.poll_timeout();
            assert!(next.is_none_or(|next| next > self.now), "a timer that is due for ever");
            return true;
        }
        let Some(key) = event.filter(|(at, _)| *at <= end) else { return false };
        self.now = self.now.max(key.0);
        let event = self.events.remove(&key).expect("the key was just read");
        self.happen(event);
        true
    }

    fn happen(&mut self, event: Event) {
        let now = self.now;
        match event {
            Event::Located(at, call, user) => {
                let found = self.locate(at, &user);
                self.devices[at].calls.handle_located(now, call, found);
                self.drain(at);
            }
            Event::Signal { to, from, bytes } if self.devices[to].alive => {
                let signal = Signal::from_bytes(&bytes).expect("what was written can be read");
                self.devices[to].calls.handle_signal(now, &from, &signal);
                self.drain(to);
            }
            Event::Delivery { to, call, about, case, fared } if self.devices[to].alive => {
                self.devices[to].calls.handle_delivery(now, call, &about, case, fared);
                self.drain(to);
            }
            Event::Signal { .. } | Event::Delivery { .. } => {}
            Event::Path(at, id, event) => {
                let event = self.with_somebody(at, id, event);
                let alive = self.devices[at].alive;
                let Some(path) = self.devices[at].paths.get_mut(&id) else { return };
                if !path.open || !alive {
                    return;
                }
                // The world forgets a path that is down.
                path.open = !matches!(event, PathEvent::Down(_));
                path.up = match &event {
                    PathEvent::Up(_) => true,
                    PathEvent::Down(_) => false,
                    // It went silent meanwhile.
                    PathEvent::Lively { .. } if !path.up => return,
                    PathEvent::Lively { .. }
                    | PathEvent::Silent
                    | PathEvent::Tried(_)
                    | PathEvent::NoRelay
                    | PathEvent::Local { .. }
                    | PathEvent::Candidate(_)
                    | PathEvent::EndOfCandidates => path.up,
                };
                self.devices[at].calls.handle_path(now, PathId(id.1), event);
                self.drain(at);
            }
        }
    }

    pub(super) fn locate(&self, at: usize, name: &UserName) -> Result<Vec<Callee>, NotLocated> {
        let theirs: Vec<&Device> =
            self.devices.iter().filter(|d| d.address.user == *name).collect();
        if theirs.is_empty() {
            return Err(NotLocated::NotFound);
        }
        let standing = self.standing_of(at, name);
        if standing == Standing::Blocked {
            return Err(NotLocated::Blocked);
        }
        let buddy = standing.is_buddy();
        let found = theirs.into_iter().filter(|d| d.listed).map(|d| Callee {
            address: d.address.clone(),
            identity: identity(d.name),
            agree: link(d.seed).public(),
            standing,
            reachability: buddy.then_some(d.around.reachability),
            home: d.around.home,
            near: None,
            direct: (buddy && d.around.reachability == Reachability::Public)
                .then_some(([192, 0, 2, d.seed], 4_000).into()),
        });
        let found: Vec<Callee> = found.collect();
        if found.is_empty() { Err(NotLocated::Offline) } else { Ok(found) }
    }

    // What machines put out.

    fn drain(&mut self, at: usize) {
        let mut outputs = 0;
        while let Some(output) = self.devices[at].calls.poll_output() {
            outputs += 1;
            assert!(outputs < 500, "one input makes a flood");
            match output {
                CallsOutput::Locate { call, user } | CallsOutput::Relocate { call, user } => {
                    if self.directory_works {
                        let after = self.one_way() * 2;
                        self.push(after, Event::Located(at, call, user));
                    }
                }
                CallsOutput::Send(post) => self.send(at, post),
                CallsOutput::DoubtHome => {}
                CallsOutput::RelayFailed(relay, _) => self.relays_failed.push(relay),
                CallsOutput::Forget { .. } => self.devices[at].forgotten += 1,
                CallsOutput::Path(id, order) => self.path(at, id, order),
                CallsOutput::Voice(call, order) => self.voice(at, call, order),
                CallsOutput::Changed(view) => self.changed(at, *view),
                CallsOutput::Log(entry) => {
                    let log = &mut self.devices[at].log;
                    assert!(log.iter().all(|e| e.call != entry.call), "a call ended twice");
                    log.push(*entry);
                }
            }
        }
    }

    // Questions.

    pub(super) fn current(&self, name: &str) -> Option<CallView> {
        self.device(name).calls.current()
    }

    pub(super) fn state(&self, name: &str) -> Option<CallState> {
        self.current(name).map(|view| view.state)
    }

    pub(super) fn both(&self, state: CallState) -> bool {
        self.state("alice") == Some(state) && self.state("bob") == Some(state)
    }

    /// The last view of a call, gone or not.
    pub(super) fn seen(&self, name: &str, call: CallId) -> Option<&CallView> {
        self.device(name).views.iter().find(|view| view.id == call)
    }

    pub(super) fn ended(&self, name: &str, call: CallId) -> Option<(EndReason, By)> {
        let end = self.seen(name, call)?.end.as_ref()?;
        Some((end.reason, end.by))
    }

    /// What a device said, repetitions and mere hearing left out.
    pub(super) fn speech(&self, name: &str) -> Vec<&SignalBody> {
        let mut said: Vec<_> = self.said.iter().filter(|(n, _)| *n == name).collect();
        said.dedup_by_key(|(_, signal)| (signal.call, signal.number));
        said.into_iter().map(|(_, s)| &s.body).filter(|b| !matches!(b, SignalBody::Heard)).collect()
    }
}
