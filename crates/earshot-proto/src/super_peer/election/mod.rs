//! Whether this machine serves as a super-peer. DESIGN 2.12; lecture, slide 15.
//!
//! Its owner says *Always* or *Never*, or leaves it to [`Election`]: that one wants to be invited
//! by an overloaded home, to be reachable, fit, on mains and on a flat tariff, and to see that the
//! network lacks super-peers. Nobody serves who is not reachable. Invariants, whatever comes in:
//!
//! - No promotion without [`VERIFIERS_NEEDED`] super-peers that got through by TCP and as many by
//!   UDP, in verdicts that still hold. Where the network is known to have but one other, that one:
//!   see [`Election::verifiers_needed`].
//! - Under *Auto* no promotion on battery or a metered line, and none within [`REST`] after a
//!   demotion; and neither score nor abundance ends a service within [`TERM`].
//!
//! The machine serves nobody itself: its owner acts on [`Election::poll_order`], gives it what was
//! measured each minute, and calls [`Election::handle_timeout`] when [`Election::poll_timeout`]
//! says so. Its other half, at the home, is [`Inviting`].

mod inviting;
mod score;
#[cfg(test)]
mod tests;
mod verdicts;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::entropy::Stream;
use crate::ids::NodeId;

pub use inviting::{CANDIDATES_MAX, INVITE_EVERY, Inviting};
pub use score::{AddressKind, Fitness, Power, SCORE_MAX, Score, Tariff};
use verdicts::Verdicts;
pub use verdicts::{Finding, Tally, Transport, VERDICT_LIFE, VERIFIERS_MAX, VERIFIERS_NEEDED};

/// From this score on a machine is promoted. Our choice: a machine with a changing address gets
/// there with half a day on line and half of the line that counts.
pub const SCORE_ENTER: u16 = 400;
/// Below this one it is demoted: three quarters of what a busy processor can cost lie between the
/// two, so that work on the machine alone seldom ends a service.
pub const SCORE_STAY: u16 = 250;
/// How long everything must speak for a promotion, or a score or abundance for a demotion.
pub const SETTLE: Duration = Duration::from_secs(2 * 60);
/// A promotion, and a demotion for abundance, waits up to so much longer, by full jitter, so that
/// not everybody does the same at once.
pub const JITTER: Duration = Duration::from_secs(3 * 60);
/// How long nobody has to have been reached before a super-peer gives up: verdicts are being
/// renewed, and a router restarts in less.
pub const LOST_PATIENCE: Duration = Duration::from_secs(5 * 60);
/// The least time of service that score and abundance grant. Our choice: a hand-over of clients and
/// keys costs minutes, and should pay.
pub const TERM: Duration = Duration::from_secs(3600);
/// The least time between a demotion and the next promotion under *Auto*; it doubles with each
/// demotion, up to sixteen times, until a service has lasted [`PROVEN`].
pub const REST: Duration = Duration::from_secs(3600);
/// After so long a service what was before is forgiven.
pub const PROVEN: Duration = Duration::from_secs(8 * 3600);
/// How long the authority is not asked again after it did not let us serve, even under *Always*.
pub const ENROL_AGAIN: Duration = Duration::from_secs(60);
/// How long an invitation holds: until [`SETTLE`] and [`JITTER`] are over, thrice.
pub const INVITATION_LIFE: Duration = Duration::from_secs(15 * 60);
/// How long a view of the network holds.
pub const NEED_LIFE: Duration = Duration::from_secs(10 * 60);

const REST_DOUBLINGS_MAX: u32 = 4;

/// What the owner wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// To serve when it is of use.
    Auto,
    /// To serve whenever it is possible.
    Always,
    /// Not to serve.
    Never,
}

/// How many super-peers a network wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Band {
    /// Fewer clients per super-peer are a waste.
    pub low: u32,
    /// More are too many; at least four times `low`, or one more and one less chase each other.
    pub high: u32,
    /// So many are wanted however few the clients are.
    pub least: u32,
}

impl Default for Band {
    /// Around the hundred clients per super-peer that 10^7 users at 10^5 super-peers are; four keep
    /// each key (DESIGN 1).
    fn default() -> Self {
        Self { low: 50, high: 200, least: 4 }
    }
}

impl Band {
    const fn quarter(&self) -> u32 {
        (self.high - self.low) / 4
    }

