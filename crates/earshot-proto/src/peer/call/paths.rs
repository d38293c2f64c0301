//! The paths of the voice to one device: which are made, which one the voice goes over, and what is
//! done when it dies.
//!
//! Source: DESIGN 2.10 (a call survives the path that it was made on). ICE makes a path once and
//! leaves it only by losing it; so every better or second path is one more agent, made before the
//! first is given up. There is a *main* path, by whatever works; where that goes through a relay a
//! *direct* one is tried beside it; and once the call is answered a *spare* one, through another
//! relay, is kept warm. Each side sends over the path that it thinks best and hears all of them, so
//! neither has to ask the other before it moves.
//!
//! Invariants: at most [`OPEN_MAX`] paths are open; a path is opened by one side and answered by
//! the other, the caller's numbers are even and the callee's odd; while the path in use is in doubt
//! the voice goes over a second one too.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::leg_path::LegPath;
use super::making::{Maker, Making};
use super::signaling::{Privacy, Side};
use super::view::PathView;
use super::{CallsOutput, Cx};
use crate::port::{PathDown, PathEvent, PathFacts, PathId, VoiceRoute};
use crate::port::{RelayServer, RelayTransport};
use crate::wire::bounded::{List, Text};
use crate::wire::sealed::call::{
    CANDIDATE_MAX, CANDIDATES_MAX, IceCredentials, PathPurpose, SignalBody,
};

/// Paths to one device at a time. Our choice: main, direct and spare, and as many again that take
/// their place after the network changed; the rest is for a network that changes once more.
pub(super) const OPEN_MAX: usize = 8;
/// Paths that are gone and remembered, to be shown.
const PAST_MAX: usize = 8;
/// How long the path in use may be silent before the voice leaves it. Until then it goes over both.
/// Our choice: three probes.
const LEFT_AFTER: Duration = Duration::from_millis(750);
/// How long all paths may be silent before another is made. Our choice: one probe more, for two
/// that are lost at the same moment.
const MISSED_FOR: Duration = Duration::from_millis(300);
/// How long another path must have been lively before it is thought better. Our choice: four
/// probes.
const SETTLED: Duration = Duration::from_secs(1);
/// A relayed path is better than another if it is faster by so many milliseconds, and by a fifth:
/// less is not heard.
const FASTER_MS: f64 = 20.0;
const FASTER_BY: f64 = 0.8;
/// How much longer the callee waits before it makes a new path of itself: both notice a death at
/// the same time, and one new path is enough.
const CALLEE_WAITS: Duration = Duration::from_millis(400);
/// Wait before the next attempt while none succeeds, doubled up to the longest. Our choice: the
/// first is over sooner where the network is back.
const RETRY_FIRST: Duration = Duration::from_secs(2);
const RETRY_LONGEST: Duration = Duration::from_secs(8);
/// How long another relay is waited for where the only one failed. Our choice: three super-peers
/// are asked one after the other within it.
const FIND_RELAY: Duration = Duration::from_secs(3);
/// Wait before another spare path is tried. Our choice: without one a call is still a call.
const SPARE_EVERY: Duration = Duration::from_secs(15);
/// Relays that may turn a spare path down, one after the other, before it waits for its time. Our
/// choice: as many as are asked to find two.
const REFUSALS_AT_ONCE: u32 = 3;
/// Main paths that may fail before the first has come up: one attempt may have met a relay or a
/// home that died.
const ATTEMPTS: u32 = 2;

/// How the voice can travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PathState {
    /// No path has come up yet.
    Making,
    /// Packets get through.
    Alive,
    /// They did, and have not since.
    Interrupted(Instant),
    /// None came up, and none is tried any more.
    Failed(PathDown),
}

