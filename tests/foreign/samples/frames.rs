//! What travels on links.

use std::net::SocketAddr;

use earshot_proto::ids::{NodeId, RingKey, SubscriptionId};
use earshot_proto::wire::bounded::Bytes;
use earshot_proto::wire::directory::{Directory, DirectoryRefusal, Entry, Offered, Trail};
use earshot_proto::wire::election::Election;
use earshot_proto::wire::enrolment::{Enrolment, EnrolmentRefusal};
use earshot_proto::wire::epoch::EpochSecret;
use earshot_proto::wire::forward::{Address, Forward, Subscriber, Undelivered};
use earshot_proto::wire::login::{Login, Refusal, SealedVault};
use earshot_proto::wire::nat::{Nat, NatRefusal};
use earshot_proto::wire::posting::{Page, PostingRefusal, Postings};
use earshot_proto::wire::ring::{Question, Reply};

use super::Drawing;
use super::standing::{
    agree_key, also, chain, device, door, holder_keys, node, signed, verify_key,
};
use crate::draw::Draw;

pub(super) fn draw(all: &mut Drawing) {
    let d = &mut all.draw;
    let login = login(d);
    let enrolment = enrolment(d);
    let directory = directory(d);
    let forward = forward(d);
    let nat = nat(d);
    let questions = ring_questions(d);
    let replies = ring_replies(d);
    let election = election(d);
    all.variants(login);
    all.variants(enrolment);
    all.variants(directory);
    all.variants(forward);
    all.variants(nat);
    all.variants(questions);
    all.variants(replies);
    let postings = postings(&mut all.draw);
    all.variants(postings);
    all.variants(election);
}

fn login(d: &mut Draw) -> Vec<Login> {
    let mut messages = vec![
        Login::RegisterStart {
            user: d.user(),
            request: d.blob(64),
            token: d.maybe(|d| d.blob(32)),
        },
        Login::RegisterOffer { response: d.blob(128) },
        Login::RegisterFinish {
            record: d.blob(256),
            vault: sealed_vault(d),
            devices: signed(d, 2048),
            device: device(d),
        },
        Login::Certified { chain: chain(d), until: d.time(), policy: signed(d, 1024) },
        Login::LoginStart { user: d.user(), request: d.blob(128) },
        Login::LoginOffer { response: d.blob(384) },
        Login::LoginFinish { finalization: d.blob(128) },
        Login::Account { vault: sealed_vault(d), devices: signed(d, 2048) },
        Login::CertifyDevice { devices: signed(d, 2048), device: device(d) },
        Login::Renew,
        Login::DevicesOf { user: d.user() },
        Login::Devices { devices: signed(d, 4096) },
    ];
    let refusals = [
        Refusal::NameTaken,
        Refusal::NameLooksAlike,
        Refusal::WrongNameOrPassword,
        Refusal::NotAdmitted,
        Refusal::TooManyAttempts,
        Refusal::DevicesRefused,
        Refusal::CertificateRefused,
        Refusal::OutOfOrder,
        Refusal::Unavailable,
        Refusal::NoSuchUser,
        Refusal::Malformed,
    ];
    messages.extend(
        refusals.map(|reason| Login::Refused { reason, retry_after_ms: d.maybe(Draw::number) }),
    );
    messages
}

fn sealed_vault(d: &mut Draw) -> SealedVault {
    SealedVault {
        identity: verify_key(d),
        vault: d.blob(1024),
        by_password: d.blob(128),
        by_recovery: d.blob(128),
        display_name: d.text(),
    }
}

