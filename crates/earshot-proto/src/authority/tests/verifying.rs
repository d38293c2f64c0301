//! Having others verify the address of a super-peer to be.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::*;
use crate::secure::link::Welcome;
use crate::wire::enrolment::{AddressProof, EnrolmentRefusal};

/// Where the candidates of these stories are.
const HERE: &str = "9.9.9.9:4001";

/// How a super-peer verifies.
#[derive(Clone, Copy, PartialEq)]
enum Verifier {
    /// It reaches the candidate.
    Reaches,
    /// It does not, or says so.
    Misses,
    /// It says that it does, and signs itself.
    Forges,
    /// It gives the word of another time.
    Replays,
    /// It says nothing.
    Silent,
    /// It says that it is there and hangs up.
    HangsUp,
    /// Nobody listens there.
    Absent,
}

/// The super-peers around an authority.
#[derive(Default)]
pub(super) struct Around {
    verifiers: BTreeMap<SocketAddr, (Verifier, Keys)>,
    links: BTreeMap<LinkId, (SecureLink, SocketAddr)>,
    /// Who is about to be certified.
    candidate: Option<Keys>,
    /// Who was asked to verify, in turn.
    asked: Vec<SocketAddr>,
    /// Policies set since the first.
    policies: u64,
}

impl World {
    /// Does what the authority wants done with a link that it has dialled.
    pub(super) fn dialled(&mut self, id: LinkId, order: LinkOrder) {
        match order {
            LinkOrder::Dial { to, service, .. } => {
                assert_eq!(service, Service::SuperPeer);
                let (verifier, keys) = &self.around.verifiers[&to];
                if *verifier == Verifier::Absent {
                    let refused = LinkEvent::Down(LinkDown::Refused);
                    return self.authority.handle(self.now, Input::Link(id, refused));
                }
                let local =
                    LocalIdentity { key: &keys.link, chain: None, root: self.root, features: 0 };
                let secrets = &mut self.secrets;
                let link =
                    SecureLink::accept(local, service, Welcome::Certified, self.now, secrets);
                self.around.links.insert(id, (link, to));
                let connected = LinkEvent::Connected { local: to };
                self.authority.handle(self.now, Input::Link(id, connected));
            }
            LinkOrder::Bytes(bytes) | LinkOrder::Media(bytes) => self.verifier_hears(id, &bytes),
            LinkOrder::Close => drop(self.around.links.remove(&id)),
        }
    }

    fn verifier_hears(&mut self, id: LinkId, bytes: &[u8]) {
        let Some((link, at)) = self.around.links.get_mut(&id) else { return };
        let (at, mut news) = (*at, Vec::new());
        link.handle_bytes(self.now, self.wall, bytes, &mut news).expect("an authority's bytes");
        for item in news {
            let LinkNews::Frame(Frame { ask, message }) = item else { continue };
            let (address, nonce) = match message {
                Message::Enrolment(Enrolment::Verify { address, nonce, .. }) => (address, nonce),
                // The policy of these worlds is not that with which they were founded.
                Message::Enrolment(Enrolment::Policy { .. }) => continue,
                other => panic!("not to be verified: {other:?}"),
            };
            self.around.asked.push(at);
            let (verifier, own) = &self.around.verifiers[&at];
            let candidate = self.around.candidate.as_ref().expect("somebody is to be certified");
            let sign = |keys: &Keys, nonce| Some(keys.sign.sign(&AddressProof { nonce, address }));
            let proof = match verifier {
                Verifier::Reaches => sign(candidate, nonce),
                Verifier::Forges => sign(own, nonce),
                Verifier::Replays => sign(candidate, [7; 32]),
                Verifier::Misses => None,
                Verifier::Silent => continue,
                Verifier::HangsUp => {
                    self.around.links.remove(&id);
                    let closed = LinkEvent::Down(LinkDown::Closed);
                    return self.authority.handle(self.now, Input::Link(id, closed));
                }
                Verifier::Absent => unreachable!("nobody listens"),
            };
            let (link, _) = self.around.links.get_mut(&id).expect("it was there");
            let report = Frame { ask, message: Enrolment::Verified { proof }.into() };
            link.send(self.now, &report).expect("an open link");
        }
        while let Some((link, _)) = self.around.links.get_mut(&id)
            && let Some(bytes) = link.take_output()
        {
            self.authority.handle(self.now, Input::Link(id, LinkEvent::Bytes(&bytes)));
        }
    }

    /// A world in which these verify; each lives in a prefix of its own.
    fn around(verifiers: &[Verifier]) -> Self {
        let mut world = Self::new();
        for (number, verifier) in verifiers.iter().enumerate() {
            let address = format!("{}.0.0.1:4001", 20 + number);
            world.add_verifier(&address, *verifier);
        }
        world.verify_from(3);
        world
    }

