//! Whether our home has registered us: we look ourselves up, past it. DESIGN 2.5, 2.12.
//!
//! A home says how many keepers hold our registration. One that lies lets nobody find us, and
//! nothing that it says would tell. So soon after a home has taken us in, and every few hours, our
//! own name is looked up from other super-peers on; what the home itself answers does not count. If
//! the newest record is not there, the home is told to register us once more; if that does not
//! help, or if it does not even say that it did, we move to another.
//!
//! Invariants: one such look-up at a time; at most [`LEFT_MAX`] homes are left in an hour, so that
//! keepers that lie drive nobody about; a look-up without a verdict proves nothing against a home,
//! as long as anybody answered.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::ids::NodeId;
use crate::lookup::{End, Fetched, Lookup, Near, Order, Outcome};
use crate::secure::registration::Checked;
use crate::time::UnixTime;
use crate::wire::certificate::VerifyKey;
use crate::wire::directory::{Directory, Entry};
use crate::wire::forward::Address;
use crate::wire::ring::Question;

use super::home::Home;
use super::{About, Peer};

/// How long after a home has taken us in we are looked up: between this and twice as much. Our
/// choice: a crowd that comes home at once does not look itself up at once.
const SOON: Duration = Duration::from_secs(4);
/// The same, after that. Our choice: six look-ups a day, some 100 kB.
const EVERY: Duration = Duration::from_secs(4 * 3600);
/// The same, when there was no verdict, or nobody to begin at.
const AGAIN: Duration = Duration::from_secs(300);
/// Look-ups in a row that did not find us, after which the home is left.
const LACKS_MAX: u8 = 2;
/// Questions to register us that a home leaves without the right answer before it is left.
const REFUSALS_MAX: u8 = 3;
/// Homes left in an hour at most. Our choice: if half of all lie, seven in a row do for one peer of
/// 128.
const LEFT_MAX: usize = 6;
const HOUR: Duration = Duration::from_secs(3600);

/// What we know of our registration.
#[derive(Debug, Default)]
pub(super) struct Registered {
    /// The counter of what our home says is kept.
    counter: u64,
    due: Option<Instant>,
    looking: Option<Looking>,
    /// Look-ups in a row that did not find us.
    lacks: u8,
    /// Answers of this home in a row that did not say that we are registered.
    refusals: u8,
    /// When homes were left that did not register us.
    left: VecDeque<Instant>,
    last: u64,
}

/// Looking ourselves up.
#[derive(Debug)]
struct Looking {
    id: u64,
    home: NodeId,
    lookup: Lookup,
}

impl Registered {
    pub(super) fn next_due(&self) -> Option<Instant> {
        let slow = self.looking.as_ref().and_then(|looking| looking.lookup.poll_timeout());
        self.due.into_iter().chain(slow).min()
    }

    fn lookup(&mut self, id: u64) -> Option<&mut Lookup> {
        let looking = self.looking.as_mut().filter(|looking| looking.id == id)?;
        Some(&mut looking.lookup)
    }
}

impl Peer {
    /// A link to a home is open: we ask it to register us.
    pub(super) const fn home_asked(&mut self) {
        self.registered.refusals = 0;
    }

    /// Our home says that our registration is kept; `is_first`: it has taken us in just now.
    pub(super) fn registration_kept(&mut self, now: Instant, is_first: bool) {
        self.registered.counter = self.registration_counter();
        self.registered.refusals = 0;
        if is_first {
            self.registered.lacks = 0;
            self.look_ourselves_up(now, SOON);
            self.look_once_more(now);
        }
    }

    /// It says something else, or nothing. Answers whether another is sought.
    pub(super) fn registration_not_kept(&mut self, now: Instant) -> bool {
        self.registered.refusals = self.registered.refusals.saturating_add(1);
        self.registered.refusals >= REFUSALS_MAX && self.leave_liar(now)
    }

    /// Some time from now, between so much and twice as much.
    fn look_ourselves_up(&mut self, now: Instant, after: Duration) {
        let jitter = self.entropy.jitter.below(after.as_millis() as u64 + 1);
        self.registered.looking = None;
        self.registered.due = Some(now + after + Duration::from_millis(jitter));
    }

    /// Begins a look-up, and looks on where answers are slow.
    pub(super) fn registered_due(&mut self, now: Instant) {
        if self.registered.due.take_if(|due| *due <= now).is_some() {
            self.begin_looking(now);
        }
        let Some(looking) = &mut self.registered.looking else { return };
        if looking.lookup.poll_timeout().is_some_and(|at| at <= now) {
            looking.lookup.handle_timeout(now);
            self.turn_looking(now);
        }
    }

    fn begin_looking(&mut self, now: Instant) {
        let Some((_, home)) = self.home_link() else { return };
        let starts = self.starts_besides(&home);
        let Some(session) = &self.session else { return };
        let key = session.address.user.ring_key();
        // A home that tells of nobody, while there are others, cuts us off as well.
        let is_alone = starts.is_empty();
        if is_alone && self.super_peers.len() > 1 && self.leave_liar(now) {
            return;
        }
        if self.is_restricted() || is_alone {
            return self.look_ourselves_up(now, AGAIN);
        }
        let id = self.registered.last + 1;
        self.registered.last = id;
        let lookup = Lookup::new(now, key, None, Near::Closer(starts));
        self.registered.looking = Some(Looking { id, home: home.node, lookup });
        self.turn_looking(now);
    }

