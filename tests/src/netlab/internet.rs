//! An internet inside one kernel: a backbone that routes between sites, and homes behind routers.
//!
//! Source: DESIGN 5 (netlab). Every site has a prefix of its own among the ordinary public
//! addresses (`5.SITE.0.0/16`, `2a00:SITE::/32`), since a relay refuses all others. A site hangs on
//! the backbone by one line, which may be slow, lossy or dead. Invariant: all homes of one kind are
//! built alike, from its line in [`super::kind::KINDS`] and nothing else.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::LabError;
use super::kind::{Egress, Kind, Nat, Offers, Shared, Side};
use super::line::Line;
use super::namespace::{self, Duty, Namespace};
use super::port_mapper::PortMapper;
use super::proxy::Proxy;
use super::rules::{OUTSIDE, Router as Rules};
use super::shim::Shim;
use crate::harness::own_network::run;

/// The first site of homes; those before are the network's own.
const FIRST_HOME: u8 = 11;
/// Where a home's proxy listens, by custom.
const PROXY_PORT: u16 = 3128;
/// The inner address of every home's router: as everywhere, the same.
pub(super) const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);
/// The backbone.
const CORE: &str = "core";

/// The backbone and all that hangs on it.
#[derive(Debug)]
pub struct Internet {
    core: Namespace,
    line: Line,
    next_home: u8,
    shims: Vec<Shim>,
    proxies: Vec<Proxy>,
}

/// A computer with addresses of its own on the Internet.
#[derive(Debug)]
pub struct PublicHost {
    /// Where its processes live.
    pub host: Namespace,
    /// Its IPv4 address.
    pub v4: Ipv4Addr,
    /// Its IPv6 address.
    pub v6: Ipv6Addr,
}

impl PublicHost {
    /// Whether a socket address is one of its.
    #[must_use]
    pub fn is_at(&self, address: &str) -> bool {
        let [v4, v6] = [format!("{}:", self.v4), format!("[{}]:", self.v6)];
        address.starts_with(&v4) || address.starts_with(&v6)
    }
}

/// A router, by what makes it anew.
#[derive(Clone, Debug)]
struct Router {
    space: Namespace,
    devices: Vec<String>,
    lines: Vec<String>,
    rules: Rules,
    generation: u32,
}

/// A computer behind what its kind says.
#[derive(Debug)]
pub struct Home {
    /// Its kind.
    pub kind: &'static Kind,
    /// Which of the two.
    pub side: Side,
    /// Where its processes live.
    pub host: Namespace,
    /// The proxy that its owner would set.
    pub proxy: Option<SocketAddr>,
    site: u8,
    device: &'static str,
    now: Mutex<Now>,
}

/// What may change about a home.
#[derive(Debug)]
struct Now {
    v4: Option<Ipv4Addr>,
    router: Option<Router>,
}

/// What is to be built: namespaces first, then what connects them, then what is inside.
#[derive(Default)]
struct Draft {
    spaces: Vec<(Namespace, Duty)>,
    links: Vec<String>,
    lines: BTreeMap<Namespace, Vec<String>>,
    rules: Vec<(Namespace, String)>,
    /// Sites, and who hangs there, by which line.
    sites: Vec<(u8, Namespace, Line)>,
}

impl Draft {
    fn space(&mut self, name: &str, duty: Duty) -> Namespace {
        let space = Namespace::named(name);
        self.spaces.push((space.clone(), duty));
        self.lines.insert(space.clone(), vec!["link set lo up".to_owned()]);
        space
    }

    fn link(&mut self, one: (&Namespace, &str), other: (&Namespace, &str)) {
        let ((here, device), (there, peer)) = (one, other);
        self.links.push(format!(
            "link add name {device} netns {} type veth peer name {peer} netns {}",
            here.name(),
            there.name()
        ));
    }

    fn add(&mut self, space: &Namespace, lines: impl IntoIterator<Item = String>) {
        self.lines.entry(space.clone()).or_default().extend(lines);
    }

