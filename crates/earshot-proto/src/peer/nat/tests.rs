//! Stories of NATs that are measured.

mod losses;
mod model;

use std::time::Duration;

use super::trail::{OPEN_FOR, PLACES_MAX, Trail};
use super::verdict::{Filtering, Found, Mapping, NatView, Translation, Verdict};
use super::watch::{LOOK_AGAIN_AFTER, Purpose, RENEW_AFTER, RENEW_SPREAD, Seen};
use crate::time::UnixTime;
use model::{Held, NOON, Nat, World, addr, each_once, every_kind, held, nat, start};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn every_nat_and_every_firewall_is_found_out_as_what_it_is() {
    for mut world in every_kind() {
        let view = world.arrive();
        assert_eq!(held(&view), world.truth(), "{:?}", world.nat);
        let seen = view.address.unwrap();
        let port = if world.nat.mapping.is_some() { 40_001 } else { 37_373 };
        assert_eq!(seen.what, addr(&format!("203.0.113.7:{port}")));
        assert_eq!(world.seen, [Seen::Udp(true), Seen::Changed]);
    }
}

#[test]
fn by_ipv6_too_although_answers_are_at_most_three_times_as_long() {
    let hosts = ["[2001:db8:1::2]:37373", "2001:db8:1::2"];
    for filtering in 0..3 {
        let nat = Nat { mapping: None, ..nat(0, filtering) };
        let mut world = World::at(nat, hosts, ["[2a00:51::1]", "[2a00:52::1]"]);
        let view = world.arrive();
        assert_eq!(held(&view), world.truth(), "{:?}", world.nat);
    }
}

#[test]
fn where_every_datagram_is_lost_once_it_only_takes_longer() {
    for world in every_kind() {
        let mut world = world.losing(each_once());
        let view = world.arrive();
        assert_eq!(held(&view), world.truth(), "{:?}", world.nat);
    }
}

#[test]
fn where_udp_is_blocked_nothing_is_known_and_three_questions_say_so() {
    let mut world = World::new(Nat { blocks_udp: true, ..nat(0, 0) });
    assert_eq!(world.arrive(), NatView::default());
    assert_eq!(world.seen, [Seen::Udp(false)]);
    assert_eq!(world.sent.len(), 3);
    // Later silence says nothing, and an answer does.
    world.pass(RENEW_AFTER + RENEW_SPREAD + SECOND);
    assert_eq!((world.seen.len(), world.sent.len()), (1, 6));
    world.nat.blocks_udp = false;
    world.pass(RENEW_AFTER + RENEW_SPREAD + 45 * SECOND);
    assert_eq!(world.seen, [Seen::Udp(false), Seen::Udp(true), Seen::Changed]);
    assert_eq!(held(&world.watch.view()), world.truth());
}

#[test]
fn a_home_without_a_partner_tells_where_we_are_seen_and_no_more() {
    let mut world = World::new(nat(1, 1)).without_partner();
    let view = world.arrive();
    let translation = Some(Translation::Present);
    assert_eq!(held(&view), Held { translation, ..Held::default() });
    assert_eq!(view.address.map(|found| found.what), Some(addr("203.0.113.7:40001")));
    assert_eq!(world.sent.len(), 1);
}

#[test]
fn a_partner_that_fails_is_no_filter() {
    for (is_linked, is_up) in [(false, true), (true, false)] {
        for mut world in every_kind() {
            world.are_partners_linked = is_linked;
            world.set_up(1, is_up);
            let view = world.arrive();
            let (found, truth) = (held(&view), world.truth());
            assert_eq!(found.mapping, truth.mapping.filter(|_| is_up), "{:?}", world.nat);
            // Where a NAT maps to several ports, nothing shows that the partner was not told.
            let is_known = truth.filtering == Some(Filtering::AddressAndPortDependent);
            if is_known || truth.mapping == Some(Mapping::EndpointIndependent) || !is_up {
                assert_eq!(found.filtering, truth.filtering.filter(|_| is_known));
            }
        }
    }
}

