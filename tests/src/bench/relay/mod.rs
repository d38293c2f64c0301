//! `bench relay`: our relay and coturn's under the same load, side by side, in turns.
//!
//! Source: the figures to reach: at most coturn's processor time for each packet and half its
//! memory for each allocation; DESIGN 2.12 (answers to strangers). What each figure means is said
//! in `docs/figures.md`.

mod client;
mod load;
mod server;

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use stun_rs::methods;

use self::client::{Client, unproven};
use self::load::{CALL_PER_S, CHANNEL, Came, Ears, Flow, PAYLOAD, echo};
use self::server::Server;
use super::limit::Limit;
use super::{Stop, proc, step};
use crate::report::Report;

/// Allocations that carry the load: fifty calls through one relay.
const CLIENTS: usize = 100;
/// Rounds of each server and way, in turns.
const ROUNDS: usize = 3;
/// One of them.
const ROUND: Duration = Duration::from_secs(6);
/// Allocations whose memory is measured.
const ALLOCATIONS: usize = 500;
/// Questions without credentials, …
const UNPROVEN: u64 = 100_000;
/// … so many a second, …
const UNPROVEN_PER_S: u32 = 20_000;
/// … from so many addresses.
const STRANGERS: u8 = 250;
/// More is no longer the same quality.
const LOSS_PCT_MAX: f64 = 0.1;
/// For how long each rate is tried, and by how much it grows.
const TRIAL: Duration = Duration::from_secs(2);
const GROWTH: f64 = 1.25;

const CPU: Limit = Limit::at_most("relay.cpu_per_packet_vs_coturn", 1.0);
const MEMORY: Limit = Limit::at_most("relay.memory_per_allocation_vs_coturn", 0.5);
const DELAY: Limit = Limit::at_most("relay.added_delay_ms_p99", 20.0);
const UNPROVEN_MEMORY: Limit = Limit::at_most("relay.bytes_per_unauthenticated_packet", 8.0);
const AMPLIFICATION: Limit = Limit::at_most("relay.amplification", 3.0);
/// What is checked, in its order.
pub(super) const LIMITS: [Limit; 5] = [CPU, MEMORY, DELAY, UNPROVEN_MEMORY, AMPLIFICATION];

/// Which way the load goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// To a peer of its own address, and back.
    Echo,
    /// From one client of the relay to another.
    Pair,
}

impl Way {
    const ALL: [Self; 2] = [Self::Echo, Self::Pair];

    const fn text(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Pair => "pair",
        }
    }

    /// How often the relay passes on a message.
    const fn passes(self) -> f64 {
        2.0
    }
}

/// Allocations with the load over them.
struct Load {
    clients: Vec<Client>,
    flows: Vec<Flow>,
    ears: Ears,
}

/// What one round came to.
struct Round {
    came: Came,
    cpu_us: f64,
}

/// Measures it.
pub(super) fn run<W: Write>(out: &Path, report: &mut Report<W>) -> Result<(), Stop> {
    let servers = step(report, "relay.start", || {
        let coturn = [Server::coturn(out, Some("1"))?, Server::coturn(out, None)?];
        let [one, many] = coturn;
        Ok([Server::ours(out)?, one, many])
    })?;
    let base = Instant::now();
    let mut samples = String::new();
    let amplified = amplification(&servers[0])?;
    report.figure(AMPLIFICATION.name(), amplified, "ratio", &[("server", "earshot")]);
    let memory = step(report, "relay.memory", || {
        servers.iter().map(allocation_bytes).collect::<Result<Vec<_>, _>>()
    })?;
    let direct = direct(base)?;
    let mut cpu = [[0.0; 2]; 3];
    let mut p99 = f64::NAN;
    for (at, way) in Way::ALL.into_iter().enumerate() {
        let mut loads = servers
            .iter()
            .map(|server| Load::over(server, way, base))
            .collect::<Result<Vec<_>, _>>()?;
        let mut rounds: Vec<Vec<Round>> = servers.iter().map(|_| Vec::new()).collect();
        step(report, &format!("relay.{}", way.text()), || {
            for _ in 0..ROUNDS {
                for (load, (server, rounds)) in loads.iter().zip(servers.iter().zip(&mut rounds)) {
                    rounds.push(load.round(server, CALL_PER_S, ROUND)?);
                }
            }
            Ok(())
        })?;
        for ((server, rounds), cpu) in servers.iter().zip(&rounds).zip(&mut cpu) {
            cpu[at] = tell_rounds(server, way, rounds, &direct, report, &mut samples);
            if server.name == "earshot" && way == Way::Echo {
                p99 = added(rounds, &direct, 0.99);
            }
        }
        for (server, load) in servers.iter().zip(&loads) {
            let most = step(report, &format!("relay.most.{}", server.name), || load.most(server))?;
            let with = [("server", server.name), ("way", way.text())];
            report.figure("relay.packets_per_s", most, "packets/s", &with);
        }
        loads.drain(..).try_for_each(Load::end)?;
    }
    let kept = step(report, "relay.unproven", || {
        servers.iter().map(bytes_per_stranger).collect::<Result<Vec<_>, _>>()
    })?;
    std::fs::write(out.join("relay.jsonl"), samples).map_err(Stop::failed)?;
    for ((server, memory), (kept, flooded)) in servers.iter().zip(&memory).zip(&kept) {
        let with = [("server", server.name)];
        report.figure("relay.memory_per_allocation", *memory, "bytes", &with);
        report.figure("relay.unauthenticated_packet", *kept, "bytes", &with);
        report.figure("relay.amplification_in_flood", *flooded, "ratio", &with);
    }
    let [ours, coturn, many] = cpu;
    for (at, way) in Way::ALL.into_iter().enumerate() {
        for (threads, theirs) in [("1", coturn[at]), ("default", many[at])] {
            let with = [("way", way.text()), ("threads", threads)];
            report.figure(CPU.name(), ours[at] / theirs, "ratio", &with);
        }
    }
    report.figure(MEMORY.name(), memory[0] / memory[1], "ratio", &[]);
    report.figure(DELAY.name(), p99, "ms", &[("way", "echo")]);
    report.figure(UNPROVEN_MEMORY.name(), kept[0].0, "bytes", &[]);
    let worst = (0..2).flat_map(|at| [ours[at] / coturn[at], ours[at] / many[at]]);
    CPU.check(report, worst.reduce(f64::max));
    MEMORY.check(report, Some(memory[0] / memory[1]));
    DELAY.check(report, Some(p99));
    UNPROVEN_MEMORY.check(report, Some(kept[0].0));
    AMPLIFICATION.check(report, Some(amplified));
    servers.into_iter().try_for_each(Server::stop)
}

