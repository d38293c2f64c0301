//! A small world around one authority: a disk, a clock, and people who dial it over real links.
#![expect(clippy::wildcard_enum_match_arm, reason = "a test panics at all that it does not expect")]

mod accounts;
mod crashes;
mod limits;
mod nodes;
mod verifying;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::*;
use crate::entropy::{Entropy, Stream};
use crate::ids::{DeviceId, UserName};
use crate::port::{
    Input, LinkDown, LinkEvent, LinkId, LinkOrder, Machine, Output, SaveFailure, SaveId, Service,
};
use crate::secure::identity::{Keys, SignKey, Use, Verified, verify_chain};
use crate::secure::link::{Expect, LinkNews, LocalIdentity, SecureLink};
use crate::secure::password::{
    ExportKey, LoginStart, Password, RegistrationStart, StretchCost, Worked,
};
use crate::secure::recovery_key::RecoveryKey;
use crate::secure::vault::Vault;
use crate::time::UnixTime;
use crate::wire::bounded::{Bytes, List, Text};
use crate::wire::certificate::{Chain, DeviceList, ListedDevice, Signed, Subject, VerifyKey};
use crate::wire::enrolment::Enrolment;
use crate::wire::frame::{Frame, Message};
use crate::wire::login::{Login, Refusal, SealedVault};
use crate::wire::policy::{Admission, Policy};

const START: UnixTime = UnixTime(1_700_000_000_000);
const DAY: Duration = Duration::from_secs(24 * 3600);
const COST: StretchCost = StretchCost::LEAST;
const HOME: &str = "198.51.100.7:5000";

/// What the disk does with a record.
#[derive(Clone, Copy, PartialEq)]
enum Disk {
    Keeps,
    Fails,
    Hangs,
}

struct World {
    authority: Authority,
    root: VerifyKey,
    key_file: Vec<u8>,
    rows: BTreeMap<(&'static str, Vec<u8>), Row>,
    disk: Disk,
    hanging: Vec<(SaveId, Record)>,
    notices: Vec<Notice>,
    links: BTreeMap<LinkId, Client>,
    now: Instant,
    wall: UnixTime,
    secrets: Stream,
    next_link: u32,
    around: verifying::Around,
}

struct Client {
    link: SecureLink,
    inbox: Vec<Frame>,
    bytes_in: usize,
    closed: bool,
}

/// Somebody with a device.
struct Person {
    user: UserName,
    identity: SignKey,
    device: DeviceId,
    keys: Keys,
    devices: Signed<DeviceList>,
    chain: Option<Chain>,
}

fn policy(admission: Admission) -> Policy {
    Policy {
        version: 1,
        name: Text::new("test").expect("short"),
        admission,
        ranges: List::first_of(["127.0.0.0/8".parse().expect("a range")]),
        ring_threshold: 8,
        keepers: 4,
        successors: 16,
        exempt_super_peers: Some(1000),
    }
}

fn name(user: &str) -> UserName {
    UserName::new(user).expect("a name")
}

#[expect(clippy::disallowed_methods, reason = "an Instant has no other beginning")]
fn start_of_time() -> Instant {
    Instant::now()
}

impl World {
    fn new() -> Self {
        Self::with(Admission::Open, Limits::default())
    }

    fn with(admission: Admission, limits: Limits) -> Self {
        let mut secrets = Entropy::new([1; 32]).secrets;
        let keys = AuthorityKeys::found(&mut secrets);
        let first = keys.first_rows(&policy(admission), START).expect("the root is here");
        let rows = first.into_iter().map(|row| ((row.table(), row.key()), row)).collect();
        let key_file = keys.to_bytes().to_vec();
        let (root, now) = (keys.root(), start_of_time());
        let entropy = Entropy::new([2; 32]);
        let authority = boot(&key_file, &rows, limits, now, START, entropy);
        Self {
            authority,
            root,
            key_file,
            rows,
            disk: Disk::Keeps,
            hanging: Vec::new(),
            notices: Vec::new(),
            links: BTreeMap::new(),
            now,
            wall: START,
            secrets,
            next_link: 0,
            around: verifying::Around::default(),
        }
    }

    /// The power goes and comes back: what is not on the disk is gone.
    fn crash(&mut self) {
        self.links.clear();
        self.hanging.clear();
        self.disk = Disk::Keeps;
        let entropy = Entropy::new(self.secrets.bytes());
        let limits = Limits::default();
        let (key_file, rows) = (&self.key_file, &self.rows);
        self.authority = boot(key_file, rows, limits, self.now, self.wall, entropy);
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.wall = self.wall.plus(time);
        self.authority.handle(self.now, Input::Timeout);
        self.run();
    }

    fn dial(&mut self, keys: &Keys, chain: Option<&Chain>) -> LinkId {
        self.dial_from(keys, chain, HOME)
    }

