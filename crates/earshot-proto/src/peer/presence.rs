//! Presence: telling buddies how we are and learning how they are. DESIGN 2.6.
//!
//! A device that comes on line looks every buddy up and greets those it finds; each greeting asks
//! for one in return, so whoever comes second tells both. A buddy's home is asked to say when the
//! buddy's device is gone (`absence`). What is told is sealed from device to device: no super-peer
//! reads it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::ids::{NodeId, UserName};
use crate::time::UnixTime;
use crate::wire::bounded::Text;
use crate::wire::certificate::Signed;
use crate::wire::directory::Location;
use crate::wire::forward::{Address, Forward, WatchGrant};
use crate::wire::sealed::presence::{MOOD_MAX, Presence, PresenceState};

use super::absence::Absences;
use super::buddies::Trust;
use super::command::{Notice, PresenceView, Shown};
use super::post::{Letter, Sender};
use super::{About, Peer};

/// How long a leave to watch lasts. Our choice: longer than a session; it is renewed with every
/// greeting.
const GRANT_LIFE: Duration = Duration::from_secs(24 * 3600);

/// What we show, and what others show us.
#[derive(Debug, Default)]
pub(super) struct Presences {
    shown: Shown,
    mood: Text<MOOD_MAX>,
    /// Last told by each device.
    devices: BTreeMap<Address, Told>,
    pub(super) absences: Absences,
}

#[derive(Clone, Debug)]
struct Told {
    /// When we heard it.
    heard: Instant,
    at: UnixTime,
    state: PresenceState,
    mood: Text<MOOD_MAX>,
    /// Its home then, by its own word.
    home: Option<NodeId>,
}

impl Presences {
    /// What we show.
    pub(super) const fn shown(&self) -> Shown {
        self.shown
    }

    /// A user as their devices show them: the liveliest device speaks.
    pub(super) fn of(&self, user: &UserName) -> PresenceView {
        let rank = |state| match state {
            PresenceState::Online => 3,
            PresenceState::DoNotDisturb => 2,
            PresenceState::Away => 1,
            PresenceState::Offline => 0,
        };
        let told = self.devices.iter().filter(|(address, _)| address.user == *user);
        let best = told.map(|(_, told)| told).max_by_key(|told| (rank(told.state), told.at));
        PresenceView {
            user: user.clone(),
            state: best.map_or(PresenceState::Offline, |told| told.state),
            mood: best.map_or_else(String::new, |told| told.mood.as_str().to_owned()),
        }
    }

    /// Whether a buddy is on line, as far as they show it.
    pub(super) fn is_online(&self, user: &UserName) -> bool {
        self.of(user).state != PresenceState::Offline
    }

    /// Whether a device has ever told us how it is.
    pub(super) fn knows(&self, address: &Address) -> bool {
        self.devices.contains_key(address)
    }

    /// Whether a device is shown as more than gone.
    pub(super) fn is_shown(&self, address: &Address) -> bool {
        self.devices.get(address).is_some_and(|told| told.state != PresenceState::Offline)
    }

    /// Devices of a user that are shown as more than gone.
    pub(super) fn shown_of(&self, user: &UserName) -> impl Iterator<Item = &Address> {
        let theirs = self.devices.keys().filter(|address| address.user == *user);
        theirs.filter(|address| self.is_shown(address))
    }

    /// Where a device has said that it is at home.
    pub(super) fn home_of(&self, address: &Address) -> Option<NodeId> {
        self.devices.get(address)?.home
    }

    /// Devices of which nothing is heard since.
    pub(super) fn silent(&self, since: Instant) -> Vec<Address> {
        let silent = self.devices.iter().filter(|(_, told)| told.heard < since);
        silent.map(|(address, _)| address.clone()).collect()
    }
}

impl Peer {
    /// The owner shows something else.
    pub(super) fn set_presence(
        &mut self,
        now: Instant,
        shown: Shown,
        mood: Option<Text<MOOD_MAX>>,
    ) {
        self.presences.shown = shown;
        if let Some(mood) = mood {
            self.presences.mood = mood;
        }
        self.tell_presence_to_all(now);
        self.announce();
    }

    /// What we show now.
    #[must_use]
    pub fn shown(&self) -> (Shown, &str) {
        (self.presences.shown, self.presences.mood.as_str())
    }

    /// What all buddies show.
    pub fn presences(&self) -> impl Iterator<Item = PresenceView> {
        self.buddies.buddies().map(|user| self.presences.of(user))
    }

    /// We have a home: everybody is looked up.
    pub(super) fn at_home(&mut self, now: Instant) {
        self.hold_silent(now);
        let mut users: Vec<UserName> = self.buddies.buddies().cloned().collect();
        users.extend(self.buddies.undelivered().cloned());
        users.extend(self.session.as_ref().map(|s| s.address.user.clone()));
        for user in users {
            self.look_up(now, &user);
        }
    }

    /// Nothing of that user is shown any more.
    pub(super) fn hide(&mut self, now: Instant, user: &UserName) {
        let theirs = self.presences.devices.keys().filter(|address| address.user == *user);
        let theirs: Vec<Address> = theirs.cloned().collect();
        self.leave_near_user(now, user);
        for address in &theirs {
            self.device_gone(now, address);
            self.unwatch(now, address);
        }
        self.presences.absences.forget(user);
    }

    /// Our home is to say nothing more of that device.
    fn unwatch(&mut self, now: Instant, who: &Address) {
        let Some((link, _)) = self.home_link() else { return };
        let Some(watcher) = self.session.as_ref().map(|s| s.address.clone()) else { return };
        self.links.send(now, link, 0, Forward::Unwatch { who: who.clone(), watcher });
    }

