//! Stories of one machine, and what no inputs whatever may bring about.

mod network;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::entropy::Entropy;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

#[expect(clippy::disallowed_methods, reason = "a test begins at some moment")]
fn start() -> Instant {
    Instant::now()
}

fn jitter(seed: u64) -> Stream {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    Entropy::new(bytes).jitter
}

fn node(number: u8) -> NodeId {
    NodeId([number; 20])
}

/// A score of 690.
const GOOD: Fitness = Fitness {
    up: Duration::from_secs(12 * 3600),
    upstream_bps: 5_000_000,
    idle_percent: 95,
    address: AddressKind::Static,
    power: Power::Mains,
    tariff: Tariff::Flat,
};
const LACKS: Need = Need { super_peers: 10, clients: 1_900, weakest_other: Some(300) };
const ABOUNDS: Need = Need { super_peers: 10, clients: 600, weakest_other: Some(900) };

fn election(now: Instant, choice: Choice) -> Election {
    Election::new(now, choice, Band::default(), jitter(1))
}

/// Two super-peers get through by both transports.
fn reach(election: &mut Election, now: Instant) {
    for by in [1, 2] {
        for how in [Transport::Tcp, Transport::Udp] {
            election.handle_verdict(now, node(by), how, Finding::Reached);
        }
    }
}

/// Lets time pass, with all that a machine hears meanwhile.
fn pass(election: &mut Election, now: &mut Instant, time: Duration, fitness: Fitness, need: Need) {
    let end = *now + time;
    while *now < end {
        *now += MINUTE;
        reach(election, *now);
        election.handle_fitness(*now, fitness);
        election.handle_need(*now, need);
        election.handle_invited(*now);
    }
}

fn orders(election: &mut Election) -> Vec<Order> {
    std::iter::from_fn(|| election.poll_order()).collect()
}

#[test]
fn who_is_invited_reachable_and_fit_serves_within_the_jitter() {
    let mut now = start();
    let mut election = election(now, Choice::Auto);
    pass(&mut election, &mut now, MINUTE, GOOD, LACKS);
    assert!(matches!(election.decision(now).standing, Standing::Standby(_)));
    let due = election.poll_timeout().expect("it waits");
    assert!(due >= now + SETTLE && due <= now + SETTLE + JITTER);
    election.handle_timeout(due);
    assert_eq!(orders(&mut election), [Order::Promote]);
    assert!(election.is_serving());
}

#[test]
fn every_obstacle_is_told() {
    let now = start();
    let mut election = election(now, Choice::Auto);
    let none = Tally::default();
    let all = [
        Obstacle::NotReached(Transport::Tcp, none),
        Obstacle::NotReached(Transport::Udp, none),
        Obstacle::NotMeasured,
        Obstacle::NotInvited,
        Obstacle::NotNeeded,
    ];
    assert_eq!(election.decision(now).obstacles, all);
    let (power, tariff) = (Power::Battery, Tariff::Metered);
    election.handle_fitness(now, Fitness { power, tariff, up: Duration::ZERO, ..GOOD });
    reach(&mut election, now);
    election.handle_invited(now);
    election.handle_need(now, ABOUNDS);
    let told = [Obstacle::OnBattery, Obstacle::Metered, Obstacle::NotNeeded];
    assert_eq!(election.decision(now).obstacles, told);
    election.handle_fitness(now, Fitness { address: AddressKind::Private, ..GOOD });
    election.choose(now, Choice::Never);
    assert_eq!(election.decision(now).obstacles, [Obstacle::OwnerSaysNever]);
}

#[test]
fn each_factor_gives_its_share() {
    let score = Score::of(&GOOD);
    assert_eq!(score, Score { up: 150, upstream: 150, idle: 190, address: 200 });
    let best = Fitness { up: HOUR * 100, upstream_bps: u64::MAX, idle_percent: 255, ..GOOD };
    assert_eq!(Score::of(&best).total(), SCORE_MAX);
    let dynamic = Score::of(&Fitness { address: AddressKind::Dynamic, ..GOOD });
    assert_eq!(score.address / dynamic.address, 40, "38, in whole points");
}

