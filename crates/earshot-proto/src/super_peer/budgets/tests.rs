//! Floods, crowds and what is left of them.

use proptest::prelude::*;

use super::*;
use crate::entropy::Entropy;

const SECOND: Duration = Duration::from_secs(1);

#[expect(clippy::disallowed_methods, reason = "a test begins at some moment")]
fn start() -> Instant {
    Instant::now()
}

fn small() -> Limits {
    let each = Limit { links: 2, registrations: 3, questions_per_s: 5, bytes_per_s: 1_000 };
    Limits {
        overall: Limit { links: 6, registrations: 8, questions_per_s: 20, bytes_per_s: 3_000 },
        each,
        each_node: Limit { questions_per_s: 10, ..each },
        askers: 10,
        clients_high: 100,
        clients_low: 80,
    }
}

fn budgets(now: Instant) -> Budgets {
    Budgets::new(now, small(), Entropy::new([1; 32]).jitter)
}

fn asker(number: u8) -> Asker {
    Asker::Stranger([192, 0, 2, number].into())
}

#[test]
fn one_asker_cannot_use_up_what_is_there_for_all() {
    let now = start();
    let mut budgets = budgets(now);
    let admitted = (0..50).filter(|_| budgets.admit(now, Kind::Question, &asker(1)).is_ok());
    assert_eq!(admitted.count(), 5);
    let refused = budgets.admit(now, Kind::Question, &asker(1)).expect_err("it is over");
    assert_eq!(refused.whose, Whose::Askers);
    assert!(refused.retry_after <= RETRY_FIRST);
    assert_eq!(budgets.admit(now, Kind::Question, &asker(2)), Ok(()));
    assert_eq!(budgets.admit(now + SECOND, Kind::Question, &asker(1)), Ok(()));
}

#[test]
fn all_together_stay_below_the_limit_of_all() {
    let now = start();
    let mut budgets = budgets(now);
    let mut admitted = 0;
    for number in 0..8 {
        for _ in 0..5 {
            admitted += u32::from(budgets.admit(now, Kind::Question, &asker(number)).is_ok());
        }
    }
    assert_eq!(admitted, 20);
    let refused = budgets.admit(now, Kind::Question, &asker(7)).expect_err("it is over");
    assert_eq!(refused.whose, Whose::Everybodys);
}

#[test]
fn links_and_registrations_are_given_back() {
    let now = start();
    let mut budgets = budgets(now);
    for (kind, each) in [(Kind::Link, 2), (Kind::Registration, 3)] {
        for _ in 0..each {
            assert_eq!(budgets.admit(now, kind, &asker(1)), Ok(()));
        }
        assert!(budgets.admit(now, kind, &asker(1)).is_err());
        budgets.release(kind, &asker(1));
        assert_eq!(budgets.admit(now, kind, &asker(1)), Ok(()));
    }
}

#[test]
fn a_super_peer_may_ask_more_than_a_device_and_addresses_of_one_network_are_one_asker() {
    let now = start();
    let mut budgets = budgets(now);
    let node = Asker::Node(NodeId([1; 20]));
    let admitted = (0..50).filter(|_| budgets.admit(now, Kind::Question, &node).is_ok());
    assert_eq!(admitted.count(), 10);
    let stranger = |text: &str| Asker::stranger(text.parse().expect("an address"));
    assert_eq!(stranger("2001:db8::1"), stranger("2001:db8::ffff:1"));
    assert_ne!(stranger("2001:db8::1"), stranger("2001:db8:0:1::1"));
    assert_eq!(stranger("::ffff:192.0.2.1"), stranger("192.0.2.1"));
}

#[test]
fn a_flood_of_askers_takes_bounded_memory_and_whoever_is_silent_is_forgotten() {
    let now = start();
    let mut budgets = budgets(now);
    assert_eq!(budgets.admit(now, Kind::Link, &asker(0)), Ok(()));
    for number in 1..=255 {
        let _ = budgets.admit(now, Kind::Bytes(1), &asker(number));
    }
    assert_eq!(budgets.askers(), 10);
    assert_eq!(budgets.admit(now + SECOND * 2, Kind::Question, &asker(200)), Ok(()));
    assert_eq!(budgets.askers(), 2, "who holds a link is not forgotten");
}

#[test]
fn those_who_are_refused_together_are_told_to_come_at_different_times_ever_later() {
    let mut now = start();
    let mut budgets = budgets(now);
    let mut refuse = |now: Instant| {
        for number in 0..4 {
            let _ = budgets.admit(now, Kind::Bytes(1_000), &asker(number));
        }
        let refused = budgets.admit(now, Kind::Bytes(1_000), &asker(9)).expect_err("it is over");
        assert_eq!(refused.whose, Whose::Everybodys);
        refused.retry_after
    };
    let mut at_first = Vec::new();
    let mut later = Vec::new();
    for _ in 0..50 {
        at_first.push(refuse(now));
    }
    for _ in 0..70 {
        now += SECOND;
        later.push(refuse(now));
    }
    assert!(at_first.iter().all(|wait| *wait <= RETRY_FIRST));
    assert!(at_first.windows(2).any(|two| two[0] != two[1]));
    let most = later[10..].iter().max().copied().unwrap_or_default();
    assert!(most > RETRY_MAX / 2 && most <= RETRY_MAX, "{most:?}");
    now += CALM_AFTER;
    assert!(refuse(now) <= RETRY_FIRST);
}

