//! One experiment: a ring at rest, churn and searches for some minutes, and what came of it.

use std::time::Duration;

use earshot_proto::super_peer::ring::Config;

use super::credentials::{Credentials, Signatures};
use super::fare::{Purpose, Sum};
use super::keeping::Standing;
use super::network::{Delays, Network};
use super::queue::{Moment, SECOND};
use super::users::Users;
use super::world::World;
use super::{lots, mean, percentile, unit};

/// How often a home refreshes a record. DESIGN 2.5.
pub(super) const REFRESH_EVERY: Moment = 12 * 60 * SECOND;
/// How often the homes look which records are due.
pub(super) const TICK: Moment = SECOND / 10;
/// Turns in which records are refreshed: user u's is u modulo this.
pub(super) const TURNS: u64 = REFRESH_EVERY / TICK;
/// How long a seat stays empty after a death, at most.
const EMPTY_MAX: Moment = 10 * SECOND;
/// Users of a dead home have another one after this, and register anew. DESIGN 2.6: 15 s at most.
const HOMELESS: Moment = 10 * SECOND;
/// A peer says that it is there after so much silence. DESIGN 2.4.
const BEAT_EVERY: Moment = 10 * SECOND;

/// The settings of an experiment.
#[derive(Clone, Copy, Debug)]
pub struct Trial {
    /// Super-peers.
    pub nodes: u32,
    /// Users, whose records they keep.
    pub users: usize,
    /// Minutes before anything is measured.
    pub warm_up: u64,
    /// Minutes that are measured.
    pub minutes: u64,
    /// Searches in that time.
    pub searches: u64,
    /// Median life of a super-peer; none: they live for ever. Lives are exponential, and for each
    /// that ends another begins.
    pub session: Option<Duration>,
    /// Share of super-peers that lie.
    pub liars: f64,
    /// Share of super-peers that die at once when measuring begins, without successors.
    pub fail: f64,
    /// Round trips.
    pub delays: Delays,
    /// Share of datagrams that are lost.
    pub loss: f64,
    /// Whether records have real signatures: then the run is no longer than a registration's life.
    pub is_signed: bool,
    /// The ring's times and thresholds.
    pub config: Config,
    /// The seed.
    pub seed: u64,
}

impl Trial {
    /// So many nodes at rest, ten users each, round trips of 80 ms.
    #[must_use]
    pub fn of(nodes: u32) -> Self {
        Self {
            nodes,
            users: nodes as usize * 10,
            warm_up: 0,
            minutes: 10,
            searches: 10_000,
            session: None,
            liars: 0.0,
            fail: 0.0,
            delays: Delays::Fixed,
            loss: 0.0,
            is_signed: false,
            config: Config::default(),
            seed: 1,
        }
    }
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// Searches that ended, by members that lived to see it.
    pub searches: usize,
    /// Percentage of them that gave the newest record.
    pub success_pct: f64,
    /// Nodes on the way to those that named the keepers.
    pub hops: Vec<f64>,
    /// How long searches took, in milliseconds.
    pub took_ms: Vec<f64>,
    /// Questions of a search.
    pub questions: Vec<f64>,
    /// What was sent for searches.
    pub search: Sum,
    /// What was sent to keep the ring.
    pub upkeep: Sum,
    /// What was sent to put and refresh records.
    pub records: Sum,
    /// What was sent to hand records over and to restore replicas.
    pub repair: Sum,
    /// Bytes that a super-peer sends a second to keep the ring.
    pub upkeep_per_node: f64,
    /// Signatures of records that were checked in the whole run, or would have to be.
    pub signatures: u64,
    /// Beats of users to their homes.
    pub beats: u64,
    /// Most questions of searches that one node was asked.
    pub busiest: u32,
    /// Other super-peers that one knows at the end, in the mean.
    pub known: f64,
    /// How the records stood right after the deaths at once, or at the end.
    pub before: Standing,
    /// How they stood at the end.
    pub after: Standing,
    /// Seconds from the deaths at once until every record that survived had its four keepers.
    pub repair_s: Option<f64>,
    /// Seconds from the deaths at once until every member had its true neighbours again.
    pub whole_s: Option<f64>,
    /// Births in the measured time.
    pub births: u64,
    /// Super-peers at the end that were outside, in full membership, and in a Chord ring.
    pub modes: [usize; 3],
    /// Events in all.
    pub events: u64,
}

