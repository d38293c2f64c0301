//! SIGKILL at random moments, two hundred times: while starting, while logging in, while writing.
//! What was acknowledged is there afterwards, once; what was not may be sent again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use earshot_proto::entropy::{Entropy, Stream};
use earshot_proto::ids::UserName;
use earshot_proto::peer::command::{Answer, Command, Failure};
use earshot_proto::secure::password::Password;
use earshot_proto::wire::bounded::Text;
use earshot_tests::harness::{Daemon, Launch, Role, Trouble};
use serde_json::{Value, json};

use crate::inside::{Inside, invite};
use crate::world::{PASSWORD, SOON, World, befriend, log_in};

const PEER_KILLS: usize = 100;
const SUPER_PEER_KILLS: usize = 50;
const AUTHORITY_KILLS: usize = 50;
const _: () = assert!(PEER_KILLS + SUPER_PEER_KILLS + AUTHORITY_KILLS == 200, "issue 2");

/// The moments of the kills.
struct Fate(Stream);

impl Fate {
    fn new(seed: u8) -> Self {
        Self(Entropy::new([seed; 32]).jitter)
    }

    fn below(&mut self, end: usize) -> usize {
        self.0.below(end as u64) as usize
    }

    /// Some moment within `ms` milliseconds.
    fn moment(&mut self, ms: u64) -> Duration {
        Duration::from_micros(self.0.below(ms * 1_000))
    }
}

/// Kills the process after a while and does `work` meanwhile, which ends when nothing answers.
fn doomed<T>(daemon: &Daemon, after: Duration, work: impl FnOnce() -> T) -> T {
    let done = std::thread::scope(|scope| {
        scope.spawn(|| {
            // Its end is waited for, and so nobody is killed twice; mostly the time is up first.
            let _ = daemon.wait_exit(after);
            daemon.kill();
        });
        work()
    });
    daemon.wait_exit(SOON).unwrap();
    done
}

/// Starts a process and kills it before, while or just after it says that it is ready.
fn killed_while_starting(world: &World, launch: &Launch, after: Duration) {
    let daemon = Daemon::start(launch, world.scratch.path()).unwrap();
    doomed(&daemon, after, || {});
}

/// Whether it was granted; a process that is gone grants nothing, one that refuses is wrong.
fn granted(result: Result<Value, Trouble>) -> bool {
    if let Err(trouble) = &result {
        assert!(trouble.refusal().is_none(), "{trouble}");
    }
    result.is_ok()
}

/// What was acknowledged to a peer's owner, and what is still to be sent.
#[derive(Default)]
struct Ledger {
    written: Vec<String>,
    unsure: Vec<String>,
    blocked: Vec<String>,
    count: usize,
}

impl Ledger {
    /// Writes to Bob, and now and then blocks somebody, until that is no longer answered.
    fn work(&mut self, alice: &Daemon, most: usize) {
        let again = std::mem::take(&mut self.unsure);
        let mut again = again.into_iter();
        for round in 0..most {
            self.count += 1;
            let id = again.next().unwrap_or_else(|| format!("message {}", self.count));
            let params = json!({ "to": "bob", "text": id, "clientId": id });
            if !granted(alice.rpc("chat.send", params)) {
                self.unsure.push(id);
                break;
            }
            self.written.push(id);
            if round % 4 == 1 {
                let pest = format!("pest{}", self.count);
                if !granted(alice.rpc("buddies.block", json!({ "user": pest }))) {
                    break;
                }
                self.blocked.push(pest);
            }
        }
        self.unsure.extend(again);
    }

