//! Two links talk through memory; time, bytes and what goes wrong are in the test's hand.

use proptest::prelude::*;

use super::super::testing::{DAY, Device, NOW, Network};
use super::*;
use crate::entropy::Entropy;
use crate::ids::{DeviceId, UserName};
use crate::wire::bounded::Bytes;
use crate::wire::directory::Directory;
use crate::wire::forward::{Address, Forward};
use crate::wire::frame::Message;

/// Two ends of one link and what they told.
struct Pair {
    now: Instant,
    wall: UnixTime,
    dialler: SecureLink,
    accepter: SecureLink,
    dialler_news: Vec<LinkNews>,
    accepter_news: Vec<LinkNews>,
}

#[derive(Debug, PartialEq)]
enum Failed {
    AtDialler(LinkError),
    AtAccepter(LinkError),
}

struct Meeting<'a> {
    network: &'a Network,
    root_of_accepter: VerifyKey,
    dialler: (&'a Device, Option<&'a Chain>),
    accepter: (&'a Device, Option<&'a Chain>),
    expect: Expect,
    welcome: Welcome,
    services: (Service, Service),
    wall: UnixTime,
}

impl<'a> Meeting<'a> {
    fn new(network: &'a Network, dialler: &'a Device, accepter: &'a Device) -> Self {
        Self {
            network,
            root_of_accepter: network.root(),
            dialler: (dialler, Some(&dialler.chain)),
            accepter: (accepter, Some(&accepter.chain)),
            expect: Expect::Anyone,
            welcome: Welcome::Certified,
            services: (Service::SuperPeer, Service::SuperPeer),
            wall: NOW,
        }
    }

    fn begin(self) -> Pair {
        let now = start_of_time();
        let mut secrets = Entropy::new([9; 32]).secrets;
        let local = |(device, chain): (&'a Device, Option<&'a Chain>), root| LocalIdentity {
            key: &device.keys.link,
            chain,
            root,
            features: 5,
        };
        let root = self.network.root();
        let (dialled, accepted) = self.services;
        let dialler = local(self.dialler, root);
        let accepter = local(self.accepter, self.root_of_accepter);
        Pair {
            now,
            wall: self.wall,
            dialler: SecureLink::dial(dialler, dialled, self.expect, now, &mut secrets),
            accepter: SecureLink::accept(accepter, accepted, self.welcome, now, &mut secrets),
            dialler_news: Vec::new(),
            accepter_news: Vec::new(),
        }
    }

    fn meet(self) -> Result<Pair, Failed> {
        let mut pair = self.begin();
        pair.run()?;
        Ok(pair)
    }
}

/// The only clock reading of these tests: all times are this one and durations.
#[expect(clippy::disallowed_methods, reason = "an Instant has no other beginning")]
fn start_of_time() -> Instant {
    Instant::now()
}

impl Pair {
    fn run(&mut self) -> Result<(), Failed> {
        self.run_cut(&[usize::MAX])
    }

    /// Carries bytes both ways until both are silent, in pieces of the lengths given, over and
    /// over.
    fn run_cut(&mut self, cuts: &[usize]) -> Result<(), Failed> {
        let mut cuts = cuts.iter().copied().cycle();
        let (now, wall) = (self.now, self.wall);
        loop {
            let forth = drain(&mut self.dialler);
            let back = drain(&mut self.accepter);
            if forth.is_empty() && back.is_empty() {
                return Ok(());
            }
            for piece in pieces(&forth, &mut cuts) {
                self.accepter
                    .handle_bytes(now, wall, piece, &mut self.accepter_news)
                    .map_err(Failed::AtAccepter)?;
            }
            for piece in pieces(&back, &mut cuts) {
                self.dialler
                    .handle_bytes(now, wall, piece, &mut self.dialler_news)
                    .map_err(Failed::AtDialler)?;
            }
        }
    }

    fn frames_at_accepter(&mut self) -> Vec<Frame> {
        frames(std::mem::take(&mut self.accepter_news))
    }
}

