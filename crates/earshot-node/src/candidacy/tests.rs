//! What is asked when, and what of a test is believed.

use earshot_proto::entropy::Entropy;
use earshot_proto::super_peer::election::{Power, Tally, Tariff};
use earshot_proto::time::UnixTime;

use super::*;
use crate::fitness::UpstreamFrom;

const SECOND: Duration = Duration::from_secs(1);

fn candidacy(now: Instant, choice: Option<Choice>) -> Candidacy {
    Candidacy::new(now, choice, Band::default(), None, Entropy::new([1; 32]).jitter)
}

fn node(number: u8) -> NodeId {
    NodeId([number; 20])
}

fn verdict(number: u8, tcp: DialResult, udp: DialResult) -> Verdict {
    Verdict {
        address: SocketAddr::from(([192, 0, 2, number], 4433)),
        node: (tcp != DialResult::NotAsked).then_some(node(number)),
        tried: Some(SocketAddr::from(([198, 51, 100, 7], 5000))),
        tcp,
        udp,
        at: UnixTime(1),
    }
}

fn measured(up: Duration) -> Measured {
    Measured {
        up,
        upstream_bps: 1_000_000,
        upstream_from: UpstreamFrom::Assumed,
        idle_percent: 90,
        idle_known: true,
        power: Power::Mains,
        tariff: Tariff::Flat,
        tariff_known: false,
    }
}

fn wishes(candidacy: &mut Candidacy) -> Vec<Wish> {
    std::iter::from_fn(|| candidacy.poll_wish()).collect()
}

#[test]
fn nobody_is_asked_anything_until_the_owner_has_answered() {
    let now = Instant::now();
    for choice in [None, Some(Choice::Never)] {
        let mut candidacy = candidacy(now, choice);
        candidacy.handle_home(now, Some(node(9)));
        candidacy.handle_timeout(now);
        assert_eq!((candidacy.poll_timeout(), wishes(&mut candidacy)), (None, vec![]));
        candidacy.choose(now, Choice::Always);
        candidacy.handle_timeout(now);
        let all = [Wish::Measure, Wish::AskAround(None), Wish::Test];
        assert_eq!(wishes(&mut candidacy), all);
    }
}

#[test]
fn always_serves_when_enough_got_through_and_never_ends_it() {
    let now = Instant::now();
    let mut candidacy = candidacy(now, Some(Choice::Always));
    candidacy.handle_home(now, Some(node(1)));
    candidacy.handle_timeout(now);
    wishes(&mut candidacy);
    let reached = [1, 2].map(|n| verdict(n, DialResult::Reached, DialResult::Reached));
    candidacy.handle_tested(now, Some(reached.to_vec()));
    assert_eq!(wishes(&mut candidacy), [Wish::Promote]);
    assert_eq!(candidacy.rating(now), None, "whoever wants to serve is rated by nobody");
    candidacy.choose(now, Choice::Never);
    assert_eq!(wishes(&mut candidacy), [Wish::Demote(Cause::OwnerSaysNever)]);
    assert_eq!(candidacy.poll_timeout().filter(|at| *at <= now + MEASURE_EVERY), None);
}

#[test]
fn who_was_asked_too_soon_or_not_found_is_asked_again_but_not_for_ever() {
    let mut now = Instant::now();
    let mut candidacy = candidacy(now, Some(Choice::Always));
    candidacy.handle_home(now, Some(node(1)));
    let mut tests = Vec::new();
    for _ in 0..600 {
        candidacy.handle_timeout(now);
        if wishes(&mut candidacy).contains(&Wish::Test) {
            tests.push(now);
            let none = verdict(1, DialResult::TooSoon, DialResult::TooSoon);
            candidacy.handle_tested(now, Some(vec![none]));
        }
        now += SECOND;
    }
    assert_eq!(tests.len(), 4);
    assert!(tests.iter().zip(&tests[1..]).all(|(one, next)| *next - *one == TEST_AGAIN));
    assert!(candidacy.decision(now).tcp == Tally::default(), "that says nothing of us");
}

