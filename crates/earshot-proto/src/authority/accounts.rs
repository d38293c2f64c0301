//! Registering, logging in, certifying devices. DESIGN 2.3; the messages are [`Login`]'s.

use std::time::Duration;

use super::keys::DEVICE_LIFE;
use super::orders::Notice;
use super::registrar::{Asker, Change, Moment, Outcome, Registrar, Reply, Stage};
use super::state::{ACCOUNTS_MAX, Account, Admits, Row};
use crate::ids::{DeviceId, UserName};
use crate::secure::identity::open_signed;
use crate::secure::password::PasswordRecord;
use crate::wire::bounded::Bytes;
use crate::wire::certificate::{
    DeviceList, HolderKeys, ListedDevice, Signed, Statement, Subject, VerifyKey,
};
use crate::wire::login::{Login, Refusal, SealedVault};

/// When to ask again after [`Refusal::Unavailable`]. Our choice: a busy disk has answered by then.
const AGAIN: Duration = Duration::from_secs(1);

/// What a client's last registration message holds.
struct NewAccount {
    record: Bytes<256>,
    vault: SealedVault,
    devices: Signed<DeviceList>,
    device: DeviceId,
}

impl Registrar {
    /// Answers one question of the family [`Login`]; gives the stage that follows.
    pub(super) fn answer_login(
        &mut self,
        at: Moment,
        asker: &Asker,
        stage: Stage,
        question: Login,
    ) -> (Stage, Reply) {
        if let Err(wait) = self.count_certified(at, asker) {
            return (stage, no_until(Refusal::TooManyAttempts, wait));
        }
        match (question, stage) {
            (Login::RegisterStart { user, request, token }, _) => {
                self.register_start(at, asker, user, &request, token)
            }
            (
                Login::RegisterFinish { record, vault, devices, device },
                Stage::Registering { user, token },
            ) => {
                let new = NewAccount { record, vault, devices, device };
                (Stage::Fresh, self.register_finish(at, asker, user, token, new))
            }
            (Login::LoginStart { user, request }, _) => self.login_start(at, asker, user, &request),
            (Login::LoginFinish { finalization }, Stage::Proving { user, pending }) => {
                let proven = pending.prove(&finalization, at.now);
                self.login_finish(at, asker, user, proven.is_ok())
            }
            (Login::CertifyDevice { devices, device }, Stage::Proven { user }) => {
                let reply = self.certify_device(at, asker, &user, devices, device);
                (Stage::Proven { user }, reply)
            }
            (Login::Renew, stage) => (stage, self.renew(at, asker)),
            (Login::DevicesOf { user }, stage) => (stage, self.devices_of(at, asker, &user)),
            (
                Login::RegisterFinish { .. }
                | Login::LoginFinish { .. }
                | Login::CertifyDevice { .. },
                stage,
            ) => (stage, no(Refusal::OutOfOrder)),
            (
                Login::RegisterOffer { .. }
                | Login::Certified { .. }
                | Login::LoginOffer { .. }
                | Login::Account { .. }
                | Login::Refused { .. }
                | Login::Devices { .. },
                stage,
            ) => (stage, no(Refusal::OutOfOrder)),
        }
    }

    fn register_start(
        &mut self,
        at: Moment,
        asker: &Asker,
        user: UserName,
        request: &[u8],
        token: Option<Bytes<32>>,
    ) -> (Stage, Reply) {
        if let Err(wait) = self.joins_per_address.take(&asker.source(), at.now) {
            return (Stage::Fresh, no_until(Refusal::TooManyAttempts, wait));
        }
        if let Err(refusal) = self.check_newcomer(at, &user, token.as_ref()) {
            return (Stage::Fresh, no(refusal));
        }
        match self.keys.passwords().offer_registration(&user, request) {
            Ok(response) => {
                let offer = Login::RegisterOffer { response };
                (Stage::Registering { user, token }, Reply::Now(offer.into()))
            }
            Err(_) => (Stage::Fresh, no(Refusal::Malformed)),
        }
    }