    /// Gives back the slow lines, which last as long as they are kept.
    fn make(self, core: &Namespace) -> Result<Vec<Shim>, LabError> {
        let spaces = self.spaces.iter().map(|(space, _)| format!("netns add {}", space.name()));
        namespace::ip(&spaces.collect::<Vec<_>>())?;
        for (space, duty) in &self.spaces {
            space.settle(*duty)?;
        }
        namespace::ip(&self.links)?;
        let late = self.sites.iter().filter(|(_, _, line)| line.is_late());
        let shims = late.map(|(site, space, line)| {
            Shim::lay((core, &port_of(*site)), (space, OUTSIDE), *line, (*site).into())
        });
        let shims = shims.collect::<Result<Vec<_>, _>>()?;
        for (space, lines) in &self.lines {
            space.ip(lines)?;
        }
        self.rules.iter().try_for_each(|(space, rules)| space.nft(rules))?;
        for (site, space, line) in &self.sites {
            let port = port_of(*site);
            for (space, device) in [(core, port.as_str()), (space, OUTSIDE)] {
                if let Some(rate) = line.rate(device) {
                    space.inside(|| run("tc", &words(&rate), ""))??;
                }
            }
        }
        Ok(shims)
    }
}

impl Internet {
    /// A backbone on which nothing hangs; homes come to be on lines like this.
    ///
    /// # Errors
    /// Where the kernel does not let us.
    pub fn new(line: Line) -> Result<Self, LabError> {
        namespace::prepare()?;
        let mut draft = Draft::default();
        let core = draft.space(CORE, Duty::Router);
        draft.rules.push((core.clone(), Line::table()));
        let shims = draft.make(&core)?;
        let proxies = Vec::new();
        Ok(Self { core, line, next_home: FIRST_HOME, shims, proxies })
    }

    /// From now on the homes' lines lose what they lose.
    ///
    /// # Errors
    /// Where the kernel does not take it.
    pub fn begin_to_lose(&self) -> Result<(), LabError> {
        let sites = FIRST_HOME..self.next_home;
        let rules: String = sites.map(|site| self.line.loss(&port_of(site))).collect();
        self.core.nft(&rules)
    }

    /// The backbone, where everything passes.
    #[must_use]
    pub const fn core(&self) -> &Namespace {
        &self.core
    }

