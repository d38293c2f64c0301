//! A machine of a test: it knocks at a super-peer with a certificate of its choice, in the
//! simulated world or over real links.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use earshot_proto::entropy::Entropy;
use earshot_proto::port::{Input, LinkId, Machine, Output, Service, WaitReason};
use earshot_proto::secure::identity::LinkKey;
use earshot_proto::secure::link::Expect;
use earshot_proto::secure::links::{LinkNews, Links};
use earshot_proto::time::UnixTime;
use earshot_proto::wire::certificate::{Chain, VerifyKey};
use earshot_proto::wire::directory::Directory;
use earshot_proto::wire::frame::Message;
use earshot_proto::wire::invite::Door;

/// How an intruder was received.
#[derive(Clone, Default)]
pub struct Reception(Arc<(Mutex<Option<bool>>, Condvar)>);

impl Reception {
    /// Whether a question over the link was answered, if that is known within `patience` of real
    /// time; the simulated world needs none.
    #[must_use]
    pub fn was_welcome(&self, patience: Duration) -> Option<bool> {
        let (known, told) = &*self.0;
        let known = known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = told.wait_timeout_while(known, patience, |known| known.is_none());
        *known.unwrap_or_else(PoisonError::into_inner).0
    }

    fn tell(&self, welcome: bool) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(welcome);
        self.0.1.notify_all();
    }
}

/// The machine.
pub struct Intruder {
    links: Links,
    link: LinkId,
    reception: Reception,
    started: (Instant, UnixTime),
    out: VecDeque<LinkNews>,
}

impl Intruder {
    /// Knocks at `door` as the holder of `key`, showing `chain`; `now` is both of its clocks.
    #[must_use]
    pub fn new(
        root: VerifyKey,
        key: &LinkKey,
        chain: Option<Chain>,
        door: Door,
        now: (Instant, UnixTime),
    ) -> (Self, Reception) {
        let secrets = Entropy::new([77; 32]).secrets;
        let mut links =
            Links::new(LinkKey::from_secret(&key.secret()), Some(root), Vec::new(), secrets);
        if let Some(chain) = chain {
            links.certify(chain);
        }
        let link = links.dial(now.0, door.address, Service::SuperPeer, Expect::Key(door.key));
        links.send(now.0, link, 1, Directory::ListSuperPeers);
        let reception = Reception::default();
        let out = VecDeque::new();
        (Self { links, link, reception: reception.clone(), started: now, out }, reception)
    }

    /// Says this too, once it is in.
    pub fn say(&mut self, message: impl Into<Message>) {
        self.links.send(self.started.0, self.link, 2, message);
    }

    fn wall(&self, now: Instant) -> UnixTime {
        self.started.1.plus(now.saturating_duration_since(self.started.0))
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
            | Input::Network
            | Input::Mapped(..)
            | Input::Nearby(_)
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
            self.reception.tell(answered);
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