    fn dial_from(&mut self, keys: &Keys, chain: Option<&Chain>, from: &str) -> LinkId {
        self.next_link += 1;
        let id = LinkId::Accepted(self.next_link);
        let local = LocalIdentity { key: &keys.link, chain, root: self.root, features: 0 };
        let link = SecureLink::dial(
            local,
            Service::Authority,
            Expect::Anyone,
            self.now,
            &mut self.secrets,
        );
        self.links.insert(id, Client { link, inbox: Vec::new(), bytes_in: 0, closed: false });
        let from: SocketAddr = from.parse().expect("an address");
        let accepted = LinkEvent::Accepted { from, service: Service::Authority };
        self.authority.handle(self.now, Input::Link(id, accepted));
        self.run();
        id
    }

    fn hang_up(&mut self, id: LinkId) {
        self.links.remove(&id);
        self.authority.handle(self.now, Input::Link(id, LinkEvent::Down(LinkDown::Closed)));
        self.run();
    }

    /// Carries everything to everybody until nobody has anything to say.
    fn run(&mut self) {
        loop {
            let mut silent = true;
            for (id, client) in &mut self.links {
                while let Some(bytes) = client.link.take_output() {
                    silent = false;
                    let bytes = LinkEvent::Bytes(&bytes);
                    self.authority.handle(self.now, Input::Link(*id, bytes));
                }
            }
            loop {
                let output = self.authority.poll_output();
                if matches!(output, Output::Wait(..)) {
                    break;
                }
                silent = false;
                self.act(output);
            }
            if silent {
                return;
            }
        }
    }

    fn act(&mut self, output: Output<Notice, Record>) {
        match output {
            Output::Link(id @ LinkId::Dialled(_), order) => self.dialled(id, order),
            Output::Link(id, LinkOrder::Bytes(bytes)) => {
                let Some(client) = self.links.get_mut(&id) else { return };
                client.bytes_in += bytes.len();
                let mut news = Vec::new();
                let read = client.link.handle_bytes(self.now, self.wall, &bytes, &mut news);
                client.closed |= read.is_err();
                client.inbox.extend(news.into_iter().filter_map(|news| match news {
                    LinkNews::Frame(frame) => Some(frame),
                    LinkNews::Open(_) => None,
                }));
            }
            Output::Link(id, LinkOrder::Close) => {
                if let Some(client) = self.links.get_mut(&id) {
                    client.closed = true;
                }
            }
            Output::Save(save, record) => match self.disk {
                Disk::Keeps => self.keep(save, record),
                Disk::Fails => {
                    let failed = Input::NotSaved(save, SaveFailure::DiskFull);
                    self.authority.handle(self.now, failed);
                }
                Disk::Hangs => self.hanging.push((save, record)),
            },
            Output::Notify(notice) => self.notices.push(notice),
            other => panic!("an authority does not order {other:?}"),
        }
    }

    fn keep(&mut self, save: SaveId, record: Record) {
        for row in record.rows {
            let row = Row::from_bytes(&row.to_bytes()).expect("its own bytes");
            self.rows.insert((row.table(), row.key()), row);
        }
        self.authority.handle(self.now, Input::Saved(save));
    }

    fn release_disk(&mut self) {
        self.disk = Disk::Keeps;
        for (save, record) in std::mem::take(&mut self.hanging) {
            self.keep(save, record);
        }
        self.run();
    }

    /// Asks, and gives the answer if there is one already.
    fn ask(&mut self, id: LinkId, message: impl Into<Message>) -> Option<Message> {
        let frame = Frame { ask: 7, message: message.into() };
        let client = self.links.get_mut(&id).expect("a link that was dialled");
        client.link.send(self.now, &frame).expect("an open link");
        self.run();
        self.answer(id)
    }

    fn answer(&mut self, id: LinkId) -> Option<Message> {
        let client = self.links.get_mut(&id).expect("a link that was dialled");
        let frame = (!client.inbox.is_empty()).then(|| client.inbox.remove(0))?;
        assert_eq!(frame.ask, 7, "an answer belongs to its question");
        Some(frame.message)
    }

    fn ask_login(&mut self, id: LinkId, question: Login) -> Login {
        match self.ask(id, question) {
            Some(Message::Login(answer)) => answer,
            other => panic!("no answer of the login family: {other:?}"),
        }
    }

    fn new_person(&mut self, user: &str) -> Person {
        let identity = SignKey::draw(&mut self.secrets);
        let (device, keys) = (DeviceId(self.secrets.bytes()), Keys::draw(&mut self.secrets));
        let devices = self.list(&identity, user, 1, &[(device, &keys)]);
        Person { user: name(user), identity, device, keys, devices, chain: None }
    }

    fn list(
        &self,
        identity: &SignKey,
        user: &str,
        version: u64,
        devices: &[(DeviceId, &Keys)],
    ) -> Signed<DeviceList> {
        let listed = devices.iter().map(|(device, keys)| ListedDevice {
            device: *device,
            keys: keys.public(),
            added: self.wall,
        });
        identity.sign(&DeviceList { user: name(user), version, devices: List::first_of(listed) })
    }

