//! Verbs of stories with hostile super-peers.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use earshot_proto::authority::{AuthorityKeys, Row};
use earshot_proto::peer::super_peers::SuperPeers;
use earshot_proto::super_peer::SuperPeer;
use earshot_proto::wire::certificate::VerifyKey;
use earshot_proto::wire::invite::Door;
use minicbor::Decode;

use super::adversary::{League, Vice};
use super::people::user;
use super::world::World;

/// What the stories need of an authority's file of keys.
#[derive(Decode)]
#[cbor(map)]
struct AuthorityFile {
    #[cbor(n(2), with = "minicbor::bytes")]
    sign: [u8; 32],
}

impl World {
    /// The super-peers of these names are hostile, from their start on.
    #[must_use]
    pub fn with_liars(mut self, liars: BTreeMap<String, Vice>) -> Self {
        self.vices = liars;
        self
    }

    /// How that super-peer is hostile, if it is.
    #[must_use]
    pub fn vice(&self, name: &str) -> Option<Vice> {
        self.vices.get(name).copied()
    }

    /// Whether that super-peer is hostile.
    #[must_use]
    pub fn is_hostile(&self, name: &str) -> bool {
        self.vices.contains_key(name)
    }

    pub(super) fn found_league(&mut self, root: VerifyKey, keys: &AuthorityKeys) {
        let file: AuthorityFile = minicbor::decode(&keys.to_bytes()).expect("its own bytes");
        let id = self.id("authority");
        let rows = self.machine(id).disk.rows.values();
        let mut certificates = rows.filter_map(|row| match row {
            Row::Certificate(certificate) => Some(certificate.clone()),
            Row::Account(_) | Row::Token(_) | Row::Node(_) | Row::Policy(_) | Row::Serial(_) => {
                None
            }
        });
        let certificate = certificates.next_back().expect("the authority has one");
        let door = Door { address: self.address_of(id), key: keys.public().agree };
        let league = League::new(root, file.sign, (certificate, door), self.seeds.bytes());
        self.league = Some(Rc::new(RefCell::new(league)));
    }

    pub(super) fn league(&self) -> Rc<RefCell<League>> {
        Rc::clone(self.league.as_ref().expect("a network was founded"))
    }

    /// What each flooder sends over each of its links in a second.
    pub fn set_flood(&mut self, per_s: u32) {
        self.league().borrow_mut().flood = per_s;
    }

    /// What hostile super-peers sent unasked, and how often they bent an answer.
    #[must_use]
    pub fn misdeeds(&self) -> u64 {
        self.league().borrow().misdeeds
    }

    /// The newest counter of a user's registrations that a super-peer keeps.
    #[must_use]
    pub fn kept_counter(&self, node: &str, name: &str) -> Option<u64> {
        self.node_of(node).and_then(|node: &SuperPeer| node.kept_counter(&user(name)))
    }

    /// The counter of a person's newest registration.
    #[must_use]
    pub fn own_counter(&self, name: &str) -> u64 {
        self.peer(name).registration_counter()
    }

    /// The newest registration of another that a person has seen.
    #[must_use]
    pub fn seen_counter(&self, at: &str, whom: &str) -> u64 {
        self.peer(at).seen_counter(&user(whom))
    }

    /// The list of super-peers on a person's disk.
    #[must_use]
    pub fn list_on_disk(&self, name: &str) -> SuperPeers {
        let network = &self.machine(self.id(name)).disk.network;
        network.as_ref().map(|record| record.super_peers.clone()).unwrap_or_default()
    }
}