#[test]
fn an_alternate_port_that_is_mute_is_no_filter() {
    for server in 0..2 {
        for mut world in every_kind() {
            world.mute_alternate(server);
            let (found, truth) = (held(&world.arrive()), world.truth());
            let is_right = found.filtering.is_none() || found.filtering == truth.filtering;
            assert!(is_right, "{server} {:?}", world.nat);
            assert_eq!(found.translation, truth.translation);
        }
    }
}

#[test]
fn an_outage_that_covers_the_questions_is_no_filter() {
    for long in [8, 9, 10, 11] {
        for world in every_kind() {
            let mut world = world.losing(move |packet| {
                let at = packet.at.duration_since(start());
                (Duration::from_millis(30)..long * SECOND).contains(&at)
            });
            let (found, truth) = (held(&world.arrive()), world.truth());
            assert_eq!((found.mapping, found.filtering), (truth.mapping, None));
        }
    }
}

#[test]
fn a_home_that_dies_meanwhile_is_no_filter() {
    for mut world in every_kind() {
        world.measure(Purpose::Arrival);
        world.pass(Duration::from_millis(45));
        world.set_up(0, false);
        world.pass(45 * SECOND);
        let found = held(&world.watch.view());
        assert_eq!(found.filtering, None, "{:?}", world.nat);
    }
}

#[test]
fn an_answer_from_where_something_went_lately_says_nothing() {
    for mut world in every_kind() {
        let (partner, truth) = (world.main(1), world.truth());
        world.sends(partner);
        world.pass(SECOND);
        let found = held(&world.arrive());
        let is_sure = truth.filtering == Some(Filtering::AddressAndPortDependent)
            || truth.mapping != Some(Mapping::EndpointIndependent)
                && truth.filtering == Some(Filtering::AddressDependent);
        assert_eq!(found.filtering, truth.filtering.filter(|_| is_sure), "{:?}", world.nat);
        assert_eq!(found.mapping, truth.mapping);
        world.pass(OPEN_FOR);
        assert_eq!(held(&world.arrive()).filtering, truth.filtering, "{:?}", world.nat);
    }
}

#[test]
fn what_was_asked_a_minute_ago_misleads_no_later_measurement() {
    for mut world in every_kind() {
        for _ in 0..5 {
            let view = world.arrive();
            assert_eq!(held(&view), world.truth(), "{:?}", world.nat);
        }
    }
}

#[test]
fn one_measurement_that_contradicts_changes_nothing_and_the_second_does() {
    for from in 0..9 {
        for to in (0..9).filter(|to| *to != from) {
            let mut world = World::new(nat(from / 3, from % 3));
            let first = world.arrive();
            let before = world.truth();
            world.pass(2 * OPEN_FOR);
            world.nat = nat(to / 3, to % 3);
            world.seen.clear();
            world.measure(Purpose::Renewal);
            world.pass(LOOK_AGAIN_AFTER - SECOND);
            assert_eq!(held(&world.watch.view()), before, "{from} {to}");
            if from % 3 != to % 3 {
                assert_eq!(world.watch.view().filtering, first.filtering);
            }
            world.pass(45 * SECOND);
            let found = held(&world.watch.view());
            assert_eq!(found.filtering, world.truth().filtering, "{from} {to}");
            assert!(world.seen.contains(&Seen::Changed));
            // A change of mapping shows at once only where filtering stayed.
            world.pass(2 * (RENEW_AFTER + RENEW_SPREAD));
            assert_eq!(held(&world.watch.view()), world.truth(), "{from} {to}");
        }
    }
}

