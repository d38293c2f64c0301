//! What hostile super-peers do unasked.

use std::time::Instant;

use earshot_proto::ids::{NodeId, UserName};
use earshot_proto::port::{LinkId, LinkOrder, Output, Service, Transmit};
use earshot_proto::secure::links::Who;
use earshot_proto::secure::registration::Checked;
use earshot_proto::wire::bounded::{Bytes, List};
use earshot_proto::wire::directory::{Directory, NodeEntry};
use earshot_proto::wire::forward::Forward;
use earshot_proto::wire::question::FIRST_BYTES;
use earshot_proto::wire::ring::Question;

use super::lies::Vice;
use super::machine::{Adversary, OWN_ASKS};

/// Connections that a flooder opens to each other super-peer in a second.
const FLOOD_LINKS: usize = 2;
/// Bytes of an envelope that a flooder sends.
const FLOOD_ENVELOPE: usize = 16 * 1024;

impl Adversary {
    /// The honest super-peers that are linked.
    fn victims(&self) -> Vec<(LinkId, NodeEntry)> {
        let league = self.league.borrow();
        let known = self.bridges.iter().filter(|bridge| !bridge.is_raw).map(|b| b.outside);
        let nodes = known.filter_map(|link| match self.outer.who(link)? {
            Who::Node(entry) if !league.has(&entry.node) => Some((link, *entry)),
            Who::Node(_) | Who::Device { .. } | Who::Guest(_) | Who::Authority => None,
        });
        nodes.collect()
    }

    fn next_ask(&mut self) -> u32 {
        self.asks = self.asks.checked_add(1).unwrap_or(OWN_ASKS);
        self.asks
    }

    /// Does something unasked.
    pub(super) fn mischief(&mut self, now: Instant) {
        let victims = self.victims();
        self.league.borrow_mut().misdeeds += victims.len() as u64;
        match self.vice {
            Vice::Replays => {
                let wall = self.wall(now);
                for (link, _) in victims {
                    let mut old = self.league.borrow_mut().replays(1);
                    if let Some(Directory::Put { registration, .. }) = old.first() {
                        let root = self.league.borrow().root();
                        let user = Checked::new(registration.clone(), &root, wall)
                            .map(|checked| checked.address.user);
                        let forged =
                            user.ok().and_then(|user| self.league.borrow_mut().forged(&user, wall));
                        old.extend(forged.map(|entry| Directory::Put {
                            registration: entry.registration,
                            location: entry.location,
                            home: entry.home,
                        }));
                    }
                    for put in old {
                        let ask = self.next_ask();
                        self.outer.send(now, link, ask, put);
                    }
                }
            }
            Vice::Poisons => {
                for (link, _) in victims {
                    let joined = List::first_of(self.league.borrow_mut().forged_nodes(4));
                    let gone = List::default();
                    let news = Question::News { joined, gone, until: NodeId([0; 20]) };
                    let ask = self.next_ask();
                    self.outer.send(now, link, ask, news);
                }
            }
            Vice::Floods => self.flood(now, &victims),
            Vice::Drops
            | Vice::Denies
            | Vice::SlowWithin
            | Vice::SlowBeyond
            | Vice::Misleads
            | Vice::Invents
            | Vice::Forgets
            | Vice::Withholds
            | Vice::Misdirects
            | Vice::DropsPostings
            | Vice::InventsPostings
            | Vice::SwapsPostings => {}
        }
    }

    fn flood(&mut self, now: Instant, victims: &[(LinkId, NodeEntry)]) {
        let rate = self.league.borrow().flood;
        for (link, entry) in victims {
            for _ in 0..rate {
                let user = {
                    let lots = &mut self.league.borrow_mut().lots;
                    UserName::new(&format!("nobody{}", lots.below(1_000_000)))
                };
                let ask = self.next_ask();
                if let Ok(user) = user {
                    self.outer.send(now, *link, ask, Directory::Find { user });
                }
            }
            let envelopes = self.heard_of.iter().take(rate as usize / 10).cloned();
            for to in envelopes.collect::<Vec<_>>() {
                let sealed = Bytes::new(vec![0; FLOOD_ENVELOPE]).expect("it is short enough");
                let ask = self.next_ask();
                self.outer.send(now, *link, ask, Forward::Deliver { to, sealed });
            }
            for _ in 0..FLOOD_LINKS {
                let outside = self.outer.spare_id();
                let (to, service) = (entry.address, Service::SuperPeer);
                let order = LinkOrder::Dial { to, also: None, service };
                self.out.push_back(Output::Link(outside, order));
            }
            let junk = vec![*FIRST_BYTES.start(); 900];
            self.out.push_back(Output::Send(Transmit { to: entry.address, bytes: junk }));
        }
    }
}
