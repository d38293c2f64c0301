//! Buddies: asking, accepting, declining, blocking, and the list itself. DESIGN 2.7; lecture, slide
//! 29.
//!
//! The list lives on this machine only, sealed and signed; every change is on disk before it is
//! answered. A buddy's identity key is pinned when they become one. Requests are repeated until
//! they are delivered; all messages here may come twice without harm.

use std::collections::BTreeMap;
use std::time::Instant;

use minicbor::{Decode, Encode};

use crate::ids::UserName;
use crate::time::UnixTime;
use crate::wire::bounded::{List, Text};
use crate::wire::certificate::VerifyKey;
use crate::wire::login::DISPLAY_NAME_MAX;
use crate::wire::read_item;
use crate::wire::sealed::buddy::{Buddy, ContactKey, GREETING_MAX};
use crate::wire::sealed::own::Own;

use super::command::{Answer, BuddyView, Failure, ListFound, Notice, Standing, Wish};
use super::post::{Letter, Sender};
use super::session::Session;
use super::{OnSaved, Peer, Record};

/// Buddies and requests at most. Our choice: more than people know; the list fits in one sealed
/// message.
pub(super) const BUDDIES_MAX: usize = 1000;
/// Requests of strangers waiting at most. DESIGN 2.8.
pub(super) const REQUESTS_MAX: usize = 50;

/// How we stand with whoever shows a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// One of our own devices.
    Myself,
    /// A buddy under the pinned key.
    Buddy,
    /// Somebody else.
    Stranger,
    /// Blocked.
    Blocked,
    /// A buddy's name under another key than the pinned one.
    OtherKey,
}

/// Somebody in the list.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
#[cbor(map)]
pub(super) struct Row {
    #[n(0)]
    user: UserName,
    /// Pinned when first heard from.
    #[n(1)]
    identity: Option<VerifyKey>,
    #[n(2)]
    display_name: Text<DISPLAY_NAME_MAX>,
    #[n(3)]
    standing: RowStanding,
    #[n(4)]
    greeting: Text<GREETING_MAX>,
    /// Their contact key, once they gave it.
    #[n(5)]
    contact_key: Option<ContactKey>,
    /// When this row was last changed: among our devices the newer word wins.
    #[n(6)]
    changed: UnixTime,
    #[n(7)]
    key_changed: bool,
    /// A device of theirs has our request.
    #[n(8)]
    delivered: bool,
}

/// [`Standing`] as it lies on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
enum RowStanding {
    #[n(0)]
    Asked,
    #[n(1)]
    AsksUs,
    #[n(2)]
    Buddy,
    #[n(3)]
    Declined,
    #[n(4)]
    Blocked,
    /// Kept so that our other devices learn of the removal.
    #[n(5)]
    Removed,
}

/// The buddy list.
#[derive(Clone, Debug, Default)]
pub(super) struct Buddies {
    rows: BTreeMap<UserName, Row>,
}