fn drain(link: &mut SecureLink) -> Vec<u8> {
    std::iter::from_fn(|| link.take_output()).flatten().collect()
}

fn pieces<'b>(mut bytes: &'b [u8], cuts: &mut impl Iterator<Item = usize>) -> Vec<&'b [u8]> {
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        let cut = cuts.next().map_or(1, |cut| cut.clamp(1, bytes.len()));
        let (piece, rest) = bytes.split_at(cut);
        pieces.push(piece);
        bytes = rest;
    }
    pieces
}

fn frames(news: Vec<LinkNews>) -> Vec<Frame> {
    news.into_iter()
        .filter_map(|n| match n {
            LinkNews::Frame(frame) => Some(frame),
            LinkNews::Open(_) => None,
        })
        .collect()
}

fn remote(news: &[LinkNews]) -> &Remote {
    let [LinkNews::Open(opened)] = news else { panic!("one opening, not {news:?}") };
    &opened.remote
}

fn short(ask: u32) -> Frame {
    let user = UserName::new("alice").expect("a name");
    Frame { ask, message: Directory::Find { user }.into() }
}

fn envelope(ask: u32, len: usize) -> Frame {
    let to = Address { user: UserName::new("bob").expect("a name"), device: DeviceId([2; 16]) };
    let sealed = Bytes::new(vec![0xA5; len]).expect("short enough");
    Frame { ask, message: Message::Forward(Forward::Deliver { to, sealed }) }
}

fn alice_and_bob() -> (Network, Device, Device) {
    let mut network = Network::new(1);
    let (alice, bob) = (network.device("alice"), network.device("bob"));
    (network, alice, bob)
}

#[test]
fn two_members_meet_and_each_knows_who_the_other_is() {
    let (network, alice, bob) = alice_and_bob();
    let mut pair = Meeting::new(&network, &alice, &bob).meet().expect("they meet");
    let [LinkNews::Open(at_alice)] = &pair.dialler_news[..] else { panic!("no opening") };
    let [LinkNews::Open(at_bob)] = &pair.accepter_news[..] else { panic!("no opening") };
    let keys = |opened: &Opened| match &opened.remote {
        Remote::Certified(verified) => verified.keys(),
        Remote::Guest(key) => panic!("{key:?} is no guest"),
    };
    assert_eq!(keys(at_alice), bob.keys.public());
    assert_eq!(keys(at_bob), alice.keys.public());
    assert_eq!((at_bob.features, at_bob.clock), (5, NOW));
    assert_eq!(at_alice.binding, at_bob.binding);
    pair.accepter_news.clear();
    pair.dialler.send(pair.now, &short(7)).expect("queued");
    pair.run().expect("carried");
    assert_eq!(pair.frames_at_accepter(), [short(7)]);
}

#[test]
fn frames_sent_before_the_link_is_open_wait_for_it() {
    let (network, alice, bob) = alice_and_bob();
    let mut pair = Meeting::new(&network, &alice, &bob).begin();
    pair.dialler.send(pair.now, &short(1)).expect("queued");
    pair.run().expect("they meet");
    assert_eq!(pair.frames_at_accepter(), [short(1)]);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..Default::default()
    })]

    #[test]
    fn bytes_may_be_cut_anywhere(
        cuts in prop::collection::vec(1usize..6000, 1..20),
        lengths in prop::collection::vec(0usize..70_000, 1..5),
    ) {
        let (network, alice, bob) = alice_and_bob();
        let mut pair = Meeting::new(&network, &alice, &bob).begin();
        let sent: Vec<Frame> = (1..).zip(&lengths).map(|(ask, len)| envelope(ask, *len)).collect();
        for frame in &sent {
            pair.dialler.send(pair.now, frame).expect("queued");
        }
        pair.run_cut(&cuts).expect("carried");
        let mut came = pair.frames_at_accepter();
        came.sort_by_key(|frame| frame.ask);
        prop_assert_eq!(came, sent);
    }

    #[test]
    fn arbitrary_bytes_are_an_error_at_most(bytes in prop::collection::vec(any::<u8>(), 0..9000)) {
        let (network, alice, bob) = alice_and_bob();
        let mut fresh = Meeting::new(&network, &alice, &bob).begin();
        let mut open = Meeting::new(&network, &alice, &bob).meet().expect("they meet");
        open.accepter_news.clear();
        for pair in [&mut fresh, &mut open] {
            let news = &mut pair.accepter_news;
            let _ = pair.accepter.handle_bytes(pair.now, NOW, &bytes, news);
            prop_assert!(news.is_empty());
            prop_assert!(pair.accepter.partial.capacity() <= 2 * (LENGTH + RECORD_MAX));
        }
    }
}