    /// Whether somebody may have this name now.
    fn check_newcomer(
        &self,
        at: Moment,
        user: &UserName,
        token: Option<&Bytes<32>>,
    ) -> Result<(), Refusal> {
        if self.needs_token() && self.find_token(token, Admits::User, at.wall).is_none() {
            return Err(Refusal::NotAdmitted);
        }
        if self.state.accounts.contains_key(user) {
            return Err(Refusal::NameTaken);
        }
        if self.is_being_registered(user) {
            return Err(Refusal::Unavailable);
        }
        if self.state.skeletons.contains(user.skeleton().as_str()) {
            return Err(Refusal::NameLooksAlike);
        }
        if self.state.accounts.len() >= ACCOUNTS_MAX {
            return Err(Refusal::Unavailable);
        }
        Ok(())
    }

    fn register_finish(
        &mut self,
        at: Moment,
        asker: &Asker,
        user: UserName,
        token: Option<Bytes<32>>,
        new: NewAccount,
    ) -> Reply {
        // The world may have changed since the offer.
        if let Err(refusal) = self.check_newcomer(at, &user, token.as_ref()) {
            return no(refusal);
        }
        let Ok(password) = PasswordRecord::new(new.record) else {
            return no(Refusal::Malformed);
        };
        let identity = new.vault.identity;
        let Some((list, keys)) = read_list(&new.devices, &identity, &user, new.device, asker)
        else {
            return no(Refusal::DevicesRefused);
        };
        if list.version != 1 {
            return no(Refusal::DevicesRefused);
        }
        let account = Account {
            user: user.clone(),
            password,
            vault: new.vault,
            devices: new.devices,
            since: at.wall,
        };
        let row = Row::Account(account);
        if !self.is_free(&row) {
            return no(Refusal::Unavailable);
        }
        let token =
            self.needs_token().then(|| self.find_token(token.as_ref(), Admits::User, at.wall));
        let token = token.flatten();
        self.state.skeletons.insert(user.skeleton().into());
        let mut rows = vec![row];
        rows.extend(token.and_then(|hash| self.spend(&hash)));
        let notice = Notice::Registered { user: user.clone() };
        let subject = Subject::Device { user, identity, device: new.device, keys };
        self.certified(at, subject, rows, token, Some(notice))
    }

    fn login_start(
        &mut self,
        at: Moment,
        asker: &Asker,
        user: UserName,
        request: &[u8],
    ) -> (Stage, Reply) {
        if let Err(wait) = self.count_login(at, asker, &user) {
            return (Stage::Fresh, no_until(Refusal::TooManyAttempts, wait));
        }
        let record = self.state.accounts.get(&user).map(|account| &account.password);
        let offered =
            self.keys.passwords().offer_login(&user, record, request, at.now, &mut self.secrets);
        match offered {
            Ok((pending, response)) => {
                let offer = Login::LoginOffer { response };
                let stage = Stage::Proving { user, pending: Box::new(pending) };
                (stage, Reply::Now(offer.into()))
            }
            Err(_) => (Stage::Fresh, no(Refusal::Malformed)),
        }
    }

    /// Counts an attempt, unless a device of this very user asks.
    fn count_login(&mut self, at: Moment, asker: &Asker, user: &UserName) -> Result<(), Duration> {
        if asker.is_device_of(user) {
            return Ok(());
        }
        self.logins_per_address.take(&asker.source(), at.now)?;
        self.logins_per_name.take(user, at.now)
    }

    fn login_finish(
        &mut self,
        at: Moment,
        asker: &Asker,
        user: UserName,
        proven: bool,
    ) -> (Stage, Reply) {
        let account = self.state.accounts.get(&user).filter(|_| proven);
        let Some(account) = account else {
            return (Stage::Fresh, no(Refusal::WrongNameOrPassword));
        };
        if !asker.is_device_of(&user) {
            self.logins_per_name.give_back(&user, at.now);
        }
        let vault = account.vault.clone();
        let answer = Login::Account { vault, devices: account.devices.clone() };
        (Stage::Proven { user }, Reply::Now(answer.into()))
    }

