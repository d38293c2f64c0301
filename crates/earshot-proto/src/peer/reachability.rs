//! How others can reach us: the verdict that buddies are told, and that calls go by. DESIGN 2.12.
//!
//! Our home dials back as soon as it is our home, and its word is taken at once; whether it is so,
//! several super-peers say soon after, and again from time to time (the test of `reach`).
//! Who was reached stays *Public* until two tests in a row deny it, in whatever homes it was
//! meanwhile; and a home whose word was denied so is not taken at its word again. Below that it
//! is only seen whether datagrams come back. Invariants: a verdict has a date; it holds for one
//! network, and is forgotten in another; what the tests say goes before what a home says.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::port::MappedPort;
use crate::time::UnixTime;
use crate::wire::directory::Reachability;
use crate::wire::nat::Nat;

use super::Peer;
use super::asking::About;
use super::home::Home;
use super::reach::{DialResult, Verdict};

/// A super-peer dials back for one device once in so long (DESIGN 2.12), and we ask a little later.
const DIAL_BACK_EVERY: Duration = Duration::from_secs(11);
/// When several super-peers are asked about what our home said, at the earliest, and the lot on
/// top. Our choice: after a great outage everybody comes home within a minute, and super-peers have
/// more urgent things to do.
const CONFIRM_AFTER: Duration = Duration::from_secs(60);
const CONFIRM_LOT: Duration = Duration::from_secs(4 * 60);
/// How old a verdict becomes before it is tested again, and the lot on top. Our choice: routers
/// change seldom, and the day's tests cost a tenth of what an idle peer may send.
const TEST_EVERY: Duration = Duration::from_secs(4 * 60 * 60);
const TEST_LOT: Duration = Duration::from_secs(30 * 60);
const NO_LOT: Duration = Duration::ZERO;
/// Tests in a row that deny what was so before it is believed no more.
const DENIALS: u32 = 2;

/// Who is asked next to dial back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whom {
    Home,
    Several,
}

/// What is believed of our reachability.
#[derive(Debug, Default)]
pub(super) struct Believed {
    /// The verdict, and when it was found or last confirmed.
    verdict: Option<(Reachability, UnixTime)>,
    /// Where others reach us directly, when they can.
    direct: Option<SocketAddr>,
    /// Where a router forwards to our main port, if one does.
    mapped: Option<SocketAddr>,
    /// Whether datagrams of ours were answered.
    udp_works: Option<bool>,
    /// Tests in a row that denied it.
    denials: u32,
    /// A home's word was denied: it alone does not count any more.
    is_doubted: bool,
    next: Option<(Instant, Whom)>,
}

impl Believed {
    /// The verdict, and when it was found or last confirmed.
    pub(super) const fn verdict(&self) -> Option<(Reachability, UnixTime)> {
        self.verdict
    }

    /// Where others reach us directly, when they can.
    pub(super) const fn direct(&self) -> Option<SocketAddr> {
        self.direct
    }

    pub(super) const fn mapped(&self) -> Option<SocketAddr> {
        self.mapped
    }

    /// When somebody is asked to dial back.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.next.map(|(at, _)| at)
    }

    fn what(&self) -> Option<Reachability> {
        self.verdict.map(|(verdict, _)| verdict)
    }

    fn is_public(&self) -> bool {
        self.what() == Some(Reachability::Public)
    }

    /// What is left where nobody gets through to us.
    fn below(&self) -> Option<Reachability> {
        let verdict = |works| if works { Reachability::Natted } else { Reachability::Restricted };
        self.udp_works.map(verdict)
    }
}

impl Peer {
    /// How we can be reached, where that is known, or pretended.
    pub(super) fn reachability(&self) -> Option<Reachability> {
        self.believed.what().or(self.config.pretend)
    }

    /// Whether datagrams are known to come back.
    pub(super) fn datagrams_work(&self) -> bool {
        let pretended = self.config.pretend.map(|pretended| pretended != Reachability::Restricted);
        pretended.or(self.believed.udp_works) == Some(true)
    }

    /// The port that others find us at: ours, or the one that a router forwards to it.
    pub(super) fn outward_port(&self) -> u16 {
        self.believed.mapped.map_or(self.config.listen_port, |mapped| mapped.port())
    }

    /// Has our home dial back.
    pub(super) fn ask_dial_back(&mut self, now: Instant) {
        self.believed.next = None;
        let port = self.outward_port();
        let is_asked = port != 0 && self.is_dialled();
        if let Some((link, _)) = self.home_link().filter(|_| is_asked) {
            // Unless its answer says otherwise.
            self.plan(now, Whom::Home, TEST_EVERY, TEST_LOT);
            self.ask(now, link, About::DialBack, Nat::DialBack { port, token: None });
        }
    }

    /// Whether what others find when they dial counts.
    const fn is_dialled(&self) -> bool {
        matches!(self.config.pretend, Some(Reachability::Public) | None)
    }

    /// The same as soon as it does so again.
    pub(super) fn dial_back_again(&mut self, now: Instant) {
        self.plan(now, Whom::Home, DIAL_BACK_EVERY, NO_LOT);
    }

