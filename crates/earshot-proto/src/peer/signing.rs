//! How far a registration or a login is. DESIGN 2.3.
//!
//! Invariant: what a step no longer needs is gone with it; the password lives until the session
//! begins or the login fails.

use std::time::{Duration, Instant};

use crate::ids::{DeviceId, UserName};
use crate::port::LinkId;
use crate::secure::identity::Keys;
use crate::secure::local_vault::{Counters, FilesKey, ListedAs, Listing, LockedVault, NewLock};
use crate::secure::password::{ExportKey, LoginStart, Password, RegistrationStart};
use crate::secure::recovery_key::RecoveryKey;
use crate::time::UnixTime;
use crate::wire::bounded::Text;
use crate::wire::certificate::{Chain, DeviceList, Signed};
use crate::wire::login::{DISPLAY_NAME_MAX, SealedVault};
use crate::wire::sealed::buddy::ContactKey;

use super::authority_door::Ways;
use super::command::Failure;
use super::session::Session;

/// A registration or a login under way.
pub(super) struct SigningIn {
    pub(super) ask: u64,
    pub(super) user: UserName,
    pub(super) password: Password,
    pub(super) purpose: Purpose,
    pub(super) step: Step,
    pub(super) deadline: Instant,
    /// How the authority is looked for.
    pub(super) ways: Ways,
    pub(super) keys: Option<Keys>,
    /// What this device keeps of its old vault, when it is certified anew.
    pub(super) kept: Option<Kept>,
    pub(super) device: DeviceId,
    /// How far our clock is ahead of somebody's who could not be believed because of it.
    pub(super) clock_off_ms: Option<i64>,
    pub(super) recovery: Option<RecoveryKey>,
    /// When the computation under way was handed out.
    pub(super) computing_since: Instant,
    /// Time spent computing so far.
    pub(super) stretched: Duration,
}

/// What opens a device's own files, and its contact key.
pub(super) struct Kept {
    pub(super) contact_key: ContactKey,
    pub(super) files: FilesKey,
    pub(super) counters: Counters,
    pub(super) listing: Listing,
    pub(super) listed_as: ListedAs,
}

pub(super) enum Purpose {
    Register { display_name: Text<DISPLAY_NAME_MAX> },
    Login,
}

pub(super) enum Step {
    /// The vault on disk: the password is being stretched.
    Unlock(Box<LockedVault>),
    /// Looking for the authority.
    ReachAuthority,
    /// It is linked.
    Reached {
        link: LinkId,
    },
    RegisterOffer {
        link: LinkId,
        start: Box<RegistrationStart>,
    },
    Register {
        link: LinkId,
    },
    LoginOffer {
        link: LinkId,
        start: Box<LoginStart>,
    },
    Login {
        link: LinkId,
    },
    Account {
        link: LinkId,
        export: ExportKey,
    },
    Certify {
        link: LinkId,
        vault: Box<SealedVault>,
        devices: Signed<DeviceList>,
        seed: ContactKey,
    },
    /// Certified; the password is being stretched for the vault on disk.
    Lock {
        certified: Box<Certified>,
        lock: NewLock,
    },
    /// Vault and history are being written.
    Keep {
        session: Box<Session>,
        waiting: u8,
    },
}

/// What the authority gave.
pub(super) struct Certified {
    pub(super) chain: Chain,
    pub(super) until: UnixTime,
    pub(super) vault: SealedVault,
    pub(super) devices: Signed<DeviceList>,
    pub(super) contact_key: ContactKey,
}

impl SigningIn {
    /// When it is given up; stretching and writing take the time they take.
    pub(super) fn next_due(&self) -> Option<Instant> {
        match self.step {
            Step::Unlock(_) | Step::Register { .. } | Step::Login { .. } => None,
            Step::Lock { .. } | Step::Keep { .. } => None,
            Step::ReachAuthority => self.ways.next_due().into_iter().chain([self.deadline]).min(),
            Step::Reached { .. }
            | Step::RegisterOffer { .. }
            | Step::LoginOffer { .. }
            | Step::Account { .. }
            | Step::Certify { .. } => Some(self.deadline),
        }
    }

    /// What a login lacked that took too long.
    pub(super) const fn given_up(&self) -> Failure {
        if matches!(self.step, Step::ReachAuthority) {
            self.ways.failure()
        } else {
            Failure::AuthorityUnreachable
        }
    }

    pub(super) fn link(&self) -> Option<LinkId> {
        match &self.step {
            Step::Reached { link }
            | Step::RegisterOffer { link, .. }
            | Step::Register { link }
            | Step::LoginOffer { link, .. }
            | Step::Login { link }
            | Step::Account { link, .. }
            | Step::Certify { link, .. } => Some(*link),
            Step::Unlock(_) | Step::ReachAuthority | Step::Lock { .. } | Step::Keep { .. } => None,
        }
    }
}
