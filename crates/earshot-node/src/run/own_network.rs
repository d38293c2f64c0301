//! The network that a peer founded: its login authority and its first super-peer, housed in the
//! peer's own loop behind the peer's own port. DESIGN 2.1.
//!
//! Invariant: its files lie in a directory of their own, laid out as those of `earshotd network`;
//! the last of them, with the port, says that the founding was finished.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use earshot_proto::super_peer::budgets::Limits;
use earshot_proto::super_peer::terms::Terms;
use earshot_proto::wire::bounded::Text;
use earshot_proto::wire::invite::Invite;
use earshot_proto::wire::policy::{NETWORK_NAME_MAX, Range};

use super::{authority, ranges_around, super_peer};
use crate::api::failure::Failure;
use crate::driver::Driver;
use crate::fitness::AskTariff;
use crate::store::files::{self, DataDir};

const DIRECTORY: &str = "own-network";
/// What an earlier founding left that was not finished is moved here.
const UNFINISHED: &str = "own-network.unfinished";
/// The number of the port where the network was last served: whoever holds an invite looks there.
const PORT: &str = "port";

/// Where and how it serves.
#[derive(Clone, Debug)]
pub(super) struct Ground {
    /// The data directory of the peer.
    pub(super) data_dir: PathBuf,
    /// Where others reach us.
    pub(super) address: SocketAddr,
    /// The address that the owner says is ours for good.
    pub(super) public: Option<SocketAddr>,
    /// Ranges that the relay may reach though they are banned.
    pub(super) relay_allow: Vec<Range>,
    /// Who knows what the connection costs, if anybody does.
    pub(super) ask_tariff: Option<AskTariff>,
}

/// A network that is served here.
pub(super) struct OwnNetwork {
    authority: authority::Serving,
    node: super_peer::Serving,
    _data: DataDir,
}

impl OwnNetwork {
    /// Whether one was founded in this data directory.
    pub(super) fn is_in(data_dir: &Path) -> bool {
        data_dir.join(DIRECTORY).join(PORT).exists()
    }

    /// The port where it was served last.
    pub(super) fn port(data_dir: &Path) -> Option<u16> {
        let file = data_dir.join(DIRECTORY).join(PORT);
        let digits = files::read_at_most(&file, 5).ok()??;
        std::str::from_utf8(&digits).ok()?.parse().ok().filter(|port| *port != 0)
    }

    /// Founds one.
    pub(super) async fn found(
        driver: &Driver,
        ground: &Ground,
        name: Text<NETWORK_NAME_MAX>,
    ) -> Result<Self, Failure> {
        let directory = ground.data_dir.join(DIRECTORY);
        let unfinished = ground.data_dir.join(UNFINISHED);
        if directory.exists() {
            let _none_yet = std::fs::remove_dir_all(&unfinished);
            let moved = std::fs::rename(&directory, &unfinished);
            moved.map_err(|e| files::refused(&directory, &e))?;
        }
        Self::house(driver, ground, Some(name)).await
    }

    /// Serves the one that was founded before.
    pub(super) async fn serve_again(driver: &Driver, ground: &Ground) -> Result<Self, Failure> {
        Self::house(driver, ground, None).await
    }

    async fn house(
        driver: &Driver,
        ground: &Ground,
        name: Option<Text<NETWORK_NAME_MAX>>,
    ) -> Result<Self, Failure> {
        let data = DataDir::open(&ground.data_dir.join(DIRECTORY))?;
        let Ground { address, relay_allow, .. } = ground.clone();
        let ranges = ranges(address.ip());
        let founding = name.map(|name| authority::Founding {
            name,
            ranges,
            ring_threshold: None,
            exempt_super_peers: None,
        });
        let limits = earshot_proto::authority::Limits::default();
        let authority =
            authority::house(driver, &data, founding, (address, None), limits, 1).await?;
        let wanted = super_peer::Wanted {
            root: authority.place.root,
            authority: Some(authority.place.door),
            doors: Vec::new(),
            token: Some(authority.token.clone()),
            owner: None,
            address,
            v6: None,
            also: Vec::new(),
            relay_allow,
            limits: Limits::default(),
            terms: Terms::default(),
        };
        let port = data.file(PORT);
        let served = async {
            let node = super_peer::house(driver, &data, wanted).await?;
            files::replace(&port, address.port().to_string().as_bytes())
                .map_err(|e| files::refused(&port, &e))?;
            Ok(node)
        };
        match served.await {
            Ok(node) => Ok(Self { authority, node, _data: data }),
            Err(why) => {
                let _ = authority.handle.leave().await;
                Err(why)
            }
        }
    }

    /// Its super-peer.
    pub(super) const fn node(&self) -> &super_peer::Serving {
        &self.node
    }

    /// What to hand to newcomers.
    pub(super) const fn invite(&self) -> &Invite {
        &self.node.invite
    }

    /// Says goodbye.
    pub(super) async fn leave(self) {
        self.node.leave(super_peer::ENDS_WITHIN).await;
        let _ = self.authority.handle.leave().await;
    }
}

/// The private ranges of a network at home: all that local networks use, since a laptop that moves
/// comes to others; this computer itself only where there was nothing else.
fn ranges(address: IpAddr) -> Vec<Range> {
    const LOCAL: &[&str] = &["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"];
    let local = LOCAL.iter().map(|text| text.parse().expect("written as a range"));
    let loopback = ranges_around(address).into_iter().filter(|_| address.is_loopback());
    loopback.chain(local).collect()
}
