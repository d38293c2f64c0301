//! Passwords: OPAQUE (RFC 9807) between a peer and its authority, and stretching for the vault on
//! disk.
//!
//! Suite: ristretto255, 3DH, SHA-512, stretched by Argon2id (RFC 9106). The authority never sees
//! the password, and what it keeps cannot be tested against guesses without its own secret
//! ([`AuthorityPasswords`], kept apart from the accounts). The long computations are handed out as
//! [`Work`]: pure, run off the event loop by whoever owns the machine. Invariant: a name that
//! nobody has is answered by the same code with a message of the same length and fields.

mod authority;
#[cfg(test)]
mod tests;

use argon2::{Algorithm, Argon2, Params, Version};
use minicbor::{CborLen, Decode, Encode};
use opaque_ke::{
    CipherSuite, ClientLogin, ClientLoginFinishParameters, ClientRegistration,
    ClientRegistrationFinishParameters, CredentialResponse, Identifiers, RegistrationResponse,
    Ristretto255, TripleDh,
};
use precis_core::profile::Profile;
use precis_profiles::OpaqueString;
use zeroize::{Zeroize, Zeroizing};

use super::seal::SealKey;
use crate::entropy::Stream;
use crate::ids::{NetworkId, UserName};
use crate::wire::bounded::Bytes;

pub use authority::{AuthorityPasswords, LOGIN_PATIENCE, NotProven, PasswordRecord, PendingLogin};

/// Longest password in bytes of UTF-8, as typed. Our choice: nobody types more; a pasted file is
/// refused.
pub const PASSWORD_BYTES_MAX: usize = 1024;
/// Length of a salt in bytes. RFC 9106, section 3.1 recommends 16.
pub const SALT_LEN: usize = 16;

/// What the key exchange is bound to, besides both parties' names.
const CONTEXT: &[u8] = b"earshot-opaque-v1";

struct Suite;

impl CipherSuite for Suite {
    type OprfCs = Ristretto255;
    type KeyExchange = TripleDh<Ristretto255, sha2_010::Sha512>;
    type Ksf = Argon2<'static>;
}

/// A password, prepared as RFC 8265 (OpaqueString) says, so that two keyboards type the same one.
pub struct Password(Zeroizing<String>);

/// Why a text is no password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPassword {
    /// Nothing was typed.
    #[error("an empty password")]
    Empty,
    /// Longer than [`PASSWORD_BYTES_MAX`].
    #[error("{got} bytes are too many for a password: {PASSWORD_BYTES_MAX} are allowed")]
    TooLong {
        /// Bytes typed.
        got: usize,
    },
    /// A control character, or one that Unicode has not assigned.
    #[error("a character that passwords may not hold")]
    Forbidden,
}

impl Password {
    /// Prepares and checks a password as typed.
    ///
    /// # Errors
    /// [`BadPassword`] says which rule the text breaks.
    pub fn new(typed: &str) -> Result<Self, BadPassword> {
        if typed.is_empty() {
            return Err(BadPassword::Empty);
        }
        if typed.len() > PASSWORD_BYTES_MAX {
            return Err(BadPassword::TooLong { got: typed.len() });
        }
        let prepared = OpaqueString::new().enforce(typed).map_err(|_| BadPassword::Forbidden)?;
        Ok(Self(Zeroizing::new(prepared.into_owned())))
    }

    fn again(&self) -> Self {
        Self(self.0.clone())
    }

    fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// What one guess at a password costs: the parameters of Argon2id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct StretchCost {
    #[n(0)]
    memory_kib: u32,
    #[n(1)]
    passes: u32,
    #[n(2)]
    lanes: u32,
}

/// The cost is below what Argon2 can do or above what we are willing to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no usable stretching cost")]
pub struct BadCost;

impl StretchCost {
    /// What people's passwords get: 64 MiB, three passes, four lanes. RFC 9106, section 4, second
    /// recommendation; DESIGN 2.3 asks for at least 64 MiB.
    pub const PRODUCT: Self = Self { memory_kib: 64 * 1024, passes: 3, lanes: 4 };
    /// The least that Argon2 can do: for simulations of many people.
    pub const LEAST: Self = Self { memory_kib: 8, passes: 1, lanes: 1 };

    /// Most memory of one stretching. Our choice: a damaged file must not eat the machine.
    const MEMORY_KIB_MAX: u32 = 1024 * 1024;
    /// Most passes and lanes, for the same reason.
    const PASSES_MAX: u32 = 64;

    /// A cost of one's own.
    ///
    /// # Errors
    /// [`BadCost`] when a part is out of range: memory 8 KiB a lane to 1 GiB, 1 to 64 passes and
    /// lanes.
    pub const fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, BadCost> {
        let cost = Self { memory_kib, passes, lanes };
        if cost.is_usable() { Ok(cost) } else { Err(BadCost) }
    }