#[test]
fn always_serves_at_once_but_only_when_reachable_and_says_what_is_missing() {
    let now = start();
    let mut election = election(now, Choice::Always);
    election.handle_fitness(now, Fitness { power: Power::Battery, ..GOOD });
    election.handle_verdict(now, node(1), Transport::Tcp, Finding::Reached);
    election.handle_verdict(now, node(2), Transport::Tcp, Finding::Reached);
    election.handle_verdict(now, node(1), Transport::Udp, Finding::Reached);
    let tally = Tally { reached: 1, not_reached: 0 };
    let missing = [Obstacle::NotReached(Transport::Udp, tally)];
    assert_eq!(election.decision(now).obstacles, missing);
    assert_eq!(orders(&mut election), []);
    election.handle_verdict(now, node(2), Transport::Udp, Finding::Reached);
    assert_eq!(orders(&mut election), [Order::Promote]);
}

#[test]
fn where_there_is_one_other_super_peer_its_word_is_enough_and_two_are_asked_where_there_are_two() {
    let mut now = start();
    let reach_one = |election: &mut Election, now| {
        for how in [Transport::Tcp, Transport::Udp] {
            election.handle_verdict(now, node(1), how, Finding::Reached);
        }
    };
    let around = |super_peers| Need { super_peers, clients: 9, weakest_other: None };
    for (choice, known, serves) in [
        (Choice::Always, 1, true),
        (Choice::Always, 2, false),
        (Choice::Auto, 1, true),
        (Choice::Auto, 2, false),
    ] {
        let mut election = election(now, choice);
        for _ in 0..10 {
            now += MINUTE;
            reach_one(&mut election, now);
            election.handle_fitness(now, GOOD);
            // Once it serves it is counted too.
            election.handle_need(now, around(known + u32::from(election.is_serving())));
            election.handle_invited(now);
        }
        assert_eq!(election.is_serving(), serves, "{choice:?}, {known}");
        election.handle_verdict(now, node(1), Transport::Udp, Finding::NotReached);
        election.handle_timeout(now + LOST_PATIENCE);
        assert!(!election.is_serving(), "and against its word nobody serves");
    }
    let mut election = election(now, Choice::Always);
    reach_one(&mut election, now);
    assert!(!election.is_serving(), "nothing is known of the network");
}

#[test]
fn under_always_the_authority_is_asked_again_after_a_minute() {
    let now = start();
    let mut election = election(now, Choice::Always);
    reach(&mut election, now);
    election.handle_not_enrolled(now);
    reach(&mut election, now + ENROL_AGAIN / 2);
    assert_eq!(orders(&mut election), [Order::Promote, Order::Demote(Cause::NotEnrolled)]);
    let left = Obstacle::NotEnrolled(ENROL_AGAIN / 2);
    assert_eq!(election.decision(now + ENROL_AGAIN / 2).obstacles, [left]);
    assert_eq!(election.poll_timeout(), Some(now + ENROL_AGAIN));
    election.handle_timeout(now + ENROL_AGAIN);
    assert_eq!(orders(&mut election), [Order::Promote]);
}

#[test]
fn one_super_peer_asked_twice_is_one() {
    let now = start();
    let mut election = election(now, Choice::Always);
    for _ in 0..4 {
        election.handle_verdict(now, node(1), Transport::Tcp, Finding::Reached);
        election.handle_verdict(now, node(1), Transport::Udp, Finding::Reached);
    }
    assert!(!election.is_serving());
    assert_eq!(election.decision(now).tcp, Tally { reached: 1, not_reached: 0 });
}

#[test]
fn never_ends_a_service_at_once() {
    let now = start();
    let mut election = election(now, Choice::Always);
    reach(&mut election, now);
    election.choose(now, Choice::Never);
    assert_eq!(orders(&mut election), [Order::Promote, Order::Demote(Cause::OwnerSaysNever)]);
}