    /// Does what the look-up wants, until it wants nothing.
    fn turn_looking(&mut self, now: Instant) {
        while let Some(looking) = &mut self.registered.looking {
            let (id, home, key) = (looking.id, looking.home, looking.lookup.key());
            let Some(order) = looking.lookup.poll() else { return };
            match order {
                Order::Nearest { to, width } => {
                    let question = Question::Nearest { key, width };
                    self.question(now, &to, About::NearUs(id, to.node), question.into());
                }
                Order::Fetch { to } if to.node == home => {
                    looking.lookup.handle_fetched(now, &home, Fetched::Failed);
                }
                Order::Fetch { to } => {
                    let Some(session) = &self.session else { return };
                    let find = Directory::Find { user: session.address.user.clone() };
                    self.question(now, &to, About::OurRecord(id, to.node), find.into());
                }
                Order::Done(outcome) => self.looked_ourselves_up(now, home, &outcome),
            }
        }
    }

    /// A node has said who is near our key, or was silent.
    pub(super) fn near_us_told(
        &mut self,
        now: Instant,
        id: u64,
        from: &NodeId,
        near: Option<Near>,
    ) {
        self.start_heard(now, from, near.is_some());
        let Some(lookup) = self.registered.lookup(id) else { return };
        lookup.handle_near(now, from, near);
        self.turn_looking(now);
    }

    /// A keeper has answered, or was silent.
    pub(super) fn our_record_told(
        &mut self,
        now: Instant,
        id: u64,
        from: &NodeId,
        answer: Option<&Directory>,
    ) {
        let Some(session) = &self.session else { return };
        let fetched = match answer {
            Some(Directory::Found { entries, .. }) => {
                ours(entries, &session.address, &session.vault.root, self.wall(now))
            }
            Some(Directory::NotHere { .. }) => Fetched::NotHere,
            Some(_) | None => Fetched::Failed,
        };
        let Some(lookup) = self.registered.lookup(id) else { return };
        lookup.handle_fetched(now, from, fetched);
        self.turn_looking(now);
    }

    fn looked_ourselves_up(&mut self, now: Instant, home: NodeId, outcome: &Outcome) {
        self.registered.looking = None;
        if !matches!(&self.home, Home::Linked(linked) if linked.node.node == home) {
            return;
        }
        match outcome.end {
            End::Found { counter, .. } if counter >= self.registered.counter => {
                self.registered.lacks = 0;
                self.look_ourselves_up(now, EVERY);
            }
            // Where nobody answers of whom it told, it may have made them up.
            End::Inconclusive if outcome.asked > 0 => self.look_ourselves_up(now, AGAIN),
            End::Found { .. } | End::NotFound | End::Placed | End::Inconclusive => {
                self.registered.lacks = self.registered.lacks.saturating_add(1);
                let is_first = self.registered.lacks < LACKS_MAX;
                if is_first || !self.leave_liar(now) {
                    self.attach(now);
                    self.look_ourselves_up(now, if is_first { SOON } else { AGAIN });
                }
            }
        }
    }

    /// Seeks another home, unless too many were left of late. Answers whether it does.
    fn leave_liar(&mut self, now: Instant) -> bool {
        let left = &mut self.registered.left;
        left.retain(|at| now.saturating_duration_since(*at) < HOUR);
        if left.len() >= LEFT_MAX {
            return false;
        }
        left.push_back(now);
        (self.registered.lacks, self.registered.refusals) = (0, 0);
        self.look_ourselves_up(now, AGAIN);
        self.move_away(now);
        true
    }
}

/// What a keeper holds of this device of ours: only what verifies counts.
fn ours(entries: &[Entry], device: &Address, root: &VerifyKey, wall: UnixTime) -> Fetched {
    let held = entries.iter().filter_map(|entry| {
        let checked = Checked::of_entry(entry, root, wall).ok()?;
        let (counter, is_late) = (checked.registration.counter, checked.is_late(wall));
        (checked.address == *device).then_some((counter, is_late))
    });
    Fetched::of_records(held).unwrap_or(Fetched::NotHere)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secure::registration::REGISTRATION_LIFE;
    use crate::secure::testing::{NOW, Network, entry};

    #[test]
    fn a_stale_forged_expired_or_replayed_registration_does_not_pass_for_ours() {
        let (mut network, mut other) = (Network::new(1), Network::new(2));
        let (alice, mallory) = (network.device("alice"), network.device("mallory"));
        let (second, stranger) = (network.device("alice"), other.device("alice"));
        let me = Address { user: alice.user.clone(), device: alice.id };
        let later = NOW.plus(REGISTRATION_LIFE);
        let root = network.root();
        let held = |wall, entries: &[Entry]| ours(entries, &me, &root, wall);
        let good = entry(&alice, &alice, 7, later);
        let found = |counter, is_late| Fetched::Held { counter, is_late };
        for (how, bad) in [
            ("forged", entry(&mallory, &alice, 8, later)),
            ("of another network", entry(&stranger, &stranger, 8, later)),
            ("of somebody else", entry(&mallory, &mallory, 8, later)),
            ("of another device of ours", entry(&second, &second, 8, later)),
            ("expired", entry(&alice, &alice, 8, NOW)),
            ("named for another device", Entry { device: mallory.id, ..good.clone() }),
        ] {
            assert_eq!(held(NOW, std::slice::from_ref(&bad)), Fetched::NotHere, "{how}");
            assert_eq!(held(NOW, &[bad, good.clone()]), found(7, false), "{how}, beside ours");
        }
        // A stale one, or one that is replayed, has its own counter: it is less than what is kept.
        assert_eq!(held(NOW, &[entry(&alice, &alice, 6, later)]), found(6, false));
        let almost = later.minus(Duration::from_secs(1));
        assert_eq!(held(almost, std::slice::from_ref(&good)), found(7, true));
        assert_eq!(held(NOW, &[]), Fetched::NotHere, "nothing");
    }
}