impl Buddies {
    /// The list as it lies on disk, before sealing.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let rows: Vec<&Row> = self.rows.values().collect();
        minicbor::to_vec(rows).expect("writing to a Vec cannot fail")
    }

    /// Reads a list; none when the bytes are no list.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let rows: List<Row, BUDDIES_MAX> = read_item("buddy_list", bytes).ok()?;
        let rows = rows.into_vec().into_iter().map(|row| (row.user.clone(), row)).collect();
        Some(Self { rows })
    }

    pub(super) fn trust(&self, user: &UserName, identity: &VerifyKey) -> Trust {
        let Some(row) = self.rows.get(user) else { return Trust::Stranger };
        let other_key = row.identity.is_some_and(|pinned| pinned != *identity);
        match row.standing {
            RowStanding::Blocked => Trust::Blocked,
            RowStanding::Buddy if other_key || row.key_changed => Trust::OtherKey,
            RowStanding::Buddy => Trust::Buddy,
            RowStanding::Asked
            | RowStanding::AsksUs
            | RowStanding::Declined
            | RowStanding::Removed => Trust::Stranger,
        }
    }

    /// Whether they are a buddy.
    pub(super) fn is_buddy(&self, user: &UserName) -> bool {
        self.rows.get(user).is_some_and(|row| row.standing == RowStanding::Buddy)
    }

    /// Whether they were a buddy once: we declined them later, or they removed us.
    pub(super) fn was_buddy(&self, user: &UserName) -> bool {
        let row = self.rows.get(user).filter(|row| row.identity.is_some());
        row.is_some_and(|row| matches!(row.standing, RowStanding::Removed | RowStanding::Declined))
    }

    /// Whether they show another identity key than the pinned one.
    pub(super) fn key_is_changed(&self, user: &UserName) -> bool {
        self.rows.get(user).is_some_and(|row| row.key_changed)
    }

    /// Whether they are blocked.
    pub(super) fn is_blocked(&self, user: &UserName) -> bool {
        self.rows.get(user).is_some_and(|row| row.standing == RowStanding::Blocked)
    }

    /// The identity key of a buddy that is pinned.
    pub(super) fn pinned(&self, user: &UserName) -> Option<VerifyKey> {
        self.rows.get(user)?.identity
    }

    /// The buddy under a pinned key with a contact key like this.
    pub(super) fn by_contact_key(&self, is_it: impl Fn(&ContactKey) -> bool) -> Option<UserName> {
        let is_pinned = |row: &&Row| row.identity.is_some() && !row.key_changed;
        let buddies = self.rows.values().filter(|row| row.standing == RowStanding::Buddy);
        let mut buddies = buddies.filter(is_pinned);
        let found = buddies.find(|row| row.contact_key.as_ref().is_some_and(&is_it))?;
        Some(found.user.clone())
    }

    /// A buddy's contact key.
    pub(super) fn contact_key(&self, user: &UserName) -> Option<&ContactKey> {
        self.rows.get(user)?.contact_key.as_ref()
    }

    /// The name for people, where we know it.
    pub(super) fn display_name(&self, user: &UserName) -> Option<&str> {
        self.rows.get(user).map(|row| row.display_name.as_str()).filter(|name| !name.is_empty())
    }

    /// All buddies.
    pub(super) fn buddies(&self) -> impl Iterator<Item = &UserName> {
        let rows = self.rows.values().filter(|row| row.standing == RowStanding::Buddy);
        rows.map(|row| &row.user)
    }

    /// Whom our request has not reached yet.
    pub(super) fn undelivered(&self) -> impl Iterator<Item = &UserName> {
        let due = |row: &&Row| row.standing == RowStanding::Asked && !row.delivered;
        self.rows.values().filter(due).map(|row| &row.user)
    }

    /// What the owner sees of the list.
    pub(super) fn views(&self) -> impl Iterator<Item = BuddyView> {
        self.rows.values().filter(|row| row.standing != RowStanding::Removed).map(Row::view)
    }

    fn view(&self, user: &UserName) -> Option<BuddyView> {
        self.rows.get(user).map(Row::view)
    }

    fn standing(&self, user: &UserName) -> Option<RowStanding> {
        self.rows.get(user).map(|row| row.standing)
    }

    fn waiting(&self) -> usize {
        self.rows.values().filter(|row| row.standing == RowStanding::AsksUs).count()
    }

    fn row(&mut self, user: &UserName, now: UnixTime) -> &mut Row {
        let row = self.rows.entry(user.clone()).or_insert_with(|| Row::new(user.clone()));
        row.changed = now;
        row
    }

    /// Takes our other device's list: the newer word about each wins. Answers who has changed.
    fn merge(&mut self, other: Self) -> Vec<UserName> {
        let mut changed = Vec::new();
        for (user, theirs) in other.rows {
            let newer = self.rows.get(&user).is_none_or(|ours| ours.changed < theirs.changed);
            let room = self.rows.len() < BUDDIES_MAX || self.rows.contains_key(&user);
            if newer && room {
                self.rows.insert(user.clone(), theirs);
                changed.push(user);
            }
        }
        changed
    }
}

impl Row {
    fn new(user: UserName) -> Self {
        Self {
            user,
            identity: None,
            display_name: Text::default(),
            standing: RowStanding::Removed,
            greeting: Text::default(),
            contact_key: None,
            changed: UnixTime(0),
            key_changed: false,
            delivered: false,
        }
    }