impl Load {
    fn over(server: &Server, way: Way, base: Instant) -> Result<Self, Stop> {
        let mut clients = allocate(server, CLIENTS)?;
        let peer = echo()?;
        let relayed: Vec<SocketAddr> = clients.iter().map(|client| client.relayed).collect();
        for (at, client) in clients.iter_mut().enumerate() {
            // Two by two.
            let peer = if way == Way::Pair { relayed[at ^ 1] } else { peer };
            client.bind(CHANNEL, peer)?;
        }
        let copies = || clients.iter().map(|client| client.socket.try_clone());
        let sockets = copies().collect::<Result<Vec<_>, _>>().map_err(Stop::failed)?;
        let flows = copies().map(|from| Ok(Flow { from: from?, framed: true }));
        let flows = flows.collect::<std::io::Result<Vec<_>>>().map_err(Stop::failed)?;
        Ok(Self { clients, flows, ears: Ears::open(sockets, base)? })
    }

    fn round(&self, server: &Server, per_s: f64, time: Duration) -> Result<Round, Stop> {
        let before = proc::cpu_ms(server.pid());
        let came = self.ears.hear(&self.flows, per_s, time)?;
        let cpu_us = (proc::cpu_ms(server.pid()) - before) as f64 * 1000.0;
        Ok(Round { came, cpu_us })
    }

    /// The highest rate in messages a second at which no more than [`LOSS_PCT_MAX`] is lost.
    fn most(&self, server: &Server) -> Result<f64, Stop> {
        let (mut per_s, mut most) = (CALL_PER_S, 0.0_f64);
        loop {
            let came = self.round(server, per_s, TRIAL)?.came;
            // A sender that cannot keep up says nothing of the relay.
            let kept_up = came.took < TRIAL.mul_f64(1.02);
            if came.loss_pct() > LOSS_PCT_MAX {
                return Ok(most);
            }
            most = most.max(came.sent_per_s());
            if !kept_up {
                return Ok(most);
            }
            per_s *= GROWTH;
        }
    }

    fn end(self) -> Result<(), Stop> {
        let Self { clients, flows, ears } = self;
        drop((flows, ears));
        for client in clients {
            client.socket.set_nonblocking(false).map_err(Stop::failed)?;
            client.release()?;
        }
        Ok(())
    }
}

fn allocate(server: &Server, count: usize) -> Result<Vec<Client>, Stop> {
    let accounts = server.accounts.iter().cycle();
    accounts.take(count).map(|account| Client::allocate(server.address, account)).collect()
}

/// The same load from socket to socket, without a relay.
fn direct(base: Instant) -> Result<Came, Stop> {
    let peer = echo()?;
    let open = |_| -> std::io::Result<UdpSocket> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(peer)?;
        Ok(socket)
    };
    let sockets = (0..CLIENTS).map(open).collect::<Result<Vec<_>, _>>().map_err(Stop::failed)?;
    let flows = sockets.iter().map(|from| Ok(Flow { from: from.try_clone()?, framed: false }));
    let flows = flows.collect::<std::io::Result<Vec<_>>>().map_err(Stop::failed)?;
    Ears::open(sockets, base)?.hear(&flows, CALL_PER_S, ROUND)
}

