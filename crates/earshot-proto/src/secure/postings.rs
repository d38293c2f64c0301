//! Believing a profile: it is its user's, and not out of time. DESIGN 2.5 (directory search).
//!
//! Invariant: a [`Checked`] exists only when a device that the authority certified for the user
//! signed it; so whoever sends it, nobody is listed who does not want to be.

use std::time::Duration;

use super::identity::{FromDevice, Signable, SignedByDevice, Use, open_by_device};
use crate::ids::UserName;
use crate::time::UnixTime;
use crate::wire::certificate::{Chain, Signed, VerifyKey};
use crate::wire::posting::{Posting, PostingRefusal};

/// Longest life of a posting. Our choice: profiles change seldom, and who was not on line for a day
/// need not be offered to strangers; refreshed every eight hours it survives two failures.
pub const POSTING_LIFE: Duration = Duration::from_secs(24 * 3600);
/// How far in the future beyond that an end may lie: clocks differ.
const SLACK: Duration = Duration::from_secs(3600);

impl Signable for Posting {
    const DOMAIN: &'static str = "posting";
}

impl SignedByDevice for Posting {
    fn chain(&self) -> &Chain {
        &self.chain
    }
}

/// A posting whose signatures were checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Whose it is.
    pub user: UserName,
    /// The user's identity key, as certified.
    pub identity: VerifyKey,
    /// What it says.
    pub posting: Posting,
    signed: Signed<Posting>,
}

impl Checked {
    /// The posting as its device signed it.
    #[must_use]
    pub const fn signed(&self) -> &Signed<Posting> {
        &self.signed
    }
}

/// Checks a posting from the root down.
///
/// # Errors
/// [`PostingRefusal::PostingRefused`] when a signature, the certificate or the time does not hold.
pub fn check(
    signed: Signed<Posting>,
    root: &VerifyKey,
    now: UnixTime,
) -> Result<Checked, PostingRefusal> {
    let refused = PostingRefusal::PostingRefused;
    let FromDevice { address, identity, said: posting, .. } =
        open_by_device(&signed, root, now, Use::Present).map_err(|_| refused)?;
    if posting.expires <= now || posting.expires > now.plus(POSTING_LIFE + SLACK) {
        return Err(refused);
    }
    Ok(Checked { user: address.user, identity, posting, signed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secure::testing::{DAY, Device, NOW, Network};
    use crate::wire::bounded::{List, Text};
    use crate::wire::certificate::Subject;

    fn post(device: &Device, expires: UnixTime) -> Signed<Posting> {
        device.keys.sign.sign(&Posting {
            chain: device.chain.clone(),
            display_name: Some(Text::new("Alice").expect("short")),
            words: List::first_of([Text::new("alice").expect("short")]),
            counter: 1,
            expires,
            about: None,
        })
    }

    #[test]
    fn a_posting_is_believed_from_the_root_down() {
        let mut network = Network::new(1);
        let alice = network.device("alice");
        let checked = check(post(&alice, NOW.plus(DAY)), &network.root(), NOW).expect("right");
        assert_eq!((checked.user, checked.identity), (alice.user, alice.identity));
    }

    #[test]
    fn what_is_forged_foreign_or_out_of_time_is_refused() {
        let (mut network, mut other) = (Network::new(1), Network::new(2));
        let (alice, mallory) = (network.device("alice"), network.device("mallory"));
        let stranger = other.device("alice");
        let root = network.root();
        let refused = Err(PostingRefusal::PostingRefused);
        let node = network.certify(Subject::Node {
            node: crate::ids::NodeId([1; 20]),
            address: ([192, 0, 2, 1], 4433).into(),
            keys: mallory.keys.public(),
            owner: None,
            v6: None,
        });
        let stolen = Device { chain: alice.chain.clone(), ..network.device("mallory") };
        let by_node = Device { chain: node, ..mallory };
        let mut changed = post(&alice, NOW.plus(DAY)).body.to_vec();
        *changed.last_mut().expect("not empty") ^= 1;
        let changed = crate::wire::bounded::Bytes::new(changed).expect("short");
        let changed = Signed::new(changed, post(&alice, NOW.plus(DAY)).signature);
        for bad in [
            post(&stranger, NOW.plus(DAY)),
            post(&stolen, NOW.plus(DAY)),
            post(&by_node, NOW.plus(DAY)),
            post(&alice, NOW),
            post(&alice, NOW.plus(DAY * 3)),
            changed,
        ] {
            assert_eq!(check(bad, &root, NOW), refused);
        }
        let late = check(post(&alice, NOW.plus(DAY * 31)), &root, NOW.plus(DAY * 30));
        assert_eq!(late, refused, "its certificate has ended");
    }
}