    /// Tells whether the parts are in range; false only for a cost read from a file.
    #[must_use]
    pub const fn is_usable(&self) -> bool {
        self.passes >= 1
            && self.passes <= Self::PASSES_MAX
            && self.lanes >= 1
            && self.lanes <= Self::PASSES_MAX
            && self.memory_kib >= 8 * self.lanes
            && self.memory_kib <= Self::MEMORY_KIB_MAX
    }

    fn argon2(self) -> Argon2<'static> {
        let params = Params::new(self.memory_kib, self.passes, self.lanes, None)
            .expect("only usable costs are stretched with");
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
    }
}

/// A long computation, to be run off the event loop by [`Work::run`].
pub enum Work {
    /// The client's last step of registering.
    Register(Box<RegistrationWork>),
    /// The client's last step of logging in.
    Login(Box<LoginWork>),
    /// Stretching for the vault on disk.
    Stretch(StretchWork),
}

/// The result of a [`Work`].
pub enum Worked {
    /// Of [`Work::Register`].
    Registered(Result<Registered, PasswordFailure>),
    /// Of [`Work::Login`].
    LoggedIn(Result<LoggedIn, PasswordFailure>),
    /// Of [`Work::Stretch`].
    Stretched(StretchedKey),
}

impl Work {
    /// Computes it; takes as long as the stretching costs.
    #[must_use]
    pub fn run(self) -> Worked {
        match self {
            Self::Register(work) => Worked::Registered(work.run()),
            Self::Login(work) => Worked::LoggedIn(work.run()),
            Self::Stretch(work) => Worked::Stretched(work.run()),
        }
    }
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Register(_) => "Register(..)",
            Self::Login(_) => "Login(..)",
            Self::Stretch(_) => "Stretch(..)",
        })
    }
}

impl std::fmt::Debug for Worked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, failure) = match self {
            Self::Registered(result) => ("Registered", result.as_ref().err()),
            Self::LoggedIn(result) => ("LoggedIn", result.as_ref().err()),
            Self::Stretched(_) => ("Stretched", None),
        };
        write!(f, "{name}({failure:?})")
    }
}

/// Why a client's last step fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordFailure {
    /// The name and the password do not belong together, or nobody has that name; or the authority
    /// does not have its key.
    #[error("wrong name or password")]
    WrongNameOrPassword,
    /// The authority's message makes no sense (it sent our own value back).
    #[error("the authority answers nonsense")]
    Nonsense,
}

/// Bytes of the other side that are no message of this protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no message of the password protocol")]
pub struct BadMessage;

/// The 64 bytes that only the right password gives, at every login the same: they seal the vault
/// key.
pub struct ExportKey(Zeroizing<[u8; 64]>);

impl ExportKey {
    pub(super) fn seal_key(&self) -> SealKey {
        SealKey::derive(self.0.as_slice(), "earshot-vault-by-password-v1")
    }
}

/// The outcome of registering.
pub struct Registered {
    /// What the authority keeps: OPAQUE RegistrationRecord, 192 bytes.
    pub record: Bytes<256>,
    /// Seals the vault key.
    pub export: ExportKey,
}

/// The outcome of logging in, at the client.
pub struct LoggedIn {
    /// The proof for the authority: OPAQUE KE3, 64 bytes.
    pub finalization: Bytes<128>,
    /// Opens the vault key.
    pub export: ExportKey,
}

/// A client between its two registration messages.
pub struct RegistrationStart {
    state: ClientRegistration<Suite>,
    password: Password,
    random: Stream,
}

/// Registration, ready to be stretched.
pub struct RegistrationWork {
    start: RegistrationStart,
    response: RegistrationResponse<Suite>,
    names: Names,
    cost: StretchCost,
}

impl RegistrationStart {
    /// Begins, and gives the first message (32 bytes).
    pub fn begin(password: &Password, secrets: &mut Stream) -> (Self, Bytes<64>) {
        let mut random = secrets.split();
        let started = ClientRegistration::start(&mut random, password.bytes())
            .expect("a password is neither empty nor over 65535 bytes");
        let message = fitting(&started.message.serialize());
        (Self { state: started.state, password: password.again(), random }, message)
    }

    /// Takes the authority's answer (64 bytes).
    ///
    /// # Errors
    /// [`BadMessage`] when it is none.
    pub fn answer(
        self,
        response: &[u8],
        user: &UserName,
        network: &NetworkId,
        cost: StretchCost,
    ) -> Result<Work, BadMessage> {
        let response = RegistrationResponse::deserialize(response).map_err(|_| BadMessage)?;
        let names = Names::new(user, network);
        Ok(Work::Register(Box::new(RegistrationWork { start: self, response, names, cost })))
    }
}

