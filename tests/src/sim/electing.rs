//! People whose machines may serve too: what `earshotd peer` does with a candidacy, in virtual
//! time.
//!
//! The candidacy is the node's own ([`earshot_node::candidacy`]); what stands in is the measuring
//! of the machine. A super-peer that is taken in lives on the host of its peer, behind the same
//! port.

use std::collections::BTreeMap;
use std::time::Duration;

use earshot_node::candidacy::{Candidacy, Wish};
use earshot_node::fitness::{Measured, UPSTREAM_ASSUMED_BPS, UpstreamFrom};
use earshot_proto::peer::Peer;
use earshot_proto::peer::command::{Answer, Command};
use earshot_proto::port::LinkDown;
use earshot_proto::super_peer::election::{Band, Cause, Choice, Decision, Power, Tariff};
use earshot_proto::super_peer::{Notice, SuperPeer};

use super::host::{Blueprint, Role};
use super::world::World;

/// How finely the candidates' time passes.
const TICK: Duration = Duration::from_secs(1);

/// The people who may serve, by name.
#[derive(Default)]
pub struct Candidates {
    by_name: BTreeMap<String, Candidate>,
    /// What was done, in order: when, who, and why it ended, if it did.
    pub log: Vec<(Duration, String, Option<Cause>)>,
}

struct Candidate {
    candidacy: Candidacy,
    /// How long the machine was on line when the world began.
    up: Duration,
    testing: Option<u64>,
}

impl Candidates {
    /// Who serves.
    #[must_use]
    pub fn serving(&self) -> Vec<&str> {
        let serving = self.by_name.iter().filter(|(_, one)| one.candidacy.is_serving());
        serving.map(|(name, _)| name.as_str()).collect()
    }

    /// How often anybody began to serve, and stopped.
    #[must_use]
    pub fn changes(&self) -> (usize, usize) {
        let ends = self.log.iter().filter(|(_, _, cause)| cause.is_some()).count();
        (self.log.len() - ends, ends)
    }
}

/// The name of the super-peer in somebody's machine.
#[must_use]
pub fn node_of(name: &str) -> String {
    format!("{name}-node")
}

impl World {
    /// How many clients super-peers are to have that start from now on.
    #[must_use]
    pub const fn with_band(mut self, band: Band) -> Self {
        self.band = band;
        self
    }

    /// Somebody who is there may serve from now on.
    pub fn would_serve(
        &mut self,
        among: &mut Candidates,
        name: &str,
        choice: Choice,
        up: Duration,
    ) {
        let (now, jitter) = (self.instant(), self.seeds.split());
        let candidacy = Candidacy::new(now, Some(choice), self.band, None, jitter);
        let candidate = Candidate { candidacy, up, testing: None };
        among.by_name.insert(name.to_owned(), candidate);
    }

    /// Somebody chooses anew.
    pub fn chooses(&mut self, among: &mut Candidates, name: &str, choice: Choice) {
        let now = self.instant();
        let one = among.by_name.get_mut(name).expect("a candidate");
        one.candidacy.choose(now, choice);
        self.obeys(among, name);
    }

    /// What a candidate has decided.
    #[must_use]
    pub fn decision(&self, among: &Candidates, name: &str) -> Decision {
        among.by_name[name].candidacy.decision(self.instant())
    }

    /// Lets time pass, with candidates; `look` looks on at each second.
    pub fn pass(&mut self, among: &mut Candidates, time: Duration, mut look: impl FnMut(&Self)) {
        let end = self.now() + time;
        let names: Vec<String> = among.by_name.keys().cloned().collect();
        while self.now() < end {
            self.run_for(TICK);
            for name in &names {
                self.hears(among, name);
                self.obeys(among, name);
            }
            look(self);
        }
    }

    fn hears(&mut self, among: &mut Candidates, name: &str) {
        let (now, id) = (self.instant(), self.id(name));
        let one = among.by_name.get_mut(name).expect("a candidate");
        let owner = &mut self.machine_mut(id).owner;
        if owner.session.is_none() {
            return one.candidacy.handle_logout(now);
        }
        let home = owner.network.as_ref().and_then(|view| view.home);
        one.candidacy.handle_home(now, home.map(|(node, _)| node.node));
        if let Some((super_peers, clients)) = owner.around.take() {
            one.candidacy.handle_around(now, super_peers, clients);
        }
        if std::mem::take(&mut owner.invited) > 0 {
            one.candidacy.handle_invited(now);
        }
        if let Some(answer) = one.testing.and_then(|ask| owner.answers.remove(&ask)) {
            one.testing = None;
            let verdicts = match answer {
                Ok(Answer::Reach(verdicts)) => Some(verdicts),
                Ok(_) | Err(_) => None,
            };
            one.candidacy.handle_tested(now, verdicts);
        }
        if one.candidacy.poll_timeout().is_some_and(|at| at <= now) {
            one.candidacy.handle_timeout(now);
        }
    }

