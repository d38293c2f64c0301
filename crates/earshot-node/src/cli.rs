//! The command line of `earshotd`: roles, their flags, and what they mean.
//!
//! Source: INTERFACES 2. Written by hand: four roles and a dozen flags are a table, not a
//! dependency. Invariant: what is not in the table is refused, and so is a flag that comes twice or
//! belongs to another role.

use std::ffi::OsString;
use std::net::{SocketAddr, SocketAddrV6};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use earshot_proto::super_peer::budgets::Limits;
use earshot_proto::wire::bounded::Text;
use earshot_proto::wire::invite::Invite;
use earshot_proto::wire::policy::{NETWORK_NAME_MAX, Range};
use tracing::level_filters::LevelFilter;

use crate::api::errors::ErrorCode;
use crate::api::network::Reachability;
use crate::api::ready::Role;
use crate::ways::Proxy;

/// What a command line asks for.
#[derive(Debug)]
pub enum Invocation {
    /// `--version`.
    Version,
    /// `--help`.
    Help,
    /// A role, to be run.
    Run(Box<Options>),
}

/// How a process is to run.
#[derive(Debug)]
pub struct Options {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// Where to listen, TCP and UDP; absent, at the port of our own.
    pub listen: Option<SocketAddr>,
    /// What only this role has.
    pub role: RoleOptions,
    /// What stderr tells.
    pub log: LevelFilter,
    /// Tests only: loopback addresses are candidates.
    pub ice_loopback: bool,
    /// Tests only: behave as if reachable like this.
    pub pretend_reachability: Option<Reachability>,
}

/// What only one role has.
#[derive(Debug)]
pub enum RoleOptions {
    /// `earshotd network`.
    Network(AuthorityOptions),
    /// `earshotd authority`.
    Authority(AuthorityOptions),
    /// `earshotd super-peer`.
    SuperPeer(SuperPeerOptions),
    /// `earshotd peer`.
    Peer(PeerOptions),
}

/// How an authority runs.
#[derive(Debug)]
pub struct AuthorityOptions {
    /// The network's name.
    pub name: Text<NETWORK_NAME_MAX>,
    /// The address to tell others.
    pub public: Option<SocketAddr>,
    /// And one of IPv6, where that is of IPv4.
    pub public_v6: Option<SocketAddrV6>,
    /// Where accounts are kept; absent, in a file of the data directory. Never given to `network`.
    pub database: Option<String>,
    /// The network's threshold between full membership and ring; absent, the usual one, or what it
    /// was.
    pub ring_threshold: Option<u16>,
    /// Below how many super-peers nobody verifies a newcomer's address; absent, the usual number,
    /// or what it was.
    pub exempt_super_peers: Option<u16>,
    /// How many super-peers may enrol by the token; absent, one. Never given to `network`.
    pub enrol_uses: Option<u32>,
    /// How many people and super-peers may join from one address at once; absent, as limits have
    /// it.
    pub joins: Option<u32>,
}

/// How a super-peer runs.
#[derive(Debug)]
pub struct SuperPeerOptions {
    /// Whom it learns the network from.
    pub joins: Joins,
    /// One-use token to enrol with.
    pub enrol: Option<String>,
    /// The address to tell others.
    pub public: Option<SocketAddr>,
    /// And one of IPv6, where that is of IPv4.
    pub public_v6: Option<SocketAddrV6>,
    /// Ports for relayed addresses; absent, the system chooses.
    pub relay_ports: Option<RangeInclusive<u16>>,
    /// Ranges that the relay may reach though they are banned.
    pub relay_allow: Vec<Range>,
    /// What others may use.
    pub limits: Limits,
}

/// Whom a super-peer learns its network from.
#[derive(Debug)]
pub enum Joins {
    /// The authority, by its URI.
    Authority(String),
    /// Other super-peers, by an invite.
    Invite(Box<Invite>),
}