    fn certify_device(
        &mut self,
        at: Moment,
        asker: &Asker,
        user: &UserName,
        devices: Signed<DeviceList>,
        device: DeviceId,
    ) -> Reply {
        let Some(account) = self.state.accounts.get(user) else {
            return no(Refusal::OutOfOrder);
        };
        let identity = account.vault.identity;
        let Some((list, keys)) = read_list(&devices, &identity, user, device, asker) else {
            return no(Refusal::DevicesRefused);
        };
        let subject = Subject::Device { user: user.clone(), identity, device, keys };
        let notice = Notice::DeviceCertified { user: user.clone(), device };
        if devices == account.devices {
            return self.certified(at, subject, Vec::new(), None, Some(notice));
        }
        let current = open_signed(&account.devices, &identity).map_or(0, |list| list.version);
        if current.checked_add(1) != Some(list.version) {
            return no(Refusal::DevicesRefused);
        }
        let row = Row::Account(Account { devices, ..account.clone() });
        if !self.is_free(&row) {
            return no(Refusal::Unavailable);
        }
        self.certified(at, subject, vec![row], None, Some(notice))
    }

    fn renew(&mut self, at: Moment, asker: &Asker) -> Reply {
        let Some(Statement { subject: Subject::Device { user, identity, device, keys }, .. }) =
            asker.certificate()
        else {
            return no(Refusal::OutOfOrder);
        };
        let listed = self.state.accounts.get(user).filter(|account| {
            account.vault.identity == *identity
                && open_signed(&account.devices, identity)
                    .is_ok_and(|list| find(&list, *device).is_some_and(|d| d.keys == *keys))
        });
        if listed.is_none() {
            return no(Refusal::CertificateRefused);
        }
        let subject = Subject::Device {
            user: user.clone(),
            identity: *identity,
            device: *device,
            keys: *keys,
        };
        self.certified(at, subject, Vec::new(), None, None)
    }

    fn devices_of(&self, at: Moment, asker: &Asker, user: &UserName) -> Reply {
        let Some(certificate) = asker.certificate() else {
            return no(Refusal::OutOfOrder);
        };
        if certificate.not_after <= at.wall {
            return no(Refusal::CertificateRefused);
        }
        let Some(account) = self.state.accounts.get(user) else {
            return no(Refusal::NoSuchUser);
        };
        Reply::Now(Login::Devices { devices: account.devices.clone() }.into())
    }

    /// Certifies a device, and answers when `rows` and the number of the certificate are kept.
    fn certified(
        &mut self,
        at: Moment,
        subject: Subject,
        mut rows: Vec<Row>,
        token: Option<[u8; 32]>,
        notice: Option<Notice>,
    ) -> Reply {
        if !self.has_room() {
            return no(Refusal::Unavailable);
        }
        let (chain, until, serial) = self.certify(subject, DEVICE_LIFE, at.wall);
        rows.push(serial);
        let policy = self.state.signed_policy.clone();
        let yes = Login::Certified { chain, until, policy };
        let answers = Some((yes.into(), refused(Refusal::Unavailable, Some(AGAIN)).into()));
        Reply::After(Change { rows, token, outcome: Outcome { answers, notice } })
    }
}

/// Reads a device list that must be the user's, signed by K_u, and hold the asking device with the
/// link's own key.
fn read_list(
    signed: &Signed<DeviceList>,
    identity: &VerifyKey,
    user: &UserName,
    device: DeviceId,
    asker: &Asker,
) -> Option<(DeviceList, HolderKeys)> {
    let list = open_signed(signed, identity).ok().filter(|list| list.user == *user)?;
    let twice = |i: usize, d: &ListedDevice| list.devices[..i].iter().any(|e| e.device == d.device);
    if list.devices.iter().enumerate().any(|(i, d)| twice(i, d)) {
        return None;
    }
    let keys = find(&list, device)?.keys;
    (keys.agree == asker.key()).then_some((list, keys))
}

fn find(list: &DeviceList, device: DeviceId) -> Option<&ListedDevice> {
    list.devices.iter().find(|listed| listed.device == device)
}

fn refused(reason: Refusal, wait: Option<Duration>) -> Login {
    let millis = |wait: Duration| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1);
    Login::Refused { reason, retry_after_ms: wait.map(millis) }
}

fn no(reason: Refusal) -> Reply {
    let again = (reason == Refusal::Unavailable).then_some(AGAIN);
    Reply::Now(refused(reason, again).into())
}

fn no_until(reason: Refusal, wait: Duration) -> Reply {
    Reply::Now(refused(reason, Some(wait)).into())
}
