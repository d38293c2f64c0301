//! Registering, logging in, staying certified, logging out. DESIGN 2.3; lecture, slide 30.
//!
//! On a machine that has logged in before, the vault on disk opens first, so a login needs nobody.
//! Elsewhere the authority is asked: a super-peer tells where it is, OPAQUE proves the password
//! without showing it, and the device is certified. A session begins only when its vault is on disk
//! and the history is open.

use std::time::{Duration, Instant};

use crate::ids::{DeviceId, UserName};
use crate::port::{LinkDown, LinkId, SaveFailure};
use crate::secure::identity::{Keys, Use, open_signed, verify_chain};
use crate::secure::links::{Closed, Who};
use crate::secure::local_vault::{
    Counters, FilesKey, ListedAs, Listing, LocalVault, LocalVaultClosed, LockedVault, NewLock,
    VaultLock,
};
use crate::secure::password::{
    ExportKey, LoginStart, Password, PasswordFailure, RegistrationStart, Work, Worked,
};
use crate::secure::recovery_key::RecoveryKey;
use crate::secure::vault::Vault;
use crate::wire::bounded::{List, Text};
use crate::wire::certificate::{DeviceList, ListedDevice, Signed, Subject};
use crate::wire::login::{DISPLAY_NAME_MAX, Login, Refusal, SealedVault};

use super::authority_door::Ways;
use super::command::Failure;
use super::session::{Session, contact_key};
use super::signing::{Certified, Kept, Purpose, SigningIn, Step};
use super::{OnSaved, Peer, Record};

/// How long registering or logging in may take before it is given up, the stretching aside. Our
/// choice: three slow handshakes.
const PATIENCE: Duration = Duration::from_secs(20);

impl Peer {
    /// The owner registers.
    pub(super) fn register(
        &mut self,
        now: Instant,
        ask: u64,
        user: UserName,
        password: Password,
        display_name: Text<DISPLAY_NAME_MAX>,
    ) {
        if self.may_sign_in(ask) {
            let purpose = Purpose::Register { display_name };
            self.sign_in_at_authority(now, ask, user, password, purpose);
        }
    }

    /// The owner logs in.
    pub(super) fn log_in(&mut self, now: Instant, ask: u64, user: UserName, password: Password) {
        if !self.may_sign_in(ask) {
            return;
        }
        match self.locked.remove(&user) {
            Some(locked) => {
                let work = locked.stretch(&password);
                let step = Step::Unlock(Box::new(locked));
                let signing = self.signing(now, ask, user, password, Purpose::Login, step);
                self.signing_in = Some(signing);
                self.stretch(now, work);
            }
            None => self.sign_in_at_authority(now, ask, user, password, Purpose::Login),
        }
    }

    fn may_sign_in(&mut self, ask: u64) -> bool {
        let failure = match (&self.joined, &self.session, &self.signing_in) {
            (None, _, _) => Failure::NoNetwork,
            (Some(_), None, None) => return true,
            (Some(_), _, _) => Failure::LoggedInAlready,
        };
        self.fail(ask, failure);
        false
    }

    fn signing(
        &mut self,
        now: Instant,
        ask: u64,
        user: UserName,
        password: Password,
        purpose: Purpose,
        step: Step,
    ) -> SigningIn {
        let device = DeviceId(self.entropy.secrets.bytes());
        let deadline = now + PATIENCE;
        SigningIn {
            ask,
            user,
            password,
            purpose,
            step,
            deadline,
            ways: Ways::default(),
            keys: None,
            kept: None,
            device,
            clock_off_ms: None,
            recovery: None,
            computing_since: now,
            stretched: Duration::ZERO,
        }
    }

    fn sign_in_at_authority(
        &mut self,
        now: Instant,
        ask: u64,
        user: UserName,
        password: Password,
        purpose: Purpose,
    ) {
        let mut signing = self.signing(now, ask, user, password, purpose, Step::ReachAuthority);
        signing.keys = Some(Keys::draw(&mut self.entropy.secrets));
        self.ask_authority(now, signing);
    }