/// How a peer runs.
#[derive(Debug)]
pub struct PeerOptions {
    /// The network to join; absent, the one that was joined, or none yet.
    pub invite: Option<Box<Invite>>,
    /// The address to tell others, should it found a network.
    pub public: Option<SocketAddr>,
    /// Ranges that the relay of a network founded here may reach though they are banned.
    pub relay_allow: Vec<Range>,
    /// The proxy that super-peers are reached through, too.
    pub proxy: Option<Proxy>,
}

impl RoleOptions {
    /// The role.
    #[must_use]
    pub const fn role(&self) -> Role {
        match self {
            Self::Network(_) => Role::Network,
            Self::Authority(_) => Role::Authority,
            Self::SuperPeer(_) => Role::SuperPeer,
            Self::Peer(_) => Role::Peer,
        }
    }
}

/// Flags of a role, as usage shows them. Each is followed by a value.
const fn flags(role: Role) -> &'static [(&'static str, &'static str)] {
    match role {
        Role::Network => &[
            ("--data-dir", "D"),
            ("--name", "NAME"),
            ("[--listen", "IP:PORT]"),
            ("[--public", "IP:PORT]"),
            ("[--public-v6", "[IP]:PORT]"),
            ("[--ring-threshold", "COUNT]"),
            ("[--exempt-super-peers", "COUNT]"),
        ],
        Role::Authority => &[
            ("--data-dir", "D"),
            ("--name", "NAME"),
            ("[--listen", "IP:PORT]"),
            ("[--public", "IP:PORT]"),
            ("[--public-v6", "[IP]:PORT]"),
            ("[--database", "URL]"),
            ("[--ring-threshold", "COUNT]"),
            ("[--exempt-super-peers", "COUNT]"),
            ("[--enrol-uses", "COUNT]"),
            ("[--joins", "COUNT]"),
        ],
        Role::SuperPeer => &[
            ("--data-dir", "D"),
            ("(--authority", "URI |"),
            ("--invite", "URI)"),
            ("[--enrol", "TOKEN]"),
            ("[--listen", "IP:PORT]"),
            ("[--public", "IP:PORT]"),
            ("[--public-v6", "[IP]:PORT]"),
            ("[--clients", "COUNT]"),
            ("[--questions", "COUNT-PER-SECOND]"),
            ("[--relay-rate", "BYTES-PER-SECOND]"),
            ("[--relay-ports", "A-B]"),
            ("[--relay-allow", "CIDR]…"),
        ],
        Role::Peer => &[
            ("--data-dir", "D"),
            ("[--invite", "URI]"),
            ("[--listen", "IP:PORT]"),
            ("[--public", "IP:PORT]"),
            ("--rpc", "stdio"),
            ("[--relay-allow", "CIDR]…"),
            ("[--proxy", "URI]"),
        ],
    }
}

/// How these roles are called.
#[must_use]
pub fn usage(roles: &[Role]) -> String {
    let mut usage = String::from("usage:\n");
    for role in roles {
        let flags: Vec<_> =
            flags(*role).iter().map(|(flag, value)| format!("{flag} {value}")).collect();
        usage += &format!("  earshotd {:<10} {}\n", role.name(), flags.join(" "));
    }
    usage
        + "common: --log off|error|warn|info|debug|trace (stderr only), --version, --help\n\
             tests only: --ice-loopback, --pretend-reachability public|natted|restricted\n\
             A password comes by RPC or in EARSHOT_PASSWORD, never as an argument.\n"
}

