//! What people do in a story, in one verb each.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use earshot_proto::ids::{CallId, UserName};
use earshot_proto::peer::Peer;
use earshot_proto::peer::call::reason::EndReason;
use earshot_proto::peer::call::view::{CallState, CallView};
use earshot_proto::peer::command::{
    Answer, CallAction, Command, Delivery, Failure, Listed, MessageView, SearchEnd, Shown,
    Standing, Wish,
};
use earshot_proto::peer::search::Sought;
use earshot_proto::port::{Input, PathPolicy, VoiceEvent};
use earshot_proto::secure::local_vault::{LocalVault, LockedVault};
use earshot_proto::secure::password::{Password, Worked};
use earshot_proto::super_peer::{Load, Watches};
use earshot_proto::wire::bounded::Text;
use earshot_proto::wire::directory::Reachability;
use earshot_proto::wire::sealed::presence::PresenceState;

use super::disk::UserDisk;
use super::host::{Blueprint, Nat, Role};
use super::world::{MachineId, World};

/// How long an answer to a command may take.
const ANSWER: Duration = Duration::from_secs(60);
/// How long anything else that is meant to work may take.
pub const SOON: Duration = Duration::from_secs(20);
/// Everybody's password, where a story is not about passwords.
pub const PASSWORD: &str = "correct horse battery staple";

/// A user name.
///
/// # Panics
/// When it is none.
#[must_use]
pub fn user(name: &str) -> UserName {
    UserName::new(name).expect("a user name")
}

/// What somebody types to find people.
pub(super) fn sought(typed: &str) -> Sought {
    Sought::new(typed).expect("a name or words")
}

fn password(text: &str) -> Password {
    Password::new(text).expect("a password")
}

impl World {
    /// Adds a machine with a peer that knows nothing yet.
    pub fn device(&mut self, name: &str, nat: Nat) {
        self.pretending(name, nat, None);
    }

    /// Adds a machine with a peer that believes to be reachable like this.
    pub fn pretending(&mut self, name: &str, nat: Nat, pretend: Option<Reachability>) {
        let number = self.hosts.len();
        let address = SocketAddr::from(([12, 0, (number >> 8) as u8, number as u8], 5000));
        let listens = !matches!(pretend, Some(Reachability::Natted | Reachability::Restricted));
        self.add(name, address, nat, Blueprint::Peer { listens, pretend });
        self.start(name);
    }

    /// Adds a person: a machine, an account of the same name, a home.
    pub fn person(&mut self, name: &str) {
        self.person_behind(name, Nat::Cone);
    }

    /// The same, behind this.
    pub fn person_behind(&mut self, name: &str, nat: Nat) {
        self.device(name, nat);
        self.comes_in(name);
    }

    /// Joins, registers, and waits for a home.
    pub fn comes_in(&mut self, name: &str) {
        self.join(name);
        self.register(name, name, PASSWORD).expect("the name is free");
        self.settles(name);
    }

    /// Adds a person with a name for people.
    pub fn person_named(&mut self, name: &str, display_name: &str) {
        self.device(name, Nat::Cone);
        self.join(name);
        self.register_as(name, name, display_name, PASSWORD).expect("the name is free");
        self.settles(name);
    }

    /// Waits until a peer is at home and its registration is kept.
    pub fn settles(&mut self, name: &str) {
        self.run_until(|w| w.is_settled(name), SOON);
    }

    /// Whether a peer is at home and its registration is kept.
    #[must_use]
    pub fn is_settled(&self, name: &str) -> bool {
        let network = self.owner(name).network.as_ref();
        network.is_some_and(|view| view.home.is_some() && view.keepers > 0)
    }

    /// Gives a command; the number by which its answer is known.
    pub fn command(&mut self, name: &str, command: Command) -> u64 {
        let id = self.id(name);
        let now = self.instant();
        self.note(id, "command");
        let resident = self.machine_mut(id);
        resident.owner.last_ask += 1;
        let ask = resident.owner.last_ask;
        resident.owner.open.insert(ask);
        match &mut resident.role {
            Some(Role::Peer(peer)) => peer.command(now, ask, command),
            Some(
                Role::SuperPeer(_) | Role::Authority(_) | Role::Adversary(_) | Role::Script(_),
            )
            | None => panic!("{name} is no living peer"),
        }
        self.drain(id);
        ask
    }

    /// Gives a command and waits for its answer.
    ///
    /// # Errors
    /// What the peer says.
    pub fn ask(&mut self, name: &str, command: Command) -> Result<Answer, Failure> {
        let ask = self.command(name, command);
        self.run_until(|w| w.owner(name).answers.contains_key(&ask), ANSWER);
        let id = self.id(name);
        let answer = self.machine_mut(id).owner.answers.remove(&ask);
        answer.expect("it was there just now")
    }

