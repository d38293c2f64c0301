//! What the owner of a peer may ask of it, and what it tells: the peer's side of the typed
//! contract.
//!
//! Every [`Command`] carries a number of the owner's choice and is answered exactly once by
//! [`Notice::Answer`] with that number; what follows from it comes after the answer.

use std::net::SocketAddr;

use crate::ids::{CallId, DeviceId, MessageId, NetworkId, UserName};
use crate::peer::call::view::{CallState, CallView};
use crate::peer::nat::NatView;
use crate::peer::nearby::NearDevice;
use crate::peer::reach::Verdict;
use crate::peer::search::Sought;
use crate::port::{PathPolicy, Service};
use crate::secure::password::Password;
use crate::secure::recovery_key::Paper;
use crate::time::UnixTime;
use crate::wire::bounded::Text;
use crate::wire::certificate::VerifyKey;
use crate::wire::directory::{NodeEntry, Reachability};
use crate::wire::invite::Invite;
use crate::wire::login::{DISPLAY_NAME_MAX, Refusal};
use crate::wire::posting::{LISTED_NAME_MAX, OwnWords};
use crate::wire::sealed::buddy::GREETING_MAX;
use crate::wire::sealed::chat::TEXT_MAX;
use crate::wire::sealed::presence::MOOD_MAX;

/// Something the owner wants.
pub enum Command {
    /// Join the network of this invite.
    Join(Box<Invite>),
    /// Take a name in the network, and log in with it.
    Register {
        /// The name.
        user: UserName,
        /// The password.
        password: Password,
        /// The name for people.
        display_name: Text<DISPLAY_NAME_MAX>,
    },
    /// Log in.
    Login {
        /// The name.
        user: UserName,
        /// The password.
        password: Password,
    },
    /// Log out: the others see us gone, the vault is closed.
    Logout,
    /// Show this to buddies.
    SetPresence {
        /// The state to show.
        shown: Shown,
        /// The mood line, if it changes.
        mood: Option<Text<MOOD_MAX>>,
    },
    /// Find people: by exact name, and those who chose to be listed by the words of their names.
    Search(Sought),
    /// Let others find us by name, or do so no more.
    SetListed(Wish),
    /// Ask a user to be a buddy.
    Request {
        /// Whom.
        user: UserName,
        /// With these words.
        greeting: Text<GREETING_MAX>,
    },
    /// Accept a request.
    Accept(UserName),
    /// Decline a request.
    Decline(UserName),
    /// Block: nothing of that user is heard any more, and what they could see of us is sealed anew.
    Block(UserName),
    /// Undo a block.
    Unblock(UserName),
    /// Write to a buddy.
    Send {
        /// To whom.
        to: UserName,
        /// The text.
        text: Text<TEXT_MAX>,
        /// The owner's own id of it: sending it twice is sending it once.
        client_id: String,
    },
    /// What came from this buddy up to this message was read.
    MarkRead {
        /// From whom.
        with: UserName,
        /// The messages.
        ids: Vec<MessageId>,
    },
    /// Call a user.
    Call {
        /// Whom.
        to: UserName,
        /// Over which paths.
        path: PathPolicy,
    },
    /// Do something with a call.
    InCall(CallId, CallAction),
    /// Have super-peers dial back.
    TestReach,
}

/// What can be done with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallAction {
    /// Answer it.
    Accept,
    /// Refuse it.
    Decline,
    /// End it.
    HangUp,
    /// Hold it.
    Hold,
    /// Take it up again.
    Resume,
    /// Stop sending our voice.
    Mute,
    /// Send it again.
    Unmute,
}

/// The presence that the owner chose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shown {
    /// There.
    #[default]
    Online,
    /// Away.
    Away,
    /// Not to be disturbed.
    DoNotDisturb,
    /// There, but shown as offline.
    Invisible,
}

/// The good answer to a command.
#[derive(Debug, PartialEq)]
pub enum Answer {
    /// Done; nothing to tell.
    Done,
    /// To [`Command::Join`].
    Joined(NetworkId),
    /// To [`Command::Register`]; with the recovery key, told this once.
    Registered(SignedIn, Paper),
    /// To [`Command::Login`]; with the time that stretching the password took.
    LoggedIn(SignedIn, std::time::Duration),
    /// To [`Command::Search`].
    Searching(u64),
    /// To [`Command::Send`].
    Sent(MessageId, Delivery),
    /// To [`Command::Call`].
    Calling(CallId),
    /// To [`Command::TestReach`]: what each super-peer that was asked found.
    Reach(Vec<Verdict>),
}

