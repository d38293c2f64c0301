//! A random crowd: people write, call, search, come and go; hosts crash, cables are cut. In the end
//! everything is repaired, and every promise is looked at.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use earshot_proto::entropy::{Entropy, Stream};
use earshot_proto::peer::call::view::CallState;
use earshot_proto::peer::command::{Answer, CallAction, Command, Shown};
use earshot_proto::port::PathPolicy;
use earshot_proto::secure::password::Password;

use super::host::Nat;
use super::people::{PASSWORD, sought, user};
use super::sloppy::Sloppy;
use super::world::World;

/// How long the crowd may take to find itself again once everything is repaired. Our choice: the
/// longest pause between two tries to find a home, and a refresh of presence.
const RECOVERY: Duration = Duration::from_secs(240);
/// Links of an ordinary peer in the end, at most: its home, the super-peers it visited, and
/// devices.
const PEER_LINKS_MAX: usize = 1 + 32 + 32;

/// What is to be run.
#[derive(Clone, Copy, Debug)]
pub struct Swarm {
    /// The seed of everything.
    pub seed: u64,
    /// People.
    pub peers: usize,
    /// Super-peers.
    pub super_peers: usize,
    /// Virtual minutes of trouble.
    pub minutes: u64,
    /// With a machine in it that iterates without an order.
    pub sloppy: bool,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The log's hash.
    pub hash: u64,
    /// Lines of the log.
    pub lines: u64,
    /// Events.
    pub events: u64,
    /// Commands given.
    pub commands: u64,
    /// Calls that came to a talk.
    pub calls: u64,
    /// Messages accepted.
    pub messages: u64,
    /// Hosts that crashed, vanished or were cut off.
    pub troubles: u64,
    /// Promises that were broken.
    pub broken: Vec<String>,
}

/// Runs it.
#[must_use]
pub fn run(swarm: &Swarm) -> Outcome {
    let mut crowd = Crowd::gather(swarm);
    let end = crowd.world.now() + Duration::from_secs(swarm.minutes * 60);
    while crowd.world.now() < end {
        let pause = 100 + crowd.lot.below(900);
        crowd.world.run_for(Duration::from_millis(pause));
        crowd.revive();
        crowd.look();
        crowd.something();
    }
    crowd.repair();
    crowd.judge()
}

struct Crowd {
    world: World,
    lot: Stream,
    people: Vec<String>,
    super_peers: Vec<String>,
    /// Who is down, and until when.
    down: BTreeMap<String, Duration>,
    /// Cuts end then.
    cut_until: Option<Duration>,
    /// Each message accepted: from, to, text, and the command by which it was asked for.
    asked: Vec<(String, String, String, u64, u64)>,
    accepted: Vec<(String, String, String)>,
    talks: BTreeMap<earshot_proto::ids::CallId, ()>,
    written: u64,
    lives: BTreeMap<String, u64>,
    outcome: Outcome,
}

impl Crowd {
    fn gather(swarm: &Swarm) -> Self {
        let mut world = World::new(swarm.seed).network(swarm.super_peers);
        if swarm.sloppy {
            let to = world.invite().super_peers[0].address;
            let sloppy = Box::new(Sloppy::new(to));
            world.add_script("sloppy", SocketAddr::from(([13, 0, 0, 1], 1)), sloppy);
        }
        let people: Vec<String> = (0..swarm.peers).map(|n| format!("person{n}")).collect();
        let nats = [Nat::Open, Nat::Cone, Nat::Cone, Nat::Symmetric, Nat::UdpBlocked];
        for (number, name) in people.iter().enumerate() {
            world.person_behind(name, nats[number % nats.len()]);
        }
        let mut crowd = Self {
            world,
            lot: Entropy::new([swarm.seed as u8; 32]).jitter,
            super_peers: (1..=swarm.super_peers).map(|n| format!("super-{n}")).collect(),
            down: BTreeMap::new(),
            cut_until: None,
            asked: Vec::new(),
            accepted: Vec::new(),
            talks: BTreeMap::new(),
            written: 0,
            lives: BTreeMap::new(),
            outcome: Outcome::default(),
            people,
        };
        for (one, other) in crowd.pairs() {
            crowd.world.befriend(&one, &other);
        }
        crowd
    }

    /// Who is a buddy of whom: everybody of the next two.
    fn pairs(&self) -> Vec<(String, String)> {
        let count = self.people.len();
        let pair = |a: usize, b: usize| (self.people[a].clone(), self.people[b % count].clone());
        let mut pairs: Vec<_> = (0..count).flat_map(|n| [pair(n, n + 1), pair(n, n + 2)]).collect();
        pairs.retain(|(a, b)| a != b);
        pairs.sort_by_key(|(a, b)| (a.min(b).clone(), a.max(b).clone()));
        pairs.dedup_by_key(|(a, b)| (a.clone().min(b.clone()), a.clone().max(b.clone())));
        pairs
    }