impl Measured {
    /// Mean hops.
    #[must_use]
    pub fn mean_hops(&self) -> f64 {
        mean(&self.hops).unwrap_or(f64::NAN)
    }

    /// A percentile of the hops.
    pub fn hops_at(&mut self, share: f64) -> f64 {
        percentile(&mut self.hops, share).unwrap_or(f64::NAN)
    }

    /// A percentile of the time that a search takes, in milliseconds.
    pub fn took_at(&mut self, share: f64) -> f64 {
        percentile(&mut self.took_ms, share).unwrap_or(f64::NAN)
    }
}

/// What happens from outside.
#[derive(Clone, Copy, Debug)]
enum Act {
    Die { seat: u32 },
    Come { seat: u32 },
    Rehome { seat: u32 },
}

/// Runs an experiment.
#[must_use]
pub fn run(trial: &Trial) -> Measured {
    let mut run = Run::new(trial);
    let warm = trial.warm_up * 60 * SECOND;
    run.go(warm, 0);
    if trial.fail > 0.0 {
        run.fail(trial.fail);
    }
    let before = (trial.fail > 0.0).then(|| run.world.standing());
    let bill = run.world.bill;
    let (ended, births) = (run.world.ended.len(), run.births);
    let end = warm + trial.minutes * 60 * SECOND;
    run.go(end, trial.searches);
    let (unmeasured, births) = (ended, run.births - births);
    // The last searches end; nothing else is counted.
    let last = run.world.bill;
    run.world.run_until(end + 20 * SECOND);
    let world = run.world;
    let ended = &world.ended[unmeasured..];
    let since = |purpose| last.of(purpose).since(bill.of(purpose));
    let upkeep = since(Purpose::Upkeep);
    let seconds = (trial.minutes * 60) as f64;
    let after = world.standing();
    let living = world.living().count() as f64;
    Measured {
        searches: ended.len(),
        success_pct: 100.0 * ended.iter().filter(|e| e.is_right).count() as f64
            / ended.len().max(1) as f64,
        hops: ended.iter().map(|e| f64::from(e.outcome.hops)).collect(),
        took_ms: ended.iter().map(|e| e.took as f64 / 1000.0).collect(),
        questions: ended.iter().map(|e| f64::from(e.outcome.messages)).collect(),
        search: since(Purpose::Search),
        upkeep,
        records: since(Purpose::Records),
        repair: since(Purpose::Repair),
        upkeep_per_node: upkeep.bytes as f64 / living / seconds,
        signatures: world.credentials.checks(),
        beats: trial.users as u64 * trial.minutes * 60 * SECOND / BEAT_EVERY,
        busiest: world.nodes.iter().map(|node| node.asked).max().unwrap_or(0),
        known: world.known(),
        before: before.unwrap_or(after),
        after,
        repair_s: run.repaired,
        whole_s: run.whole,
        births,
        modes: world.modes(),
        events: world.events(),
    }
}

struct Run<'a> {
    trial: &'a Trial,
    world: World,
    acts: super::queue::Queue<Act>,
    /// Who sits where.
    seats: Vec<u32>,
    births: u64,
    /// When the deaths at once were.
    failed: Option<Moment>,
    repaired: Option<f64>,
    whole: Option<f64>,
    lots: earshot_proto::entropy::Stream,
}

impl<'a> Run<'a> {
    fn new(trial: &'a Trial) -> Self {
        let users = Users::new(trial.users, &mut lots(trial.seed, 2));
        let network = Network::new(trial.delays, trial.loss, lots(trial.seed, 3));
        let credentials = if trial.is_signed {
            let signatures = Signatures::new(trial.users, &mut lots(trial.seed, 5));
            Credentials::Real(Box::new(signatures))
        } else {
            Credentials::default()
        };
        let mut world = World::new(trial.seed, trial.config, network, users, credentials);
        let mut lots = lots(trial.seed, 4);
        world.found(trial.nodes, |_| unit(&mut lots) < trial.liars);
        world.put_all();
        let acts = super::queue::Queue::default();
        let seats = (0..trial.nodes).collect();
        let (failed, repaired, whole) = (None, None, None);
        let mut run = Self { trial, world, acts, seats, births: 0, failed, repaired, whole, lots };
        for seat in 0..trial.nodes {
            run.live(0, seat);
        }
        run
    }