/// The paths to one device.
#[derive(Debug)]
pub(super) struct Paths {
    side: Side,
    maker: Maker,
    open: Vec<LegPath>,
    in_use: Option<PathId>,
    /// The other side's next path has at least this number.
    their_next: u32,
    is_answered: bool,
    was_up: bool,
    /// Main paths that came to nothing since one was alive.
    failed: u32,
    last_down: Option<PathDown>,
    /// Candidates of the last path that is gone.
    counts: (usize, usize),
    /// Paths that are gone, the oldest first.
    past: VecDeque<PathView>,
    dead_since: Option<Instant>,
    /// The other side has heard of all that we opened, and there is room for more.
    may_open: bool,
    /// A new main path is wanted, from this time on.
    retry_at: Option<Instant>,
    /// A direct path is to be tried beside a relayed one.
    try_direct: bool,
    spare_at: Option<Instant>,
    /// Relays that gave no relayed address since a path through one came up.
    refused_in_a_row: u32,
    /// One of them was to carry the first path: another is tried beside it, if one is found until
    /// then.
    lacks_relay: Option<Instant>,
    /// Relays are asked over TCP, since no datagram gets through, as was found out by now.
    asks_by_tcp: bool,
    switches: u32,
}

impl Paths {
    /// Opens the first path; both sides do, when it rings.
    pub(super) fn start(cx: &mut Cx<'_>, side: Side, privacy: Privacy) -> Self {
        let their_next = match side {
            Side::Caller => 1,
            Side::Callee => 2,
        };
        let mut paths = Self {
            side,
            maker: Maker::new(side, privacy),
            open: Vec::new(),
            in_use: None,
            their_next,
            is_answered: false,
            was_up: false,
            failed: 0,
            last_down: None,
            counts: (0, 0),
            past: VecDeque::new(),
            dead_since: None,
            may_open: false,
            retry_at: None,
            try_direct: false,
            spare_at: None,
            refused_in_a_row: 0,
            lacks_relay: None,
            asks_by_tcp: false,
            switches: 0,
        };
        let making = paths.maker.first(cx);
        paths.add(cx, making);
        paths
    }

    /// The call is answered: it is worth a spare path.
    pub(super) const fn answered(&mut self) {
        self.is_answered = true;
    }

    pub(super) const fn is_answered(&self) -> bool {
        self.is_answered
    }

    /// Our own addresses changed: what was made on them is about to die.
    pub(super) const fn renew(&mut self, now: Instant) {
        self.retry_at = Some(now);
        self.spare_at = None;
    }

    /// A router forwards a port of ours now, which it did not when the direct paths were made. Only
    /// we know, so either side tries.
    pub(super) const fn try_direct(&mut self) {
        self.try_direct = true;
    }

    pub(super) fn has(&self, id: PathId) -> bool {
        self.open.iter().any(|path| path.id == id)
    }

    /// The path that the voice goes over.
    pub(super) fn in_use(&self) -> Option<&PathFacts> {
        self.current().and_then(|path| path.up.as_ref())
    }

    /// All paths, those that are gone first.
    pub(super) fn views(&self) -> Vec<PathView> {
        let open = self.open.iter().map(|path| path.view(Some(path.id) == self.in_use));
        self.past.iter().cloned().chain(open).collect()
    }

    /// How often the voice went over to another path.
    pub(super) const fn switches(&self) -> u32 {
        self.switches
    }

    pub(super) fn state(&self) -> PathState {
        let is_made = self.lacks_relay.is_some() || self.open.iter().any(LegPath::is_in_the_making);
        match (self.dead_since, self.last_down) {
            (Some(since), _) => PathState::Interrupted(since),
            (None, _) if self.was_up => PathState::Alive,
            (None, Some(down @ PathDown::Unavailable)) if !is_made => PathState::Failed(down),
            (None, Some(down)) if !is_made && self.failed >= ATTEMPTS => PathState::Failed(down),
            (None, _) => PathState::Making,
        }
    }

    /// Whether fresh paths, too, came to nothing since the last one died.
    pub(super) const fn are_hopeless(&self) -> bool {
        self.failed > ATTEMPTS
    }

    /// What became of the path that is gone, and the candidates of both sides.
    pub(super) fn facts(&self) -> (Option<PathDown>, usize, usize) {
        let alive = self.open.iter().any(LegPath::is_alive);
        let counts = self.open.first().map_or(self.counts, |path| (path.sent, path.taken));
        (self.last_down.filter(|_| !alive), counts.0, counts.1)
    }

