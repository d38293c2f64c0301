//! A session: somebody logged in on this device, from the first moment to a polite end. DESIGN 2.3,
//! 2.7.
//!
//! Invariant: a session's vault is on disk before it begins and whenever it changes; its
//! certificate is renewed at half its life by the device's own key, without a password.

use std::time::{Duration, Instant};

use crate::ids::UserName;
use crate::port::{LinkId, Service};
use crate::secure::buddy_file::BuddyFile;
use crate::secure::identity::{Use, open_signed, verify_chain};
use crate::secure::link::Expect;
use crate::secure::local_vault::{LocalVault, LockedVault, VaultLock};
use crate::secure::recovery_key::Paper;
use crate::secure::seal::SealKey;
use crate::secure::vault::Vault;
use crate::time::UnixTime;
use crate::wire::directory::Directory;
use crate::wire::forward::Address;
use crate::wire::login::Login;
use crate::wire::sealed::buddy::ContactKey;

use super::command::{Answer, Failure, ListFound, Notice, SessionView, SignedIn};
use super::profile::listed;
use super::{About, OnSaved, Peer, Record};

/// Pause before a failed renewal is tried again.
const RENEWAL_RETRY: Duration = Duration::from_secs(300);
/// The same when the certificate has ended, so that no home takes us in. Our choice: as short as a
/// user waits who sees the Internet come back.
const RENEWAL_RETRY_ENDED: Duration = Duration::from_secs(10);

/// Somebody logged in on this device.
pub(super) struct Session {
    /// The user and this device.
    pub(super) address: Address,
    /// Everything that is kept sealed on disk.
    pub(super) vault: LocalVault,
    lock: VaultLock,
    /// End of the certificate.
    pub(super) until: UnixTime,
    /// Seals the buddy list.
    pub(super) buddy_file: BuddyFile,
    /// Counter of the last buddy list sealed; the vault holds that of the last that is safe.
    pub(super) list_counter: u64,
    /// How the list was found.
    pub(super) list_found: ListFound,
    renew_at: Instant,
    renewing: Option<LinkId>,
    last_word: UnixTime,
}

impl Session {
    /// A counter for the next registration: it grows, also over restarts, as long as the clock
    /// does.
    pub(super) fn next_counter(&mut self, wall: UnixTime) -> u64 {
        let counters = &mut self.vault.counters;
        counters.registration = (counters.registration + 1).max(wall.0);
        counters.registration
    }

    /// A counter for the next posting: it grows, also from one device of the user to another, as
    /// long as their clocks agree.
    pub(super) fn next_posting(&mut self, wall: UnixTime) -> u64 {
        let counters = &mut self.vault.counters;
        counters.posting = (counters.posting + 1).max(wall.0);
        counters.posting
    }

    /// A time for the next word about ourselves: later than the one before.
    pub(super) fn next_word(&mut self, wall: UnixTime) -> UnixTime {
        self.last_word = wall.max(self.last_word.plus(Duration::from_millis(1)));
        self.last_word
    }

    /// Version of the device list.
    pub(super) fn devices_version(&self) -> u64 {
        open_signed(&self.vault.devices, &self.vault.vault.identity).map_or(0, |list| list.version)
    }

    /// What the owner is told.
    pub(super) fn signed_in(&self) -> SignedIn {
        SignedIn {
            user: self.address.user.clone(),
            device: self.address.device,
            display_name: self.vault.vault.display_name.as_str().to_owned(),
            certificate_until: self.until,
            buddy_list: self.list_found,
        }
    }
}

impl Peer {
    pub(super) fn session_of(
        &self,
        now: Instant,
        vault: LocalVault,
        lock: VaultLock,
        until: UnixTime,
    ) -> Session {
        let left = until.since(self.wall(now));
        Session {
            address: Address { user: vault.user.clone(), device: vault.device },
            buddy_file: BuddyFile::new(vault.user.clone(), vault.files.buddy_list()),
            list_counter: vault.counters.buddy_list,
            list_found: ListFound::Whole,
            vault,
            lock,
            until,
            renew_at: now + left / 2,
            renewing: None,
            last_word: UnixTime(0),
        }
    }

    pub(super) fn session_begins(
        &mut self,
        now: Instant,
        ask: u64,
        mut session: Session,
        recovery: Option<Paper>,
        stretched: Duration,
    ) {
        self.links.become_holder(&session.vault.keys.link, Some(session.vault.chain.clone()));
        self.open_buddies(&mut session);
        let signed_in = session.signed_in();
        self.start_calls(&session);
        self.session = Some(session);
        let answer = match recovery {
            Some(paper) => Answer::Registered(signed_in, paper),
            None => Answer::LoggedIn(signed_in, stretched),
        };
        self.succeed(ask, answer);
        self.begin_profile(now);
        self.tell_session();
        self.announce();
        self.seek_home(now);
    }

    pub(super) fn renewed(&mut self, now: Instant, link: LinkId, message: Login) {
        self.links.close(link);
        let (root, wall) = (self.root(), self.wall(now));
        let Some(session) = &mut self.session else { return };
        session.renewing = None;
        let Login::Certified { chain, until, .. } = message else { return };
        let Ok(verified) = verify_chain(&chain, &root, wall, Use::Present) else { return };
        if verified.keys() != session.vault.keys.public() {
            return;
        }
        session.vault.chain = chain;
        session.until = until;
        session.renew_at = now + until.since(wall) / 2;
        self.links.become_holder(&session.vault.keys.link, Some(session.vault.chain.clone()));
        self.save_vault();
        self.attach(now);
        self.seek_at_once(now);
        self.tell_session();
    }