    fn ask_authority(&mut self, now: Instant, signing: SigningIn) {
        if let Some(keys) = &signing.keys {
            self.links.become_holder(&keys.link, None);
        }
        self.signing_in = Some(signing);
        self.seek_authority(now);
    }

    /// The authority's link is open.
    pub(super) fn authority_opened(&mut self, now: Instant, link: LinkId, who: &Who) {
        if !matches!(who, Who::Authority) {
            self.links.close(link);
            let why = Closed::Down(LinkDown::Refused);
            return self.sign_in_link_closed(now, link, &why);
        }
        self.authority_seen(now, true);
        if self.is_renewing(link) {
            return self.links.send(now, link, 1, Login::Renew);
        }
        if !self.authority_found(link) {
            return self.links.close(link);
        }
        let Some(signing) = &mut self.signing_in else { return };
        let (user, secrets) = (signing.user.clone(), &mut self.entropy.secrets);
        let message = match signing.purpose {
            Purpose::Register { .. } => {
                let (start, request) = RegistrationStart::begin(&signing.password, secrets);
                signing.step = Step::RegisterOffer { link, start: Box::new(start) };
                let token = self.joined.as_ref().and_then(|joined| joined.invite.token.clone());
                Login::RegisterStart { user, request, token }
            }
            Purpose::Login => {
                let (start, request) = LoginStart::begin(&signing.password, secrets);
                signing.step = Step::LoginOffer { link, start: Box::new(start) };
                Login::LoginStart { user, request }
            }
        };
        self.links.send(now, link, 1, message);
    }

    /// The authority says something.
    pub(super) fn handle_login(&mut self, now: Instant, link: LinkId, message: Login) {
        if self.is_renewing(link) {
            return self.renewed(now, link, message);
        }
        let Some(signing) = self.signing_in.take_if(|s| s.link() == Some(link)) else { return };
        let SigningIn { step, .. } = signing;
        let signing = SigningIn { step: Step::Reached { link }, ..signing };
        match (step, message) {
            (_, Login::Refused { reason, retry_after_ms }) => {
                self.signing_in = Some(signing);
                let failure = Failure::Refused(reason, retry_after_ms);
                self.sign_in_failed(if reason == Refusal::WrongNameOrPassword {
                    Failure::WrongNameOrPassword
                } else {
                    failure
                });
            }
            (Step::RegisterOffer { start, .. }, Login::RegisterOffer { response }) => {
                let (network, cost) = (self.network_id(), self.config.cost);
                match start.answer(&response, &signing.user, &network, cost) {
                    Ok(work) => {
                        self.signing_in =
                            Some(SigningIn { step: Step::Register { link }, ..signing });
                        self.stretch(now, work);
                    }
                    Err(_) => self.disbelieved(signing),
                }
            }
            (Step::LoginOffer { start, .. }, Login::LoginOffer { response }) => {
                let (network, cost) = (self.network_id(), self.config.cost);
                match start.answer(&response, &signing.user, &network, cost) {
                    Ok(work) => {
                        self.signing_in = Some(SigningIn { step: Step::Login { link }, ..signing });
                        self.stretch(now, work);
                    }
                    Err(_) => self.disbelieved(signing),
                }
            }
            (Step::Account { export, .. }, Login::Account { vault, devices }) => {
                self.account_opened(now, link, signing, &export, vault, &devices);
            }
            (Step::Certify { vault, devices, seed, .. }, Login::Certified { chain, until, .. }) => {
                self.links.close(link);
                self.certified(
                    now,
                    signing,
                    Certified { chain, until, vault: *vault, devices, contact_key: seed },
                );
            }
            (_, _) => self.disbelieved(signing),
        }
    }

    fn disbelieved(&mut self, signing: SigningIn) {
        self.signing_in = Some(signing);
        self.sign_in_failed(Failure::Disbelieved);
    }

