//! What the owner orders and is told; tokens.

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::registrar::{Change, Moment, Outcome, Registrar};
use super::state::{Admits, Row, TOKENS_MAX, Token};
use crate::ids::{DeviceId, NodeId, UserName};
use crate::port::SaveFailure;
use crate::time::UnixTime;
use crate::wire::bounded::Bytes;
use crate::wire::policy::Policy;

/// Length of a token in bytes. Our choice: 128 bits cannot be guessed.
const TOKEN_LEN: usize = 16;

/// What the owner orders.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// Make a token; [`Notice::TokenMade`] follows when it is kept.
    MakeToken {
        /// What it lets in.
        admits: Admits,
        /// How many times.
        uses: u32,
        /// Until when.
        until: UnixTime,
    },
    /// Put this policy in force; its version must be higher than the current one.
    SetPolicy(Policy),
}

/// What the owner is told.
#[derive(Debug, PartialEq)]
pub enum Notice {
    /// Somebody has a new account.
    Registered {
        /// Who.
        user: UserName,
    },
    /// A device was certified after a login.
    DeviceCertified {
        /// Whose.
        user: UserName,
        /// Which.
        device: DeviceId,
    },
    /// A super-peer was enrolled, or its certificate renewed.
    Enrolled {
        /// Its place.
        node: NodeId,
        /// Where it listens.
        address: std::net::SocketAddr,
    },
    /// A token was made and is kept; its text is told only here.
    TokenMade {
        /// What it lets in.
        admits: Admits,
        /// The token.
        token: TokenText,
    },
    /// A policy is in force.
    PolicySet {
        /// Its version.
        version: u64,
    },
    /// The authority's own certificate was renewed by the root.
    CertificateRenewed {
        /// Its end.
        until: UnixTime,
    },
    /// An order was not carried out.
    OrderRefused(OrderRefusal),
    /// The disk keeps nothing: everything that changes is refused.
    NotKept(SaveFailure),
}

/// Why an order is not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OrderRefusal {
    /// The root key is offline.
    #[error("the root key is not here")]
    NoRoot,
    /// The policy's version is not higher than the current one.
    #[error("the policy in force has version {current}")]
    PolicyNotNewer {
        /// Version in force.
        current: u64,
    },
    /// Too many tokens are kept.
    #[error("{TOKENS_MAX} tokens are kept already")]
    TooManyTokens,
}

/// A token's secret bytes.
#[derive(PartialEq, Eq)]
pub struct TokenText(Zeroizing<[u8; TOKEN_LEN]>);

impl TokenText {
    /// The bytes, as the invite and the enrolment carry them.
    #[must_use]
    pub fn bytes(&self) -> Bytes<32> {
        Bytes::new(self.0.to_vec()).expect("16 bytes fit")
    }
}

impl std::fmt::Debug for TokenText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenText(..)")
    }
}

impl Registrar {
    /// Carries out an order.
    pub(super) fn order(&mut self, at: Moment, order: Order) -> Result<Change, OrderRefusal> {
        match order {
            Order::MakeToken { admits, uses, until } => self.make_token(at, admits, uses, until),
            Order::SetPolicy(policy) => self.set_policy(&policy),
        }
    }

    fn make_token(
        &mut self,
        at: Moment,
        admits: Admits,
        uses_left: u32,
        until: UnixTime,
    ) -> Result<Change, OrderRefusal> {
        if self.state.tokens.len() >= TOKENS_MAX {
            self.state.tokens.retain(|_, token| token.is_good(at.wall));
        }
        if self.state.tokens.len() >= TOKENS_MAX {
            return Err(OrderRefusal::TooManyTokens);
        }
        let text = TokenText(Zeroizing::new(self.secrets.bytes()));
        let hash = Sha256::digest(text.0.as_slice()).into();
        let row = Row::Token(Token { hash, admits, uses_left, until });
        Ok(told(vec![row], Notice::TokenMade { admits, token: text }))
    }

    fn set_policy(&mut self, policy: &Policy) -> Result<Change, OrderRefusal> {
        let current = self.state.policy.version;
        if policy.version <= current {
            return Err(OrderRefusal::PolicyNotNewer { current });
        }
        let signed = self.keys.sign_policy(policy).map_err(|_| OrderRefusal::NoRoot)?;
        let notice = Notice::PolicySet { version: policy.version };
        Ok(told(vec![Row::Policy(signed)], notice))
    }

    /// The hash of a token that admits this, is not spent and not expired.
    pub(super) fn find_token(
        &self,
        token: Option<&Bytes<32>>,
        admits: Admits,
        wall: UnixTime,
    ) -> Option<[u8; 32]> {
        let hash: [u8; 32] = Sha256::digest(&**token?).into();
        let known = self.state.tokens.get(&hash)?;
        (known.admits == admits && known.is_good(wall)).then_some(hash)
    }

    /// Takes one use of a token; the row says how many are left.
    pub(super) fn spend(&mut self, hash: &[u8; 32]) -> Option<Row> {
        let token = self.state.tokens.get_mut(hash)?;
        token.uses_left = token.uses_left.checked_sub(1)?;
        Some(Row::Token(token.clone()))
    }
}

impl Token {
    pub(super) const fn is_spent(&self) -> bool {
        self.uses_left == 0
    }

    fn is_good(&self, wall: UnixTime) -> bool {
        self.uses_left > 0 && wall < self.until
    }
}

/// A change that nobody but the owner waits for.
pub(super) const fn told(rows: Vec<Row>, notice: Notice) -> Change {
    Change { rows, token: None, outcome: Outcome { answers: None, notice: Some(notice) } }
}
