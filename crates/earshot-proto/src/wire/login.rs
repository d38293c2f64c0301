//! Registering, logging in, certificates: peer ↔ login authority. DESIGN 2.3, OPAQUE RFC 9807.
//!
//! The OPAQUE messages have the lengths of the suite Ristretto255 + TripleDH + SHA-512. An unknown
//! name is answered with a message of the same length and fields as a known one.

use minicbor::{CborLen, Decode, Encode};

use super::Wire;
use super::bounded::{Bytes, Text};
use super::certificate::{Chain, DeviceList, Signed, VerifyKey};
use super::policy::Policy;
use crate::ids::{DeviceId, UserName};
use crate::time::UnixTime;

/// Longest sealed vault, in bytes.
pub const VAULT_MAX: usize = 1024;
/// Longest name for people ("Anna Virtanen"), in bytes.
pub const DISPLAY_NAME_MAX: usize = 128;

/// What peer and authority say to each other.
#[derive(Clone, Debug, PartialEq, Encode, Decode, CborLen)]
pub enum Login {
    /// Peer: may I have this name? First OPAQUE registration message.
    #[n(0)]
    RegisterStart {
        /// The prepared name.
        #[n(0)]
        user: UserName,
        /// OPAQUE RegistrationRequest, 32 bytes.
        #[n(1)]
        request: Bytes<64>,
        /// Admission token of the invite.
        #[n(2)]
        token: Option<Bytes<32>>,
    },
    /// Authority: go on.
    #[n(1)]
    RegisterOffer {
        /// OPAQUE RegistrationResponse, 64 bytes.
        #[n(0)]
        response: Bytes<128>,
    },
    /// Peer: here is my account.
    #[n(2)]
    RegisterFinish {
        /// OPAQUE RegistrationRecord, 192 bytes.
        #[n(0)]
        record: Bytes<256>,
        /// The identity key K_u and its sealed copies.
        #[n(1)]
        vault: SealedVault,
        /// Version 1 of the device list, signed by K_u; holds this device.
        #[n(2)]
        devices: Signed<DeviceList>,
        /// This device.
        #[n(3)]
        device: DeviceId,
    },
    /// Authority: you are certified.
    #[n(3)]
    Certified {
        /// The device's chain.
        #[n(0)]
        chain: Chain,
        /// When it ends, so that the peer need not open it.
        #[n(1)]
        until: UnixTime,
        /// The network's policy, signed by the root: the certificate carries its version.
        #[n(2)]
        policy: Signed<Policy>,
    },
    /// Peer: let me in. First OPAQUE login message.
    #[n(4)]
    LoginStart {
        /// The prepared name.
        #[n(0)]
        user: UserName,
        /// OPAQUE CredentialRequest (KE1), 96 bytes.
        #[n(1)]
        request: Bytes<128>,
    },
    /// Authority: prove it.
    #[n(5)]
    LoginOffer {
        /// OPAQUE CredentialResponse (KE2), 320 bytes.
        #[n(0)]
        response: Bytes<384>,
    },
    /// Peer: proof.
    #[n(6)]
    LoginFinish {
        /// OPAQUE CredentialFinalization (KE3), 64 bytes.
        #[n(0)]
        finalization: Bytes<128>,
    },
    /// Authority: the proof holds; your vault and devices.
    #[n(7)]
    Account {
        /// Sealed; only the password or the recovery key opens it.
        #[n(0)]
        vault: SealedVault,
        /// The current device list.
        #[n(1)]
        devices: Signed<DeviceList>,
    },
    /// Peer, after [`Login::Account`]: certify this device, which the new list (version + 1) holds.
    /// A device that is in the current list already sends that list again.
    #[n(8)]
    CertifyDevice {
        /// The list that holds the device.
        #[n(0)]
        devices: Signed<DeviceList>,
        /// The device.
        #[n(1)]
        device: DeviceId,
    },
    /// Peer, on a link opened with its own (maybe just expired) certificate: certify me again.
    #[n(9)]
    Renew,
    /// Authority: no.
    #[n(10)]
    Refused {
        /// Why.
        #[n(0)]
        reason: Refusal,
        /// Not before this many milliseconds from now.
        #[n(1)]
        retry_after_ms: Option<u64>,
    },
    /// Peer: what is this user's device list? For buddies; needs a certificate.
    #[n(11)]
    DevicesOf {
        /// The user.
        #[n(0)]
        user: UserName,
    },
    /// Authority: the list.
    #[n(12)]
    Devices {
        /// Signed by the user's K_u.
        #[n(0)]
        devices: Signed<DeviceList>,
    },
}

/// K_u and what only its owner opens.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, CborLen)]
#[cbor(map)]
pub struct SealedVault {
    /// The identity key K_u (public half).
    #[n(0)]
    pub identity: VerifyKey,
    /// The vault (K_u's secret half and the buddy list's key) sealed under the vault key.
    #[n(1)]
    pub vault: Bytes<VAULT_MAX>,
    /// The vault key sealed under the OPAQUE export key.
    #[n(2)]
    pub by_password: Bytes<128>,
    /// The vault key sealed under the recovery key.
    #[n(3)]
    pub by_recovery: Bytes<128>,
    /// The name for people.
    #[n(4)]
    pub display_name: Text<DISPLAY_NAME_MAX>,
}

/// Why the authority says no. An unknown name and a wrong password are one reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode, CborLen)]
#[cbor(index_only)]
pub enum Refusal {
    /// The name is taken.
    #[n(0)]
    NameTaken,
    /// The name looks like one that is taken (UTS #39).
    #[n(1)]
    NameLooksAlike,
    /// The name and the password do not belong together, or nobody has that name.
    #[n(2)]
    WrongNameOrPassword,
    /// This network wants an admission token, and this one is none, spent or expired.
    #[n(3)]
    NotAdmitted,
    /// Too many attempts for this name or from this address.
    #[n(4)]
    TooManyAttempts,
    /// The device list is no successor of the current one, or is not signed by K_u.
    #[n(5)]
    DevicesRefused,
    /// The certificate shown is revoked, forged or of another network.
    #[n(6)]
    CertificateRefused,
    /// The question does not fit here (finish without start, renewal without certificate).
    #[n(7)]
    OutOfOrder,
    /// The authority could not keep the account; nothing was promised.
    #[n(8)]
    Unavailable,
    /// Nobody has that name (asked by a certified member for a device list).
    #[n(9)]
    NoSuchUser,
    /// Bytes of the password protocol that are none.
    #[n(10)]
    Malformed,
}

impl Wire for Login {
    const NAME: &'static str = "login";
    const MAX: usize = 12 * 1024;
}