    /// Over which paths the voice goes, and over which it may come.
    pub(super) fn route(&self) -> VoiceRoute {
        let up = || self.open.iter().filter(|path| path.up.is_some());
        let mut send: Vec<PathId> = Vec::new();
        if let Some(current) = self.current().filter(|path| path.up.is_some()) {
            send.push(current.id);
            if !current.is_alive() {
                send.extend(self.best().map(|path| path.id));
            }
        }
        VoiceRoute { send, hear: up().map(|path| path.id).collect() }
    }

    fn current(&self) -> Option<&LegPath> {
        self.open.iter().find(|path| Some(path.id) == self.in_use)
    }

    /// Takes an event of one of the paths; gives what is to be said at once.
    pub(super) fn handle_event(
        &mut self,
        cx: &mut Cx<'_>,
        id: PathId,
        event: PathEvent,
    ) -> Option<SignalBody> {
        let now = cx.now;
        let at = self.open.iter().position(|path| path.id == id)?;
        let path = &mut self.open[at];
        let is_news = matches!(event, PathEvent::Up(_) | PathEvent::Down(_));
        if event == PathEvent::NoRelay
            && let Some(relay) = path.relay.as_ref().filter(|relay| self.maker.refused(relay))
        {
            cx.out.push_back(CallsOutput::RelayFailed(relay.address, relay.transport));
            self.lacks_relay = (!self.was_up).then_some(now + FIND_RELAY);
            self.refused_in_a_row += 1;
            if self.refused_in_a_row <= REFUSALS_AT_ONCE {
                self.spare_at = None; // Another may be known, or will be soon.
            }
        }
        if matches!(&event, PathEvent::Up(facts) if facts.relay.is_some()) {
            self.refused_in_a_row = 0;
        }
        let said = path.handle_event(now, event);
        let is_main = path.purpose == PathPurpose::Main;
        // What could not go direct before may now, and what was direct may do so again. The caller
        // sees to it: one attempt is enough.
        self.try_direct |= is_news && is_main && self.side == Side::Caller;
        self.was_up |= path.up.is_some();
        if path.is_alive() {
            self.failed = 0;
        }
        if let Some(down) = path.down {
            let gone = self.open.remove(at);
            self.counts = (gone.sent, gone.taken);
            if self.past.len() == PAST_MAX {
                self.past.pop_front();
            }
            self.past.push_back(gone.view(false));
            if is_main {
                self.last_down = Some(down);
                self.failed += 1;
                self.retry_after_failure(now);
            }
        }
        said
    }

    fn retry_after_failure(&mut self, now: Instant) {
        if !self.was_up {
            let again = self.side == Side::Caller && self.failed < ATTEMPTS;
            self.retry_at = again.then_some(now);
        } else if self.dead_since.is_some() {
            let doubled = RETRY_FIRST * 2u32.saturating_pow(self.failed.saturating_sub(1).min(4));
            self.retry_at = Some(now + doubled.min(RETRY_LONGEST));
        }
    }

    /// The other side's credentials for one of the paths, or a path that it opens.
    pub(super) fn handle_credentials(
        &mut self,
        cx: &mut Cx<'_>,
        (number, purpose): (u32, PathPurpose),
        theirs: &IceCredentials,
    ) {
        if let Some(path) = self.open.iter_mut().find(|path| path.number == number) {
            return path.handle_credentials(cx, theirs);
        }
        if self.maker.is_ours(number) || number < self.their_next {
            // A path that we have given up: they learn it by its silence.
            return;
        }
        self.their_next = number.saturating_add(2);
        if self.open.len() >= OPEN_MAX && !self.make_room(cx) {
            return;
        }
        if let Some(making) = self.maker.answer(cx, number, purpose) {
            let path = self.add(cx, making);
            path.handle_credentials(cx, theirs);
        }
    }

    /// Candidates of the other side for one of the paths.
    pub(super) fn handle_candidates(
        &mut self,
        cx: &mut Cx<'_>,
        number: u32,
        theirs: List<Text<CANDIDATE_MAX>, CANDIDATES_MAX>,
    ) {
        if let Some(path) = self.open.iter_mut().find(|path| path.number == number) {
            path.handle_candidates(cx, theirs.into_vec());
        }
    }

