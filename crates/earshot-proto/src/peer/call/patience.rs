//! How long each thing of a call may take before it counts as failed.

use std::time::Duration;

/// For finding the callee. Our choice: a search of all three widths over slow links takes seconds.
pub const LOCATE: Duration = Duration::from_secs(20);
/// For a device to say that it rings. Our choice: all three cases are tried within 5 s; the rest is
/// for a callee whose home is being replaced.
pub const OFFER: Duration = Duration::from_secs(15);
/// For somebody to answer. Our choice: about nine rings, shorter than patience, longer than a
/// staircase.
pub const RING: Duration = Duration::from_secs(45);
/// How much longer than the caller a callee waits: the caller's end should come first.
pub const RING_SLACK: Duration = Duration::from_secs(10);
/// For the path to come up after the answer. Our choice: ICE gives a pair up within it, relays
/// included.
pub const CONNECT: Duration = Duration::from_secs(20);
/// Between the first two searches for a device that moved away in the middle of a call; twice as
/// long each time. Our choice: registrations follow a move within a round trip or two.
pub const RELOCATE_FIRST: Duration = Duration::from_millis(250);
/// Longest wait between two such searches. Our choice: nobody asks the directory all the time.
pub const RELOCATE_LONGEST: Duration = Duration::from_secs(10);
/// For a device to say whether it still has the call. Our choice: a home that crashed is replaced
/// within that time.
pub const PROBE: Duration = Duration::from_secs(5);
/// For a voice that was interrupted to come back. Our choice: longer than a lift, a tunnel or a
/// router that starts anew; by then people have hung up.
pub const INTERRUPTED: Duration = Duration::from_secs(45);
/// For a super-peer to tell that a process has ended: the system closes its connections. Our
/// choice: less than the silence after which a link is thought dead.
pub const GONE_AT_ONCE: Duration = Duration::from_secs(5);
/// For an end to be heard. Our choice: as for a home that is replaced; the other side's own
/// patience ends every call whose end it never hears.
pub const FAREWELL: Duration = Duration::from_secs(15);
