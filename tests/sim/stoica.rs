//! Plain Chord beside Stoica et al., SIGCOMM 2001, section 6: the laboratory's measuring rod.

use earshot_tests::lab::stoica::{
    Places, Reach, as_published, failed_after, keys_per_node, path_lengths, without_the_longest,
};
use earshot_tests::lab::stoica_churn::failures;

/// By how many hops the mean path among 2^3 to 2^14 nodes differs from half the logarithm, at most,
/// and by which part of it.
fn apart(places: Places, reach: Reach) -> (f64, f64) {
    (3..=14).fold((0.0, 0.0), |(hops, part), k| {
        let rings = if k < 10 { 40 } else { 2 };
        let path = path_lengths(k, rings, places, reach);
        let wanted = f64::from(k) / 2.0;
        let differs = (path.mean - wanted).abs();
        println!("2^{k} {places:?}: {path:?} instead of {wanted}");
        (differs.max(hops), (differs / wanted).max(part))
    })
}

#[test]
fn paths_are_half_the_logarithm_long() {
    let (_, part) = apart(Places::Even, as_published);
    assert!(part <= 0.03, "{part} of the paper's");
    let (hops, _) = apart(Places::ByLot, as_published);
    assert!(hops <= 0.17, "{hops} hops from the paper's");
}

#[test]
fn one_wrong_finger_shows_in_the_paths() {
    assert!(apart(Places::Even, without_the_longest).1 > 0.03);
    assert!(apart(Places::ByLot, without_the_longest).0 > 0.17);
}

#[test]
fn keys_lie_as_unevenly_as_in_the_paper_and_virtual_nodes_help() {
    let plain = keys_per_node(10_000, 500_000, 1, 1);
    println!("{plain:?}");
    assert!((4.2..=5.0).contains(&plain.p99) && (7.5..=12.0).contains(&plain.max));
    let mut last = 5.2;
    for virtuals in [1, 2, 5, 10, 20] {
        let spread = keys_per_node(10_000, 1_000_000, virtuals, 2);
        println!("{virtuals}: {spread:?}");
        assert!(spread.p99 < last);
        last = spread.p99;
    }
    assert!((1.5..=1.7).contains(&last), "the paper has 1.6");
}

#[test]
fn what_fails_after_a_failure_is_what_was_lost() {
    for share in [0.05, 0.1, 0.2, 0.3, 0.5] {
        let failed = failed_after(10_000, share, 100_000, 3);
        assert!((failed - share).abs() <= 0.015, "{share}: {failed}");
    }
}

#[test]
fn while_nodes_come_and_go_a_few_look_ups_in_a_hundred_fail() {
    let [rare, often] = [0.01, 0.1].map(|rate| failures(500, rate, 7_200, 4));
    println!("{rare} and {often}");
    assert!((0.0..=0.01).contains(&rare), "{rare}");
    assert!((0.02..=0.06).contains(&often), "{often}: about 3 %, slightly worse");
}
