//! The laboratory in small: the rings of the product among a thousand super-peers. The large runs
//! are `sim --lab` and `bench ring`.

use std::time::Duration;

use earshot_proto::super_peer::ring::Config;
use earshot_tests::lab::credentials::Credentials;
use earshot_tests::lab::lots;
use earshot_tests::lab::network::{Delays, Network};
use earshot_tests::lab::queue::SECOND;
use earshot_tests::lab::trial::{Measured, Trial, run};
use earshot_tests::lab::users::Users;
use earshot_tests::lab::world::World;

/// A thousand nodes in a Chord ring, with the product's times.
fn thousand_in_chord() -> Trial {
    let config = Config::with_thresholds(256, 128);
    Trial { minutes: 3, searches: 2_000, config, ..Trial::of(1_000) }
}

fn assert_success(measured: &Measured, percent: f64) {
    let (searches, success) = (measured.searches, measured.success_pct);
    assert!(success >= percent, "{success} % of {searches}");
}

#[test]
fn a_thousand_that_know_each_other_find_anybody_in_one_round_trip() {
    let session = Some(Duration::from_secs(3600));
    let trial = Trial { minutes: 2, searches: 2_000, session, ..Trial::of(1_000) };
    let mut measured = run(&trial);
    assert_success(&measured, 99.9);
    assert!(measured.took_at(0.5) <= 1.2 * 80.0, "{} ms", measured.took_at(0.5));
    assert!(measured.took_at(0.99) <= 3.0 * 80.0, "{} ms", measured.took_at(0.99));
}

#[test]
fn a_thousand_in_a_ring_find_anybody_while_they_come_and_go() {
    let session = Some(Duration::from_secs(3600));
    let mut measured = run(&Trial { session, ..thousand_in_chord() });
    assert_success(&measured, 99.9);
    assert!(measured.mean_hops() <= 3.0, "{} hops", measured.mean_hops());
    assert!(measured.upkeep_per_node <= 600.0, "{} bytes/s", measured.upkeep_per_node);
    assert!(measured.took_at(0.5) <= 4.2 * 80.0, "{} ms", measured.took_at(0.5));
}

#[test]
fn who_know_each_other_find_anybody_though_nobody_lives_long() {
    let session = Some(Duration::from_secs(84));
    let (warm_up, minutes, searches) = (2, 2, 1_000);
    let measured = run(&Trial { warm_up, minutes, searches, session, ..Trial::of(150) });
    assert_eq!(measured.modes[2], 0, "nobody is in a Chord ring");
    assert_success(&measured, 98.0);
}

#[test]
fn a_fifth_of_liars_hides_nobody() {
    let measured = run(&Trial { liars: 0.2, ..thousand_in_chord() });
    assert_success(&measured, 99.0);
}

#[test]
fn after_a_third_died_at_once_what_survived_is_whole_within_twenty_seconds() {
    let trial = Trial { fail: 0.3, minutes: 1, searches: 500, ..thousand_in_chord() };
    let measured = run(&trial);
    let lost = measured.before.lost as f64 / trial.users as f64;
    assert!(lost <= 2.0 * 0.3_f64.powi(4), "{lost} of the records are lost");
    let (ring, records) = (measured.whole_s, measured.repair_s);
    let soon = records.is_some_and(|seconds| seconds <= 20.0);
    assert!(soon, "ring {ring:?}, records {records:?}: {:?}", measured.after);
}

#[test]
fn lost_datagrams_and_long_lines_cost_time_and_no_searches() {
    let trial = Trial { loss: 0.05, delays: Delays::Cities, minutes: 2, ..thousand_in_chord() };
    assert_success(&run(&trial), 99.9);
}

#[test]
fn a_parted_ring_becomes_two_and_one_again() {
    let network = Network::new(Delays::Cities, 0.0, lots(1, 0));
    let users = Users::new(0, &mut lots(1, 1));
    let config = Config::with_thresholds(32, 16);
    let mut world = World::new(1, config, network, users, Credentials::default());
    world.found(120, |_| false);
    world.run_until(30 * SECOND);
    assert!(world.is_whole());
    world.network.part();
    world.run_until(180 * SECOND);
    assert!(!world.is_whole());
    world.network.heal();
    world.run_until(1_200 * SECOND);
    assert!(world.is_whole());
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let session = Some(Duration::from_secs(300));
    let trial = Trial { session, minutes: 1, searches: 300, ..thousand_in_chord() };
    let [one, two] = [run(&trial), run(&trial)];
    assert_eq!((one.events, one.upkeep, one.search), (two.events, two.upkeep, two.search));
    let other = run(&Trial { seed: 2, ..trial });
    assert_ne!(one.events, other.events);
}

#[test]
fn counted_signatures_lead_to_the_run_of_real_ones() {
    let session = Some(Duration::from_secs(1200));
    let trial = Trial {
        users: 3_000,
        minutes: 2,
        searches: 1_000,
        session,
        liars: 0.2,
        ..thousand_in_chord()
    };
    let counted = run(&trial);
    let real = run(&Trial { is_signed: true, ..trial });
    assert_eq!(counted.signatures, real.signatures);
    assert!(counted.signatures > 3 * 4 * 3_000, "each record at each keeper, and each answer");
    assert_eq!(counted, real);
}