#[test]
fn sides_of_two_networks_or_services_cannot_meet() {
    let (network, alice, bob) = alice_and_bob();
    let mut other = Network::new(2);
    let stranger = other.device("bob");
    let mut meeting = Meeting::new(&network, &alice, &stranger);
    meeting.root_of_accepter = other.root();
    let handshake = Some(Failed::AtDialler(LinkError::Handshake));
    assert_eq!(meeting.meet().err(), handshake);
    let mut meeting = Meeting::new(&network, &alice, &bob);
    meeting.services = (Service::SuperPeer, Service::Authority);
    assert_eq!(meeting.meet().err(), handshake);
}

#[test]
fn a_certificate_of_another_network_is_refused_on_either_side() {
    let (network, alice, bob) = alice_and_bob();
    let foreign = Network::new(2).device("alice");
    let refused = LinkError::Refused(Disbelief::OtherNetwork);
    let mut meeting = Meeting::new(&network, &alice, &bob);
    meeting.dialler.1 = Some(&foreign.chain);
    assert_eq!(meeting.meet().err(), Some(Failed::AtAccepter(refused.clone())));
    let mut meeting = Meeting::new(&network, &alice, &bob);
    meeting.accepter.1 = Some(&foreign.chain);
    assert_eq!(meeting.meet().err(), Some(Failed::AtDialler(refused)));
}

#[test]
fn a_forged_certificate_is_refused() {
    let (network, alice, bob) = alice_and_bob();
    let mut chain = alice.chain.clone();
    let holder = chain.holder.as_mut().expect("a device has a holder's certificate");
    holder.signature.0[0] ^= 1;
    let mut meeting = Meeting::new(&network, &alice, &bob);
    meeting.dialler.1 = Some(&chain);
    let refused = Failed::AtAccepter(LinkError::Refused(Disbelief::Forged));
    assert_eq!(meeting.meet().err(), Some(refused));
}

#[test]
fn an_expired_certificate_opens_a_link_only_where_renewals_or_neighbours_are_welcome() {
    let (network, alice, bob) = alice_and_bob();
    let chain = network.authority_chain();
    let expired = Disbelief::Expired { at: NOW.plus(DAY * 14) };
    for (welcome, days, outcome) in [
        (Welcome::Certified, 13, None),
        (Welcome::Certified, 15, Some(expired.clone())),
        (Welcome::Guests, 15, Some(expired.clone())),
        (Welcome::Renewals, 15, None),
        (Welcome::Renewals, 14 + 89, None),
        (Welcome::Renewals, 14 + 91, Some(expired.clone())),
        (Welcome::Neighbours, 14 + 89, None),
        (Welcome::Neighbours, 14 + 91, Some(expired)),
    ] {
        let mut link = Meeting::new(&network, &alice, &bob).begin();
        let mut secrets = Entropy::new([3; 32]).secrets;
        let local = LocalIdentity {
            key: &network.authority.link,
            chain: Some(&chain),
            root: network.root(),
            features: 0,
        };
        link.wall = NOW.plus(DAY * days);
        link.accepter =
            SecureLink::accept(local, Service::SuperPeer, welcome, link.now, &mut secrets);
        let refused = outcome.map(|why| Failed::AtAccepter(LinkError::Refused(why)));
        assert_eq!(link.run().err(), refused, "{welcome:?} after {days} days");
    }
}