    /// Looks into a living peer.
    pub fn peer(&self, name: &str) -> &Peer {
        match &self.machine(self.id(name)).role {
            Some(Role::Peer(peer)) => peer,
            Some(
                Role::SuperPeer(_) | Role::Authority(_) | Role::Adversary(_) | Role::Script(_),
            )
            | None => panic!("{name} is no living peer"),
        }
    }

    /// Whether this machine runs.
    #[must_use]
    pub fn is_up(&self, name: &str) -> bool {
        self.machine(self.id(name)).role.is_some()
    }

    /// Joins the network by its invite.
    pub fn join(&mut self, name: &str) {
        let invite = Box::new(self.invite());
        self.ask(name, Command::Join(invite)).expect("the invite is good");
    }

    /// Registers.
    ///
    /// # Errors
    /// What the peer says.
    pub fn register(&mut self, at: &str, name: &str, word: &str) -> Result<Answer, Failure> {
        self.register_as(at, name, name, word)
    }

    /// Registers under a name for people.
    ///
    /// # Errors
    /// What the peer says.
    pub fn register_as(
        &mut self,
        at: &str,
        name: &str,
        display_name: &str,
        word: &str,
    ) -> Result<Answer, Failure> {
        let display_name = Text::new(display_name).expect("short");
        let (user, password) = (user(name), password(word));
        self.ask(at, Command::Register { user, password, display_name })
    }

    /// Logs in.
    ///
    /// # Errors
    /// What the peer says.
    pub fn log_in(&mut self, at: &str, name: &str, word: &str) -> Result<Answer, Failure> {
        self.ask(at, Command::Login { user: user(name), password: password(word) })
    }

    /// Starts a crashed machine, logs in by its vault, and waits for a home.
    pub fn comes_back(&mut self, name: &str, account: &str) {
        self.start(name);
        self.log_in(name, account, PASSWORD).expect("the vault opens");
        self.settles(name);
    }

    /// Makes two people buddies.
    pub fn befriend(&mut self, asks: &str, asked: &str) {
        self.request(asks, asked, "Shall we be buddies?");
        self.run_until(|w| w.stands(asked, asks) == Some(Standing::AsksUs), SOON);
        self.ask(asked, Command::Accept(user(asks))).expect("there is a request");
        self.run_until(|w| w.are_buddies(asks, asked), SOON);
        self.run_until(|w| w.sees_online(asks, asked) && w.sees_online(asked, asks), SOON);
    }

    /// Asks somebody to be a buddy.
    pub fn request(&mut self, asks: &str, asked: &str, greeting: &str) {
        let greeting = Text::new(greeting).expect("short");
        let request = Command::Request { user: user(asked), greeting };
        self.ask(asks, request).expect("asking is allowed");
    }

    /// How one stands with another, as their window shows it.
    #[must_use]
    pub fn stands(&self, one: &str, other: &str) -> Option<Standing> {
        self.owner(one).buddies.get(&user(other)).map(|view| view.standing)
    }

    /// Whether both list each other.
    #[must_use]
    pub fn are_buddies(&self, one: &str, other: &str) -> bool {
        let buddy = Some(Standing::Buddy);
        self.stands(one, other) == buddy && self.stands(other, one) == buddy
    }

    /// How one shows another.
    #[must_use]
    pub fn presence(&self, one: &str, other: &str) -> PresenceState {
        let shown = self.owner(one).presence.get(&user(other));
        shown.map_or(PresenceState::Offline, |view| view.state)
    }

    /// Whether one shows another as on line.
    #[must_use]
    pub fn sees_online(&self, one: &str, other: &str) -> bool {
        self.presence(one, other) == PresenceState::Online
    }

    /// Shows something else to buddies.
    pub fn show(&mut self, name: &str, shown: Shown) {
        self.ask(name, Command::SetPresence { shown, mood: None }).expect("always possible");
    }

    /// Writes to somebody; the message is on disk when this returns.
    pub fn say(&mut self, from: &str, to: &str, text: &str) {
        let answer = self.ask(from, Self::send(to, text));
        assert!(matches!(answer, Ok(Answer::Sent(..))), "{from} cannot write: {answer:?}");
    }

    /// The command that writes a text.
    #[must_use]
    pub fn send(to: &str, text: &str) -> Command {
        let text_ = Text::new(text).expect("not too long");
        Command::Send { to: user(to), text: text_, client_id: text.to_owned() }
    }

    /// How often a text is on a screen.
    #[must_use]
    pub fn times_shown(&self, at: &str, text: &str) -> usize {
        self.owner(at).screen.iter().filter(|message| message.text == text).count()
    }