    /// Puts a computer on the backbone, by this line.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn public_host(&mut self, site: u8, line: Line) -> Result<PublicHost, LabError> {
        let mut draft = Draft::default();
        let host = draft.space(&format!("p{site}"), Duty::Host);
        self.attach(&mut draft, site, &host, line, true);
        self.shims.extend(draft.make(&self.core)?);
        Ok(PublicHost { host, v4: v4(site, 2), v6: v6(site, 0, 2) })
    }

    /// Builds both homes of a kind.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn homes(&mut self, kind: &'static Kind) -> Result<[Home; 2], LabError> {
        let site = self.next_home;
        self.next_home += 2;
        let sites = match kind.shared {
            Shared::Apart => [site, site + 1],
            Shared::Lan | Shared::Carrier => [site, site],
        };
        let mut draft = Draft::default();
        let homes = match kind.shared {
            Shared::Apart => [Side::A, Side::B].map(|side| {
                let site = sites[side as usize];
                let uplink = self.carrier(&mut draft, kind, site);
                self.home(&mut draft, kind, side, site, uplink.as_ref())
            }),
            Shared::Carrier => {
                let uplink = self.carrier(&mut draft, kind, site);
                [Side::A, Side::B]
                    .map(|side| self.home(&mut draft, kind, side, site, uplink.as_ref()))
            }
            Shared::Lan => {
                let first = self.home(&mut draft, kind, Side::A, site, None);
                let second = flatmate(&mut draft, &first);
                [first, second]
            }
        };
        self.shims.extend(draft.make(&self.core)?);
        for home in &homes {
            let Some(router) = home.router() else { continue };
            if kind.egress == Egress::ProxyOnly {
                self.proxies.push(Proxy::open(&router, (ROUTER, PROXY_PORT).into())?);
            }
            if kind.offers == Offers::PortMapping {
                PortMapper::open(&router, ROUTER, v4(home.site, 2))?;
            }
        }
        Ok(homes)
    }

    /// The outermost NAT of those that have two.
    fn carrier(&self, draft: &mut Draft, kind: &Kind, site: u8) -> Option<Namespace> {
        let [_, outer] = kind.v4? else { return None };
        let space = draft.space(&format!("c{site}"), Duty::Router);
        self.attach(draft, site, &space, self.line, false);
        let rules = Rules { nat: Some((*outer, v4(site, 2))), egress: Egress::Any };
        draft.rules.push((space.clone(), rules.rules()));
        Some(space)
    }

    fn home(
        &self,
        draft: &mut Draft,
        kind: &'static Kind,
        side: Side,
        site: u8,
        carrier: Option<&Namespace>,
    ) -> Home {
        let letter = side.letter();
        let host = draft.space(&format!("h{site}{letter}"), Duty::Host);
        if kind.v4 == Some(&[]) {
            self.attach(draft, site, &host, self.line, kind.v6);
            let now = Mutex::new(Now { v4: Some(v4(site, 2)), router: None });
            return Home { kind, side, host, proxy: None, site, device: OUTSIDE, now };
        }
        let space = draft.space(&format!("r{site}{letter}"), Duty::Router);
        let outer = match carrier {
            Some(carrier) => subscribe(draft, carrier, &space, side),
            None => {
                self.attach(draft, site, &space, self.line, kind.v6);
                v4(site, 2)
            }
        };
        let inner = kind.v4.and_then(<[Nat]>::first).map(|nat| (*nat, outer));
        let rules = Rules { nat: inner, egress: kind.egress };
        draft.rules.push((space.clone(), rules.rules()));
        draft.add(&space, ["link add name lan type bridge", "link set lan up"].map(String::from));
        draft.add(&space, [format!("addr add {ROUTER}/24 dev lan")]);
        if kind.v6 {
            draft.add(&space, [format!("addr add {}/64 dev lan nodad", v6(site, 1, 1))]);
            let back = format!("route add {}/64 via {}", v6(site, 1, 0), v6(site, 0, 2));
            draft.add(&self.core, [back]);
        }
        let v4 = inside(draft, &space, &host, kind, site, side);
        let router = Router {
            devices: vec![OUTSIDE.to_owned(), format!("lan{letter}")],
            lines: draft.lines[&space].clone(),
            space,
            rules,
            generation: 0,
        };
        let proxy = (kind.egress == Egress::ProxyOnly).then(|| (ROUTER, PROXY_PORT).into());
        let now = Mutex::new(Now { v4, router: Some(router) });
        Home { kind, side, host, proxy, site, device: "eth0", now }
    }

    /// Hangs a namespace on the backbone.
    fn attach(&self, draft: &mut Draft, site: u8, space: &Namespace, line: Line, with_v6: bool) {
        let port = port_of(site);
        draft.sites.push((site, space.clone(), line));
        if !line.is_late() {
            draft.link((&self.core, &port), (space, OUTSIDE));
        }
        let (near, far) = (v4(site, 1), v4(site, 2));
        let up = |device: &str| format!("link set {device} up");
        draft.add(&self.core, [format!("addr add {near}/16 dev {port}"), up(&port)]);
        let there = [format!("addr add {far}/16 dev {OUTSIDE}"), up(OUTSIDE)];
        draft.add(space, there);
        draft.add(space, [format!("route add default via {near}")]);
        if with_v6 {
            let (near, far) = (v6(site, 0, 1), v6(site, 0, 2));
            draft.add(&self.core, [format!("addr add {near}/64 dev {port} nodad")]);
            draft.add(space, [format!("addr add {far}/64 dev {OUTSIDE} nodad")]);
            draft.add(space, [format!("route add default via {near}")]);
        }
    }
}