#[test]
fn a_battery_and_a_metered_line_end_a_service_under_auto_only() {
    for choice in [Choice::Auto, Choice::Always] {
        for bad in
            [Fitness { power: Power::Battery, ..GOOD }, Fitness { tariff: Tariff::Metered, ..GOOD }]
        {
            let mut now = start();
            let mut election = election(now, choice);
            pass(&mut election, &mut now, MINUTE * 10, GOOD, LACKS);
            assert_eq!(orders(&mut election), [Order::Promote]);
            election.handle_fitness(now, bad);
            assert_eq!(election.is_serving(), choice == Choice::Always);
        }
    }
}

#[test]
fn who_is_reached_no_more_gives_up_after_a_while_and_not_for_one_liar() {
    let mut now = start();
    let mut election = election(now, Choice::Always);
    reach(&mut election, now);
    election.handle_verdict(now, node(3), Transport::Tcp, Finding::NotReached);
    assert_eq!(election.decision(now).standing, Standing::Serving(Duration::ZERO, None));
    election.handle_moved(now);
    now += LOST_PATIENCE - MINUTE;
    election.handle_timeout(now);
    let doubt = Some((Cause::NotReached, MINUTE));
    assert_eq!(election.decision(now).standing, Standing::Serving(LOST_PATIENCE - MINUTE, doubt));
    reach(&mut election, now);
    assert!(election.is_serving());
    election.handle_moved(now);
    election.handle_timeout(now + LOST_PATIENCE);
    assert_eq!(orders(&mut election), [Order::Promote, Order::Demote(Cause::NotReached)]);
}

#[test]
fn verdicts_that_nobody_renews_end() {
    let now = start();
    let mut election = election(now, Choice::Always);
    reach(&mut election, now);
    let end = election.poll_timeout().expect("a verdict ends");
    assert_eq!(end, now + VERDICT_LIFE);
    election.handle_timeout(end);
    let give_up = election.poll_timeout().expect("its patience ends");
    election.handle_timeout(give_up);
    assert!(!election.is_serving());
    assert_eq!(election.poll_timeout(), Some(give_up + REST));
}

#[test]
fn only_the_weakest_leaves_an_abundance_and_not_before_its_term() {
    let mut now = start();
    let mut election = election(now, Choice::Auto);
    pass(&mut election, &mut now, MINUTE * 10, GOOD, LACKS);
    let stronger = Need { weakest_other: Some(100), ..ABOUNDS };
    pass(&mut election, &mut now, TERM * 2, GOOD, stronger);
    assert_eq!(orders(&mut election), [Order::Promote]);
    pass(&mut election, &mut now, SETTLE + JITTER + MINUTE, GOOD, ABOUNDS);
    assert_eq!(orders(&mut election), [Order::Demote(Cause::Abundance)]);
    pass(&mut election, &mut now, REST - MINUTE * 10, GOOD, LACKS);
    assert_eq!(orders(&mut election), [], "it rests");
    assert!(matches!(election.decision(now).obstacles[..], [Obstacle::Resting(_)]));
    pass(&mut election, &mut now, MINUTE * 20, GOOD, LACKS);
    assert_eq!(orders(&mut election), [Order::Promote]);
}

#[test]
fn an_enrolment_that_fails_is_not_tried_again_at_once() {
    let mut now = start();
    let mut election = election(now, Choice::Auto);
    pass(&mut election, &mut now, MINUTE * 10, GOOD, LACKS);
    election.handle_not_enrolled(now);
    pass(&mut election, &mut now, MINUTE * 30, GOOD, LACKS);
    let both = [Order::Promote, Order::Demote(Cause::NotEnrolled)];
    assert_eq!(orders(&mut election), both);
}