/// Reads a command line (without the program's name) for a program that has these roles.
///
/// # Errors
/// [`ErrorCode::Usage`] when it is wrong, [`ErrorCode::BadInvite`] when it is right but for its
/// invite.
pub fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    roles: &[Role],
) -> Result<Invocation, ErrorCode> {
    let mut arguments = arguments.into_iter();
    let first = arguments.next().map(|first| first.to_string_lossy().into_owned());
    let role = match first.as_deref() {
        Some("--version") => return Ok(Invocation::Version),
        Some("--help" | "help") => return Ok(Invocation::Help),
        Some(name) => roles.iter().find(|role| role.name() == name),
        None => return Err(wrong("a role is missing")),
    };
    let role = *role.ok_or_else(|| wrong("there is no such role"))?;
    let mut given = Given::read(role, arguments)?;
    if given.version {
        return Ok(Invocation::Version);
    }
    if given.help {
        return Ok(Invocation::Help);
    }
    given.options(role).map(|options| Invocation::Run(Box::new(options)))
}

fn wrong(problem: impl Into<String>) -> ErrorCode {
    ErrorCode::Usage { problem: problem.into() }
}

/// Flags as they came.
#[derive(Default)]
struct Given {
    values: Vec<(&'static str, OsString)>,
    version: bool,
    help: bool,
    ice_loopback: bool,
}

impl Given {
    fn read(role: Role, arguments: impl Iterator<Item = OsString>) -> Result<Self, ErrorCode> {
        let common = ["--log", "--pretend-reachability"];
        let own = flags(role).iter().map(|(flag, _)| flag.trim_start_matches(['[', '(']));
        let known: Vec<&'static str> = own.chain(common).collect();
        let mut given = Self::default();
        let mut arguments = arguments;
        while let Some(flag) = arguments.next() {
            let flag = flag.to_string_lossy().into_owned();
            match flag.as_str() {
                "--version" => given.version = true,
                "--help" => given.help = true,
                "--ice-loopback" => given.ice_loopback = true,
                _ => {
                    let known = known.iter().find(|known| **known == flag);
                    let known = *known
                        .ok_or_else(|| wrong(format!("{flag} is not for {}", role.name())))?;
                    let value =
                        arguments.next().ok_or_else(|| wrong(format!("{flag} lacks a value")))?;
                    let again = given.values.iter().any(|(other, _)| *other == known);
                    if again && known != "--relay-allow" {
                        return Err(wrong(format!("{flag} came twice")));
                    }
                    given.values.push((known, value));
                }
            }
        }
        Ok(given)
    }

    fn options(&mut self, role: Role) -> Result<Options, ErrorCode> {
        let data_dir = self.take("--data-dir").ok_or_else(|| wrong("--data-dir is missing"))?;
        Ok(Options {
            data_dir: PathBuf::from(data_dir),
            listen: self.parsed("--listen", "IP:PORT")?,
            log: self.parsed("--log", "a level")?.unwrap_or(LevelFilter::WARN),
            ice_loopback: self.ice_loopback,
            pretend_reachability: self.reachability()?,
            role: match role {
                Role::Network => RoleOptions::Network(self.authority()?),
                Role::Authority => RoleOptions::Authority(self.authority()?),
                Role::SuperPeer => RoleOptions::SuperPeer(self.super_peer()?),
                Role::Peer => RoleOptions::Peer(self.peer()?),
            },
        })
    }

    fn authority(&mut self) -> Result<AuthorityOptions, ErrorCode> {
        let name = self.text("--name")?.filter(|name| !name.trim().is_empty());
        let name = name.ok_or_else(|| wrong("--name is missing"))?;
        let too_long = |_| wrong(format!("--name has at most {NETWORK_NAME_MAX} bytes"));
        Ok(AuthorityOptions {
            name: Text::new(name).map_err(too_long)?,
            public: self.parsed("--public", "IP:PORT")?,
            public_v6: self.parsed("--public-v6", "[IP]:PORT")?,
            database: self.text("--database")?,
            ring_threshold: self.parsed("--ring-threshold", "a number of super-peers")?,
            exempt_super_peers: self.parsed("--exempt-super-peers", "a number of super-peers")?,
            enrol_uses: self.parsed("--enrol-uses", "a number of super-peers")?,
            joins: self.parsed("--joins", "a number of people")?,
        })
    }

