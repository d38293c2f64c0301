//! The owner's end of a peer: commands of the contract go to the machine, its notices come back as
//! events.
//!
//! Invariants: every command is answered once, and its answer leaves before the events that follow
//! from it (both are told on the loop, in the machine's order); a snapshot is taken on the loop, so
//! its number and its content agree.

mod ears;
mod reach;
mod refused;
mod shown;
mod sound;

use std::time::Instant;

use earshot_proto::ids::{CallId, MessageId, UserName};
use earshot_proto::peer::Peer;
use earshot_proto::peer::command::{self, Answer, CallAction, Wish};
use earshot_proto::peer::search::Sought;
use earshot_proto::port::PathPolicy;
use earshot_proto::secure::password;
use earshot_proto::wire::bounded::{List, Text};
use earshot_proto::wire::invite::Invite;

use crate::api::buddies::{Buddies, Searching};
use crate::api::call::{
    CallHistory, CallPaths, CallStarted, PAST_CALLS_MAX, PastCalls, PathChoice,
};
use crate::api::chat::{ChatHistory, ChatMarkRead, ChatSend, ChatSent, HISTORY_MAX, History};
use crate::api::commands::{Command, Done};
use crate::api::errors::{ErrorCode, Limited};
use crate::api::failure::Failure;
use crate::api::network::{Invited, Joined};
use crate::api::reply::Reply;
use crate::api::session::{Login, OwnPresence, PresenceSet, ProfileSet, Register, password_or};
use crate::api::snapshot::Snapshot;
use crate::api::text::{Password, Reading, bounded};
use crate::calls::CallsDesk;
use crate::clock;
use crate::driver::Handle;
use crate::sound::SoundDesk;
use crate::store::peer::DiskDesk;
use crate::store::preferences::Preferences;
use tokio::sync::watch;

pub use ears::Ears;
pub use reach::ReachDesk;
pub(crate) use refused::{audio as refused_audio, device_problem};
pub(crate) use shown::{chosen, devices};

/// Shortest password, in characters. NIST SP 800-63B, section 3.1.1.2, asks for eight.
const PASSWORD_CHARS_MIN: usize = 8;

/// Longest text that people are sought by, in bytes. Our choice: twice the longest name for people.
const SOUGHT_MAX: usize = 256;

/// The owner of one peer.
pub struct Owner {
    ears: Ears,
    handle: Handle<Peer>,
    tools: Tools,
}

/// What an owner works with besides its peer.
pub struct Tools {
    /// The peer's disk.
    pub disk: DiskDesk,
    /// The voices of its calls.
    pub calls: CallsDesk,
    /// The phone's own sounds.
    pub sound: SoundDesk,
    /// What a person has set and chosen; whoever heeds it listens to the same channel.
    pub preferences: watch::Sender<Preferences>,
    /// The name under which damaged settings were kept aside.
    pub set_aside: Option<String>,
    /// The password that the process was started with.
    pub password: Option<Password>,
}

impl Owner {
    /// The owner of the peer behind `handle`.
    #[must_use]
    pub fn new(ears: Ears, handle: Handle<Peer>, tools: Tools) -> Self {
        ears.measure_by(tools.calls.clone());
        Self { ears, handle, tools }
    }

