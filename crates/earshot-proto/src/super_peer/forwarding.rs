//! Carrying sealed envelopes. Lecture, slide 32.
//!
//! An envelope reaches a device over the device's own link to its home. Who brings it there decides
//! the lecture's case: a visitor (second case), or another super-peer for its client (third case).

use std::time::Instant;

use crate::ids::UserName;
use crate::port::LinkId;
use crate::secure::links::Who;
use crate::wire::bounded::Bytes;
use crate::wire::forward::{Address, ENVELOPE_MAX, Forward, Undelivered};

use super::watching::Asked;
use super::watching::carried::Watch;
use super::watching::copies::Changes;
use super::{About, SuperPeer};

impl SuperPeer {
    pub(super) fn handle_forward(
        &mut self,
        now: Instant,
        link: LinkId,
        who: &Who,
        ask: u32,
        message: Forward,
    ) {
        match message {
            Forward::Deliver { to, sealed } => {
                match who {
                    Who::Node(_) => self.counters.from_super_peers += 1,
                    Who::Device { .. } if self.clients.get(&to).is_some() => {
                        self.counters.from_visitors += 1;
                    }
                    Who::Device { .. } => self.counters.to_visitors += 1,
                    Who::Guest(_) | Who::Authority => return self.not_allowed(now, link, ask),
                }
                self.deliver(now, link, ask, to, sealed);
            }
            Forward::ThroughYou { home, to, sealed } => {
                if !self.clients.has_link(link) {
                    return self.not_allowed(now, link, ask);
                }
                self.counters.through_us += 1;
                if home.node == self.ring.me().node {
                    return self.deliver(now, link, ask, to, sealed);
                }
                let out = self.link_to(now, &home);
                let about = About::Carry(link, ask, to.user.clone());
                self.ask(now, out, about, Forward::Deliver { to, sealed });
            }
            Forward::Watch { home, grant, watcher, watcher_home, subscription } => {
                let asked = Asked { home, grant, watcher, watcher_home, subscription };
                self.handle_watch(now, link, who, ask, asked);
            }
            Forward::Unwatch { who: watched, watcher } => {
                self.handle_unwatch(now, who, &Watch { watcher, watched });
            }
            Forward::Gone { who: watched, watcher, home: _ } => {
                if let Who::Node(entry) = who {
                    self.gone_elsewhere(now, entry, Watch { watcher, watched });
                }
            }
            Forward::Lost { who: watched, watcher, home: _ } => {
                if let Who::Node(entry) = who {
                    self.sent_elsewhere(now, entry, Watch { watcher, watched });
                }
            }
            Forward::Subscribers { anew, come, gone } => {
                let changes = Changes { anew, come, gone };
                self.handle_subscribers(now, link, who, ask, &changes);
            }
            Forward::HomeDead { home, subscription } => {
                if matches!(who, Who::Node(_)) {
                    self.doubt_home(now, &home, &subscription);
                }
            }
            Forward::Subscribed { subscription } => {
                self.handle_subscribed(now, link, who, ask, &subscription);
            }
            Forward::Delivered
            | Forward::Undelivered { .. }
            | Forward::Watching
            | Forward::Copied => {
                self.link_answered(now, link, ask, message);
            }
        }
    }

    fn deliver(
        &mut self,
        now: Instant,
        from: LinkId,
        ask: u32,
        to: Address,
        sealed: Bytes<ENVELOPE_MAX>,
    ) {
        let client = self.clients.get(&to).map(|client| client.link);
        let answer = match client.or_else(|| self.visitors.get(&to).copied()) {
            Some(link) => {
                let message = Forward::Deliver { to, sealed };
                self.links.send(now, link, 0, message);
                Forward::Delivered
            }
            None => Forward::Undelivered { reason: Undelivered::NotHere },
        };
        self.answer(now, from, ask, answer);
    }

    /// Something for a client was carried to another super-peer, and answered.
    pub(super) fn carried(
        &mut self,
        now: Instant,
        link: LinkId,
        ask: u32,
        user: &UserName,
        answer: Forward,
    ) {
        if matches!(answer, Forward::Undelivered { .. }) {
            self.lookups.forget(user);
        }
        self.answer(now, link, ask, answer);
    }

    /// It was not: where that user is, was told wrongly.
    pub(super) fn carry_failed(&mut self, now: Instant, link: LinkId, ask: u32, user: &UserName) {
        self.lookups.forget(user);
        let reason = Undelivered::HomeUnreachable;
        self.answer(now, link, ask, Forward::Undelivered { reason });
    }

    pub(super) fn not_allowed(&mut self, now: Instant, link: LinkId, ask: u32) {
        let reason = Undelivered::NotAllowed;
        self.answer(now, link, ask, Forward::Undelivered { reason });
    }
}