    fn view(&self) -> BuddyView {
        let standing = match self.standing {
            RowStanding::Asked => Standing::Asked,
            RowStanding::AsksUs => Standing::AsksUs,
            RowStanding::Buddy => Standing::Buddy,
            RowStanding::Declined => Standing::Declined,
            RowStanding::Blocked => Standing::Blocked,
            RowStanding::Removed => Standing::Removed,
        };
        let asks = self.standing == RowStanding::AsksUs;
        BuddyView {
            user: self.user.clone(),
            display_name: self.display_name.as_str().to_owned(),
            standing,
            greeting: asks.then(|| self.greeting.as_str().to_owned()),
            since: self.changed,
            key_changed: self.key_changed,
        }
    }
}

impl Peer {
    /// The owner asks somebody to be a buddy.
    pub(super) fn request_buddy(
        &mut self,
        now: Instant,
        ask: u64,
        user: UserName,
        greeting: Text<GREETING_MAX>,
    ) {
        if self.session.as_ref().is_some_and(|s| s.address.user == user) {
            return self.fail(ask, Failure::Yourself);
        }
        match self.buddies.standing(&user) {
            Some(RowStanding::Buddy | RowStanding::Asked) => {
                return self.fail(ask, Failure::BuddyAlready);
            }
            Some(RowStanding::AsksUs) => return self.accept_buddy(now, ask, user),
            Some(RowStanding::Declined | RowStanding::Blocked | RowStanding::Removed) | None => {}
        }
        if self.buddies.rows.len() >= BUDDIES_MAX {
            return self.fail(ask, Failure::TooMany { max: BUDDIES_MAX });
        }
        let wall = self.wall(now);
        let row = self.buddies.row(&user, wall);
        row.standing = RowStanding::Asked;
        row.greeting = greeting;
        row.delivered = false;
        self.save_buddies(Some(ask), &user);
        self.look_up(now, &user);
    }

    /// The owner accepts a request.
    pub(super) fn accept_buddy(&mut self, now: Instant, ask: u64, user: UserName) {
        if self.buddies.standing(&user) != Some(RowStanding::AsksUs) {
            return self.fail(ask, Failure::NoRequest);
        }
        let wall = self.wall(now);
        self.buddies.row(&user, wall).standing = RowStanding::Buddy;
        self.save_buddies(Some(ask), &user);
        self.send_accept(now, &user);
        self.greet(now, &user);
        self.recognise(now);
    }

    /// The owner declines a request.
    pub(super) fn decline_buddy(&mut self, now: Instant, ask: u64, user: UserName) {
        if self.buddies.standing(&user) != Some(RowStanding::AsksUs) {
            return self.fail(ask, Failure::NoRequest);
        }
        let wall = self.wall(now);
        self.buddies.row(&user, wall).standing = RowStanding::Removed;
        self.save_buddies(Some(ask), &user);
        self.post_to_user(now, &user, &Buddy::Decline.into());
    }

    /// The owner blocks somebody: they are not told, and what they could see of us is sealed under
    /// a new key.
    pub(super) fn block(&mut self, now: Instant, ask: u64, user: UserName) {
        let was_buddy = self.buddies.is_buddy(&user);
        if was_buddy {
            self.show_gone_to(now, &user);
        }
        let wall = self.wall(now);
        let row = self.buddies.row(&user, wall);
        row.standing = RowStanding::Blocked;
        row.contact_key = None;
        self.save_buddies(Some(ask), &user);
        self.hide(now, &user);
        self.call_partner_blocked(now, &user);
        if was_buddy {
            self.rotate_contact_key(now);
        }
    }

    /// The owner unblocks somebody, who is nobody to us then.
    pub(super) fn unblock(&mut self, now: Instant, ask: u64, user: UserName) {
        if !self.buddies.is_blocked(&user) {
            return self.fail(ask, Failure::NotABuddy);
        }
        let wall = self.wall(now);
        self.buddies.row(&user, wall).standing = RowStanding::Removed;
        self.save_buddies(Some(ask), &user);
    }