    /// The counter of our newest registration; 0 while nobody is logged in.
    #[must_use]
    pub fn registration_counter(&self) -> u64 {
        self.session.as_ref().map_or(0, |session| session.vault.counters.registration)
    }

    /// The highest counter of a registration of that user that we have seen; 0 for none.
    #[must_use]
    pub fn seen_counter(&self, user: &UserName) -> u64 {
        self.cards.of(user).map(|(_, card)| card.counter).max().unwrap_or(0)
    }

    /// Who is logged in, and how others see them.
    #[must_use]
    pub fn session_view(&self) -> Option<SessionView> {
        let session = self.session.as_ref()?;
        let (who, (shown, mood)) = (session.signed_in(), self.shown());
        let online = self.home_link().is_some();
        let listed = listed(&session.vault.listing);
        let listed_as = session.vault.listed_as.told();
        Some(SessionView { who, online, shown, mood: mood.to_owned(), listed, listed_as })
    }

    /// Tells that, if it is not what was told last.
    pub(super) fn tell_session(&mut self) {
        let view = self.session_view();
        if view != self.session_told {
            self.session_told.clone_from(&view);
            self.tell(Notice::Session(view));
        }
    }

    /// Writes the vault as it is now.
    pub(super) fn save_vault(&mut self) {
        self.save_vault_then(OnSaved::Nothing);
    }

    /// The same, and what follows when it is safe.
    pub(super) fn save_vault_then(&mut self, then: OnSaved) {
        let Some(session) = &mut self.session else { return };
        let bytes = session.lock.seal(&session.vault, &mut self.entropy.secrets);
        let user = session.address.user.clone();
        self.save(Record::Vault(user, bytes), then);
    }

    /// Draws another contact key: whoever is no buddy any more reads nothing new. DESIGN 2.7.
    pub(super) fn rotate_contact_key(&mut self, now: Instant) {
        let key = ContactKey(self.entropy.secrets.bytes());
        if let Some(session) = &mut self.session {
            session.vault.contact_key = key;
        }
        self.save_vault();
        self.attach(now);
        self.tell_presence_to_all(now);
        self.announce_again();
    }

    /// The owner logs out: buddies see us gone, links are closed, the vault is shut.
    pub(super) fn log_out(&mut self, now: Instant, ask: u64) {
        if self.session.is_none() {
            return self.fail(ask, Failure::NotLoggedIn);
        }
        self.end_session(now);
        self.succeed(ask, Answer::Done);
        self.tell_session();
    }

    /// Says goodbye and forgets the session. The vault's last bytes open the next one.
    pub(super) fn end_session(&mut self, now: Instant) {
        self.end_calls(now);
        self.end_reach_test();
        let buddies: Vec<UserName> = self.buddies.buddies().cloned().collect();
        buddies.iter().for_each(|user| self.show_gone_to(now, user));
        if let Some(mut session) = self.session.take() {
            let bytes = session.lock.seal(&session.vault, &mut self.entropy.secrets);
            let user = session.address.user;
            if let Ok(locked) = LockedVault::read(&bytes) {
                self.locked.insert(user.clone(), locked);
            }
            self.save(Record::Vault(user, bytes), OnSaved::Nothing);
            self.save(Record::CloseHistory, OnSaved::Nothing);
        }
        self.leave_home();
        self.close_roads();
        self.leave_neighbours();
        self.forget_people();
    }

    /// Renews the certificate when it is time.
    pub(super) fn renewal_due(&mut self, now: Instant) {
        let due = self.session.as_ref().is_some_and(|s| s.renewing.is_none() && s.renew_at <= now);
        let (true, Some(door)) = (due, self.authority_door) else { return };
        let expect = Expect::Key(door.key);
        let link = self.links.dial(now, door.address, Service::Authority, expect);
        let pause = self.renewal_pause(now);
        if let Some(session) = &mut self.session {
            session.renewing = Some(link);
            session.renew_at = now + pause;
        }
    }

    fn renewal_pause(&self, now: Instant) -> Duration {
        let wall = self.wall(now);
        let has_ended = self.session.as_ref().is_some_and(|session| session.until <= wall);
        if has_ended { RENEWAL_RETRY_ENDED } else { RENEWAL_RETRY }
    }

    pub(super) fn renewal_timeout(&self) -> Option<Instant> {
        let session = self.session.as_ref().filter(|_| self.authority_door.is_some());
        session.filter(|session| session.renewing.is_none()).map(|session| session.renew_at)
    }

    /// Whether that link was dialled to renew the certificate.
    pub(super) fn is_renewing(&self, link: LinkId) -> bool {
        self.session.as_ref().is_some_and(|session| session.renewing == Some(link))
    }

    /// Takes the end of a renewal's link into account; false when it is another link.
    pub(super) fn renewal_failed(&mut self, now: Instant, link: LinkId) -> bool {
        let pause = self.renewal_pause(now);
        let Some(session) = self.session.as_mut().filter(|s| s.renewing == Some(link)) else {
            return false;
        };
        session.renewing = None;
        session.renew_at = now + pause;
        self.authority_seen(now, false);
        // It may be elsewhere by now.
        if let Some((home, _)) = self.home_link() {
            self.ask(now, home, About::SuperPeers, Directory::ListSuperPeers);
        }
        true
    }
}

/// The contact key that every device of a user begins with: derived from what only they hold.
pub(super) fn contact_key(vault: &Vault) -> ContactKey {
    ContactKey(*SealKey::derive(vault.backup.secret(), "earshot-contact-key-v1").secret())
}
