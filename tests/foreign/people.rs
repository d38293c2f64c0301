//! A network with two certified devices, from the public parts of `earshot_proto`.

use std::time::Duration;

use earshot_proto::entropy::{Entropy, Stream};
use earshot_proto::ids::{DeviceId, UserName};
use earshot_proto::secure::identity::{Keys, SignKey};
use earshot_proto::secure::link::LocalIdentity;
use earshot_proto::time::UnixTime;
use earshot_proto::wire::certificate::{Chain, Signed, Statement, Subject, VerifyKey};

/// When everything here happens.
pub(crate) const NOW: UnixTime = UnixTime(1_800_000_000_000);

pub(crate) struct Network {
    pub(crate) secrets: Stream,
    root: SignKey,
    authority: Keys,
    certificate: Signed<Statement>,
}

pub(crate) struct Device {
    pub(crate) user: UserName,
    pub(crate) id: DeviceId,
    pub(crate) keys: Keys,
    pub(crate) chain: Chain,
}

fn statement(serial: u64, subject: Subject) -> Statement {
    let not_after = NOW.plus(Duration::from_secs(14 * 24 * 3600));
    Statement { serial, subject, not_before: NOW, not_after, policy_version: 1 }
}

impl Network {
    pub(crate) fn new(seed: u8) -> Self {
        let mut secrets = Entropy::new([seed; 32]).secrets;
        let (root, authority) = (SignKey::draw(&mut secrets), Keys::draw(&mut secrets));
        let public = authority.public();
        let subject = Subject::Authority { verify: public.verify, agree: public.agree };
        let certificate = root.sign(&statement(0, subject));
        Self { secrets, root, authority, certificate }
    }

    pub(crate) fn root(&self) -> VerifyKey {
        self.root.public()
    }

    pub(crate) fn device(&mut self, user: &str) -> Device {
        let (id, keys) = (DeviceId(self.secrets.bytes()), Keys::draw(&mut self.secrets));
        let user = UserName::new(user).unwrap();
        let subject = Subject::Device {
            user: user.clone(),
            identity: SignKey::draw(&mut self.secrets).public(),
            device: id,
            keys: keys.public(),
        };
        let holder = Some(self.authority.sign.sign(&statement(1, subject)));
        Device { user, id, keys, chain: Chain { authority: self.certificate.clone(), holder } }
    }

    /// What `device` is on a link.
    pub(crate) fn local<'a>(&self, device: &'a Device) -> LocalIdentity<'a> {
        let (key, chain) = (&device.keys.link, Some(&device.chain));
        LocalIdentity { key, chain, root: self.root(), features: 0 }
    }
}
