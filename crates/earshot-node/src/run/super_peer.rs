//! `earshotd super-peer`, and the super-peer inside `earshotd network`.

use std::net::{SocketAddr, SocketAddrV6};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use data_encoding::BASE64URL_NOPAD;
use earshot_proto::entropy::Entropy;
use earshot_proto::port::Service;
use earshot_proto::secure::identity::{Keys, LinkKey, SignKey};
use earshot_proto::super_peer::budgets::Limits;
use earshot_proto::super_peer::enrolment::NotEnrolled;
use earshot_proto::super_peer::ring::{Mode, Ring};
use earshot_proto::super_peer::terms::{Terms, Traffic};
use earshot_proto::super_peer::{Config, EnrolmentRecord, Notice, Record, SuperPeer};
use earshot_proto::wire::bounded::Bytes;
use earshot_proto::wire::certificate::{Chain, VerifyKey};
use earshot_proto::wire::directory::NodeEntry;
use earshot_proto::wire::enrolment::EnrolmentRefusal;
use earshot_proto::wire::invite::{AlsoAt, AuthorityPlace, Door, Invite};
use earshot_proto::wire::policy::Range;
use tokio::sync::{Notify, oneshot};
use zeroize::Zeroizing;

use super::{open, serve, told_address};
use crate::api::commands::Command;
use crate::api::errors::{self, ErrorCode};
use crate::api::failure::Failure;
use crate::api::network::Invited;
use crate::api::ready::{Ready, Role};
use crate::api::super_peer::{Jobs, Membership, Month, Place, Service as Served, SuperPeerState};
use crate::cli::{Joins, Options, RoleOptions};
use crate::clock;
use crate::driver::{Driver, Handle, Keep, Mail, Receipt, Residence};
use crate::rpc::Rpc;
use crate::seed;
use crate::sockets::{has_both_families, own_networks};
use crate::start::{EndSignal, Setting};
use crate::store::files::{self, DataDir};

const KEYS: &str = "node.keys";
const ENROLMENT: &str = "node.enrolment";
const TRAFFIC: &str = "node.traffic";
/// Longest count of traffic that is read: a few numbers.
const TRAFFIC_MAX: u64 = 1024;
/// How long enrolling may take before the process says that it does not serve. INTERFACES 2: the
/// first line comes within 5 s.
const ENROL_PATIENCE: Duration = Duration::from_secs(4);
/// How long clients are handed over when the process ends: it has three seconds for all its roles.
pub(super) const ENDS_WITHIN: Duration = Duration::from_millis(900);
/// The same when only the super-peer ends. Our choice: its owner's questions wait as long.
pub(super) const RETIRES_WITHIN: Duration = Duration::from_secs(3);

/// A super-peer to be.
pub(super) struct Wanted {
    /// The network.
    pub(super) root: VerifyKey,
    /// Its authority, if it is known.
    pub(super) authority: Option<Door>,
    /// Super-peers that can tell where the authority is.
    pub(super) doors: Vec<Door>,
    /// The token to enrol with, if it is not enrolled.
    pub(super) token: Option<Bytes<32>>,
    /// Or the keys and the certificate of the device that it is on.
    pub(super) owner: Option<(Keys, Chain)>,
    /// Where others reach it.
    pub(super) address: SocketAddr,
    /// Where they do by IPv6, if that is of IPv4.
    pub(super) v6: Option<SocketAddrV6>,
    /// Where authority and super-peers listen too.
    pub(super) also: Vec<AlsoAt>,
    /// Ranges that its relay may reach.
    pub(super) relay_allow: Vec<Range>,
    /// What others may use.
    pub(super) limits: Limits,
    /// What of it the owner grants.
    pub(super) terms: Terms,
}

/// A super-peer that serves.
pub(super) struct Serving {
    pub(super) handle: Handle<SuperPeer>,
    /// To be handed to newcomers.
    pub(super) invite: Invite,
    pub(super) entry: NodeEntry,
    deserted: Arc<Notify>,
    since: earshot_proto::time::UnixTime,
}

