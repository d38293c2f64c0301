//! The authority without its links: what it knows, what it is about to know, and what it answers.
//!
//! A question ends in a [`Reply`]: at once, or after a [`Change`] is on disk. Invariant: no two
//! changes under way touch one account or node; tokens and serial numbers only ever count down and
//! up, so they are taken when the change begins (a token's use is given back when the change fails,
//! a serial number is lost).

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::keys::AuthorityKeys;
use super::lately::Lately;
use super::limits::{Attempts, Limits, Source};
use super::nodes::Claim;
use super::orders::Notice;
use super::state::{AuthorityState, Node, Row};
use crate::entropy::Stream;
use crate::ids::UserName;
use crate::port::SaveId;
use crate::secure::identity::Verified;
use crate::secure::link::Remote;
use crate::secure::password::PendingLogin;
use crate::time::UnixTime;
use crate::wire::bounded::Bytes;
use crate::wire::certificate::{AgreeKey, Chain, Statement, Subject};
use crate::wire::frame::Message;
use crate::wire::policy::Admission;

/// Changes that wait for the disk at most. Our choice: a disk that is 256 behind does not catch up.
const CHANGES_MAX: usize = 256;

/// When something happens, by both clocks.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    pub(super) now: Instant,
    pub(super) wall: UnixTime,
}

/// Who asks.
pub(super) struct Asker {
    pub(super) remote: Remote,
    pub(super) from: SocketAddr,
}

impl Asker {
    /// The link key that the handshake proved.
    pub(super) fn key(&self) -> AgreeKey {
        match &self.remote {
            Remote::Certified(verified) => verified.keys().agree,
            Remote::Guest(key) => *key,
        }
    }

    /// The certificate shown, if any; it may have ended.
    pub(super) const fn certificate(&self) -> Option<&Statement> {
        match &self.remote {
            Remote::Certified(Verified { statement }) => Some(statement),
            Remote::Guest(_) => None,
        }
    }

    /// Whether a device of `user` asks, with a certificate that may have ended: nobody can lock it
    /// out.
    pub(super) fn is_device_of(&self, user: &UserName) -> bool {
        let subject = self.certificate().map(|statement| &statement.subject);
        matches!(subject, Some(Subject::Device { user: holder, .. }) if holder == user)
    }

    pub(super) fn source(&self) -> Source {
        Source::of(self.from.ip())
    }
}

/// Where a conversation stands.
pub(super) enum Stage {
    /// Nothing was begun.
    Fresh,
    /// A name was offered.
    Registering { user: UserName, token: Option<Bytes<32>> },
    /// A proof is awaited.
    Proving { user: UserName, pending: Box<PendingLogin> },
    /// The password was proven.
    Proven { user: UserName },
}

/// What a question leads to.
#[expect(clippy::large_enum_variant, reason = "made and matched at once, never kept")]
pub(super) enum Reply {
    /// This answer.
    Now(Message),
    /// An answer that waits for the disk.
    After(Change),
    /// An answer that waits for others to verify an address.
    Verify(Box<Claim>),
}

/// Something to be kept before it is answered.
pub(super) struct Change {
    pub(super) rows: Vec<Row>,
    pub(super) outcome: Outcome,
    /// The token whose use was taken for this.
    pub(super) token: Option<[u8; 32]>,
}

/// What follows when a change is on disk, or is not.
pub(super) struct Outcome {
    /// The answer, and the one when it could not be kept; absent for the owner's own orders.
    pub(super) answers: Option<(Message, Message)>,
    /// What the owner is told.
    pub(super) notice: Option<Notice>,
}

struct Waiting {
    keys: Vec<Place>,
    rows: Vec<Row>,
    token: Option<[u8; 32]>,
}

