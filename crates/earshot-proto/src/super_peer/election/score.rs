//! How good a super-peer a machine would be: a number, and what it is made of. Lecture, slide 15
//! (address, bandwidth, processor, time on line); DESIGN 2.12.

use std::time::Duration;

/// The highest score.
pub const SCORE_MAX: u16 = 1000;

/// What is known of the machine that may serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fitness {
    /// How long it has been on line without a break.
    pub up: Duration,
    /// What it sends at most, as measured, in bits per second.
    pub upstream_bps: u64,
    /// How much of its processor is idle, in percent.
    pub idle_percent: u8,
    /// Which kind of address it has.
    pub address: AddressKind,
    /// What it draws its power from.
    pub power: Power,
    /// What its connection costs.
    pub tariff: Tariff,
}

/// How long an address lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressKind {
    /// It stays: a server's; or one in a range that the policy names, for there is no better.
    Static,
    /// The provider changes it.
    Dynamic,
    /// No address of the network: it is behind somebody else's.
    Private,
}

/// What a machine draws its power from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Power {
    /// The mains.
    Mains,
    /// A battery.
    Battery,
}

/// What a connection costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tariff {
    /// Bytes are free.
    Flat,
    /// Bytes are counted.
    Metered,
}

/// Up to when time on line counts. Our choice: whoever stays for a day stays.
const UP_FULL: Duration = Duration::from_secs(24 * 3600);
/// From where on a faster line is no better. Our choice: a hundred calls relayed at 100 kb/s.
const UPSTREAM_FULL_BPS: u64 = 10_000_000;

const UP_MAX: u16 = 300;
const UPSTREAM_MAX: u16 = 300;
const IDLE_MAX: u16 = 200;
const ADDRESS_MAX: u16 = 200;
/// In Skype's network static addresses lived 38 times longer. Lecture, slide 15.
const STATIC_LIVES_LONGER: u16 = 38;

/// A score, and how much of it each factor gave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Score {
    /// Of 300: time on line.
    pub up: u16,
    /// Of 300: bandwidth upstream.
    pub upstream: u16,
    /// Of 200: idle processor.
    pub idle: u16,
    /// Of 200: kind of address.
    pub address: u16,
}

impl Score {
    /// The score of a machine.
    #[must_use]
    pub fn of(fitness: &Fitness) -> Self {
        let address = match fitness.address {
            AddressKind::Static => ADDRESS_MAX,
            AddressKind::Dynamic => ADDRESS_MAX / STATIC_LIVES_LONGER,
            AddressKind::Private => 0,
        };
        Self {
            up: share(fitness.up.as_secs(), UP_FULL.as_secs(), UP_MAX),
            upstream: share(fitness.upstream_bps, UPSTREAM_FULL_BPS, UPSTREAM_MAX),
            idle: share(u64::from(fitness.idle_percent), 100, IDLE_MAX),
            address,
        }
    }

    /// The sum, at most [`SCORE_MAX`].
    #[must_use]
    pub const fn total(&self) -> u16 {
        self.up + self.upstream + self.idle + self.address
    }
}

fn share(have: u64, full: u64, max: u16) -> u16 {
    (have.min(full) * u64::from(max) / full) as u16
}

const _: () = assert!(UP_MAX + UPSTREAM_MAX + IDLE_MAX + ADDRESS_MAX == SCORE_MAX);
