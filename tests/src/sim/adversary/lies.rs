//! What hostile super-peers do: one vice each.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "most messages concern no vice: they pass as they are"
)]

use std::time::Duration;

use earshot_proto::lookup::Density;
use earshot_proto::time::UnixTime;
use earshot_proto::wire::bounded::List;
use earshot_proto::wire::directory::{Directory, Entry, NodeEntry, SUPER_PEERS_MAX, Trail};
use earshot_proto::wire::forward::Forward;
use earshot_proto::wire::frame::Message;
use earshot_proto::wire::invite::Door;
use earshot_proto::wire::posting::Postings;
use earshot_proto::wire::ring::{Question, Reply};

use super::league::League;

/// What a hostile super-peer does beside keeping its place on the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Vice {
    /// Answers no question and carries no envelope; stays linked, and beats.
    Drops,
    /// Says of everybody that there is no such user.
    Denies,
    /// Answers truly, just before its asker loses patience.
    SlowWithin,
    /// Answers truly, just too late.
    SlowBeyond,
    /// Names only its fellows as keepers of any key, and denies to hold anything.
    Misleads,
    /// Names keepers that do not exist, and denies to hold anything.
    Invents,
    /// Answers with the oldest registration it ever saw, and puts those to keepers again, and
    /// forged ones.
    Replays,
    /// Fills lists of super-peers and the ring's news with nodes that do not exist.
    Poisons,
    /// Sends questions, envelopes and connections without end.
    Floods,
    /// Takes every registration, and forgets it.
    Forgets,
    /// Takes clients in, and tells no keeper of them.
    Withholds,
    /// Tells guests of an authority that does not exist.
    Misdirects,
    /// Takes every posting and shows none.
    DropsPostings,
    /// Shows postings that nobody signed.
    InventsPostings,
    /// Shows other people's postings.
    SwapsPostings,
}

impl Vice {
    /// Those of whom people are looked up by name.
    pub const OF_SEARCH: [Self; 11] = [
        Self::Drops,
        Self::Denies,
        Self::SlowWithin,
        Self::SlowBeyond,
        Self::Misleads,
        Self::Invents,
        Self::Replays,
        Self::Poisons,
        Self::Floods,
        Self::Forgets,
        Self::Withholds,
    ];
    /// Those of the directory.
    pub const OF_DIRECTORY: [Self; 3] =
        [Self::DropsPostings, Self::InventsPostings, Self::SwapsPostings];

    /// Whether it does something unasked, every second.
    pub(super) const fn is_active(self) -> bool {
        matches!(self, Self::Replays | Self::Poisons | Self::Floods)
    }
}

/// Shorter than a super-peer waits for another's answer.
const WITHIN: Duration = Duration::from_millis(2_200);
/// Longer than anybody waits.
const BEYOND: Duration = Duration::from_millis(4_500);

/// What becomes of something that was said to a hostile super-peer.
pub(super) enum Fate {
    /// The machine gets it.
    Pass,
    /// Nobody does.
    Drop,
    /// The machine gets it after a while.
    Later(Duration),
    /// It is answered so.
    Answer(Box<Message>),
}

impl Fate {
    fn say(message: impl Into<Message>) -> Self {
        Self::Answer(Box::new(message.into()))
    }
}

/// The questions that the liars are about.
fn is_of_look_up(message: &Message) -> bool {
    matches!(
        message,
        Message::RingQuestion(Question::Nearest { .. })
            | Message::Directory(Directory::Find { .. } | Directory::FindForMe { .. })
            | Message::Postings(Postings::FindWord { .. } | Postings::FindForMe { .. })
    )
}

impl Vice {
    /// What its machine is answered to something that it says to others, and that they never hear.
    pub(super) fn withheld(self, message: &Message) -> Option<Message> {
        match message {
            Message::Directory(Directory::Put { .. }) if self == Self::Withholds => {
                Some(Directory::Kept.into())
            }
            Message::Directory(Directory::Offer { .. }) if self == Self::Withholds => {
                Some(Directory::Wanted { places: List::default() }.into())
            }
            _ => None,
        }
    }

