//! The authority's half of OPAQUE (RFC 9807): records, offers, proofs.

use std::time::{Duration, Instant};

use minicbor::{CborLen, Decode, Encode};
use opaque_ke::{
    CredentialFinalization, CredentialRequest, RegistrationRequest, RegistrationUpload,
    ServerLogin, ServerLoginParameters, ServerRegistration, ServerSetup,
};
use zeroize::{Zeroize, Zeroizing};

use super::{BadMessage, CONTEXT, Names, Suite, fitting};
use crate::entropy::Stream;
use crate::ids::{NetworkId, UserName};
use crate::wire::bounded::Bytes;

/// How long the authority waits between the two login messages. Our choice: the slowest machine
/// stretches for seconds.
pub const LOGIN_PATIENCE: Duration = Duration::from_secs(60);

/// What an authority keeps of one password: useless without [`AuthorityPasswords`].
#[derive(Clone, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(transparent)]
pub struct PasswordRecord(#[n(0)] Bytes<256>);

impl std::fmt::Debug for PasswordRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordRecord(..)")
    }
}

impl PasswordRecord {
    /// Takes a client's record (192 bytes).
    ///
    /// # Errors
    /// [`BadMessage`] when it is none.
    pub fn new(record: Bytes<256>) -> Result<Self, BadMessage> {
        ServerRegistration::<Suite>::deserialize(&record).map_err(|_| BadMessage)?;
        Ok(Self(record))
    }
}

/// The authority's own secret: without it no account of the table can be tested or used. To be kept
/// outside that table; whoever loses it loses every password.
pub struct AuthorityPasswords {
    setup: ServerSetup<Suite>,
    network: NetworkId,
}

/// A login at the authority, between its two messages.
pub struct PendingLogin {
    state: ServerLogin<Suite>,
    names: Names,
    expires: Instant,
}

/// Why a login is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotProven {
    /// The proof does not hold: wrong password, or nobody has that name.
    #[error("wrong name or password")]
    Wrong,
    /// It came later than [`LOGIN_PATIENCE`] after the offer.
    #[error("the proof came too late")]
    Late,
}

impl AuthorityPasswords {
    /// Draws a new secret for `network`.
    pub fn draw(network: NetworkId, secrets: &mut Stream) -> Self {
        Self { setup: ServerSetup::new(secrets), network }
    }

    /// Reads the secret back.
    ///
    /// # Errors
    /// [`BadMessage`] when these are not its bytes.
    pub fn from_bytes(network: NetworkId, bytes: &[u8]) -> Result<Self, BadMessage> {
        let setup = ServerSetup::deserialize(bytes).map_err(|_| BadMessage)?;
        Ok(Self { setup, network })
    }

    /// The secret's bytes, for keeping outside the account table.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = self.setup.serialize();
        let kept = Zeroizing::new(bytes.to_vec());
        bytes.zeroize();
        kept
    }

    /// Answers the first registration message.
    ///
    /// # Errors
    /// [`BadMessage`] when it is none.
    pub fn offer_registration(
        &self,
        user: &UserName,
        request: &[u8],
    ) -> Result<Bytes<128>, BadMessage> {
        let request = RegistrationRequest::deserialize(request).map_err(|_| BadMessage)?;
        let name = user.as_str().as_bytes();
        ServerRegistration::start(&self.setup, request, name)
            .map(|started| fitting(&started.message.serialize()))
            .map_err(|_| BadMessage)
    }

    /// Answers the first login message; without a record (nobody has that name) just the same.
    ///
    /// # Errors
    /// [`BadMessage`] when it is none, or the record is damaged.
    pub fn offer_login(
        &self,
        user: &UserName,
        record: Option<&PasswordRecord>,
        request: &[u8],
        now: Instant,
        secrets: &mut Stream,
    ) -> Result<(PendingLogin, Bytes<384>), BadMessage> {
        let request = CredentialRequest::deserialize(request).map_err(|_| BadMessage)?;
        let record = record
            .map(|record| {
                RegistrationUpload::deserialize(&record.0).map(ServerRegistration::finish)
            })
            .transpose()
            .map_err(|_| BadMessage)?;
        let names = Names::new(user, &self.network);
        let parameters =
            ServerLoginParameters { context: Some(CONTEXT), identifiers: names.identifiers() };
        let name = user.as_str().as_bytes();
        let started = ServerLogin::start(secrets, &self.setup, record, request, name, parameters)
            .map_err(|_| BadMessage)?;
        let message = fitting(&started.message.serialize());
        let pending = PendingLogin { state: started.state, names, expires: now + LOGIN_PATIENCE };
        Ok((pending, message))
    }
}

impl PendingLogin {
    /// When it is to be forgotten.
    #[must_use]
    pub const fn expires(&self) -> Instant {
        self.expires
    }

    /// Takes the client's proof.
    ///
    /// # Errors
    /// [`NotProven`]: wrong (name and password not told apart), or late.
    pub fn prove(self, finalization: &[u8], now: Instant) -> Result<(), NotProven> {
        if now >= self.expires {
            return Err(NotProven::Late);
        }
        let proof =
            CredentialFinalization::deserialize(finalization).map_err(|_| NotProven::Wrong)?;
        let parameters =
            ServerLoginParameters { context: Some(CONTEXT), identifiers: self.names.identifiers() };
        let mut finished = self.state.finish(proof, parameters).map_err(|_| NotProven::Wrong)?;
        finished.session_key.zeroize();
        Ok(())
    }
}
