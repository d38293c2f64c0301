//! The keys of a call's voice, made by both sides. DESIGN 2.10.
//!
//! Each side draws a fresh X25519 key (RFC 7748) for each call and sends its public half in a
//! sealed envelope. The secret is, by HKDF-SHA256 (RFC 5869):
//! - salt: `network id (32) ‖ call id (16)`;
//! - input: `X25519(e, e) ‖ X25519(caller's link key, callee's e) ‖ X25519(caller's e, callee's
//!   link key)`, so that who has stolen one side's link key still cannot call it in another's name,
//!   and who has both learns no past call;
//! - info: `"earshot-voice-v1"`, then of the caller and of the callee each `contribution (32) ‖ K_u
//!   (32) ‖ device id (16) ‖ link key (32)`;
//! - output, 96 bytes: `key (32) ‖ salt (12) ‖ SSRC (4)` from caller to callee, then the same from
//!   callee to caller.
//!
//! Invariant: a contribution serves one agreement; both public halves and both certified devices
//! are in the keys, so two sides with a different view of who talks to whom hear nothing of each
//! other.

use hkdf::Hkdf;
use sha2::Sha256;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::identity::LinkKey;
use super::voice_seal::{StreamKeys, VoiceKeys};
use crate::entropy::Stream;
use crate::ids::{CallId, DeviceId, NetworkId};
use crate::wire::certificate::{AgreeKey, VerifyKey};

/// Key, salt and SSRC of one direction.
const DIRECTION: usize = 32 + 12 + 4;

/// Our fresh key for one call.
pub struct Contribution(StaticSecret);

impl Contribution {
    /// Draws one.
    pub fn draw(secrets: &mut Stream) -> Self {
        Self(StaticSecret::from(*Zeroizing::new(secrets.bytes())))
    }

    /// What the other side is told.
    #[must_use]
    pub fn public(&self) -> AgreeKey {
        AgreeKey(PublicKey::from(&self.0).to_bytes())
    }
}

impl std::fmt::Debug for Contribution {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Contribution(..)")
    }
}

/// One device in a call, as certified, and what it contributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Party {
    /// Its fresh key for this call.
    pub contribution: AgreeKey,
    /// The user's identity key K_u.
    pub identity: VerifyKey,
    /// The device.
    pub device: DeviceId,
    /// The device's certified link key.
    pub link: AgreeKey,
}

impl Party {
    fn to_bytes(self) -> [u8; 112] {
        let mut bytes = [0; 112];
        bytes[..32].copy_from_slice(&self.contribution.0);
        bytes[32..64].copy_from_slice(&self.identity.0);
        bytes[64..80].copy_from_slice(&self.device.0);
        bytes[80..].copy_from_slice(&self.link.0);
        bytes
    }
}

/// A call between two devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parties {
    /// The network.
    pub network: NetworkId,
    /// The call.
    pub call: CallId,
    /// Who calls.
    pub caller: Party,
    /// Who is called.
    pub callee: Party,
}

/// The other side's keys would give a secret that everybody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the other side's contribution is no key")]
pub struct KeysRefused;

impl Parties {
    /// The caller's keys. `own` and `link` must be the secrets of `caller`.
    ///
    /// # Errors
    /// [`KeysRefused`].
    pub fn keys_of_caller(
        &self,
        own: Contribution,
        link: &LinkKey,
    ) -> Result<VoiceKeys, KeysRefused> {
        let link = StaticSecret::from(*link.secret());
        let input = [
            agree(&own.0, &self.callee.contribution)?,
            agree(&link, &self.callee.contribution)?,
            agree(&own.0, &self.callee.link)?,
        ];
        let [send, receive] = self.directions(&input);
        Ok(VoiceKeys { send, receive })
    }

