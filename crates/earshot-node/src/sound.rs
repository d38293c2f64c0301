//! The phone's own sounds, and what a person does to try the devices out.
//!
//! One task for it all: it hears how the calls stand, what is set and chosen, and which trial is
//! asked for, and makes one ring, one tone and one trial sound or be silent. Source: DESIGN 2.11.
//! Invariants: what rings follows from how the calls stand ([`bells::wanted`]), so nothing rings
//! that has ended; a trial ends when a call begins; idle, the task sleeps.

mod bells;
mod devices;
mod trial;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use earshot_audio::aside::{Aside, Rounds};
use earshot_audio::device::{DeviceError, Speaker};
use earshot_audio::tune::Tune;
use earshot_proto::ids::CallId;
use earshot_proto::peer::call::view::CallView;
use earshot_proto::peer::command::Shown;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::spawn_blocking;

use crate::api::audio::{AudioTrial, ChosenDevices};
use crate::api::errors::ErrorCode;
use crate::api::events::Event;
use crate::store::preferences::Preferences;
use bells::{Glance, Moment, Wanted};
use devices::DeviceWatch;
use trial::Trial;

/// When a peer makes sounds of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sounding {
    /// As it is set.
    #[default]
    AsSet,
    /// Only once a ringer was chosen: a process that nobody sits at is silent.
    WhenRingerChosen,
}

/// Where events go.
pub(crate) type Tell = Arc<dyn Fn(Event) + Send + Sync>;

/// Trials asked for and not yet looked at.
const REQUESTS_MAX: usize = 8;

/// The owner's end. Dropped, everything falls silent.
pub struct SoundDesk {
    shared: Arc<Shared>,
    requests: mpsc::Sender<Request>,
}

enum Request {
    Try(AudioTrial, oneshot::Sender<Result<(), ErrorCode>>),
    /// Somebody looks at the devices, which are these.
    Look(Box<ChosenDevices>),
}

/// How the calls stand, as the loop tells it.
#[derive(Default)]
struct Shared {
    stage: Mutex<Stage>,
    changed: Notify,
}

#[derive(Default)]
struct Stage {
    calls: BTreeMap<CallId, Glance>,
    /// The sound of a moment that nobody has made yet; the last counts.
    moment: Option<Moment>,
    shown: Shown,
}

/// The loop's end.
#[derive(Clone)]
pub(crate) struct SoundEar(Arc<Shared>);

impl SoundEar {
    /// A call has changed; called on the loop.
    pub(crate) fn hear(&self, view: &CallView) {
        let mut stage = self.0.stage();
        let before = stage.calls.get(&view.id).copied();
        let now = Glance::of(view);
        if let Some(moment) = bells::moment(before, now, view.end.as_ref()) {
            stage.moment = Some(moment);
        }
        if now == Glance::Over {
            stage.calls.remove(&view.id);
        } else {
            stage.calls.insert(view.id, now);
        }
        drop(stage);
        self.0.changed.notify_one();
    }

    /// The user shows something else.
    pub(crate) fn shows(&self, shown: Shown) {
        self.0.stage().shown = shown;
        self.0.changed.notify_one();
    }
}

impl Shared {
    /// A panic in one holder leaves plain facts behind.
    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SoundDesk {
    /// Starts the task on the current runtime.
    pub(crate) fn start(
        preferences: watch::Receiver<Preferences>,
        sounding: Sounding,
        tell: Tell,
    ) -> Self {
        let shared = Arc::<Shared>::default();
        let (requests, asked) = mpsc::channel(REQUESTS_MAX);
        let task = Task {
            shared: Arc::clone(&shared),
            preferences,
            sounding,
            tell,
            ring: Voice::default(),
            tone: Voice::default(),
            trial: None,
            watch: None,
        };
        tokio::spawn(task.run(asked));
        Self { shared, requests }
    }

    /// The end that hears of calls.
    pub(crate) fn ear(&self) -> SoundEar {
        SoundEar(Arc::clone(&self.shared))
    }

    /// Tries the sound out.
    ///
    /// # Errors
    /// [`ErrorCode::InACall`] in a call, [`ErrorCode::Audio`] when a device cannot be used.
    pub(crate) async fn test(&self, what: AudioTrial) -> Result<(), ErrorCode> {
        let in_call = self.shared.stage().calls.keys().next().copied();
        if let (Some(call), false) = (in_call, what == AudioTrial::Off) {
            return Err(ErrorCode::InACall { call_id: call.into() });
        }
        let (told, done) = oneshot::channel();
        self.request(Request::Try(what, told)).await;
        done.await.unwrap_or(Err(ErrorCode::Leaving))
    }

    /// Somebody looks at the devices: for some minutes it is told when they change.
    pub(crate) async fn look(&self, chosen: ChosenDevices) {
        self.request(Request::Look(Box::new(chosen))).await;
    }

    async fn request(&self, request: Request) {
        // A task that is gone drops the request, and with it the answer's sender.
        let _ = self.requests.send(request).await;
    }
}

/// What sounds, and what it was started with.
#[derive(Default)]
struct Voice {
    /// The tune, where it is played, and the sound itself; none when it could not be opened.
    playing: Option<(Tune, Speaker, Option<Aside>)>,
}

struct Task {
    shared: Arc<Shared>,
    preferences: watch::Receiver<Preferences>,
    sounding: Sounding,
    tell: Tell,
    ring: Voice,
    tone: Voice,
    trial: Option<Trial>,
    watch: Option<DeviceWatch>,
}

impl Task {
    async fn run(mut self, mut asked: mpsc::Receiver<Request>) {
        loop {
            tokio::select! {
                () = self.shared.changed.notified() => self.attend().await,
                Ok(()) = self.preferences.changed() => self.attend().await,
                request = asked.recv() => match request {
                    None => return,
                    Some(Request::Try(what, told)) => {
                        let done = self.try_out(what).await;
                        // Nobody may wait for it any more.
                        let _ = told.send(done);
                    }
                    Some(Request::Look(chosen)) => {
                        let preferences = self.preferences.clone();
                        self.watch = Some(DeviceWatch::begin(*chosen, preferences).await);
                    }
                },
                goes_on = trial::tick(&mut self.trial, &self.tell) => if !goes_on {
                    self.end_trial().await;
                },
                goes_on = devices::tick(&mut self.watch, &self.tell) => {
                    if !goes_on {
                        self.watch = None;
                    }
                }
            }
        }
    }

