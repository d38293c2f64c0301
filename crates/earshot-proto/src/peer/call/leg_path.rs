//! The path of the voice to one device while it is made and used: credentials, candidates, what
//! became of it.
//!
//! Source: trickle ICE (RFC 8838). Invariant: at most [`CANDIDATES_TOTAL_MAX`] candidates go out
//! and come in.

use std::time::{Duration, Instant};

use super::signaling::Side;
use super::{CallsOutput, Cx};
use crate::port::{PathDown, PathEvent, PathFacts, PathId, PathOrder, PathPolicy};
use crate::wire::bounded::{List, Text};
use crate::wire::sealed::call::{CANDIDATE_MAX, CANDIDATES_MAX, IceCredentials, SignalBody};

/// Candidates of one path on each side at most. Our choice: a laptop with six interfaces, two
/// address families and four relays stays below it.
pub(super) const CANDIDATES_TOTAL_MAX: usize = 64;
/// How long candidates found one after the other wait to travel together. RFC 8838 leaves it open;
/// our choice: one screen refresh, since interfaces are all found within that time.
const TOGETHER: Duration = Duration::from_millis(20);

type Candidate = Text<CANDIDATE_MAX>;

/// The path to one device.
#[derive(Debug)]
pub(super) struct LegPath {
    pub(super) id: PathId,
    /// Packets flow.
    pub(super) up: Option<PathFacts>,
    /// It failed or was lost.
    pub(super) down: Option<PathDown>,
    credentials_said: bool,
    credentials_taken: bool,
    pub(super) sent: usize,
    pub(super) taken: usize,
    found: Vec<Candidate>,
    flush_at: Option<Instant>,
}

impl LegPath {
    pub(super) fn open(cx: &mut Cx<'_>, side: Side, policy: PathPolicy) -> Self {
        let id = PathId(*cx.next_path);
        *cx.next_path = cx.next_path.wrapping_add(1);
        let servers = cx.around.servers.clone();
        let controlling = side == Side::Caller;
        let order = PathOrder::Open { controlling, servers, policy };
        cx.out.push_back(CallsOutput::Path(id, order));
        Self {
            id,
            up: None,
            down: None,
            credentials_said: false,
            credentials_taken: false,
            sent: 0,
            taken: 0,
            found: Vec::new(),
            flush_at: None,
        }
    }

    pub(super) fn close(self, cx: &mut Cx<'_>) {
        cx.out.push_back(CallsOutput::Path(self.id, PathOrder::Close));
    }

    /// Takes an event; gives what is to be said at once.
    pub(super) fn handle_event(&mut self, cx: &mut Cx<'_>, event: PathEvent) -> Option<SignalBody> {
        match event {
            PathEvent::Local { ufrag, password } if !self.credentials_said => {
                self.credentials_said = true;
                let credentials = Text::new(ufrag).and_then(|ufrag| {
                    Text::new(password).map(|password| IceCredentials { ufrag, password })
                });
                match credentials {
                    Ok(credentials) => Some(SignalBody::Ice { credentials }),
                    Err(_) => {
                        self.down = Some(PathDown::Unavailable);
                        None
                    }
                }
            }
            PathEvent::Local { .. } | PathEvent::EndOfCandidates => None,
            PathEvent::Candidate(candidate) => {
                self.find(cx.now, candidate);
                None
            }
            PathEvent::Up(facts) => {
                self.up = Some(facts);
                self.down = None;
                None
            }
            PathEvent::Down(down) => {
                self.up = None;
                self.down = Some(down);
                None
            }
        }
    }

    fn find(&mut self, now: Instant, candidate: String) {
        let Ok(candidate) = Candidate::new(candidate) else { return };
        if self.sent + self.found.len() == CANDIDATES_TOTAL_MAX {
            return;
        }
        let alone = self.sent == 0 && self.found.is_empty();
        self.found.push(candidate);
        let wait = if alone { Duration::ZERO } else { TOGETHER };
        self.flush_at.get_or_insert(now + wait);
    }

    /// Candidates that are due to travel.
    pub(super) fn due_candidates(&mut self, now: Instant) -> Option<SignalBody> {
        if !self.credentials_said || self.flush_at.is_none_or(|at| at > now) {
            return None;
        }
        let some = self.found.len().min(CANDIDATES_MAX);
        let candidates: List<Candidate, CANDIDATES_MAX> = List::first_of(self.found.drain(..some));
        if self.found.is_empty() {
            self.flush_at = None;
        }
        self.sent += candidates.len();
        (!candidates.is_empty()).then_some(SignalBody::Candidates { candidates })
    }

    /// When candidates are due to travel.
    pub(super) fn flush_at(&self) -> Option<Instant> {
        self.flush_at.filter(|_| self.credentials_said)
    }

    /// The other side's credentials; its first ones count.
    pub(super) fn handle_credentials(&mut self, cx: &mut Cx<'_>, theirs: &IceCredentials) {
        if self.credentials_taken {
            return;
        }
        self.credentials_taken = true;
        let order = PathOrder::Remote {
            ufrag: theirs.ufrag.as_str().to_owned(),
            password: theirs.password.as_str().to_owned(),
        };
        cx.out.push_back(CallsOutput::Path(self.id, order));
    }

    /// Candidates of the other side.
    pub(super) fn handle_candidates(&mut self, cx: &mut Cx<'_>, candidates: Vec<Candidate>) {
        for candidate in candidates {
            if self.taken == CANDIDATES_TOTAL_MAX {
                return;
            }
            self.taken += 1;
            let order = PathOrder::Candidate(candidate.as_str().to_owned());
            cx.out.push_back(CallsOutput::Path(self.id, order));
        }
    }
}
