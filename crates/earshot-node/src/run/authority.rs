//! `earshotd authority`, and `earshotd network`: an authority with the first super-peer in the same
//! process.

use std::net::{SocketAddr, SocketAddrV6};
use std::time::{Duration, Instant};

use data_encoding::BASE64URL_NOPAD;
use earshot_proto::authority::{
    Admits, Authority, AuthorityKeys, AuthorityState, Limits, Notice, Order,
};
use earshot_proto::entropy::Entropy;
use earshot_proto::port::Service;
use earshot_proto::super_peer::budgets::Limits as SuperPeerLimits;
use earshot_proto::super_peer::terms::Terms;
use earshot_proto::wire::bounded::{Bytes, List, Text};
use earshot_proto::wire::invite::{AuthorityPlace, Door};
use earshot_proto::wire::policy::{Admission, NETWORK_NAME_MAX, Policy, Range};
use tokio::sync::oneshot;

use super::{open, ranges_around, serve, super_peer, told_address};
use crate::api::errors::ErrorCode;
use crate::api::failure::Failure;
use crate::api::ready::{Ready, Role};
use crate::cli::{AuthorityOptions, Options, RoleOptions};
use crate::clock;
use crate::driver::{Driver, Handle, Mail, Residence};
use crate::rpc::Rpc;
use crate::seed;
use crate::start::{EndSignal, Setting};
use crate::store::authority::{AuthorityStore, StoreFailure};
use crate::store::files::{self, DataDir};

const KEYS: &str = "authority.keys";
const ACCOUNTS: &str = "accounts.db";
/// How long the token that is told at the start lets a super-peer enrol. Our choice: a working day.
const TOKEN_LIFE: Duration = Duration::from_secs(12 * 3600);

/// An authority that serves.
pub(super) struct Serving {
    pub(super) handle: Handle<Authority>,
    pub(super) place: AuthorityPlace,
    /// Lets a super-peer enrol.
    pub(super) token: Bytes<32>,
}

/// How a network is founded.
pub(super) struct Founding {
    pub(super) name: Text<NETWORK_NAME_MAX>,
    /// Private ranges in which it may live.
    pub(super) ranges: Vec<Range>,
    /// Super-peers above which they form a ring; absent, [`RING_THRESHOLD`], or what it was.
    pub(super) ring_threshold: Option<u16>,
    /// Super-peers below which a newcomer is not verified; absent, as policies have it, or what it
    /// was.
    pub(super) exempt_super_peers: Option<u16>,
}

/// DESIGN 2.5.
const RING_THRESHOLD: u16 = 2048;

/// `earshotd authority`.
pub(super) async fn alone(options: Options, setting: &mut Setting) -> Result<(), Failure> {
    let mut end = EndSignal::listen()?;
    let mine = mine(&options);
    let data = DataDir::open(&options.data_dir)?;
    let driver = open(&options, mine.public).await?;
    let address = told_address(&driver, mine.public);
    let uses = mine.enrol_uses.unwrap_or(1);
    let (founding, limits) = (Some(founding(mine, address)), limits(mine));
    let place = (address, mine.public_v6);
    let serving = house(&driver, &data, founding, place, limits, uses).await?;
    let mut ready = Ready::new(Role::Authority, driver.listening());
    ready.public = mine.public;
    tell(&mut ready, mine, &serving);
    setting.first_line.ready(&ready)?;
    let mut rpc = Rpc::stdio(Role::Authority);
    serve(&mut rpc, &mut end, async |command| command.refuse(ErrorCode::UnknownMethod)).await;
    let _ = serving.handle.leave().await;
    driver.stop().await;
    rpc.leave().await;
    Ok(())
}

