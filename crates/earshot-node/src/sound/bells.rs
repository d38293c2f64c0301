//! What should sound, by how the calls stand.

use std::collections::BTreeMap;

use earshot_audio::tune::Tune;
use earshot_proto::ids::CallId;
use earshot_proto::peer::call::reason::{End, EndReason};
use earshot_proto::peer::call::view::{CallState, CallView, Direction};
use earshot_proto::peer::command::Shown;

use crate::api::settings::{RING_VOLUME_MAX, Settings};

/// How loud it rings beside another call. Our choice: 12 dB less.
const BESIDE_A_CALL: f32 = 0.25;

/// A call, as far as its sounds go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Glance {
    /// It rings here.
    RingsHere,
    /// It rings at theirs.
    RingsThere,
    /// It is being made.
    Dials,
    /// It was answered.
    Goes,
    /// It has ended.
    Over,
}

impl Glance {
    pub(super) const fn of(view: &CallView) -> Self {
        match (view.state, view.direction) {
            (CallState::Ringing, Direction::In) => Self::RingsHere,
            (CallState::Ringing, Direction::Out) => Self::RingsThere,
            (CallState::Locating, _) => Self::Dials,
            (CallState::Connecting | CallState::Talking | CallState::Held, _) => Self::Goes,
            (CallState::Ended, _) => Self::Over,
        }
    }
}

/// Something that sounds once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// A call that was answered is over.
    HungUp,
    /// They do not answer: busy, or they decline.
    Busy,
}

impl Moment {
    pub(super) const fn tune(self) -> Tune {
        match self {
            Self::HungUp => Tune::HungUp,
            Self::Busy => Tune::Busy,
        }
    }
}

/// The sound of a change; who ends a call that never was answered hears nothing.
pub(super) fn moment(before: Option<Glance>, now: Glance, end: Option<&End>) -> Option<Moment> {
    let reason = end.map(|end| end.reason).filter(|_| now == Glance::Over)?;
    match (before?, reason) {
        (Glance::Goes, _) => Some(Moment::HungUp),
        (Glance::Dials | Glance::RingsThere, EndReason::Busy | EndReason::Declined) => {
            Some(Moment::Busy)
        }
        (Glance::Dials | Glance::RingsThere | Glance::RingsHere | Glance::Over, _) => None,
    }
}

/// What should go on sounding.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Wanted {
    /// How loud it rings: 0 to 1.
    pub(super) ring: Option<f32>,
    /// Whether the caller hears it ring at theirs.
    pub(super) ring_back: bool,
}

pub(super) fn wanted(
    calls: &BTreeMap<CallId, Glance>,
    settings: &Settings,
    shown: Shown,
) -> Wanted {
    let has = |glance| calls.values().any(|call| *call == glance);
    let silent = !settings.sounds || settings.ring_volume == 0 || shown == Shown::DoNotDisturb;
    let beside = has(Glance::Goes) || has(Glance::RingsThere) || has(Glance::Dials);
    let softer = if beside { BESIDE_A_CALL } else { 1.0 };
    Wanted {
        ring: (has(Glance::RingsHere) && !silent).then(|| loudness(settings.ring_volume) * softer),
        ring_back: settings.sounds && has(Glance::RingsThere),
    }
}

/// Half the volume sounds about half as loud: the ear is no straight line.
pub(super) fn loudness(percent: u8) -> f32 {
    let part = f32::from(percent.min(RING_VOLUME_MAX)) / f32::from(RING_VOLUME_MAX);
    part * part
}

#[cfg(test)]
mod tests {
    use earshot_proto::peer::call::reason::{By, EndFacts};

    use super::*;

    fn ring(calls: &[Glance], settings: Settings, shown: Shown) -> Wanted {
        let ids = (0..).map(|number| CallId([number; 16]));
        wanted(&ids.zip(calls.iter().copied()).collect(), &settings, shown)
    }

    fn loud() -> Settings {
        Settings { ring_volume: 100, ..Settings::default() }
    }

    #[test]
    fn it_rings_while_a_call_rings_here_and_softer_beside_another() {
        let alone = ring(&[Glance::RingsHere], loud(), Shown::Online);
        assert_eq!(alone, Wanted { ring: Some(1.0), ring_back: false });
        let beside = ring(&[Glance::Goes, Glance::RingsHere], loud(), Shown::Online);
        assert_eq!(beside.ring, Some(BESIDE_A_CALL));
        assert_eq!(ring(&[Glance::Goes], loud(), Shown::Online), Wanted::default());
    }

    #[test]
    fn it_is_silent_for_who_wants_no_sound_and_no_disturbance() {
        let silent = |settings, shown| {
            assert_eq!(ring(&[Glance::RingsHere], settings, shown).ring, None);
        };
        silent(Settings { sounds: false, ..loud() }, Shown::Online);
        silent(Settings { ring_volume: 0, ..loud() }, Shown::Online);
        silent(loud(), Shown::DoNotDisturb);
        assert!(ring(&[Glance::RingsHere], loud(), Shown::Away).ring.is_some());
    }

    #[test]
    fn the_caller_hears_it_ring_there() {
        assert!(ring(&[Glance::RingsThere], loud(), Shown::DoNotDisturb).ring_back);
        assert!(!ring(&[Glance::Dials], loud(), Shown::Online).ring_back);
        let off = Settings { sounds: false, ..loud() };
        assert!(!ring(&[Glance::RingsThere], off, Shown::Online).ring_back);
    }

    #[test]
    fn an_end_sounds_once_for_who_was_in_the_call() {
        let over = |before, reason| {
            let end = End { reason, by: By::Them, facts: EndFacts::default() };
            moment(Some(before), Glance::Over, Some(&end))
        };
        assert_eq!(over(Glance::Goes, EndReason::HungUp), Some(Moment::HungUp));
        assert_eq!(over(Glance::Goes, EndReason::PathLost), Some(Moment::HungUp));
        assert_eq!(over(Glance::RingsThere, EndReason::Busy), Some(Moment::Busy));
        assert_eq!(over(Glance::RingsThere, EndReason::Declined), Some(Moment::Busy));
        assert_eq!(over(Glance::RingsThere, EndReason::Cancelled), None);
        assert_eq!(over(Glance::RingsHere, EndReason::Cancelled), None);
        assert_eq!(moment(None, Glance::RingsHere, None), None);
    }

    #[test]
    fn half_the_volume_is_a_quarter_of_the_amplitude() {
        assert!((loudness(50) - 0.25).abs() < 1e-6);
        assert!((loudness(255) - 1.0).abs() < 1e-6);
    }
}