    fn add_verifier(&mut self, address: &str, verifier: Verifier) {
        let keys = Keys::draw(&mut self.secrets);
        assert!(self.enrol_at(&keys, address, HOME).is_ok(), "it is exempt");
        self.around.verifiers.insert(address.parse().expect("an address"), (verifier, keys));
    }

    /// From now on so many are exempt.
    fn verify_from(&mut self, exempt: u16) {
        self.around.policies += 1;
        let version = 1 + self.around.policies;
        let exempt_super_peers = Some(exempt);
        let policy = Policy { version, exempt_super_peers, ..policy(Admission::Open) };
        self.order(Order::SetPolicy(policy));
    }

    fn node_token(&mut self) -> Bytes<32> {
        let until = self.wall.plus(DAY);
        self.make_token(Admits::Node, 1, until)
    }

    /// Asks to be enrolled at `address`, coming from `from`; the answer may still be awaited.
    fn ask_at(&mut self, keys: &Keys, address: &str, from: &str) -> (LinkId, Option<Message>) {
        let token = Some(self.node_token());
        let id = self.dial_from(keys, None, from);
        let address = address.parse().expect("an address");
        let answer =
            self.ask(id, Enrolment::Enrol { token, keys: keys.public(), address, v6: None });
        (id, answer)
    }

    fn enrol_at(
        &mut self,
        keys: &Keys,
        address: &str,
        from: &str,
    ) -> Result<Chain, EnrolmentRefusal> {
        let (id, answer) = self.ask_at(keys, address, from);
        let answer = answer.or_else(|| self.waited_for(id));
        self.hang_up(id);
        match answer {
            Some(Message::Enrolment(Enrolment::Enrolled { chain, .. })) => Ok(chain),
            Some(Message::Enrolment(Enrolment::Refused { reason })) => Err(reason),
            other => panic!("no answer to an enrolment: {other:?}"),
        }
    }

    /// What is answered within the authority's patience.
    fn waited_for(&mut self, id: LinkId) -> Option<Message> {
        for _ in 0..16 {
            self.pass(Duration::from_millis(250));
            if let Some(answer) = self.answer(id) {
                return Some(answer);
            }
        }
        None
    }

    /// Enrols a candidate [`HERE`].
    fn comes(&mut self) -> Result<Chain, EnrolmentRefusal> {
        let keys = Keys::draw(&mut self.secrets);
        self.around.candidate = Some(copy(&keys));
        self.enrol_at(&keys, HERE, "9.9.9.9:50000")
    }
}

fn copy(keys: &Keys) -> Keys {
    Keys {
        sign: SignKey::from_secret(&keys.sign.secret()),
        link: crate::secure::identity::LinkKey::from_secret(&keys.link.secret()),
    }
}

#[test]
fn three_of_distinct_prefixes_verify_who_comes_after_the_exempt() {
    use Verifier::{Absent, Reaches};
    let mut world = World::around(&[Reaches; 6]);
    // Two more beside the first, and one beside the candidate: these are never needed.
    world.verify_from(1000);
    for address in ["20.0.0.2:4001", "20.0.1.1:4001", "9.9.0.1:4001"] {
        world.add_verifier(address, Absent);
    }
    world.verify_from(3);
    for _ in 0..20 {
        assert!(world.comes().is_ok());
        let asked: BTreeSet<IpAddr> =
            std::mem::take(&mut world.around.asked).iter().map(|a| a.ip()).collect();
        assert!((2..=3).contains(&asked.len()), "two that agree are enough");
        let first = asked.iter().filter(|ip| ip.to_string().starts_with("20.")).count();
        assert!(first <= 1 && asked.iter().all(|ip| !ip.to_string().starts_with("9.")));
    }
}

#[test]
fn who_is_not_reached_is_told_so_and_keeps_the_token() {
    let mut world = World::around(&[Verifier::Misses; 3]);
    let keys = Keys::draw(&mut world.secrets);
    world.around.candidate = Some(copy(&keys));
    let token = Some(world.node_token());
    for verifier in [Verifier::Misses, Verifier::Reaches] {
        world.around.verifiers.values_mut().for_each(|(how, _)| *how = verifier);
        let id = world.dial_from(&keys, None, "9.9.9.9:50000");
        let address = HERE.parse().expect("an address");
        let question =
            Enrolment::Enrol { token: token.clone(), keys: keys.public(), address, v6: None };
        let answer = world.ask(id, question).expect("three have spoken");
        let is_told = matches!(
            answer,
            Message::Enrolment(Enrolment::Refused { reason: EnrolmentRefusal::NotReached })
        );
        assert_eq!(is_told, verifier == Verifier::Misses, "{answer:?}");
    }
}

#[test]
fn one_that_lies_changes_nothing() {
    use Verifier::{Absent, Forges, HangsUp, Misses, Reaches, Replays, Silent};
    for liar in [Forges, Replays, HangsUp, Silent, Absent, Misses] {
        assert!(World::around(&[liar, Reaches, Reaches]).comes().is_ok());
        if liar != Misses {
            let refused = World::around(&[liar, Misses, Misses]).comes().err();
            assert_eq!(refused, Some(EnrolmentRefusal::NotReached));
        }
    }
    assert!(World::around(&[Forges; 3]).comes().is_err(), "not even three, without its key");
}