    fn pick<'a>(lot: &mut Stream, of: &'a [String]) -> &'a str {
        &of[lot.below(of.len() as u64) as usize]
    }

    fn somebody(&mut self) -> Option<String> {
        let name = Self::pick(&mut self.lot, &self.people).to_owned();
        (!self.down.contains_key(&name)).then_some(name)
    }

    fn buddy_of(&mut self, name: &str) -> String {
        let pairs = self.pairs();
        let mut theirs = pairs.iter().filter_map(|(a, b)| match name {
            _ if a == name => Some(b.clone()),
            _ if b == name => Some(a.clone()),
            _ => None,
        });
        let count = theirs.clone().count() as u64;
        theirs.nth(self.lot.below(count) as usize).expect("everybody has buddies")
    }

    fn command(&mut self, name: &str, command: Command) -> u64 {
        self.outcome.commands += 1;
        self.world.command(name, command)
    }

    /// One random thing.
    fn something(&mut self) {
        match self.lot.below(100) {
            0..34 => self.write(),
            34..44 => self.show(),
            44..50 => self.search(),
            50..64 => self.call(),
            64..88 => self.act_in_call(),
            88..90 => self.log_out(),
            90..94 => self.kill_somebody(),
            94..95 => self.kill_a_super_peer(),
            95..97 => self.cut_somebody(),
            _ => {}
        }
    }

    fn write(&mut self) {
        let Some(from) = self.somebody() else { return };
        let to = self.buddy_of(&from);
        self.written += 1;
        let text = format!("{from} writes line {} to {to}", self.written);
        let ask = self.command(&from, World::send(&to, &text));
        let life = self.life(&from);
        self.asked.push((from, to, text, ask, life));
    }

    fn life(&self, name: &str) -> u64 {
        self.lives.get(name).copied().unwrap_or(0)
    }

    fn show(&mut self) {
        let Some(name) = self.somebody() else { return };
        let all = [Shown::Online, Shown::Away, Shown::DoNotDisturb, Shown::Invisible];
        let shown = all[self.lot.below(4) as usize];
        self.command(&name, Command::SetPresence { shown, mood: None });
    }

    fn search(&mut self) {
        let Some(name) = self.somebody() else { return };
        let whom = match self.lot.below(4) {
            0 => "nobody".to_owned(),
            _ => Self::pick(&mut self.lot, &self.people).to_owned(),
        };
        self.command(&name, Command::Search(sought(&whom)));
    }

    fn call(&mut self) {
        let Some(name) = self.somebody() else { return };
        let to = self.buddy_of(&name);
        self.command(&name, Command::Call { to: user(&to), path: PathPolicy::Any });
    }

    fn act_in_call(&mut self) {
        let ringing: Vec<String> = self
            .people
            .iter()
            .filter(|name| !self.down.contains_key(*name))
            .filter(|name| self.world.current_call(name).is_some())
            .cloned()
            .collect();
        if ringing.is_empty() {
            return;
        }
        let name = Self::pick(&mut self.lot, &ringing).to_owned();
        let call = self.world.current_call(&name).expect("filtered by it").id;
        let all = [
            CallAction::Accept,
            CallAction::Accept,
            CallAction::Accept,
            CallAction::Accept,
            CallAction::Decline,
            CallAction::HangUp,
            CallAction::Hold,
            CallAction::Resume,
            CallAction::Mute,
            CallAction::Unmute,
        ];
        let action = all[self.lot.below(all.len() as u64) as usize];
        self.command(&name, Command::InCall(call, action));
    }

    fn log_out(&mut self) {
        let Some(name) = self.somebody() else { return };
        self.command(&name, Command::Logout);
        self.world.run_for(Duration::from_secs(1));
        self.log_in(&name);
    }

    fn log_in(&mut self, name: &str) {
        let password = Password::new(PASSWORD).expect("long enough");
        self.command(name, Command::Login { user: user(name), password });
    }

    fn kill_somebody(&mut self) {
        let Some(name) = self.somebody() else { return };
        self.kill(&name);
    }

    fn kill_a_super_peer(&mut self) {
        let name = Self::pick(&mut self.lot, &self.super_peers).to_owned();
        if !self.down.contains_key(&name) {
            self.kill(&name);
        }
    }

    fn kill(&mut self, name: &str) {
        self.outcome.troubles += 1;
        *self.lives.entry(name.to_owned()).or_default() += 1;
        match self.lot.below(3) {
            0 => self.world.vanish(name),
            _ => self.world.crash(name),
        }
        let until = self.world.now() + Duration::from_secs(1 + self.lot.below(40));
        self.down.insert(name.to_owned(), until);
    }

    fn cut_somebody(&mut self) {
        self.outcome.troubles += 1;
        let one = Self::pick(&mut self.lot, &self.people).to_owned();
        for other in self.super_peers.clone() {
            if self.lot.below(2) == 0 {
                self.world.cut(&one, &other);
            }
        }
        let until = self.world.now() + Duration::from_secs(5 + self.lot.below(40));
        self.cut_until = Some(self.cut_until.unwrap_or(until).max(until));
    }

    /// Starts again whoever was down long enough.
    fn revive(&mut self) {
        let now = self.world.now();
        let due: Vec<String> =
            self.down.iter().filter(|(_, at)| **at <= now).map(|(name, _)| name.clone()).collect();
        for name in due {
            self.down.remove(&name);
            self.world.start(&name);
            if self.people.contains(&name) {
                self.log_in(&name);
            }
        }
        if self.cut_until.is_some_and(|at| at <= now) {
            self.cut_until = None;
            self.world.heal();
        }
    }

    /// Notes what was promised so far.
    fn look(&mut self) {
        let mut waiting = Vec::new();
        for (from, to, text, ask, life) in std::mem::take(&mut self.asked) {
            if life != self.life(&from) {
                // Its owner was never told: nothing was promised.
                continue;
            }
            match self.world.owner(&from).answers.get(&ask) {
                Some(Ok(Answer::Sent(..))) => {
                    self.outcome.messages += 1;
                    self.accepted.push((from, to, text));
                }
                Some(_) => {}
                None => waiting.push((from, to, text, ask, life)),
            }
        }
        self.asked = waiting;
        for name in &self.people {
            for call in self.world.owner(name).calls.values() {
                if call.state == CallState::Talking {
                    self.talks.insert(call.id, ());
                }
            }
        }
    }

    /// Everybody and everything is there again, and all calls are hung up.
    fn repair(&mut self) {
        self.world.heal();
        self.cut_until = None;
        self.down.values_mut().for_each(|at| *at = Duration::ZERO);
        self.revive();
        self.world.run_for(Duration::from_secs(5));
        for name in self.people.clone() {
            if self.world.peer(&name).signed_in().is_none() {
                self.log_in(&name);
            }
        }
        self.world.run_for(Duration::from_secs(60));
        for name in self.people.clone() {
            let shown = Command::SetPresence { shown: Shown::Online, mood: None };
            self.command(&name, shown);
            if let Some(call) = self.world.current_call(&name) {
                self.command(&name, Command::InCall(call.id, CallAction::HangUp));
            }
        }
        let pairs = self.pairs();
        let together = |world: &World| {
            pairs.iter().all(|(a, b)| world.sees_online(a, b) && world.sees_online(b, a))
        };
        self.world.comes_true(together, RECOVERY);
        self.look();
        let accepted = self.accepted.clone();
        let arrived = |world: &World| accepted.iter().all(|(a, _, t)| world.has_arrived(a, t));
        self.world.comes_true(arrived, RECOVERY);
        // The last questions are answered, or given up.
        self.world.run_for(Duration::from_secs(10));
    }

    fn judge(mut self) -> Outcome {
        let mut broken = Vec::new();
        let world = &self.world;
        for (a, b) in self.pairs() {
            for (one, other) in [(&a, &b), (&b, &a)] {
                if !world.sees_online(one, other) {
                    broken.push(format!("{one} does not see {other}"));
                }
            }
        }
        for (from, to, text) in &self.accepted {
            if !world.has_arrived(from, text) {
                broken.push(format!("not acknowledged: {text}"));
            }
            let shown = world.times_shown(to, text);
            if shown != 1 {
                broken.push(format!("shown {shown} times: {text}"));
            }
        }
        for name in &self.people {
            let owner = world.owner(name);
            if !owner.open.is_empty() {
                broken.push(format!("{name}: commands {:?} have no answer", owner.open));
            }
            let calls = owner.calls.values();
            for call in calls.filter(|call| call.state != CallState::Ended || call.end.is_none()) {
                broken.push(format!("{name}: call {:?} is {:?} for ever", call.id, call.state));
            }
            let links = world.links(name);
            if links > PEER_LINKS_MAX {
                broken.push(format!("{name} has {links} links"));
            }
            broken.extend(burden(world, name));
        }
        broken.extend(self.super_peers.iter().flat_map(|name| self.grown(name)));
        self.outcome.calls = self.talks.len() as u64;
        self.outcome.broken = broken;
        self.outcome.hash = world.hash();
        self.outcome.lines = world.lines();
        self.outcome.events = world.events();
        self.outcome
    }

    /// What a super-peer holds too much of in the end.
    fn grown(&self, name: &str) -> Vec<String> {
        let links = self.world.links(name);
        let most = 4 * (self.people.len() + self.super_peers.len());
        let held = self.world.super_peer_load(name);
        let mut grown = Vec::new();
        if links > most {
            grown.push(format!("{name} has {links} links"));
        }
        if held.asks > 0 || held.lookups > 0 || held.dial_backs > 0 {
            grown.push(format!("{name} still waits for something: {held:?}"));
        }
        grown
    }
}

/// What a peer holds too much of in the end.
fn burden(world: &World, name: &str) -> Vec<String> {
    let held = world.peer(name).load();
    let quiet = held.asks == 0 && held.outbox == 0 && held.saves == 0 && held.searches == 0;
    if quiet { Vec::new() } else { vec![format!("{name} still holds {held:?}")] }
}
