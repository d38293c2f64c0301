//! Enrolling super-peers. DESIGN 2.5: nobody chooses its place on the ring.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::keys::{NODE_LIFE, prefix_of};
use super::orders::Notice;
use super::registrar::{Asker, Change, Moment, Outcome, Registrar, Reply};
use super::state::{Admits, NODES_MAX, Node, Row};
use crate::ids::{NodeId, UserName};
use crate::wire::bounded::{Bytes, List};
use crate::wire::certificate::{HolderKeys, Subject};
use crate::wire::directory::NodeEntry;
use crate::wire::enrolment::{Enrolment, EnrolmentRefusal};
use crate::wire::policy::Policy;

/// Nodes of one address or /48 within [`PORTS_TIME`] at most. DESIGN 2.5.
const PORTS_MAX: usize = 4;
/// How long a port counts. DESIGN 2.5.
const PORTS_TIME: Duration = Duration::from_secs(30 * 24 * 3600);

impl Registrar {
    /// Answers one question of the family [`Enrolment`].
    pub(super) fn answer_enrolment(
        &mut self,
        at: Moment,
        asker: &Asker,
        question: Enrolment,
    ) -> Reply {
        if self.count_certified(at, asker).is_err() {
            return no(EnrolmentRefusal::TooManyAttempts);
        }
        match question {
            Enrolment::Enrol { token, keys, address } => {
                self.enrol(at, asker, token.as_ref(), keys, address)
            }
            Enrolment::Renew { address } => self.renew_node(at, asker, address),
            Enrolment::Enrolled { .. } | Enrolment::Refused { .. } => {
                no(EnrolmentRefusal::CertificateRefused)
            }
        }
    }

    fn enrol(
        &mut self,
        at: Moment,
        asker: &Asker,
        token: Option<&Bytes<32>>,
        keys: HolderKeys,
        address: SocketAddr,
    ) -> Reply {
        if self.joins_per_address.take(&asker.source(), at.now).is_err() {
            return no(EnrolmentRefusal::TooManyAttempts);
        }
        if keys.agree != asker.key() {
            return no(EnrolmentRefusal::CertificateRefused);
        }
        let token = match token {
            Some(token) => match self.find_token(Some(token), Admits::Node, at.wall) {
                Some(hash) => Some(hash),
                None => return no(EnrolmentRefusal::TokenRefused),
            },
            None => None,
        };
        let owner = match (asker.certificate().map(|s| (&s.subject, s.not_after)), token) {
            (_, Some(_)) => None,
            (Some((Subject::Device { user, .. }, end)), None) if at.wall < end => {
                Some(user.clone())
            }
            (Some(_) | None, None) => return no(EnrolmentRefusal::TokenRefused),
        };
        self.enrolled(at, token, keys, address, owner)
    }

    fn renew_node(&mut self, at: Moment, asker: &Asker, address: SocketAddr) -> Reply {
        let Some(Subject::Node { node, keys, owner, .. }) =
            asker.certificate().map(|statement| &statement.subject)
        else {
            return no(EnrolmentRefusal::CertificateRefused);
        };
        // Whoever has enrolled at this address since has its place: the older keys are nobody's.
        if self.state.nodes.get(node).is_none_or(|known| known.keys != *keys) {
            return no(EnrolmentRefusal::CertificateRefused);
        }
        self.enrolled(at, None, *keys, address, owner.clone())
    }