#[test]
fn whoever_looks_for_devices_of_a_user_meets_these_alone_also_with_ended_certificates() {
    let (mut network, alice, bob) = alice_and_bob();
    let carol = network.device("carol");
    for (answers, days, meets) in [(&bob, 1, true), (&bob, 60, true), (&carol, 1, false)] {
        let meeting = Meeting {
            expect: Expect::DeviceOf(bob.identity),
            welcome: Welcome::Neighbours,
            wall: NOW.plus(DAY * days),
            ..Meeting::new(&network, &alice, answers)
        };
        let refused = LinkError::WrongKey { got: answers.keys.public().agree };
        let outcome = if meets { None } else { Some(Failed::AtDialler(refused)) };
        assert_eq!(meeting.meet().err(), outcome, "{} after {days} days", answers.user);
    }
}

#[test]
fn the_valid_certificate_of_somebody_else_is_refused() {
    let (mut network, alice, bob) = alice_and_bob();
    let mallory = network.device("mallory");
    let refused = LinkError::Refused(Disbelief::NotTheHolder);
    let mut meeting = Meeting::new(&network, &mallory, &bob);
    meeting.dialler.1 = Some(&alice.chain);
    assert_eq!(meeting.meet().err(), Some(Failed::AtAccepter(refused.clone())));
    let mut meeting = Meeting::new(&network, &alice, &mallory);
    meeting.accepter.1 = Some(&bob.chain);
    assert_eq!(meeting.meet().err(), Some(Failed::AtDialler(refused)));
}

#[test]
fn a_dialler_meets_only_the_key_that_it_expects() {
    let (network, alice, bob) = alice_and_bob();
    let mut meeting = Meeting::new(&network, &alice, &bob);
    meeting.expect = Expect::Key(alice.keys.link.public());
    let got = bob.keys.link.public();
    assert_eq!(meeting.meet().err(), Some(Failed::AtDialler(LinkError::WrongKey { got })));
    let mut meeting = Meeting::new(&network, &alice, &bob);
    meeting.expect = Expect::Key(got);
    assert!(meeting.meet().is_ok());
}

#[test]
fn a_dialler_shows_its_certificate_only_to_whom_it_believes() {
    let (network, alice, bob) = alice_and_bob();
    let mut meeting = Meeting::new(&network, &alice, &bob);
    meeting.expect = Expect::Key(alice.keys.link.public());
    let mut pair = meeting.begin();
    assert!(pair.run().is_err());
    assert_eq!(pair.dialler.take_output(), None);
}

#[test]
fn guests_come_in_only_where_they_are_welcome() {
    let (network, alice, bob) = alice_and_bob();
    for (welcome, comes_in) in
        [(Welcome::Certified, false), (Welcome::Guests, true), (Welcome::Renewals, true)]
    {
        let mut meeting = Meeting::new(&network, &alice, &bob);
        meeting.dialler.1 = None;
        meeting.welcome = welcome;
        match meeting.meet() {
            Ok(pair) if comes_in => {
                assert_eq!(remote(&pair.accepter_news), &Remote::Guest(alice.keys.link.public()))
            }
            Ok(_) => panic!("a guest came in by {welcome:?}"),
            Err(e) => {
                assert_eq!((e, comes_in), (Failed::AtAccepter(LinkError::NoCertificate), false));
            }
        }
    }
}

#[test]
fn nobody_dials_somebody_without_a_certificate() {
    let (network, alice, bob) = alice_and_bob();
    let mut meeting = Meeting::new(&network, &alice, &bob);
    meeting.accepter.1 = None;
    assert_eq!(meeting.meet().err(), Some(Failed::AtDialler(LinkError::NoCertificate)));
}

