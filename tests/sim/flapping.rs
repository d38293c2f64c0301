//! Nobody flaps: elections over a day, a hundred times, with as many clients as lie on the band's
//! edge, machines that are now busy and now not, and lines that break. DESIGN 2.12; issue 4.
//!
//! Real elections and invitations in a network of numbers: who is reached, how many clients there
//! are and how fit each machine is are drawn each minute.

use std::time::{Duration, Instant};

use earshot_proto::entropy::{Entropy, Stream};
use earshot_proto::ids::{DeviceId, NodeId, UserName};
use earshot_proto::super_peer::election::{
    AddressKind, Band, Cause, Choice, Election, Finding, Fitness, Inviting, Need, Obstacle, Order,
    Power, Score, Standing, Tariff, Transport,
};
use earshot_proto::wire::forward::Address;

const MINUTE: Duration = Duration::from_secs(60);
const DAY_MINUTES: u32 = 24 * 60;
const RUNS: u64 = 100;
/// Super-peers that serve because their owners want it: as many as are always wanted.
const FIXED: u32 = 4;
/// Machines whose owners leave it to the network.
const MACHINES: usize = 8;
/// Promotions of one machine in a day at most, in any run. Each costs an hour of service, unless
/// the line breaks, and a rest of 1, 2, 4 … hours.
const PROMOTIONS_MAX: u32 = 3;
/// And on average over all machines and runs.
const PROMOTIONS_MEAN: f64 = 0.5;

struct Machine {
    election: Election,
    who: Address,
    /// How busy its processor is, in percent, and how long it has been on line.
    busy: i64,
    up: Duration,
    /// Minutes for which nobody gets through.
    broken: u32,
    promotions: u32,
    demotions: Vec<Cause>,
}

impl Machine {
    fn new(now: Instant, number: usize, lots: &mut Stream) -> Self {
        let user = UserName::new(&format!("user{number}")).expect("a name");
        let device = DeviceId([number as u8; 16]);
        Self {
            election: Election::new(now, Choice::Auto, Band::default(), lots.split()),
            who: Address { user, device },
            busy: lots.below(100) as i64,
            up: Duration::from_secs(lots.below(24 * 3600)),
            broken: 0,
            promotions: 0,
            demotions: Vec::new(),
        }
    }

    fn fitness(&self) -> Fitness {
        Fitness {
            up: self.up,
            upstream_bps: 1_000_000,
            idle_percent: (100 - self.busy) as u8,
            address: AddressKind::Static,
            power: Power::Mains,
            tariff: Tariff::Flat,
        }
    }

    fn score(&self) -> u16 {
        Score::of(&self.fitness()).total()
    }

    /// A minute of its life.
    fn live(&mut self, lots: &mut Stream) {
        self.busy = (self.busy + lots.below(41) as i64 - 20).clamp(0, 100);
        self.up += MINUTE;
        self.broken = self.broken.saturating_sub(1);
        // Once in half a day, for less time than is waited for, or for more.
        if lots.below(12 * 60) == 0 {
            (self.up, self.broken) = (Duration::ZERO, 1 + lots.below(15) as u32);
        }
    }

    fn is_reached(&mut self, now: Instant) {
        let finding = if self.broken > 0 { Finding::NotReached } else { Finding::Reached };
        for verifier in [1, 2] {
            for transport in [Transport::Tcp, Transport::Udp] {
                self.election.handle_verdict(now, NodeId([verifier; 20]), transport, finding);
            }
        }
    }

    /// Whether nothing but the home's word is missing.
    fn offers(&self, now: Instant) -> bool {
        let decision = self.election.decision(now);
        let is_word = |o: &Obstacle| matches!(o, Obstacle::NotInvited | Obstacle::NotNeeded);
        decision.standing == Standing::Ordinary && decision.obstacles.iter().all(is_word)
    }

    fn obey(&mut self) {
        while let Some(order) = self.election.poll_order() {
            match order {
                Order::Promote => self.promotions += 1,
                Order::Demote(cause) => self.demotions.push(cause),
            }
        }
    }
}

