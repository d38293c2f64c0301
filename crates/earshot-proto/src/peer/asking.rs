//! What we ask others, and where their answers go.
//!
//! Over links by [`Asks`](crate::asks::Asks), and, where nobody cares who asks, in datagrams by
//! [`Questions`](crate::questions::Questions).

use std::net::SocketAddr;
use std::time::Instant;

use crate::ids::{NodeId, UserName};
use crate::lookup::Near;
use crate::port::LinkId;
use crate::questions::{Answer, Told};
use crate::wire::directory::{Directory, NodeEntry};
use crate::wire::election::Election;
use crate::wire::forward::Address;
use crate::wire::frame::Message;
use crate::wire::invite::Door;
use crate::wire::nat::{Nat, NatRefusal};
use crate::wire::posting::Page;

use super::Peer;
use super::command::Notice;
use super::post::Sent;

/// What a question to another was about.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum About {
    Attach,
    /// Whether another home, over that link, takes us in.
    MoveIn(LinkId),
    DialBack,
    RelayCredentials,
    /// Who is near our own key, as this node sees it.
    NearUs(u64, NodeId),
    /// Whether this keeper holds our registration.
    OurRecord(u64, NodeId),
    /// A relay of another super-peer than our home: the link, and whether it was opened for it.
    RelayElsewhere(LinkId, bool),
    SuperPeers,
    /// Who is near the key of a search, as this node sees it.
    Near(u64, NodeId),
    /// Whether this keeper holds what a search is for.
    Find(u64, NodeId),
    SearchByHome(u64),
    LookUp(UserName),
    Letter(Box<Sent>),
    /// Whether that home, by its device's word, watches the device for us.
    Watch(Address, NodeId),
    /// A posting of ours, with this counter, by that super-peer.
    Posting(u64, Door),
    /// A page of a search by words, of the which-th who is asked in it.
    Page(u64, usize, Box<Page>),
    /// Dialling back: the link of whom we asked.
    Verify(LinkId),
    /// How many super-peers there are.
    Around,
}

impl Peer {
    /// Puts a question; its answer, or the lack of one, comes to `answered`.
    pub(super) fn ask(
        &mut self,
        now: Instant,
        link: LinkId,
        about: About,
        message: impl Into<Message>,
    ) {
        match self.asks.open(now, link, about) {
            Ok(ask) => self.links.send(now, link, ask, message),
            Err(about) => self.answered(now, about, None),
        }
    }

    /// The answer to a question (none: the link went down, or nobody answered in time).
    pub(super) fn answered(&mut self, now: Instant, about: About, answer: Option<Message>) {
        match (about, answer) {
            (
                About::Attach,
                Some(Message::Directory(Directory::Attached { keepers, epochs, .. })),
            ) if keepers > 0 => {
                self.attached(now, keepers, &epochs);
            }
            (About::MoveIn(link), answer) => self.move_in_answered(now, link, answer),
            (About::DialBack, Some(Message::Nat(Nat::DialedBack { reached, tried, .. }))) => {
                self.dialled_back(now, reached, tried);
            }
            (About::DialBack, Some(Message::Nat(Nat::Refused { reason: NatRefusal::TooSoon }))) => {
                self.dial_back_again(now);
            }
            (About::RelayCredentials, answer) => self.home_relay_told(now, answer),
            (About::RelayElsewhere(link, is_ours), answer) => {
                self.other_relay_told(now, (link, is_ours), answer);
            }
            (
                About::SuperPeers,
                Some(Message::Directory(Directory::SuperPeers { nodes, authority, also })),
            ) => self.super_peers_told(now, &nodes, authority, &also),
            (About::Near(id, node), Some(Message::RingReply(reply))) => {
                self.near_told(now, id, &node, Near::of_reply(reply));
            }
            (About::Near(id, node), _) => self.near_told(now, id, &node, None),
            (About::Find(id, node), Some(Message::Directory(answer))) => {
                self.find_answered(now, id, &node, Some(answer));
            }
            (About::Find(id, node), _) => self.find_answered(now, id, &node, None),
            (About::NearUs(id, node), Some(Message::RingReply(reply))) => {
                self.near_us_told(now, id, &node, Near::of_reply(reply));
            }
            (About::NearUs(id, node), _) => self.near_us_told(now, id, &node, None),
            (About::OurRecord(id, node), Some(Message::Directory(answer))) => {
                self.our_record_told(now, id, &node, Some(&answer));
            }
            (About::OurRecord(id, node), _) => self.our_record_told(now, id, &node, None),
            (About::SearchByHome(id), Some(Message::Directory(answer))) => {
                self.home_searched(now, id, Some(answer));
            }
            (About::SearchByHome(id), _) => self.home_searched(now, id, None),
            (About::LookUp(user), Some(Message::Directory(answer))) => {
                self.looked_up(now, &user, Some(answer));
            }
            (About::LookUp(user), _) => self.looked_up(now, &user, None),
            (About::Posting(counter, by), Some(Message::Postings(answer))) => {
                self.key_posted(now, counter, &by, Some(&answer));
            }
            (About::Posting(counter, by), _) => self.key_posted(now, counter, &by, None),
            (About::Page(id, at, page), Some(Message::Postings(answer))) => {
                self.page_told(now, id, (at, &page), Some(answer));
            }
            (About::Page(id, at, page), _) => self.page_told(now, id, (at, &page), None),
            (About::Letter(sent), Some(Message::Forward(answer))) => {
                self.letter_answered(now, *sent, Some(answer));
            }
            (About::Letter(sent), _) => self.letter_answered(now, *sent, None),
            (About::Verify(link), answer) => self.verifier_told(now, link, answer),
            (About::Around, Some(Message::Election(Election::Around { super_peers, clients }))) => {
                self.tell(Notice::Around { super_peers, clients })
            }
            (About::Attach, _) => self.not_attached(now),
            (About::Watch(..) | About::DialBack | About::Around, _) => {}
            (About::SuperPeers, _) => {}
        }
    }

    /// Puts a question to a super-peer: over the link to our home, else in a datagram.
    pub(super) fn question(
        &mut self,
        now: Instant,
        to: &NodeEntry,
        about: About,
        message: Message,
    ) {
        let wall = self.wall(now);
        let is_home = self.home_link().is_some_and(|(_, home)| home.node == to.node);
        let (about, message) = if is_home {
            (about, message)
        } else {
            match self.questions.ask(now, wall, to, about, message) {
                Ok(()) => return self.nat_watch.went_to(now, to.address),
                Err(by_link) => *by_link,
            }
        };
        let link = self.link_to_node(now, to);
        self.ask(now, link, about, message);
    }

    /// A datagram of the family of questions came.
    pub(super) fn handle_question_datagram(
        &mut self,
        now: Instant,
        from: SocketAddr,
        bytes: &[u8],
    ) {
        let ended = self.questions.handle(now, from, bytes);
        ended.into_iter().for_each(|told| self.question_ended(now, told));
    }

    /// Asks again where nothing came.
    pub(super) fn questions_due(&mut self, now: Instant) {
        let ended = self.questions.handle_timeout(now);
        ended.into_iter().for_each(|told| self.question_ended(now, told));
    }

    fn question_ended(&mut self, now: Instant, told: Told<About>) {
        let Told { to, about, answer } = told;
        match answer {
            Answer::Told(message, _) => self.answered(now, about, Some(message)),
            Answer::ByLink(message) => {
                let link = self.link_to_node(now, &to);
                self.ask(now, link, about, message);
            }
        }
    }
}