/// `earshotd super-peer`.
pub(super) async fn run(options: Options, setting: &mut Setting) -> Result<(), Failure> {
    let RoleOptions::SuperPeer(mine) = &options.role else {
        unreachable!("other roles have runners of their own")
    };
    let mut end = EndSignal::listen()?;
    let usage = |problem: &str| ErrorCode::Usage { problem: problem.to_owned() };
    let (root, authority, doors, also) = match &mine.joins {
        Joins::Authority(uri) => {
            let AuthorityPlace { root, door, v6 } = AuthorityPlace::from_uri(uri)?;
            let also = v6.map(|address| AlsoAt { key: door.key, address });
            (root, Some(door), Vec::new(), Vec::from_iter(also))
        }
        Joins::Invite(invite) => {
            let also = invite.also.as_deref().unwrap_or_default().to_vec();
            (invite.root, None, invite.super_peers.to_vec(), also)
        }
    };
    let token = mine.enrol.as_deref().map(|text| {
        let bytes = BASE64URL_NOPAD.decode(text.trim().as_bytes()).ok();
        bytes.and_then(|bytes| Bytes::new(bytes).ok()).ok_or_else(|| usage("--enrol is no token"))
    });
    let token = token.transpose()?;
    let data = DataDir::open(&options.data_dir)?;
    let driver = open(&options, mine.public).await?;
    let address = told_address(&driver, mine.public);
    let relay_allow = mine.relay_allow.clone();
    let wanted = Wanted {
        root,
        authority,
        doors,
        token,
        owner: None,
        address,
        v6: mine.public_v6,
        also,
        relay_allow,
        limits: mine.limits,
        terms: Terms::default(),
    };
    let serving = house(&driver, &data, wanted).await?;
    let mut ready = Ready::new(Role::SuperPeer, driver.listening());
    ready.public = mine.public;
    serving.tell(&mut ready);
    setting.first_line.ready(&ready)?;
    let mut rpc = Rpc::stdio(Role::SuperPeer);
    serve(&mut rpc, &mut end, async |command| serving.execute(command).await).await;
    serving.leave(ENDS_WITHIN).await;
    driver.stop().await;
    rpc.leave().await;
    Ok(())
}

/// Takes the super-peer of this data directory in, and waits until it serves.
pub(super) async fn house(
    driver: &Driver,
    data: &DataDir,
    wanted: Wanted,
) -> Result<Serving, Failure> {
    let mut entropy = Entropy::new(*seed::draw().map_err(internal)?);
    let (keys, owner) = match wanted.owner {
        Some((keys, chain)) => (keys, Some(chain)),
        None => (load_keys(data, &mut entropy)?, None),
    };
    let enrolled: Option<EnrolmentRecord> = files::read(&data.file(ENROLMENT))?
        .map(|bytes| minicbor::decode(&bytes))
        .transpose()
        .map_err(|_| ErrorCode::DamagedData { file: ENROLMENT.to_owned() })?;
    let address = wanted.address;
    let config = Config {
        root: wanted.root,
        keys,
        address: wanted.address,
        v6: wanted.v6,
        authority: wanted.authority,
        doors: wanted.doors,
        also: wanted.also,
        enrolled,
        token: wanted.token,
        owner,
        relay_allow: wanted.relay_allow,
        own: own_networks(),
        both_families: has_both_families(driver.listening().ip()),
        limits: wanted.limits,
        terms: wanted.terms,
        traffic: traffic(data)?,
        wall: clock::unix_now(),
        seed: *seed::draw().map_err(internal)?,
    };
    let (told, outcome) = oneshot::channel();
    let mut told = Some(told);
    let deserted = Arc::new(Notify::new());
    let is_deserted = Arc::clone(&deserted);
    let residence = Residence {
        machine: SuperPeer::new(config, Instant::now()),
        services: vec![Service::SuperPeer, Service::Relay],
        mail: Mail::Delivered,
        keep: Box::new(NodeDisk { enrolment: data.file(ENROLMENT), traffic: data.file(TRAFFIC) }),
        notices: Box::new(move |notice| {
            tracing::info!(?notice, "Super-peer");
            if notice == Notice::Deserted {
                return is_deserted.notify_one();
            }
            if let Some(told) = told.take() {
                let _ = told.send(notice);
            }
        }),
        voice: None,
    };
    let handle = driver.house(residence).await.map_err(|_| ErrorCode::Leaving)?;
    let why = match tokio::time::timeout(ENROL_PATIENCE, outcome).await {
        Ok(Ok(Notice::Serving { invite, entry })) => {
            return Ok(Serving { handle, invite, entry, deserted, since: clock::unix_now() });
        }
        Ok(Ok(Notice::NotEnrolled(why))) => not_enrolled(why, address),
        Ok(Ok(Notice::Deserted) | Err(_)) => ErrorCode::Leaving,
        Err(_) => ErrorCode::AuthorityUnreachable { since: None },
    };
    // Whoever tries again takes in another.
    let _ = handle.leave().await;
    Err(why.into())
}

