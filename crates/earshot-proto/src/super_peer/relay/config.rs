//! What the owner of a relay decides: where it may send, for whom, and how much. DESIGN 2.12.

use std::net::SocketAddr;
use std::time::Duration;

use crate::wire::policy::Range;

/// The settings of a [`Relay`](super::Relay).
#[derive(Clone, Debug)]
pub struct RelayConfig {
    /// Networks and addresses of this machine and its owner, public addresses included: never sent
    /// to, unless named by one of the next two.
    pub own: Vec<Range>,
    /// Ranges that the network policy names: the ban on private addresses is lifted, ICE consent
    /// still needed.
    pub policy: Vec<Range>,
    /// Ranges that the owner names (`--relay-allow`): no ban and no consent, so that TURN test
    /// tools can be run.
    pub allow: Vec<Range>,
    /// Whether IPv4 relayed addresses can be had.
    pub ipv4: bool,
    /// Whether IPv6 relayed addresses can be had.
    pub ipv6: bool,
    /// Our main port as others see it; without it nothing is said of NAT behaviour (RFC 5780).
    pub main: Option<SocketAddr>,
    /// How much is carried, and for how many.
    pub limits: RelayLimits,
}

impl Default for RelayConfig {
    /// A relay for the whole Internet over IPv4 with the usual limits.
    fn default() -> Self {
        Self {
            own: Vec::new(),
            policy: Vec::new(),
            allow: Vec::new(),
            ipv4: true,
            ipv6: false,
            main: None,
            limits: RelayLimits::default(),
        }
    }
}

/// How much a relay carries, and for how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayLimits {
    /// Credentials that are good at one time.
    pub sessions_max: usize,
    /// Credentials of one user that are good at one time; one more replaces the oldest idle one.
    pub sessions_per_user_max: u32,
    /// Allocations at one time.
    pub allocations_max: usize,
    /// Allocations of one user at one time.
    pub allocations_per_user_max: u32,
    /// Payload of one user, both directions together; bursts of one second.
    pub user_bytes_per_second: u64,
    /// Payload of all together, both directions; bursts of one second.
    pub total_bytes_per_second: u64,
}

impl Default for RelayLimits {
    /// Our choice, for a super-peer at home: a relayed call is about 20 kB/s with headers left out,
    /// so one user's share carries several calls or one brisk file, and all together stay below a
    /// 100 Mbit/s line.
    fn default() -> Self {
        Self {
            sessions_max: 4096,
            sessions_per_user_max: 16,
            allocations_max: 1024,
            allocations_per_user_max: 16,
            user_bytes_per_second: 1_000_000,
            total_bytes_per_second: 10_000_000,
        }
    }
}

/// The realm told to clients (RFC 8489, section 14.9). Short, so that even the answer to a request
/// without any attribute stays within three times its length; credentials are of one super-peer
/// anyway.
pub const REALM: &str = "earshot";
/// How long credentials let new allocations be made. DESIGN 2.12.
pub const CREDENTIALS_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// How long an allocation lives if the client names no lifetime, and at least. RFC 8656, section
/// 3.2.
pub const ALLOCATION_LIFETIME_DEFAULT: Duration = Duration::from_secs(600);
/// How long an allocation lives at most without a refresh. RFC 8656, section 7.2 (recommended).
pub const ALLOCATION_LIFETIME_MAX: Duration = Duration::from_secs(3600);
/// How long a permission lives. RFC 8656, section 9.
pub const PERMISSION_LIFETIME: Duration = Duration::from_secs(300);
/// How long a channel binding lives. RFC 8656, section 12.
pub const CHANNEL_LIFETIME: Duration = Duration::from_secs(600);
/// How long consent lasts after an answered check. RFC 7675, section 5.1; DESIGN 2.12.
pub const CONSENT_LIFETIME: Duration = Duration::from_secs(30);
/// Permissions, channels and watched peers of one allocation. Our choice: a call has a handful of
/// remote candidates.
pub const PEERS_PER_ALLOCATION_MAX: usize = 32;