/// A row's place: its table and key.
type Place = (&'static str, Vec<u8>);

/// What the authority knows and decides.
pub(super) struct Registrar {
    pub(super) keys: AuthorityKeys,
    pub(super) state: AuthorityState,
    pub(super) secrets: Stream,
    pub(super) logins_per_name: Attempts<UserName>,
    pub(super) logins_per_address: Attempts<Source>,
    pub(super) joins_per_address: Attempts<Source>,
    questions_per_holder: Attempts<AgreeKey>,
    pub(super) lately: Lately,
    waiting: BTreeMap<SaveId, Waiting>,
    busy: BTreeSet<Place>,
    next_save: u64,
}

impl Registrar {
    pub(super) fn new(
        keys: AuthorityKeys,
        state: AuthorityState,
        limits: Limits,
        secrets: Stream,
    ) -> Self {
        Self {
            keys,
            state,
            secrets,
            logins_per_name: Attempts::new(limits.logins_per_name),
            logins_per_address: Attempts::new(limits.logins_per_address),
            joins_per_address: Attempts::new(limits.joins_per_address),
            questions_per_holder: Attempts::new(limits.questions_per_holder),
            lately: Lately::default(),
            waiting: BTreeMap::new(),
            busy: BTreeSet::new(),
            next_save: 0,
        }
    }

    /// Counts a question of a certificate's holder; guests are counted elsewhere.
    pub(super) fn count_certified(&mut self, at: Moment, asker: &Asker) -> Result<(), Duration> {
        match asker.remote {
            Remote::Certified(_) => self.questions_per_holder.take(&asker.key(), at.now),
            Remote::Guest(_) => Ok(()),
        }
    }

    /// Whether one more change may begin.
    pub(super) fn has_room(&self) -> bool {
        self.waiting.len() < CHANGES_MAX
    }

    /// Whether one more change may begin, and none under way touches `row`.
    pub(super) fn is_free(&self, row: &Row) -> bool {
        self.has_room() && !self.busy.contains(&place(row))
    }

    /// Whether somebody is just getting this name.
    pub(super) fn is_being_registered(&self, user: &UserName) -> bool {
        !self.state.accounts.contains_key(user)
            && self.busy.contains(&("account", user.as_str().as_bytes().to_vec()))
    }

    /// Nodes whose rows are being written.
    pub(super) fn nodes_under_way(&self) -> impl Iterator<Item = &Node> {
        self.waiting.values().flat_map(|waiting| &waiting.rows).filter_map(|row| match row {
            Row::Node(node) => Some(node),
            Row::Account(_)
            | Row::Token(_)
            | Row::Policy(_)
            | Row::Certificate(_)
            | Row::Serial(_) => None,
        })
    }

    /// Begins a change: its rows are to be kept under the id.
    pub(super) fn begin(&mut self, rows: Vec<Row>, token: Option<[u8; 32]>) -> (SaveId, Vec<Row>) {
        let save = SaveId(self.next_save);
        self.next_save += 1;
        let keys: Vec<Place> = rows
            .iter()
            .filter(|row| matches!(row, Row::Account(_) | Row::Node(_)))
            .map(place)
            .collect();
        self.busy.extend(keys.iter().cloned());
        self.waiting.insert(save, Waiting { keys, rows: rows.clone(), token });
        (save, rows)
    }

    /// The change is on disk: now it is known.
    pub(super) fn commit(&mut self, save: SaveId) {
        let Some(waiting) = self.waiting.remove(&save) else { return };
        for key in waiting.keys {
            self.busy.remove(&key);
        }
        let root = self.keys.root();
        for row in waiting.rows {
            match row {
                // Its uses were counted when this change began, and maybe by later ones.
                Row::Token(token) => {
                    self.state.tokens.entry(token.hash).or_insert(token);
                }
                Row::Account(_)
                | Row::Node(_)
                | Row::Policy(_)
                | Row::Certificate(_)
                | Row::Serial(_) => self.state.put(row, &root),
            }
        }
    }

    /// The change could not be kept: it never was.
    pub(super) fn abandon(&mut self, save: SaveId) {
        let Some(waiting) = self.waiting.remove(&save) else { return };
        for key in waiting.keys {
            self.busy.remove(&key);
        }
        if let Some(token) = waiting.token.and_then(|hash| self.state.tokens.get_mut(&hash)) {
            token.uses_left += 1;
        }
        for row in waiting.rows {
            if let Row::Account(account) = row
                && !self.state.accounts.contains_key(&account.user)
            {
                self.state.skeletons.remove(account.user.skeleton().as_str());
            }
        }
    }

    /// A certificate's bytes and number: life is cut at the end of the authority's own.
    pub(super) fn certify(
        &mut self,
        subject: Subject,
        life: Duration,
        wall: UnixTime,
    ) -> (Chain, UnixTime, Row) {
        self.state.serial += 1;
        let until = wall.plus(life).min(self.state.statement.not_after);
        let statement = Statement {
            serial: self.state.serial,
            subject,
            not_before: wall,
            not_after: until,
            policy_version: self.state.policy.version,
        };
        let holder = Some(self.keys.certify(&statement));
        let chain = Chain { authority: self.state.certificate.clone(), holder };
        (chain, until, Row::Serial(self.state.serial))
    }

    /// Whether newcomers need a token.
    pub(super) fn needs_token(&self) -> bool {
        match self.state.policy.admission {
            Admission::Open => false,
            Admission::Token => true,
        }
    }
}

fn place(row: &Row) -> Place {
    (row.table(), row.key())
}