#[test]
fn a_home_invites_the_best_once_and_only_with_its_share_of_clients() {
    let (band, mut lots, now) = (Band::default(), jitter(1), start());
    let mut inviting = Inviting::default();
    let who = |name: &str| {
        let user = crate::ids::UserName::new(name).expect("a name");
        crate::wire::forward::Address { user, device: crate::ids::DeviceId([0; 16]) }
    };
    inviting.handle_candidate(&who("weak"), 400);
    inviting.handle_candidate(&who("strong"), 900);
    let need = Need { super_peers: 1, clients: 190, weakest_other: None };
    let mut invite =
        |now, need: &Need, clients| inviting.poll_invitation(now, &band, need, clients, &mut lots);
    assert_eq!(invite(now, &need, 100), None, "less than its share");
    assert_eq!(invite(now, &need, 190), Some(who("strong")));
    assert_eq!(invite(now, &need, 190), None, "too soon");
    assert_eq!(invite(now + INVITE_EVERY, &need, 190), Some(who("weak")));
    assert_eq!(invite(now + INVITE_EVERY * 2, &need, 190), None, "both were asked");
    let enough = Need { super_peers: 4, ..need };
    assert_eq!(invite(now + HOUR * 2, &enough, 190), None);
}

/// One thing that may happen to a machine.
#[derive(Clone, Debug)]
enum Happening {
    Choose(Choice),
    Verdict(u8, Transport, Finding),
    Moved,
    Fitness(Fitness),
    Need(Need),
    Invited,
    NotEnrolled,
    Nothing,
}

fn happening() -> impl Strategy<Value = Happening> {
    use prop::sample::select;
    let choices = select(vec![Choice::Auto, Choice::Auto, Choice::Always, Choice::Never]);
    let how = select(vec![Transport::Tcp, Transport::Udp]);
    let finding = select(vec![Finding::Reached, Finding::Reached, Finding::NotReached]);
    let power = select(vec![Power::Mains, Power::Mains, Power::Battery]);
    let tariff = select(vec![Tariff::Flat, Tariff::Flat, Tariff::Metered]);
    let (verdict, fitness) = ((0u8..4, how, finding), (0u64..40, power, tariff));
    prop_oneof![
        1 => choices.prop_map(Happening::Choose),
        12 => verdict.prop_map(|(by, how, finding)| Happening::Verdict(by, how, finding)),
        1 => Just(Happening::Moved),
        4 => fitness.prop_map(|(hours, power, tariff)| {
            Happening::Fitness(Fitness { up: HOUR * hours as u32, power, tariff, ..GOOD })
        }),
        4 => select(vec![LACKS, LACKS, ABOUNDS]).prop_map(Happening::Need),
        4 => Just(Happening::Invited),
        1 => Just(Happening::NotEnrolled),
        4 => Just(Happening::Nothing),
    ]
}

/// What the machine was told, kept by other means than its own.
#[derive(Default)]
struct Told {
    choice: Option<Choice>,
    fitness: Option<Fitness>,
    verdicts: BTreeMap<(Transport, u8), (Finding, Instant)>,
    promoted: Option<Instant>,
    demoted: Option<Instant>,
}

impl Told {
    fn verifiers(&self, now: Instant, how: Transport) -> usize {
        let fresh = self.verdicts.iter().filter(|((by_how, _), (finding, at))| {
            *by_how == how && *finding == Finding::Reached && *at + VERDICT_LIFE > now
        });
        fresh.count()
    }