fn enrolment(d: &mut Draw) -> Vec<Enrolment> {
    let mut messages = vec![
        Enrolment::Enrol {
            token: d.maybe(|d| d.blob(32)),
            keys: holder_keys(d),
            address: d.address(),
            v6: d.maybe(Draw::v6),
        },
        Enrolment::Renew { address: d.address(), v6: d.maybe(Draw::v6) },
        Enrolment::Enrolled {
            chain: chain(d),
            policy: signed(d, 1024),
            nodes: d.list(node),
            epochs: d.list(epoch),
        },
        Enrolment::Verify { address: d.address(), key: agree_key(d), nonce: d.bytes() },
        Enrolment::Verified { proof: d.maybe(|d| signed(d, 128)) },
        Enrolment::Prove { nonce: d.bytes() },
        Enrolment::Proof { proof: signed(d, 128) },
        Enrolment::CertificatesOf { nodes: d.list(|d| NodeId(d.bytes())) },
        Enrolment::Policy { policy: signed(d, 512) },
        Enrolment::PolicyKnown { version: d.number() },
        Enrolment::Certificates { statements: d.list(|d| signed(d, 512)) },
    ];
    let refusals = [
        EnrolmentRefusal::TokenRefused,
        EnrolmentRefusal::AddressRefused,
        EnrolmentRefusal::CertificateRefused,
        EnrolmentRefusal::Unavailable,
        EnrolmentRefusal::TooManyAttempts,
        EnrolmentRefusal::NotReached,
        EnrolmentRefusal::OtherAddress,
        EnrolmentRefusal::NobodyVerified,
    ];
    messages.extend(refusals.map(|reason| Enrolment::Refused { reason }));
    messages
}

fn directory(d: &mut Draw) -> Vec<Directory> {
    let entry = |d: &mut Draw| Entry {
        device: device(d),
        registration: signed(d, 1024),
        location: d.blob(512),
        home: d.maybe(node),
    };
    let offered = |d: &mut Draw| Offered { record: d.number(), counter: d.number() };
    let mut messages = vec![
        Directory::Attach { registration: signed(d, 1024), location: d.blob(512) },
        Directory::Attached {
            keepers: d.below(5) as u8,
            observed: d.address(),
            epochs: d.list(epoch),
        },
        Directory::Put {
            registration: signed(d, 1024),
            location: d.blob(512),
            home: d.maybe(node),
        },
        Directory::Kept,
        Directory::Offer { records: d.list(offered) },
        Directory::Wanted { places: d.list(|d| d.number() as u16) },
        Directory::Find { user: d.user() },
        Directory::FindForMe { user: d.user() },
        Directory::Found { entries: d.list(entry), trail: trail(d) },
        Directory::NotHere { trail: trail(d) },
        Directory::MoveOn { homes: d.list(node), after_ms: d.number() as u32 },
        Directory::ListSuperPeers,
        Directory::SuperPeers { nodes: d.list(node), authority: d.maybe(door), also: d.list(also) },
    ];
    let refusals = [
        DirectoryRefusal::RegistrationRefused,
        DirectoryRefusal::Stale,
        DirectoryRefusal::NotAllowed,
        DirectoryRefusal::Busy,
    ];
    messages.extend(refusals.map(|reason| Directory::Refused { reason }));
    messages
}

fn epoch(d: &mut Draw) -> EpochSecret {
    EpochSecret { number: d.number(), secret: d.bytes() }
}

fn address(d: &mut Draw) -> Address {
    Address { user: d.user(), device: device(d) }
}

fn subscription(d: &mut Draw) -> SubscriptionId {
    SubscriptionId(d.bytes())
}

fn forward(d: &mut Draw) -> Vec<Forward> {
    let long = d.chance(8);
    let len = if long { 71_680 } else { 1_200 };
    let mut messages = vec![
        Forward::Deliver { to: address(d), sealed: d.blob(len) },
        Forward::ThroughYou { home: node(d), to: address(d), sealed: d.blob(len) },
        Forward::Delivered,
        Forward::Watch {
            home: node(d),
            grant: signed(d, 1024),
            watcher: address(d),
            watcher_home: d.maybe(node),
            subscription: d.maybe(subscription),
        },
        Forward::Gone {
            who: address(d),
            watcher: address(d),
            home: d.maybe(|d| NodeId(d.bytes())),
        },
        Forward::Watching,
        Forward::Lost { who: address(d), watcher: address(d), home: NodeId(d.bytes()) },
        Forward::Subscribers {
            anew: d.chance(2),
            come: d.list(|d| Subscriber { home: node(d), subscription: subscription(d) }),
            gone: d.list(|d| NodeId(d.bytes())),
        },
        Forward::Copied,
        Forward::HomeDead { home: NodeId(d.bytes()), subscription: subscription(d) },
        Forward::Subscribed { subscription: subscription(d) },
        Forward::Unwatch { who: address(d), watcher: address(d) },
    ];
    let reasons = [
        Undelivered::NotHere,
        Undelivered::HomeUnreachable,
        Undelivered::TooMuch,
        Undelivered::NotAllowed,
    ];
    messages.extend(reasons.map(|reason| Forward::Undelivered { reason }));
    messages
}

