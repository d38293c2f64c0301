//! The other doors by which foreign bytes come in: links, envelopes, the relay, questions, invites,
//! voice, files.

use std::time::Instant;

use data_encoding::BASE64URL_NOPAD;
use earshot_proto::authority::{AuthorityKeys, Row};
use earshot_proto::entropy::Entropy;
use earshot_proto::ids::{MessageId, UserName};
use earshot_proto::port::{RelayPortEvent, RelayPortId, Service};
use earshot_proto::secure::buddy_file::BuddyFile;
use earshot_proto::secure::envelope::{self, From};
use earshot_proto::secure::identity::Use;
use earshot_proto::secure::link::{Expect, SecureLink, Welcome};
use earshot_proto::secure::local_vault::{
    Counters, FilesKey, ListedAs, Listing, LocalVault, LockedVault, NewLock,
};
use earshot_proto::secure::location::{open_location, seal_location};
use earshot_proto::secure::password::{Password, StretchCost, Worked};
use earshot_proto::secure::questions::{
    ANSWER_MAX, Answerer, Asker, Epoch, Heard, Load, Outcome, Whom,
};
use earshot_proto::secure::report_seal::Account;
use earshot_proto::secure::seal::SealKey;
use earshot_proto::secure::voice_seal::{Stamp, StreamKeys, VoiceKeys};
use earshot_proto::super_peer::relay::{Relay, RelayConfig};
use earshot_proto::wire::Wire;
use earshot_proto::wire::bounded::Text;
use earshot_proto::wire::certificate::{DeviceList, Signed};
use earshot_proto::wire::directory::Location;
use earshot_proto::wire::invite::{AuthorityPlace, Invite, network_of};
use earshot_proto::wire::login::SealedVault;
use earshot_proto::wire::report::Reception;
use earshot_proto::wire::sealed::Content;
use earshot_proto::wire::sealed::buddy::ContactKey;
use earshot_proto::wire::sealed::chat::Chat;
use sha2::{Digest, Sha256};

use crate::damage::{arbitrary, damaged};
use crate::draw::Draw;
use crate::people::{Device, NOW, Network};
use crate::samples::samples;
use crate::table::{bear, bear_and_answer};

/// Rounds of damage to each sample.
const ROUNDS: usize = 8;

fn alice_and_bob() -> (Network, Device, Device) {
    let mut network = Network::new(5);
    let (alice, bob) = (network.device("alice"), network.device("bob"));
    (network, alice, bob)
}

/// Damaged and arbitrary bytes like `samples`.
fn bad_ones(samples: &[Vec<u8>], draw: &mut Draw) -> Vec<Vec<u8>> {
    let mut bad = arbitrary(5_000, draw);
    for sample in samples {
        for _ in 0..ROUNDS {
            let other = draw.pick(&samples.iter().collect::<Vec<_>>());
            bad.extend(damaged(sample, other, draw));
        }
    }
    bad
}

#[test]
fn an_envelope_of_any_bytes_stays_closed() {
    let (mut network, alice, bob) = alice_and_bob();
    let root = network.root();
    let mut sealed = |text: &str| {
        let (id, text) = (MessageId([7; 16]), Text::new(text).unwrap());
        let message = Chat::Message { id, number: 1, written: NOW, text, copy_of_message_to: None };
        let from = From { keys: &alice.keys, chain: &alice.chain, home: None };
        let to = bob.keys.public().agree;
        let content = Content::Chat(message);
        let id = network_of(&root);
        envelope::seal(from, &to, &id, NOW, &content, &mut network.secrets).unwrap().into_vec()
    };
    let samples = [sealed("hello"), sealed(&"long ".repeat(12_000))];
    let open = |bytes: &[u8]| envelope::open(&bob.keys.link, &root, NOW, Use::Addressing, bytes);
    for sample in &samples {
        assert!(bear("envelope", sample, open).is_ok());
    }
    let mut draw = Draw::new(1);
    for bad in bad_ones(&samples, &mut draw) {
        assert!(bear("envelope", &bad, open).is_err() || samples.contains(&bad));
    }
}

