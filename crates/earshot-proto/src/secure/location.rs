//! Sealing a location, so that keepers hold what only buddies can read. DESIGN 2.5.
//!
//! `nonce (12) ‖ AES-256-GCM(length (2 bytes, big-endian) ‖ Location ‖ zeros)`; the plaintext is
//! always 224 bytes, so its length tells nothing. Key: HKDF-SHA256 (RFC 5869) of the contact key.
//! The associated data is the device and the counter of its registration, so a keeper cannot put an
//! old location beside a new registration. Nonces are random: one contact key seals a location each
//! 12 minutes a device, far from the 2^32 that random nonces allow (NIST SP 800-38D, section 8.3).

use super::seal::{NotOpened, SealKey};
use crate::entropy::Stream;
use crate::ids::DeviceId;
use crate::wire::bounded::Bytes;
use crate::wire::directory::{LOCATION_MAX, Location};
use crate::wire::sealed::buddy::ContactKey;
use crate::wire::{DecodeError, Wire};

const LENGTH: usize = 2;
/// Bytes under the seal: the longest location (about 130) with room to grow.
const PLAIN: usize = 224;

/// Why a location is not opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// Another contact key (it was rotated, or we are no buddy), another device or counter, or
    /// changed bytes.
    #[error("sealed under another contact key, or changed")]
    NotForUs(#[from] NotOpened),
    /// The inside cannot be read.
    #[error("unreadable location: {0}")]
    Unreadable(#[from] DecodeError),
}

/// Seals the location of `device` that belongs to its registration number `counter`.
#[must_use]
pub fn seal_location(
    contact: &ContactKey,
    device: &DeviceId,
    counter: u64,
    location: &Location,
    secrets: &mut Stream,
) -> Bytes<LOCATION_MAX> {
    let encoded = location.to_bytes();
    let length = u16::try_from(encoded.len()).expect("a location has three short fields");
    let mut plain = [length.to_be_bytes().as_slice(), &encoded].concat();
    plain.resize(PLAIN.max(plain.len()), 0);
    let sealed = key(contact).seal(&associated(device, counter), &plain, secrets);
    Bytes::new(sealed).expect("a location has three short fields")
}

/// Opens what [`seal_location`] sealed.
///
/// # Errors
/// [`LocationError`].
pub fn open_location(
    contact: &ContactKey,
    device: &DeviceId,
    counter: u64,
    sealed: &[u8],
) -> Result<Location, LocationError> {
    let plain = key(contact).open(&associated(device, counter), sealed)?;
    let short = DecodeError::TooShort { got: plain.len() };
    let (length, rest) = plain.split_first_chunk::<LENGTH>().ok_or(short.clone())?;
    let location = rest.get(..usize::from(u16::from_be_bytes(*length))).ok_or(short)?;
    Ok(Location::from_bytes(location)?)
}

fn key(contact: &ContactKey) -> SealKey {
    SealKey::derive(&contact.0, "earshot-location-v1")
}

fn associated(device: &DeviceId, counter: u64) -> Vec<u8> {
    [device.0.as_slice(), &counter.to_be_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::Entropy;
    use crate::ids::NodeId;
    use crate::wire::certificate::AgreeKey;
    use crate::wire::directory::{NodeEntry, Reachability};

    const DEVICE: DeviceId = DeviceId([4; 16]);

    fn location(address: &str) -> Location {
        let address = address.parse().expect("an address");
        let home = NodeEntry { node: NodeId([1; 20]), address, key: AgreeKey([2; 32]) };
        Location { home, direct: Some(address), reachability: Reachability::Restricted }
    }

    fn sealed(location: &Location) -> Bytes<LOCATION_MAX> {
        let mut secrets = Entropy::new([1; 32]).secrets;
        seal_location(&ContactKey([5; 32]), &DEVICE, 9, location, &mut secrets)
    }

    #[test]
    fn buddies_read_a_location_and_its_length_tells_nothing() {
        let (short, long) = (location("1.2.3.4:5"), location("[2001:db8:1234:5678::ffff]:65535"));
        for location in [&short, &long] {
            let opened = open_location(&ContactKey([5; 32]), &DEVICE, 9, &sealed(location));
            assert_eq!(opened.as_ref(), Ok(location));
        }
        assert_eq!(sealed(&short).len(), sealed(&long).len());
    }

    #[test]
    fn another_key_device_or_counter_opens_nothing() {
        let sealed = sealed(&location("1.2.3.4:5"));
        let not_for_us = Err(LocationError::NotForUs(NotOpened));
        let open =
            |key, device, counter| open_location(&ContactKey(key), &device, counter, &sealed);
        assert_eq!(open([6; 32], DEVICE, 9), not_for_us);
        assert_eq!(open([5; 32], DeviceId([0; 16]), 9), not_for_us);
        assert_eq!(open([5; 32], DEVICE, 8), not_for_us);
    }

    #[test]
    fn a_changed_byte_anywhere_opens_nothing() {
        let sealed = sealed(&location("1.2.3.4:5"));
        for at in 0..sealed.len() {
            let mut bytes = sealed.to_vec();
            bytes[at] ^= 0x80;
            let opened = open_location(&ContactKey([5; 32]), &DEVICE, 9, &bytes);
            assert_eq!(opened, Err(LocationError::NotForUs(NotOpened)));
        }
        for len in 0..12 + 16 {
            let opened = open_location(&ContactKey([5; 32]), &DEVICE, 9, &sealed[..len]);
            assert_eq!(opened, Err(LocationError::NotForUs(NotOpened)));
        }
    }
}