#[test]
fn above_the_high_mark_the_newest_are_handed_over_down_to_the_low_mark() {
    let mut now = start();
    let mut budgets = budgets(now);
    let link = LinkId::Accepted;
    (0..100).for_each(|number| budgets.client_came(link(number)));
    assert_eq!((budgets.poll_shed(now), budgets.poll_timeout()), (vec![], None));
    (100..120).for_each(|number| budgets.client_came(link(number)));
    let first = budgets.poll_shed(now);
    let links: Vec<LinkId> = first.iter().map(|shed| shed.link).collect();
    assert_eq!(links, (88..120).rev().map(link).collect::<Vec<_>>());
    assert!(first.windows(2).any(|two| two[0].back_off != two[1].back_off));
    assert_eq!(budgets.poll_shed(now), [], "not all at once");
    now = budgets.poll_timeout().expect("some are left");
    assert_eq!(budgets.poll_shed(now).len(), 8);
    assert_eq!((budgets.clients(), budgets.poll_timeout()), (80, None));
    (200..219).for_each(|number| budgets.client_came(link(number)));
    assert_eq!(budgets.poll_shed(now + SECOND), [], "between the marks nothing happens");
}

#[test]
fn a_strain_that_lasts_costs_a_tenth_of_the_clients_and_a_short_one_none() {
    let mut now = start();
    let mut budgets = budgets(now);
    (0..50).for_each(|number| budgets.client_came(LinkId::Accepted(number)));
    let mut shed = 0;
    for tenth in 0..200 {
        for number in 0..4 {
            let _ = budgets.admit(now, Kind::Bytes(1_000), &asker(number));
        }
        shed += budgets.poll_shed(now).len();
        assert!(tenth >= 90 || shed == 0, "after {tenth} tenths of a second");
        now += SECOND / 10;
    }
    assert_eq!(shed, 5);
    now += CALM_AFTER * 2;
    assert_eq!(budgets.poll_shed(now), []);
}

#[derive(Clone, Debug)]
enum Act {
    Admit(u8, Kind),
    Release(u8, Kind),
    Pass(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let kind = prop_oneof![
        Just(Kind::Link),
        Just(Kind::Registration),
        Just(Kind::Question),
        (0u32..1_500).prop_map(Kind::Bytes),
    ];
    let held = prop::sample::select(vec![Kind::Link, Kind::Registration]);
    prop_oneof![
        8 => (0u8..16, kind).prop_map(|(who, kind)| Act::Admit(who, kind)),
        2 => (0u8..16, held).prop_map(|(who, kind)| Act::Release(who, kind)),
        1 => (0u64..400).prop_map(Act::Pass),
    ]
}

proptest! {
    /// A bucket that holds a second's worth lets through two of them in any second at most.
    #[test]
    fn nobody_is_ever_above_a_limit(acts in prop::collection::vec(act(), 1..600)) {
        let (mut now, limits) = (start(), small());
        let mut budgets = budgets(now);
        let mut held: BTreeMap<(u8, bool), u32> = BTreeMap::new();
        let mut flowed: Vec<(Instant, u8, u32, u32)> = Vec::new();
        for act in acts {
            match act {
                Act::Pass(ms) => now += Duration::from_millis(ms),
                Act::Release(who, kind) => {
                    let count = held.entry((who, kind == Kind::Link)).or_default();
                    if *count > 0 {
                        *count -= 1;
                        budgets.release(kind, &asker(who));
                    }
                }
                Act::Admit(who, kind) => {
                    if budgets.admit(now, kind, &asker(who)).is_err() {
                        continue;
                    }
                    match kind {
                        Kind::Link => *held.entry((who, true)).or_default() += 1,
                        Kind::Registration => *held.entry((who, false)).or_default() += 1,
                        Kind::Question => flowed.push((now, who, 1, 0)),
                        Kind::Bytes(bytes) => flowed.push((now, who, 0, bytes)),
                    }
                }
            }
            let all = |link| held.iter().filter(move |((_, l), _)| *l == link).map(|(_, n)| *n);
            prop_assert!(all(true).sum::<u32>() <= limits.overall.links);
            prop_assert!(all(false).sum::<u32>() <= limits.overall.registrations);
            prop_assert!(all(true).all(|links| links <= limits.each.links));
            prop_assert!(all(false).all(|kept| kept <= limits.each.registrations));
            prop_assert!(budgets.askers() <= limits.askers);
        }
        for (end, who, ..) in &flowed {
            let second = flowed.iter().filter(|(at, ..)| at <= end && *at + SECOND > *end);
            let (mut questions, mut bytes, mut own_questions, mut own_bytes) = (0, 0, 0, 0);
            for (_, by, q, b) in second {
                (questions, bytes) = (questions + q, bytes + b);
                if by == who {
                    (own_questions, own_bytes) = (own_questions + q, own_bytes + b);
                }
            }
            prop_assert!(questions <= 2 * limits.overall.questions_per_s);
            prop_assert!(bytes <= 2 * limits.overall.bytes_per_s);
            prop_assert!(own_questions <= 2 * limits.each.questions_per_s);
            prop_assert!(own_bytes <= 2 * limits.each.bytes_per_s);
        }
    }
}