/// `earshotd network`.
pub(super) async fn network(options: Options, setting: &mut Setting) -> Result<(), Failure> {
    let mut end = EndSignal::listen()?;
    let mine = mine(&options);
    let data = DataDir::open(&options.data_dir)?;
    let driver = open(&options, mine.public).await?;
    let address = told_address(&driver, mine.public);
    let (founding, limits) = (Some(founding(mine, address)), limits(mine));
    let (v6, place) = (mine.public_v6, (address, mine.public_v6));
    let authority = house(&driver, &data, founding, place, limits, 1).await?;
    let wanted = super_peer::Wanted {
        root: authority.place.root,
        authority: Some(authority.place.door),
        doors: Vec::new(),
        token: Some(authority.token.clone()),
        owner: None,
        address,
        v6,
        also: Vec::new(),
        relay_allow: Vec::new(),
        limits: SuperPeerLimits::default(),
        terms: Terms::default(),
    };
    let node = super_peer::house(&driver, &data, wanted).await?;
    let mut ready = Ready::new(Role::Network, driver.listening());
    ready.public = mine.public;
    tell(&mut ready, mine, &authority);
    ready.enrol_token = None;
    node.tell(&mut ready);
    setting.first_line.ready(&ready)?;
    let mut rpc = Rpc::stdio(Role::Network);
    serve(&mut rpc, &mut end, async |command| node.execute(command).await).await;
    node.leave(super_peer::ENDS_WITHIN).await;
    let _ = authority.handle.leave().await;
    driver.stop().await;
    rpc.leave().await;
    Ok(())
}

fn mine(options: &Options) -> &AuthorityOptions {
    match &options.role {
        RoleOptions::Network(mine) | RoleOptions::Authority(mine) => mine,
        RoleOptions::SuperPeer(_) | RoleOptions::Peer(_) => {
            unreachable!("these roles have runners of their own")
        }
    }
}

fn founding(mine: &AuthorityOptions, address: SocketAddr) -> Founding {
    Founding {
        name: mine.name.clone(),
        ranges: ranges_around(address.ip()),
        ring_threshold: mine.ring_threshold,
        exempt_super_peers: mine.exempt_super_peers,
    }
}

fn limits(mine: &AuthorityOptions) -> Limits {
    let mut limits = Limits::default();
    if let Some(joins) = mine.joins {
        limits.joins_per_address.burst = joins;
    }
    limits
}

fn tell(ready: &mut Ready, mine: &AuthorityOptions, serving: &Serving) {
    ready.network = Some(mine.name.as_str().to_owned());
    ready.root_key = Some(serving.place.root.into());
    ready.authority = Some(serving.place.to_uri());
    ready.enrol_token = Some(BASE64URL_NOPAD.encode(&serving.token));
}

/// Takes the authority of this data directory in; where there is none, the network is founded, if
/// it may be.
pub(super) async fn house(
    driver: &Driver,
    data: &DataDir,
    founding: Option<Founding>,
    (address, v6): (SocketAddr, Option<SocketAddrV6>),
    limits: Limits,
    enrol_uses: u32,
) -> Result<Serving, Failure> {
    let mut entropy = Entropy::new(*seed::draw().map_err(internal)?);
    let change = founding.as_ref().map(Change::of);
    let (keys, state, store) = load(data, founding, &mut entropy)?;
    let place =
        AuthorityPlace { root: keys.root(), door: Door { address, key: keys.public().agree }, v6 };
    let (now, wall) = (Instant::now(), clock::unix_now());
    let machine = Authority::new(keys, state, limits, now, wall, entropy);
    let keeper = store.into_keeper().map_err(|e| refused(&e))?;
    let (told, token) = oneshot::channel();
    let mut told = Some(told);
    let residence = Residence {
        machine,
        services: vec![Service::Authority],
        mail: Mail::None,
        keep: Box::new(keeper),
        notices: Box::new(move |notice| {
            let Notice::TokenMade { token, .. } = notice else {
                tracing::info!(?notice, "Authority");
                return;
            };
            if let Some(told) = told.take() {
                let _ = told.send(token.bytes());
            }
        }),
        voice: None,
    };
    let handle = driver.house(residence).await.map_err(|_| ErrorCode::Leaving)?;
    let until = wall.plus(TOKEN_LIFE);
    let order = Order::MakeToken { admits: Admits::Node, uses: enrol_uses, until };
    let ordered = handle.call(move |authority, now| authority.order(now, order)).await;
    ordered.map_err(|_| ErrorCode::Leaving)?;
    if let Some(change) = change {
        follow(&handle, change).await?;
    }
    let token = token.await.map_err(|_| ErrorCode::AuthorityFailed)?;
    Ok(Serving { handle, place, token })
}

