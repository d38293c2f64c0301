//! A peer as part of any program: started on a data directory, given commands, told to leave.
//!
//! `earshotd peer` joins one to JSON-RPC over stdio; [`Embedded`](crate::embedded::Embedded) puts
//! one on a thread for a window. Source: INTERFACES 2. Invariants: commands are carried out in
//! their order; a network that was founded here is served whenever the peer lives.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use earshot_audio::codec::EncoderSettings;
use earshot_proto::peer::command::Notice;
use earshot_proto::peer::{Config, Peer};
use earshot_proto::port::{PathPolicy, Service};
use earshot_proto::secure::password::StretchCost;
use earshot_proto::wire::bounded::Text;
use earshot_proto::wire::directory::Reachability;
use earshot_proto::wire::invite::Invite;
use earshot_proto::wire::policy::{NETWORK_NAME_MAX, Range};
use tokio::sync::{Mutex, watch};

use super::candidate::{self, Candidate};
use super::own_network::{Ground, OwnNetwork};
use super::{DEFAULT_PORT, not_started, told_address};
use crate::api::commands::{Command, Done};
use crate::api::errors::ErrorCode;
use crate::api::events::Events;
use crate::api::failure::Failure;
use crate::api::network;
use crate::api::network::{Invited, NetworkStart};
use crate::api::ready::{Ready, Role};
use crate::api::super_peer::{SuperPeerSet, SuperPeerState};
use crate::api::text::{Password, bounded};
use crate::calls::{Calls, Devices};
use crate::candidacy::shown;
use crate::clock;
use crate::driver::{Driver, Handle, Mail, Residence, Settings, StartError};
use crate::fitness::AskTariff;
use crate::owner::{Ears, Owner, Tools};
use crate::paths::IceGround;
use crate::seed;
use crate::sound::{SoundDesk, Sounding};
use crate::store::files::DataDir;
use crate::store::peer::{self, Kept};
use crate::store::preferences::Preferences;
use crate::ways::{Proxy, Ways};

/// How a peer is to live.
#[derive(Debug)]
pub struct PeerPlan {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// Where to listen, TCP and UDP; absent, at the port of our own, or at any where that is taken.
    pub listen: Option<SocketAddr>,
    /// The address to tell others, should it found a network.
    pub public: Option<SocketAddr>,
    /// A network to join at the start.
    pub invite: Option<Box<Invite>>,
    /// Ranges that the relay of a network founded here may reach though they are banned.
    pub relay_allow: Vec<Range>,
    /// The proxy that super-peers are reached through, too.
    pub proxy: Option<Proxy>,
    /// The password for log-ins that bring none.
    pub password: Option<Password>,
    /// Who knows what the connection costs, if anybody does.
    pub ask_tariff: Option<AskTariff>,
    /// When it makes sounds of its own.
    pub sounding: Sounding,
    /// Tests only: loopback addresses are candidates.
    pub ice_loopback: bool,
    /// Tests only: behave as if reachable like this.
    pub pretend_reachability: Option<network::Reachability>,
}

impl PeerPlan {
    /// A peer on this directory, all else as usual.
    #[must_use]
    pub const fn new(data_dir: PathBuf) -> Self {
        Self {
            data_dir,
            listen: None,
            public: None,
            invite: None,
            relay_allow: Vec::new(),
            proxy: None,
            password: None,
            ask_tariff: None,
            sounding: Sounding::AsSet,
            ice_loopback: false,
            pretend_reachability: None,
        }
    }
}

/// A peer that lives.
pub struct LivingPeer {
    driver: Driver,
    owner: Owner,
    ground: Ground,
    own: Mutex<Option<OwnNetwork>>,
    candidate: Candidate,
    joined: Option<Invite>,
}

