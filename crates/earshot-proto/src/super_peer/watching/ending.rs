//! The ends of watches: a watcher has left, has another home by now, or wants no more. DESIGN 2.6.
//!
//! Its home says so to the home of the watched, over the link between the two that is held as long
//! as somebody watches there. So where that link ends, all watches over it end on both sides: of
//! what a crash leaves behind nothing is held longer than the link's silence is borne (14 s).
//!
//! Invariants: only the home from which a device is watched ends the watch; a watcher that has come
//! to us from elsewhere is not unwatched by the home that it left.

use std::time::Instant;

use crate::ids::NodeId;
use crate::port::LinkId;
use crate::secure::links::Who;
use crate::wire::directory::NodeEntry;
use crate::wire::forward::{Address, Forward, Undelivered};

use super::super::SuperPeer;
use super::carried::Watch;

impl SuperPeer {
    /// A client of ours, or the home of a watcher, ends a watch.
    pub(in super::super) fn handle_unwatch(&mut self, now: Instant, who: &Who, watch: &Watch) {
        let me = self.ring.me().node;
        match who {
            Who::Device { .. } if who.is_device(&watch.watcher) => {
                self.end_carried(now, watch);
                self.clients.unwatch(&watch.watched, &watch.watcher, &me);
            }
            Who::Node(home) => {
                if self.clients.unwatch(&watch.watched, &watch.watcher, &home.node) {
                    self.watching.changed(now);
                }
            }
            Who::Device { .. } | Who::Guest(_) | Who::Authority => {}
        }
    }

    /// The home of the watched has answered a client's watch. If it does not note it, nor do we.
    pub(in super::super) fn watch_carried(
        &mut self,
        now: Instant,
        link: LinkId,
        ask: u32,
        (watch, home): &(Watch, NodeId),
        answer: Forward,
    ) {
        let is_not = matches!(
            answer,
            Forward::Undelivered { reason: Undelivered::NotHere | Undelivered::NotAllowed }
        );
        if is_not && self.watching.carried.home_of(watch).is_some_and(|at| at.node == *home) {
            self.watching.carried.end(watch);
        }
        self.carried(now, link, ask, &watch.watched.user, answer);
    }

    /// A watch of a client's is over, wherever it was.
    pub(super) fn end_carried(&mut self, now: Instant, watch: &Watch) {
        if let Some(home) = self.watching.carried.end(watch) {
            let Watch { watcher, watched } = watch.clone();
            self.say_ended(now, &home, watched, watcher);
        }
    }

    /// A client has left: nobody is to be told anything for it.
    pub(super) fn watcher_left(&mut self, now: Instant, watcher: &Address) {
        for (watched, home) in self.watching.carried.watcher_left(watcher) {
            self.say_ended(now, &home, watched, watcher.clone());
        }
        self.clients.watcher_left(watcher, &self.ring.me().node);
    }

    /// Over the link that there is: where there is none, the watch has ended with it.
    fn say_ended(&mut self, now: Instant, home: &NodeEntry, who: Address, watcher: Address) {
        if let Some(link) = self.contacts.road(&home.node, now) {
            self.links.send(now, link, 0, Forward::Unwatch { who, watcher });
        }
    }

    /// There is no link to a super-peer any more: what its clients watched here has ended.
    pub(super) fn watchers_lost(&mut self, now: Instant, home: &NodeId) {
        if self.clients.watchers_lost(home) {
            self.watching.changed(now);
        }
    }
}
