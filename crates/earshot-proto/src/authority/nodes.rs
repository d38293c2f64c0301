//! Enrolling super-peers. DESIGN 2.5: nobody chooses its place on the ring.
//!
//! The first are enrolled on their word. Once there are as many as the policy says, others have to
//! reach a newcomer at its address first ([`verifying`](super::verifying)); who renews where its
//! certificate holds has been reached there by everybody who linked to it. Who verifies is drawn
//! first among those that were not missed [`lately`](super::lately); and while hardly anybody can
//! verify, a few newcomers are enrolled on their word again.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use super::keys::{NODE_LIFE, prefix_of};
use super::limits::Source;
use super::orders::Notice;
use super::registrar::{Asker, Change, Moment, Outcome, Registrar, Reply};
use super::state::{Admits, NODES_MAX, Node, Row};
use super::verifying::SEATS;
use crate::entropy::Stream;
use crate::ids::{NodeId, UserName};
use crate::wire::bounded::{Bytes, List};
use crate::wire::certificate::{HolderKeys, Subject};
use crate::wire::directory::NodeEntry;
use crate::wire::enrolment::{Enrolment, EnrolmentRefusal};
use crate::wire::nat::is_dialled;
use crate::wire::policy::{Policy, Prefix};

/// Nodes of one address or /48 within [`PORTS_TIME`] at most. DESIGN 2.5.
const PORTS_MAX: usize = 4;
/// How long a port counts. DESIGN 2.5.
const PORTS_TIME: Duration = Duration::from_secs(30 * 24 * 3600);

/// Who wants to serve where.
#[derive(Clone, Debug)]
pub(super) struct Claim {
    token: Option<[u8; 32]>,
    pub(super) keys: HolderKeys,
    pub(super) address: SocketAddr,
    v6: Option<SocketAddrV6>,
    owner: Option<UserName>,
}

