//! One path of the voice to one device while it is made and used: credentials, candidates, what
//! became of it.
//!
//! Source: trickle ICE (RFC 8838). Invariant: at most [`CANDIDATES_TOTAL_MAX`] candidates go out
//! and come in.

use std::time::{Duration, Instant};

use super::making::Making;
use super::signaling::Side;
use super::view::{PathStanding, PathView};
use super::{CallsOutput, Cx};
use crate::port::{PathDown, PathEvent, PathFacts, PathId, PathKind, PathOrder, PathPolicy};
use crate::port::{RelayServer, RelayTransport, TriedPair};
use crate::wire::bounded::{List, Text};
use crate::wire::sealed::call::{
    CANDIDATE_MAX, CANDIDATES_MAX, IceCredentials, PathPurpose, SignalBody,
};

/// Candidates of one path on each side at most. Our choice: a laptop with six interfaces, two
/// address families and four relays stays below it.
pub(super) const CANDIDATES_TOTAL_MAX: usize = 64;
/// How long candidates found one after the other wait to travel together. RFC 8838 leaves it open;
/// our choice: one screen refresh, since interfaces are all found within that time.
const TOGETHER: Duration = Duration::from_millis(20);

/// Pairs that are remembered. Our choice: more than a picture shows.
const TRIED_MAX: usize = 64;

type Candidate = Text<CANDIDATE_MAX>;

/// One path to one device.
#[derive(Debug)]
pub(super) struct LegPath {
    pub(super) id: PathId,
    pub(super) number: u32,
    pub(super) purpose: PathPurpose,
    /// Packets flow.
    pub(super) up: Option<PathFacts>,
    /// It failed or was lost.
    pub(super) down: Option<PathDown>,
    /// What it was before it went down.
    last: Option<PathFacts>,
    opened: Instant,
    /// What came of its pairs of candidates.
    tried: Vec<TriedPair>,
    /// Since when probes are answered, if they are.
    pub(super) lively: Option<Instant>,
    /// Since when they are not, if they were before or might have been.
    pub(super) silent: Option<Instant>,
    /// The relay that is asked for a relayed address, if any is.
    pub(super) relay: Option<RelayServer>,
    credentials_said: bool,
    credentials_taken: bool,
    pub(super) sent: usize,
    pub(super) taken: usize,
    found: Vec<Candidate>,
    flush_at: Option<Instant>,
}

impl LegPath {
    pub(super) fn open(cx: &mut Cx<'_>, side: Side, making: Making) -> Self {
        let Making { number, purpose, policy, servers } = making;
        let id = PathId(*cx.next_path);
        *cx.next_path = cx.next_path.wrapping_add(1);
        let controlling = side == Side::Caller;
        let relays = policy != PathPolicy::DirectOnly;
        let relay = servers.iter().find(|server| relays && server.relays()).cloned();
        let order = PathOrder::Open { controlling, servers, policy };
        cx.out.push_back(CallsOutput::Path(id, order));
        Self {
            id,
            number,
            purpose,
            last: None,
            opened: cx.now,
            tried: Vec::new(),
            up: None,
            down: None,
            lively: None,
            silent: None,
            relay,
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

    /// Whether it is neither up nor given up.
    pub(super) const fn is_in_the_making(&self) -> bool {
        self.up.is_none() && self.down.is_none()
    }

    /// Whether it waits for datagrams of a relay.
    pub(super) fn awaits_datagrams(&self) -> bool {
        let is_udp = |relay: &RelayServer| relay.transport == RelayTransport::Udp;
        let by_udp = self.relay.as_ref().is_some_and(is_udp);
        by_udp && self.is_in_the_making()
    }

    /// Whether packets get through, as far as is known.
    pub(super) const fn is_alive(&self) -> bool {
        self.up.is_some() && self.silent.is_none()
    }

    /// Whether it goes through no relay.
    pub(super) fn is_direct(&self) -> bool {
        self.up.as_ref().is_some_and(|facts| !is_relayed(facts.kind))
    }

    /// As its owner sees it.
    pub(super) fn view(&self, is_used: bool) -> PathView {
        let standing = match (self.down, self.up.is_some(), self.silent) {
            (Some(down), _, _) => PathStanding::Down(down),
            (None, false, _) => PathStanding::Making,
            (None, true, None) => PathStanding::Up,
            (None, true, Some(_)) => PathStanding::Silent,
        };
        PathView {
            number: self.number,
            purpose: self.purpose,
            standing,
            is_used,
            facts: self.up.clone().or_else(|| self.last.clone()),
            opened: self.opened,
            tried: self.tried.clone(),
        }
    }

    /// Takes an event; gives what is to be said at once.
    pub(super) fn handle_event(&mut self, now: Instant, event: PathEvent) -> Option<SignalBody> {
        match event {
            PathEvent::Local { ufrag, password } if !self.credentials_said => {
                self.credentials_said = true;
                let credentials = Text::new(ufrag).and_then(|ufrag| {
                    Text::new(password).map(|password| IceCredentials { ufrag, password })
                });
                let Ok(credentials) = credentials else {
                    self.down = Some(PathDown::Unavailable);
                    return None;
                };
                let (path, purpose) = (self.number, self.purpose);
                return Some(SignalBody::Ice { credentials, path, purpose });
            }
            PathEvent::Local { .. } | PathEvent::NoRelay | PathEvent::EndOfCandidates => {}
            PathEvent::Candidate(candidate) => self.find(now, candidate),
            PathEvent::Up(facts) => self.up = Some(facts),
            PathEvent::Lively { rtt_ms } => {
                self.silent = None;
                self.lively.get_or_insert(now);
                if let Some(facts) = &mut self.up {
                    facts.rtt_ms = Some(rtt_ms);
                }
            }
            PathEvent::Tried(mut pairs) => {
                pairs.truncate(TRIED_MAX);
                self.tried = pairs;
            }
            PathEvent::Silent => {
                self.lively = None;
                self.silent.get_or_insert(now);
            }
            PathEvent::Down(down) => {
                self.last = self.up.take();
                self.down = Some(down);
            }
        }
        None
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
        let path = self.number;
        (!candidates.is_empty()).then_some(SignalBody::Candidates { candidates, path })
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

const fn is_relayed(kind: PathKind) -> bool {
    match kind {
        PathKind::RelayUdp | PathKind::RelayTcp => true,
        PathKind::Host | PathKind::ServerReflexive | PathKind::PeerReflexive => false,
    }
}
