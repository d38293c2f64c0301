//! How sealed signals travel in this world: by which way, and whether they arrive.

use super::{Event, World, identity, link};
use crate::peer::call::reason::SendFailure;
use crate::peer::call::signaling::Route;
use crate::peer::call::{Delivery, Post, Sender, Standing};
use crate::wire::Wire;
use crate::wire::certificate::AgreeKey;
use crate::wire::directory::Reachability;
use crate::wire::forward::Undelivered;
use crate::wire::sealed::call::{Signal, SignalBody};

impl World {
    pub(super) fn send(&mut self, at: usize, post: Box<Post>) {
        let to = self.devices.iter().position(|d| d.address == post.to).expect("a known device");
        assert_eq!(post.agree, link(self.devices[to].seed).public(), "sealed to the device");
        self.said.push((self.devices[at].name, post.signal.clone()));
        let fared = self.carry(at, to, &post.route);
        let case = post.route.case();
        let mut after = self.one_way();
        if fared == Delivery::Done {
            self.carried.push((self.devices[at].name, case));
            let copies = 1 + u32::from(self.chance(self.doubled_pct));
            for _ in 0..copies {
                if self.chance(self.loss_pct) {
                    continue;
                }
                let mut from = self.sender(self.devices[at].name);
                from.standing = self.standing_of(to, &from.address.user);
                let bytes = self.spoiled(at, &post.signal).to_bytes();
                self.push(after, Event::Signal { to, from, bytes });
                after = self.one_way();
            }
        }
        let call = post.signal.call;
        let delivery = Event::Delivery { to: at, call, about: post.to, case, fared };
        self.push(after * 2, delivery);
    }

    /// Who this device is to others.
    pub(in super::super) fn sender(&self, name: &str) -> Sender {
        let device = self.device(name);
        Sender {
            address: device.address.clone(),
            identity: identity(device.name),
            agree: link(device.seed).public(),
            standing: Standing::Buddy,
        }
    }

    pub(super) fn spoiled(&self, at: usize, signal: &Signal) -> Signal {
        let mut signal = signal.clone();
        if self.spoil_keys_of == Some(self.devices[at].name)
            && let SignalBody::Offer { contribution, .. } | SignalBody::Ringing { contribution } =
                &mut signal.body
        {
            *contribution = AgreeKey([0; 32]);
        }
        signal
    }

    pub(super) fn carry(&mut self, at: usize, to: usize, route: &Route) -> Delivery {
        let own = &self.devices[at];
        let failed = |why| Delivery::Failed(SendFailure::Undelivered(why));
        let restricted = own.around.reachability == Reachability::Restricted;
        let own_home =
            own.around.home.map(|h| h.node.0[0]).filter(|h| !self.dead_homes.contains(h));
        let serves = |number: u8| {
            let target = &self.devices[to];
            target.alive && target.around.home.is_some_and(|h| h.node.0[0] == number)
        };
        if let Some(refusal) = self.refusal {
            return failed(refusal);
        }
        match route {
            Route::Straight { at: Some(_) } => {
                assert!(!restricted, "a restricted device opened a connection");
                let target = &self.devices[to];
                let open = target.around.reachability == Reachability::Public;
                if !(open && target.alive && self.direct_works) {
                    return Delivery::Failed(SendFailure::NoConnection);
                }
                self.straight.insert((at, to));
                Delivery::Done
            }
            Route::Straight { at: None } if self.straight.contains(&(to, at)) => Delivery::Done,
            Route::Straight { at: None } => Delivery::Failed(SendFailure::NoConnection),
            Route::TheirSuperPeer { home } => {
                assert!(!restricted, "a restricted device opened a connection");
                let number = home.node.0[0];
                if self.dead_homes.contains(&number) {
                    return failed(Undelivered::HomeUnreachable);
                }
                if !serves(number) {
                    return failed(Undelivered::NotHere);
                }
                self.visits.insert((at, number));
                Delivery::Done
            }
            Route::MySuperPeer => match own_home {
                None => Delivery::Failed(SendFailure::Unlinked),
                Some(number) if self.visits.contains(&(to, number)) || serves(number) => {
                    Delivery::Done
                }
                Some(_) => failed(Undelivered::NotHere),
            },
            Route::BothSuperPeers { home } => {
                let number = home.node.0[0];
                match own_home {
                    None => Delivery::Failed(SendFailure::Unlinked),
                    Some(_) if self.dead_homes.contains(&number) => {
                        failed(Undelivered::HomeUnreachable)
                    }
                    Some(_) if !serves(number) => failed(Undelivered::NotHere),
                    Some(_) => Delivery::Done,
                }
            }
        }
    }
}
