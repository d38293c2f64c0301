//! Getting and renewing the node certificate. DESIGN 2.5, INTERFACES 2.
//!
//! A super-peer serves from the moment it is enrolled; it then takes its place on the ring.
//! Certificates live seven days and are renewed at half their life.

use std::time::{Duration, Instant};

use crate::port::{LinkId, Output, SaveId, Service};
use crate::secure::identity::{Disbelief, Use, open_signed, verify_chain};
use crate::secure::link::Expect;
use crate::secure::links::Who;
use crate::time::UnixTime;
use crate::wire::bounded::{List, Text};
use crate::wire::certificate::Subject;
use crate::wire::directory::{Directory, NodeEntry};
use crate::wire::enrolment::{Enrolment, EnrolmentRefusal};
use crate::wire::invite::{AlsoAt, Door, Invite};
use crate::wire::policy::{NETWORK_NAME_MAX, Policy, Range};

use super::relay::{Relay, RelayConfig};
use super::ring::{self, Ring};
use super::{EnrolmentRecord, Notice, Record, SuperPeer};

/// Pause before the authority is tried again. Our choice: an authority that restarts is missed for
/// seconds.
const RETRY: Duration = Duration::from_secs(5);
/// Keepers of a key before the policy is known. DESIGN 1.
const KEEPERS_DEFAULT: u8 = 4;

/// Where a super-peer stands with the authority.
#[derive(Debug, Default)]
pub(super) enum Standing {
    /// Not enrolled and not trying: it has no token.
    #[default]
    Outside,
    /// Asking a super-peer of the invite where the authority is.
    Asking { link: LinkId, next: usize },
    /// Asking for a certificate.
    Enrolling { link: Option<LinkId>, retry: Option<Instant> },
    /// Enrolled.
    Serving { policy: Policy, renewal: Renewal },
}

/// The next renewal of the certificate.
#[derive(Debug)]
pub(super) struct Renewal {
    at: Instant,
    link: Option<LinkId>,
}

/// Why a super-peer is not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotEnrolled {
    /// It has neither a certificate nor a token or an owner to get one.
    NoToken,
    /// The authority said no.
    Refused(EnrolmentRefusal),
    /// What the authority sent does not verify: it is not this network's.
    Disbelieved(Disbelief),
}

impl Standing {
    pub(super) const fn is_serving(&self) -> bool {
        matches!(self, Self::Serving { .. })
    }

    /// Whether we are asking the authority over this link.
    pub(super) fn asks_by(&self, asking: LinkId) -> bool {
        match self {
            Self::Outside | Self::Asking { .. } => false,
            Self::Enrolling { link, .. } => *link == Some(asking),
            Self::Serving { renewal, .. } => renewal.link == Some(asking),
        }
    }

    /// Whether an answer of the authority is awaited.
    pub(super) const fn is_enrolling(&self) -> bool {
        match self {
            Self::Outside | Self::Asking { .. } => false,
            Self::Enrolling { link, .. } => link.is_some(),
            Self::Serving { renewal, .. } => renewal.link.is_some(),
        }
    }

    /// r of DESIGN 1: how many super-peers keep a key.
    pub(super) const fn keepers(&self) -> u8 {
        match self {
            Self::Serving { policy, .. } => policy.keepers,
            Self::Outside | Self::Asking { .. } | Self::Enrolling { .. } => KEEPERS_DEFAULT,
        }
    }

    pub(super) const fn next_due(&self) -> Option<Instant> {
        match self {
            Self::Outside | Self::Asking { .. } => None,
            Self::Enrolling { retry, .. } => *retry,
            Self::Serving { renewal, .. } => match renewal.link {
                None => Some(renewal.at),
                Some(_) => None,
            },
        }
    }
}