    /// Carries a command out; its reply is answered, now or later.
    pub async fn execute(&self, command: Command) {
        match command {
            Command::NetworkJoin(join, reply) => match Invite::from_uri(&join.invite) {
                Ok(invite) => self.put_join(invite, reply).await,
                Err(bad) => reply.refuse(ErrorCode::from(bad)),
            },
            Command::NetworkInvite(_, reply) => {
                let invite = self.handle.call(|peer, _| peer.invite().map(Invited::from)).await;
                reply.answer(match invite {
                    Ok(Some(invited)) => Ok(invited),
                    Ok(None) => Err(ErrorCode::NoNetwork.into()),
                    Err(_) => Err(ErrorCode::Leaving.into()),
                });
            }
            Command::NetworkStatus(_, reply) => {
                let standing = self.handle.call(|peer, _| shown::standing(peer)).await;
                reply.answer(standing.map_err(|_| ErrorCode::Leaving.into()));
            }
            Command::Register(register, reply) => self.register(register, reply).await,
            Command::Login(login, reply) => self.log_in(login, reply).await,
            Command::Logout(_, reply) => self.done(Ok(command::Command::Logout), reply).await,
            Command::StateGet(_, reply) => self.snapshot(reply).await,
            Command::PresenceSet(set, reply) => {
                let command = presence(set);
                if let Ok(command::Command::SetPresence { shown, .. }) = &command {
                    self.tools.sound.ear().shows(*shown);
                }
                self.done(command, reply).await;
            }
            Command::ProfileSet(set, reply) => {
                self.done(listing(set), reply).await;
            }
            Command::Search(search, reply) => {
                let command = sought(&search.user).map(command::Command::Search);
                self.ask(command, reply, |answer| {
                    let Answer::Searching(id) = answer else { return none_of(&answer) };
                    Some(Searching { search_id: id.to_string() })
                })
                .await;
            }
            Command::BuddiesList(_, reply) => {
                let buddies = self.handle.call(|peer, _| {
                    peer.signed_in().map(|_| Buddies { buddies: shown::buddies(peer) })
                });
                reply.answer(match buddies.await {
                    Ok(Some(buddies)) => Ok(buddies),
                    Ok(None) => Err(ErrorCode::NotLoggedIn.into()),
                    Err(_) => Err(ErrorCode::Leaving.into()),
                });
            }
            Command::BuddiesRequest(request, reply) => {
                let command = request.user.read().and_then(|user| {
                    let greeting = bounded("greeting", request.greeting.unwrap_or_default())?;
                    Ok(command::Command::Request { user, greeting })
                });
                self.done(command, reply).await;
            }
            Command::BuddiesAccept(of, reply) => {
                self.done(of.user.read().map(command::Command::Accept), reply).await;
            }
            Command::BuddiesDecline(of, reply) => {
                self.done(of.user.read().map(command::Command::Decline), reply).await;
            }
            Command::BuddiesBlock(of, reply) => {
                self.done(of.user.read().map(command::Command::Block), reply).await;
            }
            Command::BuddiesUnblock(of, reply) => {
                self.done(of.user.read().map(command::Command::Unblock), reply).await;
            }
            Command::ChatSend(send, reply) => self.send(send, reply).await,
            Command::ChatHistory(history, reply) => self.history(history, reply).await,
            Command::ChatMarkRead(mark, reply) => self.mark_read(mark, reply).await,
            Command::CallStart(start, reply) => {
                let path = match start.path {
                    PathChoice::Any => PathPolicy::Any,
                    PathChoice::Relay => PathPolicy::RelayOnly,
                };
                let command = start.to.read().map(|to| command::Command::Call { to, path });
                self.ask(command, reply, |answer| {
                    let Answer::Calling(call) = answer else { return none_of(&answer) };
                    Some(CallStarted { call_id: call.into() })
                })
                .await;
            }
            Command::CallAccept(of, reply) => {
                self.in_call(of.call_id.read(), CallAction::Accept, reply).await;
            }
            Command::CallDecline(of, reply) => {
                self.in_call(of.call_id.read(), CallAction::Decline, reply).await;
            }
            Command::CallHangUp(of, reply) => {
                self.in_call(of.call_id.read(), CallAction::HangUp, reply).await;
            }
            Command::CallHold(of, reply) => {
                self.in_call(of.call_id.read(), CallAction::Hold, reply).await;
            }
            Command::CallResume(of, reply) => {
                self.in_call(of.call_id.read(), CallAction::Resume, reply).await;
            }
            Command::CallMute(of, reply) => {
                self.in_call(of.call_id.read(), CallAction::Mute, reply).await;
            }
            Command::CallUnmute(of, reply) => {
                self.in_call(of.call_id.read(), CallAction::Unmute, reply).await;
            }
            Command::CallHistory(ask, reply) => {
                reply.answer(self.past_calls(ask).await.map_err(Failure::from));
            }
            Command::CallStatsOf(of, reply) => reply.answer(
                of.call_id
                    .read()
                    .and_then(|call| self.tools.calls.stats(call).ok_or(ErrorCode::NoSuchCall))
                    .map_err(Failure::from),
            ),
            Command::CallPathsOf(of, reply) => {
                reply.answer(self.call_paths(of.call_id.read()).await.map_err(Failure::from));
            }
            Command::AudioDevices(_, reply) => reply.answer(self.devices().await),
            Command::AudioSet(set, reply) => {
                reply.answer(self.set_audio(&set).await.map_err(Failure::from));
            }
            Command::AudioTest(test, reply) => {
                reply.answer(self.test_audio(test.what).await.map_err(Failure::from));
            }
            Command::SettingsGet(_, reply) => {
                reply.grant(self.tools.preferences.borrow().settings);
            }
            Command::SettingsSet(set, reply) => self.set(&set, reply).await,
            command @ (Command::SuperPeerStatus(..)
            | Command::SuperPeerSet(..)
            | Command::SuperPeerTest(..)
            | Command::NetworkStart(..)) => {
                command.refuse(ErrorCode::UnknownMethod);
            }
        }
    }