    /// All that was acknowledged is there, and nothing twice.
    fn holds(&self, alice: &Daemon) {
        let times = conversation(alice, "bob", "clientId");
        for id in &self.written {
            assert_eq!(times.get(id), Some(&1), "{id} of {} was acknowledged", self.written.len());
        }
        assert!(times.values().all(|times| *times == 1), "{times:?}");
        let list = alice.rpc("buddies.list", json!({})).unwrap();
        let buddies = list["buddies"].as_array().unwrap();
        let relation = |user: &str| {
            let buddy = buddies.iter().find(|buddy| buddy["user"] == user);
            buddy.map(|buddy| buddy["relation"].as_str().unwrap().to_owned())
        };
        assert_eq!(relation("bob").as_deref(), Some("buddy"));
        for user in &self.blocked {
            assert_eq!(relation(user).as_deref(), Some("blocked"), "{user}");
        }
    }
}

/// How often each value of a field is in the whole conversation.
fn conversation(peer: &Daemon, with: &str, field: &str) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    let mut before = Value::Null;
    loop {
        let mut params = json!({ "with": with, "limit": 500 });
        if !before.is_null() {
            params["before"] = before;
        }
        let page = peer.rpc("chat.history", params).unwrap();
        let messages = page["messages"].as_array().unwrap();
        for message in messages {
            *times.entry(message[field].as_str().unwrap().to_owned()).or_default() += 1;
        }
        if page["more"] != true {
            return times;
        }
        before = messages[0]["id"].clone();
    }
}

#[test]
fn a_peer_that_is_killed_loses_nothing_that_it_acknowledged() {
    let world = World::new("kill-peers");
    let network = world.network("network");
    let (mut alice, mut bob) = (world.person("alice", &network), world.person("bob", &network));
    befriend(("alice", &alice), ("bob", &bob));
    let launch = |name: &str| world.launch(name, Role::Peer);
    let back = |name: &str| {
        let peer = world.spawn(&launch(name)).unwrap();
        log_in(&peer, name).unwrap();
        peer
    };
    let (mut fate, mut ledger) = (Fate::new(21), Ledger::default());
    let begun = Instant::now();
    let mut kills = 0;
    while kills < PEER_KILLS {
        match fate.below(6) {
            0 | 1 => {
                let after = fate.moment(120);
                doomed(&alice, after, || ledger.work(&alice, 40));
                killed_while_starting(&world, &launch("alice"), fate.moment(60));
                kills += 2;
            }
            2 => {
                doomed(&alice, Duration::ZERO, || {});
                let peer = world.spawn(&launch("alice")).unwrap();
                let after = fate.moment(500);
                doomed(&peer, after, || {
                    if granted(log_in(&peer, "alice")) {
                        ledger.work(&peer, 200);
                    }
                });
                kills += 2;
            }
            3 | 4 => {
                let after = fate.moment(60);
                doomed(&alice, after, || ledger.work(&alice, 40));
                kills += 1;
            }
            _ => {
                let after = fate.moment(60);
                doomed(&bob, after, || ledger.work(&alice, 4));
                bob = back("bob");
                kills += 1;
                continue;
            }
        }
        alice = back("alice");
        ledger.holds(&alice);
    }
    println!("{kills} kills in {:?}: {} messages", begun.elapsed(), ledger.written.len());
    assert!(ledger.written.len() > PEER_KILLS, "{} messages", ledger.written.len());
    // Once on Bob's screen too, each. A super-peer takes twenty a second from a device in the long
    // run, so it is no time for all that counts, but that they go on coming.
    ledger.work(&alice, ledger.unsure.len());
    let arrived = loop {
        let mark = bob.mark();
        let arrived = conversation(&bob, "alice", "text");
        let missing = ledger.written.iter().filter(|text| !arrived.contains_key(*text)).count();
        if missing == 0 {
            break arrived;
        }
        let more = bob.wait_event(mark, SOON, "message", |event| event["type"] == "messageChanged");
        assert!(more.is_ok(), "{missing} messages are still on their way");
    };
    assert!(arrived.values().all(|times| *times == 1), "{arrived:?}");
}