    /// The whole registration of `person`; the answer to its last message may still be on its way.
    fn register_on(
        &mut self,
        id: LinkId,
        person: &Person,
        password: &str,
        token: Option<Bytes<32>>,
    ) -> Result<Option<Message>, Refusal> {
        let typed = Password::new(password).expect("a password");
        let (start, request) = RegistrationStart::begin(&typed, &mut self.secrets);
        let user = person.user.clone();
        let response = match self.ask_login(id, Login::RegisterStart { user, request, token }) {
            Login::RegisterOffer { response } => response,
            Login::Refused { reason, .. } => return Err(reason),
            other => panic!("no answer to a registration: {other:?}"),
        };
        let network = crate::secure::identity::network(&self.root);
        let work = start.answer(&response, &person.user, &network, COST).expect("an offer");
        let Worked::Registered(Ok(done)) = work.run() else { panic!("registration fails") };
        let vault = self.seal_vault(person, &done.export);
        let finish = Login::RegisterFinish {
            record: done.record,
            vault,
            devices: person.devices.clone(),
            device: person.device,
        };
        Ok(self.ask(id, finish))
    }

    fn seal_vault(&mut self, person: &Person, export: &ExportKey) -> SealedVault {
        let vault = Vault {
            identity: SignKey::from_secret(&person.identity.secret()),
            ..Vault::draw(&mut self.secrets)
        };
        let recovery = RecoveryKey::draw(&mut self.secrets);
        let shown = Text::new("Somebody").expect("short");
        vault.seal(&person.user, shown, export, &recovery, &mut self.secrets).0
    }

    fn register_with(
        &mut self,
        user: &str,
        password: &str,
        token: Option<Bytes<32>>,
    ) -> Result<Person, Refusal> {
        let mut person = self.new_person(user);
        let id = self.dial(&person.keys, None);
        let answer = self.register_on(id, &person, password, token);
        self.hang_up(id);
        match answer?.expect("an answer") {
            Message::Login(Login::Certified { chain, .. }) => {
                person.chain = Some(chain);
                Ok(person)
            }
            Message::Login(Login::Refused { reason, .. }) => Err(reason),
            other => panic!("no answer to a registration: {other:?}"),
        }
    }

    fn register(&mut self, user: &str, password: &str) -> Result<Person, Refusal> {
        self.register_with(user, password, None)
    }

    /// Logs in up to the account; an error is what the peer would show.
    fn prove(
        &mut self,
        id: LinkId,
        user: &str,
        password: &str,
    ) -> Result<(Vault, SealedVault, Signed<DeviceList>), Refusal> {
        let typed = Password::new(password).expect("a password");
        let (start, request) = LoginStart::begin(&typed, &mut self.secrets);
        let response = match self.ask_login(id, Login::LoginStart { user: name(user), request }) {
            Login::LoginOffer { response } => response,
            Login::Refused { reason, .. } => return Err(reason),
            other => panic!("no answer to a login: {other:?}"),
        };
        let network = crate::secure::identity::network(&self.root);
        let work = start.answer(&response, &name(user), &network, COST).expect("an offer");
        let Worked::LoggedIn(result) = work.run() else { panic!("not a login") };
        let Ok(done) = result else { return Err(Refusal::WrongNameOrPassword) };
        let finalization = done.finalization;
        match self.ask_login(id, Login::LoginFinish { finalization }) {
            Login::Account { vault, devices } => {
                let opened = Vault::open_by_password(&vault, &name(user), &done.export);
                Ok((opened.expect("the password opens the vault").0, vault, devices))
            }
            Login::Refused { reason, .. } => Err(reason),
            other => panic!("no answer to a proof: {other:?}"),
        }
    }

    fn verified(&self, chain: &Chain) -> Verified {
        verify_chain(chain, &self.root, self.wall, Use::Present).expect("a certificate that holds")
    }

    fn order(&mut self, order: Order) {
        self.authority.order(self.now, order);
        self.run();
    }

    fn make_token(&mut self, admits: Admits, uses: u32, until: UnixTime) -> Bytes<32> {
        self.order(Order::MakeToken { admits, uses, until });
        match self.notices.pop() {
            Some(Notice::TokenMade { token, .. }) => token.bytes(),
            other => panic!("no token was made: {other:?}"),
        }
    }

    fn enrol(&mut self, id: LinkId, question: Enrolment) -> Enrolment {
        match self.ask(id, question) {
            Some(Message::Enrolment(answer)) => answer,
            other => panic!("no answer of the enrolment family: {other:?}"),
        }
    }
}

fn boot(
    key_file: &[u8],
    rows: &BTreeMap<(&'static str, Vec<u8>), Row>,
    limits: Limits,
    now: Instant,
    wall: UnixTime,
    entropy: Entropy,
) -> Authority {
    let keys = AuthorityKeys::from_bytes(key_file).expect("its own bytes");
    let state = AuthorityState::load(rows.values().cloned(), &keys.root()).expect("its own rows");
    Authority::new(keys, state, limits, now, wall, entropy)
}

fn refusal(answer: Login) -> (Refusal, Option<u64>) {
    match answer {
        Login::Refused { reason, retry_after_ms } => (reason, retry_after_ms),
        other => panic!("no refusal: {other:?}"),
    }
}

/// The loop that owns an authority may move between threads.
const _: fn() = || {
    const fn movable<T: Send>() {}
    movable::<Authority>();
};