#[test]
fn a_link_bears_any_bytes_of_whoever_knocks() {
    let (mut network, alice, bob) = alice_and_bob();
    let now = Instant::now();
    let mut draw = Draw::new(2);
    // What an honest guest writes, and a member.
    let mut greetings = Vec::new();
    for chain in [None, Some(&alice.chain)] {
        let guest = earshot_proto::secure::link::LocalIdentity { chain, ..network.local(&alice) };
        let dialled = (Service::Authority, Expect::Anyone, now);
        let mut dialler =
            SecureLink::dial(guest, dialled.0, dialled.1, dialled.2, &mut network.secrets);
        let local = network.local(&bob);
        let mut secrets = Entropy::new([3; 32]).secrets;
        let mut accepter =
            SecureLink::accept(local, Service::Authority, Welcome::Guests, now, &mut secrets);
        let mut said = Vec::new();
        for _ in 0..2 {
            let forth = dialler.take_output().unwrap();
            accepter.handle_bytes(now, NOW, &forth, &mut Vec::new()).unwrap();
            said.extend(forth);
            if let Some(back) = accepter.take_output() {
                dialler.handle_bytes(now, NOW, &back, &mut Vec::new()).unwrap();
            }
        }
        assert!(accepter.is_open());
        // What comes then is nothing that the other could have sealed.
        for bad in arbitrary(5_000, &mut draw) {
            let mut news = Vec::new();
            let taken =
                bear("record", &bad, |bytes| accepter.handle_bytes(now, NOW, bytes, &mut news));
            assert!(news.is_empty() && (taken.is_err() || accepter.is_open() || bad.is_empty()));
        }
        assert!(!accepter.is_open());
        greetings.push(said);
    }
    for bad in bad_ones(&greetings, &mut draw) {
        // The accepter's own keys are drawn anew, so that only a whole first message is right.
        let local = network.local(&bob);
        let secrets = &mut network.secrets;
        let mut link = SecureLink::accept(local, Service::Authority, Welcome::Guests, now, secrets);
        let mut news = Vec::new();
        for piece in bad.chunks(1 + draw.below(bad.len() + 1)) {
            let taken =
                bear("greeting", piece, |bytes| link.handle_bytes(now, NOW, bytes, &mut news));
            if taken.is_err() {
                break;
            }
        }
        assert!(news.is_empty(), "nobody is believed");
        assert!(bear("poll", &[], |_| link.take_output()).map_or(0, |bytes| bytes.len()) < 4_096);
    }
}

/// What an answer of five attributes takes while stun-rs makes it, however short the question.
const ANSWER: usize = 4096;

/// STUN and TURN as strangers send them, and what looks like a channel.
fn stun() -> Vec<Vec<u8>> {
    let message = |kind: u16, attributes: &[u8]| {
        let len = attributes.len() as u16;
        let head = [kind.to_be_bytes(), len.to_be_bytes()].concat();
        [head.as_slice(), &0x2112_A442_u32.to_be_bytes(), &[7; 12][..], attributes].concat()
    };
    let transport = [0x00, 0x19, 0, 4, 17, 0, 0, 0];
    let user = [0x00, 0x06, 0, 4, b'a', b'n', b'n', b'a', 0x00, 0x14, 0, 4, b'a', b'b', b'c', b'd'];
    let nonce = [0x00, 0x15, 0, 4, b'n', b'o', b'n', b'e'];
    let integrity = [[0x00, 0x08, 0, 20].as_slice(), &[9; 20]].concat();
    let peer = [0x00, 0x12, 0, 8, 0, 1, 0x33, 0x44, 0x5e, 0x12, 0xa4, 0x43];
    let data = [0x00, 0x13, 0, 4, 1, 2, 3, 4];
    let channel = [0x00, 0x0c, 0, 4, 0x40, 0x01, 0, 0];
    let even = [0x00, 0x18, 0, 1, 0x80, 0, 0, 0];
    let member = [transport.as_slice(), &user, &nonce, &integrity].concat();
    let bound = [channel.as_slice(), &peer, &user, &nonce, &integrity].concat();
    vec![
        message(0x0001, &[]),
        message(0x0003, &transport),
        message(0x0003, &[transport, even].concat()),
        message(0x0003, &member),
        message(0x0004, &member),
        message(0x0008, &[peer.as_slice(), &user, &nonce, &integrity].concat()),
        message(0x0009, &bound),
        message(0x0016, &[peer.as_slice(), &data].concat()),
        message(0x0011, &[]),
        vec![0x40, 0x01, 0, 4, 1, 2, 3, 4],
    ]
}