#[test]
fn verifiers_that_are_gone_are_replaced_and_those_that_are_silent_are_not() {
    use Verifier::{Absent, Reaches, Silent};
    let mut world = World::around(&[Absent, Absent, Absent, Absent, Reaches, Reaches]);
    assert!(world.comes().is_ok());
    assert!(World::around(&[Absent; 4]).comes().is_ok(), "its word does: there is nobody else");
    let gone = World::around(&[Absent; 11]).comes().err();
    assert_eq!(gone, Some(EnrolmentRefusal::NobodyVerified), "two were not asked");
    let mut world = World::around(&[Silent; 9]);
    assert_eq!(world.comes().err(), Some(EnrolmentRefusal::NobodyVerified));
    assert_eq!(world.around.asked.len(), 3, "silence gives nobody another draw");
}

#[test]
fn nobody_can_have_others_dialled() {
    let mut world = World::around(&[Verifier::Reaches; 4]);
    let keys = Keys::draw(&mut world.secrets);
    let refused = |world: &mut World, address: &str, from: &str| {
        let answer = world.enrol_at(&keys, address, from).err();
        assert!(world.around.asked.is_empty());
        answer
    };
    let elsewhere = refused(&mut world, HERE, "9.9.9.8:50000");
    assert_eq!(elsewhere, Some(EnrolmentRefusal::OtherAddress));
    let inside = refused(&mut world, "127.0.0.1:4001", "9.9.9.9:50000");
    assert_eq!(inside, Some(EnrolmentRefusal::OtherAddress));
    for port in [22, 25, 1023] {
        let port = refused(&mut world, &format!("9.9.9.9:{port}"), "9.9.9.9:50000");
        assert_eq!(port, Some(EnrolmentRefusal::AddressRefused));
    }
}

#[test]
fn who_renews_where_its_certificate_holds_is_not_verified_again() {
    let mut world = World::around(&[Verifier::Reaches; 4]);
    let keys = Keys::draw(&mut world.secrets);
    world.around.candidate = Some(copy(&keys));
    let chain = world.enrol_at(&keys, HERE, "9.9.9.9:50000").expect("it is reached");
    world.around.verifiers.values_mut().for_each(|(how, _)| *how = Verifier::Misses);
    let mut renew = |address: &str| {
        let id = world.dial_from(&keys, Some(&chain), "9.9.9.9:50000");
        let address = address.parse().expect("an address");
        world.ask(id, Enrolment::Renew { address, v6: None }).expect("an answer")
    };
    let same = renew(HERE);
    assert!(matches!(same, Message::Enrolment(Enrolment::Enrolled { .. })), "{same:?}");
    let other = renew("9.9.9.9:4002");
    let reason = EnrolmentRefusal::NotReached;
    assert_eq!(other, Enrolment::Refused { reason }.into(), "a new address is a new enrolment");
}

#[test]
fn few_are_verified_at_once_and_a_candidate_that_hangs_up_is_forgotten() {
    let mut world = World::around(&[Verifier::Silent; 4]);
    let keys = Keys::draw(&mut world.secrets);
    world.around.candidate = Some(copy(&keys));
    let ask = |world: &mut World, port: u16| {
        world.ask_at(&keys, &format!("9.9.9.9:{port}"), "9.9.9.9:50000")
    };
    let waiting: Vec<LinkId> = (4001..=4004).map(|port| ask(&mut world, port).0).collect();
    let reason = EnrolmentRefusal::TooManyAttempts;
    assert_eq!(ask(&mut world, 4005).1, Some(Enrolment::Refused { reason }.into()));
    waiting.into_iter().for_each(|id| world.hang_up(id));
    assert!(world.around.links.is_empty(), "the verifiers are let go");
    assert_eq!(ask(&mut world, 4005).1, None, "there is room again");
}

#[test]
fn an_address_has_four_ports_also_for_those_who_come_together() {
    let mut world = World::new();
    world.disk = Disk::Hangs;
    let links: Vec<LinkId> = (4001..=4006)
        .map(|port| {
            world.disk = Disk::Keeps;
            let token = Some(world.node_token());
            world.disk = Disk::Hangs;
            let keys = Keys::draw(&mut world.secrets);
            let id = world.dial(&keys, None);
            let address = SocketAddr::from(([9, 9, 9, 9], port));
            world.ask(id, Enrolment::Enrol { token, keys: keys.public(), address, v6: None });
            id
        })
        .collect();
    world.release_disk();
    let answers: Vec<_> = links.into_iter().filter_map(|id| world.answer(id)).collect();
    let is_in = |a: &&Message| matches!(a, Message::Enrolment(Enrolment::Enrolled { .. }));
    assert_eq!(answers.iter().filter(is_in).count(), 4);
}