impl LivingPeer {
    /// Starts a peer, whose events go to `events`. Needs a runtime of tokio, on which it lives.
    ///
    /// # Errors
    /// What the first line of an `earshotd` tells: the port or the directory is taken, a file is
    /// damaged, another network was joined before.
    pub async fn start(mut plan: PeerPlan, events: Events) -> Result<Self, Failure> {
        let data = DataDir::open(&plan.data_dir)?;
        let kept = Kept::read(&data)?;
        let (preferences, set_aside) = Preferences::read(&data)?;
        let driver = open(&plan).await?;
        let handle_cell: Arc<OnceLock<Handle<Peer>>> = Arc::default();
        let machine = Peer::new(config(&plan, kept, &driver)?, Instant::now());
        let (disk, desk) = peer::start(data, opened(&handle_cell)).map_err(internal)?;

        let ears = Ears::new(events);
        let reports = ears.clone();
        let devices = Devices {
            microphone: preferences.microphone.clone(),
            speaker: preferences.speaker.clone(),
            encoder: EncoderSettings::default(),
        };
        let (voices, calls) = Calls::new(devices, Arc::new(move |report| reports.report(report)));
        let preferences = watch::Sender::new(preferences);
        let telling = ears.clone();
        let tell = Arc::new(move |event| telling.tell(event));
        let sound = SoundDesk::start(preferences.subscribe(), plan.sounding, tell);
        let (heard, ear) = (ears.clone(), sound.ear());
        let (candidate_ear, news) = candidate::ear();
        let residence = Residence {
            machine,
            services: vec![Service::Peer, Service::Nearby],
            mail: Mail::Delivered,
            keep: Box::new(disk),
            notices: Box::new(move |notice| {
                if let Notice::Call(view) = &notice {
                    ear.hear(view);
                }
                candidate_ear.hear(&notice);
                heard.hear(notice);
            }),
            voice: Some(Box::new(voices)),
        };
        let handle = driver.house(residence).await.map_err(|_| ErrorCode::Leaving)?;
        let _ = handle_cell.set(handle.clone());
        let (serving, terms) = (preferences.borrow().serving, preferences.borrow().terms);
        let tools = Tools {
            disk: desk,
            calls,
            sound,
            preferences,
            set_aside,
            password: plan.password.take(),
        };
        let ground = Ground {
            address: told_address(&driver, plan.public),
            public: plan.public,
            data_dir: plan.data_dir,
            relay_allow: plan.relay_allow,
            ask_tariff: plan.ask_tariff,
        };
        let (own, joined) = (Mutex::default(), plan.invite.map(|invite| *invite));
        let owner = Owner::new(ears, handle, tools);
        let (to_task, choice) = (ground.clone(), serving.map(shown::choice_of));
        let reach = owner.reach_desk();
        let chosen = (choice, terms);
        let candidate = Candidate::start(driver.clone(), to_task, reach, news, chosen)?;
        let mut living = Self { driver, owner, ground, own, candidate, joined };
        if let Err(why) = living.settle().await {
            living.leave().await;
            return Err(why);
        }
        Ok(living)
    }

    /// Serves the network that was founded here, and joins the one that it was told to join.
    async fn settle(&mut self) -> Result<(), Failure> {
        if OwnNetwork::is_in(&self.ground.data_dir) {
            match OwnNetwork::serve_again(&self.driver, &self.ground).await {
                Ok(own) => {
                    // Its address may be another one than last time.
                    let joined = self.owner.join(own.invite().clone()).await;
                    self.candidate.founder(own.node().entry.key).await;
                    *self.own.get_mut() = Some(own);
                    joined?;
                }
                // The peer itself, its buddies and history are there nevertheless.
                Err(why) => tracing::warn!(%why, "The network of this computer is not served"),
            }
        }
        if let Some(invite) = &self.joined {
            self.owner.join(invite.clone()).await?;
        }
        Ok(())
    }

    /// What the first line of an `earshotd` tells.
    #[must_use]
    pub fn ready(&self) -> Ready {
        let mut ready = Ready::new(Role::Peer, self.driver.listening());
        if let Some(invite) = &self.joined {
            ready.network = Some(invite.name.as_str().to_owned());
            ready.root_key = Some(invite.root.into());
        }
        ready
    }

