//! Finding the login authority: a super-peer tells where it is. Lecture, slide 30.
//!
//! A device that signs in has no certificate yet, so it asks as a guest; what it is told is tried,
//! and an old door that does not open is asked for anew.

use std::time::Instant;

use crate::port::{LinkId, Service};
use crate::secure::link::Expect;
use crate::time::UnixTime;
use crate::wire::directory::Directory;

use super::command::Failure;
use super::signing::Step;
use super::{OnSaved, Peer, Record};

impl Peer {
    /// Asks the next super-peer where the authority is.
    pub(super) fn next_guest_door(&mut self, now: Instant) {
        let Some(signing) = &mut self.signing_in else { return };
        let Some(door) = self.guest_doors.pop() else {
            let tried = signing.tried;
            return self.unreachable(Failure::NoSuperPeer { tried });
        };
        signing.tried += 1;
        let expect = Expect::Key(door.key);
        let link = self.links.dial(now, door.address, Service::SuperPeer, expect);
        signing.step = Step::FindAuthority { link };
        self.links.send(now, link, 1, Directory::ListSuperPeers);
    }

    pub(super) fn dial_authority(&mut self, now: Instant) {
        let (Some(signing), Some(door)) = (&mut self.signing_in, self.authority_door) else {
            return;
        };
        let expect = Expect::Key(door.key);
        let link = self.links.dial(now, door.address, Service::Authority, expect);
        signing.step = Step::Dial { link };
    }

    /// A super-peer answers a guest.
    pub(super) fn guest_answered(
        &mut self,
        now: Instant,
        link: LinkId,
        answer: &Directory,
    ) -> bool {
        let waiting = self.signing_in.as_ref().map(|signing| &signing.step);
        if !matches!(waiting, Some(Step::FindAuthority { link: asked }) if *asked == link) {
            return false;
        }
        self.links.close(link);
        if let Directory::SuperPeers { nodes, authority } = answer {
            self.super_peers.heard(nodes);
            self.authority_door = authority.or(self.authority_door);
            // It is needed again when the certificate is renewed, perhaps after a restart.
            if let Some(record) = self.network_record() {
                self.save(Record::Network(record), OnSaved::Nothing);
            }
        }
        match self.authority_door {
            Some(_) => self.dial_authority(now),
            None => self.next_guest_door(now),
        }
        true
    }

    /// Nobody was there; or somebody was, and a wrong clock kept us from believing them.
    pub(super) fn unreachable(&mut self, failure: Failure) {
        let clock = self.signing_in.as_ref().and_then(|signing| signing.clock_off_ms);
        let clock = clock.map(|off_by_ms| Failure::ClockWrong { off_by_ms });
        self.sign_in_failed(clock.unwrap_or(failure));
    }

    /// The clock of whoever a login waits for says another time than ours.
    pub(super) fn clocks_disagree(&mut self, now: Instant, link: LinkId, theirs: UnixTime) {
        let ours = self.wall(now);
        if let Some(signing) = self.signing_in.as_mut().filter(|s| s.link() == Some(link)) {
            let off = i128::from(ours.0) - i128::from(theirs.0);
            signing.clock_off_ms = i64::try_from(off).ok();
        }
    }
}