    /// Whether a text of ours is known to have arrived.
    #[must_use]
    pub fn has_arrived(&self, from: &str, text: &str) -> bool {
        let story = self.machine(self.id(from)).disk.story();
        let messages = story.into_iter().flat_map(|story| &story.messages);
        let views = messages.map(|message| &message.view);
        let mut ours = views.filter(|view: &&MessageView| view.mine && view.text == text);
        ours.any(|view| view.delivery >= Delivery::Arrived)
    }

    /// Lets others find somebody by name, or not any more, and waits until super-peers were told.
    pub fn list(&mut self, name: &str, wish: impl Into<Wish>) {
        let wish = wish.into();
        let wanted = if wish.is_listed { Listed::On } else { Listed::Off };
        self.ask(name, Command::SetListed(wish)).expect("always possible");
        self.run_until(|w| w.listed(name) == Some(wanted), SOON);
    }

    /// Whether others can find somebody by name.
    #[must_use]
    pub fn listed(&self, name: &str) -> Option<Listed> {
        self.peer(name).session_view().map(|view| view.listed)
    }

    /// Whom a search finds, and how it ends.
    pub fn find(&mut self, at: &str, typed: &str) -> (BTreeSet<String>, SearchEnd) {
        let before = self.owner(at).hits.len();
        let end = self.search(at, typed);
        let hits = &self.owner(at).hits[before..];
        (hits.iter().map(|hit| hit.user.to_string()).collect(), end)
    }

    /// Searches for a name or words, to the end.
    pub fn search(&mut self, at: &str, typed: &str) -> SearchEnd {
        let answer = self.ask(at, Command::Search(sought(typed)));
        let Ok(Answer::Searching(search)) = answer else { panic!("no search: {answer:?}") };
        self.run_until(|w| w.owner(at).searched.contains_key(&search), ANSWER);
        self.owner(at).searched[&search]
    }

    /// Calls somebody.
    pub fn call(&mut self, from: &str, to: &str) -> CallId {
        let call = Command::Call { to: user(to), path: PathPolicy::Any };
        match self.ask(from, call) {
            Ok(Answer::Calling(id)) => id,
            other => panic!("{from} cannot call: {other:?}"),
        }
    }

    /// Does something with the call under way.
    ///
    /// # Errors
    /// What the peer says.
    pub fn in_call(&mut self, name: &str, action: CallAction) -> Result<Answer, Failure> {
        let call = self.current_call(name).expect("a call is under way").id;
        self.ask(name, Command::InCall(call, action))
    }

    /// The call under way.
    #[must_use]
    pub fn current_call(&self, name: &str) -> Option<CallView> {
        self.peer(name).current_call()
    }

    /// Whether the call under way is in this state.
    #[must_use]
    pub fn call_is(&self, name: &str, state: CallState) -> bool {
        let calls = self.owner(name).calls.values();
        calls.filter(|call| call.state != CallState::Ended).any(|call| call.state == state)
    }

    /// Whether both talk.
    #[must_use]
    pub fn talking(&self, one: &str, other: &str) -> bool {
        self.call_is(one, CallState::Talking) && self.call_is(other, CallState::Talking)
    }

    /// The super-peer whose relay the voice goes through.
    #[must_use]
    pub fn relay_of(&self, name: &str) -> Option<String> {
        let relay = self.current_call(name)?.path?.relay?;
        let mut machines = (0..self.machines.len()).map(MachineId);
        let at = machines.find(|id| self.address_of(*id) == relay)?;
        Some(self.machine(at).name.clone())
    }

    /// Whether a call under way has no path at all.
    #[must_use]
    pub fn is_interrupted(&self, name: &str) -> bool {
        self.current_call(name).is_some_and(|call| call.interrupted.is_some())
    }

    /// Calls, answers, and waits until both talk.
    pub fn talk(&mut self, one: &str, other: &str) {
        self.call(one, other);
        self.run_until(|w| w.call_is(other, CallState::Ringing), SOON);
        self.in_call(other, CallAction::Accept).expect("it rings");
        self.run_until(|w| w.talking(one, other), SOON);
    }

    /// Why the last call that ended at somebody ended.
    #[must_use]
    pub fn end(&self, name: &str) -> Option<EndReason> {
        let calls = self.owner(name).calls.values();
        let ended = calls.filter_map(|call| Some((call.since, call.end.as_ref()?.reason)));
        ended.max_by_key(|(since, _)| *since).map(|(_, reason)| reason)
    }

    /// Looks for this text in everything that leaves a super-peer or the authority from now on.
    pub fn watch_for(&mut self, text: &str) {
        self.spy.look_for(text);
    }

    /// Where blind machines showed what they may not see; how many of their bytes were searched;
    /// how often it was seen where it may be.
    #[must_use]
    pub fn watched(&self) -> (&[String], u64, u64) {
        (&self.spy.leaks, self.spy.searched, self.spy.seen)
    }

    /// Connections that were dialled straight from peer to peer, dial-backs included.
    #[must_use]
    pub const fn straight_dials(&self) -> u64 {
        self.straight_dials
    }

