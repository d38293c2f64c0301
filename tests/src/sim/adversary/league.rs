//! What all hostile super-peers of a world know together, and the keys that the test lends them, by
//! which they play others towards their own machines.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use earshot_proto::entropy::{Entropy, Stream};
use earshot_proto::ids::{NodeId, RingKey, UserName};
use earshot_proto::lookup::{Density, Near};
use earshot_proto::secure::identity::{Keys, LinkKey, SignKey};
use earshot_proto::secure::links::Who;
use earshot_proto::time::UnixTime;
use earshot_proto::wire::bounded::List;
use earshot_proto::wire::certificate::{AgreeKey, Chain, Signed, Statement, Subject, VerifyKey};
use earshot_proto::wire::directory::{Directory, Entry, NODES_MAX, NodeEntry, Registration};
use earshot_proto::wire::invite::Door;
use earshot_proto::wire::posting::{Page, Posting};

/// Records of one user that are remembered for replay.
const RECORDS_MAX: usize = 8;
/// Postings that are remembered.
const POSTINGS_MAX: usize = 256;

/// All hostile super-peers of a world.
pub struct League {
    root: VerifyKey,
    authority: [u8; 32],
    certificate: Signed<Statement>,
    pub(super) door: Door,
    /// The link keys of all super-peers, by their addresses.
    nodes: BTreeMap<SocketAddr, [u8; 32]>,
    members: BTreeMap<NodeId, NodeEntry>,
    /// What was ever registered, as far as a member saw it, the oldest first.
    records: BTreeMap<UserName, Vec<Entry>>,
    /// Profiles that were posted.
    postings: Vec<Signed<Posting>>,
    /// What a member that floods sends over each of its links in a second.
    pub(in crate::sim) flood: u32,
    /// Answers bent and things sent unasked.
    pub(in crate::sim) misdeeds: u64,
    pub(super) lots: Stream,
}

impl League {
    /// Nobody yet, in the network of `root`; `authority` is the authority's signing key, and
    /// `certificate` its certificate.
    #[must_use]
    pub fn new(
        root: VerifyKey,
        authority: [u8; 32],
        (certificate, door): (Signed<Statement>, Door),
        seed: [u8; 32],
    ) -> Self {
        Self {
            root,
            authority,
            certificate,
            door,
            nodes: BTreeMap::new(),
            members: BTreeMap::new(),
            records: BTreeMap::new(),
            postings: Vec::new(),
            flood: 5,
            misdeeds: 0,
            lots: Entropy::new(seed).jitter,
        }
    }

    /// The network's root key.
    #[must_use]
    pub const fn root(&self) -> VerifyKey {
        self.root
    }

    /// A super-peer of this link key is to be at that address.
    pub fn lend(&mut self, address: SocketAddr, link: [u8; 32]) {
        self.nodes.insert(address, link);
    }

    pub(super) fn node_key(&self, address: &SocketAddr) -> Option<LinkKey> {
        self.nodes.get(address).map(LinkKey::from_secret)
    }

    pub(super) fn join(&mut self, entry: NodeEntry) {
        self.members.insert(entry.node, entry);
    }

    /// Whether that node is one of them.
    #[must_use]
    pub fn has(&self, node: &NodeId) -> bool {
        self.members.contains_key(node)
    }

    /// A certificate of the world's authority.
    #[must_use]
    pub fn certify(&self, subject: Subject, wall: UnixTime) -> Chain {
        let day = Duration::from_secs(86_400);
        let statement = Statement {
            serial: 1,
            subject,
            not_before: wall.minus(day),
            not_after: wall.plus(day * 7),
            policy_version: 1,
        };
        let holder = SignKey::from_secret(&self.authority).sign(&statement);
        Chain { authority: self.certificate.clone(), holder: Some(holder) }
    }

    /// What a node shows who has this certificate.
    pub(super) fn chain_of(&self, holder: Signed<Statement>) -> Chain {
        Chain { authority: self.certificate.clone(), holder: Some(holder) }
    }

    /// A key and a certificate by which somebody who has linked is played; none for a node, whose
    /// key is known.
    pub(super) fn mask(&mut self, who: &Who, wall: UnixTime) -> (LinkKey, Option<Chain>) {
        let mut secrets = Entropy::new(self.lots.bytes()).secrets;
        let keys = Keys::draw(&mut secrets);
        match who {
            Who::Device { address, identity, .. } => {
                let subject = Subject::Device {
                    user: address.user.clone(),
                    identity: *identity,
                    device: address.device,
                    keys: keys.public(),
                };
                let chain = self.certify(subject, wall);
                (keys.link, Some(chain))
            }
            Who::Node(_) | Who::Authority | Who::Guest(_) => (keys.link, None),
        }
    }