/// Connects a home's router with its carrier; gives the router's outer address.
fn subscribe(draft: &mut Draft, carrier: &Namespace, router: &Namespace, side: Side) -> Ipv4Addr {
    let port = format!("l{}", side.letter());
    let number = side as u8 + 1;
    let (near, far) = (Ipv4Addr::new(100, 64, number, 1), Ipv4Addr::new(100, 64, number, 2));
    draft.link((carrier, &port), (router, OUTSIDE));
    draft.add(carrier, [format!("addr add {near}/24 dev {port}"), format!("link set {port} up")]);
    draft.add(router, [format!("addr add {far}/24 dev {OUTSIDE}")]);
    draft.add(router, [format!("link set {OUTSIDE} up")]);
    draft.add(router, [format!("route add default via {near}")]);
    far
}

/// Puts a computer on the LAN of a router.
fn inside(
    draft: &mut Draft,
    router: &Namespace,
    host: &Namespace,
    kind: &Kind,
    site: u8,
    side: Side,
) -> Option<Ipv4Addr> {
    let port = format!("lan{}", side.letter());
    draft.link((router, &port), (host, "eth0"));
    draft.add(router, [format!("link set {port} master lan"), format!("link set {port} up")]);
    draft.add(host, ["link set eth0 up".to_owned()]);
    let address = Ipv4Addr::new(192, 168, 1, site + 100 * side as u8);
    if kind.v4.is_some() {
        draft.add(host, [format!("addr add {address}/24 dev eth0")]);
        draft.add(host, [format!("route add default via {ROUTER}")]);
    }
    if kind.v6 {
        let own = u16::from(site) + 0x100 * (side as u16 + 1);
        draft.add(host, [format!("addr add {}/64 dev eth0 nodad", v6(site, 1, own))]);
        draft.add(host, [format!("route add default via {}", v6(site, 1, 1))]);
    }
    kind.v4.map(|_| address)
}

/// Puts a second computer into a home.
fn flatmate(draft: &mut Draft, first: &Home) -> Home {
    let router = first.router().expect("kinds that share a LAN have a router");
    let host = draft.space(&format!("h{}b", first.site), Duty::Host);
    let v4 = inside(draft, &router, &host, first.kind, first.site, Side::B);
    let now = Mutex::new(Now { v4, router: None });
    let Home { kind, proxy, site, device, .. } = *first;
    Home { kind, side: Side::B, host, proxy, site, device, now }
}

fn port_of(site: u8) -> String {
    format!("s{site}")
}

fn v4(site: u8, host: u8) -> Ipv4Addr {
    Ipv4Addr::new(5, site, 0, host)
}

fn v6(site: u8, subnet: u16, host: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2a00, site.into(), subnet, 0, 0, 0, 0, host)
}

/// What happens to homes and lines.
impl Internet {
    /// Nothing passes the home's line any more, and nobody is told.
    ///
    /// # Errors
    /// Where the kernel does not take it.
    pub fn black_out(&self, home: &Home) -> Result<(), LabError> {
        self.core.nft(&Line::dark(&port_of(home.site)))
    }

    /// Everything passes again.
    ///
    /// # Errors
    /// As [`Self::black_out`].
    pub fn light_up(&self, home: &Home) -> Result<(), LabError> {
        self.core.nft(&Line::bright(&port_of(home.site)))
    }

    /// No datagram passes from one home to the other, as where a carrier's routes are broken; both
    /// still reach everybody else.
    ///
    /// # Errors
    /// Where the kernel does not take it.
    pub fn part(&self, homes: [&Home; 2]) -> Result<(), LabError> {
        let [one, other] = homes.map(|home| port_of(home.site));
        self.core.nft(&format!(
            "table inet parted {{\nchain between {{\ntype filter hook forward priority 0;\n\
             iifname \"{one}\" oifname \"{other}\" meta l4proto udp drop\n\
             iifname \"{other}\" oifname \"{one}\" meta l4proto udp drop\n}}\n}}\n"
        ))
    }

    /// Datagrams pass between all homes again.
    ///
    /// # Errors
    /// As [`Self::part`].
    pub fn join(&self) -> Result<(), LabError> {
        self.core.nft("delete table inet parted\n")
    }

