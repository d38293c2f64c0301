//! Whether a record that somebody hands on is believed: told by counting, or by real signatures.
//!
//! Nobody can sign ten million records twice an hour on one machine. So [`Credentials::Counted`]
//! knows what is forged, and counts the signatures that would have to be checked to find out.
//! [`Credentials::Real`] signs each record by its user's device, certified by an authority under
//! a root, and believes by the product's own [`Checked`]: it is told nothing of who lies. Both must
//! give the same run (`tests/sim/lab.rs`), as long as it is no longer than a registration's life.

use std::collections::BTreeMap;
use std::time::Duration;

use earshot_proto::entropy::Stream;
use earshot_proto::ids::{DeviceId, UserName};
use earshot_proto::lookup::Fetched;
use earshot_proto::secure::identity::{Keys, SignKey};
use earshot_proto::secure::registration::{Checked, REGISTRATION_LIFE, is_late};
use earshot_proto::time::UnixTime;
use earshot_proto::wire::certificate::{Chain, Signed, Statement, Subject, VerifyKey};
use earshot_proto::wire::directory::Registration;

use super::queue::Moment;

/// The moment at which virtual time begins.
const OPENED: UnixTime = UnixTime(1_700_000_000_000);
/// Signatures that a registration has: the root's, the authority's, the device's.
const SIGNATURES: u64 = 3;

/// A user's record with a counter, as somebody hands it on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handed {
    /// Whose.
    pub user: usize,
    /// The counter that it has.
    pub counter: u16,
    /// When it was made, in virtual milliseconds; before the run, that is negative.
    pub made: i32,
    /// Whether its user never signed it.
    pub is_forged: bool,
}

/// How records are believed.
#[derive(Debug)]
pub enum Credentials {
    /// What is forged is known.
    Counted {
        /// Signatures that would have been checked.
        checks: u64,
    },
    /// By signatures.
    Real(Box<Signatures>),
}

impl Default for Credentials {
    fn default() -> Self {
        Self::Counted { checks: 0 }
    }
}

impl Credentials {
    /// A user's device has made a record with that counter, at that virtual millisecond.
    pub fn made(&mut self, at: i32, user: usize, counter: u16) {
        if let Self::Real(signatures) = self {
            signatures.made(at, user, counter);
        }
    }

    /// What comes of handing that record to somebody: held, and perhaps late, if it is believed.
    pub fn believe(&mut self, now: Moment, handed: Handed) -> Fetched {
        let counter = u64::from(handed.counter);
        let is_late = match self {
            Self::Counted { checks } => {
                *checks += SIGNATURES;
                let expires = wall(handed.made).plus(REGISTRATION_LIFE);
                let wall = wall(millis(now));
                (!handed.is_forged && expires > wall).then(|| is_late(expires, wall))
            }
            Self::Real(signatures) => signatures.believe(millis(now), handed),
        };
        is_late.map_or(Fetched::Failed, |is_late| Fetched::Held { counter, is_late })
    }

    /// Whether it is believed.
    pub fn believes(&mut self, now: Moment, handed: Handed) -> bool {
        matches!(self.believe(now, handed), Fetched::Held { .. })
    }

    /// Signatures that were checked, or would have been.
    #[must_use]
    pub const fn checks(&self) -> u64 {
        match self {
            Self::Counted { checks } => *checks,
            Self::Real(signatures) => signatures.checks,
        }
    }
}

/// A root, an authority, and a device of each user.
#[derive(Debug)]
pub struct Signatures {
    root: VerifyKey,
    devices: Vec<Device>,
    /// What devices have signed, by user and counter.
    signed: BTreeMap<(usize, u16), Signed<Registration>>,
    /// A key that no authority has certified.
    forger: SignKey,
    checks: u64,
}

#[derive(Debug)]
struct Device {
    sign: SignKey,
    chain: Chain,
}

impl Signatures {
    /// So many users with a device each.
    #[must_use]
    pub fn new(users: usize, secrets: &mut Stream) -> Self {
        let root = SignKey::draw(secrets);
        let authority = Keys::draw(secrets);
        let public = authority.public();
        let year = Duration::from_secs(365 * 24 * 3600);
        let says = |serial, subject| Statement {
            serial,
            subject,
            not_before: OPENED.minus(REGISTRATION_LIFE),
            not_after: OPENED.plus(year),
            policy_version: 1,
        };
        let subject = Subject::Authority { verify: public.verify, agree: public.agree };
        let certificate = root.sign(&says(0, subject));
        let mut device = |number: usize| {
            let user = UserName::new(&format!("user-{number}")).expect("a name");
            let (device, keys) = (DeviceId(secrets.bytes()), Keys::draw(secrets));
            let identity = SignKey::draw(secrets).public();
            let subject = Subject::Device { user, identity, device, keys: keys.public() };
            let holder = authority.sign.sign(&says(number as u64 + 1, subject));
            let chain = Chain { authority: certificate.clone(), holder: Some(holder) };
            Device { sign: keys.sign, chain }
        };
        let devices = (0..users).map(&mut device).collect();
        let forger = SignKey::draw(secrets);
        Self { root: root.public(), devices, signed: BTreeMap::new(), forger, checks: 0 }
    }

    fn made(&mut self, at: i32, user: usize, counter: u16) {
        let registration = self.registration(at, user, counter);
        self.signed.insert((user, counter), self.devices[user].sign.sign(&registration));
    }

    fn registration(&self, at: i32, user: usize, counter: u16) -> Registration {
        Registration {
            chain: self.devices[user].chain.clone(),
            devices_version: 1,
            counter: u64::from(counter),
            expires: wall(at).plus(REGISTRATION_LIFE),
        }
    }

    /// Whether it is late; none: it is not believed.
    fn believe(&mut self, now: i32, handed: Handed) -> Option<bool> {
        let Handed { user, counter, is_forged, .. } = handed;
        let record = if is_forged {
            self.forger.sign(&self.registration(now, user, counter))
        } else {
            self.signed.get(&(user, counter)).expect("its user has made it").clone()
        };
        self.checks += SIGNATURES;
        let checked = Checked::new(record, &self.root, wall(now));
        let checked = checked.ok().filter(|c| c.registration.counter == u64::from(counter))?;
        Some(checked.is_late(wall(now)))
    }
}

/// A moment in virtual milliseconds.
pub(super) fn millis(at: Moment) -> i32 {
    i32::try_from(at / 1000).expect("a run is shorter than 24 days")
}

fn wall(at: i32) -> UnixTime {
    UnixTime(OPENED.0.saturating_add_signed(i64::from(at)))
}

#[cfg(test)]
mod tests {
    use super::super::lots;
    use super::super::queue::SECOND;
    use super::*;

    #[test]
    fn both_believe_what_was_signed_and_refuse_what_was_forged() {
        let real = Credentials::Real(Box::new(Signatures::new(2, &mut lots(1, 0))));
        for mut credentials in [Credentials::default(), real] {
            credentials.made(0, 1, 7);
            let handed = Handed { user: 1, counter: 7, made: 0, is_forged: false };
            assert!(credentials.believes(5, handed));
            assert!(!credentials.believes(5, Handed { counter: 8, is_forged: true, ..handed }));
            assert_eq!(credentials.checks(), 6);
            let at = |minutes: u64| minutes * 60 * SECOND + 1_000;
            let held = |is_late| Fetched::Held { counter: 7, is_late };
            assert_eq!(credentials.believe(at(12), handed), held(false));
            assert_eq!(credentials.believe(at(13), handed), held(true));
            assert_eq!(credentials.believe(at(30), handed), Fetched::Failed, "expired");
        }
    }
}