    /// The authority showed the account: the vault is opened and this device put on the list.
    fn account_opened(
        &mut self,
        now: Instant,
        link: LinkId,
        signing: SigningIn,
        export: &ExportKey,
        vault: SealedVault,
        devices: &Signed<DeviceList>,
    ) {
        let opened = Vault::open_by_password(&vault, &signing.user, export);
        let list = open_signed(devices, &vault.identity);
        let (Ok((secret, _)), Ok(mut list)) = (opened, list) else {
            return self.disbelieved(signing);
        };
        let Some(keys) = &signing.keys else { return self.disbelieved(signing) };
        let (device, keys) = (signing.device, keys.public());
        let devices = if list.devices.iter().any(|d| d.device == device && d.keys == keys) {
            devices.clone()
        } else {
            let mut all = list.devices.into_vec();
            all.push(ListedDevice { device, keys, added: self.wall(now) });
            let Ok(devices) = List::new(all) else {
                self.signing_in = Some(signing);
                let max = crate::wire::certificate::DEVICES_MAX;
                return self.sign_in_failed(Failure::TooMany { max });
            };
            list = DeviceList { user: list.user, version: list.version + 1, devices };
            secret.identity.sign(&list)
        };
        let seed = contact_key(&secret);
        self.links.send(now, link, 1, Login::CertifyDevice { devices: devices.clone(), device });
        let step = Step::Certify { link, vault: Box::new(vault), devices, seed };
        self.signing_in = Some(SigningIn { step, ..signing });
    }

    /// Hands a computation of the login under way out.
    fn stretch(&mut self, now: Instant, work: Work) {
        if let Some(signing) = &mut self.signing_in {
            signing.computing_since = now;
        }
        self.work(work);
    }

    /// A long computation of ours is done.
    pub(super) fn handle_worked(&mut self, now: Instant, worked: Worked) {
        let Some(signing) = self.signing_in.take() else { return };
        let SigningIn { step, .. } = signing;
        let idle = Step::ReachAuthority;
        let took = now.saturating_duration_since(signing.computing_since);
        let stretched = signing.stretched + took;
        let mut signing = SigningIn { step: idle, deadline: now + PATIENCE, stretched, ..signing };
        match (step, worked) {
            (Step::Unlock(locked), Worked::Stretched(key)) => match locked.open(&key, 0) {
                Ok((vault, lock)) => self.unlocked(now, signing, *locked, (vault, lock)),
                Err(why) => {
                    self.locked.insert(locked.user().clone(), *locked);
                    self.signing_in = Some(signing);
                    self.sign_in_failed(match why {
                        LocalVaultClosed::WrongPassword => Failure::WrongNameOrPassword,
                        LocalVaultClosed::Damaged
                        | LocalVaultClosed::NewerFormat { .. }
                        | LocalVaultClosed::RolledBack { .. } => Failure::VaultDamaged,
                    });
                }
            },
            (Step::Register { link }, Worked::Registered(Ok(registered))) => {
                let Purpose::Register { display_name } = &signing.purpose else { return };
                let Some(keys) = &signing.keys else { return };
                let (user, added) = (signing.user.clone(), self.wall(now));
                let secrets = &mut self.entropy.secrets;
                let secret = Vault::draw(secrets);
                let recovery = RecoveryKey::draw(secrets);
                let name = display_name.clone();
                let (vault, _) = secret.seal(&user, name, &registered.export, &recovery, secrets);
                let device = signing.device;
                let listed = ListedDevice { device, keys: keys.public(), added };
                let devices = List::first_of([listed]);
                let devices = secret.identity.sign(&DeviceList { user, version: 1, devices });
                let record = registered.record;
                let (v, d) = (vault.clone(), devices.clone());
                let finish = Login::RegisterFinish { record, vault: v, devices: d, device };
                self.links.send(now, link, 1, finish);
                signing.recovery = Some(recovery);
                let seed = contact_key(&secret);
                signing.step = Step::Certify { link, vault: Box::new(vault), devices, seed };
                self.signing_in = Some(signing);
            }
            (Step::Login { link }, Worked::LoggedIn(Ok(logged_in))) => {
                let finalization = logged_in.finalization;
                self.links.send(now, link, 1, Login::LoginFinish { finalization });
                signing.step = Step::Account { link, export: logged_in.export };
                self.signing_in = Some(signing);
            }
            (Step::Register { link } | Step::Login { link }, Worked::LoggedIn(Err(why)))
            | (Step::Register { link } | Step::Login { link }, Worked::Registered(Err(why))) => {
                self.links.close(link);
                self.signing_in = Some(signing);
                self.sign_in_failed(match why {
                    PasswordFailure::WrongNameOrPassword => Failure::WrongNameOrPassword,
                    PasswordFailure::Nonsense => Failure::Disbelieved,
                });
            }
            (Step::Lock { certified, lock }, Worked::Stretched(key)) => {
                self.locked_up(now, signing, *certified, lock.finish(&key, 0));
            }
            // A result that nobody waits for any more: the login was given up meanwhile.
            (step, _) => self.signing_in = Some(SigningIn { step, ..signing }),
        }
    }