#[test]
fn a_single_oddity_is_looked_at_twice_and_forgotten() {
    let mut world = World::new(nat(0, 0));
    let first = world.arrive();
    world.pass(2 * OPEN_FOR);
    world.nat = nat(0, 2);
    world.measure(Purpose::Renewal);
    world.pass(15 * SECOND);
    world.nat = nat(0, 0);
    world.pass(45 * SECOND);
    let view = world.watch.view();
    assert_eq!(held(&view), world.truth());
    assert!(view.filtering.unwrap().measured > first.filtering.unwrap().measured);
    // The second look was the last for hours.
    let sent = world.sent.len();
    world.pass(RENEW_AFTER - 60 * SECOND);
    assert_eq!(world.sent.len(), sent);
}

#[test]
fn a_verdict_needs_the_same_contradiction_twice_in_a_row() {
    let mut verdict = Verdict::default();
    let at = |minutes: u64| UnixTime(NOON.0 + minutes * 60_000);
    let mut hear = |what: Option<u8>, minutes| {
        verdict.hear(what, at(minutes));
        let Found { what, measured } = verdict.held().unwrap();
        (what, (measured.0 - NOON.0) / 60_000)
    };
    assert_eq!(hear(Some(1), 0), (1, 0));
    assert_eq!(hear(Some(1), 1), (1, 1));
    assert_eq!(hear(Some(2), 2), (1, 1));
    assert_eq!(hear(Some(3), 3), (1, 1));
    assert_eq!(hear(Some(2), 4), (1, 1));
    assert_eq!(hear(Some(1), 5), (1, 5));
    assert_eq!(hear(Some(2), 6), (1, 5));
    // Who finds nothing says nothing.
    assert_eq!(hear(None, 7), (1, 5));
    assert_eq!(hear(Some(2), 8), (2, 8));
}

#[test]
fn it_is_measured_anew_about_every_four_hours() {
    let mut world = World::new(nat(0, 1));
    let first = world.arrive().mapping.unwrap().measured;
    let mut dates = vec![first];
    for _ in 0..8 * 24 * 60 {
        world.pass(60 * SECOND);
        let measured = world.watch.view().mapping.unwrap().measured;
        if dates.last() != Some(&measured) {
            dates.push(measured);
        }
    }
    assert!((45..=51).contains(&dates.len()), "{}", dates.len());
    let gaps: Vec<_> = dates.windows(2).map(|pair| pair[1].since(pair[0])).collect();
    assert!(gaps.iter().all(|gap| *gap >= RENEW_AFTER));
    assert!(gaps.iter().all(|gap| *gap <= RENEW_AFTER + RENEW_SPREAD + 30 * SECOND));
    assert!(gaps.iter().collect::<std::collections::BTreeSet<_>>().len() > 20);
    // The date alone is no news; that the port changes, since nothing keeps the mapping, is.
    assert_eq!(held(&world.watch.view()), world.truth());
}

#[test]
fn on_another_network_the_first_finding_counts_at_once() {
    let mut world = World::new(nat(0, 2));
    world.arrive();
    world.pass(2 * OPEN_FOR);
    world.watch.forget();
    assert_eq!(world.watch.view(), NatView::default());
    assert_eq!(world.watch.next_due(), None);
    world.nat = nat(2, 0);
    // The link to the home is still that of the old network: our own address shows with the next.
    let found = held(&world.arrive());
    assert_eq!(found, Held { translation: None, ..world.truth() });
    world.seen.clear();
    world.is_at(None);
    world.is_at(Some("2001:db8::1"));
    assert_eq!(held(&world.watch.view()), found);
    world.is_at(Some("10.0.0.2"));
    world.is_at(Some("10.0.0.2"));
    assert_eq!(world.seen, [Seen::Changed]);
    let view = world.watch.view();
    assert_eq!(held(&view), world.truth());
    assert_eq!(view.translation.unwrap().measured, view.address.unwrap().measured);
}

