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
    let each =
        Flow { questions_per_s: 5, questions_at_once: 5, bytes_per_s: 1_000, bytes_at_once: 1_000 };
    Limits {
        overall: Flow {
            questions_per_s: 20,
            questions_at_once: 20,
            bytes_per_s: 3_000,
            bytes_at_once: 3_000,
        },
        each_device: each,
        each_stranger: each,
        each_node: Flow { questions_per_s: 10, questions_at_once: 10, ..each },
        askers: 10,
        ..Limits::default().for_clients(100)
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
fn what_the_network_lives_on_is_not_refused_for_what_others_ask() {
    let now = start();
    let mut budgets = budgets(now);
    for number in 0..8 {
        (0..5).for_each(|_| _ = budgets.admit(now, Kind::Question, &asker(number)));
    }
    let node = Asker::Node(NodeId([1; 20]));
    assert!(budgets.admit(now, Kind::Question, &node).is_err());
    let admitted = (0..50).filter(|_| budgets.admit(now, Kind::Upkeep, &node).is_ok());
    assert_eq!(admitted.count(), 10, "its own limit holds");
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
    for number in 1..=255 {
        let _ = budgets.admit(now, Kind::Envelope(1), &asker(number));
    }
    assert_eq!(budgets.askers(), 10);
    let later = now + SECOND * 2;
    assert_eq!(budgets.admit(later, Kind::Question, &asker(1)), Ok(()));
    assert_eq!(budgets.admit(later, Kind::Question, &asker(200)), Ok(()));
    assert_eq!(budgets.askers(), 2, "who has just asked is not forgotten");
}

#[test]
fn those_who_are_refused_together_are_told_to_come_at_different_times_ever_later() {
    let mut now = start();
    let mut budgets = budgets(now);
    let mut refuse = |now: Instant| {
        for number in 0..4 {
            let _ = budgets.admit(now, Kind::Envelope(1_000), &asker(number));
        }
        let refused = budgets.admit(now, Kind::Envelope(1_000), &asker(9)).expect_err("it is over");
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
fn above_the_high_mark_clients_are_handed_over_down_to_the_low_mark() {
    let mut now = start();
    let mut budgets = budgets(now);
    assert_eq!((budgets.poll_shed(now, 100), budgets.poll_timeout(100)), (vec![], None));
    let first = budgets.poll_shed(now, 130);
    assert_eq!(first.len(), SHED_MAX);
    assert!(first.windows(2).any(|two| two[0] != two[1]));
    assert_eq!(budgets.poll_shed(now, 98), [], "not all at once");
    now = budgets.poll_timeout(98).expect("some are left");
    assert_eq!(budgets.poll_shed(now, 98).len(), 8);
    assert_eq!(budgets.poll_timeout(90), None);
    assert_eq!(budgets.poll_shed(now + SECOND, 99), [], "between the marks nothing happens");
}

#[test]
fn a_strain_that_lasts_costs_a_tenth_of_the_clients_and_a_short_one_none() {
    let mut now = start();
    let mut budgets = budgets(now);
    let mut shed = 0;
    for tenth in 0..200 {
        for number in 0..4 {
            let _ = budgets.admit(now, Kind::Envelope(1_000), &asker(number));
        }
        shed += budgets.poll_shed(now, 50 - shed).len();
        assert!(tenth >= 90 || shed == 0, "after {tenth} tenths of a second");
        now += SECOND / 10;
    }
    assert_eq!(shed, 5);
    now += CALM_AFTER * 2;
    assert_eq!(budgets.poll_shed(now, 45), []);
}

proptest! {
    /// What may come at once and what flows in meanwhile is all that anybody gets in a second.
    #[test]
    fn nobody_is_ever_above_a_limit(
        acts in prop::collection::vec((0u8..16, 0usize..1_500, 0u64..40), 1..600)
    ) {
        let (mut now, limits) = (start(), small());
        let mut budgets = budgets(now);
        let mut flowed: Vec<(Instant, u8, usize)> = Vec::new();
        for (who, bytes, ms) in acts {
            now += Duration::from_millis(ms);
            if budgets.admit(now, Kind::Envelope(bytes), &asker(who)).is_ok() {
                flowed.push((now, who, bytes));
            }
            prop_assert!(budgets.askers() <= limits.askers);
        }
        let most = |flow: &Flow| {
            let questions = flow.questions_at_once + flow.questions_per_s;
            (questions as usize, (flow.bytes_at_once + flow.bytes_per_s) as usize)
        };
        for (end, who, _) in &flowed {
            let second = flowed.iter().filter(|(at, ..)| at <= end && *at + SECOND > *end);
            let (mut all, mut own) = ((0, 0), (0, 0));
            for (_, by, bytes) in second {
                all = (all.0 + 1, all.1 + bytes);
                own = if by == who { (own.0 + 1, own.1 + bytes) } else { own };
            }
            let (most_of_all, most_of_one) = (most(&limits.overall), most(&limits.each_stranger));
            prop_assert!(all.0 <= most_of_all.0 && all.1 <= most_of_all.1);
            prop_assert!(own.0 <= most_of_one.0 && own.1 <= most_of_one.1);
        }
    }
}