    /// Whether the network wants more super-peers: a quarter before the end of the band.
    #[must_use]
    pub const fn lacks(&self, need: &Need) -> bool {
        let each = (self.high - self.quarter()) as u64;
        need.super_peers < self.least || need.clients as u64 > need.super_peers as u64 * each
    }

    /// Whether it has more than it wants: a quarter before the other end.
    #[must_use]
    pub const fn abounds(&self, need: &Need) -> bool {
        let each = (self.low + self.quarter()) as u64;
        let is_few = (need.clients as u64) < need.super_peers as u64 * each;
        need.super_peers > self.least && is_few
    }

    /// How many more would bring it to the middle of the band.
    #[must_use]
    pub fn missing(&self, need: &Need) -> u32 {
        let wanted = need.clients.div_ceil(u32::midpoint(self.low, self.high)).max(self.least);
        wanted.saturating_sub(need.super_peers)
    }
}

/// What is known of the super-peers around: all of them, or a node's neighbours on the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Super-peers counted, whoever counts among them.
    pub super_peers: u32,
    /// Clients of all of them.
    pub clients: u32,
    /// The lowest score among the others that were elected. Who serves because the owner wants it
    /// does not leave, and is not waited for.
    pub weakest_other: Option<u16>,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Enrol and serve; [`Election::handle_not_enrolled`] if that fails.
    Promote,
    /// Hand over clients and keys, then stop serving.
    Demote(Cause),
}

/// Why a service ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Its owner wants it.
    OwnerSaysNever,
    /// The machine draws on its battery.
    OnBattery,
    /// The line is metered.
    Metered,
    /// Too few others get through to it.
    NotReached,
    /// The machine is not fit any more.
    LowScore,
    /// There are more than the network needs, and this is the weakest.
    Abundance,
    /// The authority does not let it serve.
    NotEnrolled,
}

/// What stands against a promotion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// Its owner does not want it.
    OwnerSaysNever,
    /// Too few others got through by this transport.
    NotReached(Transport, Tally),
    /// Nothing was measured yet.
    NotMeasured,
    /// The machine draws on its battery.
    OnBattery,
    /// The line is metered.
    Metered,
    /// Its score is below [`SCORE_ENTER`].
    LowScore(u16),
    /// No home has invited it lately.
    NotInvited,
    /// The network has enough super-peers, or nothing is known of it.
    NotNeeded,
    /// It was demoted not long ago; so long it rests.
    Resting(Duration),
    /// The authority did not let it serve; it is asked again after so long.
    NotEnrolled(Duration),
}

/// Where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// An ordinary peer.
    Ordinary,
    /// About to be promoted, in so long at the latest, if nothing comes between.
    Standby(Duration),
    /// A super-peer for so long; perhaps about to end for a reason, in so long.
    Serving(Duration, Option<(Cause, Duration)>),
}

/// What is decided now, and from what: for the owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What the owner wants.
    pub choice: Choice,
    /// Where it stands.
    pub standing: Standing,
    /// The score and its shares, once measured.
    pub score: Option<Score>,
    /// Who got through by TCP.
    pub tcp: Tally,
    /// Who got through by UDP.
    pub udp: Tally,
    /// How many must get through by each.
    pub verifiers_needed: u8,
    /// What stands against a promotion, were it to be decided now.
    pub obstacles: Vec<Obstacle>,
}

#[derive(Debug)]
enum State {
    Ordinary,
    Standby { due: Instant },
    Serving { since: Instant, doubt: Option<Doubt> },
}

#[derive(Clone, Copy, Debug)]
struct Doubt {
    cause: Cause,
    due: Instant,
}

/// The machine.
#[derive(Debug)]
pub struct Election {
    band: Band,
    choice: Choice,
    jitter: Stream,
    state: State,
    verdicts: Verdicts,
    fitness: Option<Fitness>,
    need: Option<(Need, Instant)>,
    invited: Option<Instant>,
    rests_until: Option<Instant>,
    /// Until when the authority is not asked again.
    refused_until: Option<Instant>,
    /// Demotions since a service lasted.
    demotions: u32,
    /// When it last decided: what ended before then is taken into account.
    decided: Instant,
    orders: VecDeque<Order>,
}

impl Election {
    /// An ordinary peer's.
    #[must_use]
    pub fn new(now: Instant, choice: Choice, band: Band, jitter: Stream) -> Self {
        Self {
            band,
            choice,
            jitter,
            state: State::Ordinary,
            verdicts: Verdicts::default(),
            fitness: None,
            need: None,
            invited: None,
            rests_until: None,
            refused_until: None,
            demotions: 0,
            decided: now,
            orders: VecDeque::new(),
        }
    }