    /// What becomes of a question.
    pub(super) fn fate(
        self,
        league: &mut League,
        wall: UnixTime,
        density: Option<Density>,
        message: &Message,
    ) -> Fate {
        match self {
            Self::Drops => match message {
                Message::Directory(
                    Directory::Put { .. } | Directory::Offer { .. } | Directory::ListSuperPeers,
                )
                | Message::Postings(Postings::Post { .. } | Postings::PostForMe { .. })
                | Message::Forward(
                    Forward::Deliver { .. } | Forward::ThroughYou { .. } | Forward::Gone { .. },
                ) => Fate::Drop,
                _ if is_of_look_up(message) => Fate::Drop,
                _ => Fate::Pass,
            },
            Self::SlowWithin if is_of_look_up(message) => Fate::Later(WITHIN),
            Self::SlowBeyond if is_of_look_up(message) => Fate::Later(BEYOND),
            Self::Denies => denies(message),
            Self::Misleads => match message {
                Message::RingQuestion(Question::Nearest { key, width }) => {
                    Fate::say(league.near(key, density, usize::from(*width)).into_reply())
                }
                _ => denies(message),
            },
            Self::Invents => match message {
                Message::RingQuestion(Question::Nearest { key, width }) => {
                    let nodes = league.invented(key, usize::from(*width));
                    Fate::say(Reply::Keepers { nodes: List::first_of(nodes) })
                }
                _ => denies(message),
            },
            Self::Replays => replays(league, message),
            Self::Poisons => match message {
                Message::Directory(Directory::ListSuperPeers) => {
                    let nodes = List::first_of(league.forged_nodes(SUPER_PEERS_MAX));
                    let (authority, also) = (Some(league.door), List::default());
                    Fate::say(Directory::SuperPeers { nodes, authority, also })
                }
                Message::RingQuestion(Question::Nearest { width, .. }) => {
                    let nodes = List::first_of(league.forged_nodes(usize::from(*width)));
                    Fate::say(Reply::Closer { nodes })
                }
                _ => Fate::Pass,
            },
            Self::Misdirects => match message {
                Message::Directory(Directory::ListSuperPeers) => {
                    let made_up = league.forged_nodes(1).pop();
                    let door = made_up.map(|NodeEntry { address, key, .. }| Door { address, key });
                    let (nodes, also) = (List::default(), List::default());
                    Fate::say(Directory::SuperPeers { nodes, authority: door, also })
                }
                _ => Fate::Pass,
            },
            Self::Forgets => match message {
                Message::Directory(Directory::Put { .. }) => Fate::say(Directory::Kept),
                Message::Directory(Directory::Offer { .. }) => {
                    Fate::say(Directory::Wanted { places: List::default() })
                }
                _ => denies(message),
            },
            Self::DropsPostings => match message {
                Message::Postings(Postings::Post { .. } | Postings::PostForMe { .. }) => {
                    Fate::say(Postings::Posted { split: false })
                }
                _ => shows(Vec::new(), message),
            },
            Self::InventsPostings => match message {
                Message::Postings(Postings::FindWord { page } | Postings::FindForMe { page }) => {
                    let posting = league.invented_posting(page, wall);
                    shows(posting.into_iter().collect(), message)
                }
                _ => Fate::Pass,
            },
            Self::SwapsPostings => shows(league.swapped(), message),
            Self::SlowWithin | Self::SlowBeyond | Self::Floods | Self::Withholds => Fate::Pass,
        }
    }
}

fn denies(message: &Message) -> Fate {
    match message {
        Message::Directory(Directory::Find { .. } | Directory::FindForMe { .. }) => {
            Fate::say(Directory::NotHere { trail: Trail::HERE })
        }
        _ => Fate::Pass,
    }
}

fn replays(league: &League, message: &Message) -> Fate {
    let Message::Directory(Directory::Find { user } | Directory::FindForMe { user }) = message
    else {
        return Fate::Pass;
    };
    match league.oldest(user) {
        Some(Entry { device, registration, location, home }) => {
            let entries = List::first_of([Entry { device, registration, location, home }]);
            Fate::say(Directory::Found { entries, trail: Trail::HERE })
        }
        None => Fate::Pass,
    }
}

fn shows(
    postings: Vec<earshot_proto::wire::certificate::Signed<earshot_proto::wire::posting::Posting>>,
    message: &Message,
) -> Fate {
    match message {
        Message::Postings(Postings::FindWord { .. } | Postings::FindForMe { .. }) => {
            let postings = List::first_of(postings);
            Fate::say(Postings::Listed { postings, next: None, split: false, trail: Trail::HERE })
        }
        _ => Fate::Pass,
    }
}