    pub(super) fn saw(&mut self, user: UserName, entry: Entry) {
        let records = self.records.entry(user).or_default();
        if !records.contains(&entry) && records.len() < RECORDS_MAX {
            records.push(entry);
        }
    }

    pub(super) fn saw_posting(&mut self, posting: Signed<Posting>) {
        if self.postings.len() < POSTINGS_MAX {
            self.postings.push(posting);
        }
    }

    /// The oldest record of a user, expired or not.
    pub(super) fn oldest(&self, user: &UserName) -> Option<Entry> {
        self.records.get(user)?.first().cloned()
    }

    /// Some of the oldest records, to be put to keepers again.
    pub(super) fn replays(&mut self, most: usize) -> Vec<Directory> {
        let count = self.records.len() as u64;
        (0..most.min(self.records.len()))
            .filter_map(|_| {
                let at = self.lots.below(count) as usize;
                let Entry { registration, location, home, .. } =
                    self.records.values().nth(at)?.first()?.clone();
                Some(Directory::Put { registration, location, home })
            })
            .collect()
    }

    /// A registration that its device never signed, made of one that it did.
    pub(super) fn forged(&mut self, user: &UserName, wall: UnixTime) -> Option<Entry> {
        let mut entry = self.oldest(user)?;
        let mut secrets = Entropy::new(self.lots.bytes()).secrets;
        let open: Registration = minicbor::decode(&entry.registration.body).ok()?;
        let open = Registration {
            counter: open.counter + 1_000_000,
            expires: wall.plus(Duration::from_secs(1500)),
            ..open
        };
        entry.registration = SignKey::draw(&mut secrets).sign(&open);
        Some(entry)
    }

    /// What members say of a key in a ring of that density: only each other, as many as pass.
    pub(super) fn near(&self, key: &RingKey, density: Option<Density>, width: usize) -> Near {
        let start = NodeId(key.0);
        let after = self.members.range(start..).chain(self.members.range(..start));
        let mut nodes: Vec<NodeEntry> =
            after.take(width.min(NODES_MAX)).map(|(_, entry)| *entry).collect();
        let density = density.unwrap_or(Density::of_ring(1));
        while nodes.len() > 1 && !density.admits(key, &nodes) {
            nodes.pop();
        }
        Near::Keepers(nodes)
    }

    /// Nodes that do not exist, the nearest to a key that there could be.
    pub(super) fn invented(&mut self, key: &RingKey, width: usize) -> Vec<NodeEntry> {
        let mut node = key.0;
        (0..width.min(NODES_MAX))
            .map(|number| {
                node[19] = node[19].wrapping_add(number as u8 + 1);
                let [a, b] = self.lots.bytes();
                NodeEntry {
                    node: NodeId(node),
                    address: SocketAddr::from(([66, 66, a, b], 4433)),
                    key: AgreeKey(self.lots.bytes()),
                }
            })
            .collect()
    }

    /// Nodes anywhere that do not exist, in as many prefixes.
    pub(super) fn forged_nodes(&mut self, most: usize) -> Vec<NodeEntry> {
        (0..most)
            .map(|_| {
                let [a, b, c] = self.lots.bytes();
                NodeEntry {
                    node: NodeId(self.lots.bytes()),
                    address: SocketAddr::from(([100 + a % 100, b, c, 1], 4433)),
                    key: AgreeKey(self.lots.bytes()),
                }
            })
            .collect()
    }

    /// Postings of other people, whatever was asked for.
    pub(super) fn swapped(&mut self) -> Vec<Signed<Posting>> {
        let count = self.postings.len();
        let first = if count == 0 { 0 } else { self.lots.below(count as u64) as usize };
        self.postings.iter().cycle().skip(first).take(count.min(8)).cloned().collect()
    }

    /// A posting that nobody has signed whose certificate it shows, under the words asked for.
    pub(super) fn invented_posting(
        &mut self,
        page: &Page,
        wall: UnixTime,
    ) -> Option<Signed<Posting>> {
        let like: Posting = minicbor::decode(&self.postings.first()?.body).ok()?;
        let mut secrets = Entropy::new(self.lots.bytes()).secrets;
        Some(SignKey::draw(&mut secrets).sign(&Posting {
            words: List::first_of(page.typed.iter().cloned()),
            counter: like.counter + 1_000_000,
            expires: wall.plus(Duration::from_secs(3600)),
            ..like
        }))
    }
}