impl Serving {
    pub(super) fn tell(&self, ready: &mut Ready) {
        ready.network = Some(self.invite.name.as_str().to_owned());
        ready.root_key = Some(self.invite.root.into());
        ready.invite = Some(self.invite.to_uri());
        ready.node_key = Some(self.entry.key.into());
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "a super-peer knows its own methods, however many more others learn"
    )]
    pub(super) async fn execute(&self, command: Command) {
        match command {
            Command::NetworkInvite(_, reply) => {
                reply.grant(Invited::from(&self.invite));
            }
            Command::SuperPeerStatus(_, reply) => {
                let served = self.served().await;
                reply.answer(
                    served
                        .map(|service| SuperPeerState { service: Some(service), candidacy: None }),
                );
            }
            command => command.refuse(ErrorCode::UnknownMethod),
        }
    }

    /// What it does.
    pub(super) async fn served(&self) -> Result<Served, Failure> {
        let asked = self.handle.call(|machine, _| (machine.status(), place(machine.ring()))).await;
        let (status, place) = asked.map_err(|_| ErrorCode::Leaving)?;
        Ok(Served {
            since: self.since.into(),
            place,
            clients: status.clients as u32,
            super_peers: status.members as u32,
            registrations: status.kept as u32,
            lookups: status.counters.found + status.counters.not_here,
            through_us: status.counters.through_us,
            from_visitors: status.counters.from_visitors,
            to_visitors: status.counters.to_visitors,
            from_super_peers: status.counters.from_super_peers,
            refused: status.counters.refused,
            handed_over: status.counters.handed_over,
            allocations: status.relay.allocations,
            relayed_packets: status.relay.relayed_packets,
            relayed_bytes: status.relay.relayed_bytes,
            doing: Jobs { directory: status.work.directory, relay: status.work.relay },
            month: Month::from(&status.work),
        })
    }

    /// Says goodbye and is taken out of the loop.
    pub(super) async fn retire(self, within: Duration) {
        self.leave(within).await;
        let _ = self.handle.leave().await;
    }

    /// Hands the clients over within that time, and says goodbye.
    pub(super) async fn leave(&self, within: Duration) {
        let handed = self.handle.call(move |machine, now| machine.hand_over_clients(now, within));
        if handed.await.is_ok() {
            self.deserted.notified().await;
        }
        let _ = self.handle.call(|machine, now| machine.leave(now)).await;
    }
}

fn place(ring: &Ring) -> Place {
    Place {
        mode: match ring.mode() {
            Mode::Outside => Membership::Outside,
            Mode::Full => Membership::Full,
            Mode::Chord => Membership::Ring,
        },
        node: ring.me().node.into(),
        predecessor: ring.predecessor().map(|node| node.node.into()),
        successors: ring.successors().iter().map(|node| node.node.into()).collect(),
    }
}

