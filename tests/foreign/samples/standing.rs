//! What is read on its own, and the parts that other families hold.

use earshot_proto::ids::DeviceId;
use earshot_proto::wire::bounded::Bytes;
use earshot_proto::wire::certificate::{
    AgreeKey, Chain, DeviceList, Hello, HolderKeys, ListedDevice, Signature, Signed, Statement,
    Subject, VerifyKey,
};
use earshot_proto::wire::directory::{Location, NodeEntry, Reachability, Registration};
use earshot_proto::wire::enrolment::AddressProof;
use earshot_proto::wire::envelope::Letter;
use earshot_proto::wire::forward::WatchGrant;
use earshot_proto::wire::invite::{AlsoAt, AuthorityPlace, Door, Invite};
use earshot_proto::wire::knock::Knock;
use earshot_proto::wire::policy::{Admission, Policy, Range};
use earshot_proto::wire::posting::Posting;
use earshot_proto::wire::question::{Datagram, SessionId, TryName};
use earshot_proto::wire::report::{Reception, Report, ReportBlock, SenderInfo};
use earshot_proto::wire::voice::RtpHeader;

use super::Drawing;
use crate::draw::Draw;

pub(super) const REACHABILITY: [Reachability; 3] =
    [Reachability::Public, Reachability::Natted, Reachability::Restricted];

pub(super) fn draw(all: &mut Drawing) {
    let d = &mut all.draw;
    let (chains, hellos) = ([chain(d), chain(d)], [hello(d), hello(d)]);
    let statements = [0, 1, 2].map(|kind| statement(d, kind));
    let devices = [device_list(d), device_list(d)];
    let proofs = [AddressProof { nonce: d.bytes(), address: d.address() }];
    let policies = [policy(d), policy(d)];
    let invites = [invite(d), invite(d)];
    let places = [AuthorityPlace { root: verify_key(d), door: door(d), v6: d.maybe(Draw::v6) }];
    let registrations = [registration(d)];
    let locations = REACHABILITY.map(|how| location(d, how));
    let grants = [grant(d)];
    let letters = [letter(d), letter(d)];
    let header = RtpHeader {
        marker: d.chance(2),
        payload_type: d.pick(&[0, 111, 127]),
        sequence: d.number() as u16,
        timestamp: d.number() as u32,
        ssrc: d.number() as u32,
    };
    let reports = [(1, 1), (1, 0), (0, 1), (0, 0)].map(|(sender, block)| report(d, sender, block));
    let questions = questions(d);
    let profiles = [posting(d), posting(d)];
    all.shape(chains);
    all.shape(hellos);
    all.shape(statements);
    all.shape(devices);
    all.shape(proofs);
    all.shape(policies);
    all.shape(invites);
    all.shape(places);
    all.shape(registrations);
    all.shape(locations);
    all.shape(grants);
    all.shape(letters);
    all.shape(profiles);
    all.raw("voice.rtp", header.to_bytes().to_vec());
    reports.into_iter().for_each(|report| all.raw("voice.rtcp", report));
    questions.into_iter().for_each(|question| all.raw("question", question));
    let knock = Knock(all.draw.bytes());
    all.raw("knock", knock.to_bytes());
}

/// What is sealed is any bytes: it is opened later.
fn questions(d: &mut Draw) -> [Vec<u8>; 6] {
    let sealed = [&d.bytes::<60>(), d.vec(1098).as_slice()].concat();
    let (name, session) = (TryName(d.number()), SessionId(d.number()));
    let (epoch, counter, proof) = (d.number() as u8, d.number(), d.bytes());
    [
        Datagram::Question { epoch, name, proof, cookie_proof: d.bytes(), noise: &sealed },
        Datagram::Answer { name, noise: &sealed },
        Datagram::SessionQuestion { epoch, session, counter, sealed: &sealed },
        Datagram::SessionAnswer { session, asked: counter, counter: d.number(), sealed: &sealed },
        Datagram::SessionUnknown { session, counter, proof },
        Datagram::Cookie { name, cookie: d.bytes(), proof },
    ]
    .map(|datagram| datagram.to_bytes())
}

fn report(d: &mut Draw, senders: usize, blocks: usize) -> Vec<u8> {
    let mut word = || d.number() as u32;
    let sender = SenderInfo {
        ntp: u64::from(word()) << 32 | u64::from(word()),
        timestamp: word(),
        packets: word(),
        octets: word(),
    };
    let reception = Reception {
        fraction_lost: word() as u8,
        lost: word() as i32 >> 8,
        highest_sequence: word(),
        jitter: word(),
        last_sr: word(),
        delay_since_sr: word(),
        loss_runs: word(),
    };
    let (ssrc, block) = (word(), ReportBlock { ssrc: word(), reception });
    let mut bytes = Vec::new();
    let report = Report {
        ssrc,
        sender: (senders > 0).then_some(sender),
        block: (blocks > 0).then_some(block),
    };
    report.write(&mut bytes);
    bytes
}

