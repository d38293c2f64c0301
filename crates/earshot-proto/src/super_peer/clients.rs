//! The devices at home here: those that are linked to this super-peer, and who watches them. DESIGN
//! 2.6.
//!
//! Invariant: one link a device; a device that links anew replaces its old link.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::ids::{DeviceId, NodeId, SubscriptionId, UserName};
use crate::port::LinkId;
use crate::wire::bounded::Bytes;
use crate::wire::directory::{LOCATION_MAX, NodeEntry};
use crate::wire::forward::{Address, Subscriber};

use crate::secure::registration::Checked;

/// Watchers of one device at most. Our choice: more buddies than anybody has on line at once.
pub const WATCHERS_MAX: usize = 1000;

/// The devices at home here.
#[derive(Debug, Default)]
pub struct Clients {
    by_address: BTreeMap<Address, Client>,
    by_link: BTreeMap<LinkId, Address>,
    watching: BTreeMap<NodeId, Watchers>,
}

/// Watchers that have one home.
#[derive(Debug)]
struct Watchers {
    home: NodeEntry,
    /// The home's subscription here; none at our own.
    subscription: Option<SubscriptionId>,
    /// How often they are noted.
    watches: usize,
}

/// A device at home here.
#[derive(Debug)]
pub struct Client {
    /// Its link.
    pub link: LinkId,
    /// Its registration.
    pub registration: Checked,
    /// Its sealed location.
    pub location: Bytes<LOCATION_MAX>,
    /// The address that its link comes from.
    pub observed: SocketAddr,
    /// The super-peers that its registration was put at, without those that are known to be gone.
    pub keepers: Vec<NodeEntry>,
    /// The question that is still to be answered with `Attached`, and how many keepers have and
    /// have not answered.
    pub attaching: Option<Attaching>,
    /// Who wants to know when it is gone, and the home of each.
    watchers: BTreeMap<Address, NodeId>,
}

impl Client {
    /// A device that has just linked.
    #[must_use]
    pub const fn new(
        link: LinkId,
        registration: Checked,
        location: Bytes<LOCATION_MAX>,
        observed: SocketAddr,
    ) -> Self {
        let watchers = BTreeMap::new();
        Self {
            link,
            registration,
            location,
            observed,
            keepers: Vec::new(),
            attaching: None,
            watchers,
        }
    }
}

/// An `Attach` under way.
#[derive(Clone, Debug)]
pub struct Attaching {
    /// The question's number, until it is answered.
    pub ask: Option<u32>,
    /// Keepers that hold the registration.
    pub kept: u8,
    /// Keepers that have not answered.
    pub waiting: u8,
    /// The nodes behind them, in case that some of them do not exist.
    pub spare: Vec<NodeEntry>,
}

impl Attaching {
    /// Nobody was given the registration yet.
    #[must_use]
    pub const fn new(ask: u32) -> Self {
        Self { ask: Some(ask), kept: 0, waiting: 0, spare: Vec::new() }
    }
}

impl Clients {
    /// Takes a device in (again). Answers the link it had before, if that is another one.
    pub fn attach(&mut self, client: Client) -> Option<LinkId> {
        let address = client.registration.address.clone();
        let link = client.link;
        let old = self.by_address.insert(address.clone(), client);
        let replaced = old.map(|mut old| {
            if let Some(new) = self.by_address.get_mut(&address) {
                new.watchers = std::mem::take(&mut old.watchers);
            }
            self.by_link.remove(&old.link);
            old.link
        });
        self.by_link.insert(link, address);
        replaced.filter(|old| *old != link)
    }

    /// Lets the device of a link go. Answers it, with its watchers.
    pub fn detach(&mut self, link: LinkId) -> Option<(Client, Vec<(Address, NodeEntry)>)> {
        let address = self.by_link.remove(&link)?;
        let mut client = self.by_address.remove(&address)?;
        let mut watchers = Vec::with_capacity(client.watchers.len());
        for (watcher, home) in std::mem::take(&mut client.watchers) {
            watchers.extend(self.watching.get(&home).map(|known| (watcher, known.home)));
            self.watches_less(&home);
        }
        Some((client, watchers))
    }

    /// The device with this address.
    #[must_use]
    pub fn get(&self, address: &Address) -> Option<&Client> {
        self.by_address.get(address)
    }

    /// The device with this address, to change it.
    pub fn get_mut(&mut self, address: &Address) -> Option<&mut Client> {
        self.by_address.get_mut(address)
    }

    /// The device of a link, to change it.
    pub fn of_link_mut(&mut self, link: LinkId) -> Option<&mut Client> {
        self.by_address.get_mut(self.by_link.get(&link)?)
    }