    fn obeys(&mut self, among: &mut Candidates, name: &str) {
        loop {
            let one = among.by_name.get_mut(name).expect("a candidate");
            let Some(wish) = one.candidacy.poll_wish() else { return };
            let now = self.instant();
            match wish {
                Wish::Test => one.testing = Some(self.command(name, Command::TestReach)),
                Wish::AskAround(score) => self.of_peer(name, |peer| peer.ask_around(now, score)),
                Wish::Measure => {
                    let measured = Measured {
                        up: one.up + self.now(),
                        upstream_bps: UPSTREAM_ASSUMED_BPS,
                        upstream_from: UpstreamFrom::Assumed,
                        idle_percent: 90,
                        idle_known: true,
                        power: Power::Mains,
                        tariff: Tariff::Flat,
                        tariff_known: false,
                    };
                    one.candidacy.handle_measured(now, measured);
                    let rating = one.candidacy.rating(now);
                    if let Some(node) = self.node_in(name) {
                        node.rate(rating);
                        let need = node.need(now);
                        one.candidacy.handle_need(now, need);
                    }
                }
                Wish::Promote => {
                    among.log.push((self.now(), name.to_owned(), None));
                    self.promote(name);
                }
                Wish::Demote(cause) => {
                    among.log.push((self.now(), name.to_owned(), Some(cause)));
                    self.demote(name);
                }
            }
        }
    }

    fn of_peer(&mut self, name: &str, job: impl FnOnce(&mut Peer)) {
        let id = self.id(name);
        if let Some(Role::Peer(peer)) = &mut self.machine_mut(id).role {
            job(peer);
        }
        self.drain(id);
    }

    fn node_in(&mut self, name: &str) -> Option<&mut SuperPeer> {
        let id = *self.names.get(&node_of(name))?;
        match &mut self.machine_mut(id).role {
            Some(Role::SuperPeer(node)) => Some(node),
            Some(Role::Peer(_) | Role::Authority(_) | Role::Adversary(_) | Role::Script(_))
            | None => None,
        }
    }

    fn promote(&mut self, name: &str) {
        let (keys, chain) = self.peer(name).node_owner().expect("somebody is logged in");
        let owner = Some(Box::new(chain));
        let host = self.machine(self.id(name)).host;
        let node = node_of(name);
        match self.names.get(&node).copied() {
            Some(id) => {
                if let Blueprint::SuperPeer { owner: before, .. } =
                    &mut self.machine_mut(id).blueprint
                {
                    *before = owner;
                }
            }
            None => {
                let network = self.network.clone().expect("a network was founded");
                let (sign, link) = (*keys.sign.secret(), *keys.link.secret());
                let (root, authority) = (network.root, network.authority);
                let token = None;
                let (claims, limits) = (None, Box::new(self.limits));
                let plan = Blueprint::SuperPeer {
                    sign,
                    link,
                    root,
                    authority,
                    token,
                    owner,
                    claims,
                    limits,
                };
                self.house(host, &node, plan);
            }
        }
        self.start_host(host);
        let limit = Duration::from_secs(5);
        assert!(self.comes_true(|w| w.serves(&node), limit), "{:?}", self.owner(&node).super_peer);
        let told = self.owner(&node).super_peer.iter().rev();
        let key = told.into_iter().find_map(|notice| match notice {
            Notice::Serving { entry, .. } => Some(entry.key),
            Notice::NotEnrolled(_) | Notice::Deserted => None,
        });
        self.of_peer(name, |peer| peer.own_super_peer(key));
    }

    fn demote(&mut self, name: &str) {
        let now = self.instant();
        let id = self.id(&node_of(name));
        if let Some(node) = self.node_in(name) {
            node.leave(now);
        }
        self.drain(id);
        self.end_life(id);
        let links: Vec<_> = self.machine(id).links.keys().copied().collect();
        for link in links {
            self.close(id, link, LinkDown::Closed);
        }
        self.of_peer(name, |peer| peer.own_super_peer(None));
    }
}