    /// Bytes that came to a machine over links.
    #[must_use]
    pub fn heard_bytes(&self, name: &str) -> u64 {
        self.machine(self.id(name)).heard
    }

    /// Bytes of Earshot's that a machine sent and got, over links and in datagrams; without what
    /// TCP, UDP and IP put around them.
    #[must_use]
    pub fn traffic(&self, name: &str) -> u64 {
        self.machine(self.id(name)).traffic
    }

    /// Connections that a machine dialled.
    #[must_use]
    pub fn dials(&self, name: &str) -> u64 {
        self.machine(self.id(name)).dials
    }

    /// The name of a peer's home super-peer.
    #[must_use]
    pub fn home(&self, name: &str) -> String {
        let view = self.peer(name).network_view().expect("it joined a network");
        let (node, _) = view.home.expect("it has a home");
        let at = |id: &&MachineId| self.address_of(**id) == node.address;
        let id = self.names.values().find(at).expect("a home is a host");
        self.machine(*id).name.clone()
    }

    /// Joins by an invite to that super-peer alone, which becomes the home.
    pub fn comes_in_at(&mut self, name: &str, home: &str) {
        let invite = self.invites_to(home);
        self.comes_in_while_only(name, home);
        self.invite_by(invite);
    }

    /// Joins and registers while only that super-peer can be reached, so that it becomes the home.
    pub fn comes_in_while_only(&mut self, name: &str, home: &str) {
        let others = self.names.keys().filter(|n| n.starts_with("super-") && *n != home);
        for other in others.cloned().collect::<Vec<_>>() {
            self.cut(name, &other);
        }
        self.comes_in(name);
        self.heal();
        assert_eq!(self.home(name), home);
    }

    /// Begins to register; the answer comes later.
    pub fn begin_register(&mut self, at: &str, name: &str, word: &str) -> u64 {
        let display_name = Text::new(name).expect("short");
        let (user, password) = (user(name), password(word));
        self.command(at, Command::Register { user, password, display_name })
    }

    /// Begins to log in on one's own machine; the answer comes later.
    pub fn begin_log_in(&mut self, name: &str) -> u64 {
        let (user, password) = (user(name), password(PASSWORD));
        self.command(name, Command::Login { user, password })
    }

    /// Opens the vault that lies on a person's disk, as a thief who knows the password would.
    #[must_use]
    pub fn open_vault(&self, name: &str) -> LocalVault {
        let locked = LockedVault::read(&self.user_disk(name).vault).expect("a whole vault");
        let Worked::Stretched(key) = locked.stretch(&password(PASSWORD)).run() else {
            panic!("stretching gives a key")
        };
        locked.open(&key, 0).map(|(vault, _)| vault).expect("the password is right")
    }

    /// The buddy list files on a person's disk, newest first.
    #[must_use]
    pub fn lists_on_disk(&self, name: &str) -> Vec<Vec<u8>> {
        self.user_disk(name).buddies.clone()
    }

    /// Puts other buddy list files there, as a thief or a failing disk would.
    pub fn replace_lists(&mut self, name: &str, files: Vec<Vec<u8>>) {
        let id = self.id(name);
        let users = &mut self.machine_mut(id).disk.users;
        users.values_mut().next().expect("somebody has logged in there").buddies = files;
    }

    /// What is kept of the one user of a machine.
    fn user_disk(&self, name: &str) -> &UserDisk {
        let users = &self.machine(self.id(name)).disk.users;
        assert_eq!(users.len(), 1, "one user has logged in on {name}");
        users.values().next().expect("it was counted")
    }

    /// Whether that super-peer keeps a registration of that user.
    #[must_use]
    pub fn holds(&self, node: &str, name: &str) -> bool {
        self.node_of(node).is_some_and(|node| node.keeps(&user(name)))
    }

    /// How much a super-peer holds.
    #[must_use]
    pub fn super_peer_load(&self, node: &str) -> Load {
        self.node(node).load()
    }

    /// How many watches a super-peer knows of.
    #[must_use]
    pub fn watches(&self, node: &str) -> Watches {
        self.node(node).watches()
    }

    /// The voice of somebody's call breaks.
    pub fn voice_fails(&mut self, name: &str) {
        let call = self.current_call(name).expect("a call is under way").id;
        let id = self.id(name);
        self.give(id, "voice failed", Input::Voice(call, VoiceEvent::Failed));
    }

    /// The authority forgets an account, as one that betrays would, and restarts.
    pub fn forget_account(&mut self, name: &str) {
        self.crash("authority");
        let id = self.id("authority");
        let key = ("account", user(name).as_str().as_bytes().to_vec());
        let gone = self.machine_mut(id).disk.rows.remove(&key);
        assert!(gone.is_some(), "there was an account");
        self.start("authority");
    }
}
