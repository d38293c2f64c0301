//! The owner of a machine: what it was told, and what it still waits for.
//!
//! Invariant, checked at every notice: a command is answered exactly once.

use std::collections::{BTreeMap, BTreeSet};

use earshot_proto::authority;
use earshot_proto::ids::{CallId, MessageId, UserName};
use earshot_proto::peer::call::view::CallView;
use earshot_proto::peer::command::{
    Answer, BuddyView, Delivery, Failure, MessageView, NetworkView, Notice, PresenceView,
    SearchEnd, SearchHit, SignedIn,
};
use earshot_proto::super_peer;

/// What the owner of a machine knows. A restart of the host empties the window, not the memory of
/// what was asked.
#[derive(Default)]
pub struct Owner {
    pub(super) last_ask: u64,
    /// Asked in this life and not answered.
    pub open: BTreeSet<u64>,
    /// The answers of this life.
    pub answers: BTreeMap<u64, Result<Answer, Failure>>,
    /// Who is logged in.
    pub session: Option<SignedIn>,
    /// The place in the network.
    pub network: Option<NetworkView>,
    /// The buddy list.
    pub buddies: BTreeMap<UserName, BuddyView>,
    /// Who asked to be a buddy, in order.
    pub requests: Vec<BuddyView>,
    /// How buddies are.
    pub presence: BTreeMap<UserName, PresenceView>,
    /// Messages on the screen.
    pub screen: Vec<MessageView>,
    /// Where our messages are.
    pub delivered: BTreeMap<MessageId, Delivery>,
    /// People found.
    pub hits: Vec<SearchHit>,
    /// How often it was told how somebody is.
    pub presences: usize,
    /// Searches that are over.
    pub searched: BTreeMap<u64, SearchEnd>,
    /// Each call as it was told last.
    pub calls: BTreeMap<CallId, CallView>,
    /// Orders to the voice of each call.
    pub voice: Vec<(CallId, String)>,
    /// What the home told of the super-peers and clients around it, and was not looked at yet.
    pub around: Option<(u32, u32)>,
    /// Invitations to serve that were not looked at yet.
    pub invited: u32,
    /// What a super-peer told.
    pub super_peer: Vec<super_peer::Notice>,
    /// What an authority told.
    pub authority: Vec<authority::Notice>,
}

impl Owner {
    /// The window is closed with the process.
    pub(super) fn restart(&mut self) {
        *self = Self { last_ask: self.last_ask, ..Self::default() };
    }

    /// Takes what a peer tells; answers one word of it for the log.
    pub(super) fn told(&mut self, notice: Notice) -> String {
        match notice {
            Notice::Answer(ask, answer) => {
                assert!(self.open.remove(&ask), "command {ask} is answered twice: {answer:?}");
                let word = match &*answer {
                    Ok(_) => format!("answer {ask}"),
                    Err(failure) => format!("answer {ask} {failure:?}"),
                };
                self.answers.insert(ask, *answer);
                word
            }
            Notice::Session(session) => {
                let word = if session.is_some() { "logged in" } else { "logged out" };
                self.session = session.map(|view| view.who);
                word.to_owned()
            }
            Notice::Network(view) => {
                let word = format!("network {} {:?}", view.keepers, view.reachability);
                self.network = Some(*view);
                word
            }
            Notice::Buddy(view) => {
                let word = format!("{} {:?}", view.user, view.standing);
                self.buddies.insert(view.user.clone(), view);
                word
            }
            Notice::Presence(view) => {
                let word = format!("{} {:?}", view.user, view.state);
                self.presences += 1;
                self.presence.insert(view.user.clone(), view);
                word
            }
            Notice::Requested(view) => {
                let word = format!("{} asks", view.user);
                self.buddies.insert(view.user.clone(), view.clone());
                self.requests.push(view);
                word
            }
            Notice::Message(view) => {
                let (id, delivery) = (view.id, view.delivery);
                let word = format!("message {} {} {delivery:?}", view.with, view.text.len());
                self.delivered.insert(id, delivery);
                // One of ours that got further; one of theirs comes once.
                match self.screen.iter_mut().find(|shown| shown.id == id && shown.mine) {
                    Some(shown) => *shown = view,
                    None => self.screen.push(view),
                }
                word
            }
            Notice::Found(hit) => {
                let word = format!("found in round {}", hit.round);
                self.hits.push(hit);
                word
            }
            Notice::SearchEnded { search, reason, .. } => {
                self.searched.insert(search, reason);
                format!("search {reason:?}")
            }
            Notice::Call(view) => {
                let word =
                    format!("call {:?} {:?}", view.state, view.end.as_ref().map(|e| e.reason));
                self.calls.insert(view.id, *view);
                word
            }
            Notice::Around { super_peers, clients } => {
                self.around = Some((super_peers, clients));
                format!("{super_peers} super-peers, {clients} clients around")
            }
            Notice::Invited => {
                self.invited += 1;
                "invited to serve".to_owned()
            }
        }
    }
}