    /// The callee's keys. `own` and `link` must be the secrets of `callee`.
    ///
    /// # Errors
    /// [`KeysRefused`].
    pub fn keys_of_callee(
        &self,
        own: Contribution,
        link: &LinkKey,
    ) -> Result<VoiceKeys, KeysRefused> {
        let link = StaticSecret::from(*link.secret());
        let input = [
            agree(&own.0, &self.caller.contribution)?,
            agree(&own.0, &self.caller.link)?,
            agree(&link, &self.caller.contribution)?,
        ];
        let [receive, send] = self.directions(&input);
        Ok(VoiceKeys { send, receive })
    }

    /// Caller to callee, then callee to caller.
    fn directions(&self, input: &[Zeroizing<[u8; 32]>; 3]) -> [StreamKeys; 2] {
        let salt = [self.network.0.as_slice(), &self.call.0].concat();
        let [ee, se, es] = input;
        let input = Zeroizing::new([ee.as_slice(), se.as_slice(), es.as_slice()].concat());
        let info =
            [b"earshot-voice-v1".as_slice(), &self.caller.to_bytes(), &self.callee.to_bytes()];
        let mut output = Zeroizing::new([0; 2 * DIRECTION]);
        Hkdf::<Sha256>::new(Some(&salt), &input)
            .expand_multi_info(&info, &mut *output)
            .expect("96 bytes are within the limit of HKDF");
        let (forth, back) = output.split_at(DIRECTION);
        [stream_keys(forth), stream_keys(back)]
    }
}

fn stream_keys(bytes: &[u8]) -> StreamKeys {
    let mut keys = StreamKeys { key: [0; 32], salt: [0; 12], ssrc: 0 };
    keys.key.copy_from_slice(&bytes[..32]);
    keys.salt.copy_from_slice(&bytes[32..44]);
    let ssrc = bytes[44..].first_chunk().expect("a direction has 48 bytes");
    keys.ssrc = u32::from_be_bytes(*ssrc);
    keys
}