#[test]
fn under_auto_a_fit_machine_offers_itself_and_is_elected_when_it_is_invited() {
    let mut now = Instant::now();
    let mut candidacy = candidacy(now, Some(Choice::Auto));
    candidacy.handle_home(now, Some(node(1)));
    let day = Duration::from_secs(24 * 3600);
    let (mut offered, mut promoted) = (None, None);
    for _ in 0..900 {
        candidacy.handle_timeout(now);
        for wish in wishes(&mut candidacy) {
            match wish {
                Wish::Measure => candidacy.handle_measured(now, measured(day)),
                Wish::AskAround(score) => {
                    candidacy.handle_around(now, 2, 900);
                    if score.is_some() && offered.is_none() {
                        offered = score;
                        candidacy.handle_invited(now);
                    }
                }
                Wish::Test => {
                    let reached =
                        [1, 2].map(|n| verdict(n, DialResult::Reached, DialResult::Reached));
                    candidacy.handle_tested(now, Some(reached.to_vec()));
                }
                Wish::Promote => promoted = Some(now),
                Wish::Demote(cause) => panic!("{cause:?}"),
            }
        }
        now += SECOND;
    }
    assert_eq!(offered, Some(300 + 30 + 180 + 5));
    assert!(promoted.is_some() && candidacy.rating(now) == offered);
}

#[test]
fn a_service_ends_with_the_session_and_nothing_is_remembered() {
    let now = Instant::now();
    let mut candidacy = candidacy(now, Some(Choice::Always));
    candidacy.handle_home(now, Some(node(1)));
    let reached = [1, 2].map(|n| verdict(n, DialResult::Reached, DialResult::Reached));
    candidacy.handle_tested(now, Some(reached.to_vec()));
    wishes(&mut candidacy);
    candidacy.handle_logout(now);
    assert_eq!(wishes(&mut candidacy), [Wish::Demote(Cause::OwnerSaysNever)]);
    assert!(!candidacy.is_serving() && candidacy.verdicts().is_empty());
    assert_eq!(candidacy.poll_timeout(), None);
}

#[test]
fn an_address_is_lasting_where_it_is_the_networks_own_or_the_owner_says_so() {
    let now = Instant::now();
    let kind = |tried: [u8; 4], public: Option<[u8; 4]>| {
        let public = public.map(|ip| SocketAddr::from((ip, 5000)));
        let jitter = Entropy::new([1; 32]).jitter;
        let choice = Some(Choice::Auto);
        let mut candidacy = Candidacy::new(now, choice, Band::default(), public, jitter);
        assert_eq!(candidacy.address_kind(), AddressKind::Private);
        let tried = Some(SocketAddr::from((tried, 5000)));
        let reached = verdict(1, DialResult::Reached, DialResult::Reached);
        candidacy.handle_tested(now, Some(vec![Verdict { tried, ..reached }]));
        candidacy.address_kind()
    };
    assert_eq!(kind([192, 168, 1, 7], None), AddressKind::Static);
    assert_eq!(kind([9, 9, 9, 9], None), AddressKind::Dynamic);
    assert_eq!(kind([9, 9, 9, 9], Some([9, 9, 9, 9])), AddressKind::Static);
    assert_eq!(kind([9, 9, 9, 9], Some([8, 8, 8, 8])), AddressKind::Dynamic);
}

#[test]
fn who_serves_by_one_word_is_dialled_back_again_when_another_super_peer_comes() {
    let now = Instant::now();
    let mut candidacy = candidacy(now, Some(Choice::Always));
    candidacy.handle_home(now, Some(node(1)));
    candidacy.handle_timeout(now);
    candidacy.handle_around(now, 1, 3);
    let reached = |n| verdict(n, DialResult::Reached, DialResult::Reached);
    candidacy.handle_tested(now, Some(vec![reached(1)]));
    assert!(candidacy.is_serving());
    wishes(&mut candidacy);
    let later = now + MEASURE_EVERY * 2;
    let around = |super_peers| Need { super_peers, clients: 3, weakest_other: None };
    candidacy.handle_need(later, around(2));
    candidacy.handle_timeout(later);
    assert!(!wishes(&mut candidacy).contains(&Wish::Test), "it is one of the two");
    candidacy.handle_need(later, around(3));
    candidacy.handle_timeout(later);
    assert_eq!(wishes(&mut candidacy), [Wish::Test]);
    candidacy.handle_tested(later, Some(vec![reached(1)]));
    assert_eq!(candidacy.poll_timeout(), Some(later + TEST_AGAIN), "it may know the other by then");
    candidacy.handle_tested(later, Some(vec![reached(1), reached(2)]));
    candidacy.handle_timeout(later + Duration::from_secs(9 * 60));
    assert!(candidacy.is_serving());
}
