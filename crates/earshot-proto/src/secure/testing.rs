//! A small network for the tests of this module: a root, an authority, and people with devices.

use std::time::Duration;

use super::identity::{Keys, SignKey, Signable};
use crate::entropy::{Entropy, Stream};
use crate::ids::{DeviceId, UserName};
use crate::time::UnixTime;
use crate::wire::bounded::Bytes;
use crate::wire::certificate::{Chain, Signed, Statement, Subject, VerifyKey};
use crate::wire::directory::{Entry, Registration};

/// When everything in these tests happens.
pub(crate) const NOW: UnixTime = UnixTime(1_700_000_000_000);
/// A day.
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);

/// What a keeper gives of a registration: `signer` has signed it, and it shows the chain of
/// `device`.
pub(crate) fn entry(signer: &Device, device: &Device, counter: u64, expires: UnixTime) -> Entry {
    let chain = device.chain.clone();
    let said = Registration { chain, devices_version: 1, counter, expires };
    let registration = signer.keys.sign.sign(&said);
    let location = Bytes::new(Vec::new()).expect("empty");
    Entry { device: device.id, registration, location, home: None }
}

/// A network.
pub(crate) struct Network {
    pub(crate) secrets: Stream,
    root: SignKey,
    pub(crate) authority: Keys,
    certificate: Signed<Statement>,
    serial: u64,
}

/// A device with its keys and its certificate.
pub(crate) struct Device {
    pub(crate) user: UserName,
    pub(crate) id: DeviceId,
    pub(crate) identity: VerifyKey,
    pub(crate) keys: Keys,
    pub(crate) chain: Chain,
}

impl Network {
    /// The network of a seed.
    pub(crate) fn new(seed: u8) -> Self {
        let mut secrets = Entropy::new([seed; 32]).secrets;
        let root = SignKey::draw(&mut secrets);
        let authority = Keys::draw(&mut secrets);
        let public = authority.public();
        let certificate = root.sign(&Statement {
            serial: 0,
            subject: Subject::Authority { verify: public.verify, agree: public.agree },
            not_before: NOW,
            not_after: NOW.plus(DAY * 365),
            policy_version: 1,
        });
        Self { secrets, root, authority, certificate, serial: 0 }
    }

    /// Its root key.
    pub(crate) fn root(&self) -> VerifyKey {
        self.root.public()
    }

    /// Something that only the root may say.
    pub(crate) fn sign_by_root<T: Signable>(&self, what: &T) -> Signed<T> {
        self.root.sign(what)
    }

    /// What the authority itself shows.
    pub(crate) fn authority_chain(&self) -> Chain {
        Chain { authority: self.certificate.clone(), holder: None }
    }

    /// A new device of `user`, certified for 14 days.
    pub(crate) fn device(&mut self, user: &str) -> Device {
        self.serial += 1;
        let user = UserName::new(user).expect("a name");
        let (id, keys) = (DeviceId(self.secrets.bytes()), Keys::draw(&mut self.secrets));
        let identity = SignKey::draw(&mut self.secrets).public();
        let subject =
            Subject::Device { user: user.clone(), identity, device: id, keys: keys.public() };
        let chain = self.certify(subject);
        Device { user, id, identity, keys, chain }
    }

    /// A certificate of 14 days.
    pub(crate) fn certify(&self, subject: Subject) -> Chain {
        let statement = Statement {
            serial: self.serial,
            subject,
            not_before: NOW,
            not_after: NOW.plus(DAY * 14),
            policy_version: 1,
        };
        let holder = Some(self.authority.sign.sign(&statement));
        Chain { authority: self.certificate.clone(), holder }
    }
}
