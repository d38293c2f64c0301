//! One link of a hostile super-peer: outwards the node's, inwards that of whoever is played.

use std::time::Instant;

use earshot_proto::entropy::Stream;
use earshot_proto::port::{LinkEvent, LinkId, LinkOrder, Service};
use earshot_proto::secure::identity::LinkKey;
use earshot_proto::secure::link::{Expect, Welcome};
use earshot_proto::secure::links::{LinkNews, Links};
use earshot_proto::time::UnixTime;
use earshot_proto::wire::certificate::{Chain, VerifyKey};
use earshot_proto::wire::directory::NodeEntry;
use earshot_proto::wire::frame::{Frame, Message};
use earshot_proto::wire::invite::Door;

/// A link between two masks, or one that is passed through as it is.
pub(super) struct Bridge {
    /// Its name at the world.
    pub(super) outside: LinkId,
    /// Its name at the machine.
    pub(super) inside: LinkId,
    /// Who plays the other side towards the machine; none while that is not known, or where
    /// nothing is played.
    mask: Option<(Links, LinkId)>,
    /// Whether bytes pass through unread.
    pub(super) is_raw: bool,
    /// Whom the node dials, while it is not known whether they are certified.
    pub(super) dialled: Option<Door>,
}

impl Bridge {
    pub(super) const fn new(outside: LinkId, inside: LinkId) -> Self {
        Self { outside, inside, mask: None, is_raw: false, dialled: None }
    }

    pub(super) fn dialled(outside: LinkId, inside: LinkId, door: Door) -> Self {
        Self { dialled: Some(door), ..Self::new(outside, inside) }
    }

    pub(super) fn raw(outside: LinkId, inside: LinkId) -> Self {
        Self { is_raw: true, ..Self::new(outside, inside) }
    }

    /// Somebody has linked to the node: the machine is to be dialled as by them.
    pub(super) fn dial(
        &mut self,
        now: Instant,
        node: &NodeEntry,
        root: VerifyKey,
        (key, chain): (LinkKey, Option<Chain>),
        secrets: Stream,
    ) {
        let mut links = Links::new(key, Some(root), Vec::new(), secrets);
        if let Some(chain) = chain {
            links.certify(chain);
        }
        // It may not be enrolled yet, and be asked whether it is where it says.
        let expect = Expect::Uncertified(node.key);
        let link = links.dial(now, node.address, Service::SuperPeer, expect);
        self.mask = Some((links, link));
    }

    /// The node has linked to somebody: the machine finds them here.
    pub(super) fn accept(
        &mut self,
        now: Instant,
        wall: UnixTime,
        other: &NodeEntry,
        root: VerifyKey,
        (key, chain): (LinkKey, Option<Chain>),
        secrets: Stream,
    ) {
        let welcomes = vec![(Service::SuperPeer, Welcome::Guests)];
        let mut links = Links::new(key, Some(root), welcomes, secrets);
        if let Some(chain) = chain {
            links.certify(chain);
        }
        let link = LinkId::Accepted(1);
        let accepted = LinkEvent::Accepted { from: other.address, service: Service::SuperPeer };
        links.handle(now, wall, link, accepted);
        self.mask = Some((links, link));
    }

    /// The machine is connected with the mask.
    pub(super) fn connected(&mut self, now: Instant, wall: UnixTime, node: &NodeEntry) {
        if let Some((links, link)) = &mut self.mask {
            links.handle(now, wall, *link, LinkEvent::Connected { local: node.address });
        }
    }

    /// What the machine wrote; answers what it said.
    pub(super) fn read(&mut self, now: Instant, wall: UnixTime, bytes: &[u8]) -> Vec<LinkNews> {
        let Some((links, link)) = &mut self.mask else { return Vec::new() };
        links.handle(now, wall, *link, LinkEvent::Bytes(bytes))
    }

    /// Says something to the machine.
    pub(super) fn say(&mut self, now: Instant, frame: Frame) {
        if let Some((links, link)) = &mut self.mask {
            let Frame { ask, message } = frame;
            links.send(now, *link, ask, message);
        }
    }

    /// What the mask wants done.
    pub(super) fn poll(&mut self) -> Option<LinkOrder> {
        let (links, _) = self.mask.as_mut()?;
        loop {
            match links.poll_order()? {
                (_, LinkOrder::Dial { .. }) => {}
                (_, order) => return Some(order),
            }
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if let Some((links, _)) = &mut self.mask {
            links.handle_timeout(now);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.mask.as_ref()?.0.poll_timeout()
    }
}

/// Something that was said to the node and is passed on later.
pub(super) struct Late {
    pub(super) at: Instant,
    pub(super) inside: LinkId,
    pub(super) ask: u32,
    pub(super) message: Message,
}