/// Tells what one server's rounds of one way came to; gives processor time for each packet.
fn tell_rounds<W: Write>(
    server: &Server,
    way: Way,
    rounds: &[Round],
    direct: &Came,
    report: &mut Report<W>,
    samples: &mut String,
) -> f64 {
    for round in rounds {
        let sample = json!({
            "server": server.name,
            "way": way.text(),
            "cpuUs": round.cpu_us,
            "sent": round.came.sent,
            "received": round.came.received,
            "delayMsP50": round.came.delay_ms(0.5),
            "delayMsP99": round.came.delay_ms(0.99),
        });
        samples.push_str(&format!("{sample}\n"));
    }
    let packets: f64 = rounds.iter().map(|round| round.came.received as f64 * way.passes()).sum();
    let cpu_us = rounds.iter().map(|round| round.cpu_us).sum::<f64>() / packets.max(1.0);
    let payload = PAYLOAD.to_string();
    let with = [("server", server.name), ("way", way.text()), ("bytes", &payload)];
    report.figure("relay.cpu_us_per_packet", cpu_us, "us", &with);
    let (sent, received) = rounds.iter().fold((0, 0), |(sent, received), round| {
        (sent + round.came.sent, received + round.came.received)
    });
    let lost = 100.0 * (sent - received) as f64 / sent.max(1) as f64;
    report.figure("relay.loss_pct", lost, "pct", &with);
    for (name, share) in [("relay.delay_ms_p50", 0.5), ("relay.delay_ms_p99", 0.99)] {
        report.figure(name, added(rounds, direct, share), "ms", &with);
    }
    cpu_us
}

/// Delay that the relay adds: of the median round, less the median without a relay.
fn added(rounds: &[Round], direct: &Came, share: f64) -> f64 {
    let mut delays: Vec<f64> = rounds.iter().map(|round| round.came.delay_ms(share)).collect();
    delays.sort_by(f64::total_cmp);
    delays[delays.len() / 2] - direct.delay_ms(0.5)
}

/// Memory for each allocation with one channel.
fn allocation_bytes(server: &Server) -> Result<f64, Stop> {
    let peer = echo()?;
    // What is allocated once for all is there before.
    for client in allocate(server, 2)? {
        client.release()?;
    }
    let memory = || proc::rss_anon_kib(server.pid()).map_err(Stop::failed);
    let before = memory()?;
    let mut clients = allocate(server, ALLOCATIONS)?;
    clients.iter_mut().try_for_each(|client| client.bind(CHANNEL, peer))?;
    let grown = memory()?.saturating_sub(before);
    clients.into_iter().try_for_each(Client::release)?;
    Ok(grown as f64 * 1024.0 / ALLOCATIONS as f64)
}

/// Memory kept for each Allocate without credentials, and how many bytes came back for each sent.
fn bytes_per_stranger(server: &Server) -> Result<(f64, f64), Stop> {
    let sockets = (1..=STRANGERS).map(|host| UdpSocket::bind((Ipv4Addr::new(127, 0, 1, host), 0)));
    let sockets = sockets.collect::<Result<Vec<_>, _>>().map_err(Stop::failed)?;
    for socket in &sockets {
        socket.set_nonblocking(true).map_err(Stop::failed)?;
    }
    let before = proc::rss_anon_kib(server.pid()).map_err(Stop::failed)?;
    let begun = Instant::now();
    let (mut sent, mut heard) = (0, 0);
    let mut buffer = [0; client::ROOM];
    for (number, socket) in (0..UNPROVEN).zip(sockets.iter().cycle()) {
        let due = Duration::from_secs(number) / UNPROVEN_PER_S;
        let early = due.saturating_sub(begun.elapsed());
        if !early.is_zero() {
            std::thread::park_timeout(early);
        }
        let question = unproven(methods::ALLOCATE, number, true);
        sent += socket.send_to(&question, server.address).unwrap_or(0);
        while let Ok(length) = socket.recv(&mut buffer) {
            heard += length;
        }
    }
    let kept = proc::rss_anon_kib(server.pid()).map_err(Stop::failed)?.saturating_sub(before);
    Ok((kept as f64 * 1024.0 / UNPROVEN as f64, heard as f64 / sent.max(1) as f64))
}

/// The longest answer to a question of an address that has proven nothing, over the question.
fn amplification(server: &Server) -> Result<f64, Stop> {
    let questions = [
        (methods::BINDING, false),
        (methods::ALLOCATE, false),
        (methods::ALLOCATE, true),
        (methods::REFRESH, false),
        (methods::CHANNEL_BIND, false),
        (methods::CREATE_PERMMISSION, false),
    ];
    let mut worst = 0.0_f64;
    for (host, (method, with_transport)) in (1..).zip(questions) {
        let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 2, host), 0)).map_err(Stop::failed)?;
        socket.set_read_timeout(Some(Duration::from_secs(2))).map_err(Stop::failed)?;
        let question = unproven(method, 1, with_transport);
        socket.send_to(&question, server.address).map_err(Stop::failed)?;
        let mut buffer = [0; client::ROOM];
        let length = socket.recv(&mut buffer).map_err(Stop::failed)?;
        worst = worst.max(length as f64 / question.len() as f64);
    }
    Ok(worst)
}
