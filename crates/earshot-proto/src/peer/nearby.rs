//! People on the same local network, without the Internet. DESIGN 2.14.
//!
//! Whoever is logged in and hides neither its address nor itself announces a tag there that only
//! buddies know again (`secure/nearby_tag.rs`). A buddy whose tag is seen and whom nothing else
//! reaches is dialled, and what letters and calls say goes over that link while it is open.
//! Last-known certificates serve: without the network, one that has ended serves for
//! [`NEARBY_GRACE`](crate::secure::identity::NEARBY_GRACE) more, between buddies whose keys are
//! pinned, and is shown as such. When both are at home again, the link is closed.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::ids::{NearbyTag, UserName};
use crate::port::{LinkId, Output, PathPolicy, Service, Sighting};
use crate::secure::identity::Use;
use crate::secure::link::Expect;
use crate::secure::links::Who;
use crate::time::UnixTime;
use crate::wire::forward::Address;

use super::Peer;
use super::buddies::Trust;
use super::command::Shown;

/// Devices seen at a time. Our choice: a big office, of which one part are buddies.
const SEEN_MAX: usize = 256;
/// Addresses of one device. Our choice: two networks by IPv4 and IPv6.
const ADDRESSES_MAX: usize = 4;
/// Links to devices near by at a time.
const LINKS_MAX: usize = 64;
/// How long the one of two waits that does not dial first. Our choice: on a local network a dial
/// takes milliseconds, and where a firewall stops the first, the second gets through.
const SECOND: Duration = Duration::from_secs(2);
/// First pause after a dial that failed; it doubles up to [`PAUSE_MAX`].
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// A device near by that is linked to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NearDevice {
    /// The user and the device.
    pub device: Address,
    /// Since when it is linked.
    pub since: UnixTime,
    /// When its certificate ends, or has ended.
    pub certified_until: UnixTime,
}

/// What we announce, who is seen, and who is linked.
#[derive(Debug, Default)]
pub(super) struct Nearby {
    announced: Option<NearbyTag>,
    seen: Vec<Seen>,
    linked: Vec<(LinkId, NearDevice)>,
}

/// A device that announces itself.
#[derive(Debug)]
struct Seen {
    tag: NearbyTag,
    at: Vec<SocketAddr>,
    /// The buddy whose it is, if it is one's.
    user: Option<UserName>,
    /// The link that is being made or was made to it.
    link: Option<LinkId>,
    /// It is not dialled before.
    due: Instant,
    /// Dials that failed in a row.
    failed: u32,
}

impl Nearby {
    /// The link to a device near by.
    pub(super) fn link_to(&self, device: &Address) -> Option<LinkId> {
        self.linked.iter().find(|(_, near)| near.device == *device).map(|(link, _)| *link)
    }

    fn is_linked(&self, link: LinkId) -> bool {
        self.linked.iter().any(|(open, _)| *open == link)
    }

    /// Those who are linked.
    pub(super) fn devices(&self) -> impl Iterator<Item = &NearDevice> {
        self.linked.iter().map(|(_, near)| near)
    }
}

impl Peer {
    /// Announces us, or no more: by who is logged in and what they want to be seen of them.
    pub(super) fn announce(&mut self) {
        let hides = self.config.addresses == PathPolicy::RelayOnly
            || self.presences.shown() == Shown::Invisible;
        let wanted = self.session.is_some() && self.config.listen_port != 0 && !hides;
        match (wanted, self.nearby.announced) {
            (true, None) => self.announce_anew(),
            (false, Some(_)) => {
                self.nearby.announced = None;
                self.nearby.seen.clear();
                self.out.push_back(Output::Nearby(None));
            }
            (true, Some(_)) | (false, None) => {}
        }
    }

    /// The network is another one: so is the tag, and those who were seen are seen anew.
    pub(super) fn elsewhere(&mut self) {
        self.nearby.seen.retain(|seen| seen.link.is_some());
        self.announce_again();
    }

