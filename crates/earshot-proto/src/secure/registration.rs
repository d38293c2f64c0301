//! Believing a registration: whoever hands it on, it is taken only if its device signed it, its
//! certificate chains to the root, and it has not expired. DESIGN 2.5.
//!
//! Keepers, homes and askers all believe by this one function.

use std::time::Duration;

use super::identity::{FromDevice, Use, open_by_device};
use crate::time::UnixTime;
use crate::wire::certificate::{HolderKeys, Signed, VerifyKey};
use crate::wire::directory::{Entry, Registration};
use crate::wire::forward::Address;

/// Longest life of a registration. DESIGN 2.5: 30 minutes, refreshed every 12.
pub const REGISTRATION_LIFE: Duration = Duration::from_secs(30 * 60);
/// How often a registration is refreshed. DESIGN 2.5.
pub const REFRESH: Duration = Duration::from_secs(12 * 60);
/// How much longer a refresh may take before the registration is late. Our choice: a home that is
/// lost is mostly replaced by then; who is late, or has a wrong clock, costs a search more
/// questions.
const LATE_AFTER: Duration = Duration::from_secs(15);

/// A registration that was believed.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Whose it is.
    pub address: Address,
    /// The user's identity key K_u.
    pub identity: VerifyKey,
    /// The device's keys.
    pub keys: HolderKeys,
    /// What it says.
    pub registration: Registration,
    signed: Signed<Registration>,
}

/// A signature, the certificate or the time does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the registration does not verify")]
pub struct NotBelieved;

impl Checked {
    /// Checks a registration from the root down.
    ///
    /// # Errors
    /// [`NotBelieved`]; a registration that says to last much longer than [`REGISTRATION_LIFE`] is
    /// not believed either.
    pub fn new(
        signed: Signed<Registration>,
        root: &VerifyKey,
        now: UnixTime,
    ) -> Result<Self, NotBelieved> {
        let FromDevice { address, identity, keys, said: registration } =
            open_by_device(&signed, root, now, Use::Present).map_err(|_| NotBelieved)?;
        if registration.expires <= now || registration.expires > now.plus(REGISTRATION_LIFE * 2) {
            return Err(NotBelieved);
        }
        Ok(Self { address, identity, keys, registration, signed })
    }

    /// Checks the registration in a keeper's entry, and that the entry names its device.
    ///
    /// # Errors
    /// [`NotBelieved`].
    pub fn of_entry(entry: &Entry, root: &VerifyKey, now: UnixTime) -> Result<Self, NotBelieved> {
        let checked = Self::new(entry.registration.clone(), root, now)?;
        let is_named = checked.address.device == entry.device;
        is_named.then_some(checked).ok_or(NotBelieved)
    }

    /// Whether it should have been replaced by now: its device is gone, or a newer one is withheld.
    #[must_use]
    pub fn is_late(&self, now: UnixTime) -> bool {
        is_late(self.registration.expires, now)
    }

    /// The registration as its device signed it.
    #[must_use]
    pub const fn signed(&self) -> &Signed<Registration> {
        &self.signed
    }
}

/// Whether a registration that lasts until `expires` should have been replaced by now.
#[must_use]
pub fn is_late(expires: UnixTime, now: UnixTime) -> bool {
    now.plus(REGISTRATION_LIFE) > expires.plus(REFRESH + LATE_AFTER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secure::testing::{DAY, Device, NOW, Network};
    use crate::wire::bounded::Bytes;

    fn registration(device: &Device, expires: UnixTime) -> Registration {
        Registration { chain: device.chain.clone(), devices_version: 1, counter: 7, expires }
    }

    fn soon() -> UnixTime {
        NOW.plus(REGISTRATION_LIFE)
    }

    #[test]
    fn what_a_refresh_should_have_replaced_is_late() {
        let expires = NOW.plus(REGISTRATION_LIFE);
        let minutes = |count: u64| NOW.plus(Duration::from_secs(60 * count));
        assert!(!is_late(expires, NOW));
        let late = minutes(12).plus(LATE_AFTER);
        assert!(!is_late(expires, late));
        assert!(is_late(expires, late.plus(Duration::from_millis(1))));
    }

    #[test]
    fn what_a_device_signed_is_believed_as_its_own() {
        let mut network = Network::new(1);
        let alice = network.device("alice");
        let signed = alice.keys.sign.sign(&registration(&alice, soon()));
        let checked = Checked::new(signed, &network.root(), NOW).expect("it is right");
        let address = Address { user: alice.user.clone(), device: alice.id };
        assert_eq!((checked.address, checked.identity), (address, alice.identity));
        assert_eq!((checked.keys, checked.registration.counter), (alice.keys.public(), 7));
    }

    #[test]
    fn forged_expired_and_endless_registrations_are_not_believed() {
        let (mut network, mut other) = (Network::new(1), Network::new(2));
        let (alice, mallory, stranger) =
            (network.device("alice"), network.device("mallory"), other.device("alice"));
        let root = network.root();
        let sign = |device: &Device, said| device.keys.sign.sign(&said);
        let right = sign(&alice, registration(&alice, soon()));
        let mut damaged = right.clone();
        damaged.signature.0[0] ^= 1;
        let bad = [
            ("signed by another", sign(&mallory, registration(&alice, soon()))),
            ("of another network", sign(&stranger, registration(&stranger, soon()))),
            ("damaged", damaged),
            ("expired", sign(&alice, registration(&alice, NOW))),
            ("endless", sign(&alice, registration(&alice, NOW.plus(DAY)))),
        ];
        for (how, signed) in bad {
            assert_eq!(Checked::new(signed, &root, NOW).err(), Some(NotBelieved), "{how}");
        }
        assert!(Checked::new(right.clone(), &root, NOW).is_ok());
        let late = NOW.plus(DAY * 15);
        assert_eq!(
            Checked::new(right, &root, late).err(),
            Some(NotBelieved),
            "its chain has ended"
        );
    }

    #[test]
    fn an_entry_must_name_the_device_that_signed() {
        let mut network = Network::new(1);
        let (alice, tablet) = (network.device("alice"), network.device("alice"));
        let registration = alice.keys.sign.sign(&registration(&alice, soon()));
        let location = Bytes::new(Vec::new()).expect("empty");
        let mut entry = Entry { device: alice.id, registration, location, home: None };
        assert!(Checked::of_entry(&entry, &network.root(), NOW).is_ok());
        entry.device = tablet.id;
        assert_eq!(Checked::of_entry(&entry, &network.root(), NOW).err(), Some(NotBelieved));
    }
}