impl SuperPeer {
    /// Enrols, or serves at once with the certificate of before.
    pub(super) fn start(&mut self, now: Instant) {
        let before = self.config.enrolled.take();
        let believed = before.and_then(|record| self.believe(now, record).ok());
        match believed {
            Some((record, policy, entry, until)) => self.serve(now, record, policy, entry, until),
            None if self.config.token.is_some() => self.find_authority(now, 0),
            None if let Some(chain) = &self.config.owner => {
                self.links.certify(chain.clone());
                self.find_authority(now, 0);
            }
            None => self.out.push_back(Output::Notify(Notice::NotEnrolled(NotEnrolled::NoToken))),
        }
    }

    /// Dials the authority, or asks the next super-peer of the invite where it is.
    fn find_authority(&mut self, now: Instant, next: usize) {
        if self.config.authority.is_some() || self.config.doors.is_empty() {
            return self.dial_authority(now);
        }
        let Door { address, key } = self.config.doors[next % self.config.doors.len()];
        let link = self.links.dial(now, address, Service::SuperPeer, Expect::Key(key));
        self.links.send(now, link, 1, Directory::ListSuperPeers);
        self.standing = Standing::Asking { link, next: next + 1 };
    }

    /// Whether that link was dialled to ask where the authority is.
    pub(super) fn is_asking_door(&self, link: LinkId) -> bool {
        matches!(self.standing, Standing::Asking { link: asking, .. } if asking == link)
    }

    /// A super-peer tells where the authority is, if it knows.
    pub(super) fn door_answered(&mut self, now: Instant, link: LinkId, authority: Option<Door>) {
        self.links.close(link);
        self.config.authority = authority;
        self.standing = Standing::Enrolling { link: None, retry: Some(now + RETRY) };
        if authority.is_some() {
            self.dial_authority(now);
        }
    }

    fn dial_authority(&mut self, now: Instant) {
        let Some(Door { address, key }) = self.config.authority else { return };
        let expect = Expect::Key(key);
        let link = self.links.dial(now, address, Service::Authority, expect);
        match &mut self.standing {
            Standing::Serving { renewal, .. } => renewal.link = Some(link),
            Standing::Outside | Standing::Asking { .. } | Standing::Enrolling { .. } => {
                self.standing = Standing::Enrolling { link: Some(link), retry: None };
            }
        }
    }

    /// The authority is linked: because we have dialled it, or because it has something to ask.
    pub(super) fn authority_linked(&mut self, now: Instant, link: LinkId) {
        if !self.standing.asks_by(link) {
            return;
        }
        let (address, v6) = (self.config.address, self.config.v6);
        let message: Enrolment = match &self.standing {
            Standing::Serving { .. } => Enrolment::Renew { address, v6 },
            Standing::Outside | Standing::Asking { .. } | Standing::Enrolling { .. } => {
                let token = self.config.token.clone();
                if token.is_none() && self.config.owner.is_none() {
                    return;
                }
                Enrolment::Enrol { token, keys: self.config.keys.public(), address, v6 }
            }
        };
        self.links.send(now, link, 1, message);
    }

    pub(super) fn authority_gone(&mut self, now: Instant, gone: LinkId) {
        match &mut self.standing {
            Standing::Asking { link, next } if *link == gone => {
                let next = *next;
                if next < self.config.doors.len() {
                    self.find_authority(now, next);
                } else {
                    self.standing = Standing::Enrolling { link: None, retry: Some(now + RETRY) };
                }
            }
            Standing::Enrolling { link, retry } if *link == Some(gone) => {
                *link = None;
                *retry = Some(now + RETRY);
            }
            Standing::Serving { renewal, .. } if renewal.link == Some(gone) => {
                renewal.link = None;
                renewal.at = renewal.at.max(now + RETRY);
            }
            Standing::Outside
            | Standing::Asking { .. }
            | Standing::Enrolling { .. }
            | Standing::Serving { .. } => {}
        }
    }