    /// The owner has chosen.
    pub fn choose(&mut self, now: Instant, choice: Choice) {
        self.choice = choice;
        self.decide(now);
    }

    /// A super-peer has dialled back.
    pub fn handle_verdict(&mut self, now: Instant, by: NodeId, how: Transport, finding: Finding) {
        self.verdicts.hear(now, by, how, finding);
        self.decide(now);
    }

    /// The machine has another address: what was found before says nothing.
    pub fn handle_moved(&mut self, now: Instant) {
        self.verdicts.forget();
        self.decide(now);
    }

    /// The machine was measured.
    pub fn handle_fitness(&mut self, now: Instant, fitness: Fitness) {
        self.fitness = Some(fitness);
        self.decide(now);
    }

    /// The home has told of the network, or, for a super-peer, its neighbours have.
    pub fn handle_need(&mut self, now: Instant, need: Need) {
        self.need = Some((need, now + NEED_LIFE));
        self.decide(now);
    }

    /// The home invites us to serve.
    pub fn handle_invited(&mut self, now: Instant) {
        self.invited = Some(now + INVITATION_LIFE);
        self.decide(now);
    }

    /// The authority did not let us serve.
    pub fn handle_not_enrolled(&mut self, now: Instant) {
        if matches!(self.state, State::Serving { .. }) {
            self.refused_until = Some(now + ENROL_AGAIN);
            self.demote(now, Cause::NotEnrolled);
        }
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.decide(now);
    }