#[test]
fn answers_are_taken_from_whom_they_were_asked_of_only() {
    let mut world = World::new(Nat { blocks_udp: true, ..nat(0, 0) });
    world.measure(Purpose::Arrival);
    let transaction = world.sent[0].bytes[8..20].to_vec();
    let answer = |class: u8, transaction: &[u8]| {
        let mapped = [0, 0x20, 0, 8, 0, 1, 0x11, 0x12, 0xe1, 0x12, 0xa6, 0x43];
        let head = [class, 1, 0, 12, 0x21, 0x12, 0xa4, 0x42];
        [head.as_slice(), transaction, &mapped].concat()
    };
    let (home, partner) = (world.main(0), world.main(1));
    world.receives(partner, &answer(1, &transaction));
    world.receives(world.alternate(0), &answer(1, &transaction));
    world.receives(home, &answer(1, &[7; 12]));
    world.receives(home, &answer(0, &transaction));
    world.receives(home, &answer(1, &transaction)[..30]);
    world.receives(home, &[1]);
    world.receives(home, &[]);
    assert_eq!(world.seen, []);
    world.receives(home, &answer(1, &transaction));
    assert_eq!(world.seen, [Seen::Udp(true), Seen::Changed]);
}

#[test]
fn a_change_that_the_server_did_not_make_is_none() {
    // A server of RFC 5389 passes over CHANGE-REQUEST and answers from where it was asked.
    let mut world = World::new(nat(0, 2));
    world.measure(Purpose::Arrival);
    world.pass(Duration::from_millis(45));
    let home = world.main(0);
    let changes: Vec<_> = world.sent.iter().filter(|sent| sent.bytes.len() == 36).collect();
    assert_eq!(changes.len(), 2);
    let answers: Vec<Vec<u8>> = changes
        .iter()
        .map(|question| {
            let mapped = [0, 0x20, 0, 8, 0, 1, 0x11, 0x12, 0xe1, 0x12, 0xa6, 0x43];
            let head = [1, 1, 0, 12, 0x21, 0x12, 0xa4, 0x42];
            [head.as_slice(), &question.bytes[8..20], &mapped].concat()
        })
        .collect();
    for answer in &answers {
        world.receives(home, answer);
    }
    world.pass(45 * SECOND);
    let found = held(&world.watch.view());
    assert_eq!((found.filtering, found.mapping), (None, world.truth().mapping));
}

#[test]
fn a_measurement_sends_a_bounded_number_of_datagrams_and_ends() {
    let mut most = 0;
    for world in every_kind() {
        // Plain answers come at the last try, others never.
        let mut tries = std::collections::BTreeMap::new();
        let mut world = world.losing(move |packet| {
            let is_question = packet.bytes[0] == 0;
            let times = tries.entry(packet.bytes[8..20].to_vec()).or_insert(0);
            *times += u32::from(is_question);
            *times < 3
        });
        world.measure(Purpose::Arrival);
        world.pass(60 * SECOND);
        assert!(!world.watch.is_running());
        most = most.max(world.sent.len());
    }
    assert!((20..=32).contains(&most), "{most}");
}

#[test]
fn the_trail_is_bounded_and_blurred_where_it_is_too_long() {
    let (mut trail, now) = (Trail::default(), start());
    let place = |n: usize| addr(&format!("203.0.{}.{}:9", n / 256, n % 256));
    for n in 0..PLACES_MAX {
        trail.note(now, place(n));
    }
    assert!(trail.leads_to(now, place(3)) && !trail.leads_to(now, addr("203.0.0.3:10")));
    assert!(trail.leads_to_any_of(now, place(3).ip()));
    assert!(!trail.leads_to_any_of(now, addr("203.0.9.9:9").ip()));
    trail.note(now + SECOND, place(PLACES_MAX));
    assert_eq!(trail.len(), PLACES_MAX);
    assert!(trail.leads_to_any_of(now + SECOND, addr("192.0.2.1:9").ip()));
    let later = now + SECOND + OPEN_FOR;
    assert!(!trail.leads_to(later, place(3)));
    trail.note(later, place(PLACES_MAX));
    assert_eq!(trail.len(), 1);
}