    /// Candidates that are due to travel.
    pub(super) fn due_candidates(&mut self, now: Instant) -> Option<SignalBody> {
        self.open.iter_mut().find_map(|path| path.due_candidates(now))
    }

    /// Chooses the path to use and opens what is missing. `heard`: the other side has heard of all
    /// paths that were opened before.
    pub(super) fn attend(&mut self, cx: &mut Cx<'_>, heard: bool) {
        self.choose(cx.now);
        self.note_death(cx);
        let is_tcp = |server: &RelayServer| server.transport == RelayTransport::Tcp;
        self.asks_by_tcp = cx.around.servers.iter().any(is_tcp);
        if !self.was_up && self.may_make_main() && self.open.iter().any(|p| self.is_in_vain(p)) {
            self.retry_at = Some(cx.now);
        }
        self.lacks_relay = self.lacks_relay.filter(|until| cx.now < *until);
        self.may_open = heard && self.open.len() < OPEN_MAX;
        if self.may_open
            && let Some(making) = self.missing(cx)
        {
            self.may_open = false;
            self.add(cx, making);
        }
    }

    /// The next moment at which something comes due.
    pub(super) fn due(&self) -> Option<Instant> {
        let flush = self.open.iter().filter_map(LegPath::flush_at);
        let left = self.current().and_then(|path| path.silent).map(|since| since + LEFT_AFTER);
        let left = left.filter(|_| self.best().is_some());
        let better = self.better().map(|(_, at)| at);
        let retry = self.retry_at.filter(|_| self.may_open && self.may_make_main());
        let spare = self.spare_at.filter(|_| self.may_open && self.needs_spare());
        let lacking = self.lacks_relay;
        flush.chain(left).chain(better).chain(retry).chain(spare).chain(lacking).min()
    }

    pub(super) fn close(self, cx: &mut Cx<'_>) {
        for path in self.open {
            path.close(cx);
        }
    }

    fn note_death(&mut self, cx: &mut Cx<'_>) {
        let is_dead = self.was_up && !self.open.iter().any(LegPath::is_alive);
        match (is_dead, self.dead_since) {
            (false, Some(_)) => {
                self.dead_since = None;
                self.retry_at = None;
            }
            (true, None) => {
                self.dead_since = Some(cx.now);
                cx.out.push_back(CallsOutput::DoubtHome);
                let wait = match self.side {
                    Side::Caller => MISSED_FOR,
                    Side::Callee => MISSED_FOR + CALLEE_WAITS,
                };
                self.retry_at.get_or_insert(cx.now + wait);
            }
            (true, Some(_)) | (false, None) => {}
        }
    }

    fn choose(&mut self, now: Instant) {
        let is_left = match self.current() {
            None => true,
            Some(path) => path.silent.is_some_and(|since| since + LEFT_AFTER <= now),
        };
        let next = if is_left {
            self.best().map(|path| path.id)
        } else {
            self.better().filter(|(_, at)| *at <= now).map(|(id, _)| id)
        };
        if let Some(next) = next.filter(|next| Some(*next) != self.in_use) {
            self.switches += u32::from(self.in_use.is_some());
            self.in_use = Some(next);
        } else if self.current().is_none() {
            self.in_use = None;
        }
    }

    /// The best of those that are alive.
    fn best(&self) -> Option<&LegPath> {
        let alive = self.open.iter().filter(|path| path.is_alive());
        alive.min_by(|a, b| {
            let rank = |path: &LegPath| (!path.is_direct(), path.purpose == PathPurpose::Spare);
            let (first, second) = (rtt(a), rtt(b));
            rank(a).cmp(&rank(b)).then(first.total_cmp(&second)).then(a.number.cmp(&b.number))
        })
    }

