//! What a day costs an ordinary peer that does nothing, in bytes: in the simulator, where a day is
//! a matter of seconds.

use std::io::Write;
use std::time::Duration;

use super::limit::Limit;
use super::{Stop, step};
use crate::report::Report;
use crate::sim::World;

/// Buddies that are on line all day, and do nothing either.
const BUDDIES: usize = 5;
const DAY: Duration = Duration::from_secs(24 * 3600);
const BYTES: Limit = Limit::at_most("peer.idle_bytes_per_day", 1e6);
/// What is checked.
pub(super) const LIMITS: [Limit; 1] = [BYTES];

/// Measures it.
pub(super) fn run<W: Write>(report: &mut Report<W>) -> Result<(), Stop> {
    let bytes = step(report, "peer.day", || {
        let mut world = World::new(1).network(3);
        world.person("alice");
        for number in 0..BUDDIES {
            let name = format!("buddy{number}");
            world.person(&name);
            world.befriend("alice", &name);
        }
        world.run_for(Duration::from_secs(60));
        let before = world.traffic("alice");
        world.run_for(DAY);
        Ok((world.traffic("alice") - before) as f64)
    })?;
    report.figure(BYTES.name(), bytes, "bytes", &[("buddies", &BUDDIES.to_string())]);
    BYTES.check(report, Some(bytes));
    Ok(())
}
