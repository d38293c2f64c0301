//! A super-peer that serves, for the tests of this module.

pub(crate) mod stun_server;

use std::net::SocketAddr;
use std::time::Instant;

use super::{Config, EnrolmentRecord, SuperPeer};
use crate::ids::NodeId;
use crate::secure::identity::Keys;
use crate::secure::testing::{NOW, Network};
use crate::wire::bounded::{List, Text};
use crate::wire::certificate::Subject;
use crate::wire::policy::{Admission, Policy};

/// A super-peer of `network` that knows nobody.
pub(super) fn serving(network: &mut Network, now: Instant) -> SuperPeer {
    let keys = Keys::draw(&mut network.secrets);
    let address = SocketAddr::from(([192, 0, 2, 1], 4433));
    let node = NodeId::of(address, &[0; 16]);
    let subject = Subject::Node { node, address, keys: keys.public(), owner: None, v6: None };
    let policy = network.sign_by_root(&Policy {
        version: 1,
        name: Text::new("test").expect("short"),
        admission: Admission::Open,
        ranges: List::default(),
        ring_threshold: 2048,
        keepers: 4,
        successors: 16,
        exempt_super_peers: None,
    });
    let chain = network.certify(subject);
    let enrolled = EnrolmentRecord { chain, policy, nodes: Vec::new(), epochs: Vec::new() };
    let config = Config {
        root: network.root(),
        keys,
        address,
        v6: None,
        authority: None,
        doors: Vec::new(),
        also: Vec::new(),
        enrolled: Some(enrolled),
        token: None,
        owner: None,
        relay_allow: Vec::new(),
        own: Vec::new(),
        both_families: false,
        limits: super::budgets::Limits::default(),
        terms: super::terms::Terms::default(),
        traffic: None,
        wall: NOW,
        seed: [3; 32],
    };
    let machine = SuperPeer::new(config, now);
    assert!(machine.network_name().is_some(), "it serves");
    machine
}