pub(super) fn verify_key(d: &mut Draw) -> VerifyKey {
    VerifyKey(d.bytes())
}

pub(super) fn agree_key(d: &mut Draw) -> AgreeKey {
    AgreeKey(d.bytes())
}

pub(super) fn holder_keys(d: &mut Draw) -> HolderKeys {
    HolderKeys { verify: verify_key(d), agree: agree_key(d) }
}

pub(super) fn device(d: &mut Draw) -> DeviceId {
    DeviceId(d.bytes())
}

/// Its body is any bytes: what is under a signature is read later, as its own family.
pub(super) fn signed<T>(d: &mut Draw, body_max: usize) -> Signed<T> {
    let body: Bytes<4096> = d.blob(body_max);
    Signed::new(body, Signature(d.bytes()))
}

pub(super) fn chain(d: &mut Draw) -> Chain {
    Chain { authority: signed(d, 300), holder: d.maybe(|d| signed(d, 400)) }
}

pub(super) fn node(d: &mut Draw) -> NodeEntry {
    NodeEntry {
        node: earshot_proto::ids::NodeId(d.bytes()),
        address: d.address(),
        key: agree_key(d),
    }
}

pub(super) fn also(d: &mut Draw) -> AlsoAt {
    AlsoAt { key: agree_key(d), address: d.v6() }
}

pub(super) fn door(d: &mut Draw) -> Door {
    Door { address: d.address(), key: agree_key(d) }
}

fn statement(d: &mut Draw, kind: usize) -> Statement {
    let subject = match kind {
        0 => Subject::Authority { verify: verify_key(d), agree: agree_key(d) },
        1 => Subject::Device {
            user: d.user(),
            identity: verify_key(d),
            device: device(d),
            keys: holder_keys(d),
        },
        _ => Subject::Node {
            node: earshot_proto::ids::NodeId(d.bytes()),
            address: d.address(),
            keys: holder_keys(d),
            owner: d.maybe(Draw::user),
            v6: d.maybe(Draw::v6),
        },
    };
    Statement {
        serial: d.number(),
        subject,
        not_before: d.time(),
        not_after: d.time(),
        policy_version: d.number(),
    }
}

fn hello(d: &mut Draw) -> Hello {
    Hello { features: d.number(), chain: d.maybe(chain), clock: d.time() }
}

fn device_list(d: &mut Draw) -> DeviceList {
    let listed =
        |d: &mut Draw| ListedDevice { device: device(d), keys: holder_keys(d), added: d.time() };
    DeviceList { user: d.user(), version: d.number(), devices: d.list(listed) }
}

fn policy(d: &mut Draw) -> Policy {
    Policy {
        version: d.number(),
        name: d.text(),
        admission: d.pick(&[Admission::Open, Admission::Token]),
        ranges: d.list(|d| Range { address: d.ip(), prefix: d.below(256) as u8 }),
        ring_threshold: d.number() as u32,
        keepers: d.number() as u8,
        successors: d.number() as u8,
        exempt_super_peers: d.maybe(|d| d.number() as u16),
    }
}

fn invite(d: &mut Draw) -> Invite {
    Invite {
        name: d.text(),
        root: verify_key(d),
        super_peers: d.list(door),
        token: d.maybe(|d| d.blob(32)),
        policy_version: d.number(),
        also: d.maybe(|d| d.list(also)),
    }
}

pub(super) fn registration(d: &mut Draw) -> Registration {
    Registration {
        chain: chain(d),
        devices_version: d.number(),
        counter: d.number(),
        expires: d.time(),
    }
}

pub(super) fn location(d: &mut Draw, reachability: Reachability) -> Location {
    Location { home: node(d), direct: d.maybe(Draw::address), reachability }
}

fn grant(d: &mut Draw) -> WatchGrant {
    WatchGrant { chain: chain(d), watcher: d.user(), expires: d.time() }
}

fn letter(d: &mut Draw) -> Letter {
    let long = d.chance(8);
    Letter {
        sender: chain(d),
        sealed_at: d.time(),
        content: d.blob(if long { 66_000 } else { 600 }),
        home: d.maybe(node),
    }
}

fn posting(d: &mut Draw) -> Posting {
    Posting {
        chain: chain(d),
        display_name: d.maybe(Draw::text),
        words: d.list(Draw::text),
        counter: d.number(),
        expires: d.time(),
        about: d.maybe(|d| d.list(Draw::text)),
    }
}