/// What a handshake holds while it is read (`snow`), beside the question and the reply.
const HANDSHAKE: usize = 16 * 1024;

#[test]
fn asker_and_answerer_bear_any_datagram() {
    let (mut network, alice, _) = alice_and_bob();
    let (now, root, key) = (Instant::now(), network.root(), alice.keys.link);
    let mut secrets = || network.secrets.split();
    let epoch = || Epoch::new(1, [9; 32]);
    let whom = Whom { address: "203.0.113.1:5".parse().unwrap(), key: key.public() };
    let (home, mut draw) = ("198.51.100.1:6".parse().unwrap(), Draw::new(9));
    let mut asker = Asker::new(&root, epoch(), secrets(), secrets());
    let mut answerer = Answerer::new(now, key, &root, epoch(), secrets());
    let mut samples = Vec::new();
    for load in [Load::Heavy, Load::Light] {
        // A cookie, a first exchange, and one in the session.
        asker.ask(now, whom, b"what?", ANSWER_MAX).unwrap();
        while let Some(asked) = asker.poll_transmit() {
            let said = match answerer.handle(now, home, &asked.bytes, load) {
                Heard::Question(asked) => answerer.answer(now, asked, b"this").unwrap(),
                Heard::Reply(reply) => reply,
                Heard::Nothing => panic!("a good question is heard"),
            };
            let ended = asker.handle(now, whom.address, &said.bytes);
            assert!(ended.is_none_or(|(_, end)| matches!(end, Outcome::Answered { .. })));
            samples.extend([asked.bytes, said.bytes]);
        }
    }
    assert_eq!(samples.iter().map(|bytes| bytes[0]).max(), Some(0xE3));
    asker.ask(now, whom, b"and then?", ANSWER_MAX).unwrap();
    samples.extend(asker.poll_transmit().map(|asked| asked.bytes));
    let held = (answerer.sessions(), asker.open(), asker.known());
    for bad in bad_ones(&samples, &mut draw) {
        let load = draw.pick(&[Load::Light, Load::Heavy]);
        let heard = bear_and_answer("question", &bad, HANDSHAKE, |bytes| {
            answerer.handle(now, draw.address(), bytes, load)
        });
        assert!(!matches!(&heard, Heard::Reply(reply) if reply.bytes.len() > bad.len()));
        bear_and_answer("reply", &bad, HANDSHAKE, |bytes| asker.handle(now, whom.address, bytes));
    }
    assert_eq!((answerer.sessions(), asker.open(), asker.known()), held);
}

#[test]
fn the_relay_bears_any_datagram_from_strangers_and_peers() {
    let start = Instant::now();
    let mut relay = Relay::new(start, &RelayConfig::default(), Entropy::new([4; 32]).secrets);
    let mut draw = Draw::new(3);
    let samples = stun();
    let mut bytes = bad_ones(&samples, &mut draw);
    bytes.extend((0..2_000).map(|_| draw.vec(120)));
    bytes.extend(samples.iter().cloned());
    for (count, bad) in (0_u32..).zip(bytes.iter().chain(&bytes)) {
        let from = draw.address();
        let now = start + std::time::Duration::from_millis(count.into());
        bear_and_answer("datagram", bad, ANSWER, |bytes| {
            relay.handle_datagram(now, NOW, from, bytes);
        });
        let event = RelayPortEvent::Datagram { from, bytes: bad };
        relay.handle_relay_port(now, RelayPortId(count), event);
        while relay.poll_output().is_some() {}
    }
    assert!(relay.counters().answers > 10, "{:?}", relay.counters());
    assert_eq!(relay.counters().allocations, 0);
}

