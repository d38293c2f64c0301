//! Where the machine's notices go: answers to whoever waits for them, everything else as events.
//!
//! Invariant: both are told on the loop, in the machine's order.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use earshot_proto::peer::command::{self, Answer, Notice};

use super::{refused, shown};
use crate::api::events::{Event, Events};
use crate::calls::{CallReport, CallsDesk};
use crate::clock;

/// What is done with the machine's answer to a command.
pub(super) type Waiting = Box<dyn FnOnce(Result<Answer, command::Failure>) + Send>;

/// Where the machine's notices go.
#[derive(Clone)]
pub struct Ears {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    waiting: HashMap<u64, Waiting>,
    last: u64,
    events: Events,
    /// Knows what was measured of a call's path, once there is an owner.
    calls: Option<CallsDesk>,
}

impl Ears {
    /// Tells all events to this stream.
    #[must_use]
    pub fn new(events: Events) -> Self {
        let inner = Inner { waiting: HashMap::new(), last: 0, events, calls: None };
        Self { inner: Arc::new(Mutex::new(inner)) }
    }

    /// Takes a notice of the machine; called on the loop.
    pub fn hear(&self, notice: Notice) {
        let Notice::Answer(ask, result) = notice else {
            if let Some(mut event) = shown::event(notice) {
                self.measure(&mut event);
                self.tell(event);
            }
            return;
        };
        let waiting = self.lock().waiting.remove(&ask);
        if let Some(waiting) = waiting {
            waiting(*result);
        }
    }

    /// Takes a report of a call's sound.
    pub fn report(&self, report: CallReport) {
        self.tell(match report {
            CallReport::Stats(stats) => Event::CallStats(stats),
            CallReport::Level(level) => Event::AudioLevel(level),
            CallReport::Device(call, state) => {
                Event::AudioProblem(refused::device_problem(Some(call), None, &state))
            }
            CallReport::Problem(call, error) => {
                Event::AudioProblem(refused::audio_problem(call, &error))
            }
        });
    }

    /// Calls are told with what these voices measured of their paths.
    pub(super) fn measure_by(&self, calls: CallsDesk) {
        self.lock().calls = Some(calls);
    }

    fn measure(&self, event: &mut Event) {
        if let (Event::CallChanged { call }, Some(calls)) = (event, &self.lock().calls) {
            calls.measured(call);
        }
    }

    /// Tells an event.
    pub(crate) fn tell(&self, event: Event) {
        self.lock().events.tell(clock::unix_now(), event);
    }

    /// Waits for the answer to a command; gives the number to put it with.
    pub(super) fn expect(&self, waiting: Waiting) -> u64 {
        let mut inner = self.lock();
        inner.last += 1;
        let ask = inner.last;
        inner.waiting.insert(ask, waiting);
        ask
    }

    /// The number of the last event told.
    pub(super) fn last_event(&self) -> u64 {
        self.lock().events.last()
    }

    /// A panic in one holder leaves a table of closures behind, whole.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