/// What the owner wants of the policy, where the network was founded before.
#[derive(Clone, Copy, Debug)]
struct Change {
    ring_threshold: Option<u16>,
    exempt_super_peers: Option<u16>,
}

impl Change {
    const fn of(founding: &Founding) -> Self {
        let Founding { ring_threshold, exempt_super_peers, .. } = *founding;
        Self { ring_threshold, exempt_super_peers }
    }

    /// The policy with it; none where it says the same.
    fn apply(self, before: &Policy) -> Option<Policy> {
        let ring_threshold = self.ring_threshold.map_or(before.ring_threshold, u32::from);
        let exempt_super_peers = self.exempt_super_peers.or(before.exempt_super_peers);
        let version = before.version + 1;
        let is_new = (ring_threshold, exempt_super_peers)
            != (before.ring_threshold, before.exempt_super_peers);
        is_new.then(|| Policy { version, ring_threshold, exempt_super_peers, ..before.clone() })
    }
}

/// Puts another policy in force, if the owner wants another; super-peers are told of it.
async fn follow(handle: &Handle<Authority>, change: Change) -> Result<(), Failure> {
    let ordered = handle.call(move |authority, now| {
        if let Some(policy) = change.apply(authority.policy()) {
            authority.order(now, Order::SetPolicy(policy));
        }
    });
    Ok(ordered.await.map_err(|_| ErrorCode::Leaving)?)
}

fn load(
    data: &DataDir,
    founding: Option<Founding>,
    entropy: &mut Entropy,
) -> Result<(AuthorityKeys, AuthorityState, AuthorityStore), Failure> {
    let file = data.file(KEYS);
    let damaged = |file: &str| ErrorCode::DamagedData { file: file.to_owned() };
    let (keys, new) = match files::read(&file)? {
        Some(bytes) => (AuthorityKeys::from_bytes(&bytes).map_err(|_| damaged(KEYS))?, false),
        None => (AuthorityKeys::found(&mut entropy.secrets), true),
    };
    let (mut store, mut rows) =
        AuthorityStore::open(&data.file(ACCOUNTS)).map_err(|e| refused(&e))?;
    if rows.is_empty() {
        let Founding { name, ranges, ring_threshold, exempt_super_peers } =
            founding.ok_or_else(|| damaged(ACCOUNTS))?;
        let policy = Policy {
            version: 1,
            name,
            admission: Admission::Open,
            ranges: List::first_of(ranges),
            ring_threshold: u32::from(ring_threshold.unwrap_or(RING_THRESHOLD)),
            keepers: 4,
            successors: 16,
            exempt_super_peers,
        };
        rows = keys.first_rows(&policy, clock::unix_now()).map_err(|_| damaged(KEYS))?;
        let record = earshot_proto::authority::Record { rows: rows.clone() };
        store.keep([&record]).map_err(|e| refused(&e))?;
    } else if new {
        // Accounts of a network whose keys are gone: they would all be lost by going on.
        return Err(damaged(KEYS).into());
    }
    if new {
        files::replace(&file, &keys.to_bytes())
            .map_err(|e| ErrorCode::FileRefused { file: KEYS.into(), problem: e.to_string() })?;
    }
    let state = AuthorityState::load(rows, &keys.root()).map_err(|error| {
        tracing::error!(%error, "The accounts are not this network's");
        damaged(ACCOUNTS)
    })?;
    Ok((keys, state, store))
}

fn refused(failure: &StoreFailure) -> ErrorCode {
    let file = ACCOUNTS.to_owned();
    match failure {
        StoreFailure::Damaged(_) => ErrorCode::DamagedData { file },
        StoreFailure::NewerFormat { .. } => ErrorCode::DataTooNew { file },
        StoreFailure::InUse => ErrorCode::DataInUse { directory: file },
        StoreFailure::DiskFull => ErrorCode::DiskFull,
        StoreFailure::Broken(problem) => ErrorCode::FileRefused { file, problem: problem.clone() },
    }
}

fn internal(error: impl std::fmt::Display) -> ErrorCode {
    ErrorCode::Internal { what: error.to_string() }
}
