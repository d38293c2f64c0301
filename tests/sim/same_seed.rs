//! One seed, one log.

use std::process::Command;

use earshot_tests::sim::swarm::{Swarm, run};

const PROGRAM: &str = env!("CARGO_BIN_EXE_sim");

/// The hash that another process prints for this run.
fn hash_elsewhere(arguments: &[&str]) -> String {
    let output = Command::new(PROGRAM).args(arguments).output().expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    let line = text.lines().find_map(|line| line.strip_prefix("FACT sim.hash "));
    line.expect("a hash is printed").to_owned()
}

const SHORT: [&str; 6] = ["--seed", "7", "--minutes", "1", "--peers", "4"];

#[test]
fn two_processes_with_one_seed_decide_the_same() {
    let hash = hash_elsewhere(&SHORT);
    assert_eq!(hash, hash_elsewhere(&SHORT));
    let here = run(&Swarm { seed: 7, peers: 4, super_peers: 3, minutes: 1, sloppy: false });
    assert_eq!(hash, format!("{:016x}", here.hash));
    let other = hash_elsewhere(&["--seed", "8", "--minutes", "1", "--peers", "4"]);
    assert_ne!(hash, other, "the hash tells runs apart");
}

#[test]
fn a_machine_that_iterates_without_an_order_is_caught() {
    let sloppy = [&SHORT[..], &["--sloppy"]].concat();
    assert_ne!(hash_elsewhere(&sloppy), hash_elsewhere(&sloppy));
}