/// By whose word a node is where it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// Others have reached it.
    Others,
    /// Its own, since there was nobody to ask.
    Its,
    /// The word by which it was enrolled before, or, of the first, none.
    Before,
}

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
            Enrolment::Enrol { token, keys, address, v6 } => {
                self.enrol(at, asker, token.as_ref(), keys, (address, v6))
            }
            Enrolment::Renew { address, v6 } => self.renew_node(at, asker, (address, v6)),
            Enrolment::Enrolled { .. }
            | Enrolment::Refused { .. }
            | Enrolment::Verify { .. }
            | Enrolment::Verified { .. }
            | Enrolment::Prove { .. }
            | Enrolment::Proof { .. }
            | Enrolment::CertificatesOf { .. }
            | Enrolment::Certificates { .. }
            | Enrolment::Policy { .. }
            | Enrolment::PolicyKnown { .. } => no(EnrolmentRefusal::CertificateRefused),
        }
    }

    fn enrol(
        &mut self,
        at: Moment,
        asker: &Asker,
        token: Option<&Bytes<32>>,
        keys: HolderKeys,
        (address, v6): (SocketAddr, Option<SocketAddrV6>),
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
        self.claimed(at, asker, Claim { token, keys, address, v6, owner })
    }

    fn renew_node(
        &mut self,
        at: Moment,
        asker: &Asker,
        (address, v6): (SocketAddr, Option<SocketAddrV6>),
    ) -> Reply {
        let Some(Subject::Node { node, keys, owner, .. }) =
            asker.certificate().map(|statement| &statement.subject)
        else {
            return no(EnrolmentRefusal::CertificateRefused);
        };
        // Whoever has enrolled at this address since has its place: the older keys are nobody's.
        if self.state.nodes.get(node).is_none_or(|known| known.keys != *keys) {
            return no(EnrolmentRefusal::CertificateRefused);
        }
        let claim = Claim { token: None, keys: *keys, address, v6, owner: owner.clone() };
        self.claimed(at, asker, claim)
    }

    /// Certifies at once, or has the address verified first.
    fn claimed(&mut self, at: Moment, asker: &Asker, claim: Claim) -> Reply {
        let node = self.place_of(&claim);
        if !self.may_serve(at, claim.address, node) {
            return no(EnrolmentRefusal::AddressRefused);
        }
        if !self.needs_verifying(at, &claim, node) {
            return self.enrolled(at, claim, Word::Before);
        }
        if !self.asks_from_there(asker, claim.address) {
            return no(EnrolmentRefusal::OtherAddress);
        }
        Reply::Verify(Box::new(claim))
    }

    pub(super) fn place_of(&self, claim: &Claim) -> NodeId {
        NodeId::of(claim.address, &self.keys.salt_of(claim.address))
    }

    /// Not the first super-peers, by policy, and not who renews where its certificate holds.
    fn needs_verifying(&self, at: Moment, claim: &Claim, node: NodeId) -> bool {
        let is_holder = |known: &Node| {
            let is_same = known.keys == claim.keys && known.address == claim.address;
            is_same && known.until > at.wall && !known.on_its_word
        };
        if self.state.nodes.get(&node).is_some_and(is_holder) {
            return false;
        }
        // Whoever is at that address now counts: its place is not to be had unverified.
        // Nobody can verify before there are verifiers.
        let exempt = self.state.policy.exempt().max(SEATS);
        self.live_nodes(at).take(exempt).count() == exempt
    }

    /// Whether the question came from the address that it is about, or both lie in ranges of the
    /// policy: nobody shall have others dialled.
    fn asks_from_there(&self, asker: &Asker, address: SocketAddr) -> bool {
        let (from, there) = (asker.from.ip().to_canonical(), address.ip().to_canonical());
        let by_policy = in_ranges(&self.state.policy, from) && in_ranges(&self.state.policy, there);
        by_policy || Source::of(from) == Source::of(there)
    }

    /// Super-peers whose certificates hold.
    pub(super) fn live_nodes(&self, at: Moment) -> impl Iterator<Item = &Node> {
        self.state.nodes.values().filter(move |known| known.until > at.wall)
    }

    /// Super-peers to verify a claim, in the order in which they are asked, at most `most`: each
    /// from another prefix, none of them the candidate's. Where there are not [`SEATS`] such
    /// prefixes, the others follow. Of each prefix, and among prefixes, those that were missed
    /// lately come last.
    pub(super) fn draw_verifiers(
        &mut self,
        at: Moment,
        claim: &Claim,
        most: usize,
    ) -> Vec<NodeEntry> {
        let apart = &self.state.policy.ranges;
        let own = Prefix::of(claim.address.ip(), apart);
        let node = self.place_of(claim);
        let is_other = |n: &&Node| n.node != node && n.keys.agree != claim.keys.agree;
        let mut prefixes: BTreeMap<Prefix, Vec<NodeEntry>> = BTreeMap::new();
        for other in self.verifiers(at).filter(is_other) {
            let prefix = Prefix::of(other.address.ip(), apart);
            prefixes.entry(prefix).or_default().push(other.entry());
        }
        let mut rest = prefixes.remove(&own).unwrap_or_default();
        let mut drawn = Vec::new();
        for (_, mut nodes) in prefixes {
            shuffle(&mut nodes, &mut self.secrets);
            let first = nodes.iter().position(|n| !self.lately.was_missed(at.now, &n.node));
            drawn.push(nodes.swap_remove(first.unwrap_or(0)));
            rest.append(&mut nodes);
        }
        shuffle(&mut drawn, &mut self.secrets);
        if drawn.len() < SEATS {
            shuffle(&mut rest, &mut self.secrets);
            drawn.append(&mut rest);
        }
        drawn.sort_by_key(|n| self.lately.was_missed(at.now, &n.node));
        drawn.truncate(most);
        drawn
    }

    /// Some super-peers by lot, those that were not missed lately first.
    pub(super) fn draw_some(&mut self, at: Moment, most: usize) -> Vec<NodeEntry> {
        let mut drawn: Vec<NodeEntry> = self.live_nodes(at).map(Node::entry).collect();
        shuffle(&mut drawn, &mut self.secrets);
        drawn.sort_by_key(|n| self.lately.was_missed(at.now, &n.node));
        drawn.truncate(most);
        drawn
    }

    /// The address was verified, or its word has to do: the node is certified, unless its place or
    /// token went meanwhile.
    pub(super) fn verified(&mut self, at: Moment, claim: Claim, word: Word) -> Reply {
        let is_spent = |hash: &[u8; 32]| self.state.tokens.get(hash).is_none_or(|t| t.is_spent());
        if claim.token.as_ref().is_some_and(is_spent) {
            return no(EnrolmentRefusal::TokenRefused);
        }
        if !self.may_serve(at, claim.address, self.place_of(&claim)) {
            return no(EnrolmentRefusal::AddressRefused);
        }
        self.enrolled(at, claim, word)
    }

    fn enrolled(&mut self, at: Moment, claim: Claim, word: Word) -> Reply {
        let node = self.place_of(&claim);
        let Claim { token, keys, address, v6, owner } = claim;
        let v6 = v6.filter(|v6| address.is_ipv4() && self.may_stand_at((*v6).into()));
        let known = self.state.nodes.get(&node);
        if known.is_none() && self.state.nodes.len() >= NODES_MAX {
            return no(EnrolmentRefusal::Unavailable);
        }
        let since = known.map_or(at.wall, |known| known.since);
        let before = known.is_some_and(|known| known.on_its_word);
        let on_its_word = word == Word::Its || (word == Word::Before && before);
        let (owned, until) = (owner.clone(), at.wall);
        let entry = Node { node, address, keys, owner: owned, since, until, on_its_word };
        if !self.is_free(&Row::Node(entry.clone())) {
            return no(EnrolmentRefusal::Unavailable);
        }
        let subject = Subject::Node { node, address, keys, owner, v6 };
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

    /// Whether the port is none of the system's but the web's, and the address one of the Internet
    /// or of the policy.
    fn may_stand_at(&self, address: SocketAddr) -> bool {
        let ip = address.ip().to_canonical();
        let is_one = is_dialled(address.port()) && !ip.is_unspecified() && !ip.is_multicast();
        is_one && (in_ranges(&self.state.policy, ip) || is_global(ip))
    }

    /// Whether a node may have its place at `address`: it may stand there, and it is not one of a
    /// crowd.
    fn may_serve(&self, at: Moment, address: SocketAddr, node: NodeId) -> bool {
        if !self.may_stand_at(address) {
            return false;
        }
        let ip = address.ip().to_canonical();
        if in_ranges(&self.state.policy, ip) {
            return true;
        }
        let prefix = prefix_of(ip);
        let crowd: BTreeSet<NodeId> = self
            .state
            .nodes
            .values()
            .chain(self.nodes_under_way())
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

fn shuffle<T>(items: &mut [T], lots: &mut Stream) {
    for at in (1..items.len()).rev() {
        items.swap(at, lots.below(at as u64 + 1) as usize);
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
            assert!(!global(ip), "{ip}");
        }
    }
}
