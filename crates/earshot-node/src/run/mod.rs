//! The roles of `earshotd`: from a command line to a machine that serves, and to a polite leave.
//! INTERFACES 2.

mod authority;
mod candidate;
pub mod living;
mod own_network;
mod peer;
mod super_peer;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use earshot_proto::wire::policy::Range;

use crate::api::commands::Command;
use crate::api::errors::ErrorCode;
use crate::api::failure::Failure;
use crate::api::ready::Role;
use crate::cli::Options;
use crate::driver::{Driver, Settings, StartError};
use crate::paths::IceGround;
use crate::rpc::Rpc;
use crate::sockets;
use crate::start::{EndSignal, Run, block_on};

/// The port where everybody looks first: "ES" on a telephone's keys, twice. docs/protocol.md.
pub const DEFAULT_PORT: u16 = 37_373;

/// All roles.
pub const ROLES: &[(Role, Run)] = &[
    (Role::Network, |options, setting| block_on(authority::network(options, setting))),
    (Role::Authority, |options, setting| block_on(authority::alone(options, setting))),
    (Role::SuperPeer, |options, setting| block_on(super_peer::run(options, setting))),
    (Role::Peer, |options, setting| block_on(peer::run(options, setting))),
];

/// Opens the main port and starts the loop.
async fn open(options: &Options, public: Option<SocketAddr>) -> Result<Driver, Failure> {
    let everywhere = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), DEFAULT_PORT);
    let mut settings = Settings::new(options.listen.unwrap_or(everywhere));
    settings.public = public;
    settings.ice = IceGround { include_loopback: options.ice_loopback };
    if let crate::cli::RoleOptions::SuperPeer(options) = &options.role {
        settings.relay_ports.clone_from(&options.relay_ports);
    }
    Driver::start(settings).await.map_err(|error| not_started(&error).into())
}

fn not_started(error: &StartError) -> ErrorCode {
    match error {
        StartError::PortInUse { address } => ErrorCode::PortInUse { port: address.port() },
        StartError::NotPermitted { address } | StartError::Unavailable { address, .. } => {
            ErrorCode::AddressRefused { address: address.to_string() }
        }
    }
}

/// The address that others are told: the public one, else the one we listen on; where that is any,
/// the one that this computer uses towards the world, and without a network its own.
fn told_address(driver: &Driver, public: Option<SocketAddr>) -> SocketAddr {
    let listening = driver.listening();
    public.unwrap_or_else(|| match listening.ip() {
        any if any.is_unspecified() => {
            let outward = sockets::outward(false).or_else(|_| sockets::outward(true));
            let ip = outward.ok().filter(|ip| any.is_ipv6() || ip.is_ipv4());
            SocketAddr::new(ip.unwrap_or(Ipv4Addr::LOCALHOST.into()), listening.port())
        }
        _ => listening,
    })
}

/// The private ranges that an address lies in: a network founded there lives there. DESIGN 1
/// (network policy).
fn ranges_around(address: IpAddr) -> Vec<Range> {
    const PRIVATE: &[&str] =
        &["127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"];
    let ranges = PRIVATE.iter().map(|text| text.parse::<Range>().expect("written as a range"));
    ranges.filter(|range| range.contains(address)).collect()
}

/// Tells events and answers commands until the client is gone or the system asks us to end.
async fn serve<R: tokio::io::AsyncRead + Unpin>(
    rpc: &mut Rpc<R>,
    end: &mut EndSignal,
    mut execute: impl AsyncFnMut(Command),
) {
    rpc.begin();
    loop {
        tokio::select! {
            command = rpc.next() => match command {
                Some(command) => execute(command).await,
                None => return,
            },
            () = end.asked() => return,
        }
    }
}