    /// Carries a command out; its reply is answered, now or later.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "what is not about a network of one's own is the owner's"
    )]
    pub async fn execute(&self, command: Command) {
        match command {
            Command::NetworkStart(start, reply) => reply.answer(self.found(start).await),
            Command::NetworkInvite(ask, reply) => match &*self.own.lock().await {
                Some(own) => reply.grant(Invited::from(own.invite())),
                None => self.owner.execute(Command::NetworkInvite(ask, reply)).await,
            },
            Command::SuperPeerSet(set, reply) => match self.choose(&set).await {
                Ok(()) => reply.grant(Done {}),
                Err(why) => reply.refuse(why),
            },
            Command::SuperPeerTest(_, reply) => self.candidate.test(reply).await,
            Command::SuperPeerStatus(_, reply) => match &*self.own.lock().await {
                Some(own) => reply.answer(
                    own.node()
                        .served()
                        .await
                        .map(|service| SuperPeerState { service: Some(service), candidacy: None }),
                ),
                None => self.candidate.status(reply).await,
            },
            command => self.owner.execute(command).await,
        }
    }

    /// Keeps whether to serve, and does it.
    async fn choose(&self, set: &SuperPeerSet) -> Result<(), ErrorCode> {
        if self.own.lock().await.is_some() {
            return Err(ErrorCode::FoundedHere);
        }
        let terms = self.owner.keep_serving(set).await?;
        self.candidate.choose(set.mode.map(shown::choice_of), terms).await;
        Ok(())
    }

    async fn found(&self, start: NetworkStart) -> Result<Invited, Failure> {
        let mut own = self.own.lock().await;
        if self.owner.is_in_a_network().await? || OwnNetwork::is_in(&self.ground.data_dir) {
            return Err(ErrorCode::OtherNetwork.into());
        }
        let name = start.name.trim();
        if name.is_empty() {
            return Err(ErrorCode::TextEmpty { field: "name".into() }.into());
        }
        let name: Text<NETWORK_NAME_MAX> = bounded("name", name)?;
        let founded = OwnNetwork::found(&self.driver, &self.ground, name).await?;
        let invited = Invited::from(founded.invite());
        let invite = founded.invite().clone();
        self.candidate.founder(founded.node().entry.key).await;
        *own = Some(founded);
        self.owner.join(invite).await?;
        Ok(invited)
    }

    /// Says goodbye to the network and waits until what was ordered is written.
    pub async fn leave(self) {
        self.owner.leave().await;
        self.candidate.leave().await;
        if let Some(own) = self.own.into_inner() {
            own.leave().await;
        }
        self.driver.stop().await;
    }
}

/// Opens the main port. A network that was founded here is looked for where it was; a peer that was
/// told nothing is content with any port.
async fn open(plan: &PeerPlan) -> Result<Driver, Failure> {
    let anywhere = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port);
    let before = OwnNetwork::port(&plan.data_dir).unwrap_or(DEFAULT_PORT);
    let start = async |listen| {
        let mut settings = Settings::new(listen);
        settings.public = plan.public;
        settings.ice = IceGround { include_loopback: plan.ice_loopback };
        settings.ways = Ways::through(plan.proxy.clone());
        // Who was told to listen on this computer only asks no router.
        settings.maps_ports = !listen.ip().is_loopback();
        Driver::start(settings).await
    };
    let driver = match (start(plan.listen.unwrap_or(anywhere(before))).await, plan.listen) {
        (Err(StartError::PortInUse { .. }), None) => start(anywhere(0)).await,
        (started, _) => started,
    };
    driver.map_err(|error| not_started(&error).into())
}

/// Hands what the history knows to the peer.
fn opened(handle: &Arc<OnceLock<Handle<Peer>>>) -> peer::Opened {
    let (handle, runtime) = (Arc::clone(handle), tokio::runtime::Handle::current());
    Box::new(move |history| {
        if let Some(handle) = handle.get() {
            let loaded = handle.call(move |peer, now| peer.load_history(now, history));
            let _ = runtime.block_on(loaded);
        }
    })
}

fn config(plan: &PeerPlan, kept: Kept, driver: &Driver) -> Result<Config, Failure> {
    Ok(Config {
        listen_port: driver.listening().port(),
        pretend: plan.pretend_reachability.map(|how| match how {
            network::Reachability::Public => Reachability::Public,
            network::Reachability::Natted => Reachability::Natted,
            network::Reachability::Restricted => Reachability::Restricted,
        }),
        cost: StretchCost::PRODUCT,
        addresses: PathPolicy::Any,
        network: kept.network,
        users: kept.users,
        wall: clock::unix_now(),
        seed: *seed::draw().map_err(internal)?,
    })
}

fn internal(error: impl std::fmt::Display) -> ErrorCode {
    ErrorCode::Internal { what: error.to_string() }
}