    /// Somebody says something about being buddies.
    pub(super) fn handle_buddy(&mut self, now: Instant, from: &Sender, message: Buddy) {
        let user = from.address.user.clone();
        let wall = self.wall(now);
        match (message, self.buddies.standing(&user)) {
            (Buddy::Request { contact_key, display_name, .. }, Some(RowStanding::Buddy)) => {
                let row = self.buddies.row(&user, wall);
                row.contact_key = Some(contact_key);
                row.display_name = display_name;
                self.send_accept(now, &user);
                self.recognise(now);
            }
            (Buddy::Request { contact_key, display_name, .. }, Some(RowStanding::Asked)) => {
                self.become_buddies(now, from, display_name, contact_key);
                self.send_accept(now, &user);
            }
            (Buddy::Request { greeting, display_name, contact_key }, _) => {
                if self.buddies.waiting() >= REQUESTS_MAX || self.buddies.rows.len() >= BUDDIES_MAX
                {
                    return;
                }
                let known = self.buddies.standing(&user) == Some(RowStanding::AsksUs);
                let row = self.buddies.row(&user, wall);
                row.standing = RowStanding::AsksUs;
                row.identity = Some(from.identity);
                row.greeting = greeting;
                row.display_name = display_name;
                row.contact_key = Some(contact_key);
                let view = row.view();
                self.save_list(OnSaved::Nothing);
                if !known {
                    self.tell(Notice::Requested(view));
                }
            }
            (Buddy::Accept { display_name, contact_key }, Some(RowStanding::Asked)) => {
                self.become_buddies(now, from, display_name, contact_key);
            }
            (Buddy::Decline, Some(RowStanding::Asked)) => {
                self.buddies.row(&user, wall).standing = RowStanding::Declined;
                self.save_buddies(None, &user);
            }
            (Buddy::Accept { .. } | Buddy::Decline, _) => {}
        }
    }

    fn become_buddies(
        &mut self,
        now: Instant,
        from: &Sender,
        display_name: Text<DISPLAY_NAME_MAX>,
        contact_key: ContactKey,
    ) {
        let wall = self.wall(now);
        let user = from.address.user.clone();
        let row = self.buddies.row(&user, wall);
        row.standing = RowStanding::Buddy;
        row.identity = Some(from.identity);
        row.display_name = display_name;
        row.contact_key = Some(contact_key);
        self.save_buddies(None, &user);
        self.greet(now, &user);
        self.recognise(now);
    }

    fn send_accept(&mut self, now: Instant, user: &UserName) {
        let Some(session) = &self.session else { return };
        let display_name = session.vault.vault.display_name.clone();
        let contact_key = session.vault.contact_key.clone();
        let accept = Buddy::Accept { display_name, contact_key };
        self.post_to_user(now, user, &accept.into());
    }

    /// Brings our request to the devices of somebody who was just found.
    pub(super) fn send_request(&mut self, now: Instant, user: &UserName) {
        let Some(session) = &self.session else { return };
        let Some(row) = self.buddies.rows.get(user) else { return };
        let request = Buddy::Request {
            greeting: row.greeting.clone(),
            display_name: session.vault.vault.display_name.clone(),
            contact_key: session.vault.contact_key.clone(),
        };
        let devices: Vec<_> =
            self.cards.reachable(user).map(|(address, _)| address.clone()).collect();
        for device in devices {
            let letter = Letter::Request(user.clone());
            self.post(now, &device, &request.clone().into(), letter);
        }
    }

    /// Our request reached a device.
    pub(super) fn request_delivered(&mut self, user: &UserName) {
        if let Some(row) = self.buddies.rows.get_mut(user) {
            row.delivered = true;
            self.save_list(OnSaved::Nothing);
        }
    }

    /// A buddy shows another identity key than the pinned one.
    pub(super) fn key_changed(&mut self, user: &UserName) {
        let Some(row) = self.buddies.rows.get_mut(user).filter(|row| !row.key_changed) else {
            return;
        };
        row.key_changed = true;
        let view = row.view();
        self.save_list(OnSaved::Nothing);
        self.tell(Notice::Buddy(view));
    }

    /// A buddy told us their contact key.
    pub(super) fn contact_key_told(&mut self, now: Instant, user: &UserName, key: ContactKey) {
        let Some(row) = self.buddies.rows.get_mut(user) else { return };
        if row.contact_key.as_ref() != Some(&key) {
            row.contact_key = Some(key);
            self.save_list(OnSaved::Nothing);
            self.recognise(now);
        }
    }

