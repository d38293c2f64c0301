//! A random crowd: whatever happens, the promises hold. The long version is `./x sim`.

use earshot_tests::sim::swarm::{Swarm, run};

#[test]
fn a_crowd_that_crashes_and_is_cut_off_at_random_keeps_every_promise() {
    for seed in 1..=1 {
        let outcome = run(&Swarm { seed, peers: 12, super_peers: 3, minutes: 10, sloppy: false });
        assert!(outcome.broken.is_empty(), "seed {seed}: {:#?}", outcome.broken);
        assert!(outcome.commands > 300, "seed {seed}: only {} commands", outcome.commands);
        assert!(outcome.calls > 5, "seed {seed}: only {} calls", outcome.calls);
        assert!(outcome.messages > 20, "seed {seed}: only {} messages", outcome.messages);
    }
}

/// Two that come home in the same moment may look for each other before either is registered, or
/// be told where the other was.
#[test]
fn small_crowds_find_together_after_a_minute_of_trouble() {
    for seed in 1..=20 {
        let outcome = run(&Swarm { seed, peers: 4, super_peers: 3, minutes: 1, sloppy: false });
        assert!(outcome.broken.is_empty(), "seed {seed}: {:#?}", outcome.broken);
    }
}