    pub(super) fn handle_enrolment(
        &mut self,
        now: Instant,
        link: LinkId,
        who: &Who,
        ask: u32,
        message: Enrolment,
    ) {
        if !matches!(who, Who::Authority) || !self.standing.asks_by(link) {
            return self.handle_verifying(now, link, who, ask, message);
        }
        match message {
            Enrolment::Enrolled { chain, policy, nodes, epochs } => {
                self.links.close(link);
                let (nodes, epochs) = (nodes.into_vec(), epochs.into_vec());
                let record = EnrolmentRecord { chain, policy, nodes, epochs };
                match self.believe(now, record) {
                    Ok((record, policy, entry, until)) => {
                        self.save_enrolment(record.clone());
                        self.serve(now, record, policy, entry, until);
                    }
                    Err(why) => self.not_enrolled(NotEnrolled::Disbelieved(why)),
                }
            }
            Enrolment::Refused { reason } => {
                self.links.close(link);
                self.not_enrolled(NotEnrolled::Refused(reason));
            }
            Enrolment::Enrol { .. }
            | Enrolment::Renew { .. }
            | Enrolment::Verify { .. }
            | Enrolment::Verified { .. }
            | Enrolment::Prove { .. }
            | Enrolment::Proof { .. }
            | Enrolment::CertificatesOf { .. }
            | Enrolment::Certificates { .. }
            | Enrolment::Policy { .. }
            | Enrolment::PolicyKnown { .. } => self.links.close(link),
        }
    }

    /// A serving node goes on serving while its certificate lives; it is only told.
    fn not_enrolled(&mut self, why: NotEnrolled) {
        if !self.standing.is_serving() {
            self.standing = Standing::Outside;
        }
        self.out.push_back(Output::Notify(Notice::NotEnrolled(why)));
    }

    fn believe(
        &self,
        now: Instant,
        record: EnrolmentRecord,
    ) -> Result<(EnrolmentRecord, Policy, NodeEntry, UnixTime), Disbelief> {
        let root = &self.config.root;
        let verified = verify_chain(&record.chain, root, self.wall(now), Use::Present)?;
        let policy = open_signed(&record.policy, root)?;
        let until = verified.statement.not_after;
        let Subject::Node { node, address, keys, .. } = verified.statement.subject else {
            return Err(Disbelief::WrongKind);
        };
        if keys != self.config.keys.public() || address != self.config.address {
            return Err(Disbelief::NotTheHolder);
        }
        Ok((record, policy, NodeEntry { node, address, key: keys.agree }, until))
    }

    fn serve(
        &mut self,
        now: Instant,
        record: EnrolmentRecord,
        policy: Policy,
        entry: NodeEntry,
        until: UnixTime,
    ) {
        let left = until.since(self.wall(now));
        let renewal = Renewal { at: now + left / 2, link: None };
        self.links.certify(record.chain.clone());
        self.open_relay(now, &policy);
        self.set_terms(now, self.owned.terms);
        self.epochs_told(now, &record.epochs);
        let doors = record.nodes.clone();
        self.config.enrolled = Some(record);
        let invite = self.invite(&policy, &entry);
        let config = ring::Config::of_policy(&policy);
        self.standing = Standing::Serving { policy, renewal };
        self.traffic_due(now);
        self.out.push_back(Output::Notify(Notice::Serving { invite, entry }));
        if *self.ring.me() == entry {
            self.ring.set_config(now, config);
            self.ring.remember(&doors);
        } else {
            let ring = Ring::new(config, entry, self.entropy.jitter.split());
            self.take_place(now, ring, &doors);
        }
    }

