//! What an authority keeps, as rows of a table: written through, all in memory. docs/decisions.md
//! says why.
//!
//! A [`Record`] is the rows of one transaction: all of them are kept or none. A row replaces the
//! one of the same table and key. Invariant: what is in [`AuthorityState`] is on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use minicbor::{CborLen, Decode, Encode};
use sha2::{Digest, Sha256};

use crate::ids::{NodeId, UserName};
use crate::secure::identity::{Disbelief, open_signed};
use crate::secure::password::PasswordRecord;
use crate::time::UnixTime;
use crate::wire::certificate::{DeviceList, HolderKeys, Signed, Statement, VerifyKey};
use crate::wire::directory::NodeEntry;
use crate::wire::login::SealedVault;
use crate::wire::policy::Policy;
use crate::wire::read_item;

/// Accounts of one authority at most. Our choice: about 1.2 kB each, so 1.2 GB when full; beyond,
/// PostgreSQL.
pub const ACCOUNTS_MAX: usize = 1_000_000;
/// Nodes kept at most, expired ones too. DESIGN 2.16 thinks of 10^5 super-peers.
pub const NODES_MAX: usize = 200_000;
/// Tokens kept at most, spent ones too.
pub const TOKENS_MAX: usize = 100_000;

/// Rows to be kept in one transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Each replaces the row of its table and key.
    pub rows: Vec<Row>,
}

/// One row.
#[derive(Clone, PartialEq, Encode, Decode, CborLen)]
pub enum Row {
    /// An account.
    #[n(0)]
    Account(#[n(0)] Account),
    /// A token.
    #[n(1)]
    Token(#[n(0)] Token),
    /// A node.
    #[n(2)]
    Node(#[n(0)] Node),
    /// The policy in force, signed by the root.
    #[n(3)]
    Policy(#[n(0)] Signed<Policy>),
    /// The authority's own certificate, signed by the root.
    #[n(4)]
    Certificate(#[n(0)] Signed<Statement>),
    /// The last serial number that was given to a certificate.
    #[n(5)]
    Serial(#[n(0)] u64),
}

/// An account.
#[derive(Clone, Debug, PartialEq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct Account {
    /// The prepared name.
    #[n(0)]
    pub user: UserName,
    /// What is kept of the password.
    #[n(1)]
    pub password: PasswordRecord,
    /// K_u and what only the user opens.
    #[n(2)]
    pub vault: SealedVault,
    /// The user's devices, signed by K_u.
    #[n(3)]
    pub devices: Signed<DeviceList>,
    /// Since when.
    #[n(4)]
    pub since: UnixTime,
}

/// A token that lets somebody in. Kept is only its SHA-256: who reads the table cannot use it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct Token {
    /// SHA-256 of the token.
    #[cbor(n(0), with = "minicbor::bytes")]
    pub hash: [u8; 32],
    /// What it lets in.
    #[n(1)]
    pub admits: Admits,
    /// How many times more.
    #[n(2)]
    pub uses_left: u32,
    /// Until when.
    #[n(3)]
    pub until: UnixTime,
}

/// What a token lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(index_only)]
pub enum Admits {
    /// A new account.
    #[n(0)]
    User,
    /// A super-peer.
    #[n(1)]
    Node,
}

/// A super-peer that was enrolled.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct Node {
    /// Its place on the ring.
    #[n(0)]
    pub node: NodeId,
    /// Where it listens.
    #[n(1)]
    pub address: SocketAddr,
    /// Its keys.
    #[n(2)]
    pub keys: HolderKeys,
    /// The user who owns it, if it is not headless.
    #[n(3)]
    pub owner: Option<UserName>,
    /// When it was enrolled.
    #[n(4)]
    pub since: UnixTime,
    /// When its last certificate ends, or ended.
    #[n(5)]
    pub until: UnixTime,
    /// Whether it was enrolled on its word because nobody could verify it.
    #[cbor(n(6), default)]
    pub on_its_word: bool,
}

impl Node {
    pub(super) const fn entry(&self) -> NodeEntry {
        NodeEntry { node: self.node, address: self.address, key: self.keys.agree }
    }
}

impl Row {
    /// The table it belongs to.
    #[must_use]
    pub const fn table(&self) -> &'static str {
        match self {
            Self::Account(_) => "account",
            Self::Token(_) => "token",
            Self::Node(_) => "node",
            Self::Policy(_) => "policy",
            Self::Certificate(_) => "certificate",
            Self::Serial(_) => "serial",
        }
    }

    /// Its key in the table; empty where a table has one row.
    #[must_use]
    pub fn key(&self) -> Vec<u8> {
        match self {
            Self::Account(account) => account.user.as_str().as_bytes().to_vec(),
            Self::Token(token) => token.hash.to_vec(),
            Self::Node(node) => node.node.0.to_vec(),
            Self::Policy(_) | Self::Certificate(_) | Self::Serial(_) => Vec::new(),
        }
    }

    /// Its bytes: `CBOR ‖ first 8 bytes of SHA-256 of it`, since SQLite does not notice a changed
    /// bit.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = minicbor::to_vec(self).expect("a Vec takes all");
        let sum = checksum(&bytes);
        bytes.extend_from_slice(&sum);
        bytes
    }

    /// Reads a row.
    ///
    /// # Errors
    /// [`RowDamaged`] when the bytes are none.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, RowDamaged> {
        let (body, sum) = bytes.split_last_chunk::<CHECKSUM_LEN>().ok_or(RowDamaged)?;
        if checksum(body) != *sum {
            return Err(RowDamaged);
        }
        read_item("authority.row", body).map_err(|_| RowDamaged)
    }
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Row({})", self.table())
    }
}