    fn check(&mut self, now: Instant, order: Order) {
        match order {
            Order::Promote => {
                for how in [Transport::Tcp, Transport::Udp] {
                    assert!(self.verifiers(now, how) >= 2, "{how:?}");
                }
                assert_ne!(self.choice, Some(Choice::Never));
                if self.choice == Some(Choice::Auto) {
                    let fitness = self.fitness.expect("measured");
                    assert_eq!((fitness.power, fitness.tariff), (Power::Mains, Tariff::Flat));
                    assert!(self.demoted.is_none_or(|at| now >= at + REST), "a flap");
                }
                self.promoted = Some(now);
            }
            Order::Demote(cause) => {
                if matches!(cause, Cause::LowScore | Cause::Abundance) {
                    let since = self.promoted.expect("it served");
                    assert!(now >= since + TERM, "a flap");
                }
                self.demoted = Some(now);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn nothing_promotes_whom_nobody_reached_or_who_runs_on_battery(
        happenings in prop::collection::vec((0u64..900, happening()), 1..400),
        seed: u64,
    ) {
        let mut now = start();
        let mut election = Election::new(now, Choice::Auto, Band::default(), jitter(seed));
        let mut told = Told { choice: Some(Choice::Auto), ..Told::default() };
        for (seconds, happening) in happenings {
            let next = now + Duration::from_secs(seconds);
            while let Some(due) = election.poll_timeout().filter(|due| *due <= next) {
                prop_assert!(due > now, "it spins");
                now = due;
                election.handle_timeout(now);
                orders(&mut election).into_iter().for_each(|order| told.check(now, order));
            }
            now = next;
            match happening {
                Happening::Choose(choice) => {
                    told.choice = Some(choice);
                    election.choose(now, choice);
                    prop_assert!(choice != Choice::Never || !election.is_serving());
                }
                Happening::Verdict(by, how, finding) => {
                    told.verdicts.insert((how, by), (finding, now));
                    election.handle_verdict(now, node(by), how, finding);
                }
                Happening::Moved => {
                    told.verdicts.clear();
                    election.handle_moved(now);
                }
                Happening::Fitness(fitness) => {
                    told.fitness = Some(fitness);
                    election.handle_fitness(now, fitness);
                }
                Happening::Need(need) => election.handle_need(now, need),
                Happening::Invited => election.handle_invited(now),
                Happening::NotEnrolled => election.handle_not_enrolled(now),
                Happening::Nothing => election.handle_timeout(now),
            }
            orders(&mut election).into_iter().for_each(|order| told.check(now, order));
        }
    }
}

/// A machine whose score wavers by less than the hysteresis, in a network whose need wavers too.
/// Any second promotion would be a flap.
#[test]
fn nobody_flaps_in_a_hundred_random_runs_of_two_days() {
    for seed in 0..100 {
        let (mut now, mut lots) = (start(), jitter(seed));
        let mut election = Election::new(now, Choice::Auto, Band::default(), jitter(seed + 1000));
        let (mut promotions, mut demotions) = (0, 0);
        for _ in 0..2 * 24 * 60 {
            now += MINUTE;
            reach(&mut election, now);
            let idle_percent = lots.below(101) as u8;
            let fitness = Fitness { idle_percent, address: AddressKind::Private, ..GOOD };
            election.handle_fitness(now, Fitness { up: HOUR * 10, ..fitness });
            let clients = 880 + lots.below(1_000) as u32;
            let weakest_other = Some(lots.below(1_000) as u16);
            election.handle_need(now, Need { super_peers: 10, clients, weakest_other });
            election.handle_invited(now);
            for order in orders(&mut election) {
                match order {
                    Order::Promote => promotions += 1,
                    Order::Demote(_) => demotions += 1,
                }
            }
        }
        assert!(promotions <= 1 && demotions == 0, "seed {seed}: {promotions} and {demotions}");
    }
}

/// Somebody who goes to battery and back all the time, for a week: each service ends in a longer
/// rest, so that it is promoted a few times at most.
#[test]
fn whoever_is_restless_is_promoted_ever_more_rarely() {
    let mut most = 0;
    for seed in 0..100 {
        let (mut now, mut lots) = (start(), jitter(seed));
        let mut election = Election::new(now, Choice::Auto, Band::default(), jitter(seed + 1000));
        let mut promotions = 0;
        let mut fitness = GOOD;
        for _ in 0..7 * 24 * 60 {
            now += MINUTE;
            reach(&mut election, now);
            if lots.below(30) == 0 {
                fitness.power = [Power::Mains, Power::Battery][lots.below(2) as usize];
            }
            election.handle_fitness(now, fitness);
            election.handle_need(now, LACKS);
            election.handle_invited(now);
            promotions += orders(&mut election).iter().filter(|o| **o == Order::Promote).count();
        }
        most = most.max(promotions);
    }
    assert!(most <= 20, "{most} in a week");
}