fn agree(own: &StaticSecret, other: &AgreeKey) -> Result<Zeroizing<[u8; 32]>, KeysRefused> {
    let shared = own.diffie_hellman(&PublicKey::from(other.0));
    if !shared.was_contributory() {
        return Err(KeysRefused);
    }
    Ok(Zeroizing::new(*shared.as_bytes()))
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::*;
    use crate::entropy::Entropy;

    /// Both sides of one call, made of bytes that count up from `first`, so that any other program
    /// can make them.
    struct Call {
        parties: Parties,
        secrets: [[u8; 32]; 4],
    }

    fn secret(first: u8) -> [u8; 32] {
        std::array::from_fn(|i| first + i as u8)
    }

    fn call(caller_contribution: u8, callee_contribution: u8) -> Call {
        let secrets =
            [secret(caller_contribution), secret(callee_contribution), secret(3), secret(4)];
        let public = |secret| LinkKey::from_secret(secret).public();
        let [caller_e, callee_e, caller_s, callee_s] = secrets.each_ref().map(public);
        let caller = Party {
            contribution: caller_e,
            identity: VerifyKey(secret(5)),
            device: DeviceId([6; 16]),
            link: caller_s,
        };
        let callee = Party {
            contribution: callee_e,
            identity: VerifyKey(secret(7)),
            device: DeviceId([8; 16]),
            link: callee_s,
        };
        let parties =
            Parties { network: NetworkId([9; 32]), call: CallId([10; 16]), caller, callee };
        Call { parties, secrets }
    }

    impl Call {
        fn caller(&self) -> Result<VoiceKeys, KeysRefused> {
            let own = Contribution(StaticSecret::from(self.secrets[0]));
            self.parties.keys_of_caller(own, &LinkKey::from_secret(&self.secrets[2]))
        }

        fn callee(&self) -> Result<VoiceKeys, KeysRefused> {
            let own = Contribution(StaticSecret::from(self.secrets[1]));
            self.parties.keys_of_callee(own, &LinkKey::from_secret(&self.secrets[3]))
        }
    }

    fn bytes(keys: &StreamKeys) -> Vec<u8> {
        [keys.key.as_slice(), &keys.salt, &keys.ssrc.to_be_bytes()].concat()
    }

    #[test]
    fn both_sides_make_the_same_keys_as_the_vector() {
        let call = call(1, 2);
        let (caller, callee) = (call.caller().expect("keys"), call.callee().expect("keys"));
        assert_eq!(bytes(&caller.send), bytes(&callee.receive));
        assert_eq!(bytes(&caller.receive), bytes(&callee.send));
        assert_eq!(HEXLOWER.encode(&bytes(&caller.send)), FORTH);
        assert_eq!(HEXLOWER.encode(&bytes(&caller.receive)), BACK);
    }

    #[test]
    fn either_contribution_changes_both_directions() {
        let keys = |a, b| {
            let keys = call(a, b).caller().expect("keys");
            (bytes(&keys.send), bytes(&keys.receive))
        };
        let (forth, back) = keys(1, 2);
        assert_ne!(forth, back);
        for (other_forth, other_back) in [keys(11, 2), keys(1, 12)] {
            assert_ne!(forth, other_forth);
            assert_ne!(back, other_back);
        }
    }

    #[test]
    fn sides_that_see_another_call_hear_nothing_of_each_other() {
        let call = call(1, 2);
        let heard = bytes(&call.caller().expect("keys").send);
        let changes: [fn(&mut Parties); 6] = [
            |p| p.network.0[0] ^= 1,
            |p| p.call.0[0] ^= 1,
            |p| p.caller.identity.0[0] ^= 1,
            |p| p.caller.device.0[0] ^= 1,
            |p| p.callee.identity.0[0] ^= 1,
            |p| p.callee.device.0[0] ^= 1,
        ];
        for change in changes {
            let mut other = Call { parties: call.parties, secrets: call.secrets };
            change(&mut other.parties);
            assert_ne!(bytes(&other.callee().expect("keys").receive), heard);
        }
    }

    #[test]
    fn a_stolen_link_key_does_not_let_another_call_in_somebodys_name() {
        // Mallory holds Bob's link key and names Alice, whose link key she does not hold.
        let call = call(1, 2);
        let heard_by_bob = bytes(&call.callee().expect("keys").receive);
        let own = Contribution(StaticSecret::from(call.secrets[0]));
        let stolen = LinkKey::from_secret(&call.secrets[3]);
        let hers = call.parties.keys_of_caller(own, &stolen).expect("keys");
        assert_ne!(bytes(&hers.send), heard_by_bob);
    }

    #[test]
    fn a_contribution_that_forces_the_secret_is_refused() {
        // The points of small order of Curve25519 that are below 2: RFC 7748, section 6.1.
        for low in [0, 1] {
            let mut point = [0; 32];
            point[0] = low;
            let mut forced = call(1, 2);
            forced.parties.caller.contribution = AgreeKey(point);
            assert_eq!(forced.callee().err(), Some(KeysRefused));
            let mut forced = call(1, 2);
            forced.parties.callee.contribution = AgreeKey(point);
            assert_eq!(forced.caller().err(), Some(KeysRefused));
            let mut forced = call(1, 2);
            forced.parties.callee.link = AgreeKey(point);
            assert_eq!(forced.caller().err(), Some(KeysRefused));
        }
    }

    #[test]
    fn a_contribution_is_drawn_anew_for_each_call() {
        let mut secrets = Entropy::new([1; 32]).secrets;
        let (one, two) = (Contribution::draw(&mut secrets), Contribution::draw(&mut secrets));
        assert_ne!(one.public(), two.public());
    }

    /// Computed by another program (RFC 7748 and RFC 5869 written out) from the secrets of
    /// [`call`]`(1, 2)`.
    const FORTH: &str = "6ba2750ed72d9338f5f6427c77d71c0c16528bc957ad07d4c7d8da87e1e74a75\
                         fa81f54183a4f056287651f506fd833f";
    const BACK: &str = "8f80bc489f9c1447c2732f11d817a32dce07b8f0a32fbd7bc0085c9d7b93faed\
                         686aa66af5d5a44354583a4726d3a6c9";
}