    /// Makes sound what should, and silences the rest.
    async fn attend(&mut self) {
        let preferences = self.preferences.borrow_and_update().clone();
        let may = self.sounding == Sounding::AsSet || preferences.ringer.is_some();
        let (wanted, moment, in_call) = {
            let mut stage = self.shared.stage();
            let wanted = bells::wanted(&stage.calls, &preferences.settings, stage.shown);
            (wanted, stage.moment.take(), !stage.calls.is_empty())
        };
        let Wanted { ring, ring_back } = if may { wanted } else { Wanted::default() };
        if in_call {
            self.end_trial().await;
        }
        let ringer = preferences.where_it_rings();
        self.ring.play(ring.map(|gain| (Tune::Ring, &ringer, gain)), Rounds::Endless).await;
        // A tone in a file of the call would be taken for what the other one said.
        let speaker = Some(&preferences.speaker).filter(|to| matches!(to, Speaker::Device(_)));
        let back = speaker.filter(|_| ring_back).map(|speaker| (Tune::RingBack, speaker, 1.0));
        let moment = moment.filter(|_| may && preferences.settings.sounds);
        match (back, moment.and_then(|moment| Some((moment.tune(), speaker?, 1.0)))) {
            (Some(back), _) => self.tone.play(Some(back), Rounds::Endless).await,
            (None, Some(once)) => self.tone.play(Some(once), Rounds::Once).await,
            (None, None) => self.tone.end_rounds().await,
        }
    }

    async fn try_out(&mut self, what: AudioTrial) -> Result<(), ErrorCode> {
        self.end_trial().await;
        let preferences = self.preferences.borrow().clone();
        self.trial = Trial::begin(what, &preferences).await?;
        Ok(())
    }

    async fn end_trial(&mut self) {
        if let Some(trial) = self.trial.take() {
            trial.end(&self.tell).await;
        }
    }
}

impl Voice {
    /// Plays that and nothing else.
    async fn play(&mut self, wanted: Option<(Tune, &Speaker, f32)>, rounds: Rounds) {
        let Some((tune, speaker, gain)) = wanted else { return self.stop().await };
        let same = |(playing, to, _): &(Tune, Speaker, _)| *playing == tune && to == speaker;
        if rounds == Rounds::Endless && self.playing.as_ref().is_some_and(same) {
            if let Some((_, _, Some(aside))) = &self.playing {
                aside.set_gain(gain);
            }
            return;
        }
        self.stop().await;
        let to = speaker.clone();
        let opened = spawn_blocking(move || Aside::play(&to, tune, rounds, gain)).await;
        let opened =
            opened.unwrap_or_else(|e| Err(DeviceError::ServerGone { reason: e.to_string() }));
        if let Err(problem) = &opened {
            tracing::warn!(%problem, ?tune, "A sound could not be played");
        }
        self.playing = Some((tune, speaker.clone(), opened.ok()));
    }

    /// Ends what would go on for ever; what ends by itself may.
    async fn end_rounds(&mut self) {
        if self.playing.as_ref().is_some_and(|(tune, ..)| *tune == Tune::RingBack) {
            self.stop().await;
        }
    }

    async fn stop(&mut self) {
        if let Some((_, _, Some(aside))) = self.playing.take() {
            // It fades, and a thread is joined.
            let _ = spawn_blocking(move || drop(aside)).await;
        }
    }
}