    /// When time alone may change something.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let due = match &self.state {
            State::Ordinary => None,
            State::Standby { due } => Some(*due),
            State::Serving { doubt, .. } => doubt.map(|doubt| doubt.due),
        };
        let ends = [
            due,
            self.verdicts.next_end(self.decided),
            self.need.map(|(_, end)| end),
            self.invited,
            self.rests_until,
            self.refused_until,
        ];
        ends.into_iter().flatten().filter(|at| *at > self.decided).min()
    }

    /// What is to be done next.
    pub fn poll_order(&mut self) -> Option<Order> {
        self.orders.pop_front()
    }

    /// Whether it serves.
    #[must_use]
    pub const fn is_serving(&self) -> bool {
        matches!(self.state, State::Serving { .. })
    }

    /// What is decided, and why.
    #[must_use]
    pub fn decision(&self, now: Instant) -> Decision {
        let left = |at: Instant| at.saturating_duration_since(now);
        let standing = match &self.state {
            State::Ordinary => Standing::Ordinary,
            State::Standby { due } => Standing::Standby(left(*due)),
            State::Serving { since, doubt } => Standing::Serving(
                now.saturating_duration_since(*since),
                doubt.map(|doubt| (doubt.cause, left(doubt.due))),
            ),
        };
        Decision {
            choice: self.choice,
            standing,
            score: self.fitness.as_ref().map(Score::of),
            tcp: self.verdicts.tally(now, Transport::Tcp),
            udp: self.verdicts.tally(now, Transport::Udp),
            verifiers_needed: self.verifiers_needed(now),
            obstacles: self.obstacles(now),
        }
    }

    fn decide(&mut self, now: Instant) {
        self.decided = now;
        match self.state {
            State::Serving { since, doubt } => self.decide_to_stay(now, since, doubt),
            State::Ordinary | State::Standby { .. } if !self.obstacles(now).is_empty() => {
                self.state = State::Ordinary;
            }
            State::Ordinary if self.choice == Choice::Auto => {
                let due = now + SETTLE + self.draw(JITTER);
                self.state = State::Standby { due };
            }
            State::Standby { due } if self.choice == Choice::Auto && now < due => {}
            State::Ordinary | State::Standby { .. } => {
                self.state = State::Serving { since: now, doubt: None };
                self.invited = None;
                self.orders.push_back(Order::Promote);
            }
        }
    }

    fn decide_to_stay(&mut self, now: Instant, since: Instant, doubt: Option<Doubt>) {
        let doubt = self.cause_to_end(now).map(|cause| match doubt {
            Some(doubt) if doubt.cause == cause => doubt,
            Some(_) | None => Doubt { cause, due: self.end_of_patience(now, since, cause) },
        });
        self.state = State::Serving { since, doubt };
        if let Some(Doubt { cause, due }) = doubt
            && due <= now
        {
            if now >= since + PROVEN {
                self.demotions = 0;
            }
            self.demote(now, cause);
        }
    }

    fn end_of_patience(&mut self, now: Instant, since: Instant, cause: Cause) -> Instant {
        match cause {
            Cause::OwnerSaysNever | Cause::OnBattery | Cause::Metered | Cause::NotEnrolled => now,
            Cause::NotReached => now + LOST_PATIENCE,
            Cause::LowScore => (now + SETTLE).max(since + TERM),
            Cause::Abundance => (now + SETTLE).max(since + TERM) + self.draw(JITTER),
        }
    }

    fn demote(&mut self, now: Instant, cause: Cause) {
        self.state = State::Ordinary;
        let doublings = self.demotions.min(REST_DOUBLINGS_MAX);
        self.rests_until = Some(now + REST * (1 << doublings));
        self.demotions = self.demotions.saturating_add(1);
        self.orders.push_back(Order::Demote(cause));
    }

    fn obstacles(&self, now: Instant) -> Vec<Obstacle> {
        if self.choice == Choice::Never {
            return vec![Obstacle::OwnerSaysNever];
        }
        let mut obstacles = Vec::new();
        for transport in [Transport::Tcp, Transport::Udp] {
            let tally = self.verdicts.tally(now, transport);
            if !tally.is_verified(self.verifiers_needed(now)) {
                obstacles.push(Obstacle::NotReached(transport, tally));
            }
        }
        if let Some(until) = self.refused_until.filter(|until| *until > now) {
            obstacles.push(Obstacle::NotEnrolled(until - now));
        }
        if self.choice == Choice::Always {
            return obstacles;
        }
        match &self.fitness {
            None => obstacles.push(Obstacle::NotMeasured),
            Some(fitness) => {
                match fitness.power {
                    Power::Battery => obstacles.push(Obstacle::OnBattery),
                    Power::Mains => {}
                }
                match fitness.tariff {
                    Tariff::Metered => obstacles.push(Obstacle::Metered),
                    Tariff::Flat => {}
                }
                let score = Score::of(fitness).total();
                if score < SCORE_ENTER {
                    obstacles.push(Obstacle::LowScore(score));
                }
            }
        }
        if self.invited.is_none_or(|end| end <= now) {
            obstacles.push(Obstacle::NotInvited);
        }
        if !self.live_need(now).is_some_and(|need| self.band.lacks(&need)) {
            obstacles.push(Obstacle::NotNeeded);
        }
        if let Some(until) = self.rests_until.filter(|until| *until > now) {
            obstacles.push(Obstacle::Resting(until - now));
        }
        obstacles
    }

    /// Why a service should end, the most urgent first.
    fn cause_to_end(&self, now: Instant) -> Option<Cause> {
        if self.choice == Choice::Never {
            return Some(Cause::OwnerSaysNever);
        }
        let is_auto = self.choice == Choice::Auto;
        let fitness = self.fitness.filter(|_| is_auto);
        if fitness.is_some_and(|f| f.power == Power::Battery) {
            return Some(Cause::OnBattery);
        }
        if fitness.is_some_and(|f| f.tariff == Tariff::Metered) {
            return Some(Cause::Metered);
        }
        let needed = self.verifiers_needed(now);
        let is_reached = |transport| self.verdicts.tally(now, transport).is_verified(needed);
        if !is_reached(Transport::Tcp) || !is_reached(Transport::Udp) {
            return Some(Cause::NotReached);
        }
        let score = Score::of(&fitness?).total();
        if score < SCORE_STAY {
            return Some(Cause::LowScore);
        }
        let need = self.live_need(now)?;
        let is_weakest = need.weakest_other.is_none_or(|other| score <= other);
        (is_weakest && self.band.abounds(&need)).then_some(Cause::Abundance)
    }

    /// How many super-peers must get through: [`VERIFIERS_NEEDED`], or the only other one there
    /// is. Without a view of the network that holds, the former.
    #[must_use]
    pub fn verifiers_needed(&self, now: Instant) -> u8 {
        let Some(need) = self.live_need(now) else { return VERIFIERS_NEEDED };
        let others = need.super_peers.saturating_sub(self.is_serving().into());
        if others < 2 { 1 } else { VERIFIERS_NEEDED }
    }

    fn live_need(&self, now: Instant) -> Option<Need> {
        self.need.filter(|(_, end)| *end > now).map(|(need, _)| need)
    }

    fn draw(&mut self, most: Duration) -> Duration {
        Duration::from_millis(self.jitter.below(most.as_millis() as u64 + 1))
    }
}