/// A byte of a row was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a damaged row")]
pub struct RowDamaged;

const CHECKSUM_LEN: usize = 8;

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_LEN] {
    let hash: [u8; 32] = Sha256::digest(bytes).into();
    *hash.first_chunk().expect("32 bytes hold 8")
}

/// Why rows are no state of this authority.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateRefused {
    /// There is no policy, or no certificate.
    #[error("the {0} row is missing")]
    Missing(&'static str),
    /// The policy or the certificate is not signed by this network's root.
    #[error("the {0} row is not the root's: {1}")]
    NotTheRoots(&'static str, Disbelief),
}

/// Everything an authority knows.
#[derive(Debug)]
pub struct AuthorityState {
    pub(super) accounts: BTreeMap<UserName, Account>,
    /// Skeletons of all names, also of those being registered.
    pub(super) skeletons: BTreeSet<Box<str>>,
    pub(super) tokens: BTreeMap<[u8; 32], Token>,
    pub(super) nodes: BTreeMap<NodeId, Node>,
    pub(super) policy: Policy,
    pub(super) signed_policy: Signed<Policy>,
    pub(super) certificate: Signed<Statement>,
    pub(super) statement: Statement,
    pub(super) serial: u64,
}

impl AuthorityState {
    /// Makes the state of all rows kept, in any order.
    ///
    /// # Errors
    /// [`StateRefused`] when a row is missing or was not signed by `root`.
    pub fn load(
        rows: impl IntoIterator<Item = Row>,
        root: &VerifyKey,
    ) -> Result<Self, StateRefused> {
        let (mut policy, mut certificate, mut others) = (None, None, Vec::new());
        for row in rows {
            match row {
                Row::Policy(row) => policy = Some(row),
                Row::Certificate(row) => certificate = Some(row),
                Row::Account(_) | Row::Token(_) | Row::Node(_) | Row::Serial(_) => others.push(row),
            }
        }
        let signed_policy = policy.ok_or(StateRefused::Missing("policy"))?;
        let certificate = certificate.ok_or(StateRefused::Missing("certificate"))?;
        let policy = open_signed(&signed_policy, root)
            .map_err(|e| StateRefused::NotTheRoots("policy", e))?;
        let statement = open_signed(&certificate, root)
            .map_err(|e| StateRefused::NotTheRoots("certificate", e))?;
        let mut state = Self {
            accounts: BTreeMap::new(),
            skeletons: BTreeSet::new(),
            tokens: BTreeMap::new(),
            nodes: BTreeMap::new(),
            policy,
            signed_policy,
            certificate,
            statement,
            serial: 0,
        };
        for row in others {
            state.put(row, root);
        }
        Ok(state)
    }

    /// Takes a row that is on disk.
    pub(super) fn put(&mut self, row: Row, root: &VerifyKey) {
        match row {
            Row::Account(account) => {
                self.skeletons.insert(account.user.skeleton().into());
                self.accounts.insert(account.user.clone(), account);
            }
            Row::Token(token) => {
                self.tokens.insert(token.hash, token);
            }
            Row::Node(node) => {
                self.nodes.insert(node.node, node);
            }
            Row::Policy(signed) => {
                self.policy = open_signed(&signed, root).expect("our own root signed it");
                self.signed_policy = signed;
            }
            Row::Certificate(signed) => {
                self.statement = open_signed(&signed, root).expect("our own root signed it");
                self.certificate = signed;
            }
            Row::Serial(serial) => self.serial = self.serial.max(serial),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_byte_of_a_row_is_noticed() {
        let token = Token { hash: [7; 32], admits: Admits::User, uses_left: 3, until: UnixTime(9) };
        let bytes = Row::Token(token.clone()).to_bytes();
        assert_eq!(Row::from_bytes(&bytes), Ok(Row::Token(token)));
        for i in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[i] ^= 1;
            assert_eq!(Row::from_bytes(&changed), Err(RowDamaged), "byte {i}");
            assert_eq!(Row::from_bytes(&bytes[..i]), Err(RowDamaged), "{i} bytes");
        }
    }
}
