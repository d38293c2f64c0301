//! What the world does with links and datagrams.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use earshot_proto::port::{
    Input, LinkDown, LinkEvent, LinkId, LinkOrder, RelayPortEvent, Service, Transmit,
};

use super::net::{Conn, DIAL_PATIENCE, End, MEDIA_MAX, Piece, QUEUE_MAX, Side};
use super::world::{ConnId, Event, MachineId, World};

impl World {
    pub(super) fn link_order(
        &mut self,
        id: MachineId,
        link: LinkId,
        order: LinkOrder,
        blind: bool,
    ) {
        match order {
            LinkOrder::Dial { to, service, .. } => {
                self.note(id, &format!("dials {to} for {service:?}"));
                self.dial(id, link, to, service);
            }
            LinkOrder::Bytes(bytes) => {
                self.note(id, &format!("{link:?} out {}", bytes.len()));
                self.machines[id.0].traffic += bytes.len() as u64;
                self.spy.looks_at(&bytes, blind, &self.machines[id.0].name, "a link");
                self.write(id, link, bytes);
            }
            LinkOrder::Media(bytes) => {
                self.note(id, &format!("{link:?} media {}", bytes.len()));
                if self.has_room_for_media(id, link, bytes.len()) {
                    self.machines[id.0].traffic += bytes.len() as u64;
                    self.spy.looks_at(&bytes, true, &self.machines[id.0].name, "relayed by TCP");
                    self.write(id, link, bytes);
                }
            }
            LinkOrder::Close => {
                self.note(id, &format!("closes {link:?}"));
                self.close(id, link, LinkDown::Closed);
            }
        }
    }

    fn dial(&mut self, id: MachineId, link: LinkId, to: SocketAddr, service: Service) {
        self.last_conn += 1;
        let conn = ConnId(self.last_conn);
        self.machine_mut(id).dials += 1;
        let life = self.machine(id).life;
        let dialler = End { machine: id, life, link, open: true };
        let pipes = [VecDeque::new(), VecDeque::new()];
        let (held, last) = ([0; 2], [Duration::ZERO; 2]);
        let listener = None;
        self.conns.insert(conn, Conn { to, service, dialler, listener, pipes, held, last });
        let before = self.machine_mut(id).links.insert(link, (conn, Side::Dialler));
        assert!(before.is_none(), "a link's number is used twice: {link:?}");
        match service {
            Service::Peer => self.straight_dials += 1,
            Service::Nearby => self.machine_mut(id).near_dials += 1,
            Service::Relay | Service::SuperPeer | Service::Authority => {}
        }
        let there = self.at_address(to);
        let after = there.map_or(Duration::ZERO, |there| self.one_way(id, there));
        self.later(after, Event::Dialled(conn));
    }

    /// Some machine of the host with that address.
    fn at_address(&self, address: SocketAddr) -> Option<MachineId> {
        let stands = |id: &MachineId| self.address_of(*id) == address;
        (0..self.machines.len()).map(MachineId).find(stands)
    }

