//! What is known of the NAT before us, since when, and what it takes to change it. RFC 4787; DESIGN
//! 2.12.
//!
//! Invariant: a verdict is replaced only by the same other finding twice in a row; a measurement
//! that finds nothing neither confirms nor contradicts, and does not count.

use std::net::{IpAddr, SocketAddr};

use crate::time::UnixTime;

/// Whether our address is another one outside. RFC 5780, section 4.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Translation {
    /// The address that others see is our own: there is no NAT, though perhaps a firewall that
    /// filters.
    Absent,
    /// They see another one.
    Present,
}

/// How a NAT maps one port of ours to the outside: what an address learnt at one place is worth at
/// another. RFC 4787, section 4.1; found out by RFC 5780, section 4.3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mapping {
    /// To the same address and port, whoever is sent to; also where there is no NAT.
    EndpointIndependent,
    /// To another one for each address that is sent to.
    AddressDependent,
    /// To another one for each address and port that is sent to.
    AddressAndPortDependent,
}

/// Whom a NAT or a firewall lets in to a port of ours. RFC 4787, section 5; found out by RFC 5780,
/// section 4.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filtering {
    /// Everybody, once anything was sent from it.
    EndpointIndependent,
    /// Who has an address that was sent to.
    AddressDependent,
    /// Who has an address and port that was sent to.
    AddressAndPortDependent,
}

/// Something found out, and when it was found the last time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<T> {
    /// What.
    pub what: T,
    /// The last measurement that agreed.
    pub measured: UnixTime,
}

/// What is known of the NAT before us, each part by itself: none where nothing could be found out,
/// as where UDP is blocked, or our home has no partner to answer from another address (RFC 5780).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NatView {
    /// Our reflexive address (RFC 8489, section 2), as our home saw our port last. Its port changes
    /// where a mapping ends.
    pub address: Option<Found<SocketAddr>>,
    /// Whether there is a NAT. RFC 5780, section 4.2.
    pub translation: Option<Found<Translation>>,
    /// How it maps. RFC 5780, section 4.3.
    pub mapping: Option<Found<Mapping>>,
    /// Whom it lets in. RFC 5780, section 4.4.
    pub filtering: Option<Found<Filtering>>,
}

/// What one measurement found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Findings {
    pub(super) address: Option<SocketAddr>,
    pub(super) mapping: Option<Mapping>,
    pub(super) filtering: Option<Filtering>,
}

/// What is held true of one thing, and what speaks against it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verdict<T> {
    held: Option<Found<T>>,
    /// What the last measurement found instead.
    rival: Option<T>,
}

impl<T> Default for Verdict<T> {
    fn default() -> Self {
        Self { held: None, rival: None }
    }
}

impl<T: Copy + PartialEq> Verdict<T> {
    pub(super) const fn held(&self) -> Option<Found<T>> {
        self.held
    }

    /// Takes what a measurement found.
    pub(super) fn hear(&mut self, found: Option<T>, measured: UnixTime) {
        let Some(what) = found else { return };
        if self.is_news(what) {
            self.rival = Some(what);
        } else {
            *self = Self { held: Some(Found { what, measured }), rival: None };
        }
    }

    /// Whether a finding contradicts for the first time: it would not count yet.
    pub(super) fn is_news(&self, what: T) -> bool {
        self.held.is_some_and(|held| held.what != what) && self.rival != Some(what)
    }
}

/// All verdicts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Verdicts {
    address: Option<Found<SocketAddr>>,
    translation: Verdict<Translation>,
    mapping: Verdict<Mapping>,
    filtering: Verdict<Filtering>,
}

impl Verdicts {
    /// Takes what a measurement found, at this address of ours as far as it is known; whether
    /// something else is held true now.
    pub(super) fn hear(
        &mut self,
        found: &Findings,
        own: Option<IpAddr>,
        measured: UnixTime,
    ) -> bool {
        let before = self.held();
        let address = found.address.map(|what| Found { what, measured });
        self.address = address.or(self.address);
        self.translation.hear(translation(found.address, own), measured);
        self.mapping.hear(found.mapping, measured);
        self.filtering.hear(found.filtering, measured);
        self.held() != before
    }

    /// Our own address is known now: whether that says more of the last measurement.
    pub(super) fn is_at(&mut self, own: Option<IpAddr>) -> bool {
        let Some(Found { what: address, measured }) = self.address else { return false };
        let is_open = self.translation.held().is_none();
        if is_open {
            self.translation.hear(translation(Some(address), own), measured);
        }
        is_open && self.translation.held().is_some()
    }

    pub(super) const fn filtering(&self) -> Verdict<Filtering> {
        self.filtering
    }

    /// Whether the last measurement contradicted something.
    pub(super) const fn are_doubted(&self) -> bool {
        self.translation.rival.is_some()
            || self.mapping.rival.is_some()
            || self.filtering.rival.is_some()
    }

    pub(super) const fn view(&self) -> NatView {
        NatView {
            address: self.address,
            translation: self.translation.held(),
            mapping: self.mapping.held(),
            filtering: self.filtering.held(),
        }
    }

    /// What is held true, without when it was measured.
    fn held(&self) -> (Findings, Option<Translation>) {
        let NatView { address, translation, mapping, filtering } = self.view();
        let findings = Findings {
            address: address.map(|found| found.what),
            mapping: mapping.map(|found| found.what),
            filtering: filtering.map(|found| found.what),
        };
        (findings, translation.map(|found| found.what))
    }
}

/// RFC 5780, section 4.2, by the addresses alone: nobody knows a NAT that changes only ports, and
/// the machine is not told the number of its port.
fn translation(seen: Option<SocketAddr>, own: Option<IpAddr>) -> Option<Translation> {
    let (seen, own) = (seen?.ip().to_canonical(), own?.to_canonical());
    (seen.is_ipv4() == own.is_ipv4()).then_some(if seen == own {
        Translation::Absent
    } else {
        Translation::Present
    })
}