/// The text of `bytes` with the right checksum.
fn uri(scheme: &str, bytes: &[u8]) -> String {
    let sum = Sha256::digest(bytes);
    format!("{scheme}{}", BASE64URL_NOPAD.encode(&[bytes, &sum[..4]].concat()))
}

#[test]
fn an_invite_of_any_text_is_read_or_refused() {
    let samples = samples(3);
    let mut draw = Draw::new(4);
    let good = samples[Invite::NAME].iter().chain(&samples[AuthorityPlace::NAME]);
    for sample in good {
        for bad in damaged(sample, sample, &mut draw) {
            for scheme in ["earshot:", "earshot-authority:"] {
                let text = uri(scheme, &bad);
                bear("invite", text.as_bytes(), |_| Invite::from_uri(&text).is_ok());
                bear("authority", text.as_bytes(), |_| AuthorityPlace::from_uri(&text).is_ok());
            }
        }
        let text = uri("earshot:", sample);
        for bad in damaged(text.as_bytes(), b"earshot-authority:", &mut draw) {
            let text = String::from_utf8_lossy(&bad);
            bear("invite", text.as_bytes(), |_| Invite::from_uri(&text).is_ok());
            bear("authority", text.as_bytes(), |_| AuthorityPlace::from_uri(&text).is_ok());
        }
    }
}

#[test]
fn a_voice_packet_of_any_bytes_is_not_heard() {
    let key = |byte: u8| StreamKeys { key: [byte; 32], salt: [byte; 12], ssrc: 9 };
    let mut sealer = VoiceKeys { send: key(1), receive: key(2) }.into_seals().sealer;
    let mut opener = VoiceKeys { send: key(2), receive: key(1) }.into_seals().opener;
    let mut packets = Vec::new();
    for number in 0..40_u32 {
        let stamp = Stamp { marker: number == 0, timestamp: number * 960 };
        let mut packet = Vec::new();
        sealer.seal(stamp, &[number as u8; 80], &mut packet).unwrap();
        packets.push(packet);
    }
    let mut draw = Draw::new(5);
    for bad in bad_ones(&packets[..20], &mut draw) {
        let mut bytes = bad.clone();
        let heard = bear("voice", &bad, |_| opener.open(&mut bytes).is_ok());
        assert!(!heard || packets.contains(&bad));
    }
    for packet in &mut packets[20..] {
        assert!(opener.open(packet).is_ok(), "the honest ones are heard all the same");
    }
}

#[test]
fn a_report_of_any_bytes_is_not_believed() {
    let key = |byte: u8| StreamKeys { key: [byte; 32], salt: [byte; 12], ssrc: byte.into() };
    let mut sealer = VoiceKeys { send: key(1), receive: key(2) }.into_seals().report_sealer;
    let mut opener = VoiceKeys { send: key(2), receive: key(1) }.into_seals().report_opener;
    let mut packets = Vec::new();
    for number in 0..40 {
        let reception = Reception { lost: number, ..Reception::default() };
        let mut packet = Vec::new();
        let account = Account { sender: None, reception: Some(reception) };
        sealer.seal(account, &mut packet).unwrap();
        packets.push(packet);
    }
    let mut draw = Draw::new(6);
    for bad in bad_ones(&packets[..20], &mut draw) {
        let mut bytes = bad.clone();
        let believed = bear("report", &bad, |_| opener.open(&mut bytes).is_ok());
        assert!(!believed || packets.contains(&bad));
    }
    for packet in &mut packets[20..] {
        assert!(opener.open(packet).is_ok(), "the honest ones are believed all the same");
    }
}