impl RegistrationWork {
    fn run(mut self) -> Result<Registered, PasswordFailure> {
        let stretch = self.cost.argon2();
        let parameters =
            ClientRegistrationFinishParameters::new(self.names.identifiers(), Some(&stretch));
        let mut finished = self
            .start
            .state
            .finish(&mut self.start.random, self.start.password.bytes(), self.response, parameters)
            .map_err(|_| PasswordFailure::Nonsense)?;
        let export = export_key(&finished.export_key);
        finished.export_key.zeroize();
        Ok(Registered { record: fitting(&finished.message.serialize()), export })
    }
}

/// A client between its two login messages.
pub struct LoginStart {
    state: ClientLogin<Suite>,
    password: Password,
    random: Stream,
}

/// A login, ready to be stretched.
pub struct LoginWork {
    start: LoginStart,
    response: CredentialResponse<Suite>,
    names: Names,
    cost: StretchCost,
}

impl LoginStart {
    /// Begins, and gives the first message (96 bytes).
    pub fn begin(password: &Password, secrets: &mut Stream) -> (Self, Bytes<128>) {
        let mut random = secrets.split();
        let started = ClientLogin::start(&mut random, password.bytes())
            .expect("a password is neither empty nor over 65535 bytes");
        let message = fitting(&started.message.serialize());
        (Self { state: started.state, password: password.again(), random }, message)
    }

    /// Takes the authority's answer (320 bytes).
    ///
    /// # Errors
    /// [`BadMessage`] when it is none.
    pub fn answer(
        self,
        response: &[u8],
        user: &UserName,
        network: &NetworkId,
        cost: StretchCost,
    ) -> Result<Work, BadMessage> {
        let response = CredentialResponse::deserialize(response).map_err(|_| BadMessage)?;
        let names = Names::new(user, network);
        Ok(Work::Login(Box::new(LoginWork { start: self, response, names, cost })))
    }
}

impl LoginWork {
    fn run(mut self) -> Result<LoggedIn, PasswordFailure> {
        let stretch = self.cost.argon2();
        let parameters = ClientLoginFinishParameters::new(
            Some(CONTEXT),
            self.names.identifiers(),
            Some(&stretch),
        );
        let mut finished = self
            .start
            .state
            .finish(&mut self.start.random, self.start.password.bytes(), self.response, parameters)
            .map_err(|_| PasswordFailure::WrongNameOrPassword)?;
        let export = export_key(&finished.export_key);
        finished.export_key.zeroize();
        finished.session_key.zeroize();
        Ok(LoggedIn { finalization: fitting(&finished.message.serialize()), export })
    }
}

/// Stretching of a password with a salt, for the vault on disk.
pub struct StretchWork {
    password: Password,
    salt: [u8; SALT_LEN],
    cost: StretchCost,
}

/// A stretched password: 32 bytes.
pub struct StretchedKey(Zeroizing<[u8; 32]>);

impl StretchWork {
    /// Prepares it.
    #[must_use]
    pub fn new(password: &Password, salt: [u8; SALT_LEN], cost: StretchCost) -> Self {
        Self { password: password.again(), salt, cost }
    }

    fn run(self) -> StretchedKey {
        let mut key = Zeroizing::new([0; 32]);
        self.cost
            .argon2()
            .hash_password_into(self.password.bytes(), &self.salt, key.as_mut_slice())
            .expect("password, salt and key have lengths that Argon2 takes");
        StretchedKey(key)
    }
}

impl StretchedKey {
    pub(super) fn seal_key(&self) -> SealKey {
        SealKey::derive(self.0.as_slice(), "earshot-local-vault-v1")
    }
}

/// Both parties' names, to which the exchange is bound: the user's and the network's.
struct Names {
    user: Box<str>,
    network: NetworkId,
}

impl Names {
    fn new(user: &UserName, network: &NetworkId) -> Self {
        Self { user: user.as_str().into(), network: *network }
    }

    fn identifiers(&self) -> Identifiers<'_> {
        Identifiers { client: Some(self.user.as_bytes()), server: Some(&self.network.0) }
    }
}

/// An export key for tests of what it seals.
#[cfg(test)]
pub(super) fn test_export_key(number: u8) -> ExportKey {
    export_key(&[number; 64])
}

fn export_key(bytes: &[u8]) -> ExportKey {
    let mut key = Zeroizing::new([0; 64]);
    key.copy_from_slice(bytes);
    ExportKey(key)
}

fn fitting<const MAX: usize>(bytes: &[u8]) -> Bytes<MAX> {
    Bytes::new(bytes.to_vec()).expect("the suite fixes the length of its messages")
}