    /// Joins a network that nobody asked for by a command.
    ///
    /// # Errors
    /// [`ErrorCode::OtherNetwork`] when another one was joined before.
    pub async fn join(&self, invite: Invite) -> Result<(), Failure> {
        let (told, answered) = tokio::sync::oneshot::channel();
        let reply = Reply::new(move |result: Result<Joined, Failure>| drop(told.send(result)));
        self.put_join(invite, reply).await;
        answered.await.unwrap_or_else(|_| Err(ErrorCode::Leaving.into())).map(drop)
    }

    /// Whether a network was joined.
    ///
    /// # Errors
    /// [`ErrorCode::Leaving`] when the peer is gone.
    pub async fn is_in_a_network(&self) -> Result<bool, ErrorCode> {
        let joined = self.handle.call(|peer, _| peer.invite().is_some()).await;
        joined.map_err(|_| ErrorCode::Leaving)
    }

    /// Says goodbye to the network.
    pub async fn leave(&self) {
        let _ = self.handle.call(Peer::leave).await;
    }

    async fn put_join(&self, invite: Invite, reply: Reply<Joined>) {
        let network = shown::network(&invite);
        let command = Ok(command::Command::Join(Box::new(invite)));
        self.ask(command, reply, move |answer| {
            let Answer::Joined(_) = answer else { return none_of(&answer) };
            Some(Joined { network })
        })
        .await;
    }

    async fn register(&self, register: Register, reply: Reply<crate::api::session::Registered>) {
        let command = register.user.read().and_then(|user| {
            let password = self.password(register.password.as_ref())?;
            let display_name = register.display_name.unwrap_or_else(|| user.to_string());
            let display_name = bounded("displayName", display_name)?;
            Ok(command::Command::Register { user, password, display_name })
        });
        self.ask(command, reply, |answer| {
            let Answer::Registered(session, recovery) = answer else { return none_of(&answer) };
            Some(shown::registered(&session, recovery))
        })
        .await;
    }

    async fn log_in(&self, login: Login, reply: Reply<crate::api::session::LoggedIn>) {
        let command = login.user.read().and_then(|user| {
            let given = password_or(login.password.as_ref(), self.tools.password.as_ref())?;
            // A password that could never be set is a wrong one.
            let password = read_password(given).map_err(|_| ErrorCode::WrongNameOrPassword)?;
            Ok(command::Command::Login { user, password })
        });
        self.ask(command, reply, |answer| {
            let Answer::LoggedIn(session, stretched) = answer else { return none_of(&answer) };
            Some(shown::logged_in(&session, stretched))
        })
        .await;
    }

