//! `earshotd peer`: an ordinary peer without a window, commanded by JSON-RPC.

use super::living::{LivingPeer, PeerPlan};
use super::serve;
use crate::api::failure::Failure;
use crate::api::ready::Role;
use crate::cli::{Options, RoleOptions};
use crate::rpc::Rpc;
use crate::sound::Sounding;
use crate::start::{EndSignal, Setting};
use crate::ways::Proxy;

/// Runs the peer until its client leaves.
pub(super) async fn run(options: Options, setting: &mut Setting) -> Result<(), Failure> {
    let RoleOptions::Peer(mine) = options.role else {
        unreachable!("other roles have runners of their own")
    };
    let mut end = EndSignal::listen()?;
    let plan = PeerPlan {
        data_dir: options.data_dir,
        listen: options.listen,
        public: mine.public,
        invite: mine.invite,
        relay_allow: mine.relay_allow,
        proxy: mine.proxy.or_else(Proxy::of_environment),
        password: setting.password.take(),
        // A program without a desktop knows nobody to ask.
        ask_tariff: None,
        sounding: Sounding::WhenRingerChosen,
        ice_loopback: options.ice_loopback,
        pretend_reachability: options.pretend_reachability,
    };
    let mut rpc = Rpc::stdio(Role::Peer);
    let peer = LivingPeer::start(plan, rpc.events()).await?;
    setting.first_line.ready(&peer.ready())?;
    serve(&mut rpc, &mut end, async |command| peer.execute(command).await).await;
    peer.leave().await;
    rpc.leave().await;
    Ok(())
}