#[test]
fn a_changed_byte_anywhere_in_a_record_closes_the_link() {
    let (network, alice, bob) = alice_and_bob();
    for at in [LENGTH, LENGTH + 3, usize::MAX] {
        let mut pair = Meeting::new(&network, &alice, &bob).meet().expect("they meet");
        pair.dialler.send(pair.now, &short(1)).expect("queued");
        pair.accepter_news.clear();
        let mut bytes = drain(&mut pair.dialler);
        let at = at.min(bytes.len() - 1);
        bytes[at] ^= 1;
        let tampered = pair.accepter.handle_bytes(pair.now, NOW, &bytes, &mut pair.accepter_news);
        assert_eq!(tampered, Err(LinkError::Tampered));
        assert!(pair.accepter_news.is_empty());
        let after = pair.accepter.handle_bytes(pair.now, NOW, &[0], &mut pair.accepter_news);
        assert_eq!(after, Err(LinkError::Closed));
        assert_eq!(pair.accepter.send(pair.now, &short(1)), Err(LinkError::Closed));
        assert_eq!(pair.accepter.poll_timeout(), None);
    }
}

#[test]
fn a_repeated_record_closes_the_link_and_what_came_before_is_told() {
    let (network, alice, bob) = alice_and_bob();
    let mut pair = Meeting::new(&network, &alice, &bob).meet().expect("they meet");
    pair.accepter_news.clear();
    pair.dialler.send(pair.now, &short(1)).expect("queued");
    let once = drain(&mut pair.dialler);
    let twice = once.repeat(2);
    let replayed = pair.accepter.handle_bytes(pair.now, NOW, &twice, &mut pair.accepter_news);
    assert_eq!(replayed, Err(LinkError::Tampered));
    assert_eq!(pair.frames_at_accepter(), [short(1)]);
}

#[test]
fn a_record_longer_than_allowed_is_refused_before_it_is_held() {
    let (network, alice, bob) = alice_and_bob();
    let mut pair = Meeting::new(&network, &alice, &bob).begin();
    let length = u16::try_from(RECORD_MAX + 1).expect("fits").to_be_bytes();
    let refused = pair.accepter.handle_bytes(pair.now, NOW, &length, &mut pair.accepter_news);
    assert_eq!(refused, Err(LinkError::Oversize));
}

#[test]
fn a_frame_that_never_ends_closes_the_link() {
    let (network, alice, bob) = alice_and_bob();
    let mut pair = Meeting::new(&network, &alice, &bob).meet().expect("they meet");
    let State::Open(transport) = &mut pair.dialler.state else { panic!("open") };
    let mut plain = [0; PLAIN_MAX];
    plain[0] = 2;
    let mut bytes = Vec::new();
    for _ in 0..FRAME_MAX / PLAIN_MAX + 2 {
        seal(transport, &plain, RECORDS_PER_KEY, &mut bytes);
    }
    let refused = pair.accepter.handle_bytes(pair.now, NOW, &bytes, &mut pair.accepter_news);
    assert_eq!(refused, Err(LinkError::Oversize));
}

#[test]
fn an_unreadable_frame_closes_the_link() {
    let (network, alice, bob) = alice_and_bob();
    let mut pair = Meeting::new(&network, &alice, &bob).meet().expect("they meet");
    let State::Open(transport) = &mut pair.dialler.state else { panic!("open") };
    let mut bytes = Vec::new();
    seal(transport, &[0, 200, 0, 0, 0, 0], RECORDS_PER_KEY, &mut bytes);
    let refused = pair.accepter.handle_bytes(pair.now, NOW, &bytes, &mut pair.accepter_news);
    assert_eq!(refused, Err(LinkError::Decode(DecodeError::UnknownFamily(200))));
}