    fn password(&self, given: Option<&Password>) -> Result<password::Password, ErrorCode> {
        let given = password_or(given, self.tools.password.as_ref())?;
        let text = std::str::from_utf8(given.as_bytes()).unwrap_or_default();
        if text.chars().count() < PASSWORD_CHARS_MIN {
            return Err(ErrorCode::PasswordTooShort { min: PASSWORD_CHARS_MIN });
        }
        read_password(given)
    }

    async fn send(&self, send: ChatSend, reply: Reply<ChatSent>) {
        let command = send.to.read().and_then(|to| {
            if send.text.is_empty() {
                return Err(ErrorCode::TextEmpty { field: "text".into() });
            }
            let text = bounded("text", send.text)?;
            let client_id: Text<128> = bounded("clientId", send.client_id)?;
            let client_id = client_id.as_str().to_owned();
            Ok(command::Command::Send { to, text, client_id })
        });
        self.ask(command, reply, |answer| {
            let Answer::Sent(id, delivery) = answer else { return none_of(&answer) };
            Some(ChatSent { message_id: id.into(), state: shown::message_state(delivery) })
        })
        .await;
    }

    async fn history(&self, ask: ChatHistory, reply: Reply<History>) {
        let page = async {
            let with = ask.with.read()?;
            let before = ask.before.map(|id| id.read()).transpose()?;
            let page = self.tools.disk.page(with, before, ask.limit.min(HISTORY_MAX)).await?;
            let page = page.ok_or(ErrorCode::NoSuchMessage)?;
            Ok(History::fitting(page.messages.into_iter().map(shown::message), page.more))
        };
        reply.answer(page.await.map_err(|code: ErrorCode| code.into()));
    }

    async fn mark_read(&self, mark: ChatMarkRead, reply: Reply<Done>) {
        let command = async {
            let (with, up_to): (_, MessageId) = (mark.with.read()?, mark.up_to.read()?);
            let ids = self.tools.disk.unread(with.clone(), up_to).await?;
            let ids = ids.ok_or(ErrorCode::NoSuchMessage)?;
            Ok(command::Command::MarkRead { with, ids })
        };
        self.done(command.await, reply).await;
    }

    async fn in_call(
        &self,
        call: Result<CallId, ErrorCode>,
        action: CallAction,
        reply: Reply<Done>,
    ) {
        self.done(call.map(|call| command::Command::InCall(call, action)), reply).await;
    }

    async fn call_paths(&self, call: Result<CallId, ErrorCode>) -> Result<CallPaths, ErrorCode> {
        let call = call?;
        let views = self.handle.call(move |peer, _| peer.call_paths(call)).await;
        let views = views.map_err(|_| ErrorCode::Leaving)?.ok_or(ErrorCode::NoSuchCall)?;
        Ok(CallPaths { paths: views.iter().map(shown::call_path).collect() })
    }

    async fn past_calls(&self, ask: CallHistory) -> Result<PastCalls, ErrorCode> {
        let before = ask.before.map(|id| id.read()).transpose()?;
        let page = self.tools.disk.calls(before, ask.limit.min(PAST_CALLS_MAX)).await?;
        let page = page.ok_or(ErrorCode::NoSuchCall)?;
        Ok(PastCalls { calls: page.calls.iter().map(shown::past_call).collect(), more: page.more })
    }

    async fn snapshot(&self, reply: Reply<Snapshot>) {
        let summaries = self.tools.disk.summaries().await.unwrap_or_default();
        let (ears, audio, desk) = (self.ears.clone(), self.chosen(), self.tools.calls.clone());
        let shown_call = move |view: &_| {
            let mut call = shown::call(view);
            desk.measured(&mut call);
            call
        };
        let settings = self.tools.preferences.borrow().settings;
        let settings_set_aside = self.tools.set_aside.clone();
        let taken = self.handle.call(move |peer, _| Snapshot {
            seq: ears.last_event(),
            at: clock::unix_now().into(),
            network: shown::standing(peer),
            session: shown::session(peer),
            buddies: shown::buddies(peer),
            conversations: shown::conversations(summaries),
            calls: peer.current_call().iter().map(shown_call).collect(),
            audio,
            settings,
            settings_set_aside,
        });
        reply.answer(taken.await.map_err(|_| ErrorCode::Leaving.into()));
    }