    /// Takes another tag: by the one before we would be known again.
    pub(super) fn announce_again(&mut self) {
        if self.nearby.announced.is_some() {
            self.announce_anew();
        }
    }

    fn announce_anew(&mut self) {
        let Some(session) = &self.session else { return };
        let tag = NearbyTag::draw(&session.vault.contact_key, &mut self.entropy.secrets);
        self.nearby.announced = Some(tag);
        self.out.push_back(Output::Nearby(Some(tag)));
    }

    /// Somebody announces themselves, or does not any more.
    pub(super) fn handle_sighting(&mut self, now: Instant, sighting: Sighting) {
        match sighting {
            Sighting::Seen { tag, at } => self.seen(now, tag, at),
            // A link that is open says by itself when it ends.
            Sighting::Gone(tag) => self.nearby.seen.retain(|seen| seen.tag != tag),
        }
    }

    fn seen(&mut self, now: Instant, tag: NearbyTag, at: SocketAddr) {
        let Some(own) = self.nearby.announced.filter(|own| *own != tag) else { return };
        let user = self.buddies.by_contact_key(|key| tag.is_of(key));
        let all = &mut self.nearby.seen;
        if let Some(seen) = all.iter_mut().find(|seen| seen.tag == tag) {
            if !seen.at.contains(&at) && seen.at.len() < ADDRESSES_MAX {
                seen.at.push(at);
            }
            seen.user = user;
        } else {
            // Who floods the network with strangers does not hide a buddy.
            if all.len() == SEEN_MAX {
                let Some(place) = all.iter().position(|seen| seen.user.is_none()) else { return };
                all.remove(place);
            }
            let due = if own < tag { now } else { now + SECOND };
            all.push(Seen { tag, at: vec![at], user, link: None, due, failed: 0 });
        }
        self.meet(now);
    }

    /// A contact key was learnt, or our own is another one: who was seen before may be a buddy.
    pub(super) fn recognise(&mut self, now: Instant) {
        for seen in &mut self.nearby.seen {
            seen.user = self.buddies.by_contact_key(|key| seen.tag.is_of(key));
        }
        self.meet(now);
    }

    /// Dials the buddies near by whom nothing else reaches.
    pub(super) fn meet(&mut self, now: Instant) {
        let due = |seen: &Seen| seen.link.is_none() && seen.due <= now;
        for place in 0..self.nearby.seen.len() {
            let seen = &self.nearby.seen[place];
            let Some(user) = seen.user.as_ref().filter(|_| due(seen)) else { continue };
            if !self.is_wanted(user) {
                continue;
            }
            let Some(identity) = self.buddies.pinned(user) else { continue };
            let at = seen.at[seen.failed as usize % seen.at.len()];
            let link = self.links.dial(now, at, Service::Nearby, Expect::DeviceOf(identity));
            self.nearby.seen[place].link = Some(link);
        }
    }

    /// Whether a user is to be met near by: the network does not bring us together.
    fn is_wanted(&self, user: &UserName) -> bool {
        let is_near = self.nearby.devices().any(|near| near.device.user == *user);
        !is_near && (self.home_link().is_none() || !self.presences.is_online(user))
    }

    /// A link for people near by is open, dialled or accepted.
    pub(super) fn near_opened(&mut self, now: Instant, link: LinkId, who: &Who) {
        let (wall, until) = (self.wall(now), self.links.certified_until(link));
        let (Who::Device { address, identity, keys }, Some(until)) = (who, until) else {
            return self.near_refused(now, link);
        };
        let is_buddy = self.buddies.trust(&address.user, identity) == Trust::Buddy;
        // Whoever is in the network could be told that it was revoked.
        let is_certified = wall < until || !self.is_taken_in();
        let has_room = self.nearby.linked.len() < LINKS_MAX;
        if self.nearby.announced.is_none() || !is_buddy || !is_certified || !has_room {
            return self.near_refused(now, link);
        }
        let is_dialled = |seen: &&mut Seen| seen.link == Some(link);
        if let Some(seen) = self.nearby.seen.iter_mut().find(is_dialled) {
            seen.failed = 0;
        }
        let device = NearDevice { device: address.clone(), since: wall, certified_until: until };
        self.nearby.linked.push((link, device));
        self.cards.certified(address, *identity, *keys, wall);
        self.cards.near(address, true);
        self.tell_network();
        self.tell_presence(now, address, true);
        self.flush_outbox(now, &address.user);
    }