/// Clients over the day: about the edge above which four are too few, down to where five are too
/// many, and never still.
fn clients(minute: u32, drift: &mut i64, lots: &mut Stream) -> u32 {
    *drift = (*drift + lots.below(41) as i64 - 20).clamp(-80, 80);
    let phase = f64::from(minute) / f64::from(DAY_MINUTES) * std::f64::consts::TAU;
    let wave = (200.0 * phase.sin()) as i64;
    (560 + wave + *drift).unsigned_abs() as u32
}

/// A day; gives the machines.
fn run(seed: u64) -> Vec<Machine> {
    let mut entropy = [0; 32];
    entropy[..8].copy_from_slice(&seed.to_be_bytes());
    let mut lots = Entropy::new(entropy).jitter;
    let (start, band, mut inviting) = (Instant::now(), Band::default(), Inviting::default());
    let mut machines: Vec<Machine> =
        (0..MACHINES).map(|number| Machine::new(start, number, &mut lots)).collect();
    let mut drift = 0;
    for minute in 0..DAY_MINUTES {
        let now = start + MINUTE * minute;
        let clients = clients(minute, &mut drift, &mut lots);
        let serving = |m: &&Machine| m.election.is_serving();
        let scores: Vec<(usize, u16)> = machines
            .iter()
            .enumerate()
            .filter(|(_, m)| serving(m))
            .map(|(at, m)| (at, m.score()))
            .collect();
        let super_peers = FIXED + scores.len() as u32;
        for (at, machine) in machines.iter_mut().enumerate() {
            machine.live(&mut lots);
            machine.election.handle_fitness(now, machine.fitness());
            if (minute as usize + at).is_multiple_of(10) || machine.broken > 0 {
                machine.is_reached(now);
            }
            let others = scores.iter().filter(|(other, _)| *other != at);
            let weakest_other = others.map(|(_, score)| *score).min();
            machine.election.handle_need(now, Need { super_peers, clients, weakest_other });
            machine.obey();
        }
        let need = Need { super_peers, clients, weakest_other: None };
        if !band.lacks(&need) {
            continue;
        }
        for machine in &machines {
            match machine.offers(now) {
                true => inviting.handle_candidate(&machine.who, machine.score()),
                false => inviting.handle_gone(&machine.who),
            }
        }
        let its = clients / super_peers + 1;
        let invited = inviting.poll_invitation(now, &band, &need, its, &mut lots);
        let machine = invited.and_then(|who| machines.iter_mut().find(|m| m.who == who));
        if let Some(machine) = machine {
            machine.election.handle_invited(now);
            machine.obey();
        }
    }
    machines
}

#[test]
fn in_a_hundred_days_on_the_edge_of_the_band_nobody_flaps() {
    let halves = [0..RUNS / 2, RUNS / 2..RUNS];
    let runs: Vec<Vec<Machine>> = std::thread::scope(|scope| {
        let halves = halves.map(|seeds| scope.spawn(|| seeds.map(run).collect::<Vec<_>>()));
        halves.into_iter().flat_map(|half| half.join().expect("no run fails")).collect()
    });
    let machines: Vec<&Machine> = runs.iter().flatten().collect();
    let promotions: u32 = machines.iter().map(|machine| machine.promotions).sum();
    let most = machines.iter().map(|machine| machine.promotions).max().unwrap_or_default();
    let mean = f64::from(promotions) / machines.len() as f64;
    let causes = machines.iter().flat_map(|machine| &machine.demotions);
    let (lost, other): (Vec<&Cause>, Vec<&Cause>) =
        causes.partition(|cause| **cause == Cause::NotReached);
    println!(
        "promotions a machine and day: mean {mean:.2}, most {most}; demotions: {} by broken lines, \
         {} by score or abundance",
        lost.len(),
        other.len()
    );
    assert!(promotions > 0, "nobody was elected: the edge is not reached");
    assert!(!other.is_empty(), "nobody was ever too many: the other edge is not reached");
    assert!(most <= PROMOTIONS_MAX, "{most} promotions of one machine in a day");
    assert!(mean <= PROMOTIONS_MEAN, "{mean} promotions a machine and day");
    for machine in machines {
        assert!(machine.demotions.len() as u32 <= machine.promotions);
    }
}