    /// Writes the list; tells the owner of `user`, and answers `ask`, when it is safe.
    fn save_buddies(&mut self, ask: Option<u64>, user: &UserName) {
        let then = match (ask, self.buddies.view(user)) {
            (Some(ask), Some(view)) => {
                OnSaved::Tell(ask, Answer::Done, Box::new(Notice::Buddy(view)))
            }
            (Some(ask), None) => OnSaved::Answer(ask, Answer::Done),
            (None, Some(view)) => {
                self.tell(Notice::Buddy(view));
                OnSaved::Nothing
            }
            (None, None) => OnSaved::Nothing,
        };
        self.save_list(then);
    }

    fn save_list(&mut self, then: OnSaved) {
        let Some(session) = &mut self.session else { return };
        session.list_counter += 1;
        let (list, counter) = (self.buddies.to_bytes(), session.list_counter);
        let (by, secrets) = (&session.vault.keys.sign, &mut self.entropy.secrets);
        let sealed = session.buddy_file.seal(&list, counter, by, secrets);
        // What is opened at the next login of this process.
        let user = session.address.user.clone();
        let lists = self.lists.entry(user.clone()).or_default();
        lists.insert(0, sealed.clone());
        lists.truncate(2);
        self.save(Record::Buddies(user, sealed), OnSaved::List(counter, Box::new(then)));
    }

    /// The vault remembers how new the list must be at the next start; after the list, since a
    /// crash between the two must not make the list look old.
    pub(super) fn list_saved(&mut self, counter: u64) {
        let Some(session) = &mut self.session else { return };
        if counter > session.vault.counters.buddy_list {
            session.vault.counters.buddy_list = counter;
            self.save_vault();
        }
    }

    /// Opens the newest buddy list file, or where that is damaged or gone the one before it. An
    /// older one that was put back is refused: it might bring a blocked user back.
    pub(super) fn open_buddies(&mut self, session: &mut Session) {
        let by = session.vault.keys.sign.public();
        let newest = session.vault.counters.buddy_list;
        for file in self.lists.get(&session.address.user).into_iter().flatten() {
            let opened = session.buddy_file.open(file, newest.saturating_sub(1), &by);
            let list = opened.as_ref().ok().and_then(|file| Buddies::from_bytes(&file.list));
            match (opened, list) {
                (Ok(opened), Some(list)) => {
                    session.list_counter = newest.max(opened.counter);
                    let is_newest = opened.counter >= newest;
                    session.list_found =
                        if is_newest { ListFound::Whole } else { ListFound::LastGood };
                    self.buddies = list;
                    return;
                }
                (Ok(_), None) => tracing::warn!("A buddy list file is of a newer program"),
                (Err(why), _) => tracing::warn!(%why, "A buddy list file was passed over"),
            }
        }
        if newest > 0 {
            session.list_found = ListFound::Refused;
        }
    }

    /// Tells our other devices the list.
    pub(super) fn tell_own_devices(&mut self, now: Instant, ask_back: bool) {
        let Some(user) = self.session.as_ref().map(|s| s.address.user.clone()) else { return };
        if let Ok(list) = crate::wire::bounded::Bytes::new(self.buddies.to_bytes()) {
            self.post_to_user(now, &user, &Own::Buddies { list, ask_back }.into());
        }
        if let Some(word) = self.listed_word() {
            self.post_to_user(now, &user, &word.into());
        }
    }

    /// One of our own devices says something.
    pub(super) fn handle_own(&mut self, now: Instant, from: &Sender, message: Own) {
        if from.trust != Trust::Myself {
            return;
        }
        let (list, ask_back) = match message {
            Own::Buddies { list, ask_back } => (list, ask_back),
            Own::Listed { is_listed, said, name, about } => {
                let wish = Wish { is_listed, name, about };
                return self.told_listed(now, wish, said);
            }
        };
        if let Some(list) = Buddies::from_bytes(&list) {
            let changed = self.buddies.merge(list);
            for user in &changed {
                if let Some(view) = self.buddies.view(user) {
                    self.tell(Notice::Buddy(view));
                }
                if !self.buddies.is_buddy(user) {
                    self.hide(now, user);
                }
                self.look_up(now, user);
            }
            if !changed.is_empty() {
                self.save_list(OnSaved::Nothing);
                self.recognise(now);
            }
        }
        if ask_back {
            self.tell_own_devices(now, false);
        }
    }
}
