//! All that a machine's outputs go to, for all machines of the process.
//!
//! Invariant: nothing here waits, and nothing calls a machine: answers come back through the loop.

use earshot_proto::port::{
    LinkId, LinkOrder, PathId, PathOrder, RelayPortId, RelayPortOrder, Transmit,
};
use tokio::sync::mpsc;

use crate::datagrams::Datagrams;
use crate::driver::news::{LinkNews, News, ResidentId};
use crate::links::Links;
use crate::neighbourhood::Neighbourhood;
use crate::paths::{OpenPaths, Paths};
use crate::relay_ports::RelayPorts;

/// The process's ends towards the world.
pub(crate) struct Ports {
    pub(crate) datagrams: Datagrams,
    pub(crate) links: Links,
    pub(crate) relay_ports: RelayPorts,
    pub(crate) paths: Paths,
    pub(crate) neighbourhood: Neighbourhood,
    pub(crate) answers: mpsc::UnboundedSender<News>,
}

impl Ports {
    pub(crate) fn send(&mut self, transmit: Transmit) {
        self.datagrams.send(transmit);
    }

    pub(crate) fn link(&mut self, who: ResidentId, id: LinkId, order: LinkOrder) {
        if let Some(down) = self.links.order(who, id, order) {
            let _ = self.answers.send(News::Link(who, id, LinkNews::Down(down)));
        }
    }

    pub(crate) fn path(&mut self, who: ResidentId, id: PathId, order: PathOrder) {
        self.paths.order(who, id, order);
    }

    pub(crate) fn relay_port(&mut self, who: ResidentId, id: RelayPortId, order: RelayPortOrder) {
        self.relay_ports.order(who, id, order);
    }

    /// Ends a turn of the loop: what was ordered leaves.
    pub(crate) fn flush(&mut self) {
        self.relay_ports.flush();
        self.datagrams.flush();
    }

    /// The paths of one machine, for its voice.
    pub(crate) fn paths(&self, who: ResidentId) -> OpenPaths<'_> {
        self.paths.open_of(who)
    }

    /// Where answers to our own asking go. Not bounded: there is one for each thing that was asked.
    pub(crate) fn answers(&self) -> mpsc::UnboundedSender<News> {
        self.answers.clone()
    }

    /// Lets go of all that a leaving machine holds.
    pub(crate) fn release(&mut self, who: ResidentId) {
        self.links.close_all_of(who);
        self.relay_ports.close_all_of(who);
        self.paths.close_all_of(who);
        self.neighbourhood.leave(who);
    }
}