    /// Puts a command whose good answer says nothing more.
    async fn done(&self, command: Result<command::Command, ErrorCode>, reply: Reply<Done>) {
        self.ask(command, reply, |_| Some(Done {})).await;
    }

    /// Puts a command to the machine; `read` makes the reply of its answer.
    async fn ask<A: Send + 'static>(
        &self,
        command: Result<command::Command, ErrorCode>,
        reply: Reply<A>,
        read: impl FnOnce(Answer) -> Option<A> + Send + 'static,
    ) {
        let command = match command {
            Ok(command) => command,
            Err(code) => return reply.refuse(code),
        };
        let ears = self.ears.clone();
        let put = self.handle.call(move |peer, now: Instant| {
            let ask = ears.expect(Box::new(move |result| {
                reply.answer(match result {
                    Ok(answer) => read(answer)
                        .ok_or_else(|| ErrorCode::Internal { what: "answer".into() }.into()),
                    Err(failure) => Err(refused::failure(failure)),
                });
            }));
            peer.command(now, ask, command);
        });
        // A loop that is gone drops the reply, which then says so.
        let _ = put.await;
    }
}

fn read_password(given: &Password) -> Result<password::Password, ErrorCode> {
    let text = std::str::from_utf8(given.as_bytes()).unwrap_or_default();
    password::Password::new(text).map_err(|bad| match bad {
        password::BadPassword::Empty => ErrorCode::PasswordTooShort { min: PASSWORD_CHARS_MIN },
        password::BadPassword::TooLong { got } => ErrorCode::TextTooLong {
            field: "password".into(),
            got,
            max: password::PASSWORD_BYTES_MAX,
        },
        password::BadPassword::Forbidden => {
            ErrorCode::BadParams { problem: "password holds a forbidden character".into() }
        }
    })
}

/// What was typed to find people; what is neither a name nor holds a word is a bad name.
fn sought(typed: &str) -> Result<Sought, ErrorCode> {
    let typed: Text<SOUGHT_MAX> = bounded("user", typed.to_owned())?;
    match Sought::new(typed.as_str()) {
        Some(sought) => Ok(sought),
        None => Err(match UserName::read(typed.as_str()) {
            Err(code) => code,
            Ok(_) => ErrorCode::Internal { what: "a name that is not sought".into() },
        }),
    }
}

fn presence(set: PresenceSet) -> Result<command::Command, ErrorCode> {
    let shown = match set.presence {
        OwnPresence::Online => command::Shown::Online,
        OwnPresence::Away => command::Shown::Away,
        OwnPresence::DoNotDisturb => command::Shown::DoNotDisturb,
        OwnPresence::Invisible => command::Shown::Invisible,
    };
    let mood = set.mood.map(|mood| bounded("mood", mood)).transpose()?;
    Ok(command::Command::SetPresence { shown, mood })
}

/// How the user wants to be listed. Words without a letter are none.
fn listing(set: ProfileSet) -> Result<command::Command, ErrorCode> {
    let name = set.name.map(|name| bounded("name", name.trim())).transpose()?;
    let about = set.words.map(|words| {
        let words = words.iter().map(|word| word.trim()).filter(|word| !word.is_empty());
        let words = words.map(|word| bounded("words", word)).collect::<Result<Vec<_>, _>>()?;
        List::new(words).map_err(|e| ErrorCode::TooMany { what: Limited::Words, max: e.max })
    });
    let (is_listed, about) = (set.listed, about.transpose()?);
    Ok(command::Command::SetListed(Wish { is_listed, name, about }))
}

/// An answer of another kind than its command's: a mistake of ours, told as such.
fn none_of<T>(answer: &Answer) -> Option<T> {
    tracing::warn!(?answer, "An answer of the wrong kind");
    None
}
