//! A machine of a test: it knocks at a super-peer with a certificate of its choice.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Instant;

use earshot_proto::entropy::Entropy;
use earshot_proto::port::{Input, LinkId, Machine, Output, Service, WaitReason};
use earshot_proto::secure::identity::LinkKey;
use earshot_proto::secure::link::Expect;
use earshot_proto::secure::links::{LinkNews, Links};
use earshot_proto::time::UnixTime;
use earshot_proto::wire::certificate::{Chain, VerifyKey};
use earshot_proto::wire::directory::Directory;
use earshot_proto::wire::invite::Door;

use super::world::DAWN;

/// How an intruder was received.
#[derive(Clone, Default)]
pub struct Reception(Rc<RefCell<Option<bool>>>);

impl Reception {
    /// Whether it is known by now.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Whether a question over the link was answered.
    #[must_use]
    pub fn was_welcome(&self) -> bool {
        *self.0.borrow() == Some(true)
    }
}

/// The machine.
pub struct Intruder {
    links: Links,
    link: LinkId,
    reception: Reception,
    started: Instant,
    out: VecDeque<LinkNews>,
}

impl Intruder {
    /// Knocks at `door` as the holder of `key`, showing `chain`.
    #[must_use]
    pub fn new(
        root: VerifyKey,
        key: &LinkKey,
        chain: Option<Chain>,
        door: Door,
        now: Instant,
    ) -> (Self, Reception) {
        let secrets = Entropy::new([77; 32]).secrets;
        let mut links =
            Links::new(LinkKey::from_secret(&key.secret()), Some(root), Vec::new(), secrets);
        if let Some(chain) = chain {
            links.certify(chain);
        }
        let link = links.dial(now, door.address, Service::SuperPeer, Expect::Key(door.key));
        links.send(now, link, 1, Directory::ListSuperPeers);
        let reception = Reception::default();
        let out = VecDeque::new();
        (Self { links, link, reception: reception.clone(), started: now, out }, reception)
    }

    fn wall(&self, now: Instant) -> UnixTime {
        DAWN.plus(now.saturating_duration_since(self.started))
    }
}

impl Machine for Intruder {
    type Notice = ();
    type Record = ();

    fn handle(&mut self, now: Instant, input: Input<'_>) {
        let wall = self.wall(now);
        match input {
            Input::Link(link, event) => {
                self.out.extend(self.links.handle(now, wall, link, event));
            }
            Input::Timeout => {
                let news = self.links.handle_timeout(now);
                self.out.extend(news.into_iter().map(|(_, news)| news));
            }
            Input::Clock(_)
            | Input::Datagram { .. }
            | Input::Path(..)
            | Input::RelayPort(..)
            | Input::Saved(_)
            | Input::NotSaved(..)
            | Input::Worked(..)
            | Input::Voice(..) => {}
        }
        for news in self.out.drain(..) {
            let answered = match news {
                LinkNews::Opened(..) => continue,
                LinkNews::Frame(_) => true,
                LinkNews::Closed(_) => false,
            };
            self.reception.0.borrow_mut().get_or_insert(answered);
        }
    }

    fn poll_output(&mut self) -> Output<(), ()> {
        match self.links.poll_order() {
            Some((link, order)) => Output::Link(link, order),
            None => {
                debug_assert!(self.link == LinkId::Dialled(1), "it knocks once");
                Output::Wait(self.links.poll_timeout(), WaitReason::Timer)
            }
        }
    }
}