fn local_vault(network: &mut Network, alice: &Device) -> Vec<u8> {
    let first = |family: &str| samples(6)[family][0].clone();
    let devices = DeviceList::from_bytes(&first(DeviceList::NAME)).unwrap();
    let devices: Signed<DeviceList> = alice.keys.sign.sign(&devices);
    let key = alice.keys.public();
    let vault = SealedVault {
        identity: key.verify,
        vault: Draw::new(1).blob(200),
        by_password: Draw::new(2).blob(60),
        by_recovery: Draw::new(3).blob(60),
        display_name: Text::new("Alice").unwrap(),
    };
    let keys = network.device("alice").keys;
    let vault = LocalVault {
        root: network.root(),
        user: alice.user.clone(),
        device: alice.id,
        keys,
        chain: alice.chain.clone(),
        devices,
        vault,
        contact_key: ContactKey([3; 32]),
        files: FilesKey::draw(&mut network.secrets),
        counters: Counters::default(),
        listing: Listing::default(),
        listed_as: ListedAs::default(),
    };
    let lock = NewLock::draw(StretchCost::LEAST, &mut network.secrets);
    let Worked::Stretched(key) = lock.stretch(&Password::new("a password").unwrap()).run() else {
        panic!("not a stretching")
    };
    lock.finish(&key, 0).seal(&vault, &mut network.secrets)
}

#[test]
fn a_vault_file_of_any_bytes_is_damaged() {
    let (mut network, alice, _) = alice_and_bob();
    let sample = local_vault(&mut network, &alice);
    assert!(bear("vault", &sample, |bytes| LockedVault::read(bytes).is_ok()));
    let mut draw = Draw::new(6);
    let body = &sample[..sample.len() - 32];
    let mut whole = 0;
    for bad in bad_ones(&[body.to_vec()], &mut draw) {
        bear("vault", &bad, |bytes| LockedVault::read(bytes).is_ok());
        // Somebody who writes files writes the checksum too.
        let forged = [bad.as_slice(), &Sha256::digest(&bad)].concat();
        whole += usize::from(bear("vault", &forged, |bytes| LockedVault::read(bytes).is_ok()));
    }
    assert!(whole > 0, "some are whole, and only the seal tells");
}

#[test]
fn sealed_texts_of_any_bytes_stay_closed() {
    let (mut network, alice, _) = alice_and_bob();
    let contact = ContactKey([8; 32]);
    let location = Location::from_bytes(&samples(7)[Location::NAME][0]).unwrap();
    let sealed = seal_location(&contact, &alice.id, 3, &location, &mut network.secrets).into_vec();
    let file = BuddyFile::new(UserName::new("alice").unwrap(), SealKey::from_secret(&[1; 32]));
    let list = file.seal(&[0x80], 4, &alice.keys.sign, &mut network.secrets);
    let by = alice.keys.public().verify;
    let mut draw = Draw::new(7);
    for bad in bad_ones(&[sealed.clone(), list.clone()], &mut draw) {
        let opened = |bytes: &[u8]| open_location(&contact, &alice.id, 3, bytes).is_ok();
        assert!(!bear("location", &bad, opened) || bad == sealed);
        let opened = bear("buddy list", &bad, |bytes| file.open(bytes, 0, &by).is_ok());
        assert!(!opened || bad == list);
    }
}

#[test]
fn the_authoritys_rows_and_keys_of_any_bytes_are_damaged_or_read() {
    let mut draw = Draw::new(8);
    let mut secrets = Entropy::new([9; 32]).secrets;
    let keys = AuthorityKeys::found(&mut secrets);
    let policy = Wire::from_bytes(&samples(8)["policy"][0]).unwrap();
    let rows = keys.first_rows(&policy, NOW).unwrap();
    let mut good: Vec<Vec<u8>> = rows.iter().map(Row::to_bytes).collect();
    good.push(keys.to_bytes().to_vec());
    for bad in bad_ones(&good, &mut draw) {
        bear("row", &bad, |bytes| Row::from_bytes(bytes).is_ok());
        let summed = [bad.as_slice(), &Sha256::digest(&bad)[..8]].concat();
        bear("row", &summed, |bytes| Row::from_bytes(bytes).is_ok());
        bear("keys", &bad, |bytes| AuthorityKeys::from_bytes(bytes).is_ok());
    }
}