    /// Our home has tried to connect to us.
    pub(super) fn dialled_back(&mut self, now: Instant, reached: bool, tried: SocketAddr) {
        if !matches!(self.home, Home::Linked(_)) {
            return;
        }
        match (reached, self.believed.is_public()) {
            (true, false) if self.believed.is_doubted => {
                self.plan(now, Whom::Several, DIAL_BACK_EVERY, NO_LOT);
            }
            (true, _) => {
                self.plan(now, Whom::Several, CONFIRM_AFTER, CONFIRM_LOT);
                self.conclude(now, Some(Reachability::Public), Some(tried));
            }
            (false, true) => self.plan(now, Whom::Several, DIAL_BACK_EVERY, NO_LOT),
            (false, false) => self.plan(now, Whom::Home, TEST_EVERY, TEST_LOT),
        }
    }

    /// Several super-peers have dialled back, or could not.
    pub(super) fn several_told(&mut self, now: Instant, verdicts: &[Verdict]) {
        if !self.is_dialled() {
            return;
        }
        let mut reached: BTreeMap<SocketAddr, usize> = BTreeMap::new();
        let mut denied = 0;
        for verdict in verdicts {
            match (verdict.tcp, verdict.tried) {
                (DialResult::Reached, Some(tried)) => *reached.entry(tried).or_default() += 1,
                (DialResult::Refused | DialResult::Silent, _) => denied += 1,
                (DialResult::TooSoon | DialResult::PortRefused | DialResult::NotAsked, _)
                | (DialResult::Reached, None) => {}
            }
        }
        let (yes, was) = (reached.values().sum::<usize>(), self.believed.is_public());
        let of_old = self.believed.direct.filter(|direct| reached.contains_key(direct));
        let most_named = reached.into_iter().max_by_key(|(_, times)| *times);
        match (yes.cmp(&denied), was) {
            (Ordering::Greater, _) => {
                (self.believed.denials, self.believed.is_doubted) = (0, false);
                self.plan(now, Whom::Several, TEST_EVERY, TEST_LOT);
                let direct = of_old.or(most_named.map(|(tried, _)| tried));
                self.conclude(now, Some(Reachability::Public), direct);
            }
            (Ordering::Less, true) if self.believed.denials + 1 < DENIALS => {
                self.believed.denials += 1;
                self.plan(now, Whom::Several, DIAL_BACK_EVERY, NO_LOT);
            }
            (Ordering::Less, true) => {
                (self.believed.denials, self.believed.is_doubted) = (0, true);
                self.plan(now, Whom::Home, TEST_EVERY, TEST_LOT);
                let below = self.believed.below();
                self.conclude(now, below, None);
            }
            // Not of one accord, or nobody said anything: what was so is so.
            (Ordering::Equal, true) => self.plan(now, Whom::Several, CONFIRM_AFTER, CONFIRM_LOT),
            (Ordering::Equal | Ordering::Less, false) => {
                self.plan(now, Whom::Home, TEST_EVERY, TEST_LOT);
            }
        }
    }

    /// Notes whether datagrams come back; a peer that can be dialled is Public whatever they do.
    pub(super) fn udp_tested(&mut self, now: Instant, answered: bool) {
        self.believed.udp_works = Some(answered);
        if !self.believed.is_public() {
            let below = self.believed.below();
            self.conclude(now, below, None);
        }
    }

    /// A router forwards to a port of ours, or does not any more.
    pub(super) fn mapped(&mut self, now: Instant, port: MappedPort, address: Option<SocketAddr>) {
        match port {
            MappedPort::Main => {
                if std::mem::replace(&mut self.believed.mapped, address) != address {
                    self.dial_back_again(now);
                    self.tell_network();
                }
            }
            MappedPort::Sound if address.is_some() => self.sound_mapped(now),
            // Who talks over that port hears it from the path.
            MappedPort::Sound => {}
        }
    }

    /// We are in another network: nothing that was found out holds there.
    pub(super) fn forget_reachability(&mut self) {
        let Believed { mapped, .. } = self.believed;
        self.believed = Believed { mapped, ..Believed::default() };
    }

    pub(super) fn reachability_due(&mut self, now: Instant) {
        match self.believed.next.take_if(|(at, _)| *at <= now) {
            Some((_, Whom::Home)) => self.ask_dial_back(now),
            Some((_, Whom::Several)) => self.confirm_reach(now),
            None => {}
        }
    }

    /// Takes the verdict; where it is another one, buddies, keepers and calls are told.
    fn conclude(
        &mut self,
        now: Instant,
        verdict: Option<Reachability>,
        direct: Option<SocketAddr>,
    ) {
        let at = self.wall(now);
        let before = (self.believed.what(), self.believed.direct);
        self.believed.verdict = verdict.map(|verdict| (verdict, at));
        self.believed.direct = direct;
        if before != (verdict, direct) {
            self.attach(now);
            self.surroundings_changed(now);
            self.tell_presence_to_all(now);
            self.tell_network();
        }
    }

    fn plan(&mut self, now: Instant, whom: Whom, least: Duration, lot: Duration) {
        let lot = self.entropy.jitter.below(lot.as_millis() as u64 + 1);
        self.believed.next = Some((now + least + Duration::from_millis(lot), whom));
    }
}