    /// A keeper is gone. Answers the devices that have none left.
    pub fn keeper_gone(&mut self, keeper: &NodeId) -> Vec<Address> {
        let left_alone = |client: &mut Client| {
            let before = client.keepers.len();
            client.keepers.retain(|kept| kept.node != *keeper);
            before > 0 && client.keepers.is_empty()
        };
        let clients = self.by_address.iter_mut();
        clients
            .filter_map(|(address, client)| left_alone(client).then(|| address.clone()))
            .collect()
    }

    /// Whether any device of that user is at home here.
    #[must_use]
    pub fn serves(&self, user: &UserName) -> bool {
        let first = Address { user: user.clone(), device: DeviceId([0; 16]) };
        self.by_address.range(first..).next().is_some_and(|(address, _)| address.user == *user)
    }

    /// Whether that link is a client's.
    #[must_use]
    pub fn has_link(&self, link: LinkId) -> bool {
        self.by_link.contains_key(&link)
    }

    /// Notes that `watcher`, at home at `home` with this subscription, wants to know when `watched`
    /// is gone. False when it is not here, or watched by too many.
    pub fn watch(
        &mut self,
        watched: &Address,
        watcher: Address,
        home: NodeEntry,
        subscription: Option<SubscriptionId>,
    ) -> bool {
        let Some(client) = self.by_address.get_mut(watched) else { return false };
        if client.watchers.len() >= WATCHERS_MAX && !client.watchers.contains_key(&watcher) {
            return false;
        }
        let before = client.watchers.insert(watcher, home.node);
        let new = Watchers { home, subscription, watches: 0 };
        let watchers = self.watching.entry(home.node).or_insert(new);
        watchers.home = home;
        watchers.subscription = subscription.or(watchers.subscription);
        watchers.watches += 1;
        if let Some(before) = before {
            self.watches_less(&before);
        }
        true
    }

    /// `watcher`, at home at `home`, does not watch `watched` any more. One that watches from
    /// another home by now goes on.
    pub fn unwatch(&mut self, watched: &Address, watcher: &Address, home: &NodeId) -> bool {
        let Some(client) = self.by_address.get_mut(watched) else { return false };
        if client.watchers.get(watcher) != Some(home) {
            return false;
        }
        client.watchers.remove(watcher);
        self.watches_less(home);
        true
    }

    /// A client has left: of those here that it watched, nothing is to be told to it. `me` is our
    /// own place, which is the home of all who are watched from here.
    pub fn watcher_left(&mut self, watcher: &Address, me: &NodeId) {
        if !self.watching.contains_key(me) {
            return;
        }
        let is_theirs = |client: &Client| client.watchers.get(watcher) == Some(me);
        let watched = self.by_address.values_mut().filter(|client| is_theirs(client));
        let ended = watched.map(|client| client.watchers.remove(watcher)).count();
        (0..ended).for_each(|_| self.watches_less(me));
    }

    /// There is no way to that super-peer any more: none of its clients watches anybody here.
    /// Answers whether any did.
    pub fn watchers_lost(&mut self, home: &NodeId) -> bool {
        if self.watching.remove(home).is_none() {
            return false;
        }
        for client in self.by_address.values_mut() {
            client.watchers.retain(|_, at| at != home);
        }
        true
    }

    /// How often devices here are watched.
    #[must_use]
    pub fn watches(&self) -> usize {
        self.watching.values().map(|watchers| watchers.watches).sum()
    }

    fn watches_less(&mut self, home: &NodeId) {
        let Some(watchers) = self.watching.get_mut(home) else { return };
        watchers.watches -= 1;
        if watchers.watches == 0 {
            self.watching.remove(home);
        }
    }

    /// The homes of those who watch devices at home here.
    pub fn watching_homes(&self) -> impl Iterator<Item = NodeId> {
        self.watching.keys().copied()
    }

    /// The other super-peers whose clients watch devices here.
    pub fn subscribers(&self) -> impl Iterator<Item = Subscriber> {
        let of = |w: &Watchers| Some(Subscriber { home: w.home, subscription: w.subscription? });
        self.watching.values().filter_map(of)
    }

    /// Whether that super-peer has this subscription here.
    #[must_use]
    pub fn has_subscriber(&self, home: &NodeId, subscription: &SubscriptionId) -> bool {
        self.watching.get(home).is_some_and(|w| w.subscription.as_ref() == Some(subscription))
    }

    /// Their links, the newest first.
    pub fn newest(&self) -> impl Iterator<Item = LinkId> {
        self.by_link.keys().rev().copied()
    }

    /// How many are at home here.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_address.len()
    }

    /// Whether nobody is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_address.is_empty()
    }
}