    /// A path that is better than the one in use though that is alive, and when it has proved so.
    fn better(&self) -> Option<(PathId, Instant)> {
        let current = self.current().filter(|path| path.is_alive())?;
        let others = self.open.iter().filter(|path| path.is_alive() && path.id != current.id);
        let is_better = |path: &&LegPath| match (path.is_direct(), current.is_direct()) {
            (true, false) => true,
            (false, true) => false,
            (true, true) | (false, false) => {
                let (theirs, ours) = (rtt(path), rtt(current));
                theirs + FASTER_MS < ours && theirs < ours * FASTER_BY
            }
        };
        let proved = |path: &LegPath| Some((path.id, path.lively? + SETTLED));
        others.filter(is_better).filter_map(proved).min_by_key(|(_, at)| *at)
    }

    /// The next path that is missing. More wait until the other side has heard of it.
    fn missing(&mut self, cx: &Cx<'_>) -> Option<Making> {
        if self.may_make_main() && self.retry_at.is_some_and(|at| at <= cx.now) {
            (self.retry_at, self.lacks_relay) = (None, None);
            return Some(self.maker.another(cx));
        }
        if self.lacks_relay.is_some()
            && let Some(making) = self.spare(cx)
        {
            self.lacks_relay = None;
            return Some(making);
        }
        if self.wants_direct() {
            self.try_direct = false;
            if let Some(making) = self.maker.direct(cx) {
                return Some(making);
            }
        }
        if self.needs_spare() && self.spare_at.is_none_or(|at| at <= cx.now) {
            let spare = self.spare(cx);
            // Where there is no relay to be had, it is made as soon as there is one.
            self.spare_at = spare.as_ref().map(|_| cx.now + SPARE_EVERY);
            return spare;
        }
        None
    }

    /// One main path is in the making at a time, of those that may come up.
    fn may_make_main(&self) -> bool {
        let is_main = |path: &LegPath| path.purpose == PathPurpose::Main;
        let may_come_up = |path: &LegPath| path.is_in_the_making() && !self.is_in_vain(path);
        !self.open.iter().any(|path| is_main(path) && may_come_up(path))
    }

    /// It was begun before it was known that no datagram gets through.
    fn is_in_vain(&self, path: &LegPath) -> bool {
        self.asks_by_tcp && path.awaits_datagrams()
    }

    fn wants_direct(&self) -> bool {
        let is_relayed = self.current().is_some_and(|path| path.is_alive() && !path.is_direct());
        let has_direct = self.open.iter().any(|path| path.is_alive() && path.is_direct());
        self.try_direct && is_relayed && !has_direct && self.maker.is_open()
    }

    /// The path in use is the only one, and the caller sees to another.
    fn needs_spare(&self) -> bool {
        let is_second = |path: &LegPath| {
            Some(path.id) != self.in_use && path.down.is_none() && path.silent.is_none()
        };
        let is_trial =
            |path: &LegPath| path.purpose == PathPurpose::Direct && path.is_in_the_making();
        let mut others = self.open.iter().filter(|path| is_second(path) && !is_trial(path));
        let is_alive = self.current().is_some_and(LegPath::is_alive);
        self.is_answered && self.side == Side::Caller && is_alive && others.next().is_none()
    }

    /// Through another relay than the path in use, if there is one.
    fn spare(&mut self, cx: &Cx<'_>) -> Option<Making> {
        let relay = self.in_use().and_then(|facts| facts.relay);
        self.maker.spare(cx, relay)
    }

    fn add(&mut self, cx: &mut Cx<'_>, making: Making) -> &mut LegPath {
        self.open.push(LegPath::open(cx, self.side, making));
        self.open.last_mut().expect("it was just pushed")
    }

    fn make_room(&mut self, cx: &mut Cx<'_>) -> bool {
        let idle = |path: &LegPath| Some(path.id) != self.in_use && !path.is_alive();
        let Some(at) = self.open.iter().position(idle) else { return false };
        self.open.remove(at).close(cx);
        true
    }
}

/// Smoothed round trip of a path in milliseconds; of one that was never measured it is endless.
fn rtt(path: &LegPath) -> f64 {
    path.up.as_ref().and_then(|facts| facts.rtt_ms).unwrap_or(f64::INFINITY)
}