    /// A life begins; its end is planned.
    fn live(&mut self, now: Moment, seat: u32) {
        let Some(median) = self.trial.session else { return };
        let mean = median.as_secs_f64() / std::f64::consts::LN_2;
        let life = -mean * (1.0 - unit(&mut self.lots)).ln();
        self.acts.push(now + (life * SECOND as f64) as Moment, Act::Die { seat });
    }

    /// A share of all die at once.
    fn fail(&mut self, share: f64) {
        let dying: Vec<u32> =
            self.world.living().filter(|_| unit(&mut self.lots) < share).collect();
        dying.iter().for_each(|number| self.world.kill(*number));
        self.failed = Some(self.world.now);
    }

    /// Runs until that moment with so many searches, evenly spread.
    fn go(&mut self, end: Moment, searches: u64) {
        let begun = self.world.now;
        let mut done = 0;
        let mut tick = begun / TICK;
        while self.world.now < end {
            tick += 1;
            let until = (tick * TICK).min(end);
            while let Some((at, act)) = self.acts.pop_until(until) {
                self.world.run_until(at);
                self.act(at, act);
            }
            let due = searches * (until - begun) / (end - begun);
            let from = self.world.now;
            for search in done..due {
                let at = from + (until - from) * (search - done) / (due - done);
                self.world.run_until(at);
                self.search();
            }
            done = due;
            self.world.run_until(until);
            self.refresh_due(tick);
            self.see_repair();
        }
    }

    fn search(&mut self) {
        if self.world.users.is_empty() {
            return;
        }
        let user = self.lots.below(self.world.users.len() as u64) as usize;
        if let Some(by) = self.world.honest_by_lot() {
            self.world.search(by, user);
        }
    }

    fn act(&mut self, now: Moment, act: Act) {
        match act {
            Act::Die { seat } => {
                self.world.kill(self.seats[seat as usize]);
                let empty = self.lots.below(EMPTY_MAX);
                self.acts.push(now + empty, Act::Come { seat });
                let homeless = self.lots.below(HOMELESS);
                self.acts.push(now + homeless, Act::Rehome { seat });
            }
            Act::Come { seat } => {
                self.births += 1;
                let lies = unit(&mut self.lots) < self.trial.liars;
                self.seats[seat as usize] = self.world.join(lies);
                self.live(now, seat);
            }
            Act::Rehome { seat } => {
                let Some(home) = self.world.honest_by_lot() else { return };
                for user in (seat as usize..self.trial.users).step_by(self.seats.len()) {
                    self.world.refresh(home, user);
                }
            }
        }
    }

    /// The records whose turn it is are refreshed by their homes. The home of user u sits at seat
    /// u modulo the number of seats; while the seat is empty another refreshes.
    /// After deaths at once nobody refreshes until the copies are whole: what the keepers do is to
    /// be seen.
    fn refresh_due(&mut self, tick: u64) {
        if self.failed.is_some() && self.repaired.is_none() {
            return;
        }
        let first = (tick % TURNS) as usize;
        for user in (first..self.trial.users).step_by(TURNS as usize) {
            let home = self.seats[user % self.seats.len()];
            let home = if self.world.lives(home) {
                home
            } else if let Some(other) = self.world.honest_by_lot() {
                other
            } else {
                continue;
            };
            self.world.refresh(home, user);
        }
    }

    /// Looks twice a second whether ring and records are whole again.
    fn see_repair(&mut self) {
        let Some(failed) = self.failed else { return };
        let since = self.world.now - failed;
        if since % (SECOND / 2) >= TICK {
            return;
        }
        let seconds = since as f64 / SECOND as f64;
        if self.whole.is_none() && self.world.is_whole() {
            self.whole = Some(seconds);
        }
        if self.repaired.is_none() && self.world.standing().partial == 0 {
            self.repaired = Some(seconds);
        }
    }
}