    /// The vault on disk is open. A certificate that has ended is renewed by the device; until then
    /// it serves near by.
    fn unlocked(
        &mut self,
        now: Instant,
        signing: SigningIn,
        locked: LockedVault,
        (vault, lock): (LocalVault, VaultLock),
    ) {
        let wall = self.wall(now);
        match verify_chain(&vault.chain, &vault.root, wall, Use::Nearby) {
            Ok(verified) => {
                let until = verified.statement.not_after;
                let session = self.session_of(now, vault, lock, until);
                self.keep_session(signing, session, None);
            }
            // Away for too long: the authority certifies the device anew, after the password. It
            // stays the same device, which opens its own files.
            Err(_) => {
                // For another attempt, if nobody is reached.
                self.locked.insert(locked.user().clone(), locked);
                let LocalVault { device, keys, contact_key, files, counters, .. } = vault;
                let (listing, listed_as) = (vault.listing, vault.listed_as);
                let step = Step::ReachAuthority;
                let kept = Some(Kept { contact_key, files, counters, listing, listed_as });
                let keys = Some(keys);
                self.ask_authority(now, SigningIn { step, device, keys, kept, ..signing });
            }
        }
    }

    fn certified(&mut self, now: Instant, signing: SigningIn, certified: Certified) {
        let lock = NewLock::draw(self.config.cost, &mut self.entropy.secrets);
        let work = lock.stretch(&signing.password);
        let step = Step::Lock { certified: Box::new(certified), lock };
        self.signing_in = Some(SigningIn { step, ..signing });
        self.stretch(now, work);
    }

    fn locked_up(
        &mut self,
        now: Instant,
        mut signing: SigningIn,
        certified: Certified,
        mut lock: VaultLock,
    ) {
        let (root, Some(keys)) = (self.root(), signing.keys.take()) else { return };
        let Certified { chain, until, vault, devices, contact_key } = certified;
        let verified = verify_chain(&chain, &root, self.wall(now), Use::Present);
        let ours = matches!(verified.as_ref().map(|v| &v.statement.subject),
            Ok(Subject::Device { user, device, keys: certified, identity })
                if *user == signing.user && *device == signing.device
                    && *certified == keys.public() && *identity == vault.identity);
        if !ours {
            return self.disbelieved(signing);
        }
        let kept = signing.kept.take().unwrap_or_else(|| Kept {
            contact_key,
            files: FilesKey::draw(&mut self.entropy.secrets),
            counters: Counters::default(),
            listing: Listing::default(),
            listed_as: ListedAs::default(),
        });
        let vault = LocalVault {
            root,
            user: signing.user.clone(),
            device: signing.device,
            keys,
            chain,
            devices,
            vault,
            contact_key: kept.contact_key,
            files: kept.files,
            counters: kept.counters,
            listing: kept.listing,
            listed_as: kept.listed_as,
        };
        let bytes = lock.seal(&vault, &mut self.entropy.secrets);
        let session = self.session_of(now, vault, lock, until);
        self.keep_session(signing, session, Some(bytes));
    }