    /// Opens the relay; one that is open goes on, with what it carries, by the policy of now.
    fn open_relay(&mut self, now: Instant, policy: &Policy) {
        if let Some(relay) = &mut self.relay {
            return relay.set_policy(policy.ranges.to_vec());
        }
        let address = self.config.address.ip();
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let mut own = self.config.own.clone();
        own.push(Range { address, prefix: bits });
        let both = self.config.both_families;
        let config = RelayConfig {
            own,
            policy: policy.ranges.to_vec(),
            allow: self.config.relay_allow.clone(),
            ipv4: both || address.is_ipv4(),
            ipv6: both || address.is_ipv6(),
            main: Some(self.config.address),
            limits: self.owned.terms.relay_limits(self.config.limits.relay, self.owned.is_relay()),
        };
        self.relay = Some(Relay::new(now, &config, self.entropy.secrets.split()));
    }

    fn invite(&self, policy: &Policy, entry: &NodeEntry) -> Invite {
        Invite {
            name: policy.name.clone(),
            root: self.config.root,
            super_peers: List::first_of([Door { address: entry.address, key: entry.key }]),
            token: None,
            policy_version: policy.version,
            also: self
                .config
                .v6
                .map(|address| List::first_of([AlsoAt { key: entry.key, address }])),
        }
    }

    pub(super) fn renew_due(&mut self, now: Instant) {
        let due = self.standing.next_due().is_some_and(|at| at <= now);
        if due {
            self.find_authority(now, 0);
        }
    }

    /// Has the enrolment written down.
    pub(super) fn save_enrolment(&mut self, record: EnrolmentRecord) {
        self.saves += 1;
        self.out.push_back(Output::Save(SaveId(self.saves), Record::Enrolment(record)));
    }

    /// A record could not be kept: the enrolment is asked for again at the next start, traffic is
    /// written again soon.
    pub(super) fn not_saved(&self) {
        tracing::warn!("The enrolment, or the count of traffic, could not be written to disk");
    }

    /// The network's name.
    #[must_use]
    pub fn network_name(&self) -> Option<&Text<NETWORK_NAME_MAX>> {
        match &self.standing {
            Standing::Serving { policy, .. } => Some(&policy.name),
            Standing::Outside | Standing::Asking { .. } | Standing::Enrolling { .. } => None,
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test begins at some moment")]
mod tests {
    use std::net::SocketAddr;

    use super::super::relay::Refusal;
    use super::super::testing::serving;
    use super::*;
    use crate::secure::testing::{NOW, Network};
    use crate::wire::certificate::{Chain, Signed};

    /// What was written down before there were epochs.
    #[derive(minicbor::Encode)]
    #[cbor(map)]
    struct Before {
        #[n(0)]
        chain: Chain,
        #[n(1)]
        policy: Signed<Policy>,
        #[n(2)]
        nodes: Vec<NodeEntry>,
    }

    #[test]
    fn an_enrolment_of_before_is_read_and_served_with() {
        let mut network = Network::new(1);
        let mut machine = serving(&mut network, Instant::now());
        let enrolled = machine.config.enrolled.take().expect("it serves");
        let EnrolmentRecord { chain, policy, nodes, .. } = enrolled.clone();
        let bytes = minicbor::to_vec(Before { chain, policy, nodes }).expect("it encodes");
        assert_eq!(minicbor::decode::<EnrolmentRecord>(&bytes).ok(), Some(enrolled));
    }

    #[test]
    fn a_renewed_certificate_ends_nothing_that_is_relayed() {
        let (mut network, now) = (Network::new(1), Instant::now());
        let mut machine = serving(&mut network, now);
        let refused = |machine: &SuperPeer| {
            machine.relay.as_ref().expect("it relays").counters().refused(Refusal::Malformed)
        };
        let relay = machine.relay.as_mut().expect("it relays");
        relay.handle_datagram(now, NOW, SocketAddr::from(([192, 0, 2, 9], 5000)), &[0x40]);
        assert_eq!(refused(&machine), 1);
        let renewed = machine.config.enrolled.clone().expect("it serves");
        let (record, policy, entry, until) = machine.believe(now, renewed).expect("it holds");
        machine.serve(now, record, policy, entry, until);
        assert_eq!(refused(&machine), 1, "it is the same relay");
    }
}