    /// The cable is out of the home's computer, which sees that.
    ///
    /// # Errors
    /// Where the home has no router.
    pub fn unplug(&self, home: &Home) -> Result<(), LabError> {
        self.cable(home, "down")
    }

    /// The cable is back.
    ///
    /// # Errors
    /// As [`Self::unplug`].
    pub fn plug_in(&self, home: &Home) -> Result<(), LabError> {
        self.cable(home, "up")
    }

    fn cable(&self, home: &Home, state: &str) -> Result<(), LabError> {
        let router = home.router().ok_or(LabError::NoRouter(home.kind.name))?;
        router.ip(&[format!("link set lan{} {state}", home.side.letter())])
    }

    /// The home's router starts anew: all that it had translated is forgotten, its addresses stay.
    ///
    /// # Errors
    /// Where the home has no router, or the kernel does not let us.
    pub fn reboot_router(&self, home: &Home) -> Result<(), LabError> {
        let mut now = home.now();
        now.router.as_mut().ok_or(LabError::NoRouter(home.kind.name))?.reboot()
    }

    /// The computer is carried to another network: another address inside, another outside.
    ///
    /// # Errors
    /// As [`Self::reboot_router`].
    pub fn move_house(&self, home: &Home) -> Result<(), LabError> {
        let mut now = home.now();
        let old = now.v4.ok_or(LabError::NoRouter(home.kind.name))?;
        let [a, b, c, d] = old.octets();
        let (new, prefix, gateway) = match &mut now.router {
            Some(router) => {
                router.readdress(v4(home.site, 2), v4(home.site, 3));
                router.reboot()?;
                (Ipv4Addr::new(a, b, c, d ^ 0x80), 24, ROUTER)
            }
            None => (Ipv4Addr::new(a, b, c, d + 1), 16, v4(home.site, 1)),
        };
        let device = home.device;
        home.host.ip(&[
            format!("addr del {old}/{prefix} dev {device}"),
            format!("addr add {new}/{prefix} dev {device}"),
            format!("route replace default via {gateway}"),
        ])?;
        now.v4 = Some(new);
        Ok(())
    }
}

impl Router {
    /// A namespace that nobody has spoken through yet takes the place of the old one.
    fn reboot(&mut self) -> Result<(), LabError> {
        self.generation += 1;
        let base = self.space.name().split('.').next().unwrap_or_default().to_owned();
        let old = self.space.clone();
        self.space = Namespace::named(&format!("{base}.{}", self.generation));
        namespace::ip(&[format!("netns add {}", self.space.name())])?;
        self.space.settle(Duty::Router)?;
        let moved = |device: &String| format!("link set {device} netns {}", self.space.name());
        old.ip(&self.devices.iter().map(moved).collect::<Vec<_>>())?;
        self.space.ip(&self.lines)?;
        self.space.nft(&self.rules.rules())
    }

    /// Has another outer address from the next start on, or again the first.
    fn readdress(&mut self, from: Ipv4Addr, to: Ipv4Addr) {
        let address = |ip| format!("addr add {ip}/");
        let (from_now, to) = if self.lines.iter().any(|line| line.contains(&address(to))) {
            (to, from)
        } else {
            (from, to)
        };
        let (old, new) = (address(from_now), address(to));
        self.lines.iter_mut().for_each(|line| *line = line.replace(&old, &new));
        if let Some((_, outer)) = &mut self.rules.nat {
            *outer = if *outer == from_now { to } else { *outer };
        }
    }
}

impl Home {
    /// Who lives there.
    #[must_use]
    pub fn person(&self) -> String {
        self.kind.person(self.side)
    }

    /// Its computer's IPv4 address there.
    #[must_use]
    pub fn v4(&self) -> Option<Ipv4Addr> {
        self.now().v4
    }

    fn router(&self) -> Option<Namespace> {
        self.now().router.as_ref().map(|router| router.space.clone())
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether this address is of its site, seen from the backbone.
    #[must_use]
    pub fn is_at(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => address.octets()[..2] == [5, self.site],
            IpAddr::V6(address) => address.segments()[..2] == [0x2a00, self.site.into()],
        }
    }
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}