fn nat(d: &mut Draw) -> Vec<Nat> {
    let mut messages = vec![
        Nat::DialBack { port: d.number() as u16, token: None },
        Nat::DialedBack { reached: d.chance(2), tried: d.address(), silent: None },
        Nat::RelayCredentials,
        Nat::RelayGrant {
            address: d.address(),
            username: d.text(),
            password: d.text(),
            expires: d.time(),
        },
    ];
    let refusals =
        [NatRefusal::PortRefused, NatRefusal::TooSoon, NatRefusal::NoRelay, NatRefusal::NotAllowed];
    messages.extend(refusals.map(|reason| Nat::Refused { reason }));
    messages.push(Nat::DialBack { port: d.number() as u16, token: Some(d.blob(16)) });
    let silent = Some(d.chance(2));
    messages.push(Nat::DialedBack { reached: false, tried: d.address(), silent });
    // Not drawn, so that what is drawn after them stays what it was.
    messages.push(Nat::Alternate { port: 37_374 });
    messages.push(Nat::Turned {
        to: SocketAddr::from(([203, 0, 113, 9], 5000)),
        transaction: Bytes::new(vec![7; 12]).expect("it is twelve bytes long"),
        length: 28,
        alternate: true,
        asked_alternate: false,
    });
    messages
}

fn election(d: &mut Draw) -> [Election; 4] {
    let mut number = || d.number() as u32;
    let (super_peers, clients) = (number(), number());
    let score = d.maybe(|d| d.number() as u16);
    [
        Election::Ask { score },
        Election::Around { super_peers, clients },
        Election::Invited,
        Election::Load { clients, score },
    ]
}

fn ring_questions(d: &mut Draw) -> Vec<Question> {
    vec![
        Question::State { known: d.number() },
        Question::Rectify,
        Question::Nearest { key: RingKey(d.bytes()), width: d.pick(&[4, 8, 16]) },
        Question::Leaving { predecessor: d.maybe(node), successors: d.list(node) },
        Question::News { joined: d.list(node), gone: d.list(node), until: NodeId(d.bytes()) },
        Question::Changed,
    ]
}

fn ring_replies(d: &mut Draw) -> Vec<Reply> {
    vec![
        Reply::State {
            predecessor: d.maybe(node),
            successors: d.list(node),
            members: d.maybe(|d| d.number() as u16),
        },
        Reply::Same,
        Reply::Keepers { nodes: d.list(node) },
        Reply::Closer { nodes: d.list(node) },
        Reply::Done,
        Reply::Outside,
    ]
}

fn trail(d: &mut Draw) -> Trail {
    Trail { asked: d.number() as u8, round: d.below(4) as u8, cached: d.chance(2) }
}

fn postings(d: &mut Draw) -> Vec<Postings> {
    let (word, shard) = (RingKey(d.bytes()), d.number() as u8);
    let mut messages = vec![
        Postings::Post { word, shard, posting: signed(d, 3584) },
        Postings::Posted { split: d.chance(2) },
        Postings::FindWord { page: page(d) },
        Postings::Listed {
            postings: d.list(|d| signed(d, 1500)),
            next: d.maybe(Draw::user),
            split: d.chance(2),
            trail: trail(d),
        },
        Postings::PostForMe { word, posting: signed(d, 3584) },
        Postings::FindForMe { page: page(d) },
    ];
    let refusals = [
        PostingRefusal::PostingRefused,
        PostingRefusal::Stale,
        PostingRefusal::NotHere,
        PostingRefusal::Full,
        PostingRefusal::NotAllowed,
        PostingRefusal::Busy,
    ];
    messages.extend(refusals.map(|reason| Postings::Refused { reason }));
    messages
}

fn page(d: &mut Draw) -> Page {
    Page {
        word: RingKey(d.bytes()),
        shard: d.number() as u8,
        after: d.maybe(Draw::user),
        typed: d.list(Draw::text),
    }
}
