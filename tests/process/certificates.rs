//! Certificates made to measure and shown to a real super-peer over TCP: who is believed. Issue 2,
//! point 2; `tests/sim/certificates.rs` has the same in virtual time.

use std::time::{Duration, Instant};

use earshot_node::driver::{Driver, Mail, Residence, Settings, runtime};
use earshot_node::store::peer::user_directory;
use earshot_node::{clock, seed};
use earshot_proto::authority::AuthorityKeys;
use earshot_proto::entropy::Entropy;
use earshot_proto::ids::{DeviceId, UserName};
use earshot_proto::secure::identity::{Keys, SignKey};
use earshot_proto::secure::local_vault::{LocalVault, LockedVault};
use earshot_proto::secure::password::Password;
use earshot_proto::secure::password::Worked;
use earshot_proto::time::UnixTime;
use earshot_proto::wire::certificate::{Chain, Statement, Subject};
use earshot_proto::wire::invite::Invite;
use earshot_tests::harness::Daemon;
use earshot_tests::sim::intruder::Intruder;

use crate::world::{PASSWORD, SOON, World};

const DAY: Duration = Duration::from_secs(86_400);

/// A network with Anna in it, and all secrets of its authority.
struct Stolen {
    world: World,
    network: Daemon,
    root: SignKey,
    anna: LocalVault,
    entropy: Entropy,
}

impl Stolen {
    fn new(name: &str) -> Self {
        let world = World::new(name);
        let network = world.network("network");
        drop(world.person("anna", &network));
        let keys = std::fs::read(world.data("network").join("authority.keys")).unwrap();
        let root = AuthorityKeys::from_bytes(&keys).unwrap().take_root().unwrap();
        let user = UserName::new("anna").unwrap();
        let vault = user_directory(&world.data("anna"), &user).join("vault");
        let locked = LockedVault::read(&std::fs::read(vault).unwrap()).unwrap();
        let Worked::Stretched(key) = locked.stretch(&Password::new(PASSWORD).unwrap()).run() else {
            panic!("stretching gives a key")
        };
        let (anna, _) = locked.open(&key, 0).unwrap();
        Self { world, network, root, anna, entropy: Entropy::new(*seed::draw().unwrap()) }
    }

    fn keys(&mut self) -> Keys {
        Keys::draw(&mut self.entropy.secrets)
    }

    /// A device's certificate for `keys`, good between two moments, and its authority's by `root`.
    fn chain(&mut self, root: &SignKey, keys: &Keys, from: UnixTime, until: UnixTime) -> Chain {
        let authority = self.keys();
        let device = Subject::Device {
            user: UserName::new("mallory").unwrap(),
            identity: keys.sign.public(),
            device: DeviceId([7; 16]),
            keys: keys.public(),
        };
        let issuer = authority.public();
        let issuer = Subject::Authority { verify: issuer.verify, agree: issuer.agree };
        let now = clock::unix_now();
        let statement = |subject, not_before, not_after| Statement {
            serial: 7,
            subject,
            not_before,
            not_after,
            policy_version: 1,
        };
        Chain {
            authority: root.sign(&statement(issuer, now.minus(DAY), now.plus(DAY))),
            holder: Some(authority.sign.sign(&statement(device, from, until))),
        }
    }

    /// Whether the super-peer answers somebody who shows `chain` and holds `keys`.
    fn welcomes(&self, keys: &Keys, chain: &Chain) -> bool {
        let invite = Invite::from_uri(self.network.told("invite").unwrap()).unwrap();
        let now = (Instant::now(), clock::unix_now());
        let (chain, door) = (Some(chain.clone()), invite.super_peers[0]);
        let (machine, reception) = Intruder::new(invite.root, &keys.link, chain, door, now);
        let runtime = runtime().unwrap();
        let driver = runtime.block_on(async {
            let driver = Driver::start(Settings::new("127.0.0.1:0".parse().unwrap())).await;
            let driver = driver.unwrap();
            let residence = Residence {
                machine,
                services: Vec::new(),
                mail: Mail::None,
                keep: Box::new(Nothing),
                notices: Box::new(|()| {}),
                voice: None,
            };
            driver.house(residence).await.unwrap();
            driver
        });
        let (over, ended) = tokio::sync::oneshot::channel::<()>();
        let welcome = std::thread::scope(|scope| {
            scope.spawn(|| {
                runtime.block_on(async {
                    let _ = ended.await;
                    driver.stop().await;
                });
            });
            let welcome = reception.was_welcome(SOON);
            drop(over);
            welcome
        });
        welcome.expect("answered or refused")
    }
}

/// An intruder keeps nothing.
struct Nothing;

impl earshot_node::driver::Keep<()> for Nothing {
    fn save(&mut self, (): (), receipt: earshot_node::driver::Receipt) {
        receipt.saved();
    }
}

#[test]
fn a_certificate_opens_a_link_only_for_whom_it_names() {
    let mut stolen = Stolen::new("anothers-certificate");
    let (stranger, chain) = (stolen.keys(), stolen.anna.chain.clone());
    assert!(stolen.welcomes(&stolen.anna.keys, &chain), "Anna herself");
    assert!(!stolen.welcomes(&stranger, &chain), "somebody else with Anna's");
}

#[test]
fn an_expired_certificate_opens_no_link() {
    let mut stolen = Stolen::new("expired-certificate");
    let (keys, now) = (stolen.keys(), clock::unix_now());
    let root = SignKey::from_secret(&stolen.root.secret());
    for (from, until, good) in [
        (now.minus(DAY), now.plus(DAY), true),
        (now.minus(2 * DAY), now.minus(DAY), false),
        (now.plus(DAY), now.plus(2 * DAY), false),
    ] {
        let chain = stolen.chain(&root, &keys, from, until);
        assert_eq!(stolen.welcomes(&keys, &chain), good, "from {from:?} until {until:?}");
    }
}

#[test]
fn a_forged_certificate_opens_no_link() {
    let mut stolen = Stolen::new("forged-certificate");
    let (keys, now) = (stolen.keys(), clock::unix_now());
    let (from, until) = (now.minus(DAY), now.plus(DAY));
    let root = SignKey::from_secret(&stolen.root.secret());
    let good = stolen.chain(&root, &keys, from, until);
    let other_root = stolen.keys().sign;
    let foreign = stolen.chain(&other_root, &keys, from, until);
    // Signed by an authority, but not by the one that the root names in the same chain.
    let mixed = Chain { authority: good.authority.clone(), holder: foreign.holder.clone() };
    let mut changed = good.clone();
    changed.holder.as_mut().unwrap().signature.0[0] ^= 1;
    assert!(stolen.welcomes(&keys, &good));
    for (what, chain) in [("another root's", foreign), ("mixed", mixed), ("changed", changed)] {
        assert!(!stolen.welcomes(&keys, &chain), "{what}");
    }
    // It was refused for what it is: the super-peer serves as before.
    assert!(stolen.welcomes(&keys, &good));
    drop(stolen.world.person("ben", &stolen.network));
}