/// Who is logged in.
#[derive(Clone, Debug, PartialEq)]
pub struct SignedIn {
    /// The prepared name.
    pub user: UserName,
    /// This device.
    pub device: DeviceId,
    /// The name for people.
    pub display_name: String,
    /// End of the certificate.
    pub certificate_until: UnixTime,
    /// How the buddy list was found on disk.
    pub buddy_list: ListFound,
}

/// Who is logged in, and how others see them.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionView {
    /// Who.
    pub who: SignedIn,
    /// Whether there is a home.
    pub online: bool,
    /// What is shown to buddies.
    pub shown: Shown,
    /// The mood line.
    pub mood: String,
    /// Whether others may find the user by name.
    pub listed: Listed,
    /// The name and the words under which they may; none where it is the account's name.
    pub listed_as: (Option<String>, Vec<String>),
}

/// How the user wants to be listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Whether at all.
    pub is_listed: bool,
    /// Under this name; absent: as before; empty: under the account's name.
    pub name: Option<Text<LISTED_NAME_MAX>>,
    /// And by these words; absent: as before.
    pub about: Option<OwnWords>,
}

impl From<bool> for Wish {
    /// Whether, and all else as before.
    fn from(is_listed: bool) -> Self {
        Self { is_listed, name: None, about: None }
    }
}

/// Whether others may find the user by name, and how far that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// They may not.
    Off,
    /// They may, and it is being posted.
    Posting,
    /// They can.
    On,
    /// They may not any more, and it is being withdrawn.
    Leaving,
}

/// How the buddy list was found on disk when its user logged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListFound {
    /// As it was left; or there was none yet.
    Whole,
    /// The newest file is damaged: the one before it is used, and the last change may be missing.
    LastGood,
    /// No file was whole, ours and new enough: it begins empty, and other devices may know it.
    Refused,
}

/// The bad answer to a command.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Failure {
    /// No network was joined yet.
    #[error("no network")]
    NoNetwork,
    /// Another network was joined before in this data directory.
    #[error("another network is joined already")]
    OtherNetwork,
    /// Nobody is logged in.
    #[error("not logged in")]
    NotLoggedIn,
    /// Somebody is logged in, or is just logging in.
    #[error("logged in already")]
    LoggedInAlready,
    /// None of the super-peers known can be reached.
    #[error("no super-peer can be reached")]
    NoSuperPeer {
        /// How many were tried.
        tried: usize,
    },
    /// Our clock, or everybody else's, is too far off for certificates to be judged.
    #[error("the clock is off by {off_by_ms} ms")]
    ClockWrong {
        /// How far ours is ahead of theirs; negative when it is behind.
        off_by_ms: i64,
    },
    /// The login authority cannot be reached.
    #[error("the login authority cannot be reached")]
    AuthorityUnreachable,
    /// The authority says no.
    #[error("refused: {0:?}")]
    Refused(Refusal, Option<u64>),
    /// The password is wrong (told from the vault on this machine, or by the authority).
    #[error("wrong name or password")]
    WrongNameOrPassword,
    /// What the authority sent does not verify.
    #[error("the login authority is not this network's")]
    Disbelieved,
    /// The vault on this machine is damaged.
    #[error("the vault is damaged")]
    VaultDamaged,
    /// It could not be written to disk; nothing was promised.
    #[error("could not be kept on disk")]
    NotKept(crate::port::SaveFailure),
    /// That user is no buddy.
    #[error("not a buddy")]
    NotABuddy,
    /// That user is a buddy already, or was asked already.
    #[error("a buddy already")]
    BuddyAlready,
    /// There is no request of that user.
    #[error("no request of that user")]
    NoRequest,
    /// Nobody has that name.
    #[error("nobody has that name")]
    NoSuchUser,
    /// That is oneself.
    #[error("that is yourself")]
    Yourself,
    /// There is no such call.
    #[error("no such call")]
    NoSuchCall,
    /// Another call goes on.
    #[error("in a call")]
    InCall(CallId),
    /// The call is not in a state for that.
    #[error("not while the call is {0:?}")]
    WrongCallState(CallState),
    /// Too many of these at once.
    #[error("too many at once: {max}")]
    TooMany {
        /// The limit.
        max: usize,
    },
}