/// Keeps the enrolment and the count of traffic: two small files, written seldom, so at once. A
/// node that says that it serves has spent its token and must find its certificate again, however
/// soon it ends.
struct NodeDisk {
    enrolment: PathBuf,
    traffic: PathBuf,
}

impl Keep<Record> for NodeDisk {
    fn save(&mut self, record: Record, receipt: Receipt) {
        let (file, bytes) = match record {
            Record::Enrolment(record) => (&self.enrolment, minicbor::to_vec(record)),
            Record::Traffic(traffic) => (&self.traffic, minicbor::to_vec(traffic)),
        };
        match files::replace(file, &bytes.expect("a Vec takes all")) {
            Ok(()) => receipt.saved(),
            Err(error) => receipt.failed(files::failure(&error)),
        }
    }
}

/// What went in and out before. A count that cannot be understood is begun anew: it is no reason
/// not to serve.
fn traffic(data: &DataDir) -> Result<Option<Traffic>, Failure> {
    let bytes = files::read_at_most(&data.file(TRAFFIC), TRAFFIC_MAX)?;
    Ok(bytes.and_then(|bytes| minicbor::decode(&bytes).ok()))
}

/// The keys of this node: 32 bytes to sign, 32 to open links.
fn load_keys(data: &DataDir, entropy: &mut Entropy) -> Result<Keys, Failure> {
    let file = data.file(KEYS);
    if let Some(bytes) = files::read(&file)?.map(Zeroizing::new) {
        let damaged = || ErrorCode::DamagedData { file: KEYS.to_owned() };
        let (sign, link) = bytes.split_first_chunk::<32>().ok_or_else(damaged)?;
        let link: &[u8; 32] = link.try_into().map_err(|_| damaged())?;
        return Ok(Keys { sign: SignKey::from_secret(sign), link: LinkKey::from_secret(link) });
    }
    let keys = Keys::draw(&mut entropy.secrets);
    let secrets = [keys.sign.secret(), keys.link.secret()];
    let bytes =
        Zeroizing::new(secrets.iter().flat_map(|key| key.iter().copied()).collect::<Vec<_>>());
    files::replace(&file, &bytes)
        .map_err(|e| ErrorCode::FileRefused { file: KEYS.into(), problem: e.to_string() })?;
    Ok(keys)
}

fn not_enrolled(why: NotEnrolled, address: SocketAddr) -> ErrorCode {
    let reason = match why {
        NotEnrolled::NoToken | NotEnrolled::Refused(EnrolmentRefusal::TokenRefused) => {
            errors::EnrolmentRefusal::TokenRefused
        }
        NotEnrolled::Refused(EnrolmentRefusal::AddressRefused) => {
            errors::EnrolmentRefusal::AddressRefused
        }
        NotEnrolled::Refused(EnrolmentRefusal::Unavailable) => {
            errors::EnrolmentRefusal::Unavailable
        }
        NotEnrolled::Refused(EnrolmentRefusal::CertificateRefused) => {
            errors::EnrolmentRefusal::CertificateRefused
        }
        NotEnrolled::Refused(EnrolmentRefusal::TooManyAttempts) => {
            errors::EnrolmentRefusal::TooManyAttempts
        }
        NotEnrolled::Refused(EnrolmentRefusal::NotReached) => errors::EnrolmentRefusal::NotReached,
        NotEnrolled::Refused(EnrolmentRefusal::OtherAddress) => {
            errors::EnrolmentRefusal::OtherAddress
        }
        NotEnrolled::Refused(EnrolmentRefusal::NobodyVerified) => {
            errors::EnrolmentRefusal::NobodyVerified
        }
        NotEnrolled::Disbelieved(_) => return ErrorCode::WrongNetwork,
    };
    ErrorCode::NotEnrolled { reason, address: address.to_string() }
}

fn internal(error: impl std::fmt::Display) -> ErrorCode {
    ErrorCode::Internal { what: error.to_string() }
}