#[test]
fn a_super_peer_that_is_killed_stays_enrolled() {
    let world = World::new("kill-super-peer");
    let authority = world.spawn(&world.launch("authority", Role::Authority)).unwrap();
    let mut super_peer = world.super_peer("super-peer", &authority);
    let anna = world.person("anna", &super_peer);
    let (uri, key) = (authority.told("authority").unwrap(), node_key(&super_peer));
    let address = super_peer.told("listen").unwrap().to_owned();
    // Without a token: it must not need another.
    let launch = world.bare("super-peer", Role::SuperPeer);
    let launch = launch.args(["--authority", uri, "--listen", address.as_str()]);
    let mut fate = Fate::new(22);
    for kill in 0..SUPER_PEER_KILLS {
        if kill % 3 == 0 {
            doomed(&super_peer, fate.moment(40), || {});
        } else {
            super_peer.kill();
            super_peer.wait_exit(SOON).unwrap();
            killed_while_starting(&world, &launch, fate.moment(80));
        }
        drop(super_peer);
        super_peer = world.spawn(&launch).unwrap();
        assert_eq!(node_key(&super_peer), key);
    }
    // And it serves: whoever was its client finds back, and a newcomer finds in.
    let ben = world.person("ben", &super_peer);
    befriend(("anna", &anna), ("ben", &ben));
}

fn node_key(super_peer: &Daemon) -> String {
    super_peer.told("nodeKey").unwrap().to_owned()
}

#[test]
fn an_authority_that_is_killed_keeps_every_account_that_it_certified() {
    let world = World::new("kill-authority");
    let mut authority = world.spawn(&world.launch("authority", Role::Authority)).unwrap();
    let super_peer = world.super_peer("super-peer", &authority);
    let uri = super_peer.told("invite").unwrap();
    let address = authority.told("listen").unwrap().to_owned();
    let launch = world.bare("authority", Role::Authority);
    let launch = launch.args(["--name", "test", "--listen", address.as_str()]);
    let newcomer = |name: &str| {
        let mut inside = Inside::new(&world.data(name));
        inside.ask(Command::Join(invite(uri))).unwrap();
        inside
    };
    let returns = |name: &str, times: usize| {
        let mut inside = newcomer(&format!("{name}-again-{times}"));
        let answer = inside.ask(Command::Login { user: user(name), password: password() });
        assert!(matches!(answer, Ok(Answer::LoggedIn(..))), "{name}: {answer:?}");
    };
    let (mut fate, mut certified) = (Fate::new(23), Vec::new());
    let begun = Instant::now();
    let mut count = 0;
    for kill in 0..AUTHORITY_KILLS {
        if kill % 3 == 0 {
            authority.kill();
            authority.wait_exit(SOON).unwrap();
            killed_while_starting(&world, &launch, fate.moment(60));
        } else {
            let after = fate.moment(150);
            let until = Instant::now() + after + Duration::from_millis(30);
            doomed(&authority, after, || {
                while Instant::now() < until {
                    count += 1;
                    let name = format!("user{count}");
                    let mut inside = newcomer(&name);
                    let display_name = Text::default();
                    let (user, password) = (user(&name), password());
                    inside.order(Command::Register { user, password, display_name });
                    match inside.answer_until(until) {
                        Some(Ok(Answer::Registered(..))) => certified.push(name),
                        None | Some(Err(Failure::AuthorityUnreachable)) => {}
                        other => panic!("{name}: {other:?}"),
                    }
                }
            });
        }
        drop(authority);
        authority = world.spawn(&launch).unwrap();
        if let Some(name) = certified.last() {
            returns(name, kill);
        }
    }
    println!("{AUTHORITY_KILLS} kills in {:?}: {} accounts", begun.elapsed(), certified.len());
    assert!(certified.len() > 10, "{} accounts", certified.len());
    for name in &certified {
        returns(name, AUTHORITY_KILLS);
    }
}

fn user(name: &str) -> UserName {
    UserName::new(name).unwrap()
}

fn password() -> Password {
    Password::new(PASSWORD).unwrap()
}