    /// A user was looked up: whoever concerns us is greeted.
    pub(super) fn user_found(&mut self, now: Instant, user: &UserName) {
        let myself = self.session.as_ref().is_some_and(|s| s.address.user == *user);
        if myself {
            self.tell_own_devices(now, true);
        } else if self.buddies.is_buddy(user) {
            self.greet(now, user);
        } else {
            self.send_request(now, user);
        }
    }

    /// Our home is another one: everybody on line is told, and asked to be watched from there.
    pub(super) fn greet_all(&mut self, now: Instant) {
        let buddies: Vec<UserName> = self.buddies.buddies().cloned().collect();
        buddies.iter().for_each(|user| self.greet(now, user));
        self.tell_own_devices(now, false);
    }

    /// Tells a buddy's devices our presence and asks for theirs.
    pub(super) fn greet(&mut self, now: Instant, user: &UserName) {
        let devices: Vec<Address> = self.cards.reachable(user).map(|(a, _)| a.clone()).collect();
        for device in devices {
            self.tell_presence(now, &device, true);
        }
    }

    /// Tells every buddy's known devices our presence.
    pub(super) fn tell_presence_to_all(&mut self, now: Instant) {
        let buddies: Vec<UserName> = self.buddies.buddies().cloned().collect();
        for user in buddies {
            let devices: Vec<Address> =
                self.cards.reachable(&user).map(|(a, _)| a.clone()).collect();
            for device in devices {
                self.tell_presence(now, &device, false);
            }
        }
    }

    pub(super) fn tell_presence(&mut self, now: Instant, to: &Address, ask_back: bool) {
        let state = match self.presences.shown {
            Shown::Online => PresenceState::Online,
            Shown::Away => PresenceState::Away,
            Shown::DoNotDisturb => PresenceState::DoNotDisturb,
            Shown::Invisible => PresenceState::Offline,
        };
        let location = self.location();
        let grant = self.grant(now, &to.user);
        if let Some(presence) = self.presence_as(now, state, location, grant, ask_back) {
            self.post(now, to, &presence.into(), Letter::Other);
        }
    }

    /// Shows ourselves as gone to one user: before a block, and at leaving.
    pub(super) fn show_gone_to(&mut self, now: Instant, user: &UserName) {
        let devices: Vec<Address> = self.cards.reachable(user).map(|(a, _)| a.clone()).collect();
        for device in devices {
            // At once: what waits for its turn is dropped at leaving.
            if let Some(gone) = self.presence_as(now, PresenceState::Offline, None, None, false) {
                self.post_now(now, &device, &gone.into(), Letter::Other);
            }
        }
    }

    fn presence_as(
        &mut self,
        now: Instant,
        state: PresenceState,
        location: Option<Location>,
        grant: Option<Signed<WatchGrant>>,
        ask_back: bool,
    ) -> Option<Presence> {
        let wall = self.wall(now);
        let session = self.session.as_mut()?;
        Some(Presence {
            state,
            mood: self.presences.mood.clone(),
            at: session.next_word(wall),
            location,
            grant,
            ask_back,
            contact_key: session.vault.contact_key.clone(),
        })
    }

    fn grant(&self, now: Instant, watcher: &UserName) -> Option<Signed<WatchGrant>> {
        let session = self.session.as_ref()?;
        let expires = self.wall(now).plus(GRANT_LIFE);
        let chain = session.vault.chain.clone();
        Some(session.vault.keys.sign.sign(&WatchGrant { chain, watcher: watcher.clone(), expires }))
    }

    /// A device tells its presence.
    pub(super) fn handle_presence(&mut self, now: Instant, from: &Sender, presence: Presence) {
        if from.trust != Trust::Buddy {
            return;
        }
        let address = &from.address;
        if self.presences.devices.get(address).is_some_and(|told| presence.at <= told.at) {
            return;
        }
        let Presence { state, mood, at, location, grant, ask_back, contact_key } = presence;
        self.contact_key_told(now, &address.user, contact_key);
        self.cards.located(address, location.as_ref(), at);
        self.presences.absences.heard_of(address);
        let home = location.as_ref().map(|location| location.home.node);
        self.device_told(address, Told { heard: now, at, state, mood, home });
        if ask_back {
            self.tell_presence(now, address, false);
        }
        if let (Some(location), Some(grant)) = (location, grant) {
            self.near_at_home(now, address);
            self.watch(now, address, location, grant);
            self.flush_outbox(now, &address.user);
        }
    }

    /// A device is shown as gone from now on. Answers whether that ends what is seen of a buddy.
    pub(super) fn show_gone(&mut self, address: &Address) -> bool {
        let Some(told) = self.presences.devices.get(address).cloned() else { return false };
        let was_shown = told.state != PresenceState::Offline;
        self.device_told(address, Told { state: PresenceState::Offline, ..told });
        let user = &address.user;
        was_shown && self.buddies.is_buddy(user) && !self.presences.is_online(user)
    }

    fn device_told(&mut self, address: &Address, told: Told) {
        let before = self.presences.of(&address.user);
        self.presences.devices.insert(address.clone(), told);
        let after = self.presences.of(&address.user);
        if before != after {
            self.tell(Notice::Presence(after));
        }
    }

    fn watch(
        &mut self,
        now: Instant,
        device: &Address,
        location: Location,
        grant: Signed<WatchGrant>,
    ) {
        let Some((link, _)) = self.home_link() else { return };
        let Some(watcher) = self.session.as_ref().map(|s| s.address.clone()) else { return };
        let home = location.home;
        let (watcher_home, subscription) = (None, None);
        let watch = Forward::Watch { home, grant, watcher, watcher_home, subscription };
        self.ask(now, link, About::Watch(device.clone(), home.node), watch);
    }
}