    fn super_peer(&mut self) -> Result<SuperPeerOptions, ErrorCode> {
        let joins = match (self.text("--authority")?, self.invite()?) {
            (Some(uri), None) => Joins::Authority(uri),
            (None, Some(invite)) => Joins::Invite(invite),
            (None, None) | (Some(_), Some(_)) => {
                return Err(wrong("either --authority or --invite is needed"));
            }
        };
        let mut limits = Limits::default();
        if let Some(clients) = self.parsed::<u16>("--clients", "a number of clients")? {
            limits = limits.for_clients(clients.into());
        }
        if let Some(per_s) = self.parsed("--questions", "a number of questions per second")? {
            limits = limits.for_questions(per_s);
        }
        if let Some(per_s) = self.parsed("--relay-rate", "a number of bytes per second")? {
            limits = limits.for_relayed(per_s);
        }
        Ok(SuperPeerOptions {
            joins,
            limits,
            enrol: self.text("--enrol")?,
            public: self.parsed("--public", "IP:PORT")?,
            public_v6: self.parsed("--public-v6", "[IP]:PORT")?,
            relay_ports: self.ports()?,
            relay_allow: self.ranges()?,
        })
    }

    fn peer(&mut self) -> Result<PeerOptions, ErrorCode> {
        if self.text("--rpc")?.as_deref() != Some("stdio") {
            return Err(wrong("--rpc stdio is missing"));
        }
        Ok(PeerOptions {
            invite: self.invite()?,
            public: self.parsed("--public", "IP:PORT")?,
            relay_allow: self.ranges()?,
            proxy: self.parsed("--proxy", "http://HOST:PORT or socks5://HOST:PORT")?,
        })
    }

    fn take(&mut self, flag: &str) -> Option<OsString> {
        let at = self.values.iter().position(|(other, _)| *other == flag)?;
        Some(self.values.remove(at).1)
    }

    fn text(&mut self, flag: &str) -> Result<Option<String>, ErrorCode> {
        let text = self.take(flag).map(OsString::into_string).transpose();
        text.map_err(|_| wrong(format!("the value of {flag} is not UTF-8")))
    }

    fn parsed<T: std::str::FromStr>(
        &mut self,
        flag: &str,
        what: &str,
    ) -> Result<Option<T>, ErrorCode> {
        let value = self.text(flag)?.map(|text| text.parse()).transpose();
        value.map_err(|_| wrong(format!("the value of {flag} is not {what}")))
    }

    fn invite(&mut self) -> Result<Option<Box<Invite>>, ErrorCode> {
        let invite = self.text("--invite")?.map(|uri| Invite::from_uri(&uri)).transpose()?;
        Ok(invite.map(Box::new))
    }

    fn ranges(&mut self) -> Result<Vec<Range>, ErrorCode> {
        let next = || self.parsed("--relay-allow", "a range like 10.0.0.0/8").transpose();
        std::iter::from_fn(next).collect()
    }

    fn ports(&mut self) -> Result<Option<RangeInclusive<u16>>, ErrorCode> {
        let Some(text) = self.text("--relay-ports")? else { return Ok(None) };
        let ports = text.split_once('-').and_then(|(first, last)| {
            let (first, last) = (first.parse::<u16>().ok()?, last.parse().ok()?);
            (first > 0 && first <= last).then_some(first..=last)
        });
        ports.map(Some).ok_or_else(|| wrong("the value of --relay-ports is not A-B"))
    }

    fn reachability(&mut self) -> Result<Option<Reachability>, ErrorCode> {
        Ok(match self.text("--pretend-reachability")?.as_deref() {
            None => None,
            Some("public") => Some(Reachability::Public),
            Some("natted") => Some(Reachability::Natted),
            Some("restricted") => Some(Reachability::Restricted),
            Some(_) => return Err(wrong("--pretend-reachability is public, natted or restricted")),
        })
    }
}

#[cfg(test)]
mod tests;