    /// Writes the vault (if it is new) and opens the history; then the session begins. One after
    /// the other: a history whose key is in no vault could never be opened again.
    fn keep_session(&mut self, signing: SigningIn, session: Session, vault: Option<Vec<u8>>) {
        let (user, history) = (session.address.user.clone(), session.vault.files.history());
        let waiting = 1 + u8::from(vault.is_some());
        let step = Step::Keep { session: Box::new(session), waiting };
        self.signing_in = Some(SigningIn { step, ..signing });
        let first = match vault {
            Some(bytes) => Record::Vault(user, bytes),
            None => Record::OpenHistory(user, history),
        };
        self.save(first, OnSaved::SignIn);
    }

    /// One of the writes of a login is done.
    pub(super) fn sign_in_saved(&mut self, now: Instant) {
        let Some(mut signing) = self.signing_in.take() else { return };
        match signing.step {
            Step::Keep { session, waiting: 1 } => {
                let recovery = signing.recovery.map(|key| key.to_paper());
                let stretched = signing.stretched;
                self.session_begins(now, signing.ask, *session, recovery, stretched);
            }
            Step::Keep { session, waiting } => {
                let user = session.address.user.clone();
                let history = session.vault.files.history();
                signing.step = Step::Keep { session, waiting: waiting - 1 };
                self.signing_in = Some(signing);
                self.save(Record::OpenHistory(user, history), OnSaved::SignIn);
            }
            Step::Unlock(_)
            | Step::ReachAuthority
            | Step::Reached { .. }
            | Step::RegisterOffer { .. }
            | Step::Register { .. }
            | Step::LoginOffer { .. }
            | Step::Login { .. }
            | Step::Account { .. }
            | Step::Certify { .. }
            | Step::Lock { .. } => self.signing_in = Some(signing),
        }
    }

    /// One of the writes of a login failed.
    pub(super) fn sign_in_not_saved(&mut self, why: SaveFailure) {
        self.sign_in_failed(Failure::NotKept(why));
    }

    /// Registering or logging in has failed.
    pub(super) fn sign_in_failed(&mut self, failure: Failure) {
        if let Some(signing) = self.signing_in.take() {
            if let Some(link) = signing.link() {
                self.links.close(link);
            }
            self.end_ways(&signing);
            self.fail(signing.ask, failure);
        }
    }

    /// A link is gone: perhaps one that a login, a registration or a renewal waited for.
    pub(super) fn sign_in_link_closed(&mut self, now: Instant, link: LinkId, why: &Closed) {
        if self.renewal_failed(now, link) || self.way_closed(now, link, why) {
            return;
        }
        let Some(signing) = &self.signing_in else { return };
        if signing.link() != Some(link) {
            return;
        }
        match signing.step {
            Step::Reached { .. }
            | Step::RegisterOffer { .. }
            | Step::Register { .. }
            | Step::LoginOffer { .. }
            | Step::Login { .. }
            | Step::Account { .. }
            | Step::Certify { .. } => {
                self.unreachable(now, Failure::AuthorityUnreachable);
            }
            Step::Unlock(_) | Step::ReachAuthority | Step::Lock { .. } | Step::Keep { .. } => {}
        }
    }

    /// Gives up a login that takes too long; renews a certificate at half its life.
    pub(super) fn account_due(&mut self, now: Instant) {
        self.ways_due(now);
        let late = self.signing_in.as_ref().filter(|s| s.next_due().is_some_and(|at| at <= now));
        if let Some(failure) = late.map(SigningIn::given_up) {
            self.unreachable(now, failure);
        }
        self.renewal_due(now);
    }

    pub(super) fn account_timeout(&self) -> Option<Instant> {
        let signing = self.signing_in.as_ref().and_then(SigningIn::next_due);
        signing.into_iter().chain(self.renewal_timeout()).min()
    }
}