/// What a peer tells its owner.
#[derive(Debug, PartialEq)]
pub enum Notice {
    /// The answer to the command with this number.
    Answer(u64, Box<Result<Answer, Failure>>),
    /// Who is logged in has changed, or how others see them.
    Session(Option<SessionView>),
    /// Our place in the network has changed.
    Network(Box<NetworkView>),
    /// A buddy was added, changed, or removed.
    Buddy(BuddyView),
    /// A buddy's presence has changed.
    Presence(PresenceView),
    /// Somebody asks to be a buddy.
    Requested(BuddyView),
    /// A message came, we wrote one, or one of ours got further.
    Message(MessageView),
    /// A search found somebody.
    Found(SearchHit),
    /// A search is over.
    SearchEnded {
        /// Which.
        search: u64,
        /// How many were found.
        found: usize,
        /// Why it is over.
        reason: SearchEnd,
    },
    /// A call has changed.
    Call(Box<CallView>),
    /// Our home has told how many super-peers are around it.
    Around {
        /// Super-peers, the home among them.
        super_peers: u32,
        /// Clients of all of them.
        clients: u32,
    },
    /// Our home invites us to serve.
    Invited,
}

/// Our place in the network.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkView {
    /// The network.
    pub network: NetworkId,
    /// Its name.
    pub name: String,
    /// The root key.
    pub root: VerifyKey,
    /// Our home super-peer and since when, when linked.
    pub home: Option<(NodeEntry, UnixTime)>,
    /// Keepers that hold our registration.
    pub keepers: u8,
    /// Super-peers known.
    pub super_peers: usize,
    /// How we can be reached, once known.
    pub reachability: Option<Reachability>,
    /// When that was found, or last confirmed; unknown where it is pretended.
    pub reachability_at: Option<UnixTime>,
    /// What is known of the NAT before us. RFC 5780.
    pub nat: NatView,
    /// Where a router forwards to our main port by TCP, if one does.
    pub mapped: Option<SocketAddr>,
    /// Whether the authority answered last time, and since when that is so.
    pub authority: Option<(bool, UnixTime)>,
    /// Devices near by that are linked to us.
    pub near: Vec<NearDevice>,
    /// Links open: what for, to where, since when.
    pub links: Vec<(Service, SocketAddr, UnixTime)>,
}

/// How we stand with somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// We have asked.
    Asked,
    /// They have asked.
    AsksUs,
    /// Buddies.
    Buddy,
    /// We have asked, and they declined.
    Declined,
    /// We block them.
    Blocked,
    /// Nothing any more.
    Removed,
}

/// Somebody in the buddy list.
#[derive(Clone, Debug, PartialEq)]
pub struct BuddyView {
    /// The name.
    pub user: UserName,
    /// The name for people.
    pub display_name: String,
    /// How we stand.
    pub standing: Standing,
    /// Their words of greeting, while they ask.
    pub greeting: Option<String>,
    /// Since when we stand so.
    pub since: UnixTime,
    /// Their identity key is another one than we knew: calls and messages wait for the user's
    /// word.
    pub key_changed: bool,
}

/// A buddy's presence.
#[derive(Clone, Debug, PartialEq)]
pub struct PresenceView {
    /// Whose.
    pub user: UserName,
    /// The best of their devices.
    pub state: crate::wire::sealed::presence::PresenceState,
    /// The mood line.
    pub mood: String,
}

/// Where a message of ours is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Delivery {
    /// On this computer, to be sent.
    Waiting,
    /// On a device of the buddy.
    Arrived,
    /// Read.
    Read,
}

/// A message.
#[derive(Clone, Debug, PartialEq)]
pub struct MessageView {
    /// Its id.
    pub id: MessageId,
    /// The other side of the conversation.
    pub with: UserName,
    /// Whether we wrote it.
    pub mine: bool,
    /// When it was written.
    pub written: UnixTime,
    /// The text.
    pub text: String,
    /// Where it is, if we wrote it; else whether it was read here.
    pub delivery: Delivery,
    /// The owner's own id, on the device that sent it.
    pub client_id: Option<String>,
}

/// Somebody found.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchHit {
    /// The search.
    pub search: u64,
    /// The name.
    pub user: UserName,
    /// The name for people, where we know it.
    pub display_name: Option<String>,
    /// Whether they are on line: as they show it to us, or, of strangers, whether a super-peer
    /// serves them; none of whom was only found by words.
    pub online: Option<bool>,
    /// The round that found them: 1, 2 …
    pub round: u8,
    /// Keepers asked.
    pub asked_nodes: usize,
    /// Whether our home knew it from an earlier look-up.
    pub from_cache: bool,
    /// Milliseconds since the search began.
    pub ms: f64,
    /// Words of their own choice, of who was found by words.
    pub about: Vec<String>,
}

/// Why a search is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchEnd {
    /// Found.
    Found,
    /// Everybody who could know was asked.
    NotFound,
    /// Some who could know did not answer.
    NoAnswer,
    /// We are not linked to a super-peer.
    Offline,
}
