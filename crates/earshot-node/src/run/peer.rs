//! `earshotd peer`: an ordinary peer without a window.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use earshot_audio::codec::EncoderSettings;
use earshot_audio::device::{DEFAULT_DEVICE, Microphone, Speaker};
use earshot_proto::peer::{Config, Peer};
use earshot_proto::port::{PathPolicy, Service};
use earshot_proto::secure::password::StretchCost;
use earshot_proto::wire::directory::Reachability;

use super::{open, serve};
use crate::api::errors::ErrorCode;
use crate::api::failure::Failure;
use crate::api::network;
use crate::api::ready::{Ready, Role};
use crate::calls::{Calls, Devices};
use crate::cli::{Options, RoleOptions};
use crate::clock;
use crate::driver::{Handle, Mail, Residence};
use crate::owner::{Ears, Owner};
use crate::rpc::Rpc;
use crate::seed;
use crate::start::{EndSignal, Setting};
use crate::store::files::DataDir;
use crate::store::peer::{self, Kept};

/// Runs the peer until its client leaves.
pub(super) async fn run(options: Options, setting: &mut Setting) -> Result<(), Failure> {
    let RoleOptions::Peer(mine) = &options.role else {
        unreachable!("other roles have runners of their own")
    };
    let mut end = EndSignal::listen()?;
    let data = DataDir::open(&options.data_dir)?;
    let kept = Kept::read(&data)?;
    let driver = open(&options, None).await?;

    let internal = |what: String| ErrorCode::Internal { what };
    let handle_cell: Arc<OnceLock<Handle<Peer>>> = Arc::default();
    let (opened, runtime) = (Arc::clone(&handle_cell), tokio::runtime::Handle::current());
    let (disk, desk) = peer::start(
        data,
        Box::new(move |history| {
            if let Some(handle) = opened.get() {
                let loaded = handle.call(move |peer, now| peer.load_history(now, history));
                let _ = runtime.block_on(loaded);
            }
        }),
    )
    .map_err(|e| internal(e.to_string()))?;

    let mut rpc = Rpc::stdio(Role::Peer);
    let ears = Ears::new(rpc.events());
    let reports = ears.clone();
    let devices = Devices {
        microphone: Microphone::Device(DEFAULT_DEVICE.to_owned()),
        speaker: Speaker::Device(DEFAULT_DEVICE.to_owned()),
        encoder: EncoderSettings::default(),
    };
    let (voices, calls) = Calls::new(devices, Arc::new(move |report| reports.report(report)));

    let config = Config {
        listen_port: driver.listening().port(),
        pretend: options.pretend_reachability.map(|how| match how {
            network::Reachability::Public => Reachability::Public,
            network::Reachability::Natted => Reachability::Natted,
            network::Reachability::Restricted => Reachability::Restricted,
        }),
        cost: StretchCost::PRODUCT,
        addresses: PathPolicy::Any,
        network: kept.network,
        vault: kept.vault,
        buddies: kept.buddies,
        wall: clock::unix_now(),
        seed: *seed::draw().map_err(|e| internal(e.to_string()))?,
    };
    let heard = ears.clone();
    let residence = Residence {
        machine: Peer::new(config, Instant::now()),
        services: vec![Service::Peer],
        mail: Mail::Delivered,
        keep: Box::new(disk),
        notices: Box::new(move |notice| heard.hear(notice)),
        voice: Some(Box::new(voices)),
    };
    let handle = driver.house(residence).await.map_err(|_| ErrorCode::Leaving)?;
    let _ = handle_cell.set(handle.clone());
    let owner = Owner::new(ears, handle, desk, calls, setting.password.take());

    let mut ready = Ready::new(Role::Peer, driver.listening());
    if let Some(invite) = &mine.invite {
        owner.join_before_start((**invite).clone()).await?;
        ready.network = Some(invite.name.as_str().to_owned());
        ready.root_key = Some(invite.root.into());
    }
    setting.first_line.ready(&ready)?;
    serve(&mut rpc, &mut end, async |command| owner.execute(command).await).await;
    owner.leave().await;
    driver.stop().await;
    rpc.leave().await;
    Ok(())
}