#[test]
fn an_urgent_frame_overtakes_a_long_one_that_is_being_written() {
    let (network, alice, bob) = alice_and_bob();
    let mut pair = Meeting::new(&network, &alice, &bob).meet().expect("they meet");
    pair.accepter_news.clear();
    pair.dialler.send(pair.now, &envelope(1, 60_000)).expect("queued");
    let mut bytes = pair.dialler.take_output().expect("its beginning");
    assert!(bytes.len() <= WRITE_MAX + LENGTH + RECORD_MAX);
    let urgent = envelope(2, 100);
    pair.dialler.send(pair.now, &urgent).expect("queued");
    bytes.extend(drain(&mut pair.dialler));
    pair.accepter.handle_bytes(pair.now, NOW, &bytes, &mut pair.accepter_news).expect("carried");
    assert_eq!(pair.frames_at_accepter(), [urgent, envelope(1, 60_000)]);
}

#[test]
fn who_does_not_read_loses_the_link() {
    let (network, alice, bob) = alice_and_bob();
    let mut pair = Meeting::new(&network, &alice, &bob).meet().expect("they meet");
    let overrun = (0..20).find_map(|_| pair.dialler.send(pair.now, &envelope(1, 60_000)).err());
    assert_eq!(overrun, Some(LinkError::Overrun));
    assert_eq!(pair.dialler.waiting(), 0);
}

#[test]
fn keys_change_on_the_way_and_nobody_notices() {
    let (network, alice, bob) = alice_and_bob();
    let mut pair = Meeting::new(&network, &alice, &bob).meet().expect("they meet");
    (pair.dialler.records_per_key, pair.accepter.records_per_key) = (3, 3);
    pair.accepter_news.clear();
    for ask in 1..=10 {
        pair.dialler.send(pair.now, &short(ask)).expect("queued");
        pair.accepter.send(pair.now, &short(ask)).expect("queued");
        pair.run().expect("carried");
    }
    assert_eq!(pair.frames_at_accepter(), (1..=10).map(short).collect::<Vec<_>>());
    // And it is a real change: one side alone is not understood any more.
    pair.dialler.records_per_key = RECORDS_PER_KEY;
    for ask in 1..=3 {
        pair.dialler.send(pair.now, &short(ask)).expect("queued");
    }
    assert_eq!(pair.run(), Err(Failed::AtAccepter(LinkError::Tampered)));
}

#[test]
fn a_silent_side_sends_a_beat_and_stays_alive() {
    let (network, alice, bob) = alice_and_bob();
    let mut pair = Meeting::new(&network, &alice, &bob).meet().expect("they meet");
    for _ in 0..10 {
        let due = pair.dialler.poll_timeout().expect("open");
        assert_eq!(due, pair.now + BEAT);
        pair.now = due;
        pair.dialler.handle_timeout(due).expect("alive");
        pair.accepter.handle_timeout(due).expect("alive");
        pair.run().expect("carried");
    }
    assert!(pair.frames_at_accepter().is_empty());
}

#[test]
fn a_dead_link_is_found() {
    let (network, alice, bob) = alice_and_bob();
    let mut pair = Meeting::new(&network, &alice, &bob).meet().expect("they meet");
    let start = pair.now;
    let end = loop {
        let due = pair.dialler.poll_timeout().expect("open");
        if let Err(e) = pair.dialler.handle_timeout(due) {
            assert_eq!(e, LinkError::Silent);
            break due;
        }
    };
    assert_eq!(end, start + SILENCE_MAX);
}

#[test]
fn a_handshake_that_stalls_is_given_up() {
    let (network, alice, bob) = alice_and_bob();
    let mut pair = Meeting::new(&network, &alice, &bob).begin();
    let due = pair.accepter.poll_timeout().expect("greeting");
    assert_eq!(due, pair.now + HANDSHAKE_PATIENCE);
    assert_eq!(pair.accepter.handle_timeout(pair.now), Ok(()));
    assert_eq!(pair.accepter.handle_timeout(due), Err(LinkError::Slow));
}

#[test]
fn the_same_seed_writes_the_same_bytes() {
    let bytes = || {
        let (network, alice, bob) = alice_and_bob();
        let mut pair = Meeting::new(&network, &alice, &bob).meet().expect("they meet");
        pair.dialler.send(pair.now, &short(1)).expect("queued");
        drain(&mut pair.dialler)
    };
    assert_eq!(bytes(), bytes());
}