    fn near_refused(&mut self, now: Instant, link: LinkId) {
        self.links.close(link);
        self.near_closed(now, link);
    }

    /// A link is gone, perhaps one to somebody near by.
    pub(super) fn near_closed(&mut self, now: Instant, link: LinkId) {
        if let Some(seen) = self.nearby.seen.iter_mut().find(|seen| seen.link == Some(link)) {
            let pause = PAUSE_FIRST.saturating_mul(1 << seen.failed.min(8)).min(PAUSE_MAX);
            seen.link = None;
            seen.failed = seen.failed.saturating_add(1);
            seen.due = now + pause;
        }
        let gone = self.nearby.linked.iter().position(|(open, _)| *open == link);
        let Some(place) = gone else { return };
        let (_, NearDevice { device, .. }) = self.nearby.linked.remove(place);
        if self.nearby.link_to(&device).is_some() {
            return;
        }
        self.cards.near(&device, false);
        let has_home = self.cards.get(&device).is_some_and(|card| card.home.is_some());
        if !has_home || self.home_link().is_none() {
            self.device_gone(now, &device);
        }
        self.tell_network();
    }

    /// A device tells us where it is at home: if we are too, the network carries what we say.
    pub(super) fn near_at_home(&mut self, now: Instant, device: &Address) {
        if self.home_link().is_some() && self.current_call().is_none() {
            self.leave_near(now, |near| near.device == *device);
        }
    }

    /// The network is back: who shows a certificate that has ended is not believed any more.
    pub(super) fn ended_leave(&mut self, now: Instant) {
        let wall = self.wall(now);
        self.leave_near(now, |near| near.certified_until <= wall);
    }

    /// Nobody of that user is near any more.
    pub(super) fn leave_near_user(&mut self, now: Instant, user: &UserName) {
        self.leave_near(now, |near| near.device.user == *user);
    }

    fn leave_near(&mut self, now: Instant, leaves: impl Fn(&NearDevice) -> bool) {
        let linked = self.nearby.linked.iter().filter(|(_, near)| leaves(near));
        let links: Vec<LinkId> = linked.map(|(link, _)| *link).collect();
        for link in links {
            self.links.close(link);
            self.near_closed(now, link);
        }
    }

    /// The session is over: nobody is near any more, and we announce nothing.
    pub(super) fn leave_neighbours(&mut self) {
        let dialled = self.nearby.seen.drain(..).filter_map(|seen| seen.link);
        let linked = std::mem::take(&mut self.nearby.linked).into_iter().map(|(link, _)| link);
        let links: Vec<LinkId> = dialled.chain(linked).collect();
        links.into_iter().for_each(|link| self.links.close(link));
        self.announce();
    }

    /// How an ended certificate of whoever wrote what comes on this link is taken.
    pub(super) fn purpose_on(&self, link: LinkId) -> Use {
        if self.nearby.is_linked(link) { Use::Nearby } else { Use::Addressing }
    }

    /// When somebody is to be dialled.
    pub(super) fn near_timeout(&self) -> Option<Instant> {
        let seen = self.nearby.seen.iter().filter(|seen| seen.link.is_none());
        let wanted = seen.filter(|seen| seen.user.as_ref().is_some_and(|u| self.is_wanted(u)));
        wanted.map(|seen| seen.due).min()
    }
}