    /// A dial has come to the other host.
    pub(super) fn dialled(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get(&id) else { return };
        let (to, service, from) = (conn.to, conn.service, conn.dialler.machine);
        let Some(any) = self.at_address(to) else { return self.unreachable(id) };
        let host = self.machine(any).host;
        let lets_in = self.hosts[host.0].nat.lets_in() || self.are_near(from, any);
        if self.are_cut(from, any) || !lets_in {
            return self.unreachable(id);
        }
        let back = self.one_way(any, from);
        let residents = (0..self.machines.len()).map(MachineId);
        let up: Vec<MachineId> = residents
            .filter(|r| self.machine(*r).host == host && self.machine(*r).role.is_some())
            .filter(|r| !self.machine(*r).blueprint.services().is_empty())
            .collect();
        if up.is_empty() {
            return self.push_piece(id, Side::Dialler, Piece::Down(LinkDown::Refused), back);
        }
        let (local, peer) = (self.address_of(from), self.address_of(from));
        self.push_piece(id, Side::Dialler, Piece::Connected { local }, back);
        // One port serves every role of a process: the preface says for whom it is.
        let serves = |r: &&MachineId| self.machine(**r).blueprint.services().contains(&service);
        let Some(listener) = up.iter().find(serves).copied() else {
            return self.push_piece(id, Side::Dialler, Piece::Down(LinkDown::Closed), back * 3);
        };
        let resident = self.machine_mut(listener);
        resident.accepted += 1;
        let link = LinkId::Accepted(resident.accepted);
        let life = resident.life;
        resident.links.insert(link, (id, Side::Listener));
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.listener = Some(End { machine: listener, life, link, open: true });
        }
        let accepted = Piece::Accepted { from: peer, service };
        self.push_piece(id, Side::Listener, accepted, back * 2);
        if self.conns.get(&id).is_some_and(|conn| !conn.dialler.open) {
            let gone = Piece::Down(LinkDown::Closed);
            self.push_piece(id, Side::Listener, gone, back * 2);
        }
    }

    fn unreachable(&mut self, id: ConnId) {
        self.push_piece(id, Side::Dialler, Piece::Down(LinkDown::Unreachable), DIAL_PATIENCE);
    }

    fn push_piece(&mut self, id: ConnId, to: Side, piece: Piece, after: Duration) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let side = to.index();
        let at = (self.now + after).max(conn.last[side]);
        conn.last[side] = at;
        conn.held[side] += piece.size();
        conn.pipes[side].push_back(piece);
        self.at(at, Event::Arrive(id, to));
    }

    fn has_room_for_media(&self, id: MachineId, link: LinkId, length: usize) -> bool {
        let known = self.machine(id).links.get(&link);
        let pipe = known.and_then(|(conn, side)| Some((self.conns.get(conn)?, side.other())));
        pipe.is_some_and(|(conn, to)| conn.held[to.index()] + length <= MEDIA_MAX)
    }

    fn write(&mut self, id: MachineId, link: LinkId, mut bytes: Vec<u8>) {
        let Some((conn, side)) = self.machine(id).links.get(&link).copied() else { return };
        let to = side.other();
        let Some(there) = self.conns.get(&conn).and_then(|c| c.end(to)).map(|e| e.machine) else {
            return;
        };
        if self.conns[&conn].held[to.index()] + bytes.len() > QUEUE_MAX {
            self.forget_link(id, link);
            self.push_piece(conn, to, Piece::Down(LinkDown::Broken), Duration::ZERO);
            return self.deliver_link(id, link, LinkEvent::Down(LinkDown::Overrun));
        }
        // Streams are cut anywhere: whoever reads must not care.
        while bytes.len() > 1 && self.lot.below(4) == 0 {
            let cut = 1 + self.lot.below(bytes.len() as u64 - 1) as usize;
            let rest = bytes.split_off(cut);
            let after = self.one_way(id, there);
            self.push_piece(conn, to, Piece::Bytes(std::mem::replace(&mut bytes, rest)), after);
        }
        let after = self.one_way(id, there);
        self.push_piece(conn, to, Piece::Bytes(bytes), after);
    }

    /// A machine closes its end, or dies with it.
    pub(super) fn close(&mut self, id: MachineId, link: LinkId, why: LinkDown) {
        let Some((conn, side)) = self.forget_link(id, link) else { return };
        let there = self.conns.get(&conn).and_then(|c| c.end(side.other())).map(|e| e.machine);
        if let Some(there) = there {
            let after = self.one_way(id, there);
            self.push_piece(conn, side.other(), Piece::Down(why), after);
        }
        self.tidy_conn(conn);
    }

    fn forget_link(&mut self, id: MachineId, link: LinkId) -> Option<(ConnId, Side)> {
        let (conn, side) = self.machine_mut(id).links.remove(&link)?;
        if let Some(end) = self.conns.get_mut(&conn).and_then(|c| c.end_mut(side)) {
            end.open = false;
        }
        Some((conn, side))
    }

    fn tidy_conn(&mut self, id: ConnId) {
        let over = self.conns.get(&id).is_some_and(|c| c.is_over() && c.listener.is_some());
        if over {
            self.conns.remove(&id);
        }
    }

    /// The next piece of a pipe has come to its end.
    pub(super) fn arrive(&mut self, id: ConnId, side: Side) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let (from, to) = (conn.end(side.other()).copied(), conn.end(side).copied());
        let Some(to) = to else { return };
        if from.is_some_and(|from| self.are_cut(from.machine, to.machine)) {
            // It stays in the pipe; the sender's stack repeats it until the way is free.
            return;
        }
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let Some(piece) = conn.pipes[side.index()].pop_front() else { return };
        conn.held[side.index()] -= piece.size();
        if !to.open || !self.is_alive(to.machine, to.life) {
            return self.nobody_there(id, side, from);
        }
        let (machine, link) = (to.machine, to.link);
        match piece {
            Piece::Connected { local } => {
                self.deliver_link(machine, link, LinkEvent::Connected { local });
            }
            Piece::Accepted { from, service } => {
                self.deliver_link(machine, link, LinkEvent::Accepted { from, service });
            }
            Piece::Bytes(bytes) => self.deliver_link(machine, link, LinkEvent::Bytes(&bytes)),
            Piece::Down(why) => {
                self.forget_link(machine, link);
                self.tidy_conn(id);
                self.deliver_link(machine, link, LinkEvent::Down(why));
            }
        }
    }

    /// What comes to an end that is closed breaks the other one.
    fn nobody_there(&mut self, id: ConnId, side: Side, from: Option<End>) {
        let Some(from) = from.filter(|from| from.open) else { return self.tidy_conn(id) };
        let Some(to) = self.conns.get(&id).and_then(|c| c.end(side)).map(|e| e.machine) else {
            return;
        };
        let after = self.one_way(to, from.machine);
        let pipe = &self.conns[&id].pipes[side.other().index()];
        if !pipe.iter().any(|piece| matches!(piece, Piece::Down(_))) {
            self.push_piece(id, side.other(), Piece::Down(LinkDown::Broken), after);
        }
    }

    /// The way between hosts is free again: what was held comes, in order.
    pub(super) fn resume_pipes(&mut self) {
        let held: Vec<(ConnId, Side, usize)> = self
            .conns
            .iter()
            .flat_map(|(id, conn)| {
                let count = |side: Side| (*id, side, conn.pipes[side.index()].len());
                [count(Side::Dialler), count(Side::Listener)]
            })
            .collect();
        for (id, side, count) in held {
            for _ in 0..count {
                self.later(Duration::from_millis(200), Event::Arrive(id, side));
            }
        }
    }

    pub(super) fn send_datagram(&mut self, id: MachineId, transmit: Transmit, blind: bool) {
        let Transmit { to, bytes } = transmit;
        self.note(id, &format!("datagram to {to} {}", bytes.len()));
        self.spy.looks_at(&bytes, blind, &self.machines[id.0].name, "a datagram");
        let from = self.address_of(id);
        self.carry_datagram(id, from, to, bytes);
    }

    pub(super) fn carry_datagram(
        &mut self,
        id: MachineId,
        from: SocketAddr,
        to: SocketAddr,
        bytes: Vec<u8>,
    ) {
        self.machines[id.0].traffic += bytes.len() as u64;
        let lost = self.lot.below(100) < self.datagram_loss;
        if lost || !self.nat_of(id).lets_udp_out() {
            return;
        }
        let there = self.udp_at(to);
        let Some(there) = there.filter(|there| !self.are_cut(id, *there)) else { return };
        let after = self.one_way(id, there);
        self.later(after, Event::Datagram { from, to, bytes });
    }

    fn udp_at(&self, to: SocketAddr) -> Option<MachineId> {
        let takes = |id: &MachineId| {
            let resident = self.machine(*id);
            self.address_of(*id) == to || resident.relay_ports.values().any(|port| *port == to)
        };
        (0..self.machines.len()).map(MachineId).find(takes)
    }

    pub(super) fn datagram_arrives(&mut self, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let word = format!("datagram {}", bytes.len());
        let machines = (0..self.machines.len()).map(MachineId);
        let at: Vec<MachineId> = machines.filter(|id| self.address_of(*id) == to).collect();
        for id in at {
            self.machines[id.0].traffic += bytes.len() as u64;
            self.give(id, &word, Input::Datagram { from, bytes });
        }
        let ports = self.machines.iter().enumerate().flat_map(|(id, resident)| {
            let ports = resident.relay_ports.iter().filter(|(_, address)| **address == to);
            ports.map(move |(port, _)| (MachineId(id), *port))
        });
        let ports: Vec<_> = ports.collect();
        for (id, port) in ports {
            let event = RelayPortEvent::Datagram { from, bytes };
            self.give(id, &word, Input::RelayPort(port, event));
        }
    }
}