    fn enrolled(
        &mut self,
        at: Moment,
        token: Option<[u8; 32]>,
        keys: HolderKeys,
        address: SocketAddr,
        owner: Option<UserName>,
    ) -> Reply {
        let node = NodeId::of(address, &self.keys.salt_of(address));
        let known = self.state.nodes.get(&node);
        if !self.may_serve(at, address, node) {
            return no(EnrolmentRefusal::AddressRefused);
        }
        if known.is_none() && self.state.nodes.len() >= NODES_MAX {
            return no(EnrolmentRefusal::Unavailable);
        }
        let since = known.map_or(at.wall, |known| known.since);
        let entry = Node { node, address, keys, owner: owner.clone(), since, until: at.wall };
        if !self.is_free(&Row::Node(entry.clone())) {
            return no(EnrolmentRefusal::Unavailable);
        }
        let subject = Subject::Node { node, address, keys, owner };
        let (chain, until, serial) = self.certify(subject, NODE_LIFE, at.wall);
        let mut rows = vec![Row::Node(Node { until, ..entry }), serial];
        rows.extend(token.and_then(|hash| self.spend(&hash)));
        // Those whose row is still being written count too: two who enrol at the same time would
        // otherwise never hear of each other.
        let known = self.state.nodes.values().chain(self.nodes_under_way());
        let others = known.filter(|n| n.node != node && n.until > at.wall);
        let others: BTreeMap<NodeId, NodeEntry> = others.map(|n| (n.node, n.entry())).collect();
        let nodes = List::first_of(others.into_values());
        let policy = self.state.signed_policy.clone();
        let epochs = self.keys.epochs_at(at.wall);
        let yes = Enrolment::Enrolled { chain, policy, nodes, epochs };
        let no = Enrolment::Refused { reason: EnrolmentRefusal::Unavailable };
        let notice = Some(Notice::Enrolled { node, address });
        let outcome = Outcome { answers: Some((yes.into(), no.into())), notice };
        Reply::After(Change { rows, token, outcome })
    }

    /// Whether a node may stand at `address`: the policy allows the range, and it is not one of a
    /// crowd.
    fn may_serve(&self, at: Moment, address: SocketAddr, node: NodeId) -> bool {
        let ip = address.ip().to_canonical();
        if address.port() == 0 || ip.is_unspecified() || ip.is_multicast() {
            return false;
        }
        if in_ranges(&self.state.policy, ip) {
            return true;
        }
        if !is_global(ip) {
            return false;
        }
        let prefix = prefix_of(ip);
        let crowd: BTreeSet<NodeId> = self
            .state
            .nodes
            .values()
            .filter(|n| n.node != node && prefix_of(n.address.ip()) == prefix)
            .filter(|n| n.until.plus(PORTS_TIME) > at.wall)
            .map(|n| n.node)
            .collect();
        crowd.len() < PORTS_MAX
    }
}

fn in_ranges(policy: &Policy, ip: IpAddr) -> bool {
    policy.ranges.iter().any(|range| range.contains(ip))
}

/// Whether `ip` is an address of the whole Internet: none of the ranges that IANA's special-purpose
/// registries (RFC 6890) keep from it, as far as nodes may claim them.
fn is_global(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            !(a == 0
                || a >= 240
                || ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_documentation()
                || (a == 100 && (64..128).contains(&b))
                || (a == 198 && (18..20).contains(&b))
                || (a == 192 && b == 0 && c == 0))
        }
        // 2000::/3 is all that is given out; of it 2001:db8::/32 is for books, 2002::/16 and
        // 2001::/32 hold IPv4.
        IpAddr::V6(ip) => {
            let [a, b, ..] = ip.segments();
            a >> 13 == 1 && a != 0x2002 && !(a == 0x2001 && (b == 0x0db8 || b == 0))
        }
    }
}

fn no(reason: EnrolmentRefusal) -> Reply {
    Reply::Now(Enrolment::Refused { reason }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_whole_internet_are_global() {
        let global = |text: &str| is_global(text.parse::<IpAddr>().expect("an address"));
        for ip in ["9.9.9.9", "192.0.1.1", "100.128.0.1", "2a00:1::1", "2001:4860::8888"] {
            assert!(global(ip), "{ip}");
        }
        for ip in [
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.0.1",
            "172.16.0.1",
            "192.0.0.1",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "255.255.255.255",
            "::1",
            "fe80::1",
            "fd00::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "2001:0:1::1",
        ] {
            assert!(!global(ip) || ip == "{ip}");
        }
    }
}
